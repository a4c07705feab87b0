//! Main mode as initiator.
//!
//! Errors that arrive in clear prove nothing, so they never end an attempt at once. They are kept as
//! a hint: when no true answer follows within a short grace, the hint becomes the reported cause.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path, Timers};
use isthmus_crypto::{CryptoError, DhJob, DhKeyPair, DhOutput, DhPrivate};
use isthmus_wire::DecodeError;

use super::{Identification, KeyExchange};
use crate::action::{FailureCause, PeerId};
use crate::codec::{Chain, Cookies, Message, Notification, Out, SaBody};
use crate::config::{Config, Connect, PskId};
use crate::context::{Context, Digest, Job, plain};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::habits::{InitialContact, Phase1Habits};
use crate::iana::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use crate::identity::Identity;
use crate::keys::{Author, Candidate, Exchange};
use crate::nat::{self, Disguise, NatStatus};
use crate::peer::Authenticated;
use crate::proposal::{Authentication, IkeProposal, OfferedIke, choose_ike};
use crate::sa::{Budget, IkeSa, Role, SaTimer, State, Window};
use crate::table::HALF_OPEN_LIFETIME;
use crate::vendor::{NatT, VendorId, Vendors};

/// Message 1 was sent.
pub(crate) struct AwaitMm2 {
    pub(super) connect: Arc<Connect>,
    offered: Vec<IkeProposal>,
    authentication: Authentication,
    /// Our SA body; both hashes cover it.
    pub(super) sa_i: Vec<u8>,
    /// The attempt replaces an older IKE SA, so it is no first contact.
    pub(super) rekey: bool,
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

/// Message 5 was sent.
pub(crate) struct AwaitMm6 {
    pub(super) start: AwaitMm2,
    pub(super) proposal: IkeProposal,
    pub(super) lifetime: Duration,
    pub(super) exchange: Exchange,
    pub(super) candidate: Candidate,
    pub(super) nat: NatStatus,
    pub(super) encap: Encap,
    /// IV of message 6; of message 5 while that is being signed.
    pub(super) iv: Vec<u8>,
}

/// Proof that message 2 chooses what was offered.
struct AcceptedMm2 {
    proposal: IkeProposal,
    lifetime: Duration,
    vendors: Vendors,
}

/// Proof that message 6 was made with our key.
struct AcceptedMm6 {
    identity: Identity,
    last_block: Vec<u8>,
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

impl AwaitMm6 {
    fn admit(&self, ctx: &Context, message: &Message<'_>) -> Result<AcceptedMm6, Rejected> {
        if !message.header.flags.is_encrypted() {
            return Err(Rejected::Plain);
        }
        let provider = &*ctx.provider;
        let (plain, last_block) = self.candidate.keys.open(provider, &self.iv, message)?;
        let content = Identification::read(message.header.first, &plain)
            .map_err(|_| Rejected::Undecryptable)?;
        let (author, sa_i) = (Author::Responder, self.start.sa_i.as_slice());
        let hash = self.candidate.phase1_hash(
            provider,
            &self.exchange,
            author,
            sa_i,
            &content.id_bytes,
        )?;
        if !hash.ct_eq(&content.hash) {
            return Err(Rejected::HashMismatch);
        }
        Ok(AcceptedMm6 { identity: Identity::from_body(content.id), last_block })
    }
}

impl Endpoint {
    /// Message 1, over `path`.
    pub(crate) fn initiate(
        &mut self,
        peer: PeerId,
        connect: Arc<Connect>,
        (path, marked): (Path, bool),
        rekey: bool,
        now: Instant,
    ) -> Result<Key, Rejected> {
        if connect.aggressive {
            return self.initiate_aggressive(peer, connect, (path, marked), rekey, now);
        }
        let certificates = self.ctx.config.certificates.as_ref();
        let authentication = match certificates.filter(|_| connect.certificate) {
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
        let mut timers = Timers::new();
        timers.set(SaTimer::HalfOpen, now + HALF_OPEN_LIFETIME);
        let state = AwaitMm2 { connect, offered, authentication, sa_i, rekey };
        let sa = IkeSa {
            cookies,
            role: Role::Initiator,
            path,
            marked,
            origin: path.remote,
            created: now,
            state: State::AwaitMm2(Box::new(state)),
            peer: Some(peer),
            vendors: Vendors::default(),
            window: Window::default(),
            budget: Budget::default(),
            timers,
            hint: None,
        };
        let key = self.add_outgoing(sa)?;
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
            let disguise =
                Disguise { number: self.ctx.config.habits.phase1.nat_d, ..Disguise::default() };
            let about = (dialect, state.proposal.hash);
            let provider = &*self.ctx.provider;
            let mut path = sa.path;
            if self.ctx.config.force_encap {
                // A source port that is not ours: the server takes us to be behind a NAT.
                path.local.set_port(path.local.port().wrapping_add(1));
            }
            let announced = nat::announce(provider, about, &sa.cookies, path, disguise, &mut chain);
            if let Err(error) = announced {
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
        let Some(sa) = self.sas.get_mut(key) else { return };
        if let Authentication::Signature(_) = state.previous.chosen.start.authentication {
            return match signed_next(&self.ctx, sa, state, shared) {
                Ok(next) => self.sign_fifth(key, next, now),
                Err(error) => self.give_up(key, FailureCause::BadKeyExchange(error), now),
            };
        }
        let (bytes, next) = match message5(&self.ctx, sa, state, shared) {
            Ok(made) => made,
            Err(error) => return self.give_up(key, FailureCause::BadKeyExchange(error), now),
        };
        if next.encap == Encap::Udp && !sa.marked {
            sa.path = next.start.connect.nat_t;
            sa.marked = true;
        }
        sa.state = State::AwaitMm6(Box::new(next));
        // An initiator has no budget, so this cannot be refused.
        let _ = self.request(key, bytes, now);
    }

    /// The share of message 4 is unusable; the true message 4 may still come.
    fn bad_answer(&mut self, key: Key, state: AwaitMm4, error: CryptoError, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        sa.state = State::AwaitMm4(Box::new(state));
        sa.window.received = None;
        self.hint(key, FailureCause::BadKeyExchange(error), now);
    }

    /// Message 6.
    pub(crate) fn main_mode_sixth(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let State::AwaitMm6(state) = &sa.state else { return Err(Rejected::IncorrectState) };
        if let Authentication::Signature(kind) = state.start.authentication {
            let result = self.signed_sixth(key, kind, (path, marked), message, digest);
            if result == Err(Rejected::Undecryptable) {
                self.hint(key, FailureCause::AuthenticationFailed, now);
            }
            return result;
        }
        match state.admit(&self.ctx, message) {
            Ok(accepted) => self.commit_mm6(key, accepted, digest, (path, marked), now),
            Err(rejected) => {
                if rejected == Rejected::Undecryptable {
                    self.hint(key, FailureCause::WrongPsk, now);
                }
                Err(rejected)
            }
        }
    }

    fn commit_mm6(
        &mut self,
        key: Key,
        accepted: AcceptedMm6,
        digest: Digest,
        (path, marked): (Path, bool),
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let State::AwaitMm6(state) = &sa.state else { return Err(Rejected::IncorrectState) };
        let wanted = state.start.connect.remote_id.as_ref();
        if wanted.is_some_and(|wanted| *wanted != accepted.identity) {
            let cause = FailureCause::IdentityNotAllowed(accepted.identity);
            self.give_up(key, cause, now);
            return Err(Rejected::HashMismatch);
        }
        sa.window.received = Some(digest);
        sa.window.sent = None;
        let who = Authenticated {
            identity: accepted.identity,
            psk: PskId(0),
            vendors: sa.vendors,
            nat: state.nat,
            encap: state.encap,
            proposal: state.proposal,
            initial_contact: false,
            keys: state.candidate.keys.clone(),
            last_block: accepted.last_block,
            lifetime: state.lifetime.min(self.ctx.config.ike_lifetime),
            path,
            marked,
        };
        let rekey = state.start.rekey;
        self.establish(key, who, now)?;
        self.announce_peer(key, now);
        if !rekey && let Some(peer) = self.sas.get(key).and_then(|sa| sa.peer) {
            self.start_quick_mode(peer, None, now)?;
        }
        Ok(())
    }

    /// An error notification in clear, or an encrypted one that keys do not fit, during main mode.
    pub(crate) fn unproven_notification(
        &mut self,
        key: Key,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let waits_for_6 = matches!(sa.state, State::AwaitMm6(_));
        let signed = matches!(
            &sa.state,
            State::AwaitMm6(state) if state.start.authentication != Authentication::Psk
        );
        if sa.awaits_am3() {
            return self.disbelieved(key, message);
        }
        if message.header.flags.is_encrypted() {
            // strongSwan reports PAYLOAD-MALFORMED under its own keys, which are not ours when the
            // pre-shared keys differ.
            if waits_for_6 {
                let cause = if signed {
                    FailureCause::AuthenticationFailed
                } else {
                    FailureCause::WrongPsk
                };
                self.hint(key, cause, now);
            }
            return Err(Rejected::NotYetEncrypted);
        }
        let chain = Chain::read(message.header.first, message.body)?;
        let body = chain.required(PayloadType::NOTIFICATION)?;
        let kind = Notification::read(body)?.kind;
        self.ctx.stats.plain_notifications += 1;
        if sa.role == Role::Initiator && kind.is_error() {
            let cause = match kind {
                NotifyType::AUTHENTICATION_FAILED
                | NotifyType::INVALID_HASH_INFORMATION
                | NotifyType::PAYLOAD_MALFORMED
                    if waits_for_6 && !signed =>
                {
                    FailureCause::WrongPsk
                }
                _ => FailureCause::PeerNotify(kind),
            };
            self.hint(key, cause, now);
        }
        Err(Rejected::Plain)
    }

    /// Anything but message 3 after message 2 of aggressive mode says that our hash was not believed:
    /// in clear, or under keys that differ. Reported when the attempt ends without a message 3.
    fn disbelieved(&mut self, key: Key, message: &Message<'_>) -> Result<(), Rejected> {
        if !message.header.flags.is_encrypted() {
            let chain = Chain::read(message.header.first, message.body)?;
            let kind = Notification::read(chain.required(PayloadType::NOTIFICATION)?)?.kind;
            self.ctx.stats.plain_notifications += 1;
            if !kind.is_error() {
                return Err(Rejected::Plain);
            }
        }
        if let Some(sa) = self.sas.get_mut(key) {
            sa.hint = Some(FailureCause::WrongPsk);
        }
        Err(Rejected::Plain)
    }

    /// Keeps a likely cause; it is reported unless the exchange goes on within the grace.
    pub(crate) fn hint(&mut self, key: Key, cause: FailureCause, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        if sa.hint.is_none() {
            sa.hint = Some(cause);
            sa.timers.set(SaTimer::GiveUp, now + HINT_GRACE);
            self.touch(Owner::Sa(key));
        }
    }
}

/// What we offer: the proposals that the peer may choose, and the SA body that says so. Aggressive mode
/// sends a share along, so its transforms have `one_group`, that of the first.
pub(crate) fn offer(
    config: &Config,
    authentication: Authentication,
    one_group: bool,
) -> Result<(Vec<IkeProposal>, Vec<u8>), Rejected> {
    let habits = &config.habits.phase1;
    let transforms = match &habits.transforms {
        Some(transforms) => transforms.clone(),
        None => config.ike.iter().map(|proposal| proposal.offered_as()).collect(),
    };
    let allowed = |p: &IkeProposal| config.legacy || !p.is_legacy();
    let signed = authentication != Authentication::Psk;
    let method = |transform: OfferedIke| OfferedIke {
        authentication: if signed { authentication.method() } else { transform.authentication },
        ..transform
    };
    // A transform that we cannot do is offered when it is a habit; choosing it is the peer's mistake.
    let known = |t: &OfferedIke| t.algorithms().is_some_and(|proposal| allowed(&proposal));
    let group = transforms.iter().find(|t| known(t)).map(|t| t.group).filter(|_| one_group);
    let transforms: Vec<OfferedIke> = transforms
        .into_iter()
        .filter(|transform| group.is_none_or(|group| transform.group == group))
        .filter(|transform| transform.algorithms().is_none_or(|proposal| allowed(&proposal)))
        .map(method)
        .take(crate::proposal::OFFERS_MAX)
        .collect();
    let chosen = |t: &&OfferedIke| t.authentication == authentication.method();
    let offered: Vec<_> =
        transforms.iter().filter(chosen).filter_map(OfferedIke::algorithms).collect();
    if offered.is_empty() {
        return Err(Rejected::NoProposalChosen);
    }
    let body = OfferedIke::offer(&transforms, config.ike_lifetime, habits.wide_lifetimes);
    Ok((offered, body.to_bytes()))
}

/// The vendor ids of message 1, in order.
pub(crate) fn vendors(habits: &Phase1Habits, rekey: bool) -> Vec<Vec<u8>> {
    let says_first = habits.initial_contact == InitialContact::VendorId && !rekey;
    if let Some(vendors) = &habits.vendors {
        let sent = |id: &&Vec<u8>| says_first || id.as_slice() != FIRST_CONTACT.bytes();
        return vendors.iter().filter(sent).cloned().collect();
    }
    let dialects = NatT::ALL.into_iter().map(NatT::vendor_id);
    let known = dialects.chain([VendorId::Dpd]).map(VendorId::bytes);
    known.chain([crate::vendor::FRAGMENTATION_WITH_CAPABILITY]).map(<[u8]>::to_vec).collect()
}

/// What message 5 with a signature needs, before it is signed.
fn signed_next(
    ctx: &Context,
    sa: &IkeSa,
    state: Agreeing,
    shared: isthmus_core::SecretBytes,
) -> Result<AwaitMm6, CryptoError> {
    let Agreeing { previous, received } = state;
    let Generating { start, proposal, lifetime, dialect } = previous.chosen;
    let provider = &*ctx.provider;
    let exchange = Exchange {
        cookies: sa.cookies,
        ke_i: previous.ke_i,
        ke_r: received.ke,
        nonce_i: previous.nonce_i,
        nonce_r: received.nonce,
        shared,
    };
    let nat = match dialect {
        Some(_) => nat::detect(provider, proposal.hash, &sa.cookies, sa.path, &received.nat_d)?,
        None => NatStatus::default(),
    };
    let forced = ctx.config.force_encap && !received.nat_d.is_empty();
    let candidate = Candidate::derive_signed(provider, proposal, &exchange)?;
    let iv = candidate.first_iv(provider, &exchange)?;
    let encap = if nat.any() || forced { Encap::Udp } else { Encap::Esp };
    Ok(AwaitMm6 { start, proposal, lifetime, exchange, candidate, nat, encap, iv })
}

fn message5(
    ctx: &Context,
    sa: &IkeSa,
    state: Agreeing,
    shared: isthmus_core::SecretBytes,
) -> Result<(Vec<u8>, AwaitMm6), CryptoError> {
    let Agreeing { previous, received } = state;
    let Generating { start, proposal, lifetime, dialect } = previous.chosen;
    let provider = &*ctx.provider;
    let exchange = Exchange {
        cookies: sa.cookies,
        ke_i: previous.ke_i,
        ke_r: received.ke,
        nonce_i: previous.nonce_i,
        nonce_r: received.nonce,
        shared,
    };
    let nat = match dialect {
        Some(_) => nat::detect(provider, proposal.hash, &sa.cookies, sa.path, &received.nat_d)?,
        None => NatStatus::default(),
    };
    let forced = ctx.config.force_encap && !received.nat_d.is_empty();
    let candidate = Candidate::derive(provider, proposal, &start.connect.psk, &exchange)?;
    let iv = candidate.first_iv(provider, &exchange)?;
    let id = start.connect.local_id.clone().or_else(|| ctx.config.local_id.clone());
    let habits = &ctx.config.habits.phase1;
    let id = id.unwrap_or_else(|| Identity::address(sa.path.local.ip()));
    let id = id.to_body_with(habits.id_port);
    let hash = candidate.phase1_hash(provider, &exchange, Author::Initiator, &start.sa_i, &id)?;
    let mut chain = Out::new().with(PayloadType::ID, id).with(PayloadType::HASH, hash.expose());
    if !start.rekey && habits.initial_contact == InitialContact::Notification {
        let contact = Notification {
            protocol: ProtocolId::ISAKMP,
            kind: NotifyType::INITIAL_CONTACT,
            spi: sa.cookies.concat().to_vec(),
            data: Vec::new(),
        };
        chain.push(PayloadType::NOTIFICATION, contact.to_bytes());
    }
    let about = (sa.cookies, ExchangeType::IDENTITY_PROTECTION, 0);
    let (bytes, iv) = candidate.keys.seal(provider, &iv, about, &chain)?;
    let encap = if nat.any() || forced { Encap::Udp } else { Encap::Esp };
    let next = AwaitMm6 { start, proposal, lifetime, exchange, candidate, nat, encap, iv };
    Ok((bytes, next))
}

const FIRST_CONTACT: VendorId = VendorId::MicrosoftInitialContact;
const NONCE_LEN: usize = 32;
/// How long a hint of failure waits to be refuted.
pub const HINT_GRACE: Duration = Duration::from_secs(3);
