//! What ways into other namespaces want: a pair of devices, and the way back.
//!
//! The pair is the affair of the tenant's namespace; the end beyond has an address, and the routes back to
//! whatever sources have become there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use isthmus_kernel::{Address, Desired, Link, MAIN_TABLE, NextHop, Route, Translation, Veth};
use isthmus_net::Namespace;

use super::egress::{EgressNetwork, PREFERENCE_FIRST, Way};
use super::inside;
use super::nat::NatKind;
use crate::inside::Placed;
use crate::network::TenantNetwork;

/// A pair of devices from the tenant's namespace into another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The namespace it leads into; that of the gateway when absent.
    pub into: Option<String>,
    /// What both ends are called.
    pub interface: String,
    /// IPv4 addresses of the link; none for those of the tenant's number.
    pub link: Option<Ipv4Net>,
    /// IPv6 addresses of the link; none for those of the tenant's number.
    pub link6: Option<Ipv6Net>,
    /// Which of the tenant's passages it is, from 0 on.
    pub number: u16,
}

/// Its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    near: (IpNet, IpNet),
    far: (IpNet, IpNet),
}

impl Passage {
    /// The namespace it leads into.
    pub fn namespace(&self) -> Option<Namespace> {
        self.into.as_deref().map(Namespace::new)
    }

    /// The address beyond.
    pub(super) fn next_hop(&self, tenant: &TenantNetwork, is_ipv4: bool) -> IpAddr {
        let far = self.ends(tenant).far;
        if is_ipv4 { far.0.addr() } else { far.1.addr() }
    }

    /// The first two addresses of each network of the link are those of its ends.
    fn ends(&self, tenant: &TenantNetwork) -> Ends {
        let number = u32::from(tenant.tun.0) * u32::from(PASSAGES_MAX) + u32::from(self.number);
        let usual = (u32::from(LINKS) + number * 2, 31);
        let (start, length) = self.link.map_or(usual, |net| (first(net), net.prefix_len()));
        let usual = (u128::from(LINKS6) + u128::from(number) * 2, 127);
        let (start6, length6) = self.link6.map_or(usual, |net| (first6(net), net.prefix_len()));
        let end = |n: u32| with_length(IpAddr::V4(Ipv4Addr::from(start + n)), length);
        let end6 = |n: u128| with_length(IpAddr::V6(Ipv6Addr::from(start6 + n)), length6);
        Ends { near: (end(0), end6(0)), far: (end(1), end6(1)) }
    }
}

fn with_length(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).unwrap_or_else(|_| address.into())
}

/// A /31 has no address for the network itself (RFC 3021).
fn first(link: Ipv4Net) -> u32 {
    u32::from(link.network()) + u32::from(link.prefix_len() < 31)
}

/// A /127 has no anycast address of routers (RFC 6164).
fn first6(link: Ipv6Net) -> u128 {
    u128::from(link.network()) + u128::from(link.prefix_len() < 127)
}

/// The egresses of a tenant that lead into other namespaces, each with its place in the order.
pub(crate) fn passages(
    placed: &Placed,
) -> impl Iterator<Item = (u32, &EgressNetwork, &Passage)> + use<'_> {
    (0..).zip(&placed.tenant.egress).filter_map(|(index, egress)| match &egress.way {
        Way::Passage(passage) => Some((index, egress, passage)),
        Way::Deny | Way::Gateway { .. } | Way::Link(_) | Way::Main { .. } => None,
    })
}

/// Adds what the tenant's ways into other namespaces want in its own.
pub(super) fn want(state: &mut Desired, placed: &Placed) {
    for (_, _, passage) in passages(placed) {
        let mtu = mtu(&placed.tenant);
        let name = passage.interface.clone();
        state.veths.push(Veth { name: name.clone(), into: passage.into.clone(), mtu });
        let near = passage.ends(&placed.tenant).near;
        end(state, &name, mtu, near);
        state.asymmetric_links.insert(name);
    }
}

/// Adds what the tenant's ways into `namespace` want there.
pub(crate) fn want_beyond(state: &mut Desired, placed: &Placed, namespace: Option<&Namespace>) {
    let here = |passage: &Passage| passage.namespace().as_ref() == namespace;
    for (preference, egress, passage) in passages(placed).filter(|(_, _, one)| here(one)) {
        let Ends { near, far } = passage.ends(&placed.tenant);
        end(state, &passage.interface, mtu(&placed.tenant), far);
        state.far_links.insert(passage.interface.clone());
        state.sysctls.insert("net/ipv4/ip_forward".into(), "1".into());
        let back = back(placed, egress);
        if back.iter().any(|net| net.addr().is_ipv6())
            || egress.to.iter().any(|to| to.addr().is_ipv6())
        {
            state.sysctls.insert("net/ipv6/conf/all/forwarding".into(), "1".into());
        }
        for destination in back {
            let gateway = if destination.addr().is_ipv4() { near.0.addr() } else { near.1.addr() };
            let link = Some(passage.interface.clone());
            add_route(
                state,
                Route {
                    destination,
                    table: MAIN_TABLE,
                    metric: Some(PREFERENCE_FIRST + preference),
                    next: NextHop::Gateway { gateway, link, on_link: false },
                    source: None,
                },
            );
        }
    }
}

