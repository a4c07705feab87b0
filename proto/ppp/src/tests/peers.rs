//! Scripts in the shape of real clients: options, order and habits as they appear in the field.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::pair::{ADDRESS, GATEWAY, PASSWORD, client_config, judge, server_config};
use super::script::{Got, Script, hex};
use crate::auth::{self, mschapv2};
use crate::auth_message::{ChapValue, MsChapV2Value};
use crate::iana::Protocol;
use crate::{
    Action, AuthProtocol, AuthRequest, DownReason, MsChapV2Proof, Proof, Role, Stage, Verdict,
};

const LCP: Protocol = Protocol::LCP;
const IPCP: Protocol = Protocol::IPCP;
const CHAP: Protocol = Protocol::CHAP;

/// Answers a challenge the way Windows does; the response value and name.
fn answer(challenge: &Got, user: &[u8]) -> Vec<u8> {
    let provider = isthmus_crypto_aws::provider();
    let value = ChapValue::read(&challenge.data).unwrap().value;
    let hash = auth::nt_hash(&*provider, PASSWORD).unwrap();
    let peer_challenge = [0x5a; 16];
    let auth_challenge = value.try_into().unwrap();
    let nt_response =
        mschapv2::nt_response(&*provider, &hash, &auth_challenge, &peer_challenge, user).unwrap();
    let value = MsChapV2Value { peer_challenge, nt_response, flags: 0 }.write();
    ChapValue { value: &value, name: user }.write()
}

fn pass(script: &mut Script, request: &AuthRequest) {
    let verdict = judge(&*isthmus_crypto_aws::provider(), request);
    assert!(matches!(verdict, Verdict::Accept { .. }));
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
}

#[test]
fn windows_10_connects_and_hangs_up() {
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2, AuthProtocol::Pap]));
    let ours = script.expect(LCP, 1);
    assert_eq!(ours.data[..9], hex("01 04 05 78 03 05 c2 23 81"));

    // With multilink ticked: callback, MRRU, endpoint discriminator and 0x17 on top.
    let plain = "01 04 05 78 05 06 1a 2b 3c 4d 07 02 08 02";
    let extra =
        "0d 03 06 11 04 06 4e 13 17 01 00112233445566778899aabbccddeeff00000000 17 04 00 05";
    script.send(LCP, 1, 0, &hex(&[plain, extra].join(" ")));
    assert_eq!(script.expect(LCP, 4), Got { id: 0, data: hex(extra) });
    script.send(LCP, 1, 1, &hex(plain));
    assert_eq!(script.expect(LCP, 2), Got { id: 1, data: hex(plain) });
    script.expect_silence();
    script.send(LCP, 2, ours.id, &ours.data);

    let challenge = script.expect(CHAP, 1);
    script.send(LCP, 12, 2, &[&hex("1a2b3c4d")[..], b"MSRASV5.20"].concat());
    script.send(LCP, 12, 3, &[&hex("1a2b3c4d")[..], b"MSRAS-0-DESKTOP\n"].concat());
    script.send(LCP, 12, 4, &hex("1a2b3c4d 00ff10203040506070 8090a0b0c0d0e0"));
    script.expect_silence();
    let texts: Vec<_> = script.link.identifications().iter().map(ToString::to_string).collect();
    assert_eq!(texts[..2], ["MSRASV5.20", "MSRAS-0-DESKTOP\\n"]);
    assert!(texts[2].is_ascii());

    script.send(CHAP, 2, challenge.id, &answer(&challenge, b"CORP\\User"));
    let request = script.asked();
    assert_eq!(request.user, b"CORP\\User");
    assert!(matches!(request.proof, Proof::MsChapV2(_)));
    script.expect_silence();
    pass(&mut script, &request);
    let success = script.expect(CHAP, 3);
    assert_eq!(success.id, challenge.id);
    assert!(success.data.starts_with(b"S=") && success.data[42..].starts_with(b" M="));
    let ours = script.expect(IPCP, 1);
    assert_eq!(ours.data, hex("03 06 0a400001"));

    windows_ipcp(&mut script, &ours);
    assert!(matches!(script.saw.pop_front(), Some(Action::Up(up)) if up.dns.len() == 2));
    script.send(LCP, 9, 7, &hex("1a2b3c4d 01020304"));
    let echo = script.expect(LCP, 10);
    assert_eq!((echo.id, &echo.data[4..]), (7, &hex("01020304")[..]));

    script.send(LCP, 5, 9, &hex("1a2b3c4d 003ccd74 000002dc"));
    assert_eq!(script.expect(LCP, 6), Got { id: 9, data: Vec::new() });
    assert_eq!(script.saw, [Action::Down(DownReason::PeerTerminated(Stage::Up))]);
    assert_eq!(script.link.farewell().unwrap().raw(), hex("1a2b3c4d 003ccd74 000002dc"));
}

