//! Which session an inner address is behind: longest prefix first, the newest session among equals.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::IpNet;
use isthmus_core::Key;

/// The destinations of one TUN device.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    v4: Family<u32>,
    v6: Family<u128>,
    /// Routes a newer session with the same prefix has taken over, oldest first.
    shadowed: Vec<(IpNet, Key)>,
}

impl Routes {
    /// Leads a prefix to a session. A session that had it gets it back when this one is gone.
    pub(crate) fn insert(&mut self, prefix: IpNet, session: Key) {
        let prefix = prefix.trunc();
        if let Some(before) = self.set(prefix, Some(session)) {
            self.shadowed.retain(|route| *route != (prefix, session));
            self.shadowed.push((prefix, before));
        }
    }

    /// Forgets that a prefix leads to a session.
    pub(crate) fn remove(&mut self, prefix: IpNet, session: Key) {
        let prefix = prefix.trunc();
        self.shadowed.retain(|route| *route != (prefix, session));
        let current = match prefix {
            IpNet::V4(net) => self.v4.exact(u32::from(net.network()), net.prefix_len()),
            IpNet::V6(net) => self.v6.exact(u128::from(net.network()), net.prefix_len()),
        };
        if current == Some(session) {
            let heir = self.shadowed.iter().rposition(|route| route.0 == prefix);
            let heir = heir.map(|at| self.shadowed.remove(at).1);
            self.set(prefix, heir);
        }
    }

    /// The session an address is behind.
    pub(crate) fn find(&self, address: IpAddr) -> Option<Key> {
        match address {
            IpAddr::V4(address) => self.v4.find(u32::from(address)),
            IpAddr::V6(address) => self.v6.find(u128::from(address)),
        }
    }

    /// Whether nothing leads anywhere.
    pub(crate) const fn is_empty(&self) -> bool {
        self.v4.lengths.is_empty() && self.v6.lengths.is_empty()
    }

    fn set(&mut self, prefix: IpNet, session: Option<Key>) -> Option<Key> {
        match prefix {
            IpNet::V4(net) => self.v4.set(u32::from(net.network()), net.prefix_len(), session),
            IpNet::V6(net) => self.v6.set(u128::from(net.network()), net.prefix_len(), session),
        }
    }
}

/// The prefixes of one IP version, a table for each length in use, longest first. Real gateways have
/// one length (hosts) and perhaps a few more (branch networks).
#[derive(Debug, Default)]
struct Family<A> {
    lengths: Vec<Length<A>>,
}

#[derive(Debug)]
struct Length<A> {
    len: u8,
    mask: A,
    sessions: BTreeMap<A, Key>,
}

impl<A: Address> Family<A> {
    fn find(&self, address: A) -> Option<Key> {
        self.lengths.iter().find_map(|l| l.sessions.get(&address.masked(l.mask)).copied())
    }

    fn exact(&self, network: A, len: u8) -> Option<Key> {
        let at = self.lengths.binary_search_by(|l| len.cmp(&l.len)).ok()?;
        self.lengths.get(at)?.sessions.get(&network).copied()
    }

    fn set(&mut self, network: A, len: u8, session: Option<Key>) -> Option<Key> {
        let found = self.lengths.binary_search_by(|l| len.cmp(&l.len));
        let at = found.unwrap_or_else(|at| {
            self.lengths.insert(at, Length { len, mask: A::mask(len), sessions: BTreeMap::new() });
            at
        });
        let table = &mut self.lengths.get_mut(at)?.sessions;
        let before = match session {
            Some(session) => table.insert(network, session),
            None => table.remove(&network),
        };
        if table.is_empty() {
            self.lengths.remove(at);
        }
        before
    }
}

/// An IP address as a number.
trait Address: Copy + Ord {
    fn mask(len: u8) -> Self;
    fn masked(self, mask: Self) -> Self;
}

impl Address for u32 {
    fn mask(len: u8) -> Self {
        Self::MAX.checked_shl(Self::BITS - u32::from(len)).unwrap_or(0)
    }

