//! Reliable delivery at its edges: numbers that wrap, lost acknowledgements, and restored channels.

use std::sync::Arc;
use std::vec::Vec;

use isthmus_core::{Duration, Instant};

use super::bench::{Bench, CLIENT_TUNNEL, PORT, assigned, kinds};
use super::bytes::{control, icrq, must};
use super::md5;
use super::pair::{Fate, LAC_PORT, LNS_PORT, Pair, Side};
use crate::bounds::{PARKED_MAX, SESSIONS_MAX, TUNNELS_MAX};
use crate::iana::MessageType;
use crate::{
    ACK_DELAY, Action, CloseReason, Config, Dialect, Endpoint, EndpointRecord, Header,
    RETRANSMIT_CYCLE, Rejected, SessionId, TunnelId,
};

const SECOND: Duration = Duration::from_secs(1);

fn restored(record: EndpointRecord, now: Instant) -> Endpoint {
    Endpoint::restore(Arc::new(Config::lns(b"gateway")), md5(), [77; 32], record, now)
}

/// Stores a record as bytes and reads it back.
fn stored(record: &EndpointRecord) -> EndpointRecord {
    let bytes = postcard::to_allocvec(record).unwrap();
    postcard::from_bytes(&bytes).unwrap()
}

#[test]
fn numbers_wrap_without_anybody_noticing() {
    let mut pair = Pair::up();
    // Both ends stand just before the wrap.
    for end in [&mut pair.lac, &mut pair.lns] {
        let mut record = end.endpoint.record();
        let other = 0xfffe;
        (record.tunnels[0].ns, record.tunnels[0].nr) = (other, other);
        let role = if end.port == LAC_PORT {
            Config::lac(b"laptop", Dialect::isthmus(b"laptop"))
        } else {
            Config::lns(b"gateway")
        };
        end.endpoint = Endpoint::restore(Arc::new(role), md5(), [5; 32], record, pair.now);
    }
    let tunnel = pair.lac.sessions_up()[0].tunnel;
    for _ in 0..10 {
        let call = pair.lac.endpoint.open_call(tunnel, pair.now).unwrap();
        pair.run_with(|_, _, n| if n % 7 == 3 { Fate::Twice } else { Fate::Arrive });
        assert!(pair.lac.sessions_up().contains(&call));
        pair.lac.endpoint.close_session(call, CloseReason::Ended, pair.now);
        pair.pass(SECOND);
    }
    let record = pair.lac.endpoint.record();
    assert!(record.tunnels[0].ns < 100 && record.tunnels[0].nr < 100, "{record:?}");
    assert_eq!(pair.lns.endpoint.session_count(), 1);
}

#[test]
fn a_message_that_fills_a_gap_releases_what_waited() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let second = [must(0, &[0, 10]), must(14, &[0, 2]), must(15, &[0; 4])];
    assert!(bench.feed(&control((tunnel, 0), (3, 1), &second)).is_empty());
    assert_eq!(bench.lns.stats().ahead, 1);
    let first = bench.feed(&icrq(tunnel, (2, 1), &[]));
    assert_eq!(kinds(&first), [Some(MessageType::ICRP); 2]);
    assert_eq!(bench.lns.session_count(), 2);
    let (header, _) = Header::read(&first[1]).unwrap();
    assert_eq!((header.ns, header.nr), (2, 4));
}

#[test]
fn a_duplicate_is_acknowledged_and_does_nothing() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    bench.feed(&icrq(tunnel, (2, 1), &[]));
    for _ in 0..3 {
        assert_eq!(kinds(&bench.feed(&icrq(tunnel, (2, 1), &[]))), [None]);
    }
    assert_eq!(bench.lns.session_count(), 1);
    assert_eq!(bench.lns.stats().duplicates, 3);
}

#[test]
fn a_hello_is_acknowledged_a_little_later() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    assert!(bench.feed(&control((tunnel, 0), (4, 2), &[must(0, &[0, 6])])).is_empty());
    assert!(bench.pass(ACK_DELAY.saturating_sub(Duration::from_millis(1))).is_empty());
    let sent = bench.pass(Duration::from_millis(1));
    assert_eq!(kinds(&sent), [None]);
    let (header, _) = Header::read(&sent[0]).unwrap();
    assert_eq!((header.tunnel, header.session), (CLIENT_TUNNEL, 0));
    assert_eq!((header.ns, header.nr), (2, 5));
}

