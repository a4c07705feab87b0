//! CHAP with MD5 (RFC 1994 §4.1).

use isthmus_core::ct_eq;
use isthmus_crypto::{CryptoError, HashAlg, Provider};

/// The response: MD5 over identifier, secret and challenge.
///
/// # Errors
/// The provider cannot do MD5.
pub fn response(
    provider: &dyn Provider,
    id: u8,
    secret: &[u8],
    challenge: &[u8],
) -> Result<[u8; 16], CryptoError> {
    let mut digest = [0; 16];
    provider.hash(HashAlg::Md5, &[&[id], secret, challenge], &mut digest)?;
    Ok(digest)
}

/// Whether the response was made with this secret.
pub fn verify(
    provider: &dyn Provider,
    id: u8,
    secret: &[u8],
    challenge: &[u8],
    given: &[u8; 16],
) -> bool {
    response(provider, id, secret, challenge).is_ok_and(|expected| ct_eq(&expected, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MD5 of the bytes 01 "secret" 00 01 .. 0f, computed with coreutils' md5sum.
    const RESPONSE: [u8; 16] = [
        0x74, 0x0e, 0x86, 0x46, 0x3b, 0xda, 0x3a, 0x4d, 0x70, 0x17, 0xd6, 0xe0, 0xfb, 0xa0, 0x69,
        0x9d,
    ];
    const CHALLENGE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    #[test]
    fn the_response_is_md5_of_identifier_secret_and_challenge() {
        let provider = isthmus_crypto_aws::provider();
        assert_eq!(response(&*provider, 1, b"secret", &CHALLENGE), Ok(RESPONSE));
        assert!(verify(&*provider, 1, b"secret", &CHALLENGE, &RESPONSE));
    }

    #[test]
    fn another_identifier_secret_or_challenge_does_not_fit() {
        let provider = isthmus_crypto_aws::provider();
        assert!(!verify(&*provider, 2, b"secret", &CHALLENGE, &RESPONSE));
        assert!(!verify(&*provider, 1, b"secreT", &CHALLENGE, &RESPONSE));
        assert!(!verify(&*provider, 1, b"secret", &CHALLENGE[1..], &RESPONSE));
        assert!(!verify(&*provider, 1, b"secret", &CHALLENGE, &[0; 16]));
    }
}
