//! Translation of addresses: what egresses ask for, and what tenants ask for beside them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_kernel::{Desired, Nat, Redirect, Redirection, Translation, Transport};

use super::egress::{EgressNetwork, Way};
use crate::inside::Placed;

/// A translation that a tenant asks for beside those of its egresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatNetwork {
    /// What becomes of what.
    pub kind: NatKind,
    /// The egresses, by name, whose packets it is for; of all when empty.
    pub by: Vec<String>,
    /// Addresses outside that it is not for.
    pub except: Vec<IpNet>,
}

/// What becomes of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// Packets to an address outside go to a client.
    Forward {
        /// The address outside.
        outside: IpAddr,
        /// The protocol and the port there; all when absent.
        service: Option<(Transport, u16)>,
        /// The client's address.
        inside: IpAddr,
        /// The client's port; the same when absent.
        port: Option<u16>,
    },
    /// Clients know the hosts of a network by other addresses, and are told them in return.
    Map {
        /// The network as clients know it.
        inside: IpNet,
        /// The network as it is.
        outside: IpNet,
    },
    /// A client is known outside by another address, both ways.
    OneToOne {
        /// The client's address.
        inside: IpAddr,
        /// Its address outside.
        outside: IpAddr,
    },
}

/// Adds the translations of one tenant. `inside` is what is behind its device.
pub(super) fn want(state: &mut Desired, placed: &Placed, inside: &[IpNet]) {
    let marks = bound_marks(&placed.tenant.nat);
    for (nat, mark) in placed.tenant.nat.iter().zip(marks) {
        let links = links(placed, &nat.by);
        match nat.kind {
            NatKind::Forward { outside, service, inside, port } => {
                let to = Redirection::Address(inside, port);
                let redirects =
                    links.iter().map(|link| redirect(outside.into(), link.as_ref(), service, to));
                state.firewall.redirects.extend(redirects);
            }
            NatKind::Map { inside, outside } => {
                map(state, placed, nat, (inside, outside), mark, &links);
            }
            NatKind::OneToOne { inside, outside } => {
                for link in &links {
                    let to = Redirection::Address(inside, None);
                    state.firewall.redirects.push(redirect(
                        outside.into(),
                        link.as_ref(),
                        None,
                        to,
                    ));
                    state.firewall.nat.push(Nat {
                        egress: link.clone(),
                        except: nat.except.clone(),
                        ..Nat::new(inside.into(), Translation::Address(outside))
                    });
                }
            }
        }
    }
    for egress in &placed.tenant.egress {
        state
            .firewall
            .clamped
            .extend(egress.way.interface().filter(|_| egress.mss_clamp).map(str::to_owned));
    }
    state.firewall.nat.extend(of_egresses(placed, inside));
}

/// The translations of each egress, also of packets whose destination was translated: the longest destination
/// first, then the order of the file.
fn of_egresses(placed: &Placed, inside: &[IpNet]) -> Vec<Nat> {
    let mut all: Vec<(u8, Nat)> = Vec::new();
    for (_, egress) in &with_bound(placed) {
        let Some(link) = egress.way.interface() else { continue };
        let versions = [(true, egress.nat), (false, egress.nat6)];
        for (is_ipv4, to) in versions {
            let of_version = |net: &&IpNet| net.addr().is_ipv4() == is_ipv4;
            let sources = if egress.from.is_empty() { inside } else { &egress.from };
            for destination in egress.to.iter().filter(of_version) {
                for source in sources.iter().filter(of_version) {
                    all.extend(marks_of(egress).map(|mark| {
                        let narrow = Some(*destination).filter(|net| net.prefix_len() > 0);
                        let nat = Nat {
                            destination: narrow,
                            egress: Some(link.to_owned()),
                            mark,
                            except: egress.nat_except.iter().filter(of_version).copied().collect(),
                            ..Nat::new(*source, to)
                        };
                        (destination.prefix_len(), nat)
                    }));
                }
            }
        }
    }
    // Where nothing is translated, nothing has to be kept from it either.
    let translated: BTreeSet<_> = all
        .iter()
        .filter(|(_, nat)| nat.to != Translation::Keep)
        .filter_map(|(_, nat)| nat.egress.clone())
        .collect();
    all.retain(|(_, nat)| nat.egress.as_ref().is_some_and(|link| translated.contains(link)));
    all.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    let mut unique: Vec<Nat> = Vec::new();
    for (_, nat) in all {
        if !unique.contains(&nat) {
            unique.push(nat);
        }
    }
    unique
}

fn marks_of(egress: &EgressNetwork) -> impl Iterator<Item = Option<(u32, u32)>> + use<'_> {
    let any = egress.marks.is_empty().then_some(None);
    any.into_iter().chain(egress.marks.iter().copied().map(Some))
}

