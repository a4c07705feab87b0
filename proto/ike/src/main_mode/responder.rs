//! Main mode as responder. An attempt costs one slot of a bounded table until message 3 proves that
//! the initiator receives what we send, and one offloaded computation after that.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path, Timers};
use isthmus_crypto::{CryptoError, DhJob, DhOutput};

use super::{Identification, KeyExchange};
use crate::action::{Failure, FailureCause, Stage};
use crate::codec::{Chain, Cookies, Message, Out, SaBody};
use crate::config::{PSK_CANDIDATES_MAX, Psk, PskId};
use crate::context::{Context, Digest, Job, plain, plain_notification};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::{ExchangeType, NotifyType, PayloadType};
use crate::identity::Identity;
use crate::keys::{Author, Candidate, Exchange, IkeKeys};
use crate::nat::{self, Disguise, NatStatus};
use crate::peer::Authenticated;
use crate::proposal::{ChosenIke, IkeProposal, OfferedIke, choose_ike};
use crate::sa::{Budget, IkeSa, Role, SaTimer, State, Window};
use crate::table::{HALF_OPEN_LIFETIME, Initiation};
use crate::vendor::{VendorId, Vendors};

/// Message 2 was sent.
pub(crate) struct AwaitMm3 {
    proposal: IkeProposal,
    lifetime: Duration,
    /// The initiator's SA body as received; `HASH_I` covers it.
    sa_i: Vec<u8>,
    vendors: Vendors,
    /// Key exchange values that turned out bad.
    bad_shares: u32,
}

/// Message 3 was received and is being worked on.
pub(crate) struct Agreeing {
    start: AwaitMm3,
    received: KeyExchange,
}

/// Message 4 was sent.
pub(crate) struct AwaitMm5 {
    proposal: IkeProposal,
    lifetime: Duration,
    sa_i: Vec<u8>,
    vendors: Vendors,
    exchange: Exchange,
    nat: NatStatus,
    /// ESP travels in UDP.
    encap: Encap,
    /// Messages 5 that no key fitted.
    refused: Vec<Digest>,
}

/// Proof that message 1 is acceptable.
struct AcceptedMm1 {
    chosen: ChosenIke,
    sa_i: Vec<u8>,
    vendors: Vendors,
}

/// Why message 1 is not.
enum Mm1Refusal {
    Rejected(Rejected),
    NoProposal(Vec<OfferedIke>),
}

/// Proof that message 5 was made with one of our keys.
struct AcceptedMm5 {
    keys: IkeKeys,
    /// IV of message 6.
    iv: Vec<u8>,
    psk: PskId,
    identity: Identity,
    initial_contact: bool,
    own_id: Vec<u8>,
    hash_r: Vec<u8>,
}

fn admit_mm1(ctx: &Context, message: &Message<'_>) -> Result<AcceptedMm1, Mm1Refusal> {
    let refuse = |error: isthmus_wire::DecodeError| Mm1Refusal::Rejected(error.into());
    let chain = Chain::read(message.header.first, message.body).map_err(refuse)?;
    let sa_i = chain.required(PayloadType::SA).map_err(refuse)?;
    let offer = SaBody::read(sa_i).map_err(refuse)?;
    let mut vendors = Vendors::default();
    chain.all(PayloadType::VENDOR_ID).for_each(|body| vendors.note(body));
    let chosen =
        choose_ike(&offer, &ctx.config.ike, ctx.config.legacy).map_err(Mm1Refusal::NoProposal)?;
    Ok(AcceptedMm1 { chosen, sa_i: sa_i.to_vec(), vendors })
}

impl AwaitMm5 {
    /// Whether a message 5 was refused already, and reported.
    pub(crate) const fn was_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Tries the keys that may fit. The error tells of the last key that decrypted, or else that none
    /// did.
    fn admit(
        &self,
        ctx: &Context,
        connected: &[Psk],
        path: Path,
        message: &Message<'_>,
    ) -> Result<AcceptedMm5, (Rejected, FailureCause)> {
        let mut error = (Rejected::Undecryptable, FailureCause::WrongPsk);
        let configured = ctx.config.candidates(path.remote.ip());
        for psk in connected.iter().chain(configured).take(PSK_CANDIDATES_MAX) {
            match self.try_key(ctx, path, message, psk) {
                Ok(accepted) if !psk.allows(&accepted.identity) => {
                    let cause = FailureCause::IdentityNotAllowed(accepted.identity);
                    error = (Rejected::HashMismatch, cause);
                }
                Ok(accepted) => return Ok(accepted),
                Err(Rejected::HashMismatch) => {
                    error = (Rejected::HashMismatch, FailureCause::AuthenticationFailed);
                }
                Err(_) => {}
            }
        }
        Err(error)
    }

