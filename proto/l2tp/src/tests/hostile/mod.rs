//! Input that has broken other implementations, and its neighbours. A broken message is dropped or
//! refused; it never makes anything grow, hang or fall.

mod bounds;
mod rows;

use std::vec;
use std::vec::Vec;

use isthmus_core::{Duration, SecretBytes};
use isthmus_wire::DecodeError;

use super::bench::{Bench, CLIENT_SESSION, CLIENT_TUNNEL, PORT, assigned, kinds, result};
use super::bytes::{avp, control, iccn, icrq, may, must, sccrq, sccrq_with};
use crate::iana::{AttributeType, CallCode, ErrorCode, MessageType, StopCode};
use crate::{Action, DownReason, Header, Message, PeerError, Rejected};

/// `StopCCN` or CDN with this result and error, and nothing else.
fn refused(sent: &[Vec<u8>], kind: MessageType, code: u16, error: ErrorCode) {
    assert_eq!(kinds(sent), [Some(kind)]);
    assert_eq!(result(&sent[0]), (code, error.0));
}

fn stopped(sent: &[Vec<u8>], code: StopCode, error: ErrorCode) {
    refused(sent, MessageType::STOP_CCN, code.0, error);
}

fn disconnected(sent: &[Vec<u8>], code: CallCode, error: ErrorCode) {
    refused(sent, MessageType::CDN, code.0, error);
}

#[test]
fn a_missing_avp_is_refused() {
    let all = [
        must(2, &[1, 0]),
        must(3, &[0, 0, 0, 3]),
        must(7, b"client with a long name"),
        must(9, &[0x0b, 0x0b]),
    ];
    for missing in 0..all.len() {
        let mut avps = vec![must(0, &[0, 1])];
        avps.extend(all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, a)| a.clone()));
        let message = control((0, 0), (0, 0), &avps);
        let mut bench = Bench::new();
        if missing == 3 {
            let missing = PeerError::Missing(AttributeType::ASSIGNED_TUNNEL_ID);
            assert_eq!(bench.reject(&message), Rejected::NoAnswer(missing));
        } else {
            let sent = bench.feed(&message);
            stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::VALUE_OUT_OF_RANGE);
            let (header, _) = Header::read(&sent[0]).unwrap();
            assert_eq!((header.tunnel, header.ns, header.nr), (CLIENT_TUNNEL, 0, 1));
        }
        assert!(bench.lns.is_empty());
    }
}

#[test]
fn an_answer_to_a_broken_sccrq_is_never_longer() {
    let short = control((0, 0), (0, 0), &[must(0, &[0, 1]), must(9, &[0, 9])]);
    let missing = PeerError::Missing(AttributeType::PROTOCOL_VERSION);
    assert_eq!(Bench::new().reject(&short), Rejected::NoAnswer(missing));
    let padded = control((0, 0), (0, 0), &[must(0, &[0, 1]), must(9, &[0, 9]), may(8, b"1234")]);
    let sent = Bench::new().feed(&padded);
    assert!(sent[0].len() <= padded.len());
    assert_eq!(sent[0].len(), padded.len(), "the shortest that is answered");
}

#[test]
fn the_message_type_comes_first_and_in_the_clear() {
    let mut bench = Bench::new();
    let swapped = [must(2, &[1, 0]), must(0, &[0, 1])];
    let hidden = [avp(0xc000, 0, 0, &[0, 1])];
    let reserved = [avp(0x8400, 0, 0, &[0, 1])];
    let vendor = [avp(0x8000, 9, 0, &[0, 1])];
    let long = [must(0, &[0, 1, 0])];
    for avps in [&swapped[..], &hidden, &reserved, &vendor, &long] {
        let rejected = bench.reject(&control((0, 0), (0, 0), avps));
        assert_eq!(rejected, Rejected::Malformed(DecodeError::illegal("message type")));
    }
}

#[test]
fn an_unknown_mandatory_avp_ends_the_tunnel_and_an_optional_one_nothing() {
    let mut bench = Bench::new();
    let sent = bench.feed(&sccrq_with(&[must(4000, b"?")]));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
    assert!(bench.lns.is_empty());
    let sent = bench.feed(&sccrq_with(&[may(4000, b"?"), avp(0x0400, 0, 8, b"reserved bit")]));
    assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)]);
    assert_eq!(bench.lns.stats().ignored_avps, 2);
    let scccn = [must(0, &[0, 3]), must(4000, b"?")];
    let sent = bench.feed(&control((assigned(&sent[0]), 0), (1, 1), &scccn));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
}

