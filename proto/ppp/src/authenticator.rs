//! The server's side of authentication: asks the peer, asks for a verdict, tells the peer.
//!
//! ```text
//!   PAP   Awaiting ---------- request --------> Asked -- accept --> Settled
//!   CHAP  Challenged -------- response -------> Asked -- refuse --> (closed by the link)
//!            ^------- refuse, retries left -------'
//! ```
//!
//! A login that a LAC has taken down begins at *Asked*.
//!
//! A peer that repeats itself, because our answer was lost or is still awaited, never causes a
//! second question: while the verdict is out it is ignored, and afterwards it gets the same answer
//! again (RFC 1334 §2.2.1, RFC 1994 §4.2).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use isthmus_core::{Instant, Outbox, Rng, SecretBytes};
use isthmus_wire::{DecodeError, Reader};

use crate::action::{MsChapV2Proof, Proof, Refusal, Verdict};
use crate::auth::AuthenticatorResponse;
use crate::auth_message::{
    ChapValue, MsChapV2Failure, MsChapV2Value, NAME_MAX, PapRequest, chap, pap, write_pap_message,
    write_success,
};
use crate::config::{AuthProtocol, ServerConfig, Timing};
use crate::error::{DownReason, Rejected, Stage};
use crate::iana::Code;
use crate::ipcp::is_host;
use crate::packet::Packet;
use crate::proxied::{NotAdopted, ProxiedLogin};

/// Something the link has to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Somebody has to judge this.
    Ask { user: Vec<u8>, proof: Proof },
    /// The peer is refused, or does not answer: close the link.
    Failed(DownReason),
    /// The peer is who it says, and gets this address and these name servers.
    Granted { address: Ipv4Addr, dns: Vec<Ipv4Addr> },
    /// Send a packet of the authentication protocol.
    Send(Vec<u8>),
}

/// Proof that a packet may change the state.
#[derive(Debug)]
pub(crate) struct Accepted(Input);

#[derive(Debug)]
enum Input {
    /// New credentials.
    Login { id: u8, data: SecretBytes, user: Vec<u8>, proof: Proof },
    /// The same PAP request under a new identifier while the verdict is out.
    Renumber { id: u8 },
    /// The answer given before, again.
    Repeat { id: u8 },
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Authenticator {
    method: AuthProtocol,
    name: Vec<u8>,
    timing: Timing,
    retries_left: u8,
    state: State,
    timer: Option<Instant>,
    /// How often the challenge may still be repeated.
    repeats_left: u8,
    effects: Outbox<Effect>,
}

#[derive(Debug)]
enum State {
    /// The verdict is out.
    Asked { id: u8, data: SecretBytes },
    /// PAP: the peer begins.
    Awaiting,
    /// CHAP: the peer has our challenge. After a failure that allows a retry, the challenge was in
    /// the failure, which is kept.
    Challenged { id: u8, challenge: [u8; 16], failed: Option<Answered> },
    /// The peer was told the verdict.
    Settled(Answered),
}

/// An attempt and what it was answered.
#[derive(Debug)]
struct Answered {
    id: u8,
    data: SecretBytes,
    code: Code,
    message: Vec<u8>,
}

impl Authenticator {
    /// Begins: challenges the peer, or waits for its PAP request.
    pub(crate) fn new(
        method: AuthProtocol,
        config: &ServerConfig,
        timing: Timing,
        rng: &mut Rng,
        now: Instant,
    ) -> Self {
        let mut authenticator = Self::idle(method, config, timing);
        match method {
            // EAP has a machine of its own.
            AuthProtocol::ChapMd5 | AuthProtocol::EapMsChapV2 | AuthProtocol::MsChapV2 => {
                let [id] = rng.array();
                let challenge = rng.array();
                authenticator.state = State::Challenged { id, challenge, failed: None };
                authenticator.send_challenge(now);
            }
            AuthProtocol::Pap => authenticator.await_peer(now),
        }
        authenticator
    }

