//! Rules turned into sets that a packet filter looks up.
//!
//! Neighbouring rules of one verdict may be tried in any order, so all of them that are for the same
//! users and sources become one set of networks and one of networks with ports. In each, no two
//! elements overlap, as sets of intervals demand. What 10,000 rules have in common costs two lookups.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::class::Class;
use crate::ranges::Ports;
use crate::rule::{Flow, Policy, Rule, Verdict, Who, holds};

/// A policy as a filter has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// In the order to try them, for those whom they are for.
    pub entries: Vec<Entries>,
    /// What becomes of packets that nothing fits.
    pub default: Verdict,
}

/// Rules of one verdict for the same users and sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// The rules, by their place in the policy.
    pub rules: Vec<usize>,
    /// What they decide.
    pub verdict: Verdict,
    /// Whom they are for.
    pub who: Who,
    /// Only packets from here; from anywhere where there are none.
    pub from: Vec<IpNet>,
    /// Destinations of which every service is meant. None contains another.
    pub nets: Vec<IpNet>,
    /// Services at destinations; no packet is of two of them, nor of one in `nets`.
    pub ports: Vec<Port>,
}

/// Ports of a protocol at destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The destinations.
    pub to: IpNet,
    /// The protocol's number.
    pub protocol: u8,
    /// The ports; all of them for protocols without.
    pub ports: RangeInclusive<u16>,
}

/// What a filter needs to decide as `policy` does.
pub fn compile(policy: &Policy) -> Compiled {
    let mut entries: Vec<Entries> = Vec::new();
    // Where the neighbours of the same verdict begin.
    let mut run = 0;
    for (index, rule) in policy.rules.iter().enumerate() {
        if entries.last().is_some_and(|last| last.verdict != rule.verdict) {
            run = entries.len();
        }
        let known = entries.iter_mut().skip(run).find(|e| e.who == rule.who && e.from == rule.from);
        match known {
            Some(known) => known.rules.push(index),
            None => entries.push(Entries {
                rules: [index].into(),
                verdict: rule.verdict,
                who: rule.who.clone(),
                from: rule.from.clone(),
                nets: Vec::new(),
                ports: Vec::new(),
            }),
        }
    }
    for entry in &mut entries {
        fill(entry, policy);
    }
    Compiled { entries, default: policy.default }
}

impl Compiled {
    /// What the filter decides on a packet of somebody of that class.
    pub fn decide(&self, class: &Class, flow: &Flow<'_>) -> Verdict {
        let mut own = self.entries.iter().filter(|entry| class.is_meant(&entry.who));
        own.find(|entry| entry.fits(flow)).map_or(self.default, |entry| entry.verdict)
    }
}

impl Entries {
    fn fits(&self, flow: &Flow<'_>) -> bool {
        let protocol = flow.protocol.number(flow.destination);
        let port = |port: &Port| {
            port.to.contains(&flow.destination)
                && port.protocol == protocol
                && port.ports.contains(&flow.port)
        };
        holds(&self.from, flow.source)
            && (self.nets.iter().any(|net| net.contains(&flow.destination))
                || self.ports.iter().any(port))
    }
}

fn fill(entry: &mut Entries, policy: &Policy) {
    let rules = || entry.rules.iter().filter_map(|index| policy.rules.get(*index));
    let all = rules().filter(|rule| rule.services.is_empty()).flat_map(destinations);
    entry.nets = IpNet::aggregate(&all.collect());
    entry.nets.sort_unstable();
    let mut wanted: BTreeMap<u8, BTreeMap<IpNet, Ports>> = BTreeMap::new();
    for rule in rules() {
        for service in &rule.services {
            for to in destinations(rule) {
                let protocol = service.protocol.number(to.addr());
                let nets = wanted.entry(protocol).or_default();
                nets.entry(to).or_default().add(&service.ports);
            }
        }
    }
    for (protocol, nets) in wanted {
        let apart = apart(nets).into_iter().filter(|(to, _)| !within(&entry.nets, to));
        entry.ports.extend(apart.map(|(to, ports)| Port { to, protocol, ports }));
    }
}

