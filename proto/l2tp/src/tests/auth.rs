//! Tunnel authentication, hidden AVPs, and tunnels opened by both ends at once.

use std::sync::Arc;
use std::vec::Vec;

use isthmus_core::{Duration, Instant, SecretBytes};

use super::bench::{Bench, assigned, kinds, result};
use super::bytes::{control, must, sccrq, sccrq_with};
use super::md5;
use super::pair::{LAC_PORT, LNS_PORT, Pair, Side};
use crate::iana::{AttributeType, MessageType, StopCode};
use crate::{Action, Config, Dialect, DownReason, Endpoint, Message, PeerError};

fn with_secret(mut config: Config, secret: &[u8]) -> Config {
    config.secret = Some(SecretBytes::copy_of(secret));
    config
}

fn lac() -> Config {
    Config::lac(b"laptop", Dialect::isthmus(b"laptop"))
}

#[test]
fn both_ends_prove_the_secret() {
    let mut pair = Pair::with(
        with_secret(Config::lns(b"gateway"), b"tunnel secret"),
        with_secret(lac(), b"tunnel secret"),
    );
    pair.bring_up();
}

#[test]
fn the_wrong_secret_is_noticed_by_the_lac_first() {
    let mut pair =
        Pair::with(with_secret(Config::lns(b"gateway"), b"right"), with_secret(lac(), b"wrong"));
    pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    pair.pass(Duration::from_mins(2));
    let reason = DownReason::PeerError(PeerError::BadResponse);
    let Some(Action::TunnelDown { reason: seen, .. }) = pair.lac.done.last() else {
        unreachable!("{:?}", pair.lac.done)
    };
    assert_eq!(seen, &reason);
    assert!(pair.lns.done.is_empty(), "a tunnel that never was");
    assert!(pair.lac.endpoint.is_empty() && pair.lns.endpoint.is_empty());
}

#[test]
fn a_lac_without_the_secret_gives_up_and_says_why() {
    let mut pair = Pair::with(with_secret(Config::lns(b"gateway"), b"secret"), lac());
    pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    pair.run();
    assert!(matches!(
        pair.lac.done.last(),
        Some(Action::TunnelDown { reason: DownReason::PeerError(PeerError::NoSecret), .. })
    ));
}

#[test]
fn an_lns_without_the_secret_refuses_a_challenge() {
    let mut bench = Bench::new();
    let sent = bench.feed(&sccrq_with(&[must(11, &[7; 16])]));
    assert_eq!(result(&sent[0]), (StopCode::NOT_AUTHORIZED.0, 0));
    assert!(bench.lns.is_empty());
}

#[test]
fn a_client_that_does_not_answer_or_answers_wrongly_is_refused() {
    for response in [None, Some([0_u8; 16])] {
        let mut bench = Bench::with(with_secret(Config::lns(b"gateway"), b"secret"));
        let sccrp = bench.feed(&sccrq());
        let mut avps = std::vec![must(0, &[0, 3])];
        avps.extend(response.map(|response| must(13, &response)));
        let sent = bench.feed(&control((assigned(&sccrp[0]), 0), (1, 1), &avps));
        assert_eq!(kinds(&sent), [Some(MessageType::STOP_CCN)]);
        assert_eq!(result(&sent[0]), (StopCode::NOT_AUTHORIZED.0, 0));
        let [Action::Refused(refused)] = &bench.done[..] else { unreachable!("{:?}", bench.done) };
        assert_eq!(refused.error, PeerError::BadResponse);
    }
}

#[test]
fn challenges_are_random() {
    let challenge = |seed: u8| {
        let config = Arc::new(with_secret(Config::lns(b"gateway"), b"secret"));
        let mut lns = Endpoint::new(config, md5(), [seed; 32], Instant::ZERO);
        lns.handle_control(LAC_PORT, &sccrq(), Instant::ZERO).unwrap();
        let Some(Action::Transmit { bytes, .. }) = lns.poll_action() else {
            unreachable!("no SCCRP")
        };
        super::bench::find(&bytes, AttributeType::CHALLENGE).unwrap()
    };
    assert_ne!(challenge(1), challenge(2));
}

