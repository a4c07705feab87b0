//! How a datagram finds its IKE SA, and how many half-open exchanges there may be.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use isthmus_core::{Duration, Instant, Key};

use crate::action::PeerId;
use crate::codec::Cookies;
use crate::error::Rejected;

/// What names an attempt before the responder cookie exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Initiation {
    cookie: [u8; 8],
    remote: SocketAddr,
}

impl Initiation {
    pub(crate) const fn new(cookie: [u8; 8], remote: SocketAddr) -> Self {
        Self { cookie, remote }
    }
}

/// Indexes over IKE SAs and peers.
#[derive(Debug, Default)]
pub(crate) struct Table {
    by_cookies: BTreeMap<Cookies, Key>,
    /// Attempts of others, by their first message.
    initiations: BTreeMap<Initiation, Key>,
    /// Attempts of our own that have no answer yet, by our cookie.
    outgoing: BTreeMap<[u8; 8], Key>,
    /// Attempts of others that are not authenticated, with their source.
    half_open: BTreeMap<Key, IpAddr>,
    per_source: BTreeMap<IpAddr, usize>,
    /// Half-open attempts that have not shown they receive our answers, oldest first.
    unproven: BTreeSet<(Instant, Key)>,
    /// Attempts that were refused.
    spent: BTreeSet<Initiation>,
    spent_order: VecDeque<(Instant, Initiation)>,
    /// Peers by the address they are reached at.
    remotes: BTreeSet<(SocketAddr, PeerId)>,
}

impl Table {
    /// The SA of a message.
    pub(crate) fn find(&self, cookies: &Cookies) -> Option<Key> {
        let outgoing = || self.outgoing.get(&cookies.initiator);
        self.by_cookies.get(cookies).or_else(outgoing).copied()
    }

    pub(crate) fn initiation(&self, initiation: Initiation) -> Option<Key> {
        self.initiations.get(&initiation).copied()
    }

    pub(crate) fn add_half_open(
        &mut self,
        cookies: Cookies,
        remote: SocketAddr,
        now: Instant,
        key: Key,
    ) {
        let source = source(remote.ip());
        self.by_cookies.insert(cookies, key);
        self.initiations.insert(Initiation::new(cookies.initiator, remote), key);
        self.half_open.insert(key, source);
        *self.per_source.entry(source).or_default() += 1;
        self.unproven.insert((now, key));
    }

    pub(crate) fn add_outgoing(&mut self, cookie: [u8; 8], key: Key) {
        self.outgoing.insert(cookie, key);
    }

    /// Names an established SA, when it is restored from a record.
    pub(crate) fn add_established(&mut self, cookies: Cookies, key: Key) {
        self.by_cookies.insert(cookies, key);
    }

    /// Message 2 came: the responder cookie is known.
    pub(crate) fn answered(&mut self, cookies: Cookies, key: Key) {
        self.outgoing.remove(&cookies.initiator);
        self.by_cookies.insert(cookies, key);
    }

    /// Message 3 came: the initiator receives what we send it.
    pub(crate) fn proven(&mut self, created: Instant, key: Key) {
        self.unproven.remove(&(created, key));
    }

    /// The attempt is authenticated or over.
    pub(crate) fn close_half_open(&mut self, created: Instant, key: Key) {
        self.unproven.remove(&(created, key));
        let Some(source) = self.half_open.remove(&key) else { return };
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
    }

    /// The SA is gone.
    pub(crate) fn remove(
        &mut self,
        cookies: Cookies,
        remote: SocketAddr,
        created: Instant,
        key: Key,
    ) {
        self.close_half_open(created, key);
        if self.by_cookies.get(&cookies) == Some(&key) {
            self.by_cookies.remove(&cookies);
        }
        if self.outgoing.get(&cookies.initiator) == Some(&key) {
            self.outgoing.remove(&cookies.initiator);
        }
        let initiation = Initiation::new(cookies.initiator, remote);
        if self.initiations.get(&initiation) == Some(&key) {
            self.initiations.remove(&initiation);
        }
    }

