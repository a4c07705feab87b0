//! Each class of input that broke another implementation, by its row in the table of
//! `docs/protocol/ppp.md`. Whatever came, the same link serves a good peer afterwards.

use alloc::vec;
use alloc::vec::Vec;

use super::pair::{PASSWORD, Pair, client_config, link, server_config};
use super::script::{Script, hex};
use crate::auth::AuthenticatorResponse;
use crate::auth_message::write_success;
use crate::iana::Protocol;
use crate::{Action, AuthProtocol, DownReason, NAME_MAX, Rejected, Stage};

const CHAP: Protocol = Protocol::CHAP;
const EAP: Protocol = Protocol::EAP;
const LCP: Protocol = Protocol::LCP;
/// The EAP type of MS-CHAPv2 and its operations.
const MSCHAPV2: u8 = 26;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;

fn server(method: AuthProtocol) -> Script {
    let mut script = Script::new(server_config(&[method]));
    script.open_lcp(&[]);
    script
}

fn client(method: AuthProtocol) -> Script {
    let mut script = Script::new(client_config(&[method], PASSWORD));
    script.open_lcp(&crate::option::write_all(&[auth(method)]));
    script
}

fn auth(method: AuthProtocol) -> crate::option::RawOption {
    crate::option::RawOption::clipped(3, &method.option_value())
}

/// A client that negotiates anew on this very link logs in and gets its address.
fn a_good_client_still_connects(script: Script, method: AuthProtocol) {
    let mut pair = Pair::speaking(method, PASSWORD);
    pair.now = script.now;
    pair.hand_over(script.link);
    pair.run_until(120);
    assert!(pair.is_up(), "{:?}", pair.server_saw);
}

/// A server that negotiates anew with this very link is believed and gives it an address.
fn a_good_server_still_serves(script: Script, method: AuthProtocol) {
    let mut pair = Pair::speaking(method, PASSWORD);
    pair.now = script.now;
    pair.hand_over(link(server_config(&[method]), 8));
    pair.client = script.link;
    pair.client_saw.clear();
    pair.server.open(pair.now);
    pair.run_until(120);
    assert!(pair.is_up(), "{:?}", pair.client_saw);
}

#[test]
fn row_29_a_success_out_of_state_lets_nobody_in_by_chap() {
    let mut script = server(AuthProtocol::MsChapV2);
    let challenge = script.expect(CHAP, 1);
    let response = [&[49][..], &[0; 49], b"User"].concat();
    let other = challenge.id.wrapping_add(1);
    assert_eq!(script.try_send(CHAP, 2, other, &response), Err(Rejected::UnexpectedId));
    for code in [3, 4, 1] {
        let outcome = script.try_send(CHAP, code, challenge.id, &response);
        assert_eq!(outcome, Err(Rejected::UnexpectedCode));
    }
    assert!(script.saw.is_empty() && script.link.stage() == Stage::Authenticate);
    a_good_client_still_connects(script, AuthProtocol::MsChapV2);
}

#[test]
fn row_29_a_success_out_of_state_lets_nobody_in_by_eap() {
    let mut script = server(AuthProtocol::EapMsChapV2);
    let identity = script.expect(EAP, 1);
    let made_up = [&[MSCHAPV2, RESPONSE, 1, 0, 58, 49][..], &[0; 49], b"User"].concat();
    // Nothing but Identity was asked for: neither a response to no challenge counts nor the word on a
    // success that was never said, nor anything that only a server says.
    for data in [&made_up[..], &[MSCHAPV2, SUCCESS]] {
        assert!(script.try_send(EAP, 2, identity.id, data).is_err());
    }
    for code in [1, 3, 4] {
        let outcome = script.try_send(EAP, code, identity.id, &hex("01 55736572"));
        assert_eq!(outcome, Err(Rejected::UnexpectedCode), "code {code}");
    }
    script.send(EAP, 2, identity.id, &hex("01 55736572"));
    let challenge = script.expect(EAP, 1);
    assert_eq!(challenge.data[0], MSCHAPV2);
    let word = [MSCHAPV2, SUCCESS];
    assert!(script.try_send(EAP, 2, challenge.id, &word).is_err(), "before any response");
    assert!(script.saw.is_empty());
    let made_up = [&[MSCHAPV2, RESPONSE, challenge.data[2]], &made_up[3..]].concat();
    script.send(EAP, 2, challenge.id, &made_up);
    script.asked();
    assert!(script.try_send(EAP, 2, challenge.id, &word).is_err(), "while the verdict is out");
    assert!(script.try_send(EAP, 3, challenge.id, &[]).is_err());
    assert!(script.saw.is_empty() && script.link.stage() == Stage::Verdict);
    a_good_client_still_connects(script, AuthProtocol::EapMsChapV2);
}

