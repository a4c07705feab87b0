//! What must hold at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::network::Packet;

/// Looks at every packet that leaves a host.
#[derive(Default)]
pub struct Wire {
    /// (sender, receiver, SPI) to the sequence numbers used; the SPI alone names an SA only to its
    /// receiver.
    sequences: BTreeMap<(IpAddr, SocketAddr, u32), BTreeSet<u32>>,
    /// Packets seen.
    pub packets: u64,
    /// Hosts that may speak L2TP without IPsec.
    pub plain: BTreeSet<IpAddr>,
}

impl Wire {
    /// Checks a packet.
    ///
    /// # Panics
    /// When it is neither IKE nor ESP nor L2TP of a host that may do without, or an ESP sequence number comes a second time.
    pub fn look(&mut self, packet: &Packet) {
        self.packets += 1;
        let allowed = [packet.from.ip(), packet.to.ip()].iter().any(|ip| self.plain.contains(ip));
        if packet.is_plain() {
            assert!(allowed, "L2TP in the clear from {} to {}", packet.from, packet.to);
            return;
        }
        let Some(esp) = esp_header(packet) else { return };
        let used = self.sequences.entry((packet.from.ip(), packet.to, esp.0)).or_default();
        assert!(used.insert(esp.1), "ESP sequence number {} used twice under {:08x}", esp.1, esp.0);
    }
}

impl Wire {
    /// Whoever is behind these addresses has lost its keys: its SPIs may name new SAs.
    pub fn forget(&mut self, receiver: IpAddr) {
        self.sequences.retain(|(_, to, _), _| to.ip() != receiver);
    }
}

/// SPI and sequence number of an ESP packet; none for IKE and keepalives.
fn esp_header(packet: &Packet) -> Option<(u32, u32)> {
    let word = |at: usize| {
        packet.bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    };
    if packet.esp {
        return word(0).zip(word(4));
    }
    let ports = [packet.from.port(), packet.to.port()];
    let nat_t = ports.contains(&4500);
    let spi = word(0).filter(|&spi| nat_t && spi != 0)?;
    Some(spi).zip(word(4))
}

/// Every value at most once.
///
/// # Panics
/// When one comes a second time.
pub fn unique<T: Ord + std::fmt::Debug>(what: &str, values: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    for value in values {
        let shown = format!("{value:?}");
        assert!(seen.insert(value), "{what} {shown} belongs to two sessions");
    }
}
