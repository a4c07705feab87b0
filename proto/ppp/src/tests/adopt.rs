//! Links that a LAC began and we go on with.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant};
use proptest::prelude::*;

use super::pair::{ADDRESS, FAULTS, PASSWORD, Pair, Side, client_config, link, server_config};
use crate::auth_message::{ChapValue, PapRequest};
use crate::iana::{Code, Protocol};
use crate::packet::Packet;
use crate::{
    Action, AuthProtocol, DownReason, Frame, Link, LinkConfig, MRU_DEFAULT, NotAdopted, Proxied,
    ProxiedLogin, Refusal, Rejected, Stage, Verdict,
};

const METHODS: [AuthProtocol; 3] =
    [AuthProtocol::ChapMd5, AuthProtocol::MsChapV2, AuthProtocol::Pap];

/// What a LAC knows when the client has said who it is.
#[derive(Clone, Debug, Default, PartialEq)]
struct Notes {
    sent: Vec<u8>,
    received: Vec<u8>,
    id: u8,
    name: Vec<u8>,
    challenge: Vec<u8>,
    response: Vec<u8>,
    is_pap: bool,
}

impl Notes {
    /// Of the frames that a LAC and its client exchanged.
    fn of(frames: &[(Side, Vec<u8>)]) -> Self {
        let mut notes = Self::default();
        for (side, frame) in frames {
            let frame = Frame::read(frame).unwrap();
            let packet = Packet::read(frame.body).unwrap();
            match (frame.protocol, packet.code, side) {
                (Protocol::LCP, Code(1), Side::Server) => notes.sent = packet.data.to_vec(),
                (Protocol::LCP, Code(1), Side::Client) => notes.received = packet.data.to_vec(),
                (Protocol::CHAP, Code(1), Side::Server) => {
                    notes.challenge = ChapValue::read(packet.data).unwrap().value.to_vec();
                }
                (Protocol::CHAP, Code(2), Side::Client) => {
                    let value = ChapValue::read(packet.data).unwrap();
                    (notes.id, notes.name) = (packet.id, value.name.to_vec());
                    notes.response = value.value.to_vec();
                }
                (Protocol::PAP, Code(1), Side::Client) => {
                    let request = PapRequest::read(packet.data).unwrap();
                    (notes.id, notes.name) = (packet.id, request.user.to_vec());
                    (notes.response, notes.is_pap) = (request.password.to_vec(), true);
                }
                _ => {}
            }
        }
        notes
    }

    fn proxied(&self) -> Proxied<'_> {
        let (id, name, response) = (self.id, &self.name[..], &self.response[..]);
        let login = if self.is_pap {
            ProxiedLogin::Pap { id, name, password: response }
        } else {
            ProxiedLogin::Chap { id, name, challenge: &self.challenge, response }
        };
        Proxied { last_sent: &self.sent, last_received: &self.received, login }
    }

    fn adopt(&self, config: LinkConfig, now: Instant) -> Result<Link, NotAdopted> {
        let provider = isthmus_crypto_aws::provider();
        Link::adopt(Arc::new(config), provider, [9; 32], &self.proxied(), now)
    }
}

/// A client that has told a LAC who it is, and what the LAC noted.
fn at_the_lac(method: AuthProtocol, password: &[u8]) -> (Pair, Notes) {
    let mut pair = Pair::speaking(method, password);
    pair.verdict_takes = Duration::from_hours(1);
    pair.run_until(0);
    assert_eq!(pair.server.stage(), Stage::Verdict);
    let notes = Notes::of(&pair.sent);
    (pair, notes)
}

/// The same client, and a link of ours that goes on where the LAC stopped.
fn handed_over(method: AuthProtocol, password: &[u8]) -> Pair {
    let (mut pair, notes) = at_the_lac(method, password);
    let adopted = notes.adopt(server_config(&AuthProtocol::ALL), pair.now).unwrap();
    pair.hand_over(adopted);
    pair
}

/// LCP packets of a kind among frames.
fn lcp(frames: &[(Side, Vec<u8>)], code: u8) -> usize {
    frames.iter().filter(|(_, frame)| frame.starts_with(&[0xff, 3, 0xc0, 0x21, code])).count()
}

#[test]
fn a_client_that_told_a_lac_who_it_is_gets_its_answer_and_the_network_from_us() {
    for method in METHODS {
        let mut pair = handed_over(method, PASSWORD);
        pair.run_until(20);
        assert!(pair.is_up(), "{method:?}");
        assert_eq!(pair.logins(), 1);
        assert_eq!(lcp(&pair.sent, 1), 0, "nobody negotiates LCP again");
        let (side, answer) = &pair.sent[0];
        assert_eq!(*side, Side::Server);
        let frame = Frame::read(answer).unwrap();
        assert_eq!(frame.protocol, method.protocol());
        let network = pair.server.network().unwrap();
        assert_eq!((network.remote, network.peer_mru, network.local_mru), (ADDRESS, 1400, 1400));
        assert!(network.send_pfc && network.send_acfc);
    }
}