#[test]
fn an_unknown_mandatory_avp_in_a_call_ends_the_call_only() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let sent = bench.feed(&icrq(tunnel, (2, 1), &[must(4000, b"?")]));
    disconnected(&sent, CallCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
    let session = assigned(&bench.feed(&icrq(tunnel, (3, 1), &[]))[0]);
    bench.feed(&iccn((tunnel, session), 4, &[]));
    let sli = [must(0, &[0, 16]), must(35, &[0; 10]), must(4000, b"?")];
    let sent = bench.feed(&control((tunnel, session), (5, 3), &sli));
    disconnected(&sent, CallCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
    assert!(matches!(
        bench.done.last(),
        Some(Action::SessionDown {
            reason: DownReason::PeerError(PeerError::UnknownMandatory { .. }),
            ..
        })
    ));
    assert_eq!((bench.lns.tunnel_count(), bench.lns.session_count()), (1, 0));
}

#[test]
fn an_unknown_message_ends_the_tunnel_only_when_mandatory() {
    for kind in [5, 13, 17, 0xffff_u16] {
        let mut bench = Bench::new();
        let tunnel = bench.tunnel();
        let sent = bench.feed(&control((tunnel, 0), (2, 1), &[may(0, &kind.to_be_bytes())]));
        assert_eq!(kinds(&sent), [None], "acknowledged and ignored");
        assert_eq!(bench.lns.stats().ignored_messages, 1);
        let sent = bench.feed(&control((tunnel, 0), (3, 1), &[must(0, &kind.to_be_bytes())]));
        stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
    }
}

#[test]
fn a_message_out_of_state_ends_what_it_is_about() {
    // SCCCN and SCCRP in an established tunnel, and ICRQ before it is.
    for kind in [2, 3] {
        let mut bench = Bench::new();
        let tunnel = bench.tunnel();
        let mut avps = vec![must(0, &[0, kind])];
        avps.extend([must(2, &[1, 0]), must(3, &[0; 4]), must(7, b"x"), must(9, &[0, 1])]);
        let sent = bench.feed(&control((tunnel, 0), (2, 1), &avps));
        stopped(&sent, StopCode::FSM_ERROR, ErrorCode::NONE);
    }
    let mut bench = Bench::new();
    let tunnel = assigned(&bench.feed(&sccrq())[0]);
    stopped(&bench.feed(&icrq(tunnel, (1, 1), &[])), StopCode::FSM_ERROR, ErrorCode::NONE);
    // A second ICCN, and messages only an LNS sends.
    for kind in [11, 12, 8, 9] {
        let mut bench = Bench::new();
        let ids = bench.session();
        let avps = [must(0, &[0, kind]), must(14, &[0x0c, 0x0c])];
        let sent = bench.feed(&control(ids, (4, 2), &avps));
        disconnected(&sent, CallCode::GENERAL_ERROR, ErrorCode::BAD_SESSION_ID);
        assert_eq!((bench.lns.tunnel_count(), bench.lns.session_count()), (1, 0));
    }
}

#[test]
fn a_message_for_an_unknown_session_is_acknowledged_and_ignored() {
    for kind in [8, 9, 11, 12, 14, 15, 16] {
        let mut bench = Bench::new();
        let tunnel = bench.tunnel();
        let mut avps = vec![must(0, &[0, kind]), must(14, &[0x0c, 0x0c]), must(1, &[0, 1])];
        avps.extend([must(34, &[0; 26]), must(35, &[0; 10])]);
        let mut sent = bench.feed(&control((tunnel, 0x4444), (2, 1), &avps));
        sent.extend(bench.pass(Duration::from_secs(1)));
        assert_eq!(kinds(&sent), [None]);
        assert_eq!(bench.lns.stats().ignored_messages, 1);
    }
}

#[test]
fn outgoing_calls_are_refused_for_good() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let avps = [must(0, &[0, 7]), must(14, &[0x0c, 0x0c]), must(15, &[0; 4]), must(16, &[0; 4])];
    let sent = bench.feed(&control((tunnel, 0), (2, 1), &avps));
    disconnected(&sent, CallCode::NO_FACILITIES, ErrorCode::NONE);
    assert_eq!(Header::read(&sent[0]).unwrap().0.session, CLIENT_SESSION);
    assert_eq!(bench.lns.session_count(), 0);
}

#[test]
fn wen_and_sli_are_counted() {
    let mut bench = Bench::new();
    let ids = bench.session();
    let wen = bench.feed(&control(ids, (4, 2), &[must(0, &[0, 15]), must(34, &[0; 26])]));
    let sli = bench.feed(&control(ids, (5, 2), &[must(0, &[0, 16]), must(35, &[0; 10])]));
    assert!(wen.is_empty() && sli.is_empty(), "acknowledged later");
    assert_eq!(kinds(&bench.pass(Duration::from_millis(100))), [None]);
    let stats = bench.lns.stats();
    assert_eq!((stats.wan_errors, stats.link_infos), (1, 1));
    assert_eq!(bench.lns.session_count(), 1);
}

