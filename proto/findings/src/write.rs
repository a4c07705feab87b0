//! Cures as they are written down.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::{Egress, Hop, Place, Route, Tenant};
use crate::{Fix, Search};

impl Fix {
    /// In words alone.
    pub(crate) fn say(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }
}

/// `["a", "b"]`.
pub(crate) fn list(nets: &[IpNet]) -> String {
    let each: Vec<_> = nets.iter().map(|net| format!("\"{net}\"")).collect();
    format!("[{}]", each.join(", "))
}

/// `["a", "b"]` with others in the place of some.
fn replaced(nets: &[IpNet], by: &[(IpNet, IpNet)]) -> String {
    let other = |net: &IpNet| by.iter().find(|(old, _)| old == net).map_or(*net, |(_, new)| *new);
    list(&nets.iter().map(other).collect::<Vec<_>>())
}

/// Other addresses for what is inside a tenant.
pub(crate) fn move_inside(tenant: &Tenant, net: IpNet, search: &mut Search) -> Fix {
    let Some(pool) = tenant.pools.iter().find(|pool| pool.nets.contains(&net)) else {
        return Fix::say(
            "renumber one of the two, or put the tenant into a `netns` of its own: a network behind a user has \
             the addresses that it has",
        );
    };
    let key = if net.addr().is_ipv4() { "pool" } else { "pool6" };
    let whose = match &pool.group {
        Some(group) => format!("group {group} of tenant {}", tenant.name),
        None => format!("tenant {}", tenant.name),
    };
    let Some(free) = search.free.instead_of(&whose, net) else {
        return Fix::say(format!(
            "take a smaller `{key}`: no private network of this size is free"
        ));
    };
    Fix {
        what: format!(
            "give clients other addresses; {free} is nobody's that is known here. `address` of users and \
             routes back to the pool change with it"
        ),
        toml: Some(format!("# {whose}\n{key} = {}", replaced(&pool.nets, &[(net, free)]))),
        commands: Vec::new(),
    }
}

/// Other names for the networks behind a way out.
pub(crate) fn map(tenant: &Tenant, egress: &Egress, nets: &[IpNet], search: &mut Search) -> Fix {
    let whose = format!("{}/{}", tenant.name, egress.name);
    let pairs: Option<Vec<(IpNet, IpNet)>> =
        nets.iter().map(|net| Some((*net, search.free.instead_of(&whose, *net)?))).collect();
    let Some(pairs) = pairs else {
        return Fix::say(
            "write the networks that are needed into `match.to`, and map those: no private network of this \
             size is free",
        );
    };
    let mut toml = format!(
        "# egress {} of tenant {}: `to` of its `match`\nto = {}\n",
        egress.name,
        tenant.name,
        replaced(&egress.to, &pairs)
    );
    let netmaps = pairs.iter().map(|(outside, inside)| {
        format!(
            "# beside it\n[[tenant.nat]]\negress = \"{}\"\n\
             netmap = {{ inside = \"{inside}\", outside = \"{outside}\" }}\n",
            egress.name
        )
    });
    toml.extend(netmaps);
    toml += &routes(tenant, &pairs);
    let known = |(outside, inside): &(IpNet, IpNet)| format!("{outside} as {inside}");
    let known: Vec<_> = pairs.iter().map(known).collect();
    Fix {
        what: format!("map what is behind it: clients know {}, host by host", known.join(", ")),
        toml: Some(toml.trim_end().to_owned()),
        commands: Vec::new(),
    }
}

/// The routes that clients are to be told so that they send packets to mapped networks; nothing where they
/// are told none, or are told already.
fn routes(tenant: &Tenant, pairs: &[(IpNet, IpNet)]) -> String {
    let told = |net: &IpNet| tenant.pushed.iter().any(|route| route.contains(net));
    let untold: Vec<_> = pairs.iter().map(|(_, new)| *new).filter(|new| !told(new)).collect();
    if tenant.pushed.is_empty() || untold.is_empty() {
        return String::new();
    }
    let gone = |route: &IpNet| pairs.iter().any(|(old, _)| old == route);
    let used = |route: &IpNet| tenant.egresses.iter().filter(|e| e.to.contains(route)).count() > 1;
    let stays = tenant.pushed.iter().filter(|route| !gone(route) || used(route)).copied();
    let all: Vec<_> = stays.chain(untold).collect();
    format!("# tenant {}\nroutes = {}\n", tenant.name, list(&all))
}

/// The program `ip` for a namespace and an IP version.
pub(crate) fn ip(place: &Place, is_ipv4: bool) -> String {
    let namespace = place.namespace.as_ref().map_or(String::new(), |name| format!(" -n {name}"));
    format!("ip{namespace}{}", if is_ipv4 { "" } else { " -6" })
}

/// ` via GATEWAY dev LINK`, as far as known.
pub(crate) fn by(hop: &Hop) -> String {
    let gateway = hop.gateway.map_or(String::new(), |gateway| format!(" via {gateway}"));
    let link = hop.link.as_ref().map_or(String::new(), |link| format!(" dev {link}"));
    format!("{gateway}{link}")
}

/// A route as `ip route` wants it, to remove it.
pub(crate) fn route(route: &Route) -> String {
    let hop = match &route.hops[..] {
        [only] => by(only),
        [] | [..] => String::new(),
    };
    let metric = match route.metric {
        0 => String::new(),
        metric => format!(" metric {metric}"),
    };
    format!("{}{hop}{metric}", route.destination)
}

/// `via` of a way out.
pub(crate) fn via(link: &str, gateways: &[IpAddr]) -> String {
    let each: Vec<_> = gateways.iter().map(|gateway| format!("\"{gateway}\"")).collect();
    let gateway = match &each[..] {
        [] => String::new(),
        [only] => format!(", gateway = {only}"),
        several => format!(", gateway = [{}]", several.join(", ")),
    };
    format!("via = {{ interface = \"{link}\"{gateway} }}")
}
