//! Numbered data messages on a network that reorders: they wait for each other, within bounds.

use alloc::vec;
use alloc::vec::Vec;

use core::time::Duration;
use proptest::prelude::*;

use super::fixture::{End, Link, SERVER, connected, l2tp_up, udp};
use crate::{Command, DropReason, REORDER_MAX, REORDER_WAIT_MAX, SessionParams};

/// A gateway that agreed on numbers with its client, and the client.
struct Numbered {
    link: Link,
    gateway: End,
    client: End,
}

impl Numbered {
    fn new() -> Self {
        let link = Link::new(1);
        let (mut gateway, client) = connected(&link);
        let params = SessionParams { sequence: Some(0), ..link.gateway_session() };
        gateway.apply(Command::OpenSession(params));
        Self { link, gateway, client }
    }

    /// The client's message `ns` arrives; what reaches the TUN device, by number.
    fn arrives(&mut self, ns: u16) -> Vec<u16> {
        let mut packet = udp("10.0.0.2", SERVER, 60);
        packet[30..32].copy_from_slice(&ns.to_be_bytes());
        let [high, low] = ns.to_be_bytes();
        let header = [0x08, 2, 0, 11, 0, 12, high, low, 0, 0, 0xff, 3, 0, 0x21];
        let message = [&header[..], &packet].concat();
        let datagrams = l2tp_up(&self.link, 1701, &message, &mut self.client);
        self.gateway.net(datagrams);
        self.delivered()
    }

    fn delivered(&mut self) -> Vec<u16> {
        let number = |packet: Vec<u8>| u16::from_be_bytes([packet[30], packet[31]]);
        self.gateway.delivered().into_iter().map(number).collect()
    }

    fn passes(&mut self, time: Duration) -> Vec<u16> {
        self.gateway.now += time;
        let End { plane, out, now } = &mut self.gateway;
        plane.handle_timeout(out, *now);
        self.delivered()
    }
}

#[test]
fn overtaken_messages_are_put_back_into_order() {
    let mut it = Numbered::new();
    assert_eq!(it.arrives(65_534), [65_534]);
    assert_eq!(it.arrives(1), []);
    assert_eq!(it.arrives(0), []);
    assert_eq!(it.arrives(65_535), [65_535, 0, 1], "over the end of the numbers");
    assert_eq!(it.gateway.plane.poll_timeout(), None);
    assert_eq!(it.gateway.plane.stats().reordered, 2);
    it.gateway.dropped_nothing();
}

#[test]
fn a_lost_message_holds_the_others_up_for_a_bounded_time() {
    let mut it = Numbered::new();
    it.arrives(1);
    let start = it.gateway.now;
    assert_eq!(it.arrives(3), []);
    it.passes(Duration::from_millis(20));
    assert_eq!(it.arrives(5), []);
    assert_eq!(it.gateway.plane.poll_timeout(), Some(start + REORDER_WAIT_MAX));
    let almost = REORDER_WAIT_MAX.saturating_sub(Duration::from_millis(21));
    assert_eq!(it.passes(almost), [], "an early call is harmless");
    assert_eq!(it.passes(Duration::from_millis(1)), [3], "2 is lost, 4 may still come");
    assert_eq!(it.arrives(2), [], "it came too late");
    assert_eq!(it.arrives(4), [4, 5]);
    assert_eq!(it.gateway.drops(DropReason::LateOrTwice), 1);
    assert_eq!(it.gateway.plane.poll_timeout(), None);
}

#[test]
fn a_message_that_waits_is_taken_once() {
    let mut it = Numbered::new();
    it.arrives(1);
    assert_eq!((it.arrives(3), it.arrives(3)), (vec![], vec![]));
    assert_eq!(it.arrives(2), [2, 3]);
    assert_eq!(it.gateway.drops(DropReason::LateOrTwice), 1);
}

