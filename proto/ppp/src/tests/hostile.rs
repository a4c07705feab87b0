//! Input that has broken other implementations, and input out of turn.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant};

use super::pair::{PASSWORD, Pair, Side, client_config, link, server_config};
use super::script::{Got, Script, hex};
use crate::auth::AuthenticatorResponse;
use crate::auth_message::write_success;
use crate::iana::Protocol;
use crate::{
    Action, AuthProtocol, DownReason, Link, NAME_MAX, NegotiationFailure, Refusal, Rejected, Stage,
    Verdict,
};

const LCP: Protocol = Protocol::LCP;
const CHAP: Protocol = Protocol::CHAP;

fn client() -> Script {
    let mut script = Script::new(client_config(&[AuthProtocol::MsChapV2], PASSWORD));
    script.open_lcp(&hex("03 05 c22381"));
    script
}

fn server() -> Script {
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2]));
    script.open_lcp(&[]);
    script
}

#[test]
fn a_client_ignores_success_before_any_challenge() {
    let mut script = client();
    let success = write_success(&AuthenticatorResponse([0; 20]));
    for id in 0..=255 {
        assert_eq!(script.try_send(CHAP, 3, id, &success), Err(Rejected::OutOfState));
        assert_eq!(script.try_send(CHAP, 3, id, b""), Err(Rejected::OutOfState));
    }
    script.expect_silence();
    assert_eq!(script.link.stage(), Stage::Authenticate);
}

#[test]
fn a_success_without_an_authenticator_response_ends_the_session() {
    for message in [&b""[..], b"S=", b"M=OK", b"S=407A5589115FD0D6209F510FE9C04566932CDA5"] {
        let mut script = client();
        script.send(CHAP, 1, 9, &[&[16][..], &[3; 16], b"server"].concat());
        script.expect(CHAP, 2);
        assert_eq!(script.try_send(CHAP, 3, 8, message), Err(Rejected::UnexpectedId));
        script.send(CHAP, 3, 9, message);
        script.expect(LCP, 5);
        script.wait_until(60);
        assert_eq!(script.saw, [Action::Down(DownReason::PeerNotAuthentic)]);
    }
}

#[test]
fn a_server_ignores_a_response_to_no_challenge_and_the_peers_own_success() {
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2]));
    let response = [&[49][..], &[0; 49], b"User"].concat();
    assert_eq!(script.try_send(CHAP, 2, 1, &response), Err(Rejected::OutOfPhase));
    let mut script = server();
    let challenge = script.expect(CHAP, 1);
    let other = challenge.id.wrapping_add(1);
    assert_eq!(script.try_send(CHAP, 2, other, &response), Err(Rejected::UnexpectedId));
    for code in [1, 3, 4, 5, 0] {
        let outcome = script.try_send(CHAP, code, challenge.id, &response);
        assert_eq!(outcome, Err(Rejected::UnexpectedCode));
    }
    assert!(script.saw.is_empty());
}

#[test]
fn eap_is_not_spoken_before_during_or_after() {
    let identity = hex("01 55736572");
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2]));
    assert_eq!(script.try_send(Protocol::EAP, 2, 1, &identity), Err(Rejected::OutOfPhase));
    let mut script = server();
    assert_eq!(script.try_send(Protocol::EAP, 2, 1, &identity), Err(Rejected::OutOfPhase));
    let long = vec![0xff; 1400];
    assert_eq!(script.try_send(Protocol::EAP, 2, 1, &long), Err(Rejected::OutOfPhase));
}

#[test]
fn a_protocol_that_was_not_agreed_on_is_not_listened_to() {
    let mut script = server();
    script.expect(CHAP, 1);
    let login = hex("04 55736572 0a 636c69656e7450617373");
    assert_eq!(script.try_send(Protocol::PAP, 1, 1, &login), Err(Rejected::OutOfPhase));
    let mut script = Script::new(server_config(&[AuthProtocol::Pap]));
    script.open_lcp(&[]);
    let response = [&[16][..], &[0; 16], b"User"].concat();
    assert_eq!(script.try_send(CHAP, 2, 1, &response), Err(Rejected::OutOfPhase));
}

