//! Buckets of tokens: single steps, and what holds for every sender.

use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;

const START: Instant = Instant::from_secs(7);

fn bucket(bits_per_second: u64, burst: u64) -> Bucket {
    Bucket::new(Rate::new(bits_per_second, Some(burst)))
}

#[test]
fn a_full_bucket_lets_its_burst_pass_and_then_what_time_brings() {
    let mut bucket = bucket(8_000_000, 100_000);
    assert!(bucket.take(100_000, START));
    assert!(!bucket.take(1, START), "empty");
    // A byte in a microsecond.
    let later = START + Duration::from_micros(1500);
    assert!(!bucket.take(1501, later));
    assert!(bucket.take(1500, later), "a refused packet costs nothing");
    assert!(bucket.take(100_000, later + Duration::from_hours(1)));
    assert!(!bucket.take(1, later + Duration::from_hours(1)), "no more than the burst is saved");
}

#[test]
fn a_clock_that_stands_or_goes_back_brings_nothing() {
    let mut bucket = bucket(8_000_000, BURST_MIN);
    assert!(bucket.take(65_536, START));
    assert!(!bucket.take(1, START - Duration::from_secs(5)));
    assert!(!bucket.take(1, START));
}

#[test]
fn rates_and_bursts_are_brought_within_their_bounds() {
    let bounds = |rate: Rate| (rate.bits_per_second(), rate.burst());
    assert_eq!(bounds(Rate::new(0, Some(0))), (RATE_MIN, BURST_MIN));
    assert_eq!(bounds(Rate::new(u64::MAX, Some(u64::MAX))), (RATE_MAX, BURST_MAX));
    assert_eq!(bounds(Rate::new(RATE_MAX, None)), (RATE_MAX, BURST_MAX));
    assert_eq!(bounds(Rate::new(20_000_000, None)), (20_000_000, 625_000), "250 ms");
    assert_eq!(bounds(Rate::new(1_000_000, None)), (1_000_000, BURST_MIN));
}

#[test]
fn the_fastest_bucket_does_not_overflow_after_an_age() {
    let mut bucket = bucket(RATE_MAX, BURST_MAX);
    assert!(bucket.take(65_535, Instant::FAR_FUTURE));
    assert_eq!(bucket.level, tokens(BURST_MAX - 65_535));
}

#[test]
fn other_rates_go_on_with_what_is_left_and_fill_no_bucket() {
    let slow = Rate::new(8_000_000, Some(100_000));
    let mut before = Police::of(Rates { up: Some(slow), down: None }).unwrap();
    assert_eq!(before.pass(Direction::Inbound, 90_000, START), Ok(()));
    let fast = Rate::new(80_000_000, Some(70_000));
    let mut after = Police::of(Rates { up: Some(fast), down: Some(fast) }).unwrap();
    after.go_on(&before);
    assert_eq!(after.pass(Direction::Inbound, 10_001, START), Err(DropReason::RateUp));
    assert_eq!(after.pass(Direction::Inbound, 10_000, START), Ok(()));
    assert_eq!(
        after.pass(Direction::Outbound, 70_000, START),
        Ok(()),
        "a way that had no limit begins anew"
    );
    assert_eq!(after.pass(Direction::Outbound, 1, START), Err(DropReason::RateDown));
}

#[test]
fn nothing_is_kept_for_a_session_without_rates() {
    assert!(Police::of(Rates::default()).is_none());
    let up = Some(Rate::new(RATE_MIN, None));
    let mut police = Police::of(Rates { up, down: None }).unwrap();
    assert_eq!(
        police.pass(Direction::Outbound, usize::MAX, START),
        Ok(()),
        "the other way is free"
    );
}

/// Nanoseconds since the packet before, and its length.
fn packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
    let pause = prop_oneof![3 => Just(0), 3 => 0..200_000_u64, 1 => 0..500_000_000_u64];
    proptest::collection::vec((pause, 40..=65_535_usize), 1..200)
}

proptest! {
    #[test]
    fn no_window_carries_more_than_its_time_at_the_rate_and_the_burst(
        packets in packets(), rate in RATE_MIN..=10_000_000_000_u64, burst in BURST_MIN..=4_000_000_u64,
    ) {
        let mut bucket = bucket(rate, burst);
        let (mut now, mut passed) = (START, Vec::new());
        for (pause, len) in packets {
            now += Duration::from_nanos(pause);
            if bucket.take(len, now) {
                passed.push((now, len));
            }
        }
        for (first, (from, _)) in passed.iter().enumerate() {
            let mut sum = 0_u128;
            for (until, len) in &passed[first..] {
                sum += *len as u128;
                let time = u128::from(until.as_nanos() - from.as_nanos());
                let most = time * u128::from(rate) + u128::from(tokens(burst));
                prop_assert!(sum * u128::from(8 * TOKEN) <= most);
            }
        }
    }

    /// Who has a packet ready at every step gets all that there is, but for what the next packet is too long for.
    #[test]
    fn a_greedy_sender_gets_the_rate_and_the_burst(
        lens in proptest::collection::vec(40..=65_535_usize, 1..20),
        rate in 1_000_000..=1_000_000_000_u64, burst in BURST_MIN..=4_000_000_u64,
        step_us in 1..1000_u64,
    ) {
        let mut bucket = bucket(rate, burst);
        let (mut now, mut sum, mut at) = (START, 0_u64, 0);
        for _ in 0..500 {
            while bucket.take(lens[at % lens.len()], now) {
                sum += lens[at % lens.len()] as u64;
                at += 1;
            }
            now += Duration::from_micros(step_us);
        }
        let time = 499 * step_us * 1000;
        let all = u128::from(time) * u128::from(rate) / u128::from(8 * TOKEN) + u128::from(burst);
        // A full bucket loses what a step brings beyond it.
        let lost = u128::from(step_us * 1000) * u128::from(rate) / u128::from(8 * TOKEN);
        let overflow = if lost + 65_535 > u128::from(burst) { lost * 500 } else { 0 };
        prop_assert!(u128::from(sum) + 65_535 + 1 + overflow >= all, "{sum} of {all}");
    }
}
