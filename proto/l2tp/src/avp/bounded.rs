//! Byte strings whose length is checked once.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

/// At most `MAX` bytes of any content.
///
/// Names and numbers of a peer are bytes, not text: nothing says that they are UTF-8, and whoever
/// prints them escapes them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Bounded<const MAX: usize>(Vec<u8>);

/// More bytes than the bound allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too long")
    }
}

impl core::error::Error for TooLong {}

impl<const MAX: usize> Bounded<MAX> {
    /// A copy of as many leading bytes as fit.
    pub fn clipped(bytes: &[u8]) -> Self {
        Self(bytes.get(..bytes.len().min(MAX)).unwrap_or_default().to_vec())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes without the NULs that Apple puts at the end of a host name.
    #[must_use]
    pub fn without_trailing_nuls(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const MAX: usize> TryFrom<Vec<u8>> for Bounded<MAX> {
    type Error = TooLong;

    fn try_from(bytes: Vec<u8>) -> Result<Self, TooLong> {
        if bytes.len() <= MAX { Ok(Self(bytes)) } else { Err(TooLong) }
    }
}

impl<const MAX: usize> From<Bounded<MAX>> for Vec<u8> {
    fn from(bounded: Bounded<MAX>) -> Self {
        bounded.0
    }
}

impl<const MAX: usize> fmt::Debug for Bounded<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use std::{format, vec};

    use super::*;

    #[test]
    fn the_bound_holds_on_every_way_in() {
        assert!(Bounded::<3>::try_from(vec![1, 2, 3]).is_ok());
        assert_eq!(Bounded::<3>::try_from(vec![1, 2, 3, 4]), Err(TooLong));
        assert_eq!(Bounded::<3>::clipped(b"abcd").as_bytes(), b"abc");
        let stored = postcard::to_allocvec(&vec![7_u8; 4]).unwrap();
        assert!(postcard::from_bytes::<Bounded<3>>(&stored).is_err());
    }

    #[test]
    fn hostile_bytes_are_escaped_when_printed() {
        assert_eq!(format!("{:?}", Bounded::<8>::clipped(b"a\n\x1b\"")), r#""a\n\x1b\"""#);
    }

    #[test]
    fn only_trailing_nuls_go() {
        let name = Bounded::<8>::clipped(b"\0mac\0\0").without_trailing_nuls();
        assert_eq!(name.as_bytes(), b"\0mac");
        assert!(Bounded::<8>::clipped(b"\0").without_trailing_nuls().is_empty());
    }
}