/// IPV6CP and CCP first, then IPCP with NBNS.
fn windows_ipcp(script: &mut Script, ours: &Got) {
    let ipv6cp = hex("01 0a 0011223344556677");
    script.send(Protocol::IPV6CP, 1, 5, &ipv6cp);
    let reject = script.expect(LCP, 8);
    assert_eq!(reject.data, [hex("8057 01 05 000e"), ipv6cp].concat());
    script.send(Protocol::CCP, 1, 6, &hex("12 06 01000001"));
    assert_eq!(script.expect(LCP, 8).data, hex("80fd 01 06 000a 12 06 01000001"));

    script.send(
        IPCP,
        1,
        7,
        &hex("03 06 00000000 81 06 00000000 82 06 00000000 83 06 00000000 84 06 00000000"),
    );
    assert_eq!(script.expect(IPCP, 4), Got { id: 7, data: hex("82 06 00000000 84 06 00000000") });
    script.send(IPCP, 2, ours.id, &ours.data);
    script.send(IPCP, 1, 8, &hex("03 06 00000000 81 06 00000000 83 06 00000000"));
    let nak = script.expect(IPCP, 3);
    assert_eq!(nak.data, hex("03 06 0a400007 81 06 0a400002 83 06 0a400003"));
    script.send(IPCP, 1, 9, &nak.data);
    assert_eq!(script.expect(IPCP, 2), Got { id: 9, data: nak.data });
    script.expect_silence();
}

#[test]
fn windows_naks_towards_ms_chap_v2() {
    let mut script = Script::new(server_config(&[AuthProtocol::Pap, AuthProtocol::MsChapV2]));
    let offer = script.expect(LCP, 1);
    assert_eq!(offer.data[4..8], hex("03 04 c023"));
    script.send(LCP, 3, offer.id, &hex("03 05 c22381"));
    let offer = script.expect(LCP, 1);
    assert_eq!(offer.data[4..9], hex("03 05 c22381"));
    script.send(LCP, 2, offer.id, &offer.data);
    script.send(LCP, 1, 1, &[]);
    script.expect(LCP, 2);
    script.expect(CHAP, 1);
}

#[test]
fn a_list_of_suggestions_counts_as_one_refusal() {
    use AuthProtocol::{ChapMd5, MsChapV2, Pap};
    let mut script = Script::new(server_config(&[MsChapV2, Pap, ChapMd5]));
    let offer = script.expect(LCP, 1);
    script.send(LCP, 3, offer.id, &hex("03 04 c227 03 05 c22380 03 05 c22305 03 04 c023"));
    let offer = script.expect(LCP, 1);
    assert_eq!(offer.data[4..9], hex("03 05 c22305"));
    // PAP was suggested too, but not taken, so it is still there.
    script.send(LCP, 3, offer.id, &hex("03 04 c227"));
    let offer = script.expect(LCP, 1);
    assert_eq!(offer.data[4..8], hex("03 04 c023"));
    // A Nak about something else leaves the offer alone.
    script.send(LCP, 3, offer.id, &hex("01 04 0500"));
    assert_eq!(script.expect(LCP, 1).data[4..8], hex("03 04 c023"));
}

