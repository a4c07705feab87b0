//! Values under keys that another machine's arena gave out: an array access and one comparison.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::Key;

/// A sparse table; two keys of the same slot are two generations, and only one of them can be in it.
///
/// It holds at most [`isthmus_core::SLOTS_MAX`] values, which is all the slots a key can name.
#[derive(Debug)]
pub(crate) struct KeyMap<T> {
    slots: Vec<Option<Box<(Key, T)>>>,
}

impl<T> Default for KeyMap<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T> KeyMap<T> {
    /// Puts a value in and gives back whatever had the slot.
    pub(crate) fn insert(&mut self, key: Key, value: T) -> Option<(Key, T)> {
        let slot = key.slot();
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        let before = self.slots.get_mut(slot)?.replace(Box::new((key, value)));
        before.map(|entry| *entry)
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot())?;
        slot.as_ref().filter(|entry| entry.0 == key)?;
        slot.take().map(|entry| entry.1)
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let entry = self.slots.get(key.slot())?.as_deref()?;
        (entry.0 == key).then_some(&entry.1)
    }

    /// The value of a key, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.slots.get_mut(key.slot())?.as_deref_mut()?;
        (entry.0 == key).then_some(&mut entry.1)
    }

    /// Whatever key has the slot of this one.
    pub(crate) fn occupant(&self, key: Key) -> Option<Key> {
        self.slots.get(key.slot())?.as_ref().map(|entry| entry.0)
    }

    /// All values in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().flatten().map(|entry| (entry.0, &entry.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_generation_of_the_slot_finds_nothing() {
        let (old, new) = (Key::from_raw(1 << 20 | 5), Key::from_raw(2 << 20 | 5));
        let mut map = KeyMap::default();
        assert_eq!(map.insert(old, "old"), None);
        assert_eq!((map.get(new), map.occupant(new)), (None, Some(old)));
        assert_eq!(map.remove(new), None);
        assert_eq!(map.insert(new, "new"), Some((old, "old")));
        assert_eq!((map.get(old), map.get(new), map.iter().count()), (None, Some(&"new"), 1));
        assert_eq!((map.remove(new), map.iter().count()), (Some("new"), 0));
    }

    #[test]
    fn values_come_in_slot_order() {
        let mut map = KeyMap::default();
        for slot in [9, 2, 4] {
            map.insert(Key::from_raw(1 << 20 | slot), slot);
        }
        assert_eq!(map.iter().map(|(_, slot)| *slot).collect::<Vec<_>>(), [2, 4, 9]);
    }
}