#[test]
fn every_frame_after_the_handover_may_be_disturbed() {
    for method in METHODS {
        let mut undisturbed = handed_over(method, PASSWORD);
        undisturbed.run_until(20);
        for number in 0..undisturbed.sent.len() {
            for fault in FAULTS {
                let mut pair = handed_over(method, PASSWORD);
                pair.fault = Some((number, fault));
                pair.run_until(60);
                assert!(pair.is_up(), "{method:?}: frame {number} {fault:?}");
            }
        }
    }
}

#[test]
fn a_wrong_password_is_refused_as_if_it_had_been_told_to_us() {
    for method in METHODS {
        let mut pair = handed_over(method, b"wrong");
        pair.run_until(20);
        let code = (method == AuthProtocol::MsChapV2).then_some(691);
        assert_eq!(pair.client_saw, [Action::Down(DownReason::AuthRefusedByPeer(code))]);
        let refused = Action::Down(DownReason::AuthRefused(Refusal::BadCredentials));
        assert_eq!(pair.server_saw[1..], [refused], "{method:?}");
    }
}

/// A restarted client, or a LAC's client that goes through its own handover, begins with LCP.
#[test]
fn a_peer_that_begins_anew_negotiates_with_us_and_on_our_terms() {
    for (method, seconds) in METHODS.into_iter().flat_map(|m| [(m, 0), (m, 20)]) {
        let (mut pair, notes) = at_the_lac(method, PASSWORD);
        let mut config = server_config(&AuthProtocol::ALL);
        config.mru = MRU_DEFAULT;
        let adopted = notes.adopt(config, pair.now).unwrap();
        pair.hand_over(adopted);
        // Either while the verdict is out, or when the network is up.
        pair.verdict_takes = if seconds == 0 { Duration::from_secs(1) } else { Duration::ZERO };
        pair.run_until(seconds);
        assert_eq!(pair.is_up(), seconds > 0);
        pair.client = link(client_config(&AuthProtocol::ALL, PASSWORD), 7);
        pair.client.open(pair.now);
        pair.sent.clear();
        pair.run_until(60);
        assert!(pair.is_up(), "{method:?} after {seconds} s");
        assert_eq!(pair.logins(), 2);
        assert_eq!(pair.server.network().unwrap().local_mru, MRU_DEFAULT);
        let preferred = [3, 5, 0xc2, 0x23, 0x81];
        let (_, request) = pair.sent.iter().find(|(side, _)| *side == Side::Server).unwrap();
        assert!(request.windows(5).any(|option| option == preferred), "{request:02x?}");
    }
}

#[test]
fn pap_repeated_while_the_verdict_is_out_is_no_second_question() {
    let (mut pair, notes) = at_the_lac(AuthProtocol::Pap, PASSWORD);
    let adopted = notes.adopt(server_config(&AuthProtocol::ALL), pair.now).unwrap();
    pair.hand_over(adopted);
    pair.verdict_takes = Duration::from_secs(10);
    pair.run_until(60);
    assert!(pair.is_up());
    assert_eq!(pair.logins(), 1);
}

#[test]
fn nobody_answers_for_us_when_no_verdict_comes() {
    let (mut pair, notes) = at_the_lac(AuthProtocol::MsChapV2, PASSWORD);
    let adopted = notes.adopt(server_config(&AuthProtocol::ALL), pair.now).unwrap();
    pair.hand_over(adopted);
    pair.verdict_takes = Duration::from_hours(1);
    pair.run_until(100);
    assert!(!Pair::ever_up(&pair.server_saw));
    assert_eq!(pair.server_saw.last(), Some(&Action::Down(DownReason::Timeout(Stage::Verdict))));
}

fn chap() -> Notes {
    at_the_lac(AuthProtocol::ChapMd5, PASSWORD).1
}

fn outcome(notes: &Notes) -> Result<(), NotAdopted> {
    notes.adopt(server_config(&AuthProtocol::ALL), Instant::ZERO).map(|_| ())
}

