//! Probes as they come and go, translated and not.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::icmp;
use crate::probe::tests::any_probe;

const MARK: u32 = 0x8123_4567;

fn probe(kind: Kind) -> Probe {
    let (from, to) = (Ipv4Addr::new(10, 64, 0, 9), Ipv4Addr::new(10, 1, 0, 2));
    Probe::new(from.into(), to.into(), kind, MARK).unwrap()
}

/// The same packet after a translation of its source, without care for checksums.
fn translated(probe: &Probe, from: [u8; 4], port: u16) -> Vec<u8> {
    let mut packet = probe.packet();
    packet[12..16].copy_from_slice(&from);
    // The identifier of an echo request stands where TCP and UDP have nothing that changes.
    let at = if probe.kind() == Kind::Echo { 24 } else { 20 };
    packet[at..at + 2].copy_from_slice(&port.to_be_bytes());
    packet
}

/// A packet back, with this TCP acknowledgment, these flags and ports.
fn segment(from: u16, to: u16, acknowledged: u32, flags: u8) -> Vec<u8> {
    let mut packet = probe(Kind::Tcp(443)).packet();
    let (source, destination) = ([10, 1, 0, 2], [10, 64, 0, 9]);
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&destination);
    packet[20..22].copy_from_slice(&from.to_be_bytes());
    packet[22..24].copy_from_slice(&to.to_be_bytes());
    packet[24..28].copy_from_slice(&77u32.to_be_bytes());
    packet[28..32].copy_from_slice(&acknowledged.to_be_bytes());
    packet[33] = flags;
    packet
}

proptest! {
    #[test]
    fn a_probe_is_known_again_and_no_other(one in any_probe(), other in any_probe()) {
        let seen = one.sight(&one.packet(), None);
        let is_loop = one.source() == one.destination() && one.port() == Some(one.source_port());
        prop_assert!(is_loop || seen == Some(Sighting::Probe(one.own_ends())), "{:?}", seen);
        if one.mark() != other.mark() {
            prop_assert_eq!(one.sight(&other.packet(), None), None);
        }
    }

    #[test]
    fn no_bytes_are_a_probe_or_make_trouble_by_chance(bytes in prop::collection::vec(any::<u8>(), 0..100), one in any_probe()) {
        prop_assert_eq!(one.sight(&bytes, None), None);
    }

    #[test]
    fn every_prefix_of_a_probe_is_read_without_harm(one in any_probe(), len in 0usize..80) {
        let packet = one.packet();
        if let Some(prefix) = packet.get(..len).filter(|_| len < packet.len()) {
            prop_assert_eq!(one.sight(prefix, None), None);
        }
    }
}

#[test]
fn a_translated_probe_is_told_with_what_it_became() {
    for kind in [Kind::Echo, Kind::Tcp(443), Kind::Udp(53)] {
        let probe = probe(kind);
        let Some(Sighting::Probe(ends)) =
            probe.sight(&translated(&probe, [192, 0, 2, 7], 4242), None)
        else {
            panic!("{kind:?} is not known again");
        };
        assert_eq!(ends.source.ip(), IpAddr::from([192, 0, 2, 7]));
        assert_eq!(ends.destination, probe.own_ends().destination);
        assert_eq!(ends.source.port(), if kind == Kind::Echo { 0 } else { 4242 });
    }
}

#[test]
fn an_echo_reply_is_an_answer() {
    let probe = probe(Kind::Echo);
    let mut reply = probe.packet();
    reply[12..20].copy_from_slice(&[10, 1, 0, 2, 10, 64, 0, 9]);
    reply[20] = 0;
    let there = IpAddr::from([10, 1, 0, 2]);
    assert_eq!(probe.sight(&reply, None), Some(Sighting::Answer(Answer::Echo, there)));
}

#[test]
fn tcp_answers_acknowledge_the_mark() {
    let (probe, own) = (probe(Kind::Tcp(443)), 4242);
    let said =
        |acknowledged: u32, flags: u8| probe.sight(&segment(443, own, acknowledged, flags), None);
    let from = IpAddr::from([10, 1, 0, 2]);
    assert_eq!(said(MARK + 1, SYN | ACK), Some(Sighting::Answer(Answer::SynAck, from)));
    assert_eq!(said(MARK + 1, RST | ACK), Some(Sighting::Answer(Answer::Reset, from)));
    for (acknowledged, flags) in
        [(MARK, SYN | ACK), (MARK + 2, RST | ACK), (MARK + 1, ACK), (MARK + 1, RST)]
    {
        assert_eq!(said(acknowledged, flags), None, "{acknowledged} {flags}");
    }
}

