//! L2TP without IPsec: from trusted LACs only, and never to anybody else.

use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use isthmus_core::Path;

use super::fixture::{End, Link, SERVER, connected, key, rx, udp, up};
use crate::{Command, DropReason, LacKey, PeerRef, Port, Report, Rx, SessionParams};

const CONTROL: [u8; 12] = [0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];

fn path(remote: &str) -> Path {
    Path::new("192.0.2.1:1701".parse().unwrap(), remote.parse::<SocketAddr>().unwrap())
}

fn from(remote: &str, bytes: &[u8]) -> Rx {
    Rx { path: path(remote), port: Port::L2tp, buf: isthmus_core::Buf::copy_of(bytes) }
}

const LAC: LacKey = LacKey(isthmus_core::Key::from_raw(1 << 20 | 1));
const PLACE: &str = "203.0.113.7:1701";

/// What the LAC sends: an IP packet in our session.
fn data(packet: &[u8]) -> Vec<u8> {
    [&[0, 2, 0, 11, 0, 12, 0xff, 3, 0, 0x21], packet].concat()
}

/// A gateway with one LAC and a session in it. The LAC and the session have the same keys and ids as
/// the first client of the other tests.
fn with_lac() -> End {
    let mut gateway = End::new(1);
    open_lac(&mut gateway);
    gateway
}

fn open_lac(gateway: &mut End) {
    gateway.apply(Command::TrustLacs { sources: vec!["203.0.113.0/28".parse().unwrap()] });
    gateway.apply(Command::OpenLac { lac: LAC, path: path(PLACE) });
    let session = SessionParams {
        peer: PeerRef::Lac(LAC),
        session: key(9),
        sources: vec!["10.0.9.2/32".parse().unwrap()],
        destinations: vec!["10.0.9.2/32".parse().unwrap()],
        ..Link::new(1).gateway_session()
    };
    gateway.apply(Command::OpenSession(session));
}

#[test]
fn packets_of_a_lac_go_both_ways_in_the_clear() {
    let mut gateway = with_lac();
    let packet = udp("10.0.9.2", SERVER, 60);
    gateway.net(vec![from(PLACE, &data(&packet))]);
    assert_eq!(gateway.delivered(), core::slice::from_ref(&packet));
    let alive = |session| Report::LacAlive { lac: LAC, session };
    assert_eq!(gateway.reports(), [alive(None), alive(Some(key(9)))]);

    let back = udp(SERVER, "10.0.9.2", 60);
    gateway.tun(core::slice::from_ref(&back));
    let sent = gateway.sent();
    assert_eq!((sent.len(), sent[0].port, sent[0].path), (1, Port::L2tp, path(PLACE)));
    assert_eq!(sent[0].buf[..], [&[0, 2, 0, 21, 0, 22, 0xff, 3, 0, 0x21], &back[..]].concat());
    gateway.apply(Command::SendPlain { lac: LAC, bytes: CONTROL.to_vec() });
    assert_eq!(gateway.sent()[0].buf[..], CONTROL);
    gateway.dropped_nothing();
    let stats = *gateway.plane.stats();
    assert_eq!((stats.plain_received.packets, stats.plain_sent.packets), (1, 2));
}

#[test]
fn control_and_unknown_sessions_are_reported_with_their_path() {
    let mut gateway = with_lac();
    let stranger = "203.0.113.9:4000";
    let unknown = [0, 2, 0, 11, 0, 99, 0xff, 3, 0, 0x21];
    gateway.net(vec![from(stranger, &CONTROL), from(stranger, &unknown)]);
    let report =
        |bytes: &[u8]| Report::PlainL2tp { path: path(stranger), lane: 0, bytes: bytes.to_vec() };
    assert_eq!(gateway.reports(), [report(&CONTROL), report(&unknown)]);
}

#[test]
fn a_source_that_is_not_trusted_is_dropped_and_counted_and_gets_no_answer() {
    let mut gateway = with_lac();
    for (n, remote) in
        ["203.0.113.16:1701", "198.51.100.1:1701", "[2001:db8::1]:1701"].iter().enumerate()
    {
        for bytes in [&CONTROL[..], &data(&udp("10.0.9.2", SERVER, 60)), b""] {
            gateway.net(vec![from(remote, bytes)]);
        }
        assert_eq!(gateway.drops(DropReason::NotTrusted), 3 * (n as u64 + 1));
    }
    assert!(gateway.reports().is_empty() && gateway.delivered().is_empty());
    assert!(gateway.sent().is_empty());
}

#[test]
fn nobody_is_trusted_until_control_says_so_and_none_after_it_takes_it_back() {
    let mut gateway = End::new(1);
    gateway.net(vec![from(PLACE, &CONTROL)]);
    assert_eq!(gateway.drops(DropReason::NotTrusted), 1);
    open_lac(&mut gateway);
    gateway.apply(Command::TrustLacs { sources: vec![] });
    gateway.net(vec![from(PLACE, &data(&udp("10.0.9.2", SERVER, 60)))]);
    assert_eq!(gateway.drops(DropReason::NotTrusted), 2);
}

