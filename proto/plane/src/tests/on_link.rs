//! IPv6 that stays on a link: to control or nowhere, and only from the peer's own identifier.

use alloc::vec;
use alloc::vec::Vec;

use super::fixture::{End, Link, connected, udp_to_port, up};
use crate::{Command, DropReason, Ipv6Link, SessionParams};

const REMOTE: &str = "fe80::7";
const LOCAL: &str = "fe80::a";

fn linked() -> (Link, End, End) {
    let link = Link::new(1);
    let (mut gateway, client) = connected(&link);
    gateway.apply(Command::OpenSession(SessionParams {
        ipv6_link: Some(Ipv6Link {
            local: LOCAL.parse().unwrap(),
            remote: REMOTE.parse().unwrap(),
        }),
        ..link.gateway_session()
    }));
    (link, gateway, client)
}

/// An IPv6 packet with this next header and payload.
fn packet(source: &str, destination: &str, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, u8::try_from(payload.len()).unwrap(), next, 255];
    for address in [source, destination] {
        packet.extend(address.parse::<core::net::Ipv6Addr>().unwrap().octets());
    }
    packet.extend(payload);
    packet
}

fn icmp(source: &str, destination: &str, kind: u8) -> Vec<u8> {
    packet(source, destination, 58, &[kind, 0, 0, 0, 0, 0, 0, 0])
}

#[test]
fn neighbour_discovery_and_dhcpv6_go_to_control() {
    let (link, mut gateway, mut client) = linked();
    let own = link.inner_v6;
    let sent = [
        icmp(REMOTE, "ff02::2", 133),
        icmp("::", "ff02::2", 133),
        icmp("::", "ff02::1:ff00:7", 135),
        icmp(REMOTE, LOCAL, 135),
        icmp(own, LOCAL, 135),
        icmp(REMOTE, LOCAL, 136),
        udp_to_port(REMOTE, "ff02::1:2", 547),
    ];
    up(&link, &sent, &mut client, &mut gateway);
    let reported: Vec<_> =
        gateway.l2tp().into_iter().map(|(_, bytes)| bytes[10..].to_vec()).collect();
    assert_eq!(reported, sent);
    assert!(gateway.delivered().is_empty());
    gateway.dropped_nothing();
}

#[test]
fn what_nobody_listens_to_stays_on_the_link() {
    let (link, mut gateway, mut client) = linked();
    let noise = [
        // Multicast listener report (behind a hop-by-hop header), mDNS, LLMNR, ping of the gateway.
        packet(REMOTE, "ff02::16", 0, &[58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0]),
        udp_to_port(REMOTE, "ff02::fb", 5353),
        udp_to_port(REMOTE, "ff02::1:3", 5355),
        icmp(REMOTE, LOCAL, 128),
        udp_to_port(link.inner_v6, "ff02::fb", 5353),
    ];
    up(&link, &noise, &mut client, &mut gateway);
    assert_eq!(gateway.drops(DropReason::OnLink), 5);
    assert!(gateway.delivered().is_empty() && gateway.l2tp().is_empty());
}

#[test]
fn nobody_else_may_speak_on_the_link() {
    let (link, mut gateway, mut client) = linked();
    let spoofed = [
        icmp("fe80::8", "ff02::2", 133),
        icmp(LOCAL, "ff02::1", 134),
        icmp("2001:db8:7::99", LOCAL, 135),
        udp_to_port("fe80::8", "2001:db8::1", 53),
    ];
    up(&link, &spoofed, &mut client, &mut gateway);
    assert_eq!(gateway.drops(DropReason::SourceNotAllowed), 4);
    assert!(gateway.delivered().is_empty() && gateway.l2tp().is_empty());
}

#[test]
fn a_link_local_source_never_leaves_the_link_and_the_sessions_own_does() {
    let (link, mut gateway, mut client) = linked();
    let away = [udp_to_port(REMOTE, "2001:db8::1", 53), icmp("::", "2001:db8::1", 128)];
    up(&link, &away, &mut client, &mut gateway);
    assert_eq!(gateway.drops(DropReason::OnLink), 2);
    let good = udp_to_port(link.inner_v6, "2001:db8::1", 53);
    // Multicast beyond the link is the kernel's affair.
    let wide = udp_to_port(link.inner_v6, "ff05::1:3", 547);
    up(&link, &[good.clone(), wide.clone()], &mut client, &mut gateway);
    assert_eq!(gateway.delivered(), [good, wide]);
}

#[test]
fn without_an_ipv6_link_link_local_addresses_are_foreign() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    up(&link, &[icmp(REMOTE, "ff02::2", 133)], &mut client, &mut gateway);
    assert_eq!(gateway.drops(DropReason::SourceNotAllowed), 1);
}
