//! Scripts between a LAC and an LNS: coming up, ending, and every message lost, doubled or late.

use std::vec::Vec;

use isthmus_core::{Duration, Instant};

use super::pair::{Fate, LAC_PORT, LNS_PORT, Pair, Side};
use crate::iana::{CallCode, ErrorCode, MessageType, StopCode};
use crate::{
    Action, CloseReason, DownReason, OpenError, RETRANSMIT_CYCLE, SessionRef, TunnelId, data,
};

const SECOND: Duration = Duration::from_secs(1);

const BRING_UP: [(Side, Option<MessageType>); 8] = [
    (Side::Lac, Some(MessageType::SCCRQ)),
    (Side::Lns, Some(MessageType::SCCRP)),
    (Side::Lac, Some(MessageType::SCCCN)),
    (Side::Lac, Some(MessageType::ICRQ)),
    (Side::Lns, None),
    (Side::Lns, Some(MessageType::ICRP)),
    (Side::Lac, Some(MessageType::ICCN)),
    (Side::Lns, None),
];

/// What the owner of one end saw go down, in order.
fn downs(actions: &[Action]) -> Vec<&DownReason> {
    let mut reasons = Vec::new();
    for action in actions {
        if let Action::SessionDown { reason, .. } | Action::TunnelDown { reason, .. } = action {
            reasons.push(reason);
        }
    }
    reasons
}

fn kinds(pair: &Pair, from: usize) -> Vec<(Side, Option<MessageType>)> {
    pair.trace[from..].to_vec()
}

#[test]
fn a_session_comes_up_in_eight_messages() {
    let mut pair = Pair::new();
    pair.bring_up();
    assert_eq!(pair.trace, BRING_UP);
    pair.pass(10 * SECOND);
    assert_eq!(pair.trace.len(), BRING_UP.len(), "nothing is left to say");
}

#[test]
fn both_ends_agree_on_ids_and_names() {
    let mut pair = Pair::new();
    let session = pair.bring_up();
    let up = |actions: &[Action]| {
        let up =
            actions.iter().find_map(|a| if let Action::SessionUp(u) = a { Some(u) } else { None });
        up.unwrap().clone()
    };
    let (lac, lns) = (up(&pair.lac.done), up(&pair.lns.done));
    assert_eq!(lac.session, session);
    assert_eq!(lac.remote_tunnel, lns.session.tunnel.0);
    assert_eq!(lac.remote_session, lns.session.session.0);
    assert_eq!(lns.remote_tunnel, lac.session.tunnel.0);
    assert_eq!(lns.remote_session, lac.session.session.0);
    assert_eq!(lns.peer_host.as_bytes(), b"laptop");
    assert_eq!(lac.peer_host.as_bytes(), b"gateway");
    assert_eq!((lns.to_port, lac.to_port), (LAC_PORT, LNS_PORT));
    assert_eq!(lns.tx_speed, 100_000_000);
    assert_eq!((lac.serial, lns.serial), (1, 1));
    assert!(!lac.send_sequence && !lns.send_sequence);
    for end in [&pair.lac, &pair.lns] {
        assert!(matches!(end.done[0], Action::TunnelUp(_)));
        assert!(matches!(end.done[1], Action::SessionUp(_)));
        assert_eq!(end.done.len(), 2);
    }
}

#[test]
fn the_lns_opens_the_session_before_it_acknowledges_and_the_lac_after_iccn() {
    let mut pair = Pair::new();
    pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    let mut order = Vec::new();
    pair.drain();
    for _ in 0..4 {
        while let Some(bytes) = pair.lac.sent.pop_front() {
            pair.lns.endpoint.handle_control(LAC_PORT, &bytes, pair.now).unwrap();
            while let Some(action) = pair.lns.endpoint.poll_action() {
                order.push((Side::Lns, matches!(action, Action::SessionUp(_))));
                if let Action::Transmit { bytes, .. } = action {
                    pair.lns.sent.push_back(bytes);
                }
            }
        }
        while let Some(bytes) = pair.lns.sent.pop_front() {
            pair.lac.endpoint.handle_control(LNS_PORT, &bytes, pair.now).unwrap();
            while let Some(action) = pair.lac.endpoint.poll_action() {
                order.push((Side::Lac, matches!(action, Action::SessionUp(_))));
                if let Action::Transmit { bytes, .. } = action {
                    pair.lac.sent.push_back(bytes);
                }
            }
        }
    }
    let tail = &order[order.len() - 4..];
    let expected = [(Side::Lac, false), (Side::Lac, true), (Side::Lns, true), (Side::Lns, false)];
    assert_eq!(tail, expected, "ICCN, up at the LAC, up at the LNS, ZLB");
}