    /// Whether another half-open attempt from this address may begin.
    pub(crate) fn admits(&self, remote: IpAddr) -> Result<(), Rejected> {
        let count = self.per_source.get(&source(remote)).copied().unwrap_or(0);
        if count >= HALF_OPEN_PER_SOURCE_MAX {
            return Err(Rejected::HalfOpenSourceLimit);
        }
        if self.half_open.len() >= HALF_OPEN_MAX {
            return Err(Rejected::HalfOpenLimit);
        }
        Ok(())
    }

    /// The attempt to give up for a younger one: the oldest that may be nothing but a forged source
    /// address.
    pub(crate) fn oldest_unproven(&self) -> Option<Key> {
        self.unproven.first().map(|(_, key)| *key)
    }

    /// An attempt of the source that has most of them, and more than `remote`.
    pub(crate) fn oldest_of_greediest(&self, remote: IpAddr) -> Option<Key> {
        let own = self.per_source.get(&source(remote)).copied().unwrap_or(0);
        let (greediest, count) = self.per_source.iter().max_by_key(|(_, count)| **count)?;
        let of = |(_, from): &(&Key, &IpAddr)| *from == greediest;
        let victim = || self.half_open.iter().find(of).map(|(key, _)| *key);
        (*count > own).then(victim).flatten()
    }

    pub(crate) fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// Whether the attempt was refused a short while ago.
    pub(crate) fn is_spent(&mut self, initiation: Initiation, now: Instant) -> bool {
        while let Some((at, oldest)) = self.spent_order.front().copied() {
            if now.since(at) < HALF_OPEN_LIFETIME {
                break;
            }
            self.spent_order.pop_front();
            self.spent.remove(&oldest);
        }
        self.spent.contains(&initiation)
    }

    /// Remembers a refusal, so that it is given once.
    pub(crate) fn spend(&mut self, initiation: Initiation, now: Instant) {
        if !self.spent.insert(initiation) {
            return;
        }
        self.spent_order.push_back((now, initiation));
        if self.spent_order.len() > SPENT_MAX
            && let Some((_, oldest)) = self.spent_order.pop_front()
        {
            self.spent.remove(&oldest);
        }
    }

    pub(crate) fn add_remote(&mut self, remote: SocketAddr, peer: PeerId) {
        self.remotes.insert((remote, peer));
    }

    pub(crate) fn remove_remote(&mut self, remote: SocketAddr, peer: PeerId) {
        self.remotes.remove(&(remote, peer));
    }

    /// Peers reached at exactly this address and port.
    pub(crate) fn peers_at(&self, remote: SocketAddr) -> impl Iterator<Item = PeerId> + '_ {
        let low = (remote, PeerId(Key::from_raw(0)));
        let high = (remote, PeerId(Key::from_raw(u32::MAX)));
        self.remotes.range(low..=high).map(|(_, peer)| *peer)
    }
}

/// What counts as one source: an IPv4 address, or an IPv6 /64.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
    }
}

/// Most half-open exchanges, of 3 KiB each. When fewer fit than dial at once after an outage, they put
/// each other out.
pub const HALF_OPEN_MAX: usize = 16_384;
/// Most half-open exchanges from one address; a NAT may hide a company, and after an outage all of
/// it dials at once. The greediest address gives way when all are too many.
pub const HALF_OPEN_PER_SOURCE_MAX: usize = 1024;
/// Life of an attempt, and of the memory of a refused one.
pub const HALF_OPEN_LIFETIME: Duration = Duration::from_secs(30);
/// Most refused attempts remembered.
pub const SPENT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn initiation(n: usize) -> Initiation {
        Initiation::new((n as u64).to_be_bytes(), "192.0.2.1:500".parse().unwrap())
    }

    #[test]
    fn refusals_are_remembered_up_to_the_bound_and_for_a_while() {
        let mut table = Table::default();
        (0..=SPENT_MAX).for_each(|n| table.spend(initiation(n), Instant::ZERO));
        assert!(!table.is_spent(initiation(0), Instant::ZERO));
        assert!(table.is_spent(initiation(1), Instant::ZERO));
        assert!(!table.is_spent(initiation(1), Instant::ZERO + HALF_OPEN_LIFETIME));
        assert!(table.spent.is_empty() && table.spent_order.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let one: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let two: IpAddr = "2001:db8:0:1:ffff::2".parse().unwrap();
        assert_eq!(source(one), source(two));
        assert_ne!(source(one), source("2001:db8:0:2::1".parse().unwrap()));
    }
}