#[test]
fn network_protocols_wait_for_the_verdict() {
    let request = hex("03 06 0a400007");
    let mut script = server();
    let challenge = script.expect(CHAP, 1);
    for protocol in [Protocol::IPCP, Protocol::IPV6CP, Protocol::CCP] {
        assert_eq!(script.try_send(protocol, 1, 1, &request), Err(Rejected::OutOfPhase));
    }
    script.send(CHAP, 2, challenge.id, &[&[49][..], &[0; 49], b"User"].concat());
    assert_eq!(script.link.stage(), Stage::Verdict);
    for protocol in [Protocol::IPCP, Protocol::IPV6CP, Protocol::CCP] {
        assert_eq!(script.try_send(protocol, 1, 1, &request), Err(Rejected::OutOfPhase));
    }
    script.expect_silence();
}

#[test]
fn a_failure_of_any_length_is_just_a_failure() {
    for message in [vec![], vec![b'E'; 1400], [b"E=691 R=1 C=".to_vec(), vec![b'9'; 1400]].concat()]
    {
        let mut script = client();
        script.send(CHAP, 1, 9, &[&[16][..], &[3; 16], b"server"].concat());
        script.expect(CHAP, 2);
        script.send(CHAP, 4, 9, &message);
        script.wait_until(60);
        let Some(Action::Down(DownReason::AuthRefusedByPeer(_))) = script.saw.pop_front() else {
            panic!("not refused");
        };
    }
}

#[test]
fn names_and_values_out_of_bounds_are_refused_and_the_next_good_one_is_taken() {
    let mut script = server();
    let id = script.expect(CHAP, 1).id;
    let name = vec![b'u'; NAME_MAX + 1];
    for data in [
        vec![],
        vec![0],
        vec![0, b'u'],
        vec![49],
        vec![255; 100],
        [&[16][..], &[0; 16], b"User"].concat(),
        [&[48][..], &[0; 48], b"User"].concat(),
        [&[49][..], &[0; 49], &name].concat(),
    ] {
        let outcome = script.try_send(CHAP, 2, id, &data);
        assert!(matches!(outcome, Err(Rejected::Malformed(_))), "{data:02x?} {outcome:?}");
    }
    script.send(CHAP, 2, id, &[&[49][..], &[0; 49], &name[1..]].concat());
    assert_eq!(script.asked().user.len(), NAME_MAX);
}

#[test]
fn a_client_does_not_answer_challenges_out_of_bounds() {
    let mut script = client();
    for len in [1_u8, 8, 15, 17, 255] {
        let data = [vec![len], vec![7; usize::from(len)], b"server".to_vec()].concat();
        assert!(script.try_send(CHAP, 1, 1, &data).is_err());
    }
    script.expect_silence();
    let mut script = Script::new(client_config(&[AuthProtocol::ChapMd5], PASSWORD));
    script.open_lcp(&hex("03 05 c22305"));
    let max = u8::try_from(crate::CHALLENGE_MAX).unwrap();
    let challenge = |len: u8| [vec![len], vec![7; usize::from(len)]].concat();
    assert!(script.try_send(CHAP, 1, 1, &challenge(max + 1)).is_err());
    script.send(CHAP, 1, 1, &challenge(max));
    script.expect(CHAP, 2);
}

#[test]
fn no_prefix_of_any_frame_is_taken_and_none_disturbs() {
    for method in AuthProtocol::ALL {
        let mut recorded = Pair::speaking(method, PASSWORD);
        recorded.run_until(20);
        // The same seeds again, so that the same frames fit.
        let mut pair =
            (link(server_config(&[method]), 1), link(client_config(&[method], PASSWORD), 2));
        pair.0.open(Instant::ZERO);
        pair.1.open(Instant::ZERO);
        for (from, frame) in &recorded.sent {
            let to = if *from == Side::Client { &mut pair.0 } else { &mut pair.1 };
            let before = drain(to);
            for len in 0..frame.len() {
                assert!(
                    to.handle_frame(&frame[..len], Instant::ZERO).is_err(),
                    "{len} of {frame:02x?}"
                );
            }
            assert!(to.poll_action().is_none());
            assert_eq!(to.handle_frame(frame, Instant::ZERO), Ok(()), "{frame:02x?}");
            answer(to, before);
        }
        assert!(pair.0.network().is_some() && pair.1.network().is_some());
    }
}

