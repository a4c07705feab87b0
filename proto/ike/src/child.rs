//! Child SAs: pairs of ESP SAs, from installation to removal.
//!
//! A responder installs the inbound half before it answers and the outbound half when the initiator
//! has confirmed, with message 3 or with a first packet. An older child with the same selectors is
//! replaced then, and kept for a while for packets under way.

use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key};
use isthmus_crypto::{DhGroup, EspKeys, EspSuite};
use serde::{Deserialize, Serialize};

use crate::action::{Action, ChildUp, DownReason, InstallInbound, InstallOutbound, PeerId};
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::habits::Replaced;
use crate::peer::{EXPIRY_GRACE, PeerTimer, soft};
use crate::suite::Lifetime;

/// A child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Child {
    /// Our SPI.
    pub(crate) inbound: u32,
    /// The peer's SPI.
    pub(crate) outbound: u32,
    pub(crate) suite: EspSuite,
    pub(crate) keys_in: EspKeys,
    pub(crate) keys_out: EspKeys,
    pub(crate) encap: Encap,
    pub(crate) selectors: Selectors,
    /// Group of its perfect forward secrecy; a rekey uses the same.
    pub(crate) group: Option<DhGroup>,
    pub(crate) lifetime: Lifetime,
    /// We made it, so we rekey it.
    pub(crate) initiator: bool,
    pub(crate) state: ChildState,
}

/// UDP ports of a child, 0 for any, and the identification bodies that said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selectors {
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// Ours and the peer's, as exchanged; none when the initiator sent none.
    pub(crate) bodies: Option<(Vec<u8>, Vec<u8>)>,
}

impl Selectors {
    fn same_ports(&self, other: &Self) -> bool {
        self.local_port == other.local_port && self.remote_port == other.remote_port
    }
}

/// Where a child is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ChildState {
    /// Only inbound: the quick mode of this IKE SA and message id is not confirmed.
    Half {
        /// IKE SA.
        sa: Key,
        /// Message id.
        message_id: u32,
    },
    /// Both directions.
    Up,
    /// A younger child took over.
    Replaced,
    /// The peer deleted it before its replacement was confirmed.
    Deleted,
    /// The peer deleted it and its replacement is up: inbound only, for packets under way.
    Draining,
}

impl Endpoint {
    /// Reserves an SPI of ours.
    pub(crate) fn reserve_spi(&mut self, peer: PeerId) -> Result<u32, Rejected> {
        self.inbound
            .insert_in(peer.0.lane(), peer)
            .map(Key::raw)
            .map_err(|_| Rejected::QuickModeLimit)
    }

    /// Reserves an SPI of ours that is not `other`. KEYMAT depends on the SPI alone, so equal SPIs
    /// would give both directions the same key, and two ends that count theirs alike would meet.
    pub(crate) fn reserve_spi_besides(
        &mut self,
        peer: PeerId,
        other: u32,
    ) -> Result<u32, Rejected> {
        let first = self.reserve_spi(peer)?;
        if first != other {
            return Ok(first);
        }
        let second = self.reserve_spi(peer);
        self.release_spi(first);
        second
    }

    /// Gives an SPI back that no child came to use.
    pub(crate) fn release_spi(&mut self, spi: u32) {
        self.inbound.remove(Key::from_raw(spi));
    }

    /// Installs the inbound half of a child.
    pub(crate) fn install_child(&mut self, peer_id: PeerId, child: Child, now: Instant) {
        self.make_room_for_child(peer_id);
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        let install = InstallInbound::of(peer_id, &child, peer.path);
        self.ctx.out.push(Action::InstallInbound(install));
        let spi = child.inbound;
        if child.initiator {
            let time = soft(child.lifetime.time, &mut self.ctx.rng);
            peer.timers.set(PeerTimer::ChildSoft(spi), now + time);
            peer.timers.set(PeerTimer::ChildHard(spi), now + child.lifetime.time);
        } else {
            let time = child.lifetime.time + EXPIRY_GRACE;
            peer.timers.set(PeerTimer::ChildHard(spi), now + time);
        }
        peer.timers.clear(PeerTimer::Childless);
        // One is all that most peers ever have at a time.
        peer.children.reserve_exact(1);
        peer.children.push(child);
        self.touch(Owner::Peer(peer_id.0));
    }

    /// Installs the outbound half: the peer has the keys.
    pub(crate) fn complete_child(&mut self, peer_id: PeerId, spi: u32, now: Instant) {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        let path = peer.path;
        let Some(child) = peer.children.iter_mut().find(|child| child.inbound == spi) else {
            return;
        };
        if !matches!(child.state, ChildState::Half { .. }) {
            return;
        }
        child.state = ChildState::Up;
        let child = child.clone();
        let older = peer
            .children
            .iter()
            .filter(|old| old.inbound != spi && old.selectors.same_ports(&child.selectors));
        let older: Vec<(u32, ChildState)> = older.map(|old| (old.inbound, old.state)).collect();
        let rekeyed = older.iter().any(|(_, state)| !matches!(state, ChildState::Half { .. }));
        self.remove_namesakes(peer_id, &child);
        let install = InstallOutbound::of(peer_id, &child, path);
        self.ctx.out.push(Action::InstallOutbound(install));
        self.ctx.out.push(Action::ChildUp(ChildUp::of(peer_id, &child, rekeyed)));
        for (old, state) in older {
            match state {
                ChildState::Up => self.replace_child(peer_id, old, child.initiator, now),
                ChildState::Deleted => self.drain_child(peer_id, old, now),
                ChildState::Draining | ChildState::Half { .. } | ChildState::Replaced => {}
            }
        }
    }

