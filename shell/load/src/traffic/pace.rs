//! When the next packets are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use isthmus_core::Instant;

/// How many packets are sent.
#[derive(Clone, Debug)]
pub enum Pace {
    /// So many in a second, by this shard, whatever becomes of them.
    Rate(f64),
    /// As many as there can be with so many on their way, by all shards together.
    Window(Arc<InFlight>),
}

/// Packets on their way, counted by all shards.
#[derive(Debug)]
pub struct InFlight {
    most: u64,
    sent: AtomicU64,
    /// Those that came, and those that are given up.
    landed: AtomicU64,
}

/// Says when packets are due.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    started: Instant,
    /// Packets that were due and were sent, or skipped.
    spent: u64,
    /// What had landed when that last changed.
    landed: u64,
    landed_at: Instant,
}

impl Pace {
    /// As fast as possible with `most` packets on their way.
    pub fn window(most: u64) -> Self {
        let (sent, landed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self::Window(Arc::new(InFlight { most, sent, landed }))
    }
}

impl InFlight {
    pub(crate) fn land(&self, packets: u64) {
        self.landed.fetch_add(packets, Ordering::Relaxed);
    }

    pub(crate) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Relaxed)
    }

    fn on_the_way(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.landed())
    }
}

impl Pacer {
    pub(crate) fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, started: now, spent: 0, landed: 0, landed_at: now }
    }

    /// How many packets are due, and how many were due so long ago that they are skipped.
    pub(crate) fn due(&mut self, now: Instant) -> (u64, u64) {
        match &self.pace {
            Pace::Rate(per_second) => {
                let planned = planned(*per_second, now.since(self.started));
                let behind_max = planned_in(*per_second, BEHIND_MAX).max(BURST_MAX);
                let behind = planned.saturating_sub(self.spent);
                let skipped = behind.saturating_sub(behind_max);
                self.spent += skipped;
                ((behind - skipped).min(BURST_MAX), skipped)
            }
            Pace::Window(in_flight) => {
                let landed = in_flight.landed();
                if landed != self.landed {
                    (self.landed, self.landed_at) = (landed, now);
                }
                let on_the_way = in_flight.on_the_way();
                if on_the_way >= in_flight.most && now.since(self.landed_at) >= GIVE_UP {
                    // Only one shard gives them up, whichever is first.
                    let all = landed + on_the_way;
                    let relaxed = Ordering::Relaxed;
                    let _ = in_flight.landed.compare_exchange(landed, all, relaxed, relaxed);
                }
                (in_flight.most.saturating_sub(in_flight.on_the_way()).min(BURST_MAX), 0)
            }
        }
    }

    /// Packets were sent.
    pub(crate) fn spend(&mut self, packets: u64) {
        self.spent += packets;
        if let Pace::Window(in_flight) = &self.pace {
            in_flight.sent.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// When to ask again.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        match &self.pace {
            Pace::Rate(per_second) => {
                #[expect(clippy::cast_precision_loss, reason = "2^52 packets are never sent")]
                let at = (self.spent + 1) as f64 / per_second.max(RATE_MIN);
                self.started + Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX)
            }
            Pace::Window(in_flight) if in_flight.on_the_way() < in_flight.most => now,
            // Packets that land on another shard do not wake this one.
            Pace::Window(_) => now + Duration::from_millis(1),
        }
    }
}

fn planned(per_second: f64, elapsed: Duration) -> u64 {
    planned_in(per_second, elapsed)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of packets; the cast saturates"
)]
fn planned_in(per_second: f64, elapsed: Duration) -> u64 {
    (per_second * elapsed.as_secs_f64()) as u64
}

/// Most packets sent between two looks at the sockets.
pub(crate) const BURST_MAX: u64 = 64;
/// A generator that is late makes up for at most this much.
const BEHIND_MAX: Duration = Duration::from_millis(20);
/// Packets that are on their way when nothing has come for so long are lost.
const GIVE_UP: Duration = Duration::from_millis(500);
/// The slowest rate there is: a packet an hour.
const RATE_MIN: f64 = 1.0 / 3600.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_rate_is_kept_and_a_pause_is_not_made_up_for() {
        let mut pacer = Pacer::new(Pace::Rate(1000.0), at(0));
        assert_eq!(pacer.due(at(0)), (0, 0));
        assert_eq!(pacer.next(at(0)), at(1));
        assert_eq!(pacer.due(at(10)), (10, 0));
        pacer.spend(10);
        assert_eq!(pacer.due(at(10)), (0, 0));
        let (due, skipped) = pacer.due(at(2000));
        assert_eq!((due, skipped), (BURST_MAX, 1990 - BURST_MAX));
        pacer.spend(due);
        assert_eq!(pacer.due(at(2000)), (0, 0));
    }

    #[test]
    fn a_window_is_never_overrun_and_lost_packets_are_given_up() {
        let pace = Pace::window(10);
        let mut pacer = Pacer::new(pace.clone(), at(0));
        assert_eq!(pacer.due(at(0)), (10, 0));
        pacer.spend(10);
        assert_eq!(pacer.due(at(1)), (0, 0));
        let Pace::Window(in_flight) = &pace else { panic!("a window") };
        in_flight.land(4);
        assert_eq!(pacer.due(at(2)), (4, 0));
        pacer.spend(4);
        assert_eq!(pacer.due(at(501)), (0, 0), "some came not long ago");
        assert_eq!(pacer.due(at(502)), (10, 0));
    }
}
