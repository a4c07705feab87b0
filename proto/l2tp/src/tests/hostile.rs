//! Input that has broken other implementations, and its neighbours. A broken message is dropped or
//! refused; it never makes anything grow, hang or fall.

use std::vec;
use std::vec::Vec;

use isthmus_core::{Duration, SecretBytes};
use isthmus_wire::{DecodeError, Fault};

use super::bench::{Bench, CLIENT_SESSION, CLIENT_TUNNEL, PORT, assigned, kinds, result};
use super::bytes::{avp, control, iccn, icrq, may, must, sccrq, sccrq_with};
use crate::bounds::{
    ADVISORY_MAX, CHALLENGE_MAX, CONTROL_MESSAGE_MAX, GROUP_ID_MAX, HOST_NAME_MAX, LCP_CONFREQ_MAX,
    NUMBER_MAX, PARKED_MAX, PROXY_AUTHEN_MAX, SEND_QUEUE_MAX, SESSIONS_MAX, TUNNELS_MAX,
    VECTOR_MAX, VENDOR_NAME_MAX,
};
use crate::iana::{AttributeType, CallCode, ErrorCode, MessageType, StopCode};
use crate::{Action, Config, DownReason, Header, Message, PeerError, Rejected};

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
fn row_38_an_avp_shorter_than_its_header_is_dropped() {
    for length in 0..6 {
        let mut bench = Bench::new();
        let broken = vec![0x80, length, 0, 0, 0, 9];
        let message = sccrq_with(core::slice::from_ref(&broken));
        assert_eq!(bench.reject(&message), Rejected::Malformed(DecodeError::illegal("avp length")));
        let (tunnel, session) = bench.session();
        bench.reject(&icrq(tunnel, (4, 1), core::slice::from_ref(&broken)));
        bench.reject(&control((tunnel, session), (4, 2), &[must(0, &[0, 14]), broken]));
        assert_eq!(bench.lns.session_count(), 1);
    }
}

#[test]
fn row_39_a_hidden_avp_without_the_secret_reveals_nothing_and_ends_the_attempt() {
    let mut config = Config::lns(b"gateway");
    config.secret = Some(SecretBytes::copy_of(b"secret"));
    let vector = must(36, &[1; 16]);
    for len in 0..=16 {
        let hidden = avp(0xc000, 0, 11, &vec![0x41; len]);
        let mut bench = Bench::with(config.clone());
        let sent = bench.feed(&sccrq_with(&[vector.clone(), hidden.clone()]));
        // By luck the deciphered length may fit; then it is a challenge and nothing else.
        if kinds(&sent) == [Some(MessageType::STOP_CCN)] {
            assert!(bench.lns.is_empty(), "{len}");
        } else {
            assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)], "{len}");
        }
        let mut bench = Bench::with(config.clone());
        let sent = bench.feed(&sccrq_with(&[hidden]));
        stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
        let mut bench = Bench::new();
        let sent = bench.feed(&sccrq_with(&[vector.clone(), avp(0xc000, 0, 11, &vec![0x41; len])]));
        stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
    }
}

#[test]
fn row_40_numbers_are_bounded() {
    for attribute in [21, 22, 23] {
        let mut bench = Bench::new();
        let tunnel = bench.tunnel();
        let sent = bench.feed(&icrq(tunnel, (2, 1), &[must(attribute, &[b'9'; NUMBER_MAX])]));
        assert_eq!(kinds(&sent), [Some(MessageType::ICRP)]);
        for (ns, len) in [(3, NUMBER_MAX + 1), (4, 1017)] {
            let avps = [must(attribute, &vec![b'9'; len])];
            let sent = bench.feed(&icrq(tunnel, (ns, ns - 1), &avps));
            disconnected(&sent, CallCode::GENERAL_ERROR, ErrorCode::LENGTH_WRONG);
        }
        // Without the M bit the AVP is skipped and the call is taken.
        let sent = bench.feed(&icrq(tunnel, (5, 4), &[may(attribute, &[b'9'; 1017])]));
        assert_eq!(kinds(&sent), [Some(MessageType::ICRP)]);
    }
}

#[test]
fn row_46_a_vendor_avp_of_any_length_is_skipped() {
    for len in [0, 1, 500, 1017] {
        let mut bench = Bench::new();
        let sent = bench.feed(&sccrq_with(&[avp(0, 9, 7, &vec![0xff; len])]));
        assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)]);
        assert_eq!(bench.lns.stats().ignored_avps, 1);
    }
    let mut bench = Bench::new();
    let sent = bench.feed(&sccrq_with(&[avp(0x8000, 9, 7, b"x")]));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
}

#[test]
fn row_46_a_long_control_message_is_refused() {
    let filler = may(8, &[0; 1017]);
    let mut avps = vec![filler.clone(), filler.clone(), filler];
    let rest = CONTROL_MESSAGE_MAX - sccrq_with(&avps).len();
    avps.push(may(6, &vec![0; rest - 6]));
    let most = sccrq_with(&avps);
    assert_eq!(most.len(), CONTROL_MESSAGE_MAX);
    assert_eq!(kinds(&Bench::new().feed(&most)), [Some(MessageType::SCCRP)]);
    avps.push(may(6, &[]));
    assert_eq!(
        Bench::new().reject(&sccrq_with(&avps)),
        Rejected::Malformed(DecodeError::new("control message", Fault::TooLong))
    );
}

