//! What clients in the field send, built byte by byte, and what they need to get back.

use std::vec::Vec;

use isthmus_core::Duration;

use super::bench::{Bench, CLIENT_SESSION, CLIENT_TUNNEL, PORT, assigned, find, kinds};
use super::bytes::{avp, control, iccn, icrq, may, must, sccrq, sccrq_with};
use super::pair::{Pair, Side, kind_of};
use crate::avp::Avp;
use crate::iana::{AttributeType, CallCode, ErrorCode, Framing, MessageType, ProxyAuthenType};
use crate::{Action, Body, Config, Dialect, DownReason, Header, Message, Rejected};

const TX: [u8; 4] = 100_000_000_u32.to_be_bytes();

fn windows_sccrq() -> Vec<u8> {
    control(
        (0, 0),
        (0, 0),
        &[
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(3, &[0, 0, 0, 1]),
            may(4, &[0, 0, 0, 0]),
            may(6, &[0x0a, 0x00]),
            must(7, b"DESKTOP-1A2B3"),
            may(8, b"Microsoft"),
            must(9, &[0, 7]),
            must(10, &[0, 8]),
        ],
    )
}

fn apple_sccrq() -> Vec<u8> {
    control(
        (0, 0),
        (0, 0),
        &[
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(3, &[0, 0, 0, 3]),
            must(7, b"MacBook\0"),
            must(9, &[0, 1]),
            must(10, &[0, 4]),
        ],
    )
}

fn android_sccrq() -> Vec<u8> {
    control(
        (0, 0),
        (0, 0),
        &[
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(7, b"anonymous"),
            must(3, &[0, 0, 0, 3]),
            must(9, &[0x5a, 0xa5]),
            must(10, &[0, 1]),
        ],
    )
}

fn xl2tpd_sccrq() -> Vec<u8> {
    control(
        (0, 0),
        (0, 0),
        &[
            must(0, &[0, 1]),
            must(2, &[1, 0]),
            must(3, &[0, 0, 0, 3]),
            must(4, &[0, 0, 0, 0]),
            may(6, &[0x06, 0x90]),
            must(7, b"laptop"),
            may(8, b"xelerance.com"),
            must(9, &[0x93, 0x12]),
            must(10, &[0, 8]),
        ],
    )
}

/// Brings a client up and checks the bits of everything we send to it.
fn comes_up(request: &[u8], remote: u16, icrq_tail: &[Vec<u8>], iccn: &[Vec<u8>]) -> Bench {
    let mut bench = Bench::new();
    let sccrp = bench.feed(request);
    let tunnel = assigned(&sccrp[0]);
    let scccn = bench.feed(&control((tunnel, 0), (1, 1), &[must(0, &[0, 3])]));
    assert_eq!(kinds(&scccn), [None]);
    let mut avps = std::vec![must(0, &[0, 10]), must(14, &[0, 1])];
    avps.extend_from_slice(icrq_tail);
    let icrp = bench.feed(&control((tunnel, 0), (2, 1), &avps));
    let session = assigned(&icrp[0]);
    let mut avps = std::vec![must(0, &[0, 12])];
    avps.extend_from_slice(iccn);
    let done = bench.feed(&control((tunnel, session), (3, 2), &avps));
    for message in [&sccrp, &scccn, &icrp, &done].into_iter().flatten() {
        assert_eq!(message[..2], [0xc8, 0x02], "T, L and S exactly");
        let (header, mut rest) = Header::read(message).unwrap();
        assert_eq!(header.tunnel, remote);
        if rest.any_left() {
            let first = rest.take("message type", 6).unwrap();
            assert_eq!(first, [0x80, 0x08, 0, 0, 0, 0], "Message Type first, with M");
        }
    }
    assert_eq!(kinds(&done), [None], "ICCN is acknowledged at once");
    assert_eq!((bench.up().remote_tunnel, bench.up().remote_session), (remote, 1));
    bench
}

