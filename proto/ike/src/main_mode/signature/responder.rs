//! Main mode with signatures as responder, messages 5 and 6.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Encap, Instant, Key, Path};
use isthmus_crypto::{self as crypto, Claim, CryptoError, JobOutput, KeyKind, Untrusted, Verified};

use super::super::authentication::AwaitMm5;
use super::{Signed, State, payloads};
use crate::action::FailureCause;
use crate::codec::Message;
use crate::config::{Certificates, OwnCertificate, PskId};
use crate::context::{Context, Digest, Job};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::ExchangeType;
use crate::identity::Identity;
use crate::keys::{Author, Candidate};
use crate::peer::Authenticated;
use crate::sa::State as SaState;

/// Message 5 was received and its author is being judged.
pub(crate) struct Judging {
    previous: AwaitMm5,
    opened: Opened,
    /// Of the keys that both sign with.
    kind: KeyKind,
    digest: Digest,
    from: (Path, bool),
}

/// The author of message 5 is believed; message 6 is being signed.
pub(crate) struct Signing {
    previous: AwaitMm5,
    opened: Opened,
    verified: Verified,
    from: (Path, bool),
    id_r: Vec<u8>,
    kind: KeyKind,
}

/// Message 5, decrypted, with the keys it was decrypted with.
struct Opened {
    content: Signed,
    candidate: Candidate,
    /// IV of message 6.
    iv: Vec<u8>,
    claim: Claim,
}

fn open(
    ctx: &Context,
    state: &AwaitMm5,
    kind: KeyKind,
    wanted: Option<&Identity>,
    message: &Message<'_>,
) -> Result<Opened, Rejected> {
    let provider = &*ctx.provider;
    let candidate = Candidate::derive_signed(provider, state.proposal, &state.exchange)?;
    let iv = candidate.first_iv(provider, &state.exchange)?;
    let (plain, iv) = candidate.keys.open(provider, &iv, message)?;
    let content =
        Signed::read(message.header.first, &plain).map_err(|_| Rejected::Undecryptable)?;
    let about = (Author::Initiator, kind);
    let (sa_i, id) = (&state.sa_i, &content.id_bytes);
    let digest = candidate.signed_hash(provider, &state.exchange, about, sa_i, id)?;
    let claim = content.claim(kind, &digest, wanted);
    Ok(Opened { content, candidate, iv, claim })
}

impl Endpoint {
    /// Message 5 of an attempt with signatures; the caller saw that it is new.
    pub(crate) fn signed_fifth(
        &mut self,
        key: Key,
        kind: KeyKind,
        from: (Path, bool),
        message: &Message<'_>,
        digest: Digest,
    ) -> Result<(), Rejected> {
        let (own, wanted) = (self.certificates(), self.wanted_at(from.0));
        let Some(own) = own else { return Err(Rejected::NoPsk) };
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let SaState::AwaitMm5(state) = &mut sa.state else { return Err(Rejected::IncorrectState) };
        let opened = match open(&self.ctx, state, kind, wanted.as_ref(), message) {
            Ok(opened) => opened,
            Err(rejected) => {
                state.refused.push(digest);
                sa.budget.earn(message.bytes.len());
                return Err(rejected);
            }
        };
        let SaState::AwaitMm5(previous) = sa.take_state() else {
            return Err(Rejected::IncorrectState);
        };
        sa.budget.earn(message.bytes.len());
        sa.window.received = Some(digest);
        let answered = sa.window.sent.take();
        let claim = opened.claim.clone();
        let previous = AwaitMm5 { answered, ..*previous };
        let next = Judging { previous, opened, kind, digest, from };
        sa.state = SaState::Signature(State::JudgingMm5(Box::new(next)));
        let trust = Arc::clone(&own.trust);
        self.ctx.ask(Job::Signature(key), crypto::Job::Verify { trust, claim });
        Ok(())
    }

    /// The author of message 5 is judged.
    pub(super) fn fifth_judged(
        &mut self,
        key: Key,
        state: Judging,
        result: Result<JobOutput, CryptoError>,
    ) {
        let judgement = match result {
            Ok(JobOutput::Judgement(judgement)) => judgement,
            Ok(JobOutput::Dh(_) | JobOutput::Signature(_)) | Err(_) => {
                Err(Untrusted::BadCertificate)
            }
        };
        match (judgement, self.own_certificate(state.kind)) {
            (Ok(verified), Some(own)) => self.sign_sixth(key, state, verified, &own),
            (Err(untrusted), _) => self.refuse_fifth(key, state, untrusted),
            (Ok(_), None) => self.drop_sa(key),
        }
    }