/// Of two tenants with the same addresses the first is answered; `check` refuses such.
fn add_route(state: &mut Desired, route: Route) {
    let same = |other: &Route| {
        let key = |route: &Route| (route.destination, route.table, route.metric);
        key(other) == key(&route)
    };
    if !state.routes.iter().any(same) {
        state.routes.push(route);
    }
}

fn end(state: &mut Desired, name: &str, mtu: u32, (v4, v6): (IpNet, IpNet)) {
    state.links.push(Link { name: name.to_owned(), up: true, mtu: Some(mtu) });
    let link = || name.to_owned();
    state.addresses.extend([v4, v6].map(|address| Address { link: link(), address, peer: None }));
}

/// What sources of this way have become beyond it, as far as that is not the link's own address.
fn back(placed: &Placed, egress: &EgressNetwork) -> Vec<IpNet> {
    let mut all = Vec::new();
    let inside = inside(placed);
    for (is_ipv4, to) in [(true, egress.nat), (false, egress.nat6)] {
        let version = |net: &&IpNet| net.addr().is_ipv4() == is_ipv4;
        let kept = to == Translation::Keep || egress.nat_except.iter().any(|net| version(&net));
        let led = egress.to.iter().any(|net| version(&net));
        all.extend(inside.iter().filter(version).filter(|_| kept && led));
        match to {
            Translation::Address(address) => all.push(address.into()),
            Translation::Range(first, last) => all.extend(range(first, last)),
            Translation::Keep | Translation::Masquerade | Translation::Network(_) => {}
        }
    }
    let meant = |by: &[String]| by.is_empty() || by.contains(&egress.name);
    for nat in placed.tenant.nat.iter().filter(|nat| meant(&nat.by)) {
        match nat.kind {
            NatKind::Forward { outside, .. } | NatKind::OneToOne { outside, .. } => {
                all.push(outside.into());
            }
            NatKind::Map { .. } => {}
        }
    }
    // Addresses of the link are there anyway.
    let Way::Passage(passage) = &egress.way else { return all };
    let Ends { near, .. } = passage.ends(&placed.tenant);
    all.retain(|net| net.addr() != near.0.addr() && net.addr() != near.1.addr());
    all.sort();
    all.dedup();
    all
}

fn range(first: IpAddr, last: IpAddr) -> Vec<IpNet> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
        }
        // Refused where the configuration is read.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
    }
}

/// What fits into the tunnel fits through, and whatever an Ethernet carries.
fn mtu(tenant: &TenantNetwork) -> u32 {
    u32::from(tenant.device.mtu).max(ETHERNET_MTU)
}

const ETHERNET_MTU: u32 = 1500;
/// Most passages of a tenant: each has addresses by its number.
pub const PASSAGES_MAX: u16 = 8;
/// The first IPv4 address of links, a quarter of 169.254.0.0/16 (RFC 3927) without the addresses that clouds
/// serve machines from: two for each passage of 1024 tenants.
const LINKS: Ipv4Addr = Ipv4Addr::new(169, 254, 64, 0);
/// The first IPv6 address of links, in a network of our own (RFC 4193).
const LINKS6: Ipv6Addr = Ipv6Addr::new(0xfd69, 0x7374, 0x686d, 0, 0, 0, 0, 0);

#[cfg(test)]
mod tests {
    use isthmus_plane::TunId;

    use super::*;
    use crate::wanted::NatNetwork;
    use crate::wanted::tests::{placed, wanted, way, with_ipv6};

    pub(crate) fn into(namespace: &str) -> Way {
        Way::Passage(Passage {
            into: Some(namespace.into()),
            interface: "isv-acme".into(),
            link: None,
            link6: None,
            number: 0,
        })
    }

    fn beyond(placed: &Placed, namespace: &str) -> Desired {
        let mut state = Desired::default();
        want_beyond(&mut state, placed, Some(&Namespace::new(namespace)));
        state
    }