#[test]
fn windows_connects() {
    let guid = avp(0, 311, 1, &[0x42; 16]);
    assert_eq!(guid.len(), 22);
    let tail = [must(15, &[0; 4]), may(18, &[0, 0, 0, 2]), guid];
    let iccn = [must(24, &TX), must(19, &[0, 0, 0, 1]), may(29, &[0, 4])];
    let bench = comes_up(&windows_sccrq(), 7, &tail, &iccn);
    let up = bench.up();
    assert_eq!(up.peer_host.as_bytes(), b"DESKTOP-1A2B3");
    assert_eq!((up.tx_speed, up.framing), (100_000_000, Some(Framing::SYNC)));
    assert_eq!(up.proxy_auth.as_ref().unwrap().kind, ProxyAuthenType::NONE);
    assert_eq!(bench.lns.stats().ignored_avps, 1, "the correlation id");
}

#[test]
fn apple_connects_and_its_nul_is_gone() {
    let tail = [must(15, &[0, 0, 0, 1])];
    let iccn = [must(24, &1_000_000_u32.to_be_bytes()), must(19, &[0, 0, 0, 3])];
    let bench = comes_up(&apple_sccrq(), 1, &tail, &iccn);
    assert_eq!(bench.up().peer_host.as_bytes(), b"MacBook");
    assert_eq!(bench.up().to_port, PORT);
}

#[test]
fn android_connects_with_its_window_of_one() {
    let tail = [must(15, &[0xde, 0xad, 0xbe, 0xef])];
    let iccn = [must(24, &TX), must(19, &[0, 0, 0, 3])];
    let bench = comes_up(&android_sccrq(), 0x5aa5, &tail, &iccn);
    assert_eq!(bench.up().serial, 0xdead_beef);
}

#[test]
fn xl2tpd_connects() {
    let tail = [must(15, &[0, 0, 0, 1]), must(18, &[0, 0, 0, 0])];
    let iccn = [must(24, &TX), must(19, &[0, 0, 0, 1]), may(38, &TX)];
    let bench = comes_up(&xl2tpd_sccrq(), 0x9312, &tail, &iccn);
    assert_eq!(bench.up().rx_speed, Some(100_000_000));
}

#[test]
fn windows_2000_has_no_name() {
    let avps = [
        must(0, &[0, 1]),
        must(2, &[1, 0]),
        must(3, &[0, 0, 0, 1]),
        must(7, b""),
        must(9, &[0, 1]),
    ];
    let mut bench = Bench::new();
    let sccrp = bench.feed(&control((0, 0), (0, 0), &avps));
    let tunnel = assigned(&sccrp[0]);
    bench.feed(&control((tunnel, 0), (1, 1), &[must(0, &[0, 3])]));
    let [Action::TunnelUp(up)] = &bench.done[..] else { unreachable!("{:?}", bench.done) };
    assert!(up.peer_host.is_empty());
}

#[test]
fn cisco_may_leave_speed_and_framing_out() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let session = assigned(&bench.feed(&icrq(tunnel, (2, 1), &[]))[0]);
    bench.feed(&control((tunnel, session), (3, 2), &[must(0, &[0, 12])]));
    assert_eq!((bench.up().tx_speed, bench.up().framing), (0, None));
}

#[test]
fn our_dialects_are_what_the_clients_send() {
    let cases = [
        (Dialect::windows(b"DESKTOP-1A2B3", 0x0a00), windows_sccrq()),
        (Dialect::apple(b"MacBook"), apple_sccrq()),
        (Dialect::android(), android_sccrq()),
        (Dialect::xl2tpd(b"laptop"), xl2tpd_sccrq()),
    ];
    for (dialect, expected) in cases {
        let mut pair = Pair::with(Config::lns(b"gateway"), Config::lac(b"x", dialect));
        let session = pair.lac.endpoint.open(1701, pair.now).unwrap();
        pair.drain();
        // Apple's comes behind the HELLOs that wake IPsec.
        let request = pair.lac.sent.iter().find(|b| kind_of(b) == Some(MessageType::SCCRQ));
        let mut sent = request.unwrap().clone();
        // Only the tunnel id differs: ours is random.
        let id = session.tunnel.0.to_be_bytes();
        let at = sent.windows(8).position(|w| w[..6] == [0x80, 8, 0, 0, 0, 9] && w[6..] == id);
        let wanted = expected.windows(6).position(|w| w == [0x80, 8, 0, 0, 0, 9]);
        assert_eq!(at, wanted);
        let at = at.unwrap() + 6;
        sent[at..at + 2].copy_from_slice(&expected[at..at + 2]);
        assert_eq!(sent, expected);
        pair.run();
        assert_eq!(pair.lns.sessions_up().len(), 1);
    }
}