/// Ports of networks, of which some may be within others, so that no address has a port twice.
fn apart(nets: BTreeMap<IpNet, Ports>) -> Vec<(IpNet, RangeInclusive<u16>)> {
    let mut apart = Vec::new();
    // The networks around, outermost first, each with the ports of those around it. A network comes after
    // the ones that contain it.
    let mut around: Vec<(IpNet, Ports)> = Vec::new();
    for (net, ports) in nets {
        while around.last().is_some_and(|(outer, _)| !outer.contains(&net)) {
            around.pop();
        }
        let mut covered = around.last().map(|(_, ports)| ports.clone()).unwrap_or_default();
        for range in ports.iter() {
            apart.extend(covered.lacking(&range).into_iter().map(|range| (net, range)));
            covered.add(&range);
        }
        around.push((net, covered));
    }
    apart
}

/// Whether one of these networks contains another one; they are in order, and none contains another of
/// them.
fn within(nets: &[IpNet], net: &IpNet) -> bool {
    let after = nets.partition_point(|other| other <= net);
    let before = after.checked_sub(1).and_then(|index| nets.get(index));
    before.is_some_and(|before| before.contains(net))
}

/// The destinations of a rule, without host bits.
fn destinations(rule: &Rule) -> Vec<IpNet> {
    if rule.to.is_empty() { EVERYWHERE.into() } else { rule.to.iter().map(IpNet::trunc).collect() }
}