#[test]
fn ids_and_windows_of_zero_are_refused() {
    let mut bench = Bench::new();
    let zero_tunnel = [must(0, &[0, 1]), must(2, &[1, 0]), must(3, &[0; 4]), must(7, b"name")];
    let mut avps = zero_tunnel.to_vec();
    avps.push(must(9, &[0, 0]));
    let missing = PeerError::Missing(AttributeType::ASSIGNED_TUNNEL_ID);
    assert_eq!(bench.reject(&control((0, 0), (0, 0), &avps)), Rejected::NoAnswer(missing));
    let sent = bench.feed(&sccrq_with(&[must(10, &[0, 0])]));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::VALUE_OUT_OF_RANGE);
    let sent = bench.feed(&sccrq_with(&[must(11, &[])]));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::VALUE_OUT_OF_RANGE);
    let tunnel = bench.tunnel();
    let avps = [must(0, &[0, 10]), must(14, &[0, 0]), must(15, &[0; 4])];
    assert_eq!(kinds(&bench.feed(&control((tunnel, 0), (2, 1), &avps))), [None]);
    assert_eq!(bench.lns.session_count(), 0);
}

#[test]
fn another_protocol_version_is_refused_with_ours() {
    let avps =
        [must(0, &[0, 1]), must(2, &[2, 0]), must(3, &[0; 4]), must(7, b"name"), must(9, &[0, 9])];
    let sent = Bench::new().feed(&control((0, 0), (0, 0), &avps));
    stopped(&sent, StopCode::VERSION_UNSUPPORTED, ErrorCode(0x0100));
}

#[test]
fn sequence_numbers_that_cannot_be_are_dropped() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    let hello = |ns, nr| control((tunnel, 0), (ns, nr), &[must(0, &[0, 6])]);
    assert_eq!(bench.reject(&hello(4, 3)), Rejected::AckOfUnsent);
    assert_eq!(bench.reject(&hello(4, 0x7000)), Rejected::AckOfUnsent);
    assert_eq!(bench.reject(&hello(4 + 9, 2)), Rejected::OutOfWindow);
    assert_eq!(bench.reject(&control((0, 0), (1, 0), &[must(0, &[0, 1])])), Rejected::OutOfWindow);
    assert_eq!(bench.reject(&control((0x7777, 0), (4, 2), &[])), Rejected::UnknownTunnel(0x7777));
    assert_eq!(bench.reject(&control((0, 0), (0, 0), &[])), Rejected::UnknownTunnel(0));
    bench.feed(&hello(4, 2));
}

#[test]
fn a_password_a_lac_proxies_is_not_printed() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let session = assigned(&bench.feed(&icrq(tunnel, (2, 1), &[]))[0]);
    let avps = [may(29, &[0, 3]), may(30, b"user"), may(32, &[0, 5]), may(33, b"hunter2")];
    bench.feed(&iccn((tunnel, session), 3, &avps));
    let proxy = bench.up().proxy_auth.clone().unwrap();
    let response = proxy.response.as_ref().map(SecretBytes::expose);
    assert_eq!((proxy.id, response, proxy.challenge), (Some(5), Some(&b"hunter2"[..]), None));
    assert!(!std::format!("{:?}", bench.done).contains("hunter2"));
}

#[test]
fn two_tunnels_with_one_id_are_both_replaced() {
    let mut bench = Bench::new();
    let first = bench.tunnel();
    bench.lns.handle_control(PORT + 1, &sccrq(), bench.now).unwrap();
    while bench.lns.poll_action().is_some() {}
    // The first one moves to the port of the second.
    let hello = control((first, 0), (2, 1), &[must(0, &[0, 6])]);
    bench.lns.handle_control(PORT + 1, &hello, bench.now).unwrap();
    bench.now += Duration::from_secs(10);
    assert_eq!(bench.lns.tunnel_count(), 2);
    bench.lns.handle_control(PORT + 1, &sccrq_with(&[may(8, b"new")]), bench.now).unwrap();
    assert_eq!(bench.lns.tunnel_count(), 1);
}

#[test]
fn garbage_on_the_control_port_is_dropped() {
    let mut bench = Bench::new();
    bench.session();
    let data = [0x00, 0x02, 0x0b, 0x0b, 0x0c, 0x0c, 0xff, 0x03];
    for bytes in [&data[..], &[], &[0xc8], &[0xc8, 0x02], &[0xff; 64], b"GET / HTTP/1.1\r\n\r\n"] {
        assert!(matches!(bench.reject(bytes), Rejected::Malformed(_)), "{bytes:?}");
    }
    assert!(Message::read(&data).is_err());
}
