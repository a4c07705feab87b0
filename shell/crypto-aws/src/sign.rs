//! Signatures over bare digests by aws-lc's C interface: IKEv1 signs with RSA what is no `DigestInfo`,
//! and with ECDSA what is hashed already (RFC 2409 §5.1, RFC 4754).
#![expect(
    unsafe_code,
    reason = "aws-lc-rs only signs messages, not digests; this is its C interface"
)]

use std::fmt;
use std::ptr::{NonNull, null, null_mut};

use aws_lc_sys as aws;
use isthmus_crypto::{CryptoError, KeyKind, Signer, Untrusted};

/// Our private key.
pub struct PrivateKey {
    key: Key,
    kind: KeyKind,
}

/// A peer's public key.
pub struct PublicKey {
    key: Key,
    kind: KeyKind,
}

impl PrivateKey {
    /// Reads a key in DER: PKCS#8, PKCS#1 (RSA) or SEC 1 (ECDSA).
    ///
    /// # Errors
    /// [`Untrusted::BadCertificate`] when it is no such key, [`Untrusted::Weak`] when it is RSA of less
    /// than [`RSA_BITS_MIN`] bits.
    pub fn from_der(der: &[u8]) -> Result<Self, Untrusted> {
        let key = Key::read(der, |input, len| {
            // SAFETY: `input` points to a pointer to `len` live bytes, from which the library only
            // reads; a null first argument asks for a new key.
            unsafe { aws::d2i_AutoPrivateKey(null_mut(), input, len) }
        })?;
        let kind = key.kind()?;
        Ok(Self { key, kind })
    }

