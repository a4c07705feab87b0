//! The machines' time line, read from the operating system's monotonic clock.

use std::time::Instant as StdInstant;

use isthmus_core::Instant;
use rustix::event::Timespec;

/// Where zero is; copied to every thread so that all agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: StdInstant,
}

impl Clock {
    /// A time line that starts now.
    pub fn start() -> Self {
        Self { origin: StdInstant::now() }
    }

    /// The time on this line.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The operating system's name for a point on this line.
    pub fn to_std(&self, at: Instant) -> StdInstant {
        self.origin + std::time::Duration::from_nanos(at.as_nanos())
    }

    /// How long it is until then, for the kernel; nothing when it is past.
    pub fn until(&self, at: Instant) -> Timespec {
        let left = at.since(self.now());
        let whole = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        Timespec { tv_sec: whole, tv_nsec: i64::from(left.subsec_nanos()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_forward_and_back_to_std() {
        let clock = Clock::start();
        let (a, b) = (clock.now(), clock.now());
        assert!(a <= b);
        assert_eq!(
            clock.to_std(Instant::from_secs(1)),
            clock.origin + std::time::Duration::from_secs(1)
        );
    }
}
