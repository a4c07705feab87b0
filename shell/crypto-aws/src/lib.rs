//! The crypto provider: aws-lc for almost everything, `RustCrypto` for what aws-lc does not offer.
//!
//! | what | engine |
//! |---|---|
//! | SHA-1/2, HMAC, AES-CBC, AES-GCM, 3DES-CBC, ECP groups | `aws-lc-rs`, safe API |
//! | MODP groups | `aws-lc-sys` big numbers in `dh::bignum` (unsafe) |
//! | HMAC in ESP | `aws-lc-sys` hash states in `esp::mac` (unsafe) |
//! | RSA and ECDSA signatures over bare digests | `aws-lc-sys` in `sign` (unsafe) |
//! | MD4, MD5, HMAC-MD5, the DES block of MS-CHAPv2 | `RustCrypto` |
//!
//! Private values of Diffie-Hellman come from the seed in the job, so that a simulation repeats; only
//! ECDSA signatures draw randomness here.

mod cbc;
mod des_block;
mod dh;
mod digest;
mod esp;
mod sign;

pub use sign::{PrivateKey, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN};

use std::sync::Arc;

use isthmus_crypto::{
    CipherAlg, CryptoError, DhJob, DhOutput, EspCipher, EspKeys, EspSuite, EspWay, HashAlg,
    Provider,
};

/// The provider; it has no state, so one value serves every machine and thread.
pub fn provider() -> Arc<dyn Provider> {
    Arc::new(Aws)
}

/// Every algorithm of [`Provider`].
struct Aws;

impl Provider for Aws {
    fn engine(&self) -> &'static str {
        "aws-lc"
    }

    fn hash(&self, alg: HashAlg, parts: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
        digest::hash(alg, parts, out)
    }

    fn hmac(
        &self,
        alg: HashAlg,
        key: &[u8],
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        digest::hmac(alg, key, parts, out)
    }

    fn cbc_encrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError> {
        cbc::Encryptor::new(alg, key)?.encrypt(iv, data)
    }

    fn cbc_decrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError> {
        cbc::Decryptor::new(alg, key)?.decrypt(iv, data)
    }

    fn des_block(&self, key: &[u8; 8], block: &[u8; 8]) -> [u8; 8] {
        des_block::encrypt(*key, *block)
    }

    fn dh(&self, job: &DhJob) -> Result<DhOutput, CryptoError> {
        dh::run(job)
    }

    fn esp(&self, suite: EspSuite, keys: &EspKeys) -> Result<Box<dyn EspCipher>, CryptoError> {
        esp::transform(suite, keys, None)
    }

    fn esp_one_way(
        &self,
        suite: EspSuite,
        keys: &EspKeys,
        way: EspWay,
    ) -> Result<Box<dyn EspCipher>, CryptoError> {
        esp::transform(suite, keys, Some(way))
    }
}

#[cfg(test)]
mod tests;
