//! Each bound is hit, and what lies beyond it is refused.

use alloc::vec;

use isthmus_core::{Duration, Instant};

use super::pair::{PASSWORD, Pair, client_config, server_config};
use super::script::{Script, hex};
use crate::iana::Protocol;
use crate::{
    Action, AuthProtocol, CONTROL_MAX, CloseReason, DownReason, IDENTIFICATIONS_MAX, MRU_MIN,
    NegotiationFailure, RENEGOTIATIONS_MAX, ROUNDS_MAX, Rejected, Stage,
};

const LCP: Protocol = Protocol::LCP;
const IPCP: Protocol = Protocol::IPCP;

fn pap_server() -> Script {
    Script::new(server_config(&[AuthProtocol::Pap]))
}

/// A server in the network phase whose peer has not spoken IPCP.
fn network_server() -> Script {
    let mut script = pap_server();
    script.open_lcp(&[]);
    script.send(Protocol::PAP, 1, 1, &hex("04 55736572 0a 636c69656e7450617373"));
    let request = script.asked();
    let verdict = super::pair::judge(&*isthmus_crypto_aws::provider(), &request);
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
    script.expect(Protocol::PAP, 2);
    script
}

#[test]
fn a_silent_peer_is_asked_ten_times_three_seconds_apart() {
    let mut script = pap_server();
    let first = script.expect(LCP, 1);
    for n in 1..10 {
        script.wait_until(3 * n);
        assert_eq!(script.expect(LCP, 1), first, "a repetition keeps its identifier");
        script.expect_silence();
    }
    script.wait_until(29);
    assert!(script.saw.is_empty());
    script.wait_until(30);
    assert_eq!(script.saw, [Action::Down(DownReason::Timeout(Stage::Lcp))]);
    script.expect_silence();
}

#[test]
fn goodbye_is_said_twice() {
    let mut script = pap_server();
    script.expect(LCP, 1);
    script.link.close(CloseReason::Shutdown, script.now);
    script.collect();
    script.wait_until(60);
    script.expect(LCP, 5);
    script.expect(LCP, 5);
    script.expect_silence();
    assert_eq!(script.saw, [Action::Down(DownReason::Closed(CloseReason::Shutdown))]);
}

#[test]
fn a_challenge_is_repeated_ten_times_unchanged() {
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2]));
    script.open_lcp(&[]);
    let first = script.expect(Protocol::CHAP, 1);
    for n in 1..10 {
        script.wait_until(3 * n);
        assert_eq!(script.expect(Protocol::CHAP, 1), first);
    }
    script.wait_until(30);
    script.expect(LCP, 5);
    script.wait_until(60);
    assert_eq!(script.saw, [Action::Down(DownReason::Timeout(Stage::Authenticate))]);
}

#[test]
fn a_client_that_never_logs_in_is_given_up() {
    let mut script = pap_server();
    script.open_lcp(&[]);
    script.wait_until(29);
    assert!(script.saw.is_empty());
    script.wait_until(60);
    assert_eq!(script.saw, [Action::Down(DownReason::Timeout(Stage::Authenticate))]);
}

#[test]
fn an_accepted_client_that_never_speaks_ipcp_is_given_up() {
    let mut script = network_server();
    script.wait_until(60);
    assert_eq!(script.saw, [Action::Down(DownReason::Timeout(Stage::Ipcp))]);
}

#[test]
fn the_whole_way_up_has_a_deadline() {
    let mut config = server_config(&[AuthProtocol::Pap]);
    config.timing.establish = Duration::from_secs(5);
    let mut script = Script::new(config);
    // The peer is busy, but gets nowhere.
    for second in 0..5 {
        script.wait_until(second);
        let id = u8::try_from(second).unwrap();
        script.send(LCP, 1, id, &hex("0d 03 06"));
    }
    script.wait_until(60);
    assert_eq!(script.saw, [Action::Down(DownReason::Timeout(Stage::Lcp))]);
}

#[test]
fn a_peer_that_only_ever_suggests_something_else_fails() {
    let mut script = pap_server();
    for round in 1..=ROUNDS_MAX {
        assert!(script.saw.is_empty());
        let request = script.expect(LCP, 1);
        // An MRU that we will not take.
        script.send(LCP, 3, request.id, &hex("01 04 ffff"));
        assert!(!script.frames.is_empty(), "round {round}");
    }
    script.expect(LCP, 5);
    script.wait_until(60);
    let failure = NegotiationFailure::NotConverging;
    assert_eq!(script.saw, [Action::Down(DownReason::NegotiationFailed(Stage::Lcp, failure))]);
}

