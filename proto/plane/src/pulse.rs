//! When it was last told that somebody lives.

use isthmus_core::Instant;

use crate::ALIVE_REPORT_INTERVAL;

/// Lets one sign of life in [`ALIVE_REPORT_INTERVAL`] through.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Option<Instant>);

impl Pulse {
    /// There is a sign of life; whether it is time to report it.
    pub(crate) fn beat(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|at| now.since(at) >= ALIVE_REPORT_INTERVAL);
        if due {
            self.0 = Some(now);
        }
        due
    }
}
