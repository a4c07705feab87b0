//! Slots with generations: a key that outlives its value finds nothing, never a stranger.

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
/// every free slot was used 4095 times.
#[derive(Debug)]
pub struct Arena<T> {
    slots: Vec<Slot<T>>,
    free: alloc::collections::VecDeque<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: alloc::collections::VecDeque::new() }
    }
}

impl<T> Arena<T> {
    /// An empty arena.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a value in; gives it back when all [`SLOTS_MAX`] slots are taken.
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        self.insert_with(|_| value).map_err(|make| make(Key(0)))
    }

    /// Puts in a value that knows its own key; gives the closure back when the arena is full.
    pub fn insert_with<F: FnOnce(Key) -> T>(&mut self, make: F) -> Result<Key, F> {
        if let Some(index) = self.free.pop_front()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            let key = Key::new(index, slot.generation);
            slot.value = Some(make(key));
            return Ok(key);
        }
        let Ok(index) = u32::try_from(self.slots.len()) else { return Err(make) };
        if self.slots.len() >= SLOTS_MAX {
            return Err(make);
        }
        let key = Key::new(index, 1);
        self.slots.push(Slot { generation: 1, value: Some(make(key)) });
        Ok(key)
    }

    /// Puts a value back under the key it had in another life of the program; gives it back when the
    /// slot is taken. Values put back in order of their slots cost least.
    pub fn put_back(&mut self, key: Key, value: T) -> Result<(), T> {
        if key.generation() == 0 {
            return Err(value);
        }
        while self.slots.len() <= key.slot() {
            // At most `SLOTS_MAX` slots exist, so the length fits.
            self.free.push_back(u32::try_from(self.slots.len()).unwrap_or(SLOT_MASK));
            self.slots.push(Slot { generation: 1, value: None });
        }
        let index = key.0 & SLOT_MASK;
        let Some(free) = self.free.iter().rposition(|free| *free == index) else {
            return Err(value);
        };
        self.free.remove(free);
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
        self.free.push_back(key.0 & SLOT_MASK);
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
    fn a_full_arena_gives_the_value_back() {
        let mut arena = Arena::new();
        for _ in 0..SLOTS_MAX {
            arena.insert(()).unwrap();
        }
        assert_eq!(arena.insert(()), Err(()));
    }
}
