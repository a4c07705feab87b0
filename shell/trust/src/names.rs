//! Names in certificates: does one bear the name that a peer goes by?

use isthmus_crypto::{ClaimedName, Untrusted};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Reads a certificate that fills `der`.
pub(crate) fn read(der: &[u8]) -> Result<X509Certificate<'_>, Untrusted> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(Untrusted::BadCertificate),
    }
}

/// Whether the certificate bears the name: as its subject, or among its alternative names.
pub(crate) fn bears(certificate: &X509Certificate<'_>, name: &ClaimedName) -> bool {
    if let ClaimedName::DistinguishedName(wanted) = name {
        return certificate.subject().as_raw() == wanted.as_slice() && !wanted.is_empty();
    }
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return false };
    alternatives.value.general_names.iter().any(|alternative| match (alternative, name) {
        (GeneralName::DNSName(text), ClaimedName::Domain(wanted)) => {
            text.as_bytes().eq_ignore_ascii_case(wanted)
        }
        (GeneralName::RFC822Name(text), ClaimedName::Email(wanted)) => same_email(text, wanted),
        (GeneralName::IPAddress(address), ClaimedName::Address(wanted)) => *address == wanted,
        _ => false,
    })
}

/// The domain of a mail address knows no case, the part before it does.
fn same_email(text: &str, wanted: &[u8]) -> bool {
    let Some((user, domain)) = text.rsplit_once('@') else { return false };
    let Some(at) = wanted.iter().rposition(|byte| *byte == b'@') else { return false };
    let (wanted_user, wanted_domain) = wanted.split_at(at);
    let wanted_domain = wanted_domain.get(1..).unwrap_or_default();
    user.as_bytes() == wanted_user && domain.as_bytes().eq_ignore_ascii_case(wanted_domain)
}

/// The subject for people: printable, cut.
pub(crate) fn printed(certificate: &X509Certificate<'_>) -> String {
    let text = certificate.subject().to_string();
    let safe = text.chars().take(SUBJECT_PRINTED_MAX).flat_map(char::escape_default);
    safe.collect()
}

/// Most characters of a subject that are shown.
const SUBJECT_PRINTED_MAX: usize = 96;
