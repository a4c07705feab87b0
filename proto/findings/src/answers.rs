//! The way back: answers that the reverse path filter drops, and packets to clients that are led elsewhere.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::{Egress, Hop, Machine, Place, Route, Rule, Senders, Tenant, Way, best, meet};
use crate::write::{by, ip, route, via};
use crate::{Code, Facts, Finding, Fix, Search, Severity};

pub(crate) fn find(place: &Place, facts: &Facts, search: &mut Search) {
    let Some(machine) = &place.machine else { return };
    for tenant in &place.tenants {
        for egress in &tenant.egresses {
            filtered(place, machine, (tenant, egress), search);
        }
        for (net, what) in tenant.inside() {
            routed(place, facts, (tenant, net, &what), search);
            ruled(place, machine, (tenant, net, &what), search);
        }
    }
}

/// Answers that the reverse path filter drops. The kernel looks for their sender as for the destination of a
/// packet out of the tenant's device, but without its mark (`src_valid_mark` 0): ways that need one are not
/// found. IPv6 has no such filter.
fn filtered(
    place: &Place,
    machine: &Machine,
    (tenant, egress): (&Tenant, &Egress),
    search: &mut Search,
) {
    let (Some(link), hop) = exit(machine, egress) else { return };
    let filter = machine.filters.get(link).copied().unwrap_or_default();
    if filter == NONE {
        return;
    }
    let far = tenant.far_by_mark(egress).into_iter().filter(|net| net.addr().is_ipv4());
    for net in far {
        let Some(links) = without_mark(machine, tenant, net) else {
            let hop = Hop { link: Some(link.to_owned()), gateway: hop };
            unknown(place, (tenant, egress), net, &hop, search);
            continue;
        };
        // Where the link is written, the gateway makes a strict filter a loose one.
        if filter == STRICT && egress.way.link().is_none() && !links.contains(&link) {
            other_link(place, (tenant, egress), (net, link, &links), search);
        }
    }
}

/// The link that packets leave by, and the next hop of IPv4 packets.
fn exit<'a>(machine: &'a Machine, egress: &'a Egress) -> (Option<&'a str>, Option<IpAddr>) {
    match &egress.way {
        Way::Deny | Way::Main(_) => (None, None),
        Way::Link(link) => (Some(link), None),
        Way::Gateway { link, hops } => {
            let hop = hops.iter().find(|hop| hop.is_ipv4()).copied();
            (link.as_deref().or_else(|| machine.link_of(hop?)), hop)
        }
    }
}

/// The links that packets of a tenant without a mark take to a network; none where they go nowhere.
fn without_mark<'a>(machine: &'a Machine, tenant: &'a Tenant, net: IpNet) -> Option<Vec<&'a str>> {
    let own = |is_default: bool| {
        let leads = |egress: &&Egress| {
            let to = |to: &IpNet| to.contains(&net) && (to.prefix_len() == 0) == is_default;
            egress.senders == Senders::All && egress.to.iter().any(to)
        };
        let found = tenant.egresses.iter().find(leads);
        found.and_then(|egress| exit(machine, egress).0).map(|link| vec![link])
    };
    let main = |is_default: bool| {
        let route = best(&machine.routes, net)?;
        let leads = (route.destination.prefix_len() == 0) == is_default && !route.hops.is_empty();
        leads.then(|| route.hops.iter().filter_map(|hop| hop.link.as_deref()).collect())
    };
    own(false).or_else(|| main(false)).or_else(|| own(true)).or_else(|| main(true))
}

fn unknown(
    place: &Place,
    (tenant, egress): (&Tenant, &Egress),
    net: IpNet,
    hop: &Hop,
    search: &mut Search,
) {
    let link = hop.link.as_deref().unwrap_or_default();
    search.tell(Finding {
        severity: Severity::Error,
        code: Code::ReturnPathUnknown,
        namespace: place.namespace.clone(),
        tenant: tenant.name.clone(),
        what: format!("without its mark no packet finds {net} behind egress {}", egress.name),
        means: format!(
            "the reverse path filter of {link} drops answers from there: it wants a way to their sender"
        ),
        fix: Fix {
            what: "give the machine the same way there".into(),
            toml: None,
            commands: vec![format!("{} route add {net}{}", ip(place, true), by(hop))],
        },
    });
}

