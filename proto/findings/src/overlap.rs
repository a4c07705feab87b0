//! Networks that overlap: what is inside tenants with each other, with this machine, with what is behind ways
//! out; and ways out with each other.

use ipnet::IpNet;

use crate::facts::{Egress, Place, Tenant, Way, meet};
use crate::write::{map, move_inside};
use crate::{Code, Finding, Fix, Search, Severity};

pub(crate) fn find(place: &Place, search: &mut Search) {
    for (index, tenant) in place.tenants.iter().enumerate() {
        for other in place.tenants.iter().take(index) {
            tenants(place, tenant, other, search);
        }
        interfaces(place, tenant, search);
        behind_egresses(place, tenant, search);
        egresses(place, tenant, search);
    }
}

fn tenants(place: &Place, tenant: &Tenant, other: &Tenant, search: &mut Search) {
    for (net, what) in tenant.inside() {
        for (taken, whose) in other.inside().filter(|(taken, _)| meet(net, *taken)) {
            let fix = move_inside(tenant, net, search);
            search.tell(Finding {
                severity: Severity::Error,
                code: Code::PoolOverlapsPool,
                namespace: place.namespace.clone(),
                tenant: tenant.name.clone(),
                what: format!("{what}, {net}, overlaps {whose}, {taken}"),
                means: "packets to addresses that both have go to one of the two".into(),
                fix,
            });
        }
    }
}

fn interfaces(place: &Place, tenant: &Tenant, search: &mut Search) {
    let Some(machine) = &place.machine else { return };
    let theirs = |link: &str| place.tenants.iter().all(|tenant| tenant.device != link);
    for (net, what) in tenant.inside() {
        let others = machine.addresses.iter().filter(|(link, _)| theirs(link));
        for (link, other) in others.filter(|(_, other)| meet(net, *other)) {
            let fix = move_inside(tenant, net, search);
            search.tell(Finding {
                severity: Severity::Error,
                code: Code::PoolOverlapsInterface,
                namespace: place.namespace.clone(),
                tenant: tenant.name.clone(),
                what: format!("{what}, {net}, overlaps {} of {link}", other.trunc()),
                means: "clients and the hosts there hide each other".into(),
                fix,
            });
        }
    }
}

/// What is inside and what is behind a way out.
fn behind_egresses(place: &Place, tenant: &Tenant, search: &mut Search) {
    for egress in tenant.egresses.iter().filter(|egress| egress.way != Way::Deny) {
        let mut behind = egress.to.clone();
        behind.extend(tenant.far(egress).iter().filter(|net| !egress.to.contains(net)));
        behind.retain(|net| net.prefix_len() > 0);
        for (net, what) in tenant.inside() {
            for other in behind.iter().filter(|other| meet(net, **other)) {
                let around = other.contains(&net) && *other != net;
                let fix = move_inside(tenant, net, search);
                search.tell(Finding {
                    severity: if around { Severity::Note } else { Severity::Error },
                    code: Code::PoolOverlapsEgress,
                    namespace: place.namespace.clone(),
                    tenant: tenant.name.clone(),
                    what: format!("{what}, {net}, overlaps {other} behind egress {}", egress.name),
                    means: if around {
                        "clients are reached there, and hosts with such addresses behind the egress are not".into()
                    } else {
                        "clients do not reach these hosts, or each other, and answers to some never come".into()
                    },
                    fix: if around { if_it_is_not_free(fix) } else { fix },
                });
            }
        }
    }
}

fn if_it_is_not_free(fix: Fix) -> Fix {
    let what = format!("nothing, if nobody has these addresses there; otherwise {}", fix.what);
    Fix { what, ..fix }
}

/// Ways out for the same packets: one stands in for the other, or hides what is behind it.
fn egresses(place: &Place, tenant: &Tenant, search: &mut Search) {
    let leads = |egress: &&Egress| matches!(egress.way, Way::Gateway { .. } | Way::Link(_));
    let all: Vec<_> = tenant.egresses.iter().filter(leads).collect();
    for (index, later) in all.iter().enumerate() {
        for first in all.iter().take(index) {
            if first.condition == later.condition && first.way != later.way {
                pair(place, tenant, (first, later), search);
            }
        }
    }
}

fn pair(place: &Place, tenant: &Tenant, (first, later): (&Egress, &Egress), search: &mut Search) {
    let nets = |egress: &Egress| {
        egress.to.iter().filter(|to| to.prefix_len() > 0).copied().collect::<Vec<IpNet>>()
    };
    for a in nets(first) {
        for b in nets(later).into_iter().filter(|b| meet(a, *b)) {
            // The smaller one takes the fewer addresses to map.
            let (small, net, wide) =
                if b.contains(&a) && a != b { (first, a, later) } else { (later, b, first) };
            let means = if a == b {
                format!("{} is taken only while {} is down", small.name, wide.name)
            } else {
                format!("hosts of {net} behind {} are not reached by clients", wide.name)
            };
            let fix = map(tenant, small, &[net], search);
            search.tell(Finding {
                severity: Severity::Note,
                code: Code::EgressesOverlap,
                namespace: place.namespace.clone(),
                tenant: tenant.name.clone(),
                what: format!(
                    "the egresses {} and {} both lead to {net}",
                    first.name, later.name
                ),
                means,
                fix: Fix {
                    what: format!(
                        "nothing, if both lead to the same hosts; if {} is another cloud with the same \
                         addresses, {}",
                        small.name, fix.what
                    ),
                    ..fix
                },
            });
        }
    }
}
