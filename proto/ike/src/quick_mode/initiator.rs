//! Quick mode as initiator.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path, SecretBytes};
use isthmus_crypto::{
    CryptoError, DhGroup, DhJob, DhKeyPair, DhOutput, DhPrivate, EspKeys, EspSuite,
};
use isthmus_wire::DecodeError;

use super::{Quick, QuickState, own_selectors, read_selectors};
use crate::action::{FailureCause, PeerId};
use crate::child::{Child, ChildState, Selectors};
use crate::codec::{Attribute, Chain, Message, NatOa, Notification, Out, SaBody, body};
use crate::config::Config;
use crate::context::{Context, Digest, Job};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::habits::{MessageIds, Replaced};
use crate::iana::{
    Encapsulation, EspAttribute, ExchangeType, GroupNumber, NotifyType, PayloadType,
};
use crate::keys::ChildSeed;
use crate::nat;
use crate::peer::Peer;
use crate::proposal::lifetimes;
use crate::sa::{IkeSa, SaTimer, Sent, Window};
use crate::suite::{ChosenEsp, Criteria, Lifetime, OfferedEsp, choose_esp, offer_esp};
use crate::vendor::NatT;

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
    encap: Encap,
    lifetime: Lifetime,
    nonce_i: Vec<u8>,
    pfs: Option<(DhGroup, DhPrivate)>,
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

/// What RESPONDER-LIFETIME notifications say (RFC 2407 §4.6.3.1); no limit without one.
fn told_lifetime(chain: &Chain<'_>) -> Lifetime {
    let mut lifetime = Lifetime { time: Duration::MAX, kilobytes: None };
    let told = chain
        .all(PayloadType::NOTIFICATION)
        .filter_map(|body| Notification::read(body).ok())
        .filter(|n| n.kind == NotifyType::RESPONDER_LIFETIME);
    for notification in told {
        let mut r = isthmus_wire::Reader::new(&notification.data);
        let Ok(attributes) = Attribute::read_all(&mut r) else { continue };
        let (life_type, duration) = (EspAttribute::LIFE_TYPE.0, EspAttribute::LIFE_DURATION.0);
        let (seconds, kilobytes) = lifetimes(&attributes, life_type, duration);
        let time = seconds.map_or(Duration::MAX, Duration::from_secs);
        lifetime = lifetime.shorter(Lifetime { time, kilobytes });
    }
    lifetime
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
            established.quick.insert(id, quick);
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
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let Some(peer) = sa.peer.and_then(|peer| self.peers.get(peer.0)) else {
            return Err(Rejected::IncorrectState);
        };
        let offer = offer(&self.ctx, peer, spi, selectors, nonce_i, pfs.as_ref());
        let (bytes, iv) = message1(&self.ctx, sa, &offer, pfs.map(|(_, pair)| pair.public), id)?;
        let sent = Sent { path: sa.path, marked: sa.marked, bytes };
        let window = Window { received: None, sent: Some(sent.clone()), tries: 0 };
        if let Some(wait) = window.backoff() {
            sa.timers.set(SaTimer::Quick(id), now + wait);
        }
        let state = QuickState::AwaitQm2(Box::new(offer));
        if let Some(established) = sa.established_mut() {
            established.quick.insert(id, Quick { state, ours: true, iv, window });
        }
        self.ctx.transmit(sent.path, sent.marked, sent.bytes);
        self.touch(Owner::Sa(key));
        Ok(())
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
        let derive = |spi| -> Result<EspKeys, CryptoError> {
            keys.child_keys(provider, chosen.suite, spi, &seed)
        };
        let (keys_in, keys_out) = (derive(offer.spi)?, derive(chosen.spi)?);
        let nonces = [seed.nonce_i.as_slice(), seed.nonce_r.as_slice()];
        let hash = keys.quick_hash3(provider, id, nonces)?;
        let chain = Out::new().with(PayloadType::HASH, hash.expose());
        let about = (sa.cookies, ExchangeType::QUICK_MODE, id);
        let (bytes, _) = keys.seal(provider, &iv, about, &chain)?;
        let sent = Sent { path: sa.path, marked: sa.marked, bytes };
        let child = Child {
            inbound: offer.spi,
            outbound: chosen.spi,
            suite: chosen.suite,
            keys_in,
            keys_out,
            encap: chosen.encap,
            selectors: offer.selectors,
            group: chosen.group,
            lifetime: crate::child::bounded(lifetime),
            initiator: true,
            state: ChildState::Half { sa: key, message_id: id },
        };
        self.install_child(peer_id, child, now);
        if self.ctx.config.habits.life.replaced == Replaced::DeleteBefore {
            self.announce_replacement(peer_id, offer.spi);
        }
        self.complete_child(peer_id, offer.spi, now);
        self.confirm_quick_mode(key, id, now);
        let quick = self.sas.get_mut(key).and_then(|sa| sa.established_mut()?.quick.get_mut(&id));
        if let Some(quick) = quick {
            quick.window.received = Some(digest);
            quick.window.sent = Some(sent.clone());
        }
        self.ctx.transmit(sent.path, sent.marked, sent.bytes);
        Ok(())
    }
}

