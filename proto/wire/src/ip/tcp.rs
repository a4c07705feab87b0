//! TCP header and options (RFC 9293 §3.1).

use crate::{DecodeError, Fault, Reader};

/// A view of one TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    fixed: &'a [u8; Tcp::HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Tcp<'a> {
    /// Length of a header without options in bytes.
    pub const HEADER_LEN: usize = 20;

    /// A view of the segment in `bytes`; TCP has no length of its own.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::new("TCP header", Fault::Truncated);
        let (fixed, rest) = bytes.split_first_chunk::<{ Tcp::HEADER_LEN }>().ok_or(truncated)?;
        let options_len = (usize::from(fixed[12] >> 4) * 4)
            .checked_sub(Self::HEADER_LEN)
            .ok_or(DecodeError::illegal("data offset"))?;
        let mut reader = Reader::new(rest);
        let options = reader.take("data offset", options_len)?;
        Ok(Self { fixed, options, payload: reader.rest() })
    }

    /// Source port.
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// Destination port.
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// Sequence number.
    pub const fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    /// The control bits, FIN lowest.
    pub const fn flags(&self) -> u8 {
        self.fixed[13]
    }

    /// Whether SYN is set, in a request or a reply.
    pub const fn is_syn(&self) -> bool {
        self.flags() & 0x02 != 0
    }

    /// The checksum as sent.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[16], self.fixed[17]])
    }

    /// The options with their distance from the start of the segment; an ill-formed one ends the list.
    pub const fn options(&self) -> TcpOptions<'a> {
        TcpOptions { at: Self::HEADER_LEN, rest: self.options }
    }

    /// Everything behind the header.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Maximum Segment Size.
    MaximumSegmentSize(u16),
    /// Any other kind but End of Option List and No-Operation.
    Other {
        /// Its kind.
        kind: u8,
        /// What follows its length.
        data: &'a [u8],
    },
}

/// The options in order, without padding.
#[derive(Clone, Debug)]
pub struct TcpOptions<'a> {
    at: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for TcpOptions<'a> {
    /// Where the option starts in the segment, and the option.
    type Item = (usize, TcpOption<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while let [1, rest @ ..] = self.rest {
            self.at += 1;
            self.rest = rest;
        }
        let rest = core::mem::take(&mut self.rest);
        let [kind @ 1..=255, len @ 2..=255, ..] = *rest else { return None };
        let (option, tail) = rest.split_at_checked(usize::from(len))?;
        let at = self.at;
        self.at += option.len();
        self.rest = tail;
        Some((at, read_option(kind, option.get(2..).unwrap_or_default())))
    }
}

fn read_option(kind: u8, data: &[u8]) -> TcpOption<'_> {
    match *data {
        [high, low] if kind == 2 => TcpOption::MaximumSegmentSize(u16::from_be_bytes([high, low])),
        _ => TcpOption::Other { kind, data },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use alloc::vec::Vec;

    #[test]
    fn the_fields_of_a_syn_are_read() {
        let segment = fixture::tcp_syn(&[1, 2, 4, 0x05, 0xb4, 4, 2, 0]);
        let tcp = Tcp::new(&segment).unwrap();
        assert_eq!((tcp.source_port(), tcp.destination_port()), (40_000, 443));
        assert_eq!((tcp.sequence(), tcp.flags(), tcp.is_syn()), (0x0102_0304, 2, true));
        let options: Vec<_> = tcp.options().collect();
        let sack = TcpOption::Other { kind: 4, data: &[] };
        assert_eq!(options, [(21, TcpOption::MaximumSegmentSize(1460)), (25, sack)]);
    }

    #[test]
    fn options_end_at_the_first_ill_formed_one() {
        for bad in [[2, 0, 0, 0], [2, 1, 0, 0], [2, 5, 0, 0], [3, 255, 0, 0], [1, 1, 1, 2]] {
            let segment = fixture::tcp_syn(&bad);
            assert_eq!(Tcp::new(&segment).unwrap().options().count(), 0, "{bad:?}");
        }
    }

    #[test]
    fn every_prefix_of_the_header_is_refused() {
        let segment = fixture::tcp_syn(&[2, 4, 0x05, 0xb4]);
        for len in 0..24 {
            assert!(Tcp::new(&segment[..len]).is_err(), "{len} bytes");
        }
        let mut low_offset = segment;
        low_offset[12] = 0x40;
        assert_eq!(Tcp::new(&low_offset).unwrap_err(), DecodeError::illegal("data offset"));
    }
}
