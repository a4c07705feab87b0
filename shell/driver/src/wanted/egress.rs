//! Ways out of a tenant: tables, routes and rules for packets that come out of its device.
//!
//! The egresses of a tenant with the same condition (where packets come from, which mark they have) share
//! a routing table. In a table the longest prefix decides, and among egresses to one prefix the order
//! of the file, which is the metric. The rules of all tenants have the same priorities, for they differ
//! in the device:
//!
//! ```text
//! 17300 + c       each condition c: its table, but no default route found there
//! 17332           the main table, but no default route: what the machine itself is part of
//! 17333 + 2c      each condition c: its table
//! 17334 + 2c      ... and the end of those with a default: refused, denied, or the main table
//! ```
//!
//! What leaves by an egress leaves by no other way when all of its egresses are down: prefixes end in
//! an unreachable route behind all others, and default routes in a rule, because an unreachable default
//! route would also be found by the rules that look for more than a default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use isthmus_kernel::{
    Desired, IpVersion, MAIN_TABLE, NextHop, Route, Rule, RuleAction, Translation,
};

use super::inside_routes;
use super::nat::with_bound;
use super::passage::Passage;
use crate::health::Health;
use crate::inside::Placed;
use crate::network::TenantNetwork;

/// A way out of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressNetwork {
    /// Its name in the configuration.
    pub name: String,
    /// Destinations, of the IP versions that it is for.
    pub to: Vec<IpNet>,
    /// Sources; all when empty.
    pub from: Vec<IpNet>,
    /// Firewall marks, each under its mask, one of which a packet must have; any when empty.
    pub marks: Vec<(u32, u32)>,
    /// Where packets go.
    pub way: Way,
    /// What becomes of IPv4 sources.
    pub nat: Translation,
    /// What becomes of IPv6 sources.
    pub nat6: Translation,
    /// Destinations to which sources stay what they are.
    pub nat_except: Vec<IpNet>,
    /// Whether TCP connections learn the largest segment that fits the way.
    pub mss_clamp: bool,
    /// How it is looked after beyond its link.
    pub health: Option<Health>,
}

/// Where packets go that take an egress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nowhere: they are refused with an ICMP "administratively prohibited".
    Deny,
    /// To a router.
    Gateway {
        /// The link it is on; found by its address when absent.
        interface: Option<String>,
        /// The router of IPv4 packets.
        gateway: Option<Ipv4Addr>,
        /// The router of IPv6 packets.
        gateway6: Option<Ipv6Addr>,
    },
    /// Out of a link that the destinations are on.
    Link(String),
    /// Into another namespace.
    Passage(Passage),
    /// As the main table says.
    Main {
        /// The link that is expected, for translation.
        interface: Option<String>,
    },
}

impl Way {
    /// The link packets leave by, where it is known.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Deny => None,
            Self::Link(interface) => Some(interface),
            Self::Passage(passage) => Some(&passage.interface),
            Self::Gateway { interface, .. } | Self::Main { interface } => interface.as_deref(),
        }
    }

    /// The next hop of a route; none where there is no route.
    pub(super) fn next_hop(&self, tenant: &TenantNetwork, is_ipv4: bool) -> Option<NextHop> {
        match self {
            Self::Deny => Some(NextHop::Prohibit),
            Self::Gateway { interface, gateway, gateway6 } => {
                let v4 = gateway.filter(|_| is_ipv4).map(IpAddr::V4);
                let gateway = v4.or(gateway6.filter(|_| !is_ipv4).map(IpAddr::V6))?;
                let link = interface.clone();
                Some(NextHop::Gateway { gateway, link, on_link: false })
            }
            Self::Link(interface) => Some(NextHop::Link(interface.clone())),
            Self::Passage(passage) => {
                let (gateway, link) =
                    (passage.next_hop(tenant, is_ipv4), passage.interface.clone());
                Some(NextHop::Gateway { gateway, link: Some(link), on_link: false })
            }
            Self::Main { .. } => None,
        }
    }
}

