//! Tenants that go while the gateway runs.
//!
//! A tenant keeps its index as long as the gateway runs, since peers and sessions know it by that; one that
//! goes leaves a vacant place ([`Tenant::vacant`]), which another may take once nobody knows it any more.

use alloc::vec::Vec;

use isthmus_core::{Instant, Key};
use isthmus_plane::{PeerRef, TunId};

use crate::config::Tenant;
use crate::machine::Gateway;

impl Tenant {
    /// The place of a tenant that has gone: nobody comes to it.
    pub fn vacant(tun: TunId) -> Self {
        Self::new("", tun, core::net::Ipv4Addr::UNSPECIFIED)
    }

    /// Whether it is nobody's.
    pub fn is_vacant(&self) -> bool {
        self.name.is_empty()
    }
}

impl Gateway {
    /// Ends the sessions of some tenants, telling the clients: LCP Terminate-Request and CDN. Peers that may
    /// log in to no tenant but those of `gone` are told to go as in [`Gateway::shutdown`]; the others come
    /// to those of `gone` no more.
    pub fn end_tenants(&mut self, ended: &[usize], gone: &[usize], now: Instant) {
        for session in self.sessions_in(ended) {
            self.disconnect(session, now);
        }
        let mut homeless = Vec::new();
        for (id, peer) in &mut self.peers {
            match peer.tenants.without(gone) {
                Some(left) => peer.tenants = left,
                None => homeless.push(*id),
            }
        }
        let mut end = |peer: PeerRef| self.close_peer(peer, now);
        homeless.into_iter().for_each(&mut end);
    }

    fn sessions_in(&self, tenants: &[usize]) -> Vec<Key> {
        let sessions = self.peers.values().flat_map(|peer| peer.sessions.values());
        let own = sessions.filter(|session| tenants.contains(&session.tenant()));
        own.map(|session| session.key).collect()
    }
}
