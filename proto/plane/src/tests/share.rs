//! Two pipelines that share the clients: a packet is worked on by the one whose client it is of.

use alloc::vec::Vec;

use isthmus_core::LANES;

use super::fixture::{End, Link, SERVER, down, udp, up};
use crate::{Astray, Audience, Command, DropReason, LacKey, Outputs, Plane, Share};

/// Two pipelines of a gateway, and a client of each: the second's has the odd lane.
struct Pair {
    even: End,
    odd: End,
    of_even: (Link, End),
    of_odd: (Link, End),
}

impl Pair {
    fn connected() -> Self {
        let half = |index| {
            let share = Share::new(index, 2).unwrap();
            let plane = Plane::sharing(share, isthmus_crypto_aws::provider(), [7; 32]);
            End { plane, out: Outputs::new(), ..End::new(1) }
        };
        let clients = [Link::new(2), Link::new(1)].map(|link| (link, End::new(2)));
        let [of_even, of_odd] = clients;
        let mut pair = Self { even: half(0), odd: half(1), of_even, of_odd };
        pair.of_even.0.connect(&mut pair.even, &mut pair.of_even.1);
        pair.odd.apply(Command::OpenSession(pair.of_even.0.gateway_session()));
        pair.of_odd.0.connect(&mut pair.odd, &mut pair.of_odd.1);
        pair.even.apply(Command::OpenSession(pair.of_odd.0.gateway_session()));
        pair
    }
}

/// Hands over what went astray; all of it must be for `index`.
fn hand_over(from: &mut End, index: usize, to: &mut End) -> usize {
    let astray = core::mem::take(&mut from.out.astray);
    assert!(astray.iter().all(|(owner, _)| *owner == index));
    let mut batch: Vec<Astray> = astray.into_iter().map(|(_, packet)| packet).collect();
    let count = batch.len();
    to.plane.handle_astray(&mut batch, &mut to.out, to.now);
    assert!(batch.is_empty());
    count
}

#[test]
fn each_works_for_its_own_lanes_and_every_lane_has_one() {
    for of in [1, 2, 3, LANES] {
        let shares: Vec<Share> = (0..of).map(|index| Share::new(index, of).unwrap()).collect();
        for slot in 0..200 {
            let key = super::fixture::key(slot);
            let owners = shares.iter().filter(|share| share.owns(key)).count();
            assert_eq!(owners, 1, "of {of}, slot {slot}");
            assert!(shares[shares[0].owner(key)].owns(key));
        }
        assert!(shares.iter().all(|share| share.lane() < of));
    }
    assert_eq!((Share::new(1, 1), Share::new(0, LANES + 1)), (None, None));
}

#[test]
fn packets_of_ones_own_clients_stay() {
    let Pair { mut even, mut of_even, .. } = Pair::connected();
    let (link, client) = (&of_even.0, &mut of_even.1);
    let (there, back) = ([udp("10.0.0.3", SERVER, 300)], [udp(SERVER, "10.0.0.3", 300)]);
    up(link, &there, client, &mut even);
    assert_eq!(even.delivered(), there);
    down(link, &back, &mut even, client);
    assert_eq!(client.delivered(), back);
    assert_eq!((even.out.astray.len(), even.plane.stats().led), (0, 0));
}

#[test]
fn a_datagram_at_the_wrong_one_is_led_to_the_right_one() {
    let Pair { mut even, mut odd, mut of_odd, .. } = Pair::connected();
    let there = [udp("10.0.0.2", SERVER, 300), udp("10.0.0.2", SERVER, 301)];
    up(&of_odd.0, &there, &mut of_odd.1, &mut even);
    assert!(even.delivered().is_empty());
    assert_eq!(hand_over(&mut even, 1, &mut odd), 2);
    assert_eq!(odd.delivered(), there);
    assert_eq!(even.plane.stats().led, 2);
    even.dropped_nothing();
    odd.dropped_nothing();
}