#[test]
fn a_message_of_ours_carries_a_waiting_acknowledgement() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    let session = bench.up().session;
    bench.feed(&control((tunnel, 0), (4, 2), &[must(0, &[0, 6])]));
    bench.lns.close_session(session, CloseReason::Administrative, bench.now);
    let sent = bench.drain();
    assert_eq!(kinds(&sent), [Some(MessageType::CDN)]);
    assert_eq!(Header::read(&sent[0]).unwrap().0.nr, 5);
    bench.feed(&control((tunnel, 0), (5, 3), &[]));
    assert!(bench.pass(SECOND).is_empty(), "no ZLB is owed");
}

#[test]
fn a_retransmission_carries_the_newest_nr() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let first = bench.feed(&icrq(tunnel, (2, 1), &[]));
    assert_eq!(Header::read(&first[0]).unwrap().0.nr, 3);
    bench.feed(&control((tunnel, 0), (3, 1), &[must(0, &[0, 6])]));
    let again = bench.pass(SECOND);
    let icrp = again.iter().find(|m| super::pair::kind_of(m).is_some()).unwrap();
    let (header, _) = Header::read(icrp).unwrap();
    assert_eq!((header.ns, header.nr), (1, 4));
    assert_eq!(bench.lns.stats().retransmitted, 1);
}

#[test]
fn after_a_loss_everything_unacknowledged_is_sent_again_in_order() {
    let mut pair = Pair::up();
    let tunnel = pair.lac.sessions_up()[0].tunnel;
    // Open the window, then lose a burst.
    for _ in 0..6 {
        let call = pair.lac.endpoint.open_call(tunnel, pair.now).unwrap();
        pair.run();
        assert!(pair.lac.sessions_up().contains(&call));
    }
    let calls: Vec<_> =
        (0..6).map(|_| pair.lac.endpoint.open_call(tunnel, pair.now).unwrap()).collect();
    pair.trace.clear();
    pair.run_with(|side, _, _| if side == Side::Lac { Fate::Lose } else { Fate::Arrive });
    assert!(pair.trace.len() > 1, "a burst: {:?}", pair.trace);
    pair.pass(SECOND + ACK_DELAY);
    assert!(calls.iter().all(|call| pair.lac.sessions_up().contains(call)));
    assert_eq!(pair.lns.endpoint.session_count(), 13);
}

#[test]
fn a_stopccn_is_sent_even_when_the_window_is_closed() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    bench.feed(&icrq(tunnel, (2, 1), &[]));
    for id in [2, 3] {
        let more = [must(0, &[0, 10]), must(14, &[0, id]), must(15, &[0; 4])];
        bench.feed(&control((tunnel, 0), (u16::from(id) + 1, 1), &more));
    }
    bench.lns.close(CloseReason::Shutdown, bench.now);
    let sent = bench.drain();
    assert_eq!(kinds(&sent), [Some(MessageType::STOP_CCN)]);
    let (header, _) = Header::read(&sent[0]).unwrap();
    assert_eq!(header.ns, 3, "behind the two ICRPs that were sent, in place of the third");
    let sent = bench.pass(RETRANSMIT_CYCLE);
    assert_eq!(kinds(&sent), [Some(MessageType::ICRP); 5], "the oldest first");
    assert!(bench.lns.is_empty());
}

#[test]
fn what_is_far_ahead_is_dropped_and_what_is_far_behind_is_a_duplicate() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    let hello = |ns| control((tunnel, 0), (ns, 2), &[must(0, &[0, 6])]);
    assert_eq!(bench.reject(&hello(4 + 0x7fff)), Rejected::OutOfWindow);
    assert_eq!(kinds(&bench.feed(&hello(4 + 0x8000))), [None]);
    assert_eq!(bench.lns.stats().duplicates, 1);
}

#[test]
fn patience_is_for_each_message() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    let session = bench.up().session;
    bench.lns.close_session(session, CloseReason::Administrative, bench.now);
    bench.drain();
    assert_eq!(bench.pass(20 * SECOND).len(), 4, "at 1, 3, 7 and 15 s");
    bench.feed(&control((tunnel, 0), (4, 3), &[]));
    bench.lns.close(CloseReason::Administrative, bench.now);
    bench.drain();
    assert_eq!(bench.pass(RETRANSMIT_CYCLE).len(), 5, "all over again");
    assert!(bench.lns.is_empty());
}

#[test]
fn patience_begins_anew_with_each_acknowledgement() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    bench.feed(&icrq(tunnel, (2, 1), &[]));
    assert_eq!(bench.pass(16 * SECOND).len(), 4);
    // ICRP is acknowledged after all; the next message has its own six transmissions.
    let second = [must(0, &[0, 10]), must(14, &[0, 2]), must(15, &[0; 4])];
    bench.feed(&control((tunnel, 0), (3, 2), &second));
    let sent = bench.pass(30 * SECOND);
    assert_eq!(kinds(&sent), [Some(MessageType::ICRP); 5]);
    assert_eq!(bench.lns.tunnel_count(), 1);
    bench.pass(SECOND);
    assert!(bench.lns.is_empty());
}