#[test]
fn a_client_that_only_does_eap_is_told_what_we_do_and_then_goodbye() {
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2, AuthProtocol::ChapMd5]));
    for expected in ["03 05 c22381", "03 05 c22305"] {
        let offer = script.expect(LCP, 1);
        assert_eq!(offer.data[4..9], hex(expected));
        script.send(LCP, 3, offer.id, &hex("03 04 c227"));
    }
    script.expect(LCP, 5);
    script.wait_until(60);
    assert!(matches!(
        script.saw.pop_front(),
        Some(Action::Down(DownReason::NegotiationFailed(Stage::Lcp, _)))
    ));
}

#[test]
fn apple_connects() {
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2]));
    script.open_lcp(&hex("05 06 2f3e4d5c 07 02 08 02"));
    let challenge = script.expect(CHAP, 1);
    script.send(CHAP, 2, challenge.id, &answer(&challenge, b"User"));
    let request = script.asked();
    pass(&mut script, &request);
    script.expect(CHAP, 3);
    script.acknowledge(IPCP);

    script.send(IPCP, 1, 1, &hex("02 06 002d 0f 01 03 06 00000000 81 06 00000000 83 06 00000000"));
    assert_eq!(script.expect(IPCP, 4).data, hex("02 06 002d 0f 01"));
    script.send(IPCP, 1, 2, &hex("03 06 00000000 81 06 00000000 83 06 00000000"));
    let nak = script.expect(IPCP, 3).data;
    // IPv6CP comes after IPCP here.
    script.send(Protocol::IPV6CP, 1, 1, &hex("01 0a 0011223344556677"));
    assert_eq!(script.expect(LCP, 8).data[..2], hex("8057"));
    script.send(IPCP, 1, 3, &nak);
    script.expect(IPCP, 2);
    assert!(matches!(script.saw.pop_front(), Some(Action::Up(_))));

    script.send(Protocol::ACSCP, 1, 1, &hex("01 02"));
    assert_eq!(script.expect(LCP, 8).data, hex("8235 01 01 0006 01 02"));
    // DHCPINFORM travels as IP and is none of our business.
    assert!(script.raw(&hex("ff03 0021 45000020")).is_err());
    script.expect_silence();
}

#[test]
fn ios_is_not_challenged_before_it_is_acknowledged() {
    let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2]));
    script.acknowledge(LCP);
    script.wait_until(2);
    script.expect_silence();
    script.send(LCP, 1, 1, &hex("05 06 2f3e4d5c"));
    script.expect(LCP, 2);
    script.expect(CHAP, 1);
}

#[test]
fn pppd_connects_with_pap_under_ever_new_identifiers() {
    let mut script = Script::new(server_config(&[AuthProtocol::Pap]));
    script.acknowledge(LCP);
    script.send(LCP, 1, 1, &hex("02 06 00000000 05 06 77665544 07 02 08 02 13 09 03 001122334455"));
    assert_eq!(script.expect(LCP, 4).data, hex("13 09 03 001122334455"));
    let plain = hex("02 06 00000000 05 06 77665544 07 02 08 02");
    script.send(LCP, 1, 2, &plain);
    assert_eq!(script.expect(LCP, 2).data, plain);

    let login = hex("04 55736572 0a 636c69656e7450617373");
    script.send(Protocol::PAP, 1, 1, &login);
    let request = script.asked();
    // The verdict takes its time; pppd asks again and wants the new identifier back.
    script.send(Protocol::PAP, 1, 2, &login);
    assert!(script.saw.is_empty());
    pass(&mut script, &request);
    assert_eq!(script.expect(Protocol::PAP, 2).id, 2);
    script.acknowledge(IPCP);
    // Our answer was lost and pppd asks once more.
    script.send(Protocol::PAP, 1, 3, &login);
    assert_eq!(script.expect(Protocol::PAP, 2).id, 3);
    assert!(script.saw.is_empty());

    script.send(Protocol::CCP, 1, 1, &hex("1a 04 7800 18 04 7800 15 03 2f"));
    assert_eq!(script.expect(LCP, 8).data[..2], hex("80fd"));
    script.send(IPCP, 1, 1, &hex("03 06 0a400007 02 06 002d 0f 01"));
    assert_eq!(script.expect(IPCP, 4).data, hex("02 06 002d 0f 01"));
    script.send(IPCP, 1, 2, &hex("03 06 0a400007"));
    script.expect(IPCP, 2);
    assert!(matches!(script.saw.pop_front(), Some(Action::Up(_))));

    script.send(LCP, 5, 3, b"User request");
    script.expect(LCP, 6);
    assert_eq!(script.link.farewell().unwrap().to_string(), "User request");
}

