//! The ordered queue of things a machine wants done.

use alloc::collections::VecDeque;

/// Actions in the order they must happen; the order is part of a machine's contract.
#[derive(Debug)]
pub struct Outbox<A>(VecDeque<A>);

impl<A> Default for Outbox<A> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<A> Outbox<A> {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an action.
    pub fn push(&mut self, action: A) {
        self.0.push_back(action);
    }

    /// Takes the oldest action. With the last one goes the memory: an outbox is empty nearly always, and
    /// every session has several.
    pub fn pop(&mut self) -> Option<A> {
        let oldest = self.0.pop_front();
        if self.0.is_empty() && self.0.capacity() > 0 {
            self.0 = VecDeque::new();
        }
        oldest
    }

    /// Whether everything was drained; asserted before the next input in debug builds.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_come_out_in_order_and_leave_no_memory_behind() {
        let mut outbox = Outbox::new();
        for round in 0..2 {
            outbox.push(round);
            outbox.push(round + 10);
            assert_eq!((outbox.pop(), outbox.is_empty()), (Some(round), false));
            assert_eq!((outbox.pop(), outbox.is_empty()), (Some(round + 10), true));
            assert_eq!((outbox.0.capacity(), outbox.pop()), (0, None));
        }
    }
}
