//! EAP packets (RFC 3748 §4, §5) and those of EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02 §2).

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::auth_message::{MsChapV2Value, NAME_MAX};
use crate::iana::Code;
use crate::packet::Packet;

/// Codes of EAP.
pub(crate) const REQUEST: Code = Code(1);
pub(crate) const RESPONSE: Code = Code(2);
pub(crate) const SUCCESS: Code = Code(3);
pub(crate) const FAILURE: Code = Code(4);

/// Types of Requests and Responses (IANA).
pub(crate) mod kind {
    pub(crate) const IDENTITY: u8 = 1;
    pub(crate) const NOTIFICATION: u8 = 2;
    pub(crate) const NAK: u8 = 3;
    pub(crate) const MSCHAPV2: u8 = 26;
}

/// Type and type data of a Request or Response.
pub(crate) fn typed(data: &[u8]) -> Result<(u8, &[u8]), DecodeError> {
    let mut reader = Reader::new(data);
    Ok((reader.u8("EAP type")?, reader.rest()))
}

/// A Request or Response as bytes.
pub(crate) fn write(code: Code, id: u8, kind: u8, data: &[u8]) -> Vec<u8> {
    let data = [&[kind], data].concat();
    Packet { code, id, data: &data }.write()
}

/// A message of EAP-MSCHAPv2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// From the server.
    Challenge { id: u8, challenge: [u8; 16] },
    /// The server's word that we are refused, or the peer's that it knows; the text of RFC 2759 §6.
    Failure(&'a [u8]),
    /// From the peer.
    Response { id: u8, value: MsChapV2Value, name: &'a [u8] },
    /// The server's proof, the text of RFC 2759 §5; or the peer's word that it believes it.
    Success(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Reads the type data. A Success or Failure of the peer is one byte; others have a header whose length
    /// must not point past the end (what follows it is ignored).
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(data);
        let op = reader.u8("OpCode")?;
        match (op, reader.any_left()) {
            (OP_SUCCESS, false) => return Ok(Self::Success(&[])),
            (OP_FAILURE, false) => return Ok(Self::Failure(&[])),
            _ => {}
        }
        let id = reader.u8("MS-CHAPv2-ID")?;
        let len = usize::from(reader.u16("MS-Length")?);
        let len = len.checked_sub(HEADER_LEN).ok_or(DecodeError::illegal("MS-Length"))?;
        let mut reader = reader.sub("MS-Length", len)?;
        match op {
            OP_CHALLENGE => {
                expect_size(&mut reader, 16)?;
                let challenge = reader.array("challenge")?;
                bounded_name(reader.rest())?;
                Ok(Self::Challenge { id, challenge })
            }
            OP_RESPONSE => {
                expect_size(&mut reader, RESPONSE_LEN)?;
                let value = MsChapV2Value::read(reader.take("response", RESPONSE_LEN)?)?;
                Ok(Self::Response { id, value, name: bounded_name(reader.rest())? })
            }
            OP_SUCCESS => Ok(Self::Success(reader.rest())),
            OP_FAILURE => Ok(Self::Failure(reader.rest())),
            _ => Err(DecodeError::illegal("OpCode")),
        }
    }
}

/// The type data of a Challenge.
pub(crate) fn challenge(id: u8, challenge: &[u8; 16], name: &[u8]) -> Vec<u8> {
    with_header(OP_CHALLENGE, id, &[&[16][..], challenge, name].concat())
}

/// The type data of a Response.
pub(crate) fn response(id: u8, value: &MsChapV2Value, name: &[u8]) -> Vec<u8> {
    with_header(OP_RESPONSE, id, &[&[49][..], &value.write(), name].concat())
}

/// The type data of a Success Request.
pub(crate) fn success(id: u8, text: &[u8]) -> Vec<u8> {
    with_header(OP_SUCCESS, id, text)
}

/// The type data of a Failure Request.
pub(crate) fn failure(id: u8, text: &[u8]) -> Vec<u8> {
    with_header(OP_FAILURE, id, text)
}

/// The type data with which a peer takes note of a Success.
pub(crate) const SUCCESS_NOTED: &[u8] = &[OP_SUCCESS];
/// The type data with which a peer takes note of a Failure.
pub(crate) const FAILURE_NOTED: &[u8] = &[OP_FAILURE];

fn with_header(op: u8, id: u8, rest: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    let start = writer.len();
    writer.u8(op);
    writer.u8(id);
    let length = writer.begin_u16(start);
    writer.bytes(rest);
    writer.end_u16(&length);
    writer.into_vec()
}

fn expect_size(reader: &mut Reader<'_>, size: usize) -> Result<(), DecodeError> {
    if usize::from(reader.u8("Value-Size")?) == size {
        Ok(())
    } else {
        Err(DecodeError::illegal("Value-Size"))
    }
}

fn bounded_name(name: &[u8]) -> Result<&[u8], DecodeError> {
    if name.len() > NAME_MAX { Err(DecodeError::new("name", Fault::TooLong)) } else { Ok(name) }
}

/// `OpCode`, `MS-CHAPv2-ID` and `MS-Length`.
const HEADER_LEN: usize = 4;
/// The value of a Response (RFC 2759 §4).
const RESPONSE_LEN: usize = 49;
const OP_CHALLENGE: u8 = 1;
const OP_RESPONSE: u8 = 2;
const OP_SUCCESS: u8 = 3;
const OP_FAILURE: u8 = 4;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn value() -> MsChapV2Value {
        MsChapV2Value { peer_challenge: [1; 16], nt_response: [2; 24], flags: 0 }
    }

    #[test]
    fn messages_are_what_the_draft_draws() {
        let data = challenge(7, &[9; 16], b"gw");
        assert_eq!(data[..5], [1, 7, 0, 23, 16]);
        assert_eq!(&data[21..], b"gw");
        let data = response(7, &value(), b"User");
        assert_eq!(data[..5], [2, 7, 0, 58, 49]);
        assert_eq!(&data[54..], b"User");
        assert_eq!(success(7, b"S=")[..], [3, 7, 0, 6, b'S', b'=']);
        assert_eq!(write(RESPONSE, 3, kind::MSCHAPV2, SUCCESS_NOTED), [2, 3, 0, 6, 26, 3]);
    }

    #[test]
    fn names_and_values_beyond_their_bounds_are_refused() {
        let name = vec![b'u'; NAME_MAX + 1];
        let too_long = DecodeError::new("name", Fault::TooLong);
        assert_eq!(Message::read(&response(1, &value(), &name)).err(), Some(too_long));
        assert!(Message::read(&response(1, &value(), &name[1..])).is_ok());
        assert_eq!(Message::read(&challenge(1, &[0; 16], &name)).err(), Some(too_long));
        for size in (0..=255).filter(|size| *size != 49) {
            let mut data = response(1, &value(), b"User");
            data[4] = size;
            assert_eq!(Message::read(&data).err(), Some(DecodeError::illegal("Value-Size")));
        }
    }

    #[test]
    fn a_length_below_the_header_or_beyond_the_end_is_refused() {
        for len in [0_u16, 3, 59, 300, u16::MAX] {
            let mut data = response(1, &value(), b"User");
            data[2..4].copy_from_slice(&len.to_be_bytes());
            assert!(Message::read(&data).is_err(), "{len}");
        }
        assert!(Message::read(&[]).is_err());
        assert!(Message::read(&[5, 1, 0, 4]).is_err());
        assert!(Message::read(&[1]).is_err() && Message::read(&[2]).is_err());
    }

    proptest! {
        #[test]
        fn a_written_response_is_read_back_and_no_prefix_of_it(
            id: u8, name in prop::collection::vec(any::<u8>(), 0..=NAME_MAX)
        ) {
            let data = response(id, &value(), &name);
            let read = Message::read(&data);
            let written = Message::Response { id, value: value(), name: &name };
            prop_assert!(read == Ok(written));
            for len in 0..data.len() {
                prop_assert!(Message::read(&data[..len]).is_err());
            }
        }

        #[test]
        fn any_bytes_do_not_panic(data in any::<Vec<u8>>()) {
            let _ = Message::read(&data);
        }
    }
}