/// Every address.
const EVERYWHERE: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;
    use core::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::class::Named;
    use crate::service::{Protocol, Service};

    fn rule(verdict: Verdict, to: &str, services: &str) -> Rule {
        Rule {
            name: format!("{to} {services}"),
            verdict,
            who: Who::default(),
            from: Vec::new(),
            to: to.split_whitespace().map(|net| net.parse().unwrap()).collect(),
            services: services.split_whitespace().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn shown(entry: &Entries) -> Vec<String> {
        let nets = entry.nets.iter().map(ToString::to_string);
        let ports = entry.ports.iter().map(|port| {
            let service =
                Service { protocol: Protocol::Number(port.protocol), ports: port.ports.clone() };
            format!("{} {service}", port.to)
        });
        nets.chain(ports).collect()
    }

    #[test]
    fn neighbours_of_one_verdict_become_sets_without_overlap() {
        let policy = Policy {
            rules: vec![
                rule(Verdict::Allow, "10.1.0.0/16", "tcp/443"),
                rule(Verdict::Allow, "10.1.2.0/24", "tcp/80-500"),
                rule(Verdict::Allow, "10.2.0.0/16 10.3.0.0/16", ""),
                rule(Verdict::Allow, "10.2.1.0/24", "udp/53"),
                rule(Verdict::Deny, "", "tcp/25"),
                rule(Verdict::Allow, "0.0.0.0/0", ""),
            ],
            default: Verdict::Deny,
        };
        let compiled = compile(&policy);
        let rules: Vec<_> = compiled.entries.iter().map(|entry| entry.rules.clone()).collect();
        assert_eq!(rules, [vec![0, 1, 2, 3], vec![4], vec![5]]);
        assert_eq!(
            shown(&compiled.entries[0]),
            [
                "10.2.0.0/15",
                "10.1.0.0/16 tcp/443",
                "10.1.2.0/24 tcp/80-442",
                "10.1.2.0/24 tcp/444-500"
            ]
        );
        assert_eq!(shown(&compiled.entries[1]), ["0.0.0.0/0 tcp/25", "::/0 tcp/25"]);
    }

    #[test]
    fn rules_for_others_between_them_do_not_part_neighbours() {
        let mut other = rule(Verdict::Allow, "10.9.0.0/16", "");
        other.who.groups = vec!["staff".to_owned()];
        let first = rule(Verdict::Allow, "10.1.0.0/16", "");
        let last = rule(Verdict::Allow, "10.2.0.0/16", "");
        let policy = Policy { rules: vec![first, other, last], default: Verdict::Deny };
        let rules: Vec<_> = compile(&policy).entries.into_iter().map(|entry| entry.rules).collect();
        assert_eq!(rules, [vec![0, 2], vec![1]]);
    }

    /// Addresses and networks of a small world, so that they often meet.
    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = (0u8..4, 0u8..4).prop_map(|(a, b)| IpAddr::from([10, a, 0, b]));
        let v6 = (0u16..4).prop_map(|a| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, a]));
        prop_oneof![3 => v4, 1 => v6]
    }

    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        let net = (address(), 0u8..=8).prop_map(|(address, shift)| {
            let len = if address.is_ipv4() { 32 - shift * 4 } else { 128 - shift / 2 };
            IpNet::new(address, len).unwrap()
        });
        prop::collection::vec(net, 0..4)
    }

    fn protocol() -> impl Strategy<Value = Protocol> {
        prop_oneof![Just(Protocol::TCP), Just(Protocol::UDP), Just(Protocol::Icmp)]
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let service = (protocol(), 0u16..6, 0u16..6).prop_map(|(protocol, a, b)| match protocol {
            Protocol::Icmp => Service::all(protocol),
            Protocol::Number(_) => Service { protocol, ports: a.min(b)..=a.max(b) },
        });
        let services = prop::collection::vec(service, 0..3);
        let names = || prop::collection::vec((0u8..3).prop_map(|name| format!("{name}")), 0..2);
        let who = (names(), names()).prop_map(|(users, groups)| Who { users, groups });
        let rule = (any::<bool>(), who, nets(), nets(), services);
        let rule = rule.prop_map(|(allow, who, mut from, to, services)| {
            from.truncate(1);
            let verdict = if allow { Verdict::Allow } else { Verdict::Deny };
            Rule { name: String::new(), verdict, who, from, to, services }
        });
        prop::collection::vec(rule, 0..10)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_filter_decides_as_the_rules_do(
            rules in rules(),
            flows in prop::collection::vec((0u8..4, 0u8..4, address(), address(), protocol(), 0u16..7), 20),
        ) {
            let policy = Policy { rules, default: Verdict::Deny };
            let compiled = compile(&policy);
            let named = Named::by(policy.rules.iter().map(|rule| &rule.who));
            for (user, group, source, destination, protocol, port) in flows {
                if source.is_ipv4() != destination.is_ipv4() {
                    continue;
                }
                let (user, group) = (format!("{user}"), format!("{group}"));
                let port = if protocol == Protocol::Icmp { 0 } else { port };
                let flow = Flow { user: &user, group: Some(&group), source, destination, protocol, port };
                let class = named.class(&user, Some(&group));
                prop_assert_eq!(compiled.decide(&class, &flow), policy.decide(&flow).verdict);
            }
        }

        #[test]
        fn no_two_elements_of_a_set_overlap(rules in rules()) {
            for entry in compile(&Policy { rules, default: Verdict::Deny }).entries {
                for (index, net) in entry.nets.iter().enumerate() {
                    prop_assert!(entry.nets.iter().skip(index + 1).all(|n| !n.contains(net) && !net.contains(n)));
                    prop_assert!(entry.ports.iter().all(|port| !net.contains(&port.to)));
                }
                for (index, a) in entry.ports.iter().enumerate() {
                    for b in entry.ports.iter().skip(index + 1).filter(|b| b.protocol == a.protocol) {
                        let meet = a.to.contains(&b.to) || b.to.contains(&a.to);
                        let both = a.ports.start() <= b.ports.end() && b.ports.start() <= a.ports.end();
                        prop_assert!(!(meet && both), "{a:?} {b:?}");
                    }
                }
            }
        }
    }
}
