//! The client's side of authentication: proves who we are and, with MS-CHAPv2, checks that the
//! server knows our password too.
//!
//! A Success counts only as the answer to a Response of ours, and for MS-CHAPv2 only with the right
//! authenticator response (RFC 2759 §5). A server may challenge again at any time (RFC 1994 §2); the
//! network stays up meanwhile.

use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Instant, Outbox, Rng};
use isthmus_crypto::{CryptoError, Provider};
use isthmus_wire::{DecodeError, Fault};

use crate::action::MsChapV2Proof;
use crate::auth::{self, AuthenticatorResponse, PasswordError};
use crate::auth_message::{
    ChapValue, MsChapV2Failure, MsChapV2Value, NAME_MAX, PapRequest, chap, pap,
};
use crate::config::{AuthProtocol, ClientConfig, Timing};
use crate::error::{DownReason, Rejected, Stage};
use crate::packet::Packet;

/// Something the link has to do.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Close the link.
    Failed(DownReason),
    /// The server accepted us and, where the protocol can tell, is ours.
    Proved,
    /// Send a packet of the authentication protocol.
    Send(Vec<u8>),
}

/// Proof that a packet may change the state.
#[derive(Debug)]
pub(crate) struct Accepted(Input);

#[derive(Debug)]
enum Input {
    /// A challenge not seen before.
    Challenge { id: u8, value: Vec<u8> },
    /// We are refused.
    Failure(Option<u32>),
    /// We are accepted, but by somebody who does not know our password.
    Impostor,
    /// The challenge answered last, again.
    Repeat,
    /// We are accepted.
    Success,
}

/// The machine.
pub(crate) struct Authenticatee {
    method: AuthProtocol,
    config: ClientConfig,
    provider: Arc<dyn Provider>,
    timing: Timing,
    state: State,
    /// The last challenge answered and the packet that answered it.
    last: Option<Answered>,
    timer: Option<Instant>,
    repeats_left: u8,
    effects: Outbox<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// CHAP: the server begins.
    Awaiting,
    /// The server accepted us.
    Proved,
    /// Our request or response is out; for MS-CHAPv2 with what the server must answer.
    Responded { id: u8, expected: Option<AuthenticatorResponse> },
}

#[derive(Clone, Debug)]
struct Answered {
    id: u8,
    challenge: Vec<u8>,
    packet: Vec<u8>,
}

