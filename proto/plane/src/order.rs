//! The order of a session's data messages, where they carry numbers (RFC 2661 §5.4).
//!
//! A message that was overtaken is late and of no use. Where both ends agreed on numbers, one that comes
//! early waits for those before it: not longer than [`REORDER_WAIT_MAX`], and not together with more
//! than [`REORDER_MAX`] others. Then what is missing counts as lost.

use alloc::collections::VecDeque;

use isthmus_core::{Duration, Instant};

use crate::l2tp::Packet;

/// What was taken last, and what waits.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The number of the last message taken.
    last: Option<u16>,
    /// Messages that came early, by their distance from the last one.
    held: VecDeque<Held>,
}

/// A message that waits for those before it.
#[derive(Debug)]
struct Held {
    ns: u16,
    until: Instant,
    packet: Packet,
}

/// When a message is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// When those before it have come.
    Early,
    /// Never: it was taken before, or given up.
    Late,
    /// At once.
    Now,
}

impl Order {
    /// Whose turn it is. Half of the number space ahead is new, the rest is late. The first number may
    /// be any: control has seen those before it.
    pub(crate) fn turn(&self, ns: u16, reorder: bool) -> Turn {
        match self.last.map(|last| ns.wrapping_sub(last)) {
            Some(0 | 0x8000..) => Turn::Late,
            Some(2..) if reorder => Turn::Early,
            None | Some(1..) => Turn::Now,
        }
    }

    /// Notes that a message is taken.
    pub(crate) fn take(&mut self, ns: u16) {
        self.last = Some(ns);
    }

    /// Keeps an early message; gives it back when it waits already.
    pub(crate) fn hold(&mut self, ns: u16, packet: Packet, now: Instant) -> Result<(), Packet> {
        let last = self.last.unwrap_or_default();
        let distance = |held: &Held| held.ns.wrapping_sub(last);
        let place = self.held.binary_search_by_key(&ns.wrapping_sub(last), distance);
        match place {
            Ok(_) => Err(packet),
            Err(at) => {
                self.held.insert(at, Held { ns, until: now + REORDER_WAIT_MAX, packet });
                Ok(())
            }
        }
    }

    /// The next message that need not wait any longer: nothing is missing before it, or too much waits
    /// or has waited too long.
    pub(crate) fn release(&mut self, now: Instant) -> Option<Packet> {
        let next = self.held.front()?;
        let in_turn = self.last.is_some_and(|last| next.ns == last.wrapping_add(1));
        let overdue = self.deadline().is_some_and(|at| at <= now);
        if !in_turn && !overdue && self.held.len() <= REORDER_MAX {
            return None;
        }
        let Held { ns, packet, .. } = self.held.pop_front()?;
        self.last = Some(ns);
        Some(packet)
    }

    /// When the first message has waited long enough.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    /// Gives up everything that waits.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Packet> {
        core::mem::take(&mut self.held).into_iter().map(|held| held.packet)
    }
}

/// Most messages of a session that wait for an earlier one.
pub const REORDER_MAX: usize = 32;
/// Longest time a message waits for an earlier one: more than the paths of a network differ by, and less
/// than a person hears.
pub const REORDER_WAIT_MAX: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_numbers_are_taken_and_the_first_may_be_any() {
        let mut order = Order::default();
        let mut take = |ns| {
            let turn = order.turn(ns, false);
            if turn == Turn::Now {
                order.take(ns);
            }
            turn == Turn::Now
        };
        assert!(take(65_534));
        assert!(!take(65_534), "the same again");
        assert!(take(65_535) && take(1), "0 was lost");
        assert!(!take(0), "late");
        assert!(take(0x8000), "the farthest that counts as newer");
        assert!(!take(0), "the other half");
    }

    #[test]
    fn a_gap_makes_early_only_where_order_is_kept() {
        let mut order = Order::default();
        assert_eq!(order.turn(7, true), Turn::Now, "nothing is known to be missing");
        order.take(7);
        assert_eq!((order.turn(9, true), order.turn(9, false)), (Turn::Early, Turn::Now));
        assert_eq!((order.turn(8, true), order.turn(7, true)), (Turn::Now, Turn::Late));
    }
}
