//! Vectors that live as long as the pipeline, so that a batch allocates nothing once they have grown.

use alloc::vec::Vec;

use isthmus_core::{Buf, Key};

use isthmus_esp::DropReason as EspDrop;

use crate::packet::Rx;

/// Work in progress; empty between calls.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// ESP packets of a batch.
    pub(crate) arrivals: Vec<Arrival>,
    /// Packets to seal, grouped by peer.
    pub(crate) sealing: Groups<Buf>,
    /// One group.
    pub(crate) run: Vec<Buf>,
    /// What came of each packet of the group.
    pub(crate) opened: Vec<Result<u8, EspDrop>>,
    /// The same for packets that were sealed.
    pub(crate) sealed: Vec<Result<(), EspDrop>>,
    /// Packets that another pipeline has sent here.
    pub(crate) astray_net: Vec<Rx>,
    /// Inner packets that it has.
    pub(crate) astray_tun: Vec<Buf>,
}

/// An ESP packet, which stays where it is until its group's turn; sorted they are groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    pub(crate) spi: u32,
    /// Where in the batch it is.
    pub(crate) index: u32,
    /// Its sequence number before anything was checked.
    pub(crate) sequence: u32,
}

impl Scratch {
    /// Puts a packet with its UDP header in line for sealing.
    pub(crate) fn push_sealing(&mut self, peer: Key, buf: Buf) {
        self.sealing.push(peer.raw(), buf);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.arrivals.is_empty() && self.sealing.is_empty() && self.run.is_empty()
    }
}

/// Values that come in any order and leave in groups, in order within each.
#[derive(Debug)]
pub(crate) struct Groups<T> {
    values: Vec<Option<T>>,
    /// Group and position of each value that has not left.
    order: Vec<(u32, u32)>,
}

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self { values: Vec::new(), order: Vec::new() }
    }
}

impl<T> Groups<T> {
    pub(crate) fn push(&mut self, group: u32, value: T) {
        // A batch never comes near 2^32 packets; the saturation only keeps the order total.
        let position = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.order.push((group, position));
        self.values.push(Some(value));
    }

    /// Sorts what was pushed; call it once before taking the groups.
    pub(crate) fn sort(&mut self) {
        // Backwards, because groups are taken off the end. The position keeps values in order.
        self.order.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Takes the next group, handing its values to `each` in order.
    pub(crate) fn take(&mut self, mut each: impl FnMut(T)) -> Option<u32> {
        let Some(&(group, _)) = self.order.last() else {
            self.values.clear();
            return None;
        };
        while let Some((_, position)) = self.order.pop_if(|(other, _)| *other == group) {
            let value =
                usize::try_from(position).ok().and_then(|at| self.values.get_mut(at)?.take());
            if let Some(value) = value {
                each(value);
            }
        }
        Some(group)
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn groups_of(values: &[(u32, char)]) -> Vec<(u32, Vec<char>)> {
        let mut groups = Groups::default();
        for (group, value) in values {
            groups.push(*group, *value);
        }
        groups.sort();
        let mut taken = Vec::new();
        loop {
            let mut run = Vec::new();
            let Some(group) = groups.take(|value| run.push(value)) else { break };
            taken.push((group, run));
        }
        assert!(groups.is_empty());
        taken
    }

    #[test]
    fn values_leave_in_groups_and_in_order_within_each() {
        let taken = groups_of(&[(7, 'a'), (3, 'b'), (7, 'c'), (3, 'd'), (7, 'e')]);
        assert_eq!(taken, [(3, vec!['b', 'd']), (7, vec!['a', 'c', 'e'])]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_reordered(values in prop::collection::vec((0u32..5, any::<char>()), 0..60)) {
            for (group, run) in groups_of(&values) {
                let expected: Vec<char> = values.iter().filter(|v| v.0 == group).map(|v| v.1).collect();
                prop_assert_eq!(run, expected);
            }
            let groups: Vec<u32> = groups_of(&values).iter().map(|g| g.0).collect();
            let mut distinct: Vec<u32> = values.iter().map(|v| v.0).collect();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(groups, distinct);
        }
    }
}
