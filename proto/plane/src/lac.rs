//! LACs that carry L2TP in the clear: an access network or a tunnel of its own protects it.
//!
//! This is the only way for L2TP to come in or go out without ESP, and it is kept apart by types. A
//! [`LacKey`] names a LAC and nothing else, no key of an IPsec peer leads to a [`Lac`], and only
//! [`Lac::send`] makes a datagram for [`Port::L2tp`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use isthmus_core::{Buf, Key, Path, SmallMap};
use serde::Serialize;

use crate::key_map::KeyMap;
use crate::packet::{Port, Tx};
use crate::pulse::Pulse;

/// Names a LAC of ours that speaks without IPsec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LacKey(pub Key);

/// Who a session is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum PeerRef {
    /// An IPsec peer: whatever goes to it is sealed.
    Ipsec(Key),
    /// A LAC that was configured to be trusted without IPsec.
    Lac(LacKey),
}

impl PeerRef {
    /// The lane of whoever it is; what belongs to it is of the same.
    pub const fn lane(self) -> usize {
        match self {
            Self::Ipsec(key) | Self::Lac(LacKey(key)) => key.lane(),
        }
    }
}

impl From<Key> for PeerRef {
    fn from(peer: Key) -> Self {
        Self::Ipsec(peer)
    }
}

/// Shown apart from IPsec peers, whose keys may be the same.
impl Serialize for LacKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("lac:{}", self.0.raw()))
    }
}

/// A LAC that spoke to us.
#[derive(Debug)]
pub(crate) struct Lac {
    /// RFC 2661 §8.1: addresses and ports stay for the life of a tunnel.
    pub(crate) path: Path,
    /// Its sessions by our tunnel and session id.
    pub(crate) sessions: SmallMap<(u16, u16), Key>,
    pub(crate) pulse: Pulse,
}

impl Lac {
    /// The datagram that carries an L2TP packet to the LAC.
    pub(crate) fn send(&self, buf: Buf) -> Tx {
        Tx { path: self.path, port: Port::L2tp, buf }
    }
}

/// Every LAC, and whom we listen to.
#[derive(Debug, Default)]
pub(crate) struct Lacs {
    trusted: Vec<IpNet>,
    open: KeyMap<Lac>,
    by_place: BTreeMap<Place, LacKey>,
}

/// The LAC's address and port, and the address of ours that it speaks to.
type Place = (SocketAddr, IpAddr);

impl Lacs {
    /// Listens to these addresses and to no others.
    pub(crate) fn trust(&mut self, sources: Vec<IpNet>) {
        self.trusted = sources;
    }

    /// Whether a datagram from there deserves a look.
    pub(crate) fn trusts(&self, source: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&source))
    }

    pub(crate) fn get(&self, lac: LacKey) -> Option<&Lac> {
        self.open.get(lac.0)
    }

    pub(crate) fn get_mut(&mut self, lac: LacKey) -> Option<&mut Lac> {
        self.open.get_mut(lac.0)
    }

    /// The LAC at the far end of a path.
    pub(crate) fn find(&self, path: &Path) -> Option<LacKey> {
        self.by_place.get(&place(path)).copied()
    }

    /// Whoever has the key or the place of a LAC about to come, and must go.
    pub(crate) fn occupants(&self, lac: LacKey, path: &Path) -> [Option<LacKey>; 2] {
        [self.open.occupant(lac.0).map(LacKey), self.find(path)]
    }

    /// Takes a LAC in. Its key and place are free.
    pub(crate) fn insert(&mut self, lac: LacKey, path: Path) {
        let known = Lac { path, sessions: SmallMap::new(), pulse: Pulse::default() };
        self.open.insert(lac.0, known);
        self.by_place.insert(place(&path), lac);
    }

    /// Forgets a LAC; gives back its sessions.
    pub(crate) fn remove(&mut self, lac: LacKey) -> impl Iterator<Item = Key> + use<> {
        let gone = self.open.remove(lac.0);
        if let Some(gone) = &gone {
            self.by_place.remove(&place(&gone.path));
        }
        gone.map(|gone| gone.sessions).unwrap_or_default().into_values()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_place.is_empty() && self.open.iter().next().is_none()
    }
}

fn place(path: &Path) -> Place {
    (path.remote, path.local.ip())
}