#[test]
fn windows_has_the_length_seen_in_the_field() {
    // An xl2tpd log shows 108 bytes; a Windows computer name has at most 15.
    assert_eq!(windows_sccrq().len() - b"DESKTOP-1A2B3".len() + 15, 108);
}

#[test]
fn a_burst_of_hellos_for_tunnel_0_is_ignored() {
    let mut bench = Bench::new();
    let hello = control((0, 0), (0, 0), &[must(0, &[0, 6])]);
    for _ in 0..10 {
        assert_eq!(bench.reject(&hello), Rejected::StrayHello);
    }
    assert_eq!((bench.lns.stats().rejected, bench.lns.stats().transmitted), (10, 0));
    bench.tunnel();
    assert_eq!(bench.reject(&hello), Rejected::StrayHello);
}

#[test]
fn a_repeated_sccrq_is_one_tunnel() {
    let mut bench = Bench::new();
    let first = bench.feed(&windows_sccrq());
    bench.now += Duration::from_millis(500);
    let again = bench.feed(&windows_sccrq());
    assert_eq!(again, first, "the same answer");
    assert_eq!(bench.lns.tunnel_count(), 1);
    assert_eq!(bench.lns.stats().duplicates, 1);
    let tunnel = assigned(&first[0]);
    bench.feed(&control((tunnel, 0), (1, 1), &[must(0, &[0, 3])]));
    // A copy that was overtaken by SCCCN.
    let late = bench.feed(&windows_sccrq());
    assert_eq!(kinds(&late), [None]);
    assert_eq!(bench.lns.tunnel_count(), 1);
    assert!(matches!(bench.done[..], [Action::TunnelUp(_)]));
}

#[test]
fn a_client_that_starts_anew_with_its_old_id_replaces_its_tunnel() {
    let mut bench = Bench::new();
    let (old, _) = bench.session();
    bench.now += Duration::from_secs(30);
    let sccrp = bench.feed(&sccrq());
    assert_eq!(kinds(&sccrp), [Some(MessageType::SCCRP)], "and no StopCCN into the new tunnel");
    assert_ne!(assigned(&sccrp[0]), old);
    assert_eq!(bench.lns.tunnel_count(), 1);
    let [.., Action::SessionDown { reason: a, .. }, Action::TunnelDown { reason: b, .. }] =
        &bench.done[..]
    else {
        unreachable!("{:?}", bench.done)
    };
    assert_eq!((a, b), (&DownReason::Replaced, &DownReason::Replaced));
}

#[test]
fn a_client_may_start_anew_while_its_old_tunnel_is_closing() {
    for by_peer in [true, false] {
        let mut bench = Bench::new();
        let (tunnel, _) = bench.session();
        if by_peer {
            let avps = [must(0, &[0, 4]), must(9, &[0x0b, 0x0b]), must(1, &[0, 1, 0, 0])];
            bench.feed(&control((tunnel, 0), (4, 2), &avps));
        } else {
            bench.lns.close(crate::CloseReason::Administrative, bench.now);
            bench.drain();
        }
        assert_eq!(bench.lns.tunnel_count(), 1, "closing");
        let sccrp = bench.feed(&sccrq());
        assert_eq!(kinds(&sccrp), [Some(MessageType::SCCRP)]);
        let sent = bench.pass(Duration::from_millis(900));
        assert!(sent.is_empty(), "the old tunnel says nothing into the new one");
        assert_eq!(bench.lns.tunnel_count(), 1);
    }
}

