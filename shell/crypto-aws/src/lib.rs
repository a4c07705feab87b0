//! The crypto provider: aws-lc for almost everything, `RustCrypto` for what aws-lc does not offer.
//!
//! | what | engine |
//! |---|---|
//! | SHA-1/2, HMAC, AES-CBC, AES-GCM, 3DES-CBC, ECP groups | `aws-lc-rs`, safe API |
//! | MODP groups | `aws-lc-sys` big numbers in [`dh`]'s `bignum` module, the only unsafe code |
//! | MD4, MD5, HMAC-MD5, the DES block of MS-CHAPv2 | `RustCrypto` |
//!
//! Nothing here draws randomness: private values come from the seed in the job, so that a
//! simulation repeats.

mod cbc;
mod des_block;
mod dh;
mod digest;
mod esp;

use std::sync::Arc;

use isthmus_crypto::{
    CipherAlg, CryptoError, DhJob, DhOutput, EspCipher, EspKeys, EspSuite, HashAlg, Provider,
};

/// The provider; it has no state, so one value serves every machine and thread.
pub fn provider() -> Arc<dyn Provider> {
    Arc::new(Aws)
}

/// Every algorithm of [`Provider`].
struct Aws;

impl Provider for Aws {
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
        esp::transform(suite, keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_agrees_with_itself_and_repeats_from_its_seed() {
        use isthmus_crypto::DhGroup;
        let groups = [
            DhGroup::Ecp256,
            DhGroup::Ecp384,
            DhGroup::Modp1024,
            DhGroup::Modp1536,
            DhGroup::Modp2048,
            DhGroup::Modp3072,
            DhGroup::Modp4096,
        ];
        for group in groups {
            let provider = provider();
            let DhOutput::KeyPair(alice) =
                provider.dh(&DhJob::Generate { group, seed: [1; 32] }).unwrap()
            else {
                panic!("wrong output")
            };
            let peer = alice.public.clone();
            let DhOutput::Both(bob, shared) =
                provider.dh(&DhJob::GenerateAndAgree { group, seed: [2; 32], peer }).unwrap()
            else {
                panic!("wrong output")
            };
            let job =
                DhJob::Agree { group, private: alice.private.clone(), peer: bob.public.clone() };
            let DhOutput::Shared(other) = provider.dh(&job).unwrap() else {
                panic!("wrong output")
            };
            assert_eq!(shared, other);
            assert_eq!(alice.public.len(), group.public_len());
            assert_ne!(alice.public, bob.public);
        }
    }
}