impl core::fmt::Debug for Authenticatee {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Authenticatee")
            .field("method", &self.method)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Authenticatee {
    /// Begins: sends the PAP request, or waits for a challenge.
    pub(crate) fn new(
        method: AuthProtocol,
        config: &ClientConfig,
        provider: Arc<dyn Provider>,
        timing: Timing,
        rng: &mut Rng,
        now: Instant,
    ) -> Self {
        let mut config = config.clone();
        config.user.truncate(NAME_MAX);
        let mut authenticatee = Self {
            method,
            config,
            provider,
            timing,
            state: State::Awaiting,
            last: None,
            timer: Some(now + timing.restart * u32::from(timing.configure_max)),
            repeats_left: timing.configure_max,
            effects: Outbox::new(),
        };
        match method {
            AuthProtocol::Pap => {
                let [id] = rng.array();
                authenticatee.send_pap_request(id, now);
            }
            // EAP has a machine of its own.
            AuthProtocol::ChapMd5 | AuthProtocol::EapMsChapV2 | AuthProtocol::MsChapV2 => {}
        }
        authenticatee
    }

    /// One that had been accepted when the link was recorded.
    pub(crate) fn restore(
        method: AuthProtocol,
        config: &ClientConfig,
        provider: Arc<dyn Provider>,
        timing: Timing,
    ) -> Self {
        Self {
            method,
            config: config.clone(),
            provider,
            timing,
            state: State::Proved,
            last: None,
            timer: None,
            repeats_left: 0,
            effects: Outbox::new(),
        }
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
    pub(crate) fn commit(&mut self, accepted: Accepted, rng: &mut Rng, now: Instant) {
        match accepted.0 {
            Input::Challenge { id, value } => self.respond(id, value, rng, now),
            Input::Failure(code) => self.fail(DownReason::AuthRefusedByPeer(code)),
            Input::Impostor => self.fail(DownReason::PeerNotAuthentic),
            Input::Repeat => self.send_last(),
            Input::Success => {
                self.state = State::Proved;
                self.timer = None;
                self.effects.push(Effect::Proved);
            }
        }
    }

    /// Repeats our request or response, or gives up, when it is time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_none_or(|at| now < at) {
            return;
        }
        match self.state {
            State::Responded { .. } if self.repeats_left > 0 => {
                self.repeats_left -= 1;
                self.timer = Some(now + self.timing.restart);
                self.send_last();
            }
            State::Awaiting | State::Proved | State::Responded { .. } => {
                self.fail(DownReason::Timeout(Stage::Authenticate));
            }
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When to call [`Authenticatee::handle_timeout`].
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    fn admit_pap(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        let input = match packet.code {
            pap::ACK => Input::Success,
            pap::NAK => Input::Failure(None),
            _ => return Err(Rejected::UnexpectedCode),
        };
        self.answered(packet)?;
        Ok(input)
    }

    fn admit_chap(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        match packet.code {
            chap::CHALLENGE => self.admit_challenge(packet),
            chap::SUCCESS => self.admit_success(packet),
            chap::FAILURE => {
                self.answered(packet)?;
                Ok(Input::Failure(MsChapV2Failure::read(packet.data).code))
            }
            _ => Err(Rejected::UnexpectedCode),
        }
    }

    fn admit_challenge(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        let challenge = ChapValue::read(packet.data)?;
        let wrong_len = match self.method {
            AuthProtocol::MsChapV2 => challenge.value.len() != 16,
            AuthProtocol::ChapMd5 | AuthProtocol::EapMsChapV2 | AuthProtocol::Pap => {
                challenge.value.len() > CHALLENGE_MAX
            }
        };
        if wrong_len {
            return Err(DecodeError::new("value-size", Fault::Illegal).into());
        }
        let is_last = |last: &Answered| last.id == packet.id && last.challenge == challenge.value;
        if self.last.as_ref().is_some_and(is_last) {
            return Ok(Input::Repeat);
        }
        Ok(Input::Challenge { id: packet.id, value: challenge.value.to_vec() })
    }

    fn admit_success(&self, packet: &Packet<'_>) -> Result<Input, Rejected> {
        let expected = self.answered(packet)?;
        if self.method != AuthProtocol::MsChapV2 {
            return Ok(Input::Success);
        }
        // Without an expectation nothing can match it: `None` on both sides must not pass.
        let given = AuthenticatorResponse::from_message(packet.data);
        match (expected, given) {
            (Some(expected), Some(given)) if expected == given => Ok(Input::Success),
            (Some(_) | None, Some(_) | None) => Ok(Input::Impostor),
        }
    }

    /// What we expect of the server, when the packet answers our response.
    fn answered(&self, packet: &Packet<'_>) -> Result<Option<AuthenticatorResponse>, Rejected> {
        match self.state {
            State::Responded { id, expected } if id == packet.id => Ok(expected),
            State::Responded { .. } => Err(Rejected::UnexpectedId),
            State::Awaiting | State::Proved => Err(Rejected::OutOfState),
        }
    }

    fn send_pap_request(&mut self, id: u8, now: Instant) {
        let request =
            PapRequest { user: &self.config.user, password: self.config.password.expose() };
        let packet = Packet { code: pap::REQUEST, id, data: &request.write() }.write();
        self.last = Some(Answered { id, challenge: Vec::new(), packet });
        self.send_first(id, None, now);
    }

    fn respond(&mut self, id: u8, challenge: Vec<u8>, rng: &mut Rng, now: Instant) {
        let Ok((value, expected)) = self.response(id, &challenge, rng) else {
            return self.fail(DownReason::CryptoFailed);
        };
        let data = ChapValue { value: &value, name: &self.config.user }.write();
        let packet = Packet { code: chap::RESPONSE, id, data: &data }.write();
        self.last = Some(Answered { id, challenge, packet });
        self.send_first(id, expected, now);
    }

    /// The value of a response, and what the server must answer to it.
    fn response(
        &self,
        id: u8,
        challenge: &[u8],
        rng: &mut Rng,
    ) -> Result<(Vec<u8>, Option<AuthenticatorResponse>), PasswordError> {
        let provider = &*self.provider;
        let password = self.config.password.expose();
        if self.method != AuthProtocol::MsChapV2 {
            let value = auth::chap_md5::response(provider, id, password, challenge)
                .map_err(PasswordError::Crypto)?;
            return Ok((value.to_vec(), None));
        }
        let challenge =
            challenge.try_into().map_err(|_| PasswordError::Crypto(CryptoError::BadLength))?;
        let (value, expected) = answer_mschapv2(provider, &self.config, id, challenge, rng)?;
        Ok((value.write(), Some(expected)))
    }

    fn send_first(&mut self, id: u8, expected: Option<AuthenticatorResponse>, now: Instant) {
        self.state = State::Responded { id, expected };
        self.repeats_left = self.timing.configure_max.saturating_sub(1);
        self.timer = Some(now + self.timing.restart);
        self.send_last();
    }

    fn send_last(&mut self) {
        if let Some(last) = &self.last {
            self.effects.push(Effect::Send(last.packet.clone()));
        }
    }

    fn fail(&mut self, reason: DownReason) {
        self.timer = None;
        self.effects.push(Effect::Failed(reason));
    }
}

/// The answer to a challenge of MS-CHAPv2, and what the server must say to it.
pub(crate) fn answer_mschapv2(
    provider: &dyn Provider,
    config: &ClientConfig,
    id: u8,
    challenge: &[u8; 16],
    rng: &mut Rng,
) -> Result<(MsChapV2Value, AuthenticatorResponse), PasswordError> {
    let nt_hash = auth::nt_hash(provider, config.password.expose())?;
    let (auth_challenge, peer_challenge) = (*challenge, rng.array());
    let user = &config.user;
    let nt_response =
        auth::mschapv2::nt_response(provider, &nt_hash, &auth_challenge, &peer_challenge, user)
            .map_err(PasswordError::Crypto)?;
    let proof = MsChapV2Proof { id, auth_challenge, peer_challenge, nt_response, flags: 0 };
    let expected = auth::mschapv2::authenticator_response(provider, &nt_hash, user, &proof)
        .map_err(PasswordError::Crypto)?;
    Ok((MsChapV2Value { peer_challenge, nt_response, flags: 0 }, expected))
}

/// Longest CHAP challenge we answer, in bytes.
pub const CHALLENGE_MAX: usize = 128;