#[test]
fn a_half_open_client_that_changes_its_mind_gets_a_new_tunnel() {
    let mut bench = Bench::new();
    let first = assigned(&bench.feed(&sccrq())[0]);
    let second = assigned(&bench.feed(&sccrq_with(&[must(10, &[0, 2])]))[0]);
    assert_ne!(first, second);
    assert_eq!(bench.lns.tunnel_count(), 1);
    assert_eq!(bench.done, []);
}

#[test]
fn the_same_id_from_another_port_is_another_tunnel() {
    let mut bench = Bench::new();
    bench.tunnel();
    bench.lns.handle_control(PORT + 1, &sccrq(), bench.now).unwrap();
    assert_eq!(bench.lns.tunnel_count(), 2);
}

#[test]
fn a_session_id_used_again_replaces_the_call() {
    let mut bench = Bench::new();
    let (tunnel, old) = bench.session();
    let sent = bench.feed(&icrq(tunnel, (4, 1), &[]));
    assert_eq!(kinds(&sent), [Some(MessageType::ICRP)], "no CDN, it would end the new call");
    assert_ne!(assigned(&sent[0]), old);
    assert!(matches!(
        bench.done.last(),
        Some(Action::SessionDown { reason: DownReason::Replaced, .. })
    ));
    assert_eq!(bench.lns.session_count(), 1);
}

/// A CDN or `StopCCN` with a Result Code of any shape ends what it is about.
fn cdn(ids: (u16, u16), result: &[u8]) -> Vec<u8> {
    control(ids, (4, 2), &[must(0, &[0, 14]), must(14, &[0x0c, 0x0c]), must(1, result)])
}

#[test]
fn a_cdn_of_any_shape_ends_the_session() {
    let cases: [(&[u8], u16); 7] = [
        (&[0, 3, 0, 0], 3),
        (&[0, 3], 3),
        (&[3, 0, 0, 0, 0xba, 0xdb, 0xad, 0xba], 3),
        (&[], 0),
        (&[0], 0),
        (&[0, 3, 0], 3),
        (b"\0\x02\0\x06text", 2),
    ];
    for (value, code) in cases {
        let mut bench = Bench::new();
        let ids = bench.session();
        let sent = bench.feed(&cdn(ids, value));
        assert_eq!(kinds(&sent), [None]);
        let Some(Action::SessionDown {
            reason: DownReason::PeerDisconnected { result, .. }, ..
        }) = bench.done.last()
        else {
            unreachable!("{value:?}: {:?}", bench.done)
        };
        assert_eq!(result.code, code, "{value:?}");
        let text = if value.len() == 8 && value[1] == 2 { &b"text"[..] } else { b"" };
        assert_eq!(result.message.as_bytes(), text, "stale bytes are no text");
    }
}

#[test]
fn a_stopccn_of_any_shape_ends_the_tunnel() {
    let android = [must(0, &[0, 4]), must(9, &[0x0b, 0x0b]), must(1, &[0, 6])];
    let apple = [must(0, &[0, 4]), must(9, &[0x0b, 0x0b]), must(1, &[1, 0, 0, 0, 9, 9, 9, 9])];
    let no_result = [must(0, &[0, 4])];
    let unknown_avp = [must(0, &[0, 4]), must(1, &[0, 1]), must(999, b"x")];
    for avps in [&android[..], &apple, &no_result, &unknown_avp] {
        let mut bench = Bench::new();
        let (tunnel, _) = bench.session();
        let stop = control((tunnel, 0), (4, 2), avps);
        assert_eq!(kinds(&bench.feed(&stop)), [None]);
        assert!(matches!(
            bench.done[bench.done.len() - 2..],
            [
                Action::SessionDown { reason: DownReason::PeerStopped(_), .. },
                Action::TunnelDown { reason: DownReason::PeerStopped(_), .. }
            ]
        ));
        // The acknowledgement was lost: it is given again.
        assert_eq!(kinds(&bench.feed(&stop)), [None]);
        bench.pass(Duration::from_secs(32));
        assert!(bench.lns.is_empty());
        assert_eq!(bench.reject(&stop), Rejected::UnknownTunnel(tunnel));
    }
}

