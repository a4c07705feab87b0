//! Quick mode (RFC 2409 §5.5): three messages that make a child, both roles.
//!
//! ```text
//! initiator                                        responder
//!   1  {HASH(1), SA, Ni, [KE], [IDci, IDcr]} ->        choose; [generate and agree (offloaded)]
//!                                                      install inbound, then
//!      [agree (offloaded)]                   <-   2  {HASH(2), SA, Nr, [KE], [IDci, IDcr]}
//!      install both directions
//!   3  {HASH(3)}                             ->        install outbound
//! ```
//!
//! The responder repeats message 2 until message 3 or a first packet confirms it; the initiator
//! repeats message 3 when message 2 comes again. Windows numbers its message ids 1, 2, 3.

pub(crate) mod initiator;
mod lifetime;
mod offer;
pub(crate) mod responder;
mod selectors;

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Key, Path};
use isthmus_crypto::{CryptoError, DhOutput, Provider};

use crate::action::{DownReason, Failure, FailureCause, PeerId, Stage};
use crate::child::{Child, ChildState, Selectors};
use crate::codec::Message;
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::keys::{ChildSeed, IkeKeys};
use crate::sa::{SaTimer, Sent, Window};
use crate::suite::{ChosenEsp, Lifetime};

/// One quick mode under an IKE SA.
pub(crate) struct Quick {
    pub(crate) state: QuickState,
    /// We sent message 1.
    pub(crate) ours: bool,
    /// IV of the next message in either direction.
    pub(crate) iv: Vec<u8>,
    pub(crate) window: Window,
}

/// What a quick mode waits for.
pub(crate) enum QuickState {
    // Responder.
    AgreeingAsResponder(Box<responder::AcceptedQm1>),
    AwaitQm3(Box<responder::AwaitQm3>),
    // Initiator.
    Generating(Box<initiator::Generating>),
    AwaitQm2(Box<initiator::AwaitQm2>),
    AgreeingAsInitiator(Box<initiator::AcceptedQm2>),
    // Both.
    /// Over; kept for a while to answer duplicates.
    Done,
}

impl Quick {
    /// The SPI that a quick mode of ours offered and that has no child.
    pub(crate) fn offered_spi(&self) -> Option<u32> {
        match &self.state {
            QuickState::Generating(state) => Some(state.spi),
            QuickState::AwaitQm2(state) => Some(state.spi),
            QuickState::AgreeingAsInitiator(state) => Some(state.offer.spi),
            QuickState::AgreeingAsResponder(_) | QuickState::AwaitQm3(_) | QuickState::Done => None,
        }
    }

    /// Whether this quick mode of ours makes a successor for a child with these selectors.
    pub(crate) fn renews(&self, selectors: &Selectors) -> bool {
        match &self.state {
            QuickState::Generating(state) => state.selectors == *selectors,
            QuickState::AwaitQm2(state) => state.selectors == *selectors,
            QuickState::AgreeingAsInitiator(state) => state.offer.selectors == *selectors,
            QuickState::AgreeingAsResponder(_) | QuickState::AwaitQm3(_) | QuickState::Done => {
                false
            }
        }
    }

    /// Our SPI in a quick mode that is not over.
    pub(crate) fn pending_spi(&self) -> Option<u32> {
        self.offered_spi().or_else(|| self.half_child())
    }

    /// The half-installed child of a quick mode of the peer.
    pub(crate) fn half_child(&self) -> Option<u32> {
        match &self.state {
            QuickState::AwaitQm3(state) => Some(state.spi),
            QuickState::AgreeingAsResponder(_)
            | QuickState::Generating(_)
            | QuickState::AwaitQm2(_)
            | QuickState::AgreeingAsInitiator(_)
            | QuickState::Done => None,
        }
    }
}

/// What both ends of a quick mode have agreed, as the child of one of them.
pub(crate) struct Agreed<'a> {
    pub(crate) chosen: &'a ChosenEsp,
    pub(crate) selectors: &'a Selectors,
    pub(crate) lifetime: Lifetime,
    /// Our SPI.
    pub(crate) spi: u32,
    /// We sent message 1.
    pub(crate) ours: bool,
}

