//! The fragment payload of Microsoft and Cisco (type 132; \[MS-IKEE\] §2.2.1.1).

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::codec::Message;
use crate::iana::PayloadType;

/// One piece of a message. It is the only payload of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The same in all pieces of a message; many send 1 always.
    pub id: u16,
    /// From 1 to [`FRAGMENTS_MAX`].
    pub number: u8,
    /// No piece has a higher number.
    pub last: bool,
    /// Octets of the message, its header included; never empty.
    pub data: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Bytes before the data: generic payload header, id, number, flags.
    pub const OVERHEAD: usize = 8;
    const LAST: u8 = 1;

    /// Reads the piece that a datagram is.
    ///
    /// # Errors
    /// Another payload behind it, a length that is not the rest of the datagram, no data, number 0 or a
    /// number beyond [`FRAGMENTS_MAX`]. Flags other than the last-piece flag mean nothing.
    pub fn read(message: &Message<'a>) -> Result<Self, DecodeError> {
        let mut r = Reader::new(message.body);
        if message.header.first != PayloadType::FRAGMENT || r.u8("next payload")? != 0 {
            return Err(DecodeError::illegal("fragment"));
        }
        if r.u8("payload reserved")? != 0 {
            return Err(DecodeError::illegal("payload reserved"));
        }
        let length = usize::from(r.u16("payload length")?);
        let (id, number) = (r.u16("fragment id")?, r.u8("fragment number")?);
        let last = r.u8("fragment flags")? & Self::LAST != 0;
        let data = r.rest();
        if length != message.body.len() {
            return Err(DecodeError::illegal("payload length"));
        }
        if data.is_empty() {
            return Err(DecodeError::new("fragment", Fault::Truncated));
        }
        match number {
            0 => Err(DecodeError::illegal("fragment number")),
            1..=FRAGMENTS_MAX => Ok(Self { id, number, last, data }),
            _ => Err(DecodeError::new("fragment number", Fault::TooMany)),
        }
    }

    /// The payload on the wire, generic header included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u16(0);
        let mark = w.begin_u16(0);
        w.u16(self.id);
        w.u8(self.number);
        w.u8(if self.last { Self::LAST } else { 0 });
        w.bytes(self.data);
        w.end_u16(&mark);
        w.into_vec()
    }
}

/// Most pieces of one message. Windows sends up to 29.
pub const FRAGMENTS_MAX: u8 = 64;

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::{Cookies, Flags, Header};
    use crate::iana::ExchangeType;

    fn datagram(body: &[u8]) -> Vec<u8> {
        let header = Header {
            cookies: Cookies { initiator: [1; 8], responder: [2; 8] },
            first: PayloadType::FRAGMENT,
            exchange: ExchangeType::IDENTITY_PROTECTION,
            flags: Flags::default(),
            message_id: 0,
        };
        let mut w = Writer::new();
        header.write(&mut w, body.len());
        w.bytes(body);
        w.into_vec()
    }

    fn read(body: &[u8]) -> Result<(u16, u8, bool, Vec<u8>), DecodeError> {
        let bytes = datagram(body);
        let piece = Fragment::read(&Message::read(&bytes).unwrap())?;
        Ok((piece.id, piece.number, piece.last, piece.data.to_vec()))
    }

    #[test]
    fn a_piece_is_laid_out_as_microsoft_draws_it() {
        let piece = Fragment { id: 0x0102, number: 3, last: true, data: b"abc" };
        assert_eq!(piece.to_bytes(), [0, 0, 0, 11, 1, 2, 3, 1, b'a', b'b', b'c']);
        assert_eq!(read(&piece.to_bytes()), Ok((0x0102, 3, true, b"abc".to_vec())));
    }

    #[test]
    fn numbers_outside_the_bound_other_lengths_and_company_are_refused() {
        let good = [0, 0, 0, 9, 0, 1, 1, 0, 7];
        assert!(read(&good).is_ok());
        let with = |at: usize, value: u8| {
            let mut body = good;
            body[at] = value;
            read(&body).err().map(|error| error.field)
        };
        assert_eq!(with(0, 13), Some("fragment"), "a payload behind it");
        assert_eq!(with(1, 1), Some("payload reserved"));
        assert_eq!(with(3, 8), Some("payload length"));
        assert_eq!(with(3, 10), Some("payload length"));
        assert_eq!(with(2, 0xff), Some("payload length"));
        assert_eq!(with(6, 0), Some("fragment number"));
        assert_eq!(with(6, FRAGMENTS_MAX + 1), Some("fragment number"));
        assert_eq!(with(6, 255), Some("fragment number"));
        assert_eq!(with(6, FRAGMENTS_MAX), None);
        assert_eq!(with(7, 0xfe), None, "unknown flags");
        assert!((0..9).all(|n| read(&good[..n]).is_err()));
        assert!(read(&[0, 0, 0, 8, 0, 1, 1, 1]).is_err(), "a piece of nothing");
    }

    proptest! {
        #[test]
        fn pieces_survive_the_wire(
            id: u16, number in 1..=FRAGMENTS_MAX, last: bool,
            data in prop::collection::vec(any::<u8>(), 1..200),
        ) {
            let piece = Fragment { id, number, last, data: &data };
            prop_assert_eq!(read(&piece.to_bytes()), Ok((id, number, last, data.clone())));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&body);
        }
    }
}