fn drain(link: &mut Link) -> Vec<Action> {
    core::iter::from_fn(|| link.poll_action()).collect()
}

/// Gives verdicts that became due.
fn answer(link: &mut Link, before: Vec<Action>) {
    let provider = isthmus_crypto_aws::provider();
    let after = drain(link);
    for action in before.into_iter().chain(after) {
        if let Action::Authenticate(request) = action {
            let verdict = super::pair::judge(&*provider, &request);
            link.handle_verdict(request.ticket, verdict, Instant::ZERO).unwrap();
        }
    }
    drain(link);
}

#[test]
fn an_ack_nak_or_reject_that_answers_nothing_is_refused() {
    let mut script = Script::new(server_config(&[AuthProtocol::Pap]));
    let request = script.expect(LCP, 1);
    let wrong_id = request.id.wrapping_add(1);
    for code in [2, 3, 4] {
        let outcome = script.try_send(LCP, code, wrong_id, &request.data);
        assert_eq!(outcome, Err(Rejected::UnexpectedId));
    }
    let shorter = &request.data[..request.data.len() - 2];
    assert_eq!(script.try_send(LCP, 2, request.id, shorter), Err(Rejected::AlteredAck));
    // An Ack that leaves the authentication option out must not do away with it.
    let without_auth = [&request.data[..4], &request.data[8..]].concat();
    assert_eq!(script.try_send(LCP, 2, request.id, &without_auth), Err(Rejected::AlteredAck));
    assert_eq!(script.try_send(LCP, 4, request.id, &[]), Err(Rejected::AlteredReject));
    let altered = hex("01 04 0001");
    assert_eq!(script.try_send(LCP, 4, request.id, &altered), Err(Rejected::AlteredReject));
    script.expect_silence();
    script.send(LCP, 2, request.id, &request.data);
}

#[test]
fn a_peer_that_rejects_authentication_is_shown_the_door() {
    let mut script = Script::new(server_config(&[AuthProtocol::Pap]));
    let request = script.expect(LCP, 1);
    script.send(LCP, 4, request.id, &hex("03 04 c023"));
    script.expect(LCP, 5);
    script.wait_until(60);
    let failure = NegotiationFailure::AuthProtocol;
    assert_eq!(script.saw, [Action::Down(DownReason::NegotiationFailed(Stage::Lcp, failure))]);
}

#[test]
fn a_server_does_not_tell_its_secrets_to_a_client_that_asks() {
    let mut script = Script::new(server_config(&[AuthProtocol::Pap]));
    script.expect(LCP, 1);
    script.send(LCP, 1, 1, &hex("03 04 c023 07 02"));
    assert_eq!(script.expect(LCP, 4).data, hex("03 04 c023"));
}

#[test]
fn a_client_does_not_give_its_password_away_under_a_weaker_protocol() {
    let mut script = Script::new(client_config(&[AuthProtocol::MsChapV2], PASSWORD));
    script.acknowledge(LCP);
    for (id, weaker) in
        ["03 04 c023", "03 05 c22305", "03 05 c22380", "03 04 c227"].iter().enumerate()
    {
        let id = u8::try_from(id).unwrap();
        script.send(LCP, 1, id, &hex(weaker));
        assert_eq!(script.expect(LCP, 3).data, hex("03 05 c22381"));
    }
    script.expect_silence();
}

