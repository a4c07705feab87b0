//! Packets and what a bad network does to them.

use std::net::SocketAddr;

use isthmus_core::{Duration, Rng};
use isthmus_plane::Port;

/// A datagram on the outside network: UDP, or raw ESP where the ports mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sends it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// Whether it is raw ESP.
    pub esp: bool,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Packet {
    /// The socket it arrives at.
    pub fn port(&self) -> Port {
        match (self.esp, self.to.port()) {
            (true, _) => Port::Esp,
            (false, 4500) => Port::NatT,
            (false, _) if self.is_plain() => Port::L2tp,
            (false, _) => Port::Ike,
        }
    }

    /// Whether it is L2TP in the clear.
    pub fn is_plain(&self) -> bool {
        !self.esp && [self.from.port(), self.to.port()].contains(&1701)
    }
}

/// How bad the network is. The default is perfect but for a delay of 10 ms.
#[derive(Clone, Copy, Debug)]
pub struct Impairment {
    /// Percent of packets lost.
    pub loss: u32,
    /// Percent of packets that come twice.
    pub duplicate: u32,
    /// Time on the way.
    pub delay: Duration,
    /// Up to so much longer, which reorders.
    pub jitter: Duration,
}

impl Default for Impairment {
    fn default() -> Self {
        Self { loss: 0, duplicate: 0, delay: Duration::from_millis(10), jitter: Duration::ZERO }
    }
}

impl Impairment {
    /// Loss in percent, with the jitter and duplicates that come with it on real paths.
    pub fn lossy(percent: u32) -> Self {
        Self {
            loss: percent,
            duplicate: percent,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(30),
        }
    }

    /// When copies of a packet arrive, counted from now; none when it is lost.
    pub(crate) fn arrivals(&self, rng: &mut Rng) -> Vec<Duration> {
        let mut arrivals = Vec::new();
        if rng.below(100) >= self.loss {
            arrivals.push(self.travel(rng));
        }
        if rng.below(100) < self.duplicate {
            arrivals.push(self.travel(rng));
        }
        arrivals
    }

    fn travel(&self, rng: &mut Rng) -> Duration {
        let jitter = u32::try_from(self.jitter.as_micros()).unwrap_or(u32::MAX);
        self.delay + Duration::from_micros(u64::from(rng.below(jitter + 1)))
    }
}
