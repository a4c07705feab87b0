//! Why a packet was not sealed or opened.

use core::fmt;

/// A dropped packet's reason; fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Inbound: not a whole number of cipher blocks, or too short to hold IV and ICV.
    BadLength,
    /// Inbound, authentic: the trailer or the padding is not what RFC 4303 §2.4 prescribes.
    BadPadding,
    /// Inbound, authentic: a dummy packet, next header 59 (RFC 4303 §2.6); no error.
    Dummy,
    /// The SA has carried the bytes it may carry.
    LifetimeOver,
    /// Outbound: head- or tailroom is missing.
    NoRoom,
    /// Inbound: the ICV is wrong.
    NotAuthentic,
    /// Inbound: the sequence number was seen before.
    Replayed,
    /// Outbound: the last sequence number is used.
    SequenceExhausted,
    /// Outbound: the next sequence number is not reserved in the record yet.
    SequenceUnreserved,
    /// Inbound: left of the replay window.
    TooOld,
    /// Too short for an SPI and a sequence number.
    Truncated,
    /// Inbound: another SA's packet.
    WrongSpi,
}

impl DropReason {
    /// Every reason, in order; for tables of counters.
    pub const ALL: [Self; 12] = [
        Self::BadLength,
        Self::BadPadding,
        Self::Dummy,
        Self::LifetimeOver,
        Self::NoRoom,
        Self::NotAuthentic,
        Self::Replayed,
        Self::SequenceExhausted,
        Self::SequenceUnreserved,
        Self::TooOld,
        Self::Truncated,
        Self::WrongSpi,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadLength => "bad_length",
            Self::BadPadding => "bad_padding",
            Self::Dummy => "dummy",
            Self::LifetimeOver => "lifetime_over",
            Self::NoRoom => "no_room",
            Self::NotAuthentic => "not_authentic",
            Self::Replayed => "replayed",
            Self::SequenceExhausted => "sequence_exhausted",
            Self::SequenceUnreserved => "sequence_unreserved",
            Self::TooOld => "too_old",
            Self::Truncated => "truncated",
            Self::WrongSpi => "wrong_spi",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl core::error::Error for DropReason {}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_its_own_label_and_place() {
        let labels: BTreeSet<_> = DropReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
        assert!(DropReason::ALL.is_sorted());
    }
}
