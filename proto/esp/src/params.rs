//! What both directions of an SA share: parameters, lifetimes, counters.

use isthmus_crypto::{EspKeys, EspSuite};
use serde::{Deserialize, Serialize};

/// What the key exchange agreed for one direction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SaParams {
    /// The receiver's name of the SA.
    pub spi: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// Keys of this direction.
    pub keys: EspKeys,
    /// Whether sequence numbers have 64 bits (RFC 4303 §2.2.1).
    pub esn: bool,
    /// How much the SA may carry.
    pub lifetime: Lifetime,
}

impl SaParams {
    /// The last sequence number of the SA.
    pub(crate) const fn last_seq(&self) -> u64 {
        if self.esn { u64::MAX } else { u32::MAX as u64 }
    }

    /// Whether this is behind the number at which the SA should have been replaced.
    pub(crate) const fn is_late(&self, seq: u64) -> bool {
        let last = self.last_seq();
        seq > last - last / SOFT_PART
    }
}

/// How many bytes an SA may carry, counted between IV and ICV (RFC 4301 §4.4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// From here on a replacement is wanted.
    pub soft_bytes: u64,
    /// Beyond this nothing is carried.
    pub hard_bytes: u64,
}

impl Lifetime {
    /// No limit.
    pub const UNLIMITED: Self = Self { soft_bytes: u64::MAX, hard_bytes: u64::MAX };

    /// A limit in units of 1024 bytes, as IKE negotiates it (RFC 2407 §4.5), with the soft limit an
    /// eighth below.
    pub const fn of_kilobytes(kilobytes: u32) -> Self {
        let hard_bytes = kilobytes as u64 * 1024;
        Self { soft_bytes: hard_bytes - hard_bytes / SOFT_PART, hard_bytes }
    }
}

impl Default for Lifetime {
    fn default() -> Self {
        Self::UNLIMITED
    }
}

/// A limit that came near; reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftLimit {
    /// The soft limit in bytes is passed.
    Bytes,
    /// An eighth of the sequence numbers is left.
    Sequence,
}

/// What an SA has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets sealed, or opened and accepted.
    pub packets: u64,
    /// Their bytes between IV and ICV.
    pub bytes: u64,
}

/// Counts what an SA carries and watches its limits.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) counters: Counters,
    warning: Warning,
}

/// Whether a limit that came near was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warning {
    NotDue,
    Due(SoftLimit),
    Given,
}

impl Meter {
    /// A meter that goes on from earlier counts.
    pub(crate) const fn new(counters: Counters) -> Self {
        Self { counters, warning: Warning::NotDue }
    }

    /// Whether the SA may carry `bytes` more.
    pub(crate) fn allows(&self, params: &SaParams, bytes: u64) -> bool {
        self.counters.bytes.saturating_add(bytes) <= params.lifetime.hard_bytes
    }

    /// Counts one packet.
    pub(crate) fn add(&mut self, params: &SaParams, seq: u64, bytes: u64) {
        self.counters.packets = self.counters.packets.saturating_add(1);
        self.counters.bytes = self.counters.bytes.saturating_add(bytes);
        if self.warning == Warning::NotDue {
            if self.counters.bytes >= params.lifetime.soft_bytes {
                self.warning = Warning::Due(SoftLimit::Bytes);
            } else if params.is_late(seq) {
                self.warning = Warning::Due(SoftLimit::Sequence);
            }
        }
    }

    /// A limit that came near, once.
    pub(crate) fn poll(&mut self) -> Option<SoftLimit> {
        match self.warning {
            Warning::NotDue | Warning::Given => None,
            Warning::Due(limit) => {
                self.warning = Warning::Given;
                Some(limit)
            }
        }
    }
}

/// The soft limits lie this part of the whole below the hard ones.
const SOFT_PART: u64 = 8;