    /// Says once why not. The true message 5 may still come.
    fn refuse_fifth(&mut self, key: Key, state: Judging, untrusted: Untrusted) {
        let Judging { mut previous, digest, from, opened, kind: _ } = state;
        let untrusted =
            if opened.claim.chain.is_empty() { Untrusted::NoCertificate } else { untrusted };
        let first = previous.refused.is_empty();
        previous.refused.push(digest);
        let Some(sa) = self.sas.get_mut(key) else { return };
        sa.window.received = None;
        sa.window.sent = previous.answered.take();
        sa.state = SaState::AwaitMm5(Box::new(previous));
        if first {
            self.refuse_authentication(key, from, FailureCause::Untrusted(untrusted));
        }
    }

    fn sign_sixth(&mut self, key: Key, state: Judging, verified: Verified, own: &OwnCertificate) {
        let Judging { previous, opened, from, kind, digest: _ } = state;
        let id_r = self.own_name(own).to_body();
        let (provider, sa_i) = (&*self.ctx.provider, &previous.sa_i);
        let about = (Author::Responder, kind);
        let digest = opened.candidate.signed_hash(provider, &previous.exchange, about, sa_i, &id_r);
        let Ok(digest) = digest else { return self.drop_sa(key) };
        let Some(sa) = self.sas.get_mut(key) else { return };
        let next = Signing { previous, opened, verified, from, id_r, kind };
        sa.state = SaState::Signature(State::SigningMm6(Box::new(next)));
        let (signer, digest) = (Arc::clone(&own.signer), digest.expose().to_vec());
        self.ctx.ask(Job::Signature(key), crypto::Job::Sign { signer, digest });
    }

    /// Our signature is there: message 6.
    pub(super) fn sixth_signed(
        &mut self,
        key: Key,
        state: &Signing,
        result: Result<JobOutput, CryptoError>,
        now: Instant,
    ) {
        let own = self.own_certificate(state.kind);
        let (Ok(JobOutput::Signature(signature)), Some(own)) = (result, own) else {
            return self.give_up(key, FailureCause::AuthenticationFailed, now);
        };
        let Signing { previous, opened, verified, from: (path, marked), id_r, .. } = state;
        let (path, marked) = (*path, *marked);
        let Some(sa) = self.sas.get(key) else { return };
        let about = (sa.cookies, ExchangeType::IDENTITY_PROTECTION, 0);
        let reply = payloads(&own, id_r, &signature);
        let sealed = opened.candidate.keys.seal(&*self.ctx.provider, &opened.iv, about, &reply);
        let Ok((bytes, last_block)) = sealed else { return self.drop_sa(key) };
        let who = Authenticated {
            identity: Identity::from_body(opened.content.id.clone()),
            psk: PskId(verified.authority),
            vendors: previous.vendors,
            nat: previous.nat,
            // A peer that stays on port 500 cannot be sent UDP-encapsulated ESP.
            encap: if marked { previous.encap } else { Encap::Esp },
            proposal: previous.proposal,
            initial_contact: opened.content.initial_contact
                || previous.vendors.microsoft_initial_contact,
            keys: opened.candidate.keys.clone(),
            last_block,
            lifetime: previous.lifetime,
            path,
            marked,
        };
        if self.establish(key, who, now).is_err() {
            return self.drop_sa(key);
        }
        // An established SA has no budget to exceed.
        let _ = self.with_sa(key, |sa, ctx| sa.send(ctx, bytes));
        self.announce_peer(key, now);
    }

    /// Our certificates, for an attempt from or to somebody.
    pub(crate) fn certificates(&self) -> Option<Certificates> {
        self.ctx.config.certificates.clone()
    }

    /// Our certificate with a key of this kind; a new configuration may have none any more.
    pub(super) fn own_certificate(&self, kind: KeyKind) -> Option<OwnCertificate> {
        self.ctx.config.certificates.as_ref()?.with_key(kind).cloned()
    }

    /// Who we are to peers that ask for certificates.
    pub(super) fn own_name(&self, own: &OwnCertificate) -> Identity {
        let configured = self.ctx.config.local_id.clone();
        configured.unwrap_or_else(|| Identity::distinguished_name(&own.subject))
    }

    /// The signatures that a first message may ask for: as a server from anybody, and as a client only
    /// from servers we are connected to.
    pub(crate) fn signatures_allowed(&self, path: Path) -> impl Iterator<Item = KeyKind> {
        let certificates = self.ctx.config.certificates.as_ref().filter(|certificates| {
            certificates.serves || self.connected_by_certificate(path).next().is_some()
        });
        let own = certificates.into_iter().flat_map(|certificates| &certificates.own);
        own.map(|own| own.signer.kind())
    }

    /// The name that a server at this address must have, when we connected to it.
    fn wanted_at(&self, path: Path) -> Option<Identity> {
        self.connected_by_certificate(path).find_map(|connect| connect.server_name.clone())
    }

    fn connected_by_certificate(
        &self,
        path: Path,
    ) -> impl Iterator<Item = &crate::config::Connect> {
        let peers = self.table.peers_at(path.remote).filter_map(|id| self.peers.get(id.0));
        peers.filter_map(|peer| peer.connect.as_deref()).filter(|connect| connect.certificate)
    }
}
