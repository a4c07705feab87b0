//! MS-CHAPv2 (RFC 2759 §8); the function names in the comments are those of the RFC.

use core::fmt;

use isthmus_core::{SecretBytes, ct_eq};
use isthmus_crypto::{CryptoError, HashAlg, Provider};

use crate::action::MsChapV2Proof;
use crate::auth::without_domain;

/// The authenticator's proof that it knows the password as well, the `S=` of a Success packet
/// (RFC 2759 §5). Prints as 40 upper-case hexadecimal digits.
#[derive(Clone, Copy)]
pub struct AuthenticatorResponse(pub [u8; 20]);

impl AuthenticatorResponse {
    /// Reads `S=` and 40 hexadecimal digits from the start of a Success message or of a RADIUS
    /// MS-CHAP2-Success string (RFC 2548 §2.3.3).
    pub fn from_message(message: &[u8]) -> Option<Self> {
        let (digits, _) = message.strip_prefix(b"S=")?.split_first_chunk::<40>()?;
        hex(digits).map(Self)
    }
}

impl PartialEq for AuthenticatorResponse {
    fn eq(&self, other: &Self) -> bool {
        ct_eq(&self.0, &other.0)
    }
}

impl Eq for AuthenticatorResponse {}

impl fmt::Debug for AuthenticatorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticatorResponse")
    }
}

impl fmt::Display for AuthenticatorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// What both ends hash the challenges to (`ChallengeHash`, §8.2). `user` may have its domain.
///
/// # Errors
/// The provider cannot do SHA-1.
pub fn challenge_hash(
    provider: &dyn Provider,
    peer_challenge: &[u8; 16],
    auth_challenge: &[u8; 16],
    user: &[u8],
) -> Result<[u8; 8], CryptoError> {
    let mut digest = [0; 20];
    let parts: [&[u8]; 3] = [peer_challenge, auth_challenge, without_domain(user)];
    provider.hash(HashAlg::Sha1, &parts, &mut digest)?;
    digest.first_chunk().copied().ok_or(CryptoError::BadLength)
}

/// The peer's response (`GenerateNTResponse` from the hash on, §8.1).
///
/// # Errors
/// The provider refuses, or `nt_hash` does not have 16 bytes.
pub fn nt_response(
    provider: &dyn Provider,
    nt_hash: &SecretBytes,
    auth_challenge: &[u8; 16],
    peer_challenge: &[u8; 16],
    user: &[u8],
) -> Result<[u8; 24], CryptoError> {
    let challenge = challenge_hash(provider, peer_challenge, auth_challenge, user)?;
    challenge_response(provider, challenge, nt_hash)
}

/// The authenticator's answer to the peer's challenge (`GenerateAuthenticatorResponse`, §8.7).
///
/// # Errors
/// The provider refuses.
pub fn authenticator_response(
    provider: &dyn Provider,
    nt_hash: &SecretBytes,
    user: &[u8],
    proof: &MsChapV2Proof,
) -> Result<AuthenticatorResponse, CryptoError> {
    let challenge = challenge_hash(provider, &proof.peer_challenge, &proof.auth_challenge, user)?;
    let hash_hash = hash_of_hash(provider, nt_hash)?;
    let (mut inner, mut outer) = ([0; 20], [0; 20]);
    let parts: [&[u8]; 3] = [hash_hash.expose(), &proof.nt_response, MAGIC_SIGNING];
    provider.hash(HashAlg::Sha1, &parts, &mut inner)?;
    let parts: [&[u8]; 3] = [&inner, &challenge, MAGIC_PAD];
    provider.hash(HashAlg::Sha1, &parts, &mut outer)?;
    Ok(AuthenticatorResponse(outer))
}

/// Checks a peer's response; the answer to its challenge when it fits. `user` is the name as sent.
pub fn verify(
    provider: &dyn Provider,
    nt_hash: &SecretBytes,
    user: &[u8],
    proof: &MsChapV2Proof,
) -> Option<AuthenticatorResponse> {
    let expected =
        nt_response(provider, nt_hash, &proof.auth_challenge, &proof.peer_challenge, user).ok()?;
    if !ct_eq(&expected, &proof.nt_response) {
        return None;
    }
    authenticator_response(provider, nt_hash, user, proof).ok()
}

