//! Slots with generations: a key that outlives its value finds nothing, never a stranger.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Names one value that was put into an [`Arena`]; 20 bits of slot and 12 bits of generation.
///
/// The generation starts at 1, so a key is never below 2^20 and its raw value may serve as an SPI
/// (RFC 4303 §2.1 reserves 0 to 255).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(u32);

impl Key {
    /// The key with this raw value, as read from a packet; it may name nothing.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The raw value.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The slot number, below [`SLOTS_MAX`].
    pub const fn slot(self) -> usize {
        (self.0 & SLOT_MASK) as usize
    }

    /// The lane of the slot, below [`LANES`]: the lowest bits of the raw value, so that whoever sees a
    /// key in a packet can tell its lane without knowing anything else.
    pub const fn lane(self) -> usize {
        self.slot() % LANES
    }

    const fn new(slot: u32, generation: u32) -> Self {
        Self(generation << SLOT_BITS | slot)
    }

    const fn generation(self) -> u32 {
        self.0 >> SLOT_BITS
    }
}

/// A slab whose keys carry a generation.
///
/// Freed slots are used again oldest first, so a key becomes valid for another value only after
/// every free slot of its lane was used 4095 times.
#[derive(Debug)]
pub struct Arena<T> {
    slots: Vec<Slot<T>>,
    /// Free slots; with lanes, those of each lane.
    free: Vec<VecDeque<u32>>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self::with(1)
    }
}

impl<T> Arena<T> {
    /// An empty arena.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty arena that puts each value into a lane of the caller's choice.
    pub fn in_lanes() -> Self {
        Self::with(LANES)
    }

    fn with(lanes: usize) -> Self {
        Self { slots: Vec::new(), free: (0..lanes).map(|_| VecDeque::new()).collect(), len: 0 }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a value in; gives it back when all [`SLOTS_MAX`] slots are taken.
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        self.insert_in(0, value)
    }

    /// Puts a value into a lane, of which only an arena [in lanes](Arena::in_lanes) has more than one;
    /// gives it back when the lane is full.
    pub fn insert_in(&mut self, lane: usize, value: T) -> Result<Key, T> {
        let lane = lane % self.free.len();
        let Some(index) = self.take_free(lane) else { return Err(value) };
        let Some(slot) = self.slots.get_mut(index as usize) else { return Err(value) };
        slot.value = Some(value);
        self.len += 1;
        Ok(Key::new(index, slot.generation))
    }

    /// The oldest free slot of a lane; none when it is full.
    fn take_free(&mut self, lane: usize) -> Option<u32> {
        if self.free.get(lane)?.is_empty() {
            self.grow();
        }
        self.free.get_mut(lane)?.pop_front()
    }

    /// Makes one more slot in every lane, unless there are [`SLOTS_MAX`].
    fn grow(&mut self) {
        if self.slots.len() >= SLOTS_MAX {
            return;
        }
        for free in &mut self.free {
            // At most `SLOTS_MAX` slots exist, so the length fits.
            free.push_back(u32::try_from(self.slots.len()).unwrap_or(SLOT_MASK));
            self.slots.push(Slot { generation: 1, value: None });
        }
    }

    /// Puts a value back under the key it had in another life of the program; gives it back when the
    /// slot is taken. Values put back in order of their slots cost least.
    pub fn put_back(&mut self, key: Key, value: T) -> Result<(), T> {
        if key.generation() == 0 {
            return Err(value);
        }
        while self.slots.len() <= key.slot() {
            self.grow();
        }
        let index = key.0 & SLOT_MASK;
        let lane = key.slot() % self.free.len();
        let Some(free) = self.free.get_mut(lane) else { return Err(value) };
        let Some(position) = free.iter().rposition(|free| *free == index) else {
            return Err(value);
        };
        free.remove(position);
        self.len += 1;
        if let Some(slot) = self.slots.get_mut(key.slot()) {
            *slot = Slot { generation: key.generation(), value: Some(value) };
        }
        Ok(())
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot()).filter(|s| s.generation == key.generation())?;
        let value = slot.value.take()?;
        slot.generation = if slot.generation >= GENERATION_MAX { 1 } else { slot.generation + 1 };
        self.len -= 1;
        let lane = key.slot() % self.free.len();
        if let Some(free) = self.free.get_mut(lane) {
            free.push_back(key.0 & SLOT_MASK);
        }
        Some(value)
    }

    /// The value of a key.
    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.slot()).filter(|s| s.generation == key.generation())?;
        slot.value.as_ref()
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot()).filter(|s| s.generation == key.generation())?;
        slot.value.as_mut()
    }

    /// All values in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(index, slot)| {
            slot.value.as_ref().map(|value| (Key::new(index, slot.generation), value))
        })
    }

    /// All values in slot order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        (0u32..).zip(&mut self.slots).filter_map(|(index, slot)| {
            let generation = slot.generation;
            slot.value.as_mut().map(|value| (Key::new(index, generation), value))
        })
    }
}