#[test]
fn pppd_that_lost_our_success_gets_it_again_with_our_next_request() {
    let mut script = Script::new(server_config(&[AuthProtocol::ChapMd5]));
    script.open_lcp(&hex("05 06 77665544"));
    let challenge = script.expect(CHAP, 1);
    let value = ChapValue::read(&challenge.data).unwrap().value;
    let provider = isthmus_crypto_aws::provider();
    let response = auth::chap_md5::response(&*provider, challenge.id, PASSWORD, value).unwrap();
    let data = ChapValue { value: &response, name: b"User" }.write();
    script.send(CHAP, 2, challenge.id, &data);
    let request = script.asked();
    pass(&mut script, &request);
    let success = script.expect(CHAP, 3);
    let first = script.expect(IPCP, 1);
    script.wait_until(3);
    assert_eq!(script.expect(CHAP, 3), success);
    assert_eq!(script.expect(IPCP, 1), first);
    script.send(IPCP, 1, 1, &hex("03 06 0a400007"));
    script.expect(IPCP, 2);
    script.wait_until(6);
    assert_eq!(script.expect(IPCP, 1), first);
    script.expect_silence();
}

/// A client link that is about to be challenged.
fn dialling(auth: &[AuthProtocol]) -> Script {
    Script::new(client_config(auth, PASSWORD))
}

#[test]
fn a_client_dials_into_pppd() {
    let mut script = dialling(&[AuthProtocol::MsChapV2, AuthProtocol::ChapMd5]);
    script.send(LCP, 1, 1, &hex("02 06 00000000 03 05 c22305 05 06 99887766 07 02 08 02"));
    let ours = script.expect(LCP, 1);
    assert_eq!(script.expect(LCP, 2).id, 1);
    script.send(LCP, 2, ours.id, &ours.data);
    script.send(LCP, 9, 0, &hex("99887766"));
    script.expect(LCP, 10);
    script.send(CHAP, 1, 0x6c, &[&[23][..], &[9; 23], b"lns"].concat());
    let response = script.expect(CHAP, 2);
    assert_eq!(response.id, 0x6c);
    assert_eq!(response.data[17..], *b"CORP\\User");
    script.send(CHAP, 3, 0x6c, b"Access granted");
    // Van Jacobson, which pppd always tries, and CCP beside it.
    script.send(Protocol::CCP, 1, 1, &hex("1a 04 7800"));
    let ours = script.expect(IPCP, 1);
    assert_eq!(ours.data, hex("03 06 00000000 81 06 00000000 83 06 00000000"));
    assert_eq!(script.expect(LCP, 8).data[..2], hex("80fd"));
    script.send(IPCP, 1, 1, &hex("02 06 002d 0f 01 03 06 0a400001"));
    assert_eq!(script.expect(IPCP, 4).data, hex("02 06 002d 0f 01"));
    script.send(IPCP, 1, 2, &hex("03 06 0a400001"));
    script.expect(IPCP, 2);
    // No name servers here: rejected, then the address is given.
    script.send(IPCP, 4, ours.id, &hex("81 06 00000000 83 06 00000000"));
    let ours = script.expect(IPCP, 1);
    assert_eq!(ours.data, hex("03 06 00000000"));
    script.send(IPCP, 3, ours.id, &hex("03 06 0a400007"));
    let ours = script.expect(IPCP, 1);
    assert_eq!(ours.data, hex("03 06 0a400007"));
    script.send(IPCP, 2, ours.id, &ours.data);
    let Some(Action::Up(up)) = script.saw.pop_front() else { panic!("not up") };
    assert_eq!((up.local, up.remote), (ADDRESS, GATEWAY));
    assert_eq!((up.dns.len(), up.local_mru, up.peer_mru), (0, 1400, 1500));
    script.expect_silence();
}