impl Agreed<'_> {
    /// The child, half installed until the quick mode with this id is confirmed.
    pub(crate) fn child(
        &self,
        provider: &dyn Provider,
        keys: &IkeKeys,
        seed: &ChildSeed,
        (sa, message_id): (Key, u32),
    ) -> Result<Child, CryptoError> {
        let (suite, outbound) = (self.chosen.suite, self.chosen.spi);
        Ok(Child {
            inbound: self.spi,
            outbound,
            suite,
            keys_in: keys.child_keys(provider, suite, self.spi, seed)?,
            keys_out: keys.child_keys(provider, suite, outbound, seed)?,
            encap: self.chosen.encap,
            selectors: self.selectors.clone(),
            group: self.chosen.group,
            lifetime: crate::child::bounded(self.lifetime),
            initiator: self.ours,
            state: ChildState::Half { sa, message_id },
        })
    }
}

impl Endpoint {
    /// A quick mode message on an established SA.
    pub(crate) fn quick_mode(
        &mut self,
        key: Key,
        from: (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let id = message.header.message_id;
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        if sa.awaits_am3() {
            return Err(self.miss_third(key, message));
        }
        let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
        if !message.header.flags.is_encrypted() {
            return Err(Rejected::Plain);
        }
        if id == 0 {
            return Err(Rejected::MessageId);
        }
        let Some(quick) = established.quick.get(&id) else {
            if established.seen.contains(id) {
                return Err(Rejected::Duplicate);
            }
            return self.quick_mode_first(key, from, message, digest, now);
        };
        if quick.window.received == Some(digest) {
            return self.repeat_quick_mode(key, id);
        }
        match &quick.state {
            QuickState::AwaitQm2(_) => self.quick_mode_second(key, from, message, digest, now),
            QuickState::AwaitQm3(_) => self.quick_mode_third(key, from, message, digest, now),
            QuickState::AgreeingAsResponder(_)
            | QuickState::AgreeingAsInitiator(_)
            | QuickState::Generating(_) => Err(Rejected::Busy),
            QuickState::Done => Err(Rejected::Duplicate),
        }
    }

    /// The last message was received before: the answer to it was lost.
    fn repeat_quick_mode(&mut self, key: Key, id: u32) -> Result<(), Rejected> {
        let sa = self.sas.get_mut(key);
        let quick = sa.and_then(|sa| sa.established_mut()?.quick.get(&id));
        let Some(sent) = quick.and_then(|quick| quick.window.sent.clone()) else {
            return Err(Rejected::Duplicate);
        };
        self.ctx.stats.replies_repeated += 1;
        self.ctx.transmit(sent);
        Ok(())
    }

    /// Sends message 1 or 2 of a quick mode and arms its repetition.
    pub(crate) fn send_quick_mode(
        &mut self,
        key: Key,
        id: u32,
        mut quick: Quick,
        bytes: Vec<u8>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let sent = Sent { peer: sa.peer, path: sa.path, marked: sa.marked, bytes };
        quick.window.sent = Some(sent.clone());
        if let Some(wait) = quick.window.backoff() {
            sa.timers.set(SaTimer::Quick(id), now + wait);
        }
        if let Some(established) = sa.established_mut() {
            established.quick.insert(id, Box::new(quick));
        }
        self.ctx.transmit(sent);
        self.touch(Owner::Sa(key));
        Ok(())
    }

    /// A job of a quick mode is done.
    pub(crate) fn quick_mode_job(
        &mut self,
        key: Key,
        id: u32,
        result: Result<DhOutput, CryptoError>,
        now: Instant,
    ) {
        let Some(established) = self.sas.get_mut(key).and_then(|sa| sa.established_mut()) else {
            return;
        };
        let Some(quick) = established.quick.get_mut(&id) else { return };
        match core::mem::replace(&mut quick.state, QuickState::Done) {
            QuickState::AgreeingAsResponder(accepted) => {
                self.quick_responder_agreed(key, id, &accepted, result, now);
            }
            QuickState::Generating(state) => {
                self.quick_initiator_generated(key, id, *state, result, now);
            }
            QuickState::AgreeingAsInitiator(accepted) => {
                self.quick_initiator_agreed(key, id, *accepted, result, now);
            }
            other @ (QuickState::AwaitQm2(_) | QuickState::AwaitQm3(_) | QuickState::Done) => {
                quick.state = other;
            }
        }
    }

    /// The timer of a quick mode: repeat its message, give up, or forget it.
    pub(crate) fn quick_mode_timer(&mut self, key: Key, id: u32, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        let Some(established) = sa.established_mut() else { return };
        let Some(quick) = established.quick.get_mut(&id) else { return };
        if matches!(quick.state, QuickState::Done) {
            established.quick.remove(&id);
            return;
        }
        quick.window.tries += 1;
        let (wait, sent) = (quick.window.backoff(), quick.window.sent.clone());
        let (Some(wait), Some(sent)) = (wait, sent) else {
            return self.fail_quick_mode(key, id, FailureCause::Timeout);
        };
        sa.timers.set(SaTimer::Quick(id), now + wait);
        self.ctx.stats.requests_repeated += 1;
        self.ctx.transmit(sent);
    }

    /// Gives a quick mode up, with what it reserved or half installed.
    pub(crate) fn fail_quick_mode(&mut self, key: Key, id: u32, cause: FailureCause) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        let (peer, path, facts) = (sa.peer, sa.path, sa.facts());
        sa.timers.clear(SaTimer::Quick(id));
        let Some(quick) = sa.established_mut().and_then(|e| e.quick.remove(&id)) else { return };
        self.touch(Owner::Sa(key));
        if let Some(spi) = quick.offered_spi() {
            self.release_spi(spi);
        }
        if let (Some(peer), Some(spi)) = (peer, quick.half_child()) {
            // The peer may have installed its side, and must not send into the void.
            self.delete_children(peer, &[spi]);
        }
        let (stage, initiator) = (Stage::QuickMode, quick.ours);
        self.ctx.fail(Failure { peer, path, stage, cause, initiator, facts });
        if let Some(peer) = peer.filter(|_| initiator) {
            self.quick_mode_of_ours_failed(peer);
        }
    }

