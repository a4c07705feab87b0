//! Aggressive mode as responder.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path, SecretBytes};
use isthmus_crypto::{CryptoError, DhJob, DhOutput};

use super::{Opening, State, detect_floated};
use crate::action::{Failure, FailureCause, Stage};
use crate::codec::{Chain, Cookies, Message, Notification, Out};
use crate::config::{Psk, PskId};
use crate::context::{Context, Digest, Job, plain};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::{ExchangeType, NotifyType, PayloadType};
use crate::identity::Identity;
use crate::keys::{Author, Candidate, Exchange, IkeKeys};
use crate::main_mode::authentication::MM5_TRIES_MAX;
use crate::nat::{self, Disguise, NatStatus};
use crate::peer::Authenticated;
use crate::proposal::{ChosenIke, IkeProposal, OfferedIke, choose_ike_with_share};
use crate::sa::{IkeSa, State as SaState};
use crate::vendor::{VendorId, Vendors};

/// Message 1 was received and is being worked on.
pub(crate) struct Agreeing {
    opening: Opening,
    chosen: ChosenIke,
    psk: Psk,
}

/// Message 2 was sent, or waits for its price.
pub(crate) struct AwaitAm3 {
    proposal: IkeProposal,
    lifetime: Duration,
    vendors: Vendors,
    psk: PskId,
    identity: Identity,
    keys: IkeKeys,
    /// What the initiator must prove.
    hash_i: SecretBytes,
    /// IV of message 3, if it is encrypted.
    iv: Vec<u8>,
    /// Messages 3 that the key did not fit.
    refused: Vec<Digest>,
}

/// Proof that message 1 is acceptable.
struct AcceptedAm1 {
    opening: Opening,
    chosen: ChosenIke,
    psk: Psk,
}

/// Proof that message 3 was made with the key.
struct AcceptedAm3 {
    /// Phase 2 IVs start from it.
    last_block: Vec<u8>,
    nat: NatStatus,
    initial_contact: bool,
}

/// Why message 1 is not acceptable.
enum Am1Refusal {
    Rejected(Rejected),
    NoProposal(Vec<OfferedIke>),
    UnknownGroup(Identity),
}

fn admit_am1(ctx: &Context, path: Path, message: &Message<'_>) -> Result<AcceptedAm1, Am1Refusal> {
    let refuse = |error: isthmus_wire::DecodeError| Am1Refusal::Rejected(error.into());
    let chain = Chain::read(message.header.first, message.body).map_err(refuse)?;
    let opening = Opening::read(&chain).map_err(Am1Refusal::Rejected)?;
    let Some(psk) = ctx.config.psk_of(&opening.identity, path.remote.ip()) else {
        return Err(Am1Refusal::UnknownGroup(opening.identity));
    };
    let (ours, legacy) = (&ctx.config.ike, ctx.config.legacy);
    let chosen = choose_ike_with_share(&opening.sa, ours, legacy, opening.ke.len())
        .map_err(Am1Refusal::NoProposal)?;
    Ok(AcceptedAm1 { psk: psk.clone(), opening, chosen })
}

impl AwaitAm3 {
    fn admit(
        &self,
        ctx: &Context,
        cookies: &Cookies,
        path: Path,
        message: &Message<'_>,
    ) -> Result<AcceptedAm3, Rejected> {
        let (provider, first) = (&*ctx.provider, message.header.first);
        // racoon sends message 3 in clear, strongSwan and libreswan encrypt it; RFC 2409 allows both.
        let (plain, last_block) = if message.header.flags.is_encrypted() {
            self.keys.open(provider, &self.iv, message)?
        } else {
            (message.body.to_vec(), self.iv.clone())
        };
        let chain = if message.header.flags.is_encrypted() {
            Chain::read_decrypted(first, &plain).map_err(|_| Rejected::Undecryptable)?
        } else {
            Chain::read(first, &plain)?
        };
        if !self.hash_i.ct_eq(chain.required(PayloadType::HASH)?) {
            return Err(Rejected::HashMismatch);
        }
        let nat_d = nat::received(&chain);
        let nat = match self.vendors.nat_t {
            Some(_) => detect_floated(provider, self.proposal.hash, cookies, path, &nat_d)?,
            None => NatStatus::default(),
        };
        let initial_contact = Notification::is_initial_contact(&chain);
        Ok(AcceptedAm3 { last_block, nat, initial_contact })
    }
}