/// The egresses of one condition, each with its place in the tenant's order of preference.
struct Condition<'a> {
    table: u32,
    from: &'a [IpNet],
    marks: &'a [(u32, u32)],
    egresses: Vec<(u32, &'a EgressNetwork)>,
    tenant: &'a TenantNetwork,
    /// Those that are down.
    down: &'a BTreeSet<String>,
}

/// How packets that no prefix caught end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Other conditions may know a way.
    Open,
    Main,
    Prohibit,
    Unreachable,
}

/// Adds routes and rules for the ways out of one tenant. `inside` is what is behind its device.
pub(super) fn want(state: &mut Desired, placed: &Placed, inside: &[IpNet]) {
    let egresses = with_bound(placed);
    let conditions = conditions(placed, &egresses);
    for egress in &placed.tenant.egress {
        if matches!(egress.way, Way::Gateway { .. } | Way::Link(_)) {
            let link = egress.way.interface().map(str::to_owned);
            state.optional_links.extend(link.clone());
            state.asymmetric_links.extend(link);
        }
    }
    for version in [IpVersion::V4, IpVersion::V6] {
        let is_ipv4 = version == IpVersion::V4;
        let comers = comers(placed, inside, is_ipv4);
        let mut any = false;
        for (index, condition) in (0..).zip(&conditions) {
            let routes = condition.routes(is_ipv4);
            let end = condition.end(is_ipv4);
            if routes.is_empty() && (end == End::Open || (end == End::Main && !any)) {
                continue;
            }
            any = true;
            // Users stay reachable from within, however wide an egress is.
            let within = inside_routes(placed, inside, condition.table);
            let of_version = |route: &Route| route.destination.addr().is_ipv4() == is_ipv4;
            state.routes.extend(within.into_iter().filter(of_version));
            state.routes.extend(routes);
            state.rules.extend(condition.rules(&comers, version, index, end));
        }
        if any {
            let known = RuleAction::LookupSpecific(MAIN_TABLE);
            let known = |comer: &Comer| comer.rule(version, KNOWN_PRIORITY, known);
            state.rules.extend(comers.iter().map(known));
        }
    }
}

/// The egresses by condition, in the order in which the file first names each; what is for everybody comes
/// last.
fn conditions<'a>(placed: &'a Placed, egresses: &'a [(u32, EgressNetwork)]) -> Vec<Condition<'a>> {
    let mut conditions: Vec<Condition<'_>> = Vec::new();
    for (preference, egress) in egresses {
        let preference = *preference;
        let (from, marks) = (&*egress.from, &*egress.marks);
        let same = |c: &&mut Condition<'_>| c.from == from && c.marks == marks;
        if let Some(condition) = conditions.iter_mut().find(same) {
            condition.egresses.push((preference, egress));
        } else {
            let (egresses, tenant, down) =
                (vec![(preference, egress)], &placed.tenant, &placed.down);
            let table = FIRST_TABLE;
            conditions.push(Condition { table, from, marks, egresses, tenant, down });
        }
    }
    // More are refused where the configuration is read.
    conditions.truncate(CONDITIONS_MAX as usize);
    conditions.sort_by_key(|c| c.from.is_empty() && c.marks.is_empty());
    let first = FIRST_TABLE + u32::from(placed.tenant.tun.0) * CONDITIONS_MAX;
    for (table, condition) in (first..).zip(&mut conditions) {
        condition.table = table;
    }
    conditions
}

