//! Packets that do not fit: MSS, fragments, and telling the sender.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_wire::ip::{Icmp, Ipv4, Ipv6};

use super::fixture::{Link, SERVER, connected, down, may_fragment, mss_of, syn, udp, up};
use crate::{Command, DropReason, SessionParams, TOO_BIG_PER_SECOND_MAX};

#[test]
fn the_mss_is_lowered_in_both_directions_and_versions() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    // Only the gateway knows the MTU, so what is lowered is lowered by the gateway.
    let params = SessionParams { mtu: 9000, ..link.client_session() };
    client.apply(Command::OpenSession(params));
    let there = [syn("10.0.0.2", SERVER, 1460), syn("2001:db8:7::2", "2001:db8::9", 1440)];
    up(&link, &there, &mut client, &mut gateway);
    let delivered: Vec<_> = gateway.delivered().iter().map(|packet| mss_of(packet)).collect();
    assert_eq!(delivered, [1260, 1240]);
    let back = [syn(SERVER, "10.0.0.2", 1460), syn("2001:db8::9", "2001:db8:7::2", 1440)];
    down(&link, &back, &mut gateway, &mut client);
    let delivered: Vec<_> = client.delivered().iter().map(|packet| mss_of(packet)).collect();
    assert_eq!(delivered, [1260, 1240]);
    assert_eq!(gateway.plane.stats().mss_clamped, 4);
    let small = [syn("10.0.0.2", SERVER, 536)];
    up(&link, &small, &mut client, &mut gateway);
    assert_eq!(gateway.delivered(), small);
}

#[test]
fn a_packet_that_may_not_be_cut_is_answered_from_where_it_was_to_go() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let offending = udp(SERVER, "10.0.0.2", 1301);
    gateway.tun(&[&offending]);
    assert!(gateway.sent().is_empty());
    let [answer] = &gateway.delivered()[..] else { panic!("one answer") };
    let ip = Ipv4::new(answer).unwrap();
    assert_eq!((ip.source(), ip.destination().octets()), ([10, 0, 0, 2].into(), [172, 16, 0, 9]));
    let icmp = Icmp::new(ip.payload()).unwrap();
    assert_eq!((icmp.kind(), icmp.code(), icmp.rest()), (3, 4, 1300));
    assert!(offending.starts_with(icmp.body()));
    assert_eq!(gateway.drops(DropReason::TooBig), 1);
    let counters = gateway.counters();
    assert_eq!((counters.sessions[0].1.dropped, counters.total.too_big_answered), (1, 1));
}

#[test]
fn ipv6_is_answered_with_packet_too_big_and_never_below_1280() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let params = SessionParams { mtu: 1200, ..link.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    down(&link, &[udp("2001:db8::9", "2001:db8:7::2", 1280)], &mut gateway, &mut client);
    assert_eq!(client.delivered().len(), 1);
    gateway.tun(&[udp("2001:db8::9", "2001:db8:7::2", 1281)]);
    let [answer] = &gateway.delivered()[..] else { panic!("one answer") };
    let ip = Ipv6::new(answer).unwrap();
    assert_eq!(ip.source(), "2001:db8:7::2".parse::<core::net::Ipv6Addr>().unwrap());
    let icmp = Icmp::new(ip.payload()).unwrap();
    assert_eq!((icmp.kind(), icmp.rest()), (2, 1280));
}

#[test]
fn a_packet_that_may_be_cut_arrives_in_fragments() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let whole = may_fragment(udp(SERVER, "10.0.0.2", 3000));
    down(&link, &[&whole], &mut gateway, &mut client);
    let fragments = client.delivered();
    assert!(fragments.len() == 3 && fragments.iter().all(|fragment| fragment.len() <= 1300));
    let mut payload = Vec::new();
    for (n, fragment) in fragments.iter().enumerate() {
        let ip = Ipv4::new(fragment).unwrap();
        assert!(ip.checksum_is_valid() && ip.fragment_offset() == payload.len());
        assert_eq!(ip.more_fragments(), n < 2);
        payload.extend_from_slice(ip.payload());
    }
    assert_eq!(payload, whole[20..]);
    let counters = gateway.counters();
    assert_eq!((counters.total.fragmented, counters.sessions[0].1.sent.packets), (1, 3));
    gateway.dropped_nothing();
}

#[test]
fn nobody_answers_for_a_multicast_group_or_where_answers_are_forbidden() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    gateway.tun(&[udp("224.0.0.1", "10.0.0.2", 1400)]);
    let group = ["224.0.0.0/4", "ff00::/8"].map(|net| net.parse().unwrap());
    let params = SessionParams { destinations: group.into(), ..link.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    gateway.tun(&[udp(SERVER, "224.0.0.9", 1400)]);
    gateway.tun(&[udp("2001:db8::9", "ff0e::9", 1400)]);
    assert!(gateway.delivered().is_empty() && gateway.sent().is_empty());
    assert_eq!(gateway.drops(DropReason::TooBig), 3);
}

#[test]
fn answers_are_limited_by_the_second() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let most = usize::try_from(TOO_BIG_PER_SECOND_MAX).unwrap();
    gateway.tun(&vec![udp(SERVER, "10.0.0.2", 1400); most + 5]);
    assert_eq!(gateway.delivered().len(), most);
    gateway.now += isthmus_core::Duration::from_secs(1);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 1400)]);
    assert_eq!(gateway.delivered().len(), 1);
}
