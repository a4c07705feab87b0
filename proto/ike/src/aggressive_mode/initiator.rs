//! Aggressive mode as initiator.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Instant, Key, Path};
use isthmus_crypto::{CryptoError, DhJob, DhKeyPair, DhOutput, DhPrivate};
use isthmus_wire::DecodeError;

use super::{Opening, State};
use crate::action::{FailureCause, PeerId};
use crate::codec::{Chain, Cookies, Message, Out};
use crate::config::{Connect, PskId};
use crate::context::{Context, Digest, Job, plain, plain_notification};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::iana::{ExchangeType, NotifyType, PayloadType};
use crate::identity::Identity;
use crate::keys::{Author, Candidate, Exchange};
use crate::nat::{self, NatStatus};
use crate::offer::{self, offer, vendors};
use crate::peer::Authenticated;
use crate::proposal::{Authentication, ChosenIke, IkeProposal, choose_ike};
use crate::sa::{IkeSa, SaTimer, Sent, State as SaState};

/// A key pair is being made; message 1 is not sent yet.
pub(crate) struct Generating {
    connect: Arc<Connect>,
    /// All of one group: its share goes out with message 1.
    offered: Vec<IkeProposal>,
    /// Our SA body; both hashes cover it.
    sa_i: Vec<u8>,
    /// The attempt replaces an older IKE SA, so it is no first contact.
    rekey: bool,
}

/// Message 1 was sent.
pub(crate) struct AwaitAm2 {
    start: Generating,
    private: DhPrivate,
    ke_i: Vec<u8>,
    nonce_i: Vec<u8>,
    id_i: Vec<u8>,
}

/// Message 2 was received; the secret is being agreed that its hash is made with.
pub(crate) struct Agreeing {
    previous: AwaitAm2,
    received: Answer,
}

/// The content of message 2; nothing proves it yet.
struct Answer {
    cookies: Cookies,
    opening: Opening,
    chosen: ChosenIke,
    hash: Vec<u8>,
    nat_d: Vec<Vec<u8>>,
}

/// Proof that message 2 was made with our key.
struct AcceptedAm2 {
    exchange: Exchange,
    candidate: Candidate,
    nat: NatStatus,
}

impl AwaitAm2 {
    fn read(&self, message: &Message<'_>) -> Result<Answer, Rejected> {
        let chain = Chain::read(message.header.first, message.body)?;
        let opening = Opening::read(&chain)?;
        let one = opening.sa.proposals.len() == 1
            && opening.sa.proposals.iter().all(|proposal| proposal.transforms.len() == 1);
        if !one {
            return Err(DecodeError::illegal("number of transforms").into());
        }
        let chosen = choose_ike(&opening.sa, &self.start.offered, true, &[Authentication::Psk])
            .map_err(|_| Rejected::NoProposalChosen)?;
        if opening.ke.len() != chosen.proposal.group.public_len() {
            return Err(DecodeError::illegal("KE").into());
        }
        Ok(Answer {
            cookies: message.header.cookies,
            hash: chain.required(PayloadType::HASH)?.to_vec(),
            nat_d: nat::received(&chain),
            opening,
            chosen,
        })
    }
}

impl Agreeing {
    fn admit(
        &self,
        ctx: &Context,
        path: Path,
        shared: isthmus_core::SecretBytes,
    ) -> Result<AcceptedAm2, Rejected> {
        let (provider, previous, received) = (&*ctx.provider, &self.previous, &self.received);
        let exchange = Exchange {
            cookies: received.cookies,
            ke_i: previous.ke_i.clone(),
            ke_r: received.opening.ke.clone(),
            nonce_i: previous.nonce_i.clone(),
            nonce_r: received.opening.nonce.clone(),
            shared,
        };
        let (proposal, psk) = (received.chosen.proposal, &previous.start.connect.psk);
        let candidate = Candidate::derive(provider, proposal, psk, &exchange)?;
        let (sa_i, id_r) = (&previous.start.sa_i, &received.opening.id_bytes);
        let hash = candidate.phase1_hash(provider, &exchange, Author::Responder, sa_i, id_r)?;
        if !hash.ct_eq(&received.hash) {
            return Err(Rejected::HashMismatch);
        }
        let (hash, nat_d) = (proposal.hash, &received.nat_d);
        let nat = match received.opening.vendors.nat_t {
            Some(_) => nat::detect(provider, hash, &received.cookies, path, nat_d)?,
            None => NatStatus::default(),
        };
        Ok(AcceptedAm2 { exchange, candidate, nat })
    }
}

