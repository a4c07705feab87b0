//! HMAC with both pads hashed beforehand (RFC 2104 §4).
//!
//! A key of aws-lc-rs is three contexts, each with room for the library's largest hash: 1.2 KiB that each
//! SA keeps and each packet copies. The states of one hash are 96 to 216 bytes.
#![expect(
    unsafe_code,
    reason = "aws-lc-rs has no hash state that can be copied without allocating"
)]

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};

use aws_lc_sys as aws;
use isthmus_crypto::{CryptoError, HashAlg};
use zeroize::Zeroize;

/// A key.
pub(super) enum Mac {
    Sha1(Pads<Sha1>),
    Sha256(Pads<Sha256>),
    Sha384(Box<Pads<Sha384>>),
    Sha512(Box<Pads<Sha512>>),
}

/// A tag, as long as the hash, and zeros behind it.
pub(super) type Tag = [u8; TAG_LEN_MAX];

impl Mac {
    /// Hashes the pads.
    pub(super) fn new(alg: HashAlg, key: &[u8]) -> Result<Self, CryptoError> {
        match alg {
            HashAlg::Sha1 => Ok(Self::Sha1(Pads::new(key))),
            HashAlg::Sha256 => Ok(Self::Sha256(Pads::new(key))),
            HashAlg::Sha384 => Ok(Self::Sha384(Box::new(Pads::new(key)))),
            HashAlg::Sha512 => Ok(Self::Sha512(Box::new(Pads::new(key)))),
            HashAlg::Md4 | HashAlg::Md5 => Err(CryptoError::Unsupported),
        }
    }

    /// The tag of the concatenation of `parts`.
    pub(super) fn tag(&self, parts: &[&[u8]]) -> Tag {
        match self {
            Self::Sha1(pads) => pads.tag(parts),
            Self::Sha256(pads) => pads.tag(parts),
            Self::Sha384(pads) => pads.tag(parts),
            Self::Sha512(pads) => pads.tag(parts),
        }
    }
}

/// States of a hash that has taken in the key, padded in the two ways.
pub(super) struct Pads<H: Hash> {
    inner: State<H>,
    outer: State<H>,
}

impl<H: Hash> Pads<H> {
    fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK_LEN_MAX];
        if key.len() > H::BLOCK_LEN {
            let mut state = State::<H>::new();
            state.update(key);
            let digest = state.finish();
            for (byte, digest) in block.iter_mut().zip(digest) {
                *byte = digest;
            }
        } else {
            for (byte, key) in block.iter_mut().zip(key) {
                *byte = *key;
            }
        }
        let pads = Self { inner: padded(&block, 0x36), outer: padded(&block, 0x5c) };
        block.zeroize();
        pads
    }

    fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut inner = self.inner.copy();
        for part in parts {
            inner.update(part);
        }
        let digest = inner.finish();
        let mut outer = self.outer.copy();
        outer.update(digest.get(..H::LEN).unwrap_or_default());
        outer.finish()
    }
}

fn padded<H: Hash>(block: &[u8; BLOCK_LEN_MAX], pad: u8) -> State<H> {
    let mut padded = block.map(|byte| byte ^ pad);
    let mut state = State::new();
    state.update(padded.get(..H::BLOCK_LEN).unwrap_or_default());
    padded.zeroize();
    state
}

/// A hash under way, wiped when dropped: it has taken in a key.
struct State<H: Hash>(H::State);

impl<H: Hash> State<H> {
    fn new() -> Self {
        Self(H::begin())
    }

    const fn copy(&self) -> Self {
        Self(self.0)
    }

    fn update(&mut self, bytes: &[u8]) {
        H::update(&mut self.0, bytes);
    }

    fn finish(mut self) -> Tag {
        let mut tag = [0; TAG_LEN_MAX];
        H::finish(&mut self.0, &mut tag);
        tag
    }
}

impl<H: Hash> Drop for State<H> {
    fn drop(&mut self) {
        // SAFETY: the pointer and length are those of a live value of plain integers (`Hash`), for which
        // zeros are valid.
        unsafe { aws::OPENSSL_cleanse((&raw mut self.0).cast::<c_void>(), size_of::<H::State>()) }
    }
}

/// A hash of the library. Its state consists of integers.
pub(super) trait Hash {
    type State: Copy;
    /// In bytes.
    const BLOCK_LEN: usize;
    /// Of the digest, in bytes; at most [`TAG_LEN_MAX`].
    const LEN: usize;
    fn begin() -> Self::State;
    fn update(state: &mut Self::State, bytes: &[u8]);
    fn finish(state: &mut Self::State, out: &mut Tag);
}

macro_rules! hash {
    ($name:ident, $state:ident, $block:literal, $len:literal, $init:ident, $update:ident, $end:ident) => {
        pub(super) enum $name {}

        impl Hash for $name {
            type State = aws::$state;
            const BLOCK_LEN: usize = $block;
            const LEN: usize = $len;

            fn begin() -> Self::State {
                let mut state = MaybeUninit::zeroed();
                // SAFETY: the function writes a state to where there is room for one; all of it was
                // zeros, which are valid integers.
                unsafe {
                    aws::$init(state.as_mut_ptr());
                    state.assume_init()
                }
            }

            fn update(state: &mut Self::State, bytes: &[u8]) {
                // SAFETY: the state was begun; pointer and length are those of a live slice, from which
                // the library only reads.
                unsafe { aws::$update(state, bytes.as_ptr().cast(), bytes.len()) };
            }

            fn finish(state: &mut Self::State, out: &mut Tag) {
                // SAFETY: the state was begun; the function writes `LEN` bytes, and there is room for
                // more.
                unsafe { aws::$end(out.as_mut_ptr(), state) };
            }
        }
    };
}

hash!(Sha1, SHA_CTX, 64, 20, SHA1_Init, SHA1_Update, SHA1_Final);
hash!(Sha256, SHA256_CTX, 64, 32, SHA256_Init, SHA256_Update, SHA256_Final);
hash!(Sha384, SHA512_CTX, 128, 48, SHA384_Init, SHA384_Update, SHA384_Final);
hash!(Sha512, SHA512_CTX, 128, 64, SHA512_Init, SHA512_Update, SHA512_Final);

/// That of SHA-512.
const TAG_LEN_MAX: usize = 64;
/// That of SHA-512.
const BLOCK_LEN_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_hashes_are_refused() {
        assert!(matches!(Mac::new(HashAlg::Md5, &[1; 16]), Err(CryptoError::Unsupported)));
    }

    #[test]
    fn a_key_takes_few_bytes() {
        assert!(size_of::<Mac>() <= 232);
    }

    proptest! {
        #[test]
        fn tags_are_those_of_the_library(
            key in prop::collection::vec(any::<u8>(), 0..200),
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..4),
        ) {
            for (alg, len) in [
                (HashAlg::Sha1, 20),
                (HashAlg::Sha256, 32),
                (HashAlg::Sha384, 48),
                (HashAlg::Sha512, 64),
            ] {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                let mut expected = vec![0; len];
                crate::digest::hmac(alg, &key, &parts, &mut expected).unwrap();
                let mac = Mac::new(alg, &key).unwrap();
                // Twice, since a tag leaves the key as it was.
                for _ in 0..2 {
                    let tag = mac.tag(&parts);
                    prop_assert_eq!(&tag[..len], &expected[..]);
                    prop_assert!(tag[len..].iter().all(|byte| *byte == 0));
                }
            }
        }
    }
}