#[test]
fn a_client_dials_into_a_windows_server() {
    let mut script = dialling(&[AuthProtocol::MsChapV2]);
    script.acknowledge(LCP);
    // EAP first, with everything multilink has.
    let extra = "11 04 0640 13 09 03 0011 2233 4455 17 04 0005";
    let base = "01 04 0578 05 06 61626364 07 02 08 02";
    script.send(LCP, 1, 0, &hex(&alloc::format!("{base} 03 04 c227 {extra}")));
    assert_eq!(script.expect(LCP, 4).data, hex(extra));
    script.send(LCP, 1, 1, &hex(&alloc::format!("{base} 03 04 c227")));
    assert_eq!(script.expect(LCP, 3).data, hex("03 05 c22381"));
    script.send(LCP, 1, 2, &hex(&alloc::format!("{base} 03 05 c22381")));
    script.expect(LCP, 2);
    script.send(CHAP, 1, 0, &[&[16][..], &[9; 16], b"SERVER"].concat());
    let response = script.expect(CHAP, 2);
    let value = ChapValue::read(&response.data).unwrap();
    let given = MsChapV2Value::read(value.value).unwrap();
    let proof = MsChapV2Proof {
        id: 0,
        auth_challenge: [9; 16],
        peer_challenge: given.peer_challenge,
        nt_response: given.nt_response,
        flags: given.flags,
    };
    let provider = isthmus_crypto_aws::provider();
    let hash = auth::nt_hash(&*provider, PASSWORD).unwrap();
    let success = mschapv2::verify(&*provider, &hash, value.name, &proof).unwrap();
    script.send(CHAP, 3, 0, &alloc::format!("S={success}").into_bytes());
    script.expect(IPCP, 1);
    assert_eq!(script.link.stage(), Stage::Ipcp);
}

#[test]
fn a_retry_is_judged_by_the_challenge_in_the_failure() {
    for next_id in [0_u8, 1] {
        let mut config = server_config(&[AuthProtocol::MsChapV2]);
        if let Role::Server(server) = &mut config.role {
            server.auth_retries = 1;
        }
        let mut script = Script::new(config);
        script.open_lcp(&[]);
        let challenge = script.expect(CHAP, 1);
        let mut wrong = answer(&challenge, b"User");
        wrong[30] ^= 1;
        script.send(CHAP, 2, challenge.id, &wrong);
        refuse(&mut script);
        let failure = script.expect(CHAP, 4);
        assert!(failure.data.starts_with(b"E=691 R=1 C="));
        // The failure was lost: the same attempt gets the same answer and is not judged again.
        script.send(CHAP, 2, challenge.id, &wrong);
        assert_eq!(script.expect(CHAP, 4), failure);
        assert!(script.saw.is_empty());

        let mut fresh = alloc::vec![16];
        fresh.extend(hex(core::str::from_utf8(&failure.data[12..44]).unwrap()));
        let id = challenge.id.wrapping_add(next_id);
        let second = answer(&Got { id, data: fresh }, b"User");
        script.send(CHAP, 2, id, &second);
        let request = script.asked();
        pass(&mut script, &request);
        assert_eq!(script.expect(CHAP, 3).id, id);
    }
}

#[test]
fn retries_end() {
    for (configured, attempts) in [(0, 1), (1, 2), (3, 4), (200, 4)] {
        let mut config = server_config(&[AuthProtocol::MsChapV2]);
        if let Role::Server(server) = &mut config.role {
            server.auth_retries = configured;
        }
        let mut script = Script::new(config);
        script.open_lcp(&[]);
        let mut id = script.expect(CHAP, 1).id;
        for attempt in 1..=attempts {
            script.send(CHAP, 2, id, &[&[49, attempt][..], &[0; 48], b"User"].concat());
            refuse(&mut script);
            let failure = script.expect(CHAP, 4);
            let is_last = failure.data.starts_with(b"E=691 R=0 C=");
            assert_eq!(is_last, attempt == attempts, "{configured} retries");
            id = id.wrapping_add(1);
        }
        script.expect(LCP, 5);
    }
}

fn refuse(script: &mut Script) {
    let request = script.asked();
    let verdict = Verdict::Refuse { reason: crate::Refusal::BadCredentials };
    script.link.handle_verdict(request.ticket, verdict, script.now).unwrap();
    script.collect();
}
