//! Packets as a tap sees them, and what is made of them.

use isthmus_wire::icmp;
use isthmus_wire::probe::Kind;

use super::super::expected::{Expected, SourceSeen};
use super::super::said::{self, Sent};
use super::*;

const DEVICE: &str = "ist-acme";
const CLOUD: &str = "cloud1";
const MARK: u32 = 0x1234_5678;
const OWN: [u8; 4] = [10, 64, 0, 9];
const THERE: [u8; 4] = [10, 1, 0, 2];
const OUTSIDE: [u8; 4] = [192, 0, 2, 7];

fn watched(kind: Kind) -> Watched {
    Watched::new(Probe::new(OWN.into(), THERE.into(), kind, MARK).unwrap())
}

/// The packet between these hosts; without care for checksums, which nobody looks at here.
fn between(mut packet: Vec<u8>, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    packet[12..16].copy_from_slice(&from);
    packet[16..20].copy_from_slice(&to);
    packet
}

/// An answer to a SYN with these flags.
fn segment(watched: &Watched, to: [u8; 4], flags: u8) -> Vec<u8> {
    let mut packet = between(watched.probe.packet(), THERE, to);
    packet[24..28].copy_from_slice(&7u32.to_be_bytes());
    packet[28..32].copy_from_slice(&(MARK + 1).to_be_bytes());
    packet[33] = flags;
    packet
}

fn echo_reply(watched: &Watched, to: [u8; 4]) -> Vec<u8> {
    let mut packet = between(watched.probe.packet(), THERE, to);
    packet[20] = 0;
    packet
}

const SYN_ACK: u8 = 0x12;
const RST_ACK: u8 = 0x14;

/// As it comes out of the session's device, and leaves translated by a link.
fn leaves(watched: &mut Watched, link: &str, from: [u8; 4]) {
    let packet = watched.probe.packet();
    watched.see(DEVICE, false, &packet);
    watched.see(link, true, &between(packet, from, THERE));
}

fn expected() -> Expected {
    Expected {
        local: false,
        link: Some(CLOUD.to_owned()),
        source: SourceSeen::Fixed(OUTSIDE.into()),
        destination: Some(THERE.into()),
    }
}

fn sent(watched: &Watched, passes: bool, expected: &Expected) -> Sent {
    said::sent(watched, (passes, expected), None)
}

#[test]
fn an_answer_that_goes_on_to_the_user_ends_the_wait() {
    for kind in [Kind::Echo, Kind::Tcp(443)] {
        let mut watched = watched(kind);
        leaves(&mut watched, CLOUD, OUTSIDE);
        assert_eq!(watched.outcome(false), Outcome::Silent);
        let answer = |to| match kind {
            Kind::Tcp(_) => segment(&watched, to, SYN_ACK),
            Kind::Echo | Kind::Udp(_) => echo_reply(&watched, to),
        };
        let (outside, inside) = (answer(OUTSIDE), answer(OWN));
        watched.see(CLOUD, false, &outside);
        assert!(!watched.is_done());
        assert_eq!(watched.outcome(false), Outcome::Lost, "it has not gone on");
        watched.see(DEVICE, true, &inside);
        assert!(watched.is_done());
        let sent = sent(&watched, true, &expected());
        assert_eq!((sent.outcome, sent.contradictions.len()), (Outcome::Answered, 0), "{sent:?}");
        assert_eq!(sent.answered_by, Some(THERE.into()));
        assert_eq!(sent.returned_by.as_deref(), Some(CLOUD));
    }
}

#[test]
fn a_reset_from_there_is_a_closed_port_and_one_from_here_a_refusal() {
    let mut there = watched(Kind::Tcp(443));
    leaves(&mut there, CLOUD, OUTSIDE);
    there.see(DEVICE, true, &segment(&there, OWN, RST_ACK));
    assert_eq!(there.outcome(false), Outcome::Closed);

    let mut here = watched(Kind::Tcp(443));
    here.see(DEVICE, false, &here.probe.packet());
    here.see(DEVICE, true, &segment(&here, OWN, RST_ACK));
    assert_eq!(here.outcome(false), Outcome::Refused);
    assert_eq!(here.outcome(true), Outcome::Closed, "this machine is who was asked");
    let told = sent(&here, true, &expected()).contradictions;
    assert_eq!(told, ["it was to leave the gateway, and did not"]);
    assert_eq!(sent(&here, false, &Expected::default()).contradictions, [""; 0]);
}

