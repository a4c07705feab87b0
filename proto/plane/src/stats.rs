//! Counters: plain numbers that the shell exports.

use isthmus_core::Key;
use serde::{Deserialize, Serialize};

use crate::DropReason;

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Traffic {
    fn add(&mut self, more: Self) {
        self.packets = self.packets.saturating_add(more.packets);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    /// Counts one packet.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// What one session carried, in inner packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounters {
    /// From the peer to the TUN device.
    pub received: Traffic,
    /// From the TUN device to the peer.
    pub sent: Traffic,
    /// Dropped in either direction.
    pub dropped: u64,
    /// Those of them that were more than the rate from the peer.
    pub dropped_rate_up: u64,
    /// Those of them that were more than the rate to the peer.
    pub dropped_rate_down: u64,
}

impl SessionCounters {
    /// Bytes both ways.
    pub const fn bytes(&self) -> u64 {
        self.received.bytes.saturating_add(self.sent.bytes)
    }

    /// Counts a packet that was dropped.
    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.dropped = self.dropped.saturating_add(1);
        if reason == DropReason::RateUp {
            self.dropped_rate_up = self.dropped_rate_up.saturating_add(1);
        } else if reason == DropReason::RateDown {
            self.dropped_rate_down = self.dropped_rate_down.saturating_add(1);
        }
    }
}

/// What one SA carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaCounters {
    /// The peer it belongs to.
    pub peer: Key,
    /// Our SPI for inbound, the peer's for outbound.
    pub spi: u32,
    /// Which way it goes.
    pub direction: Direction,
    /// Payload that was authentic, or was sealed.
    pub traffic: Traffic,
    /// Inbound: the highest sequence number taken. Outbound: the next one to use.
    pub sequence: u64,
}

/// Which way an SA or a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// From the peer.
    Inbound,
    /// To the peer.
    Outbound,
}

/// What the whole pipeline did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// ESP packets that were authentic, with their payload.
    pub esp_received: Traffic,
    /// ESP packets sent, with their length on the wire.
    pub esp_sent: Traffic,
    /// Plain L2TP packets from trusted addresses.
    pub plain_received: Traffic,
    /// Plain L2TP packets sent to LACs.
    pub plain_sent: Traffic,
    /// Inner packets to TUN devices.
    pub tun_sent: Traffic,
    /// Inner packets from TUN devices.
    pub tun_received: Traffic,
    /// NAT-keepalives received.
    pub keepalives: u64,
    /// IKE messages received.
    pub ike_received: u64,
    /// L2TP packets handed to control.
    pub l2tp_reported: u64,
    /// L2TP data messages that came early and waited for those before them.
    pub reordered: u64,
    /// TCP SYNs whose MSS was lowered.
    pub mss_clamped: u64,
    /// Packets that were cut into fragments.
    pub fragmented: u64,
    /// Packets answered with "too big".
    pub too_big_answered: u64,
    /// Packets that came here but are for another pipeline, and were sent on to it.
    pub led: u64,
    /// Times a peer was found at another address.
    pub paths_moved: u64,
    /// Drops by reason.
    pub drops: Drops,
}

impl Stats {
    /// Adds what another pipeline did.
    pub fn add(&mut self, other: &Self) {
        let Self {
            esp_received,
            esp_sent,
            plain_received,
            plain_sent,
            tun_sent,
            tun_received,
            keepalives,
            ike_received,
            l2tp_reported,
            reordered,
            mss_clamped,
            fragmented,
            too_big_answered,
            led,
            paths_moved,
            drops,
        } = self;
        esp_received.add(other.esp_received);
        esp_sent.add(other.esp_sent);
        plain_received.add(other.plain_received);
        plain_sent.add(other.plain_sent);
        tun_sent.add(other.tun_sent);
        tun_received.add(other.tun_received);
        for (counter, more) in [
            (keepalives, other.keepalives),
            (ike_received, other.ike_received),
            (l2tp_reported, other.l2tp_reported),
            (reordered, other.reordered),
            (mss_clamped, other.mss_clamped),
            (fragmented, other.fragmented),
            (too_big_answered, other.too_big_answered),
            (led, other.led),
            (paths_moved, other.paths_moved),
        ] {
            *counter = counter.saturating_add(more);
        }
        for (counter, more) in drops.0.iter_mut().zip(other.drops.0) {
            *counter = counter.saturating_add(more);
        }
    }
}

/// A counter for each [`DropReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl Drops {
    /// Packets dropped for this reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Every reason with its counter.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0)
    }

    /// Packets dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn count(&mut self, reason: DropReason) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter = counter.saturating_add(1);
        }
    }
}
