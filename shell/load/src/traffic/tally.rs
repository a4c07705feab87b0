//! What a run of traffic came to.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Counts of packets and of bytes of IP, and how long packets were on their way.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Packets that left.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets that were due and could not leave: the session was gone.
    pub unsent: u64,
    /// Packets that came, each counted once.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Packets that came after one with a higher number.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// How long packets were on their way, in nanoseconds: there and back with a reflector, one way
    /// between sessions.
    pub latency: Histogram<u64>,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            sent: 0,
            sent_bytes: 0,
            unsent: 0,
            received: 0,
            received_bytes: 0,
            reordered: 0,
            duplicated: 0,
            latency: latencies(),
        }
    }

    /// Packets that have not come.
    pub const fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Adds what others have counted.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.unsent += other.unsent;
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.reordered += other.reordered;
        self.duplicated += other.duplicated;
        // Both have the same bounds.
        let _never = self.latency.add(&other.latency);
    }

    pub(crate) fn arrived(&mut self, bytes: usize, on_the_way: Duration) {
        self.received += 1;
        self.received_bytes += bytes as u64;
        let nanos = u64::try_from(on_the_way.as_nanos()).unwrap_or(u64::MAX);
        self.latency.saturating_record(nanos);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// From a microsecond on, to three digits.
#[expect(clippy::expect_used, reason = "only bounds that make no sense are refused")]
fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LATENCY_MAX_NS, 3).expect("bounds that make sense")
}

/// The longest time that is told from longer ones.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let (mut a, mut b) = (Tally::new(), Tally::new());
        (a.sent, b.sent) = (3, 4);
        a.arrived(100, Duration::from_millis(2));
        b.arrived(200, Duration::from_hours(2));
        a.add(&b);
        assert_eq!((a.sent, a.received, a.received_bytes, a.lost()), (7, 2, 300, 5));
        assert_eq!(a.latency.len(), 2);
        assert!(a.latency.max() >= LATENCY_MAX_NS, "what is longer counts as the longest");
    }
}
