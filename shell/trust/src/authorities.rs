//! Judges certificates of peers.

use std::fmt;

use isthmus_crypto::{Claim, ClaimedName, Trust, Untrusted, Verified};
use isthmus_crypto_aws::PublicKey;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, Error,
    ExtendedKeyUsageValidator, KeyPurposeIdIter, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, anchor_from_trusted_cert,
};

use crate::names;

/// What certificates must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Uses of which a certificate must name one, if it names any.
    pub usages: Vec<Usage>,
    /// A certificate that names no use is refused.
    pub usage_required: bool,
    /// The name that a peer goes by must be in its certificate.
    pub name_required: bool,
}

impl Default for Policy {
    fn default() -> Self {
        let usages = vec![Usage::IpsecIke, Usage::ClientAuth, Usage::ServerAuth];
        Self { usages, usage_required: false, name_required: true }
    }
}

/// A use of a certificate (RFC 5280 §4.2.1.12, RFC 4945 §5.1.3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// TLS client: what most certificates of users are for.
    ClientAuth,
    /// IKE.
    IpsecIke,
    /// TLS server: what certificates of public authorities are for.
    ServerAuth,
}

impl Usage {
    const fn oid(self) -> &'static [usize] {
        match self {
            Self::ServerAuth => &[1, 3, 6, 1, 5, 5, 7, 3, 1],
            Self::ClientAuth => &[1, 3, 6, 1, 5, 5, 7, 3, 2],
            Self::IpsecIke => &[1, 3, 6, 1, 5, 5, 7, 3, 17],
        }
    }
}

/// Why a certificate or list of the configuration cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// The certificate of an authority cannot be read.
    Authority,
    /// The revocation list cannot be read.
    RevocationList,
}

/// Everything that is believed, and judges by it.
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// Of each anchor, the number that the configuration gave it.
    numbers: Vec<u32>,
    names: Vec<Vec<u8>>,
    lists: Vec<CertRevocationList<'static>>,
    policy: Policy,
    clock: fn() -> UnixTime,
}

impl Authorities {
    /// Authorities by number and certificate, and revocation lists, all DER.
    ///
    /// # Errors
    /// The first of them that cannot be read.
    pub fn new(
        authorities: &[(u32, Vec<u8>)],
        lists: &[Vec<u8>],
        policy: Policy,
    ) -> Result<Self, CertificateFault> {
        let mut new = Self {
            anchors: Vec::new(),
            numbers: Vec::new(),
            names: Vec::new(),
            lists: Vec::new(),
            policy,
            clock: UnixTime::now,
        };
        for (number, der) in authorities {
            let der = CertificateDer::from(der.as_slice());
            let anchor = anchor_from_trusted_cert(&der).map_err(|_| CertificateFault::Authority)?;
            let read = names::read(&der).map_err(|_| CertificateFault::Authority)?;
            new.names.push(read.subject().as_raw().to_vec());
            new.anchors.push(anchor.to_owned());
            new.numbers.push(*number);
        }
        for der in lists {
            let list = BorrowedCertRevocationList::from_der(der);
            let list = list.and_then(|list| list.to_owned());
            new.lists.push(list.map_err(|_| CertificateFault::RevocationList)?.into());
        }
        Ok(new)
    }

    /// The same with another clock; tests stand still.
    #[must_use]
    pub const fn with_clock(mut self, clock: fn() -> UnixTime) -> Self {
        self.clock = clock;
        self
    }

    /// The number of the authority at the end of a good path.
    fn path(&self, end: &EndEntityCert<'_>, rest: &[Vec<u8>]) -> Result<u32, Untrusted> {
        let between: Vec<CertificateDer<'_>> =
            rest.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        // An authority without a list revokes nothing; a list that is old still revokes what is on it.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .build()
        });
        let (now, usage) = ((self.clock)(), UsageRule(&self.policy));
        let path = end
            .verify_for_usage(ALGORITHMS, &self.anchors, &between, now, usage, revocation, None)
            .map_err(|error| fault(&error))?;
        let anchor = path.anchor();
        let same = |other: &TrustAnchor<'_>| {
            other.subject == anchor.subject
                && other.subject_public_key_info == anchor.subject_public_key_info
        };
        let index = self.anchors.iter().position(same);
        index.and_then(|index| self.numbers.get(index).copied()).ok_or(Untrusted::UnknownAuthority)
    }
}