    /// Without a child a connection of ours is of no use.
    fn quick_mode_of_ours_failed(&mut self, peer_id: PeerId) {
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        if peer.children.is_empty() && peer.connect.is_some() {
            for key in peer.sas.clone() {
                self.delete_sa(key);
            }
            self.remove_peer(peer_id, DownReason::QuickModeFailed);
        }
    }

    /// Marks a quick mode as over and remembers its id.
    pub(crate) fn confirm_quick_mode(&mut self, key: Key, id: u32, now: Instant) {
        self.third_arrived(key);
        let Some(sa) = self.sas.get_mut(key) else { return };
        let Some(established) = sa.established_mut() else { return };
        established.seen.insert(id);
        if let Some(quick) = established.quick.get_mut(&id) {
            quick.state = QuickState::Done;
            sa.timers.set(SaTimer::Quick(id), now + DONE_MEMORY);
        }
        self.touch(Owner::Sa(key));
    }

    /// Makes room for one more quick mode; those that are over go first.
    pub(crate) fn admit_quick_mode(&mut self, key: Key) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        let Some(established) = sa.established_mut() else { return Err(Rejected::IncorrectState) };
        if established.quick.len() < QUICK_MODES_MAX {
            return Ok(());
        }
        let done = |quick: &Quick| matches!(quick.state, QuickState::Done);
        let Some(id) = established.quick.iter().find(|(_, quick)| done(quick)).map(|(id, _)| *id)
        else {
            return Err(Rejected::QuickModeLimit);
        };
        established.quick.remove(&id);
        sa.timers.clear(SaTimer::Quick(id));
        Ok(())
    }
}

/// Most quick modes remembered at once on one IKE SA.
pub const QUICK_MODES_MAX: usize = 16;
/// How long a finished quick mode answers duplicates.
pub(crate) const DONE_MEMORY: Duration = Duration::from_secs(30);
/// Length of our nonces.
pub(crate) const NONCE_LEN: usize = 32;
