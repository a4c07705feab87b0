//! Server against client: every protocol, right and wrong password, every frame disturbed in turn.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Rng};

use super::pair::{ADDRESS, DNS, FAULTS, GATEWAY, PASSWORD, Pair, client_config, server_config};
use crate::{Action, AuthProtocol, CloseReason, DownReason, NetworkUp, Refusal, Role, Stage};

const QUIET: u64 = 20;

#[test]
fn every_protocol_brings_the_network_up() {
    for method in AuthProtocol::ALL {
        let mut pair = Pair::speaking(method, PASSWORD);
        pair.run_until(QUIET);
        let server = NetworkUp {
            local: GATEWAY,
            remote: ADDRESS,
            dns: DNS.to_vec(),
            peer_mru: 1400,
            local_mru: 1400,
            send_pfc: true,
            send_acfc: true,
        };
        let client = NetworkUp { local: ADDRESS, remote: GATEWAY, ..server.clone() };
        assert_eq!(pair.client_saw, [Action::Up(client.clone())], "{method:?}");
        assert_eq!(pair.client.network(), Some(client));
        assert!(matches!(pair.server_saw[0], Action::Authenticate(_)));
        assert_eq!(pair.server_saw[1..], [Action::Up(server)]);
        assert_eq!(pair.server.stage(), Stage::Up);
    }
}

#[test]
fn a_clean_exchange_takes_few_frames_and_no_time() {
    let mut pair = Pair::speaking(AuthProtocol::MsChapV2, PASSWORD);
    pair.run_until(0);
    assert!(pair.is_up());
    // LCP 4, challenge, response, success, IPCP 6 (the client's first request is corrected).
    assert_eq!(pair.sent.len(), 4 + 3 + 6);
}

#[test]
fn a_wrong_password_is_refused_with_its_reason_on_both_sides() {
    for method in AuthProtocol::ALL {
        let mut pair = Pair::speaking(method, b"wrong");
        pair.run_until(QUIET);
        let speaks = [AuthProtocol::MsChapV2, AuthProtocol::EapMsChapV2].contains(&method);
        let code = speaks.then_some(691);
        assert_eq!(pair.client_saw, [Action::Down(DownReason::AuthRefusedByPeer(code))]);
        assert_eq!(
            pair.server_saw[1..],
            [Action::Down(DownReason::AuthRefused(Refusal::BadCredentials))]
        );
        assert_eq!(pair.logins(), 1);
    }
}

/// How many frames the undisturbed exchange takes, so that each can be disturbed.
fn frames(method: AuthProtocol, password: &[u8]) -> usize {
    let mut pair = Pair::speaking(method, password);
    pair.run_until(QUIET);
    pair.sent.len()
}

#[test]
fn the_network_comes_up_whichever_frame_is_disturbed() {
    for method in AuthProtocol::ALL {
        for number in 0..frames(method, PASSWORD) {
            for fault in FAULTS {
                let mut pair = Pair::speaking(method, PASSWORD);
                pair.fault = Some((number, fault));
                pair.run_until(QUIET);
                let label = alloc::format!("{method:?}, frame {number} {fault:?}");
                assert!(pair.is_up(), "{label}: {:?} {:?}", pair.server_saw, pair.client_saw);
                assert_eq!(pair.logins(), 1, "{label}");
                let server = pair.server.network().unwrap();
                let client = pair.client.network().unwrap();
                assert_eq!((server.remote, client.local), (ADDRESS, ADDRESS), "{label}");
                assert_eq!((server.local, client.remote), (GATEWAY, GATEWAY), "{label}");
                assert_eq!(client.dns, DNS, "{label}");
            }
        }
    }
}

#[test]
fn a_wrong_password_never_gets_in_whichever_frame_is_disturbed() {
    for method in AuthProtocol::ALL {
        for number in 0..frames(method, b"wrong") {
            for fault in FAULTS {
                let mut pair = Pair::speaking(method, b"wrong");
                pair.fault = Some((number, fault));
                pair.run_until(60);
                let label = alloc::format!("{method:?}, frame {number} {fault:?}");
                assert!(!Pair::ever_up(&pair.server_saw), "{label}");
                assert!(!Pair::ever_up(&pair.client_saw), "{label}");
                assert!(pair.server.down_reason().is_some(), "{label}");
                assert!(pair.client.down_reason().is_some(), "{label}");
            }
        }
    }
}

