//! Ways for probes: each probe takes the very egress it is for, whether that is taken by others or not.
//!
//! A probe's socket has a mark of its own in the upper half, where marks of the gateway's own are, and a rule
//! for packets of this machine with that mark leads to a table with one route: to the probe's target by the
//! next hop of the egress. Marks of sessions' classes are on forwarded packets only, so the two do not meet.

use ipnet::IpNet;
use isthmus_kernel::{Desired, IpVersion, Route, Rule, RuleAction};

use super::egress::{EgressNetwork, Way};
use crate::health::Watched;
use crate::inside::Placed;

/// Adds what the probes of a tenant want.
pub(super) fn want(state: &mut Desired, placed: &Placed) {
    for (number, egress) in numbered(placed) {
        let Some(health) = &egress.health else { continue };
        let target = health.target.address();
        let Some(next) = egress.way.next_hop(&placed.tenant, target.is_ipv4()) else { continue };
        let table = FIRST_PROBE_TABLE + number;
        let destination = IpNet::from(target);
        state.routes.push(Route { destination, table, metric: None, next, source: None });
        state.rules.push(Rule {
            priority: PRIORITY,
            version: if target.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 },
            from: None,
            to: None,
            input: Some("lo".into()),
            output: None,
            mark: Some((mark(number), MASK)),
            action: RuleAction::Lookup(table),
        });
    }
}

/// What of a tenant is to be looked after: ways with a link or a probe.
pub(crate) fn watched(placed: &Placed) -> Vec<Watched> {
    let mut all: Vec<Watched> = Vec::new();
    let probed = numbered(placed).map(|(number, egress)| (egress, Some(mark(number))));
    let unprobed = placed.tenant.egress.iter().filter(|egress| egress.health.is_none());
    for (egress, mark) in probed.chain(unprobed.map(|egress| (egress, None))) {
        let device = match &egress.way {
            Way::Deny | Way::Main { .. } => continue,
            Way::Gateway { .. } | Way::Link(_) | Way::Passage(_) => {
                egress.way.interface().map(str::to_owned)
            }
        };
        if device.is_some() || mark.is_some() {
            let id = (placed.tenant.tun, egress.name.clone());
            all.push(Watched { id, device, health: egress.health.clone().zip(mark) });
        }
    }
    all
}

/// The egresses with probes, each with a number that no other of the gateway has.
fn numbered(placed: &Placed) -> impl Iterator<Item = (u32, &EgressNetwork)> {
    let first = u32::from(placed.tenant.tun.0) * PROBED_MAX + 1;
    let probed = placed.tenant.egress.iter().filter(|egress| egress.health.is_some());
    // More are refused where the configuration is read.
    (first..first + PROBED_MAX).zip(probed)
}

const fn mark(number: u32) -> u32 {
    number << MASK.trailing_zeros()
}

/// Most egresses of a tenant with probes.
pub const PROBED_MAX: u32 = 32;
/// The routing table of the first probe; behind those of all tenants' conditions.
pub const FIRST_PROBE_TABLE: u32 = 60_000;
/// The last of the priorities of the reconciler's owner; it is for packets of this machine only.
const PRIORITY: u32 = 17_399;
/// The half of the marks that is the gateway's own.
const MASK: u32 = 0xffff_0000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use isthmus_plane::TunId;

    use super::*;
    use crate::health::{Health, Target, Thresholds};
    use crate::wanted::tests::{placed, via, wanted, way};

    fn probed(name: &str, target: &str) -> EgressNetwork {
        let health = Health {
            target: Target::Icmp(target.parse().unwrap()),
            interval: Duration::from_millis(500),
            timeout: Duration::from_millis(500),
            thresholds: Thresholds { fall: 3, rise: 5 },
        };
        EgressNetwork {
            health: Some(health),
            ..way(name, &["0.0.0.0/0"], via("eth1", "192.0.2.1"))
        }
    }

    #[test]
    fn a_probe_goes_by_the_next_hop_of_its_egress_also_while_that_is_down() {
        let mut placed = placed(vec![probed("a", "198.51.100.9")]);
        placed.tenant.tun = TunId(2);
        placed.down.insert("a".into());
        let state = wanted(&placed);
        let route = state.routes.iter().find(|route| route.table == 60_065).unwrap();
        assert_eq!(route.to_string(), "route 198.51.100.9/32 via 192.0.2.1 on eth1 table 60065");
        let rule = state.rules.iter().find(|rule| rule.priority == PRIORITY).unwrap();
        let text = "rule 17399 for IPv4 in by lo mark 0x410000/0xffff0000 lookup 60065";
        assert_eq!(rule.to_string(), text);
        let [watched] = &watched(&placed)[..] else { panic!("one way") };
        assert_eq!(watched.device.as_deref(), Some("eth1"));
        assert_eq!(watched.health.as_ref().map(|(_, mark)| *mark), Some(0x41_0000));
    }

    #[test]
    fn marks_of_the_last_tenant_fit_and_no_two_are_the_same() {
        let many = (0..=PROBED_MAX).map(|n| probed(&format!("w{n}"), "198.51.100.9")).collect();
        let mut placed = placed(many);
        placed.tenant.tun = TunId(1023);
        let numbers: Vec<_> = numbered(&placed).map(|(number, _)| number).collect();
        assert_eq!(
            (numbers.len(), numbers.last()),
            (32, Some(&32_768)),
            "no more than can be told apart"
        );
        assert!(numbers.iter().all(|number| mark(*number) >> 16 == *number));
    }

    #[test]
    fn ways_without_a_link_or_a_probe_are_not_looked_after() {
        let gateway =
            Way::Gateway { interface: None, gateway: "192.0.2.1".parse().ok(), gateway6: None };
        let main = Way::Main { interface: Some("eth1".into()) };
        let everything = ["0.0.0.0/0"];
        let ways = vec![
            way("no", &everything, Way::Deny),
            way("main", &everything, main),
            way("far", &everything, gateway),
            way("near", &everything, Way::Link("eth2".into())),
        ];
        let watched = watched(&placed(ways));
        let names: Vec<_> = watched.iter().map(|way| way.id.1.as_str()).collect();
        assert_eq!(names, ["near"]);
    }
}
