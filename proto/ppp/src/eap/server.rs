//! The server's side of EAP: asks who is there, challenges, asks for a verdict, tells the peer.
//!
//! The peer is let in by its word that it believes our proof, and that word counts only after a verdict
//! that accepts: a Success that comes earlier answers no Request of ours and changes nothing.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use isthmus_core::{Instant, Outbox, Rng};

use super::message::{self, FAILURE, Message, REQUEST, RESPONSE, SUCCESS, kind};
use crate::action::{MsChapV2Proof, Proof, Refusal, Verdict};
use crate::auth_message::{MsChapV2Failure, MsChapV2Value, NAME_MAX, write_success};
use crate::authenticator::Effect;
use crate::config::{ServerConfig, Timing};
use crate::error::{DownReason, NegotiationFailure, Rejected, Stage};
use crate::ipcp::is_host;
use crate::packet::Packet;

/// Proof that a packet may change the state.
#[derive(Debug)]
pub(crate) struct Accepted(Input);

#[derive(Debug)]
enum Input {
    /// The peer knows that it is refused.
    FailureNoted,
    /// Who the peer says it is; what counts is the name in its Response.
    Identity,
    /// The peer's answer to our challenge.
    Login { user: Vec<u8>, proof: MsChapV2Proof },
    /// The peer wants another method, and we have no other.
    Nak,
    /// The peer's last word again: our Success was lost.
    Repeat,
    /// The peer believes that we know its password.
    SuccessNoted,
}

/// The machine.
pub(crate) struct Server {
    name: Vec<u8>,
    timing: Timing,
    state: State,
    /// The identifier of the outstanding Request.
    id: u8,
    /// That Request; at the end the Success.
    packet: Vec<u8>,
    timer: Option<Instant>,
    repeats_left: u8,
    effects: Outbox<Effect>,
}

#[derive(Debug)]
enum State {
    /// The verdict accepts; our proof is out.
    Accepted {
        address: Ipv4Addr,
        dns: Vec<Ipv4Addr>,
    },
    /// The verdict is out.
    Asked,
    Challenged {
        challenge: [u8; 16],
    },
    /// The peer is in.
    Granted,
    Identity,
    /// The verdict refuses; the peer is being told.
    Refused(DownReason),
}

impl core::fmt::Debug for Server {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EapServer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Server {
    /// Begins: asks who is there.
    pub(crate) fn new(config: &ServerConfig, timing: Timing, rng: &mut Rng, now: Instant) -> Self {
        let [id] = rng.array();
        let mut server = Self {
            name: config.name.get(..NAME_MAX).unwrap_or(&config.name).to_vec(),
            timing,
            state: State::Identity,
            id,
            packet: Vec::new(),
            timer: None,
            repeats_left: 0,
            effects: Outbox::new(),
        };
        server.request(State::Identity, kind::IDENTITY, |_| Vec::new(), now);
        server
    }

    /// Whether the packet may be taken, and as what.
    pub(crate) fn admit(&self, packet: &Packet<'_>) -> Result<Accepted, Rejected> {
        if packet.code != RESPONSE {
            return Err(Rejected::UnexpectedCode);
        }
        if packet.id != self.id {
            return Err(Rejected::UnexpectedId);
        }
        let (kind, data) = message::typed(packet.data)?;
        let input = match (&self.state, kind) {
            (State::Asked, _) => return Err(Rejected::AlreadyAsked),
            (State::Identity, kind::IDENTITY) => Input::Identity,
            (State::Challenged { .. }, kind::NAK) => Input::Nak,
            (State::Challenged { challenge }, kind::MSCHAPV2) => {
                login(challenge, Message::read(data)?)?
            }
            (State::Accepted { .. }, kind::MSCHAPV2) => match Message::read(data)? {
                Message::Success(_) => Input::SuccessNoted,
                Message::Challenge { .. } | Message::Failure(_) | Message::Response { .. } => {
                    return Err(Rejected::OutOfState);
                }
            },
            (State::Refused(_), kind::MSCHAPV2) => match Message::read(data)? {
                Message::Failure(_) => Input::FailureNoted,
                Message::Challenge { .. } | Message::Response { .. } | Message::Success(_) => {
                    return Err(Rejected::OutOfState);
                }
            },
            (State::Granted, kind::MSCHAPV2) => match Message::read(data)? {
                Message::Success(_) => Input::Repeat,
                Message::Challenge { .. } | Message::Failure(_) | Message::Response { .. } => {
                    return Err(Rejected::OutOfState);
                }
            },
            (
                State::Accepted { .. }
                | State::Challenged { .. }
                | State::Granted
                | State::Identity
                | State::Refused(_),
                _,
            ) => return Err(Rejected::OutOfState),
        };
        Ok(Accepted(input))
    }