/// `HashNtPasswordHash`, §8.4.
fn hash_of_hash(
    provider: &dyn Provider,
    nt_hash: &SecretBytes,
) -> Result<SecretBytes, CryptoError> {
    let mut out = alloc::vec![0; HashAlg::Md4.len()];
    provider.hash(HashAlg::Md4, &[nt_hash.expose()], &mut out)?;
    Ok(SecretBytes::new(out))
}

/// `ChallengeResponse`, §8.5: the hash, padded to 21 bytes, is three DES keys for the challenge.
fn challenge_response(
    provider: &dyn Provider,
    challenge: [u8; 8],
    nt_hash: &SecretBytes,
) -> Result<[u8; 24], CryptoError> {
    let hash: &[u8; 16] = nt_hash.expose().try_into().map_err(|_| CryptoError::BadLength)?;
    let mut padded = hash.to_vec();
    padded.resize(21, 0);
    let padded = SecretBytes::new(padded);
    let mut response = [0; 24];
    for (key, block) in padded.expose().chunks_exact(7).zip(response.chunks_exact_mut(8)) {
        let key: [u8; 7] = key.try_into().map_err(|_| CryptoError::BadLength)?;
        block.copy_from_slice(&provider.des_block(&spread(key), &challenge));
    }
    Ok(response)
}

/// Spreads 56 key bits over 8 bytes, 7 to each, leaving the parity bit free (`DesEncrypt`, §8.6).
fn spread(key: [u8; 7]) -> [u8; 8] {
    let bits = key.iter().fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte));
    let mut out = [0; 8];
    for (byte, shift) in out.iter_mut().zip([49, 42, 35, 28, 21, 14, 7, 0]) {
        let [.., low] = (bits >> shift).to_be_bytes();
        *byte = low << 1;
    }
    out
}

/// `2 * N` hexadecimal digits of either case as `N` bytes.
pub(crate) fn hex<const DIGITS: usize, const N: usize>(digits: &[u8; DIGITS]) -> Option<[u8; N]> {
    const { assert!(DIGITS == 2 * N) }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(out)
}

