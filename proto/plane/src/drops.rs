//! Why a packet or message went nowhere.

/// The closed set of reasons, each with a counter in [`Stats`](crate::Stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Came here from another pipeline, and is not for this one either: its session has just ended.
    Astray,
    /// From a peer: the inner packet is not the IP packet its PPP header says it is.
    BadInner,
    /// The payload of ESP is no UDP datagram, or its payload no L2TP packet.
    BadL2tp,
    /// A packet without content to hide traffic (RFC 4303 §2.6); nothing is wrong with it.
    Dummy,
    /// ESP: the ICV is wrong.
    EspNotAuthentic,
    /// ESP: too short, or not a multiple of the block length.
    EspLength,
    /// ESP: authentic, but padding or trailer make no sense.
    EspPadding,
    /// ESP: the sequence number was taken before.
    EspReplayed,
    /// ESP: the sequence number is older than the replay window.
    EspStale,
    /// An L2TP data message is late or came twice, in a session with sequence numbers.
    LateOrTwice,
    /// The SA has carried the bytes it may carry.
    LifetimeOver,
    /// No outbound SA to the peer.
    NoOutboundSa,
    /// No room in the buffer for headers or the ICV.
    NoRoom,
    /// From a TUN device: no session for the destination.
    NoRoute,
    /// From a TUN device: no IP packet.
    NotIp,
    /// Plain L2TP from an address that no LAC was configured for.
    NotTrusted,
    /// Authentic, but no UDP: nothing else is let out of the tunnel.
    NotUdp,
    /// From a peer: IPv6 that stays on the link and that nobody here listens to, such as reports of
    /// multicast listeners or questions for names. Nothing is wrong with it.
    OnLink,
    /// Messages that wait for an outbound SA fill their queue.
    QueueFull,
    /// To a peer: more than `rate_down` of the session lets pass.
    RateDown,
    /// From a peer: more than `rate_up` of the session lets pass.
    RateUp,
    /// Reports fill their queue: control does not keep up.
    ReportsFull,
    /// A datagram on port 4500 that is too short to be anything.
    Runt,
    /// The outbound SA has used all its sequence numbers.
    SequenceExhausted,
    /// The outbound SA has used all its reserved sequence numbers.
    SequenceUnreserved,
    /// An L2TP data message was waiting for those before it when its session ended.
    SessionEnded,
    /// From a peer: the source address is not the session's.
    SourceNotAllowed,
    /// From a TUN device: longer than fits and not to be cut.
    TooBig,
    /// A message to send to a peer that is not known.
    UnknownPeer,
    /// ESP: no SA with this SPI.
    UnknownSpi,
    /// A UDP port other than the one L2TP is taken on.
    WrongPort,
}

impl DropReason {
    /// Every reason in the order of its counter.
    pub const ALL: [Self; 31] = [
        Self::Astray,
        Self::BadInner,
        Self::BadL2tp,
        Self::Dummy,
        Self::EspNotAuthentic,
        Self::EspLength,
        Self::EspPadding,
        Self::EspReplayed,
        Self::EspStale,
        Self::LateOrTwice,
        Self::LifetimeOver,
        Self::NoOutboundSa,
        Self::NoRoom,
        Self::NoRoute,
        Self::NotIp,
        Self::NotTrusted,
        Self::NotUdp,
        Self::OnLink,
        Self::QueueFull,
        Self::RateDown,
        Self::RateUp,
        Self::ReportsFull,
        Self::Runt,
        Self::SequenceExhausted,
        Self::SequenceUnreserved,
        Self::SessionEnded,
        Self::SourceNotAllowed,
        Self::TooBig,
        Self::UnknownPeer,
        Self::UnknownSpi,
        Self::WrongPort,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Astray => "astray",
            Self::BadInner => "bad_inner",
            Self::BadL2tp => "bad_l2tp",
            Self::Dummy => "dummy",
            Self::EspNotAuthentic => "esp_not_authentic",
            Self::EspLength => "esp_length",
            Self::EspPadding => "esp_padding",
            Self::EspReplayed => "esp_replayed",
            Self::EspStale => "esp_stale",
            Self::LateOrTwice => "late_or_twice",
            Self::LifetimeOver => "lifetime_over",
            Self::NoOutboundSa => "no_outbound_sa",
            Self::NoRoom => "no_room",
            Self::NoRoute => "no_route",
            Self::NotIp => "not_ip",
            Self::NotTrusted => "not_trusted",
            Self::NotUdp => "not_udp",
            Self::OnLink => "on_link",
            Self::QueueFull => "queue_full",
            Self::RateDown => "rate_down",
            Self::RateUp => "rate_up",
            Self::ReportsFull => "reports_full",
            Self::Runt => "runt",
            Self::SequenceExhausted => "sequence_exhausted",
            Self::SequenceUnreserved => "sequence_unreserved",
            Self::SessionEnded => "session_ended",
            Self::SourceNotAllowed => "source_not_allowed",
            Self::TooBig => "too_big",
            Self::UnknownPeer => "unknown_peer",
            Self::UnknownSpi => "unknown_spi",
            Self::WrongPort => "wrong_port",
        }
    }
}

impl From<isthmus_esp::DropReason> for DropReason {
    fn from(reason: isthmus_esp::DropReason) -> Self {
        use isthmus_esp::DropReason as Esp;
        match reason {
            Esp::BadLength | Esp::Truncated => Self::EspLength,
            Esp::BadPadding => Self::EspPadding,
            Esp::Dummy => Self::Dummy,
            Esp::LifetimeOver => Self::LifetimeOver,
            Esp::NoRoom => Self::NoRoom,
            Esp::NotAuthentic => Self::EspNotAuthentic,
            Esp::Replayed => Self::EspReplayed,
            Esp::SequenceExhausted => Self::SequenceExhausted,
            Esp::SequenceUnreserved => Self::SequenceUnreserved,
            Esp::TooOld => Self::EspStale,
            Esp::WrongSpi => Self::UnknownSpi,
        }
    }
}

impl core::fmt::Display for DropReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_reason_has_its_own_counter_and_label() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        let labels: BTreeSet<_> = DropReason::ALL.into_iter().map(DropReason::label).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
    }
}
