//! Our certificate and its key.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use isthmus_crypto::{Signer, Untrusted};
use isthmus_crypto_aws::PrivateKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;

use crate::names;

/// Our certificate and its key.
#[derive(Clone, Debug)]
pub struct Own {
    /// Signs as we are.
    pub signer: Arc<dyn Signer>,
    /// Our certificate, DER, and those that lead to its authority.
    pub chain: Vec<Vec<u8>>,
    /// The subject of our certificate: who we are to peers, DER.
    pub subject: Vec<u8>,
}

/// Why a certificate and a key are not ours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnError {
    /// The certificate cannot be read or used.
    Certificate(Untrusted),
    /// The key cannot be read or used.
    Key(Untrusted),
    /// The key is that of another certificate.
    Mismatch,
    /// There is no certificate.
    NoCertificate,
}

impl Own {
    /// Joins a certificate and a private key, both DER.
    ///
    /// # Errors
    /// One of them cannot be used, or they do not belong together.
    pub fn new(chain: Vec<Vec<u8>>, key: &[u8]) -> Result<Self, OwnError> {
        let certificate = chain.first().ok_or(OwnError::NoCertificate)?;
        let read = names::read(certificate).map_err(OwnError::Certificate)?;
        let subject = read.subject().as_raw().to_vec();
        let key = PrivateKey::from_der(key).map_err(OwnError::Key)?;
        if !key.belongs_to(read.public_key().raw) {
            return Err(OwnError::Mismatch);
        }
        Ok(Self { signer: Arc::new(key), subject, chain })
    }

    /// What peers object to in our certificates at this time, whomever they trust: their times, or the
    /// use of the first.
    pub fn objection(&self, now: SystemTime) -> Option<Untrusted> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        for (index, der) in self.chain.iter().enumerate() {
            let Ok(read) = names::read(der) else { return Some(Untrusted::BadCertificate) };
            let validity = read.validity();
            if now < validity.not_before.timestamp() {
                return Some(Untrusted::NotYetValid);
            }
            if now > validity.not_after.timestamp() {
                return Some(Untrusted::Expired);
            }
            if index == 0 && !is_for_ipsec(&read) {
                return Some(Untrusted::WrongUsage);
            }
        }
        None
    }
}

/// Whether a certificate names a use that clients take for IPsec, or none.
fn is_for_ipsec(certificate: &X509Certificate<'_>) -> bool {
    let Ok(usages) = certificate.extended_key_usage() else { return false };
    usages.is_none_or(|usages| {
        let usages = usages.value;
        let ike = |oid: &Oid<'_>| oid.as_bytes() == IPSEC_IKE;
        usages.any || usages.server_auth || usages.other.iter().any(ike)
    })
}

/// `id-kp-ipsecIKE` (RFC 4945 §5.1.3.12), without its header.
const IPSEC_IKE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 17];

impl fmt::Display for OwnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(why) => write!(f, "our certificate is unusable: {why}"),
            Self::Key(Untrusted::Weak) => f.write_str("the private key is too small"),
            Self::Key(_) => {
                f.write_str("the private key cannot be read; it must be RSA, P-256 or P-384")
            }
            Self::Mismatch => f.write_str("the private key is not that of the certificate"),
            Self::NoCertificate => f.write_str("there is no certificate"),
        }
    }
}

impl std::error::Error for OwnError {}