#[test]
fn a_line_that_is_looped_back_is_noticed() {
    let mut looped = link(server_config(&[AuthProtocol::Pap]), 1);
    looped.open(Instant::ZERO);
    let mut down = None;
    let mut now = Instant::ZERO;
    for _ in 0..200 {
        match looped.poll_action() {
            Some(Action::Transmit(frame)) => drop(looped.handle_frame(&frame, now)),
            Some(Action::Down(reason)) => down = Some(reason),
            Some(other) => panic!("{other:?}"),
            None => {
                let Some(next) = looped.poll_timeout() else { break };
                now = next.at;
                looped.handle_timeout(now);
            }
        }
    }
    assert_eq!(down, Some(DownReason::LoopDetected));
    assert_eq!(now, Instant::ZERO, "it takes no timeout to notice");
}

#[test]
fn echoes_are_answered_only_when_open_and_never_to_ourselves() {
    let mut script = Script::new(server_config(&[AuthProtocol::Pap]));
    assert_eq!(script.try_send(LCP, 9, 1, &[0; 4]), Err(Rejected::OutOfPhase));
    let request = script.expect(LCP, 1);
    let ours = request.data[10..14].to_vec();
    script.send(LCP, 2, request.id, &request.data);
    script.send(LCP, 1, 1, &[]);
    script.expect(LCP, 2);
    for code in [9, 10, 11] {
        assert_eq!(script.try_send(LCP, code, 1, &ours), Err(Rejected::LoopedBack));
        assert!(matches!(script.try_send(LCP, code, 1, &ours[1..]), Err(Rejected::Malformed(_))));
    }
    script.send(LCP, 11, 2, &[0; 99]);
    script.expect_silence();
    script.send(LCP, 9, 3, &[0, 0, 0, 0, 1, 2, 3]);
    assert_eq!(script.expect(LCP, 10), Got { id: 3, data: [&ours[..], &[1, 2, 3]].concat() });
}

#[test]
fn unknown_codes_are_code_rejected_and_identification_is_not() {
    let mut script = server();
    script.expect(CHAP, 1);
    for code in [0, 14, 15, 255] {
        script.send(LCP, code, 5, b"data");
        assert_eq!(script.expect(LCP, 7).data, [&[code, 5, 0, 8][..], b"data"].concat());
    }
    script.send(LCP, 12, 5, b"\0\0\0\0text");
    script.send(LCP, 13, 5, b"\0\0\0\0\0\0\0\x01");
    script.expect_silence();
}

#[test]
fn a_rejected_code_matters_only_when_it_is_essential() {
    let mut script = server();
    script.expect(CHAP, 1);
    script.send(LCP, 7, 1, &hex("0c 01 0004"));
    assert_eq!(script.link.stage(), Stage::Authenticate);
    script.send(LCP, 7, 2, &hex("01 01 0004"));
    script.expect(LCP, 5);
    script.wait_until(60);
    let failure = NegotiationFailure::ProtocolRefused;
    assert_eq!(script.saw, [Action::Down(DownReason::NegotiationFailed(Stage::Lcp, failure))]);
}

#[test]
fn rejection_of_the_authentication_protocol_or_of_ipcp_ends_the_link() {
    let mut script = server();
    script.expect(CHAP, 1);
    script.send(LCP, 8, 1, &hex("80fd 01"));
    assert_eq!(script.link.stage(), Stage::Authenticate);
    script.send(LCP, 8, 2, &hex("c223 01"));
    script.wait_until(60);
    let failure = NegotiationFailure::ProtocolRefused;
    let down = DownReason::NegotiationFailed(Stage::Authenticate, failure);
    assert_eq!(script.saw, [Action::Down(down)]);

    let mut pair = Pair::speaking(AuthProtocol::Pap, PASSWORD);
    pair.run_until(1);
    let reject = hex("ff03 c021 08 01 0006 8021");
    pair.server.handle_frame(&reject, pair.now).unwrap();
    pair.run_until(60);
    let down = DownReason::NegotiationFailed(Stage::Ipcp, failure);
    assert_eq!(pair.server_saw[2..], [Action::NetworkDown, Action::Down(down)]);
}