/// Runs a bring-up with one fate for the message at `index`, and expects that both ends come up.
fn comes_up_despite(index: usize, fate: Fate) {
    let mut pair = Pair::new();
    let session = pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    pair.pass_with(20 * SECOND, |_, _, n| if n == index { fate } else { Fate::Arrive });
    assert_eq!(pair.lac.sessions_up(), [session], "{fate:?} at {index}");
    assert_eq!(pair.lns.sessions_up().len(), 1, "{fate:?} at {index}");
    assert_eq!(pair.lns.endpoint.tunnel_count(), 1, "{fate:?} at {index}");
    assert!(downs(&pair.lac.done).is_empty() && downs(&pair.lns.done).is_empty());
    let before = pair.trace.len();
    pair.pass(10 * SECOND);
    assert_eq!(pair.trace.len(), before, "{fate:?} at {index}: still talking");
}

#[test]
fn every_message_may_be_lost_once() {
    (0..BRING_UP.len()).for_each(|index| comes_up_despite(index, Fate::Lose));
}

#[test]
fn every_message_may_come_twice() {
    (0..BRING_UP.len()).for_each(|index| comes_up_despite(index, Fate::Twice));
}

#[test]
fn every_message_may_come_late() {
    (0..BRING_UP.len()).for_each(|index| comes_up_despite(index, Fate::Late));
}

#[test]
fn a_third_of_all_messages_may_be_lost() {
    for seed in 0..40 {
        let mut rng = isthmus_core::Rng::new([seed; 32]);
        let mut pair = Pair::new();
        let session = pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
        pair.pass_with(100 * SECOND, |_, _, _| match rng.below(6) {
            0 | 1 => Fate::Lose,
            2 => Fate::Twice,
            3 => Fate::Late,
            _ => Fate::Arrive,
        });
        if pair.lac.sessions_up() == [session] {
            assert_eq!(pair.lns.sessions_up().len(), 1, "seed {seed}");
        } else {
            assert!(!downs(&pair.lac.done).is_empty(), "seed {seed}: neither up nor down");
        }
    }
}

#[test]
fn a_command_ends_a_session_with_a_cdn_first() {
    let mut pair = Pair::new();
    let session = pair.bring_up();
    let before = pair.trace.len();
    assert!(pair.lac.endpoint.close_session(session, CloseReason::Ended, pair.now));
    let first = pair.lac.endpoint.poll_action().unwrap();
    assert!(matches!(first, Action::Transmit { .. }), "CDN stands before SessionDown");
    pair.lac.drain(LNS_PORT);
    let Action::Transmit { bytes, .. } = first else { return };
    pair.deliver(Side::Lac, &bytes);
    pair.run();
    assert_eq!(kinds(&pair, before), [(Side::Lns, None)]);
    assert_eq!(downs(&pair.lac.done), [&DownReason::Closed(CloseReason::Ended)]);
    let [DownReason::PeerDisconnected { result, cause: None }] = downs(&pair.lns.done)[..] else {
        unreachable!("{:?}", pair.lns.done)
    };
    assert_eq!(result.code, CallCode::LOST_CARRIER.0);
    assert!(!pair.lac.endpoint.close_session(session, CloseReason::Ended, pair.now), "once only");
}

