//! How many "too big" answers leave in a second (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).

use core::time::Duration;

use isthmus_core::Instant;

/// A budget that is full again every second.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    since: Instant,
    used: u32,
}

impl Limiter {
    /// Takes one from the budget; false when there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, used: 0 };
        }
        let left = self.used < TOO_BIG_PER_SECOND_MAX;
        self.used += u32::from(left);
        left
    }
}

/// Most "too big" answers in a second.
pub const TOO_BIG_PER_SECOND_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_full_again_after_a_second() {
        let mut limiter = Limiter::default();
        let start = Instant::from_secs(10);
        assert!((0..TOO_BIG_PER_SECOND_MAX).all(|_| limiter.take(start)));
        assert!(!limiter.take(start + Duration::from_millis(999)));
        assert!(limiter.take(start + Duration::from_secs(1)));
    }
}
