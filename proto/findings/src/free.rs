//! Networks that nobody has, to propose them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::facts::{Facts, Machine, Place, Tenant, Way};
use crate::reserved::RESERVED;

/// Proposes networks, no two that meet each other or anything that is known.
#[derive(Clone, Debug, Default)]
pub struct Free {
    taken: Vec<IpNet>,
    given: Vec<(String, IpNet, Option<IpNet>)>,
}

impl Free {
    /// Beside these networks.
    pub fn beside_these(taken: Vec<IpNet>) -> Self {
        Self { taken, given: Vec::new() }
    }

    pub(crate) fn beside(facts: &Facts) -> Self {
        let mut taken: Vec<IpNet> = facts.underlay.iter().map(|underlay| underlay.net).collect();
        for place in &facts.places {
            taken.extend(known(place));
        }
        // Everything is nobody's in particular.
        taken.retain(|net| net.prefix_len() > 0);
        Self::beside_these(taken)
    }

    /// A network as large as `net` in its place; the same one whenever the same is asked for.
    pub fn instead_of(&mut self, whose: &str, net: IpNet) -> Option<IpNet> {
        if let Some((.., free)) = self.given.iter().find(|(w, n, _)| w == whose && *n == net) {
            return *free;
        }
        let free = first_free(net, &self.taken);
        self.taken.extend(free);
        self.given.push((whose.to_owned(), net, free));
        free
    }
}

/// Every network that a namespace knows of.
fn known(place: &Place) -> Vec<IpNet> {
    let mut known = Vec::new();
    for tenant in &place.tenants {
        let Tenant { pushed, egresses, maps, .. } = tenant;
        known.extend(tenant.inside().map(|(net, _)| net));
        known.extend(pushed);
        known.extend(maps.iter().flat_map(|map| [map.inside, map.outside]));
        for egress in egresses {
            known.extend(&egress.to);
            if let Way::Gateway { hops, .. } = &egress.way {
                known.extend(hops.iter().copied().map(IpNet::from));
            }
        }
    }
    if let Some(Machine { addresses, routes, rules, .. }) = &place.machine {
        known.extend(addresses.iter().map(|(_, net)| *net));
        known.extend(routes.iter().map(|route| route.destination));
        known.extend(rules.iter().flat_map(|rule| &rule.routes).map(|route| route.destination));
    }
    known
}

/// The first private network as large as `like` that meets none of `taken` and nothing that is somebody
/// else's; none where there is no such.
pub fn first_free(like: IpNet, taken: &[IpNet]) -> Option<IpNet> {
    let length = like.prefix_len();
    if length < PRIVATE_LEN {
        return None;
    }
    let is_ipv4 = like.addr().is_ipv4();
    let of_version = |net: &IpNet| net.addr().is_ipv4() == is_ipv4;
    let mut full: Vec<_> = taken.iter().filter(|net| of_version(net)).map(span).collect();
    if is_ipv4 {
        full.extend(RESERVED.iter().map(|reserved| span(&IpNet::V4(reserved.net()))));
    }
    let size = 1_u128 << (like.max_prefix_len() - length);
    let first =
        ranges(like).into_iter().find_map(|(first, last)| search(first, last, size, &full))?;
    IpNet::new(address(first, is_ipv4)?, length).ok()
}

