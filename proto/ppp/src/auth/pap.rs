//! PAP: the password as it is (RFC 1334).

use isthmus_core::SecretBytes;

/// Whether the password sent is the one expected, in time that depends on the lengths only.
pub fn verify(expected: &SecretBytes, sent: &SecretBytes) -> bool {
    expected.ct_eq(sent.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_fits() {
        let expected = SecretBytes::copy_of(b"secret");
        assert!(verify(&expected, &SecretBytes::copy_of(b"secret")));
        for wrong in [&b"Secret"[..], b"secre", b"secret\0", b""] {
            assert!(!verify(&expected, &SecretBytes::copy_of(wrong)));
        }
    }
}
