//! Addresses to give out: one pool per tenant, in prefixes, with addresses kept for named users.

mod space;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::RangeInclusive;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::advice::Advice;
use crate::config::Tenant;
use crate::held::LimitCounts;
use crate::limits::LoggedIn;
use crate::login::Grant;
use crate::pool6::Pool6;
use crate::session::Lease;
use crate::users::User;

pub(crate) use space::{Space, hash};

/// Who holds an address: opaque to the pool.
pub type Holder = u64;

/// Everything of one tenant that can be given out.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pub(crate) v4: Pool,
    pub(crate) v6: Pool6,
    pub(crate) logged_in: LoggedIn,
    /// How often limits have held.
    pub(crate) held: LimitCounts,
    /// What clients are told: those of the tenant, then those of each group. Most sessions share it.
    advice: Vec<Arc<Advice>>,
}

impl Pools {
    /// What a tenant has to give.
    pub(crate) fn of(tenant: &Tenant) -> Self {
        let mut pools = Self::default();
        pools.reconfigure(tenant);
        pools
    }

    /// What a user of a group is told.
    pub(crate) fn advice_of(&self, user: &User, group: Option<usize>) -> Arc<Advice> {
        let wider = self.advice.get(group.map_or(0, |group| group + 1));
        let wider = wider.map(Arc::clone).unwrap_or_default();
        if user.advice == Advice::NONE { wider } else { Arc::new(user.advice.or(&wider)) }
    }

    /// Takes over a tenant's new configuration; leases go on.
    pub(crate) fn reconfigure(&mut self, tenant: &Tenant) {
        if tenant.is_vacant() {
            // Who gets the place begins at zero.
            self.held = LimitCounts::default();
        }
        let of_groups = tenant.groups.iter().map(|group| group.advice.or(&tenant.advice));
        self.advice =
            core::iter::once(tenant.advice.clone()).chain(of_groups).map(Arc::new).collect();
        let users = &tenant.users;
        let own = [IpAddr::V4(tenant.gateway_address)];
        let excluded = with(&own, &tenant.exclude);
        let parts: Vec<&[Ipv4Net]> = core::iter::once(tenant.pool.as_slice())
            .chain(tenant.groups.iter().map(|group| group.pool.as_slice()))
            .collect();
        self.v4.reconfigure(&parts, &excluded, &users.fixed_addresses());
        let own: Vec<_> = tenant.gateway_address6.into_iter().map(IpAddr::V6).collect();
        let excluded = with(&own, &tenant.exclude);
        let parts: Vec<&[Ipv6Net]> = core::iter::once(tenant.pool6.as_slice())
            .chain(tenant.groups.iter().map(|group| group.pool6.as_slice()))
            .collect();
        self.v6.reconfigure(&parts, &excluded, &users.fixed_prefixes());
    }

    /// Notes that somebody has logged in.
    pub(crate) fn enter(&mut self, user: &str, group: Option<&str>, holder: Holder) {
        self.logged_in.enter(user, group, holder);
    }

    /// Takes back what a session held and was not granted anew.
    pub(crate) fn give_back(&mut self, old: &Lease, granted: &Grant, holder: Holder) {
        if (&old.user, &old.group) != (&granted.user, &granted.group) {
            self.logged_in.leave(&old.user, old.group.as_deref(), holder);
        }
        if old.address != granted.address {
            self.v4.release(old.address, &old.user, holder);
        }
        if let Some(prefix) = old.prefix6.filter(|_| old.prefix6 != granted.prefix6) {
            self.v6.release(prefix, &old.user, holder);
        }
    }

    /// Takes back what a session held.
    pub(crate) fn release(&mut self, lease: &Lease, holder: Holder) {
        self.logged_in.leave(&lease.user, lease.group.as_deref(), holder);
        self.v4.release(lease.address, &lease.user, holder);
        if let Some(prefix) = lease.prefix6 {
            self.v6.release(prefix, &lease.user, holder);
        }
    }
}

/// Addresses of ours and what the operator keeps back.
fn with(own: &[IpAddr], exclude: &[RangeInclusive<IpAddr>]) -> Vec<RangeInclusive<IpAddr>> {
    own.iter().map(|own| *own..=*own).chain(exclude.iter().cloned()).collect()
}

/// The IPv4 addresses of one tenant; a user who comes back gets the one that he had, if it is free.
#[derive(Debug, Default)]
pub struct Pool(Space);

impl Pool {
    /// A pool over `prefixes`. `excluded` are never given out, `reserved` only by name.
    pub fn new(
        prefixes: &[Ipv4Net],
        excluded: &[RangeInclusive<IpAddr>],
        reserved: &[Ipv4Addr],
    ) -> Self {
        let mut pool = Self::default();
        pool.reconfigure(&[prefixes], excluded, reserved);
        pool
    }

