//! Files with certificates, keys and revocation lists: PEM with any number of them, or one in DER.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// The certificates in a file.
pub fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    if is_der(bytes) {
        return vec![bytes.to_vec()];
    }
    CertificateDer::pem_slice_iter(bytes).filter_map(|item| item.ok().map(|c| c.to_vec())).collect()
}

/// The revocation lists in a file.
pub fn revocation_lists(bytes: &[u8]) -> Vec<Vec<u8>> {
    if is_der(bytes) {
        return vec![bytes.to_vec()];
    }
    CertificateRevocationListDer::pem_slice_iter(bytes)
        .filter_map(|item| item.ok().map(|list| list.to_vec()))
        .collect()
}

/// The first private key in a file.
pub fn private_key(bytes: &[u8]) -> Option<Vec<u8>> {
    if is_der(bytes) {
        return Some(bytes.to_vec());
    }
    PrivateKeyDer::from_pem_slice(bytes).ok().map(|key| key.secret_der().to_vec())
}

/// DER of all three begins with a SEQUENCE of more than 127 bytes; PEM begins with text.
fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, length, ..] if *length >= 0x80)
}
