//! The client's side of EAP: says who we are, answers the challenge, and checks the server's proof.
//!
//! We are in when the server says Success after a proof of its own that is right, never before.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Outbox, Rng};
use isthmus_crypto::Provider;

use super::message::{
    self, FAILURE, FAILURE_NOTED, Message, REQUEST, RESPONSE, SUCCESS, SUCCESS_NOTED, kind,
};
use crate::auth::AuthenticatorResponse;
use crate::auth_message::{MsChapV2Failure, NAME_MAX};
use crate::authenticatee::{Effect, answer_mschapv2};
use crate::config::{ClientConfig, Timing};
use crate::error::{DownReason, Rejected, Stage};
use crate::packet::Packet;

/// Proof that a packet may change the state.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Of a Request: what it is answered under, and to know it again.
    request: Option<(u8, Vec<u8>)>,
    input: Input,
}

#[derive(Debug)]
enum Input {
    Challenge {
        id: u8,
        challenge: [u8; 16],
    },
    /// We are refused, in so many words.
    Failed(Option<u32>),
    Identity,
    /// The server does not know our password.
    Impostor,
    Notification,
    /// A method we do not have.
    OtherMethod,
    /// A Request that was answered, again; by its place.
    Repeat(usize),
    /// The server's Failure behind its words, or without any.
    Refused,
    /// The server's proof is right.
    Verified,
    /// The end.
    Success,
}

/// The machine.
pub(crate) struct Peer {
    config: ClientConfig,
    provider: Arc<dyn Provider>,
    state: State,
    /// The last Requests and our answers, the newest last.
    answers: VecDeque<Answered>,
    /// How long the server may take for its next Request.
    patience: Duration,
    timer: Option<Instant>,
    effects: Outbox<Effect>,
}

/// A Request and our answer.
struct Answered {
    id: u8,
    data: Vec<u8>,
    packet: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The server begins.
    Awaiting,
    /// We are refused; with the code the server gave.
    Failed(Option<u32>),
    Proved,
    /// Our Response is out, and this is what the server must answer.
    Responded(AuthenticatorResponse),
    /// The server has proved itself.
    Verified,
}

