//! Addresses to give out: one pool per tenant, in prefixes, with addresses kept for named users.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::config::Tenant;
use crate::login::Grant;
use crate::pool6::Pool6;
use crate::session::Lease;

/// Who holds an address: opaque to the pool.
pub type Holder = u64;

/// Everything of one tenant that can be given out.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pub(crate) v4: Pool,
    pub(crate) v6: Pool6,
}

impl Pools {
    /// What a tenant has to give.
    pub(crate) fn of(tenant: &Tenant) -> Self {
        let mut pools = Self::default();
        pools.reconfigure(tenant);
        pools
    }

    /// Takes over a tenant's new configuration; leases go on.
    pub(crate) fn reconfigure(&mut self, tenant: &Tenant) {
        let users = &tenant.users;
        let own = [tenant.gateway_address];
        self.v4.reconfigure(tenant.pool.clone(), &own, &users.fixed_addresses());
        let own: Vec<_> = tenant.gateway_address6.into_iter().collect();
        self.v6.reconfigure(tenant.pool6.clone(), &own, &users.fixed_prefixes());
    }

    /// Takes back what a session held and was not granted anew.
    pub(crate) fn give_back(&mut self, old: &Lease, granted: &Grant, holder: Holder) {
        if old.address != granted.address {
            self.v4.release(old.address, holder);
        }
        if let Some(prefix) = old.prefix6.filter(|_| old.prefix6 != granted.prefix6) {
            self.v6.release(prefix, holder);
        }
    }

    /// Takes back what a session held.
    pub(crate) fn release(&mut self, lease: &Lease, holder: Holder) {
        self.v4.release(lease.address, holder);
        if let Some(prefix) = lease.prefix6 {
            self.v6.release(prefix, holder);
        }
    }
}

/// The addresses of one tenant.
///
/// Free addresses are handed out in rising order from where the last search ended, so that an address
/// is not used again at once by somebody else.
#[derive(Debug, Default)]
pub struct Pool {
    prefixes: Vec<Ipv4Net>,
    /// Never handed out: our own address.
    excluded: BTreeSet<Ipv4Addr>,
    /// Handed out only by name.
    reserved: BTreeSet<Ipv4Addr>,
    leased: BTreeMap<Ipv4Addr, Holder>,
    /// Where the next search begins.
    next: u64,
}

