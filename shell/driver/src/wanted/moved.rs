//! Connections that take another way when an egress goes down or comes up.
//!
//! The kernel translates all packets of a connection as it did the first. Where the ways differ in that, a
//! connection that has moved would go on with the address of the way that it has left, for as long as its
//! client keeps sending; so it is forgotten, and its next packet begins it anew.

use ipnet::IpNet;
use isthmus_kernel::{Flows, Translation};

use super::egress::{EgressNetwork, Way};
use super::inside;
use crate::inside::Placed;

/// The connections that move when the egress called `name` changes, if that changes how they are translated.
pub(crate) fn moved(placed: &Placed, name: &str) -> Vec<Flows> {
    let all = &placed.tenant.egress;
    let inside = inside(placed);
    let changed = all.iter().filter(|egress| egress.name == name);
    let flows = changed.flat_map(|egress| {
        let to = egress.to.iter().filter(|to| translations_matter(all, **to));
        to.map(|to| Flows {
            from: if egress.from.is_empty() { inside.clone() } else { egress.from.clone() },
            to: *to,
            except: within(all, *to),
        })
    });
    flows.collect()
}

/// Whether any way that packets to a network may take translates their sources.
fn translations_matter(all: &[EgressNetwork], to: IpNet) -> bool {
    let alike = |egress: &&EgressNetwork| {
        let meets = |other: &IpNet| other.contains(&to) || to.contains(other);
        egress.way != Way::Deny && egress.to.iter().any(meets)
    };
    let is_ipv4 = to.addr().is_ipv4();
    let kept = |egress: &EgressNetwork| if is_ipv4 { egress.nat } else { egress.nat6 };
    all.iter().filter(alike).any(|egress| kept(egress) != Translation::Keep)
}

/// Networks within another that have ways of their own.
fn within(all: &[EgressNetwork], net: IpNet) -> Vec<IpNet> {
    let others = all.iter().flat_map(|egress| &egress.to);
    others.filter(|other| net.contains(*other) && **other != net).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::tests::{placed, via, way, with_ipv6};

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn connections_to_what_an_egress_is_for_move_with_it_but_those_with_ways_of_their_own() {
        let wide = way("wide", &["0.0.0.0/0"], via("eth1", "192.0.2.1"));
        let spare = EgressNetwork {
            nat: Translation::Masquerade,
            ..way("spare", &["0.0.0.0/0"], via("eth2", "198.51.100.1"))
        };
        let narrow = way("narrow", &["10.1.0.0/16"], via("eth3", "203.0.113.1"));
        let placed = placed(vec![wide, spare, narrow]);
        let (from, except) = (vec![net("10.64.0.0/20")], vec![net("10.1.0.0/16")]);
        let all = vec![Flows { from, to: net("0.0.0.0/0"), except }];
        assert_eq!(moved(&placed, "wide"), all);
        assert_eq!(moved(&placed, "spare"), all);
        assert_eq!(moved(&placed, "absent"), []);
        let narrow = moved(&placed, "narrow");
        assert_eq!(narrow.iter().map(|flows| flows.to).collect::<Vec<_>>(), [net("10.1.0.0/16")]);
    }

    #[test]
    fn where_nothing_is_translated_connections_go_on_as_they_are() {
        let one = way("one", &["0.0.0.0/0", "::/0"], via("eth1", "192.0.2.1"));
        let mut two = way("two", &["0.0.0.0/0", "::/0"], via("eth2", "198.51.100.1"));
        assert_eq!(moved(&placed(vec![one.clone(), two.clone()]), "one"), []);
        two.nat6 = Translation::Masquerade;
        let flows = moved(&with_ipv6(placed(vec![one, two])), "one");
        assert_eq!(flows.iter().map(|flows| flows.to).collect::<Vec<_>>(), [net("::/0")]);
    }
}
