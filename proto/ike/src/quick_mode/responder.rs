//! Quick mode as responder.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Encap, Instant, Key, Path, SecretBytes};
use isthmus_crypto::{CryptoError, DhJob, DhOutput, EspSuite};
use isthmus_wire::DecodeError;

use super::lifetime::responder_lifetime;
use super::selectors::read_selectors;
use super::{Agreed, Quick, QuickState};
use crate::action::{Failure, FailureCause, PeerId, Stage};
use crate::child::{Child, Selectors};
use crate::codec::{Chain, Message, NatOa, Out, SaBody, body};
use crate::context::{Context, Digest, Job};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::{ExchangeType, NotifyType, PayloadType};
use crate::keys::ChildSeed;
use crate::peer::Peer;
use crate::sa::{IkeSa, Window};
use crate::suite::{ChosenEsp, Criteria, OfferedEsp, choose_esp};

/// Proof that message 1 is the peer's and acceptable.
pub(crate) struct AcceptedQm1 {
    chosen: ChosenEsp,
    nonce_i: Vec<u8>,
    ke_i: Option<Vec<u8>>,
    selectors: Selectors,
    /// Type of the NAT-OA payloads, when the initiator sent some.
    nat_oa: Option<PayloadType>,
    /// IV of message 2.
    iv: Vec<u8>,
    digest: Digest,
}

/// Message 2 was sent.
pub(crate) struct AwaitQm3 {
    /// Our SPI, of the half-installed child.
    pub(crate) spi: u32,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
}

/// Why message 1 is not acceptable.
enum Refusal {
    /// It proves nothing.
    Rejected(Rejected),
    /// It is the peer's, and the peer is told.
    Refused { rejected: Rejected, cause: FailureCause, spi: Vec<u8> },
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::Rejected(error.into())
    }
}

fn admit_qm1(
    ctx: &Context,
    sa: &IkeSa,
    peer: &Peer,
    message: &Message<'_>,
    digest: Digest,
) -> Result<AcceptedQm1, Refusal> {
    let id = message.header.message_id;
    let Some(established) = sa.established() else { return Err(Rejected::IncorrectState.into()) };
    let (provider, keys) = (&*ctx.provider, &established.keys);
    let iv = keys.phase2_iv(provider, &established.last_block, id).map_err(Rejected::Crypto)?;
    let (plain, iv) = keys.open(provider, &iv, message)?;
    let chain =
        Chain::read_decrypted(message.header.first, &plain).map_err(|_| Rejected::Undecryptable)?;
    keys.verify_phase2(provider, id, &[], &chain)?;

    let offer = SaBody::read(chain.required(PayloadType::SA)?)?;
    let nonce_i = body::read_nonce(chain.required(PayloadType::NONCE)?)?.to_vec();
    let ke_i = chain.optional(PayloadType::KE)?;
    let spi = offer.proposals.first().map_or_else(Vec::new, |p| p.spi.clone());
    let ids: Vec<&[u8]> = chain.all(PayloadType::ID).collect();
    let ports = read_selectors(&ids).map_err(|rejected| {
        let cause = FailureCause::InvalidSelectors;
        Refusal::Refused { rejected, cause, spi: spi.clone() }
    })?;
    let (remote_port, local_port) = ports.unwrap_or((0, 0));
    let bodies = match ids.as_slice() {
        [initiator, responder] => Some((responder.to_vec(), initiator.to_vec())),
        _ => None,
    };
    let criteria = criteria(ctx, peer, ke_i.map(<[u8]>::len));
    let chosen = choose_esp(&offer, criteria).map_err(|offered| no_proposal(ctx, offered, spi))?;
    let is_nat_oa = |kind| matches!(kind, PayloadType::NAT_OA | PayloadType::NAT_OA_DRAFT);
    Ok(AcceptedQm1 {
        chosen,
        nonce_i,
        ke_i: ke_i.map(<[u8]>::to_vec),
        selectors: Selectors { local_port, remote_port, bodies },
        nat_oa: chain.iter().map(|p| p.kind).find(|kind| is_nat_oa(*kind)),
        iv,
        digest,
    })
}

fn criteria<'a>(ctx: &'a Context, peer: &Peer, ke_len: Option<usize>) -> Criteria<'a> {
    let udp = peer.encap == Encap::Udp;
    Criteria {
        suites: &ctx.config.esp,
        legacy: ctx.config.legacy,
        plain: !udp,
        // A peer that uses port 4500 without a NAT may also ask for UDP without one.
        udp: udp || peer.marked,
        ke_len,
    }
}

