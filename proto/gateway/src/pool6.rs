//! IPv6 to give out: a /64 for each session, of a tenant's networks, with some kept for named users.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::ops::RangeInclusive;

use ipnet::Ipv6Net;

use crate::pool::{EVERYBODY, Holder, Space};

/// The /64 networks of one tenant; a user who comes back gets the one that he had, if it is free.
#[derive(Debug, Default)]
pub struct Pool6(Space);

impl Pool6 {
    /// A pool over `networks`, of which those longer than a /64 have nothing to give. No /64 that something
    /// of `excluded` is in is ever given out, `reserved` only by name.
    pub fn new(
        networks: &[Ipv6Net],
        excluded: &[RangeInclusive<IpAddr>],
        reserved: &[Ipv6Net],
    ) -> Self {
        let mut pool = Self::default();
        pool.reconfigure(&[networks], excluded, reserved);
        pool
    }

    /// Takes over new networks, exclusions and reservations; leases go on. The first networks are for
    /// everybody, the others, which may lie within, are parts set apart.
    pub fn reconfigure(
        &mut self,
        networks: &[&[Ipv6Net]],
        excluded: &[RangeInclusive<IpAddr>],
        reserved: &[Ipv6Net],
    ) {
        let excluded: Vec<_> = excluded
            .iter()
            .filter_map(|range| match (range.start(), range.end()) {
                (IpAddr::V6(first), IpAddr::V6(last)) => Some(number(*first)..=number(*last)),
                (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
            })
            .collect();
        let reserved = reserved.iter().map(|net| number(net.network())).collect();
        let ranges = |part: &&[Ipv6Net]| part.iter().filter_map(|net| range(*net)).collect();
        let parts: Vec<Vec<_>> = networks.iter().map(ranges).collect();
        self.0.reconfigure(&parts, &excluded, reserved);
    }

    /// Gives out a free /64, that of `user` if it can be; none when the pool is exhausted.
    pub fn lease(&mut self, user: &str, holder: Holder) -> Option<Ipv6Net> {
        self.lease_of(EVERYBODY, user, holder)
    }

    /// The same, of a part.
    pub fn lease_of(&mut self, part: usize, user: &str, holder: Holder) -> Option<Ipv6Net> {
        self.0.lease(part, user, holder).map(network)
    }

    /// Gives out one particular /64 (a user's own); none while somebody else holds it.
    pub fn lease_fixed(&mut self, wanted: Ipv6Net, holder: Holder) -> Option<Ipv6Net> {
        let number = number(wanted.network());
        self.0.lease_fixed(number, holder).then(|| network(number))
    }

    /// Takes a /64 of `user` back, if `holder` has it.
    pub fn release(&mut self, leased: Ipv6Net, user: &str, holder: Holder) {
        self.0.release(number(leased.network()), user, holder);
    }

    /// How many are given out.
    pub fn leased_count(&self) -> usize {
        self.0.leased_count()
    }

    /// How many there are.
    pub fn capacity(&self) -> u64 {
        self.0.capacity()
    }
}

/// The /64 that a network has.
fn range(net: Ipv6Net) -> Option<RangeInclusive<u64>> {
    (net.prefix_len() <= 64).then(|| number(net.network())..=number(net.broadcast()))
}

/// The upper half of an address.
fn number(address: Ipv6Addr) -> u64 {
    u64::from_be_bytes(address.octets().first_chunk().copied().unwrap_or_default())
}

fn network(number: u64) -> Ipv6Net {
    // 64 is a width.
    Ipv6Net::new(Ipv6Addr::from_bits(u128::from(number) << 64), 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    fn pool(networks: &[&str]) -> Pool6 {
        Pool6::new(&networks.iter().map(|n| net(n)).collect::<Vec<_>>(), &[], &[])
    }

    #[test]
    fn every_64_of_every_network_is_given_out_once() {
        let mut pool = pool(&["2001:db8:0:fffe::/63", "2001:db8:9::/64", "2001:db8:a::/80"]);
        assert_eq!(pool.capacity(), 3);
        let given: Vec<_> = core::iter::from_fn(|| pool.lease("u1", 1)).collect();
        let expected = ["2001:db8:0:fffe::/64", "2001:db8:0:ffff::/64", "2001:db8:9::/64"];
        assert_eq!(given, expected.map(net));
    }

    #[test]
    fn our_own_network_goes_to_nobody_and_a_reserved_one_only_to_its_owner() {
        let own: IpAddr = "2001:db8::1".parse().unwrap();
        let reserved = net("2001:db8:0:1::/64");
        let mut pool = Pool6::new(&[net("2001:db8::/62")], &[own..=own], &[reserved]);
        let given: Vec<_> = core::iter::from_fn(|| pool.lease("u9", 9)).collect();
        assert_eq!(given, ["2001:db8:0:2::/64", "2001:db8:0:3::/64"].map(net));
        assert_eq!(pool.lease_fixed(reserved, 1), Some(reserved));
        assert_eq!(pool.lease_fixed(reserved, 2), None);
        pool.release(reserved, "u2", 2);
        assert_eq!(pool.lease_fixed(reserved, 1), Some(reserved), "once more is no harm");
        pool.release(reserved, "u1", 1);
        assert_eq!(pool.lease_fixed(reserved, 2), Some(reserved));
    }

    #[test]
    fn a_returned_network_rests_and_leases_survive_a_new_configuration() {
        let mut pool = pool(&["2001:db8::/62"]);
        let first = pool.lease("u1", 1).unwrap();
        pool.release(first, "u1", 1);
        assert_ne!(pool.lease("u2", 2), Some(first));
        pool.reconfigure(&[&[net("2001:db8:7::/64")]], &[], &[]);
        assert_eq!(pool.leased_count(), 1);
        assert_eq!(pool.lease("u3", 3), Some(net("2001:db8:7::/64")));
        assert_eq!(pool.lease("u4", 4), None);
    }

    proptest! {
        #[test]
        fn no_network_is_held_twice(steps in prop::collection::vec((any::<bool>(), 0_u64..8), 0..200)) {
            let mut pool = pool(&["2001:db8::/61"]);
            let mut held: BTreeMap<Ipv6Net, u64> = BTreeMap::new();
            for (take, holder) in steps {
                if take {
                    if let Some(net) = pool.lease("uholder", holder) {
                        prop_assert!(held.insert(net, holder).is_none());
                    } else {
                        prop_assert_eq!(held.len(), 8);
                    }
                } else if let Some(net) = held.iter().find(|(_, h)| **h == holder).map(|(n, _)| *n) {
                    held.remove(&net);
                    pool.release(net, "uholder", holder);
                }
                prop_assert_eq!(pool.leased_count(), held.len());
            }
        }
    }
}