#[test]
fn what_the_lac_asked_for_must_be_what_we_could_have_asked_for() {
    const MD5: &[u8] = &[3, 5, 0xc2, 0x23, 5];
    let cases: [(&[u8], Result<(), NotAdopted>); 17] = [
        (&[1, 4, 5, 0x78], Ok(())),
        (&[1, 4, 0, 128, 7, 2, 8, 2, 2, 6, 0, 0, 0, 0, 5, 6, 1, 2, 3, 4], Ok(())),
        // 1401 bytes, 127 bytes, and 1500 because nothing is said.
        (&[1, 4, 5, 0x79], Err(NotAdopted::Option(1))),
        (&[1, 4, 0, 127], Err(NotAdopted::Option(1))),
        (&[], Err(NotAdopted::Option(1))),
        (&[1, 3, 5], Err(NotAdopted::Option(1))),
        (&[1, 4, 5, 0x78, 1, 4, 5, 0x78], Err(NotAdopted::Option(1))),
        (&[1, 4, 5, 0x78, 2, 3, 0], Err(NotAdopted::Option(2))),
        (&[1, 4, 5, 0x78, 5, 6, 0, 0, 0, 0], Err(NotAdopted::Option(5))),
        (&[1, 4, 5, 0x78, 7, 3, 0], Err(NotAdopted::Option(7))),
        (&[1, 4, 5, 0x78, 8, 3, 0], Err(NotAdopted::Option(8))),
        // Callback, multilink, link quality.
        (&[1, 4, 5, 0x78, 13, 3, 6], Err(NotAdopted::Option(13))),
        (&[1, 4, 5, 0x78, 17, 4, 5, 0xdc], Err(NotAdopted::Option(17))),
        (&[1, 4, 5, 0x78, 4, 4, 0xc0, 0x25], Err(NotAdopted::Option(4))),
        (&[1, 4, 5], Err(NotAdopted::Malformed)),
        (&[1, 1], Err(NotAdopted::Malformed)),
        (&[0], Err(NotAdopted::Malformed)),
    ];
    for (sent, expected) in cases {
        let notes = Notes { sent: [MD5, sent].concat(), ..chap() };
        assert_eq!(outcome(&notes), expected, "{sent:02x?}");
    }
}

#[test]
fn what_the_peer_asked_for_must_be_what_we_would_have_acknowledged() {
    let ours = [5, 6, 9, 9, 9, 9];
    let cases: [(&[u8], Result<(), NotAdopted>); 8] = [
        (&[], Ok(())),
        (&[1, 4, 5, 0xdc, 2, 6, 0, 0, 0, 0, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2], Ok(())),
        (&[1, 4, 0, 127], Err(NotAdopted::Option(1))),
        (&[5, 6, 0, 0, 0, 0], Err(NotAdopted::Option(5))),
        (&ours, Err(NotAdopted::Option(5))),
        (&[13, 3, 6], Err(NotAdopted::Option(13))),
        (&[3, 4, 0xc0, 0x23], Err(NotAdopted::Option(3))),
        (&[1], Err(NotAdopted::Malformed)),
    ];
    for (received, expected) in cases {
        let sent = [&[3, 5, 0xc2, 0x23, 5, 1, 4, 5, 0x78][..], &ours].concat();
        let notes = Notes { sent, received: received.to_vec(), ..chap() };
        assert_eq!(outcome(&notes), expected, "{received:02x?}");
    }
}

#[test]
fn the_protocol_of_the_login_must_be_ours_and_the_one_agreed_on() {
    let mru = [1, 4, 5, 0x78];
    let sent = |auth: &[u8]| [&mru[..], auth].concat();
    let without = Notes { sent: mru.to_vec(), ..chap() };
    assert_eq!(outcome(&without), Err(NotAdopted::AuthProtocol));
    for auth in [&[3, 5, 0xc2, 0x23, 0x80][..], &[3, 4, 0xc0, 0x25], &[3, 2]] {
        let notes = Notes { sent: sent(auth), ..chap() };
        assert_eq!(outcome(&notes), Err(NotAdopted::Option(3)), "{auth:02x?}");
    }
    // EAP has no login of one message that could be handed over.
    for auth in [&[3, 4, 0xc0, 0x23][..], &[3, 4, 0xc2, 0x27]] {
        let notes = Notes { sent: sent(auth), ..chap() };
        assert_eq!(outcome(&notes), Err(NotAdopted::AuthProtocol), "{auth:02x?}");
    }
    let pap = Notes { sent: sent(&[3, 5, 0xc2, 0x23, 5]), is_pap: true, ..chap() };
    assert_eq!(outcome(&pap), Err(NotAdopted::AuthProtocol));
    let only = server_config(&[AuthProtocol::MsChapV2]);
    assert_eq!(chap().adopt(only, Instant::ZERO).map(|_| ()), Err(NotAdopted::Option(3)));
    let client = client_config(&AuthProtocol::ALL, PASSWORD);
    assert_eq!(chap().adopt(client, Instant::ZERO).map(|_| ()), Err(NotAdopted::AuthProtocol));
}

