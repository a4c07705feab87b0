//! Ways out that the machine's own routes decide.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::{Egress, Hop, Machine, Place, Route, Tenant, Way, best};
use crate::write::{list, via};
use crate::{Code, Finding, Fix, Search, Severity};

pub(crate) fn find(place: &Place, search: &mut Search) {
    let Some(machine) = &place.machine else { return };
    for tenant in &place.tenants {
        for egress in &tenant.egresses {
            let Way::Main(link) = &egress.way else { continue };
            for to in &egress.to {
                if let Some(route) = best(&machine.routes, *to) {
                    one(place, (tenant, egress, link), (*to, route), search);
                }
            }
            shared(place, machine, (tenant, egress, link), search);
        }
    }
}

type Out<'a> = (&'a Tenant, &'a Egress, &'a str);

/// The route for everything.
fn one(place: &Place, out: Out<'_>, (to, route): (IpNet, &Route), search: &mut Search) {
    let (tenant, egress, link) = out;
    match &route.hops[..] {
        [] => {}
        [only] if only.link.as_deref().is_none_or(|found| found == link) => {}
        [only] => {
            let found = only.link.as_deref().unwrap_or_default();
            search.tell(Finding {
                severity: severity(egress, to),
                code: Code::EgressByOtherLink,
                namespace: place.namespace.clone(),
                tenant: tenant.name.clone(),
                what: format!(
                    "egress {} names {link}, and this machine leads {to} by {found}",
                    egress.name
                ),
                means: format!(
                    "packets leave by {found} as they are, without what `nat` says; without `match.to` and \
                     `gateway` the machine's routes decide"
                ),
                fix: Fix {
                    what: format!("name the link, or write `gateway` of the next hop on {link}"),
                    toml: Some(format!(
                        "# egress {} of tenant {}\n{}",
                        egress.name,
                        tenant.name,
                        via(found, &[])
                    )),
                    commands: Vec::new(),
                },
            });
        }
        [..] => multipath(place, out, route, search),
    }
}

/// Routes for less than everything that share packets among links.
fn shared(place: &Place, machine: &Machine, out: Out<'_>, search: &mut Search) {
    let (tenant, egress, _) = out;
    let other = |route: &Route| {
        let led = |to: &IpNet| to.prefix_len() > 0 && to.contains(&route.destination);
        tenant.egresses.iter().any(|egress| egress.to.iter().any(led))
    };
    for route in &machine.routes {
        let of_version = |to: &IpNet| to.contains(&route.destination);
        let specific = route.destination.prefix_len() > 0 && egress.to.iter().any(of_version);
        if specific && route.hops.len() > 1 && !other(route) {
            multipath(place, out, route, search);
        }
    }
}

fn multipath(place: &Place, (tenant, egress, link): Out<'_>, route: &Route, search: &mut Search) {
    let to = route.destination;
    let name = |hop: &Hop| hop.link.clone().unwrap_or_default();
    let links: Vec<_> = route.hops.iter().map(name).collect();
    let named = route.hops.iter().find(|hop| hop.link.as_deref() == Some(link));
    let Some(hop) = named.or(route.hops.first()) else { return };
    search.tell(Finding {
        severity: severity(egress, to),
        code: Code::EgressMultipath,
        namespace: place.namespace.clone(),
        tenant: tenant.name.clone(),
        what: format!(
            "this machine shares packets to {to} among {}, and egress {} names {link}",
            links.join(" and "),
            egress.name
        ),
        means: "each link takes a part of the connections: `nat` is for one of them, and a firewall behind \
                one sees halves"
            .into(),
        fix: Fix {
            what: "take one way (and write another egress behind it for when that is down), or an egress for \
                   each link with `nat = \"masquerade\"`"
                .into(),
            toml: Some(single(tenant, egress, (to, hop))),
            commands: Vec::new(),
        },
    });
}

/// One way out in the place of several.
fn single(tenant: &Tenant, egress: &Egress, (to, hop): (IpNet, &Hop)) -> String {
    let link = hop.link.as_deref().unwrap_or_default();
    let gateways: Vec<IpAddr> = hop.gateway.into_iter().collect();
    let via = via(link, &gateways);
    let to_line = format!("match = {{ to = {} }}", list(&[to]));
    if to.prefix_len() == 0 && egress.to.len() == 1 {
        let to = if gateways.is_empty() { format!("{to_line}\n") } else { String::new() };
        return format!("# egress {} of tenant {}\n{to}{via}", egress.name, tenant.name);
    }
    let nat =
        if to.addr().is_ipv4() { ("nat", egress.translates) } else { ("nat6", egress.translates6) };
    let nat = if nat.1 { format!("\n{} = \"masquerade\"", nat.0) } else { String::new() };
    let net = to.addr().to_string().replace([':', '.'], "-");
    format!(
        "# before egress {} of tenant {}\n[[tenant.egress]]\nname = \"{}-{net}\"\n{to_line}\n{via}{nat}",
        egress.name, tenant.name, egress.name
    )
}

fn severity(egress: &Egress, to: IpNet) -> Severity {
    let translates = if to.addr().is_ipv4() { egress.translates } else { egress.translates6 };
    if translates { Severity::Error } else { Severity::Warning }
}