#[test]
fn hidden_avps_go_both_ways() {
    let hide = |config| {
        let mut config = with_secret(config, b"secret");
        config.hide = true;
        config
    };
    let mut pair = Pair::with(hide(Config::lns(b"gateway")), hide(lac()));
    let session = pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    let mut hidden = Vec::new();
    pair.drain();
    for _ in 0..10 {
        for side in [Side::Lac, Side::Lns] {
            let end = match side {
                Side::Lac => &mut pair.lac,
                Side::Lns => &mut pair.lns,
            };
            let messages: Vec<_> = end.sent.drain(..).collect();
            for bytes in messages {
                let message = Message::read(&bytes).unwrap();
                if let Some(payload) = &message.payload {
                    let count = payload.avps.iter().filter(|avp| avp.hidden).count();
                    hidden.push((payload.kind, count));
                }
                pair.deliver(side, &bytes);
            }
        }
    }
    assert_eq!(pair.lac.sessions_up(), [session]);
    let expected = [
        // Framing, bearer, firmware, vendor, tunnel id, challenge, response.
        (MessageType::SCCRQ, 0),
        (MessageType::SCCRP, 7),
        (MessageType::SCCCN, 1),
        (MessageType::ICRQ, 2),
        (MessageType::ICRP, 1),
        (MessageType::ICCN, 2),
    ];
    assert_eq!(hidden, expected);
}

#[test]
fn each_random_vector_holds_for_what_follows_it() {
    let provider = md5();
    let hiding = crate::avp::Hiding { secret: b"secret", provider: &*provider };
    let mut rng = isthmus_core::Rng::new([1; 32]);
    let mut hide = |vector: &[u8], attribute: u16, value: &[u8]| {
        let attribute = AttributeType(attribute);
        let hidden = hiding.hide(attribute, vector, value, &mut rng).unwrap();
        super::bytes::avp(0xc000, 0, attribute.0, &hidden)
    };
    let request = control(
        (0, 0),
        (0, 0),
        &[
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(36, b"first"),
            hide(b"first", 3, &[0, 0, 0, 3]),
            must(7, b"client"),
            must(36, b"second"),
            hide(b"second", 9, &[0x0b, 0x0b]),
        ],
    );
    let mut bench = Bench::with(with_secret(Config::lns(b"gateway"), b"secret"));
    let sent = bench.feed(&request);
    assert_eq!(kinds(&sent), [Some(MessageType::SCCRP)]);
    assert_eq!(crate::Header::read(&sent[0]).unwrap().0.tunnel, 0x0b0b);
}

/// Two LACs that ask each other at the same time.
fn collide(first: Option<u64>, second: Option<u64>) -> Pair {
    let config = |on: Option<u64>| {
        let mut config = lac();
        config.tie_breaker = on.is_some();
        config
    };
    let mut pair = Pair::with(config(second), config(first));
    pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    pair.lns.endpoint.open(LAC_PORT, pair.now).unwrap();
    pair.drain();
    for (end, value) in [(&mut pair.lac, first), (&mut pair.lns, second)] {
        let Some(value) = value else { continue };
        let bytes = end.sent.front_mut().unwrap();
        let at = bytes.windows(6).position(|w| w == [0, 14, 0, 0, 0, 5]).unwrap() + 6;
        bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
        set_tie_breaker(&mut end.endpoint, value);
    }
    pair
}

fn set_tie_breaker(endpoint: &mut Endpoint, value: u64) {
    for tunnel in endpoint.tunnels.values_mut() {
        if let crate::tunnel::State::WaitReply { tie_breaker, .. } = &mut tunnel.state {
            *tie_breaker = Some(value);
        }
    }
}

fn lost(actions: &[Action]) -> bool {
    actions.iter().any(|action| {
        matches!(action, Action::TunnelDown { reason: DownReason::TieBreakerLost, .. })
    })
}

#[test]
fn the_lower_tie_breaker_wins_and_the_other_tunnel_vanishes() {
    let mut pair = collide(Some(5), Some(6));
    pair.run();
    assert!(!lost(&pair.lac.done) && lost(&pair.lns.done));
    assert_eq!((pair.lac.endpoint.tunnel_count(), pair.lns.endpoint.tunnel_count()), (1, 1));
}

#[test]
fn the_only_tie_breaker_wins() {
    let mut pair = collide(None, Some(u64::MAX));
    pair.run();
    assert!(lost(&pair.lac.done) && !lost(&pair.lns.done));
    assert_eq!((pair.lac.endpoint.tunnel_count(), pair.lns.endpoint.tunnel_count()), (1, 1));
}