    fn try_key(
        &self,
        ctx: &Context,
        path: Path,
        message: &Message<'_>,
        psk: &Psk,
    ) -> Result<AcceptedMm5, Rejected> {
        let provider = &*ctx.provider;
        let candidate = Candidate::derive(provider, self.proposal, &psk.secret, &self.exchange)?;
        let iv = candidate.first_iv(provider, &self.exchange)?;
        let (plain, iv) = candidate.keys.open(provider, &iv, message)?;
        let content = Identification::read(message.header.first, &plain)?;
        let hash = |author, id: &[u8]| {
            candidate.phase1_hash(provider, &self.exchange, author, &self.sa_i, id)
        };
        if !hash(Author::Initiator, &content.id_bytes)?.ct_eq(&content.hash) {
            return Err(Rejected::HashMismatch);
        }
        let own_id = own_identity(ctx, path).to_body();
        let hash_r = hash(Author::Responder, &own_id)?.expose().to_vec();
        Ok(AcceptedMm5 {
            keys: candidate.keys,
            iv,
            psk: psk.id,
            identity: Identity::from_body(content.id),
            initial_contact: content.initial_contact || self.vendors.microsoft_initial_contact,
            own_id,
            hash_r,
        })
    }
}

fn own_identity(ctx: &Context, path: Path) -> Identity {
    ctx.config.local_id.clone().unwrap_or_else(|| Identity::address(path.local.ip()))
}

impl Endpoint {
    /// Message 1: the responder cookie is zero.
    pub(crate) fn main_mode_first(
        &mut self,
        path: Path,
        marked: bool,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let initiation = Initiation::new(message.header.cookies.initiator, path.remote);
        if let Some(key) = self.table.initiation(initiation) {
            return self.duplicate_or(key, message, Rejected::IncorrectState);
        }
        if self.table.is_spent(initiation, now) {
            return Err(Rejected::Spent);
        }
        if message.header.flags.is_encrypted() {
            return Err(Rejected::NotYetEncrypted);
        }
        if !self.has_key_for(path) {
            self.refuse_keyless(path, initiation, now);
            return Err(Rejected::NoPsk);
        }
        match admit_mm1(&self.ctx, message) {
            Ok(accepted) => self.commit_mm1(accepted, (path, marked), message, now),
            Err(Mm1Refusal::Rejected(rejected)) => Err(rejected),
            Err(Mm1Refusal::NoProposal(offered)) => {
                self.refuse_mm1(offered, (path, marked), message, now);
                Err(Rejected::NoProposalChosen)
            }
        }
    }

    /// Whether any key could fit a peer at this address. A client has keys for its servers only.
    fn has_key_for(&self, path: Path) -> bool {
        self.ctx.config.candidates(path.remote.ip()).next().is_some()
            || !self.connected_psks(path).is_empty()
    }

