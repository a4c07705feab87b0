//! What is routed into tunnels and carries them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::{Facts, Place, Tenant, Underlay, Way, best, meet};
use crate::free::without;
use crate::write::{by, ip, list, move_inside};
use crate::{Code, Finding, Fix, Search, Severity};

pub(crate) fn find(place: &Place, facts: &Facts, search: &mut Search) {
    for tenant in &place.tenants {
        let own = facts.underlay.iter().filter(|_| place.namespace.is_none());
        let outside: Vec<_> = own.filter(|underlay| !underlay.is_dialled).cloned().collect();
        for underlay in outside.into_iter().chain(next_hops(place)) {
            for (net, what) in tenant.inside().filter(|(net, _)| meet(*net, underlay.net)) {
                covered(place, tenant, (net, &what), &underlay, search);
            }
        }
        pushed(place, facts, tenant, search);
    }
}

/// Next hops whose link is found by their address.
fn next_hops(place: &Place) -> Vec<Underlay> {
    let mut found = Vec::new();
    for egress in place.tenants.iter().flat_map(|tenant| &tenant.egresses) {
        let Way::Gateway { link: None, hops } = &egress.way else { continue };
        found.extend(hops.iter().map(|hop| Underlay {
            net: IpNet::from(*hop),
            whose: format!("the next hop of egress {}", egress.name),
            is_dialled: false,
        }));
    }
    found
}

fn covered(
    place: &Place,
    tenant: &Tenant,
    (net, what): (IpNet, &str),
    underlay: &Underlay,
    search: &mut Search,
) {
    let machine = place.machine.as_ref();
    let road = machine.and_then(|machine| best(&machine.routes, underlay.net));
    // What is nearer than the way into the tunnel is taken.
    if road.is_some_and(|road| road.destination.prefix_len() > net.prefix_len()) {
        return;
    }
    let hop = road.and_then(|road| road.hops.first());
    let behind = tenant.behind.iter().find(|(_, nets)| nets.contains(&net));
    let mut fix = match behind {
        Some((user, nets)) => {
            let rest = nets.iter().flat_map(|one| without(*one, underlay.net));
            let rest: Vec<_> = rest.collect();
            Fix {
                what: "leave the address out, or give it a route of its own that is nearer".into(),
                toml: Some(format!("# user {user}\nnetworks = {}", list(&rest))),
                commands: Vec::new(),
            }
        }
        None => move_inside(tenant, net, search),
    };
    let near = |hop: &&crate::Hop| hop.gateway.is_some_and(|gateway| !net.contains(&gateway));
    if let Some(hop) = hop.filter(|hop| near(hop) || hop.gateway.is_none()) {
        let ip = ip(place, net.addr().is_ipv4());
        fix.commands.push(format!("{ip} route add {}{}", underlay.net, by(hop)));
    }
    search.tell(Finding {
        severity: if machine.is_some() { Severity::Error } else { Severity::Warning },
        code: Code::UnderlayCovered,
        namespace: place.namespace.clone(),
        tenant: tenant.name.clone(),
        what: format!("{what}, {net}, covers {} of {}", underlay.net, underlay.whose),
        means: "what the gateway sends there goes into the tunnel instead".into(),
        fix,
    });
}

/// Routes that lead clients' own tunnel into itself.
fn pushed(place: &Place, facts: &Facts, tenant: &Tenant, search: &mut Search) {
    let dialled: Vec<_> = facts.underlay.iter().filter(|underlay| underlay.is_dialled).collect();
    let covers =
        |route: &IpNet, address: IpAddr| route.prefix_len() > 0 && route.contains(&address);
    for underlay in dialled {
        let address = underlay.net.addr();
        let Some(route) = tenant.pushed.iter().find(|route| covers(route, address)) else {
            continue;
        };
        let rest: Vec<_> =
            tenant
                .pushed
                .iter()
                .flat_map(|one| {
                    if one.prefix_len() == 0 { vec![*one] } else { without(*one, underlay.net) }
                })
                .collect();
        search.tell(Finding {
            severity: Severity::Warning,
            code: Code::PushedRouteCoversGateway,
            namespace: place.namespace.clone(),
            tenant: tenant.name.clone(),
            what: format!(
                "the route {route} that clients are told covers {address}, which they dial"
            ),
            means:
                "a client without a route of its own to the gateway sends its tunnel into itself"
                    .into(),
            fix: Fix {
                what: "leave the address out".into(),
                toml: Some(format!("# tenant {}\nroutes = {}", tenant.name, list(&rest))),
                commands: Vec::new(),
            },
        });
    }
}
