//! A cursor over untrusted bytes that can only shrink.

use crate::{DecodeError, Fault};

/// The bytes not read yet.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Decodes all of `bytes` with `f` and refuses leftovers.
    pub fn all<T>(
        field: &'static str,
        bytes: &'a [u8],
        f: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut reader = Self::new(bytes);
        let value = f(&mut reader)?;
        reader.finish(field)?;
        Ok(value)
    }

    /// Refuses leftovers.
    pub fn finish(&self, field: &'static str) -> Result<(), DecodeError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::new(field, Fault::Trailing)) }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, field: &'static str, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) =
            self.bytes.split_at_checked(n).ok_or(DecodeError::new(field, Fault::Truncated))?;
        self.bytes = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, tail) =
            self.bytes.split_first_chunk::<N>().ok_or(DecodeError::new(field, Fault::Truncated))?;
        self.bytes = tail;
        Ok(*head)
    }

    /// The next byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(field).map(|[b]| b)
    }

    /// The next two bytes, big-endian.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// The next four bytes, big-endian.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// The next eight bytes, big-endian.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// A reader over the next `n` bytes, which are thereby consumed here.
    pub fn sub(&mut self, field: &'static str, n: usize) -> Result<Self, DecodeError> {
        self.take(field, n).map(Self::new)
    }

    /// Everything left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.bytes)
    }

    /// Everything left, without consuming it.
    pub const fn peek(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of bytes left.
    pub const fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Whether any byte is left.
    pub const fn any_left(&self) -> bool {
        !self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian_and_consumed_in_order() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let sum = Reader::all("test", &bytes, |r| {
            Ok((r.u8("a")?, r.u16("b")?, r.u32("c")?, r.u64("d")?))
        });
        assert_eq!(sum, Ok((1, 0x0203, 0x0405_0607, 0x0809_0a0b_0c0d_0e0f)));
    }

    #[test]
    fn missing_and_left_over_bytes_name_the_field() {
        assert_eq!(Reader::new(&[1]).u16("port"), Err(DecodeError::new("port", Fault::Truncated)));
        assert_eq!(
            Reader::all("header", &[1, 2], |r| r.u8("kind")),
            Err(DecodeError::new("header", Fault::Trailing))
        );
    }

    #[test]
    fn a_sub_reader_cannot_leave_its_part() {
        let mut reader = Reader::new(&[1, 2, 3]);
        let mut sub = reader.sub("part", 2).unwrap();
        assert_eq!(sub.rest(), &[1, 2]);
        assert!(!sub.any_left());
        assert_eq!(reader.peek(), &[3]);
        assert!(reader.sub("part", 2).is_err());
        assert_eq!(reader.left(), 1);
    }
}