    fn masked(self, mask: Self) -> Self {
        self & mask
    }
}

impl Address for u128 {
    fn mask(len: u8) -> Self {
        Self::MAX.checked_shl(Self::BITS - u32::from(len)).unwrap_or(0)
    }

    fn masked(self, mask: Self) -> Self {
        self & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn key(n: u32) -> Key {
        Key::from_raw(1 << 20 | n)
    }

    fn find(routes: &Routes, address: &str) -> Option<Key> {
        routes.find(address.parse().unwrap())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut routes = Routes::default();
        routes.insert(net("0.0.0.0/0"), key(1));
        routes.insert(net("10.0.0.0/8"), key(2));
        routes.insert(net("10.1.2.3/32"), key(3));
        routes.insert(net("2001:db8::/32"), key(4));
        routes.insert(net("2001:db8::7/128"), key(5));
        assert_eq!(find(&routes, "192.0.2.1"), Some(key(1)));
        assert_eq!(find(&routes, "10.9.9.9"), Some(key(2)));
        assert_eq!(find(&routes, "10.1.2.3"), Some(key(3)));
        assert_eq!(find(&routes, "2001:db8::8"), Some(key(4)));
        assert_eq!(find(&routes, "2001:db8::7"), Some(key(5)));
        assert_eq!(find(&routes, "2001:db9::7"), None);
    }

    #[test]
    fn host_bits_of_a_prefix_do_not_matter() {
        let mut routes = Routes::default();
        routes.insert(net("10.1.2.3/8"), key(1));
        assert_eq!(find(&routes, "10.7.7.7"), Some(key(1)));
        routes.remove(net("10.9.9.9/8"), key(1));
        assert!(routes.is_empty());
    }

    #[test]
    fn a_late_close_of_the_old_session_does_not_take_the_new_ones_address() {
        let mut routes = Routes::default();
        routes.insert(net("10.1.2.3/32"), key(1));
        routes.insert(net("10.1.2.3/32"), key(2));
        routes.insert(net("10.1.2.3/32"), key(2));
        routes.remove(net("10.1.2.3/32"), key(1));
        assert_eq!(find(&routes, "10.1.2.3"), Some(key(2)));
        routes.remove(net("10.1.2.3/32"), key(2));
        assert!(routes.is_empty() && routes.shadowed.is_empty());
    }

    #[test]
    fn a_shadowed_session_gets_its_address_back() {
        let mut routes = Routes::default();
        for n in [1, 2, 3] {
            routes.insert(net("10.0.0.0/24"), key(n));
        }
        routes.remove(net("10.0.0.0/24"), key(3));
        assert_eq!(find(&routes, "10.0.0.9"), Some(key(2)));
    }

    proptest! {
        #[test]
        fn lookups_agree_with_a_scan(
            prefixes in prop::collection::vec((any::<u32>(), 0u8..=32), 1..20),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            addresses in prop::collection::vec(any::<u32>(), 1..20),
        ) {
            let mut routes = Routes::default();
            let mut model: Vec<(IpNet, Key)> = Vec::new();
            for (n, (address, len)) in (0..).zip(&prefixes) {
                let prefix = IpNet::new(IpAddr::V4((*address).into()), *len).unwrap().trunc();
                routes.insert(prefix, key(n));
                model.push((prefix, key(n)));
            }
            for index in removed {
                if model.is_empty() { break; }
                let (prefix, session) = model.remove(index.index(model.len()));
                routes.remove(prefix, session);
            }
            let near = prefixes.iter().map(|(address, _)| *address);
            for address in addresses.into_iter().chain(near) {
                let address = IpAddr::V4(address.into());
                let longest = model.iter().filter(|(p, _)| p.contains(&address)).max_by_key(|(p, _)| p.prefix_len());
                prop_assert_eq!(routes.find(address), longest.map(|(_, session)| *session));
            }
        }
    }
}