#[test]
fn an_inner_packet_at_the_wrong_one_is_led_to_the_right_one() {
    let Pair { mut even, mut odd, mut of_odd, .. } = Pair::connected();
    let back = [udp(SERVER, "10.0.0.2", 300), udp(SERVER, "10.0.0.2", 301)];
    even.tun(&back);
    assert!(even.sent().is_empty());
    assert_eq!(hand_over(&mut even, 1, &mut odd), 2);
    let mut sent = odd.sent();
    of_odd.1.net(of_odd.0.to_client(&mut sent));
    assert_eq!(of_odd.1.delivered(), back);
}

#[test]
fn what_went_astray_does_not_travel_in_circles() {
    let Pair { mut even, odd, mut of_odd, .. } = Pair::connected();
    up(&of_odd.0, &[udp("10.0.0.2", SERVER, 300)], &mut of_odd.1, &mut even);
    even.tun(&[udp(SERVER, "10.0.0.2", 300)]);
    let packets = even.out.astray.drain(..).map(|(_, packet)| packet).collect::<Vec<_>>();
    let mut batch = packets;
    even.plane.handle_astray(&mut batch, &mut even.out, even.now);
    assert!(even.out.astray.is_empty());
    assert_eq!(even.drops(DropReason::Astray), 2);
    odd.dropped_nothing();
}

#[test]
fn nothing_is_led_to_a_session_that_has_ended() {
    let Pair { mut even, of_odd, .. } = Pair::connected();
    let to = |address| [udp(SERVER, address, 300)];
    let session = of_odd.0.session();
    let moved = crate::SessionParams {
        destinations: ["10.0.9.9/32".parse().unwrap()].into(),
        ..of_odd.0.gateway_session()
    };
    even.apply(Command::OpenSession(moved));
    even.tun(&to("10.0.0.2"));
    assert_eq!((even.out.astray.len(), even.drops(DropReason::NoRoute)), (0, 1));
    even.tun(&to("10.0.9.9"));
    assert_eq!(even.out.astray.len(), 1);
    even.apply(Command::CloseSession { session });
    even.tun(&to("10.0.9.9"));
    assert_eq!((even.out.astray.len(), even.drops(DropReason::NoRoute)), (1, 2));
}

#[test]
fn counters_of_both_add_up_to_those_of_one() {
    let Pair { mut even, mut odd, mut of_even, mut of_odd } = Pair::connected();
    up(&of_even.0, &[udp("10.0.0.3", SERVER, 300)], &mut of_even.1, &mut even);
    up(&of_odd.0, &[udp("10.0.0.2", SERVER, 200)], &mut of_odd.1, &mut odd);
    odd.tun(&[udp(SERVER, "10.9.9.9", 100)]);
    let mut sum = even.counters();
    sum.merge(odd.counters());
    assert_eq!(sum.sessions.iter().map(|(key, _)| key.slot()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((sum.sas.len(), sum.token), (4, 99));
    assert_eq!((sum.total.tun_sent.packets, sum.total.tun_sent.bytes), (2, 500));
    assert_eq!((sum.total.esp_received.packets, sum.total.tun_received.packets), (2, 1));
    assert_eq!((sum.total.drops.total(), sum.total.drops.of(DropReason::NoRoute)), (1, 1));
}

#[test]
fn commands_go_to_whoever_works_for_the_peer_and_what_all_must_know_to_all() {
    let link = Link::new(5);
    let owner = |command: Command| match command.audience() {
        Audience::Owner(key) => Some(key.lane()),
        Audience::Everybody | Audience::First => None,
    };
    assert_eq!(owner(Command::InstallInbound(link.gateway_inbound(0))), Some(5));
    assert_eq!(owner(Command::InstallOutbound(link.gateway_outbound(0))), Some(5));
    assert_eq!(owner(Command::RemoveInbound { spi: link.spi(0) }), Some(5));
    assert_eq!(owner(Command::RemovePeer { peer: link.peer() }), Some(5));
    assert_eq!(owner(Command::CloseLac { lac: LacKey(link.peer()) }), Some(5));
    for command in [
        Command::OpenSession(link.gateway_session()),
        Command::CloseSession { session: link.session() },
        Command::TrustLacs { sources: Vec::new() },
    ] {
        assert_eq!(command.audience(), Audience::Everybody);
    }
    let path = link.at_gateway;
    assert_eq!(Command::SendKeepalive { path }.audience(), Audience::First);
}