#[test]
fn no_more_messages_wait_than_the_limit() {
    let mut it = Numbered::new();
    it.arrives(1);
    let last = 2 + u16::try_from(REORDER_MAX).unwrap();
    for ns in 3..=last {
        assert_eq!(it.arrives(ns), [], "{ns}");
    }
    let all: Vec<u16> = (3..=last + 1).collect();
    assert_eq!(it.arrives(last + 1), all, "2 is given up, though its time is not over");
    assert_eq!(it.arrives(2), []);
    assert_eq!(it.gateway.drops(DropReason::LateOrTwice), 1);
}

#[test]
fn without_agreed_numbers_nothing_waits() {
    let mut it = Numbered::new();
    it.gateway.apply(Command::OpenSession(it.link.gateway_session()));
    assert_eq!((it.arrives(1), it.arrives(3)), (vec![1], vec![3]));
    assert_eq!(it.arrives(2), [], "late");
    assert_eq!(it.gateway.plane.poll_timeout(), None);
}

#[test]
fn frames_for_control_keep_their_place_too() {
    let mut it = Numbered::new();
    it.arrives(1);
    let echo = [0x08, 2, 0, 11, 0, 12, 0, 3, 0, 0, 0xff, 3, 0xc0, 0x21, 9, 1, 0, 4];
    let datagrams = l2tp_up(&it.link, 1701, &echo, &mut it.client);
    it.gateway.net(datagrams);
    assert_eq!(it.gateway.l2tp(), []);
    assert_eq!(it.arrives(2), [2]);
    assert_eq!(it.gateway.l2tp(), [(it.link.peer(), echo.to_vec())]);
}

#[test]
fn what_waits_survives_a_change_of_parameters_and_ends_with_the_session() {
    let mut it = Numbered::new();
    it.arrives(1);
    it.arrives(3);
    let params = SessionParams { sequence: Some(0), mtu: 1200, ..it.link.gateway_session() };
    it.gateway.apply(Command::OpenSession(params));
    assert_eq!(it.arrives(2), [2, 3]);
    it.arrives(5);
    it.gateway.apply(Command::CloseSession { session: it.link.session() });
    assert_eq!(it.gateway.drops(DropReason::SessionEnded), 1);
    assert_eq!(it.passes(REORDER_WAIT_MAX), []);
    assert_eq!(it.gateway.plane.poll_timeout(), None);
}

#[test]
fn a_source_is_checked_when_the_turn_has_come() {
    let mut it = Numbered::new();
    it.arrives(1);
    let spoofed = udp("10.9.9.9", SERVER, 60);
    let header = [0x08, 2, 0, 11, 0, 12, 0, 3, 0, 0, 0xff, 3, 0, 0x21];
    let message = [&header[..], &spoofed].concat();
    let datagrams = l2tp_up(&it.link, 1701, &message, &mut it.client);
    it.gateway.net(datagrams);
    assert_eq!(it.gateway.drops(DropReason::SourceNotAllowed), 0);
    assert_eq!(it.arrives(2), [2]);
    assert_eq!(it.gateway.drops(DropReason::SourceNotAllowed), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the network does: nothing comes twice or backwards, and nothing waits for ever.
    #[test]
    fn any_order_comes_out_ascending_and_complete_within_the_bounds(
        first in any::<u16>(),
        shuffled in Just((0..40_u16).collect::<Vec<_>>()).prop_shuffle(),
        lost in prop::collection::btree_set(0..40_u16, 0..8),
    ) {
        let mut it = Numbered::new();
        it.arrives(first);
        let mut taken = Vec::new();
        for offset in shuffled.into_iter().filter(|offset| !lost.contains(offset)) {
            let ns = first.wrapping_add(1 + offset);
            taken.extend(it.arrives(ns));
            taken.extend(it.arrives(ns));
        }
        taken.extend(it.passes(REORDER_WAIT_MAX));
        let offsets: Vec<u16> = taken.iter().map(|ns| ns.wrapping_sub(first)).collect();
        prop_assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
        // Every copy was taken or counted.
        let early = it.gateway.drops(DropReason::LateOrTwice);
        prop_assert_eq!(u64::try_from(taken.len()).unwrap() + early, 2 * (40 - u64::try_from(lost.len()).unwrap()));
        prop_assert_eq!(it.gateway.plane.poll_timeout(), None);
    }
}