    /// Does what the admitted packet demands.
    pub(crate) fn commit(&mut self, accepted: Accepted, rng: &mut Rng, now: Instant) {
        match accepted.0 {
            Input::FailureNoted => self.end_refused(),
            Input::Identity => {
                let challenge = rng.array();
                let name = self.name.clone();
                self.request(
                    State::Challenged { challenge },
                    kind::MSCHAPV2,
                    |id| message::challenge(id, &challenge, &name),
                    now,
                );
            }
            Input::Login { user, proof } => {
                self.state = State::Asked;
                self.timer = Some(now + self.timing.verdict);
                self.effects.push(Effect::Ask { user, proof: Proof::MsChapV2(proof) });
            }
            Input::Nak => {
                let failure = NegotiationFailure::AuthProtocol;
                self.state =
                    State::Refused(DownReason::NegotiationFailed(Stage::Authenticate, failure));
                self.end_refused();
            }
            Input::Repeat => self.repeat_answer(),
            Input::SuccessNoted => self.grant(),
        }
    }

    /// Whether the verdict is out.
    pub(crate) const fn is_asking(&self) -> bool {
        matches!(self.state, State::Asked)
    }

    /// Takes the verdict. The caller made sure that it belongs to this login.
    pub(crate) fn handle_verdict(&mut self, verdict: Verdict, now: Instant) {
        match verdict {
            // IPCP could not give such an address, so the peer had better know at once.
            Verdict::Accept { address, .. } if !is_host(address) => {
                self.refuse(Refusal::NoResources, now);
            }
            Verdict::Accept { address, dns, proof: Some(proof) } => {
                let text = write_success(&proof);
                let state = State::Accepted { address, dns };
                self.request(state, kind::MSCHAPV2, |id| message::success(id, &text), now);
            }
            Verdict::Accept { proof: None, .. } => self.refuse(Refusal::Unavailable, now),
            Verdict::Refuse { reason } => self.refuse(reason, now),
        }
    }

    /// Sends the Success once more, unasked: the peer may not have got it.
    pub(crate) fn repeat_answer(&mut self) {
        if matches!(self.state, State::Granted) {
            self.effects.push(Effect::Send(self.packet.clone()));
        }
    }

    /// Repeats the Request or gives up, when it is time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_none_or(|at| now < at) {
            return;
        }
        self.timer = None;
        match &self.state {
            State::Asked => {
                self.state = State::Refused(DownReason::Timeout(Stage::Verdict));
                self.end_refused();
            }
            State::Refused(_) if self.repeats_left == 0 => self.end_refused(),
            State::Accepted { .. } | State::Challenged { .. } | State::Identity
                if self.repeats_left == 0 =>
            {
                self.effects.push(Effect::Failed(DownReason::Timeout(Stage::Authenticate)));
            }
            State::Accepted { .. }
            | State::Challenged { .. }
            | State::Identity
            | State::Refused(_) => self.send(now),
            State::Granted => {}
        }
    }

    /// The next thing to do.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When to call [`Server::handle_timeout`].
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    /// Sends a new Request, whose data may depend on its identifier.
    fn request(&mut self, state: State, kind: u8, data: impl FnOnce(u8) -> Vec<u8>, now: Instant) {
        self.id = self.id.wrapping_add(1);
        self.packet = message::write(REQUEST, self.id, kind, &data(self.id));
        self.repeats_left = match &state {
            // Whoever is refused need not confirm it.
            State::Refused(_) => REFUSALS_MAX,
            State::Accepted { .. }
            | State::Asked
            | State::Challenged { .. }
            | State::Granted
            | State::Identity => self.timing.configure_max,
        };
        self.state = state;
        self.send(now);
    }

    fn send(&mut self, now: Instant) {
        self.repeats_left = self.repeats_left.saturating_sub(1);
        self.effects.push(Effect::Send(self.packet.clone()));
        self.timer = Some(now + self.timing.restart);
    }

    fn refuse(&mut self, reason: Refusal, now: Instant) {
        let failure = MsChapV2Failure { code: Some(reason.code()), retry: false, challenge: None };
        let text = failure.write();
        let state = State::Refused(DownReason::AuthRefused(reason));
        self.request(state, kind::MSCHAPV2, |id| message::failure(id, &text), now);
    }

    /// The last word to a peer that is refused.
    fn end_refused(&mut self) {
        self.timer = None;
        if let State::Refused(reason) = self.state {
            let packet = Packet { code: FAILURE, id: self.id, data: &[] };
            self.effects.push(Effect::Send(packet.write()));
            self.effects.push(Effect::Failed(reason));
        }
    }

    fn grant(&mut self) {
        self.timer = None;
        let state = core::mem::replace(&mut self.state, State::Granted);
        if let State::Accepted { address, dns } = state {
            self.packet = Packet { code: SUCCESS, id: self.id, data: &[] }.write();
            self.repeat_answer();
            self.effects.push(Effect::Granted { address, dns });
        }
    }
}

fn login(challenge: &[u8; 16], message: Message<'_>) -> Result<Input, Rejected> {
    let Message::Response { id, value, name } = message else {
        return Err(Rejected::OutOfState);
    };
    let MsChapV2Value { peer_challenge, nt_response, flags } = value;
    let auth_challenge = *challenge;
    let proof = MsChapV2Proof { id, auth_challenge, peer_challenge, nt_response, flags };
    Ok(Input::Login { user: name.to_vec(), proof })
}

/// How often a peer is told that it is refused, until it says that it knows.
const REFUSALS_MAX: u8 = 2;