/// Clients' packets to the network as they know it go to the network as it is; packets from there come
/// from the network as clients know it.
fn map(
    state: &mut Desired,
    placed: &Placed,
    nat: &NatNetwork,
    (inside, outside): (IpNet, IpNet),
    mark: Option<(u32, u32)>,
    links: &[Option<String>],
) {
    state.firewall.redirects.push(Redirect {
        mark,
        except: nat.except.clone(),
        ..redirect(inside, Some(&placed.device), None, Redirection::Network(outside))
    });
    let links = if nat.by.is_empty() { &[None] } else { links };
    state.firewall.nat.extend(links.iter().map(|link| Nat {
        input: link.clone(),
        egress: Some(placed.device.clone()),
        ..Nat::new(outside, Translation::Network(inside))
    }));
}

fn redirect(
    destination: IpNet,
    input: Option<&String>,
    service: Option<(Transport, u16)>,
    to: Redirection,
) -> Redirect {
    let (input, except) = (input.cloned(), Vec::new());
    Redirect { destination, input, service, except, mark: None, to }
}

/// The links of the egresses called so, each once; of all egresses when none is called. Where no link is
/// known it is any.
fn links(placed: &Placed, by: &[String]) -> Vec<Option<String>> {
    let meant = placed.tenant.egress.iter().filter(|e| by.is_empty() || by.contains(&e.name));
    let links: BTreeSet<_> = meant.filter_map(|egress| egress.way.interface()).collect();
    if links.is_empty() {
        return vec![None];
    }
    links.into_iter().map(|link| Some(link.to_owned())).collect()
}

/// For each translation the mark of its packets and its bits, where they have to leave by egresses of their own.
pub fn bound_marks(nat: &[NatNetwork]) -> Vec<Option<(u32, u32)>> {
    let mut next = 0;
    let bound = |nat: &NatNetwork| matches!(nat.kind, NatKind::Map { .. }) && !nat.by.is_empty();
    let mut mark = |nat: &NatNetwork| {
        // More are refused where the configuration is read.
        (bound(nat) && next < BOUND_MAX).then(|| {
            next += 1;
            (next << BOUND_MASK.trailing_zeros(), BOUND_MASK)
        })
    };
    nat.iter().map(&mut mark).collect()
}

/// The egresses of a tenant with what routes packets whose destination was translated: such a network may be
/// somewhere else as well, so its packets have a mark and take the egresses that the translation names.
pub(super) fn with_bound(placed: &Placed) -> Vec<(u32, EgressNetwork)> {
    let mut all = Vec::new();
    for (nat, mark) in placed.tenant.nat.iter().zip(bound_marks(&placed.tenant.nat)) {
        let (Some(mark), NatKind::Map { outside, .. }) = (mark, nat.kind) else { continue };
        let named = (0..).zip(&placed.tenant.egress).filter(|(_, e)| nat.by.contains(&e.name));
        all.extend(named.filter(|(_, e)| !matches!(e.way, Way::Main { .. })).map(|(n, egress)| {
            let (to, from, marks) = (vec![outside], Vec::new(), vec![mark]);
            (n, EgressNetwork { to, from, marks, ..egress.clone() })
        }));
    }
    all.extend((0..).zip(placed.tenant.egress.iter().cloned()));
    all
}

