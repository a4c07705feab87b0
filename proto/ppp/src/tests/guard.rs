//! The authentication guard: whatever a peer sends, in whatever order, a server's link is never up
//! without a verdict that accepts, and a client's never without a server that knows the password.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::pair::{ADDRESS, PASSWORD, Pair, client_config, server_config};
use super::script::Script;
use crate::auth::AuthenticatorResponse;
use crate::auth_message::{ChapValue, MsChapV2Value, write_success};
use crate::eap::message;
use crate::iana::{Code, Protocol};
use crate::packet::Packet;
use crate::{
    Action, AuthProtocol, DownReason, Frame, IDENTIFICATIONS_MAX, Refusal, Stage, Ticket, Verdict,
};

/// One thing an attacker can do.
#[derive(Clone, Debug)]
enum Step {
    Alive,
    /// A challenge, as a server.
    Challenge {
        id: u8,
        value: [u8; 16],
    },
    /// Credentials made up, under the identifier of the last challenge.
    Login {
        pap: bool,
        value: Vec<u8>,
    },
    Packet {
        protocol: Protocol,
        code: u8,
        id: u8,
        data: Vec<u8>,
    },
    Raw(Vec<u8>),
    /// Answers the link's last request of LCP or IPCP with this code.
    Reply {
        protocol: Protocol,
        code: u8,
    },
    /// A request with options that make sense.
    Request {
        protocol: Protocol,
        id: u8,
        options: Vec<u8>,
    },
    /// Success, under the identifier of the last response.
    Success {
        id: Option<u8>,
        proof: [u8; 20],
    },
    /// A verdict: on the last login unfavourable or incomplete, or favourable on another one.
    Verdict {
        kind: u8,
        ticket: u32,
    },
    Wait(u64),
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        4 => Just(Protocol::LCP),
        4 => Just(Protocol::IPCP),
        2 => Just(Protocol::CHAP),
        2 => Just(Protocol::EAP),
        2 => Just(Protocol::PAP),
        1 => Just(Protocol::IPV6CP),
        1 => any::<u16>().prop_map(|n| Protocol(n & 0xfeff | 1)),
    ]
}

const OPTIONS: &[&[u8]] = &[
    &[1, 4, 5, 0x78],
    &[3, 4, 0xc0, 0x23],
    &[3, 5, 0xc2, 0x23, 5],
    &[3, 5, 0xc2, 0x23, 0x81],
    &[3, 4, 0xc2, 0x27],
    &[5, 6, 1, 2, 3, 4],
    &[7, 2],
    &[3, 6, 0, 0, 0, 0],
    &[3, 6, 10, 64, 0, 7],
    &[0x82, 6, 0, 0, 0, 0],
];

fn options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop::sample::select(OPTIONS);
    prop::collection::vec(option, 0..4).prop_map(|options| options.concat())
}

fn step() -> impl Strategy<Value = Step> {
    let packet = (protocol(), 0_u8..16, any::<u8>(), prop::collection::vec(any::<u8>(), 0..40));
    let negotiated = prop_oneof![Just(Protocol::LCP), Just(Protocol::IPCP)];
    prop_oneof![
        1 => Just(Step::Alive),
        2 => (0_u8..4, any::<[u8; 16]>()).prop_map(|(id, value)| Step::Challenge { id, value }),
        3 => (any::<bool>(), prop::collection::vec(any::<u8>(), 49..50))
            .prop_map(|(pap, value)| Step::Login { pap, value }),
        3 => packet.prop_map(|(protocol, code, id, data)| Step::Packet { protocol, code, id, data }),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Step::Raw),
        6 => (negotiated.clone(), 2_u8..7).prop_map(|(protocol, code)| Step::Reply { protocol, code }),
        6 => (negotiated, any::<u8>(), options())
            .prop_map(|(protocol, id, options)| Step::Request { protocol, id, options }),
        3 => (prop::option::of(0_u8..4), any::<[u8; 20]>())
            .prop_map(|(id, proof)| Step::Success { id, proof }),
        2 => (0_u8..3, any::<u32>()).prop_map(|(kind, ticket)| Step::Verdict { kind, ticket }),
        2 => (0_u64..40).prop_map(Step::Wait),
    ]
}

/// The attacker, who sees what the link sends.
struct Attack {
    script: Script,
    requests: Vec<(Protocol, u8, Vec<u8>)>,
    login_id: u8,
    ticket: Option<Ticket>,
    actions: Vec<Action>,
}

impl Attack {
    fn new(script: Script) -> Self {
        Self { script, requests: Vec::new(), login_id: 0, ticket: None, actions: Vec::new() }
    }

    /// Takes LCP as far as it goes without lying.
    fn open_lcp(&mut self, options: &[u8]) {
        self.look();
        self.take(Step::Reply { protocol: Protocol::LCP, code: 2 });
        self.take(Step::Request { protocol: Protocol::LCP, id: 1, options: options.to_vec() });
    }

