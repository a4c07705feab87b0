//! The arithmetic of PAP, CHAP and MS-CHAPv2: pure functions over a crypto provider.
//!
//! Whoever knows the users calls these to judge an [`AuthRequest`](crate::AuthRequest); the client
//! role calls them to answer a challenge.

pub mod chap_md5;
pub mod mschapv2;
pub mod pap;

pub use mschapv2::AuthenticatorResponse;

use alloc::vec::Vec;
use core::fmt;

use isthmus_core::SecretBytes;
use isthmus_crypto::{CryptoError, HashAlg, Provider};

/// Why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// The provider refused.
    Crypto(CryptoError),
    /// The password is not UTF-8.
    NotUtf8,
    /// More than 256 UTF-16 units (RFC 2759 §8.3).
    TooLong,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crypto(error) => error.fmt(f),
            Self::NotUtf8 => f.write_str("the password is not UTF-8"),
            Self::TooLong => f.write_str("the password has more than 256 characters"),
        }
    }
}

impl core::error::Error for PasswordError {}

/// The NT hash: MD4 of the password in UTF-16LE (RFC 2759 §8.3, `NtPasswordHash`). It is as good as
/// the password for MS-CHAPv2, so it is a secret too.
///
/// # Errors
/// The password is not UTF-8 or too long, or the provider refuses.
pub fn nt_hash(provider: &dyn Provider, password: &[u8]) -> Result<SecretBytes, PasswordError> {
    let text = core::str::from_utf8(password).map_err(|_| PasswordError::NotUtf8)?;
    if text.encode_utf16().count() > PASSWORD_UNITS_MAX {
        return Err(PasswordError::TooLong);
    }
    // Allocated once at full size: a growing vector would leave unwiped copies behind.
    let mut unicode = Vec::with_capacity(PASSWORD_UNITS_MAX * 2);
    unicode.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    let unicode = SecretBytes::new(unicode);
    let mut hash = alloc::vec![0; HashAlg::Md4.len()];
    provider.hash(HashAlg::Md4, &[unicode.expose()], &mut hash).map_err(PasswordError::Crypto)?;
    Ok(SecretBytes::new(hash))
}

/// The name without a leading `DOMAIN\` (RFC 2759 §4: only the user name goes into hashes).
pub fn without_domain(user: &[u8]) -> &[u8] {
    user.rsplit(|byte| *byte == b'\\').next().unwrap_or(user)
}

/// Longest password in UTF-16 units (RFC 2759 §8.3).
pub const PASSWORD_UNITS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nt_hash_is_that_of_rfc_2759() {
        let provider = isthmus_crypto_aws::provider();
        let hash = nt_hash(&*provider, b"clientPass").unwrap();
        assert_eq!(
            hash.expose(),
            [
                0x44, 0xeb, 0xba, 0x8d, 0x53, 0x12, 0xb8, 0xd6, 0x11, 0x47, 0x44, 0x11, 0xf5, 0x69,
                0x89, 0xae
            ]
        );
    }

    #[test]
    fn the_nt_hash_of_nothing_is_md4_of_nothing() {
        let provider = isthmus_crypto_aws::provider();
        let hash = nt_hash(&*provider, b"").unwrap();
        assert_eq!(hash.expose()[..4], [0x31, 0xd6, 0xcf, 0xe0]);
    }

    #[test]
    fn letters_beyond_ascii_are_hashed_as_utf16() {
        let provider = isthmus_crypto_aws::provider();
        let mut expected = [0; 16];
        // "ä" is U+00E4; "𝄞" is U+1D11E, the surrogates D834 DD1E.
        let utf16 = [0xe4, 0x00, 0x34, 0xd8, 0x1e, 0xdd];
        provider.hash(HashAlg::Md4, &[&utf16], &mut expected).unwrap();
        assert_eq!(nt_hash(&*provider, "ä𝄞".as_bytes()).unwrap().expose(), expected);
    }

    #[test]
    fn a_password_that_is_too_long_or_not_utf8_is_refused() {
        let provider = isthmus_crypto_aws::provider();
        assert!(nt_hash(&*provider, &[b'a'; PASSWORD_UNITS_MAX]).is_ok());
        let long = [b'a'; PASSWORD_UNITS_MAX + 1];
        assert_eq!(nt_hash(&*provider, &long), Err(PasswordError::TooLong));
        assert_eq!(nt_hash(&*provider, &[0xff]), Err(PasswordError::NotUtf8));
    }

    #[test]
    fn only_what_follows_the_last_backslash_is_the_user() {
        assert_eq!(without_domain(b"CORP\\alice"), b"alice");
        assert_eq!(without_domain(b"alice@corp.example"), b"alice@corp.example");
        assert_eq!(without_domain(b"CORP\\"), b"");
        assert_eq!(without_domain(b""), b"");
    }
}