impl Trust for Authorities {
    fn authorities(&self) -> &[Vec<u8>] {
        &self.names
    }

    fn judge(&self, claim: &Claim) -> Result<Verified, Untrusted> {
        let Some((own, rest)) = claim.chain.split_first() else {
            return Err(Untrusted::NoCertificate);
        };
        if claim.chain.len() > CHAIN_MAX {
            return Err(Untrusted::BadCertificate);
        }
        // Cheap things first: reading, then the one signature that shows the peer has the key.
        let read = names::read(own)?;
        let key = PublicKey::from_spki(read.public_key().raw)?;
        if key.kind() != claim.kind {
            return Err(Untrusted::BadSignature);
        }
        key.verify(&claim.digest, &claim.signature)?;
        let der = CertificateDer::from(own.as_slice());
        let end = EndEntityCert::try_from(&der).map_err(|error| fault(&error))?;
        let authority = self.path(&end, rest)?;
        let nameless = matches!(claim.name, ClaimedName::Other);
        if (self.policy.name_required || nameless) && !names::bears(&read, &claim.name) {
            return Err(Untrusted::NameMismatch);
        }
        if claim.wanted.as_ref().is_some_and(|wanted| !names::bears(&read, wanted)) {
            return Err(Untrusted::NameMismatch);
        }
        Ok(Verified { authority, subject: names::printed(&read) })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("authorities", &self.anchors.len())
            .field("lists", &self.lists.len())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Asks for one of the uses of the policy.
struct UsageRule<'a>(&'a Policy);

impl ExtendedKeyUsageValidator for UsageRule<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut named = false;
        for purpose in purposes {
            let oid = purpose?.to_decoded_oid();
            named = true;
            let wanted = self.0.usages.iter().any(|usage| usage.oid() == oid);
            if wanted || oid == ANY_USAGE {
                return Ok(());
            }
        }
        if named || self.0.usage_required { Err(Error::EmptyEkuExtension) } else { Ok(()) }
    }
}

/// What a fault in the path says to people.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "open enum: what is not named here is malformed"
)]
fn fault(error: &Error) -> Untrusted {
    match error {
        Error::CertExpired { .. } => Untrusted::Expired,
        Error::CertNotValidYet { .. } => Untrusted::NotYetValid,
        Error::CertRevoked => Untrusted::Revoked,
        Error::EmptyEkuExtension
        | Error::RequiredEkuNotFoundContext(_)
        | Error::CaUsedAsEndEntity
        | Error::EndEntityUsedAsCa => Untrusted::WrongUsage,
        Error::UnsupportedSignatureAlgorithmContext(about)
            if is_broken(&about.signature_algorithm_id) =>
        {
            Untrusted::BrokenHash
        }
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Untrusted::Weak,
        Error::InvalidSignatureForPublicKey
        | Error::MaximumPathDepthExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumSignatureChecksExceeded
        | Error::NameConstraintViolation
        | Error::PathLenConstraintViolated
        | Error::UnknownIssuer => Untrusted::UnknownAuthority,
        _ => Untrusted::BadCertificate,
    }
}

/// Whether certificates signed like this can be forged: the algorithm begins with its object identifier.
fn is_broken(algorithm: &[u8]) -> bool {
    BROKEN.iter().any(|identifier| algorithm.starts_with(identifier))
}

/// `md5WithRSAEncryption`, `sha1WithRSAEncryption`, the same of OIW, and `ecdsa-with-SHA1`, DER.
const BROKEN: [&[u8]; 4] = [
    &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4],
    &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5],
    &[6, 5, 0x2b, 0x0e, 3, 2, 29],
    &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1],
];
/// RSA of 2048 bits or more and the NIST curves, none with SHA-1.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
    webpki::aws_lc_rs::ECDSA_P256_SHA384,
    webpki::aws_lc_rs::ECDSA_P384_SHA256,
    webpki::aws_lc_rs::ECDSA_P384_SHA384,
    webpki::aws_lc_rs::ECDSA_P521_SHA512,
    webpki::aws_lc_rs::ED25519,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA384,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA512,
    webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];
/// `anyExtendedKeyUsage`.
const ANY_USAGE: &[usize] = &[2, 5, 29, 37, 0];
/// Most certificates taken from a peer.
pub const CHAIN_MAX: usize = 6;