#[test]
fn row_33_an_early_success_convinces_no_client() {
    let mut script = client(AuthProtocol::MsChapV2);
    let success = write_success(&AuthenticatorResponse([0; 20]));
    for id in 0..=255 {
        assert_eq!(script.try_send(CHAP, 3, id, &success), Err(Rejected::OutOfState));
    }
    assert!(script.saw.is_empty() && script.link.stage() == Stage::Authenticate);
    a_good_server_still_serves(script, AuthProtocol::MsChapV2);

    let mut script = client(AuthProtocol::EapMsChapV2);
    for id in 0..=255 {
        assert!(script.try_send(EAP, 3, id, &[]).is_err());
        let early = [&[MSCHAPV2, SUCCESS, id, 0, 46][..], &success].concat();
        // Whatever is answered, nobody is convinced.
        let _ = script.try_send(EAP, 1, id, &early);
        assert!(script.link.stage() == Stage::Authenticate && script.saw.is_empty());
    }
    script.frames.clear();
    a_good_server_still_serves(script, AuthProtocol::EapMsChapV2);
}

#[test]
fn row_35_a_failure_of_any_length_before_a_response_is_nothing() {
    for method in [AuthProtocol::MsChapV2, AuthProtocol::EapMsChapV2] {
        let mut script = client(method);
        for len in (0..1400).step_by(7) {
            let text = vec![b'E'; len];
            let outcome = if method == AuthProtocol::MsChapV2 {
                script.try_send(CHAP, 4, 1, &text)
            } else {
                script.try_send(EAP, 4, 1, &text)
            };
            assert!(outcome.is_err(), "{method:?}: {len} bytes");
        }
        assert!(script.saw.is_empty());
        a_good_server_still_serves(script, method);
    }
}

#[test]
fn row_35_a_failure_of_any_length_after_a_response_is_just_a_failure() {
    for len in [0, 1, 30, 1400] {
        let mut script = client(AuthProtocol::MsChapV2);
        script.send(CHAP, 1, 9, &[&[16][..], &[3; 16], b"server"].concat());
        script.expect(CHAP, 2);
        script.send(CHAP, 4, 9, &vec![b'C'; len]);
        script.wait_until(60);
        assert_eq!(script.saw, [Action::Down(DownReason::AuthRefusedByPeer(None))]);
    }
    let fresh = client(AuthProtocol::MsChapV2);
    a_good_server_still_serves(fresh, AuthProtocol::MsChapV2);
}

#[test]
fn row_42_eap_that_was_not_agreed_on_is_not_spoken() {
    let mut script = server(AuthProtocol::MsChapV2);
    script.expect(CHAP, 1);
    for code in 0..8 {
        for len in [0, 1, 4, 255, 1400] {
            let outcome = script.try_send(EAP, code, 1, &vec![1; len]);
            assert_eq!(outcome, Err(Rejected::OutOfPhase));
        }
    }
    script.expect_silence();
    a_good_client_still_connects(script, AuthProtocol::MsChapV2);
}