#[test]
fn without_tie_breakers_there_are_two_tunnels() {
    let mut pair = collide(None, None);
    pair.run();
    assert!(!lost(&pair.lac.done) && !lost(&pair.lns.done));
    assert_eq!((pair.lac.endpoint.tunnel_count(), pair.lns.endpoint.tunnel_count()), (2, 2));
}

#[test]
fn equal_tie_breakers_start_anew() {
    let mut pair = collide(Some(7), Some(7));
    pair.run();
    assert!(lost(&pair.lac.done) && lost(&pair.lns.done));
    assert_eq!((pair.lac.endpoint.tunnel_count(), pair.lns.endpoint.tunnel_count()), (1, 1));
    assert!(pair.lac.endpoint.tunnels.values().all(|tunnel| tunnel.is_up()));
}

#[test]
fn the_calls_of_a_losing_tunnel_go_into_the_winning_one() {
    // The winner is an LNS that opened a tunnel of its own; here only its SCCRQ, byte by byte.
    let mut config = lac();
    config.tie_breaker = true;
    let mut lac = super::pair::End::new(config, 3, LAC_PORT);
    let now = Instant::from_secs(1);
    let session = lac.endpoint.open(LNS_PORT, now).unwrap();
    lac.drain(LNS_PORT);
    lac.sent.clear();
    lac.endpoint.handle_control(LNS_PORT, &sccrq_with(&[must(5, &[0; 8])]), now).unwrap();
    lac.drain(LNS_PORT);
    let sccrp = lac.sent.pop_front().unwrap();
    let tunnel = assigned(&sccrp);
    assert_ne!(tunnel, session.tunnel.0);
    let scccn = control((tunnel, 0), (1, 1), &[must(0, &[0, 3])]);
    lac.endpoint.handle_control(LNS_PORT, &scccn, now).unwrap();
    lac.drain(LNS_PORT);
    let icrq = lac.sent.pop_front().unwrap();
    assert_eq!(kinds(core::slice::from_ref(&icrq)), [Some(MessageType::ICRQ)]);
    assert_eq!(assigned(&icrq), session.session.0, "the same session");
    let reply = [must(0, &[0, 11]), must(14, &[0, 9])];
    lac.endpoint
        .handle_control(LNS_PORT, &control((tunnel, session.session.0), (2, 2), &reply), now)
        .unwrap();
    lac.drain(LNS_PORT);
    let up = lac.sessions_up();
    assert_eq!((up[0].tunnel.0, up[0].session), (tunnel, session.session));
    // Whoever opened the tunnel, calls come from the LAC.
    let call = super::bytes::icrq(tunnel, (3, 3), &[]);
    lac.endpoint.handle_control(LNS_PORT, &call, now).unwrap();
    lac.drain(LNS_PORT);
    assert_eq!(kinds(lac.sent.make_contiguous()).last(), Some(&Some(MessageType::CDN)));
    assert_eq!(lac.endpoint.session_count(), 1);
}

#[test]
fn a_closing_tunnel_that_is_replaced_goes_down_once() {
    let mut lac = super::pair::End::new(lac(), 3, LAC_PORT);
    let now = Instant::from_secs(1);
    let first = lac.endpoint.open(LNS_PORT, now).unwrap().tunnel;
    let sccrp = [
        must(0, &[0, 2]),
        must(2, &[1, 0]),
        must(3, &[0; 4]),
        must(7, b"x"),
        must(9, &[0x0b, 0x0b]),
    ];
    lac.endpoint.handle_control(LNS_PORT, &control((first.0, 0), (0, 1), &sccrp), now).unwrap();
    lac.endpoint.close(crate::CloseReason::Ended, now);
    lac.endpoint.open(LNS_PORT, now).unwrap();
    assert_eq!(lac.endpoint.tunnel_count(), 2);
    // The LNS asks too, with the id of the tunnel that is closing.
    lac.endpoint.handle_control(LNS_PORT, &sccrq(), now).unwrap();
    lac.drain(LNS_PORT);
    assert_eq!(lac.endpoint.tunnel_count(), 2, "ours that is coming up and theirs");
    let down = |a: &&Action| matches!(a, Action::TunnelDown { tunnel, .. } if *tunnel == first);
    assert_eq!(lac.done.iter().filter(down).count(), 1);
}

#[test]
fn a_lac_wants_no_tunnel_it_did_not_ask_for() {
    let mut bench = Bench::with(lac());
    let sent = bench.feed(&sccrq());
    assert_eq!(result(&sent[0]), (StopCode::NOT_AUTHORIZED.0, 0));
    assert!(bench.lns.is_empty());
}
