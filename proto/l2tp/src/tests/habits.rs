//! The habits of clients, spoken by our LAC to our LNS.

use std::vec::Vec;

use isthmus_core::{Duration, Instant};

use super::pair::{Fate, Pair, Side, kind_of};
use crate::iana::MessageType;
use crate::{
    Action, CloseReason, Config, Dialect, DownReason, Header, Message, Rejected, SessionRef,
};

fn dialects() -> [Dialect; 5] {
    [
        Dialect::isthmus(b"laptop"),
        Dialect::windows(b"DESKTOP", 0x0a00),
        Dialect::apple(b"MacBook"),
        Dialect::android(),
        Dialect::xl2tpd(b"laptop"),
    ]
}

fn pair(dialect: Dialect) -> Pair {
    Pair::with(Config::lns(b"gateway"), Config::lac(b"laptop", dialect))
}

/// What the LAC sent, in order.
fn said(pair: &Pair) -> Vec<Option<MessageType>> {
    pair.trace.iter().filter(|(side, _)| *side == Side::Lac).map(|(_, kind)| *kind).collect()
}

/// Message of the LAC with this type, as bytes, taken off the line before it is delivered.
fn message_of(pair: &mut Pair, wanted: MessageType) -> Vec<u8> {
    pair.drain();
    let found = pair.lac.sent.iter().find(|bytes| kind_of(bytes) == Some(wanted));
    found.expect("the message").clone()
}

#[test]
fn every_client_comes_up_lives_and_leaves_without_refusing_a_message() {
    for dialect in dialects() {
        let name = std::format!("{:?}", dialect.habits);
        let mut pair = pair(dialect);
        let session = pair.bring_up();
        pair.pass(Duration::from_mins(30));
        assert!(pair.lac.endpoint.close_session(session, CloseReason::Administrative, pair.now));
        pair.lac.endpoint.close(CloseReason::Administrative, pair.now);
        pair.pass(Duration::from_mins(1));
        assert_eq!(pair.lac.endpoint.stats().rejected, 0, "{name}");
        assert!(pair.lac.endpoint.is_empty() && pair.lns.endpoint.is_empty(), "{name}");
        let down = |action: &Action| {
            if let Action::SessionDown { reason, .. } = action {
                Some(reason.clone())
            } else {
                None
            }
        };
        let reasons: Vec<_> = pair.lns.done.iter().filter_map(down).collect();
        let [DownReason::PeerDisconnected { result, .. }] = reasons.as_slice() else {
            panic!("{name}: {reasons:?}")
        };
        assert_eq!(result.code, 3, "{name}");
    }
}

#[test]
fn a_server_that_ends_is_understood_by_every_client() {
    for dialect in dialects() {
        let mut pair = pair(dialect);
        pair.bring_up();
        pair.lns.endpoint.close(CloseReason::Shutdown, pair.now);
        pair.pass(Duration::from_mins(1));
        assert_eq!(pair.lac.endpoint.stats().rejected, 0);
        assert!(pair.lac.endpoint.is_empty() && pair.lns.endpoint.is_empty());
    }
}

#[test]
fn apple_wakes_ipsec_with_ten_hellos_that_leave_no_trace() {
    let mut pair = pair(Dialect::apple(b"MacBook"));
    pair.bring_up();
    let said = said(&pair);
    assert!(said[..10].iter().all(|kind| *kind == Some(MessageType::HELLO)));
    assert_eq!(said[10], Some(MessageType::SCCRQ));
    assert_eq!(pair.lns.endpoint.stats().rejected, 10);
    assert_eq!(pair.lns.endpoint.tunnel_count(), 1);
    assert!(!pair.lns.done.iter().any(|action| matches!(action, Action::Refused(_))));
}

#[test]
fn apples_result_codes_have_14_bytes_in_the_wrong_order() {
    let mut pair = pair(Dialect::apple(b"MacBook"));
    let session = pair.bring_up();
    pair.lac.endpoint.close_session(session, CloseReason::Administrative, pair.now);
    let cdn = message_of(&mut pair, MessageType::CDN);
    let avps = Message::read(&cdn).unwrap().payload.unwrap().avps;
    let codes: Vec<_> = avps.iter().map(|avp| (avp.attribute.0, avp.value.len())).collect();
    assert_eq!(codes, [(14, 2), (1, 8)], "the session id first, then 6 + 8 bytes");
    assert_eq!(avps[1].value[..2], [3, 0]);
}

