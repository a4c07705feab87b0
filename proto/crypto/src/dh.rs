//! Diffie-Hellman groups and the slow jobs on them.

use alloc::vec::Vec;

use isthmus_core::{SecretBytes, Seed};
use serde::{Deserialize, Serialize};

use crate::CryptoError;

/// A Diffie-Hellman group by its IKE name (IANA "Group Description" / "Transform Type 4").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DhGroup {
    /// Group 19 (RFC 5903).
    Ecp256,
    /// Group 20 (RFC 5903).
    Ecp384,
    /// Group 2 (RFC 2409); behind the legacy switch.
    Modp1024,
    /// Group 5 (RFC 3526); behind the legacy switch.
    Modp1536,
    /// Group 14 (RFC 3526).
    Modp2048,
    /// Group 15 (RFC 3526).
    Modp3072,
    /// Group 16 (RFC 3526).
    Modp4096,
}

impl DhGroup {
    /// IANA number.
    pub const fn number(self) -> u16 {
        match self {
            Self::Modp1024 => 2,
            Self::Modp1536 => 5,
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::Modp4096 => 16,
            Self::Ecp256 => 19,
            Self::Ecp384 => 20,
        }
    }

    /// The group with this IANA number, if we know it.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            2 => Some(Self::Modp1024),
            5 => Some(Self::Modp1536),
            14 => Some(Self::Modp2048),
            15 => Some(Self::Modp3072),
            16 => Some(Self::Modp4096),
            19 => Some(Self::Ecp256),
            20 => Some(Self::Ecp384),
            _ => None,
        }
    }

    /// Length in bytes of a public value on the wire: the prime's length, or x and y (RFC 5903 §7).
    pub const fn public_len(self) -> usize {
        match self {
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
            Self::Modp1024 => 128,
            Self::Modp1536 => 192,
            Self::Modp2048 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
        }
    }

    /// Whether the group is allowed only behind the legacy switch.
    pub const fn is_legacy(self) -> bool {
        matches!(self, Self::Modp1024 | Self::Modp1536)
    }
}

/// A private value; opaque to everyone but the provider that made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DhPrivate(pub SecretBytes);

/// A fresh key pair.
#[derive(Clone, Debug)]
pub struct DhKeyPair {
    /// Ours to keep.
    pub private: DhPrivate,
    /// For the KE payload; exactly [`DhGroup::public_len`] bytes.
    pub public: Vec<u8>,
}

/// Slow arithmetic that a machine wants done elsewhere.
#[derive(Clone, Debug)]
pub enum DhJob {
    /// Make a key pair; the private value follows from the seed alone.
    Generate {
        /// The group.
        group: DhGroup,
        /// Randomness from the machine.
        seed: Seed,
    },
    /// Make a key pair and agree at once: what a responder needs.
    GenerateAndAgree {
        /// The group.
        group: DhGroup,
        /// Randomness from the machine.
        seed: Seed,
        /// The peer's share as received.
        peer: Vec<u8>,
    },
    /// Agree with a key pair made before.
    Agree {
        /// The group.
        group: DhGroup,
        /// Ours.
        private: DhPrivate,
        /// The peer's share as received.
        peer: Vec<u8>,
    },
}

/// What came of a [`DhJob`].
#[derive(Clone, Debug)]
pub enum DhOutput {
    /// Of `Generate`.
    KeyPair(DhKeyPair),
    /// Of `GenerateAndAgree`.
    Both(DhKeyPair, SecretBytes),
    /// Of `Agree`: for MODP the value padded to the prime's length, for ECP the x coordinate only.
    Shared(SecretBytes),
}

impl DhOutput {
    /// The key pair of a `Generate`.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] when it is of another kind of job.
    pub fn key_pair(self) -> Result<DhKeyPair, CryptoError> {
        match self {
            Self::KeyPair(pair) => Ok(pair),
            Self::Both(..) | Self::Shared(_) => Err(CryptoError::Unsupported),
        }
    }

    /// The key pair and the secret of a `GenerateAndAgree`.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] when it is of another kind of job.
    pub fn both(self) -> Result<(DhKeyPair, SecretBytes), CryptoError> {
        match self {
            Self::Both(pair, shared) => Ok((pair, shared)),
            Self::KeyPair(_) | Self::Shared(_) => Err(CryptoError::Unsupported),
        }
    }

    /// The secret of an `Agree`.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] when it is of another kind of job.
    pub fn shared(self) -> Result<SecretBytes, CryptoError> {
        match self {
            Self::Shared(shared) => Ok(shared),
            Self::KeyPair(_) | Self::Both(..) => Err(CryptoError::Unsupported),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_that_of_one_kind_of_job() {
        let secret = || SecretBytes::copy_of(b"secret");
        let pair = || DhKeyPair { private: DhPrivate(secret()), public: Vec::from(*b"public") };
        let outputs = || {
            [
                DhOutput::KeyPair(pair()),
                DhOutput::Both(pair(), secret()),
                DhOutput::Shared(secret()),
            ]
        };
        assert_eq!(outputs().map(|o| o.key_pair().map(drop)), only(0));
        assert_eq!(outputs().map(|o| o.both().map(drop)), only(1));
        assert_eq!(outputs().map(|o| o.shared().map(drop)), only(2));
    }

    fn only(good: usize) -> [Result<(), CryptoError>; 3] {
        core::array::from_fn(|i| if i == good { Ok(()) } else { Err(CryptoError::Unsupported) })
    }
}
