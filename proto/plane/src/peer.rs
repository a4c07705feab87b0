//! One peer: where it is, what it is sent with, and what waits for it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use isthmus_core::{Encap, Instant, Key, Path, SmallMap};

use crate::packet::Port;
use crate::pulse::Pulse;
use crate::sa::Outbound;

/// A peer that some SA or session belongs to.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Unknown while only sessions have named the peer.
    pub(crate) place: Option<Place>,
    /// Its sessions by our tunnel and session id.
    pub(crate) sessions: SmallMap<(u16, u16), Key>,
    /// Our SPIs, the newest last.
    pub(crate) inbound: Vec<u32>,
    /// Outbound SAs, the newest last; that one is used.
    outbound: Vec<Outbound>,
    waiting: VecDeque<Message>,
    pulse: Pulse,
    /// Age of the newest inbound SA that the peer has used.
    newest_used: u64,
}

/// Where a peer is and how ESP travels to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: Path,
    pub(crate) encap: Encap,
}

/// An L2TP packet that waits for an outbound SA.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) bytes: Vec<u8>,
}

impl Peer {
    /// Whether there is a way to send to the peer.
    pub(crate) const fn may_send(&self) -> bool {
        self.place.is_some() && !self.outbound.is_empty()
    }

    /// The SA to send with.
    pub(crate) fn outbound(&mut self) -> Option<&mut Outbound> {
        self.outbound.last_mut()
    }

    /// Every outbound SA, the newest last.
    pub(crate) fn outbound_sas(&self) -> &[Outbound] {
        &self.outbound
    }

    /// Sends with this SA from now on. One that has the same SPI ends; so does the oldest of more than
    /// [`SAS_MAX`].
    pub(crate) fn install_outbound(&mut self, outbound: Outbound) {
        self.outbound.retain(|other| other.spi() != outbound.spi());
        if self.outbound.len() >= SAS_MAX {
            self.outbound.remove(0);
        }
        // One is all that most peers ever have at a time.
        self.outbound.reserve_exact(1);
        self.outbound.push(outbound);
    }

    /// Sends no more with this SA.
    pub(crate) fn remove_outbound(&mut self, spi: u32) {
        self.outbound.retain(|outbound| outbound.spi() != spi);
    }

    /// Allows an outbound SA the numbers below `until`.
    pub(crate) fn reserve(&mut self, spi: u32, until: u64) {
        if let Some(outbound) = self.outbound.iter_mut().find(|outbound| outbound.spi() == spi) {
            outbound.reserve(until);
        }
    }

    /// Notes an inbound SA; gives back the oldest when there are more than [`SAS_MAX`].
    pub(crate) fn install_inbound(&mut self, spi: u32) -> Option<u32> {
        self.inbound.reserve_exact(1);
        self.inbound.push(spi);
        (self.inbound.len() > SAS_MAX).then(|| self.inbound.remove(0))
    }

    /// Keeps a message until there is an SA; gives it back when too many wait.
    pub(crate) fn wait(&mut self, message: Message) -> Result<(), Message> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(message);
        }
        self.waiting.push_back(message);
        Ok(())
    }

    /// Takes the messages that waited.
    pub(crate) fn take_waiting(&mut self) -> VecDeque<Message> {
        core::mem::take(&mut self.waiting)
    }

    /// Whether it is time to report life.
    pub(crate) fn alive(&mut self, now: Instant) -> bool {
        self.pulse.beat(now)
    }

    /// Follows the peer to where its newest packet came from; the new place when that is another one.
    ///
    /// A packet under an SA older than the newest one in use does not count: it may have been long on
    /// the way. Nor does one that came in the other encapsulation, which was negotiated and stays.
    pub(crate) fn follow(&mut self, age: u64, path: Path, port: Port) -> Option<Place> {
        if age < self.newest_used {
            return None;
        }
        self.newest_used = age;
        let place = self.place.as_mut()?;
        let path = match (place.encap, port) {
            (Encap::Udp, Port::NatT) => path,
            (Encap::Esp, Port::Esp) => with_ports_of(path, place.path),
            (Encap::Udp | Encap::Esp, Port::Esp | Port::Ike | Port::L2tp | Port::NatT) => {
                return None;
            }
        };
        if place.path == path {
            return None;
        }
        place.path = path;
        Some(*place)
    }
}

