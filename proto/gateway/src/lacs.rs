//! LACs that are trusted without IPsec: a wholesale access network hands its users over in plain L2TP.
//!
//! Only addresses in the configuration are listened to, and a tunnel comes up only when the LAC has
//! proved its secret (RFC 2661 §5.1.1). A LAC is found by its address and port, for there is nothing
//! else to find it by; each such place is a peer of its own, whose ids mean nothing elsewhere. A place
//! is forgotten with its last tunnel.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use isthmus_core::{Arena, Instant, Key, Path};
use isthmus_l2tp::{self as l2tp, Header};
use isthmus_plane::{Command, LacKey, PeerRef};

use crate::config::Lac;
use crate::event::Event;
use crate::failure::printable;
use crate::machine::Gateway;
use crate::peer::Peer;
use crate::status::LacStatus;
use crate::tenants::Admitted;

/// Most places that one LAC of the configuration speaks from at a time; what comes from more is ignored.
pub const PLACES_MAX: usize = 64;

/// The places that LACs speak from.
pub(crate) struct Lacs {
    /// Each with the name of its LAC.
    keys: Arena<(String, Path)>,
    by_place: BTreeMap<(SocketAddr, IpAddr), LacKey>,
}

impl Default for Lacs {
    fn default() -> Self {
        Self { keys: Arena::in_lanes(), by_place: BTreeMap::new() }
    }
}

impl Lacs {
    fn find(&self, path: &Path) -> Option<LacKey> {
        self.by_place.get(&(path.remote, path.local.ip())).copied()
    }

    /// A key for a new place; none when the LAC has too many.
    fn insert(&mut self, name: &str, path: Path, lane: usize) -> Option<LacKey> {
        let places = self.keys.iter().filter(|(_, (lac, _))| lac == name).count();
        if places >= PLACES_MAX {
            return None;
        }
        let key = LacKey(self.keys.insert_in(lane, (String::from(name), path)).ok()?);
        self.by_place.insert((path.remote, path.local.ip()), key);
        Some(key)
    }

    fn remove(&mut self, lac: LacKey) {
        if let Some((_, path)) = self.keys.remove(lac.0) {
            self.by_place.remove(&(path.remote, path.local.ip()));
        }
    }
}

impl Gateway {
    /// Tells the pipeline whom to listen to.
    pub(crate) fn trust_lacs(&mut self) {
        let sources = self.config.lacs.iter().flat_map(|lac| lac.sources.iter().copied()).collect();
        self.plane(Command::TrustLacs { sources });
    }

    /// Ends what is with LACs that the configuration does not have any more, and tells the others' machines
    /// how to behave from now on.
    pub(crate) fn review_lacs(&mut self, now: Instant) {
        let mut untrusted = Vec::new();
        for peer in self.peers.values_mut() {
            let (PeerRef::Lac(_), remote) = (peer.id, peer.path.remote.ip()) else { continue };
            let lac = lac_of(&self.config.lacs, remote).filter(|lac| lac.name == peer.identity);
            match lac {
                Some(lac) => {
                    peer.l2tp.set_config(lac.l2tp.clone());
                    let tenants = Admitted::among(&self.config.tenants, lac.tenants.clone());
                    peer.tenants = tenants.unwrap_or_else(|| peer.tenants.clone());
                }
                None => untrusted.push(peer.id),
            }
        }
        for peer in untrusted {
            self.close_peer(peer, now);
        }
    }

    /// Feeds a plain L2TP packet from an address that some LAC may have. What fits nothing gets no answer.
    pub(crate) fn handle_plain(&mut self, path: Path, lane: usize, bytes: &[u8], now: Instant) {
        let known = self.lacs.find(&path);
        match known.or_else(|| self.open_lac(path, lane, bytes, now)) {
            Some(lac) => self.handle_l2tp(PeerRef::Lac(lac), path.remote.port(), bytes, now),
            None => self.stats.l2tp.count("unknown_lac"),
        }
    }

