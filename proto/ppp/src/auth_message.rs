//! Messages of PAP (RFC 1334 §2), CHAP (RFC 1994 §4) and MS-CHAPv2 (RFC 2759 §3 to §6).

use alloc::vec::Vec;
use core::fmt::Write as _;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::auth::AuthenticatorResponse;
use crate::auth::mschapv2::hex;

/// Codes of CHAP.
pub(crate) mod chap {
    use crate::iana::Code;

    pub(crate) const CHALLENGE: Code = Code(1);
    pub(crate) const RESPONSE: Code = Code(2);
    pub(crate) const SUCCESS: Code = Code(3);
    pub(crate) const FAILURE: Code = Code(4);
}

/// Codes of PAP.
pub(crate) mod pap {
    use crate::iana::Code;

    pub(crate) const REQUEST: Code = Code(1);
    pub(crate) const ACK: Code = Code(2);
    pub(crate) const NAK: Code = Code(3);
}

/// The data of an Authenticate-Request: name and password, each with a length byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PapRequest<'a> {
    pub(crate) user: &'a [u8],
    pub(crate) password: &'a [u8],
}

impl<'a> PapRequest<'a> {
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, DecodeError> {
        Reader::all("authenticate-request", data, |reader| {
            let user_len = usize::from(reader.u8("peer-id length")?);
            let user = bounded("peer-id", reader.take("peer-id", user_len)?)?;
            let password_len = usize::from(reader.u8("passwd length")?);
            Ok(Self { user, password: reader.take("password", password_len)? })
        })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for part in [self.user, self.password] {
            let part = part.get(..usize::from(u8::MAX)).unwrap_or(part);
            writer.u8(u8::try_from(part.len()).unwrap_or(u8::MAX));
            writer.bytes(part);
        }
        writer.into_vec()
    }
}

/// The data of an Authenticate-Ack or -Nak: a message with a length byte.
pub(crate) fn write_pap_message(message: &[u8]) -> Vec<u8> {
    let message = message.get(..usize::from(u8::MAX)).unwrap_or(message);
    let mut writer = Writer::new();
    writer.u8(u8::try_from(message.len()).unwrap_or(u8::MAX));
    writer.bytes(message);
    writer.into_vec()
}

/// The data of a Challenge or Response: a value with a length byte, then a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChapValue<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) name: &'a [u8],
}

impl<'a> ChapValue<'a> {
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(data);
        let len = usize::from(reader.u8("value-size")?);
        if len == 0 {
            return Err(DecodeError::illegal("value-size"));
        }
        let value = reader.take("value", len)?;
        Ok(Self { value, name: bounded("name", reader.rest())? })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let value = self.value.get(..usize::from(u8::MAX)).unwrap_or(self.value);
        let mut writer = Writer::new();
        writer.u8(u8::try_from(value.len()).unwrap_or(u8::MAX));
        writer.bytes(value);
        writer.bytes(self.name);
        writer.into_vec()
    }
}

/// The 49-byte value of an MS-CHAPv2 Response (RFC 2759 §4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct MsChapV2Value {
    pub(crate) peer_challenge: [u8; 16],
    pub(crate) nt_response: [u8; 24],
    pub(crate) flags: u8,
}

impl MsChapV2Value {
    pub(crate) fn read(value: &[u8]) -> Result<Self, DecodeError> {
        Reader::all("response value", value, |reader| {
            let peer_challenge = reader.array("peer-challenge")?;
            // Must be zero, and is not in what some old clients send; it means nothing.
            reader.take("reserved", 8)?;
            let nt_response = reader.array("nt-response")?;
            Ok(Self { peer_challenge, nt_response, flags: reader.u8("flags")? })
        })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(&self.peer_challenge);
        writer.bytes(&[0; 8]);
        writer.bytes(&self.nt_response);
        writer.u8(self.flags);
        writer.into_vec()
    }
}

/// The message of an MS-CHAPv2 Success (RFC 2759 §5).
pub(crate) fn write_success(response: &AuthenticatorResponse) -> Vec<u8> {
    alloc::format!("S={response} M=Access granted").into_bytes()
}

/// The message of an MS-CHAPv2 Failure (RFC 2759 §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MsChapV2Failure {
    /// `E=`, as Windows shows it.
    pub(crate) code: Option<u32>,
    /// `R=1`.
    pub(crate) retry: bool,
    /// `C=`, for the next attempt.
    pub(crate) challenge: Option<[u8; 16]>,
}

impl MsChapV2Failure {
    /// Reads what is there. A failure is a failure however badly it is written, so nothing is an
    /// error; the text behind `M=` is not looked at.
    pub(crate) fn read(message: &[u8]) -> Self {
        let mut failure = Self::default();
        for word in message.split(|byte| *byte == b' ').take(FAILURE_WORDS_MAX) {
            match word {
                [b'E', b'=', digits @ ..] => failure.code = decimal(digits),
                [b'R', b'=', flag @ ..] => failure.retry = flag == b"1",
                [b'C', b'=', digits @ ..] => {
                    failure.challenge = digits.try_into().ok().and_then(hex::<32, 16>);
                }
                [b'M', b'=', ..] => break,
                _ => {}
            }
        }
        failure
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut text =
            alloc::format!("E={} R={} C=", self.code.unwrap_or_default(), u8::from(self.retry));
        for byte in self.challenge.unwrap_or_default() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02X}");
        }
        text.push_str(" V=3 M=Access denied");
        text.into_bytes()
    }
}

