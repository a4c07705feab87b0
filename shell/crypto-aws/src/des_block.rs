//! One block of single DES, for MS-CHAPv2 alone.
//!
//! aws-lc refuses weak keys that carry odd parity. The third key of an MS-CHAPv2 response is two hash
//! bytes and zeros (RFC 2759 §8.5), which is such a key for one password in 65536; `RustCrypto` takes
//! every key and ignores parity.

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};

/// Encrypts one block; the parity bits of `key` are ignored.
pub(crate) fn encrypt(key: [u8; 8], block: [u8; 8]) -> [u8; 8] {
    let mut block = block.into();
    Des::new(&key.into()).encrypt_block(&mut block);
    block.into()
}
