//! How often the loop of control wakes up when there is much to hear.
//!
//! A wake-up costs several times what a report does. So a loop that is woken often takes a short nap
//! between two turns, and hears of several things at once; one that is woken now and then does not, and
//! a login on an idle gateway waits for nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Allows so many turns at once, and then so many in a second.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When all that is allowed at once would be allowed again; later, the more turns there were.
    full: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { full: Instant::now() }
    }

    /// Waits until the next turn is allowed.
    pub(crate) async fn turn(&mut self) {
        if let Some(at) = self.next(Instant::now()) {
            sleep_until(at).await;
        }
    }

    /// Counts a turn; when it may begin, if not at once.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        self.full = self.full.max(now) + NAP;
        let at = self.full.checked_sub(NAP * TURNS_AT_ONCE)?;
        (at > now).then_some(at)
    }
}

/// Time between two turns of a busy loop. Nobody who logs in notices it, and the machines' timers are
/// far longer.
const NAP: Duration = Duration::from_millis(2);
/// Turns without a nap: a login and a half.
const TURNS_AT_ONCE: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_more_is_slowed_down() {
        let mut pace = Pace::new();
        let began = Instant::now();
        for _ in 0..TURNS_AT_ONCE {
            assert_eq!(pace.next(began), None);
        }
        let mut now = began;
        for _ in 0..500 {
            now = pace.next(now).unwrap_or(now);
        }
        let took = now - began;
        assert!((NAP * 499..=NAP * 501).contains(&took), "{took:?}");
    }

    #[test]
    fn a_loop_that_is_woken_now_and_then_never_waits() {
        let mut pace = Pace::new();
        let mut now = Instant::now();
        for _ in 0..1000 {
            now += NAP;
            assert_eq!(pace.next(now), None);
        }
    }
}
