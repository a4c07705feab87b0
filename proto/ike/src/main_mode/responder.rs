//! Main mode as responder, messages 1 to 4. An attempt costs an embryo until message 3 proves that the
//! initiator receives what we send; an SA and one offloaded computation after that.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Key, Path};
use isthmus_crypto::{CryptoError, DhJob, DhOutput};

use super::KeyExchange;
use super::authentication::AwaitMm5;
use super::signature::request_certificates;
use crate::action::{Facts, Failure, FailureCause, Stage};
use crate::codec::{Chain, Cookies, Header, Message, Out, SaBody};
use crate::context::{Context, plain};
use crate::embryo::{self, Embryo};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::iana::{ExchangeType, PayloadType};
use crate::keys::Exchange;
use crate::nat::{self, Disguise, NatStatus};
use crate::proposal::{Authentication, ChosenIke, IkeProposal, OfferedIke, choose_ike};
use crate::sa::{Budget, IkeSa, Sent, State};
use crate::table::Initiation;
use crate::vendor::{VendorId, Vendors};

/// Message 2 was sent.
pub(crate) struct AwaitMm3 {
    proposal: IkeProposal,
    authentication: Authentication,
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

fn admit_mm1(
    ctx: &Context,
    ways: &[Authentication],
    message: &Message<'_>,
) -> Result<AcceptedMm1, Mm1Refusal> {
    let refuse = |error: isthmus_wire::DecodeError| Mm1Refusal::Rejected(error.into());
    let chain = Chain::read(message.header.first, message.body).map_err(refuse)?;
    let sa_i = chain.required(PayloadType::SA).map_err(refuse)?;
    let offer = SaBody::read(sa_i).map_err(refuse)?;
    let chosen = choose_ike(&offer, &ctx.config.ike, ctx.config.legacy, ways)
        .map_err(Mm1Refusal::NoProposal)?;
    Ok(AcceptedMm1 { chosen, sa_i: sa_i.to_vec(), vendors: Vendors::of(&chain) })
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
        if !self.is_new_attempt(path, message, now)? {
            return Ok(());
        }
        let psk = self.has_key_for(path).then_some(Authentication::Psk);
        let signatures = self.signatures_allowed(path).map(Authentication::Signature);
        let ways: Vec<_> = psk.into_iter().chain(signatures).collect();
        if ways.is_empty() {
            self.refuse_keyless((path, marked), message, now);
            return Err(Rejected::NoPsk);
        }
        match admit_mm1(&self.ctx, &ways, message) {
            Ok(accepted) => self.commit_mm1(accepted, (path, marked), message, now),
            Err(Mm1Refusal::Rejected(rejected)) => Err(rejected),
            Err(Mm1Refusal::NoProposal(offered)) => {
                Err(self.refuse_proposals(offered, (path, marked), message, now))
            }
        }
    }

    /// Message 2 goes out, and an embryo is all that stays.
    fn commit_mm1(
        &mut self,
        accepted: AcceptedMm1,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let (initiator, remote) = (message.header.cookies.initiator, path.remote);
        let digest = self.ctx.digest(message.bytes)?;
        let (provider, secret) = (&*self.ctx.provider, &self.ctx.cookie_secret);
        let responder = embryo::cookie(provider, secret, (initiator, remote, marked), &digest)?;
        let cookies = Cookies { initiator, responder };
        let AcceptedMm1 { chosen, sa_i, vendors } = accepted;
        let bytes = message2(cookies, &chosen, vendors);
        let known = self.embryos.of(Initiation::new(initiator, remote));
        let known = known.map(|embryo| (embryo.cookies, &mut embryo.budget));
        let mut fresh = Budget::default();
        let (repeated, budget) = match known {
            Some((other, _)) if other != cookies => return Err(Rejected::IncorrectState),
            Some((_, budget)) => (true, budget),
            None => (false, &mut fresh),
        };
        budget.earn(message.bytes.len());
        if !budget.spend(bytes.len()) {
            return Err(Rejected::AmplificationLimit);
        }
        if repeated {
            self.ctx.stats.replies_repeated += 1;
        } else {
            let (proposal, lifetime) = (chosen.proposal, chosen.lifetime);
            self.ctx.stats.half_open_evicted += self.embryos.add(Embryo {
                cookies,
                path,
                marked,
                proposal,
                authentication: chosen.authentication,
                lifetime,
                sa_i,
                vendors,
                budget: fresh,
                created: now,
            });
            self.touch(Owner::Embryos);
        }
        self.ctx.transmit(Sent { peer: None, path, marked, bytes });
        Ok(())
    }

