//! The Result Code AVP, which never fails to be read.

use serde::{Deserialize, Serialize};

use isthmus_wire::{Reader, Writer};

use super::Bounded;
use crate::bounds::RESULT_MESSAGE_MAX;
use crate::iana::{CallCode, ErrorCode, StopCode};

/// Why a tunnel or session ends (RFC 2661 §4.4.2).
///
/// Whether `code` is a [`StopCode`] or a [`CallCode`] depends on the message it comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultCode {
    /// 0 when the value was too short to hold one.
    pub code: u16,
    /// The error code, when there was one.
    pub error: Option<ErrorCode>,
    /// Text of the peer, for logs only.
    pub message: Bounded<RESULT_MESSAGE_MAX>,
}

impl ResultCode {
    /// For a `StopCCN`.
    pub fn stop(code: StopCode, error: ErrorCode) -> Self {
        Self { code: code.0, error: Some(error), message: Bounded::default() }
    }

    /// For a CDN.
    pub fn call(code: CallCode, error: ErrorCode) -> Self {
        Self { code: code.0, error: Some(error), message: Bounded::default() }
    }

    /// Reads whatever is there: a `StopCCN` or CDN ends its tunnel or session even when the peer's
    /// reason is damaged.
    ///
    /// Android and `RouterOS` leave the error code out. Apple writes the code in little-endian order
    /// followed by six stale bytes, which are dropped.
    pub(super) fn read_value(reader: &mut Reader<'_>) -> Self {
        let bytes = reader.rest();
        let mut reader = Reader::new(bytes);
        let Ok(code) = reader.u16("result code") else { return Self::default() };
        if code != 0 && code.trailing_zeros() >= 8 {
            return Self { code: code.swap_bytes(), ..Self::default() };
        }
        let Ok(error) = reader.u16("error code") else {
            return Self { code, ..Self::default() };
        };
        Self { code, error: Some(ErrorCode(error)), message: Bounded::clipped(reader.rest()) }
    }

    pub(super) fn write_value(&self, w: &mut Writer) {
        w.u16(self.code);
        if let Some(error) = self.error {
            w.u16(error.0);
            w.bytes(self.message.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> ResultCode {
        ResultCode::read_value(&mut Reader::new(value))
    }

    #[test]
    fn every_length_seen_in_the_field_is_read() {
        // Android's StopCCN and RouterOS' CDN: no error code.
        assert_eq!(read(&[0, 6]).code, StopCode::SHUTTING_DOWN.0);
        // Windows: code and error.
        let windows = read(&[0, 3, 0, 0]);
        assert_eq!((windows.code, windows.error), (3, Some(ErrorCode::NONE)));
        // With text.
        let text = read(b"\0\x02\0\x04busy");
        assert_eq!(
            (text.error, text.message.as_bytes()),
            (Some(ErrorCode::NO_RESOURCES), &b"busy"[..])
        );
        // Nothing at all, and half a code.
        assert_eq!(read(&[]), ResultCode::default());
        assert_eq!(read(&[1]), ResultCode::default());
    }

    #[test]
    fn apples_code_is_turned_round_and_its_stale_bytes_are_dropped() {
        let cdn = read(&[3, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(cdn, ResultCode { code: 3, ..ResultCode::default() });
        assert_eq!(read(&[1, 0, 0, 0, 1, 2, 3, 4]).code, StopCode::GENERAL_REQUEST.0);
    }

    #[test]
    fn a_long_message_is_cut() {
        let mut value = alloc::vec![0, 2, 0, 6];
        value.resize(4 + RESULT_MESSAGE_MAX + 1, b'x');
        assert_eq!(read(&value).message.as_bytes().len(), RESULT_MESSAGE_MAX);
    }
}
