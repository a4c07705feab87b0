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

#[cfg(test)]
mod tests {
    use super::*;

    /// L2TP (6), PPP (4) and the inner UDP header (8).
    const INNER: usize = 18;

    #[test]
    fn the_inner_packet_sizes_of_common_paths_are_these() {
        let table = [
            (1500, 1404, 1404, 1420),
            (1492, 1404, 1404, 1412),
            (1460, 1372, 1372, 1380),
            (1440, 1356, 1340, 1360),
            (1400, 1308, 1308, 1320),
            (1280, 1196, 1180, 1200),
        ];
        for (mtu, sha1, sha256, gcm) in table {
            let inner = |suite| max_payload(suite, mtu, Encap::Udp, OuterIp::V4) - INNER;
            assert_eq!(inner(EspSuite::Aes256CbcSha1), sha1, "{mtu}");
            assert_eq!(inner(EspSuite::Aes128CbcSha1), sha1, "{mtu}");
            assert_eq!(inner(EspSuite::Aes256CbcSha256), sha256, "{mtu}");
            assert_eq!(inner(EspSuite::Aes256Gcm16), gcm, "{mtu}");
        }
    }

    #[test]
    fn the_longest_payload_fits_and_one_byte_more_does_not() {
        for suite in EspSuite::ALL {
            for outer in [OuterIp::V4, OuterIp::V6] {
                for (encap, encap_len) in [(Encap::Esp, 0), (Encap::Udp, 8)] {
                    for mtu in 200..1600 {
                        let room = mtu - outer.header_len() - encap_len;
                        let longest = max_payload(suite, mtu, encap, outer);
                        assert!(packet_len(suite, longest) <= room, "{suite} {mtu}");
                        assert!(packet_len(suite, longest + 1) > room, "{suite} {mtu}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_path_too_small_for_any_packet_carries_nothing() {
        for suite in EspSuite::ALL {
            for mtu in 0..60 {
                assert_eq!(max_payload(suite, mtu, Encap::Udp, OuterIp::V6), 0);
            }
        }
    }

    #[test]
    fn the_outer_version_is_that_of_the_address() {
        assert_eq!(OuterIp::of("192.0.2.1".parse().unwrap()), OuterIp::V4);
        assert_eq!(OuterIp::of("2001:db8::1".parse().unwrap()), OuterIp::V6);
    }
}
