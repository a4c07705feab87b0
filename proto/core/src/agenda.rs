//! One deadline for each of many owners, the earliest at hand.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::Instant;

/// Who wants to be called when; setting, taking and asking cost the logarithm of the number of owners.
#[derive(Debug)]
pub struct Agenda<K> {
    by_owner: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { by_owner: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Agenda<K> {
    /// An empty agenda.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets, moves or (with `None`) removes the owner's deadline.
    pub fn set(&mut self, owner: K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_owner.insert(owner, at),
            None => self.by_owner.remove(&owner),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, owner));
        }
        if let Some(at) = at {
            self.by_time.insert((at, owner));
        }
    }

    /// Takes the owner with the earliest deadline, if that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let &(at, owner) = self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&(at, owner));
        self.by_owner.remove(&owner);
        Some(owner)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_come_due_in_order_of_time_and_once() {
        let mut agenda = Agenda::new();
        agenda.set('a', Some(Instant::from_secs(3)));
        agenda.set('b', Some(Instant::from_secs(1)));
        agenda.set('c', Some(Instant::from_secs(2)));
        agenda.set('c', None);
        agenda.set('a', Some(Instant::from_secs(4)));
        assert_eq!(agenda.next(), Some(Instant::from_secs(1)));
        assert_eq!(agenda.pop_due(Instant::from_secs(3)), Some('b'));
        assert_eq!(agenda.pop_due(Instant::from_secs(3)), None);
        assert_eq!(agenda.pop_due(Instant::from_secs(9)), Some('a'));
        assert_eq!(agenda.next(), None);
    }
}