#[test]
fn a_stopccn_finds_its_tunnel_by_the_senders_id() {
    // The client gives up before it saw our SCCRP, or has our id wrong.
    for header_id in [0, 0x7777] {
        let mut bench = Bench::new();
        bench.feed(&sccrq());
        let avps = [must(0, &[0, 4]), must(9, &[0x0b, 0x0b]), must(1, &[0, 6])];
        let stop = control((header_id, 0), (1, 0), &avps);
        let elsewhere = bench.lns.handle_control(PORT + 1, &stop, bench.now);
        assert_eq!(elsewhere, Err(Rejected::UnknownTunnel(header_id)), "another client's id");
        let sent = bench.feed(&stop);
        assert_eq!(kinds(&sent), [None]);
        assert_eq!(Header::read(&sent[0]).unwrap().0.tunnel, CLIENT_TUNNEL);
        bench.pass(Duration::from_secs(32));
        assert!(bench.lns.is_empty());
    }
}

#[test]
fn a_cdn_finds_its_session_by_the_senders_id() {
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    bench.feed(&cdn((tunnel, 0), &[0, 1, 0, 0]));
    assert_eq!(bench.lns.session_count(), 0);
    // A CDN for another session says nothing about this one, whatever ids it holds.
    let mut bench = Bench::new();
    let (tunnel, _) = bench.session();
    bench.feed(&cdn((tunnel, 0x4444), &[0, 1, 0, 0]));
    assert_eq!(bench.lns.session_count(), 1);
}

#[test]
fn xps_zlb_for_session_0_is_an_acknowledgement() {
    let mut bench = Bench::new();
    bench.session();
    let session = bench.up().session;
    bench.lns.close_session(session, crate::CloseReason::Administrative, bench.now);
    let sent = bench.drain();
    assert_eq!(kinds(&sent), [Some(MessageType::CDN)]);
    let (header, _) = Header::read(&sent[0]).unwrap();
    assert_eq!((header.tunnel, header.session), (CLIENT_TUNNEL, CLIENT_SESSION));
    bench.feed(&control((session.tunnel.0, 0), (4, 3), &[]));
    assert!(bench.pass(Duration::from_secs(30)).is_empty(), "nothing is sent again");
}

#[test]
fn a_window_of_one_is_kept() {
    let mut bench = Bench::new();
    let tunnel = assigned(&bench.feed(&android_sccrq())[0]);
    bench.feed(&control((tunnel, 0), (1, 1), &[must(0, &[0, 3])]));
    let icrp = bench.feed(&control(
        (tunnel, 0),
        (2, 1),
        &[must(0, &[0, 10]), must(14, &[0, 1]), must(15, &[0; 4])],
    ));
    assert_eq!(kinds(&icrp), [Some(MessageType::ICRP)]);
    // A second call while ICRP is not acknowledged: its ICRP waits, an acknowledgement does not.
    let second = bench.feed(&control(
        (tunnel, 0),
        (3, 1),
        &[must(0, &[0, 10]), must(14, &[0, 2]), must(15, &[0; 4])],
    ));
    assert_eq!(kinds(&second), [None]);
    let released = bench.feed(&control((tunnel, 0), (4, 2), &[]));
    assert_eq!(kinds(&released), [Some(MessageType::ICRP)]);
}

#[test]
fn a_peer_without_a_window_has_four() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    // Acknowledge everything, so that the congestion window opens as far as it goes.
    let mut ns = 2;
    for round in 0..20_u16 {
        let avps = [must(0, &[0, 10]), must(14, &(round + 1).to_be_bytes()), must(15, &[0; 4])];
        let sent = bench.feed(&control((tunnel, 0), (ns, ns - 1), &avps));
        if kinds(&sent)[0].is_none() {
            break;
        }
        ns += 1;
    }
    let burst: usize = (0..8_u16)
        .map(|n| {
            let avps = [must(0, &[0, 10]), must(14, &(n + 100).to_be_bytes()), must(15, &[0; 4])];
            let sent = bench.feed(&control((tunnel, 0), (ns + n, ns - 1), &avps));
            kinds(&sent).iter().flatten().count()
        })
        .sum();
    assert_eq!(burst, 4);
}

