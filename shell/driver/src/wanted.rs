//! What tenants want of the kernel: pure functions from their settings to a [`Desired`].

mod egress;
mod moved;
mod nat;
mod passage;
mod probe;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_kernel::{Address, Desired, Link, MAIN_TABLE, NextHop, Route};

use crate::guards::guard;
use crate::inside::Placed;
use crate::network::TenantNetwork;

pub(crate) use moved::moved;
pub use passage::{PASSAGES_MAX, Passage};
pub(crate) use passage::{passages, want_beyond};
pub(crate) use probe::watched;
pub use probe::{FIRST_PROBE_TABLE, PROBED_MAX};

pub use egress::{CONDITIONS_MAX, EgressNetwork, FIRST_TABLE, PREFERENCE_FIRST, Way};
pub use nat::{BOUND_MAX, NatKind, NatNetwork, bound_marks};

/// Adds what one tenant wants.
pub(crate) fn want(state: &mut Desired, placed: &Placed) {
    let Placed { tenant, device, .. } = placed;
    let mtu = Some(u32::from(tenant.device.mtu));
    state.links.push(Link { name: device.clone(), up: true, mtu });
    state.addresses.push(Address {
        link: device.clone(),
        address: IpNet::V4(tenant.gateway_address.into()),
        peer: None,
    });
    state.sysctls.insert("net/ipv4/ip_forward".into(), "1".into());
    guard(&mut state.firewall.filter, tenant, device);
    state.firewall.members.extend(placed.members.all());
    if let Some(own) = tenant.gateway_address6 {
        let address = IpNet::V6(own.into());
        state.addresses.push(Address { link: device.clone(), address, peer: None });
        state.sysctls.insert("net/ipv6/conf/all/forwarding".into(), "1".into());
    }
    let inside = inside(placed);
    state.routes.extend(inside_routes(placed, &inside, MAIN_TABLE));
    state.routes.extend(inside.iter().map(|prefix| anchor(*prefix)));
    if tenant.device_per_session {
        state.firewall.families.insert(device.clone());
        state.optional_links.extend(placed.own_devices().map(|(name, _)| name));
    }
    passage::want(state, placed);
    egress::want(state, placed, &inside);
    probe::want(state, placed);
    nat::want(state, placed, &inside);
}

/// The networks behind the tenant's device. Those of users stay routed while the users are away: their
/// packets are no business of others.
pub(crate) fn inside(placed: &Placed) -> Vec<IpNet> {
    let Placed { tenant, networks, .. } = placed;
    let pool = &tenant.pool;
    let v4 = pool.iter().chain(networks.iter().filter(|net| !pool.contains(net)));
    let v6 = tenant.pool6.iter().filter(|_| tenant.gateway_address6.is_some());
    v4.map(|net| IpNet::V4(*net)).chain(v6.map(|net| IpNet::V6(*net))).collect()
}

/// Routes to what is behind the tenant's device, and to what is behind those of its sessions.
fn inside_routes(placed: &Placed, inside: &[IpNet], table: u32) -> Vec<Route> {
    let mut by_prefix: BTreeMap<IpNet, String> =
        inside.iter().map(|prefix| (prefix.trunc(), placed.device.clone())).collect();
    for (name, own) in placed.own_devices() {
        by_prefix.extend(own.networks.iter().map(|prefix| (prefix.trunc(), name.clone())));
    }
    let route =
        |(prefix, device): (IpNet, String)| inside_route(&placed.tenant, prefix, &device, table);
    by_prefix.into_iter().map(route).collect()
}

fn inside_route(tenant: &TenantNetwork, prefix: IpNet, device: &str, table: u32) -> Route {
    let source = match prefix {
        IpNet::V4(_) => Some(IpAddr::V4(tenant.gateway_address)),
        IpNet::V6(_) => tenant.gateway_address6.map(IpAddr::V6),
    };
    let next = NextHop::Link(device.to_owned());
    Route { destination: prefix, table, metric: None, next, source }
}

/// What holds a prefix while the device is away: without it packets to clients would follow the
/// machine's default route back to whoever routes the prefix here, and so go round in circles. Silent,
/// for a lost packet is sent again, and a refusal is believed.
fn anchor(prefix: IpNet) -> Route {
    let metric = Some(ANCHOR_METRIC);
    let next = NextHop::Blackhole;
    Route { destination: prefix, table: MAIN_TABLE, metric, next, source: None }
}

