//! Whose computation is next: half-open exchanges of all sources wait here, and sources take turns.
//!
//! A message 3 that is refused comes again after seconds, so a crowd that dials at once (an office behind
//! a NAT after an outage) would be served in waves. It waits instead. That costs others nothing:
//! however many of one source wait, every other source is next after one of them.

use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;

use isthmus_core::Key;
use isthmus_crypto::Job as Work;

use crate::action::JobId;

/// Computations for half-open exchanges, waiting and under way.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: BTreeMap<IpAddr, VecDeque<Waiting>>,
    /// Sources of the computations under way.
    running: BTreeMap<JobId, IpAddr>,
    /// How many wait.
    queued: usize,
    /// Whose turn it was.
    last: Option<IpAddr>,
}

/// A computation that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) id: JobId,
    /// The exchange that wants it, which may be gone when its turn comes.
    pub(crate) sa: Key,
    pub(crate) work: Work,
}

impl Turns {
    /// Whether a source may have another computation waiting or under way.
    pub(crate) fn admits(&self, source: IpAddr) -> bool {
        let waiting = self.waiting.get(&source).map_or(0, VecDeque::len);
        let running = self.running.values().filter(|other| **other == source).count();
        waiting + running < JOBS_PER_SOURCE_MAX && self.queued + self.running.len() < JOBS_MAX
    }

    /// Takes a computation; [`Turns::next`] gives it out.
    pub(crate) fn add(&mut self, source: IpAddr, waiting: Waiting) {
        self.waiting.entry(source).or_default().push_back(waiting);
        self.queued += 1;
    }

    /// The computation whose turn it is, which is under way from now on; none while enough are.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        if self.running.len() >= JOBS_AT_ONCE_MAX {
            return None;
        }
        let after = self.last.and_then(|last| {
            let later = (core::ops::Bound::Excluded(last), core::ops::Bound::Unbounded);
            self.waiting.range(later).next().map(|(source, _)| *source)
        });
        let source = after.or_else(|| self.waiting.keys().next().copied())?;
        let queue = self.waiting.get_mut(&source)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&source);
        }
        let next = next?;
        self.queued -= 1;
        self.last = Some(source);
        self.running.insert(next.id, source);
        Some(next)
    }

    /// A computation is done, or nobody wants it any more.
    pub(crate) fn done(&mut self, id: JobId) {
        self.running.remove(&id);
    }
}

/// Most computations for half-open exchanges that wait or are under way: one for each exchange.
pub const JOBS_MAX: usize = crate::table::HALF_OPEN_MAX;
/// Most of them for one source.
pub const JOBS_PER_SOURCE_MAX: usize = 512;
/// Most of them under way, enough for a pool never to wait for us.
pub const JOBS_AT_ONCE_MAX: usize = 32;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;
    use isthmus_crypto::{DhGroup, DhJob};

    fn source(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn waiting(id: u64) -> Waiting {
        let work = Work::Dh(DhJob::Generate { group: DhGroup::Ecp256, seed: [0; 32] });
        Waiting { id: JobId(id), sa: Key::from_raw(1), work }
    }

    #[test]
    fn a_crowd_of_one_source_delays_another_by_one() {
        let mut turns = Turns::default();
        for id in 0..100 {
            turns.add(source(1), waiting(id));
        }
        turns.add(source(9), waiting(900));
        turns.add(source(5), waiting(500));
        let mut order = Vec::new();
        for _ in 0..6 {
            let id = turns.next().unwrap().id;
            turns.done(id);
            order.push(id.0);
        }
        assert_eq!(order, [0, 500, 900, 1, 2, 3]);
    }

    #[test]
    fn no_more_are_under_way_than_the_limit() {
        let mut turns = Turns::default();
        for id in 0..=JOBS_AT_ONCE_MAX as u64 {
            turns.add(source(1), waiting(id));
        }
        for _ in 0..JOBS_AT_ONCE_MAX {
            assert!(turns.next().is_some());
        }
        assert!(turns.next().is_none());
        turns.done(JobId(0));
        assert!(turns.next().is_some());
    }

    #[test]
    fn what_is_done_is_forgotten() {
        let mut turns = Turns::default();
        for id in 0..JOBS_PER_SOURCE_MAX as u64 {
            assert!(turns.admits(source(1)));
            turns.add(source(1), waiting(id));
        }
        assert!(!turns.admits(source(1)) && turns.admits(source(2)));
        while let Some(next) = turns.next() {
            turns.done(next.id);
        }
        turns.done(JobId(7));
        assert!(turns.admits(source(1)) && turns.running.is_empty() && turns.waiting.is_empty());
    }
}
