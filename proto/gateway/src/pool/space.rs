//! What both IP versions have in common: numbers to give out, of ranges, that come back to who had them.
//!
//! ```text
//! fresh (rising, once) -> leased by a holder -> resting, for the user who had it -> leased ...
//!                                                `- oldest to others, when nothing is fresh
//! ```
//!
//! A user who comes back gets the number that he had last, as long as nobody else needs it: numbers that
//! were never used go first, then those that rest longest. Users are remembered by a hash of their name;
//! should two have the same, they only get each other's former numbers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::Holder;

/// Numbers to give out, in parts: the first is for everybody, the others for whoever they were set apart for.
#[derive(Debug, Default)]
pub(crate) struct Space {
    parts: Vec<Part>,
    /// Handed out only by name.
    reserved: BTreeSet<u64>,
    /// Of all parts, and of none: what was given stays given when the parts change.
    leased: BTreeMap<u64, Holder>,
}

/// What is given out to the same people.
#[derive(Debug, Default)]
struct Part {
    /// What there is, in order of configuration; none overlap, nor with those of other parts.
    ranges: Vec<RangeInclusive<u64>>,
    /// All of these are free.
    resting: Resting,
    /// Where the search for fresh numbers goes on, as an index over all ranges.
    next: u64,
    /// Whether a free number may be neither fresh nor resting.
    forgot: bool,
}

impl Space {
    /// Takes over what there is without what is excluded, and what is handed out only by name. The first part
    /// is what the others leave of it. Leases go on, and users are remembered.
    pub(crate) fn reconfigure(
        &mut self,
        parts: &[Vec<RangeInclusive<u64>>],
        excluded: &[RangeInclusive<u64>],
        reserved: BTreeSet<u64>,
    ) {
        let same_reserved = self.reserved == reserved;
        self.reserved = reserved;
        self.parts.resize_with(parts.len(), Part::default);
        let apart: Vec<_> = parts.iter().skip(1).flatten().cloned().collect();
        for (index, (part, ranges)) in self.parts.iter_mut().zip(parts).enumerate() {
            let others = if index == 0 { apart.as_slice() } else { &[] };
            let mut left: Vec<_> = ranges.iter().filter(|r| !r.is_empty()).cloned().collect();
            for hole in excluded.iter().chain(others) {
                left = left.iter().flat_map(|range| without(range, hole)).collect();
            }
            if left != part.ranges || !same_reserved {
                part.reconfigure(left, &self.reserved);
            }
        }
    }

    /// Gives out a free number of a part, if there is one: that of this user, a fresh one, or the one that
    /// rests longest.
    pub(crate) fn lease(&mut self, part: usize, user: &str, holder: Holder) -> Option<u64> {
        let Self { parts, reserved, leased } = self;
        let is_free = |number: u64| !reserved.contains(&number) && !leased.contains_key(&number);
        let number = parts.get_mut(part)?.choose(user, is_free)?;
        leased.insert(number, holder);
        Some(number)
    }

    /// Gives out one particular number, of a part or not; false while somebody else holds it.
    pub(crate) fn lease_fixed(&mut self, number: u64, holder: Holder) -> bool {
        if self.leased.get(&number).is_some_and(|other| *other != holder) {
            return false;
        }
        for part in &mut self.parts {
            part.resting.wake(number);
        }
        self.leased.insert(number, holder);
        true
    }

    /// Takes a number back, if `holder` has it; it rests for `user`.
    pub(crate) fn release(&mut self, number: u64, user: &str, holder: Holder) {
        if self.leased.get(&number) != Some(&holder) {
            return;
        }
        self.leased.remove(&number);
        let home = self.parts.iter_mut().find(|part| part.has(number));
        if let Some(part) = home.filter(|_| !self.reserved.contains(&number)) {
            part.forgot |= part.resting.rest(number, hash(user));
        }
    }

    /// Who holds the number.
    pub(crate) fn holder(&self, number: u64) -> Option<Holder> {
        self.leased.get(&number).copied()
    }

    /// How many are given out.
    pub(crate) fn leased_count(&self) -> usize {
        self.leased.len()
    }

    /// How many there are.
    pub(crate) fn capacity(&self) -> u64 {
        self.parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.capacity()))
    }

    /// How many a part has.
    pub(crate) fn capacity_of(&self, part: usize) -> u64 {
        self.parts.get(part).map_or(0, Part::capacity)
    }
}

impl Part {
    fn reconfigure(&mut self, ranges: Vec<RangeInclusive<u64>>, reserved: &BTreeSet<u64>) {
        (self.ranges, self.next) = (ranges, 0);
        for number in self.resting.numbers() {
            if !self.has(number) || reserved.contains(&number) {
                self.resting.wake(number);
            }
        }
    }

    /// A free number, which rests no longer.
    fn choose(&mut self, user: &str, is_free: impl Fn(u64) -> bool) -> Option<u64> {
        let number = (self.resting.latest_of(hash(user)))
            .or_else(|| self.fresh(&is_free))
            .or_else(|| self.resting.oldest())
            .or_else(|| self.forgotten(&is_free))?;
        self.resting.wake(number);
        Some(number)
    }

