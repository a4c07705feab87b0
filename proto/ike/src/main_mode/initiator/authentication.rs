//! Main mode as initiator, messages 5 and 6.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path, SecretBytes};
use isthmus_crypto::CryptoError;

use super::super::Identification;
use super::{Agreeing, AwaitMm2, Generating};
use crate::action::FailureCause;
use crate::codec::{Message, Out};
use crate::config::PskId;
use crate::context::{Context, Digest};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::{ExchangeType, PayloadType};
use crate::identity::Identity;
use crate::keys::{Author, Candidate, Exchange};
use crate::nat::{self, NatStatus};
use crate::offer;
use crate::peer::Authenticated;
use crate::proposal::{Authentication, IkeProposal};
use crate::sa::{IkeSa, State};

/// Message 5 was sent.
pub(crate) struct AwaitMm6 {
    pub(crate) start: AwaitMm2,
    pub(crate) proposal: IkeProposal,
    pub(crate) lifetime: Duration,
    pub(crate) exchange: Exchange,
    pub(crate) candidate: Candidate,
    pub(crate) nat: NatStatus,
    pub(crate) encap: Encap,
    /// IV of message 6; of message 5 until that is sealed.
    pub(crate) iv: Vec<u8>,
}

/// Proof that message 6 was made with our key.
struct AcceptedMm6 {
    identity: Identity,
    last_block: Vec<u8>,
}

impl AwaitMm6 {
    /// Makes the keys, and reads what message 4 says about NATs.
    pub(super) fn derive(
        ctx: &Context,
        sa: &IkeSa,
        state: Agreeing,
        shared: SecretBytes,
    ) -> Result<Self, CryptoError> {
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
        let candidate = match start.authentication {
            Authentication::Psk => {
                Candidate::derive(provider, proposal, &start.connect.psk, &exchange)?
            }
            Authentication::Signature(_) => {
                Candidate::derive_signed(provider, proposal, &exchange)?
            }
        };
        let nat = match dialect {
            Some(_) => nat::detect(provider, proposal.hash, &sa.cookies, sa.path, &received.nat_d)?,
            None => NatStatus::default(),
        };
        let encap = nat.encap(ctx.config.force_encap && !received.nat_d.is_empty());
        let iv = candidate.first_iv(provider, &exchange)?;
        Ok(Self { start, proposal, lifetime, exchange, candidate, nat, encap, iv })
    }

    /// The payloads of message 5 that prove us by the pre-shared key.
    fn hashed(&self, ctx: &Context, sa: &IkeSa) -> Result<Out, CryptoError> {
        let id = self.start.connect.local_id.clone().or_else(|| ctx.config.local_id.clone());
        let id = id.unwrap_or_else(|| Identity::address(sa.path.local.ip()));
        let id = id.to_body_with(ctx.config.habits.phase1.id_port);
        let (author, sa_i) = (Author::Initiator, self.start.sa_i.as_slice());
        let hash = self.candidate.phase1_hash(&*ctx.provider, &self.exchange, author, sa_i, &id)?;
        Ok(Out::new().with(PayloadType::ID, id).with(PayloadType::HASH, hash.expose()))
    }

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
    /// The keys are there: message 5, if no signature is needed first.
    pub(super) fn prove(&mut self, key: Key, next: AwaitMm6, now: Instant) {
        if let Authentication::Signature(kind) = next.start.authentication {
            return self.sign_fifth(key, next, kind, now);
        }
        let Some(sa) = self.sas.get(key) else { return };
        match next.hashed(&self.ctx, sa) {
            Ok(payloads) => self.send_fifth(key, next, payloads, now),
            Err(error) => self.give_up(key, FailureCause::BadKeyExchange(error), now),
        }
    }

    /// Message 5 with these payloads. Across a NAT the exchange moves to the other port with it.
    pub(crate) fn send_fifth(
        &mut self,
        key: Key,
        mut next: AwaitMm6,
        mut payloads: Out,
        now: Instant,
    ) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        let habits = &self.ctx.config.habits.phase1;
        offer::first_contact(habits, next.start.rekey, &sa.cookies, &mut payloads);
        let about = (sa.cookies, ExchangeType::IDENTITY_PROTECTION, 0);
        let sealed = next.candidate.keys.seal(&*self.ctx.provider, &next.iv, about, &payloads);
        let (bytes, iv) = match sealed {
            Ok(sealed) => sealed,
            Err(error) => return self.give_up(key, FailureCause::BadKeyExchange(error), now),
        };
        next.iv = iv;
        sa.float(next.encap, &next.start.connect);
        sa.state = State::AwaitMm6(Box::new(next));
        // An initiator has no budget, so this cannot be refused.
        let _ = self.request(key, bytes, now);
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
}
