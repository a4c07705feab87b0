//! Our certificate and its key.

use std::fmt;
use std::sync::Arc;

use isthmus_crypto::{Signer, Untrusted};
use isthmus_crypto_aws::PrivateKey;

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
}

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