impl core::fmt::Debug for Peer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EapPeer").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Peer {
    /// Waits for the server's first Request.
    pub(crate) fn new(
        config: &ClientConfig,
        provider: Arc<dyn Provider>,
        timing: Timing,
        now: Instant,
    ) -> Self {
        let patience = timing.restart * u32::from(timing.configure_max);
        let timer = Some(now + patience);
        Self { patience, timer, ..Self::restore(config, provider, State::Awaiting) }
    }

    /// One that had been accepted when the link was recorded.
    pub(crate) fn proved(config: &ClientConfig, provider: Arc<dyn Provider>) -> Self {
        Self::restore(config, provider, State::Proved)
    }

    fn restore(config: &ClientConfig, provider: Arc<dyn Provider>, state: State) -> Self {
        let mut config = config.clone();
        config.user.truncate(NAME_MAX);
        let (answers, effects) = (VecDeque::new(), Outbox::new());
        let patience = Duration::ZERO;
        Self { config, provider, state, answers, patience, timer: None, effects }
    }

    /// Whether the packet may be taken, and as what.
    pub(crate) fn admit(&self, packet: &Packet<'_>) -> Result<Accepted, Rejected> {
        let answers_us = self.answers.back().is_some_and(|last| last.id == packet.id);
        let input = match (packet.code, self.state) {
            (REQUEST, _) => return self.admit_request(packet),
            (SUCCESS | FAILURE, State::Awaiting | State::Proved) => {
                return Err(Rejected::OutOfState);
            }
            (SUCCESS | FAILURE, _) if !answers_us => return Err(Rejected::UnexpectedId),
            (SUCCESS, State::Verified) => Input::Success,
            (SUCCESS, State::Failed(_) | State::Responded(_)) => return Err(Rejected::OutOfState),
            (FAILURE, State::Failed(_) | State::Responded(_) | State::Verified) => Input::Refused,
            (_, _) => return Err(Rejected::UnexpectedCode),
        };
        Ok(Accepted { request: None, input })
    }

    fn admit_request(&self, packet: &Packet<'_>) -> Result<Accepted, Rejected> {
        // A repetition may be late: what it asks has been overtaken then, and is not to be done again.
        let known = |answered: &Answered| answered.id == packet.id && answered.data == packet.data;
        if let Some(index) = self.answers.iter().rposition(known) {
            return Ok(Accepted { request: None, input: Input::Repeat(index) });
        }
        let (kind, data) = message::typed(packet.data)?;
        let input = match kind {
            kind::IDENTITY => Input::Identity,
            kind::NOTIFICATION => Input::Notification,
            kind::NAK => return Err(Rejected::UnexpectedCode),
            kind::MSCHAPV2 => self.admit_mschapv2(Message::read(data)?)?,
            _ => Input::OtherMethod,
        };
        Ok(Accepted { request: Some((packet.id, packet.data.to_vec())), input })
    }

    fn admit_mschapv2(&self, message: Message<'_>) -> Result<Input, Rejected> {
        match (message, self.state) {
            (Message::Challenge { id, challenge }, _) => Ok(Input::Challenge { id, challenge }),
            (Message::Response { .. }, _) => Err(Rejected::UnexpectedCode),
            (Message::Success(text), State::Responded(expected)) => {
                let given = AuthenticatorResponse::from_message(text);
                Ok(if given == Some(expected) { Input::Verified } else { Input::Impostor })
            }
            (Message::Failure(text), State::Responded(_)) => {
                Ok(Input::Failed(MsChapV2Failure::read(text).code))
            }
            (
                Message::Failure(_) | Message::Success(_),
                State::Awaiting | State::Failed(_) | State::Proved | State::Verified,
            ) => Err(Rejected::OutOfState),
        }
    }

    /// Does what the admitted packet demands.
    pub(crate) fn commit(&mut self, accepted: Accepted, rng: &mut Rng, now: Instant) {
        let Accepted { request, input } = accepted;
        // The server is still there; the whole of it has the deadline of the link.
        self.timer = self.timer.map(|_| now + self.patience);
        let answer = match input {
            Input::Challenge { id, challenge } => match self.respond(id, &challenge, rng) {
                Some(data) => (kind::MSCHAPV2, data),
                None => return self.fail(DownReason::CryptoFailed),
            },
            Input::Failed(code) => {
                self.state = State::Failed(code);
                (kind::MSCHAPV2, FAILURE_NOTED.to_vec())
            }
            Input::Identity => (kind::IDENTITY, self.config.user.clone()),
            Input::Impostor => return self.fail(DownReason::PeerNotAuthentic),
            Input::Notification => (kind::NOTIFICATION, Vec::new()),
            Input::OtherMethod => (kind::NAK, alloc::vec![kind::MSCHAPV2]),
            Input::Repeat(index) => return self.send_answer(index),
            Input::Refused => {
                let code = match self.state {
                    State::Failed(code) => code,
                    State::Awaiting | State::Proved | State::Responded(_) | State::Verified => None,
                };
                return self.fail(DownReason::AuthRefusedByPeer(code));
            }
            Input::Success => {
                self.state = State::Proved;
                self.timer = None;
                return self.effects.push(Effect::Proved);
            }
            Input::Verified => {
                self.state = State::Verified;
                (kind::MSCHAPV2, SUCCESS_NOTED.to_vec())
            }
        };
        if let Some((id, data)) = request {
            let packet = message::write(RESPONSE, id, answer.0, &answer.1);
            if self.answers.len() >= ANSWERS_MAX {
                self.answers.pop_front();
            }
            self.answers.push_back(Answered { id, data, packet });
            self.send_answer(self.answers.len() - 1);
        }
    }

    /// Gives up, when it is time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_some_and(|at| at <= now) {
            let reason = match self.state {
                State::Failed(code) => DownReason::AuthRefusedByPeer(code),
                State::Awaiting | State::Proved | State::Responded(_) | State::Verified => {
                    DownReason::Timeout(Stage::Authenticate)
                }
            };
            self.fail(reason);
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When to call [`Peer::handle_timeout`].
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    /// The type data of our Response; none when it cannot be computed.
    fn respond(&mut self, id: u8, challenge: &[u8; 16], rng: &mut Rng) -> Option<Vec<u8>> {
        let (value, expected) =
            answer_mschapv2(&*self.provider, &self.config, id, challenge, rng).ok()?;
        self.state = State::Responded(expected);
        Some(message::response(id, &value, &self.config.user))
    }

    fn send_answer(&mut self, index: usize) {
        if let Some(answered) = self.answers.get(index) {
            self.effects.push(Effect::Send(answered.packet.clone()));
        }
    }

    fn fail(&mut self, reason: DownReason) {
        self.timer = None;
        self.effects.push(Effect::Failed(reason));
    }
}

/// Most Requests remembered, so that a late repetition is known as one.
pub(crate) const ANSWERS_MAX: usize = 8;
