//! IPv4 header and options (RFC 791 §3.1).

use core::net::Ipv4Addr;

use crate::{Checksum, DecodeError, Fault, Reader};

/// A view of one IPv4 packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    fixed: &'a [u8; Ipv4::HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Length of a header without options in bytes.
    pub const HEADER_LEN: usize = 20;
    /// Length of the longest header in bytes.
    pub const HEADER_LEN_MAX: usize = 60;

    /// A view of the packet at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::new("IPv4 header", Fault::Truncated);
        let (fixed, rest) = bytes.split_first_chunk::<{ Ipv4::HEADER_LEN }>().ok_or(truncated)?;
        if fixed[0] >> 4 != 4 {
            return Err(DecodeError::illegal("version"));
        }
        let header_len = usize::from(fixed[0] & 0xf) * 4;
        let options_len =
            header_len.checked_sub(Self::HEADER_LEN).ok_or(DecodeError::illegal("IHL"))?;
        let payload_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]))
            .checked_sub(header_len)
            .ok_or(DecodeError::illegal("total length"))?;
        let mut reader = Reader::new(rest);
        let options = reader.take("IPv4 options", options_len)?;
        let payload = reader.take("total length", payload_len)?;
        Ok(Self { fixed, options, payload })
    }

    /// Length of the header with options in bytes.
    pub const fn header_len(&self) -> usize {
        Self::HEADER_LEN + self.options.len()
    }

    /// Length of the whole packet in bytes.
    pub const fn total_len(&self) -> usize {
        self.header_len() + self.payload.len()
    }

    /// The fixed part of the header.
    pub const fn fixed_header(&self) -> &'a [u8; Ipv4::HEADER_LEN] {
        self.fixed
    }

    /// The identification, equal in all fragments of one packet.
    pub const fn identification(&self) -> u16 {
        u16::from_be_bytes([self.fixed[4], self.fixed[5]])
    }

    /// The DF flag.
    pub const fn dont_fragment(&self) -> bool {
        self.fixed[6] & 0x40 != 0
    }

    /// The MF flag.
    pub const fn more_fragments(&self) -> bool {
        self.fixed[6] & 0x20 != 0
    }

    /// Where the payload stands in the packet that was fragmented, in bytes.
    pub const fn fragment_offset(&self) -> usize {
        (u16::from_be_bytes([self.fixed[6], self.fixed[7]]) & 0x1fff) as usize * 8
    }

    /// Whether the packet is one of several fragments.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments() || self.fragment_offset() != 0
    }

    /// Time to live.
    pub const fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// Protocol number of the payload.
    pub const fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// Source address.
    pub const fn source(&self) -> Ipv4Addr {
        let [.., a, b, c, d, _, _, _, _] = *self.fixed;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Destination address.
    pub const fn destination(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = *self.fixed;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Whether the header checksum is right.
    pub fn checksum_is_valid(&self) -> bool {
        Checksum::new().bytes(self.fixed).bytes(self.options).is_valid()
    }

    /// The options; an ill-formed one ends the list.
    pub const fn options(&self) -> Ipv4Options<'a> {
        Ipv4Options { rest: self.options }
    }

    /// The options as they stand, with padding.
    pub const fn options_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// Everything behind the header.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// One option, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// All bytes of the option: type, length and data, or only the type for No Operation.
    pub bytes: &'a [u8],
}

impl Ipv4Option<'_> {
    /// Whether the option goes into every fragment (the copied flag).
    pub fn is_copied(&self) -> bool {
        self.bytes.first().is_some_and(|kind| kind & 0x80 != 0)
    }
}

/// The options in order, without End of Option List.
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Ipv4Option<'a>;

    fn next(&mut self) -> Option<Ipv4Option<'a>> {
        let rest = core::mem::take(&mut self.rest);
        let len = match *rest {
            [] | [0, ..] => return None,
            [1, ..] => 1,
            [_, len, ..] if len >= 2 => usize::from(len),
            [_, ..] => return None,
        };
        let (bytes, tail) = rest.split_at_checked(len)?;
        self.rest = tail;
        Some(Ipv4Option { bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use alloc::vec::Vec;

    #[test]
    fn the_fields_of_a_plain_header_are_read() {
        let packet = fixture::IPV4_UDP;
        let ip = Ipv4::new(&packet).unwrap();
        assert_eq!(ip.source(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(ip.destination(), Ipv4Addr::new(198, 51, 100, 7));
        assert_eq!((ip.protocol(), ip.ttl(), ip.identification()), (17, 64, 0x1c46));
        assert!(ip.dont_fragment() && !ip.is_fragment());
        assert!(ip.checksum_is_valid());
        assert_eq!((ip.header_len(), ip.payload().len()), (20, packet.len() - 20));
    }

    #[test]
    fn bytes_behind_the_total_length_are_not_part_of_the_packet() {
        let mut packet = fixture::IPV4_UDP.to_vec();
        packet.extend_from_slice(b"padding");
        assert_eq!(Ipv4::new(&packet).unwrap().total_len(), fixture::IPV4_UDP.len());
    }

    #[test]
    fn every_prefix_is_refused() {
        let packet = fixture::ipv4_with_options(&[0x94, 4, 0, 0, 1, 1, 1, 0], b"payload");
        assert!(Ipv4::new(&packet).is_ok());
        for len in 0..packet.len() {
            assert!(Ipv4::new(&packet[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        let mut short_header = fixture::IPV4_UDP;
        short_header[0] = 0x44;
        assert_eq!(Ipv4::new(&short_header).unwrap_err(), DecodeError::illegal("IHL"));
        let mut short_total = fixture::IPV4_UDP;
        short_total[2..4].copy_from_slice(&19u16.to_be_bytes());
        assert_eq!(Ipv4::new(&short_total).unwrap_err(), DecodeError::illegal("total length"));
        let mut version = fixture::IPV4_UDP;
        version[0] = 0x65;
        assert_eq!(Ipv4::new(&version).unwrap_err(), DecodeError::illegal("version"));
    }

    #[test]
    fn options_end_at_the_first_ill_formed_one() {
        let packet = fixture::ipv4_with_options(&[0x94, 4, 0, 0, 1, 7, 1, 0], b"");
        let options: Vec<_> = Ipv4::new(&packet).unwrap().options().collect();
        assert_eq!(options.len(), 2);
        assert!(options[0].is_copied() && !options[1].is_copied());
    }
}
