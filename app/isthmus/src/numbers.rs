//! Numbers that stay while the gateway runs: of tenants, and of the keys that lead to them.
//!
//! Peers, sessions, devices, routing tables and IKE exchanges under way know a tenant or a key by its
//! number. So a reload gives the same number to the same tenant (by name) and the same key, wherever it
//! stands in the file now. A tenant's number goes to another one only when it has been nobody's for a
//! while; a key's never does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use isthmus_core::SecretBytes;
use isthmus_ike::{PskId, RemoteMatch};

use crate::config::Tenant;

/// The numbers given out so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    tenants: BTreeMap<String, u16>,
    /// Numbers of tenants that have gone, and since when.
    vacant: BTreeMap<u16, Instant>,
    keys: Vec<(Key, u32)>,
    next_key: u32,
}

/// What leads to tenants.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// A pre-shared key, and whom it is for.
    Psk(SecretBytes, Option<RemoteMatch>),
    /// The certificate of an authority, DER.
    Authority(Vec<u8>),
}

impl Numbers {
    /// As a gateway that runs tells them.
    pub(crate) fn told(tenants: BTreeMap<String, u16>) -> Self {
        Self { tenants, ..Self::default() }
    }

    /// Gives each tenant its number; those that are not among them lose theirs.
    pub(crate) fn renumber(&mut self, tenants: &[Tenant], now: Instant) {
        let wanted: BTreeSet<&str> = tenants.iter().map(|tenant| &*tenant.name).collect();
        let gone = self.tenants.extract_if(.., |name, _| !wanted.contains(&**name));
        self.vacant.extend(gone.map(|(_, number)| (number, now)));
        for tenant in tenants {
            if !self.tenants.contains_key(&tenant.name) {
                let number = self.free(now);
                self.vacant.remove(&number);
                self.tenants.insert(tenant.name.clone(), number);
            }
        }
    }

    /// The number of a tenant.
    pub(crate) fn tenant(&self, name: &str) -> Option<u16> {
        self.tenants.get(name).copied()
    }

    /// How many places there are, vacant ones among them.
    pub(crate) fn places(&self) -> u16 {
        self.tenants.values().max().map_or(0, |last| last + 1)
    }

    /// The number of a key, which it has had from its first use.
    pub(crate) fn key(&mut self, key: Key) -> PskId {
        if let Some((_, number)) = self.keys.iter().find(|(known, _)| *known == key) {
            return PskId(*number);
        }
        let number = self.next_key;
        self.next_key += 1;
        self.keys.push((key, number));
        PskId(number)
    }

    /// Forgets keys that lead to nobody any more; their numbers are given to no other.
    pub(crate) fn keep_keys(&mut self, used: &BTreeSet<PskId>) {
        self.keys.retain(|(_, number)| used.contains(&PskId(*number)));
    }

    fn free(&self, now: Instant) -> u16 {
        let rested = |since: &Instant| now.duration_since(*since) >= REST;
        let taken: BTreeSet<u16> = self.tenants.values().copied().collect();
        let is_free =
            |number: &u16| !taken.contains(number) && self.vacant.get(number).is_none_or(rested);
        (0..u16::MAX).find(is_free).unwrap_or(u16::MAX)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Psk(..) => "Psk",
            Self::Authority(_) => "Authority",
        })
    }
}

/// How long a tenant's number is nobody's before another tenant gets it: longer than the farewell of its last
/// peer takes.
const REST: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants(names: &[&str]) -> Vec<Tenant> {
        let (config, _) = crate::config::example_for_tests();
        let first = config.tenants.first().unwrap();
        names.iter().map(|name| Tenant { name: (*name).into(), ..first.clone() }).collect()
    }

    #[test]
    fn a_tenant_keeps_its_number_and_leaves_it_to_another_after_a_while() {
        let (mut numbers, start) = (Numbers::default(), Instant::now());
        numbers.renumber(&tenants(&["a", "b", "c"]), start);
        numbers.renumber(&tenants(&["new", "c", "a"]), start);
        let all = |numbers: &Numbers, names: [&str; 3]| names.map(|name| numbers.tenant(name));
        assert_eq!(all(&numbers, ["a", "c", "new"]), [Some(0), Some(2), Some(3)]);
        assert_eq!((numbers.tenant("b"), numbers.places()), (None, 4));
        numbers.renumber(&tenants(&["new", "c", "a", "b"]), start + REST);
        assert_eq!(numbers.tenant("b"), Some(1), "rested");
    }

    #[test]
    fn a_key_keeps_its_number_and_leaves_it_to_nobody() {
        let mut numbers = Numbers::default();
        let psk = |text: &str| Key::Psk(SecretBytes::copy_of(text.as_bytes()), None);
        let group = || {
            let group = Some(RemoteMatch::Group(b"g".to_vec()));
            Key::Psk(SecretBytes::copy_of(b"one"), group)
        };
        let (one, two, three) =
            (numbers.key(psk("one")), numbers.key(psk("two")), numbers.key(group()));
        assert_eq!((one, two, three), (PskId(0), PskId(1), PskId(2)));
        assert_eq!(numbers.key(Key::Authority(vec![1])), PskId(3));
        numbers.keep_keys(&[two].into());
        assert_eq!((numbers.key(psk("two")), numbers.key(psk("one"))), (two, PskId(4)));
        assert!(!format!("{numbers:?}").contains("one"));
    }
}
