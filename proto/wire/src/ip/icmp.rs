//! ICMP header, the same for IPv4 (RFC 792) and IPv6 (RFC 4443 §2.1).

use crate::{DecodeError, Fault};

/// A view of one ICMP message.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a> {
    fixed: &'a [u8; Icmp::HEADER_LEN],
    body: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// Length of the header in bytes, with the four bytes whose meaning depends on the type.
    pub const HEADER_LEN: usize = 8;

    /// A view of the message in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::new("ICMP header", Fault::Truncated);
        let (fixed, body) = bytes.split_first_chunk::<{ Icmp::HEADER_LEN }>().ok_or(truncated)?;
        Ok(Self { fixed, body })
    }

    /// Type.
    pub const fn kind(&self) -> u8 {
        self.fixed[0]
    }

    /// Code.
    pub const fn code(&self) -> u8 {
        self.fixed[1]
    }

    /// The checksum as sent.
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// The second half of the header: identifier and sequence number, MTU, pointer or zero.
    pub const fn rest(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }

    /// Everything behind the header; for errors the packet they are about.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_read_and_every_prefix_of_the_header_is_refused() {
        let message = [3, 4, 0xab, 0xcd, 0, 0, 0x05, 0x14, 0x45];
        let icmp = Icmp::new(&message).unwrap();
        assert_eq!((icmp.kind(), icmp.code(), icmp.checksum()), (3, 4, 0xabcd));
        assert_eq!((icmp.rest(), icmp.body()), (1300, &[0x45][..]));
        for len in 0..Icmp::HEADER_LEN {
            assert!(Icmp::new(&message[..len]).is_err(), "{len} bytes");
        }
    }
}
