//! IPV6CP: both ends, each frame disturbed, peers that cannot or will not, and links that stay up anyway.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::pair::{ADDRESS, FAULTS, PASSWORD, Pair, client_config, judge, server_config};
use super::script::{Script, hex};
use crate::iana::Protocol;
use crate::{
    Action, AuthProtocol, DownReason, Ipv6Up, Link, LinkConfig, NegotiationFailure,
    RENEGOTIATIONS_MAX, Role, Stage,
};

const IPV6CP: Protocol = Protocol::IPV6CP;
const IPCP: Protocol = Protocol::IPCP;
const LCP: Protocol = Protocol::LCP;
const PAP: AuthProtocol = AuthProtocol::Pap;

fn with_ipv6(config: LinkConfig) -> LinkConfig {
    LinkConfig { ipv6: true, ..config }
}

fn pair() -> Pair {
    Pair::new(with_ipv6(server_config(&[PAP])), with_ipv6(client_config(&[PAP], PASSWORD)))
}

/// A server with IPv6 whose peer has IPCP behind it.
fn server() -> Script {
    let mut script = Script::new(with_ipv6(server_config(&[PAP])));
    script.open_lcp(&[]);
    script.send(Protocol::PAP, 1, 1, &hex("04 55736572 0a 636c69656e7450617373"));
    let request = script.asked();
    let verdict = judge(&*isthmus_crypto_aws::provider(), &request);
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
    script.expect(Protocol::PAP, 2);
    script.acknowledge(IPCP);
    script
}

fn finish_ipcp(script: &mut Script) {
    script.send(IPCP, 1, 40, &[&[3, 6][..], &ADDRESS.octets()].concat());
    let ack = script.frames.pop_back().unwrap();
    assert_eq!(ack[2..5], [0x80, 0x21, 2]);
}

fn ipv6_ups(saw: &[Action]) -> Vec<Ipv6Up> {
    let up = |action: &Action| match action {
        Action::Ipv6Up(up) => Some(*up),
        Action::Authenticate(_)
        | Action::Down(_)
        | Action::Ipv6Down
        | Action::NetworkDown
        | Action::Transmit(_)
        | Action::Up(_) => None,
    };
    saw.iter().filter_map(up).collect()
}

/// Both have it, and each the other's half.
fn agree(pair: &Pair) -> bool {
    match (pair.server.ipv6(), pair.client.ipv6()) {
        (Some(server), Some(client)) => {
            assert_ne!(server.local, server.remote);
            assert_eq!((server.local, server.remote), (client.remote, client.local));
            true
        }
        _ => false,
    }
}

#[test]
fn both_ends_agree_on_two_identifiers_without_a_wait() {
    let mut pair = pair();
    pair.run_until(0);
    assert!(pair.is_up() && agree(&pair));
    assert_eq!(ipv6_ups(&pair.server_saw), [pair.server.ipv6().unwrap()]);
    assert_eq!(ipv6_ups(&pair.client_saw), [pair.client.ipv6().unwrap()]);
}

#[test]
fn ipv6_comes_up_whichever_frame_is_disturbed() {
    let frames = {
        let mut pair = pair();
        pair.run_until(20);
        pair.sent.len()
    };
    for number in 0..frames {
        for fault in FAULTS {
            let mut pair = pair();
            pair.fault = Some((number, fault));
            pair.run_until(30);
            assert!(pair.is_up() && agree(&pair), "frame {number} {fault:?}");
        }
    }
}

#[test]
fn a_peer_that_has_no_ipv6_says_so_and_gets_ipv4() {
    for (server, client) in [(true, false), (false, true)] {
        let mut pair = Pair::new(
            LinkConfig { ipv6: server, ..server_config(&[PAP]) },
            LinkConfig { ipv6: client, ..client_config(&[PAP], PASSWORD) },
        );
        pair.run_until(120);
        assert!(pair.is_up());
        assert_eq!((pair.server.ipv6(), pair.client.ipv6()), (None, None));
        let is_ipv6cp = |frame: &[u8]| frame[2..4] == [0x80, 0x57];
        let asked = pair.sent.iter().filter(|(_, frame)| is_ipv6cp(frame)).count();
        assert_eq!(asked, 1, "and is not asked again");
    }
}