#[test]
fn either_end_may_close_the_tunnel() {
    for side in [Side::Lac, Side::Lns] {
        let mut pair = Pair::up();
        let (closer, other) = match side {
            Side::Lac => (&mut pair.lac, &mut pair.lns),
            Side::Lns => (&mut pair.lns, &mut pair.lac),
        };
        closer.done.clear();
        other.done.clear();
        closer.endpoint.close(CloseReason::Shutdown, pair.now);
        pair.run();
        let (closer, other) = match side {
            Side::Lac => (&pair.lac, &pair.lns),
            Side::Lns => (&pair.lns, &pair.lac),
        };
        assert_eq!(downs(&closer.done), [&DownReason::Closed(CloseReason::Shutdown); 2]);
        assert!(matches!(closer.done[..], [Action::SessionDown { .. }, Action::TunnelDown { .. }]));
        assert!(closer.endpoint.is_empty(), "the StopCCN was acknowledged");
        let stopped = downs(&other.done);
        let [DownReason::PeerStopped(result), DownReason::PeerStopped(_)] = stopped[..] else {
            unreachable!("{stopped:?}")
        };
        assert_eq!(result.code, StopCode::SHUTTING_DOWN.0);
        assert_eq!(result.error, Some(ErrorCode::NONE));
        assert!(!other.endpoint.is_empty(), "kept to acknowledge a repeated StopCCN");
        pair.pass(RETRANSMIT_CYCLE + SECOND);
        assert!(pair.lac.endpoint.is_empty() && pair.lns.endpoint.is_empty());
    }
}

#[test]
fn a_lost_stopccn_or_acknowledgement_is_made_good() {
    for lost in 0..2 {
        let mut pair = Pair::up();
        pair.trace.clear();
        pair.lns.endpoint.close(CloseReason::Shutdown, pair.now);
        pair.pass_with(5 * SECOND, |_, _, n| if n == lost { Fate::Lose } else { Fate::Arrive });
        assert!(pair.lns.endpoint.is_empty(), "message {lost} lost");
        assert_eq!(downs(&pair.lac.done).len(), 2);
        let stops = pair.trace.iter().filter(|t| t.1 == Some(MessageType::STOP_CCN)).count();
        assert_eq!(stops, 2, "message {lost} lost");
    }
}

#[test]
fn crossing_stopccns_end_both() {
    let mut pair = Pair::up();
    pair.lac.endpoint.close(CloseReason::Ended, pair.now);
    pair.lns.endpoint.close(CloseReason::Shutdown, pair.now);
    pair.pass(2 * RETRANSMIT_CYCLE);
    assert!(pair.lac.endpoint.is_empty() && pair.lns.endpoint.is_empty());
    assert_eq!(downs(&pair.lac.done).len(), 2);
    assert_eq!(downs(&pair.lns.done).len(), 2);
}

#[test]
fn a_silent_peer_is_given_up_after_six_transmissions() {
    let mut pair = Pair::new();
    let start = pair.now;
    pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    let mut times = Vec::new();
    for _ in 0..40 {
        pair.lac.drain(LNS_PORT);
        times.extend(pair.lac.sent.drain(..).map(|_| pair.now.since(start).as_secs()));
        let Some(next) = pair.lac.endpoint.poll_timeout() else { break };
        pair.now = next.at;
        pair.lac.endpoint.handle_timeout(pair.now);
    }
    assert_eq!(times, [0, 1, 3, 7, 15, 23]);
    assert_eq!(pair.now.since(start), RETRANSMIT_CYCLE);
    assert_eq!(downs(&pair.lac.done), [&DownReason::PeerSilent; 2]);
    assert!(pair.lac.endpoint.is_empty());
    assert_eq!(pair.lac.endpoint.session_count(), 0);
}

