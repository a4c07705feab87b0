//! AES-GCM with a 16-byte ICV (RFC 4106).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use isthmus_crypto::{CryptoError, EspCipher, EspJob, EspJobResult, EspKeys, EspSuite};

use super::{Fields, HEADER_LEN};

/// One SA's key and salt.
pub(super) struct Gcm {
    suite: EspSuite,
    key: LessSafeKey,
    salt: [u8; 4],
}

impl Gcm {
    /// Expands the key.
    pub(super) fn new(suite: EspSuite, keys: &EspKeys) -> Result<Self, CryptoError> {
        let algorithm = if suite.cipher_key_len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let (key, salt) =
            keys.cipher.expose().split_last_chunk::<4>().ok_or(CryptoError::BadLength)?;
        let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::BadLength)?;
        Ok(Self { suite, key: LessSafeKey::new(key), salt: *salt })
    }

    fn seal_one(&self, job: &mut EspJob<'_>) -> EspJobResult {
        let Some(fields) = Fields::split(self.suite, job.packet) else {
            return EspJobResult::BadLength;
        };
        let Some(nonce) = self.nonce(fields.iv) else { return EspJobResult::BadLength };
        let aad = AssociatedData::new(*fields.header, job.seq_hi);
        match self.key.seal_in_place_separate_tag(nonce, Aad::from(aad.bytes()), fields.body) {
            Ok(tag) => {
                fields.icv.copy_from_slice(tag.as_ref());
                EspJobResult::Done
            }
            Err(_) => EspJobResult::BadLength,
        }
    }

    fn open_one(&self, job: &mut EspJob<'_>) -> EspJobResult {
        let Some(fields) = Fields::split(self.suite, job.packet) else {
            return EspJobResult::BadLength;
        };
        let Some(nonce) = self.nonce(fields.iv) else { return EspJobResult::BadLength };
        let aad = AssociatedData::new(*fields.header, job.seq_hi);
        let opened = self.key.open_in_place_separate_tag(
            nonce,
            Aad::from(aad.bytes()),
            fields.icv,
            fields.body,
        );
        if opened.is_ok() { EspJobResult::Done } else { EspJobResult::NotAuthentic }
    }

    /// Salt and explicit IV (RFC 4106 §4).
    fn nonce(&self, iv: &[u8]) -> Option<Nonce> {
        let mut nonce = [0; 12];
        let (salt, explicit) = nonce.split_first_chunk_mut::<4>()?;
        *salt = self.salt;
        if explicit.len() != iv.len() {
            return None;
        }
        explicit.copy_from_slice(iv);
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

impl EspCipher for Gcm {
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

impl Drop for Gcm {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.salt);
    }
}

/// SPI and sequence number, the latter with its upper half when extended (RFC 4106 §5).
struct AssociatedData {
    bytes: [u8; HEADER_LEN + 4],
    len: usize,
}

impl AssociatedData {
    fn new(header: [u8; HEADER_LEN], seq_hi: Option<u32>) -> Self {
        let [s0, s1, s2, s3, l0, l1, l2, l3] = header;
        match seq_hi.map(u32::to_be_bytes) {
            None => Self { bytes: [s0, s1, s2, s3, l0, l1, l2, l3, 0, 0, 0, 0], len: 8 },
            Some([h0, h1, h2, h3]) => {
                Self { bytes: [s0, s1, s2, s3, h0, h1, h2, h3, l0, l1, l2, l3], len: 12 }
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