/// Where to look, first and last address.
fn ranges(like: IpNet) -> Vec<(u128, u128)> {
    if like.addr().is_ipv4() {
        return PRIVATE
            .iter()
            .map(|(first, last)| (u32::from_be_bytes(*first), u32::from_be_bytes(*last)))
            .map(|(first, last)| (first.into(), last.into()))
            .collect();
    }
    // RFC 4193 §3.2.2 wants 40 bits that others are not likely to have; a proposal has to be the same twice.
    let id = (0_u128..48).step_by(8).fold(span(&like).0 | 1, |id, shift| {
        (id ^ (id >> (shift + 41))).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    let first = LOCAL6 | ((id >> 88) << 80);
    let last = LOCAL6 | ((1 << 120) - 1);
    vec![(first & last, last), (LOCAL6, last)]
}

/// The first place for `size` addresses, a power of two, that is not full.
fn search(first: u128, last: u128, size: u128, full: &[(u128, u128)]) -> Option<u128> {
    let mut at = first.checked_next_multiple_of(size)?;
    loop {
        let end = at.checked_add(size - 1).filter(|end| *end <= last)?;
        let in_the_way = full.iter().filter(|(low, high)| *low <= end && at <= *high);
        match in_the_way.map(|(_, high)| *high).max() {
            None => return Some(at),
            Some(high) => at = high.checked_add(1)?.checked_next_multiple_of(size)?,
        }
    }
}

/// `net` but for the addresses of `hole`: as few networks as that takes.
pub fn without(net: IpNet, hole: IpNet) -> Vec<IpNet> {
    if hole.contains(&net) {
        return Vec::new();
    }
    let mut rest = Vec::new();
    let mut whole = net.trunc();
    if !whole.contains(&hole) {
        return vec![whole];
    }
    while whole.prefix_len() < hole.prefix_len() {
        let Ok(halves) = whole.subnets(whole.prefix_len() + 1) else { break };
        for half in halves {
            if half.contains(&hole) {
                whole = half;
            } else {
                rest.push(half);
            }
        }
    }
    rest.sort_unstable();
    rest
}

/// First and last address as numbers.
fn span(net: &IpNet) -> (u128, u128) {
    (number(net.network()), number(net.broadcast()))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, is_ipv4: bool) -> Option<IpAddr> {
    if is_ipv4 {
        return Some(IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).ok()?)));
    }
    Some(IpAddr::V6(Ipv6Addr::from_bits(number)))
}

/// Private networks (RFC 1918), the part first that is least in use.
const PRIVATE: [([u8; 4], [u8; 4]); 4] = [
    ([10, 64, 0, 0], [10, 255, 255, 255]),
    ([10, 0, 0, 0], [10, 255, 255, 255]),
    ([172, 16, 0, 0], [172, 31, 255, 255]),
    ([192, 168, 0, 0], [192, 168, 255, 255]),
];
/// `fd00::/8` (RFC 4193).
const LOCAL6: u128 = 0xfd << 120;
/// No private network is larger, of either IP version.
const PRIVATE_LEN: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn proposals_step_over_what_is_taken_and_over_each_other() {
        let free = |like: &str, taken: &[&str]| {
            let taken: Vec<_> = taken.iter().map(|text| net(text)).collect();
            first_free(net(like), &taken).map(|free| free.to_string())
        };
        assert_eq!(free("10.1.0.0/16", &[]).as_deref(), Some("10.64.0.0/16"));
        let wide = ["10.0.0.0/8"];
        assert_eq!(free("10.1.0.0/16", &wide).as_deref(), Some("172.16.0.0/16"));
        let most = ["10.0.0.0/8", "172.16.0.0/12"];
        assert_eq!(free("192.168.1.0/24", &most).as_deref(), Some("192.168.2.0/24"));
        assert_eq!(free("10.0.0.0/8", &wide), None, "no other is as large");
        assert_eq!(free("0.0.0.0/0", &[]), None);
        let six = free("2001:db8:7::/48", &[]).unwrap();
        assert!(net("fd00::/8").contains(&net(&six)) && net(&six).prefix_len() == 48, "{six}");
        assert_ne!(free("2001:db8:7::/48", &[&six]), Some(six));

        let mut given = Free::beside_these(Vec::new());
        let [a, b] = ["a", "b"].map(|whose| given.instead_of(whose, net("10.1.0.0/24")).unwrap());
        assert_eq!((a, b), (net("10.64.0.0/24"), net("10.64.1.0/24")));
        assert_eq!(given.instead_of("a", net("10.1.0.0/24")), Some(a));
    }

    #[test]
    fn what_is_left_of_a_network_is_as_few_networks_as_can_be() {
        let left = without(net("203.0.113.0/29"), net("203.0.113.2/32"));
        let expected = ["203.0.113.0/31", "203.0.113.3/32", "203.0.113.4/30"].map(net);
        assert_eq!(left, expected);
        assert_eq!(without(net("10.0.0.0/8"), net("192.0.2.1/32")), [net("10.0.0.0/8")]);
        assert_eq!(without(net("10.0.0.0/8"), net("10.0.0.0/8")), []);
        assert_eq!(without(net("10.0.0.0/8"), net("0.0.0.0/0")), []);
        assert_eq!(without(net("2001:db8::/32"), net("2001:db8::1/128")).len(), 96);
    }
}