#[test]
fn hello_asks_a_quiet_peer_and_its_silence_ends_the_tunnel() {
    let mut pair = Pair::up();
    pair.trace.clear();
    pair.pass(61 * SECOND);
    assert!(pair.trace.contains(&(Side::Lns, Some(MessageType::HELLO))));
    assert!(pair.trace.contains(&(Side::Lac, None)) || pair.trace.len() > 2, "answered");
    assert!(downs(&pair.lns.done).is_empty());
    // The line is cut: HELLO at 60 s, given up 31 s later.
    pair.pass_with(60 * SECOND + RETRANSMIT_CYCLE + SECOND, |_, _, _| Fate::Lose);
    assert_eq!(downs(&pair.lns.done), [&DownReason::PeerSilent; 2]);
    assert_eq!(downs(&pair.lac.done), [&DownReason::PeerSilent; 2]);
}

#[test]
fn a_quiet_tunnel_lives_for_hours() {
    let mut pair = Pair::up();
    pair.pass(3 * 3600 * SECOND);
    assert!(downs(&pair.lns.done).is_empty() && downs(&pair.lac.done).is_empty());
    let hellos = pair.trace.iter().filter(|t| t.1 == Some(MessageType::HELLO)).count();
    assert!((150..=400).contains(&hellos), "{hellos}");
}

#[test]
fn data_makes_hello_unnecessary() {
    let mut pair = Pair::up();
    pair.trace.clear();
    for _ in 0..30 {
        pair.pass(10 * SECOND);
        pair.lns.endpoint.peer_alive(pair.now);
        pair.lac.endpoint.peer_alive(pair.now);
    }
    assert_eq!(pair.trace, []);
}

#[test]
fn a_hello_that_nobody_answers_kills_nobody_while_data_flows() {
    let mut pair = Pair::up();
    // Some Android builds do not acknowledge HELLO.
    let pass = |pair: &mut Pair, data: bool| {
        for _ in 0..30 {
            pair.pass_with(10 * SECOND, |_, _, _| Fate::Lose);
            if data {
                pair.lns.endpoint.peer_alive(pair.now);
            }
        }
    };
    pair.pass_with(61 * SECOND, |_, _, _| Fate::Lose);
    pair.lns.endpoint.peer_alive(pair.now);
    pass(&mut pair, true);
    assert!(downs(&pair.lns.done).is_empty());
    pass(&mut pair, false);
    assert_eq!(downs(&pair.lns.done), [&DownReason::PeerSilent; 2]);
}

#[test]
fn a_tunnel_without_sessions_is_closed_after_a_while() {
    let mut pair = Pair::new();
    let session = pair.bring_up();
    pair.lac.endpoint.close_session(session, CloseReason::Ended, pair.now);
    pair.pass(59 * SECOND);
    assert_eq!(downs(&pair.lns.done).len(), 1, "the session only");
    pair.pass(3 * SECOND);
    assert!(downs(&pair.lac.done).len() == 2 && downs(&pair.lns.done).len() == 2);
}

#[test]
fn a_tunnel_that_never_had_a_session_is_closed_too() {
    let mut bench = super::bench::Bench::new();
    bench.tunnel();
    let sent = bench.pass(60 * SECOND);
    assert!(super::bench::kinds(&sent).contains(&Some(MessageType::STOP_CCN)));
    assert_eq!(downs(&bench.done), [&DownReason::Idle]);
}

#[test]
fn a_second_call_shares_the_tunnel() {
    let mut pair = Pair::new();
    let first = pair.bring_up();
    let second = pair.lac.endpoint.open_call(first.tunnel, pair.now).unwrap();
    pair.run();
    assert_eq!(pair.lac.sessions_up(), [first, second]);
    assert_eq!(pair.lns.endpoint.tunnel_count(), 1);
    pair.lac.endpoint.close_session(first, CloseReason::Ended, pair.now);
    pair.pass(70 * SECOND);
    assert_eq!(pair.lns.endpoint.session_count(), 1, "the other one stays");
    let missing = TunnelId(first.tunnel.0 ^ 1);
    assert_eq!(pair.lac.endpoint.open_call(missing, pair.now), Err(OpenError::UnknownTunnel));
}