    /// Makes a peer of a place that asks for a tunnel.
    fn open_lac(&mut self, path: Path, lane: usize, bytes: &[u8], now: Instant) -> Option<LacKey> {
        if self.closing || !asks_for_tunnel(bytes) {
            return None;
        }
        let lac = lac_of(&self.config.lacs, path.remote.ip())?;
        let tenants = Admitted::among(&self.config.tenants, lac.tenants.clone())?;
        let key = self.lacs.insert(&lac.name, path, lane)?;
        let endpoint =
            l2tp::Endpoint::new(lac.l2tp.clone(), self.provider.clone(), self.rng.seed(), now)
                .doubting();
        let mut peer = Peer::new(PeerRef::Lac(key), tenants, path, lac.name.clone(), endpoint);
        peer.spoke_l2tp = true;
        self.peers.insert(peer.id, Box::new(peer));
        self.plane(Command::OpenLac { lac: key, path });
        Some(key)
    }

    /// Something came from a LAC. Its users are many: whoever of them is silent is not kept by the others.
    pub(crate) fn lac_alive(&mut self, lac: LacKey, session: Option<Key>, now: Instant) {
        let id = PeerRef::Lac(lac);
        let at = session.and_then(|key| self.sessions.get(key)).copied();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.l2tp.peer_alive(now);
        let at = at.filter(|(owner, _)| *owner == id).map(|(_, at)| at);
        if let Some(session) = at.and_then(|at| peer.sessions.get_mut(&at)) {
            session.link.peer_alive(now);
        }
        self.drain_peer(id, now);
    }

    /// Forgets a place with everything that is left of it.
    pub(crate) fn lac_down(&mut self, lac: LacKey, now: Instant) {
        if self.forget_peer(PeerRef::Lac(lac), "the tunnel ended", now).is_some() {
            self.lacs.remove(lac);
            self.plane(Command::CloseLac { lac });
        }
    }

    /// A LAC has proved its secret: its users may come.
    pub(crate) fn lac_tunnel_up(&mut self, peer: PeerRef, tunnel: &l2tp::TunnelUp) {
        let Some(state) = self.peers.get(&peer) else { return };
        let PeerRef::Lac(_) = peer else { return };
        let event = Event::LacUp {
            lac: state.identity.clone(),
            from: state.path.remote,
            host: printable(tunnel.peer_host.as_bytes()),
            tenant: self.tenant_names(state.tenants.iter()).join(", "),
        };
        self.event(event);
    }

    /// A tunnel of a LAC is down.
    pub(crate) fn lac_tunnel_down(&mut self, peer: PeerRef, reason: &l2tp::DownReason) {
        let Some(state) = self.peers.get(&peer) else { return };
        let PeerRef::Lac(_) = peer else { return };
        let (lac, from) = (state.identity.clone(), state.path.remote);
        self.event(Event::LacDown { lac, from, reason: reason.to_string() });
    }

    fn tenant_names(&self, tenants: impl Iterator<Item = usize>) -> Vec<String> {
        tenants.filter_map(|index| self.tenant_name(index)).collect()
    }

    /// Every LAC of the configuration, in order.
    pub(crate) fn lac_status(&self) -> Vec<LacStatus> {
        let status = |lac: &Lac| {
            let peers = || {
                self.peers
                    .values()
                    .filter(|peer| matches!(peer.id, PeerRef::Lac(_)) && peer.identity == lac.name)
            };
            LacStatus {
                name: lac.name.clone(),
                tenants: self.tenant_names(lac.tenants.iter().copied()),
                from: peers().map(|peer| peer.path.remote).collect(),
                tunnels: peers().map(|peer| peer.l2tp.tunnel_count()).sum(),
                sessions: peers().map(|peer| peer.sessions.len()).sum(),
            }
        };
        self.config.lacs.iter().map(status).collect()
    }
}

/// The first LAC that may be at an address.
pub(crate) fn lac_of(lacs: &[Lac], source: IpAddr) -> Option<&Lac> {
    lacs.iter().find(|lac| lac.sources.iter().any(|net| net.contains(&source)))
}

/// Whether a packet can be an SCCRQ: a control message for no tunnel yet, with something in it.
fn asks_for_tunnel(bytes: &[u8]) -> bool {
    l2tp::is_control(bytes)
        && Header::read(bytes).is_ok_and(|(header, rest)| header.tunnel == 0 && rest.left() > 0)
}