#[test]
fn windows_gets_ipv6_in_its_order() {
    let mut script = server();
    let ours = script.expect(IPV6CP, 1);
    assert_eq!(ours.data[..2], hex("01 0a"));
    script.send(IPV6CP, 1, 5, &hex("01 0a 0011223344556677"));
    script.expect(IPV6CP, 2);
    script.send(Protocol::CCP, 1, 6, &hex("12 06 01000001"));
    assert_eq!(script.expect(LCP, 8).data[..2], hex("80fd"));
    script.send(IPV6CP, 2, ours.id, &ours.data);
    let up = script.link.ipv6().unwrap();
    assert_eq!(up.remote.octets(), hex("0011223344556677")[..]);
    assert_eq!(up.local.octets(), ours.data[2..]);
    assert_eq!(script.saw, [Action::Ipv6Up(up)], "before IPCP is done");
    script.saw.clear();
    finish_ipcp(&mut script);
    assert!(matches!(script.saw.pop_front(), Some(Action::Up(_))));
}

#[test]
fn compression_is_rejected_and_a_missing_or_zero_identifier_corrected() {
    let mut script = server();
    script.expect(IPV6CP, 1);
    script.send(IPV6CP, 1, 1, &hex("01 0a 0000000000000000 02 04 0061"));
    assert_eq!(script.expect(IPV6CP, 4).data, hex("02 04 0061"));
    script.send(IPV6CP, 1, 2, &hex("01 0a 0000000000000000"));
    let suggested = script.expect(IPV6CP, 3).data;
    script.send(IPV6CP, 1, 3, &[]);
    assert_eq!(script.expect(IPV6CP, 3).data, suggested);
    script.send(IPV6CP, 1, 4, &suggested);
    assert_eq!(script.expect(IPV6CP, 2).data, suggested);
}

#[test]
fn a_peer_that_chose_our_identifier_gets_another_one() {
    let mut script = server();
    let ours = script.expect(IPV6CP, 1);
    script.send(IPV6CP, 1, 1, &ours.data);
    assert_ne!(script.expect(IPV6CP, 3).data, ours.data);
}

#[test]
fn a_peer_that_insists_on_no_identifier_loses_ipv6_and_nothing_else() {
    let mut script = server();
    script.acknowledge(IPV6CP);
    for id in 0..5 {
        script.send(IPV6CP, 1, id, &hex("01 0a 0000000000000000"));
        script.expect(IPV6CP, 3);
    }
    script.send(IPV6CP, 1, 5, &hex("01 0a 0000000000000000"));
    script.expect(IPV6CP, 5);
    finish_ipcp(&mut script);
    script.wait_until(20);
    assert_eq!((script.link.stage(), script.link.ipv6()), (Stage::Up, None));
}

#[test]
fn a_silent_ipv6cp_costs_nothing_and_may_begin_later() {
    let mut script = server();
    finish_ipcp(&mut script);
    script.link.peer_alive(script.now);
    script.wait_until(35);
    let asked = script.frames.iter().filter(|f| f[2..5] == [0x80, 0x57, 1]).count();
    assert_eq!(asked, 10);
    script.frames.clear();
    script.send(IPV6CP, 1, 1, &hex("01 0a 0011223344556677"));
    script.acknowledge(IPV6CP);
    script.expect(IPV6CP, 2);
    assert!(script.link.ipv6().is_some());
    assert_eq!(script.link.stage(), Stage::Up);
}

#[test]
fn a_peer_may_take_ipv6_back() {
    let mut script = server();
    finish_ipcp(&mut script);
    script.acknowledge(IPV6CP);
    script.send(IPV6CP, 1, 1, &hex("01 0a 0011223344556677"));
    script.expect(IPV6CP, 2);
    script.saw.clear();
    script.send(IPV6CP, 5, 9, &[]);
    assert_eq!(script.expect(IPV6CP, 6).id, 9);
    assert_eq!(script.saw, [Action::Ipv6Down]);
    script.wait_until(20);
    assert_eq!((script.link.stage(), script.link.ipv6()), (Stage::Up, None));
}

#[test]
fn a_peer_that_takes_it_back_again_and_again_is_not_listened_to() {
    let mut script = server();
    finish_ipcp(&mut script);
    let mut ups = 0;
    for id in 0..=RENEGOTIATIONS_MAX + 3 {
        script.frames.clear();
        let request = [&hex("01 0a 00112233445566")[..], &[id]].concat();
        script.send(IPV6CP, 1, id, &request);
        let frames: Vec<_> = script.frames.iter().cloned().collect();
        for frame in frames.iter().filter(|f| f[2..5] == [0x80, 0x57, 1]) {
            script.send(IPV6CP, 2, frame[5], &frame[8..]);
        }
        ups += script.saw.iter().filter(|a| matches!(a, Action::Ipv6Up(_))).count();
        script.saw.clear();
    }
    assert!(ups <= usize::from(RENEGOTIATIONS_MAX), "{ups}");
    assert_eq!((script.link.stage(), script.link.ipv6()), (Stage::Up, None));
}