#[test]
fn data_does_not_excuse_a_peer_that_ignores_a_cdn() {
    let mut bench = Bench::new();
    bench.session();
    let session = bench.up().session;
    bench.lns.close_session(session, CloseReason::Administrative, bench.now);
    for _ in 0..RETRANSMIT_CYCLE.as_secs() {
        assert_eq!(bench.lns.tunnel_count(), 1);
        bench.lns.peer_alive(bench.now);
        bench.pass(SECOND);
    }
    assert!(bench.lns.is_empty());
}

#[test]
fn an_urgent_acknowledgement_does_not_wait_for_a_delayed_one() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let session = assigned(&bench.feed(&icrq(tunnel, (2, 1), &[]))[0]);
    assert!(bench.feed(&control((tunnel, 0), (4, 2), &[must(0, &[0, 6])])).is_empty());
    let sent = bench.feed(&super::bytes::iccn((tunnel, session), 3, &[]));
    assert_eq!(kinds(&sent), [None]);
    assert_eq!(Header::read(&sent[0]).unwrap().0.nr, 5, "for both");
}

#[test]
fn a_peer_that_says_hello_is_not_asked() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    // Windows asks every 40 s.
    for n in 0..20 {
        bench.feed(&control((tunnel, 0), (4 + n, 2), &[must(0, &[0, 6])]));
        assert_eq!(kinds(&bench.pass(40 * SECOND)), [None]);
    }
}

#[test]
fn a_copy_from_elsewhere_moves_nothing() {
    let mut bench = Bench::new();
    let (tunnel, session) = bench.session();
    let copy = super::bytes::iccn((tunnel, session), 3, &[]);
    bench.lns.handle_control(PORT + 1, &copy, bench.now).unwrap();
    assert_eq!(kinds(&bench.drain()), [None], "acknowledged to the old port");
    assert!(!bench.done.iter().any(|action| matches!(action, Action::PortMoved { .. })));
}

#[test]
fn a_closing_tunnel_only_acknowledges() {
    let mut bench = Bench::new();
    let (tunnel, session) = bench.session();
    bench.lns.close(CloseReason::Shutdown, bench.now);
    assert_eq!(kinds(&bench.drain()), [Some(MessageType::STOP_CCN)]);
    let broken = [must(0, &[0, 14]), must(4000, b"?")];
    let request = [must(0, &[0, 10]), must(14, &[0, 9]), must(15, &[0; 4])];
    let unsound = [must(0, &[0, 10]), must(15, &[0])];
    for (ns, avps) in [(4, &broken[..]), (5, &request), (6, &unsound)] {
        let sent = bench.feed(&control((tunnel, session), (ns, 2), avps));
        assert_eq!(kinds(&sent), [None], "message {ns}");
    }
    assert_eq!(bench.lns.stats().ignored_messages, 3);
    assert_eq!(bench.lns.session_count(), 0);
}

#[test]
fn a_stopccn_that_crosses_ours_is_acknowledged_as_often_as_it_comes() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    bench.lns.close(CloseReason::Shutdown, bench.now);
    bench.drain();
    let stop = control((tunnel, 0), (4, 2), &[must(0, &[0, 4]), must(1, &[0, 1])]);
    assert_eq!(kinds(&bench.feed(&stop)), [None]);
    assert_eq!(kinds(&bench.feed(&stop)), [None]);
    bench.feed(&control((tunnel, 0), (5, 3), &[]));
    assert_eq!(kinds(&bench.feed(&stop)), [None], "ours was acknowledged, theirs comes again");
    assert!(bench.pass(RETRANSMIT_CYCLE).is_empty(), "ours is not sent again");
    assert!(bench.lns.is_empty());
}

#[test]
fn after_the_peers_stopccn_nothing_of_ours_is_sent_again() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    let session = bench.up().session;
    bench.lns.close_session(session, CloseReason::Administrative, bench.now);
    bench.drain();
    let stop = control((tunnel, 0), (4, 2), &[must(0, &[0, 4]), must(1, &[0, 1])]);
    assert_eq!(kinds(&bench.feed(&stop)), [None]);
    assert!(bench.pass(30 * SECOND).is_empty());
    assert_eq!(bench.lns.tunnel_count(), 1, "until the cycle is over");
}