    /// An SPI names one SA at the peer: what had that of `child` before is gone there.
    fn remove_namesakes(&mut self, peer_id: PeerId, child: &Child) {
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        let namesake = |old: &&Child| {
            old.inbound != child.inbound
                && old.outbound == child.outbound
                && !matches!(old.state, ChildState::Draining | ChildState::Half { .. })
        };
        let gone: Vec<u32> = peer.children.iter().filter(namesake).map(|c| c.inbound).collect();
        for old in gone {
            self.remove_child(peer_id, old);
        }
    }

    /// Tells the peer of the end of what the child at `spi` is about to replace; it is taken for a
    /// while all the same.
    pub(crate) fn announce_replacement(&mut self, peer_id: PeerId, spi: u32) {
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        let Some(child) = peer.children.iter().find(|child| child.inbound == spi) else { return };
        let older = |old: &&Child| {
            old.state == ChildState::Up && old.selectors.same_ports(&child.selectors)
        };
        let older: Vec<u32> = peer.children.iter().filter(older).map(|c| c.inbound).collect();
        self.send_child_deletes(peer_id, &older);
    }

    /// The grace of a replaced or deleted child is over.
    pub(crate) fn let_go_of_child(&mut self, peer_id: PeerId, spi: u32) {
        let Some(child) = self.child(peer_id, spi) else { return };
        let silent = self.ctx.config.habits.life.replaced != Replaced::DeleteAfter;
        if child.state == ChildState::Draining || (child.initiator && silent) {
            self.remove_child(peer_id, spi);
        } else {
            self.delete_children(peer_id, &[spi]);
        }
    }

    fn replace_child(&mut self, peer_id: PeerId, spi: u32, initiator: bool, now: Instant) {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        let Some(child) = peer.children.iter_mut().find(|child| child.inbound == spi) else {
            return;
        };
        child.state = ChildState::Replaced;
        let grace = match self.ctx.config.habits.life.replaced {
            _ if !initiator => REPLACED_GRACE,
            Replaced::DeleteAfter | Replaced::Forget => REPLACED_GRACE_INITIATOR,
            Replaced::DeleteBefore => ANNOUNCED_GRACE,
        };
        peer.timers.clear(PeerTimer::ChildSoft(spi));
        peer.timers.set(PeerTimer::ChildGone(spi), now + grace);
        self.touch(Owner::Peer(peer_id.0));
    }

    /// A packet arrived on an inbound SA: its quick mode is confirmed even if message 3 was lost.
    pub(crate) fn child_used(&mut self, spi: u32, now: Instant) {
        let Some(peer_id) = self.inbound.get(Key::from_raw(spi)).copied() else { return };
        let Some(child) = self.child(peer_id, spi) else { return };
        if let ChildState::Half { sa, message_id } = child.state {
            self.confirm_quick_mode(sa, message_id, now);
            self.complete_child(peer_id, spi, now);
        }
    }

    /// The peer deleted the SA that we send on.
    pub(crate) fn child_deleted(&mut self, peer_id: PeerId, outbound: u32, now: Instant) {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        let found = peer.children.iter().find(|child| child.outbound == outbound);
        let Some(child) = found.cloned() else { return };
        let spi = child.inbound;
        let successor =
            |other: &&Child| other.inbound != spi && other.selectors.same_ports(&child.selectors);
        let renewed = |wanted: fn(ChildState) -> bool| {
            peer.children.iter().filter(successor).any(|other| wanted(other.state))
        };
        let pending = renewed(|state| matches!(state, ChildState::Half { .. }));
        let replaced = renewed(|state| state == ChildState::Up);
        match child.state {
            // Windows deletes the old child at once, and its DELETE may overtake message 3 of the new.
            ChildState::Up if pending => {
                if let Some(old) = peer.children.iter_mut().find(|old| old.inbound == spi) {
                    old.state = ChildState::Deleted;
                }
                peer.timers.set(PeerTimer::ChildGone(spi), now + DELETED_GRACE);
                self.touch(Owner::Peer(peer_id.0));
            }
            ChildState::Up | ChildState::Replaced if replaced => {
                self.drain_child(peer_id, spi, now);
            }
            ChildState::Deleted
            | ChildState::Draining
            | ChildState::Half { .. }
            | ChildState::Replaced
            | ChildState::Up => {
                self.remove_child(peer_id, spi);
                self.remove_drained(peer_id);
                self.note_childless(peer_id, now);
            }
        }
    }