/// Most networks of a tenant that are mapped by egresses of their own.
pub const BOUND_MAX: u32 = 15;
/// The bits of a packet's mark that say so, between the operator's and those of classes.
const BOUND_MASK: u32 = 0xf000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::tests::{placed, via, wanted, way};

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn texts<T: ToString>(all: &[T]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    fn masquerading(name: &str, to: &[&str]) -> EgressNetwork {
        EgressNetwork { nat: Translation::Masquerade, ..way(name, to, via("eth1", "192.0.2.1")) }
    }

    #[test]
    fn an_egress_that_keeps_addresses_is_kept_from_the_wider_one_on_its_link() {
        let kept = way("kept", &["10.1.0.0/16"], via("eth1", "192.0.2.9"));
        let wide = EgressNetwork {
            nat_except: vec![net("10.9.0.0/16"), net("2001:db8::/32")],
            ..masquerading("wide", &["0.0.0.0/0"])
        };
        let elsewhere = way("elsewhere", &["10.2.0.0/16"], via("eth2", "198.51.100.1"));
        let state = wanted(&placed(vec![wide, kept, elsewhere]));
        assert_eq!(
            texts(&state.firewall.nat),
            [
                "translate 10.64.0.0/20 to 10.1.0.0/16 leaving by eth1 to what it is",
                "translate 10.64.0.0/20 leaving by eth1 except to 10.9.0.0/16 to the link's own address",
            ]
        );
    }

    #[test]
    fn sources_and_marks_of_an_egress_narrow_its_translation() {
        let some = EgressNetwork {
            from: vec![net("10.64.1.0/24")],
            marks: vec![(0x10, 0xff)],
            nat: Translation::Address("192.0.2.7".parse().unwrap()),
            ..masquerading("some", &["0.0.0.0/0", "::/0"])
        };
        let state = wanted(&placed(vec![some]));
        assert_eq!(
            texts(&state.firewall.nat),
            ["translate 10.64.1.0/24 leaving by eth1 with mark 0x10/0xff to 192.0.2.7"]
        );
    }

    #[test]
    fn a_client_has_an_address_outside_both_ways() {
        let mut placed = placed(vec![masquerading("out", &["0.0.0.0/0"])]);
        let (inside, outside) = ("10.64.0.9".parse().unwrap(), "192.0.2.9".parse().unwrap());
        let service = Some((Transport::Tcp, 443));
        let forward = NatKind::Forward { outside, service, inside, port: Some(8443) };
        let both = NatKind::OneToOne { inside, outside };
        let nat = |kind| NatNetwork { kind, by: Vec::new(), except: Vec::new() };
        placed.tenant.nat = vec![nat(forward), nat(both)];
        let state = wanted(&placed);
        assert_eq!(
            texts(&state.firewall.redirects),
            [
                "lead what is for 192.0.2.9/32 tcp port 443 coming by eth1 to 10.64.0.9 port 8443",
                "lead what is for 192.0.2.9/32 coming by eth1 to 10.64.0.9",
            ]
        );
        assert_eq!(
            texts(&state.firewall.nat),
            [
                "translate 10.64.0.9/32 leaving by eth1 to 192.0.2.9",
                "translate 10.64.0.0/20 leaving by eth1 to the link's own address",
            ]
        );
    }

    #[test]
    fn a_mapped_network_takes_its_own_egress_although_another_has_the_same() {
        let mut placed = placed(vec![
            way("one", &["10.1.0.0/16"], via("eth1", "192.0.2.1")),
            way("two", &["10.201.0.0/16"], via("eth2", "198.51.100.1")),
        ]);
        let kind = NatKind::Map { inside: net("10.201.0.0/16"), outside: net("10.1.0.0/16") };
        placed.tenant.nat = vec![NatNetwork { kind, by: vec!["two".into()], except: Vec::new() }];
        let state = wanted(&placed);
        let redirect = &state.firewall.redirects[0];
        assert_eq!(redirect.mark, Some((0x1000, 0xf000)));
        assert_eq!(
            redirect.to_string(),
            "lead what is for 10.201.0.0/16 coming by acme to the same host of 10.1.0.0/16"
        );
        assert_eq!(
            texts(&state.firewall.nat),
            [
                "translate 10.1.0.0/16 coming by eth2 leaving by acme to the same host of 10.201.0.0/16"
            ]
        );
        let marked: Vec<_> = state.rules.iter().filter(|rule| rule.mark.is_some()).collect();
        assert_eq!(
            texts(&marked),
            ["rule 17300 for IPv4 in by acme mark 0x1000/0xf000 lookup 17300 without its default"]
        );
        let by_mark = state.routes.iter().find(|r| r.table == 17_300 && r.metric == Some(101));
        assert_eq!(
            by_mark.map(ToString::to_string).unwrap_or_default(),
            "route 10.1.0.0/16 via 198.51.100.1 on eth2 table 17300 metric 101"
        );
    }

    #[test]
    fn sources_of_packets_to_a_mapped_network_are_translated_as_the_egress_says() {
        let mut placed = placed(vec![
            masquerading("one", &["10.201.0.0/16"]),
            way("other", &["10.1.0.0/16"], via("eth1", "192.0.2.1")),
        ]);
        let kind = NatKind::Map { inside: net("10.201.0.0/16"), outside: net("10.1.0.0/16") };
        placed.tenant.nat = vec![NatNetwork { kind, by: vec!["one".into()], except: Vec::new() }];
        let state = wanted(&placed);
        assert_eq!(
            texts(&state.firewall.nat)[1..],
            [
                "translate 10.64.0.0/20 to 10.1.0.0/16 leaving by eth1 with mark 0x1000/0xf000 to the link's own address",
                "translate 10.64.0.0/20 to 10.201.0.0/16 leaving by eth1 to the link's own address",
                "translate 10.64.0.0/20 to 10.1.0.0/16 leaving by eth1 to what it is",
            ]
        );
    }

    #[test]
    fn no_more_networks_are_mapped_by_egresses_than_there_are_marks() {
        let mut placed = placed(vec![way("one", &["0.0.0.0/0"], via("eth1", "192.0.2.1"))]);
        let map = |n: u32| {
            let inside = net(&format!("10.{}.0.0/16", 100 + n));
            let kind = NatKind::Map { inside, outside: net("10.1.0.0/16") };
            NatNetwork { kind, by: vec!["one".into()], except: Vec::new() }
        };
        placed.tenant.nat = (0..=BOUND_MAX).map(map).collect();
        let marks: Vec<_> = bound_marks(&placed.tenant.nat).into_iter().flatten().collect();
        assert_eq!((marks.len(), marks.last()), (15, Some(&(0xf000, 0xf000))));
    }
}