#[test]
fn row_47_a_q931_cause_of_any_length_ends_the_call() {
    for len in [0, 1, 2, 3, 4, 3 + ADVISORY_MAX, 4 + ADVISORY_MAX, 1017] {
        for flags in [0x8000, 0] {
            let mut bench = Bench::new();
            let ids = bench.session();
            let cause = avp(flags, 0, 12, &vec![0x10; len]);
            let cdn = [must(0, &[0, 14]), must(1, &[0, 1]), must(14, &[0x0c, 0x0c]), cause];
            bench.feed(&control(ids, (4, 2), &cdn));
            let Some(Action::SessionDown {
                reason: DownReason::PeerDisconnected { cause, .. },
                ..
            }) = bench.done.last()
            else {
                unreachable!("{:?}", bench.done)
            };
            let kept = cause.as_ref().map(|cause| cause.advisory.as_bytes().len());
            assert_eq!(kept, len.checked_sub(3).map(|advisory| advisory.min(ADVISORY_MAX)));
        }
    }
}

#[test]
fn row_49_a_thousand_calls_come_and_go_without_a_trace() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    for n in 0..1000_u16 {
        let (ns, id) = (2 + 2 * n, (n + 1).to_be_bytes());
        let avps = [must(0, &[0, 10]), must(14, &id), must(15, &[0; 4])];
        let sent = bench.feed(&control((tunnel, 0), (ns, n + 1), &avps));
        let session = assigned(&sent[0]);
        let cdn = [must(0, &[0, 14]), must(1, &[0, 1]), must(14, &id)];
        bench.feed(&control((tunnel, session), (ns + 1, n + 2), &cdn));
    }
    assert_eq!(bench.lns.session_count(), 0);
    assert_eq!(bench.done.len(), 1, "no call came up, none goes down");
}

#[test]
fn row_57_every_prefix_and_every_flipped_bit_of_a_login_is_survived() {
    let script = |tunnel: u16, session: u16| {
        [
            sccrq_with(&[must(10, &[0, 4]), may(8, b"vendor"), avp(0, 311, 1, &[7; 16])]),
            control((tunnel, 0), (1, 1), &[must(0, &[0, 3])]),
            icrq(tunnel, (2, 1), &[must(21, b"100"), may(25, &[0, 0, 0, 1])]),
            iccn((tunnel, session), 3, &[may(29, &[0, 2]), may(32, &[0, 1]), may(33, b"secret")]),
            control((tunnel, session), (4, 2), &[must(0, &[0, 15]), must(34, &[0; 26])]),
            control((tunnel, session), (5, 2), &[must(0, &[0, 16]), must(35, &[0; 10])]),
            control((tunnel, 0), (6, 2), &[must(0, &[0, 6])]),
            control((tunnel, session), (7, 2), &[must(0, &[0, 14]), must(1, &[0, 1, 0, 0])]),
            control((tunnel, 0), (8, 2), &[must(0, &[0, 4]), must(1, &[0, 1, 0, 0])]),
        ]
    };
    for step in 0..9 {
        let reached = || {
            let mut bench = Bench::new();
            let (mut tunnel, mut session) = (0, 0);
            for n in 0..step {
                let sent = bench.feed(&script(tunnel, session)[n]);
                match n {
                    0 => tunnel = assigned(&sent[0]),
                    2 => session = assigned(&sent[0]),
                    _ => {}
                }
            }
            (bench, script(tunnel, session)[step].clone())
        };
        let (mut bench, message) = reached();
        for len in 0..message.len() {
            bench.reject(&message[..len]);
        }
        for bit in 0..message.len() * 8 {
            let (mut bench, mut message) = reached();
            message[bit / 8] ^= 1 << (bit % 8);
            let _ = bench.lns.handle_control(PORT, &message, bench.now);
            let sent = bench.drain();
            assert!(sent.len() <= 2, "step {step}, bit {bit}: {} answers", sent.len());
            bench.pass(Duration::from_mins(10));
            assert!(bench.lns.is_empty(), "step {step}, bit {bit}: something is left for ever");
            assert_eq!(bench.lns.session_count(), 0);
        }
    }
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
        if usize::from(round) < TUNNELS_MAX {
            assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)]);
        } else if usize::from(round) == TUNNELS_MAX {
            stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::NO_RESOURCES);
            bench.lns.close(crate::CloseReason::Administrative, bench.now);
            bench.drain();
        } else {
            assert!(bench.lns.tunnel_count() <= TUNNELS_MAX, "round {round}");
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

#[test]
fn a_password_a_lac_proxies_is_not_printed() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let session = assigned(&bench.feed(&icrq(tunnel, (2, 1), &[]))[0]);
    let avps = [may(29, &[0, 3]), may(30, b"user"), may(32, &[0, 5]), may(33, b"hunter2")];
    bench.feed(&iccn((tunnel, session), 3, &avps));
    let proxy = bench.up().proxy_auth.clone().unwrap();
    assert_eq!((proxy.id, proxy.response.expose()), (5, &b"hunter2"[..]));
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
