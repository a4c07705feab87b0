//! Quick mode as initiator.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Encap, Instant, Key, Path, SecretBytes};
use isthmus_crypto::{CryptoError, DhGroup, DhJob, DhKeyPair, DhOutput, DhPrivate, EspSuite};
use isthmus_wire::DecodeError;

use super::lifetime::told_lifetime;
use super::offer::{message1, offered};
use super::selectors::{own_selectors, read_selectors};
use super::{Agreed, Quick, QuickState};
use crate::action::{FailureCause, PeerId};
use crate::child::Selectors;
use crate::codec::{Chain, Message, Out, SaBody, body};
use crate::context::{Context, Digest, Job};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::habits::{MessageIds, Replaced};
use crate::iana::{ExchangeType, PayloadType};
use crate::keys::ChildSeed;
use crate::peer::Peer;
use crate::sa::{IkeSa, SaTimer, Sent, Window};
use crate::suite::{ChosenEsp, Criteria, Lifetime, choose_esp};

/// A key pair for perfect forward secrecy is being made; message 1 is not sent yet.
pub(crate) struct Generating {
    pub(crate) spi: u32,
    pub(crate) selectors: Selectors,
    group: DhGroup,
}

/// Message 1 was sent.
pub(crate) struct AwaitQm2 {
    pub(crate) spi: u32,
    pub(crate) selectors: Selectors,
    suites: Vec<EspSuite>,
    pub(super) encap: Encap,
    pub(super) lifetime: Lifetime,
    pub(super) nonce_i: Vec<u8>,
    pub(super) pfs: Option<(DhGroup, DhPrivate)>,
}

impl AwaitQm2 {
    fn new(
        ctx: &Context,
        peer: &Peer,
        spi: u32,
        selectors: Selectors,
        nonce_i: Vec<u8>,
        pfs: Option<&(DhGroup, DhKeyPair)>,
    ) -> Self {
        let config = &ctx.config;
        Self {
            spi,
            selectors,
            suites: offered(config).iter().filter_map(|esp| esp.meant(&config.esp)).collect(),
            encap: peer.encap,
            lifetime: Lifetime {
                time: config.child_lifetime,
                kilobytes: config.child_kilobytes.map(u64::from),
            },
            nonce_i,
            pfs: pfs.map(|(group, pair)| (*group, pair.private.clone())),
        }
    }
}

/// Proof that message 2 is the peer's and answers what was offered.
pub(crate) struct AcceptedQm2 {
    pub(crate) offer: AwaitQm2,
    answer: Answer,
    digest: Digest,
}

/// The content of message 2.
struct Answer {
    chosen: ChosenEsp,
    lifetime: Lifetime,
    nonce_r: Vec<u8>,
    ke: Option<Vec<u8>>,
    /// IV of message 3.
    iv: Vec<u8>,
}

impl AwaitQm2 {
    fn admit(
        &self,
        ctx: &Context,
        sa: &IkeSa,
        iv: &[u8],
        message: &Message<'_>,
    ) -> Result<Answer, Rejected> {
        let id = message.header.message_id;
        let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
        let (provider, keys) = (&*ctx.provider, &established.keys);
        let (plain, iv) = keys.open(provider, iv, message)?;
        let chain = Chain::read_decrypted(message.header.first, &plain)
            .map_err(|_| Rejected::Undecryptable)?;
        keys.verify_phase2(provider, id, &self.nonce_i, &chain)?;
        let reply = SaBody::read(chain.required(PayloadType::SA)?)?;
        let one = reply.proposals.len() == 1
            && reply.proposals.iter().all(|proposal| proposal.transforms.len() == 1);
        if !one {
            return Err(DecodeError::illegal("number of transforms").into());
        }
        let ke = chain.optional(PayloadType::KE)?;
        let criteria = Criteria {
            suites: &self.suites,
            legacy: true,
            plain: self.encap == Encap::Esp,
            udp: self.encap == Encap::Udp,
            ke_len: ke.map(<[u8]>::len),
        };
        let chosen = choose_esp(&reply, criteria).map_err(|_| Rejected::NoProposalChosen)?;
        // Equal SPIs would mean equal keys in both directions.
        if chosen.spi == self.spi || chosen.group != self.pfs.as_ref().map(|(group, _)| *group) {
            return Err(Rejected::NoProposalChosen);
        }
        let ids: Vec<&[u8]> = chain.all(PayloadType::ID).collect();
        read_selectors(&ids)?;
        let minds = ctx.config.habits.phase2.minds_responder_lifetime;
        let told = if minds { told_lifetime(&chain) } else { self.lifetime };
        Ok(Answer {
            lifetime: self.lifetime.shorter(chosen.lifetime).shorter(told),
            chosen,
            nonce_r: body::read_nonce(chain.required(PayloadType::NONCE)?)?.to_vec(),
            ke: ke.map(<[u8]>::to_vec),
            iv,
        })
    }
}

