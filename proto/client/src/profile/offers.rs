//! Transforms and vendor ids as tables are written with.

use alloc::vec::Vec;

use isthmus_ike::iana::{
    AuthMethod, EspAuthentication, EspTransform, GroupNumber, IkeEncryption, IkeHash,
};
use isthmus_ike::{OfferedEsp, OfferedIke, VendorId};

/// A cipher, in both phases.
#[derive(Clone, Copy)]
pub(super) enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    Aes128Gcm,
    Des,
    Des3,
    Null,
}

/// A hash, in both phases.
#[derive(Clone, Copy)]
pub(super) enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    /// The cipher does it.
    None,
}

pub(super) use Cipher::{Aes128, Aes128Gcm, Aes192, Aes256, Des, Des3, Null};
pub(super) use Hash::{Md5, Sha1, Sha256, Sha384, Sha512};

/// A phase 1 transform with a pre-shared key. AES-GCM and NULL are not for phase 1 and become DES.
pub(super) const fn ike(cipher: Cipher, hash: Hash, group: GroupNumber) -> OfferedIke {
    let (encryption, key_bits) = match cipher {
        Aes128 => (IkeEncryption::AES, Some(128)),
        Aes192 => (IkeEncryption::AES, Some(192)),
        Aes256 => (IkeEncryption::AES, Some(256)),
        Des3 => (IkeEncryption::TRIPLE_DES, None),
        Aes128Gcm | Des | Null => (IkeEncryption::DES, None),
    };
    let hash = match hash {
        Md5 => IkeHash::MD5,
        Sha1 | Hash::None => IkeHash::SHA1,
        Sha256 => IkeHash::SHA256,
        Sha384 => IkeHash::SHA384,
        Sha512 => IkeHash::SHA512,
    };
    OfferedIke { encryption, key_bits, hash, group, authentication: AuthMethod::PSK }
}

/// A phase 2 transform.
pub(super) const fn esp(cipher: Cipher, hash: Hash) -> OfferedEsp {
    let (transform, key_bits) = match cipher {
        Aes128 => (EspTransform::AES, Some(128)),
        Aes192 => (EspTransform::AES, Some(192)),
        Aes256 => (EspTransform::AES, Some(256)),
        Aes128Gcm => (EspTransform::AES_GCM_16, Some(128)),
        Des => (EspTransform::DES, None),
        Des3 => (EspTransform::TRIPLE_DES, None),
        Null => (EspTransform::NULL, None),
    };
    let authentication = match hash {
        Md5 => Some(EspAuthentication::MD5),
        Sha1 => Some(EspAuthentication::SHA1),
        Sha256 => Some(EspAuthentication::SHA256),
        Sha384 => Some(EspAuthentication::SHA384),
        Sha512 => Some(EspAuthentication::SHA512),
        Hash::None => None,
    };
    OfferedEsp { transform, key_bits, authentication, group: None, encapsulation: None }
}

/// Every cipher with every hash, cipher by cipher.
pub(super) fn esp_product(ciphers: &[Cipher], hashes: &[Hash]) -> Vec<OfferedEsp> {
    ciphers.iter().flat_map(|cipher| hashes.iter().map(|hash| esp(*cipher, *hash))).collect()
}

/// Vendor ids in order.
pub(super) fn vendors(ids: &[VendorId]) -> Vec<Vec<u8>> {
    ids.iter().map(|id| id.bytes().to_vec()).collect()
}

/// A vendor id with what follows it.
pub(super) fn vendor_with(id: VendorId, tail: [u8; 4]) -> Vec<u8> {
    [id.bytes(), &tail].concat()
}

/// Fragmentation with the capability word of racoon and charon.
pub(super) fn fragmentation() -> Vec<u8> {
    vendor_with(VendorId::Fragmentation, [0x80, 0, 0, 0])
}
