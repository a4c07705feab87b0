//! IPv6 to give out: a /64 for each session, of a tenant's networks, with some kept for named users.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use ipnet::Ipv6Net;

use crate::pool::Holder;

/// The /64 networks of one tenant. They are handed out in rising order from where the last search
/// ended, so that one is not used again at once by somebody else.
#[derive(Debug, Default)]
pub struct Pool6 {
    networks: Vec<Ipv6Net>,
    /// Never handed out: the one that our own address is in.
    excluded: BTreeSet<u64>,
    /// Handed out only by name.
    reserved: BTreeSet<u64>,
    leased: BTreeMap<u64, Holder>,
    /// Where the next search begins.
    next: u64,
}

impl Pool6 {
    /// A pool over `networks`, of which those longer than a /64 have nothing to give. The /64 around
    /// each of `excluded` is never given out, `reserved` only by name.
    pub fn new(networks: Vec<Ipv6Net>, excluded: &[Ipv6Addr], reserved: &[Ipv6Net]) -> Self {
        Self {
            networks,
            excluded: excluded.iter().copied().map(number).collect(),
            reserved: reserved.iter().map(|net| number(net.network())).collect(),
            leased: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes over new networks, exclusions and reservations; leases go on.
    pub fn reconfigure(
        &mut self,
        networks: Vec<Ipv6Net>,
        excluded: &[Ipv6Addr],
        reserved: &[Ipv6Net],
    ) {
        let leased = core::mem::take(&mut self.leased);
        *self = Self { leased, next: self.next, ..Self::new(networks, excluded, reserved) };
    }

    /// Gives out any free /64; none when the pool is exhausted.
    pub fn lease(&mut self, holder: Holder) -> Option<Ipv6Net> {
        let size = self.capacity();
        let start = if self.next < size { self.next } else { 0 };
        // One pass over the pool at most; each step skips one taken network, so the cost is bounded
        // by the number of leases.
        let index = (start..size)
            .chain(0..start)
            .find(|&index| self.at(index).is_some_and(|number| self.is_free(number)))?;
        let number = self.at(index)?;
        self.next = index + 1;
        self.leased.insert(number, holder);
        Some(network(number))
    }

    /// Gives out one particular /64 (a user's own); none while somebody else holds it.
    pub fn lease_fixed(&mut self, wanted: Ipv6Net, holder: Holder) -> Option<Ipv6Net> {
        let number = number(wanted.network());
        match self.leased.get(&number) {
            Some(&other) if other != holder => None,
            Some(_) | None => {
                self.leased.insert(number, holder);
                Some(network(number))
            }
        }
    }

    /// Takes a /64 back, if `holder` has it.
    pub fn release(&mut self, leased: Ipv6Net, holder: Holder) {
        let number = number(leased.network());
        if self.leased.get(&number) == Some(&holder) {
            self.leased.remove(&number);
        }
    }

    /// How many are given out.
    pub fn leased_count(&self) -> usize {
        self.leased.len()
    }

    /// How many there are.
    pub fn capacity(&self) -> u64 {
        self.networks.iter().fold(0, |sum: u64, net| sum.saturating_add(count(*net)))
    }

    fn is_free(&self, number: u64) -> bool {
        !self.excluded.contains(&number)
            && !self.reserved.contains(&number)
            && !self.leased.contains_key(&number)
    }

    /// The `index`-th /64 over all networks.
    fn at(&self, mut index: u64) -> Option<u64> {
        for net in &self.networks {
            let count = count(*net);
            if index < count {
                return number(net.network()).checked_add(index);
            }
            index -= count;
        }
        None
    }
}

/// How many /64 a network has.
fn count(net: Ipv6Net) -> u64 {
    64_u8
        .checked_sub(net.prefix_len())
        .map_or(0, |bits| 1_u64.checked_shl(bits.into()).unwrap_or(0))
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
    use alloc::vec;
    use proptest::prelude::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    fn pool(networks: &[&str]) -> Pool6 {
        Pool6::new(networks.iter().map(|n| net(n)).collect(), &[], &[])
    }

    #[test]
    fn every_64_of_every_network_is_given_out_once() {
        let mut pool = pool(&["2001:db8:0:fffe::/63", "2001:db8:9::/64", "2001:db8:a::/80"]);
        assert_eq!(pool.capacity(), 3);
        let given: Vec<_> = core::iter::from_fn(|| pool.lease(1)).collect();
        let expected = ["2001:db8:0:fffe::/64", "2001:db8:0:ffff::/64", "2001:db8:9::/64"];
        assert_eq!(given, expected.map(net));
    }

    #[test]
    fn our_own_network_goes_to_nobody_and_a_reserved_one_only_to_its_owner() {
        let own = "2001:db8::1".parse().unwrap();
        let reserved = net("2001:db8:0:1::/64");
        let mut pool = Pool6::new(vec![net("2001:db8::/62")], &[own], &[reserved]);
        let given: Vec<_> = core::iter::from_fn(|| pool.lease(9)).collect();
        assert_eq!(given, ["2001:db8:0:2::/64", "2001:db8:0:3::/64"].map(net));
        assert_eq!(pool.lease_fixed(reserved, 1), Some(reserved));
        assert_eq!(pool.lease_fixed(reserved, 2), None);
        pool.release(reserved, 2);
        assert_eq!(pool.lease_fixed(reserved, 1), Some(reserved), "once more is no harm");
        pool.release(reserved, 1);
        assert_eq!(pool.lease_fixed(reserved, 2), Some(reserved));
    }

    #[test]
    fn a_returned_network_rests_and_leases_survive_a_new_configuration() {
        let mut pool = pool(&["2001:db8::/62"]);
        let first = pool.lease(1).unwrap();
        pool.release(first, 1);
        assert_ne!(pool.lease(2), Some(first));
        pool.reconfigure(vec![net("2001:db8:7::/64")], &[], &[]);
        assert_eq!(pool.leased_count(), 1);
        assert_eq!(pool.lease(3), Some(net("2001:db8:7::/64")));
        assert_eq!(pool.lease(4), None);
    }

    proptest! {
        #[test]
        fn no_network_is_held_twice(steps in prop::collection::vec((any::<bool>(), 0_u64..8), 0..200)) {
            let mut pool = pool(&["2001:db8::/61"]);
            let mut held: BTreeMap<Ipv6Net, u64> = BTreeMap::new();
            for (take, holder) in steps {
                if take {
                    if let Some(net) = pool.lease(holder) {
                        prop_assert!(held.insert(net, holder).is_none());
                    } else {
                        prop_assert_eq!(held.len(), 8);
                    }
                } else if let Some(net) = held.iter().find(|(_, h)| **h == holder).map(|(n, _)| *n) {
                    held.remove(&net);
                    pool.release(net, holder);
                }
                prop_assert_eq!(pool.leased_count(), held.len());
            }
        }
    }
}