/// Behind every metric that people use.
const ANCHOR_METRIC: u32 = 2_147_483_647;

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use ipnet::Ipv4Net;
    use isthmus_core::Key;
    use isthmus_plane::TunId;
    use isthmus_tun::TunConfig;

    use isthmus_kernel::Translation;

    use super::*;
    use crate::guards::Access;
    use crate::keeper::OwnDevice;
    use crate::members::Members;
    use crate::network::TenantNetwork;

    pub(crate) fn way(name: &str, to: &[&str], way: Way) -> EgressNetwork {
        EgressNetwork {
            name: name.into(),
            to: to.iter().map(|to| to.parse().unwrap()).collect(),
            from: Vec::new(),
            marks: Vec::new(),
            way,
            nat: Translation::Keep,
            nat6: Translation::Keep,
            nat_except: Vec::new(),
            mss_clamp: false,
            health: None,
        }
    }

    pub(crate) fn via(interface: &str, gateway: &str) -> Way {
        Way::Gateway {
            interface: Some(interface.into()),
            gateway: gateway.parse().ok(),
            gateway6: gateway.parse().ok(),
        }
    }

    pub(crate) fn placed(egress: Vec<EgressNetwork>) -> Placed {
        let tenant = TenantNetwork {
            tun: TunId(0),
            device: TunConfig::default(),
            device_per_session: false,
            gateway_address: [10, 64, 0, 1].into(),
            pool: vec!["10.64.0.0/20".parse().unwrap()],
            pool6: Vec::new(),
            gateway_address6: None,
            access: Access::open(),
            egress,
            nat: Vec::new(),
        };
        let (members, down) = (Members::default(), BTreeSet::new());
        let (owned, networks) = (BTreeMap::new(), Vec::new());
        Placed { tenant, device: "acme".into(), networks, members, owned, down }
    }

    pub(crate) fn with_ipv6(mut placed: Placed) -> Placed {
        placed.tenant.pool6 = vec!["2001:db8:64::/48".parse().unwrap()];
        placed.tenant.gateway_address6 = Some("2001:db8:64::1".parse().unwrap());
        placed
    }

    pub(crate) fn wanted(placed: &Placed) -> Desired {
        let mut state = Desired::default();
        want(&mut state, placed);
        state
    }

    fn masquerading(way: Way) -> EgressNetwork {
        EgressNetwork { nat: Translation::Masquerade, ..self::way("out", &["0.0.0.0/0"], way) }
    }

    #[test]
    fn what_is_behind_a_session_with_a_device_is_routed_there_while_it_is_up() {
        let branch: Ipv4Net = "192.168.40.0/24".parse().unwrap();
        let behind = vec!["10.64.3.4/32".parse().unwrap(), branch.into()];
        let mut placed = placed(vec![way("out", &["0.0.0.0/0"], via("eth1", "192.0.2.1"))]);
        placed.tenant.device_per_session = true;
        placed.networks = vec![branch];
        placed.owned.insert(Key::from_raw(9), OwnDevice::new(7, behind));
        let state = wanted(&placed);
        assert!(state.firewall.families.contains("acme"));
        assert_eq!(state.optional_links.iter().collect::<Vec<_>>(), ["acme.7", "eth1"]);
        for table in [MAIN_TABLE, FIRST_TABLE] {
            let own = state.routes.iter().filter(|route| route.table == table);
            let links = own.filter(|route| matches!(route.next, NextHop::Link(_)));
            let told: Vec<_> = links.map(|r| format!("{} {}", r.destination, r.next)).collect();
            let expected =
                ["10.64.0.0/20 on acme", "10.64.3.4/32 on acme.7", "192.168.40.0/24 on acme.7"];
            assert_eq!(told, expected, "table {table}");
        }
    }

    #[test]
    fn networks_of_users_are_routed_and_translated_like_the_pool_and_once() {
        let branch: Ipv4Net = "192.168.40.0/24".parse().unwrap();
        let networks = vec!["10.64.0.0/20".parse().unwrap(), branch];
        let egress = vec![masquerading(via("eth1", "192.0.2.1"))];
        let state = wanted(&Placed { networks, ..placed(egress) });
        let device = NextHop::Link("acme".into());
        let to_branch = |next: &NextHop| {
            let own = |route: &&Route| route.destination == branch.into() && route.next == *next;
            state.routes.iter().filter(own).count()
        };
        assert_eq!(to_branch(&device), 2, "in the main table and in the tenant's");
        assert_eq!(to_branch(&NextHop::Blackhole), 1);
        assert_eq!(state.firewall.nat.len(), 2);
    }

    #[test]
    fn ipv6_has_an_address_a_route_and_forwarding_and_only_where_it_is_wanted() {
        let state = wanted(&placed(Vec::new()));
        assert!(state.addresses.iter().all(|a| a.address.addr().is_ipv4()));
        assert!(!state.sysctls.contains_key("net/ipv6/conf/all/forwarding"));
        let state = wanted(&with_ipv6(placed(Vec::new())));
        let own: Vec<_> = state.addresses.iter().map(|a| a.address.to_string()).collect();
        assert_eq!(own, ["10.64.0.1/32", "2001:db8:64::1/128"]);
        let alive = state.routes.iter().filter(|route| route.next != NextHop::Blackhole);
        let to: Vec<_> = alive.map(|r| r.destination.to_string()).collect();
        assert_eq!(to, ["10.64.0.0/20", "2001:db8:64::/48"]);
        assert_eq!(state.sysctls["net/ipv6/conf/all/forwarding"], "1");
    }

    #[test]
    fn every_network_inside_is_anchored_behind_its_route() {
        let state = wanted(&with_ipv6(placed(Vec::new())));
        let anchors: Vec<_> = state
            .routes
            .iter()
            .filter(|route| route.next == NextHop::Blackhole)
            .map(|route| (route.destination.to_string(), route.table, route.metric))
            .collect();
        let anchor = |net: &str| (net.to_owned(), MAIN_TABLE, Some(ANCHOR_METRIC));
        assert_eq!(anchors, [anchor("10.64.0.0/20"), anchor("2001:db8:64::/48")]);
    }

    #[test]
    fn the_machines_own_way_is_translated_and_routed_by_nobody() {
        let way = Way::Main { interface: Some("eth1".into()) };
        let state = wanted(&placed(vec![masquerading(way)]));
        assert!(state.rules.is_empty());
        assert_eq!(state.routes.len(), 2, "the pool and its anchor");
        assert_eq!(state.firewall.nat.len(), 1);
    }
}
