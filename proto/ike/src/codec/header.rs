//! The ISAKMP header (RFC 2408 §3.1) and whole messages.

use core::fmt;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};
use serde::{Deserialize, Serialize};

use crate::iana::{ExchangeType, PayloadType};

/// The pair of cookies that names an IKE SA.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cookies {
    /// Chosen by the initiator; never zero.
    pub initiator: [u8; 8],
    /// Chosen by the responder; zero in the first message only.
    pub responder: [u8; 8],
}

impl Cookies {
    /// Both cookies, as DELETE and R-U-THERE carry them.
    pub fn concat(&self) -> [u8; 16] {
        let mut both = [0; 16];
        let (left, right) = both.split_at_mut(8);
        left.copy_from_slice(&self.initiator);
        right.copy_from_slice(&self.responder);
        both
    }

    /// Whether the responder's half is not chosen yet.
    pub fn is_initial(&self) -> bool {
        self.responder == [0; 8]
    }
}

impl fmt::Display for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (i, r) = (u64::from_be_bytes(self.initiator), u64::from_be_bytes(self.responder));
        write!(f, "{i:016x}_{r:016x}")
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookies({self})")
    }
}

/// The flags octet; bits beyond the three assigned ones survive but mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The body is encrypted.
    pub const ENCRYPTION: Self = Self(1);

    /// Whether the body is encrypted. The commit and authentication-only bits are not acted on.
    pub const fn is_encrypted(self) -> bool {
        self.0 & 1 != 0
    }
}

/// The fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Names the IKE SA.
    pub cookies: Cookies,
    /// Type of the first payload.
    pub first: PayloadType,
    /// What kind of exchange the message is part of.
    pub exchange: ExchangeType,
    /// Flags.
    pub flags: Flags,
    /// Zero in phase 1; names the exchange afterwards.
    pub message_id: u32,
}

impl Header {
    /// Length on the wire.
    pub const LEN: usize = 28;
    /// Major version 1, minor version 0.
    const VERSION: u8 = 0x10;

    /// Appends the header of a message whose body has `body_len` bytes.
    pub fn write(&self, w: &mut Writer, body_len: usize) {
        w.bytes(&self.cookies.initiator);
        w.bytes(&self.cookies.responder);
        w.u8(self.first.0);
        w.u8(Self::VERSION);
        w.u8(self.exchange.0);
        w.u8(self.flags.0);
        w.u32(self.message_id);
        w.u32(u32::try_from(Self::LEN + body_len).unwrap_or(u32::MAX));
    }
}

/// One datagram: header and body, exactly as long as the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    /// Everything behind it.
    pub body: &'a [u8],
    /// The whole datagram.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// A version other than 1.x, a zero initiator cookie, or a length field that is not the
    /// datagram's length in either direction.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MESSAGE_LEN_MAX {
            return Err(DecodeError::new("message", Fault::TooLong));
        }
        let mut r = Reader::new(bytes);
        let cookies = Cookies {
            initiator: r.array("initiator cookie")?,
            responder: r.array("responder cookie")?,
        };
        let first = PayloadType(r.u8("next payload")?);
        let version = r.u8("version")?;
        let exchange = ExchangeType(r.u8("exchange type")?);
        let flags = Flags(r.u8("flags")?);
        let message_id = r.u32("message id")?;
        let length = r.u32("length")?;
        if version >> 4 != Header::VERSION >> 4 {
            return Err(DecodeError::illegal("version"));
        }
        if cookies.initiator == [0; 8] {
            return Err(DecodeError::illegal("initiator cookie"));
        }
        match usize::try_from(length).unwrap_or(usize::MAX).cmp(&bytes.len()) {
            core::cmp::Ordering::Less => Err(DecodeError::new("length", Fault::Trailing)),
            core::cmp::Ordering::Greater => Err(DecodeError::new("length", Fault::Truncated)),
            core::cmp::Ordering::Equal => {
                let header = Header { cookies, first, exchange, flags, message_id };
                Ok(Self { header, body: r.rest(), bytes })
            }
        }
    }
}

/// Longest message taken; no client sends half of this.
pub const MESSAGE_LEN_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn sample(length: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        bytes.extend([0; 8]);
        bytes.extend([1, 0x10, 2, 0, 0, 0, 0, 0]);
        bytes.extend(length.to_be_bytes());
        bytes.extend([9; 4]);
        bytes
    }

    #[test]
    fn a_header_is_read_and_written_alike() {
        let bytes = sample(32);
        let message = Message::read(&bytes).unwrap();
        assert!(message.header.cookies.is_initial());
        assert_eq!(message.header.exchange, ExchangeType::IDENTITY_PROTECTION);
        assert_eq!(message.body, [9; 4]);
        let mut w = Writer::new();
        message.header.write(&mut w, 4);
        assert_eq!(w.as_slice(), &bytes[..28]);
    }

    #[test]
    fn the_length_field_must_be_the_datagram_length() {
        for length in [0, 27, 28, 31, 33, 0x1000, u32::MAX] {
            assert_eq!(Message::read(&sample(length)).unwrap_err().field, "length");
        }
    }

    #[test]
    fn ikev2_and_a_zero_initiator_cookie_are_refused() {
        let mut bytes = sample(32);
        bytes[17] = 0x20;
        assert_eq!(Message::read(&bytes), Err(DecodeError::illegal("version")));
        let mut bytes = sample(32);
        bytes[..8].fill(0);
        assert_eq!(Message::read(&bytes), Err(DecodeError::illegal("initiator cookie")));
    }

    #[test]
    fn every_prefix_is_refused() {
        let bytes = sample(32);
        assert!((0..bytes.len()).all(|n| Message::read(&bytes[..n]).is_err()));
    }

    #[test]
    fn a_message_longer_than_the_bound_is_refused() {
        let mut bytes = sample(u32::try_from(MESSAGE_LEN_MAX + 1).unwrap());
        bytes.resize(MESSAGE_LEN_MAX + 1, 0);
        assert_eq!(Message::read(&bytes).unwrap_err().fault, Fault::TooLong);
    }
}
