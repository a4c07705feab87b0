//! A peer as a value: everything needed to go on with it in another process.
//!
//! A record holds established IKE SAs and installed children under the ids and SPIs that the peer and
//! the other layers know. Exchanges under way are not in it: the peer repeats or restarts them. Times
//! are kept as what was left, because the clock of the next process has another origin.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use isthmus_core::{Duration, Encap, Instant, Key, Path, Timers};
use serde::{Deserialize, Serialize};

use crate::action::{Action, ChildUp, InstallInbound, InstallOutbound, PeerId};
use crate::child::{Child, ChildState};
use crate::codec::Cookies;
use crate::config::{Connect, PskId};
use crate::dpd::Dpd;
use crate::endpoint::{Endpoint, Owner};
use crate::identity::Identity;
use crate::keys::IkeKeys;
use crate::nat::NatStatus;
use crate::peer::{KEEPALIVE_INTERVAL, Peer, PeerTimer};
use crate::proposal::IkeProposal;
use crate::sa::{Budget, Established, IkeSa, Role, SaTimer, SeenIds, State, Window};
use crate::vendor::Vendors;

/// A peer with its IKE SAs and children. It holds keys: whoever stores it encrypts it.
#[derive(Clone, Serialize, Deserialize)]
pub struct PeerRecord {
    peer: PeerId,
    identity: Identity,
    psk: PskId,
    vendors: Vendors,
    nat: NatStatus,
    encap: Encap,
    proposal: IkeProposal,
    path: Path,
    marked: bool,
    connect: Option<Connect>,
    dpd: Dpd,
    sas: Vec<SaRecord>,
    children: Vec<ChildRecord>,
    childless_in: Option<Duration>,
}

#[derive(Clone, Serialize, Deserialize)]
struct SaRecord {
    cookies: Cookies,
    role: Role,
    vendors: Vendors,
    keys: IkeKeys,
    last_block: Vec<u8>,
    seen: SeenIds,
    dpd_asked: Option<u32>,
    age: Duration,
    soft_in: Option<Duration>,
    retire_in: Option<Duration>,
    hard_in: Option<Duration>,
}

#[derive(Clone, Serialize, Deserialize)]
struct ChildRecord {
    child: Child,
    soft_in: Option<Duration>,
    gone_in: Option<Duration>,
    hard_in: Option<Duration>,
}

/// Why a record cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// Cookies or an SPI of the record are in use.
    Conflict,
    /// The peer's id is in use, or no id.
    PeerId,
}

impl PeerRecord {
    /// The peer it is about.
    pub const fn peer(&self) -> PeerId {
        self.peer
    }
}

impl fmt::Debug for PeerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerRecord")
            .field("peer", &self.peer)
            .field("path", &self.path)
            .field("sas", &self.sas.len())
            .field("children", &self.children.len())
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The peer as a value; none when it is not up.
    pub fn record(&self, id: PeerId, now: Instant) -> Option<PeerRecord> {
        let peer = self.peers.get(id.0).filter(|peer| peer.up)?;
        let sas = peer.sas.iter().filter_map(|key| SaRecord::of(self.sas.get(*key)?, now));
        let installed =
            |c: &&Child| !matches!(c.state, ChildState::Draining | ChildState::Half { .. });
        let children = peer.children.iter().filter(installed);
        Some(PeerRecord {
            peer: id,
            identity: peer.identity.clone(),
            psk: peer.psk,
            vendors: peer.vendors,
            nat: peer.nat,
            encap: peer.encap,
            proposal: peer.proposal?,
            path: peer.path,
            marked: peer.marked,
            connect: peer.connect.as_deref().cloned(),
            dpd: peer.dpd.clone(),
            sas: sas.collect(),
            children: children.map(|child| ChildRecord::of(child, &peer.timers, now)).collect(),
            childless_in: left(&peer.timers, PeerTimer::Childless, now),
        })
    }

    /// Takes a recorded peer up again, with the actions that announced it: `PeerUp`, both installs
    /// and `ChildUp` of each child. Sequence numbers are not IKE's to know.
    ///
    /// # Errors
    /// Something of the record is in use; nothing was changed then.
    pub fn restore(&mut self, record: &PeerRecord, now: Instant) -> Result<(), RestoreError> {
        let used = |sa: &SaRecord| self.table.find(&sa.cookies).is_some();
        if record.sas.iter().any(used) {
            return Err(RestoreError::Conflict);
        }
        let peer = restored_peer(record, now);
        self.peers.put_back(record.peer.0, peer).map_err(|_| RestoreError::PeerId)?;
        let spis: Vec<u32> = record.children.iter().map(|child| child.child.inbound).collect();
        for (index, spi) in spis.iter().enumerate() {
            if self.inbound.put_back(Key::from_raw(*spi), record.peer).is_err() {
                spis.iter().take(index).for_each(|spi| self.release_spi(*spi));
                self.peers.remove(record.peer.0);
                return Err(RestoreError::Conflict);
            }
        }
        self.table.add_remote(record.path.remote, record.peer);
        for sa in &record.sas {
            self.restore_sa(record, sa, now);
        }
        self.announce_restored(record);
        self.touch(Owner::Peer(record.peer.0));
        self.settle();
        Ok(())
    }

    fn restore_sa(&mut self, record: &PeerRecord, sa: &SaRecord, now: Instant) {
        let mut timers = Timers::new();
        let saved = [
            (SaTimer::Soft, sa.soft_in),
            (SaTimer::Retire, sa.retire_in),
            (SaTimer::Hard, sa.hard_in),
        ];
        for (timer, left) in saved {
            if let Some(left) = left {
                timers.set(timer, now + left);
            }
        }
        let established = Established {
            keys: sa.keys.clone(),
            last_block: sa.last_block.clone(),
            quick: BTreeMap::new(),
            seen: sa.seen.clone(),
            dpd_asked: sa.dpd_asked,
        };
        let restored = IkeSa {
            cookies: sa.cookies,
            role: sa.role,
            path: record.path,
            marked: record.marked,
            origin: record.path.remote,
            created: now - sa.age,
            state: State::Established(Box::new(established)),
            peer: Some(record.peer),
            vendors: sa.vendors,
            window: Window::default(),
            budget: Budget::default(),
            timers,
            hint: None,
        };
        let Ok(key) = self.sas.insert(Box::new(restored)) else { return };
        self.table.add_established(sa.cookies, key);
        if let Some(peer) = self.peers.get_mut(record.peer.0) {
            peer.sas.push(key);
        }
        self.touch(Owner::Sa(key));
    }

    fn announce_restored(&mut self, record: &PeerRecord) {
        let Some(up) = self.peer_up(record.peer) else { return };
        self.ctx.out.push(Action::PeerUp(up));
        for ChildRecord { child, .. } in &record.children {
            self.ctx.out.push(Action::InstallInbound(InstallInbound::of(
                record.peer,
                child,
                record.path,
            )));
            self.ctx.out.push(Action::InstallOutbound(InstallOutbound::of(
                record.peer,
                child,
                record.path,
            )));
            if child.state != ChildState::Up {
                continue;
            }
            self.ctx.out.push(Action::ChildUp(ChildUp::of(record.peer, child, true)));
        }
    }
}