impl Endpoint {
    /// Message 1: the responder cookie is zero.
    pub(crate) fn aggressive_first(
        &mut self,
        path: Path,
        marked: bool,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        if !self.ctx.config.serves_aggressive_mode() {
            return Err(Rejected::ExchangeUnsupported(ExchangeType::AGGRESSIVE));
        }
        if !self.is_new_attempt(path, message, now)? {
            return Ok(());
        }
        match admit_am1(&self.ctx, path, message) {
            Ok(accepted) => self.commit_am1(accepted, (path, marked), message, now),
            Err(Am1Refusal::Rejected(rejected)) => Err(rejected),
            Err(Am1Refusal::UnknownGroup(identity)) => {
                let cause = FailureCause::UnknownGroup(identity);
                let kind = NotifyType::INVALID_ID_INFORMATION;
                self.refuse_first((kind, cause), (path, marked), message, now);
                Err(Rejected::NoPsk)
            }
            Err(Am1Refusal::NoProposal(offered)) => {
                Err(self.refuse_proposals(offered, (path, marked), message, now))
            }
        }
    }

    fn commit_am1(
        &mut self,
        accepted: AcceptedAm1,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        if self.ctx.unproven_jobs() >= UNPROVEN_JOBS_MAX {
            return Err(Rejected::JobLimit);
        }
        self.make_room(path.remote.ip())?;
        let cookies =
            Cookies { initiator: message.header.cookies.initiator, responder: self.ctx.cookie() };
        let AcceptedAm1 { opening, chosen, psk } = accepted;
        let job = DhJob::GenerateAndAgree {
            group: chosen.proposal.group,
            seed: self.ctx.rng.seed(),
            peer: opening.ke.clone(),
        };
        let vendors = opening.vendors;
        let state = State::Agreeing(Box::new(Agreeing { opening, chosen, psk }));
        let state = SaState::Aggressive(state);
        let mut sa = IkeSa::answering(cookies, (path, marked), state, now);
        sa.vendors = vendors;
        sa.window.received = Some(self.ctx.digest(message.bytes)?);
        sa.budget.earn(message.bytes.len());
        let key = self.add_half_open(sa)?;
        self.ctx.offload(Job::Unproven(key), job);
        Ok(())
    }

    /// The job of message 1 is done: message 2.
    pub(crate) fn aggressive_agreed(
        &mut self,
        key: Key,
        state: &Agreeing,
        result: Result<DhOutput, CryptoError>,
    ) {
        let (pair, shared) = match result.and_then(DhOutput::both) {
            Ok(made) => made,
            Err(error) => return self.refuse_share(key, error),
        };
        let Some(sa) = self.sas.get(key) else { return };
        let mut exchange = Exchange {
            cookies: sa.cookies,
            ke_i: state.opening.ke.clone(),
            ke_r: pair.public,
            nonce_i: state.opening.nonce.clone(),
            nonce_r: Vec::new(),
            shared,
        };
        let mut nonce_r = self.ctx.nonce(NONCE_LEN);
        let (path, allowance) = (sa.path, sa.budget.left());
        let mut made = None;
        // What is optional goes when message 2 would be longer than message 1.
        for (nonce_len, announced) in
            [(NONCE_LEN, 2), (NONCE_LEN, 1), (NONCE_LEN, 0), (NONCE_LEN_MIN, 0)]
        {
            nonce_r.truncate(nonce_len);
            exchange.nonce_r.clone_from(&nonce_r);
            let message = message2(&self.ctx, state, &exchange, path, announced);
            let fits = message.as_ref().is_ok_and(|(bytes, _)| bytes.len() <= allowance);
            made = message.ok();
            if fits {
                break;
            }
        }
        let Some((bytes, next)) = made else { return self.drop_sa(key) };
        let Some(sa) = self.sas.get_mut(key) else { return };
        sa.state = SaState::Aggressive(State::AwaitAm3(Box::new(next)));
        // A reply beyond the budget stays unsent; the repeated message 1 pays for it.
        let _ = sa.send(&mut self.ctx, bytes);
    }

