//! Certificates of the configuration: read from their files, and tried out.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use isthmus_core::SecretBytes;
use isthmus_crypto::KeyKind;
use isthmus_trust::{Authorities, CertificateFault, Own, OwnError, Policy, Usage, pem};
use zeroize::Zeroize;

use super::file::{PEM_BYTES_MAX, read_at_most};
use super::secret;
use super::section::{At, Section};
use super::tenant::TenantDraft;
use super::types::{Certificates, Ipsec, OwnCertificate};
use super::value;
use crate::report::{Report, Span};

/// Takes the certificate keys of `[ipsec]`; none when there is no certificate or a wrong one.
pub(crate) fn take(section: &mut Section, report: &mut Report) -> Option<Certificates> {
    let paths = || value::one_or_more(secret::path);
    let certificates = section.take("certificate_file", report, paths());
    let keys = section.take("key_file", report, paths());
    let authorities = authorities(section, report);
    let lists = section.take("crl_file", report, secret::path);
    let policy = policy(section, report);
    let (certificates, keys) = match (certificates, keys) {
        (Some(certificates), Some(keys)) => (certificates, keys),
        (None, None) => {
            let lonely = authorities.map(|at| at.span).or(lists.map(|at| at.span));
            if let Some(span) = lonely {
                let message = "authorities without a certificate of our own serve nobody";
                report.error(span, message, "set `certificate_file` and `key_file` in [ipsec]");
            }
            return None;
        }
        (Some(at), None) | (None, Some(at)) => {
            let message = "`certificate_file` and `key_file` belong together";
            report.error(at.span, message, "set both, or neither");
            return None;
        }
    };
    let own = all_own(&certificates, &keys, report)?;
    let lists = match lists {
        Some(at) => {
            let found = read(&at, pem::revocation_lists, "revocation list", report)?;
            usable(&[], &found, at.span, report)?;
            found
        }
        None => Vec::new(),
    };
    Some(Certificates {
        own,
        authorities: authorities.map(|at| at.value).unwrap_or_default(),
        revocation_lists: lists,
        policy,
    })
}

/// Our certificates: each has its key at the same place of the other list.
fn all_own(
    certificates: &At<Vec<At<PathBuf>>>,
    keys: &At<Vec<At<PathBuf>>>,
    report: &mut Report,
) -> Option<Vec<OwnCertificate>> {
    super::read::require_some(&certificates.value, certificates.span, "a certificate", report);
    if certificates.value.len() != keys.value.len() {
        let message = "there are not as many keys as certificates";
        report.error(keys.span, message, "name the key of each certificate, in the same order");
        return None;
    }
    let mut kinds = Vec::new();
    let mut all = Vec::new();
    for (certificate, key) in certificates.value.iter().zip(&keys.value) {
        let (own, kind) = own(certificate, key, report)?;
        if kinds.contains(&kind) {
            let message = "another certificate has a key of the same kind";
            let remedy = "keep one of each kind (RSA, P-256, P-384): clients choose by kind";
            report.error(certificate.span, message, remedy);
            return None;
        }
        kinds.push(kind);
        all.push(own);
    }
    (!all.is_empty()).then_some(all)
}

/// One of our certificates, tried out.
fn own(
    certificate: &At<PathBuf>,
    key: &At<PathBuf>,
    report: &mut Report,
) -> Option<(OwnCertificate, KeyKind)> {
    let chain = read(certificate, pem::certificates, "certificate", report)?;
    let key_der = private_key(key, report)?;
    let own = match Own::new(chain.clone(), key_der.expose()) {
        Ok(own) => own,
        Err(fault) => {
            let at =
                if matches!(fault, OwnError::Certificate(_)) { certificate.span } else { key.span };
            let remedy = "RSA of 2048 bits or more, P-256 and P-384 can be used; the key must not \
                          be encrypted";
            report.error(at, fault.to_string(), remedy);
            return None;
        }
    };
    // Nothing that a restart at the wrong time should keep those with pre-shared keys out for.
    if let Some(objection) = own.objection(SystemTime::now()) {
        let message = format!("clients will refuse our certificate: {objection}");
        let remedy = "get one that is valid now and for IPsec or for TLS servers, then reload";
        report.warning(certificate.span, message, remedy);
    }
    Some((OwnCertificate { chain, key: key_der }, own.signer.kind()))
}

