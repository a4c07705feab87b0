//! The far end of one or more IKE SAs, to which children belong: they outlive a rekeyed IKE SA.
//!
//! A new IKE SA joins a peer that is reached at exactly the same address and port, says it is the same
//! and has the same key. Anything less could be a neighbour behind the same NAT, where dozens of
//! clients have the same private address and the same group key.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path, Timers};

use crate::action::{Action, DownReason, PeerId, PeerUp};
use crate::child::Child;
use crate::config::{Connect, PskId};
use crate::dpd::Dpd;
use crate::endpoint::{Endpoint, Owner};
use crate::error::Rejected;
use crate::habits::DpdHabit;
use crate::identity::Identity;
use crate::keys::IkeKeys;
use crate::nat::NatStatus;
use crate::proposal::IkeProposal;
use crate::sa::{Established, Role, SaTimer, SeenIds, State};
use crate::vendor::Vendors;

/// A peer.
pub(crate) struct Peer {
    /// It was announced; before that it is only an attempt of our own.
    pub(crate) up: bool,
    pub(crate) identity: Identity,
    pub(crate) psk: PskId,
    pub(crate) vendors: Vendors,
    pub(crate) nat: NatStatus,
    pub(crate) encap: Encap,
    pub(crate) proposal: Option<IkeProposal>,
    pub(crate) path: Path,
    pub(crate) marked: bool,
    /// How we connected; absent when the peer did.
    pub(crate) connect: Option<Arc<Connect>>,
    /// Established IKE SAs, oldest first.
    pub(crate) sas: Vec<Key>,
    /// A main mode of our own under way.
    pub(crate) attempt: Option<Key>,
    /// The last IKE SA, which the peer has deleted and which hears what was overtaken.
    pub(crate) deleted_sa: Option<Key>,
    /// Oldest first.
    pub(crate) children: Vec<Child>,
    pub(crate) dpd: Dpd,
    pub(crate) timers: Timers<PeerTimer>,
}

impl Peer {
    /// A peer that we are about to connect to.
    pub(crate) fn outgoing(connect: Arc<Connect>) -> Self {
        Self {
            up: false,
            identity: Identity::address(connect.ike.remote.ip()),
            psk: PskId(0),
            vendors: Vendors::default(),
            nat: NatStatus::default(),
            encap: Encap::Esp,
            proposal: None,
            path: connect.ike,
            marked: false,
            connect: Some(connect),
            sas: Vec::new(),
            attempt: None,
            deleted_sa: None,
            children: Vec::new(),
            dpd: Dpd::default(),
            timers: Timers::new(),
        }
    }

    fn incoming(who: &Authenticated) -> Self {
        Self {
            up: false,
            identity: who.identity.clone(),
            psk: who.psk,
            vendors: who.vendors,
            nat: who.nat,
            encap: who.encap,
            proposal: Some(who.proposal),
            path: who.path,
            marked: who.marked,
            connect: None,
            sas: Vec::new(),
            attempt: None,
            deleted_sa: None,
            children: Vec::new(),
            dpd: Dpd::default(),
            timers: Timers::new(),
        }
    }

    fn is_same(&self, who: &Authenticated) -> bool {
        self.up && self.identity == who.identity && self.psk == who.psk
    }
}

/// What main mode proved.
pub(crate) struct Authenticated {
    pub(crate) identity: Identity,
    pub(crate) psk: PskId,
    pub(crate) vendors: Vendors,
    pub(crate) nat: NatStatus,
    pub(crate) encap: Encap,
    pub(crate) proposal: IkeProposal,
    pub(crate) initial_contact: bool,
    pub(crate) keys: IkeKeys,
    pub(crate) last_block: Vec<u8>,
    pub(crate) lifetime: Duration,
    pub(crate) path: Path,
    pub(crate) marked: bool,
}

/// Timers of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerTimer {
    /// A replaced or deleted child goes.
    ChildGone(u32),
    /// A child's lifetime is over.
    ChildHard(u32),
    /// A child is to be rekeyed.
    ChildSoft(u32),
    /// There has been no child for too long.
    Childless,
    /// Is the peer there?
    Dpd,
    /// Keep the NAT's mapping.
    Keepalive,
    /// Try again to rekey the IKE SA.
    RekeyIke,
}