    /// The share is unusable, and so is the attempt. Nothing is said: the source may be forged.
    fn refuse_share(&mut self, key: Key, error: CryptoError) {
        let Some(sa) = self.sas.get(key) else { return };
        let (path, stage, facts) = (sa.path, Stage::KeyExchange, sa.facts());
        let cause = FailureCause::BadKeyExchange(error);
        self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false, facts });
        self.drop_sa(key);
    }

    /// Message 3.
    pub(super) fn aggressive_third(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        digest: Digest,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let cookies = sa.cookies;
        let SaState::Aggressive(State::AwaitAm3(state)) = &mut sa.state else {
            return Err(Rejected::IncorrectState);
        };
        if state.refused.contains(&digest) {
            return Err(Rejected::Duplicate);
        }
        if state.refused.len() >= MM5_TRIES_MAX {
            return Err(Rejected::Spent);
        }
        match state.admit(&self.ctx, &cookies, path, message) {
            Ok(accepted) => self.commit_am3(key, &accepted, digest, (path, marked), now),
            Err(rejected @ (Rejected::Undecryptable | Rejected::HashMismatch)) => {
                let first = state.refused.is_empty();
                state.refused.push(digest);
                sa.budget.earn(message.bytes.len());
                sa.hint = None;
                if first {
                    self.refuse_authentication(key, (path, marked), FailureCause::WrongPsk);
                }
                Err(rejected)
            }
            Err(rejected) => Err(rejected),
        }
    }

    fn commit_am3(
        &mut self,
        key: Key,
        accepted: &AcceptedAm3,
        digest: Digest,
        (path, marked): (Path, bool),
        now: Instant,
    ) -> Result<(), Rejected> {
        let forced = self.ctx.config.force_encap;
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let SaState::Aggressive(State::AwaitAm3(state)) = &sa.state else {
            return Err(Rejected::IncorrectState);
        };
        // A peer that stays on port 500 cannot be sent UDP-encapsulated ESP.
        let encap = if marked { accepted.nat.encap(forced) } else { Encap::Esp };
        let who = Authenticated {
            identity: state.identity.clone(),
            psk: state.psk,
            vendors: state.vendors,
            nat: accepted.nat,
            encap,
            proposal: state.proposal,
            initial_contact: accepted.initial_contact,
            keys: state.keys.clone(),
            last_block: accepted.last_block.clone(),
            lifetime: state.lifetime,
            path,
            marked,
        };
        sa.window.received = Some(digest);
        sa.window.sent = None;
        self.establish(key, who, now)?;
        self.announce_peer(key, now);
        Ok(())
    }

    /// Quick mode begins, but message 3 was never seen: message 2 again makes the initiator repeat it.
    pub(crate) fn miss_third(&mut self, key: Key, message: &Message<'_>) -> Rejected {
        if let Some(sa) = self.sas.get_mut(key) {
            sa.budget.earn(message.bytes.len());
            if sa.resend(&mut self.ctx) {
                self.ctx.stats.replies_repeated += 1;
            }
        }
        Rejected::IncorrectState
    }
}

/// Message 2, and what comes after it. Of what we can do besides it announces only the first few.
fn message2(
    ctx: &Context,
    state: &Agreeing,
    exchange: &Exchange,
    path: Path,
    announced: usize,
) -> Result<(Vec<u8>, AwaitAm3), CryptoError> {
    let Agreeing { opening, chosen, psk } = state;
    let (provider, proposal) = (&*ctx.provider, chosen.proposal);
    let candidate = Candidate::derive(provider, proposal, &psk.secret, exchange)?;
    let own_id = ctx.config.local_id.clone();
    let own_id = own_id.unwrap_or_else(|| Identity::address(path.local.ip())).to_body();
    let hash = |author, id: &[u8]| {
        candidate.phase1_hash(provider, exchange, author, &opening.sa_bytes, id)
    };
    let hash_r = hash(Author::Responder, &own_id)?;
    let hash_i = hash(Author::Initiator, &opening.id_bytes)?;
    let mut reply = Out::new()
        .with(PayloadType::SA, chosen.reply.to_bytes())
        .with(PayloadType::KE, exchange.ke_r.as_slice())
        .with(PayloadType::NONCE, exchange.nonce_r.as_slice())
        .with(PayloadType::ID, own_id)
        .with(PayloadType::HASH, hash_r.expose());
    if let Some(dialect) = opening.vendors.nat_t {
        reply.push(PayloadType::VENDOR_ID, dialect.vendor_id().bytes());
    }
    let dpd = opening.vendors.dpd.then_some(VendorId::Dpd.bytes());
    let known = [opening.vendors.fragmentation_reply(), dpd].into_iter().flatten();
    for vendor in known.take(announced) {
        reply.push(PayloadType::VENDOR_ID, vendor);
    }
    if let Some(dialect) = opening.vendors.nat_t {
        let disguise = Disguise { force: ctx.config.force_encap, ..Disguise::default() };
        let about = (dialect, proposal.hash);
        nat::announce(provider, about, &exchange.cookies, path, disguise, &mut reply)?;
    }
    let bytes = plain(exchange.cookies, ExchangeType::AGGRESSIVE, 0, &reply);
    let next = AwaitAm3 {
        proposal,
        lifetime: chosen.lifetime,
        vendors: opening.vendors,
        psk: psk.id,
        identity: opening.identity.clone(),
        hash_i,
        iv: candidate.first_iv(provider, exchange)?,
        keys: candidate.keys,
        refused: Vec::new(),
    };
    Ok((bytes, next))
}

impl AwaitAm3 {
    /// Whether a message 3 was refused already, and reported.
    pub(crate) const fn was_refused(&self) -> bool {
        !self.refused.is_empty()
    }
}

const NONCE_LEN: usize = 32;
const NONCE_LEN_MIN: usize = 16;
/// Most computations at once for first messages whose source address may be forged.
pub const UNPROVEN_JOBS_MAX: usize = 32;
