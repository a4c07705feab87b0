//! What tenants want of the kernel: pure functions from their settings to a [`Desired`].

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use isthmus_kernel::{
    Address, Desired, IpVersion, MAIN_TABLE, Nat, NextHop, Route, Rule, RuleAction, Translation,
};

use crate::network::{Placed, TenantNetwork};

/// A way out of a tenant.
#[derive(Clone, Debug)]
pub struct EgressNetwork {
    /// Destinations.
    pub to: Vec<Ipv4Net>,
    /// The device packets leave by.
    pub interface: Option<String>,
    /// The next hop; without one the main table decides.
    pub gateway: Option<Ipv4Addr>,
    /// Whether the source becomes the address of the interface.
    pub masquerade: bool,
}

/// Adds what one tenant wants.
pub(crate) fn want(state: &mut Desired, placed: &Placed, index: u32) {
    let Placed { tenant, device, .. } = placed;
    state.addresses.push(Address {
        link: device.clone(),
        address: IpNet::V4(tenant.gateway_address.into()),
        peer: None,
    });
    // Those of users stay routed while the users are away: their packets are no business of others.
    let inside = || {
        let pool = &tenant.pool;
        pool.iter().chain(placed.networks.iter().filter(|net| !pool.contains(net))).copied()
    };
    state.routes.extend(inside().map(|prefix| inside_route(tenant, prefix, device)));
    state.sysctls.insert("net/ipv4/ip_forward".into(), "1".into());
    want_ipv6(state, tenant, device);
    for egress in &tenant.egress {
        if let Some(gateway) = egress.gateway {
            state
                .routes
                .extend(egress.to.iter().map(|to| egress_route(egress, *to, gateway, index)));
        }
        if egress.masquerade {
            state.firewall.nat.extend(inside().map(|prefix| Nat {
                source: prefix.into(),
                egress: egress.interface.clone(),
                except: Vec::new(),
                to: Translation::Masquerade,
            }));
        }
    }
    if tenant.egress.iter().any(|egress| egress.gateway.is_some()) {
        // Users stay reachable from within, however wide an egress is.
        state.routes.extend(inside().map(|prefix| Route {
            table: FIRST_TABLE + index,
            ..inside_route(tenant, prefix, device)
        }));
        state.rules.extend(egress_rules(device, index));
    }
}

/// Adds what a tenant with IPv6 wants on top.
fn want_ipv6(state: &mut Desired, tenant: &TenantNetwork, device: &str) {
    let Some(own) = tenant.gateway_address6 else { return };
    state.addresses.push(Address {
        link: device.to_owned(),
        address: IpNet::V6(own.into()),
        peer: None,
    });
    state.routes.extend(tenant.pool6.iter().map(|prefix| Route {
        destination: IpNet::V6(*prefix),
        table: MAIN_TABLE,
        metric: None,
        next: NextHop::Link(device.to_owned()),
        source: Some(IpAddr::V6(own)),
    }));
    state.sysctls.insert("net/ipv6/conf/all/forwarding".into(), "1".into());
}

fn inside_route(tenant: &TenantNetwork, prefix: Ipv4Net, device: &str) -> Route {
    Route {
        destination: prefix.into(),
        table: MAIN_TABLE,
        metric: None,
        next: NextHop::Link(device.to_owned()),
        source: Some(IpAddr::V4(tenant.gateway_address)),
    }
}

fn egress_route(egress: &EgressNetwork, to: Ipv4Net, gateway: Ipv4Addr, index: u32) -> Route {
    Route {
        destination: to.into(),
        table: FIRST_TABLE + index,
        metric: None,
        next: NextHop::Gateway {
            gateway: gateway.into(),
            link: egress.interface.clone(),
            on_link: false,
        },
        source: None,
    }
}

/// How packets out of the tenant's device find their way: the tenant's own destinations first, then what
/// the machine knows better than "everything else", then the tenant's default. The machine's own
/// packets never look there.
fn egress_rules(device: &str, index: u32) -> impl Iterator<Item = Rule> {
    let table = FIRST_TABLE + index;
    let actions = [
        RuleAction::LookupSpecific(table),
        RuleAction::LookupSpecific(MAIN_TABLE),
        RuleAction::Lookup(table),
    ];
    let first = FIRST_PRIORITY + index * 3;
    (first..).zip(actions).map(|(priority, action)| Rule {
        priority,
        version: IpVersion::V4,
        from: None,
        to: None,
        input: Some(device.to_owned()),
        output: None,
        mark: None,
        action,
    })
}

