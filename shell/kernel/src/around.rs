//! What a namespace has that is not ours, as far as it can be in the way.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{Address, Rule};

/// What a namespace has that is not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Addresses on links.
    pub addresses: Vec<Address>,
    /// Routes of the main table that are of interest.
    pub routes: Vec<OtherRoute>,
    /// Rules that are asked before the main table's, with what their tables have that is of interest.
    pub rules: Vec<(Rule, Vec<OtherRoute>)>,
    /// The reverse path filter of each link with an address, as it works: the greater of the link's own
    /// setting and that of all links.
    pub filters: BTreeMap<String, u8>,
}

/// A route of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRoute {
    /// Where packets go that it is for.
    pub destination: IpNet,
    /// Among routes to one destination the lowest wins.
    pub metric: u32,
    /// The ways that packets are shared among; none where it refuses them.
    pub hops: Vec<OtherHop>,
    /// Whether the kernel made it for an address.
    pub connected: bool,
}

/// One way of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherHop {
    /// The link.
    pub link: Option<String>,
    /// The next hop; none on the link itself.
    pub gateway: Option<IpAddr>,
}

/// Which routes are of interest: a machine may have a million.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Those to parts of these networks, and to what they are parts of.
    pub inside: Vec<IpNet>,
    /// Those to what these networks are parts of.
    pub outside: Vec<IpNet>,
}

impl Interest {
    /// Whether a route is; those that share packets always are.
    pub(crate) fn concerns(&self, route: &OtherRoute) -> bool {
        let to = route.destination;
        to.prefix_len() == 0
            || route.hops.len() > 1
            || self.inside.iter().any(|net| net.contains(&to) || to.contains(net))
            || self.outside.iter().any(|net| to.contains(net))
    }
}

/// Most routes of a table that are looked at; who has more of interest has a routing daemon that knows.
pub(crate) const ROUTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_million_routes_few_are_of_interest() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let interest =
            Interest { inside: vec![net("10.64.0.0/20")], outside: vec![net("172.20.0.0/16")] };
        let route = |to: &str, hops: usize| OtherRoute {
            destination: net(to),
            metric: 0,
            hops: vec![OtherHop::default(); hops],
            connected: false,
        };
        for of_interest in
            ["0.0.0.0/0", "10.64.3.0/24", "10.0.0.0/8", "172.16.0.0/12", "172.20.0.0/16"]
        {
            assert!(interest.concerns(&route(of_interest, 1)), "{of_interest}");
        }
        for other in ["10.65.0.0/24", "172.20.1.0/24", "198.51.100.0/24", "2001:db8::/32"] {
            assert!(!interest.concerns(&route(other, 1)), "{other}");
            assert!(interest.concerns(&route(other, 2)), "{other}");
        }
    }
}