#[test]
fn a_peer_that_negotiates_again_logs_in_again() {
    let mut pair = Pair::speaking(AuthProtocol::MsChapV2, PASSWORD);
    pair.run_until(1);
    let client = client_config(&[AuthProtocol::MsChapV2], PASSWORD);
    pair.client = Link::new(Arc::new(client), isthmus_crypto_aws::provider(), [99; 32], pair.now);
    pair.client.open(pair.now);
    pair.run_until(20);
    assert!(pair.is_up());
    assert_eq!(pair.logins(), 2);
    let kinds: Vec<bool> = pair
        .server_saw
        .iter()
        .filter(|action| !matches!(action, Action::Authenticate(_)))
        .map(|action| matches!(action, Action::Up(_)))
        .collect();
    assert_eq!(kinds, [true, false, true]);
    assert_eq!(pair.server_saw[2], Action::NetworkDown);
    assert_eq!(pair.server.stats().renegotiations, 1);
}

#[test]
fn a_late_duplicate_of_an_agreed_request_changes_nothing() {
    for method in AuthProtocol::ALL {
        let mut pair = Pair::speaking(method, PASSWORD);
        pair.run_until(1);
        let frames = pair.sent.clone();
        let seen = (pair.server_saw.clone(), pair.client_saw.clone());
        let is_acked = |index: usize| {
            let (from, frame) = &frames[index];
            let ack = frames.iter().position(|(side, other)| {
                side != from && other[4] == 2 && other[5] == frame[5] && other[6..] == frame[6..]
            });
            frame[4] == 1 && ack.is_some()
        };
        let requests: Vec<usize> = (0..frames.len()).filter(|index| is_acked(*index)).collect();
        assert_eq!(requests.len(), 4, "LCP and IPCP in both directions");
        for (from, frame) in requests.into_iter().map(|index| &frames[index]) {
            let to = if *from == Side::Client { &mut pair.server } else { &mut pair.client };
            assert_eq!(to.handle_frame(frame, pair.now), Ok(()));
            let mut ack = frame.clone();
            ack[4] = 2;
            assert_eq!(drain(to), [Action::Transmit(ack)]);
        }
        assert!(pair.is_up());
        assert_eq!(seen, (pair.server_saw, pair.client_saw));
    }
}

#[test]
fn a_response_that_comes_again_gets_the_same_success_and_no_second_question() {
    for method in [AuthProtocol::ChapMd5, AuthProtocol::MsChapV2] {
        let mut pair = Pair::speaking(method, PASSWORD);
        pair.run_until(1);
        let find = |code: u8| {
            let frame = pair.sent.iter().find(|(_, f)| f[2..5] == [0xc2, 0x23, code]);
            frame.unwrap().1.clone()
        };
        let (mut response, success) = (find(2), find(3));
        pair.server.handle_frame(&response, pair.now).unwrap();
        assert_eq!(drain(&mut pair.server), [Action::Transmit(success.clone())]);
        // RFC 1994 §4.2: the same answer whatever the response, so that nothing can be tried out.
        response[20] ^= 1;
        pair.server.handle_frame(&response, pair.now).unwrap();
        assert_eq!(drain(&mut pair.server), [Action::Transmit(success)]);
        response[5] ^= 1;
        assert_eq!(pair.server.handle_frame(&response, pair.now), Err(Rejected::UnexpectedId));
    }
}

#[test]
fn a_client_takes_no_address_that_no_host_can_have() {
    for bad in ["00000000", "7f000001", "e0000001", "ffffffff"] {
        let mut script = Script::new(client_config(&[AuthProtocol::ChapMd5], PASSWORD));
        script.open_lcp(&hex("03 05 c22305"));
        script.send(CHAP, 1, 1, &[&[16][..], &[7; 16]].concat());
        script.expect(CHAP, 2);
        script.send(CHAP, 3, 1, b"");
        let request = script.expect(Protocol::IPCP, 1);
        script.send(Protocol::IPCP, 3, request.id, &hex(&alloc::format!("03 06 {bad}")));
        let request = script.expect(Protocol::IPCP, 1);
        assert_eq!(request.data[..6], hex("03 06 00000000"));
        script.send(Protocol::IPCP, 2, request.id, &request.data);
        script.wait_until(60);
        let down = DownReason::NegotiationFailed(Stage::Ipcp, NegotiationFailure::NoAddress);
        assert_eq!(script.saw, [Action::Down(down)]);
    }
}

