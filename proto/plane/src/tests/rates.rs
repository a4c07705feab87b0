//! Sessions with a rate: what passes, what is dropped, and where it is counted.

use alloc::vec;
use core::time::Duration;

use super::fixture::{End, Link, SERVER, connected, down, may_fragment, udp, up};
use crate::{Command, DropReason, Rate, Rates, SessionParams};

/// A byte in a microsecond, and 65,536 of them at once.
fn slow() -> Rate {
    Rate::new(8_000_000, Some(65_536))
}

fn limit(link: &Link, gateway: &mut End, rates: Rates) {
    gateway.apply(Command::OpenSession(SessionParams { rates, ..link.gateway_session() }));
}

#[test]
fn each_way_has_a_rate_of_its_own_and_its_drops_are_told_apart() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    limit(&link, &mut gateway, Rates { up: Some(slow()), down: None });
    let (there, back) = (udp("10.0.0.2", SERVER, 1000), udp(SERVER, "10.0.0.2", 1000));
    up(&link, &vec![&there; 100], &mut client, &mut gateway);
    assert_eq!(gateway.delivered().len(), 65, "the burst");
    down(&link, &vec![&back; 100], &mut gateway, &mut client);
    assert_eq!(client.delivered().len(), 100, "the other way is free");
    limit(&link, &mut gateway, Rates { up: Some(slow()), down: Some(slow()) });
    down(&link, &vec![&back; 70], &mut gateway, &mut client);
    assert_eq!(client.delivered().len(), 65);
    let counters = gateway.counters().sessions[0].1;
    assert_eq!(
        (counters.dropped, counters.dropped_rate_up, counters.dropped_rate_down),
        (40, 35, 5)
    );
    assert_eq!((counters.received.packets, counters.sent.packets), (65, 165));
    assert_eq!((gateway.drops(DropReason::RateUp), gateway.drops(DropReason::RateDown)), (35, 5));
    // 536 bytes were left.
    gateway.now += Duration::from_micros(1500);
    up(&link, &[&there; 5], &mut client, &mut gateway);
    assert_eq!(gateway.delivered().len(), 2);
    limit(&link, &mut gateway, Rates::default());
    up(&link, &vec![&there; 100], &mut client, &mut gateway);
    assert_eq!(gateway.delivered().len(), 100, "no limit any more");
}

#[test]
fn sessions_do_not_pay_for_each_other() {
    let (one, two) = (Link::new(1), Link::new(2));
    let (mut gateway, mut first) = connected(&one);
    let mut second = End::new(3);
    two.connect(&mut gateway, &mut second);
    for link in [&one, &two] {
        limit(link, &mut gateway, Rates { up: Some(slow()), down: None });
    }
    up(&one, &vec![udp("10.0.0.2", SERVER, 1000); 100], &mut first, &mut gateway);
    up(&two, &vec![udp("10.0.0.3", SERVER, 1000); 65], &mut second, &mut gateway);
    assert_eq!(gateway.delivered().len(), 130);
    assert_eq!(gateway.drops(DropReason::RateUp), 35);
}

#[test]
fn a_packet_in_fragments_counts_once_and_one_over_the_rate_is_not_answered() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    limit(&link, &mut gateway, Rates { up: None, down: Some(slow()) });
    let large = may_fragment(udp(SERVER, "10.0.0.2", 3000));
    down(&link, &[&large; 22], &mut gateway, &mut client);
    // 21 whole ones are 63,000 bytes; nothing of the last one comes.
    assert_eq!(client.delivered().len(), 63);
    assert_eq!(gateway.drops(DropReason::RateDown), 1);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 2600)]);
    assert_eq!((gateway.delivered().len(), gateway.drops(DropReason::RateDown)), (0, 2));
}

#[test]
fn what_goes_to_control_passes_whatever_the_rate() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    limit(&link, &mut gateway, Rates { up: Some(slow()), down: Some(slow()) });
    up(&link, &vec![udp("10.0.0.2", SERVER, 1000); 100], &mut client, &mut gateway);
    let inform = super::fixture::udp_to_port("10.0.0.2", "255.255.255.255", 67);
    gateway.reports();
    up(&link, &vec![inform; 300], &mut client, &mut gateway);
    assert_eq!(gateway.l2tp().len(), 300);
}