    /// Nothing was said yet.
    fn idle(method: AuthProtocol, config: &ServerConfig, timing: Timing) -> Self {
        Self {
            method,
            name: config.name.get(..NAME_MAX).unwrap_or(&config.name).to_vec(),
            timing,
            retries_left: config.auth_retries.min(AUTH_RETRIES_MAX),
            state: State::Awaiting,
            timer: None,
            repeats_left: timing.configure_max,
            effects: Outbox::new(),
        }
    }

    /// Goes on where somebody else stopped: the peer has said who it is, and waits for an answer.
    ///
    /// # Errors
    /// The login is not of this protocol, or is malformed.
    pub(crate) fn adopt(
        method: AuthProtocol,
        config: &ServerConfig,
        timing: Timing,
        login: &ProxiedLogin<'_>,
        now: Instant,
    ) -> Result<Self, NotAdopted> {
        let mut authenticator = Self::idle(method, config, timing);
        let input = match (method, *login) {
            (AuthProtocol::Pap, ProxiedLogin::Pap { id, name, password }) => {
                let data = PapRequest { user: name, password }.write();
                let packet = Packet { code: pap::REQUEST, id, data: &data };
                authenticator.admit_pap(&packet)
            }
            (
                AuthProtocol::ChapMd5 | AuthProtocol::MsChapV2,
                ProxiedLogin::Chap { id, name, challenge, response },
            ) => {
                let data = ChapValue { value: response, name }.write();
                let read = ChapValue::read(&data).map_err(Rejected::from);
                let packet = Packet { code: chap::RESPONSE, id, data: &data };
                let proof = read.and_then(|read| authenticator.proof(id, challenge, read.value));
                proof.map(|proof| self::login(&packet, name, proof))
            }
            (
                AuthProtocol::ChapMd5
                | AuthProtocol::EapMsChapV2
                | AuthProtocol::MsChapV2
                | AuthProtocol::Pap,
                ProxiedLogin::Chap { .. } | ProxiedLogin::Pap { .. },
            ) => return Err(NotAdopted::AuthProtocol),
        };
        authenticator.commit(Accepted(input.map_err(|_| NotAdopted::Malformed)?), now);
        Ok(authenticator)
    }

    /// Whether the packet may be taken, and as what.
    pub(crate) fn admit(&self, packet: &Packet<'_>) -> Result<Accepted, Rejected> {
        let input = match self.method {
            AuthProtocol::Pap => self.admit_pap(packet)?,
            AuthProtocol::ChapMd5 | AuthProtocol::EapMsChapV2 | AuthProtocol::MsChapV2 => {
                self.admit_chap(packet)?
            }
        };
        Ok(Accepted(input))
    }

    /// Does what the admitted packet demands.
    pub(crate) fn commit(&mut self, accepted: Accepted, now: Instant) {
        match accepted.0 {
            Input::Login { id, data, user, proof } => {
                self.state = State::Asked { id, data };
                self.timer = Some(now + self.timing.verdict);
                self.effects.push(Effect::Ask { user, proof });
            }
            Input::Renumber { id: new } => {
                if let State::Asked { id, .. } = &mut self.state {
                    *id = new;
                }
            }
            Input::Repeat { id } => {
                let answered = match &self.state {
                    State::Challenged { failed, .. } => failed.as_ref(),
                    State::Settled(answered) => Some(answered),
                    State::Asked { .. } | State::Awaiting => None,
                };
                if let Some(answered) = answered {
                    let packet = Packet { code: answered.code, id, data: &answered.message };
                    self.effects.push(Effect::Send(packet.write()));
                }
            }
        }
    }

    /// Whether the verdict is out.
    pub(crate) const fn is_asking(&self) -> bool {
        match self.state {
            State::Asked { .. } => true,
            State::Awaiting | State::Challenged { .. } | State::Settled(_) => false,
        }
    }

