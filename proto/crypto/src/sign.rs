//! Signatures and certificates: who signs for us, and who judges what a peer sends.
//!
//! Certificates are opaque here. What a path is, which names an end may bear and what is revoked is
//! known to the implementation of [`Trust`], which has the certificates of authorities and the clock.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{CryptoError, HashAlg};

/// A kind of key, which is also a way of signing in IKEv1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA on P-256 (RFC 4754); the signature is r and s, 32 bytes each.
    EcdsaP256,
    /// ECDSA on P-384 (RFC 4754); the signature is r and s, 48 bytes each.
    EcdsaP384,
    /// RSA with PKCS#1 v1.5 padding around the bare digest (RFC 2409 §5.1).
    Rsa,
}

impl KeyKind {
    /// The hash that the kind is tied to; RSA signs whatever hash was negotiated.
    pub const fn hash(self) -> Option<HashAlg> {
        match self {
            Self::EcdsaP256 => Some(HashAlg::Sha256),
            Self::EcdsaP384 => Some(HashAlg::Sha384),
            Self::Rsa => None,
        }
    }
}

/// Holds our private key. Signing is slow: machines ask for it with [`crate::Job::Sign`].
pub trait Signer: Send + Sync + fmt::Debug {
    /// The kind of key.
    fn kind(&self) -> KeyKind;

    /// Signs a digest as it is, without hashing it again.
    ///
    /// # Errors
    /// [`CryptoError::BadLength`] when the digest does not fit the key.
    fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// What a peer says about itself, and the signature that is to prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Certificates as received, DER; the first is the peer's own.
    pub chain: Vec<Vec<u8>>,
    /// How it signed.
    pub kind: KeyKind,
    /// What it signed.
    pub digest: Vec<u8>,
    /// Its signature.
    pub signature: Vec<u8>,
    /// Who it says it is.
    pub name: ClaimedName,
    /// Who it must be besides: the server that was dialled.
    pub wanted: Option<ClaimedName>,
}

/// A name in the forms that certificates know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimedName {
    /// An IPv4 or IPv6 address, 4 or 16 bytes.
    Address(Vec<u8>),
    /// A distinguished name, DER.
    DistinguishedName(Vec<u8>),
    /// A domain name.
    Domain(Vec<u8>),
    /// A user at a domain.
    Email(Vec<u8>),
    /// Any other form; no certificate can bear it.
    Other,
}

/// A peer that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of the authority at the end of its path, as the configuration counts them.
    pub authority: u32,
    /// The subject of its certificate, for people; escaped and cut.
    pub subject: String,
}

/// Why a peer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Untrusted {
    /// A certificate or key cannot be read.
    BadCertificate,
    /// The signature is not one of the certificate's key over this exchange.
    BadSignature,
    /// A certificate is signed with a hash for which others can be found, such as SHA-1.
    BrokenHash,
    /// The time of the certificate or of one above it is over.
    Expired,
    /// The certificate does not bear the name that the peer goes by.
    NameMismatch,
    /// There is no certificate.
    NoCertificate,
    /// The time of the certificate or of one above it has not come.
    NotYetValid,
    /// The certificate is on a revocation list.
    Revoked,
    /// No path to an authority that we trust.
    UnknownAuthority,
    /// The certificate is for another use.
    WrongUsage,
    /// A key is too small, or a certificate is signed by an algorithm that is not taken.
    Weak,
}

impl Untrusted {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadCertificate => "bad_certificate",
            Self::BadSignature => "bad_signature",
            Self::BrokenHash => "broken_hash",
            Self::Expired => "expired",
            Self::NameMismatch => "name_mismatch",
            Self::NoCertificate => "no_certificate",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::UnknownAuthority => "unknown_authority",
            Self::WrongUsage => "wrong_usage",
            Self::Weak => "weak",
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadCertificate => "the certificate cannot be read",
            Self::BadSignature => "the signature is wrong",
            Self::BrokenHash => "a certificate is signed with SHA-1 or MD5, which are broken",
            Self::Expired => "the certificate has expired",
            Self::NameMismatch => "the certificate does not bear the name the peer goes by",
            Self::NoCertificate => "there is no certificate",
            Self::NotYetValid => "the certificate is not valid yet",
            Self::Revoked => "the certificate is revoked",
            Self::UnknownAuthority => "the certificate is from an unknown authority",
            Self::WrongUsage => "the certificate is not for IPsec",
            Self::Weak => "the key or signature of a certificate is too weak",
        })
    }
}

impl core::error::Error for Untrusted {}

/// Knows which certificates to believe. Judging is slow: machines ask for it with
/// [`crate::Job::Verify`].
pub trait Trust: Send + Sync + fmt::Debug {
    /// Names of the authorities, DER, in the order of the configuration.
    fn authorities(&self) -> &[Vec<u8>];

    /// Judges a claim: path, times, revocation, usage, key, signature and name.
    ///
    /// # Errors
    /// Why the peer is not believed.
    fn judge(&self, claim: &Claim) -> Result<Verified, Untrusted>;
}