    /// Takes over new prefixes, exclusions and reservations; leases go on. The first prefixes are for
    /// everybody, the others, which may lie within, are parts set apart.
    pub fn reconfigure(
        &mut self,
        prefixes: &[&[Ipv4Net]],
        excluded: &[RangeInclusive<IpAddr>],
        reserved: &[Ipv4Addr],
    ) {
        let excluded: Vec<_> = excluded
            .iter()
            .filter_map(|range| match (range.start(), range.end()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => Some(number(*first)..=number(*last)),
                (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
            })
            .collect();
        let reserved = reserved.iter().copied().map(number).collect();
        let parts: Vec<Vec<_>> =
            prefixes.iter().map(|part| part.iter().copied().map(hosts).collect()).collect();
        self.0.reconfigure(&parts, &excluded, reserved);
    }

    /// Gives out a free address that is for everybody, that of `user` if it can be; none when the pool is
    /// exhausted.
    pub fn lease(&mut self, user: &str, holder: Holder) -> Option<Ipv4Addr> {
        self.lease_of(EVERYBODY, user, holder)
    }

    /// The same, of a part.
    pub fn lease_of(&mut self, part: usize, user: &str, holder: Holder) -> Option<Ipv4Addr> {
        self.0.lease(part, user, holder).and_then(address)
    }

    /// Gives out one particular address (a user's own); none while somebody else holds it.
    ///
    /// The address may lie outside the prefixes: a user's fixed address is the operator's word.
    pub fn lease_fixed(&mut self, address: Ipv4Addr, holder: Holder) -> Option<Ipv4Addr> {
        self.0.lease_fixed(number(address), holder).then_some(address)
    }

    /// Takes an address of `user` back, if `holder` has it.
    pub fn release(&mut self, address: Ipv4Addr, user: &str, holder: Holder) {
        self.0.release(number(address), user, holder);
    }

    /// Who holds the address.
    pub fn holder(&self, address: Ipv4Addr) -> Option<Holder> {
        self.0.holder(number(address))
    }

    /// Number of addresses given out.
    pub fn leased_count(&self) -> usize {
        self.0.leased_count()
    }

    /// Number of addresses that can be given out at all.
    pub fn capacity(&self) -> u64 {
        self.0.capacity()
    }

    /// The same, of a part.
    pub fn capacity_of(&self, part: usize) -> u64 {
        self.0.capacity_of(part)
    }
}

/// The part that is set apart for nobody.
pub(crate) const EVERYBODY: usize = 0;

fn number(address: Ipv4Addr) -> u64 {
    address.to_bits().into()
}

fn address(number: u64) -> Option<Ipv4Addr> {
    u32::try_from(number).ok().map(Ipv4Addr::from_bits)
}

/// The usable addresses of a prefix: without network and broadcast address, unless it is a /31 or /32.
fn hosts(prefix: Ipv4Net) -> RangeInclusive<u64> {
    let (first, last) = (number(prefix.network()), number(prefix.broadcast()));
    if prefix.prefix_len() >= 31 { first..=last } else { first + 1..=last - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    fn pool(prefix: &str) -> Pool {
        Pool::new(&[prefix.parse().unwrap()], &[], &[])
    }

    #[test]
    fn network_and_broadcast_addresses_stay_in_the_pool() {
        let mut pool = pool("10.0.0.0/30");
        assert_eq!(pool.lease("u1", 1), Some(address("10.0.0.1")));
        assert_eq!(pool.lease("u2", 2), Some(address("10.0.0.2")));
        assert_eq!(pool.lease("u3", 3), None);
    }

    #[test]
    fn an_address_comes_back_only_from_its_holder() {
        let mut pool = pool("10.0.0.1/32");
        assert_eq!(pool.lease("u1", 1), Some(address("10.0.0.1")));
        pool.release(address("10.0.0.1"), "u2", 2);
        assert_eq!(pool.lease("u3", 3), None);
        pool.release(address("10.0.0.1"), "u1", 1);
        assert_eq!(pool.lease("u3", 3), Some(address("10.0.0.1")));
    }

    #[test]
    fn a_returned_address_rests_before_it_is_used_again() {
        let mut pool = pool("10.0.0.0/29");
        let first = pool.lease("u1", 1).unwrap();
        pool.release(first, "u1", 1);
        assert_ne!(pool.lease("u2", 2), Some(first));
    }

    #[test]
    fn reserved_addresses_go_only_to_their_owner_and_our_own_to_nobody() {
        let mut pool = Pool::new(
            &["10.0.0.0/29".parse().unwrap()],
            &with(&[address("10.0.0.1").into()], &[]),
            &[address("10.0.0.2")],
        );
        assert_eq!(pool.capacity(), 5);
        let leases: Vec<_> = core::iter::from_fn(|| pool.lease("u9", 9)).collect();
        assert_eq!(leases.len(), 4);
        assert!(!leases.contains(&address("10.0.0.1")) && !leases.contains(&address("10.0.0.2")));
        assert_eq!(pool.lease_fixed(address("10.0.0.2"), 1), Some(address("10.0.0.2")));
        assert_eq!(pool.lease_fixed(address("10.0.0.2"), 2), None);
    }

    #[test]
    fn leases_survive_a_new_configuration() {
        let mut pool = pool("10.0.0.0/29");
        let first = pool.lease("u1", 1).unwrap();
        pool.reconfigure(&[&["10.0.0.0/28".parse().unwrap()]], &[], &[]);
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
                    if let Some(address) = pool.lease("uholder", holder) {
                        prop_assert!(held.insert(address, holder).is_none());
                    } else {
                        prop_assert_eq!(held.len(), 14);
                    }
                } else if let Some(address) = held.iter().find(|(_, h)| **h == holder).map(|(a, _)| *a) {
                    held.remove(&address);
                    pool.release(address, "uholder", holder);
                }
                prop_assert_eq!(pool.leased_count(), held.len());
            }
        }
    }
}
