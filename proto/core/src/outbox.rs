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

    /// Takes the oldest action.
    pub fn pop(&mut self) -> Option<A> {
        self.0.pop_front()
    }

    /// Whether everything was drained; asserted before the next input in debug builds.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
