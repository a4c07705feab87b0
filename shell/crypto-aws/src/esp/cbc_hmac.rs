//! CBC, then HMAC over everything from the SPI to the last block (RFC 4303 §3.3.2.1).

use aws_lc_rs::hmac;
use isthmus_core::ct_eq;
use isthmus_crypto::{
    CipherAlg, CryptoError, EspCipher, EspJob, EspJobResult, EspKeys, EspSuite, HashAlg,
};

use super::{Fields, well_formed};
use crate::cbc::{Decryptor, Encryptor};

/// One SA's expanded cipher keys and precomputed HMAC pads.
pub(super) struct CbcHmac {
    suite: EspSuite,
    encryptor: Encryptor,
    decryptor: Decryptor,
    mac: hmac::Key,
}

impl CbcHmac {
    /// Expands the keys.
    pub(super) fn new(
        suite: EspSuite,
        cipher: CipherAlg,
        hash: HashAlg,
        keys: &EspKeys,
    ) -> Result<Self, CryptoError> {
        let algorithm = match hash {
            HashAlg::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HashAlg::Sha256 => hmac::HMAC_SHA256,
            HashAlg::Md4 | HashAlg::Md5 | HashAlg::Sha384 | HashAlg::Sha512 => {
                return Err(CryptoError::Unsupported);
            }
        };
        Ok(Self {
            suite,
            encryptor: Encryptor::new(cipher, keys.cipher.expose())?,
            decryptor: Decryptor::new(cipher, keys.cipher.expose())?,
            mac: hmac::Key::new(algorithm, keys.integrity.expose()),
        })
    }

    fn seal_one(&self, job: &mut EspJob<'_>) -> EspJobResult {
        let Some(fields) = Fields::split(self.suite, job.packet) else {
            return EspJobResult::BadLength;
        };
        if self.encryptor.encrypt(fields.iv, fields.body).is_err() {
            return EspJobResult::BadLength;
        }
        match self.tag(job) {
            Some((tag, icv)) => {
                icv.copy_from_slice(tag.as_ref().get(..icv.len()).unwrap_or_default());
                EspJobResult::Done
            }
            None => EspJobResult::BadLength,
        }
    }

    fn open_one(&self, job: &mut EspJob<'_>) -> EspJobResult {
        if !well_formed(self.suite, job) {
            return EspJobResult::BadLength;
        }
        let Some((tag, icv)) = self.tag(job) else { return EspJobResult::BadLength };
        if !ct_eq(tag.as_ref().get(..icv.len()).unwrap_or_default(), icv) {
            return EspJobResult::NotAuthentic;
        }
        let Some(fields) = Fields::split(self.suite, job.packet) else {
            return EspJobResult::BadLength;
        };
        match self.decryptor.decrypt(fields.iv, fields.body) {
            Ok(()) => EspJobResult::Done,
            Err(_) => EspJobResult::BadLength,
        }
    }

    /// The HMAC of the packet and the place of its ICV. The upper half of an extended sequence
    /// number is covered though never sent (RFC 4303 §2.2.1).
    fn tag<'a>(&self, job: &'a mut EspJob<'_>) -> Option<(hmac::Tag, &'a mut [u8])> {
        let covered_len = job.packet.len().checked_sub(self.suite.icv_len())?;
        let (covered, icv) = job.packet.split_at_mut_checked(covered_len)?;
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(covered);
        if let Some(seq_hi) = job.seq_hi {
            context.update(&seq_hi.to_be_bytes());
        }
        Some((context.sign(), icv))
    }
}

impl EspCipher for CbcHmac {
    fn seal(&self, batch: &mut [EspJob<'_>]) {
        for job in batch {
            job.result = self.seal_one(job);
        }
    }

    fn open(&self, batch: &mut [EspJob<'_>]) {
        for job in batch {
            job.result = self.open_one(job);
        }
    }
}