impl Endpoint {
    /// Prepares message 1 over `path`. Every proposal offered has the group of the first.
    pub(crate) fn initiate_aggressive(
        &mut self,
        peer: PeerId,
        connect: Arc<Connect>,
        from: (Path, bool),
        rekey: bool,
        now: Instant,
    ) -> Result<Key, Rejected> {
        let (offered, sa_i) = offer(&self.ctx.config, Authentication::Psk, true)?;
        let group = offered.first().ok_or(Rejected::NoProposalChosen)?.group;
        let cookies = Cookies { initiator: self.ctx.cookie(), responder: [0; 8] };
        let state = State::Generating(Box::new(Generating { connect, offered, sa_i, rekey }));
        let sa = IkeSa::asking(cookies, from, peer, SaState::Aggressive(state), now);
        let key = self.add_outgoing(sa)?;
        let job = DhJob::Generate { group, seed: self.ctx.rng.seed() };
        self.ctx.offload(Job::MainMode(key), job);
        Ok(key)
    }

    /// The key pair is there: message 1.
    pub(super) fn aggressive_generated(
        &mut self,
        key: Key,
        start: Generating,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let DhKeyPair { private, public } = match result.and_then(DhOutput::key_pair) {
            Ok(pair) => pair,
            Err(error) => return self.give_up(key, FailureCause::BadKeyExchange(error), now),
        };
        let Some(sa) = self.sas.get_mut(key) else { return };
        let nonce_i = self.ctx.nonce(NONCE_LEN);
        let id = start.connect.local_id.clone().or_else(|| self.ctx.config.local_id.clone());
        let id_i = id.unwrap_or_else(|| Identity::address(sa.path.local.ip())).to_body();
        let mut chain = Out::new()
            .with(PayloadType::SA, start.sa_i.as_slice())
            .with(PayloadType::KE, public.as_slice())
            .with(PayloadType::NONCE, nonce_i.as_slice())
            .with(PayloadType::ID, id_i.as_slice());
        for vendor in vendors(&self.ctx.config.habits.phase1, start.rekey) {
            chain.push(PayloadType::VENDOR_ID, vendor);
        }
        let bytes = plain(sa.cookies, ExchangeType::AGGRESSIVE, 0, &chain);
        let next = AwaitAm2 { start, private, ke_i: public, nonce_i, id_i };
        sa.state = SaState::Aggressive(State::AwaitAm2(Box::new(next)));
        // An initiator has no budget, so this cannot be refused.
        let _ = self.request(key, bytes, now);
    }

    /// Message 2.
    pub(super) fn aggressive_second(
        &mut self,
        key: Key,
        message: &Message<'_>,
        digest: Digest,
    ) -> Result<(), Rejected> {
        if message.header.cookies.is_initial() {
            return Err(Rejected::UnknownCookies);
        }
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let SaState::Aggressive(State::AwaitAm2(state)) = &sa.state else {
            return Err(Rejected::IncorrectState);
        };
        let received = state.read(message)?;
        let SaState::Aggressive(State::AwaitAm2(previous)) = sa.take_state() else {
            return Err(Rejected::IncorrectState);
        };
        sa.window.received = Some(digest);
        sa.timers.clear(SaTimer::Retransmit);
        let job = DhJob::Agree {
            group: received.chosen.proposal.group,
            private: previous.private.clone(),
            peer: received.opening.ke.clone(),
        };
        let next = Agreeing { previous: *previous, received };
        sa.state = SaState::Aggressive(State::Verifying(Box::new(next)));
        self.ctx.offload(Job::MainMode(key), job);
        self.touch(Owner::Sa(key));
        Ok(())
    }

    /// The secret is agreed, and with it message 2 can be judged: message 3.
    pub(super) fn aggressive_verified(
        &mut self,
        key: Key,
        state: Agreeing,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let shared = match result.and_then(DhOutput::shared) {
            Ok(shared) => shared,
            Err(error) => {
                return self.disbelieve(key, state, FailureCause::BadKeyExchange(error), now);
            }
        };
        let Some(sa) = self.sas.get(key) else { return };
        let Ok(accepted) = state.admit(&self.ctx, sa.path, shared) else {
            return self.disbelieve(key, state, FailureCause::WrongPsk, now);
        };
        let identity = &state.received.opening.identity;
        let wanted = state.previous.start.connect.remote_id.as_ref();
        if wanted.is_some_and(|wanted| wanted != identity) {
            let cause = FailureCause::IdentityNotAllowed(identity.clone());
            return self.give_up(key, cause, now);
        }
        if self.commit_am2(key, &state, accepted, now).is_err() {
            let error = CryptoError::Unsupported;
            self.give_up(key, FailureCause::BadKeyExchange(error), now);
        }
    }