#[test]
fn a_login_that_cannot_be_is_malformed() {
    let (_, v2) = at_the_lac(AuthProtocol::MsChapV2, PASSWORD);
    let (_, pap) = at_the_lac(AuthProtocol::Pap, PASSWORD);
    let cut =
        |notes: &Notes, len| Notes { response: notes.response[..len].to_vec(), ..notes.clone() };
    for notes in [
        cut(&chap(), 15),
        cut(&chap(), 0),
        Notes { response: vec![0; 17], ..chap() },
        Notes { challenge: Vec::new(), ..chap() },
        Notes { name: vec![b'x'; 254], ..chap() },
        cut(&v2, 48),
        Notes { response: vec![0; 50], ..v2.clone() },
        Notes { challenge: vec![0; 15], ..v2.clone() },
        Notes { challenge: vec![0; 17], ..v2 },
        Notes { name: vec![b'x'; 254], ..pap },
    ] {
        assert_eq!(outcome(&notes), Err(NotAdopted::Malformed), "{notes:?}");
    }
    let long = Notes { challenge: vec![7; 255], ..chap() };
    assert_eq!(outcome(&long), Ok(()));
}

#[test]
fn reasons_have_labels_and_nothing_of_the_login_is_printed() {
    let text = alloc::format!("{:?}", chap().proxied());
    assert!(text.contains("login: Chap") && !text.contains("User"), "{text}");
    let labels = [NotAdopted::AuthProtocol, NotAdopted::Malformed, NotAdopted::Option(13)]
        .map(|reason| alloc::format!("{reason}"));
    assert_eq!(labels, ["proxy_auth_protocol", "proxy_malformed", "proxy_lcp_option (13)"]);
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=most)
}

const OPTIONS: &[&[u8]] = &[
    &[1, 4, 5, 0x78],
    &[2, 6, 0, 0, 0, 0],
    &[3, 4, 0xc0, 0x23],
    &[3, 5, 0xc2, 0x23, 5],
    &[3, 5, 0xc2, 0x23, 0x81],
    &[5, 6, 1, 2, 3, 4],
    &[7, 2],
    &[8, 2],
    &[13, 3, 6],
];

/// Options that make sense half of the time.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop::sample::select(OPTIONS);
    prop_oneof![prop::collection::vec(option, 0..4).prop_map(|o| o.concat()), bytes(40)]
}

fn notes() -> impl Strategy<Value = Notes> {
    let response = prop_oneof![bytes(60), prop::collection::vec(any::<u8>(), 16..=16)];
    (options(), options(), any::<u8>(), bytes(300), bytes(255), response, any::<bool>()).prop_map(
        |(sent, received, id, name, challenge, response, is_pap)| Notes {
            sent,
            received,
            id,
            name,
            challenge,
            response,
            is_pap,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn whatever_a_lac_says_nothing_breaks_and_nobody_is_up_without_a_verdict(
        notes in notes(), frames in prop::collection::vec((0_u8..4, any::<u8>(), bytes(30)), 0..8)
    ) {
        let Ok(mut link) = notes.adopt(server_config(&AuthProtocol::ALL), Instant::ZERO) else {
            return Ok(());
        };
        let asks = matches!(link.poll_action(), Some(Action::Authenticate(_)));
        prop_assert!(asks && link.stage() == Stage::Verdict);
        for (protocol, code, data) in frames {
            let protocol = [Protocol::LCP, Protocol::IPCP, Protocol::CHAP, Protocol::PAP]
                [usize::from(protocol)];
            let body = Packet { code: Code(code % 12), id: code, data: &data }.write();
            let _ = link.handle_frame(&Frame { protocol, body: &body }.write(), Instant::ZERO);
            prop_assert!(link.network().is_none());
        }
    }
}

#[test]
fn a_verdict_for_another_login_is_stale() {
    let (pair, notes) = at_the_lac(AuthProtocol::Pap, PASSWORD);
    let mut adopted = notes.adopt(server_config(&AuthProtocol::ALL), pair.now).unwrap();
    let Some(Action::Authenticate(request)) = adopted.poll_action() else { panic!("no login") };
    let accept = || Verdict::Accept { address: ADDRESS, dns: Vec::new(), proof: None };
    let other = crate::Ticket(request.ticket.0 + 1);
    assert_eq!(adopted.handle_verdict(other, accept(), pair.now), Err(Rejected::StaleVerdict));
    assert_eq!(adopted.handle_verdict(request.ticket, accept(), pair.now), Ok(()));
    assert_eq!(adopted.stage(), Stage::Ipcp);
}