impl SaRecord {
    fn of(sa: &IkeSa, now: Instant) -> Option<Self> {
        let established = sa.established()?;
        Some(Self {
            cookies: sa.cookies,
            role: sa.role,
            vendors: sa.vendors,
            keys: established.keys.clone(),
            last_block: established.last_block.clone(),
            seen: established.seen.clone(),
            dpd_asked: established.dpd_asked,
            age: now.since(sa.created),
            soft_in: left(&sa.timers, SaTimer::Soft, now),
            retire_in: left(&sa.timers, SaTimer::Retire, now),
            hard_in: left(&sa.timers, SaTimer::Hard, now),
        })
    }
}

impl ChildRecord {
    fn of(child: &Child, timers: &Timers<PeerTimer>, now: Instant) -> Self {
        let spi = child.inbound;
        Self {
            child: child.clone(),
            soft_in: left(timers, PeerTimer::ChildSoft(spi), now),
            gone_in: left(timers, PeerTimer::ChildGone(spi), now),
            hard_in: left(timers, PeerTimer::ChildHard(spi), now),
        }
    }
}

fn restored_peer(record: &PeerRecord, now: Instant) -> Box<Peer> {
    let mut timers = Timers::new();
    for saved in &record.children {
        let spi = saved.child.inbound;
        let all = [
            (PeerTimer::ChildSoft(spi), saved.soft_in),
            (PeerTimer::ChildGone(spi), saved.gone_in),
            (PeerTimer::ChildHard(spi), saved.hard_in),
        ];
        for (timer, left) in all {
            if let Some(left) = left {
                timers.set(timer, now + left);
            }
        }
    }
    if let Some(left) = record.childless_in {
        timers.set(PeerTimer::Childless, now + left);
    }
    if record.connect.is_some() && record.nat.local && record.encap == Encap::Udp {
        timers.set(PeerTimer::Keepalive, now + KEEPALIVE_INTERVAL);
    }
    if record.vendors.dpd {
        // Asked soon: the peer may have gone while nobody was here.
        timers.set(PeerTimer::Dpd, now + FIRST_QUESTION);
    }
    let mut dpd = record.dpd.clone();
    dpd.alive(now);
    Box::new(Peer {
        up: true,
        identity: record.identity.clone(),
        psk: record.psk,
        vendors: record.vendors,
        nat: record.nat,
        encap: record.encap,
        proposal: Some(record.proposal),
        path: record.path,
        marked: record.marked,
        connect: record.connect.clone().map(Arc::new),
        sas: Vec::new(),
        attempt: None,
        deleted_sa: None,
        children: record.children.iter().map(|saved| saved.child.clone()).collect(),
        dpd,
        timers,
    })
}

/// What is left of a timer.
fn left<K: Copy + PartialEq>(timers: &Timers<K>, timer: K, now: Instant) -> Option<Duration> {
    timers.at(timer).map(|at| at.since(now))
}

/// When a restored peer is asked whether it is there, if nothing is heard of it.
const FIRST_QUESTION: Duration = Duration::from_secs(10);