fn no_proposal(ctx: &Context, offered: Vec<OfferedEsp>, spi: Vec<u8>) -> Refusal {
    let ours: Vec<EspSuite> = ctx
        .config
        .esp
        .iter()
        .copied()
        .filter(|suite| ctx.config.legacy || !suite.is_legacy())
        .collect();
    let cause = FailureCause::NoEspProposal { offered, ours };
    Refusal::Refused { rejected: Rejected::NoProposalChosen, cause, spi }
}

impl Endpoint {
    /// Message 1 of the peer.
    pub(crate) fn quick_mode_first(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        digest: Digest,
        now: Instant,
    ) -> Result<(), Rejected> {
        let id = message.header.message_id;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let Some(peer_id) = sa.peer else { return Err(Rejected::IncorrectState) };
        let Some(peer) = self.peers.get(peer_id.0) else { return Err(Rejected::IncorrectState) };
        match admit_qm1(&self.ctx, sa, peer, message, digest) {
            Ok(accepted) => {
                self.heard(key, path, marked, now);
                self.admit_quick_mode(key)?;
                self.commit_qm1(key, id, accepted, now)
            }
            Err(Refusal::Rejected(rejected)) => Err(rejected),
            Err(Refusal::Refused { rejected, cause, spi }) => {
                self.heard(key, path, marked, now);
                self.refuse_qm1(key, peer_id, id, cause, spi);
                Err(rejected)
            }
        }
    }

    fn refuse_qm1(
        &mut self,
        key: Key,
        peer_id: PeerId,
        id: u32,
        cause: FailureCause,
        spi: Vec<u8>,
    ) {
        let kind = match cause {
            FailureCause::InvalidSelectors => NotifyType::INVALID_ID_INFORMATION,
            FailureCause::BadKeyExchange(_) => NotifyType::INVALID_KEY_INFORMATION,
            FailureCause::AuthenticationFailed
            | FailureCause::IdentityNotAllowed(_)
            | FailureCause::NoEspProposal { .. }
            | FailureCause::NoIkeProposal { .. }
            | FailureCause::PeerNotify(_)
            | FailureCause::Timeout
            | FailureCause::UnknownGroup(_)
            | FailureCause::Untrusted(_)
            | FailureCause::WrongPsk => NotifyType::NO_PROPOSAL_CHOSEN,
        };
        let Some(sa) = self.sas.get_mut(key) else { return };
        if let Some(established) = sa.established_mut() {
            established.seen.insert(id);
        }
        let (path, stage, facts) = (sa.path, Stage::QuickMode, sa.facts());
        self.notify_quick_mode(key, kind, spi);
        let (peer, initiator) = (Some(peer_id), false);
        self.ctx.fail(Failure { peer, path, stage, cause, initiator, facts });
    }

    fn commit_qm1(
        &mut self,
        key: Key,
        id: u32,
        accepted: AcceptedQm1,
        now: Instant,
    ) -> Result<(), Rejected> {
        let job = match (accepted.chosen.group, &accepted.ke_i) {
            (Some(group), Some(peer)) => {
                let seed = self.ctx.rng.seed();
                DhJob::GenerateAndAgree { group, seed, peer: peer.clone() }
            }
            _ => return self.answer_qm1(key, id, &accepted, None, now),
        };
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let Some(established) = sa.established_mut() else { return Err(Rejected::IncorrectState) };
        let window = Window { received: Some(accepted.digest), ..Window::default() };
        let iv = accepted.iv.clone();
        let state = QuickState::AgreeingAsResponder(Box::new(accepted));
        let quick = Quick { state, ours: false, iv, window };
        established.quick.insert(id, Box::new(quick));
        self.ctx.offload(Job::QuickMode(key, id), job);
        Ok(())
    }

    pub(crate) fn quick_responder_agreed(
        &mut self,
        key: Key,
        id: u32,
        accepted: &AcceptedQm1,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        if let Some(established) = self.sas.get_mut(key).and_then(|sa| sa.established_mut()) {
            established.quick.remove(&id);
        }
        let error = match result.and_then(DhOutput::both) {
            Ok((pair, shared)) => {
                let pfs = Some((pair.public, shared));
                // Only a full arena or a broken provider fails here; the peer asks again.
                let _ = self.answer_qm1(key, id, accepted, pfs, now);
                return;
            }
            Err(error) => error,
        };
        let Some(peer) = self.sas.get(key).and_then(|sa| sa.peer) else { return };
        let spi = accepted.chosen.spi.to_be_bytes().to_vec();
        self.refuse_qm1(key, peer, id, FailureCause::BadKeyExchange(error), spi);
    }

