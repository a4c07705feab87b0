//! Main mode with signatures as initiator, messages 5 and 6.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Instant, Key, Path};
use isthmus_crypto::{self as crypto, CryptoError, JobOutput, KeyKind, Untrusted, Verified};

use super::super::initiator::AwaitMm6;
use super::{Signed, State, payloads};
use crate::action::FailureCause;
use crate::codec::Message;
use crate::config::PskId;
use crate::context::{Digest, Job};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::identity::Identity;
use crate::keys::Author;
use crate::peer::Authenticated;
use crate::sa::{SaTimer, State as SaState};

/// Message 5 is being signed.
pub(crate) struct Signing {
    /// What holds once it is sent; its IV is still that of message 5.
    next: AwaitMm6,
    id_i: Vec<u8>,
    /// Of the key that signs.
    kind: KeyKind,
}

/// Message 6 was received and its author is being judged.
pub(crate) struct Judging {
    previous: AwaitMm6,
    content: Signed,
    last_block: Vec<u8>,
    from: (Path, bool),
    /// Message 5, to be said again if this message 6 is not the true one.
    sent: Option<crate::sa::Sent>,
}

impl Endpoint {
    /// The secret is agreed: asks for the signature of message 5. `next` has the IV of message 5.
    pub(crate) fn sign_fifth(&mut self, key: Key, next: AwaitMm6, kind: KeyKind, now: Instant) {
        let Some(own) = self.own_certificate(kind) else {
            return self.give_up(key, FailureCause::Untrusted(Untrusted::NoCertificate), now);
        };
        let id = next.start.connect.local_id.clone();
        let id_i = id.unwrap_or_else(|| self.own_name(&own)).to_body();
        let about = (Author::Initiator, kind);
        let (provider, sa_i) = (&*self.ctx.provider, &next.start.sa_i);
        let digest = next.candidate.signed_hash(provider, &next.exchange, about, sa_i, &id_i);
        let Ok(digest) = digest else {
            let cause = FailureCause::BadKeyExchange(CryptoError::Unsupported);
            return self.give_up(key, cause, now);
        };
        let Some(sa) = self.sas.get_mut(key) else { return };
        let signing = Signing { next, id_i, kind };
        sa.state = SaState::Signature(State::SigningMm5(Box::new(signing)));
        let (signer, digest) = (Arc::clone(&own.signer), digest.expose().to_vec());
        self.ctx.ask(Job::Signature(key), crypto::Job::Sign { signer, digest });
        self.touch(Owner::Sa(key));
    }

    /// Our signature is there: message 5.
    pub(super) fn fifth_signed(
        &mut self,
        key: Key,
        state: Signing,
        result: Result<JobOutput, CryptoError>,
        now: Instant,
    ) {
        let Signing { next, id_i, kind } = state;
        let (Ok(JobOutput::Signature(signature)), Some(own)) = (result, self.own_certificate(kind))
        else {
            return self.give_up(key, FailureCause::AuthenticationFailed, now);
        };
        self.send_fifth(key, next, payloads(&own, &id_i, &signature), now);
    }

    /// Message 6 of an attempt with signatures.
    pub(crate) fn signed_sixth(
        &mut self,
        key: Key,
        kind: KeyKind,
        from: (Path, bool),
        message: &Message<'_>,
        digest: Digest,
    ) -> Result<(), Rejected> {
        let Some(own) = self.certificates() else { return Err(Rejected::NoPsk) };
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let SaState::AwaitMm6(state) = &sa.state else { return Err(Rejected::IncorrectState) };
        if !message.header.flags.is_encrypted() {
            return Err(Rejected::Plain);
        }
        let provider = &*self.ctx.provider;
        let (plain, last_block) = state.candidate.keys.open(provider, &state.iv, message)?;
        let content =
            Signed::read(message.header.first, &plain).map_err(|_| Rejected::Undecryptable)?;
        let about = (Author::Responder, kind);
        let (sa_i, id) = (&state.start.sa_i, &content.id_bytes);
        let hash = state.candidate.signed_hash(provider, &state.exchange, about, sa_i, id)?;
        let claim = content.claim(kind, &hash, state.start.connect.server_name.as_ref());
        let SaState::AwaitMm6(previous) = sa.take_state() else {
            return Err(Rejected::IncorrectState);
        };
        sa.window.received = Some(digest);
        sa.timers.clear(SaTimer::Retransmit);
        let sent = sa.window.sent.take();
        let judging = Judging { previous: *previous, content, last_block, from, sent };
        sa.state = SaState::Signature(State::JudgingMm6(Box::new(judging)));
        let trust = Arc::clone(&own.trust);
        self.ctx.ask(Job::Signature(key), crypto::Job::Verify { trust, claim });
        self.touch(Owner::Sa(key));
        Ok(())
    }

    /// The author of message 6 is judged.
    pub(super) fn sixth_judged(
        &mut self,
        key: Key,
        state: Judging,
        result: Result<JobOutput, CryptoError>,
        now: Instant,
    ) {
        let judgement = match result {
            Ok(JobOutput::Judgement(judgement)) => judgement,
            Ok(JobOutput::Dh(_) | JobOutput::Signature(_)) | Err(_) => {
                Err(Untrusted::BadCertificate)
            }
        };
        match judgement {
            Ok(verified) => self.believe_sixth(key, state, &verified, now),
            Err(untrusted) => {
                let none = state.content.chain.is_empty();
                let untrusted = if none { Untrusted::NoCertificate } else { untrusted };
                let Some(sa) = self.sas.get_mut(key) else { return };
                sa.window.received = None;
                sa.window.sent = state.sent;
                sa.state = SaState::AwaitMm6(Box::new(state.previous));
                self.hint(key, FailureCause::Untrusted(untrusted), now);
            }
        }
    }

    fn believe_sixth(&mut self, key: Key, state: Judging, verified: &Verified, now: Instant) {
        let Judging { previous, content, last_block, from: (path, marked), sent: _ } = state;
        let identity = Identity::from_body(content.id);
        let wanted = previous.start.connect.remote_id.as_ref();
        if wanted.is_some_and(|wanted| *wanted != identity) {
            return self.give_up(key, FailureCause::IdentityNotAllowed(identity), now);
        }
        let Some(sa) = self.sas.get(key) else { return };
        let who = Authenticated {
            identity,
            psk: PskId(verified.authority),
            vendors: sa.vendors,
            nat: previous.nat,
            encap: previous.encap,
            proposal: previous.proposal,
            initial_contact: false,
            keys: previous.candidate.keys.clone(),
            last_block,
            lifetime: previous.lifetime.min(self.ctx.config.ike_lifetime),
            path,
            marked,
        };
        let rekey = previous.start.rekey;
        if self.establish(key, who, now).is_err() {
            return self.give_up(key, FailureCause::AuthenticationFailed, now);
        }
        self.announce_peer(key, now);
        if !rekey && let Some(peer) = self.sas.get(key).and_then(|sa| sa.peer) {
            // Without a child the peer goes when it has been childless for too long.
            let _ = self.start_quick_mode(peer, None, now);
        }
    }
}
