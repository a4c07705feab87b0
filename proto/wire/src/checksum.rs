//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use core::net::{Ipv4Addr, Ipv6Addr};

/// A one's complement sum being built.
///
/// Parts are added as if they stood one behind the other, so every part but the last must have an
/// even length; a part of odd length counts as padded with a zero byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u64);

impl Checksum {
    /// An empty sum.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, tail) = bytes.as_chunks::<4>();
        // 2^30 words of 32 bits fit into 64 bits, and no packet has that many.
        let mut sum = words.iter().fold(self.0, |sum, w| sum + u64::from(u32::from_be_bytes(*w)));
        let (pairs, odd) = tail.as_chunks::<2>();
        for pair in pairs {
            sum += u64::from(u16::from_be_bytes(*pair));
        }
        for byte in odd {
            sum += u64::from(*byte) << 8;
        }
        Self(u64::from(fold(sum)))
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// Adds the pseudo-header of TCP and UDP over IPv4 (RFC 793 §3.1, RFC 768).
    #[must_use]
    pub fn pseudo_v4(
        self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        len: u16,
    ) -> Self {
        let sum = self.bytes(&source.octets()).bytes(&destination.octets());
        sum.word(u16::from(protocol)).word(len)
    }

    /// Adds the pseudo-header of IPv6 (RFC 8200 §8.1).
    #[must_use]
    pub fn pseudo_v6(
        self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        protocol: u8,
        len: u32,
    ) -> Self {
        let sum = self.bytes(&source.octets()).bytes(&destination.octets());
        sum.bytes(&len.to_be_bytes()).word(u16::from(protocol))
    }

    /// The checksum to store: the complement of the sum.
    pub const fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// The checksum to store in UDP, where zero means "none" and is sent as all ones (RFC 768).
    pub const fn finish_udp(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            sum => sum,
        }
    }

    /// Whether the bytes added, checksum included, add up to all ones.
    pub const fn is_valid(self) -> bool {
        fold(self.0) == 0xffff
    }
}

/// The checksum of some bytes.
pub fn checksum(bytes: &[u8]) -> u16 {
    Checksum::new().bytes(bytes).finish()
}

/// The checksum after one of the words it covers changed from `old` to `new` (RFC 1624 §3, eqn. 3).
#[must_use]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The loop leaves nothing above 16 bits.
    (sum & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn the_sum_of_rfc_1071_section_3_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
    }

    #[test]
    fn the_update_of_rfc_1624_section_4_comes_out() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn a_zero_udp_checksum_is_sent_as_all_ones() {
        let sum = Checksum::new().word(0xffff);
        assert_eq!((sum.finish(), sum.finish_udp()), (0, 0xffff));
    }

    proptest! {
        #[test]
        fn an_update_equals_a_new_sum(mut words in prop::collection::vec(any::<u16>(), 2..40), at: prop::sample::Index, new: u16) {
            // An all-zero text has two representations of zero, which an update cannot tell apart.
            words.push(0x1234);
            let bytes = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
            let before = checksum(&bytes(&words));
            let at = at.index(words.len() - 1);
            let old = words[at];
            words[at] = new;
            prop_assert_eq!(update(before, old, new), checksum(&bytes(&words)));
        }

        #[test]
        fn bytes_with_their_checksum_are_valid(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if bytes.len() % 2 == 1 { bytes.push(0); }
            let sum = checksum(&bytes);
            bytes.extend_from_slice(&sum.to_be_bytes());
            prop_assert!(Checksum::new().bytes(&bytes).is_valid());
        }
    }
}
