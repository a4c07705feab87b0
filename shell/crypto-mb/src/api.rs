//! The part of the library's binary interface that is used, version 1.3 (`intel-ipsec-mb.h`).
//!
//! Only the two synchronous burst calls for cipher and hash are used: they take an array of jobs that
//! we own and have worked on all of it when they return, so no job outlives a call.

use std::ffi::c_void;

/// `IMB_MGR`: flags, features and the function table of the architecture in use. What follows the table
/// is the library's own, so a manager is only ever handled by pointer.
#[repr(C)]
pub(crate) struct Manager {
    flags: u64,
    features: u64,
    reserved: [u64; 5],
    /// `IMB_ARCH`.
    pub(crate) architecture: u32,
    /// The last error, for those who ask.
    error: i32,
    before_key_expansion: [*const c_void; 6],
    /// For keys of 16, 24 and 32 bytes.
    pub(crate) expand_key: [KeyExpansion; 3],
    between: [*const c_void; 3],
    pub(crate) sha1_block: HashBlock,
    sha224_block: HashBlock,
    pub(crate) sha256_block: HashBlock,
    pub(crate) sha384_block: HashBlock,
    pub(crate) sha512_block: HashBlock,
    after_blocks: [*const c_void; 98],
    /// `submit_cipher_burst`, which checks its arguments.
    pub(crate) cipher: CipherBurst,
    cipher_unchecked: CipherBurst,
    /// `submit_hash_burst`, which checks its arguments.
    pub(crate) hash: HashBurst,
}

/// Expands an AES key: key, encryption schedule, decryption schedule.
pub(crate) type KeyExpansion = unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void);
/// Hashes one block from the initial state: block, state.
pub(crate) type HashBlock = unsafe extern "C" fn(*const c_void, *mut c_void);
/// Manager, jobs, how many, mode, direction, key length; answers how many are complete.
pub(crate) type CipherBurst =
    unsafe extern "C" fn(*mut Manager, *mut Job, u32, u32, u32, u32) -> u32;
/// Manager, jobs, how many, algorithm; answers how many are complete.
pub(crate) type HashBurst = unsafe extern "C" fn(*mut Manager, *mut Job, u32, u32) -> u32;

/// `IMB_JOB`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Job {
    pub(crate) encryption_keys: *const c_void,
    pub(crate) decryption_keys: *const c_void,
    pub(crate) key_len: u64,
    pub(crate) source: *const u8,
    /// Where the first byte of the cipher's output goes; for work in place the first that is read.
    pub(crate) destination: *mut u8,
    pub(crate) cipher_offset: u64,
    pub(crate) cipher_len: u64,
    pub(crate) hash_offset: u64,
    pub(crate) hash_len: u64,
    pub(crate) iv: *const u8,
    pub(crate) iv_len: u64,
    pub(crate) tag: *mut u8,
    pub(crate) tag_len: u64,
    /// The inner and the outer state of HMAC after its padded key.
    pub(crate) hmac_inner: *const u8,
    pub(crate) hmac_outer: *const u8,
    other_algorithms: u64,
    pub(crate) status: u32,
    modes: [u32; 5],
    user: [u64; 4],
    sgl_state: u64,
    cipher_fields: u64,
}

impl Job {
    /// A job that says nothing.
    pub(crate) const EMPTY: Self = Self {
        encryption_keys: std::ptr::null(),
        decryption_keys: std::ptr::null(),
        key_len: 0,
        source: std::ptr::null(),
        destination: std::ptr::null_mut(),
        cipher_offset: 0,
        cipher_len: 0,
        hash_offset: 0,
        hash_len: 0,
        iv: std::ptr::null(),
        iv_len: 0,
        tag: std::ptr::null_mut(),
        tag_len: 0,
        hmac_inner: std::ptr::null(),
        hmac_outer: std::ptr::null(),
        other_algorithms: 0,
        status: 0,
        modes: [0; 5],
        user: [0; 4],
        sgl_state: 0,
        cipher_fields: 0,
    };
}

/// `IMB_CIPHER_CBC`.
pub(crate) const CIPHER_CBC: u32 = 1;
/// `IMB_DIR_ENCRYPT`.
pub(crate) const ENCRYPT: u32 = 1;
/// `IMB_DIR_DECRYPT`.
pub(crate) const DECRYPT: u32 = 2;
/// `IMB_AUTH_HMAC_SHA_1`.
pub(crate) const HMAC_SHA1: u32 = 1;
/// `IMB_AUTH_HMAC_SHA_256`.
pub(crate) const HMAC_SHA256: u32 = 3;
/// `IMB_AUTH_HMAC_SHA_384`.
pub(crate) const HMAC_SHA384: u32 = 4;
/// `IMB_AUTH_HMAC_SHA_512`.
pub(crate) const HMAC_SHA512: u32 = 5;
/// `IMB_STATUS_COMPLETED`: cipher and hash.
pub(crate) const COMPLETED: u32 = 3;

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// As a C compiler lays out the header of version 1.3.0.
    #[test]
    fn structures_have_the_layout_of_the_header() {
        assert_eq!(offset_of!(Manager, architecture), 56);
        assert_eq!(offset_of!(Manager, expand_key), 112);
        assert_eq!(offset_of!(Manager, sha1_block), 160);
        assert_eq!(offset_of!(Manager, sha256_block), 176);
        assert_eq!(offset_of!(Manager, sha512_block), 192);
        assert_eq!(offset_of!(Manager, cipher), 984);
        assert_eq!(offset_of!(Manager, hash), 1000);
        assert_eq!(offset_of!(Job, cipher_offset), 40);
        assert_eq!(offset_of!(Job, iv), 72);
        assert_eq!(offset_of!(Job, tag), 88);
        assert_eq!(offset_of!(Job, hmac_inner), 104);
        assert_eq!(offset_of!(Job, status), 128);
        assert_eq!(offset_of!(Job, sgl_state), 184);
        assert_eq!(size_of::<Job>(), 200);
    }
}