impl Endpoint {
    /// Begins a quick mode towards the peer: a first child, or a successor of `old`.
    pub(crate) fn start_quick_mode(
        &mut self,
        peer_id: PeerId,
        old: Option<u32>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let key = self.newest_sa(peer_id).ok_or(Rejected::IncorrectState)?;
        let Some(peer) = self.peers.get(peer_id.0) else { return Err(Rejected::IncorrectState) };
        let (selectors, group) = match (old, &peer.connect) {
            (Some(spi), _) => {
                let child = self.child(peer_id, spi).ok_or(Rejected::IncorrectState)?;
                (child.selectors.clone(), child.group)
            }
            (None, Some(connect)) => {
                let local = (peer.path.local.ip(), connect.local_port);
                let remote = (peer.path.remote.ip(), connect.remote_port);
                let form = self.ctx.config.habits.phase2.selector;
                (own_selectors(local, remote, form), connect.pfs)
            }
            (None, None) => return Err(Rejected::IncorrectState),
        };
        self.admit_quick_mode(key)?;
        let id = self.unused_message_id(key);
        let spi = self.reserve_spi(peer_id)?;
        let Some(group) = group else {
            return self.send_qm1(key, id, spi, selectors, None, now);
        };
        let state = QuickState::Generating(Box::new(Generating { spi, selectors, group }));
        let quick = Quick { state, ours: true, iv: Vec::new(), window: Window::default() };
        if let Some(established) = self.sas.get_mut(key).and_then(|sa| sa.established_mut()) {
            established.quick.insert(id, Box::new(quick));
        }
        let job = DhJob::Generate { group, seed: self.ctx.rng.seed() };
        self.ctx.offload(Job::QuickMode(key, id), job);
        Ok(())
    }

    fn unused_message_id(&mut self, key: Key) -> u32 {
        let mut next = 1;
        loop {
            let id = match self.ctx.config.habits.phase2.message_ids {
                MessageIds::Counter => next,
                MessageIds::Random => self.ctx.message_id(),
            };
            next += 1;
            let used = self
                .sas
                .get(key)
                .and_then(|sa| sa.established())
                .is_some_and(|e| e.seen.contains(id) || e.quick.contains_key(&id));
            if !used {
                return id;
            }
        }
    }

    pub(crate) fn quick_initiator_generated(
        &mut self,
        key: Key,
        id: u32,
        state: Generating,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let Generating { spi, selectors, group } = state;
        let sent = result
            .and_then(DhOutput::key_pair)
            .map_err(Rejected::Crypto)
            .and_then(|pair| self.send_qm1(key, id, spi, selectors, Some((group, pair)), now));
        if sent.is_err() {
            self.release_spi(spi);
            let cause = FailureCause::BadKeyExchange(CryptoError::Unsupported);
            self.fail_quick_mode(key, id, cause);
        }
    }

    /// Message 1.
    fn send_qm1(
        &mut self,
        key: Key,
        id: u32,
        spi: u32,
        selectors: Selectors,
        pfs: Option<(DhGroup, DhKeyPair)>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let nonce_len = self.ctx.config.habits.phase2.nonce_len;
        let nonce_i = self.ctx.nonce(nonce_len.clamp(body::NONCE_LEN_MIN, body::NONCE_LEN_MAX));
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let Some(peer) = sa.peer.and_then(|peer| self.peers.get(peer.0)) else {
            return Err(Rejected::IncorrectState);
        };
        let offer = AwaitQm2::new(&self.ctx, peer, spi, selectors, nonce_i, pfs.as_ref());
        let (bytes, iv) = message1(&self.ctx, sa, &offer, pfs.map(|(_, pair)| pair.public), id)?;
        let state = QuickState::AwaitQm2(Box::new(offer));
        let quick = Quick { state, ours: true, iv, window: Window::default() };
        self.send_quick_mode(key, id, quick, bytes, now)
    }