#[test]
fn one_hello_is_under_way_at_a_time() {
    let mut config = Config::lns(b"gateway");
    config.hello_interval = 3 * SECOND;
    let mut bench = Bench::with(config);
    bench.session();
    let sent = bench.pass(30 * SECOND);
    let numbers: Vec<_> = sent.iter().map(|m| Header::read(m).unwrap().0.ns).collect();
    assert_eq!(numbers, [2; 6], "the same HELLO at 3, 4, 6, 10, 18 and 26 s");
    let tunnel = bench.up().session.tunnel.0;
    assert!(bench.feed(&control((tunnel, 0), (4, 3), &[])).is_empty(), "no other one waits");
}

#[test]
fn a_restored_channel_parks_no_more_than_any_other() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    bench.lns = restored(bench.lns.record(), bench.now);
    let hello = |ns| control((tunnel, 0), (ns, 2), &[must(0, &[0, 6])]);
    let bound = u16::try_from(PARKED_MAX).unwrap();
    for ns in 100..=100 + bound {
        bench.feed(&hello(ns));
    }
    bench.feed(&hello(100 + bound));
    assert_eq!(bench.lns.record().tunnels[0].nr, 4, "the last one was not kept");
    bench.feed(&hello(100));
    assert_eq!(bench.lns.record().tunnels[0].nr, 100 + bound, "and all that was");
}

#[test]
fn what_a_record_held_as_sent_is_not_sent_anew_when_the_peer_has_it() {
    let mut pair = Pair::up();
    let session = pair.lns.sessions_up()[0];
    pair.lns.endpoint.close_session(session, CloseReason::Administrative, pair.now);
    let record = stored(&pair.lns.endpoint.record());
    assert_eq!(record.tunnels[0].unacked.len(), 1);
    let tunnel = pair.lac.sessions_up()[0].tunnel;
    pair.run();
    pair.lac.endpoint.open_call(tunnel, pair.now).unwrap();
    pair.run();
    pair.trace.clear();
    pair.lns.endpoint = restored(record, pair.now);
    pair.pass(10 * SECOND);
    let disconnects = pair.trace.iter().filter(|t| t.1 == Some(MessageType::CDN)).count();
    assert_eq!(disconnects, 1, "as it was, and answered with the newest Nr");
    assert_eq!(pair.lns.endpoint.record().tunnels[0].unacked, []);
}

#[test]
fn a_record_goes_on_where_it_stopped() {
    let mut pair = Pair::up();
    let record = stored(&pair.lns.endpoint.record());
    assert_eq!(record, pair.lns.endpoint.record());
    let session = pair.lns.sessions_up()[0];
    pair.lns.endpoint = restored(record.clone(), pair.now);
    assert_eq!(pair.lns.endpoint.record(), record);
    pair.trace.clear();
    pair.pass(10 * 60 * SECOND);
    assert!(pair.trace.len() > 4, "HELLO goes both ways");
    assert_eq!(pair.lns.endpoint.session_count(), 1);
    assert!(pair.lns.endpoint.close_session(session, CloseReason::Administrative, pair.now));
    pair.run();
    assert_eq!(pair.lac.endpoint.session_count(), 0, "the CDN was understood");
}

#[test]
fn a_restored_tunnel_without_sessions_is_closed_in_time() {
    let mut bench = Bench::new();
    bench.tunnel();
    bench.lns = restored(stored(&bench.lns.record()), bench.now);
    let sent = bench.pass(60 * SECOND);
    assert!(kinds(&sent).contains(&Some(MessageType::STOP_CCN)), "{sent:?}");
}

#[test]
fn a_record_keeps_what_was_not_acknowledged() {
    let mut pair = Pair::up();
    let session = pair.lns.sessions_up()[0];
    pair.lns.endpoint.close_session(session, CloseReason::Administrative, pair.now);
    pair.run_with(|_, _, _| Fate::Lose);
    let record = stored(&pair.lns.endpoint.record());
    assert_eq!(record.tunnels[0].unacked.len(), 1);
    pair.lns.endpoint = restored(record, pair.now);
    pair.pass(SECOND);
    assert_eq!(pair.lac.endpoint.session_count(), 0);
}

#[test]
fn a_record_older_than_the_peers_view_catches_up() {
    let mut pair = Pair::up();
    let record = pair.lns.endpoint.record();
    // Hours of HELLOs that no record was written for.
    pair.pass(2 * 3600 * SECOND);
    let session = pair.lns.sessions_up()[0];
    pair.lns.endpoint = restored(record, pair.now);
    pair.lns.endpoint.close_session(session, CloseReason::Administrative, pair.now);
    pair.pass(2 * RETRANSMIT_CYCLE);
    assert_eq!(pair.lac.endpoint.session_count(), 0, "the CDN arrived under a new number");
    let disconnects = pair.trace.iter().filter(|t| t.1 == Some(MessageType::CDN)).count();
    assert_eq!(disconnects, 2, "once as a seeming copy, once as itself");
}