#[test]
fn a_session_is_found_only_from_the_place_of_its_lac() {
    let mut gateway = with_lac();
    let packet = data(&udp("10.0.9.2", SERVER, 60));
    // Another port and another trusted address: to the pipeline they are somebody else.
    for remote in ["203.0.113.7:1702", "203.0.113.8:1701"] {
        gateway.net(vec![from(remote, &packet)]);
        assert!(gateway.delivered().is_empty(), "{remote}");
        assert!(matches!(gateway.reports()[..], [Report::PlainL2tp { .. }]));
    }
}

#[test]
fn inner_sources_of_a_lac_are_checked_like_any_others() {
    let mut gateway = with_lac();
    gateway.net(vec![from(PLACE, &data(&udp("10.0.0.2", SERVER, 60)))]);
    assert_eq!(gateway.drops(DropReason::SourceNotAllowed), 1);
}

/// The same keys, the same ids, the same numbers: what is an IPsec peer's stays in IPsec.
#[test]
fn an_ipsec_peers_traffic_never_leaves_in_the_clear_whatever_its_key() {
    let link = Link::new(1);
    assert_eq!(PeerRef::from(link.peer()), PeerRef::Ipsec(LAC.0));
    let (mut gateway, mut client) = connected(&link);
    open_lac(&mut gateway);
    let down = udp(SERVER, "10.0.0.2", 60);
    gateway.tun(core::slice::from_ref(&down));
    let (peer, port) = (link.peer(), 1701);
    let bytes = CONTROL.to_vec();
    gateway.apply(Command::SendL2tp { peer, local_port: port, remote_port: port, bytes });
    let mut sent = gateway.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|tx| tx.port == Port::NatT && tx.path == link.at_gateway));
    client.net(link.to_client(&mut sent));
    assert_eq!(client.delivered(), [down]);

    // Its SAs are gone: it gets nothing at all.
    gateway.apply(Command::RemoveOutbound { peer, spi: link.spi(0) });
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    gateway.apply(Command::SendL2tp {
        peer,
        local_port: port,
        remote_port: port,
        bytes: CONTROL.to_vec(),
    });
    assert!(gateway.sent().is_empty());
    // And nothing of it is taken in the clear, not even from the address of its own.
    let packet = data(&udp("10.0.0.2", SERVER, 60));
    gateway.net(vec![rx(&link, Port::L2tp, &packet), from(PLACE, &packet)]);
    assert!(gateway.delivered().is_empty());
    assert_eq!(gateway.drops(DropReason::NotTrusted), 1);
    assert_eq!(
        gateway.drops(DropReason::SourceNotAllowed),
        1,
        "the LAC has a session of these ids"
    );
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    assert_eq!(gateway.delivered().len(), 1);
}

#[test]
fn a_closed_lac_is_forgotten_with_its_sessions() {
    let mut gateway = with_lac();
    gateway.apply(Command::CloseLac { lac: LAC });
    gateway.apply(Command::SendPlain { lac: LAC, bytes: CONTROL.to_vec() });
    assert_eq!(gateway.drops(DropReason::UnknownPeer), 1);
    gateway.tun(&[udp(SERVER, "10.0.9.2", 60)]);
    assert_eq!(gateway.drops(DropReason::NoRoute), 1);
    gateway.net(vec![from(PLACE, &data(&udp("10.0.9.2", SERVER, 60)))]);
    assert!(gateway.sent().is_empty() && gateway.delivered().is_empty());
    assert!(gateway.plane.tables.is_empty());
}

#[test]
fn a_lac_that_comes_to_the_place_or_key_of_another_replaces_it() {
    let mut gateway = with_lac();
    let other = LacKey(key(2));
    gateway.apply(Command::OpenLac { lac: other, path: path(PLACE) });
    gateway.tun(&[udp(SERVER, "10.0.9.2", 60)]);
    assert_eq!(gateway.drops(DropReason::NoRoute), 1, "its session went with it");
    gateway.apply(Command::OpenLac { lac: other, path: path("203.0.113.9:1701") });
    gateway.apply(Command::SendPlain { lac: other, bytes: CONTROL.to_vec() });
    assert_eq!(gateway.sent()[0].path, path("203.0.113.9:1701"));
    gateway.apply(Command::CloseLac { lac: other });
    assert!(gateway.plane.tables.is_empty());
}

#[test]
fn a_session_of_a_lac_that_is_not_open_is_not_opened() {
    let mut gateway = End::new(1);
    let session = SessionParams { peer: PeerRef::Lac(LAC), ..Link::new(1).gateway_session() };
    gateway.apply(Command::OpenSession(session));
    assert!(gateway.plane.tables.is_empty());
}

#[test]
fn numbers_go_on_in_frames_from_control_to_a_lac() {
    let mut gateway = with_lac();
    let session = SessionParams {
        peer: PeerRef::Lac(LAC),
        session: key(9),
        sequence: Some(7),
        ..Link::new(1).gateway_session()
    };
    gateway.apply(Command::OpenSession(session));
    let echo = [0x08, 2, 0, 21, 0, 22, 0xaa, 0xbb, 0, 0, 0xff, 3, 0xc0, 0x21, 9, 1, 0, 8];
    for ns in [7, 8] {
        gateway.apply(Command::SendPlain { lac: LAC, bytes: echo.to_vec() });
        assert_eq!(gateway.sent()[0].buf[6..8], [0, ns]);
    }
}