const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATION_MAX: u32 = (1 << (32 - SLOT_BITS)) - 1;
/// Most values one arena holds.
pub const SLOTS_MAX: usize = 1 << SLOT_BITS;
/// Into how many lanes slots are dealt out: what belongs together has the same, and is worked on
/// together.
pub const LANES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut arena = Arena::new();
        let first = arena.insert("a").unwrap();
        assert_eq!(arena.remove(first), Some("a"));
        let second = arena.insert("b").unwrap();
        assert_eq!(first.slot(), second.slot());
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.get(second), Some(&"b"));
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.len(), 1);
    }

    #[test]
    fn keys_are_never_reserved_spis() {
        let mut arena = Arena::new();
        assert!(arena.insert(()).unwrap().raw() > 255);
    }

    #[test]
    fn the_generation_wraps_without_becoming_zero() {
        let mut arena = Arena::new();
        let mut last = arena.insert(0).unwrap();
        for n in 1..=GENERATION_MAX {
            arena.remove(last).unwrap();
            last = arena.insert(n).unwrap();
        }
        assert_eq!(last.generation(), 1);
    }

    #[test]
    fn a_value_comes_back_under_its_old_key() {
        let mut before = Arena::new();
        let keys: Vec<Key> = (0..5).map(|n| before.insert(n).unwrap()).collect();
        before.remove(keys[3]);
        let moved = before.insert(3).unwrap();
        let mut after = Arena::new();
        assert_eq!(after.put_back(keys[4], 4), Ok(()));
        assert_eq!(after.put_back(moved, 30), Ok(()));
        assert_eq!(after.put_back(keys[1], 1), Ok(()));
        assert_eq!(after.put_back(keys[1], 9), Err(9), "taken");
        assert_eq!(after.put_back(Key::from_raw(7), 9), Err(9), "never a key");
        assert_eq!(after.get(keys[4]), Some(&4));
        assert_eq!(after.get(moved), Some(&30));
        assert_eq!(after.get(keys[0]), None);
        assert_eq!(after.len(), 3);
        let fresh = after.insert(7).unwrap();
        assert!(![keys[1], keys[4], moved].contains(&fresh));
        assert_eq!((after.len(), after.iter().count()), (4, 4));
    }

    #[test]
    fn a_value_is_put_into_the_lane_that_was_asked_for_and_the_lane_is_read_off_the_key() {
        let mut arena = Arena::in_lanes();
        let keys: Vec<Key> =
            [5, 5, 0, 63, 5].map(|lane| arena.insert_in(lane, lane).unwrap()).into();
        assert_eq!(keys.iter().map(|key| key.lane()).collect::<Vec<_>>(), [5, 5, 0, 63, 5]);
        assert_eq!(keys.iter().map(|key| key.slot()).collect::<Vec<_>>(), [5, 69, 0, 63, 133]);
        assert!(keys.iter().all(|key| key.raw() as usize % LANES == key.lane()));
        assert_eq!((arena.len(), arena.iter().count()), (5, 5));
        arena.remove(keys[0]).unwrap();
        let again = arena.insert_in(5, 7).unwrap();
        assert_eq!(
            (again.slot(), again == keys[0]),
            (5, false),
            "of the same lane, another generation"
        );
        assert_eq!(arena.put_back(Key::new(64 + 9, 3), 8), Ok(()));
        assert_eq!(arena.put_back(Key::new(64 + 9, 3), 8), Err(8));
        assert_eq!((arena.len(), arena.iter().count()), (6, 6));
    }

    #[test]
    fn a_full_lane_gives_the_value_back_and_others_have_room() {
        let mut arena = Arena::in_lanes();
        for _ in 0..SLOTS_MAX / LANES {
            assert_eq!(arena.insert_in(9, ()).unwrap().lane(), 9);
        }
        assert_eq!(arena.insert_in(9, ()), Err(()));
        assert_eq!(arena.insert_in(10, ()).unwrap().lane(), 10);
    }

    #[test]
    fn a_full_arena_gives_the_value_back() {
        let mut arena = Arena::new();
        for _ in 0..SLOTS_MAX {
            arena.insert(()).unwrap();
        }
        assert_eq!(arena.insert(()), Err(()));
    }
}