#[test]
fn a_peer_ahead_of_a_record_is_believed_when_it_repeats_itself() {
    let mut pair = Pair::up();
    let record = pair.lns.endpoint.record();
    let tunnel = pair.lac.sessions_up()[0].tunnel;
    for _ in 0..20 {
        let call = pair.lac.endpoint.open_call(tunnel, pair.now).unwrap();
        pair.run();
        pair.lac.endpoint.close_session(call, CloseReason::Ended, pair.now);
        pair.pass(SECOND);
    }
    pair.lns.endpoint = restored(record, pair.now);
    let call = pair.lac.endpoint.open_call(tunnel, pair.now).unwrap();
    pair.pass(20 * SECOND);
    assert!(pair.lac.sessions_up().contains(&call));
    assert_eq!(pair.lns.endpoint.session_count(), 2);
}

#[test]
fn only_a_restored_channel_believes_a_gap() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    let hello = |ns, nr| control((tunnel, 0), (ns, nr), &[must(0, &[0, 6])]);
    assert!(bench.feed(&hello(6, 2)).is_empty() && bench.feed(&hello(6, 2)).is_empty());
    assert_eq!(bench.lns.record().tunnels[0].nr, 4, "still waiting");
    bench.lns = restored(bench.lns.record(), bench.now);
    bench.feed(&hello(500, 2));
    assert_eq!(bench.lns.record().tunnels[0].nr, 4);
    bench.feed(&hello(500, 2));
    assert_eq!(bench.lns.record().tunnels[0].nr, 501);
    // In step again: no more jumps.
    assert_eq!(bench.reject(&hello(600, 2)), Rejected::OutOfWindow);
    assert_eq!(bench.reject(&hello(501, 9)), Rejected::AckOfUnsent);
}

#[test]
fn a_hostile_record_is_cut_to_the_bounds() {
    let mut pair = Pair::up();
    let mut record = pair.lns.endpoint.record();
    let tunnel = record.tunnels[0].clone();
    let session = tunnel.sessions[0].clone();
    record.tunnels[0].sessions.clear();
    for id in 0..=u16::try_from(SESSIONS_MAX).unwrap() + 5 {
        let mut session = session.clone();
        session.local = SessionId(id);
        record.tunnels[0].sessions.push(session.clone());
        record.tunnels[0].sessions.push(session);
    }
    for id in 0..100 {
        let mut tunnel = tunnel.clone();
        tunnel.local = TunnelId(id);
        record.tunnels.push(tunnel.clone());
        tunnel.remote = 0;
        record.tunnels.push(tunnel);
    }
    pair.lns.endpoint = restored(record, pair.now);
    assert!(pair.lns.endpoint.tunnel_count() <= TUNNELS_MAX);
    let kept = pair.lns.endpoint.record().tunnels;
    assert!(kept.iter().all(|t| t.local.0 != 0 && t.sessions.iter().all(|s| s.local.0 != 0)));
    assert_eq!(pair.lns.endpoint.session_count(), SESSIONS_MAX);
}

#[test]
fn half_open_and_closing_tunnels_are_not_recorded() {
    let mut bench = Bench::new();
    let id = assigned(&bench.feed(&super::bytes::sccrq())[0]);
    assert_eq!(bench.lns.record().tunnels.len(), 0);
    bench.feed(&control((id, 0), (1, 1), &[must(0, &[0, 3])]));
    bench.feed(&icrq(id, (2, 1), &[]));
    let record = bench.lns.record();
    assert_eq!((record.tunnels.len(), record.tunnels[0].sessions.len()), (1, 0));
    bench.lns.close(CloseReason::Shutdown, bench.now);
    bench.drain();
    assert_eq!(bench.lns.record(), EndpointRecord::default());
}

#[test]
fn an_early_timeout_is_harmless() {
    let mut pair = Pair::up();
    let before = pair.lns.endpoint.record();
    pair.lns.endpoint.handle_timeout(pair.now);
    pair.lns.endpoint.handle_timeout(pair.now + SECOND);
    assert_eq!(pair.lns.endpoint.poll_action(), None::<Action>);
    assert_eq!(pair.lns.endpoint.record(), before);
    assert_eq!((PORT, LNS_PORT), (50_000, 1701));
}