#[test]
fn a_slow_verdict_is_asked_for_once() {
    for method in AuthProtocol::ALL {
        let mut pair = Pair::speaking(method, PASSWORD);
        pair.verdict_takes = Duration::from_secs(10);
        pair.run_until(QUIET);
        assert!(pair.is_up(), "{method:?}");
        assert_eq!(pair.logins(), 1, "{method:?}");
        // A peer of EAP never repeats by itself (RFC 3748 §4.1).
        let repeats = method != AuthProtocol::EapMsChapV2;
        assert_eq!(pair.server.stats().frames_rejected > 0, repeats, "{method:?}");
    }
}

#[test]
fn a_verdict_that_never_comes_is_a_refusal() {
    for method in AuthProtocol::ALL {
        let mut config = server_config(&[method]);
        config.timing.verdict = Duration::from_secs(5);
        let mut pair = Pair::new(config, client_config(&[method], PASSWORD));
        pair.verdict_takes = Duration::from_secs(1000);
        pair.run_until(60);
        assert_eq!(pair.server.down_reason(), Some(DownReason::Timeout(Stage::Verdict)));
        assert!(matches!(pair.client.down_reason(), Some(DownReason::AuthRefusedByPeer(_))));
    }
}

#[test]
fn the_first_common_protocol_in_the_servers_order_is_used() {
    use AuthProtocol::{ChapMd5, MsChapV2, Pap};
    for (server, client, used) in [
        (vec![MsChapV2, ChapMd5, Pap], vec![Pap], "Pap"),
        (vec![MsChapV2, ChapMd5, Pap], vec![ChapMd5, Pap], "ChapMd5"),
        (vec![Pap, MsChapV2], vec![MsChapV2], "MsChapV2"),
        (vec![Pap, MsChapV2], vec![Pap, MsChapV2], "Pap"),
    ] {
        let mut pair = Pair::new(server_config(&server), client_config(&client, PASSWORD));
        pair.run_until(QUIET);
        assert!(pair.is_up(), "{server:?} {client:?}");
        let Action::Authenticate(request) = &pair.server_saw[0] else { panic!("no login") };
        assert_eq!(alloc::format!("{:?}", request.proof), used);
    }
}

#[test]
fn without_a_common_protocol_nobody_gets_in() {
    let mut pair = Pair::new(
        server_config(&[AuthProtocol::MsChapV2]),
        client_config(&[AuthProtocol::Pap], PASSWORD),
    );
    pair.run_until(60);
    assert!(matches!(
        pair.server.down_reason(),
        Some(DownReason::NegotiationFailed(Stage::Lcp, _))
    ));
    assert!(pair.client.down_reason().is_some());
    assert_eq!(pair.logins(), 0);
}

#[test]
fn a_client_that_demands_authentication_refuses_a_server_that_does_not_ask() {
    let mut server = client_config(&[], b"");
    let Role::Client(open_house) = &mut server.role else { panic!() };
    open_house.require_auth = false;
    open_house.address = Some(GATEWAY);
    let mut pair = Pair::new(server, client_config(&[AuthProtocol::MsChapV2], PASSWORD));
    pair.run_until(60);
    assert_eq!(pair.client.down_reason(), Some(DownReason::AuthNotOffered));
    assert!(!Pair::ever_up(&pair.client_saw));
}

#[test]
fn a_server_without_a_protocol_lets_nobody_in() {
    let mut pair = Pair::new(server_config(&[]), client_config(&AuthProtocol::ALL, PASSWORD));
    pair.run_until(QUIET);
    assert_eq!(pair.server_saw, [Action::Down(DownReason::AuthNotConfigured)]);
}

#[test]
fn goodbye_is_said_and_answered_whoever_begins() {
    for server_begins in [true, false] {
        let mut pair = Pair::speaking(AuthProtocol::MsChapV2, PASSWORD);
        pair.run_until(QUIET);
        let (first, second) = if server_begins {
            pair.server.close(CloseReason::Admin, pair.now);
            (&Action::Down(DownReason::Closed(CloseReason::Admin)), Stage::Up)
        } else {
            pair.client.close(CloseReason::User, pair.now);
            (&Action::Down(DownReason::Closed(CloseReason::User)), Stage::Up)
        };
        pair.run_until(QUIET);
        let (ours, theirs) = if server_begins {
            (&pair.server_saw, &pair.client_saw)
        } else {
            (&pair.client_saw, &pair.server_saw)
        };
        assert_eq!(ours[ours.len() - 2..], [Action::NetworkDown, first.clone()]);
        assert_eq!(theirs.last(), Some(&Action::Down(DownReason::PeerTerminated(second))));
        assert_eq!(pair.server.poll_timeout(), None);
        assert_eq!(pair.client.poll_timeout(), None);
    }
}

