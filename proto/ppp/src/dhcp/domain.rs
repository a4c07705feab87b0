//! Domain names as clients are told them: as text (RFC 2132 §3.17) and as labels (RFC 1035 §3.1).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use isthmus_wire::DecodeError;
use serde::{Deserialize, Serialize};

/// A domain name: labels of letters, digits, hyphens and underscores, with dots between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Domain(String);

impl Domain {
    /// The name; none when it is empty, longer than [`DOMAIN_MAX`], has a label that is empty or longer
    /// than [`LABEL_MAX`], or has other characters. A dot at the end is left out.
    pub fn new(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let known = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let label =
            |label: &str| (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(known);
        let fits = name.len() <= DOMAIN_MAX && name.split('.').all(label);
        fits.then(|| Self(name.to_string()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the DNS writes it: each label behind its length, and the empty label of the root.
    pub(crate) fn labels(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() + 2);
        for label in self.0.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap_or_default());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes
    }

    /// Reads option 15; some servers end it with zero bytes (RFC 2132 §2 allows for it).
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let text = core::str::from_utf8(bytes).unwrap_or_default().trim_end_matches('\0');
        Self::new(text).ok_or(DecodeError::illegal("domain name"))
    }
}

/// Most bytes of a domain name (RFC 1035 §2.3.4, without the length bytes at its ends).
pub const DOMAIN_MAX: usize = 253;
/// Most bytes of a label (RFC 1035 §2.3.4).
pub const LABEL_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_only_characters_of_a_domain() {
        let label = "a".repeat(LABEL_MAX);
        let of_bytes = |n: usize| [label.as_str(), &label, &label, &"b".repeat(n - 192)].join(".");
        assert!(Domain::new(&of_bytes(DOMAIN_MAX)).is_some());
        assert!(Domain::new(&of_bytes(DOMAIN_MAX + 1)).is_none());
        assert!(Domain::new(&alloc::format!("a{label}")).is_none());
        for name in ["", ".", "a b", "a\n", "é", ".a", "a..b", "a.."] {
            assert_eq!(Domain::new(name), None, "{name:?}");
        }
        assert_eq!(Domain::new("corp.example."), Domain::new("corp.example"));
        assert_eq!(Domain::read(b"corp.example\0"), Ok(Domain("corp.example".into())));
        assert_eq!(Domain::read(b"\xff"), Err(DecodeError::illegal("domain name")));
    }

    #[test]
    fn labels_are_those_of_rfc_1035() {
        let labels = |name| Domain::new(name).unwrap().labels();
        assert_eq!(labels("eng.apple.com"), b"\x03eng\x05apple\x03com\0");
        assert_eq!(labels("a"), b"\x01a\0");
    }
}
