//! Main mode as initiator, messages 1 to 4.

mod authentication;
mod hint;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Key, Path};
use isthmus_crypto::{CryptoError, DhJob, DhKeyPair, DhOutput, DhPrivate};
use isthmus_wire::DecodeError;

pub(crate) use self::authentication::AwaitMm6;
pub use self::hint::HINT_GRACE;
use super::KeyExchange;
use crate::action::{FailureCause, PeerId};
use crate::codec::{Chain, Cookies, Message, Out, SaBody};
use crate::config::Connect;
use crate::context::{Job, plain};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::iana::{ExchangeType, PayloadType};
use crate::offer::{self, offer, vendors};
use crate::proposal::{Authentication, IkeProposal, choose_ike};
use crate::sa::{IkeSa, SaTimer, State};
use crate::vendor::{NatT, Vendors};

/// Message 1 was sent.
pub(crate) struct AwaitMm2 {
    pub(crate) connect: Arc<Connect>,
    offered: Vec<IkeProposal>,
    authentication: Authentication,
    /// Our SA body; both hashes cover it.
    pub(crate) sa_i: Vec<u8>,
    /// The attempt replaces an older IKE SA, so it is no first contact.
    pub(crate) rekey: bool,
}

/// Message 2 was received; a key pair is being made.
pub(crate) struct Generating {
    start: AwaitMm2,
    proposal: IkeProposal,
    lifetime: Duration,
    dialect: Option<NatT>,
}

/// Message 3 was sent.
pub(crate) struct AwaitMm4 {
    chosen: Generating,
    private: DhPrivate,
    ke_i: Vec<u8>,
    nonce_i: Vec<u8>,
}

/// Message 4 was received; the secret is being agreed.
pub(crate) struct Agreeing {
    previous: AwaitMm4,
    received: KeyExchange,
}

/// Proof that message 2 chooses what was offered.
struct AcceptedMm2 {
    proposal: IkeProposal,
    lifetime: Duration,
    vendors: Vendors,
}

impl AwaitMm2 {
    fn admit(&self, message: &Message<'_>) -> Result<AcceptedMm2, Rejected> {
        let chain = Chain::read(message.header.first, message.body)?;
        let reply = SaBody::read(chain.required(PayloadType::SA)?)?;
        let one = reply.proposals.len() == 1
            && reply.proposals.iter().all(|proposal| proposal.transforms.len() == 1);
        if !one {
            return Err(DecodeError::illegal("number of transforms").into());
        }
        let chosen = choose_ike(&reply, &self.offered, true, &[self.authentication])
            .map_err(|_| Rejected::NoProposalChosen)?;
        Ok(AcceptedMm2 {
            proposal: chosen.proposal,
            lifetime: chosen.lifetime,
            vendors: Vendors::of(&chain),
        })
    }
}

impl Endpoint {
    /// Message 1, over `path`.
    pub(crate) fn initiate(
        &mut self,
        peer: PeerId,
        connect: Arc<Connect>,
        from: (Path, bool),
        rekey: bool,
        now: Instant,
    ) -> Result<Key, Rejected> {
        if connect.aggressive {
            return self.initiate_aggressive(peer, connect, from, rekey, now);
        }
        let certificates = self.ctx.config.certificates.as_ref();
        let own = certificates.and_then(|certificates| certificates.own.first());
        let authentication = match own.filter(|_| connect.certificate) {
            Some(own) => Authentication::Signature(own.signer.kind()),
            None if connect.certificate => return Err(Rejected::NoPsk),
            None => Authentication::Psk,
        };
        let (offered, sa_i) = offer(&self.ctx.config, authentication, false)?;
        let cookies = Cookies { initiator: self.ctx.cookie(), responder: [0; 8] };
        let mut chain = Out::new().with(PayloadType::SA, sa_i.as_slice());
        for vendor in vendors(&self.ctx.config.habits.phase1, rekey) {
            chain.push(PayloadType::VENDOR_ID, vendor);
        }
        let bytes = plain(cookies, ExchangeType::IDENTITY_PROTECTION, 0, &chain);
        let state = AwaitMm2 { connect, offered, authentication, sa_i, rekey };
        let state = State::AwaitMm2(Box::new(state));
        let key = self.add_outgoing(IkeSa::asking(cookies, from, peer, state, now))?;
        self.request(key, bytes, now)?;
        Ok(key)
    }

    /// Sends a phase 1 request and arms its repetition.
    pub(crate) fn request(
        &mut self,
        key: Key,
        bytes: Vec<u8>,
        now: Instant,
    ) -> Result<(), Rejected> {
        self.with_sa(key, |sa, ctx| {
            sa.send(ctx, bytes)?;
            if let Some(wait) = sa.window.wait_of(&ctx.config.habits.phase1.retransmit) {
                sa.timers.set(SaTimer::Retransmit, now + wait);
            }
            Ok(())
        })?;
        self.touch(Owner::Sa(key));
        Ok(())
    }

