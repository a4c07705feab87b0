//! CBC without padding, keys expanded once.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey,
    EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use isthmus_crypto::{CipherAlg, CryptoError};

/// A key for encryption.
pub(crate) struct Encryptor {
    alg: CipherAlg,
    key: EncryptingKey,
}

/// A key for decryption.
pub(crate) struct Decryptor {
    alg: CipherAlg,
    key: DecryptingKey,
}

impl Encryptor {
    /// Expands the key.
    ///
    /// # Errors
    /// [`CryptoError::BadLength`]; [`CryptoError::Unsupported`] for a 3DES key with equal parts (RFC 2451
    /// §2.3 demands it) or with a weak part, which aws-lc refuses too.
    pub(crate) fn new(alg: CipherAlg, key: &[u8]) -> Result<Self, CryptoError> {
        let key = EncryptingKey::cbc(unbound(alg, key)?).map_err(|_| CryptoError::Unsupported)?;
        Ok(Self { alg, key })
    }

    /// Encrypts in place.
    pub(crate) fn encrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), CryptoError> {
        check(self.alg, iv, data)?;
        let context = match self.alg.block_len() {
            8 => EncryptionContext::Iv64(fixed(iv)?),
            _ => EncryptionContext::Iv128(fixed(iv)?),
        };
        self.key.less_safe_encrypt(data, context).map_err(|_| CryptoError::BadLength)?;
        Ok(())
    }
}

impl Decryptor {
    /// Expands the key.
    ///
    /// # Errors
    /// As [`Encryptor::new`].
    pub(crate) fn new(alg: CipherAlg, key: &[u8]) -> Result<Self, CryptoError> {
        let key = DecryptingKey::cbc(unbound(alg, key)?).map_err(|_| CryptoError::Unsupported)?;
        Ok(Self { alg, key })
    }

    /// Decrypts in place.
    pub(crate) fn decrypt(&self, iv: &[u8], data: &mut [u8]) -> Result<(), CryptoError> {
        check(self.alg, iv, data)?;
        let context = match self.alg.block_len() {
            8 => DecryptionContext::Iv64(fixed(iv)?),
            _ => DecryptionContext::Iv128(fixed(iv)?),
        };
        self.key.decrypt(data, context).map_err(|_| CryptoError::BadLength)?;
        Ok(())
    }
}

/// The library's name of the algorithm, with a key of the right length.
fn unbound(alg: CipherAlg, key: &[u8]) -> Result<UnboundCipherKey, CryptoError> {
    let algorithm: &'static Algorithm = match alg {
        CipherAlg::Aes128Cbc => &AES_128,
        CipherAlg::Aes192Cbc => &AES_192,
        CipherAlg::Aes256Cbc => &AES_256,
        CipherAlg::TripleDesCbc => triple_des(),
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| CryptoError::BadLength)
}

#[expect(deprecated, reason = "3DES serves old clients behind the legacy switch")]
fn triple_des() -> &'static Algorithm {
    &aws_lc_rs::cipher::DES_EDE3_FOR_LEGACY_USE_ONLY
}

/// Refuses a wrong IV or a partial block.
fn check(alg: CipherAlg, iv: &[u8], data: &[u8]) -> Result<(), CryptoError> {
    let block = alg.block_len();
    if iv.len() == block && data.len().is_multiple_of(block) {
        Ok(())
    } else {
        Err(CryptoError::BadLength)
    }
}

fn fixed<const N: usize>(iv: &[u8]) -> Result<FixedLength<N>, CryptoError> {
    FixedLength::try_from(iv).map_err(|_| CryptoError::BadLength)
}