/// Takes `ca_file`.
pub(crate) fn authorities(section: &mut Section, report: &mut Report) -> Option<At<Vec<Vec<u8>>>> {
    let at = section.take("ca_file", report, secret::path)?;
    let found = read(&at, pem::certificates, "certificate", report)?;
    usable(&found, &[], at.span, report)?;
    Some(At { span: at.span, value: found })
}

/// Reports authorities that lead nowhere or to two tenants, and certificates without authorities.
pub(crate) fn lead_somewhere(ipsec: &Ipsec, drafts: &[TenantDraft], report: &mut Report) {
    let named: Vec<_> = drafts.iter().filter_map(|d| d.authorities.as_ref()).collect();
    let Some(own) = &ipsec.certificates else {
        if let (Some(at), false) = (named.first(), report.has_errors()) {
            let message = "authorities without a certificate of our own serve nobody";
            report.error(at.span, message, "set `certificate_file` and `key_file` in [ipsec]");
        }
        return;
    };
    if own.authorities.is_empty() && named.is_empty() && !report.has_errors() {
        let message = "there is a certificate but no authority, so no client can use one";
        report.error(None, message, "set `ca_file` in [ipsec] or in a tenant");
    }
    if let (false, Some(second)) = (own.authorities.is_empty(), drafts.get(1)) {
        let message = "with several tenants, `ca_file` in [ipsec] does not say which is meant";
        report.error(second.name.span, message, "move it to the tenants");
    }
    let shared = |at: &&At<Vec<Vec<u8>>>| at.value.iter().any(|der| own.authorities.contains(der));
    for at in named.iter().filter(|at| drafts.len() > 1 && shared(at)) {
        let message = "this authority leads to another tenant already";
        report.error(at.span, message, "take `ca_file` out of [ipsec]");
    }
}

fn policy(section: &mut Section, report: &mut Report) -> Policy {
    const USAGES: [(&str, Usage); 3] =
        [("ipsec", Usage::IpsecIke), ("client", Usage::ClientAuth), ("server", Usage::ServerAuth)];
    let mut policy = Policy::default();
    let written = value::list(value::one_of(&USAGES));
    if let Some(usages) = section.take("certificate_usages", report, written) {
        policy.usages = super::read::distinct(&usages, report);
        policy.usage_required = true;
        super::read::require_some(&policy.usages, usages.span, "a usage", report);
    }
    if let Some(names) = section.take("certificate_names", report, value::boolean) {
        policy.name_required = names.value;
    }
    policy
}

fn read<P: AsRef<Path>>(
    at: &At<P>,
    parse: fn(&[u8]) -> Vec<Vec<u8>>,
    what: &str,
    report: &mut Report,
) -> Option<Vec<Vec<u8>>> {
    let path = at.value.as_ref();
    let bytes = contents(path, at.span, report)?;
    let found = parse(&bytes);
    if found.is_empty() {
        let message = format!("there is no {what} in `{}`", path.display());
        report.error(at.span, message, "put it there as PEM");
        return None;
    }
    Some(found)
}

fn private_key<P: AsRef<Path>>(at: &At<P>, report: &mut Report) -> Option<SecretBytes> {
    let path = at.value.as_ref();
    let mut bytes = contents(path, at.span, report)?;
    secret::warn_when_open(path, "it holds a private key", at.span, report);
    let key = pem::private_key(&bytes).map(SecretBytes::new);
    bytes.zeroize();
    if key.is_none() {
        let message = format!("there is no private key in `{}`", path.display());
        report.error(at.span, message, "put it there as PEM, not encrypted");
    }
    key
}

fn contents(path: &Path, at: Span, report: &mut Report) -> Option<Vec<u8>> {
    match read_at_most(path, PEM_BYTES_MAX) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", path.display());
            report.error(at, message, "check the name and the permissions");
            None
        }
    }
}

fn usable(authorities: &[Vec<u8>], lists: &[Vec<u8>], at: Span, report: &mut Report) -> Option<()> {
    let numbered: Vec<_> = (0..).zip(authorities.iter().cloned()).collect();
    let message = match Authorities::new(&numbered, lists, Policy::default()) {
        Ok(_) => return Some(()),
        Err(CertificateFault::Authority) => "the certificate of an authority cannot be read",
        Err(CertificateFault::RevocationList) => "the revocation list cannot be read",
    };
    report.error(at, message, "write it again as PEM");
    None
}