    /// Message 2.
    pub(crate) fn main_mode_second(
        &mut self,
        key: Key,
        message: &Message<'_>,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let State::AwaitMm2(state) = &sa.state else { return Err(Rejected::IncorrectState) };
        if message.header.cookies.is_initial() {
            return Err(Rejected::UnknownCookies);
        }
        let accepted = state.admit(message)?;
        let State::AwaitMm2(start) = sa.take_state() else { return Err(Rejected::IncorrectState) };
        sa.window.received = Some(digest);
        sa.vendors = accepted.vendors;
        sa.cookies = message.header.cookies;
        sa.hint = None;
        sa.timers.clear(SaTimer::Retransmit);
        sa.timers.clear(SaTimer::GiveUp);
        let AcceptedMm2 { proposal, lifetime, vendors } = accepted;
        let dialect = vendors.nat_t;
        let next = Generating { start: *start, proposal, lifetime, dialect };
        sa.state = State::Generating(Box::new(next));
        let cookies = sa.cookies;
        self.table.answered(cookies, key);
        let job = DhJob::Generate { group: proposal.group, seed: self.ctx.rng.seed() };
        self.ctx.offload(Job::MainMode(key), job);
        self.touch(Owner::Sa(key));
        Ok(())
    }

    /// The key pair is there: message 3.
    pub(crate) fn initiator_generated(
        &mut self,
        key: Key,
        state: Generating,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let DhKeyPair { private, public } = match result.and_then(DhOutput::key_pair) {
            Ok(pair) => pair,
            Err(error) => return self.give_up(key, FailureCause::BadKeyExchange(error), now),
        };
        let Some(sa) = self.sas.get_mut(key) else { return };
        let nonce_i = self.ctx.nonce(NONCE_LEN);
        let mut chain = Out::new()
            .with(PayloadType::KE, public.as_slice())
            .with(PayloadType::NONCE, nonce_i.as_slice());
        if let Some(dialect) = state.dialect {
            let about = (dialect, state.proposal.hash);
            let said = offer::nat_detection(&self.ctx, about, &sa.cookies, sa.path, &mut chain);
            if let Err(error) = said {
                return self.give_up(key, FailureCause::BadKeyExchange(error), now);
            }
        }
        if let (Authentication::Signature(_), Some(own)) =
            (state.start.authentication, &self.ctx.config.certificates)
        {
            super::signature::request_certificates(own, usize::MAX, &mut chain);
        }
        let bytes = plain(sa.cookies, ExchangeType::IDENTITY_PROTECTION, 0, &chain);
        let next = AwaitMm4 { chosen: state, private, ke_i: public, nonce_i };
        sa.state = State::AwaitMm4(Box::new(next));
        // An initiator has no budget, so this cannot be refused.
        let _ = self.request(key, bytes, now);
    }

    /// Message 4.
    pub(crate) fn main_mode_fourth(
        &mut self,
        key: Key,
        message: &Message<'_>,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let State::AwaitMm4(state) = &sa.state else { return Err(Rejected::IncorrectState) };
        let received = KeyExchange::read(message, state.chosen.proposal)?;
        let State::AwaitMm4(state) = sa.take_state() else { return Err(Rejected::IncorrectState) };
        sa.window.received = Some(digest);
        sa.hint = None;
        sa.timers.clear(SaTimer::Retransmit);
        sa.timers.clear(SaTimer::GiveUp);
        let job = DhJob::Agree {
            group: state.chosen.proposal.group,
            private: state.private.clone(),
            peer: received.ke.clone(),
        };
        let next = Agreeing { previous: *state, received };
        sa.state = State::AgreeingAsInitiator(Box::new(next));
        self.ctx.offload(Job::MainMode(key), job);
        self.touch(Owner::Sa(key));
        Ok(())
    }

    /// The secret is agreed: message 5.
    pub(crate) fn initiator_agreed(
        &mut self,
        key: Key,
        state: Agreeing,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let shared = match result.and_then(DhOutput::shared) {
            Ok(shared) => shared,
            Err(error) => return self.bad_answer(key, state.previous, error, now),
        };
        let Some(sa) = self.sas.get(key) else { return };
        match AwaitMm6::derive(&self.ctx, sa, state, shared) {
            Ok(next) => self.prove(key, next, now),
            Err(error) => self.give_up(key, FailureCause::BadKeyExchange(error), now),
        }
    }

    /// The share of message 4 is unusable; the true message 4 may still come.
    fn bad_answer(&mut self, key: Key, state: AwaitMm4, error: CryptoError, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        sa.state = State::AwaitMm4(Box::new(state));
        sa.window.received = None;
        self.hint(key, FailureCause::BadKeyExchange(error), now);
    }
}

const NONCE_LEN: usize = 32;