#[test]
fn androids_result_codes_have_no_error_code() {
    let mut pair = pair(Dialect::android());
    pair.bring_up();
    pair.lac.endpoint.close(CloseReason::Shutdown, pair.now);
    let stop = message_of(&mut pair, MessageType::STOP_CCN);
    let avps = Message::read(&stop).unwrap().payload.unwrap().avps;
    let result = avps.iter().find(|avp| avp.attribute.0 == 1).unwrap();
    assert_eq!(result.value, [0, 6]);
}

#[test]
fn android_calls_when_scccn_is_acknowledged_and_is_up_when_iccn_is() {
    let mut pair = pair(Dialect::android());
    pair.lac.endpoint.open(1701, pair.now).unwrap();
    let mut zlbs = 0;
    // The acknowledgement of SCCCN is lost.
    pair.run_with(|side, kind, _| {
        zlbs += u8::from(side == Side::Lns && kind.is_none());
        if zlbs == 1 && kind.is_none() { Fate::Lose } else { Fate::Arrive }
    });
    assert!(!said(&pair).contains(&Some(MessageType::ICRQ)));
    let start = pair.now;
    pair.pass(Duration::from_millis(1900));
    assert!(!said(&pair).contains(&Some(MessageType::ICRQ)), "its wait is two seconds");
    pair.pass(Duration::from_millis(200));
    assert!(said(&pair).contains(&Some(MessageType::ICRQ)));
    assert!(pair.now.since(start) < Duration::from_secs(3));
    pair.pass(Duration::from_secs(3));
    assert_eq!(pair.lac.sessions_up().len(), 1);
}

#[test]
fn android_repeats_every_two_seconds_and_sends_one_message_at_a_time() {
    let mut pair = pair(Dialect::android());
    pair.lac.endpoint.open(1701, pair.now).unwrap();
    pair.pass_with(Duration::from_secs(9), |_, _, _| Fate::Lose);
    assert_eq!(said(&pair), [Some(MessageType::SCCRQ); 5]);
    pair.pass(Duration::from_secs(3));
    assert_eq!(pair.lac.sessions_up().len(), 1);
    assert_eq!(pair.lns.sessions_up().len(), 1);
}

#[test]
fn apple_repeats_its_request_every_second() {
    let mut pair = pair(Dialect::apple(b"MacBook"));
    pair.lac.endpoint.open(1701, pair.now).unwrap();
    pair.pass_with(Duration::from_millis(20_500), |_, _, _| Fate::Lose);
    let requests = said(&pair).into_iter().filter(|kind| *kind == Some(MessageType::SCCRQ));
    assert_eq!(requests.count(), 21);
}

#[test]
fn who_is_silent_never_asks_and_answers_the_server() {
    for dialect in [Dialect::apple(b"MacBook"), Dialect::android()] {
        let mut pair = pair(dialect);
        pair.bring_up();
        let before = pair.trace.len();
        pair.pass(Duration::from_mins(10));
        let hellos = |side| {
            let hello = |(from, kind): &&(Side, Option<MessageType>)| {
                *from == side && *kind == Some(MessageType::HELLO)
            };
            pair.trace[before..].iter().filter(hello).count()
        };
        assert_eq!(hellos(Side::Lac), 0);
        assert!(hellos(Side::Lns) >= 9, "so the server has to");
    }
}

#[test]
fn windows_numbers_from_one() {
    let mut pair = pair(Dialect::windows(b"DESKTOP", 0x0a00));
    let SessionRef { tunnel, session } = pair.bring_up();
    assert_eq!((tunnel.0, session.0), (1, 1));
}

#[test]
fn windows_and_android_take_no_other_flags() {
    for (dialect, priority, reserved) in [
        (Dialect::windows(b"DESKTOP", 0x0a00), false, false),
        (Dialect::android(), false, true),
        (Dialect::isthmus(b"laptop"), true, true),
    ] {
        let mut pair = pair(dialect);
        let session = pair.bring_up();
        let mut zlb = Header { tunnel: session.tunnel.0, session: 0, ns: 2, nr: 3 }.write(&[]);
        let mut taken = |flags: [u8; 2]| {
            zlb[..2].copy_from_slice(&flags);
            let port = pair.lns.port;
            let result = pair.lac.endpoint.handle_control(port, &zlb, Instant::from_secs(2000));
            assert!(matches!(result, Ok(()) | Err(Rejected::Malformed(_))), "{result:?}");
            result.is_ok()
        };
        assert!(taken([0xc8, 0x02]));
        assert_eq!(taken([0xc9, 0x02]), priority);
        assert_eq!(taken([0xe8, 0x02]), reserved);
    }
}
