//! How long packets become: buffer room and path MTU arithmetic.

use core::net::IpAddr;

use isthmus_core::Encap;
use isthmus_crypto::EspSuite;

use crate::{HEADER_LEN, TRAILER_LEN};

/// The version of the IP header outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OuterIp {
    /// 20 bytes: we send no options.
    V4,
    /// 40 bytes: we send no extension headers.
    V6,
}

impl OuterIp {
    /// The version of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Length of the header in bytes.
    pub const fn header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// Headroom that sealing uses: ESP header and IV.
pub const fn headroom(suite: EspSuite) -> usize {
    HEADER_LEN + suite.iv_len()
}

/// The most tailroom that sealing uses: padding, trailer and ICV.
pub const fn tailroom_max(suite: EspSuite) -> usize {
    suite.block_len() - 1 + TRAILER_LEN + suite.icv_len()
}

/// Length of the padding behind a payload: as little as fills the last block (RFC 4303 §2.4).
pub(crate) const fn padding_len(suite: EspSuite, payload_len: usize) -> usize {
    let block = suite.block_len();
    (block - (payload_len + TRAILER_LEN) % block) % block
}

/// Length of the ESP packet that carries `payload_len` bytes, from SPI to ICV.
pub const fn packet_len(suite: EspSuite, payload_len: usize) -> usize {
    headroom(suite) + payload_len + padding_len(suite, payload_len) + TRAILER_LEN + suite.icv_len()
}

/// The longest payload whose packet fits a path MTU, outer IP header included; zero when none does.
///
/// In transport mode the payload is the inner UDP header and what follows it.
pub const fn max_payload(suite: EspSuite, path_mtu: usize, encap: Encap, outer: OuterIp) -> usize {
    let encap_len = match encap {
        Encap::Esp => 0,
        Encap::Udp => UDP_HEADER_LEN,
    };
    let around = outer.header_len() + encap_len + headroom(suite) + suite.icv_len();
    let room = path_mtu.saturating_sub(around);
    (room - room % suite.block_len()).saturating_sub(TRAILER_LEN)
}

const UDP_HEADER_LEN: usize = 8;