#[test]
fn five_naks_then_disputed_options_are_rejected() {
    let mut script = pap_server();
    script.expect(LCP, 1);
    let tiny = [&[1, 4][..], &(MRU_MIN - 1).to_be_bytes()].concat();
    for id in 0..5 {
        script.send(LCP, 1, id, &tiny);
        assert_eq!(script.expect(LCP, 3).data, [&[1, 4][..], &MRU_MIN.to_be_bytes()].concat());
    }
    script.send(LCP, 1, 5, &tiny);
    assert_eq!(script.expect(LCP, 4).data, tiny);
    let smallest = [&[1, 4][..], &MRU_MIN.to_be_bytes()].concat();
    script.send(LCP, 1, 6, &smallest);
    assert_eq!(script.expect(LCP, 2).data, smallest);
}

#[test]
fn naks_are_counted_anew_after_an_ack() {
    let mut script = pap_server();
    script.acknowledge(LCP);
    for id in 0..5 {
        script.send(LCP, 1, id, &hex("01 04 0001"));
        script.expect(LCP, 3);
    }
    script.send(LCP, 1, 5, &[]);
    script.expect(LCP, 2);
    script.send(LCP, 1, 6, &hex("01 04 0001"));
    script.expect(LCP, 1);
    script.expect(LCP, 3);
}

#[test]
fn a_client_that_insists_on_another_address_or_none_is_given_up() {
    for wish in ["03 06 0a400063", ""] {
        let mut script = network_server();
        script.acknowledge(IPCP);
        for id in 0..5 {
            script.send(IPCP, 1, id, &hex(wish));
            assert_eq!(script.expect(IPCP, 3).data, hex("03 06 0a400007"));
        }
        script.send(IPCP, 1, 5, &hex(wish));
        script.expect(LCP, 5);
        script.wait_until(60);
        let failure = NegotiationFailure::OptionRequired(3);
        let down = DownReason::NegotiationFailed(Stage::Ipcp, failure);
        assert_eq!(script.saw, [Action::Down(down)]);
    }
}

#[test]
fn a_restless_peer_is_given_up() {
    let mut script = pap_server();
    script.open_lcp(&[]);
    for n in 0..RENEGOTIATIONS_MAX {
        assert!(script.saw.is_empty(), "after {n}");
        script.send(LCP, 1, n.wrapping_add(50), &hex("07 02"));
        script.acknowledge(LCP);
        script.expect(LCP, 2);
        script.expect_silence();
    }
    script.send(LCP, 1, 99, &hex("07 02"));
    script.wait_until(60);
    let failure = NegotiationFailure::Restless;
    assert_eq!(script.saw, [Action::Down(DownReason::NegotiationFailed(Stage::Lcp, failure))]);
}

#[test]
fn a_peer_that_negotiates_again_once_in_a_while_is_not_restless() {
    let mut pair = Pair::speaking(AuthProtocol::Pap, PASSWORD);
    pair.run_until(1);
    for hour in 1..=u64::from(RENEGOTIATIONS_MAX) + 4 {
        pair.run_until(3600 * hour);
        let config = client_config(&[AuthProtocol::Pap], PASSWORD);
        let seed = u8::try_from(hour).unwrap() + 100;
        pair.client = super::pair::link(config, seed);
        pair.client.open(pair.now);
        pair.run_until(3600 * hour + 20);
        assert!(pair.is_up(), "hour {hour}: {:?}", pair.server.down_reason());
    }
    assert!(pair.server.stats().renegotiations > u64::from(RENEGOTIATIONS_MAX));
}

#[test]
fn identifications_are_counted_and_cut() {
    let mut script = pap_server();
    for id in 0..10 {
        script.send(LCP, 12, id, &[b'x'; 200]);
    }
    let texts = script.link.identifications();
    assert_eq!(texts.len(), IDENTIFICATIONS_MAX);
    assert!(texts.iter().all(|text| text.raw().len() == crate::TEXT_MAX));
}

#[test]
fn a_packet_beyond_the_control_bound_is_refused_in_every_protocol() {
    let mut script = network_server();
    let long = vec![0; CONTROL_MAX - 3];
    for protocol in [LCP, IPCP, Protocol::PAP, Protocol::CCP] {
        let outcome = script.try_send(protocol, 9, 1, &long);
        assert!(matches!(outcome, Err(Rejected::Malformed(_))), "{protocol:?} {outcome:?}");
    }
}

#[test]
fn rejects_never_exceed_the_peers_mru() {
    let mut script = pap_server();
    script.open_lcp(&hex("01 04 0080"));
    script.send(Protocol::PAP, 1, 1, &hex("04 55736572 0a 636c69656e7450617373"));
    let request = script.asked();
    let verdict = super::pair::judge(&*isthmus_crypto_aws::provider(), &request);
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
    script.expect(Protocol::PAP, 2);
    script.expect(IPCP, 1);
    script.send(Protocol::CCP, 1, 1, &[0; 1400]);
    assert_eq!(script.expect(LCP, 8).data.len(), 128 - 4);
}

