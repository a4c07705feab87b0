//! An append-only writer whose length fields are filled in afterwards.

use alloc::vec::Vec;

/// Bytes being written.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

/// A 16-bit length field that waits for its value; give it to [`Writer::end_u16`].
#[must_use = "the length field keeps 0xffff until it is ended"]
#[derive(Debug)]
pub struct LengthMark {
    /// Where the field stands.
    field: usize,
    /// Where the counted bytes begin.
    from: usize,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Appends two bytes, big-endian.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes a 16-bit length placeholder that will count from byte `from` of this writer (so that a
    /// header before the field can be included); the placeholder is a loud 0xffff.
    pub fn begin_u16(&mut self, from: usize) -> LengthMark {
        let field = self.bytes.len();
        self.u16(0xffff);
        LengthMark { field, from }
    }

    /// Fills a length in: the number of bytes from the mark's start to here, capped at 65535.
    pub fn end_u16(&mut self, mark: &LengthMark) {
        let len = u16::try_from(self.bytes.len().saturating_sub(mark.from)).unwrap_or(u16::MAX);
        self.patch(mark.field, &len.to_be_bytes());
    }

    /// Overwrites bytes written before; ignored where it would reach past the end.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(target) = self.bytes.get_mut(at..at.saturating_add(bytes.len())) {
            target.copy_from_slice(bytes);
        }
    }

    /// Number of bytes written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes written.
    pub fn into_vec(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_from_where_they_were_told() {
        let mut w = Writer::new();
        let start = w.len();
        w.u8(7);
        let mark = w.begin_u16(start);
        w.bytes(b"body");
        w.end_u16(&mark);
        assert_eq!(w.into_vec(), [7, 0, 7, b'b', b'o', b'd', b'y']);
    }

    #[test]
    fn a_patch_past_the_end_changes_nothing() {
        let mut w = Writer::new();
        w.u32(1);
        w.patch(2, &[9, 9, 9]);
        assert_eq!(w.as_slice(), [0, 0, 0, 1]);
    }
}
