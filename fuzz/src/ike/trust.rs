//! Certificates that are nothing but a name. A signature is the digest itself: only who did the key
//! exchange has that, so a stranger cannot sign, and the fuzzer can where it knows every HMAC.

use std::sync::Arc;

use isthmus_crypto::{
    Claim, ClaimedName, CryptoError, KeyKind, Signer, Trust, Untrusted, Verified,
};
use isthmus_ike::{Certificates, OwnCertificate, PskId};

/// Of two kinds, and an authority that believes every name which does not begin with an x.
pub(super) fn certificates() -> Certificates {
    let own = [KeyKind::Rsa, KeyKind::EcdsaP256].map(|kind| OwnCertificate {
        signer: Arc::new(Bare(kind)),
        chain: vec![b"gateway".to_vec(), b"between".to_vec()],
        subject: b"gateway".to_vec(),
    });
    let trust = Arc::new(Names { authorities: vec![b"authority".to_vec()] });
    Certificates { own: own.to_vec(), trust, serves: true }
}

#[derive(Debug)]
struct Bare(KeyKind);

impl Signer for Bare {
    fn kind(&self) -> KeyKind {
        self.0
    }

    fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(digest.to_vec())
    }
}

#[derive(Debug)]
struct Names {
    authorities: Vec<Vec<u8>>,
}

impl Trust for Names {
    fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    fn judge(&self, claim: &Claim) -> Result<Verified, Untrusted> {
        let own = claim.chain.first().ok_or(Untrusted::NoCertificate)?;
        let named = match &claim.name {
            ClaimedName::Address(name)
            | ClaimedName::DistinguishedName(name)
            | ClaimedName::Domain(name)
            | ClaimedName::Email(name) => name == own,
            ClaimedName::Other => false,
        };
        match own.first() {
            None => Err(Untrusted::BadCertificate),
            Some(b'x') => Err(Untrusted::Expired),
            Some(_) if claim.signature != claim.digest => Err(Untrusted::BadSignature),
            Some(_) if !named => Err(Untrusted::NameMismatch),
            Some(_) => Ok(Verified { authority: AUTHORITY.0, subject: String::from("somebody") }),
        }
    }
}

/// The number of the authority.
pub(super) const AUTHORITY: PskId = PskId(70);
