//! Filters in the words of `nft`.
//!
//! ```text
//! prerouting: a device with classes -> members: the source's class becomes the packet's mark
//! forward, input: answers pass -> the device's guard -> the list of the class -> entries -> the default
//! forward: to a device -> its inbound
//! ```
//!
//! Devices, classes and networks are looked up in maps and sets; the length of a list is the number of
//! times its verdict changes.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::links::{Links, Side};
use super::{add, field, jump, matches, meta, prefix};
use crate::Firewall;
use crate::desired::{CLASS_MASK, Entries, Filter, Guard, List, Verdict, class_mark};

/// Everything the filter needs; nothing for an empty one.
pub(super) fn commands(table: &str, firewall: &Firewall) -> Vec<Value> {
    let filter = &firewall.filter;
    if filter.is_empty() {
        return Vec::new();
    }
    let mut writer = Writer { table, links: Links::of(firewall), commands: Vec::new() };
    writer.refusal();
    writer.shared(filter);
    for (index, entries) in filter.entries.iter().enumerate() {
        writer.entries(index, entries);
    }
    for (index, guard) in filter.guards.iter().enumerate() {
        writer.guard(index, guard);
    }
    writer.hooks(filter);
    writer.commands
}

/// Collects the commands for a table.
struct Writer<'a> {
    table: &'a str,
    links: Links<'a>,
    commands: Vec<Value>,
}