    fn take(&mut self, step: Step) {
        let script = &mut self.script;
        match step {
            Step::Alive => script.link.peer_alive(script.now),
            Step::Challenge { id, value } => {
                let data = ChapValue { value: &value, name: b"server" }.write();
                let _ = script.try_send(Protocol::CHAP, 1, id, &data);
                let data = [&[26][..], &message::challenge(id, &value, b"server")].concat();
                let _ = script.try_send(Protocol::EAP, 1, id, &data);
            }
            Step::Login { pap: true, .. } => {
                let _ = script.try_send(Protocol::PAP, 1, self.login_id, b"\x04User\x01x");
            }
            Step::Login { pap: false, value } => {
                let data = ChapValue { value: &value, name: b"User" }.write();
                let _ = script.try_send(Protocol::CHAP, 2, self.login_id, &data);
                let fields: (&[u8; 16], &[u8; 24]) =
                    (value[..16].try_into().unwrap(), value[24..48].try_into().unwrap());
                let answer =
                    MsChapV2Value { peer_challenge: *fields.0, nt_response: *fields.1, flags: 0 };
                let data =
                    [&[26][..], &message::response(self.login_id, &answer, b"User")].concat();
                let _ = script.try_send(Protocol::EAP, 2, self.login_id, b"\x01User");
                self.look();
                let script = &mut self.script;
                let _ = script.try_send(Protocol::EAP, 2, self.login_id, &data);
                let data = ChapValue { value: &value[..16], name: b"User" }.write();
                let _ = script.try_send(Protocol::CHAP, 2, self.login_id, &data);
            }
            Step::Packet { protocol, code, id, data } => {
                let _ = script.try_send(protocol, code, id, &data);
            }
            Step::Raw(bytes) => drop(script.raw(&bytes)),
            Step::Reply { protocol, code } => {
                let last = self.requests.iter().rev().find(|(p, ..)| *p == protocol);
                if let Some((_, id, data)) = last.cloned() {
                    let _ = script.try_send(protocol, code, id, &data);
                }
            }
            Step::Request { protocol, id, options } => {
                let _ = script.try_send(protocol, 1, id, &options);
            }
            Step::Success { id, proof } => {
                let id = id.unwrap_or(self.login_id);
                let text = write_success(&AuthenticatorResponse(proof));
                let _ = script.try_send(Protocol::CHAP, 3, id, &text);
                let _ = script.try_send(Protocol::PAP, 2, id, &[]);
                // Of a server, and of a peer that lets itself in.
                let data = [&[26][..], &message::success(id, &text)].concat();
                let _ = script.try_send(Protocol::EAP, 1, id, &data);
                let _ = script.try_send(Protocol::EAP, 2, id, &[26, 3]);
                let _ = script.try_send(Protocol::EAP, 3, id, &[]);
            }
            Step::Verdict { kind, ticket } => self.judge(kind, ticket),
            Step::Wait(seconds) => script.wait_until(script.now.as_secs() + seconds),
        }
        self.look();
    }

    /// Never accepts a login that is being asked about.
    fn judge(&mut self, kind: u8, ticket: u32) {
        let accept = Verdict::Accept { address: ADDRESS, dns: Vec::new(), proof: None };
        let refuse = Verdict::Refuse { reason: Refusal::BadCredentials };
        let (ticket, verdict) = match (kind, self.ticket) {
            (0, Some(asked)) => (asked, refuse),
            // MS-CHAPv2 only: accepted, but without the answer the peer needs.
            (1, Some(asked)) => (asked, accept),
            (_, Some(asked)) if asked.0 == ticket => (asked, refuse),
            (_, _) => (Ticket(ticket), accept),
        };
        let _ = self.script.link.handle_verdict(ticket, verdict, self.script.now);
        self.script.collect();
    }

    fn look(&mut self) {
        while let Some(frame) = self.script.frames.pop_front() {
            let frame = Frame::read(&frame).unwrap();
            let packet = Packet::read(frame.body).unwrap();
            match (frame.protocol, packet.code) {
                (Protocol::LCP | Protocol::IPCP, Code::CONFIGURE_REQUEST) => {
                    self.requests.push((frame.protocol, packet.id, packet.data.to_vec()));
                }
                (Protocol::PAP | Protocol::CHAP | Protocol::EAP, _) => self.login_id = packet.id,
                _ => {}
            }
        }
        while let Some(action) = self.script.saw.pop_front() {
            if let Action::Authenticate(request) = &action {
                self.ticket = Some(request.ticket);
            }
            self.actions.push(action);
        }
    }

