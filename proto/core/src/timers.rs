//! A small set of named timers, one deadline each.

use alloc::vec::Vec;

use crate::Instant;

/// When a machine wants to be called next, and why (for traces).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The time of the call.
    pub at: Instant,
    /// A short, constant reason.
    pub why: &'static str,
}

impl Deadline {
    /// The earlier of two optional deadlines.
    pub fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

/// Timers named by `K`; setting one again moves it.
///
/// Made for a handful of timers per machine, where a scan beats a heap.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    armed: Vec<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { armed: Vec::new() }
    }
}

impl<K: Copy + PartialEq> Timers<K> {
    /// No timer armed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Arms or moves a timer.
    pub fn set(&mut self, timer: K, at: Instant) {
        if let Some(slot) = self.armed.iter_mut().find(|(_, k)| *k == timer) {
            slot.0 = at;
        } else {
            // Most machines have one or two, and a vector grows by four.
            self.armed.reserve_exact(1);
            self.armed.push((at, timer));
        }
    }

    /// Disarms a timer; harmless when it is not armed.
    pub fn clear(&mut self, timer: K) {
        self.armed.retain(|(_, k)| *k != timer);
    }

    /// Disarms everything.
    pub fn clear_all(&mut self) {
        self.armed.clear();
    }

    /// Whether the timer is armed.
    pub fn is_set(&self, timer: K) -> bool {
        self.armed.iter().any(|(_, k)| *k == timer)
    }

    /// When the timer is due, if it is armed.
    pub fn at(&self, timer: K) -> Option<Instant> {
        self.armed.iter().find(|(_, k)| *k == timer).map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due, disarming it.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        let (index, _) = self
            .armed
            .iter()
            .enumerate()
            .filter(|(_, (at, _))| *at <= now)
            .min_by_key(|(_, (at, _))| *at)?;
        Some(self.armed.remove(index).1)
    }

    /// The earliest armed timer.
    pub fn next(&self) -> Option<(Instant, K)> {
        self.armed.iter().copied().min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum T {
        A,
        B,
    }

    #[test]
    fn due_timers_come_out_earliest_first_and_once() {
        let mut timers = Timers::new();
        timers.set(T::A, Instant::from_secs(5));
        timers.set(T::B, Instant::from_secs(3));
        assert_eq!(timers.next(), Some((Instant::from_secs(3), T::B)));
        assert_eq!(timers.at(T::A), Some(Instant::from_secs(5)));
        assert_eq!(timers.expired(Instant::from_secs(2)), None);
        assert_eq!(timers.expired(Instant::from_secs(9)), Some(T::B));
        assert_eq!(timers.expired(Instant::from_secs(9)), Some(T::A));
        assert_eq!(timers.expired(Instant::from_secs(9)), None);
    }

    #[test]
    fn setting_again_moves_and_clearing_disarms() {
        let mut timers = Timers::new();
        timers.set(T::A, Instant::from_secs(5));
        timers.set(T::A, Instant::from_secs(7));
        assert_eq!(timers.expired(Instant::from_secs(6)), None);
        timers.clear(T::A);
        assert!(!timers.is_set(T::A));
        assert_eq!(timers.at(T::A), None);
        assert_eq!(timers.next(), None);
    }
}