#[test]
fn an_lns_asks_for_nothing() {
    let mut pair = Pair::up();
    assert_eq!(pair.lns.endpoint.open(LAC_PORT, pair.now), Err(OpenError::NotLac));
    let tunnel = pair.lns.sessions_up()[0].tunnel;
    assert_eq!(pair.lns.endpoint.open_call(tunnel, pair.now), Err(OpenError::NotLac));
}

#[test]
fn a_call_closed_before_the_tunnel_is_up_is_never_asked_for() {
    let mut pair = Pair::new();
    let session = pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    assert!(pair.lac.endpoint.close_session(session, CloseReason::Administrative, pair.now));
    pair.run();
    let about_calls = |t: &(Side, Option<MessageType>)| t.1 >= Some(MessageType::OCRQ);
    assert!(!pair.trace.iter().any(about_calls), "{:?}", pair.trace);
    assert_eq!(downs(&pair.lac.done).len(), 1);
    assert_eq!(pair.lns.endpoint.session_count(), 0);
}

#[test]
fn a_call_that_does_not_come_up_is_disconnected() {
    let mut pair = Pair::new();
    pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    // The LAC vanishes behind its ICRQ; its acknowledgements come from elsewhere.
    pair.run_with(|side, kind, _| match (side, kind) {
        (Side::Lac, Some(MessageType::ICCN)) => Fate::Lose,
        _ => Fate::Arrive,
    });
    assert_eq!(pair.lns.endpoint.session_count(), 1);
    pair.pass_with(120 * SECOND, |_, kind, _| {
        if kind == Some(MessageType::ICCN) { Fate::Lose } else { Fate::Arrive }
    });
    assert_eq!(pair.lns.endpoint.session_count(), 0);
    assert_eq!(pair.lac.endpoint.session_count(), 0);
}

#[test]
fn the_lns_follows_the_port_of_its_peer() {
    let mut pair = Pair::new();
    let session = pair.bring_up();
    pair.lac.port = 4242;
    pair.lac.endpoint.close_session(session, CloseReason::Ended, pair.now);
    pair.run();
    let tunnel = pair.lns.sessions_up()[0].tunnel;
    assert!(pair.lns.done.contains(&Action::PortMoved { tunnel, to_port: 4242 }));
}

#[test]
fn data_for_a_dead_session_is_counted() {
    let mut pair = Pair::new();
    pair.bring_up();
    let session = pair.lns.sessions_up()[0];
    let header = data::Header::new(session.tunnel.0, session.session.0);
    assert_eq!(pair.lns.endpoint.data_session(&header), Some(session));
    pair.lns.endpoint.close_session(session, CloseReason::Administrative, pair.now);
    assert_eq!(pair.lns.endpoint.data_session(&header), None);
    assert_eq!(pair.lns.endpoint.stats().stray_data, 1);
}

#[test]
fn ids_are_random_and_never_zero() {
    let ids: Vec<SessionRef> = (1..=20)
        .map(|seed| {
            let mut end = super::pair::End::new(
                crate::Config::lac(b"x", crate::Dialect::isthmus(b"x")),
                seed,
                LAC_PORT,
            );
            end.endpoint.open(LNS_PORT, Instant::ZERO).unwrap()
        })
        .collect();
    assert!(ids.iter().all(|id| id.tunnel.0 != 0 && id.session.0 != 0));
    let mut tunnels: Vec<_> = ids.iter().map(|id| id.tunnel).collect();
    tunnels.sort();
    tunnels.dedup();
    assert!(tunnels.len() >= 19, "{tunnels:?}");
}

#[test]
fn the_lac_follows_an_lns_that_answers_from_another_port() {
    let mut pair = Pair::new();
    pair.lac.endpoint.open(LNS_PORT, pair.now).unwrap();
    pair.lac.drain(LNS_PORT);
    pair.lns.port = 4000;
    pair.run();
    let up = pair.lac.done.iter().find_map(|action| {
        if let Action::SessionUp(up) = action { Some(up.to_port) } else { None }
    });
    assert_eq!(up, Some(4000));
    assert!(!pair.lac.done.iter().any(|action| matches!(action, Action::PortMoved { .. })));
}