    /// Installs the inbound half, then sends message 2.
    fn answer_qm1(
        &mut self,
        key: Key,
        id: u32,
        accepted: &AcceptedQm1,
        pfs: Option<(Vec<u8>, SecretBytes)>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(peer_id) = self.sas.get(key).and_then(|sa| sa.peer) else {
            return Err(Rejected::IncorrectState);
        };
        let nonce_r = self.ctx.nonce(super::NONCE_LEN);
        let spi = self.reserve_spi_besides(peer_id, accepted.chosen.spi)?;
        let (ke_r, shared) = pfs.map_or((None, None), |(ke, shared)| (Some(ke), Some(shared)));
        let seed = ChildSeed { shared, nonce_i: accepted.nonce_i.clone(), nonce_r };
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let made = make_child(&self.ctx, sa, accepted, spi, &seed, (key, id)).and_then(|child| {
            Ok((child, message2(&self.ctx, sa, accepted, spi, &seed, ke_r, id)?))
        });
        let (child, (bytes, iv)) = match made {
            Ok(made) => made,
            Err(rejected) => {
                self.release_spi(spi);
                return Err(rejected);
            }
        };
        self.install_child(peer_id, child, now);
        let ChildSeed { nonce_i, nonce_r, .. } = seed;
        let state = QuickState::AwaitQm3(Box::new(AwaitQm3 { spi, nonce_i, nonce_r }));
        let window = Window { received: Some(accepted.digest), ..Window::default() };
        self.send_quick_mode(key, id, Quick { state, ours: false, iv, window }, bytes, now)
    }

    /// Message 3: the peer has the keys.
    pub(crate) fn quick_mode_third(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        digest: Digest,
        now: Instant,
    ) -> Result<(), Rejected> {
        let id = message.header.message_id;
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let peer = sa.peer.ok_or(Rejected::IncorrectState)?;
        let Some(established) = sa.established_mut() else { return Err(Rejected::IncorrectState) };
        let Some(quick) = established.quick.get_mut(&id) else {
            return Err(Rejected::IncorrectState);
        };
        let QuickState::AwaitQm3(state) = &quick.state else {
            return Err(Rejected::IncorrectState);
        };
        let spi = state.spi;
        let (provider, keys) = (&*self.ctx.provider, &established.keys);
        let (plain, _) = keys.open(provider, &quick.iv, message)?;
        let chain = Chain::read_decrypted(message.header.first, &plain)
            .map_err(|_| Rejected::Undecryptable)?;
        let (hash, _) = chain.hashed()?;
        let nonces = [state.nonce_i.as_slice(), state.nonce_r.as_slice()];
        if !keys.quick_hash3(provider, id, nonces)?.ct_eq(hash) {
            return Err(Rejected::HashMismatch);
        }
        quick.window.received = Some(digest);
        quick.window.sent = None;
        self.confirm_quick_mode(key, id, now);
        self.heard(key, path, marked, now);
        self.complete_child(peer, spi, now);
        Ok(())
    }
}

fn make_child(
    ctx: &Context,
    sa: &IkeSa,
    accepted: &AcceptedQm1,
    spi: u32,
    seed: &ChildSeed,
    half: (Key, u32),
) -> Result<Child, Rejected> {
    let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
    let AcceptedQm1 { chosen, selectors, .. } = accepted;
    let agreed = Agreed { chosen, selectors, lifetime: chosen.lifetime, spi, ours: false };
    Ok(agreed.child(&*ctx.provider, &established.keys, seed, half)?)
}

fn message2(
    ctx: &Context,
    sa: &IkeSa,
    accepted: &AcceptedQm1,
    spi: u32,
    seed: &ChildSeed,
    ke_r: Option<Vec<u8>>,
    id: u32,
) -> Result<(Vec<u8>, Vec<u8>), Rejected> {
    let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
    let (provider, keys) = (&*ctx.provider, &established.keys);
    let mut chain = Out::new()
        .with(PayloadType::SA, accepted.chosen.reply(spi).to_bytes())
        .with(PayloadType::NONCE, seed.nonce_r.as_slice());
    if let Some(ke) = ke_r {
        chain.push(PayloadType::KE, ke);
    }
    if let Some((own, peers)) = &accepted.selectors.bodies {
        chain.push(PayloadType::ID, peers.as_slice());
        chain.push(PayloadType::ID, own.as_slice());
    }
    if let Some(kind) = accepted.nat_oa {
        // The initiator's address as we see it, then ours (RFC 3947 §5.2).
        chain.push(kind, NatOa(sa.path.remote.ip()).to_bytes());
        chain.push(kind, NatOa(sa.path.local.ip()).to_bytes());
    }
    if let Some(told) = responder_lifetime(&ctx.config, accepted.chosen.lifetime, spi) {
        chain.push(PayloadType::NOTIFICATION, told.to_bytes());
    }
    let chain = keys.hashed(provider, id, &seed.nonce_i, chain)?;
    let about = (sa.cookies, ExchangeType::QUICK_MODE, id);
    Ok(keys.seal(provider, &accepted.iv, about, &chain)?)
}