    /// No message 3 came: our message 2 was lost on its way, or nobody had asked for it.
    pub(crate) fn embryos_expired(&mut self, now: Instant) {
        while let Some(Embryo { path, marked, vendors, .. }) = self.embryos.pop_expired(now) {
            self.ctx.stats.half_open_expired += 1;
            let (stage, cause) = (Stage::KeyExchange, FailureCause::Timeout);
            let facts = Facts { vendors, nat: None, marked };
            self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false, facts });
        }
    }

    /// Message 3 of an attempt of which only message 1 was known: its sender has our message 2, so it
    /// becomes an SA.
    pub(crate) fn main_mode_hatch(
        &mut self,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let cookies = message.header.cookies;
        let embryo = self.embryos.find(&cookies, path.remote).filter(|e| e.marked == marked);
        let proposal = embryo.ok_or(Rejected::UnknownCookies)?.proposal;
        if message.header.flags.is_encrypted() {
            return Err(Rejected::NotYetEncrypted);
        }
        KeyExchange::read(message, proposal)?;
        self.ctx.admit_job(path.remote.ip())?;
        self.make_room(path.remote.ip())?;
        let initiation = Initiation::new(cookies.initiator, path.remote);
        let embryo = self.embryos.take(initiation).ok_or(Rejected::UnknownCookies)?;
        self.touch(Owner::Embryos);
        let start = AwaitMm3 {
            proposal,
            authentication: embryo.authentication,
            lifetime: embryo.lifetime,
            sa_i: embryo.sa_i,
            vendors: embryo.vendors,
            bad_shares: 0,
        };
        let state = State::AwaitMm3(Box::new(start));
        let mut sa = IkeSa::answering(cookies, (path, marked), state, now);
        sa.vendors = embryo.vendors;
        sa.budget = embryo.budget;
        let key = self.add_half_open(sa)?;
        self.main_mode_third(key, (path, marked), message)
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
        let (group, peer) = (start.proposal.group, received.ke.clone());
        let job = DhJob::GenerateAndAgree { group, seed: self.ctx.rng.seed(), peer };
        self.ctx.offload_for(path.remote.ip(), key, job)?;
        let State::AwaitMm3(start) = sa.take_state() else { return Err(Rejected::IncorrectState) };
        sa.budget.earn(message.bytes.len());
        sa.window.received = Some(digest);
        sa.window.sent = None;
        sa.state = State::AgreeingAsResponder(Box::new(Agreeing { start: *start, received }));
        self.table.proven(sa.created, key);
        Ok(())
    }

    /// The job of message 3 is done: message 4.
    pub(crate) fn responder_agreed(
        &mut self,
        key: Key,
        state: Agreeing,
        result: Result<DhOutput, CryptoError>,
    ) {
        let (pair, shared) = match result.and_then(DhOutput::both) {
            Ok(made) => made,
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
        let about = (sa.path, sa.budget.left());
        let sent = message4(&self.ctx, &start, &exchange, about, &received.nat_d);
        let Ok((bytes, nat)) = sent else { return self.drop_sa(key) };
        let encap = nat.encap(self.ctx.config.force_encap && !received.nat_d.is_empty());
        sa.state = State::AwaitMm5(Box::new(AwaitMm5 {
            proposal: start.proposal,
            authentication: start.authentication,
            answered: None,
            lifetime: start.lifetime,
            sa_i: start.sa_i,
            vendors: start.vendors,
            exchange,
            nat,
            encap,
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
        let facts = sa.facts();
        if start.bad_shares == 1 {
            self.ctx.fail(Failure {
                peer: None,
                path,
                stage: Stage::KeyExchange,
                cause: FailureCause::BadKeyExchange(error),
                initiator: false,
                facts,
            });
        }
        sa.state = State::AwaitMm3(Box::new(start));
        if give_up {
            self.drop_sa(key);
        }
    }
}

/// Only what the initiator announced is announced back, so message 2 is never the longer one.
fn message2(cookies: Cookies, chosen: &ChosenIke, vendors: Vendors) -> Vec<u8> {
    let mut reply = Out::new().with(PayloadType::SA, chosen.reply.to_bytes());
    if let Some(dialect) = vendors.nat_t {
        reply.push(PayloadType::VENDOR_ID, dialect.vendor_id().bytes());
    }
    if vendors.dpd {
        reply.push(PayloadType::VENDOR_ID, VendorId::Dpd.bytes());
    }
    if let Some(announced) = vendors.fragmentation_reply() {
        reply.push(PayloadType::VENDOR_ID, announced);
    }
    plain(cookies, ExchangeType::IDENTITY_PROTECTION, 0, &reply)
}

fn message4(
    ctx: &Context,
    start: &AwaitMm3,
    exchange: &Exchange,
    (path, allowance): (Path, usize),
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
        let disguise = Disguise { force, source, number: None };
        let about = (dialect, hash);
        nat::announce(provider, about, &exchange.cookies, path, disguise, &mut reply)?;
    }
    if let (Authentication::Signature(_), Some(own)) =
        (start.authentication, &ctx.config.certificates)
    {
        let used = Header::LEN + reply.to_bytes().len();
        request_certificates(own, allowance.saturating_sub(used), &mut reply);
    }
    let about = ExchangeType::IDENTITY_PROTECTION;
    Ok((plain(exchange.cookies, about, 0, &reply), status))
}

/// Length of our nonce, or the peer's when that is shorter.
const NONCE_LEN: usize = 32;
const NONCE_LEN_MIN: usize = 16;
/// Most unusable key exchange values in one attempt.
pub const BAD_SHARES_MAX: u32 = 2;