impl Condition<'_> {
    fn routes(&self, is_ipv4: bool) -> Vec<Route> {
        let mut by_prefix: BTreeMap<IpNet, Vec<(u32, NextHop)>> = BTreeMap::new();
        for (preference, egress) in &self.egresses {
            let Some(next) = egress.way.next_hop(self.tenant, is_ipv4) else { continue };
            for to in egress.to.iter().filter(|to| to.addr().is_ipv4() == is_ipv4) {
                let ways = by_prefix.entry(to.trunc()).or_default();
                let denied = ways.last().is_some_and(|(_, last)| *last == NextHop::Prohibit);
                // Nothing comes after a refusal, and that of everything is a rule.
                let up = !self.down.contains(&egress.name);
                if up && !denied && (to.prefix_len() > 0 || next != NextHop::Prohibit) {
                    ways.push((PREFERENCE_FIRST + preference, next.clone()));
                }
            }
        }
        let mut routes = Vec::new();
        for (destination, mut ways) in by_prefix {
            let denied = ways.last().is_some_and(|(_, last)| *last == NextHop::Prohibit);
            if destination.prefix_len() > 0 && !denied {
                ways.push((REFUSED_METRIC, NextHop::Unreachable));
            }
            let table = self.table;
            routes.extend(ways.into_iter().map(|(metric, next)| Route {
                destination,
                table,
                metric: Some(metric),
                next,
                source: None,
            }));
        }
        routes
    }

    fn end(&self, is_ipv4: bool) -> End {
        let default = |to: &IpNet| to.addr().is_ipv4() == is_ipv4 && to.prefix_len() == 0;
        let mut end = End::Open;
        for (_, egress) in self.egresses.iter().filter(|(_, egress)| egress.to.iter().any(default))
        {
            match egress.way {
                Way::Deny => return End::Prohibit,
                Way::Main { .. } => return End::Main,
                Way::Gateway { .. } | Way::Link(_) | Way::Passage(_) => end = End::Unreachable,
            }
        }
        end
    }

    fn rules(&self, comers: &[Comer], version: IpVersion, index: u32, end: End) -> Vec<Rule> {
        let last = match end {
            End::Open => None,
            End::Main => Some(RuleAction::Lookup(MAIN_TABLE)),
            End::Prohibit => Some(RuleAction::Prohibit),
            End::Unreachable => Some(RuleAction::Unreachable),
        };
        let table = self.table;
        let steps = [
            (SPECIFIC_PRIORITY + index, Some(RuleAction::LookupSpecific(table))),
            (DEFAULT_PRIORITY + 2 * index, last.map(|_| RuleAction::Lookup(table))),
            (DEFAULT_PRIORITY + 2 * index + 1, last),
        ];
        let steps = steps.into_iter().filter_map(|(priority, action)| Some((priority, action?)));
        steps
            .flat_map(|(priority, action)| {
                let plain = move |comer: &Comer| comer.rule(version, priority, action);
                comers.iter().map(plain).flat_map(|plain| {
                    let with = move |(from, mark)| narrowed(&plain, from, mark);
                    self.each(version).filter_map(with)
                })
            })
            .collect()
    }

    /// Each source with each mark; nothing when all sources are of the other IP version.
    fn each(
        &self,
        version: IpVersion,
    ) -> impl Iterator<Item = (Option<IpNet>, Option<(u32, u32)>)> + use<'_> {
        let of_version = move |net: &&IpNet| net.addr().is_ipv4() == (version == IpVersion::V4);
        let any = self.from.is_empty().then_some(None);
        let from = any.into_iter().chain(self.from.iter().filter(of_version).copied().map(Some));
        from.flat_map(|from| {
            let any = self.marks.is_empty().then_some(None);
            let marks = any.into_iter().chain(self.marks.iter().copied().map(Some));
            marks.map(move |mark| (from, mark))
        })
    }
}

/// How rules know packets of a tenant.
enum Comer {
    /// They come in by its device.
    Device(String),
    /// They come from what is behind it. Rules compare whole names of devices, and there may be thousands of
    /// sessions with one; what a session sends has its own source.
    Network(IpNet),
}