    /// Message 2 is not from anybody with our key. The true one may still come; the other side is told,
    /// because its own log is the one that an operator reads.
    fn disbelieve(&mut self, key: Key, state: Agreeing, cause: FailureCause, now: Instant) {
        let cookies = state.received.cookies;
        let id = self.ctx.message_id();
        let Some(sa) = self.sas.get_mut(key) else { return };
        sa.state = SaState::Aggressive(State::AwaitAm2(Box::new(state.previous)));
        sa.window.received = None;
        if sa.hint.is_none() {
            let bytes = plain_notification(cookies, id, NotifyType::AUTHENTICATION_FAILED);
            self.ctx.transmit(Sent { peer: None, path: sa.path, marked: sa.marked, bytes });
        }
        self.hint(key, cause, now);
    }

    fn commit_am2(
        &mut self,
        key: Key,
        state: &Agreeing,
        accepted: AcceptedAm2,
        now: Instant,
    ) -> Result<(), Rejected> {
        let start = &state.previous.start;
        let AcceptedAm2 { exchange, candidate, nat } = accepted;
        let forced = self.ctx.config.force_encap && !state.received.nat_d.is_empty();
        let encap = nat.encap(forced);
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        sa.float(encap, &start.connect);
        sa.cookies = exchange.cookies;
        let (path, marked) = (sa.path, sa.marked);
        self.table.answered(exchange.cookies, key);
        let (bytes, last_block) = message3(&self.ctx, path, state, &exchange, &candidate)?;
        let who = Authenticated {
            identity: state.received.opening.identity.clone(),
            psk: PskId(0),
            vendors: state.received.opening.vendors,
            nat,
            encap,
            proposal: state.received.chosen.proposal,
            initial_contact: false,
            keys: candidate.keys,
            last_block,
            lifetime: state.received.chosen.lifetime.min(self.ctx.config.ike_lifetime),
            path,
            marked,
        };
        let rekey = start.rekey;
        self.establish(key, who, now)?;
        self.request(key, bytes, now)?;
        self.announce_peer(key, now);
        if !rekey && let Some(peer) = self.sas.get(key).and_then(|sa| sa.peer) {
            self.start_quick_mode(peer, None, now)?;
        }
        Ok(())
    }

    /// Nothing answers message 3, so it is said again a few times unless quick mode shows that it came.
    pub(crate) fn repeat_third(&mut self, key: Key, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        sa.window.tries += 1;
        let wait = sa.window.backoff().filter(|_| sa.window.tries < AM3_REPEATS_MAX);
        if sa.window.sent.is_some() {
            self.ctx.stats.requests_repeated += 1;
            sa.resend(&mut self.ctx);
        }
        match wait {
            Some(wait) => sa.timers.set(SaTimer::Retransmit, now + wait),
            None => sa.window.sent = None,
        }
    }

    /// The peer goes on, so it has message 3.
    pub(crate) fn third_arrived(&mut self, key: Key) {
        if let Some(sa) = self.sas.get_mut(key)
            && sa.role == crate::sa::Role::Initiator
        {
            sa.window.sent = None;
            sa.timers.clear(SaTimer::Retransmit);
        }
    }
}

/// Message 3, and the block that phase 2 IVs start from.
fn message3(
    ctx: &Context,
    path: Path,
    state: &Agreeing,
    exchange: &Exchange,
    candidate: &Candidate,
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let (provider, start) = (&*ctx.provider, &state.previous.start);
    let id = &state.previous.id_i;
    let hash = candidate.phase1_hash(provider, exchange, Author::Initiator, &start.sa_i, id)?;
    let mut chain = Out::new().with(PayloadType::HASH, hash.expose());
    if let Some(dialect) = state.received.opening.vendors.nat_t {
        let about = (dialect, state.received.chosen.proposal.hash);
        offer::nat_detection(ctx, about, &exchange.cookies, path, &mut chain)?;
    }
    let habits = &ctx.config.habits.phase1;
    offer::first_contact(habits, start.rekey, &exchange.cookies, &mut chain);
    let iv = candidate.first_iv(provider, exchange)?;
    let about = (exchange.cookies, ExchangeType::AGGRESSIVE, 0);
    candidate.keys.seal(provider, &iv, about, &chain)
}

const NONCE_LEN: usize = 32;
/// How often message 3 is said again.
pub const AM3_REPEATS_MAX: u32 = 4;
