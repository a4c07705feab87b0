//! The classes of input that broke released implementations, by the row of our list; after each a good
//! client still connects.

use std::vec;

use isthmus_core::{Duration, SecretBytes};
use isthmus_wire::{DecodeError, Fault};

use super::super::bench::{Bench, PORT, assigned, find, kinds};
use super::super::bytes::{avp, control, iccn, icrq, may, must, sccrq, sccrq_with};
use super::{disconnected, stopped};
use crate::bounds::{ADVISORY_MAX, CONTROL_MESSAGE_MAX, NUMBER_MAX};
use crate::iana::{AttributeType, CallCode, ErrorCode, MessageType, StopCode};
use crate::{Action, Config, DownReason, Rejected};

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
        bench.a_good_client_still_connects(None);
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
        bench.a_good_client_still_connects(Some(b"secret"));
        let mut bench = Bench::with(config.clone());
        let sent = bench.feed(&sccrq_with(&[hidden]));
        stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
        bench.a_good_client_still_connects(Some(b"secret"));
        let mut bench = Bench::new();
        let sent = bench.feed(&sccrq_with(&[vector.clone(), avp(0xc000, 0, 11, &vec![0x41; len])]));
        stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
        bench.a_good_client_still_connects(None);
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
        bench.a_good_client_still_connects(None);
    }
}

#[test]
fn row_46_a_vendor_avp_of_any_length_is_skipped() {
    for len in [0, 1, 500, 1017] {
        let mut bench = Bench::new();
        let sent = bench.feed(&sccrq_with(&[avp(0, 9, 7, &vec![0xff; len])]));
        assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)]);
        assert_eq!(bench.lns.stats().ignored_avps, 1);
        bench.a_good_client_still_connects(None);
    }
    let mut bench = Bench::new();
    let sent = bench.feed(&sccrq_with(&[avp(0x8000, 9, 7, b"x")]));
    stopped(&sent, StopCode::GENERAL_ERROR, ErrorCode::UNKNOWN_MANDATORY);
    bench.a_good_client_still_connects(None);
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
    let mut bench = Bench::new();
    assert_eq!(
        bench.reject(&sccrq_with(&avps)),
        Rejected::Malformed(DecodeError::new("control message", Fault::TooLong))
    );
    bench.a_good_client_still_connects(None);
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
            bench.a_good_client_still_connects(None);
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
    bench.a_good_client_still_connects(None);
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
            bench.a_good_client_still_connects(None);
        }
    }
}

#[test]
fn row_46_challenges_and_ids_are_no_two_alike() {
    let mut config = Config::lns(b"gateway");
    config.secret = Some(SecretBytes::copy_of(b"secret"));
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let mut bench = Bench::seeded(config.clone(), seed);
        let sccrp = bench.feed(&sccrq()).remove(0);
        let challenge = find(&sccrp, AttributeType::CHALLENGE).unwrap();
        assert!(seen.insert((assigned(&sccrp), std::format!("{challenge:?}"))));
        bench.a_good_client_still_connects(Some(b"secret"));
    }
    let ids: std::collections::BTreeSet<u16> = seen.iter().map(|(id, _)| *id).collect();
    let challenges: std::collections::BTreeSet<&std::string::String> =
        seen.iter().map(|(_, c)| c).collect();
    assert!(ids.len() > 45 && challenges.len() == 50, "{} ids", ids.len());
}