    fn capacity(&self) -> u64 {
        self.ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(count(range)))
    }

    fn has(&self, number: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&number))
    }

    /// The next number that nobody had since the ranges are what they are. Each is passed once.
    fn fresh(&mut self, is_free: impl Fn(u64) -> bool) -> Option<u64> {
        while let Some(number) = self.at(self.next) {
            self.next += 1;
            if is_free(number) && !self.resting.has(number) {
                return Some(number);
            }
        }
        None
    }

    /// A free number whose user was forgotten.
    fn forgotten(&mut self, is_free: impl Fn(u64) -> bool) -> Option<u64> {
        let found =
            self.ranges.iter().filter(|_| self.forgot).cloned().flatten().find(|n| is_free(*n));
        self.forgot = found.is_some();
        found
    }

    /// The number at an index over all ranges.
    fn at(&self, mut index: u64) -> Option<u64> {
        for range in &self.ranges {
            let count = count(range);
            if index < count {
                return range.start().checked_add(index);
            }
            index -= count;
        }
        None
    }
}

/// Free numbers with the users who had them.
#[derive(Debug, Default)]
struct Resting {
    /// Since when, and for whom.
    numbers: BTreeMap<u64, (u64, u64)>,
    by_user: BTreeSet<(u64, u64, u64)>,
    by_age: BTreeMap<u64, u64>,
    /// Counts what came to rest.
    clock: u64,
}

impl Resting {
    fn has(&self, number: u64) -> bool {
        self.numbers.contains_key(&number)
    }

    fn numbers(&self) -> Vec<u64> {
        self.numbers.keys().copied().collect()
    }

    fn latest_of(&self, user: u64) -> Option<u64> {
        let own = (user, 0, 0)..=(user, u64::MAX, u64::MAX);
        self.by_user.range(own).next_back().map(|(_, _, number)| *number)
    }

    fn oldest(&self) -> Option<u64> {
        self.by_age.first_key_value().map(|(_, number)| *number)
    }

    /// Remembers whose a number was; answers whether another one was forgotten for it.
    fn rest(&mut self, number: u64, user: u64) -> bool {
        self.wake(number);
        self.clock += 1;
        self.numbers.insert(number, (self.clock, user));
        self.by_user.insert((user, self.clock, number));
        self.by_age.insert(self.clock, number);
        let surplus = self.oldest().filter(|_| self.numbers.len() > RESTING_MAX);
        surplus.map(|oldest| self.wake(oldest)).is_some()
    }

    fn wake(&mut self, number: u64) {
        if let Some((since, user)) = self.numbers.remove(&number) {
            self.by_user.remove(&(user, since, number));
            self.by_age.remove(&since);
        }
    }
}

/// What is left of a range.
fn without(
    range: &RangeInclusive<u64>,
    hole: &RangeInclusive<u64>,
) -> impl Iterator<Item = RangeInclusive<u64>> + use<> {
    let (first, last) = (*range.start(), *range.end());
    let below = hole.start().checked_sub(1).map(|end| first..=last.min(end));
    let above = hole.end().checked_add(1).map(|start| first.max(start)..=last);
    below.into_iter().chain(above).filter(|part| !part.is_empty())
}

fn count(range: &RangeInclusive<u64>) -> u64 {
    (range.end() - range.start()).saturating_add(1)
}

