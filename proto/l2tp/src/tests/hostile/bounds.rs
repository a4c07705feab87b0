//! Every bound is hit, and what exceeds it is refused or cut.

use std::vec;
use std::vec::Vec;

use isthmus_core::{Duration, SecretBytes};

use super::super::bench::{Bench, assigned, kinds};
use super::super::bytes::{control, iccn, icrq, must, sccrq_with};
use super::{disconnected, stopped};
use crate::bounds::{
    CHALLENGE_MAX, GROUP_ID_MAX, HOST_NAME_MAX, LCP_CONFREQ_MAX, PARKED_MAX, PROXY_AUTHEN_MAX,
    SEND_QUEUE_MAX, SESSIONS_MAX, TUNNELS_MAX, VECTOR_MAX, VENDOR_NAME_MAX,
};
use crate::iana::{CallCode, ErrorCode, MessageType, StopCode};
use crate::{Action, Config, DownReason, Header, Rejected};

#[test]
fn the_number_of_parked_messages_is_bounded() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    let hello = |ns| control((tunnel, 0), (ns, 2), &[must(0, &[0, 6])]);
    let ahead = u16::try_from(PARKED_MAX).unwrap();
    for ns in 5..5 + ahead {
        assert!(bench.feed(&hello(ns)).is_empty());
        assert!(bench.feed(&hello(ns)).is_empty(), "once is enough");
    }
    assert_eq!(bench.reject(&hello(5 + ahead)), Rejected::OutOfWindow);
    bench.feed(&hello(4));
    let sent = bench.pass(Duration::from_secs(1));
    let (header, _) = Header::read(&sent[0]).unwrap();
    assert_eq!(header.nr, 5 + ahead, "all of them counted");
}

#[test]
fn tunnels_are_bounded_and_refusals_keep_nothing() {
    let mut bench = Bench::new();
    let named = |id: u16, name: &[u8]| {
        let avps = [
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(3, &[0; 4]),
            must(7, name),
            must(9, &id.to_be_bytes()),
        ];
        control((0, 0), (0, 0), &avps)
    };
    let sccrq_of = |id: u16| named(id, b"name");
    for id in 1..=4 {
        assert_eq!(kinds(&bench.feed(&sccrq_of(id))), [Some(MessageType::SCCRP)]);
    }
    for _ in 0..3 {
        stopped(&bench.feed(&sccrq_of(5)), StopCode::GENERAL_ERROR, ErrorCode::NO_RESOURCES);
    }
    assert_eq!(bench.lns.tunnel_count(), 4);
    assert_eq!(bench.done.len(), 3);
    // A copy and a replacement are still taken, and closing tunnels do not count.
    assert_eq!(kinds(&bench.feed(&sccrq_of(4))), [Some(MessageType::SCCRP)]);
    let other = named(4, b"another");
    assert_eq!(kinds(&bench.feed(&other)), [Some(MessageType::SCCRP)]);
    assert_eq!(bench.lns.tunnel_count(), 4);
    bench.lns.close(crate::CloseReason::Administrative, bench.now);
    bench.drain();
    assert_eq!(kinds(&bench.feed(&sccrq_of(6))), [Some(MessageType::SCCRP)]);
    assert_eq!(bench.lns.tunnel_count(), 5);
}

#[test]
fn tunnels_max_bounds_even_the_configuration_and_closing_tunnels_make_room() {
    let mut config = Config::lns(b"gateway");
    config.tunnels_max = usize::MAX;
    let mut bench = Bench::with(config);
    for round in 0..100_u16 {
        let avps = [
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(3, &[0; 4]),
            must(7, b"name"),
            must(9, &(round + 1).to_be_bytes()),
        ];
        let sent = bench.feed(&control((0, 0), (0, 0), &avps));
        match usize::from(round) {
            0..TUNNELS_MAX => assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)]),
            TUNNELS_MAX => {
                stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::NO_RESOURCES);
                bench.lns.close(crate::CloseReason::Administrative, bench.now);
                bench.drain();
            }
            _ => assert!(bench.lns.tunnel_count() <= TUNNELS_MAX, "round {round}"),
        }
    }
}

