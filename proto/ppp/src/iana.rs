//! PPP numbers by name. Newtypes, so that unknown values survive and a `match` reads like the RFC.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A PPP protocol number (RFC 1661 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Protocol(pub u16);

impl Protocol {
    /// Internet Protocol version 4.
    pub const IPV4: Self = Self(0x0021);
    /// Internet Protocol version 6.
    pub const IPV6: Self = Self(0x0057);
    /// IP Control Protocol (RFC 1332).
    pub const IPCP: Self = Self(0x8021);
    /// IPv6 Control Protocol (RFC 5072).
    pub const IPV6CP: Self = Self(0x8057);
    /// Compression Control Protocol (RFC 1962).
    pub const CCP: Self = Self(0x80fd);
    /// Apple Client Server Control Protocol.
    pub const ACSCP: Self = Self(0x8235);
    /// Link Control Protocol (RFC 1661).
    pub const LCP: Self = Self(0xc021);
    /// Password Authentication Protocol (RFC 1334).
    pub const PAP: Self = Self(0xc023);
    /// Challenge Handshake Authentication Protocol (RFC 1994).
    pub const CHAP: Self = Self(0xc223);
    /// Extensible Authentication Protocol (RFC 3748).
    pub const EAP: Self = Self(0xc227);

    /// Whether this is the control protocol of a network protocol or of compression (RFC 1661 §2).
    pub const fn is_network_control(self) -> bool {
        0x8000 <= self.0 && self.0 < 0xc000
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol({:#06x})", self.0)
    }
}

/// The code of a control packet of LCP or an NCP (RFC 1661 §5, RFC 1570 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u8);

impl Code {
    /// Configure-Request.
    pub const CONFIGURE_REQUEST: Self = Self(1);
    /// Configure-Ack.
    pub const CONFIGURE_ACK: Self = Self(2);
    /// Configure-Nak.
    pub const CONFIGURE_NAK: Self = Self(3);
    /// Configure-Reject.
    pub const CONFIGURE_REJECT: Self = Self(4);
    /// Terminate-Request.
    pub const TERMINATE_REQUEST: Self = Self(5);
    /// Terminate-Ack.
    pub const TERMINATE_ACK: Self = Self(6);
    /// Code-Reject.
    pub const CODE_REJECT: Self = Self(7);
    /// Protocol-Reject; LCP only.
    pub const PROTOCOL_REJECT: Self = Self(8);
    /// Echo-Request; LCP only.
    pub const ECHO_REQUEST: Self = Self(9);
    /// Echo-Reply; LCP only.
    pub const ECHO_REPLY: Self = Self(10);
    /// Discard-Request; LCP only.
    pub const DISCARD_REQUEST: Self = Self(11);
    /// Identification; LCP only.
    pub const IDENTIFICATION: Self = Self(12);
    /// Time-Remaining; LCP only.
    pub const TIME_REMAINING: Self = Self(13);

    /// Whether no option negotiation works without this code, so that its rejection is
    /// catastrophic (RFC 1661 §4.3, RXJ-).
    pub const fn is_essential(self) -> bool {
        1 <= self.0 && self.0 <= 7
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({})", self.0)
    }
}

/// LCP option types (RFC 1661 §6, RFC 1570 §3, RFC 1990 §5).
pub mod lcp_option {
    /// Maximum-Receive-Unit.
    pub const MRU: u8 = 1;
    /// Async-Control-Character-Map (RFC 1662 §7.1).
    pub const ACCM: u8 = 2;
    /// Authentication-Protocol.
    pub const AUTH: u8 = 3;
    /// Quality-Protocol.
    pub const QUALITY: u8 = 4;
    /// Magic-Number.
    pub const MAGIC: u8 = 5;
    /// Protocol-Field-Compression.
    pub const PFC: u8 = 7;
    /// Address-and-Control-Field-Compression.
    pub const ACFC: u8 = 8;
    /// Callback.
    pub const CALLBACK: u8 = 13;
    /// Multilink Maximum Received Reconstructed Unit.
    pub const MRRU: u8 = 17;
    /// Multilink short sequence numbers.
    pub const SHORT_SEQUENCE: u8 = 18;
    /// Multilink endpoint discriminator.
    pub const ENDPOINT: u8 = 19;
    /// Link discriminator for BAP (RFC 2125), which Windows sends with multilink.
    pub const LINK_DISCRIMINATOR: u8 = 23;
}

/// IPCP option types (RFC 1332 §3, RFC 1877 §1).
pub mod ipcp_option {
    /// IP-Addresses, deprecated.
    pub const ADDRESSES: u8 = 1;
    /// IP-Compression-Protocol.
    pub const COMPRESSION: u8 = 2;
    /// IP-Address.
    pub const ADDRESS: u8 = 3;
    /// Primary DNS server address.
    pub const DNS1: u8 = 129;
    /// Primary NBNS server address.
    pub const NBNS1: u8 = 130;
    /// Secondary DNS server address.
    pub const DNS2: u8 = 131;
    /// Secondary NBNS server address.
    pub const NBNS2: u8 = 132;
}

/// IPV6CP option types (RFC 5072 §4).
pub mod ipv6cp_option {
    /// Interface-Identifier.
    pub const INTERFACE_ID: u8 = 1;
    /// IPv6-Compression-Protocol.
    pub const COMPRESSION: u8 = 2;
}

/// The algorithm byte behind the CHAP protocol number (RFC 1994 §3, RFC 2759 §3).
pub mod chap_algorithm {
    /// CHAP with MD5.
    pub const MD5: u8 = 5;
    /// MS-CHAPv2.
    pub const MS_CHAP_V2: u8 = 0x81;
}