#[test]
fn a_datagram_back_is_an_answer_also_to_the_translated_port() {
    let probe = probe(Kind::Udp(53));
    let own = probe.source_port();
    let back = |to: [u8; 4], port: u16| {
        let answer =
            Probe::new([10, 1, 0, 2].into(), IpAddr::from(to), Kind::Udp(port), 1).unwrap();
        let mut packet = answer.packet();
        packet[20..22].copy_from_slice(&53u16.to_be_bytes());
        packet
    };
    let there = IpAddr::from([10, 1, 0, 2]);
    let answer = Some(Sighting::Answer(Answer::Datagram, there));
    assert_eq!(probe.sight(&back([10, 64, 0, 9], own), None), answer);
    assert_eq!(probe.sight(&back([10, 64, 0, 9], own + 1), None), None);
    let left = Ends {
        source: "192.0.2.7:4242".parse().unwrap(),
        destination: "10.1.0.2:53".parse().unwrap(),
    };
    assert_eq!(probe.sight(&back([192, 0, 2, 7], 4242), None), None);
    assert_eq!(probe.sight(&back([192, 0, 2, 7], 4242), Some(&left)), answer);
}

#[test]
fn icmp_errors_about_the_probe_are_told_and_about_others_not() {
    let router = Ipv4Addr::new(198, 18, 1, 2);
    for kind in [Kind::Echo, Kind::Tcp(443), Kind::Udp(53)] {
        let probe = probe(kind);
        let error = icmp::fragmentation_needed(&probe.packet(), 1280, router).unwrap();
        let told = Answer::Trouble(Trouble::TooBig { mtu: 1280 });
        assert_eq!(
            probe.sight(&error, None),
            Some(Sighting::Answer(told, router.into())),
            "{kind:?}"
        );
        let mut other = error.clone();
        // The quoted second word or the quoted port.
        other[20 + 8 + 20 + 7] ^= 1;
        other[20 + 8 + 20 + 1] ^= 1;
        assert_eq!(probe.sight(&other, None), None, "{kind:?}");
        for len in 0..error.len() {
            let _never_panics = probe.sight(&error[..len], None);
        }
    }
}

#[test]
fn an_icmp_error_about_what_left_translated_is_told_too() {
    let router = Ipv4Addr::new(198, 18, 1, 2);
    for kind in [Kind::Echo, Kind::Udp(53)] {
        let probe = probe(kind);
        let packet = translated(&probe, [192, 0, 2, 7], 4242);
        let Some(Sighting::Probe(left)) = probe.sight(&packet, None) else { panic!("{kind:?}") };
        let error = icmp::fragmentation_needed(&packet, 1280, router).unwrap();
        assert_eq!(probe.sight(&error, None), None);
        assert!(probe.sight(&error, Some(&left)).is_some(), "{kind:?}");
    }
}

#[test]
fn an_icmpv6_error_about_the_probe_is_told() {
    let ends: [IpAddr; 2] = ["2001:db8:64::2".parse().unwrap(), "2001:db8:b01::2".parse().unwrap()];
    let probe = Probe::new(ends[0], ends[1], Kind::Tcp(22), MARK).unwrap();
    let router: core::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    let error = icmp::packet_too_big(&probe.packet(), 1280, router).unwrap();
    let told = Answer::Trouble(Trouble::TooBig { mtu: 1280 });
    assert_eq!(probe.sight(&error, None), Some(Sighting::Answer(told, router.into())));
}

#[test]
fn every_code_has_its_meaning() {
    let said = |number: u8, kind: u8, code: u8| {
        let message = [kind, code, 0, 0, 0, 0, 5, 0];
        trouble(number, &Icmp::new(&message).unwrap())
    };
    for (kind, code, meaning) in [
        (3, 0, Trouble::NoRoute),
        (3, 1, Trouble::HostUnreachable),
        (3, 2, Trouble::Other { kind: 3, code: 2 }),
        (3, 3, Trouble::PortUnreachable),
        (3, 4, Trouble::TooBig { mtu: 1280 }),
        (3, 13, Trouble::Prohibited),
        (11, 0, Trouble::HopsExceeded),
        (12, 0, Trouble::Other { kind: 12, code: 0 }),
    ] {
        assert_eq!(said(1, kind, code), Some(meaning), "{kind}/{code}");
    }
    for (kind, code, meaning) in [
        (1, 0, Trouble::NoRoute),
        (1, 1, Trouble::Prohibited),
        (1, 3, Trouble::HostUnreachable),
        (1, 4, Trouble::PortUnreachable),
        (2, 0, Trouble::TooBig { mtu: 1280 }),
        (3, 0, Trouble::HopsExceeded),
        (4, 1, Trouble::Other { kind: 4, code: 1 }),
    ] {
        assert_eq!(said(58, kind, code), Some(meaning), "ICMPv6 {kind}/{code}");
    }
    for (number, kind) in [(1, 0), (1, 8), (58, 128), (58, 129), (58, 135)] {
        assert_eq!(said(number, kind, 0), None);
    }
}