fn comers(placed: &Placed, inside: &[IpNet], is_ipv4: bool) -> Vec<Comer> {
    if !placed.tenant.device_per_session {
        return vec![Comer::Device(placed.device.clone())];
    }
    let of_version = inside.iter().filter(|net| net.addr().is_ipv4() == is_ipv4);
    of_version.map(|net| Comer::Network(net.trunc())).collect()
}

impl Comer {
    fn rule(&self, version: IpVersion, priority: u32, action: RuleAction) -> Rule {
        let (input, from) = match self {
            Self::Device(device) => (Some(device.clone()), None),
            Self::Network(net) => (None, Some(*net)),
        };
        Rule { priority, version, from, to: None, input, output: None, mark: None, action }
    }
}

/// A rule for fewer packets: those from this network and with this mark; none where nothing is left.
fn narrowed(rule: &Rule, from: Option<IpNet>, mark: Option<(u32, u32)>) -> Option<Rule> {
    let from = match (rule.from, from) {
        (Some(all), Some(some)) if all.contains(&some) => Some(some),
        (Some(some), Some(all)) if all.contains(&some) => Some(some),
        (Some(_), Some(_)) => return None,
        (all, some) => all.or(some),
    };
    Some(Rule { from, mark, ..rule.clone() })
}

/// Routing table of the first condition of the tenant with number 0; each tenant has
/// [`CONDITIONS_MAX`].
pub const FIRST_TABLE: u32 = 17_300;
/// Most conditions of a tenant.
pub const CONDITIONS_MAX: u32 = 32;
/// Metric of the routes of a tenant's first egress; the others follow.
pub const PREFERENCE_FIRST: u32 = 100;
/// Metric of what refuses when no egress is left: behind them all.
const REFUSED_METRIC: u32 = 2_147_483_647;
/// Rules that look for more than a default route; first of the hundred that the reconciler's owner has.
const SPECIFIC_PRIORITY: u32 = 17_300;
/// The rule for what the machine knows better than a default route.
const KNOWN_PRIORITY: u32 = SPECIFIC_PRIORITY + CONDITIONS_MAX;
/// Rules that take a default route, and those behind them.
const DEFAULT_PRIORITY: u32 = KNOWN_PRIORITY + 1;

#[cfg(test)]
mod tests {
    use isthmus_kernel::Owner;
    use isthmus_plane::TunId;

    use super::*;
    use crate::wanted::tests::{placed, via, wanted, way, with_ipv6};

    fn shown(rules: &[Rule]) -> Vec<String> {
        let mut sorted = rules.to_vec();
        sorted.sort();
        sorted.iter().map(ToString::to_string).collect()
    }

    fn routes_of(state: &Desired, table: u32) -> Vec<String> {
        let own = state.routes.iter().filter(|route| route.table == table);
        own.map(|route| format!("{} {}", route.destination, route.next)).collect()
    }

    #[test]
    fn a_next_hop_for_everything_refuses_what_it_cannot_take() {
        let mut placed = placed(vec![way("out", &["0.0.0.0/0"], via("eth1", "192.0.2.1"))]);
        placed.tenant.tun = TunId(3);
        let state = wanted(&placed);
        assert_eq!(
            shown(&state.rules),
            [
                "rule 17300 for IPv4 in by acme lookup 17396 without its default",
                "rule 17332 for IPv4 in by acme lookup 254 without its default",
                "rule 17333 for IPv4 in by acme lookup 17396",
                "rule 17334 for IPv4 in by acme unreachable",
            ]
        );
        assert_eq!(
            routes_of(&state, 17_396),
            ["10.64.0.0/20 on acme", "0.0.0.0/0 via 192.0.2.1 on eth1"]
        );
    }

