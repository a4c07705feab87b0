//! Main mode as responder, messages 5 and 6: finding the key.
//!
//! Identities are private addresses and say nothing about the key, so the keys that may fit are tried
//! one by one: a key fits when the message decrypts to an identity and a hash, and the hash is right.

use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path};

use super::Identification;
use crate::action::{Facts, Failure, FailureCause, Stage};
use crate::codec::{Message, Out};
use crate::config::{PSK_CANDIDATES_MAX, Psk, PskId};
use crate::context::{Context, Digest, plain_notification};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::{ExchangeType, NotifyType, PayloadType};
use crate::identity::Identity;
use crate::keys::{Author, Candidate, Exchange, IkeKeys};
use crate::nat::NatStatus;
use crate::peer::Authenticated;
use crate::proposal::{Authentication, IkeProposal};
use crate::sa::{Sent, State};
use crate::vendor::Vendors;

/// Message 4 was sent.
pub(crate) struct AwaitMm5 {
    pub(super) proposal: IkeProposal,
    pub(super) authentication: Authentication,
    /// Message 4, while a message 5 is being judged.
    pub(super) answered: Option<Sent>,
    pub(super) lifetime: Duration,
    pub(super) sa_i: Vec<u8>,
    pub(super) vendors: Vendors,
    pub(super) exchange: Exchange,
    pub(crate) nat: NatStatus,
    /// ESP travels in UDP.
    pub(super) encap: Encap,
    /// Messages 5 that no key fitted.
    pub(super) refused: Vec<Digest>,
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

/// A key that may fit, and who we are to those who have it.
struct CandidateKey {
    psk: Psk,
    own: Option<Identity>,
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
        connected: Vec<CandidateKey>,
        path: Path,
        message: &Message<'_>,
    ) -> Result<AcceptedMm5, (Rejected, FailureCause)> {
        let mut error = (Rejected::Undecryptable, FailureCause::WrongPsk);
        let configured = ctx.config.candidates(path.remote.ip());
        let configured = configured.map(|psk| CandidateKey { psk: psk.clone(), own: None });
        for key in connected.into_iter().chain(configured).take(PSK_CANDIDATES_MAX) {
            match self.try_key(ctx, path, message, &key) {
                Ok(accepted) if !key.psk.allows(&accepted.identity) => {
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
        key: &CandidateKey,
    ) -> Result<AcceptedMm5, Rejected> {
        let provider = &*ctx.provider;
        let candidate =
            Candidate::derive(provider, self.proposal, &key.psk.secret, &self.exchange)?;
        let iv = candidate.first_iv(provider, &self.exchange)?;
        let (plain, iv) = candidate.keys.open(provider, &iv, message)?;
        let content = Identification::read(message.header.first, &plain)?;
        let hash = |author, id: &[u8]| {
            candidate.phase1_hash(provider, &self.exchange, author, &self.sa_i, id)
        };
        if !hash(Author::Initiator, &content.id_bytes)?.ct_eq(&content.hash) {
            return Err(Rejected::HashMismatch);
        }
        let own = key.own.clone().or_else(|| ctx.config.local_id.clone());
        let own_id = own.unwrap_or_else(|| Identity::address(path.local.ip())).to_body();
        let hash_r = hash(Author::Responder, &own_id)?.expose().to_vec();
        Ok(AcceptedMm5 {
            keys: candidate.keys,
            iv,
            psk: key.psk.id,
            identity: Identity::from_body(content.id),
            initial_contact: content.initial_contact || self.vendors.microsoft_initial_contact,
            own_id,
            hash_r,
        })
    }
}

impl Endpoint {
    /// Message 5.
    pub(crate) fn main_mode_fifth(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let connected = self.connected_keys(path);
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
        if let Authentication::Signature(kind) = state.authentication {
            return self.signed_fifth(key, kind, (path, marked), message, digest);
        }
        match state.admit(&self.ctx, connected, path, message) {
            Ok(accepted) => self.commit_mm5(key, accepted, digest, (path, marked), now),
            Err((rejected, cause)) => {
                let first = state.refused.is_empty();
                state.refused.push(digest);
                sa.budget.earn(message.bytes.len());
                if first {
                    self.refuse_authentication(key, (path, marked), cause);
                }
                Err(rejected)
            }
        }
    }

    /// Whether any key could fit a peer at this address. A client has keys for its servers only.
    pub(super) fn has_key_for(&self, path: Path) -> bool {
        self.ctx.config.candidates(path.remote.ip()).next().is_some()
            || !self.connected_keys(path).is_empty()
    }

    /// Keys of servers that we are connected to at this address: a server may rekey its IKE SA.
    fn connected_keys(&self, path: Path) -> Vec<CandidateKey> {
        let peers = self.table.peers_at(path.remote).filter_map(|id| self.peers.get(id.0));
        let connects = peers.filter_map(|peer| peer.connect.as_ref());
        connects
            .map(|connect| CandidateKey {
                psk: Psk { id: PskId(0), secret: connect.psk.clone(), remote: None },
                own: connect.local_id.clone(),
            })
            .collect()
    }

    /// Says once that authentication failed. The SA stays: the message may have been forged.
    pub(crate) fn refuse_authentication(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        cause: FailureCause,
    ) {
        let id = self.ctx.message_id();
        let Some(sa) = self.sas.get_mut(key) else { return };
        let kind = NotifyType::AUTHENTICATION_FAILED;
        let bytes = plain_notification(sa.cookies, id, kind);
        if sa.budget.spend(bytes.len()) {
            self.ctx.transmit(Sent { peer: None, path, marked, bytes });
        }
        let (stage, facts) = (Stage::Authentication, Facts { marked, ..sa.facts() });
        self.ctx.fail(Failure { peer: None, path, stage, cause, initiator: false, facts });
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

/// Most messages 5 tried in one attempt.
pub const MM5_TRIES_MAX: usize = 3;