#[test]
fn only_two_name_servers_are_told_and_none_when_there_are_none() {
    for (count, rejected) in [(0_u8, "81 06 00000000 83 06 00000000"), (1, "83 06 00000000")] {
        let mut script = pap_server();
        script.open_lcp(&[]);
        script.send(Protocol::PAP, 1, 1, &hex("04 55736572 0a 636c69656e7450617373"));
        let request = script.asked();
        let dns = (0..count).map(|n| [10, 0, 0, n].into()).collect();
        let verdict = crate::Verdict::Accept { address: super::pair::ADDRESS, dns, proof: None };
        script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
        script.collect();
        script.expect(Protocol::PAP, 2);
        script.expect(IPCP, 1);
        script.send(IPCP, 1, 1, &hex("03 06 0a400007 81 06 00000000 83 06 00000000"));
        assert_eq!(script.expect(IPCP, 4).data, hex(rejected));
    }
}

#[test]
fn deprecated_and_compressing_options_are_rejected() {
    let mut script = network_server();
    script.expect(IPCP, 1);
    let refused = "01 0a 0a400007 0a400001 02 06 002d 0f 01 90 06 00000000";
    script.send(IPCP, 1, 1, &hex(&alloc::format!("03 06 0a400007 {refused}")));
    assert_eq!(script.expect(IPCP, 4).data, hex(refused));
}

#[test]
fn an_option_given_twice_is_rejected_the_second_time() {
    let mut script = pap_server();
    script.expect(LCP, 1);
    script.send(LCP, 1, 1, &hex("07 02 01 04 0578 01 04 05dc"));
    assert_eq!(script.expect(LCP, 4).data, hex("01 04 05dc"));
}

#[test]
fn options_of_the_wrong_length_are_corrected() {
    let mut script = pap_server();
    script.expect(LCP, 1);
    script.send(LCP, 1, 1, &hex("01 03 05 02 02 07 03 00 08 04 0000"));
    assert_eq!(script.expect(LCP, 3).data, hex("01 04 05dc 02 06 00000000 07 02 08 02"));
    script.send(LCP, 1, 2, &hex("05 06 00000000"));
    let nak = script.expect(LCP, 3).data;
    assert_eq!(nak[..2], hex("05 06"));
    assert_ne!(nak[2..], hex("00000000"));
}

#[test]
fn options_the_peer_rejects_are_left_out() {
    let mut script = pap_server();
    let request = script.expect(LCP, 1);
    let (mru, magic, rest) = (&request.data[..4], &request.data[8..14], &request.data[14..]);
    script.send(LCP, 4, request.id, &[mru, magic, rest].concat());
    let request = script.acknowledge(LCP);
    assert_eq!(request.data, hex("03 04 c023"));
}

#[test]
fn a_smaller_mru_is_taken_over_and_a_larger_one_is_not() {
    let mut script = pap_server();
    let request = script.expect(LCP, 1);
    script.send(LCP, 3, request.id, &hex("01 04 0500"));
    let request = script.expect(LCP, 1);
    assert_eq!(request.data[..4], hex("01 04 0500"));
    script.send(LCP, 3, request.id, &hex("01 04 05dc"));
    assert_eq!(script.expect(LCP, 1).data[..4], hex("01 04 0500"));
}

#[test]
fn a_peer_that_takes_its_network_back_ends_the_link() {
    let mut pair = Pair::speaking(AuthProtocol::Pap, PASSWORD);
    pair.run_until(1);
    pair.server.handle_frame(&hex("ff03 8021 05 63 0004"), pair.now).unwrap();
    let mut seen = vec![];
    while let Some(action) = pair.server.poll_action() {
        seen.push(action);
    }
    assert!(seen.contains(&Action::NetworkDown));
    assert!(seen.contains(&Action::Transmit(hex("ff03 8021 06 63 0004"))));
    pair.client = super::pair::link(client_config(&[], b""), 9);
    // One restart period for the peer to be gone, then two goodbyes that nobody answers.
    pair.run_until(1 + 3 + 6);
    assert_eq!(pair.server.down_reason(), Some(DownReason::PeerTerminated(Stage::Ipcp)));
}

#[test]
fn time_passing_early_is_harmless() {
    let mut script = pap_server();
    script.expect(LCP, 1);
    for millis in 0..2999 {
        script.link.handle_timeout(Instant::from_nanos(millis * 1_000_000));
        script.collect();
    }
    script.expect_silence();
}

#[test]
fn a_deadline_says_why() {
    let script = pap_server();
    assert_eq!(script.link.poll_timeout().unwrap().why, "lcp restart");
    let mut pair = Pair::speaking(AuthProtocol::Pap, PASSWORD);
    pair.run_until(1);
    assert_eq!(pair.server.poll_timeout().unwrap().why, "echo");
}
