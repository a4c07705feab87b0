//! How fast a session carries packets: a bucket of tokens for each way that has a limit.
//!
//! What counts is the inner IP packet as it is in the tunnel, header and all: neither what PPP, L2TP, UDP and
//! ESP add, nor what the kernel joined for one read or write, since the pipeline sees each packet of a run
//! alone. A packet that is cut into fragments counts once. What goes to control (PPP, DHCP, neighbour
//! discovery) is not counted.
//!
//! A packet for which there are not enough tokens is dropped, not kept: the sender's TCP finds the rate by its
//! losses. So within any time `t` no more passes than `rate * t + burst`.

use alloc::boxed::Box;

use isthmus_core::Instant;
use serde::Serialize;

use crate::{Direction, DropReason};

/// The rate of one way of a session, and how far it may be exceeded for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    bits_per_second: u64,
    burst: u64,
}

impl Rate {
    /// A rate with a burst in bytes, or what the rate carries in [`BURST_TIME_MS`]. Both are brought within
    /// [`RATE_MIN`] and [`RATE_MAX`], [`BURST_MIN`] and [`BURST_MAX`].
    pub fn new(bits_per_second: u64, burst: Option<u64>) -> Self {
        let bits_per_second = bits_per_second.clamp(RATE_MIN, RATE_MAX);
        let burst = burst.unwrap_or(bits_per_second / 8 * BURST_TIME_MS / 1000);
        Self { bits_per_second, burst: burst.clamp(BURST_MIN, BURST_MAX) }
    }

    /// Bits in a second.
    pub const fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }

    /// Bytes that may pass at once after a pause.
    pub const fn burst(self) -> u64 {
        self.burst
    }
}

/// The rates of both ways of a session; a way without one is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// From the peer.
    pub up: Option<Rate>,
    /// To the peer.
    pub down: Option<Rate>,
}

/// The buckets of a session; a session without any has a null pointer instead.
#[derive(Debug)]
pub(crate) struct Police {
    up: Option<Bucket>,
    down: Option<Bucket>,
}

impl Police {
    /// Full buckets for the ways that have a rate; none where no way has.
    pub(crate) fn of(rates: Rates) -> Option<Box<Self>> {
        let limited = rates.up.is_some() || rates.down.is_some();
        let bucket = |rate: Option<Rate>| rate.map(Bucket::new);
        limited.then(|| Box::new(Self { up: bucket(rates.up), down: bucket(rates.down) }))
    }

    /// Goes on with what is in the buckets of the same session under other rates.
    pub(crate) fn go_on(&mut self, before: &Self) {
        for (bucket, before) in [(&mut self.up, &before.up), (&mut self.down, &before.down)] {
            if let (Some(bucket), Some(before)) = (bucket, before) {
                bucket.go_on(before);
            }
        }
    }

    /// Lets a packet of `len` bytes pass.
    ///
    /// # Errors
    /// [`DropReason::RateUp`] and [`DropReason::RateDown`].
    pub(crate) fn pass(
        &mut self,
        way: Direction,
        len: usize,
        now: Instant,
    ) -> Result<(), DropReason> {
        let (bucket, reason) = match way {
            Direction::Inbound => (&mut self.up, DropReason::RateUp),
            Direction::Outbound => (&mut self.down, DropReason::RateDown),
        };
        let passes = bucket.as_mut().is_none_or(|bucket| bucket.take(len, now));
        if passes { Ok(()) } else { Err(reason) }
    }
}

/// Tokens are counted in [`TOKEN`] parts of a bit, so that each nanosecond brings a whole number of them.
#[derive(Debug)]
struct Bucket {
    /// What a nanosecond brings: bits per second.
    per_nanosecond: u64,
    capacity: u64,
    level: u64,
    /// When the level was right.
    at: Instant,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        let capacity = tokens(rate.burst);
        Self { per_nanosecond: rate.bits_per_second, capacity, level: capacity, at: Instant::ZERO }
    }

    fn go_on(&mut self, before: &Self) {
        self.level = before.level.min(self.capacity);
        self.at = before.at;
    }

    fn take(&mut self, len: usize, now: Instant) -> bool {
        // All packets of a batch have one time.
        if now > self.at {
            let passed = now.as_nanos() - self.at.as_nanos();
            let earned = passed.saturating_mul(self.per_nanosecond);
            self.level = self.level.saturating_add(earned).min(self.capacity);
            self.at = now;
        }
        let left = self.level.checked_sub(tokens(u64::try_from(len).unwrap_or(u64::MAX)));
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }
}

/// The tokens for so many bytes.
const fn tokens(bytes: u64) -> u64 {
    bytes.saturating_mul(8 * TOKEN)
}

/// Tokens for one bit: nanoseconds in a second.
const TOKEN: u64 = 1_000_000_000;
/// Least rate, in bits per second: slower is not alive.
pub const RATE_MIN: u64 = 8_000;
/// Greatest rate, in bits per second: faster than any machine is.
pub const RATE_MAX: u64 = 1_000_000_000_000;
/// Least burst, in bytes: any IP packet, and any run that a kernel sends at once, passes after a pause.
pub const BURST_MIN: u64 = 65_536;
/// Greatest burst, in bytes; its tokens fit a counter.
pub const BURST_MAX: u64 = 1 << 30;
/// The burst where none is given, as time at the rate: what TCP sends in a round trip over a long way.
pub const BURST_TIME_MS: u64 = 250;

const _: () = assert!(BURST_MAX.checked_mul(8 * TOKEN).is_some());

#[cfg(test)]
mod tests;
