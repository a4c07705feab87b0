//! Whether a way out is up, from what its probes and its link say: pure, with time as an input.
//!
//! So many failures in a row take it down, so many successes in a row bring it back, but not before it
//! has been held down for a while. The hold begins at nothing and doubles with each fall soon after a
//! return, so a way that flaps is left alone for longer and longer, up to [`HOLD_MAX`].

use std::time::Duration;

use isthmus_core::Instant;

/// How many results in a row change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Failures that take it down.
    pub fall: u32,
    /// Successes that bring it back.
    pub rise: u32,
}

/// One way out.
#[derive(Clone, Debug)]
pub(crate) struct State {
    thresholds: Thresholds,
    link_up: bool,
    up: bool,
    /// Results in a row that speak against the state.
    against: u32,
    /// When it was last taken down or brought back.
    since: Option<Instant>,
    hold: Duration,
}

impl State {
    /// Up until something says otherwise, so that a start does not wait for probes.
    pub(crate) const fn new(thresholds: Thresholds) -> Self {
        let (against, since, hold) = (0, None, Duration::ZERO);
        Self { thresholds, link_up: true, up: true, against, since, hold }
    }

    /// Whether packets may go there.
    pub(crate) const fn is_up(&self) -> bool {
        self.up && self.link_up
    }

    /// Takes the result of a probe; answers whether [`State::is_up`] changed.
    pub(crate) fn handle_probe(&mut self, good: bool, now: Instant) -> bool {
        let before = self.is_up();
        if good == self.up {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        if self.up && self.against >= self.thresholds.fall {
            self.fall(now);
        } else if !self.up && self.against >= self.thresholds.rise && self.is_held_no_more(now) {
            self.up = true;
            self.against = 0;
            self.since = Some(now);
        }
        self.is_up() != before
    }

    /// Takes the state of the link; answers whether [`State::is_up`] changed. What is behind a link that
    /// went down has to prove itself again where there are probes.
    pub(crate) fn handle_link(&mut self, up: bool, probed: bool, now: Instant) -> bool {
        let before = self.is_up();
        let went = self.link_up && !up;
        self.link_up = up;
        if went && probed && self.up {
            self.fall(now);
        }
        self.is_up() != before
    }

    fn fall(&mut self, now: Instant) {
        let soon = self.since.is_some_and(|since| now.since(since) < CALM);
        self.hold = if soon { (self.hold * 2).clamp(HOLD_MIN, HOLD_MAX) } else { Duration::ZERO };
        self.up = false;
        self.against = 0;
        self.since = Some(now);
    }

    fn is_held_no_more(&self, now: Instant) -> bool {
        self.since.is_none_or(|since| now.since(since) >= self.hold)
    }
}

/// The hold of a way that falls soon after it came back.
const HOLD_MIN: Duration = Duration::from_secs(4);
/// The longest hold.
const HOLD_MAX: Duration = Duration::from_mins(2);
/// Who stays up for so long does not flap.
const CALM: Duration = Duration::from_mins(3);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { fall: 3, rise: 2 };
    const STEP: Duration = Duration::from_millis(500);

    /// A way with a clock of its own.
    struct Way {
        state: State,
        now: Instant,
    }

    impl Way {
        fn new() -> Self {
            Self { state: State::new(THRESHOLDS), now: Instant::ZERO }
        }

        fn probes(&mut self, results: &str) -> Vec<bool> {
            let each = results.chars().map(|result| {
                self.now += STEP;
                self.state.handle_probe(result == '+', self.now);
                self.state.is_up()
            });
            each.collect()
        }

        /// How long it takes to come back when all is well from now on.
        fn comes_back_after(&mut self) -> Duration {
            let from = self.now;
            while !self.state.is_up() {
                self.probes("+");
            }
            self.now.since(from)
        }
    }

    #[test]
    fn so_many_in_a_row_change_it_and_fewer_do_not() {
        let mut way = Way::new();
        assert_eq!(
            way.probes("--+--+---"),
            [true, true, true, true, true, true, true, true, false]
        );
        assert_eq!(way.probes("+-+-++"), [false, false, false, false, false, true]);
    }

    #[test]
    fn who_flaps_is_held_down_for_longer_each_time_and_who_is_calm_is_forgiven() {
        let mut way = Way::new();
        let mut holds = Vec::new();
        for _ in 0..9 {
            way.probes("---");
            holds.push(way.comes_back_after().as_secs());
        }
        assert_eq!(holds, [1, 4, 8, 16, 32, 64, 120, 120, 120]);
        way.now += CALM;
        way.probes("---");
        assert_eq!(way.comes_back_after(), STEP * THRESHOLDS.rise);
    }

    #[test]
    fn a_link_takes_it_down_at_once_and_does_not_bring_it_back_alone() {
        let mut way = Way::new();
        assert!(way.state.handle_link(false, true, way.now));
        assert!(!way.state.is_up());
        assert!(!way.state.handle_link(true, true, way.now), "the probes decide");
        assert_eq!(way.probes("++"), [false, true]);

        let mut unprobed = State::new(THRESHOLDS);
        assert!(unprobed.handle_link(false, false, way.now));
        assert!(unprobed.handle_link(true, false, way.now), "there is nothing else to go by");
        assert!(unprobed.is_up());
    }

    proptest! {
        /// Whatever happens: no change without enough results in a row since the last one, no return before
        /// the hold is over, and what is said to have changed has changed.
        #[test]
        fn changes_are_earned(results in prop::collection::vec((any::<bool>(), 0_u64..3000), 0..400)) {
            let mut state = State::new(THRESHOLDS);
            let mut now = Instant::ZERO;
            let (mut row, mut last) = (0, None);
            for (good, wait) in results {
                now += Duration::from_millis(wait);
                let before = state.is_up();
                row = if last == Some(good) { row + 1 } else { 1 };
                last = Some(good);
                let (held, since) = (state.hold, state.since);
                let changed = state.handle_probe(good, now);
                prop_assert_eq!(changed, before != state.is_up());
                if changed {
                    let needed = if good { THRESHOLDS.rise } else { THRESHOLDS.fall };
                    prop_assert!(row >= needed);
                    prop_assert_eq!(state.is_up(), good);
                    if good {
                        prop_assert!(since.is_some_and(|since| now.since(since) >= held));
                    }
                }
                prop_assert!(state.hold <= HOLD_MAX);
            }
        }

        /// It settles: with good results only it is up within the longest hold.
        #[test]
        fn it_comes_back_in_the_end(results in prop::collection::vec(any::<bool>(), 0..200)) {
            let mut way = Way::new();
            for good in results {
                way.probes(if good { "+" } else { "-" });
            }
            prop_assert!(way.comes_back_after() <= HOLD_MAX + STEP * THRESHOLDS.rise);
        }
    }
}