impl Endpoint {
    /// Makes the authenticated SA part of its peer.
    pub(crate) fn establish(
        &mut self,
        key: Key,
        who: Authenticated,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        let (role, created) = (sa.role, sa.created);
        let peer_id = match sa.peer {
            Some(peer) => peer,
            None => self.peer_of(&who)?,
        };
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return Err(Rejected::PeerLimit) };
        self.table.remove_remote(peer.path.remote, peer_id);
        self.table.add_remote(who.path.remote, peer_id);
        peer.identity = who.identity;
        peer.vendors = who.vendors;
        peer.nat = who.nat;
        peer.encap = who.encap;
        peer.proposal = Some(who.proposal);
        peer.path = who.path;
        peer.marked = who.marked;
        peer.sas.push(key);
        peer.attempt = peer.attempt.filter(|attempt| *attempt != key);
        self.table.close_half_open(created, key);
        let lifetime = who.lifetime.clamp(IKE_LIFETIME_MIN, IKE_LIFETIME_MAX);
        let ours = role == Role::Initiator || peer.connect.is_some();
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        sa.peer = Some(peer_id);
        sa.path = who.path;
        sa.marked = who.marked;
        sa.vendors = who.vendors;
        sa.hint = None;
        sa.timers.clear_all();
        if ours {
            let soft = soft(lifetime, &mut self.ctx.rng);
            sa.timers.set(SaTimer::Soft, now + soft);
        }
        // A peer rekeys at its own time; ours only cleans up behind it.
        let grace = if ours { Duration::ZERO } else { EXPIRY_GRACE };
        sa.timers.set(SaTimer::Hard, now + lifetime + grace);
        sa.state = State::Established(Box::new(Established {
            keys: who.keys,
            last_block: who.last_block,
            quick: BTreeMap::new(),
            seen: SeenIds::default(),
            dpd_asked: None,
        }));
        self.touch(Owner::Sa(key));
        self.touch(Owner::Peer(peer_id.0));
        Ok(())
    }

    /// The peer that an incoming SA joins, or a new one. A peer that starts afresh takes its own old
    /// self away, and nobody else.
    fn peer_of(&mut self, who: &Authenticated) -> Result<PeerId, Rejected> {
        let same = self
            .table
            .peers_at(who.path.remote)
            .find(|id| self.peers.get(id.0).is_some_and(|peer| peer.is_same(who)));
        match same {
            Some(peer) if !who.initial_contact => return Ok(peer),
            Some(peer) => self.remove_peer(peer, DownReason::InitialContact),
            None => {}
        }
        if self.peers.len() >= PEERS_MAX {
            return Err(Rejected::PeerLimit);
        }
        let peer = Box::new(Peer::incoming(who));
        self.peers.insert(peer).map(PeerId).map_err(|_| Rejected::PeerLimit)
    }

    /// Tells of an established SA: a new peer, or an old one with new keys.
    pub(crate) fn announce_peer(&mut self, key: Key, now: Instant) {
        let Some(peer_id) = self.sas.get(key).and_then(|sa| sa.peer) else { return };
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        peer.dpd.alive(now);
        if peer.up {
            self.ctx.out.push(Action::PeerRekeyed { peer: peer_id });
            return self.retire_older(peer_id, key, now);
        }
        peer.up = true;
        peer.timers.set(PeerTimer::Childless, now + CHILDLESS_MAX);
        if peer.connect.is_some() && peer.nat.local && peer.encap == Encap::Udp {
            peer.timers.set(PeerTimer::Keepalive, now + KEEPALIVE_INTERVAL);
        }
        let asks = self.ctx.config.habits.life.dpd == DpdHabit::Active && peer.vendors.dpd;
        if let Some(interval) = self.ctx.config.dpd_interval.filter(|_| asks) {
            peer.timers.set(PeerTimer::Dpd, now + interval);
        }
        if let Some(up) = self.peer_up(peer_id) {
            self.ctx.out.push(Action::PeerUp(up));
        }
        self.touch(Owner::Peer(peer_id.0));
    }

    /// What there is to say about a peer.
    pub(crate) fn peer_up(&self, id: PeerId) -> Option<PeerUp> {
        let peer = self.peers.get(id.0)?;
        Some(PeerUp {
            peer: id,
            path: peer.path,
            encap: peer.encap,
            identity: peer.identity.clone(),
            psk: peer.psk,
            nat: peer.nat,
            proposal: peer.proposal?,
            vendors: peer.vendors,
            initiator: peer.connect.is_some(),
        })
    }

    /// Older SAs of the peer are used no more. The one that made the new SA deletes them; a responder
    /// waits for that, and lets go of what exceeds the bound.
    fn retire_older(&mut self, peer: PeerId, newest: Key, now: Instant) {
        let Some(peer) = self.peers.get(peer.0) else { return };
        let older: Vec<Key> = peer.sas.iter().copied().filter(|key| *key != newest).collect();
        let excess = peer.sas.len().saturating_sub(IKE_SAS_PER_PEER_MAX);
        let initiator = self.sas.get(newest).is_some_and(|sa| sa.role == Role::Initiator);
        for (index, key) in older.into_iter().enumerate() {
            if index < excess {
                self.delete_sa(key);
                continue;
            }
            let Some(sa) = self.sas.get_mut(key) else { continue };
            sa.timers.clear(SaTimer::Soft);
            if initiator {
                sa.timers.set(SaTimer::Retire, now + RETIRE_GRACE);
            }
            self.touch(Owner::Sa(key));
        }
    }

    /// The peer is reached at `path`: an authenticated message or packet says so.
    pub(crate) fn move_path(&mut self, peer_id: PeerId, path: Path) -> bool {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return false };
        // Without UDP encapsulation there is no NAT whose mapping could change (RFC 3947 §6).
        if peer.path == path || !peer.marked {
            return false;
        }
        self.table.remove_remote(peer.path.remote, peer_id);
        self.table.add_remote(path.remote, peer_id);
        peer.path = path;
        for key in &peer.sas {
            if let Some(sa) = self.sas.get_mut(*key) {
                sa.path = path;
            }
        }
        true
    }

    /// An authenticated message came from the peer of an SA.
    pub(crate) fn heard(&mut self, key: Key, path: Path, marked: bool, now: Instant) {
        let Some(peer_id) = self.sas.get(key).and_then(|sa| sa.peer) else { return };
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        peer.dpd.alive(now);
        let encap = peer.encap;
        if marked && self.move_path(peer_id, path) {
            self.ctx.out.push(Action::PathMoved { peer: peer_id, path, encap });
        }
    }

    /// Takes a peer away with everything that belongs to it, telling our own side only.
    pub(crate) fn remove_peer(&mut self, peer_id: PeerId, reason: DownReason) {
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        let (up, remote) = (peer.up, peer.path.remote);
        let children: Vec<u32> = peer.children.iter().map(|child| child.inbound).collect();
        for spi in children {
            self.remove_child(peer_id, spi);
        }
        let owned: Vec<Key> = self.sas_of(peer_id);
        for key in owned {
            self.drop_sa(key);
        }
        self.table.remove_remote(remote, peer_id);
        self.peers.remove(peer_id.0);
        self.touch(Owner::Peer(peer_id.0));
        if up {
            self.ctx.out.push(Action::PeerDown { peer: peer_id, reason });
        }
    }

    /// Every SA of a peer, attempts to rekey included.
    fn sas_of(&self, peer: PeerId) -> Vec<Key> {
        let Some(peer) = self.peers.get(peer.0) else { return Vec::new() };
        peer.sas.iter().copied().chain(peer.attempt).chain(peer.deleted_sa).collect()
    }

    /// Whether the peer has deleted an IKE SA: only what it sent before that is still heard.
    pub(crate) fn is_deleted(&self, key: Key) -> bool {
        let peer = self.sas.get(key).and_then(|sa| self.peers.get(sa.peer?.0));
        peer.is_some_and(|peer| peer.deleted_sa == Some(key))
    }

    /// The youngest established SA of a peer.
    pub(crate) fn newest_sa(&self, peer: PeerId) -> Option<Key> {
        self.peers.get(peer.0).and_then(|peer| peer.sas.last().copied())
    }

    /// Takes the peer away when nothing is left of it.
    pub(crate) fn remove_if_empty(&mut self, peer_id: PeerId, reason: DownReason) {
        let empty = self
            .peers
            .get(peer_id.0)
            .is_some_and(|peer| peer.sas.is_empty() && peer.children.is_empty());
        if empty {
            self.remove_peer(peer_id, reason);
        }
    }
}

/// When to rekey: between 80 and 90 per cent of a lifetime, so that peers do not do it in step.
pub(crate) fn soft(lifetime: Duration, rng: &mut isthmus_core::Rng) -> Duration {
    lifetime * (800 + rng.below(100)) / 1000
}

/// Most peers.
pub const PEERS_MAX: usize = 65_536;
/// Most established IKE SAs of one peer.
pub const IKE_SAS_PER_PEER_MAX: usize = 4;
/// How long a responder's SA outlives what was negotiated.
pub(crate) const EXPIRY_GRACE: Duration = Duration::from_mins(1);
/// How long a replaced IKE SA is kept by the side that replaced it.
const RETIRE_GRACE: Duration = Duration::from_secs(5);
/// How long a peer may be without a child.
pub const CHILDLESS_MAX: Duration = Duration::from_mins(10);
/// Interval of NAT keepalives (RFC 3948 §4).
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const IKE_LIFETIME_MIN: Duration = Duration::from_mins(1);
/// Longest life of an IKE SA, whatever was negotiated.
pub const IKE_LIFETIME_MAX: Duration = Duration::from_hours(168);