    #[test]
    fn where_sessions_have_devices_rules_know_packets_by_where_they_come_from() {
        let mut some = way("some", &["10.1.0.0/16"], via("eth2", "192.0.2.9"));
        some.from =
            ["10.64.1.0/24", "10.0.0.0/8", "10.99.0.0/16"].map(|n| n.parse().unwrap()).into();
        let mut placed = placed(vec![some]);
        placed.tenant.device_per_session = true;
        let state = wanted(&placed);
        assert_eq!(
            shown(&state.rules),
            [
                "rule 17300 for IPv4 from 10.64.0.0/20 lookup 17300 without its default",
                "rule 17300 for IPv4 from 10.64.1.0/24 lookup 17300 without its default",
                "rule 17332 for IPv4 from 10.64.0.0/20 lookup 254 without its default",
            ],
            "of the networks of the condition only what the tenant has"
        );
    }

    #[test]
    fn the_order_of_the_file_is_the_preference_and_nothing_leaks_behind_the_last() {
        let to = ["172.20.0.0/14"];
        let egress =
            vec![way("a", &to, via("eth1", "192.0.2.1")), way("b", &to, Way::Link("eth2".into()))];
        let state = wanted(&placed(egress));
        let own: Vec<_> = state
            .routes
            .iter()
            .filter(|route| route.destination.to_string() == to[0])
            .map(|route| (route.metric.unwrap(), route.next.to_string()))
            .collect();
        assert_eq!(
            own,
            [
                (100, "via 192.0.2.1 on eth1".to_owned()),
                (101, "on eth2".to_owned()),
                (REFUSED_METRIC, "unreachable".to_owned()),
            ]
        );
        assert_eq!(state.rules.len(), 2, "other destinations are the main table's affair");
    }

    #[test]
    fn what_is_down_has_no_route_and_its_rules_stay() {
        let everything = ["0.0.0.0/0", "10.1.0.0/16"];
        let egress = vec![
            way("a", &everything, via("eth1", "192.0.2.1")),
            way("b", &["0.0.0.0/0"], via("eth2", "198.51.100.1")),
        ];
        let mut placed = placed(egress);
        let all = wanted(&placed);
        placed.down.insert("a".into());
        let state = wanted(&placed);
        assert_eq!(
            routes_of(&state, FIRST_TABLE),
            [
                "10.64.0.0/20 on acme",
                "0.0.0.0/0 via 198.51.100.1 on eth2",
                "10.1.0.0/16 unreachable"
            ]
        );
        placed.down.insert("b".into());
        let state = wanted(&placed);
        assert_eq!(
            routes_of(&state, FIRST_TABLE),
            ["10.64.0.0/20 on acme", "10.1.0.0/16 unreachable"]
        );
        assert_eq!(shown(&state.rules), shown(&all.rules), "packets end in the refusal");
    }

    #[test]
    fn conditions_have_tables_of_their_own_and_a_rule_for_each_source_and_mark() {
        let mut branch = way("branch", &["0.0.0.0/0"], via("eth1", "192.0.2.1"));
        branch.from = vec!["10.64.1.0/24".parse().unwrap(), "10.64.2.0/24".parse().unwrap()];
        branch.marks = vec![(0x10, 0xff)];
        let other = way("other", &["0.0.0.0/0"], via("eth2", "198.51.100.1"));
        let state = wanted(&placed(vec![branch, other]));
        assert_eq!(
            shown(&state.rules),
            [
                "rule 17300 for IPv4 from 10.64.1.0/24 in by acme mark 0x10/0xff lookup 17300 without its default",
                "rule 17300 for IPv4 from 10.64.2.0/24 in by acme mark 0x10/0xff lookup 17300 without its default",
                "rule 17301 for IPv4 in by acme lookup 17301 without its default",
                "rule 17332 for IPv4 in by acme lookup 254 without its default",
                "rule 17333 for IPv4 from 10.64.1.0/24 in by acme mark 0x10/0xff lookup 17300",
                "rule 17333 for IPv4 from 10.64.2.0/24 in by acme mark 0x10/0xff lookup 17300",
                "rule 17334 for IPv4 from 10.64.1.0/24 in by acme mark 0x10/0xff unreachable",
                "rule 17334 for IPv4 from 10.64.2.0/24 in by acme mark 0x10/0xff unreachable",
                "rule 17335 for IPv4 in by acme lookup 17301",
                "rule 17336 for IPv4 in by acme unreachable",
            ]
        );
    }