#[test]
fn whoever_gets_no_ipv6_is_told_so() {
    let mut script = Script::new(with_ipv6(server_config(&[PAP])));
    script.open_lcp(&[]);
    script.send(Protocol::PAP, 1, 1, &hex("04 55736572 0a 636c69656e7450617373"));
    let request = script.asked();
    let verdict = judge(&*isthmus_crypto_aws::provider(), &request);
    script.link.allow_ipv6(false);
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
    script.expect(Protocol::PAP, 2);
    script.acknowledge(IPCP);
    script.expect_silence();
    script.send(IPV6CP, 1, 5, &hex("01 0a 0011223344556677"));
    assert_eq!(script.expect(LCP, 8).data[..2], hex("8057"));
}

#[test]
fn who_logs_in_may_be_served_by_another_configuration() {
    let mut script = Script::new(server_config(&[PAP]));
    script.open_lcp(&[]);
    script.send(Protocol::PAP, 1, 1, &hex("04 55736572 0a 636c69656e7450617373"));
    let request = script.asked();
    let verdict = judge(&*isthmus_crypto_aws::provider(), &request);
    let mut other = with_ipv6(server_config(&[PAP]));
    if let Role::Server(server) = &mut other.role {
        server.local_address = [192, 0, 2, 77].into();
    }
    script.link.go_on_with(Arc::new(other));
    script.link.allow_ipv6(true);
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
    script.expect(Protocol::PAP, 2);
    assert_eq!(script.expect(IPCP, 1).data, hex("03 06 c000024d"));
    script.expect(IPV6CP, 1);
}

#[test]
fn ipv6_ends_with_the_link_and_with_a_new_negotiation() {
    let mut pair = pair();
    pair.run_until(1);
    let client = with_ipv6(client_config(&[PAP], PASSWORD));
    pair.client = Link::new(Arc::new(client), isthmus_crypto_aws::provider(), [77; 32], pair.now);
    pair.client.open(pair.now);
    pair.run_until(20);
    assert!(agree(&pair));
    let kinds: Vec<_> = pair
        .server_saw
        .iter()
        .filter_map(|action| match action {
            Action::Ipv6Down => Some("-6"),
            Action::Ipv6Up(_) => Some("+6"),
            Action::NetworkDown => Some("-4"),
            Action::Up(_) => Some("+4"),
            Action::Authenticate(_) | Action::Down(_) | Action::Transmit(_) => None,
        })
        .collect();
    assert_eq!(kinds[2..4], ["-6", "-4"]);
    assert_eq!(kinds.len(), 6);
    pair.server.close(crate::CloseReason::Admin, pair.now);
    pair.run_until(40);
    let last = &pair.server_saw[pair.server_saw.len() - 3..];
    assert!(matches!(last, [Action::Ipv6Down, Action::NetworkDown, Action::Down(_)]), "{last:?}");
}

#[test]
fn a_restored_link_has_its_identifiers() {
    let mut pair = pair();
    pair.run_until(1);
    let record = pair.server.record().unwrap();
    let config = Arc::new(with_ipv6(server_config(&[PAP])));
    let before = pair.server.ipv6();
    let provider = isthmus_crypto_aws::provider();
    pair.server = Link::restore(&record, config, provider, [55; 32], pair.now);
    assert_eq!(pair.server.ipv6(), before);
    assert_eq!(pair.server.record().unwrap(), record);
    pair.run_until(300);
    assert!(pair.is_up() && agree(&pair));
}

/// IPCP decides about the link as before.
#[test]
fn ipv6_alone_does_not_keep_a_link() {
    let mut script = server();
    script.acknowledge(IPV6CP);
    script.send(IPV6CP, 1, 1, &hex("01 0a 0011223344556677"));
    script.expect(IPV6CP, 2);
    script.saw.clear();
    script.send(LCP, 8, 1, &hex("8021 01"));
    script.wait_until(20);
    let failure = NegotiationFailure::ProtocolRefused;
    let down = DownReason::NegotiationFailed(Stage::Ipcp, failure);
    assert_eq!(script.saw, [Action::Ipv6Down, Action::Down(down)]);
}