#[test]
fn row_42_names_and_values_beyond_their_bounds_are_refused_by_eap() {
    let mut script = server(AuthProtocol::EapMsChapV2);
    let identity = script.expect(EAP, 1);
    let long = [&[1][..], &vec![b'x'; NAME_MAX + 1]].concat();
    // Who it says it is at first counts for nothing, so it is not kept.
    script.send(EAP, 2, identity.id, &long);
    let challenge = script.expect(EAP, 1);
    let ms_id = challenge.data[2];
    for value_size in [0_u8, 1, 48, 50, 255] {
        let value = vec![0; usize::from(value_size)];
        let len = u16::try_from(5 + value.len() + 4).unwrap().to_be_bytes();
        let head = [MSCHAPV2, RESPONSE, ms_id, len[0], len[1], value_size];
        let data = [&head[..], &value, b"User"].concat();
        assert!(script.try_send(EAP, 2, challenge.id, &data).is_err(), "{value_size}");
        // A size that lies about what follows.
        let lie = [&head[..], b"User"].concat();
        assert!(script.try_send(EAP, 2, challenge.id, &lie).is_err(), "{value_size}");
    }
    let name = vec![b'x'; NAME_MAX + 1];
    let len = u16::try_from(5 + 49 + name.len()).unwrap().to_be_bytes();
    let head = [MSCHAPV2, RESPONSE, ms_id, len[0], len[1], 49];
    let data = [&head[..], &[0; 49], &name].concat();
    assert!(script.try_send(EAP, 2, challenge.id, &data).is_err());
    assert!(script.saw.is_empty());
    a_good_client_still_connects(script, AuthProtocol::EapMsChapV2);
}

#[test]
fn row_44_no_prefix_of_any_frame_reads_past_its_end() {
    for method in AuthProtocol::ALL {
        let mut good = Pair::speaking(method, PASSWORD);
        good.run_until(20);
        let mut script = server(method);
        script.frames.clear();
        let frames: Vec<_> = good.sent.iter().map(|(_, frame)| frame.clone()).collect();
        for frame in &frames {
            for len in 0..frame.len() {
                let before = script.link.stage();
                assert!(script.raw(&frame[..len]).is_err(), "{method:?}: {:02x?}", &frame[..len]);
                assert_eq!(script.link.stage(), before);
            }
        }
        script.expect_silence();
        a_good_client_still_connects(script, method);
    }
}

#[test]
fn row_47_authentication_packets_of_any_shape_are_refused() {
    for method in [AuthProtocol::Pap, AuthProtocol::ChapMd5, AuthProtocol::MsChapV2] {
        let mut script = server(method);
        let id = script.frames.front().map_or(1, |frame| frame[5]);
        script.frames.clear();
        let (protocol, code) = (method.protocol(), if method == AuthProtocol::Pap { 1 } else { 2 });
        for size in [0, 1, 17, 48, 50, 200, 255] {
            for rest in [0, 1, 15, 47] {
                let data = [&[size][..], &vec![0; rest]].concat();
                let outcome = script.try_send(protocol, code, id, &data);
                let fits = method == AuthProtocol::Pap && size == 0 && rest == 1;
                assert!(fits || outcome.is_err(), "{method:?}: {size} of {rest}");
                if fits {
                    // An empty name with an empty password is a login, and not a good one.
                    assert_eq!(outcome, Ok(()));
                    script.asked();
                }
            }
        }
        a_good_client_still_connects(script, method);
    }
}

#[test]
fn options_of_length_0_and_1_and_storms_leave_the_link_as_it_was() {
    let mut script = server(AuthProtocol::MsChapV2);
    script.frames.clear();
    for data in [&[1, 0][..], &[1, 1], &[1, 4, 5], &[1], &[7, 2].repeat(33)] {
        assert!(script.try_send(LCP, 1, 9, data).is_err(), "{data:02x?}");
    }
    for _ in 0..1000 {
        assert!(script.try_send(Protocol::CCP, 1, 1, &[]).is_err());
        assert!(script.try_send(LCP, 3, 77, &[1, 4, 5, 0]).is_err());
        assert!(script.try_send(LCP, 4, 77, &[1, 4, 5, 0]).is_err());
    }
    script.expect_silence();
    a_good_client_still_connects(script, AuthProtocol::MsChapV2);
}
