//! What is installed: SAs, peers, sessions and routes, and how commands change them.

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use isthmus_core::{Encap, Key, Path};

use crate::key_map::KeyMap;
use crate::peer::{Peer, Place};
use crate::routes::Routes;
use crate::sa::Inbound;
use crate::session::Session;
use crate::{SessionParams, TunId};

/// All tables of one pipeline.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Inbound SAs by our SPI.
    pub(crate) inbound: KeyMap<Inbound>,
    pub(crate) peers: KeyMap<Peer>,
    pub(crate) sessions: KeyMap<Session>,
    routes: BTreeMap<TunId, Routes>,
}

impl Tables {
    /// The session behind a destination.
    pub(crate) fn route(&self, tun: TunId, destination: IpAddr) -> Option<Key> {
        self.routes.get(&tun)?.find(destination)
    }

    /// The session that a peer's data message names. Ids mean something only within their peer.
    pub(crate) fn session_of(
        &mut self,
        peer: Key,
        tunnel: u16,
        session: u16,
    ) -> Option<&mut Session> {
        let key = *self.peers.get(peer)?.sessions.get(&(tunnel, session))?;
        self.sessions.get_mut(key)
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
        self.peer(peer);
        let before = self.sessions.get(key).filter(|session| session.params.peer == peer);
        if before.is_some_and(|session| session.params == params) {
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
        let holder = self.peers.get(peer).and_then(|peer| peer.sessions.get(&ids).copied());
        if let Some(holder) = holder {
            self.close_session(holder);
        }
        let routes = self.routes.entry(session.params.tun).or_default();
        for destination in &session.params.destinations {
            routes.insert(*destination, key);
        }
        self.sessions.insert(key, session);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.sessions.insert(ids, key);
        }
    }

    pub(crate) fn close_session(&mut self, session: Key) {
        let Some(gone) = self.sessions.remove(session) else { return };
        let params = gone.params;
        if let Some(routes) = self.routes.get_mut(&params.tun) {
            for destination in &params.destinations {
                routes.remove(*destination, session);
            }
            if routes.is_empty() {
                self.routes.remove(&params.tun);
            }
        }
        if let Some(peer) = self.peers.get_mut(params.peer) {
            // Ids lead to one session at a time: opening one closes what had its ids.
            peer.sessions.remove(&(params.local_tunnel, params.local_session));
        }
    }

    /// Whether nothing is left of anything.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let no_sas = self.inbound.iter().next().is_none();
        let no_peers = self.peers.iter().next().is_none();
        let no_sessions = self.sessions.iter().next().is_none();
        no_sas && no_peers && no_sessions && self.routes.is_empty()
    }
}