#[test]
fn sessions_are_bounded() {
    let mut config = Config::lns(b"gateway");
    config.sessions_max = usize::MAX;
    let mut bench = Bench::with(config);
    let tunnel = bench.tunnel();
    let mut last = Vec::new();
    for id in 1..=u16::try_from(SESSIONS_MAX).unwrap() + 1 {
        let avps = [must(0, &[0, 10]), must(14, &id.to_be_bytes()), must(15, &[0; 4])];
        last = bench.feed(&control((tunnel, 0), (id + 1, id), &avps));
    }
    assert_eq!(bench.lns.session_count(), SESSIONS_MAX);
    disconnected(&last, CallCode::NO_FACILITIES_NOW, ErrorCode::NO_RESOURCES);
}

#[test]
fn a_peer_that_acknowledges_nothing_and_asks_on_is_cut_off() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    for n in 0..u16::try_from(SEND_QUEUE_MAX).unwrap() {
        let avps = [must(0, &[0, 7]), must(14, &[0x0c, 0x0c])];
        bench.feed(&control((tunnel, 0), (n + 2, 1), &avps));
        assert_eq!(bench.lns.tunnel_count(), 1);
        assert!(!matches!(bench.done.last(), Some(Action::TunnelDown { .. })), "{n}");
    }
    let avps = [must(0, &[0, 7]), must(14, &[0x0c, 0x0c])];
    let ns = u16::try_from(SEND_QUEUE_MAX).unwrap() + 2;
    let sent = bench.feed(&control((tunnel, 0), (ns, 1), &avps));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::NO_RESOURCES);
    assert!(matches!(
        bench.done.last(),
        Some(Action::TunnelDown { reason: DownReason::Congested, .. })
    ));
    bench.pass(Duration::from_secs(32));
    assert!(bench.lns.is_empty());
}

/// Feeds a mandatory AVP of the longest length and of one more; the first must be taken.
fn bounded_in_sccrq(attribute: u16, max: usize) {
    let mut config = Config::lns(b"gateway");
    config.secret = Some(SecretBytes::copy_of(b"secret"));
    let mut bench = Bench::with(config);
    let sent = bench.feed(&sccrq_with(&[must(attribute, &vec![b'x'; max])]));
    assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)], "attribute {attribute}");
    let sent = bench.feed(&sccrq_with(&[must(attribute, &vec![b'x'; max + 1])]));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::LENGTH_WRONG);
}

#[test]
fn names_challenges_and_vectors_are_bounded() {
    bounded_in_sccrq(8, VENDOR_NAME_MAX);
    bounded_in_sccrq(7, HOST_NAME_MAX);
    bounded_in_sccrq(11, CHALLENGE_MAX);
    bounded_in_sccrq(36, VECTOR_MAX);
}

#[test]
fn what_a_lac_proxies_is_bounded() {
    let cases = [
        (26, LCP_CONFREQ_MAX),
        (27, LCP_CONFREQ_MAX),
        (28, LCP_CONFREQ_MAX),
        (30, PROXY_AUTHEN_MAX),
        (31, PROXY_AUTHEN_MAX),
        (33, PROXY_AUTHEN_MAX),
        (37, GROUP_ID_MAX),
    ];
    for (attribute, max) in cases {
        for (len, fits) in [(max, true), (max + 1, false)] {
            let mut bench = Bench::new();
            let tunnel = bench.tunnel();
            let session = assigned(&bench.feed(&icrq(tunnel, (2, 1), &[]))[0]);
            let avps = [must(attribute, &vec![b'x'; len])];
            let sent = bench.feed(&iccn((tunnel, session), 3, &avps));
            if fits {
                assert_eq!(kinds(&sent), [None], "attribute {attribute}");
                assert_eq!(bench.up().session.session.0, session);
            } else {
                disconnected(&sent, CallCode::GENERAL_ERROR, ErrorCode::LENGTH_WRONG);
            }
        }
    }
}