    fn routes(state: &Desired) -> Vec<String> {
        state.routes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_passage_has_a_device_and_an_address_at_each_end_and_a_next_hop() {
        let placed = placed(vec![way("out", &["0.0.0.0/0"], into("transit"))]);
        let near = wanted(&placed);
        assert_eq!(
            near.veths,
            [Veth { name: "isv-acme".into(), into: Some("transit".into()), mtu: 1500 }]
        );
        let default = near.routes.iter().find(|route| route.destination.prefix_len() == 0).unwrap();
        let told = "route 0.0.0.0/0 via 169.254.64.1 on isv-acme table 17300 metric 100";
        assert_eq!(default.to_string(), told);
        let far = beyond(&placed, "transit");
        let addresses = |state: &Desired| {
            let own = state.addresses.iter().filter(|address| address.link == "isv-acme");
            own.map(|address| address.address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(addresses(&near), ["169.254.64.0/31", "fd69:7374:686d::/127"]);
        assert_eq!(addresses(&far), ["169.254.64.1/31", "fd69:7374:686d::1/127"]);
        assert_eq!(routes(&far), ["route 10.64.0.0/20 via 169.254.64.0 on isv-acme metric 100"]);
        assert!(!far.sysctls.contains_key("net/ipv6/conf/all/forwarding"));
        assert_eq!(beyond(&placed, "elsewhere"), Desired::default());
    }

    #[test]
    fn both_ip_versions_find_back() {
        let both = way("out", &["0.0.0.0/0", "::/0"], into("transit"));
        let placed = with_ipv6(placed(vec![both]));
        let near = wanted(&placed);
        assert!(near.routes.iter().any(|route| {
            route.to_string()
                == "route ::/0 via fd69:7374:686d::1 on isv-acme table 17300 metric 100"
        }));
        let far = beyond(&placed, "transit");
        let back = "route 2001:db8:64::/48 via fd69:7374:686d:: on isv-acme metric 100";
        assert_eq!(routes(&far)[1], back);
        assert_eq!(far.sysctls["net/ipv6/conf/all/forwarding"], "1");
    }

    #[test]
    fn the_way_back_is_to_what_sources_have_become() {
        let to = ["0.0.0.0/0"];
        let mut out = way("out", &to, into("transit"));
        out.nat = Translation::Masquerade;
        assert_eq!(routes(&beyond(&placed(vec![out.clone()]), "transit")), [""; 0]);
        let some = ["192.0.2.8".parse().unwrap(), "192.0.2.10".parse().unwrap()];
        out.nat = Translation::Range(some[0], some[1]);
        let mut placed = placed(vec![out]);
        let kind = NatKind::OneToOne {
            inside: "10.64.0.9".parse().unwrap(),
            outside: "192.0.2.20".parse().unwrap(),
        };
        placed.tenant.nat = vec![
            NatNetwork { kind, by: vec!["out".into()], except: Vec::new() },
            NatNetwork { kind, by: vec!["other".into()], except: Vec::new() },
        ];
        let to: Vec<_> = beyond(&placed, "transit").routes;
        let to: Vec<_> = to.iter().map(|route| route.destination.to_string()).collect();
        assert_eq!(to, ["192.0.2.8/31", "192.0.2.10/32", "192.0.2.20/32"]);
        placed.tenant.egress[0].nat_except = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(beyond(&placed, "transit").routes.len(), 4, "sources that stay what they are");
    }

    #[test]
    fn tenants_with_the_same_addresses_make_one_way_back() {
        let all = placed(vec![way("out", &["0.0.0.0/0"], into("transit"))]);
        let mut other = placed(vec![way("out", &["0.0.0.0/0"], into("transit"))]);
        other.tenant.tun = TunId(1);
        let mut state = Desired::default();
        let place = Namespace::new("transit");
        want_beyond(&mut state, &all, Some(&place));
        want_beyond(&mut state, &other, Some(&place));
        assert_eq!(routes(&state), ["route 10.64.0.0/20 via 169.254.64.0 on isv-acme metric 100"]);
    }

    #[test]
    fn links_of_the_last_tenant_stay_within_their_quarter() {
        let mut placed = placed(Vec::new());
        placed.tenant.tun = TunId(1023);
        let Way::Passage(passage) = into("transit") else { panic!("it is one") };
        let last = Passage { number: PASSAGES_MAX - 1, ..passage };
        assert_eq!(last.next_hop(&placed.tenant, true).to_string(), "169.254.127.255");
        let far = last.next_hop(&placed.tenant, false).to_string();
        assert_eq!(far, "fd69:7374:686d::3fff");
        let link = Some("192.0.2.0/30".parse().unwrap());
        let own = Passage { link, link6: Some("2001:db8:9::/64".parse().unwrap()), ..last };
        assert_eq!(own.next_hop(&placed.tenant, true).to_string(), "192.0.2.2");
        assert_eq!(own.next_hop(&placed.tenant, false).to_string(), "2001:db8:9::2");
    }
}