impl Writer<'_> {
    fn chain(&mut self, name: &str) {
        self.add("chain", json!({ "name": name }));
    }

    fn base(&mut self, name: &str, priority: i32) {
        let about = json!({
            "name": name, "type": "filter", "hook": name, "prio": priority, "policy": "accept",
        });
        self.add("chain", about);
    }

    fn rule(&mut self, chain: &str, expr: &[Value]) {
        self.add("rule", json!({ "chain": chain, "expr": expr }));
    }

    /// A set of intervals, unless it would be empty; answers whether it is there.
    fn set(&mut self, name: &str, kind: &Value, elements: &[Value]) -> bool {
        if !elements.is_empty() {
            let about =
                json!({ "name": name, "type": kind, "flags": ["interval"], "elem": elements });
            self.add("set", about);
        }
        !elements.is_empty()
    }

    fn add(&mut self, what: &str, about: Value) {
        self.commands.push(add(self.table, what, about));
    }

    /// The end of what is denied. Connections are reset: not every system gives up for an ICMP.
    fn refusal(&mut self) {
        self.chain(REFUSE);
        let tcp = matches("==", meta("l4proto"), json!("tcp"));
        self.rule(REFUSE, &[tcp, json!({ "reject": { "type": "tcp reset" } })]);
        let icmp = json!({ "reject": { "type": "icmpx", "expr": "admin-prohibited" } });
        self.rule(REFUSE, &[icmp]);
    }

    /// What guards have in common: the devices, and this machine's addresses on them.
    fn shared(&mut self, filter: &Filter) {
        let devices: Vec<_> = filter.guards.iter().map(|guard| &*guard.device).collect();
        let names: Vec<_> = devices.iter().flat_map(|device| self.links.names(device)).collect();
        // Beginnings of names are intervals.
        let flags: &[&str] = if self.links.has_family(&devices) { &["interval"] } else { &[] };
        let about = json!({ "name": DEVICES, "type": "ifname", "flags": flags, "elem": names });
        self.add("set", about);
        for (ip, kind) in VERSIONS {
            let own = filter.guards.iter().flat_map(|guard| &guard.own);
            let own: Vec<_> = own.filter(|own| version(own) == ip).map(|own| json!(own)).collect();
            if !own.is_empty() {
                let about = json!({ "name": format!("own_{ip}"), "type": kind, "elem": own });
                self.add("set", about);
            }
        }
    }

    /// A chain that ends with the verdict for what is of these entries, and returns for the rest.
    fn entries(&mut self, index: usize, entries: &Entries) {
        let chain = format!("entries_{index}");
        self.chain(&chain);
        for (ip, kind) in VERSIONS {
            let of_version = |nets: &[IpNet]| -> Vec<Value> {
                let own = nets.iter().filter(|net| version(&net.addr()) == ip);
                own.map(prefix).collect()
            };
            let mut first = Vec::new();
            if !entries.from.is_empty() {
                let name = format!("from_{ip}_{index}");
                if !self.set(&name, &json!(kind), &of_version(&entries.from)) {
                    continue;
                }
                first.push(matches("==", field(ip, "saddr"), json!(format!("@{name}"))));
            }
            let decide = |check: Option<Value>| -> Vec<Value> {
                let verdict = [json!({ "counter": null }), verdict(entries.verdict)];
                first.iter().cloned().chain(check).chain(verdict).collect()
            };
            let nets: Vec<_> = of_version(&entries.nets);
            let all = entries.nets.iter().any(|n| n.prefix_len() == 0 && version(&n.addr()) == ip);
            if all {
                let protocol = matches("==", meta("nfproto"), json!(nfproto(ip)));
                self.rule(&chain, &decide(Some(protocol)));
                continue;
            }
            let name = format!("nets_{ip}_{index}");
            if self.set(&name, &json!(kind), &nets) {
                let check = matches("==", field(ip, "daddr"), json!(format!("@{name}")));
                self.rule(&chain, &decide(Some(check)));
            }
            let ports = entries.ports.iter().filter(|port| version(&port.to.addr()) == ip);
            let ports: Vec<_> = ports
                .map(|port| {
                    let range = json!({ "range": [port.ports.start(), port.ports.end()] });
                    json!({ "concat": [prefix(&port.to), port.protocol, range] })
                })
                .collect();
            let name = format!("ports_{ip}_{index}");
            if self.set(&name, &json!([kind, "inet_proto", "inet_service"]), &ports) {
                let key = json!({ "concat": [
                    field(ip, "daddr"), meta("l4proto"), field("th", "dport"),
                ]});
                self.rule(&chain, &decide(Some(matches("==", key, json!(format!("@{name}"))))));
            }
        }
    }

    /// The chains of a device: what its packets may do, and what may come to it.
    fn guard(&mut self, index: usize, guard: &Guard) {
        for list in &guard.lists {
            self.list(index, list);
        }
        let chain = format!("guard_{index}");
        self.chain(&chain);
        for (ip, _) in VERSIONS {
            let of_version = |net: &&IpNet| version(&net.addr()) == ip;
            let nets: Vec<_> = guard.forbidden.iter().filter(of_version).map(prefix).collect();
            if !nets.is_empty() {
                let check = matches("==", field(ip, "daddr"), json!({ "set": nets }));
                self.rule(&chain, &[check, json!({ "counter": null }), refuse()]);
            }
            self.strangers(&chain, ip, guard);
        }
        let mut others = vec![
            self.links.is_not(Side::Out, &guard.device),
            matches("==", meta("oifname"), json!(format!("@{DEVICES}"))),
        ];
        if !guard.reaches.is_empty() {
            let reaches: Vec<_> = guard.reaches.iter().map(|device| &**device).collect();
            others.push(self.links.compare("!=", Side::Out, &reaches));
        }
        others.extend([json!({ "counter": null }), refuse()]);
        self.rule(&chain, &others);
        let by_class: Vec<_> = guard
            .lists
            .iter()
            .filter_map(|list| Some((list.class?, list)))
            .map(|(class, list)| json!([class_mark(class), goto(&list_name(index, list))]))
            .collect();
        if !by_class.is_empty() {
            let key = json!({ "&": [meta("mark"), CLASS_MASK] });
            self.rule(&chain, &[json!({ "vmap": { "key": key, "data": { "set": by_class } } })]);
        }
        if let Some(list) = guard.lists.iter().find(|list| list.class.is_none()) {
            self.rule(&chain, &[goto(&list_name(index, list))]);
        }
    }

    /// This machine's addresses on other tenants' devices are out of reach.
    fn strangers(&mut self, chain: &str, ip: &str, guard: &Guard) {
        let own: Vec<_> = guard.own.iter().filter(|own| version(own) == ip).collect();
        let daddr = || field(ip, "daddr");
        if own.is_empty() {
            return;
        }
        let check = [
            matches("==", daddr(), json!(format!("@own_{ip}"))),
            matches("!=", daddr(), json!({ "set": own })),
        ];
        let rule: Vec<_> =
            check.into_iter().chain([json!({ "counter": null }), refuse()]).collect();
        self.rule(chain, &rule);
    }

    fn list(&mut self, index: usize, list: &List) {
        let chain = list_name(index, list);
        self.chain(&chain);
        for entries in &list.entries {
            self.rule(&chain, &[jump(&format!("entries_{entries}"))]);
        }
        self.rule(&chain, &[json!({ "counter": null }), verdict(list.default)]);
    }

    fn hooks(&mut self, filter: &Filter) {
        let guards = || filter.guards.iter().enumerate();
        let by_device: Vec<_> = guards()
            .flat_map(|(index, guard)| {
                let names = self.links.names(&guard.device);
                names.map(move |name| json!([name, goto(&format!("guard_{index}"))]))
            })
            .collect();
        for hook in ["forward", "input"] {
            self.base(hook, FILTER);
            if filter.knows_answers() {
                self.answers(hook);
            }
            let key = meta("iifname");
            let by_device = json!({ "set": by_device });
            // A guard's verdict to let pass ends the chain here: who is closed has to be asked before.
            if hook == "forward" {
                self.closed(filter);
            }
            self.rule(hook, &[json!({ "vmap": { "key": key, "data": by_device } })]);
        }
    }

    /// What belongs to a connection that was let pass, against the direction it was opened in. Packets in
    /// that direction are asked about again and again, so that a list that changes counts at once.
    fn answers(&mut self, chain: &str) {
        let state = |state: &str| matches("in", json!({ "ct": { "key": "state" } }), json!(state));
        let reply = matches("==", json!({ "ct": { "key": "direction" } }), json!("reply"));
        let accept = json!({ "accept": null });
        self.rule(chain, &[state("established"), reply, accept.clone()]);
        self.rule(chain, &[state("related"), accept]);
    }

    /// Devices that nobody outside may open connections to; from a guarded device only who reaches them.
    fn closed(&mut self, filter: &Filter) {
        let closed = filter.guards.iter().filter(|guard| guard.inbound == Verdict::Deny);
        let closed: Vec<_> = closed.map(|guard| &*guard.device).collect();
        if closed.is_empty() {
            return;
        }
        let check = [
            matches("!=", meta("iifname"), json!(format!("@{DEVICES}"))),
            self.links.compare("==", Side::Out, &closed),
        ];
        let rule: Vec<_> =
            check.into_iter().chain([json!({ "counter": null }), refuse()]).collect();
        self.rule("forward", &rule);
    }
}

fn list_name(guard: usize, list: &List) -> String {
    list.class.map_or_else(|| format!("list_{guard}"), |class| format!("list_{guard}_{class}"))
}

fn verdict(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Allow => json!({ "accept": null }),
        Verdict::Deny => refuse(),
    }
}

fn refuse() -> Value {
    goto(REFUSE)
}

fn goto(chain: &str) -> Value {
    json!({ "goto": { "target": chain } })
}

const fn version(address: &IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

fn nfproto(ip: &str) -> &'static str {
    if ip == "ip" { "ipv4" } else { "ipv6" }
}

/// The name `nft` has for each IP version and its addresses.
pub(super) const VERSIONS: [(&str, &str); 2] = [("ip", "ipv4_addr"), ("ip6", "ipv6_addr")];
/// The set of all guarded devices.
const DEVICES: &str = "guarded";
/// The chain that refuses a packet.
const REFUSE: &str = "refuse";
/// The priority at which packets are filtered.
const FILTER: i32 = 0;