fn other_link(
    place: &Place,
    (tenant, egress): (&Tenant, &Egress),
    (net, link, links): (IpNet, &str, &[&str]),
    search: &mut Search,
) {
    let Way::Gateway { hops, .. } = &egress.way else { return };
    search.tell(Finding {
        severity: Severity::Error,
        code: Code::ReturnPathOtherLink,
        namespace: place.namespace.clone(),
        tenant: tenant.name.clone(),
        what: format!(
            "answers from {net} behind egress {} come by {link}, and packets without its mark leave by {}",
            egress.name,
            links.join(" and ")
        ),
        means: format!("the strict reverse path filter of {link} (rp_filter 1) drops them"),
        fix: Fix {
            what: "name the interface, and the gateway makes the filter of that link a loose one".into(),
            toml: Some(format!(
                "# egress {} of tenant {}\n{}",
                egress.name,
                tenant.name,
                via(link, hops)
            )),
            commands: Vec::new(),
        },
    });
}

/// A route of the machine that takes packets to clients.
fn routed(
    place: &Place,
    facts: &Facts,
    (tenant, net, what): (&Tenant, IpNet, &str),
    search: &mut Search,
) {
    let is_ipv4 = net.addr().is_ipv4();
    let usual = if is_ipv4 { 0 } else { IPV6_METRIC };
    let takes = |route: &&Route| {
        let nearer = route.destination != net || route.metric <= usual;
        let carries = facts.underlay.iter().any(|one| one.net.contains(&route.destination));
        let is_theirs = !route.connected && !inward(place, route) && !carries;
        net.contains(&route.destination) && nearer && is_theirs
    };
    let routes = place.machine.iter().flat_map(|machine| &machine.routes);
    for found in routes.filter(takes) {
        search.tell(Finding {
            severity: Severity::Error,
            code: Code::PoolRoutedElsewhere,
            namespace: place.namespace.clone(),
            tenant: tenant.name.clone(),
            what: format!(
                "a route of this machine leads {} of {what} elsewhere",
                found.destination
            ),
            means: "packets to clients with these addresses do not come into the tunnel".into(),
            fix: Fix {
                what: "remove the route, and what makes it".into(),
                toml: None,
                commands: vec![format!("{} route delete {}", ip(place, is_ipv4), route(found))],
            },
        });
    }
}

/// A rule of the machine that takes packets to clients before the main table is asked.
fn ruled(
    place: &Place,
    machine: &Machine,
    (tenant, net, what): (&Tenant, IpNet, &str),
    search: &mut Search,
) {
    let far: Vec<_> = tenant.egresses.iter().flat_map(|egress| tenant.far(egress)).collect();
    let links: Vec<_> = tenant.egresses.iter().filter_map(|egress| egress.way.link()).collect();
    let concerns = |rule: &&Rule| {
        rule.table != MAIN_TABLE
            && rule.to.is_none_or(|to| meet(to, net))
            && rule.from.is_none_or(|from| far.iter().any(|far| meet(*far, from)))
            && rule.input.as_deref().is_none_or(|input| links.contains(&input))
    };
    for rule in machine.rules.iter().filter(concerns) {
        let leads = |route: &&Route| meet(route.destination, net) && !inward(place, route);
        let Some(found) = rule.routes.iter().find(leads) else { continue };
        let kept = |other: &Rule| {
            let all = other.from.is_none() && other.input.is_none();
            other.table == MAIN_TABLE
                && other.priority < rule.priority
                && all
                && other.to.is_some_and(|to| to.contains(&net))
        };
        if machine.rules.iter().any(kept) {
            continue;
        }
        let before = rule.priority.saturating_sub(1);
        search.tell(Finding {
            severity: Severity::Error,
            code: Code::PoolRuledElsewhere,
            namespace: place.namespace.clone(),
            tenant: tenant.name.clone(),
            what: format!(
                "rule {} of this machine leads packets to {what}, {net}, by table {} ({})",
                rule.priority, rule.table, found.destination
            ),
            means: "answers to clients leave by another way than the tunnel".into(),
            fix: Fix {
                what: "ask the main table first about clients".into(),
                toml: None,
                commands: vec![format!(
                    "{} rule add priority {before} to {net} lookup main",
                    ip(place, net.addr().is_ipv4())
                )],
            },
        });
    }
}

/// Whether a route leads to a tenant.
fn inward(place: &Place, route: &Route) -> bool {
    let device = |link: &str| place.tenants.iter().any(|tenant| tenant.device == link);
    route.hops.iter().any(|hop| hop.link.as_deref().is_some_and(device))
}

/// Values of `rp_filter`.
const NONE: u8 = 0;
const STRICT: u8 = 1;
/// The metric of IPv6 routes that name none.
const IPV6_METRIC: u32 = 1024;
/// The table that is asked when no rule says otherwise.
const MAIN_TABLE: u32 = 254;
