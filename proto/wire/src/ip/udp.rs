//! UDP header (RFC 768).

use crate::{DecodeError, Fault, Reader};

/// A view of one UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    fixed: &'a [u8; Udp::HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Length of the header in bytes.
    pub const HEADER_LEN: usize = 8;

    /// A view of the datagram at the front of `bytes`. A zero length (RFC 2675) is refused.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::new("UDP header", Fault::Truncated);
        let (fixed, rest) = bytes.split_first_chunk::<{ Udp::HEADER_LEN }>().ok_or(truncated)?;
        let len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]))
            .checked_sub(Self::HEADER_LEN)
            .ok_or(DecodeError::illegal("UDP length"))?;
        let payload = Reader::new(rest).take("UDP length", len)?;
        Ok(Self { fixed, payload })
    }

    /// Source port.
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// Destination port.
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// The checksum as sent; zero means none.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]])
    }

    /// Everything behind the header, up to the length it states.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The header of a datagram with `payload_len` bytes of payload and this checksum; none when the
    /// payload is too long.
    pub fn header(
        source_port: u16,
        destination_port: u16,
        payload_len: usize,
        checksum: u16,
    ) -> Option<[u8; Udp::HEADER_LEN]> {
        let len = u16::try_from(payload_len + Self::HEADER_LEN).ok()?;
        let mut header = [0; Self::HEADER_LEN];
        [header[0], header[1]] = source_port.to_be_bytes();
        [header[2], header[3]] = destination_port.to_be_bytes();
        [header[4], header[5]] = len.to_be_bytes();
        [header[6], header[7]] = checksum.to_be_bytes();
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATAGRAM: [u8; 11] = [0x06, 0xa5, 0x11, 0x94, 0, 11, 0xab, 0xcd, 1, 2, 3];

    #[test]
    fn a_header_is_read_and_written() {
        let udp = Udp::new(&DATAGRAM).unwrap();
        assert_eq!((udp.source_port(), udp.destination_port()), (1701, 4500));
        assert_eq!((udp.checksum(), udp.payload()), (0xabcd, &[1, 2, 3][..]));
        assert_eq!(Udp::header(1701, 4500, 3, 0xabcd).unwrap(), DATAGRAM[..8]);
        assert!(Udp::header(1, 2, 65_528, 0).is_none());
    }

    #[test]
    fn every_prefix_and_a_short_length_are_refused() {
        for len in 0..DATAGRAM.len() {
            assert!(Udp::new(&DATAGRAM[..len]).is_err(), "{len} bytes");
        }
        for length in 0..8 {
            let mut short = DATAGRAM;
            short[5] = length;
            assert_eq!(Udp::new(&short).unwrap_err(), DecodeError::illegal("UDP length"));
        }
    }
}
