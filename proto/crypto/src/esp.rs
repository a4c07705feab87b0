//! ESP suites and the batch interface of their transforms.

use isthmus_core::SecretBytes;
use serde::{Deserialize, Serialize};

/// Encryption and integrity of one ESP SA. The NULL cipher has no name here, so it cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EspSuite {
    /// AES-128-CBC with HMAC-SHA1-96 (RFC 3602, RFC 2404).
    Aes128CbcSha1,
    /// AES-192-CBC with HMAC-SHA1-96.
    Aes192CbcSha1,
    /// AES-256-CBC with HMAC-SHA1-96.
    Aes256CbcSha1,
    /// AES-128-CBC with HMAC-SHA2-256-128 (RFC 4868).
    Aes128CbcSha256,
    /// AES-256-CBC with HMAC-SHA2-256-128.
    Aes256CbcSha256,
    /// AES-128-GCM with a 16-byte ICV (RFC 4106).
    Aes128Gcm16,
    /// AES-256-GCM with a 16-byte ICV.
    Aes256Gcm16,
    /// 3DES-CBC with HMAC-SHA1-96; behind the legacy switch.
    TripleDesSha1,
    /// AES-128-CBC with HMAC-SHA2-384-192 (RFC 4868).
    Aes128CbcSha384,
    /// AES-256-CBC with HMAC-SHA2-384-192.
    Aes256CbcSha384,
    /// AES-128-CBC with HMAC-SHA2-512-256 (RFC 4868).
    Aes128CbcSha512,
    /// AES-256-CBC with HMAC-SHA2-512-256.
    Aes256CbcSha512,
    /// AES-128-CBC with HMAC-SHA2-256 cut to 96 bits, as Linux before 2.6.33 and Android before 7 have it
    /// under the number of the proper one; behind the legacy switch.
    Aes128CbcSha256Cut96,
    /// AES-256-CBC with the same.
    Aes256CbcSha256Cut96,
}

impl EspSuite {
    /// Every suite, strongest habits first; for tests and help texts.
    pub const ALL: [Self; 14] = [
        Self::Aes256Gcm16,
        Self::Aes128Gcm16,
        Self::Aes256CbcSha512,
        Self::Aes256CbcSha384,
        Self::Aes256CbcSha256,
        Self::Aes128CbcSha512,
        Self::Aes128CbcSha384,
        Self::Aes128CbcSha256,
        Self::Aes256CbcSha1,
        Self::Aes192CbcSha1,
        Self::Aes128CbcSha1,
        Self::TripleDesSha1,
        Self::Aes256CbcSha256Cut96,
        Self::Aes128CbcSha256Cut96,
    ];

    /// Length of the encryption key in bytes; for GCM without the salt.
    pub const fn cipher_key_len(self) -> usize {
        match self {
            Self::Aes128CbcSha1
            | Self::Aes128CbcSha256
            | Self::Aes128CbcSha256Cut96
            | Self::Aes128CbcSha384
            | Self::Aes128CbcSha512
            | Self::Aes128Gcm16 => 16,
            Self::Aes192CbcSha1 | Self::TripleDesSha1 => 24,
            Self::Aes256CbcSha1
            | Self::Aes256CbcSha256
            | Self::Aes256CbcSha256Cut96
            | Self::Aes256CbcSha384
            | Self::Aes256CbcSha512
            | Self::Aes256Gcm16 => 32,
        }
    }

    /// Length of the GCM salt in bytes (RFC 4106 §8.1); part of the encryption KEYMAT.
    pub const fn salt_len(self) -> usize {
        if self.is_aead() { 4 } else { 0 }
    }

    /// Length of the integrity key in bytes; none for AEAD.
    pub const fn integrity_key_len(self) -> usize {
        match self {
            Self::Aes128CbcSha1
            | Self::Aes192CbcSha1
            | Self::Aes256CbcSha1
            | Self::TripleDesSha1 => 20,
            Self::Aes128CbcSha256
            | Self::Aes256CbcSha256
            | Self::Aes128CbcSha256Cut96
            | Self::Aes256CbcSha256Cut96 => 32,
            Self::Aes128CbcSha384 | Self::Aes256CbcSha384 => 48,
            Self::Aes128CbcSha512 | Self::Aes256CbcSha512 => 64,
            Self::Aes128Gcm16 | Self::Aes256Gcm16 => 0,
        }
    }

    /// Length of all KEYMAT for one direction, in the order encryption key, salt, integrity key.
    pub const fn keymat_len(self) -> usize {
        self.cipher_key_len() + self.salt_len() + self.integrity_key_len()
    }

    /// Length of the IV on the wire in bytes.
    pub const fn iv_len(self) -> usize {
        match self {
            Self::Aes128Gcm16 | Self::Aes256Gcm16 | Self::TripleDesSha1 => 8,
            Self::Aes128CbcSha1
            | Self::Aes192CbcSha1
            | Self::Aes256CbcSha1
            | Self::Aes128CbcSha256
            | Self::Aes256CbcSha256
            | Self::Aes128CbcSha384
            | Self::Aes256CbcSha384
            | Self::Aes128CbcSha512
            | Self::Aes256CbcSha512
            | Self::Aes128CbcSha256Cut96
            | Self::Aes256CbcSha256Cut96 => 16,
        }
    }

