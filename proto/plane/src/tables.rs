//! What is installed: SAs, peers, sessions and routes, and how commands change them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::IpNet;
use isthmus_core::{Buf, Encap, Key, Path, SmallMap};

use crate::key_map::KeyMap;
use crate::lac::{LacKey, Lacs, PeerRef};
use crate::peer::{Peer, Place};
use crate::routes::Routes;
use crate::sa::Inbound;
use crate::session::Session;
use crate::share::Elsewhere;
use crate::{SessionParams, TunId};

/// All tables of one pipeline.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Inbound SAs by our SPI.
    pub(crate) inbound: KeyMap<Inbound>,
    pub(crate) peers: KeyMap<Peer>,
    pub(crate) sessions: KeyMap<Session>,
    pub(crate) lacs: Lacs,
    /// Messages that waited for their turn in a session that has ended.
    pub(crate) abandoned: Vec<Buf>,
    /// Sessions of other pipelines.
    pub(crate) elsewhere: KeyMap<Elsewhere>,
    routes: BTreeMap<TunId, Routes>,
}

impl Tables {
    /// The session behind a destination.
    pub(crate) fn route(&self, tun: TunId, destination: IpAddr) -> Option<Key> {
        self.routes.get(&tun)?.find(destination)
    }

    /// The session that a peer's data message names. Ids mean something only within their peer.
    pub(crate) fn session_of(&self, peer: PeerRef, ids: (u16, u16)) -> Option<Key> {
        match peer {
            PeerRef::Ipsec(peer) => self.peers.get(peer)?.sessions.get(&ids).copied(),
            PeerRef::Lac(lac) => self.lacs.get(lac)?.sessions.get(&ids).copied(),
        }
    }

    fn sessions_of(&mut self, peer: PeerRef) -> Option<&mut SmallMap<(u16, u16), Key>> {
        match peer {
            PeerRef::Ipsec(peer) => self.peers.get_mut(peer).map(|peer| &mut peer.sessions),
            PeerRef::Lac(lac) => self.lacs.get_mut(lac).map(|lac| &mut lac.sessions),
        }
    }

    /// Takes a LAC in; whoever had its key or place is gone, whether or not control said so.
    pub(crate) fn open_lac(&mut self, lac: LacKey, path: Path) {
        if self.lacs.get(lac).is_some_and(|known| known.path == path) {
            return;
        }
        for occupant in self.lacs.occupants(lac, &path).into_iter().flatten() {
            self.close_lac(occupant);
        }
        self.lacs.insert(lac, path);
    }

    /// Forgets a LAC with all its sessions.
    pub(crate) fn close_lac(&mut self, lac: LacKey) {
        for session in self.lacs.remove(lac) {
            self.close_session(session);
        }
    }

    /// The peer of a command that makes it known. A peer that had the slot before is gone, whether or
    /// not control said so.
    pub(crate) fn peer(&mut self, peer: Key) -> Option<&mut Peer> {
        if let Some(occupant) = self.peers.occupant(peer).filter(|occupant| *occupant != peer) {
            self.remove_peer(occupant);
        }
        if self.peers.get(peer).is_none() {
            self.peers.insert(peer, Peer::default());
        }
        self.peers.get_mut(peer)
    }

    /// The peer of a command that says where it is, which counts when nobody knew.
    pub(crate) fn peer_at(&mut self, peer: Key, path: Path, encap: Encap) -> Option<&mut Peer> {
        let known = self.peer(peer)?;
        known.place.get_or_insert(Place { path, encap });
        Some(known)
    }

    pub(crate) fn remove_peer(&mut self, peer: Key) {
        let Some(mut gone) = self.peers.remove(peer) else { return };
        for spi in core::mem::take(&mut gone.inbound) {
            self.inbound.remove(Key::from_raw(spi));
        }
        for session in core::mem::take(&mut gone.sessions).into_values() {
            self.close_session(session);
        }
    }

    pub(crate) fn install_inbound(&mut self, spi: u32, inbound: Inbound) {
        let peer = inbound.peer;
        if let Some((other, displaced)) = self.inbound.insert(Key::from_raw(spi), inbound) {
            self.forget_inbound(displaced.peer, other.raw());
        }
        let oldest = self.peers.get_mut(peer).and_then(|peer| peer.install_inbound(spi));
        if let Some(oldest) = oldest {
            self.inbound.remove(Key::from_raw(oldest));
        }
    }

    pub(crate) fn remove_inbound(&mut self, spi: u32) {
        if let Some(gone) = self.inbound.remove(Key::from_raw(spi)) {
            self.forget_inbound(gone.peer, spi);
        }
    }

    fn forget_inbound(&mut self, peer: Key, spi: u32) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.inbound.retain(|other| *other != spi);
        }
    }

    pub(crate) fn open_session(&mut self, params: SessionParams) {
        let key = params.session;
        let (peer, ids) = (params.peer, (params.local_tunnel, params.local_session));
        match peer {
            PeerRef::Ipsec(peer) => drop(self.peer(peer)),
            // A LAC is made known by its place.
            PeerRef::Lac(lac) if self.lacs.get(lac).is_none() => return,
            PeerRef::Lac(_) => {}
        }
        let before = self.sessions.get_mut(key).filter(|session| session.params.peer == peer);
        if before.as_ref().is_some_and(|session| session.params == params) {
            return;
        }
        let session = match before {
            Some(before) => before.reopened(params),
            None => Session::new(params),
        };
        // Whatever has the key, or the ids within the peer, makes room.
        if let Some(occupant) = self.sessions.occupant(key) {
            self.close_session(occupant);
        }
        if let Some(holder) = self.session_of(peer, ids) {
            self.close_session(holder);
        }
        self.lead_to(session.params.tun, &session.params.destinations, key);
        self.sessions.insert(key, session);
        if let Some(sessions) = self.sessions_of(peer) {
            sessions.insert(ids, key);
        }
    }

    pub(crate) fn close_session(&mut self, session: Key) {
        let Some(mut gone) = self.sessions.remove(session) else { return };
        self.abandoned.extend(gone.order.abandon().map(|packet| packet.buf));
        let params = gone.params;
        self.unroute(params.tun, &params.destinations, session);
        if let Some(sessions) = self.sessions_of(params.peer) {
            // Ids lead to one session at a time: opening one closes what had its ids.
            sessions.remove(&(params.local_tunnel, params.local_session));
        }
    }

    /// Leads destinations to a session.
    pub(crate) fn lead_to(&mut self, tun: TunId, destinations: &[IpNet], session: Key) {
        let routes = self.routes.entry(tun).or_default();
        for destination in destinations {
            routes.insert(*destination, session);
        }
    }

    /// Leads destinations to a session no longer.
    pub(crate) fn unroute(&mut self, tun: TunId, destinations: &[IpNet], session: Key) {
        let Some(routes) = self.routes.get_mut(&tun) else { return };
        for destination in destinations {
            routes.remove(*destination, session);
        }
        if routes.is_empty() {
            self.routes.remove(&tun);
        }
    }

    /// Whether nothing is left of anything.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let no_sas = self.inbound.iter().next().is_none();
        let no_peers = self.peers.iter().next().is_none();
        let no_sessions = self.sessions.iter().next().is_none();
        no_sas && no_peers && no_sessions && self.routes.is_empty() && self.lacs.is_empty()
    }
}