    /// Reports once, and says nothing: an attempt without a key cannot come to anything.
    fn refuse_keyless(&mut self, path: Path, initiation: Initiation, now: Instant) {
        self.table.spend(initiation, now);
        if self.ctx.config.psks.is_empty() {
            return;
        }
        let stage = Stage::Proposal;
        let cause = FailureCause::IdentityNotAllowed(Identity::address(path.remote.ip()));
        self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false });
    }

    fn refuse_mm1(
        &mut self,
        offered: Vec<OfferedIke>,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) {
        let initiator = message.header.cookies.initiator;
        self.table.spend(Initiation::new(initiator, path.remote), now);
        let cookies = Cookies { initiator, responder: self.ctx.cookie() };
        let id = self.ctx.message_id();
        let reply = plain_notification(cookies, id, NotifyType::NO_PROPOSAL_CHOSEN);
        if reply.len() <= message.bytes.len() {
            self.ctx.transmit(path, marked, reply);
        }
        let legacy = self.ctx.config.legacy;
        let ours = &self.ctx.config.ike;
        let ours = ours.iter().copied().filter(|p| legacy || !p.is_legacy()).collect();
        let cause = FailureCause::NoIkeProposal { offered, ours };
        let stage = Stage::Proposal;
        self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false });
    }

    fn commit_mm1(
        &mut self,
        accepted: AcceptedMm1,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        self.make_room(path.remote.ip())?;
        let cookies =
            Cookies { initiator: message.header.cookies.initiator, responder: self.ctx.cookie() };
        let AcceptedMm1 { chosen, sa_i, vendors } = accepted;
        // Only what the initiator announced is announced back, so message 2 is never the longer one.
        let mut reply = Out::new().with(PayloadType::SA, chosen.reply.to_bytes());
        if let Some(dialect) = vendors.nat_t {
            reply.push(PayloadType::VENDOR_ID, dialect.vendor_id().bytes());
        }
        if vendors.dpd {
            reply.push(PayloadType::VENDOR_ID, VendorId::Dpd.bytes());
        }
        let bytes = plain(cookies, ExchangeType::IDENTITY_PROTECTION, 0, &reply);
        let mut budget = Budget::default();
        budget.earn(message.bytes.len());
        let received = Some(self.ctx.digest(message.bytes)?);
        let mut timers = Timers::new();
        timers.set(SaTimer::HalfOpen, now + HALF_OPEN_LIFETIME);
        let sa = IkeSa {
            cookies,
            role: Role::Responder,
            path,
            marked,
            origin: path.remote,
            created: now,
            state: State::AwaitMm3(Box::new(AwaitMm3 {
                proposal: chosen.proposal,
                lifetime: chosen.lifetime,
                sa_i,
                vendors,
                bad_shares: 0,
            })),
            peer: None,
            vendors,
            window: Window { received, ..Window::default() },
            budget,
            timers,
            hint: None,
        };
        let key = self.add_half_open(sa)?;
        self.with_sa(key, |sa, ctx| sa.send(ctx, bytes))
    }

    /// Message 3.
    pub(crate) fn main_mode_third(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let State::AwaitMm3(start) = &sa.state else { return Err(Rejected::IncorrectState) };
        // Nothing is authenticated yet, so the exchange stays where it began.
        if path.remote != sa.path.remote || marked != sa.marked {
            return Err(Rejected::IncorrectState);
        }
        let received = KeyExchange::read(message, start.proposal)?;
        let State::AwaitMm3(start) = sa.take_state() else { return Err(Rejected::IncorrectState) };
        sa.budget.earn(message.bytes.len());
        sa.window.received = Some(digest);
        sa.window.sent = None;
        let job = DhJob::GenerateAndAgree {
            group: start.proposal.group,
            seed: self.ctx.rng.seed(),
            peer: received.ke.clone(),
        };
        sa.state = State::AgreeingAsResponder(Box::new(Agreeing { start: *start, received }));
        self.table.proven(sa.created, key);
        self.ctx.offload(Job::MainMode(key), job);
        Ok(())
    }

    /// The job of message 3 is done: message 4.
    pub(crate) fn responder_agreed(
        &mut self,
        key: Key,
        state: Agreeing,
        result: Result<DhOutput, CryptoError>,
    ) {
        let (pair, shared) = match result {
            Ok(DhOutput::Both(pair, shared)) => (pair, shared),
            Ok(DhOutput::KeyPair(_) | DhOutput::Shared(_)) => {
                return self.bad_share(key, state, CryptoError::Unsupported);
            }
            Err(error) => return self.bad_share(key, state, error),
        };
        let Some(sa) = self.sas.get_mut(key) else { return };
        let Agreeing { start, received } = state;
        let nonce_r = self.ctx.nonce(received.nonce.len().clamp(NONCE_LEN_MIN, NONCE_LEN));
        let exchange = Exchange {
            cookies: sa.cookies,
            ke_i: received.ke,
            ke_r: pair.public,
            nonce_i: received.nonce,
            nonce_r,
            shared,
        };
        let sent = message4(&self.ctx, &start, &exchange, sa.path, &received.nat_d);
        let Ok((bytes, nat)) = sent else { return self.drop_sa(key) };
        let udp = nat.any() || (self.ctx.config.force_encap && !received.nat_d.is_empty());
        sa.state = State::AwaitMm5(Box::new(AwaitMm5 {
            proposal: start.proposal,
            lifetime: start.lifetime,
            sa_i: start.sa_i,
            vendors: start.vendors,
            exchange,
            nat,
            encap: if udp { Encap::Udp } else { Encap::Esp },
            refused: Vec::new(),
        }));
        // A reply beyond the budget stays unsent; the repeated message 3 pays for it.
        let _ = sa.send(&mut self.ctx, bytes);
    }

    /// A share that cannot be used says nothing about the next message 3, which may be the true one.
    fn bad_share(&mut self, key: Key, state: Agreeing, error: CryptoError) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        let mut start = state.start;
        start.bad_shares += 1;
        let (path, give_up) = (sa.path, start.bad_shares >= BAD_SHARES_MAX);
        if start.bad_shares == 1 {
            self.ctx.fail(Failure {
                peer: None,
                path,
                stage: Stage::KeyExchange,
                cause: FailureCause::BadKeyExchange(error),
                initiator: false,
            });
        }
        sa.state = State::AwaitMm3(Box::new(start));
        if give_up {
            self.drop_sa(key);
        }
    }

    /// Message 5.
    pub(crate) fn main_mode_fifth(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let connected = self.connected_psks(path);
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let State::AwaitMm5(state) = &mut sa.state else { return Err(Rejected::IncorrectState) };
        if !message.header.flags.is_encrypted() {
            return Err(Rejected::Plain);
        }
        if state.refused.contains(&digest) {
            return Err(Rejected::Duplicate);
        }
        if state.refused.len() >= MM5_TRIES_MAX {
            return Err(Rejected::Spent);
        }
        match state.admit(&self.ctx, &connected, path, message) {
            Ok(accepted) => self.commit_mm5(key, accepted, digest, (path, marked), now),
            Err((rejected, cause)) => {
                let first = state.refused.is_empty();
                state.refused.push(digest);
                sa.budget.earn(message.bytes.len());
                if first {
                    self.refuse_mm5(key, (path, marked), cause);
                }
                Err(rejected)
            }
        }
    }

    /// Keys of servers that we are connected to at this address: a server may rekey its IKE SA.
    fn connected_psks(&self, path: Path) -> Vec<Psk> {
        let peers = self.table.peers_at(path.remote).filter_map(|id| self.peers.get(id.0));
        let connects = peers.filter_map(|peer| peer.connect.as_ref());
        connects
            .map(|connect| Psk { id: PskId(0), secret: connect.psk.clone(), remote: None })
            .collect()
    }

    /// Says once that authentication failed. The SA stays: the message may have been forged.
    fn refuse_mm5(&mut self, key: Key, (path, marked): (Path, bool), cause: FailureCause) {
        let id = self.ctx.message_id();
        let Some(sa) = self.sas.get_mut(key) else { return };
        let kind = NotifyType::AUTHENTICATION_FAILED;
        let bytes = plain_notification(sa.cookies, id, kind);
        if sa.budget.spend(bytes.len()) {
            self.ctx.transmit(path, marked, bytes);
        }
        let stage = Stage::Authentication;
        self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false });
    }

    fn commit_mm5(
        &mut self,
        key: Key,
        accepted: AcceptedMm5,
        digest: Digest,
        (path, marked): (Path, bool),
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let State::AwaitMm5(state) = &sa.state else { return Err(Rejected::IncorrectState) };
        let reply = Out::new()
            .with(PayloadType::ID, accepted.own_id)
            .with(PayloadType::HASH, accepted.hash_r);
        let about = (sa.cookies, ExchangeType::IDENTITY_PROTECTION, 0);
        let (bytes, last_block) =
            accepted.keys.seal(&*self.ctx.provider, &accepted.iv, about, &reply)?;
        let who = Authenticated {
            identity: accepted.identity,
            psk: accepted.psk,
            vendors: state.vendors,
            nat: state.nat,
            // A peer that stays on port 500 cannot be sent UDP-encapsulated ESP.
            encap: if marked { state.encap } else { Encap::Esp },
            proposal: state.proposal,
            initial_contact: accepted.initial_contact,
            keys: accepted.keys,
            last_block,
            lifetime: state.lifetime,
            path,
            marked,
        };
        self.establish(key, who, now)?;
        let sent = self.with_sa(key, |sa, ctx| {
            sa.window.received = Some(digest);
            sa.send(ctx, bytes)
        });
        self.announce_peer(key, now);
        sent
    }
}