#[test]
fn a_client_answers_a_new_challenge_while_the_network_is_up() {
    let mut pair = Pair::speaking(AuthProtocol::ChapMd5, PASSWORD);
    pair.run_until(1);
    let challenge = |id: u8, value: u8| {
        let mut frame = hex("ff03 c223 01");
        frame.extend([id, 0, 21, 16]);
        frame.extend([value; 16]);
        frame
    };
    let responses = |pair: &mut Pair| {
        drain(&mut pair.client)
            .iter()
            .filter(|a| matches!(a, Action::Transmit(f) if f.starts_with(&hex("ff03 c223 02"))))
            .count()
    };
    pair.client.handle_frame(&challenge(7, 1), pair.now).unwrap();
    assert_eq!(responses(&mut pair), 1);
    // A duplicate of it is answered again, even when it comes after the Success.
    pair.client.handle_frame(&hex("ff03 c223 03 07 0004"), pair.now).unwrap();
    pair.client.handle_frame(&challenge(7, 1), pair.now).unwrap();
    assert_eq!(responses(&mut pair), 1);
    pair.run_until(600);
    assert!(pair.is_up(), "a late duplicate must not be waited for");
    // A Failure to a new challenge is the end.
    pair.client.handle_frame(&challenge(8, 2), pair.now).unwrap();
    assert_eq!(responses(&mut pair), 1);
    pair.client.handle_frame(&hex("ff03 c223 04 08 0004"), pair.now).unwrap();
    pair.run_until(620);
    assert_eq!(pair.client.down_reason(), Some(DownReason::AuthRefusedByPeer(None)));
}

#[test]
fn a_link_that_is_down_takes_nothing() {
    let mut pair = Pair::speaking(AuthProtocol::Pap, b"wrong");
    pair.run_until(60);
    for (_, frame) in &pair.sent {
        assert_eq!(pair.server.handle_frame(frame, pair.now), Err(Rejected::LinkDown));
    }
    assert!(pair.server.poll_action().is_none());
    pair.server.open(pair.now);
    pair.server.close(crate::CloseReason::Admin, pair.now);
    assert!(pair.server.poll_action().is_none());
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn an_acceptance_that_cannot_be_kept_is_a_refusal() {
    let provider = isthmus_crypto_aws::provider();
    let none = core::net::Ipv4Addr::UNSPECIFIED;
    for (address, has_proof, refusal) in
        [(super::pair::ADDRESS, false, Refusal::Unavailable), (none, true, Refusal::NoResources)]
    {
        let mut pair = Pair::speaking(AuthProtocol::MsChapV2, PASSWORD);
        pair.verdict_takes = Duration::from_secs(1000);
        pair.run_until(1);
        let Some(Action::Authenticate(request)) = pair.server_saw.pop() else { panic!() };
        let Verdict::Accept { proof, .. } = super::pair::judge(&*provider, &request) else {
            panic!()
        };
        let proof = proof.filter(|_| has_proof);
        let verdict = Verdict::Accept { address, dns: vec![], proof };
        assert_eq!(pair.server.handle_verdict(request.ticket, verdict, pair.now), Ok(()));
        pair.run_until(60);
        assert_eq!(pair.server_saw, [Action::Down(DownReason::AuthRefused(refusal))]);
        assert_eq!(
            pair.client_saw,
            [Action::Down(DownReason::AuthRefusedByPeer(Some(refusal.code())))]
        );
    }
}

#[test]
fn nothing_secret_is_printed() {
    let mut pair = Pair::speaking(AuthProtocol::Pap, PASSWORD);
    pair.run_until(1);
    let all = alloc::format!("{:?} {:?} {:?}", pair.server_saw, pair.server, pair.client);
    for secret in ["clientPass", "99, 108, 105, 101, 110, 116"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let actions = alloc::format!("{:?}", pair.server_saw);
    for name in ["User", "67, 79, 82, 80"] {
        assert!(!actions.contains(name), "{name} in {actions}");
    }
}