    /// Takes the verdict. The caller made sure that it belongs to this login.
    pub(crate) fn handle_verdict(&mut self, verdict: Verdict, rng: &mut Rng, now: Instant) {
        match verdict {
            // IPCP could not give such an address, so the peer had better know at once.
            Verdict::Accept { address, .. } if !is_host(address) => {
                self.refuse(Refusal::NoResources, rng, now);
            }
            Verdict::Accept { address, dns, proof } => match self.acceptance(proof) {
                Some((code, message)) => {
                    self.answer(code, message);
                    self.timer = None;
                    self.effects.push(Effect::Granted { address, dns });
                }
                None => self.refuse(Refusal::Unavailable, rng, now),
            },
            Verdict::Refuse { reason } => self.refuse(reason, rng, now),
        }
    }

    /// Sends the answer to the accepted login once more, unasked: the peer may not have got it.
    pub(crate) fn repeat_answer(&mut self) {
        if let State::Settled(answered) = &self.state {
            let packet = Packet { code: answered.code, id: answered.id, data: &answered.message };
            self.effects.push(Effect::Send(packet.write()));
        }
    }

    /// Repeats the challenge or gives up, when it is time.
    pub(crate) fn handle_timeout(&mut self, rng: &mut Rng, now: Instant) {
        if self.timer.is_none_or(|at| now < at) {
            return;
        }
        self.timer = None;
        match &self.state {
            State::Asked { .. } => {
                self.retries_left = 0;
                self.send_refusal(Refusal::Unavailable, rng);
                self.effects.push(Effect::Failed(DownReason::Timeout(Stage::Verdict)));
            }
            State::Challenged { failed: None, .. } if self.repeats_left > 0 => {
                self.send_challenge(now);
            }
            State::Awaiting | State::Challenged { .. } => {
                self.effects.push(Effect::Failed(DownReason::Timeout(Stage::Authenticate)));
            }
            State::Settled(_) => {}
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When to call [`Authenticator::handle_timeout`].
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    fn admit_pap(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        if packet.code != pap::REQUEST {
            return Err(Rejected::UnexpectedCode);
        }
        let request = PapRequest::read(packet.data)?;
        match &self.state {
            State::Awaiting => {
                let proof = Proof::Pap { password: SecretBytes::copy_of(request.password) };
                Ok(login(packet, request.user, proof))
            }
            // pppd gives each repetition a new identifier and wants that one back.
            State::Asked { id, data } if data.ct_eq(packet.data) && *id != packet.id => {
                Ok(Input::Renumber { id: packet.id })
            }
            State::Asked { .. } => Err(Rejected::AlreadyAsked),
            State::Settled(answered) if answered.data.ct_eq(packet.data) => {
                Ok(Input::Repeat { id: packet.id })
            }
            State::Settled(_) | State::Challenged { .. } => Err(Rejected::OutOfState),
        }
    }

    fn admit_chap(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        if packet.code != chap::RESPONSE {
            return Err(Rejected::UnexpectedCode);
        }
        let response = ChapValue::read(packet.data)?;
        match &self.state {
            State::Challenged { id, challenge, failed } => {
                let again = failed.as_ref().filter(|f| f.id == packet.id);
                if again.is_some_and(|f| f.data.ct_eq(packet.data)) {
                    return Ok(Input::Repeat { id: packet.id });
                }
                // RFC 2759 does not say which identifier the next attempt has: the failure's, or
                // one more. Its challenge decides, so both will do.
                if packet.id != *id && again.is_none() {
                    return Err(Rejected::UnexpectedId);
                }
                let proof = self.proof(packet.id, challenge, response.value)?;
                Ok(login(packet, response.name, proof))
            }
            State::Asked { id, .. } if *id == packet.id => Err(Rejected::AlreadyAsked),
            State::Settled(answered) if answered.id == packet.id => {
                Ok(Input::Repeat { id: packet.id })
            }
            State::Asked { .. } | State::Settled(_) => Err(Rejected::UnexpectedId),
            State::Awaiting => Err(Rejected::OutOfState),
        }
    }

    fn proof(&self, id: u8, challenge: &[u8], value: &[u8]) -> Result<Proof, Rejected> {
        if self.method == AuthProtocol::MsChapV2 {
            let value = MsChapV2Value::read(value)?;
            return Ok(Proof::MsChapV2(MsChapV2Proof {
                id,
                auth_challenge: Reader::all("challenge", challenge, |r| r.array("challenge"))?,
                peer_challenge: value.peer_challenge,
                nt_response: value.nt_response,
                flags: value.flags,
            }));
        }
        let response = Reader::all("response value", value, |r| r.array("value"))?;
        if challenge.is_empty() {
            return Err(DecodeError::illegal("challenge").into());
        }
        Ok(Proof::ChapMd5 { id, challenge: challenge.to_vec(), response })
    }

    /// Code and message that tell the peer it is accepted; none when the verdict lacks what
    /// MS-CHAPv2 needs.
    fn acceptance(&self, proof: Option<AuthenticatorResponse>) -> Option<(Code, Vec<u8>)> {
        match self.method {
            AuthProtocol::ChapMd5 => Some((chap::SUCCESS, GRANTED.to_vec())),
            AuthProtocol::EapMsChapV2 | AuthProtocol::MsChapV2 => {
                Some((chap::SUCCESS, write_success(&proof?)))
            }
            AuthProtocol::Pap => Some((pap::ACK, write_pap_message(GRANTED))),
        }
    }

    fn refuse(&mut self, reason: Refusal, rng: &mut Rng, now: Instant) {
        if self.method != AuthProtocol::MsChapV2 || !reason.may_retry() {
            self.retries_left = 0;
        }
        let (was_last, challenge) = (self.retries_left == 0, self.send_refusal(reason, rng));
        if was_last {
            self.timer = None;
            self.effects.push(Effect::Failed(DownReason::AuthRefused(reason)));
            return;
        }
        self.retries_left -= 1;
        if let State::Settled(answered) = core::mem::replace(&mut self.state, State::Awaiting) {
            let id = answered.id.wrapping_add(1);
            self.state = State::Challenged { id, challenge, failed: Some(answered) };
        }
        self.await_peer(now);
    }

    /// Tells the peer no; the challenge for its next attempt.
    fn send_refusal(&mut self, reason: Refusal, rng: &mut Rng) -> [u8; 16] {
        let challenge = rng.array();
        let (code, message) = match self.method {
            AuthProtocol::ChapMd5 => (chap::FAILURE, DENIED.to_vec()),
            AuthProtocol::EapMsChapV2 | AuthProtocol::MsChapV2 => {
                let failure = MsChapV2Failure {
                    code: Some(reason.code()),
                    retry: self.retries_left > 0,
                    challenge: Some(challenge),
                };
                (chap::FAILURE, failure.write())
            }
            AuthProtocol::Pap => (pap::NAK, write_pap_message(DENIED)),
        };
        self.answer(code, message);
        challenge
    }

    /// Answers the login that was judged.
    fn answer(&mut self, code: Code, message: Vec<u8>) {
        if let State::Asked { id, data } = core::mem::replace(&mut self.state, State::Awaiting) {
            self.state = State::Settled(Answered { id, data, code, message });
            self.repeat_answer();
        }
    }

    fn send_challenge(&mut self, now: Instant) {
        if let State::Challenged { id, challenge, .. } = &self.state {
            let data = ChapValue { value: challenge, name: &self.name }.write();
            let packet = Packet { code: chap::CHALLENGE, id: *id, data: &data };
            self.effects.push(Effect::Send(packet.write()));
            self.repeats_left = self.repeats_left.saturating_sub(1);
            self.timer = Some(now + self.timing.restart);
        }
    }

    /// Waits as long as all repetitions of a challenge would take.
    fn await_peer(&mut self, now: Instant) {
        self.timer = Some(now + self.timing.restart * u32::from(self.timing.configure_max));
    }
}

fn login(packet: &Packet<'_>, user: &[u8], proof: Proof) -> Input {
    let data = SecretBytes::copy_of(packet.data);
    Input::Login { id: packet.id, data, user: user.to_vec(), proof }
}

/// Most further attempts after a wrong password.
pub const AUTH_RETRIES_MAX: u8 = 3;
/// What peers are told in plain text; old ones show it to their user.
const GRANTED: &[u8] = b"Access granted";
const DENIED: &[u8] = b"Access denied";