#[test]
fn tunnelforges_short_call_serial_is_refused() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let avps = [must(0, &[0, 10]), must(14, &[0x0c, 0x0c]), must(15, &[0, 1])];
    let sent = bench.feed(&control((tunnel, 0), (2, 1), &avps));
    assert_eq!(kinds(&sent), [Some(MessageType::CDN)]);
    assert_eq!(
        super::bench::result(&sent[0]),
        (CallCode::GENERAL_ERROR.0, ErrorCode::LENGTH_WRONG.0)
    );
    assert_eq!(Header::read(&sent[0]).unwrap().0.session, CLIENT_SESSION);
    assert_eq!(bench.lns.session_count(), 0);
    assert!(matches!(bench.done.last(), Some(Action::Refused(_))));
}

#[test]
fn a_lac_reports_a_refusal_with_its_text() {
    // Yamaha RTX1220: StopCCN 2/8 instead of SCCRP.
    let mut pair = Pair::new();
    let session = pair.lac.endpoint.open(1701, pair.now).unwrap();
    pair.drain();
    pair.lac.sent.clear();
    let avps = [must(0, &[0, 4]), must(9, &[0x11, 0x22]), must(1, b"\0\x02\0\x08no\nway")];
    pair.deliver(Side::Lns, &control((session.tunnel.0, 0), (0, 1), &avps));
    let zlb = Message::read(&pair.lac.sent[0]).unwrap();
    assert_eq!((zlb.header.tunnel, zlb.payload), (0x1122, None), "acknowledged");
    let [Action::SessionDown { reason, .. }, Action::TunnelDown { .. }] = &pair.lac.done[..] else {
        unreachable!("{:?}", pair.lac.done)
    };
    assert_eq!(
        std::format!("{reason}"),
        "the peer stopped the tunnel: 2 (general error), error 8 (an unknown AVP with the M bit \
         set was received), \"no\\nway\""
    );
}

#[test]
fn a_lac_tells_an_lns_whose_sccrp_it_cannot_take() {
    let mut pair = Pair::new();
    let session = pair.lac.endpoint.open(1701, pair.now).unwrap();
    pair.drain();
    pair.lac.sent.clear();
    let avps = [must(0, &[0, 2]), must(2, &[1, 0]), must(9, &[0x11, 0x22]), must(4000, b"?")];
    pair.deliver(Side::Lns, &control((session.tunnel.0, 0), (0, 1), &avps));
    assert_eq!(kinds(pair.lac.sent.make_contiguous()), [Some(MessageType::STOP_CCN)]);
    assert_eq!(Header::read(&pair.lac.sent[0]).unwrap().0.tunnel, 0x1122);
    assert_eq!(assigned(&pair.lac.sent[0]), session.tunnel.0);
}

#[test]
fn sequencing_is_reported_when_asked_for() {
    let mut bench = Bench::new();
    let tunnel = bench.tunnel();
    let session = assigned(&bench.feed(&icrq(tunnel, (2, 1), &[]))[0]);
    bench.feed(&iccn((tunnel, session), 3, &[must(39, &[])]));
    assert!(bench.up().send_sequence);
}

#[test]
fn our_sccrp_says_who_we_are() {
    let mut bench = Bench::new();
    let sccrp = bench.feed(&windows_sccrq());
    let payload = Message::read(&sccrp[0]).unwrap().payload.unwrap();
    assert_eq!(payload.kind, MessageType::SCCRP);
    let (Body::Sccrp(greeting), 0) = Body::read(&payload, None).unwrap() else {
        unreachable!("not a sound SCCRP")
    };
    assert_eq!(greeting.host_name.as_bytes(), b"gateway");
    assert_eq!((greeting.window, greeting.challenge), (8, None));
    assert_eq!(
        find(&sccrp[0], AttributeType::PROTOCOL_VERSION),
        Some(Avp::ProtocolVersion(0x0100))
    );
}
