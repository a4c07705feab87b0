//! Translation of addresses in the words of `nft`.
//!
//! ```text
//! prerouting, mangle   redirects with a mark: the mark, by the address before its translation
//! prerouting, dstnat   redirects
//! postrouting, srcnat  source translation, in order
//! forward, mangle      the largest segment of TCP connections out of clamped links
//! ```

use ipnet::IpNet;
use serde_json::{Value, json};

use super::links::{Links, Side};
use super::{add, field, matches, meta, prefix};
use crate::{Firewall, Nat, Redirect, Redirection, Translation};

/// The chains of translation and their rules; none without a rule.
pub(super) fn commands(table: &str, firewall: &Firewall) -> Vec<Value> {
    let Firewall { nat, redirects, clamped, .. } = firewall;
    let links = Links::of(firewall);
    let marked = redirects.iter().filter_map(|redirect| mark(links, redirect));
    let groups = [
        (MARK, marked.collect::<Vec<_>>()),
        (REDIRECT, redirects.iter().map(|one| redirect(links, one)).collect()),
        (TRANSLATE, nat.iter().map(|nat| translate(links, nat)).collect()),
        (CLAMP, clamped.iter().map(|link| clamp(link)).collect()),
    ];
    let mut commands = Vec::new();
    for ((name, kind, hook, priority), rules) in groups {
        if rules.is_empty() {
            continue;
        }
        commands.push(add(
            table,
            "chain",
            json!({ "name": name, "type": kind, "hook": hook, "prio": priority, "policy": "accept" }),
        ));
        commands.extend(
            rules
                .into_iter()
                .map(|expr| add(table, "rule", json!({ "chain": name, "expr": expr }))),
        );
    }
    commands
}

/// A chain: its name, type, hook and priority.
type Chain = (&'static str, &'static str, &'static str, i32);
const MARK: Chain = ("redirected", "filter", "prerouting", -150);
const REDIRECT: Chain = ("redirect", "nat", "prerouting", -100);
const TRANSLATE: Chain = ("postrouting", "nat", "postrouting", 100);
const CLAMP: Chain = ("clamp", "filter", "forward", -150);

fn ip(net: &IpNet) -> &'static str {
    if net.addr().is_ipv4() { "ip" } else { "ip6" }
}

/// The packets that a redirect is for.
fn redirected(links: Links<'_>, redirect: &Redirect) -> Vec<Value> {
    let ip = ip(&redirect.destination);
    let mut expr: Vec<Value> = redirect.input.iter().map(|link| links.is(Side::In, link)).collect();
    expr.push(matches("==", field(ip, "daddr"), prefix(&redirect.destination)));
    expr.extend(redirect.except.iter().map(|net| matches("!=", field(ip, "daddr"), prefix(net))));
    let service = redirect.service.iter();
    expr.extend(
        service
            .map(|(transport, port)| matches("==", field(transport.name(), "dport"), json!(port))),
    );
    expr
}

fn mark(links: Links<'_>, redirect: &Redirect) -> Option<Vec<Value>> {
    let (mark, under) = redirect.mark?;
    let mut expr = redirected(links, redirect);
    let kept = json!({ "&": [meta("mark"), !under] });
    let value = json!({ "|": [kept, mark] });
    expr.push(json!({ "mangle": { "key": meta("mark"), "value": value } }));
    Some(expr)
}

fn redirect(links: Links<'_>, redirect: &Redirect) -> Vec<Value> {
    let ip = ip(&redirect.destination);
    let mut expr = redirected(links, redirect);
    expr.push(match redirect.to {
        Redirection::Address(address, None) => json!({ "dnat": { "family": ip, "addr": address } }),
        Redirection::Address(address, Some(port)) => {
            json!({ "dnat": { "family": ip, "addr": address, "port": port } })
        }
        Redirection::Network(net) => {
            json!({ "dnat": onto(ip, "daddr", &redirect.destination, &net) })
        }
    });
    expr
}

fn translate(links: Links<'_>, nat: &Nat) -> Vec<Value> {
    let ip = ip(&nat.source);
    let mut expr: Vec<Value> = nat.input.iter().map(|link| links.is(Side::In, link)).collect();
    expr.push(matches("==", field(ip, "saddr"), prefix(&nat.source)));
    expr.extend(nat.egress.iter().map(|link| links.is(Side::Out, link)));
    let destination = nat.destination.iter();
    expr.extend(destination.map(|net| matches("==", field(ip, "daddr"), prefix(net))));
    expr.extend(
        nat.mark
            .iter()
            .map(|(mark, under)| matches("==", json!({ "&": [meta("mark"), under] }), json!(mark))),
    );
    expr.extend(nat.except.iter().map(|net| matches("!=", field(ip, "daddr"), prefix(net))));
    expr.push(match nat.to {
        Translation::Address(to) => json!({ "snat": { "family": ip, "addr": to } }),
        Translation::Keep => json!({ "accept": null }),
        Translation::Masquerade => json!({ "masquerade": null }),
        Translation::Network(net) => json!({ "snat": onto(ip, "saddr", &nat.source, &net) }),
        Translation::Range(first, last) => {
            json!({ "snat": { "family": ip, "addr": { "range": [first, last] } } })
        }
    });
    expr
}

/// A translation that changes the network and keeps the host.
fn onto(ip: &str, what: &str, from: &IpNet, to: &IpNet) -> Value {
    let data = json!({ "set": [[prefix(from), prefix(to)]] });
    let map = json!({ "map": { "key": field(ip, what), "data": data } });
    json!({ "family": ip, "addr": map, "flags": "netmap", "type_flags": "prefix" })
}

/// "The MTU of the route" is that of the way on, less the headers.
fn clamp(link: &str) -> Vec<Value> {
    let option = json!({ "tcp option": { "name": "maxseg", "field": "size" } });
    vec![
        matches("==", meta("oifname"), json!(link)),
        matches("in", field("tcp", "flags"), json!("syn")),
        json!({ "mangle": { "key": option, "value": { "rt": { "key": "mtu" } } } }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_source_egress_exceptions_and_what_to_do() {
        let nat = Nat {
            egress: Some("eth1".to_owned()),
            except: vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()],
            ..Nat::new("10.64.0.0/20".parse().unwrap(), Translation::Masquerade)
        };
        let firewall = Firewall::default();
        let expr = translate(Links::of(&firewall), &nat);
        assert_eq!(expr[0]["match"]["right"]["prefix"], json!({ "addr": "10.64.0.0", "len": 20 }));
        assert_eq!(expr[1]["match"]["right"], "eth1");
        assert_eq!(expr[2]["match"]["op"], "!=");
        assert_eq!(expr[3]["match"]["right"], "192.0.2.1");
        assert_eq!(expr[4], json!({ "masquerade": null }));
    }
}