    fn assert_never_up(&self) {
        assert!(!Pair::ever_up(&self.actions), "{:?}", self.actions);
        assert!(self.script.link.network().is_none());
        assert!(self.script.link.record().is_none());
        assert!(self.script.link.stage() < Stage::Ipcp);
        assert!(self.script.link.identifications().len() <= IDENTIFICATIONS_MAX);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_server_is_never_up_without_a_verdict_that_accepts(
        steps in prop::collection::vec(step(), 0..60), method in 0_usize..4, open in any::<bool>()
    ) {
        let method = AuthProtocol::ALL[method];
        let mut attack = Attack::new(Script::new(server_config(&[method])));
        if open {
            attack.open_lcp(&[]);
        }
        for step in steps {
            let step = if let (Step::Verdict { kind: 1, ticket }, false) =
                (&step, [AuthProtocol::MsChapV2, AuthProtocol::EapMsChapV2].contains(&method))
            {
                // Without a proof to give, PAP and CHAP would rightly be accepted.
                Step::Verdict { kind: 0, ticket: *ticket }
            } else {
                step
            };
            attack.take(step);
            attack.assert_never_up();
        }
    }

    #[test]
    fn a_client_is_never_up_without_a_server_that_knows_the_password(
        steps in prop::collection::vec(step(), 0..60), open in any::<bool>(), eap in any::<bool>()
    ) {
        let method = if eap { AuthProtocol::EapMsChapV2 } else { AuthProtocol::MsChapV2 };
        let config = client_config(&[method], PASSWORD);
        let mut attack = Attack::new(Script::new(config));
        if open {
            let option: &[u8] = if eap { &[3, 4, 0xc2, 0x27] } else { &[3, 5, 0xc2, 0x23, 0x81] };
            attack.open_lcp(option);
        }
        for step in steps {
            attack.take(step);
            attack.assert_never_up();
        }
    }

    #[test]
    fn one_frame_in_is_few_frames_out_before_authentication(
        steps in prop::collection::vec(step(), 0..60)
    ) {
        let mut script = Script::new(server_config(&[AuthProtocol::MsChapV2]));
        script.frames.clear();
        for step in steps {
            let Step::Packet { protocol, code, id, data } = step else { continue };
            let _ = script.try_send(protocol, code, id, &data);
            // The most is LCP opening: an Ack and a challenge, or a renegotiation: request and reply.
            prop_assert!(script.frames.len() <= 2, "{:02x?}", script.frames);
            let bytes: usize = script.frames.iter().map(Vec::len).sum();
            prop_assert!(bytes <= 8 + data.len() + 8 + 64, "{bytes} for {}", data.len());
            script.frames.clear();
        }
    }
}

/// The attacks above go deep: the same moves with the right password do bring the link up.
#[test]
fn the_same_moves_with_an_accepting_verdict_bring_the_server_up() {
    let mut attack = Attack::new(Script::new(server_config(&[AuthProtocol::Pap])));
    attack.open_lcp(&[]);
    attack.take(Step::Login { pap: true, value: Vec::new() });
    attack.take(Step::Verdict { kind: 1, ticket: 0 });
    attack.take(Step::Reply { protocol: Protocol::IPCP, code: 2 });
    let options = [3, 6, 10, 64, 0, 7].to_vec();
    attack.take(Step::Request { protocol: Protocol::IPCP, id: 1, options });
    assert!(Pair::ever_up(&attack.actions));
}

#[test]
fn an_impostor_is_found_out_by_its_answer() {
    let mut attack = Attack::new(Script::new(client_config(&[AuthProtocol::MsChapV2], PASSWORD)));
    attack.open_lcp(&[3, 5, 0xc2, 0x23, 0x81]);
    attack.take(Step::Challenge { id: 1, value: [7; 16] });
    attack.take(Step::Success { id: Some(1), proof: [7; 20] });
    attack.take(Step::Wait(60));
    assert_eq!(attack.actions, [Action::Down(DownReason::PeerNotAuthentic)]);
}

#[test]
fn a_verdict_for_an_earlier_login_is_not_given_to_a_later_one() {
    let mut attack = Attack::new(Script::new(server_config(&[AuthProtocol::Pap])));
    attack.open_lcp(&[]);
    attack.take(Step::Login { pap: true, value: Vec::new() });
    let first = attack.ticket.unwrap();
    // The peer negotiates again and logs in as somebody else while the first verdict is out.
    attack.take(Step::Request { protocol: Protocol::LCP, id: 9, options: [7, 2].to_vec() });
    attack.take(Step::Reply { protocol: Protocol::LCP, code: 2 });
    let accept = || Verdict::Accept { address: ADDRESS, dns: Vec::new(), proof: None };
    let link = &mut attack.script.link;
    assert!(link.handle_verdict(first, accept(), attack.script.now).is_err());
    attack.take(Step::Login { pap: true, value: Vec::new() });
    let second = attack.ticket.unwrap();
    assert_ne!(first, second);
    let link = &mut attack.script.link;
    assert!(link.handle_verdict(first, accept(), attack.script.now).is_err());
    assert_eq!(link.stage(), Stage::Verdict);
    assert_eq!(link.handle_verdict(second, accept(), attack.script.now), Ok(()));
}