    /// Nothing goes out any more on a child that its peer deleted and replaced; packets that the peer
    /// sent before, and that its DELETE overtook, are taken for a while.
    fn drain_child(&mut self, peer_id: PeerId, spi: u32, now: Instant) {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        let Some(child) = peer.children.iter_mut().find(|child| child.inbound == spi) else {
            return;
        };
        child.state = ChildState::Draining;
        let outbound = child.outbound;
        peer.timers.set(PeerTimer::ChildGone(spi), now + DRAINING_GRACE);
        self.touch(Owner::Peer(peer_id.0));
        self.ctx.out.push(Action::RemoveOutbound { peer: peer_id, spi: outbound });
    }

    /// Draining children wait for packets only as long as there is another child.
    fn remove_drained(&mut self, peer_id: PeerId) {
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        if peer.children.iter().any(|child| child.state != ChildState::Draining) {
            return;
        }
        let draining: Vec<u32> = peer.children.iter().map(|child| child.inbound).collect();
        for spi in draining {
            self.remove_child(peer_id, spi);
        }
    }

    /// Starts the clock of a peer without a child.
    pub(crate) fn note_childless(&mut self, peer_id: PeerId, now: Instant) {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        if !peer.children.is_empty() || peer.timers.is_set(PeerTimer::Childless) {
            return;
        }
        let grace = if peer.connect.is_some() {
            CHILDLESS_GRACE_INITIATOR
        } else {
            crate::peer::CHILDLESS_MAX
        };
        peer.timers.set(PeerTimer::Childless, now + grace);
        self.touch(Owner::Peer(peer_id.0));
        self.remove_if_empty(peer_id, DownReason::Deleted);
    }

    /// Takes a child away on our side.
    pub(crate) fn remove_child(&mut self, peer_id: PeerId, spi: u32) {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        let Some(index) = peer.children.iter().position(|child| child.inbound == spi) else {
            return;
        };
        let child = peer.children.remove(index);
        for timer in
            [PeerTimer::ChildGone(spi), PeerTimer::ChildHard(spi), PeerTimer::ChildSoft(spi)]
        {
            peer.timers.clear(timer);
        }
        self.touch(Owner::Peer(peer_id.0));
        self.release_spi(spi);
        self.ctx.out.push(Action::RemoveInbound { peer: peer_id, spi });
        if !matches!(child.state, ChildState::Draining | ChildState::Half { .. }) {
            self.ctx.out.push(Action::RemoveOutbound { peer: peer_id, spi: child.outbound });
        }
    }

    pub(crate) fn child(&self, peer: PeerId, inbound: u32) -> Option<&Child> {
        self.peers.get(peer.0)?.children.iter().find(|child| child.inbound == inbound)
    }

    /// Lets the oldest child go, the replaced ones first, when a peer has [`CHILDREN_MAX`].
    fn make_room_for_child(&mut self, peer_id: PeerId) {
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        if peer.children.len() < CHILDREN_MAX {
            return;
        }
        let done = |child: &&Child| {
            matches!(child.state, ChildState::Replaced | ChildState::Deleted | ChildState::Draining)
        };
        let oldest = peer.children.iter().find(done).or_else(|| peer.children.first());
        if let Some(spi) = oldest.map(|child| child.inbound) {
            self.delete_children(peer_id, &[spi]);
        }
    }
}

/// Keeps a negotiated lifetime within what timers can hold and a peer can mean.
pub(crate) fn bounded(lifetime: Lifetime) -> Lifetime {
    Lifetime { time: lifetime.time.clamp(CHILD_LIFETIME_MIN, CHILD_LIFETIME_MAX), ..lifetime }
}

/// Most children of one peer. Windows makes one for each repeated SCCRQ while the server is mute.
pub const CHILDREN_MAX: usize = 8;
/// How long a responder keeps a replaced child that the peer does not delete.
pub const REPLACED_GRACE: Duration = Duration::from_mins(2);
/// How long an initiator keeps a replaced child for packets under way.
pub const REPLACED_GRACE_INITIATOR: Duration = Duration::from_secs(10);
/// How long an initiator takes packets on a child whose DELETE went before its replacement: Windows
/// drops the outbound SA at once and the inbound one a minute later.
pub const ANNOUNCED_GRACE: Duration = Duration::from_mins(1);
/// How long packets are taken on a child that its peer has deleted and replaced.
pub const DRAINING_GRACE: Duration = Duration::from_secs(2);
/// How long a deleted child waits for the confirmation of its replacement.
pub const DELETED_GRACE: Duration = Duration::from_secs(10);
/// How long an initiator stays without a child that the peer deleted.
const CHILDLESS_GRACE_INITIATOR: Duration = Duration::from_secs(5);
const CHILD_LIFETIME_MIN: Duration = Duration::from_secs(30);
/// Longest life of a child, whatever was negotiated.
pub const CHILD_LIFETIME_MAX: Duration = Duration::from_hours(48);
