//! Protocols that a peer wants and we do not speak: refused politely, and not without end.

use super::pair::{ADDRESS, judge, server_config};
use super::script::{Script, hex};
use crate::iana::Protocol;
use crate::{Action, AuthProtocol, PROTOCOL_REJECTS_MAX, Rejected, Stage};

const LCP: Protocol = Protocol::LCP;
const IPCP: Protocol = Protocol::IPCP;
const CCP: Protocol = Protocol::CCP;

/// A server in the network phase, with its IPCP request still unanswered.
fn network_server() -> Script {
    let mut script = Script::new(server_config(&[AuthProtocol::Pap]));
    script.open_lcp(&[]);
    script.send(Protocol::PAP, 1, 1, &hex("04 55736572 0a 636c69656e7450617373"));
    let request = script.asked();
    let verdict = judge(&*isthmus_crypto_aws::provider(), &request);
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
    script.expect(Protocol::PAP, 2);
    script
}

/// IPCP as every client ends it.
fn finish_ipcp(script: &mut Script) {
    script.acknowledge(IPCP);
    script.send(IPCP, 1, 40, &[&[3, 6][..], &ADDRESS.octets()].concat());
    script.expect(IPCP, 2);
    assert!(matches!(script.saw.pop_back(), Some(Action::Up(_))));
}

/// Windows: IPV6CP, CCP with option 18 and all crypt bits clear, then IPCP; it takes CCP back by itself.
#[test]
fn windows_gets_its_network_in_its_order_and_its_farewell_to_ccp_is_acknowledged() {
    for option_18 in ["12 06 00000000", "12 06 00000001", "12 06 01000060"] {
        let mut script = network_server();
        let ours = script.expect(IPCP, 1);
        script.send(Protocol::IPV6CP, 1, 5, &hex("01 0a 0011223344556677"));
        assert_eq!(script.expect(LCP, 8).data[..2], hex("8057"));
        script.send(CCP, 1, 6, &hex(option_18));
        let refused = [hex("80fd 01 06 000a"), hex(option_18)].concat();
        assert_eq!(script.expect(LCP, 8).data, refused, "all of it, option 18 included");
        script.send(CCP, 5, 7, &hex("1a2b3c4d 003ccd74 000002dc"));
        let ack = script.expect(CCP, 6);
        assert_eq!((ack.id, ack.data.len()), (7, 0));
        script.expect_silence();
        script.send(IPCP, 2, ours.id, &ours.data);
        script.send(IPCP, 1, 8, &[&[3, 6][..], &ADDRESS.octets()].concat());
        script.expect(IPCP, 2);
        assert_eq!(script.link.stage(), Stage::Up);
    }
}

/// `RouterOS` with `use-encryption=yes` and the default profile: MPPE with 128 bits first of all.
#[test]
fn routeros_gets_its_network_without_mppe() {
    let mut script = network_server();
    script.send(CCP, 1, 1, &hex("12 06 01000040"));
    script.send(IPCP, 1, 1, &hex("03 06 00000000"));
    script.send(Protocol(0x8281), 1, 1, &hex(""));
    let ours = script.expect(IPCP, 1);
    assert_eq!(script.expect(LCP, 8).data[..2], hex("80fd"));
    assert_eq!(script.expect(IPCP, 3).data, hex("03 06 0a400007"));
    assert_eq!(script.expect(LCP, 8).data[..2], hex("8281"), "MPLS");
    script.send(IPCP, 2, ours.id, &ours.data);
    script.send(IPCP, 1, 2, &hex("03 06 0a400007"));
    script.expect(IPCP, 2);
    assert_eq!(script.link.stage(), Stage::Up);
}

/// A peer that compresses or encrypts although nobody agreed to it sends at line rate.
#[test]
fn unknown_protocols_are_rejected_but_cause_no_storm() {
    let mut script = network_server();
    finish_ipcp(&mut script);
    for n in 0..1000_u16 {
        let outcome = script.try_send(Protocol(0x00fd), 0x90, 0, &n.to_be_bytes());
        let expected =
            if n < u16::from(PROTOCOL_REJECTS_MAX) { Ok(()) } else { Err(Rejected::RejectedOften) };
        assert_eq!(outcome, expected, "{n}");
    }
    assert_eq!(script.frames.len(), usize::from(PROTOCOL_REJECTS_MAX));
    script.frames.clear();
    // The link is as good as before, and a latecomer is told once more.
    script.send(LCP, 9, 1, &hex("00000000"));
    script.expect(LCP, 10);
    script.wait_until(10);
    script.frames.clear();
    script.send(Protocol::ACSCP, 1, 1, &hex("01 02"));
    assert_eq!(script.expect(LCP, 8).data[..2], hex("8235"));
}

/// Two implementations that refuse each other's refusals would never come to rest.
#[test]
fn a_protocol_reject_is_never_answered() {
    let mut script = network_server();
    script.expect(IPCP, 1);
    for protocol in ["8057", "80fd", "8235", "c025", "00fd"] {
        script.send(LCP, 8, 1, &hex(protocol));
        script.send(LCP, 8, 1, &hex(&alloc::format!("{protocol} 01 02 0004")));
    }
    script.expect_silence();
}

#[test]
fn farewells_to_what_never_began_are_bounded_too() {
    let mut script = network_server();
    finish_ipcp(&mut script);
    for n in 0..=PROTOCOL_REJECTS_MAX {
        let outcome = script.try_send(CCP, 5, n, &[]);
        assert_eq!(outcome.is_ok(), n < PROTOCOL_REJECTS_MAX);
    }
    assert_eq!(script.frames.len(), usize::from(PROTOCOL_REJECTS_MAX));
}
