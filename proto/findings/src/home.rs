//! What clients are to reach and have at home themselves.

use ipnet::IpNet;

use crate::facts::{Place, Tenant, Way, meet};
use crate::reserved::RESERVED;
use crate::write::{list, map};
use crate::{Code, Finding, Fix, Search, Severity};

pub(crate) fn find(place: &Place, search: &mut Search) {
    for tenant in &place.tenants {
        for egress in tenant.egresses.iter().filter(|egress| egress.way != Way::Deny) {
            for net in egress.to.iter().filter(|net| is_at_home(**net)) {
                let fix = map(tenant, egress, &[*net], search);
                tell(place, tenant, (*net, &format!("behind egress {}", egress.name)), fix, search);
            }
        }
        let told = |net: IpNet| {
            let to = tenant.egresses.iter().flat_map(|egress| &egress.to);
            to.filter(|to| is_at_home(**to)).any(|to| meet(*to, net))
                || tenant.maps.iter().any(|map| map.inside.contains(&net))
        };
        for net in tenant.pushed.iter().filter(|net| is_at_home(**net) && !told(**net)) {
            let fix = map_pushed(tenant, *net, search);
            tell(place, tenant, (*net, "that clients are told a route to"), fix, search);
        }
    }
}

fn tell(place: &Place, tenant: &Tenant, (net, what): (IpNet, &str), fix: Fix, search: &mut Search) {
    search.tell(Finding {
        severity: Severity::Warning,
        code: Code::NetworkAtHome,
        namespace: place.namespace.clone(),
        tenant: tenant.name.clone(),
        what: format!("{net} {what} has addresses that many have at home"),
        means: "clients with the same network at home do not reach it: their own is nearer".into(),
        fix,
    });
}

/// Where the machine's own routes lead there.
fn map_pushed(tenant: &Tenant, net: IpNet, search: &mut Search) -> Fix {
    let Some(free) = search.free.instead_of(&tenant.name, net) else {
        return Fix::say("tell clients a smaller network");
    };
    let other = |route: &IpNet| if *route == net { free } else { *route };
    let routes: Vec<_> = tenant.pushed.iter().map(other).collect();
    Fix {
        what: format!("map it: clients know {net} as {free}, host by host"),
        toml: Some(format!(
            "# tenant {}\nroutes = {}\n# beside it\n[[tenant.nat]]\n\
             netmap = {{ inside = \"{free}\", outside = \"{net}\" }}",
            tenant.name,
            list(&routes)
        )),
        commands: Vec::new(),
    }
}

/// Whether a network is one that many have at home, or little more than that.
fn is_at_home(net: IpNet) -> bool {
    let mut at_home = RESERVED.iter().filter(|reserved| reserved.is_at_home());
    net.prefix_len() >= WIDEST && at_home.any(|home| meet(net, IpNet::V4(home.net())))
}

/// Who is told a wider one is told of the whole company, and keeps the network at home.
const WIDEST: u8 = 16;
