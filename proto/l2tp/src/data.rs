//! The header of a data message (RFC 2661 §3.1): a checked view for reading, and a writer that puts
//! the header in front of a PPP frame without copying it.

use core::ops::Range;

use isthmus_core::Buf;
use isthmus_wire::{DecodeError, Reader};

use crate::header::{LENGTH, OFFSET, PRIORITY, SEQUENCE, TYPE, VERSION, check_version};

/// What a data header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The receiver's tunnel id.
    pub tunnel: u16,
    /// The receiver's session id.
    pub session: u16,
    /// Ns and Nr, when the S bit is set; Nr means nothing in data messages.
    pub sequence: Option<(u16, u16)>,
    /// The P bit.
    pub priority: bool,
}

impl Header {
    /// Longest header [`Header::write_into`] makes, in bytes.
    pub const LEN_MAX: usize = 10;

    /// A header without sequence numbers.
    pub const fn new(tunnel: u16, session: u16) -> Self {
        Self { tunnel, session, sequence: None, priority: false }
    }

    /// Reads the header of a data message and finds its payload.
    ///
    /// Every combination of L, S, O and P is taken; reserved bits and bytes behind the Length are
    /// ignored.
    ///
    /// # Errors
    /// A control message, another version, or fields that reach past the end.
    pub fn read(bytes: &[u8]) -> Result<(Self, Range<usize>), DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u16("flags")?;
        check_version(flags)?;
        if flags & TYPE != 0 {
            return Err(DecodeError::illegal("flags"));
        }
        let mut end = bytes.len();
        if flags & LENGTH != 0 {
            end = usize::from(reader.u16("length")?);
            let body = end.checked_sub(4).ok_or(DecodeError::illegal("length"))?;
            reader = reader.sub("length", body)?;
        }
        let tunnel = reader.u16("tunnel id")?;
        let session = reader.u16("session id")?;
        let sequence =
            if flags & SEQUENCE == 0 { None } else { Some((reader.u16("ns")?, reader.u16("nr")?)) };
        if flags & OFFSET != 0 {
            let size = usize::from(reader.u16("offset size")?);
            reader.take("offset pad", size)?;
        }
        let header = Self { tunnel, session, sequence, priority: flags & PRIORITY != 0 };
        Ok((header, end - reader.left()..end))
    }

    /// Encoded length in bytes: 6, or 10 with sequence numbers.
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        if self.sequence.is_some() { 10 } else { 6 }
    }

    /// Writes the header into the first [`Header::len`] bytes of `out` and returns their number, or
    /// `None` when `out` is too short.
    ///
    /// Length and Offset are never written: Windows and mtpd do not want O, and the length is that of
    /// the datagram.
    pub fn write_into(&self, out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..self.len())?;
        let mut flags = VERSION;
        if self.priority {
            flags |= PRIORITY;
        }
        let (fixed, rest) = out.split_at_mut_checked(6)?;
        if let Some((ns, nr)) = self.sequence {
            flags |= SEQUENCE;
            let (first, second) = rest.split_at_mut_checked(2)?;
            first.copy_from_slice(&ns.to_be_bytes());
            second.copy_from_slice(&nr.to_be_bytes());
        }
        let words = [flags, self.tunnel, self.session];
        for (field, word) in fixed.chunks_exact_mut(2).zip(words) {
            field.copy_from_slice(&word.to_be_bytes());
        }
        Some(self.len())
    }

    /// Puts the header in front of the content; false when the headroom is too small, and then
    /// nothing changes.
    pub fn push_onto(&self, buf: &mut Buf) -> bool {
        buf.push_front(self.len()).is_some_and(|front| self.write_into(front).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_short_form_is_six_bytes() {
        let bytes = [0x00, 0x02, 0x00, 0x07, 0x00, 0x09, 0xff, 0x03];
        let (header, payload) = Header::read(&bytes).unwrap();
        assert_eq!(header, Header::new(7, 9));
        assert_eq!(payload, 6..8);
    }

    #[test]
    fn length_sequence_and_offset_are_skipped() {
        // Flags L S O P, length 18, ids, ns, nr, offset 2, two pad bytes, payload "ab", then junk.
        let bytes =
            [0x4b, 0x02, 0, 18, 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 0xee, 0xee, b'a', b'b', b'X', b'Y'];
        let (header, payload) = Header::read(&bytes).unwrap();
        assert_eq!(
            header,
            Header { tunnel: 1, session: 2, sequence: Some((3, 4)), priority: true }
        );
        assert_eq!(&bytes[payload], b"ab");
        for n in 0..18 {
            assert!(Header::read(&bytes[..n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn apples_length_bit_is_taken() {
        let bytes = [0x40, 0x02, 0, 10, 0, 1, 0, 2, 0xc0, 0x21];
        let (header, payload) = Header::read(&bytes).unwrap();
        assert_eq!((header, payload), (Header::new(1, 2), 8..10));
    }

    #[test]
    fn fields_past_the_end_are_refused() {
        let offset_too_big = [0x02, 0x02, 0, 1, 0, 2, 0, 9, 0, 0];
        let length_too_big = [0x40, 0x02, 0, 11, 0, 1, 0, 2, 0xc0, 0x21];
        let length_too_small = [0x40, 0x02, 0, 3, 0, 1, 0, 2, 0xc0, 0x21];
        let control = [0xc8, 0x02, 0, 12, 0, 1, 0, 2, 0, 0, 0, 0];
        let version_3 = [0x00, 0x03, 0, 1, 0, 2];
        let all: [&[u8]; 5] =
            [&offset_too_big, &length_too_big, &length_too_small, &control, &version_3];
        for bytes in all {
            assert!(Header::read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_header_goes_in_front_of_a_frame_in_place() {
        let mut buf = Buf::copy_of(b"ppp");
        assert!(Header::new(0x0102, 0x0304).push_onto(&mut buf));
        assert_eq!(&*buf, b"\x00\x02\x01\x02\x03\x04ppp");
        assert_eq!(Header::new(1, 1).write_into(&mut [0; 5]), None);
    }

    #[test]
    fn without_headroom_nothing_changes() {
        let mut buf = Buf::copy_of(b"ppp");
        assert!(buf.push_front(Buf::HEADROOM).is_some());
        let before = buf.len();
        assert!(!Header::new(1, 1).push_onto(&mut buf));
        assert_eq!(buf.len(), before);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            tunnel: u16, session: u16, sequence: Option<(u16, u16)>, priority: bool,
            payload in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let header = Header { tunnel, session, sequence, priority };
            let mut buf = Buf::copy_of(&payload);
            prop_assert!(header.push_onto(&mut buf));
            let (back, range) = Header::read(&buf).unwrap();
            prop_assert_eq!(back, header);
            prop_assert_eq!(&buf[range], &payload[..]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok((_, payload)) = Header::read(&bytes) {
                prop_assert!(payload.start <= payload.end && payload.end <= bytes.len());
            }
        }
    }
}
