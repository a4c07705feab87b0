//! The header of a control message (RFC 2661 §3.1).

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

/// T: the message is control.
pub(crate) const TYPE: u16 = 0x8000;
/// L: the Length field is present.
pub(crate) const LENGTH: u16 = 0x4000;
/// S: Ns and Nr are present.
pub(crate) const SEQUENCE: u16 = 0x0800;
/// O: the Offset Size field is present.
pub(crate) const OFFSET: u16 = 0x0200;
/// P: priority.
pub(crate) const PRIORITY: u16 = 0x0100;
const VERSION_MASK: u16 = 0x000f;
/// The version of this protocol; 1 is L2F and 3 is RFC 3931.
pub(crate) const VERSION: u16 = 2;

/// A control message header: T, L and S are set, O is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The receiver's tunnel id; 0 when the sender does not know it.
    pub tunnel: u16,
    /// The receiver's session id; 0 for messages about the tunnel.
    pub session: u16,
    /// Number of this message.
    pub ns: u16,
    /// Number of the message expected next.
    pub nr: u16,
}

impl Header {
    /// Encoded length in bytes.
    pub const LEN: usize = 12;

    /// Reads the header and returns with it a reader over the message body.
    ///
    /// Reserved bits are ignored and so is P, as RFC 2661 §3.1 asks. Bytes behind the Length are
    /// ignored too.
    ///
    /// # Errors
    /// A missing T, L or S bit, an O bit, another version, or a Length that does not fit.
    pub fn read(bytes: &[u8]) -> Result<(Self, Reader<'_>), DecodeError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u16("flags")?;
        check_version(flags)?;
        if flags & (TYPE | LENGTH | SEQUENCE | OFFSET) != TYPE | LENGTH | SEQUENCE {
            return Err(DecodeError::illegal("flags"));
        }
        let length = usize::from(reader.u16("length")?);
        let body = length.checked_sub(4).ok_or(DecodeError::illegal("length"))?;
        let mut reader = reader.sub("length", body)?;
        let header = Self {
            tunnel: reader.u16("tunnel id")?,
            session: reader.u16("session id")?,
            ns: reader.u16("ns")?,
            nr: reader.u16("nr")?,
        };
        Ok((header, reader))
    }

    /// Encodes a whole message: exactly T, L and S set, then `body`.
    pub fn write(&self, body: &[u8]) -> alloc::vec::Vec<u8> {
        let mut w = Writer::new();
        w.u16(TYPE | LENGTH | SEQUENCE | VERSION);
        let mark = w.begin_u16(0);
        w.u16(self.tunnel);
        w.u16(self.session);
        w.u16(self.ns);
        w.u16(self.nr);
        w.bytes(body);
        w.end_u16(&mark);
        w.into_vec()
    }

    /// Fills the sequence numbers into an encoded message; they change with every transmission.
    pub(crate) fn renumber(message: &mut [u8], ns: u16, nr: u16) {
        if let Some(field) = message.get_mut(8..10) {
            field.copy_from_slice(&ns.to_be_bytes());
        }
        if let Some(field) = message.get_mut(10..12) {
            field.copy_from_slice(&nr.to_be_bytes());
        }
    }
}

/// Whether the bytes are a control message (the T bit); false for none.
pub fn is_control(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0x80 != 0)
}

/// Refuses any version but 2 (RFC 2661 §3.1: packets of unknown version are discarded).
pub(crate) fn check_version(flags: u16) -> Result<(), DecodeError> {
    if flags & VERSION_MASK == VERSION {
        Ok(())
    } else {
        Err(DecodeError::new("version", Fault::Illegal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZLB: [u8; 12] = [0xc8, 0x02, 0, 12, 0x12, 0x34, 0, 7, 0, 3, 0, 4];

    #[test]
    fn a_zlb_is_a_header_and_nothing_else() {
        let (header, rest) = Header::read(&ZLB).unwrap();
        assert_eq!(header, Header { tunnel: 0x1234, session: 7, ns: 3, nr: 4 });
        assert!(!rest.any_left());
        assert_eq!(header.write(&[]), ZLB);
    }

    #[test]
    fn every_prefix_is_refused() {
        for n in 0..ZLB.len() {
            assert!(Header::read(&ZLB[..n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn reserved_bits_and_priority_are_ignored_but_not_the_rest() {
        let with = |flags: u16| {
            let mut bytes = ZLB;
            bytes[..2].copy_from_slice(&flags.to_be_bytes());
            Header::read(&bytes).is_ok()
        };
        assert!(with(0xc802 | 0x3400 | 0x00f0), "reserved bits");
        assert!(with(0xc802 | PRIORITY));
        assert!(!with(0xc802 | OFFSET), "O on control");
        assert!(!with(0x4802) && !with(0x8802) && !with(0xc002), "T, L, S missing");
        assert!(!with(0xc801) && !with(0xc803) && !with(0xc800), "other versions");
    }

    #[test]
    fn the_length_bounds_the_message() {
        let mut bytes = [0; 14];
        bytes[..12].copy_from_slice(&ZLB);
        assert!(!Header::read(&bytes).unwrap().1.any_left(), "bytes behind the length");
        for wrong in [0, 3, 4, 11, 15, 0xffff_u16] {
            bytes[2..4].copy_from_slice(&wrong.to_be_bytes());
            assert!(Header::read(&bytes).is_err(), "length {wrong}");
        }
    }

    #[test]
    fn renumbering_touches_ns_and_nr_only() {
        let mut bytes = ZLB;
        Header::renumber(&mut bytes, 0x0a0b, 0x0c0d);
        let (header, _) = Header::read(&bytes).unwrap();
        assert_eq!(header, Header { tunnel: 0x1234, session: 7, ns: 0x0a0b, nr: 0x0c0d });
    }
}