fn decimal(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn bounded<'a>(field: &'static str, name: &'a [u8]) -> Result<&'a [u8], DecodeError> {
    if name.len() > NAME_MAX { Err(DecodeError::new(field, Fault::TooLong)) } else { Ok(name) }
}

/// Longest name we take, in bytes: what fits into a RADIUS User-Name (RFC 2865 §5.1).
pub const NAME_MAX: usize = 253;
/// `E`, `R`, `C`, `V`, and room for what nobody has invented yet.
const FAILURE_WORDS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_failure_is_written_as_rfc_2759_shows_it() {
        let failure = MsChapV2Failure { code: Some(691), retry: true, challenge: Some([0xab; 16]) };
        let text = failure.write();
        assert_eq!(text, b"E=691 R=1 C=ABABABABABABABABABABABABABABABAB V=3 M=Access denied");
        assert_eq!(MsChapV2Failure::read(&text), failure);
    }

    #[test]
    fn a_bad_or_endless_failure_is_still_a_failure() {
        assert_eq!(MsChapV2Failure::read(b""), MsChapV2Failure::default());
        assert_eq!(MsChapV2Failure::read(&[0xff; 1400]), MsChapV2Failure::default());
        assert_eq!(MsChapV2Failure::read(b"E=99999999999 R=2").code, None);
        assert_eq!(MsChapV2Failure::read(b"E=691").code, Some(691));
        assert_eq!(
            MsChapV2Failure::read(b"C=00 R=1"),
            MsChapV2Failure { retry: true, ..Default::default() }
        );
        let late = [&b" ".repeat(FAILURE_WORDS_MAX)[..], b"E=691"].concat();
        assert_eq!(MsChapV2Failure::read(&late).code, None);
        assert_eq!(MsChapV2Failure::read(b"M=x E=691").code, None);
    }

    #[test]
    fn names_and_values_beyond_their_bounds_are_refused() {
        let name = vec![b'u'; NAME_MAX + 1];
        let long = ChapValue { value: &[1; 16], name: &name }.write();
        assert_eq!(ChapValue::read(&long).err(), Some(DecodeError::new("name", Fault::TooLong)));
        assert!(ChapValue::read(&long[..long.len() - 1]).is_ok());
        let long = PapRequest { user: &name, password: b"" }.write();
        assert_eq!(
            PapRequest::read(&long).err(),
            Some(DecodeError::new("peer-id", Fault::TooLong))
        );
        assert_eq!(ChapValue::read(&[0, b'u']).err(), Some(DecodeError::illegal("value-size")));
        assert!(ChapValue::read(&[17, 1, 2]).is_err());
        assert!(MsChapV2Value::read(&[0; 48]).is_err());
        assert!(MsChapV2Value::read(&[0; 50]).is_err());
    }

    #[test]
    fn a_password_longer_than_its_length_byte_is_cut() {
        let request = PapRequest { user: b"u", password: &[b'p'; 300] }.write();
        assert_eq!(PapRequest::read(&request).unwrap().password.len(), 255);
    }

    proptest! {
        #[test]
        fn a_written_pap_request_is_read_back_and_no_prefix_of_it(
            user in prop::collection::vec(any::<u8>(), 0..=NAME_MAX),
            password in prop::collection::vec(any::<u8>(), 0..=255),
        ) {
            let request = PapRequest { user: &user, password: &password };
            let bytes = request.write();
            prop_assert!(PapRequest::read(&bytes) == Ok(request));
            for len in 0..bytes.len() {
                prop_assert!(PapRequest::read(&bytes[..len]).is_err());
            }
        }

        #[test]
        fn a_written_challenge_is_read_back(
            value in prop::collection::vec(any::<u8>(), 1..=255),
            name in prop::collection::vec(any::<u8>(), 0..=NAME_MAX),
        ) {
            let message = ChapValue { value: &value, name: &name };
            let bytes = message.write();
            prop_assert!(ChapValue::read(&bytes) == Ok(message));
            for len in 0..=value.len() {
                prop_assert!(ChapValue::read(&bytes[..len]).is_err());
            }
        }

        #[test]
        fn a_written_response_value_is_read_back(
            peer_challenge in any::<[u8; 16]>(), nt_response in any::<[u8; 24]>(), flags in any::<u8>()
        ) {
            let value = MsChapV2Value { peer_challenge, nt_response, flags };
            prop_assert!(MsChapV2Value::read(&value.write()) == Ok(value));
        }

        #[test]
        fn a_written_failure_is_read_back(
            code in any::<u32>(), retry in any::<bool>(), challenge in any::<[u8; 16]>()
        ) {
            let failure =
                MsChapV2Failure { code: Some(code), retry, challenge: Some(challenge) };
            prop_assert_eq!(MsChapV2Failure::read(&failure.write()), failure);
        }
    }
}
