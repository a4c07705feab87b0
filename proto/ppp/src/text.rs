//! Bytes that a peer meant as text: kept short, shown only escaped.

use alloc::vec::Vec;
use core::fmt;

/// Text of untrusted origin, cut to [`TEXT_MAX`] bytes. It prints with everything but printable
/// ASCII escaped, so that it can go into a log line as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// The beginning of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.get(..TEXT_MAX).unwrap_or(bytes).to_vec())
    }

    /// The bytes as received, up to [`TEXT_MAX`].
    pub fn raw(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Longest text kept, in bytes.
pub const TEXT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn control_characters_never_reach_a_log() {
        let text = Text::new(b"MSRAS\n\x1b[2J\xff\"");
        assert_eq!(text.to_string(), "MSRAS\\n\\x1b[2J\\xff\\\"");
        assert!(text.to_string().bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }

    #[test]
    fn text_is_cut_to_its_bound() {
        assert_eq!(Text::new(&[b'a'; TEXT_MAX + 1]).raw().len(), TEXT_MAX);
    }
}
