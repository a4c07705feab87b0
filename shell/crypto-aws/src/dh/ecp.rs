//! The ECP groups of RFC 5903: a public value is x and y without a format byte, the shared secret is
//! x alone (§7).

use aws_lc_rs::agreement::{self, Algorithm, PrivateKey, UnparsedPublicKey};
use isthmus_core::{Rng, SecretBytes, Seed};
use isthmus_crypto::{CryptoError, DhKeyPair, DhPrivate};
use zeroize::Zeroizing;

/// A NIST curve.
#[derive(Clone, Copy)]
pub(crate) enum Curve {
    /// Group 19.
    P256,
    /// Group 20.
    P384,
}

impl Curve {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
        }
    }

    /// Length of a scalar and of a coordinate.
    const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// A key pair whose scalar is the first acceptable one in the stream of the seed.
pub(crate) fn generate(curve: Curve, seed: Seed) -> Result<DhKeyPair, CryptoError> {
    let mut rng = Rng::new(seed);
    let mut scalar = Zeroizing::new([0; SCALAR_LEN_MAX]);
    let scalar = scalar.get_mut(..curve.field_len()).ok_or(CryptoError::Unsupported)?;
    for _ in 0..SCALAR_TRIES_MAX {
        rng.fill(scalar);
        if let Ok(key) = PrivateKey::from_private_key(curve.algorithm(), scalar) {
            let public = key.compute_public_key().map_err(|_| CryptoError::Unsupported)?;
            let point =
                public.as_ref().strip_prefix(&[UNCOMPRESSED]).ok_or(CryptoError::Unsupported)?;
            return Ok(DhKeyPair {
                private: DhPrivate(SecretBytes::copy_of(scalar)),
                public: point.to_vec(),
            });
        }
    }
    Err(CryptoError::Unsupported)
}

/// The x coordinate of the shared point.
///
/// # Errors
/// [`CryptoError::BadPublicValue`] for a point that is not on the curve, [`CryptoError::BadLength`].
pub(crate) fn agree(
    curve: Curve,
    private: &DhPrivate,
    peer: &[u8],
) -> Result<SecretBytes, CryptoError> {
    if peer.len() != 2 * curve.field_len() {
        return Err(CryptoError::BadLength);
    }
    let key = PrivateKey::from_private_key(curve.algorithm(), private.0.expose())
        .map_err(|_| CryptoError::BadLength)?;
    let point = [&[UNCOMPRESSED], peer].concat();
    agreement::agree(
        &key,
        UnparsedPublicKey::new(curve.algorithm(), point),
        CryptoError::BadPublicValue,
        |x| Ok(SecretBytes::copy_of(x)),
    )
}

/// The SEC 1 format byte of x and y.
const UNCOMPRESSED: u8 = 4;
/// The longest scalar.
const SCALAR_LEN_MAX: usize = 48;
/// A random scalar is refused with probability 2^-32 at most, so this bound is never met by chance.
const SCALAR_TRIES_MAX: usize = 16;