fn offer(
    ctx: &Context,
    peer: &Peer,
    spi: u32,
    selectors: Selectors,
    nonce_i: Vec<u8>,
    pfs: Option<&(DhGroup, DhKeyPair)>,
) -> AwaitQm2 {
    let config = &ctx.config;
    AwaitQm2 {
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

/// The transforms to offer, group and encapsulation left open.
fn offered(config: &Config) -> Vec<OfferedEsp> {
    let allowed = |suite: EspSuite| config.legacy || !suite.is_legacy();
    let transforms = match &config.habits.phase2.transforms {
        Some(transforms) => transforms.clone(),
        None => config.esp.iter().copied().map(OfferedEsp::of_suite).collect(),
    };
    // What we cannot do is offered when it is a habit; choosing it is the peer's mistake.
    transforms
        .into_iter()
        .filter(|transform| transform.suite().is_none_or(allowed))
        .take(crate::suite::SUITES_MAX)
        .collect()
}

fn message1(
    ctx: &Context,
    sa: &IkeSa,
    offer: &AwaitQm2,
    ke: Option<Vec<u8>>,
    id: u32,
) -> Result<(Vec<u8>, Vec<u8>), Rejected> {
    let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
    let (provider, keys) = (&*ctx.provider, &established.keys);
    let dialect = sa.vendors.nat_t.unwrap_or(NatT::Rfc3947);
    let habits = &ctx.config.habits.phase2;
    let encapsulation = match offer.encap {
        Encap::Esp => Encapsulation::TRANSPORT,
        Encap::Udp => habits.encapsulation.unwrap_or_else(|| nat::udp_transport(dialect)),
    };
    let group = offer.pfs.as_ref().map(|(group, _)| GroupNumber(group.number()));
    let transforms = offered(&ctx.config).into_iter().map(|t| OfferedEsp {
        group,
        encapsulation: Some(encapsulation),
        ..t
    });
    let body = offer_esp(transforms, offer.spi, offer.lifetime, habits.wide_lifetimes);
    let mut chain = Out::new()
        .with(PayloadType::SA, body.to_bytes())
        .with(PayloadType::NONCE, offer.nonce_i.as_slice());
    if let Some(ke) = ke {
        chain.push(PayloadType::KE, ke);
    }
    if let Some((own, peers)) = &offer.selectors.bodies {
        chain.push(PayloadType::ID, own.as_slice());
        chain.push(PayloadType::ID, peers.as_slice());
    }
    if offer.encap == Encap::Udp {
        // Our address, then the peer's as we see it (RFC 3947 §5.2).
        let kind = habits.nat_oa_number.unwrap_or_else(|| nat::nat_oa(dialect));
        let addresses = [sa.path.local.ip(), sa.path.remote.ip()];
        for address in addresses.into_iter().take(usize::from(habits.nat_oa)) {
            chain.push(kind, NatOa(address).to_bytes());
        }
    }
    let chain = keys.hashed(provider, id, &[], chain)?;
    let iv = keys.phase2_iv(provider, &established.last_block, id)?;
    Ok(keys.seal(provider, &iv, (sa.cookies, ExchangeType::QUICK_MODE, id), &chain)?)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;

    use super::*;
    use crate::iana::ProtocolId;

    fn told(data: Vec<u8>) -> Lifetime {
        let body = Notification {
            protocol: ProtocolId::ESP,
            kind: NotifyType::RESPONDER_LIFETIME,
            spi: vec![1, 2, 3, 4],
            data,
        };
        let chain = Out::new()
            .with(PayloadType::HASH, vec![0; 20])
            .with(PayloadType::NOTIFICATION, body.to_bytes())
            .to_bytes();
        told_lifetime(&Chain::read(PayloadType::HASH, &chain).unwrap())
    }

    #[test]
    fn a_responder_may_shorten_a_lifetime_by_notification() {
        let hour = Lifetime { time: Duration::from_hours(1), kilobytes: Some(1000) };
        let seconds = told(vec![0x80, 1, 0, 1, 0x80, 2, 0x07, 0x08]);
        let shorter = Lifetime { time: Duration::from_mins(30), ..hour };
        assert_eq!(hour.shorter(seconds), shorter);
        let kilobytes = told(vec![0x80, 1, 0, 2, 0, 2, 0, 4, 0, 0, 0, 100]);
        assert_eq!(hour.shorter(kilobytes), Lifetime { kilobytes: Some(100), ..hour });
        let longer = told(vec![0x80, 1, 0, 1, 0, 2, 0, 4, 0, 1, 0, 0]);
        assert_eq!(hour.shorter(longer), hour);
        assert_eq!(hour.shorter(told(vec![0x80, 1, 0])), hour, "a stump says nothing");
    }
}