#[test]
fn icmp_errors_tell_who_cannot_go_on() {
    let router = [198, 18, 1, 2].into();
    for kind in [Kind::Echo, Kind::Tcp(443), Kind::Udp(53)] {
        let mut watched = watched(kind);
        leaves(&mut watched, CLOUD, OWN);
        let error = icmp::fragmentation_needed(&watched.probe.packet(), 1280, router).unwrap();
        watched.see(DEVICE, true, &error);
        let sent = sent(&watched, true, &expected());
        assert_eq!((sent.outcome, sent.mtu), (Outcome::Unreachable, Some(1280)), "{kind:?}");
        assert_eq!(sent.answered_by, Some(router.into()));
    }
}

#[test]
fn what_did_not_leave_is_stopped_and_what_never_came_is_unseen() {
    let mut watched = watched(Kind::Udp(53));
    assert_eq!(watched.outcome(false), Outcome::Unseen);
    let other = Probe::new(OWN.into(), THERE.into(), Kind::Udp(53), 9).unwrap();
    watched.see(DEVICE, false, &other.packet());
    assert_eq!(watched.outcome(false), Outcome::Unseen, "another packet");
    watched.see(DEVICE, false, &watched.probe.packet());
    assert_eq!(watched.outcome(false), Outcome::Stopped);
    assert_eq!(sent(&watched, false, &Expected::default()).contradictions, [""; 0]);
    assert_eq!(sent(&watched, true, &expected()).contradictions.len(), 1);
}

#[test]
fn everything_that_is_not_as_it_was_to_be_is_told() {
    let mut other = watched(Kind::Tcp(443));
    leaves(&mut other, "cloud2", OWN);
    let told = sent(&other, true, &expected()).contradictions;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("by cloud1, and left by cloud2"), "{told:?}");
    assert!(told[1].contains("10.64.0.9") && told[1].contains("192.0.2.7"), "{told:?}");
    let told = sent(&other, false, &Expected::default()).contradictions;
    assert_eq!(told, ["it was to go nowhere, and left by cloud2"]);
    let local = Expected { local: true, ..Expected::default() };
    assert_eq!(
        sent(&other, true, &local).contradictions,
        ["it was to stay on this machine, and left by cloud2"]
    );

    let mut astray = watched(Kind::Tcp(443));
    leaves(&mut astray, CLOUD, OUTSIDE);
    let mapped = Expected { destination: Some([10, 9, 0, 2].into()), ..expected() };
    let told = sent(&astray, true, &mapped).contradictions;
    assert_eq!(told, ["it was to go to 10.9.0.2, and went to 10.1.0.2"]);
}

#[test]
fn a_packet_that_passes_a_bridge_and_its_port_left_by_the_bridge() {
    let mut watched = watched(Kind::Echo);
    leaves(&mut watched, CLOUD, OUTSIDE);
    watched.see("port7", true, &between(watched.probe.packet(), OUTSIDE, THERE));
    assert_eq!(watched.left().unwrap().0, CLOUD);
}

#[test]
fn everything_that_can_happen_has_words() {
    for (kind, ends) in [
        (Kind::Echo, "an echo request from 10.64.0.9 to 10.1.0.2"),
        (Kind::Tcp(443), "a TCP SYN from 10.64.0.9:54904 to 10.1.0.2:443"),
        (Kind::Udp(53), "a UDP datagram from 10.64.0.9:54904 to 10.1.0.2:53"),
    ] {
        let mut watched = watched(kind);
        watched.see(DEVICE, false, &watched.probe.packet());
        let stopped = sent(&watched, true, &expected());
        let step = said::sent_step(&watched.probe, &stopped);
        assert_eq!(step, format!("{ends}: it did not leave the gateway"));
        assert!(said::answer_step(&watched.probe, None, &stopped, 2).contains("rp_filter"));
        leaves(&mut watched, CLOUD, OUTSIDE);
        let silent = sent(&watched, true, &expected());
        let step = said::sent_step(&watched.probe, &silent);
        assert!(step.starts_with(&format!("{ends}: it left by cloud1 as 192.0.2.7")), "{step}");
        assert!(said::answer_step(&watched.probe, None, &silent, 2).starts_with("none within 2 s"));
    }
}
