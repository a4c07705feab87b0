//! Hashes and HMAC.

use aws_lc_rs::{digest as aws, hmac as aws_hmac};
use hmac::{Hmac, KeyInit, Mac};
use isthmus_crypto::{CryptoError, HashAlg};
use md4::Md4;
use md5::{Digest, Md5};

/// Hashes the concatenation of `parts`.
pub(crate) fn hash(alg: HashAlg, parts: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
    match alg {
        HashAlg::Md4 => put(&small_hash::<Md4>(parts), out),
        HashAlg::Md5 => put(&small_hash::<Md5>(parts), out),
        HashAlg::Sha1 => sha(&aws::SHA1_FOR_LEGACY_USE_ONLY, parts, out),
        HashAlg::Sha256 => sha(&aws::SHA256, parts, out),
        HashAlg::Sha384 => sha(&aws::SHA384, parts, out),
        HashAlg::Sha512 => sha(&aws::SHA512, parts, out),
    }
}

/// HMAC (RFC 2104) of the concatenation of `parts`; MD4 has none.
pub(crate) fn hmac(
    alg: HashAlg,
    key: &[u8],
    parts: &[&[u8]],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    match alg {
        HashAlg::Md4 => Err(CryptoError::Unsupported),
        HashAlg::Md5 => hmac_md5(key, parts, out),
        HashAlg::Sha1 => hmac_sha(aws_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, parts, out),
        HashAlg::Sha256 => hmac_sha(aws_hmac::HMAC_SHA256, key, parts, out),
        HashAlg::Sha384 => hmac_sha(aws_hmac::HMAC_SHA384, key, parts, out),
        HashAlg::Sha512 => hmac_sha(aws_hmac::HMAC_SHA512, key, parts, out),
    }
}

/// Copies a digest to the front of `out`.
fn put(digest: &[u8], out: &mut [u8]) -> Result<(), CryptoError> {
    out.get_mut(..digest.len()).ok_or(CryptoError::BadLength)?.copy_from_slice(digest);
    Ok(())
}

fn sha(alg: &'static aws::Algorithm, parts: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
    let mut context = aws::Context::new(alg);
    for part in parts {
        context.update(part);
    }
    put(context.finish().as_ref(), out)
}

fn small_hash<D: Digest>(parts: &[&[u8]]) -> md5::digest::Output<D> {
    let mut hasher = D::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn hmac_sha(
    alg: aws_hmac::Algorithm,
    key: &[u8],
    parts: &[&[u8]],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    let mut context = aws_hmac::Context::with_key(&aws_hmac::Key::new(alg, key));
    for part in parts {
        context.update(part);
    }
    put(context.sign().as_ref(), out)
}

fn hmac_md5(key: &[u8], parts: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
    let mut mac = Hmac::<Md5>::new_from_slice(key).map_err(|_| CryptoError::BadLength)?;
    for part in parts {
        mac.update(part);
    }
    put(&mac.finalize().into_bytes(), out)
}