impl Pool {
    /// A pool over `prefixes`. `excluded` are never given out, `reserved` only by name.
    pub fn new(prefixes: Vec<Ipv4Net>, excluded: &[Ipv4Addr], reserved: &[Ipv4Addr]) -> Self {
        Self {
            prefixes,
            excluded: excluded.iter().copied().collect(),
            reserved: reserved.iter().copied().collect(),
            leased: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes over new prefixes, exclusions and reservations; leases go on.
    pub fn reconfigure(
        &mut self,
        prefixes: Vec<Ipv4Net>,
        excluded: &[Ipv4Addr],
        reserved: &[Ipv4Addr],
    ) {
        let leased = core::mem::take(&mut self.leased);
        *self = Self { leased, next: self.next, ..Self::new(prefixes, excluded, reserved) };
    }

    /// Gives out any free address; none when the pool is exhausted.
    pub fn lease(&mut self, holder: Holder) -> Option<Ipv4Addr> {
        let size = self.host_count();
        let start = if self.next < size { self.next } else { 0 };
        // One pass over the pool at most; each step skips one taken address, so the cost is bounded
        // by the number of leases.
        let index = (start..size)
            .chain(0..start)
            .find(|&index| self.host(index).is_some_and(|address| self.is_free(address)))?;
        let address = self.host(index)?;
        self.next = index + 1;
        self.leased.insert(address, holder);
        Some(address)
    }

    /// Gives out one particular address (a user's own); none while somebody else holds it.
    ///
    /// The address may lie outside the prefixes: a user's fixed address is the operator's word.
    pub fn lease_fixed(&mut self, address: Ipv4Addr, holder: Holder) -> Option<Ipv4Addr> {
        match self.leased.get(&address) {
            Some(&other) if other != holder => None,
            Some(_) | None => {
                self.leased.insert(address, holder);
                Some(address)
            }
        }
    }

    /// Takes an address back, if `holder` has it.
    pub fn release(&mut self, address: Ipv4Addr, holder: Holder) {
        if self.leased.get(&address) == Some(&holder) {
            self.leased.remove(&address);
        }
    }

    /// Who holds the address.
    pub fn holder(&self, address: Ipv4Addr) -> Option<Holder> {
        self.leased.get(&address).copied()
    }

    /// Number of addresses given out.
    pub fn leased_count(&self) -> usize {
        self.leased.len()
    }

    /// Number of addresses that can be given out at all.
    pub fn capacity(&self) -> u64 {
        let kept = self
            .excluded
            .iter()
            .filter(|a| self.prefixes.iter().any(|p| hosts(*p).is_some_and(|h| h.contains(**a))))
            .count();
        self.host_count() - u64::try_from(kept).unwrap_or(0)
    }

    fn is_free(&self, address: Ipv4Addr) -> bool {
        !self.excluded.contains(&address)
            && !self.reserved.contains(&address)
            && !self.leased.contains_key(&address)
    }

    fn host_count(&self) -> u64 {
        self.prefixes.iter().filter_map(|p| hosts(*p)).map(Hosts::count).sum()
    }

    /// The `index`-th usable address over all prefixes.
    fn host(&self, mut index: u64) -> Option<Ipv4Addr> {
        for range in self.prefixes.iter().filter_map(|p| hosts(*p)) {
            if index < range.count() {
                let offset = u32::try_from(index).ok()?;
                return Some(Ipv4Addr::from_bits(range.first.checked_add(offset)?));
            }
            index -= range.count();
        }
        None
    }
}

/// The usable addresses of a prefix: without network and broadcast address, unless it is a /31 or /32.
#[derive(Clone, Copy)]
struct Hosts {
    first: u32,
    last: u32,
}

impl Hosts {
    fn count(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address.to_bits())
    }
}

fn hosts(prefix: Ipv4Net) -> Option<Hosts> {
    let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
    if prefix.prefix_len() >= 31 {
        return Some(Hosts { first, last });
    }
    Some(Hosts { first: first.checked_add(1)?, last: last.checked_sub(1)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn pool(prefix: &str) -> Pool {
        Pool::new(vec![prefix.parse().unwrap()], &[], &[])
    }

    #[test]
    fn network_and_broadcast_addresses_stay_in_the_pool() {
        let mut pool = pool("10.0.0.0/30");
        assert_eq!(pool.lease(1), Some(address("10.0.0.1")));
        assert_eq!(pool.lease(2), Some(address("10.0.0.2")));
        assert_eq!(pool.lease(3), None);
    }

    #[test]
    fn an_address_comes_back_only_from_its_holder() {
        let mut pool = pool("10.0.0.1/32");
        assert_eq!(pool.lease(1), Some(address("10.0.0.1")));
        pool.release(address("10.0.0.1"), 2);
        assert_eq!(pool.lease(3), None);
        pool.release(address("10.0.0.1"), 1);
        assert_eq!(pool.lease(3), Some(address("10.0.0.1")));
    }

    #[test]
    fn a_returned_address_rests_before_it_is_used_again() {
        let mut pool = pool("10.0.0.0/29");
        let first = pool.lease(1).unwrap();
        pool.release(first, 1);
        assert_ne!(pool.lease(2), Some(first));
    }

    #[test]
    fn reserved_addresses_go_only_to_their_owner_and_our_own_to_nobody() {
        let mut pool = Pool::new(
            vec!["10.0.0.0/29".parse().unwrap()],
            &[address("10.0.0.1")],
            &[address("10.0.0.2")],
        );
        assert_eq!(pool.capacity(), 5);
        let leases: Vec<_> = core::iter::from_fn(|| pool.lease(9)).collect();
        assert_eq!(leases.len(), 4);
        assert!(!leases.contains(&address("10.0.0.1")) && !leases.contains(&address("10.0.0.2")));
        assert_eq!(pool.lease_fixed(address("10.0.0.2"), 1), Some(address("10.0.0.2")));
        assert_eq!(pool.lease_fixed(address("10.0.0.2"), 2), None);
    }

    #[test]
    fn leases_survive_a_new_configuration() {
        let mut pool = pool("10.0.0.0/29");
        let first = pool.lease(1).unwrap();
        pool.reconfigure(vec!["10.0.0.0/28".parse().unwrap()], &[], &[]);
        assert_eq!(pool.holder(first), Some(1));
        assert_eq!(pool.leased_count(), 1);
    }

    proptest! {
        #[test]
        fn no_address_is_held_twice(steps in proptest::collection::vec((any::<bool>(), 0u64..8), 0..200)) {
            let mut pool = pool("192.0.2.0/28");
            let mut held: BTreeMap<Ipv4Addr, u64> = BTreeMap::new();
            for (take, holder) in steps {
                if take {
                    if let Some(address) = pool.lease(holder) {
                        prop_assert!(held.insert(address, holder).is_none());
                    } else {
                        prop_assert_eq!(held.len(), 14);
                    }
                } else if let Some(address) = held.iter().find(|(_, h)| **h == holder).map(|(a, _)| *a) {
                    held.remove(&address);
                    pool.release(address, holder);
                }
                prop_assert_eq!(pool.leased_count(), held.len());
            }
        }
    }
}
