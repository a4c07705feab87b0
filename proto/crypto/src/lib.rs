//! The names of algorithms and the traits behind which their implementations stand.
//!
//! Protocol machines name algorithms and hold keys; the arithmetic is done by a [`Provider`] that the
//! shell chooses. Nothing here computes.
#![no_std]

extern crate alloc;

mod dh;
mod esp;
mod job;
mod names;
mod sign;

pub use dh::{DhGroup, DhJob, DhKeyPair, DhOutput, DhPrivate};
pub use esp::{EspCipher, EspJob, EspJobResult, EspKeys, EspSuite, EspWay};
pub use job::{Job, JobOutput};
pub use names::{CipherAlg, HashAlg};
pub use sign::{Claim, ClaimedName, KeyKind, Signer, Trust, Untrusted, Verified};

use alloc::boxed::Box;

use isthmus_core::SecretBytes;

/// Why a provider refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptoError {
    /// A length is wrong: key, IV, block multiple or public value.
    BadLength,
    /// The peer's public value is not acceptable (0, 1, p-1, >= p, not on the curve).
    BadPublicValue,
    /// The provider cannot do this algorithm.
    Unsupported,
}

impl core::fmt::Display for CryptoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::BadLength => "wrong length",
            Self::BadPublicValue => "unacceptable public value",
            Self::Unsupported => "unsupported algorithm",
        })
    }
}

impl core::error::Error for CryptoError {}

/// A set of implementations. One value serves every machine and thread.
pub trait Provider: Send + Sync {
    /// The name of what computes, for people.
    fn engine(&self) -> &str;

    /// Hashes the concatenation of `parts` into the first `alg.len()` bytes of `out`.
    ///
    /// # Errors
    /// [`CryptoError::BadLength`] when `out` is too short.
    fn hash(&self, alg: HashAlg, parts: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError>;

    /// HMAC (RFC 2104) of the concatenation of `parts` into the first `alg.len()` bytes of `out`.
    ///
    /// # Errors
    /// [`CryptoError::BadLength`] when `out` is too short.
    fn hmac(
        &self,
        alg: HashAlg,
        key: &[u8],
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(), CryptoError>;

    /// CBC encryption in place without padding.
    ///
    /// # Errors
    /// [`CryptoError::BadLength`] for a wrong key, IV or block multiple.
    fn cbc_encrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError>;

    /// CBC decryption in place without padding.
    ///
    /// # Errors
    /// [`CryptoError::BadLength`] for a wrong key, IV or block multiple.
    fn cbc_decrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError>;

    /// One block of single DES in ECB with an 8-byte key whose parity bits are ignored (RFC 2759
    /// §8.5 needs it for MS-CHAPv2, and nothing else may use it).
    fn des_block(&self, key: &[u8; 8], block: &[u8; 8]) -> [u8; 8];

    /// Runs one piece of slow arithmetic; called on a pool, never by a machine.
    ///
    /// # Errors
    /// [`CryptoError::BadPublicValue`] for a hostile share, [`CryptoError::Unsupported`].
    fn dh(&self, job: &DhJob) -> Result<DhOutput, CryptoError>;

    /// An ESP transform for one direction of one SA.
    ///
    /// # Errors
    /// [`CryptoError::BadLength`] when the keys do not fit the suite.
    fn esp(&self, suite: EspSuite, keys: &EspKeys) -> Result<Box<dyn EspCipher>, CryptoError>;

    /// The same for packets that go one way, which is all that an SA needs and takes less memory. The
    /// other way may answer [`EspJobResult::BadLength`] to everything.
    ///
    /// # Errors
    /// As [`Provider::esp`].
    fn esp_one_way(
        &self,
        suite: EspSuite,
        keys: &EspKeys,
        _way: EspWay,
    ) -> Result<Box<dyn EspCipher>, CryptoError> {
        self.esp(suite, keys)
    }
}

/// HMAC as a fresh secret of `alg.len()` bytes.
///
/// # Errors
/// Those of [`Provider::hmac`].
pub fn hmac_vec(
    provider: &dyn Provider,
    alg: HashAlg,
    key: &[u8],
    parts: &[&[u8]],
) -> Result<SecretBytes, CryptoError> {
    let mut out = alloc::vec![0; alg.len()];
    provider.hmac(alg, key, parts, &mut out)?;
    Ok(SecretBytes::new(out))
}