fn message4(
    ctx: &Context,
    start: &AwaitMm3,
    exchange: &Exchange,
    path: Path,
    nat_d: &[Vec<u8>],
) -> Result<(Vec<u8>, NatStatus), CryptoError> {
    let (provider, hash) = (&*ctx.provider, start.proposal.hash);
    let mut reply = Out::new()
        .with(PayloadType::KE, exchange.ke_r.as_slice())
        .with(PayloadType::NONCE, exchange.nonce_r.as_slice());
    let mut status = NatStatus::default();
    if let Some(dialect) = start.vendors.nat_t.filter(|_| !nat_d.is_empty()) {
        status = nat::detect(provider, hash, &exchange.cookies, path, nat_d)?;
        let mask = ctx.config.mask_nat && status.local;
        // Behind a NAT ourselves, the peer must still use UDP although it will not see our NAT.
        let force = ctx.config.force_encap || (mask && !status.remote);
        let source = nat_d.first().filter(|_| mask).map(Vec::as_slice);
        let disguise = Disguise { force, source };
        let about = (dialect, hash);
        nat::announce(provider, about, &exchange.cookies, path, disguise, &mut reply)?;
    }
    let about = ExchangeType::IDENTITY_PROTECTION;
    Ok((plain(exchange.cookies, about, 0, &reply), status))
}

/// Length of our nonce, or the peer's when that is shorter.
const NONCE_LEN: usize = 32;
const NONCE_LEN_MIN: usize = 16;
/// Most messages 5 tried in one attempt.
pub const MM5_TRIES_MAX: usize = 3;
/// Most unusable key exchange values in one attempt.
pub const BAD_SHARES_MAX: u32 = 2;