/// The two strings of §8.7.
const MAGIC_SIGNING: &[u8] = b"Magic server to client signing constant";
const MAGIC_PAD: &[u8] = b"Pad to make it do more than one iteration";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::auth::nt_hash;

    // RFC 2759 §9.2.
    const USER: &[u8] = b"User";
    const AUTH_CHALLENGE: [u8; 16] = [
        0x5b, 0x5d, 0x7c, 0x7d, 0x7b, 0x3f, 0x2f, 0x3e, 0x3c, 0x2c, 0x60, 0x21, 0x32, 0x26, 0x26,
        0x28,
    ];
    const PEER_CHALLENGE: [u8; 16] = [
        0x21, 0x40, 0x23, 0x24, 0x25, 0x5e, 0x26, 0x2a, 0x28, 0x29, 0x5f, 0x2b, 0x3a, 0x33, 0x7c,
        0x7e,
    ];
    const CHALLENGE: [u8; 8] = [0xd0, 0x2e, 0x43, 0x86, 0xbc, 0xe9, 0x12, 0x26];
    const NT_RESPONSE: [u8; 24] = [
        0x82, 0x30, 0x9e, 0xcd, 0x8d, 0x70, 0x8b, 0x5e, 0xa0, 0x8f, 0xaa, 0x39, 0x81, 0xcd, 0x83,
        0x54, 0x42, 0x33, 0x11, 0x4a, 0x3d, 0x85, 0xd6, 0xdf,
    ];
    const HASH_HASH: [u8; 16] = [
        0x41, 0xc0, 0x0c, 0x58, 0x4b, 0xd2, 0xd9, 0x1c, 0x40, 0x17, 0xa2, 0xa1, 0x2f, 0xa5, 0x9f,
        0x3f,
    ];
    const SUCCESS: &str = "407A5589115FD0D6209F510FE9C04566932CDA56";

    fn proof() -> MsChapV2Proof {
        MsChapV2Proof {
            id: 1,
            auth_challenge: AUTH_CHALLENGE,
            peer_challenge: PEER_CHALLENGE,
            nt_response: NT_RESPONSE,
            flags: 0,
        }
    }

    #[test]
    fn every_intermediate_value_is_that_of_rfc_2759() {
        let provider = isthmus_crypto_aws::provider();
        let hash = nt_hash(&*provider, b"clientPass").unwrap();
        assert_eq!(
            challenge_hash(&*provider, &PEER_CHALLENGE, &AUTH_CHALLENGE, USER),
            Ok(CHALLENGE)
        );
        assert_eq!(hash_of_hash(&*provider, &hash).unwrap().expose(), HASH_HASH);
        assert_eq!(challenge_response(&*provider, CHALLENGE, &hash), Ok(NT_RESPONSE));
        assert_eq!(
            nt_response(&*provider, &hash, &AUTH_CHALLENGE, &PEER_CHALLENGE, USER),
            Ok(NT_RESPONSE)
        );
        let response = authenticator_response(&*provider, &hash, USER, &proof()).unwrap();
        assert_eq!(response.to_string(), SUCCESS);
    }

    #[test]
    fn des_keys_are_spread_as_rfc_2759_prints_them() {
        // §9.3: the same 56 bits with the parity bits free.
        let key = [0xfc, 0x15, 0x6a, 0xf7, 0xed, 0xcd, 0x6c];
        let with_parity = [0xfd, 0x0b, 0x5b, 0x5e, 0x7f, 0x6e, 0x34, 0xd9];
        assert_eq!(spread(key), with_parity.map(|byte: u8| byte & 0xfe));
    }

    #[test]
    fn the_hash_alone_verifies_a_response_and_the_domain_does_not_count() {
        let provider = isthmus_crypto_aws::provider();
        let hash = nt_hash(&*provider, b"clientPass").unwrap();
        for user in [USER, b"CORP\\User"] {
            let response = verify(&*provider, &hash, user, &proof()).unwrap();
            assert_eq!(response.to_string(), SUCCESS);
        }
    }

    #[test]
    fn anything_changed_is_refused() {
        let provider = isthmus_crypto_aws::provider();
        let hash = nt_hash(&*provider, b"clientPass").unwrap();
        let wrong_hash = nt_hash(&*provider, b"clientpass").unwrap();
        let mut response = proof();
        response.nt_response[23] ^= 1;
        let mut challenge = proof();
        challenge.auth_challenge[0] ^= 1;
        let mut peer_challenge = proof();
        peer_challenge.peer_challenge[0] ^= 1;
        assert!(verify(&*provider, &hash, USER, &response).is_none());
        assert!(verify(&*provider, &hash, USER, &challenge).is_none());
        assert!(verify(&*provider, &hash, USER, &peer_challenge).is_none());
        assert!(verify(&*provider, &hash, b"user", &proof()).is_none());
        assert!(verify(&*provider, &wrong_hash, USER, &proof()).is_none());
        assert!(verify(&*provider, &SecretBytes::default(), USER, &proof()).is_none());
    }

    #[test]
    fn a_success_message_is_read_up_to_its_40_digits() {
        let message = [b"S=", SUCCESS.as_bytes(), b" M=welcome"].concat();
        let response = AuthenticatorResponse::from_message(&message).unwrap();
        assert_eq!(response.to_string(), SUCCESS);
        for len in 0..42 {
            assert!(AuthenticatorResponse::from_message(&message[..len]).is_none());
        }
        assert!(AuthenticatorResponse::from_message(&[b'S'; 50]).is_none());
        let broken = [&b"S="[..], &[b'g'; 40]].concat();
        assert!(AuthenticatorResponse::from_message(&broken).is_none());
    }
}