impl Place {
    /// The socket that ESP leaves by.
    pub(crate) const fn port(&self) -> Port {
        match self.encap {
            Encap::Esp => Port::Esp,
            Encap::Udp => Port::NatT,
        }
    }
}

/// The addresses of one path with the ports of another: plain ESP has no ports, IKE keeps its own.
fn with_ports_of(mut path: Path, ports: Path) -> Path {
    path.local.set_port(ports.local.port());
    path.remote.set_port(ports.remote.port());
    path
}

/// Most SAs a peer has in each direction; rekeying needs two.
pub const SAS_MAX: usize = 8;
/// Most L2TP packets that wait for the outbound SA of a peer.
pub const WAITING_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ALIVE_REPORT_INTERVAL;
    use core::time::Duration;

    fn path(remote: &str) -> Path {
        Path::new("192.0.2.1:4500".parse().unwrap(), remote.parse().unwrap())
    }

    fn peer(encap: Encap) -> Peer {
        let place = Some(Place { path: path("198.51.100.1:4500"), encap });
        Peer { place, ..Peer::default() }
    }

    #[test]
    fn life_is_reported_once_per_interval() {
        let mut peer = Peer::default();
        let start = Instant::from_secs(100);
        assert!(peer.alive(start));
        assert!(!peer.alive(start + ALIVE_REPORT_INTERVAL.saturating_sub(Duration::from_nanos(1))));
        assert!(peer.alive(start + ALIVE_REPORT_INTERVAL));
    }

    #[test]
    fn a_packet_under_an_older_sa_does_not_move_the_peer() {
        let mut peer = peer(Encap::Udp);
        let moved = path("198.51.100.1:7777");
        assert_eq!(peer.follow(5, moved, Port::NatT).map(|p| p.path), Some(moved));
        assert_eq!(peer.follow(5, moved, Port::NatT), None, "already there");
        assert_eq!(peer.follow(4, path("198.51.100.1:4500"), Port::NatT), None);
    }

    #[test]
    fn plain_esp_moves_addresses_and_keeps_the_ports_of_ike() {
        let mut peer = peer(Encap::Esp);
        let place = peer.follow(1, path("203.0.113.9:0"), Port::Esp).unwrap();
        assert_eq!(place.path, path("203.0.113.9:4500"));
        assert_eq!(peer.follow(1, path("203.0.113.9:0"), Port::Esp), None);
    }

    #[test]
    fn the_other_encapsulation_moves_nothing() {
        assert_eq!(peer(Encap::Udp).follow(1, path("203.0.113.9:0"), Port::Esp), None);
        assert_eq!(peer(Encap::Esp).follow(1, path("203.0.113.9:9"), Port::NatT), None);
    }

    #[test]
    fn no_more_messages_wait_than_the_limit() {
        let mut peer = Peer::default();
        let message = || Message { local_port: 1, remote_port: 2, bytes: Vec::new() };
        for _ in 0..WAITING_MAX {
            assert!(peer.wait(message()).is_ok());
        }
        assert!(peer.wait(message()).is_err());
        assert_eq!(peer.take_waiting().len(), WAITING_MAX);
    }

    #[test]
    fn the_oldest_inbound_sa_gives_way() {
        let mut peer = Peer::default();
        for spi in 0..8 {
            assert_eq!(peer.install_inbound(spi), None);
        }
        assert_eq!((SAS_MAX, peer.install_inbound(8)), (8, Some(0)));
    }
}
