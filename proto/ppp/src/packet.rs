//! The packet all control and authentication protocols share: code, identifier, length, data.

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::iana::Code;

/// A control packet (RFC 1661 §5); PAP and CHAP use the same header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// What it is.
    pub(crate) code: Code,
    /// Matches replies to requests.
    pub(crate) id: u8,
    /// What the length field covers, without the header.
    pub(crate) data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the body of a frame. Bytes beyond the length field are padding (RFC 1661 §5).
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        if body.len() > CONTROL_MAX {
            return Err(DecodeError::new("packet", Fault::TooLong));
        }
        let mut reader = Reader::new(body);
        let code = Code(reader.u8("code")?);
        let id = reader.u8("identifier")?;
        let len = usize::from(reader.u16("length")?);
        let len = len.checked_sub(HEADER_LEN).ok_or(DecodeError::illegal("length"))?;
        Ok(Self { code, id, data: reader.take("length", len)? })
    }

    /// Writes header and data, without padding.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let start = writer.len();
        writer.u8(self.code.0);
        writer.u8(self.id);
        let length = writer.begin_u16(start);
        writer.bytes(self.data);
        writer.end_u16(&length);
        writer.into_vec()
    }
}

/// Length of code, identifier and length.
pub(crate) const HEADER_LEN: usize = 4;
/// Longest control packet we take, in bytes; the default MRU.
pub const CONTROL_MAX: usize = 1500;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_behind_the_length_is_ignored() {
        let packet = Packet::read(&[9, 7, 0, 6, 1, 2, 0xee, 0xee]).unwrap();
        assert_eq!(packet, Packet { code: Code::ECHO_REQUEST, id: 7, data: &[1, 2] });
    }

    #[test]
    fn a_length_below_the_header_or_beyond_the_end_is_refused() {
        assert_eq!(Packet::read(&[1, 1, 0, 3]), Err(DecodeError::illegal("length")));
        assert_eq!(
            Packet::read(&[1, 1, 0, 6, 0]),
            Err(DecodeError::new("length", Fault::Truncated))
        );
    }

    #[test]
    fn a_packet_longer_than_the_bound_is_refused() {
        let mut body = vec![1, 1, 0x05, 0xdc];
        body.resize(CONTROL_MAX, 0);
        assert!(Packet::read(&body).is_ok());
        body.push(0);
        assert_eq!(Packet::read(&body), Err(DecodeError::new("packet", Fault::TooLong)));
    }

    proptest! {
        #[test]
        fn a_written_packet_is_read_back_and_no_prefix_of_it(
            code in any::<u8>(), id in any::<u8>(), data in prop::collection::vec(any::<u8>(), 0..99)
        ) {
            let packet = Packet { code: Code(code), id, data: &data };
            let bytes = packet.write();
            prop_assert_eq!(Packet::read(&bytes), Ok(packet));
            for len in 0..bytes.len() {
                prop_assert!(Packet::read(&bytes[..len]).is_err());
            }
        }
    }
}