/// Routing table of the first tenant that the configuration names; the others follow.
pub const FIRST_TABLE: u32 = 17_300;
/// First rule priority of the first tenant; the reconciler's owner allows a hundred from here, which is
/// 33 tenants with a next hop of their own.
const FIRST_PRIORITY: u32 = 17_300;

#[cfg(test)]
pub(crate) mod tests {
    use isthmus_plane::TunId;
    use isthmus_tun::TunConfig;

    use super::*;
    use crate::network::TenantNetwork;

    fn tenant(gateway: Option<Ipv4Addr>) -> TenantNetwork {
        TenantNetwork {
            tun: TunId(0),
            device: TunConfig::default(),
            gateway_address: [10, 64, 0, 1].into(),
            pool: vec!["10.64.0.0/20".parse().unwrap()],
            pool6: Vec::new(),
            gateway_address6: None,
            egress: vec![EgressNetwork {
                to: vec!["0.0.0.0/0".parse().unwrap()],
                interface: Some("eth1".into()),
                gateway,
                masquerade: true,
            }],
        }
    }

    pub(crate) fn placed(gateway: Option<Ipv4Addr>) -> Placed {
        Placed { tenant: tenant(gateway), device: "acme".into(), networks: Vec::new() }
    }

    #[test]
    fn networks_of_users_are_routed_and_translated_like_the_pool_and_once() {
        let mut state = Desired::default();
        let branch: Ipv4Net = "192.168.40.0/24".parse().unwrap();
        let networks = vec!["10.64.0.0/20".parse().unwrap(), branch];
        want(&mut state, &Placed { networks, ..placed(Some([192, 0, 2, 1].into())) }, 0);
        let to_branch: Vec<_> =
            state.routes.iter().filter(|route| route.destination == branch.into()).collect();
        assert_eq!(to_branch.len(), 2, "in the main table and in the tenant's");
        assert!(to_branch.iter().all(|route| route.next == NextHop::Link("acme".into())));
        assert_eq!(state.firewall.nat.len(), 2);
        assert_eq!(state.routes.len(), 5);
    }

    #[test]
    fn ipv6_has_an_address_a_route_and_forwarding_and_only_where_it_is_wanted() {
        let mut state = Desired::default();
        let mut tenant = placed(None);
        want(&mut state, &tenant, 0);
        assert!(state.addresses.iter().all(|a| a.address.addr().is_ipv4()));
        assert!(!state.sysctls.contains_key("net/ipv6/conf/all/forwarding"));
        tenant.tenant.pool6 = vec!["2001:db8:64::/48".parse().unwrap()];
        tenant.tenant.gateway_address6 = Some("2001:db8:64::1".parse().unwrap());
        let mut state = Desired::default();
        want(&mut state, &tenant, 0);
        let own: Vec<_> = state.addresses.iter().map(|a| a.address.to_string()).collect();
        assert_eq!(own, ["10.64.0.1/32", "2001:db8:64::1/128"]);
        let to: Vec<_> = state.routes.iter().map(|r| r.destination.to_string()).collect();
        assert_eq!(to, ["10.64.0.0/20", "2001:db8:64::/48"]);
        assert_eq!(state.sysctls["net/ipv6/conf/all/forwarding"], "1");
    }

    #[test]
    fn a_next_hop_makes_a_table_and_a_rule_of_the_tenants_own() {
        let mut state = Desired::default();
        want(&mut state, &placed(Some([192, 0, 2, 1].into())), 3);
        let actions: Vec<_> = state.rules.iter().map(|rule| rule.action).collect();
        let table = FIRST_TABLE + 3;
        assert_eq!(
            actions,
            [
                RuleAction::LookupSpecific(table),
                RuleAction::LookupSpecific(MAIN_TABLE),
                RuleAction::Lookup(table)
            ]
        );
        assert!(state.rules.iter().all(|rule| rule.input.as_deref() == Some("acme")));
        let own: Vec<_> = state.routes.iter().filter(|route| route.table == table).collect();
        assert_eq!(own.len(), 2, "the egress and the pool");
    }

    #[test]
    fn without_a_next_hop_the_machines_own_routes_decide() {
        let mut state = Desired::default();
        want(&mut state, &placed(None), 0);
        assert!(state.rules.is_empty());
        assert_eq!(state.routes.len(), 1);
        assert_eq!(state.firewall.nat.len(), 1);
    }
}