    /// What the plaintext with trailer must be a multiple of, in bytes (at least 4, RFC 4303 §2.4).
    pub const fn block_len(self) -> usize {
        match self {
            Self::Aes128Gcm16 | Self::Aes256Gcm16 => 4,
            Self::TripleDesSha1 => 8,
            Self::Aes128CbcSha1
            | Self::Aes192CbcSha1
            | Self::Aes256CbcSha1
            | Self::Aes128CbcSha256
            | Self::Aes256CbcSha256
            | Self::Aes128CbcSha384
            | Self::Aes256CbcSha384
            | Self::Aes128CbcSha512
            | Self::Aes256CbcSha512
            | Self::Aes128CbcSha256Cut96
            | Self::Aes256CbcSha256Cut96 => 16,
        }
    }

    /// Length of the ICV in bytes.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::Aes128CbcSha1
            | Self::Aes192CbcSha1
            | Self::Aes256CbcSha1
            | Self::Aes128CbcSha256Cut96
            | Self::Aes256CbcSha256Cut96
            | Self::TripleDesSha1 => 12,
            Self::Aes128CbcSha384 | Self::Aes256CbcSha384 => 24,
            Self::Aes128CbcSha512 | Self::Aes256CbcSha512 => 32,
            Self::Aes128CbcSha256
            | Self::Aes256CbcSha256
            | Self::Aes128Gcm16
            | Self::Aes256Gcm16 => 16,
        }
    }

    /// Whether one algorithm does both jobs.
    pub const fn is_aead(self) -> bool {
        matches!(self, Self::Aes128Gcm16 | Self::Aes256Gcm16)
    }

    /// Whether the suite is allowed only behind the legacy switch.
    pub const fn is_legacy(self) -> bool {
        matches!(
            self,
            Self::TripleDesSha1 | Self::Aes128CbcSha256Cut96 | Self::Aes256CbcSha256Cut96
        )
    }

    /// The name people write in configuration: `aes256-sha1`, `aes256gcm16` and so on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128CbcSha1 => "aes128-sha1",
            Self::Aes192CbcSha1 => "aes192-sha1",
            Self::Aes256CbcSha1 => "aes256-sha1",
            Self::Aes128CbcSha256 => "aes128-sha256",
            Self::Aes256CbcSha256 => "aes256-sha256",
            Self::Aes128Gcm16 => "aes128gcm16",
            Self::Aes256Gcm16 => "aes256gcm16",
            Self::TripleDesSha1 => "3des-sha1",
            Self::Aes128CbcSha384 => "aes128-sha384",
            Self::Aes256CbcSha384 => "aes256-sha384",
            Self::Aes128CbcSha512 => "aes128-sha512",
            Self::Aes256CbcSha512 => "aes256-sha512",
            Self::Aes128CbcSha256Cut96 => "aes128-sha256_96",
            Self::Aes256CbcSha256Cut96 => "aes256-sha256_96",
        }
    }

    /// The suite with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }
}

impl core::fmt::Display for EspSuite {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

/// Keys of one direction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EspKeys {
    /// Encryption key, followed for GCM by the 4-byte salt.
    pub cipher: SecretBytes,
    /// Integrity key; empty for AEAD.
    pub integrity: SecretBytes,
}

impl EspKeys {
    /// Splits KEYMAT; none when it is not exactly [`EspSuite::keymat_len`] bytes.
    pub fn from_keymat(suite: EspSuite, keymat: &[u8]) -> Option<Self> {
        if keymat.len() != suite.keymat_len() {
            return None;
        }
        let (cipher, integrity) =
            keymat.split_at_checked(suite.cipher_key_len() + suite.salt_len())?;
        Some(Self {
            cipher: SecretBytes::copy_of(cipher),
            integrity: SecretBytes::copy_of(integrity),
        })
    }
}

/// One whole ESP packet in a batch: SPI, sequence number, IV, ciphertext, ICV.
///
/// For sealing, everything up to the ICV is filled in by the caller (IV included, plaintext padded,
/// trailer in place) and the last `icv_len` bytes are free. For opening, the packet is as received;
/// on success the part between IV and ICV is plaintext.
#[derive(Debug)]
pub struct EspJob<'a> {
    /// The packet from SPI to ICV.
    pub packet: &'a mut [u8],
    /// The upper half of a 64-bit extended sequence number (RFC 4303 §2.2.1), when in use.
    pub seq_hi: Option<u32>,
    /// Filled in by the transform.
    pub result: EspJobResult,
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EspJobResult {
    /// Not worked on yet.
    #[default]
    Pending,
    /// Sealed, or authentic and decrypted.
    Done,
    /// Too short or not a block multiple.
    BadLength,
    /// The ICV is wrong; the content is unspecified.
    NotAuthentic,
}

/// The transform of one SA in one direction. It works on whole batches so that an implementation may
/// interleave packets; the order of results is the order of jobs.
pub trait EspCipher: Send + Sync {
    /// Encrypts and authenticates each packet in place.
    fn seal(&self, batch: &mut [EspJob<'_>]);

    /// Verifies (in constant time) and decrypts each packet in place.
    fn open(&self, batch: &mut [EspJob<'_>]);
}

/// Which way the packets of an SA go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EspWay {
    /// From the peer.
    Open,
    /// To the peer.
    Seal,
}