#[test]
fn a_peer_that_is_gone_ends_by_lost_echoes() {
    let mut pair = Pair::speaking(AuthProtocol::MsChapV2, PASSWORD);
    pair.run_until(QUIET);
    // 30 s of grace, 4 probes, then two unanswered Terminate-Requests.
    let lost_from = pair.sent.len();
    pair.client = super::pair::link(client_config(&[], b""), 9);
    pair.run_until(400);
    assert_eq!(pair.server.down_reason(), Some(DownReason::EchoLost));
    assert_eq!(pair.server.stats().echoes_sent, 4);
    assert_eq!(pair.sent.len() - lost_from, 4 + 2);
}

#[test]
fn traffic_seen_elsewhere_keeps_the_link_without_a_single_echo() {
    let mut pair = Pair::speaking(AuthProtocol::MsChapV2, PASSWORD);
    pair.run_until(QUIET);
    pair.client = super::pair::link(client_config(&[], b""), 9);
    for second in (QUIET..600).step_by(15) {
        pair.run_until(second);
        pair.server.peer_alive(Instant::from_secs(second));
    }
    assert!(pair.server.network().is_some());
    assert_eq!(pair.server.stats().echoes_sent, 0);
}

#[test]
fn two_living_ends_answer_each_others_echoes() {
    let mut pair = Pair::speaking(AuthProtocol::Pap, PASSWORD);
    pair.run_until(3600);
    assert!(pair.is_up());
    assert!(pair.server.stats().echoes_sent + pair.client.stats().echoes_sent > 50);
}

#[test]
fn a_recorded_link_goes_on_after_a_restart() {
    for method in AuthProtocol::ALL {
        let mut pair = Pair::speaking(method, PASSWORD);
        pair.run_until(QUIET);
        let (server, client) = (pair.server.record().unwrap(), pair.client.record().unwrap());
        let provider = isthmus_crypto_aws::provider;
        pair.server = crate::Link::restore(
            &server,
            alloc::sync::Arc::new(server_config(&[method])),
            provider(),
            [7; 32],
            pair.now,
        );
        pair.client = crate::Link::restore(
            &client,
            alloc::sync::Arc::new(client_config(&[method], PASSWORD)),
            provider(),
            [8; 32],
            pair.now,
        );
        assert_eq!(pair.server.record(), Some(server.clone()));
        assert_eq!(pair.client.record(), Some(client));
        let seen: Vec<Action> = pair.server_saw.clone();
        pair.run_until(300);
        assert!(pair.is_up(), "{method:?}");
        assert_eq!(pair.server_saw, seen, "a restored link is not news");
        pair.client.close(CloseReason::User, pair.now);
        pair.run_until(301);
        assert_eq!(pair.server.down_reason(), Some(DownReason::PeerTerminated(Stage::Up)));
    }
}

/// Three tenths lost, one repeated, two delayed, for a minute; then peace.
#[test]
fn once_the_network_heals_both_ends_agree_and_nearly_all_are_up() {
    let (mut up, total) = (0, 300);
    for seed in 0..total {
        let method = AuthProtocol::ALL[seed % 4];
        let mut pair = Pair::speaking(method, PASSWORD);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        pair.chaos = Some((Instant::from_secs(60), Rng::new(bytes)));
        pair.run_until(900);
        assert_eq!(
            pair.server.network().is_some(),
            pair.client.network().is_some(),
            "seed {seed}: {:?} {:?}",
            pair.server_saw,
            pair.client_saw
        );
        if pair.is_up() {
            up += 1;
            assert_eq!(pair.client.network().unwrap().local, ADDRESS, "seed {seed}");
        } else {
            assert!(pair.server.down_reason().is_some(), "seed {seed}");
            assert!(pair.client.down_reason().is_some(), "seed {seed}");
        }
    }
    assert!(up * 10 >= total * 9, "{up} of {total}");
}
