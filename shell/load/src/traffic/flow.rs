//! Counts probes where they come out: each once, whatever the order.

use isthmus_core::Instant;

use super::pace::Pace;
use super::probe::Probe;
use super::{Plan, Tally};

/// A shard's counts of a run.
#[derive(Debug)]
pub(crate) struct Counting {
    run: u32,
    pace: Pace,
    pub(crate) tally: Tally,
}

/// Which packets of a flow have come: the newest, and which of those before it.
#[derive(Debug)]
pub(crate) struct Window {
    /// One more than the highest number that has come.
    next: u64,
    /// A bit for each of the last [`WINDOW`] numbers, at the number modulo [`WINDOW`].
    seen: [u64; WORDS],
}

/// How a packet stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// It has come before, or so late that nobody knows.
    Again,
    /// Later ones were faster.
    Overtaken,
    /// It is the newest.
    Newest,
}

impl Counting {
    /// Nothing yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { run: plan.run, pace: plan.pace.clone(), tally: Tally::new() }
    }

    /// Counts a packet that came out of a session, if it is one of ours.
    pub(crate) fn take(&mut self, packet: &[u8], window: &mut Option<Box<Window>>, now: Instant) {
        let Some(probe) = Probe::read(packet).filter(|probe| probe.run == self.run) else { return };
        let window = window.get_or_insert_with(Box::default);
        match window.take(probe.sequence) {
            Arrival::Again => {
                self.tally.duplicated += 1;
                return;
            }
            Arrival::Overtaken => self.tally.reordered += 1,
            Arrival::Newest => {}
        }
        self.tally.arrived(packet.len(), now.since(probe.sent));
        if let Pace::Window(in_flight) = &self.pace {
            in_flight.land(1);
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }
}

impl Window {
    fn take(&mut self, sequence: u64) -> Arrival {
        let newest = sequence >= self.next;
        if newest {
            // The bits of the numbers in between have belonged to older ones.
            let first = self.next.max(sequence.saturating_sub(WINDOW - 1));
            (first..=sequence).for_each(|number| *self.word(number).0 &= !bit(number));
            self.next = sequence.saturating_add(1);
        } else if self.next - sequence > WINDOW {
            return Arrival::Again;
        }
        let (word, bit) = self.word(sequence);
        let before = *word & bit != 0;
        *word |= bit;
        match (newest, before) {
            (true, _) => Arrival::Newest,
            (false, false) => Arrival::Overtaken,
            (false, true) => Arrival::Again,
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
    fn word(&mut self, number: u64) -> (&mut u64, u64) {
        let place = usize::try_from(number / 64 % WORDS as u64).unwrap_or_default();
        (&mut self.seen[place], bit(number))
    }
}

const fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

const WORDS: usize = 32;
/// How far back numbers are remembered.
const WINDOW: u64 = 64 * WORDS as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::probe::Ends;
    use crate::traffic::{Sizes, Target};

    #[test]
    fn each_number_counts_once_in_any_order() {
        let mut window = Window::default();
        assert_eq!(window.take(0), Arrival::Newest);
        assert_eq!(window.take(2), Arrival::Newest);
        assert_eq!(window.take(1), Arrival::Overtaken);
        assert_eq!(window.take(1), Arrival::Again);
        assert_eq!(window.take(2), Arrival::Again);
        assert_eq!(window.take(3 * WINDOW), Arrival::Newest);
        assert_eq!(window.take(2 * WINDOW), Arrival::Again, "too late to be known");
        assert_eq!(window.take(2 * WINDOW + 1), Arrival::Overtaken);
        assert_eq!(window.take(2 * WINDOW + 1), Arrival::Again);
    }

    #[test]
    fn a_long_run_with_holes_is_counted_right() {
        let mut window = Window::default();
        let newest = (0..20_000_u64).filter(|n| n % 7 != 3);
        assert!(newest.clone().all(|n| window.take(n) == Arrival::Newest));
        let recent = 20_000 - WINDOW..20_000;
        for number in recent {
            let expected = if number % 7 == 3 { Arrival::Overtaken } else { Arrival::Again };
            assert_eq!(window.take(number), expected, "{number}");
        }
    }

    #[test]
    fn packets_of_other_runs_do_not_count() {
        let pace = Pace::window(10);
        let target = Target::Reflector("10.0.0.9:7007".parse().unwrap());
        let plan = Plan { run: 5, target, sizes: Sizes([64].into()), pace: pace.clone() };
        let (mut counting, mut window) = (Counting::new(&plan), None);
        let ends = Ends { from: [10, 0, 0, 2].into(), to: "10.0.0.9:7007".parse().unwrap() };
        let mut packet = vec![0; 64];
        for (run, sequence) in [(5, 0), (4, 1), (5, 0), (5, 3), (5, 2)] {
            Probe { run, flow: 0, sequence, sent: Instant::from_secs(1) }.write(ends, &mut packet);
            counting.take(&packet, &mut window, Instant::from_secs(2));
        }
        let tally = &counting.tally;
        assert_eq!((tally.received, tally.duplicated, tally.reordered), (3, 1, 1));
        assert_eq!(tally.received_bytes, 3 * 64);
        let Pace::Window(in_flight) = pace else { panic!("a window") };
        assert_eq!(in_flight.landed(), 3);
    }
}