    /// Whether a certificate's key, in DER, is the other half of this one.
    pub fn belongs_to(&self, spki: &[u8]) -> bool {
        PublicKey::from_spki(spki).is_ok_and(|public| {
            // SAFETY: both keys are live; the library only reads their public halves.
            unsafe { aws::EVP_PKEY_cmp(self.key.0.as_ptr(), public.key.0.as_ptr()) == 1 }
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Signer for PrivateKey {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match self.kind {
            KeyKind::Rsa => self.key.rsa_sign(digest),
            KeyKind::EcdsaP256 => self.key.ecdsa_sign(digest, P256_LEN),
            KeyKind::EcdsaP384 => self.key.ecdsa_sign(digest, P384_LEN),
        }
    }
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`Untrusted::BadCertificate`] when it is no key that can sign here, [`Untrusted::Weak`] when it is
    /// RSA of less than [`RSA_BITS_MIN`] bits.
    pub fn from_spki(der: &[u8]) -> Result<Self, Untrusted> {
        let key = Key::read(der, |input, len| {
            // SAFETY: `input` points to a pointer to `len` live bytes, from which the library only
            // reads; a null first argument asks for a new key.
            unsafe { aws::d2i_PUBKEY(null_mut(), input, len) }
        })?;
        let kind = key.kind()?;
        Ok(Self { key, kind })
    }

    /// The kind of key.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Verifies a signature over a digest.
    ///
    /// # Errors
    /// [`Untrusted::BadSignature`].
    pub fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<(), Untrusted> {
        let good = match self.kind {
            KeyKind::Rsa => self.key.rsa_verify(digest, signature),
            KeyKind::EcdsaP256 => self.key.ecdsa_verify(digest, signature, P256_LEN),
            KeyKind::EcdsaP384 => self.key.ecdsa_verify(digest, signature, P384_LEN),
        };
        forget_errors();
        if good { Ok(()) } else { Err(Untrusted::BadSignature) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// An owned key.
struct Key(NonNull<aws::EVP_PKEY>);

// SAFETY: the library lets any number of threads use a key at once as long as none changes it; nothing
// here changes a key after it is read.
unsafe impl Send for Key {}
// SAFETY: as above.
unsafe impl Sync for Key {}

impl Key {
    /// Reads a key that fills `der`.
    fn read(
        der: &[u8],
        parse: impl FnOnce(*mut *const u8, std::ffi::c_long) -> *mut aws::EVP_PKEY,
    ) -> Result<Self, Untrusted> {
        let len = std::ffi::c_long::try_from(der.len()).map_err(|_| Untrusted::BadCertificate)?;
        let mut input = der.as_ptr();
        let key = NonNull::new(parse(&raw mut input, len)).map(Self);
        forget_errors();
        let key = key.ok_or(Untrusted::BadCertificate)?;
        let whole = input == der.as_ptr_range().end;
        if whole { Ok(key) } else { Err(Untrusted::BadCertificate) }
    }

    fn kind(&self) -> Result<KeyKind, Untrusted> {
        // SAFETY: the key is live; the library only reads it.
        let (id, bits) =
            unsafe { (aws::EVP_PKEY_id(self.0.as_ptr()), aws::EVP_PKEY_bits(self.0.as_ptr())) };
        match id {
            aws::EVP_PKEY_RSA if bits < RSA_BITS_MIN => Err(Untrusted::Weak),
            aws::EVP_PKEY_RSA if bits > RSA_BITS_MAX => Err(Untrusted::BadCertificate),
            aws::EVP_PKEY_RSA => Ok(KeyKind::Rsa),
            aws::EVP_PKEY_EC => self.curve(),
            _ => Err(Untrusted::BadCertificate),
        }
    }

    fn curve(&self) -> Result<KeyKind, Untrusted> {
        let key = self.ec().ok_or(Untrusted::BadCertificate)?;
        // SAFETY: the key is live and has a group, or the library would not have read it.
        let curve = unsafe { aws::EC_GROUP_get_curve_name(aws::EC_KEY_get0_group(key.as_ptr())) };
        match curve {
            aws::NID_X9_62_prime256v1 => Ok(KeyKind::EcdsaP256),
            aws::NID_secp384r1 => Ok(KeyKind::EcdsaP384),
            _ => Err(Untrusted::BadCertificate),
        }
    }

    /// The RSA key inside, not owned.
    fn rsa(&self) -> Option<NonNull<aws::RSA>> {
        // SAFETY: the key is live; the library hands out a pointer that lives as long, or null.
        NonNull::new(unsafe { aws::EVP_PKEY_get0_RSA(self.0.as_ptr()) })
    }

    /// The elliptic curve key inside, not owned.
    fn ec(&self) -> Option<NonNull<aws::EC_KEY>> {
        // SAFETY: the key is live; the library hands out a pointer that lives as long, or null.
        NonNull::new(unsafe { aws::EVP_PKEY_get0_EC_KEY(self.0.as_ptr()) })
    }

    fn rsa_sign(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let rsa = self.rsa().ok_or(CryptoError::Unsupported)?;
        let mut out = vec![0; RSA_BYTES_MAX];
        let mut len = 0;
        // SAFETY: the key is live, `out` has the room that is named, `digest` is read only.
        let done = unsafe {
            aws::RSA_sign_raw(
                rsa.as_ptr(),
                &raw mut len,
                out.as_mut_ptr(),
                out.len(),
                digest.as_ptr(),
                digest.len(),
                aws::RSA_PKCS1_PADDING,
            )
        };
        forget_errors();
        if done != 1 {
            return Err(CryptoError::BadLength);
        }
        out.truncate(len);
        Ok(out)
    }

    fn rsa_verify(&self, digest: &[u8], signature: &[u8]) -> bool {
        let Some(rsa) = self.rsa() else { return false };
        let mut out = [0; RSA_BYTES_MAX];
        let mut len = 0;
        // SAFETY: the key is live, `out` has the room that is named, `signature` is read only.
        let done = unsafe {
            aws::RSA_verify_raw(
                rsa.as_ptr(),
                &raw mut len,
                out.as_mut_ptr(),
                out.len(),
                signature.as_ptr(),
                signature.len(),
                aws::RSA_PKCS1_PADDING,
            )
        };
        // The library checks the whole padding; what is left must be the digest and nothing else.
        done == 1 && !digest.is_empty() && out.get(..len) == Some(digest)
    }

    fn ecdsa_sign(&self, digest: &[u8], field_len: usize) -> Result<Vec<u8>, CryptoError> {
        let key = self.ec().ok_or(CryptoError::Unsupported)?;
        // SAFETY: the key is live, `digest` is read only; a null result is refused.
        let signature = unsafe { aws::ECDSA_do_sign(digest.as_ptr(), digest.len(), key.as_ptr()) };
        forget_errors();
        let signature = NonNull::new(signature).map(Signature).ok_or(CryptoError::Unsupported)?;
        let mut out = vec![0; 2 * field_len];
        let (r_out, s_out) = out.split_at_mut(field_len);
        let (mut r, mut s) = (null(), null());
        // SAFETY: the signature is live and owns both numbers; the slices have the lengths named.
        let done = unsafe {
            aws::ECDSA_SIG_get0(signature.0.as_ptr(), &raw mut r, &raw mut s);
            aws::BN_bn2bin_padded(r_out.as_mut_ptr(), r_out.len(), r)
                & aws::BN_bn2bin_padded(s_out.as_mut_ptr(), s_out.len(), s)
        };
        if done == 1 { Ok(out) } else { Err(CryptoError::BadLength) }
    }

    fn ecdsa_verify(&self, digest: &[u8], signature: &[u8], field_len: usize) -> bool {
        let (Some(key), true) = (self.ec(), signature.len() == 2 * field_len) else {
            return false;
        };
        let (r, s) = signature.split_at(field_len);
        // SAFETY: the numbers are made here from live slices and given to the signature, which owns
        // them when it took them; until then they are freed here.
        let signature = unsafe {
            let signature = aws::ECDSA_SIG_new();
            let r = aws::BN_bin2bn(r.as_ptr(), r.len(), null_mut());
            let s = aws::BN_bin2bn(s.as_ptr(), s.len(), null_mut());
            if signature.is_null() || aws::ECDSA_SIG_set0(signature, r, s) != 1 {
                aws::BN_free(r);
                aws::BN_free(s);
            }
            signature
        };
        let Some(signature) = NonNull::new(signature).map(Signature) else { return false };
        // SAFETY: all three are live; a signature without numbers is refused by the library.
        let good = unsafe {
            aws::ECDSA_do_verify(digest.as_ptr(), digest.len(), signature.0.as_ptr(), key.as_ptr())
        };
        good == 1
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the key came from the library, is owned here and freed once.
        unsafe { aws::EVP_PKEY_free(self.0.as_ptr()) };
    }
}

/// An owned ECDSA signature.
struct Signature(NonNull<aws::ECDSA_SIG>);

impl Drop for Signature {
    fn drop(&mut self) {
        // SAFETY: the signature came from the library, is owned here and freed once.
        unsafe { aws::ECDSA_SIG_free(self.0.as_ptr()) };
    }
}

/// The library keeps a list of errors for each thread; nobody reads it here.
fn forget_errors() {
    // SAFETY: no arguments; it empties a list that belongs to this thread.
    unsafe { aws::ERR_clear_error() };
}

/// Smallest RSA key.
pub const RSA_BITS_MIN: i32 = 2048;
/// Largest RSA key: verifying costs the square of it.
pub const RSA_BITS_MAX: i32 = 8192;
const RSA_BYTES_MAX: usize = 1024;
const P256_LEN: usize = 32;
const P384_LEN: usize = 48;