    /// Message 2.
    pub(crate) fn quick_mode_second(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        digest: Digest,
        now: Instant,
    ) -> Result<(), Rejected> {
        let id = message.header.message_id;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let quick = sa.established().and_then(|e| e.quick.get(&id));
        let Some(quick) = quick else { return Err(Rejected::IncorrectState) };
        let QuickState::AwaitQm2(state) = &quick.state else {
            return Err(Rejected::IncorrectState);
        };
        let answer = state.admit(&self.ctx, sa, &quick.iv, message)?;
        self.heard(key, path, marked, now);
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        sa.timers.clear(SaTimer::Quick(id));
        let Some(quick) = sa.established_mut().and_then(|e| e.quick.get_mut(&id)) else {
            return Err(Rejected::IncorrectState);
        };
        quick.window.received = Some(digest);
        quick.window.sent = None;
        let QuickState::AwaitQm2(offer) = core::mem::replace(&mut quick.state, QuickState::Done)
        else {
            return Err(Rejected::IncorrectState);
        };
        let job = offer
            .pfs
            .clone()
            .zip(answer.ke.clone())
            .map(|((group, private), peer)| DhJob::Agree { group, private, peer });
        let accepted = AcceptedQm2 { offer: *offer, answer, digest };
        match job {
            Some(job) => {
                quick.state = QuickState::AgreeingAsInitiator(Box::new(accepted));
                self.ctx.offload(Job::QuickMode(key, id), job);
                Ok(())
            }
            None => self.finish_quick_mode(key, id, accepted, None, now),
        }
    }

    pub(crate) fn quick_initiator_agreed(
        &mut self,
        key: Key,
        id: u32,
        accepted: AcceptedQm2,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let spi = accepted.offer.spi;
        let error = match result.and_then(DhOutput::shared) {
            Ok(shared) => {
                if self.finish_quick_mode(key, id, accepted, Some(shared), now).is_ok() {
                    return;
                }
                CryptoError::BadLength
            }
            Err(error) => error,
        };
        self.release_spi(spi);
        self.fail_quick_mode(key, id, FailureCause::BadKeyExchange(error));
    }

    /// Installs both directions, then sends message 3.
    fn finish_quick_mode(
        &mut self,
        key: Key,
        id: u32,
        accepted: AcceptedQm2,
        shared: Option<SecretBytes>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let Some(peer_id) = sa.peer else { return Err(Rejected::IncorrectState) };
        let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
        let (provider, keys) = (&*self.ctx.provider, &established.keys);
        let AcceptedQm2 { offer, answer, digest } = accepted;
        let Answer { chosen, lifetime, nonce_r, iv, .. } = answer;
        let seed = ChildSeed { shared, nonce_i: offer.nonce_i, nonce_r };
        let (chosen, selectors, spi) = (&chosen, &offer.selectors, offer.spi);
        let agreed = Agreed { chosen, selectors, lifetime, spi, ours: true };
        let child = agreed.child(provider, keys, &seed, (key, id))?;
        let nonces = [seed.nonce_i.as_slice(), seed.nonce_r.as_slice()];
        let hash = keys.quick_hash3(provider, id, nonces)?;
        let chain = Out::new().with(PayloadType::HASH, hash.expose());
        let about = (sa.cookies, ExchangeType::QUICK_MODE, id);
        let (bytes, _) = keys.seal(provider, &iv, about, &chain)?;
        let sent = Sent { peer: sa.peer, path: sa.path, marked: sa.marked, bytes };
        self.install_child(peer_id, child, now);
        if self.ctx.config.habits.life.replaced == Replaced::DeleteBefore {
            self.announce_replacement(peer_id, spi);
        }
        self.complete_child(peer_id, spi, now);
        self.confirm_quick_mode(key, id, now);
        let quick = self.sas.get_mut(key).and_then(|sa| sa.established_mut()?.quick.get_mut(&id));
        if let Some(quick) = quick {
            quick.window.received = Some(digest);
            quick.window.sent = Some(sent.clone());
        }
        self.ctx.transmit(sent);
        Ok(())
    }
}
