//! What is looked at: the configuration and the machine, as far as they are known.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// Everything that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What tunnels are carried by, in the gateway's own namespace.
    pub underlay: Vec<Underlay>,
    /// Each namespace with tenants.
    pub places: Vec<Place>,
}

/// Addresses that the gateway sends to or is reached at outside of tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underlay {
    /// The addresses.
    pub net: IpNet,
    /// Whose they are, in words: `the LAC metro`.
    pub whose: String,
    /// Whether it is what clients dial.
    pub is_dialled: bool,
}

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its name; none for the gateway's own.
    pub namespace: Option<String>,
    /// The tenants whose packets come out here.
    pub tenants: Vec<Tenant>,
    /// What the machine has here; none where only the configuration is looked at.
    pub machine: Option<Machine>,
}

/// A tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its device.
    pub device: String,
    /// Networks that sessions get addresses of.
    pub pools: Vec<Pool>,
    /// Networks behind users, by the user's name.
    pub behind: Vec<(String, Vec<IpNet>)>,
    /// Routes that clients are told.
    pub pushed: Vec<IpNet>,
    /// Ways out, in the order of the file.
    pub egresses: Vec<Egress>,
    /// Networks that clients know by another name.
    pub maps: Vec<Map>,
}

/// Networks of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// The group that it is for; the tenant's own when absent.
    pub group: Option<String>,
    /// Its networks, of one IP version.
    pub nets: Vec<IpNet>,
}

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Its name.
    pub name: String,
    /// Destinations.
    pub to: Vec<IpNet>,
    /// Which packets to them it is for; equal where they are the same packets.
    pub condition: String,
    /// Whose packets it is for.
    pub senders: Senders,
    /// Where they go.
    pub way: Way,
    /// Whether the source addresses of IPv4 packets are translated.
    pub translates: bool,
    /// The same for IPv6.
    pub translates6: bool,
}

/// Whose packets a way out is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    /// Everybody's.
    All,
    /// Those from some sources.
    Sources,
    /// Those with a firewall mark, as users and groups have.
    Marked,
}

/// Where packets go that take a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nowhere.
    Deny,
    /// To a next hop.
    Gateway {
        /// The link it is on, where that is written.
        link: Option<String>,
        /// Its addresses, at most one of each IP version.
        hops: Vec<IpAddr>,
    },
    /// Out of a link that the destinations are on.
    Link(String),
    /// As the machine's own routes say, which are expected to lead out of this link.
    Main(String),
}

/// A network that clients know by other addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// As clients know it.
    pub inside: IpNet,
    /// As it is.
    pub outside: IpNet,
    /// The ways out it is for, by name; all when empty.
    pub by: Vec<String>,
}

/// What a namespace has that is not the gateway's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Addresses with their networks, and the links they are on.
    pub addresses: Vec<(String, IpNet)>,
    /// Routes of the main table.
    pub routes: Vec<Route>,
    /// Rules before the main table's.
    pub rules: Vec<Rule>,
    /// The reverse path filter of each link as it works (RFC 3704): 0 none, 1 strict, 2 loose.
    pub filters: BTreeMap<String, u8>,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Where packets go that it is for.
    pub destination: IpNet,
    /// Among routes to one destination the lowest wins.
    pub metric: u32,
    /// The ways they are shared among; none where it refuses them.
    pub hops: Vec<Hop>,
    /// Whether the kernel made it for an address of a link.
    pub connected: bool,
}

/// One way of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The link.
    pub link: Option<String>,
    /// The next hop; none on the link itself.
    pub gateway: Option<IpAddr>,
}

/// A rule that chooses a routing table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Lower ones are asked first.
    pub priority: u32,
    /// Sources; all when absent.
    pub from: Option<IpNet>,
    /// Destinations; all when absent.
    pub to: Option<IpNet>,
    /// The link that packets come in by; any when absent.
    pub input: Option<String>,
    /// The table.
    pub table: u32,
    /// What the table has.
    pub routes: Vec<Route>,
}

impl Tenant {
    /// Everything that is routed to its device, each with the name of what it is.
    pub(crate) fn inside(&self) -> impl Iterator<Item = (IpNet, String)> {
        let pools = self.pools.iter().flat_map(|pool| {
            let whose = match &pool.group {
                Some(group) => format!("the pool of group {group} of tenant {}", self.name),
                None => format!("the pool of tenant {}", self.name),
            };
            pool.nets.iter().map(move |net| (*net, whose.clone()))
        });
        let behind = self.behind.iter().flat_map(|(user, nets)| {
            nets.iter().map(move |net| (*net, format!("the network behind user {user}")))
        });
        pools.chain(behind)
    }

    /// The networks of a way out as they are, not as clients know them.
    pub(crate) fn far(&self, egress: &Egress) -> Vec<IpNet> {
        egress.to.iter().map(|to| self.map_of(egress, *to).map_or(*to, |map| map.outside)).collect()
    }

    /// Those of them that packets need a mark to get to.
    pub(crate) fn far_by_mark(&self, egress: &Egress) -> Vec<IpNet> {
        let marked = egress.senders == Senders::Marked;
        let by_mark = |to: &IpNet| match self.map_of(egress, *to) {
            Some(map) => (marked || !map.by.is_empty()).then_some(map.outside),
            None => marked.then_some(*to),
        };
        egress.to.iter().filter_map(by_mark).collect()
    }

    fn map_of(&self, egress: &Egress, to: IpNet) -> Option<&Map> {
        let here = |map: &&Map| map.by.is_empty() || map.by.contains(&egress.name);
        self.maps.iter().filter(here).find(|map| map.inside == to)
    }
}

impl Way {
    /// The link it leaves by, where it is written.
    pub(crate) fn link(&self) -> Option<&str> {
        match self {
            Self::Deny => None,
            Self::Gateway { link, .. } => link.as_deref(),
            Self::Link(link) | Self::Main(link) => Some(link),
        }
    }
}

impl Machine {
    /// The link whose network has an address.
    pub(crate) fn link_of(&self, address: IpAddr) -> Option<&str> {
        let near = self.addresses.iter().filter(|(_, net)| net.contains(&address));
        near.max_by_key(|(_, net)| net.prefix_len()).map(|(link, _)| link.as_str())
    }
}

/// The route that packets to a network take, unless a more specific one is for some of them.
pub(crate) fn best(routes: &[Route], to: IpNet) -> Option<&Route> {
    let covering = routes.iter().filter(|route| route.destination.contains(&to));
    covering.min_by_key(|route| (u8::MAX - route.destination.prefix_len(), route.metric))
}

/// Whether two networks have an address in common.
pub(crate) fn meet(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}
