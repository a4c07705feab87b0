//! The MODP groups of RFC 2409 and RFC 3526 with short exponents.
//!
//! RFC 3526 §8 gives for each prime two estimates of its strength and the exponent size that
//! matches. We take the larger estimate and round up to whole 64-bit words, so the exponent is
//! never the weaker part:
//!
//! | group | strength | exponent asked | exponent used |
//! |---|--:|--:|--:|
//! | 2 (1024) | 80 (not in the table) | 160 | 256 |
//! | 5 (1536) | 120 | 240 | 256 |
//! | 14 (2048) | 160 | 320 | 320 |
//! | 15 (3072) | 210 | 420 | 448 |
//! | 16 (4096) | 240 | 480 | 512 |

use isthmus_core::{Rng, SecretBytes, Seed};
use isthmus_crypto::{CryptoError, DhKeyPair, DhPrivate};

use super::{bignum, primes};

/// A prime with generator 2 and the length of our private exponents.
pub(crate) struct Params {
    prime: &'static [u8],
    exponent_len: usize,
}

/// Group 2.
pub(crate) static MODP_1024: Params = Params { prime: &primes::MODP_1024, exponent_len: 32 };
/// Group 5.
pub(crate) static MODP_1536: Params = Params { prime: &primes::MODP_1536, exponent_len: 32 };
/// Group 14.
pub(crate) static MODP_2048: Params = Params { prime: &primes::MODP_2048, exponent_len: 40 };
/// Group 15.
pub(crate) static MODP_3072: Params = Params { prime: &primes::MODP_3072, exponent_len: 56 };
/// Group 16.
pub(crate) static MODP_4096: Params = Params { prime: &primes::MODP_4096, exponent_len: 64 };

/// A key pair whose exponent is the start of the stream of the seed.
pub(crate) fn generate(params: &Params, seed: Seed) -> Result<DhKeyPair, CryptoError> {
    let mut exponent = vec![0; params.exponent_len];
    Rng::new(seed).fill(&mut exponent);
    // A fixed bit length: no exponent is short by chance.
    if let Some(first) = exponent.first_mut() {
        *first |= 0x80;
    }
    let private = DhPrivate(SecretBytes::new(exponent));
    let mut public = vec![0; params.prime.len()];
    bignum::mod_exp(&GENERATOR, private.0.expose(), params.prime, &mut public)?;
    Ok(DhKeyPair { private, public })
}

/// The shared value, padded to the length of the prime.
///
/// # Errors
/// [`CryptoError::BadLength`], [`CryptoError::BadPublicValue`].
pub(crate) fn agree(
    params: &Params,
    private: &DhPrivate,
    peer: &[u8],
) -> Result<SecretBytes, CryptoError> {
    check_public(params, peer)?;
    if private.0.len() != params.exponent_len {
        return Err(CryptoError::BadLength);
    }
    let mut shared = vec![0; params.prime.len()];
    bignum::mod_exp(peer, private.0.expose(), params.prime, &mut shared)?;
    Ok(SecretBytes::new(shared))
}

/// Accepts 1 < y < p-1, written in exactly as many bytes as the prime (RFC 2409 §5: "the value
/// shall be prepended with zeros"). The primes are safe, so this leaves no small subgroup.
pub(crate) fn check_public(params: &Params, peer: &[u8]) -> Result<(), CryptoError> {
    if peer.len() != params.prime.len() {
        return Err(CryptoError::BadLength);
    }
    // Big-endian strings of one length compare like numbers. The prime is odd, so p-1 differs from
    // it in the last byte alone.
    let (Some((peer_low, peer_high)), Some((prime_low, prime_high))) =
        (peer.split_last(), params.prime.split_last())
    else {
        return Err(CryptoError::BadLength);
    };
    let above_one = peer_high.iter().any(|&byte| byte != 0) || *peer_low > 1;
    let below_minus_one = (peer_high, *peer_low) < (prime_high, prime_low & !1);
    if above_one && below_minus_one { Ok(()) } else { Err(CryptoError::BadPublicValue) }
}

/// The generator of every MODP group.
const GENERATOR: [u8; 1] = [2];