/// FNV-1a.
pub(crate) fn hash(user: &str) -> u64 {
    user.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Most users of one pool that are remembered; whoever comes after that makes the pool forget the one who
/// left longest ago.
pub(crate) const RESTING_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;
    use proptest::prelude::*;

    fn space(ranges: &[RangeInclusive<u64>]) -> Space {
        let mut space = Space::default();
        space.reconfigure(&[ranges.to_vec()], &[], BTreeSet::new());
        space
    }

    #[test]
    fn a_user_gets_the_same_number_again_while_nobody_needs_it() {
        let mut space = space(&[1..=3]);
        assert_eq!(space.lease(0, "a", 1), Some(1));
        space.release(1, "a", 1);
        assert_eq!(space.lease(0, "b", 2), Some(2), "fresh before used");
        assert_eq!(space.lease(0, "a", 3), Some(1));
        space.release(1, "a", 3);
        space.release(2, "b", 2);
        assert_eq!(space.lease(0, "c", 4), Some(3));
        assert_eq!(space.lease(0, "d", 5), Some(1), "the one that rests longest");
        assert_eq!(space.lease(0, "a", 6), Some(2), "nothing else is left");
        assert_eq!(space.lease(0, "b", 7), None);
    }

    #[test]
    fn of_several_numbers_a_user_gets_the_last_one_first() {
        let mut space = space(&[1..=9]);
        for holder in 1..=3 {
            assert_eq!(space.lease(0, "a", holder), Some(holder));
        }
        for number in [3, 1, 2] {
            space.release(number, "a", number);
        }
        let again: Vec<_> = (11..=14).filter_map(|holder| space.lease(0, "a", holder)).collect();
        assert_eq!(again, [2, 1, 3, 4]);
    }

    #[test]
    fn what_is_excluded_is_given_to_nobody_and_cut_out_of_the_middle() {
        let mut space = Space::default();
        let holes = [0..=10, 13..=13, 15..=16, 19..=u64::MAX];
        space.reconfigure(&[vec![8..=20]], &holes, [12].into());
        assert_eq!(space.capacity(), 5);
        let given: Vec<_> = core::iter::from_fn(|| space.lease(0, "x", 1)).collect();
        assert_eq!(given, [11, 14, 17, 18]);
        assert!(space.lease_fixed(12, 2) && space.lease_fixed(13, 3), "by name");
        space.release(13, "x", 3);
        assert_eq!(space.lease(0, "x", 4), None);
    }

    #[test]
    fn a_smaller_space_forgets_what_it_has_no_more() {
        let mut space = space(&[1..=4]);
        for holder in 1..=4 {
            space.lease(0, &format!("u{holder}"), holder);
        }
        for number in 1..=3 {
            space.release(number, &format!("u{number}"), number);
        }
        space.reconfigure(&[vec![2..=4]], &[], [3].into());
        assert_eq!(space.lease(0, "u1", 11), Some(2));
        assert_eq!(space.lease(0, "u3", 12), None);
        assert_eq!(space.holder(4), Some(4));
        space.reconfigure(&[vec![2..=5]], &[], [].into());
        assert_eq!(space.lease(0, "u3", 13), Some(3));
    }

    #[test]
    fn a_part_gives_to_nobody_else_and_a_lease_outlives_a_change_of_parts() {
        let mut space = Space::default();
        space.reconfigure(&[vec![1..=6], vec![3..=4], vec![20..=20]], &[4..=4], [].into());
        assert_eq!([0, 1, 2].map(|part| space.capacity_of(part)), [4, 1, 1]);
        let all: Vec<_> = core::iter::from_fn(|| space.lease(0, "a", 1)).collect();
        assert_eq!(all, [1, 2, 5, 6]);
        assert_eq!((space.lease(1, "b", 2), space.lease(1, "b", 3)), (Some(3), None));
        assert_eq!(space.lease(2, "c", 3), Some(20));
        assert_eq!(space.lease(3, "d", 4), None, "there is no such part");
        space.release(20, "c", 3);
        assert_eq!(space.lease(0, "c", 4), None, "it rests where it is from");
        space.reconfigure(&[vec![1..=6, 20..=20]], &[], [].into());
        let left: Vec<_> = core::iter::from_fn(|| space.lease(0, "e", 5)).collect();
        assert_eq!(left, [4, 20], "3 is held");
    }

    #[test]
    fn no_more_users_are_remembered_than_the_bound_and_their_numbers_are_not_lost() {
        let most = RESTING_MAX as u64;
        let mut space = space(&[1..=most + 2]);
        let all = 1..=most + 2;
        for n in all.clone() {
            assert_eq!(space.lease(0, &format!("u{n}"), n), Some(n));
        }
        for n in all.clone() {
            space.release(n, &format!("u{n}"), n);
        }
        assert_eq!(space.parts[0].resting.numbers.len(), RESTING_MAX);
        assert_eq!(space.parts[0].resting.by_user.len(), RESTING_MAX);
        assert_eq!(space.parts[0].resting.by_age.len(), RESTING_MAX);
        assert_eq!(space.lease(0, "u3", 3), Some(3), "still known");
        assert_eq!(space.lease(0, "u1", 1), Some(4), "forgotten: the oldest one that rests");
        let rest = core::iter::from_fn(|| space.lease(0, "x", 9)).count();
        assert_eq!(rest as u64, most, "the two forgotten ones are among them");
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_set(steps in prop::collection::vec((0_u8..4, 0_u64..8, 0_u64..14), 0..200)) {
            let mut space = Space::default();
            let holes = [5..=6];
            space.reconfigure(&[vec![1..=4, 5..=8, 11..=12]], &holes, [3].into());
            let usable = [1, 2, 4, 7, 8, 11, 12];
            let mut held: BTreeMap<u64, u64> = BTreeMap::new();
            for (step, holder, number) in steps {
                let user = format!("u{holder}");
                match step {
                    0 | 1 => match space.lease(0, &user, holder) {
                        Some(number) => {
                            prop_assert!(usable.contains(&number));
                            prop_assert!(held.insert(number, holder).is_none());
                        }
                        None => prop_assert!(usable.iter().all(|n| held.contains_key(n))),
                    },
                    2 => {
                        let free = held.get(&number).is_none_or(|other| *other == holder);
                        prop_assert_eq!(space.lease_fixed(number, holder), free);
                        if free {
                            held.insert(number, holder);
                        }
                    }
                    _ => {
                        space.release(number, &user, holder);
                        if held.get(&number) == Some(&holder) {
                            held.remove(&number);
                        }
                    }
                }
                prop_assert_eq!(&space.leased, &held);
                for number in space.parts[0].resting.numbers() {
                    prop_assert!(usable.contains(&number) && !held.contains_key(&number));
                }
            }
        }
    }
}
