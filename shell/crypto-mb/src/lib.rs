//! ESP transforms that work on many packets at once, by Intel's multi-buffer library (libipsec-mb).
//!
//! CBC encryption and SHA are serial within a packet; the library interleaves packets in the lanes of
//! the processor's vector registers. It is looked for at run time, so a program that knows it also
//! runs where it is not installed. [`accelerate`] puts it in front of another provider, which keeps
//! everything that the library does not do here: single packets, AES-GCM, 3DES, extended sequence
//! numbers, and all of IKE.
//!
//! The library is trusted only after its results were compared with those of the other provider.

mod api;
mod library;
mod manager;
mod probe;
mod transform;

use std::sync::Arc;

use isthmus_crypto::{
    CipherAlg, CryptoError, DhJob, DhOutput, EspCipher, EspKeys, EspSuite, EspWay, HashAlg,
    Provider,
};
use library::Library;
pub use library::LoadError;
use transform::Transform;

/// A provider that does batches of ESP packets with libipsec-mb and everything else as `inner` does.
///
/// # Errors
/// Why the library cannot be used; `inner` can then.
pub fn accelerate(inner: Arc<dyn Provider>) -> Result<Arc<dyn Provider>, LoadError> {
    let library = Arc::new(Library::load()?);
    let description = library.describe()?;
    probe::compare(&library, inner.as_ref())?;
    let engine = format!("{description}, {}", inner.engine());
    Ok(Arc::new(MultiBuffer { library, inner, engine }))
}

/// See [`accelerate`].
struct MultiBuffer {
    library: Arc<Library>,
    inner: Arc<dyn Provider>,
    /// Like `libipsec-mb 1.3.0 (AVX2), aws-lc`.
    engine: String,
}

impl Provider for MultiBuffer {
    fn engine(&self) -> &str {
        &self.engine
    }

    fn hash(&self, alg: HashAlg, parts: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
        self.inner.hash(alg, parts, out)
    }

    fn hmac(
        &self,
        alg: HashAlg,
        key: &[u8],
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.inner.hmac(alg, key, parts, out)
    }

    fn cbc_encrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.inner.cbc_encrypt(alg, key, iv, data)
    }

    fn cbc_decrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.inner.cbc_decrypt(alg, key, iv, data)
    }

    fn des_block(&self, key: &[u8; 8], block: &[u8; 8]) -> [u8; 8] {
        self.inner.des_block(key, block)
    }

    fn dh(&self, job: &DhJob) -> Result<DhOutput, CryptoError> {
        self.inner.dh(job)
    }

    fn esp(&self, suite: EspSuite, keys: &EspKeys) -> Result<Box<dyn EspCipher>, CryptoError> {
        Ok(self.in_front_of(self.inner.esp(suite, keys)?, suite, keys))
    }

    fn esp_one_way(
        &self,
        suite: EspSuite,
        keys: &EspKeys,
        way: EspWay,
    ) -> Result<Box<dyn EspCipher>, CryptoError> {
        Ok(self.in_front_of(self.inner.esp_one_way(suite, keys, way)?, suite, keys))
    }
}

impl MultiBuffer {
    /// Batches by the library, everything else by `inner`.
    fn in_front_of(
        &self,
        inner: Box<dyn EspCipher>,
        suite: EspSuite,
        keys: &EspKeys,
    ) -> Box<dyn EspCipher> {
        match Transform::new(&self.library, suite, keys, inner) {
            Ok(transform) => Box::new(transform),
            Err(inner) => inner,
        }
    }
}