    #[test]
    fn what_is_for_everybody_is_tried_after_what_is_for_some() {
        let everybody = way("all", &["0.0.0.0/0"], via("eth1", "192.0.2.1"));
        let mut some = way("some", &["0.0.0.0/0"], via("eth2", "198.51.100.1"));
        some.marks = vec![(0x10, 0xff)];
        let state = wanted(&placed(vec![everybody, some]));
        assert_eq!(
            routes_of(&state, FIRST_TABLE),
            ["10.64.0.0/20 on acme", "0.0.0.0/0 via 198.51.100.1 on eth2"]
        );
        let rules = shown(&state.rules);
        assert_eq!(
            rules[0],
            "rule 17300 for IPv4 in by acme mark 0x10/0xff lookup 17300 without its default"
        );
        assert_eq!(rules[1], "rule 17301 for IPv4 in by acme lookup 17301 without its default");
    }

    #[test]
    fn what_is_denied_is_refused_and_what_comes_after_it_counts_for_nothing() {
        let deny = way("no", &["10.9.0.0/16", "0.0.0.0/0", "::/0"], Way::Deny);
        let after = way("after", &["10.9.0.0/16"], Way::Link("eth1".into()));
        let state = wanted(&placed(vec![deny, after]));
        assert_eq!(
            routes_of(&state, FIRST_TABLE),
            ["10.64.0.0/20 on acme", "10.9.0.0/16 prohibit"]
        );
        let ends = shown(&state.rules);
        assert!(ends.iter().any(|end| end == "rule 17334 for IPv4 in by acme prohibit"));
        assert!(ends.iter().any(|end| end == "rule 17334 for IPv6 in by acme prohibit"));
    }

    #[test]
    fn the_machines_own_way_may_be_the_last_resort() {
        let own = way("own", &["0.0.0.0/0"], Way::Main { interface: None });
        let state =
            wanted(&placed(vec![way("first", &["0.0.0.0/0"], via("eth1", "192.0.2.1")), own]));
        let last = shown(&state.rules).pop();
        assert_eq!(last.as_deref(), Some("rule 17334 for IPv4 in by acme lookup 254"));
    }

    #[test]
    fn ipv6_has_the_same_ways() {
        let egress = vec![way("six", &["::/0"], via("eth1", "2001:db8::1"))];
        let state = wanted(&with_ipv6(placed(egress)));
        assert_eq!(
            routes_of(&state, FIRST_TABLE),
            ["2001:db8:64::/48 on acme", "::/0 via 2001:db8::1 on eth1"]
        );
        assert!(state.rules.iter().all(|rule| rule.version == IpVersion::V6));
        assert_eq!(state.rules.len(), 4);
    }

    #[test]
    fn the_most_conditions_of_the_last_tenant_keep_clear_of_others() {
        let mut all = Vec::new();
        for index in 0..=CONDITIONS_MAX {
            let mut one = way("w", &["0.0.0.0/0"], Way::Link("eth1".into()));
            one.marks = vec![(index + 1, 0xff)];
            all.push(one);
        }
        let mut placed = placed(all);
        placed.tenant.tun = TunId(1023);
        let state = wanted(&placed);
        let ours = Owner::named("gate").rule_priorities;
        assert!(state.rules.iter().all(|rule| ours.contains(&rule.priority)));
        let tables = state.routes.iter().map(|route| route.table).filter(|t| *t != MAIN_TABLE);
        let (least, most) = tables.fold((u32::MAX, 0), |(a, b), t| (a.min(t), b.max(t)));
        assert_eq!((least, most), (50_036, 50_067), "no more conditions than there are tables");
    }
}
