//! Claims that are believed, and every way not to be.

use isthmus_crypto::{Claim, ClaimedName, HashAlg, KeyKind, Signer, Trust, Untrusted};
use isthmus_crypto_aws::PrivateKey;
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use crate::{Authorities, CHAIN_MAX, CertificateFault, Own, OwnError, Policy, Usage, names, pem};

/// An authority, and what it can issue.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2060, 1, 1);
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn ca(name: &str) -> Ca {
    let (params, key) = (ca_params(name), key());
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Ca { issuer: Issuer::new(params, key), der }
}

impl Ca {
    fn below(&self, name: &str) -> Ca {
        let (params, key) = (ca_params(name), key());
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Ca { issuer: Issuer::new(params, key), der }
    }

    fn issue(&self, params: &CertificateParams) -> End {
        let key = key();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        End { der, key }
    }
}

/// A certificate of somebody, and the key.
struct End {
    der: Vec<u8>,
    key: KeyPair,
}

impl End {
    fn claim(&self) -> Claim {
        let digest = vec![0x33; 32];
        let private = PrivateKey::from_der(&self.key.serialize_der()).unwrap();
        let subject = names::read(&self.der).unwrap().subject().as_raw().to_vec();
        Claim {
            chain: vec![self.der.clone()],
            kind: KeyKind::EcdsaP256,
            signature: private.sign(&digest).unwrap(),
            digest,
            name: ClaimedName::DistinguishedName(subject),
            wanted: None,
        }
    }
}

fn trust(ca: &Ca) -> Authorities {
    Authorities::new(&[(5, ca.der.clone())], &[], Policy::default()).unwrap()
}

#[track_caller]
fn refused(trust: &Authorities, claim: &Claim) -> Untrusted {
    trust.judge(claim).expect_err("believed")
}

#[test]
fn a_certificate_of_an_authority_is_believed_and_named() {
    let (first, second) = (ca("first"), ca("second"));
    let all = [(5, first.der.clone()), (9, second.der.clone())];
    let trust = Authorities::new(&all, &[], Policy::default()).unwrap();
    let verified = trust.judge(&second.issue(&params("alice")).claim()).unwrap();
    assert_eq!((verified.authority, verified.subject.as_str()), (9, "CN=alice"));
    assert_eq!(trust.authorities().len(), 2);
    let own = names::read(&first.der).unwrap().subject().as_raw().to_vec();
    assert_eq!(trust.authorities()[0], own);
}

#[test]
fn a_path_leads_over_what_the_peer_sends_and_no_longer_than_the_bound() {
    let root = ca("root");
    let middle = root.below("middle");
    let mut claim = middle.issue(&params("alice")).claim();
    assert_eq!(refused(&trust(&root), &claim), Untrusted::UnknownAuthority);
    claim.chain.push(middle.der.clone());
    assert!(trust(&root).judge(&claim).is_ok());
    while claim.chain.len() < CHAIN_MAX {
        claim.chain.push(ca("noise").der);
    }
    assert!(trust(&root).judge(&claim).is_ok());
    claim.chain.push(ca("noise").der);
    assert_eq!(refused(&trust(&root), &claim), Untrusted::BadCertificate);
    claim.chain.clear();
    assert_eq!(refused(&trust(&root), &claim), Untrusted::NoCertificate);
}

#[test]
fn other_authorities_forged_signatures_and_other_kinds_are_refused() {
    let (ours, theirs) = (ca("root"), ca("root"));
    let claim = theirs.issue(&params("alice")).claim();
    assert_eq!(refused(&trust(&ours), &claim), Untrusted::UnknownAuthority);
    let good = ours.issue(&params("alice")).claim();
    let mut forged = good.clone();
    forged.signature[3] ^= 1;
    assert_eq!(refused(&trust(&ours), &forged), Untrusted::BadSignature);
    let mut other = good.clone();
    other.digest[0] ^= 1;
    assert_eq!(refused(&trust(&ours), &other), Untrusted::BadSignature);
    let other = Claim { kind: KeyKind::Rsa, ..good };
    assert_eq!(refused(&trust(&ours), &other), Untrusted::BadSignature);
    // Somebody's true certificate with the signature of another key.
    let mut stolen = ours.issue(&params("alice")).claim();
    stolen.chain = vec![ours.issue(&params("bob")).der];
    assert_eq!(refused(&trust(&ours), &stolen), Untrusted::BadSignature);
}

#[test]
fn times_are_kept() {
    let ca = ca("root");
    let mut old = params("alice");
    old.not_after = date_time_ymd(2021, 1, 1);
    assert_eq!(refused(&trust(&ca), &ca.issue(&old).claim()), Untrusted::Expired);
    let mut young = params("alice");
    young.not_before = date_time_ymd(2059, 1, 1);
    assert_eq!(refused(&trust(&ca), &ca.issue(&young).claim()), Untrusted::NotYetValid);
    let later = || {
        rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_hours(
            24 * 365 * 100,
        ))
    };
    let claim = ca.issue(&params("alice")).claim();
    assert_eq!(refused(&trust(&ca).with_clock(later), &claim), Untrusted::Expired);
}

#[test]
fn a_revoked_certificate_is_refused_whoever_says_where_a_list_is() {
    let ca = ca("root");
    let mut gone = params("alice");
    gone.serial_number = Some(SerialNumber::from(77u64));
    // A place to fetch lists from is in the certificate; nobody looks there.
    gone.crl_distribution_points =
        vec![rcgen::CrlDistributionPoint { uris: vec!["http://192.0.2.9/evil.crl".to_owned()] }];
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2021, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(77u64),
            revocation_time: date_time_ymd(2020, 6, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&ca.issuer).unwrap().der().to_vec();
    let believing = trust(&ca);
    assert!(believing.judge(&ca.issue(&gone).claim()).is_ok(), "no list, nothing fetched");
    let numbered = [(5, ca.der.clone())];
    let trust = Authorities::new(&numbered, &[list], Policy::default()).unwrap();
    // The list is old, and still revokes.
    assert_eq!(refused(&trust, &ca.issue(&gone).claim()), Untrusted::Revoked);
    assert!(trust.judge(&ca.issue(&params("bob")).claim()).is_ok());
}

#[test]
fn usages_are_asked_for_as_the_policy_says() {
    let ca = ca("root");
    let with = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = params("alice");
        params.extended_key_usages = usages.to_vec();
        ca.issue(&params).claim()
    };
    let policy = |usages: &[Usage], usage_required| {
        let policy = Policy { usages: usages.to_vec(), usage_required, ..Policy::default() };
        Authorities::new(&[(5, ca.der.clone())], &[], policy).unwrap()
    };
    let ike = ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]);
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    let mail = ExtendedKeyUsagePurpose::EmailProtection;
    let any = ExtendedKeyUsagePurpose::Any;
    let default = trust(&ca);
    for good in [
        vec![],
        vec![ike.clone()],
        vec![client.clone()],
        vec![mail.clone(), client.clone()],
        vec![any],
    ] {
        assert!(default.judge(&with(&good)).is_ok(), "{good:?}");
    }
    assert_eq!(refused(&default, &with(&[mail])), Untrusted::WrongUsage);
    let strict = policy(&[Usage::IpsecIke], true);
    assert!(strict.judge(&with(&[ike])).is_ok());
    assert_eq!(refused(&strict, &with(std::slice::from_ref(&client))), Untrusted::WrongUsage);
    assert_eq!(refused(&strict, &with(&[])), Untrusted::WrongUsage);
    assert!(policy(&[Usage::ClientAuth, Usage::ServerAuth], true).judge(&with(&[client])).is_ok());
}

/// The same certificate, signed by the same key with SHA-1 (RFC 3279 §2.2.3).
fn with_sha1(end: &End, ca: &Ca) -> Vec<u8> {
    const SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    const SHA1: &[u8] = &[0x30, 9, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
    let body = names::read(&end.der).unwrap().tbs_certificate.as_ref().to_vec();
    let at = body.windows(SHA256.len()).position(|bytes| bytes == SHA256).unwrap();
    // The lengths change with the name of the algorithm.
    let header = if body[1] == 0x81 { 3 } else { 4 };
    let (before, after) = (&body[header..at], &body[at + SHA256.len()..]);
    let body = sequence(&[before, SHA1, after].concat());
    let mut digest = vec![0; 20];
    let provider = isthmus_crypto_aws::provider();
    provider.hash(HashAlg::Sha1, &[&body], &mut digest).unwrap();
    // A digest that is shorter than the curve's order is the same number with zeros before it.
    let key = PrivateKey::from_der(&ca.issuer.key().serialize_der()).unwrap();
    let signature = key.sign(&[vec![0; 12], digest].concat()).unwrap();
    let number = |bytes: &[u8]| [&[2, 33, 0][..], bytes].concat();
    let numbers = [number(&signature[..32]), number(&signature[32..])].concat();
    let signature = [&[3, 73, 0, 0x30, 70][..], &numbers].concat();
    sequence(&[body.as_slice(), SHA1, &signature].concat())
}

/// A SEQUENCE of 128 bytes or more.
fn sequence(content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = if high == 0 { vec![0x30, 0x81, low] } else { vec![0x30, 0x82, high, low] };
    [header.as_slice(), content].concat()
}

#[test]
fn a_certificate_signed_with_sha_1_is_refused_by_that_name() {
    let ca = ca("root");
    let end = ca.issue(&params("alice"));
    let mut claim = end.claim();
    assert!(trust(&ca).judge(&claim).is_ok());
    claim.chain[0] = with_sha1(&end, &ca);
    assert_eq!(refused(&trust(&ca), &claim), Untrusted::BrokenHash);
    // Anywhere on the path, however good the rest is.
    let middle = ca.below("middle");
    let end = middle.issue(&params("alice"));
    let weak = End { der: middle.der.clone(), key: key() };
    let mut claim = end.claim();
    claim.chain.push(with_sha1(&weak, &ca));
    assert_eq!(refused(&trust(&ca), &claim), Untrusted::BrokenHash);
}

#[test]
fn the_certificate_of_an_authority_is_nobodys() {
    let root = ca("root");
    let key = key();
    let der = ca_params("middle").signed_by(&key, &root.issuer).unwrap().der().to_vec();
    let claim = End { der, key }.claim();
    assert_eq!(refused(&trust(&root), &claim), Untrusted::WrongUsage);
}

#[test]
fn a_peer_goes_by_the_names_of_its_certificate_only() {
    let ca = ca("root");
    let mut params = params("alice");
    params.subject_alt_names = vec![
        SanType::DnsName("vpn.example.org".try_into().unwrap()),
        SanType::Rfc822Name("alice@Example.org".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
    ];
    let end = ca.issue(&params);
    let trust = trust(&ca);
    let named = |name| trust.judge(&Claim { name, ..end.claim() }).map(drop);
    let wanted = |name| trust.judge(&Claim { wanted: Some(name), ..end.claim() }).map(drop);
    let good = [
        ClaimedName::Domain(b"VPN.example.org".to_vec()),
        ClaimedName::Email(b"alice@example.ORG".to_vec()),
        ClaimedName::Address(vec![192, 0, 2, 7]),
    ];
    for name in good {
        assert_eq!((named(name.clone()), wanted(name)), (Ok(()), Ok(())));
    }
    let bad = [
        ClaimedName::Domain(b"alice".to_vec()),
        ClaimedName::Domain(b"example.org".to_vec()),
        ClaimedName::Domain(Vec::new()),
        ClaimedName::Email(b"Alice@example.org".to_vec()),
        ClaimedName::Email(b"alice".to_vec()),
        ClaimedName::Address(vec![192, 0, 2, 8]),
        ClaimedName::Address(Vec::new()),
        ClaimedName::DistinguishedName(Vec::new()),
        ClaimedName::DistinguishedName(vec![0x30, 0x82, 0xff, 0xff]),
        ClaimedName::Other,
    ];
    let mismatch = Err(Untrusted::NameMismatch);
    for name in bad {
        assert_eq!((named(name.clone()), wanted(name.clone())), (mismatch, mismatch), "{name:?}");
    }
}

#[test]
fn without_the_rule_any_name_but_an_opaque_one_will_do() {
    let ca = ca("root");
    let policy = Policy { name_required: false, ..Policy::default() };
    let trust = Authorities::new(&[(5, ca.der.clone())], &[], policy).unwrap();
    let claim = ca.issue(&params("alice")).claim();
    let name = ClaimedName::Address(vec![10, 0, 0, 1]);
    assert!(trust.judge(&Claim { name, ..claim.clone() }).is_ok());
    assert!(trust.judge(&Claim { name: ClaimedName::Other, ..claim }).is_err());
}

#[test]
fn every_prefix_of_a_certificate_is_refused() {
    let ca = ca("root");
    let (trust, claim) = (trust(&ca), ca.issue(&params("alice")).claim());
    for length in 0..claim.chain[0].len() {
        let chain = vec![claim.chain[0][..length].to_vec()];
        let cut = Claim { chain, ..claim.clone() };
        assert_eq!(refused(&trust, &cut), Untrusted::BadCertificate);
    }
}

#[test]
fn a_subject_with_control_characters_is_shown_escaped_and_cut() {
    let ca = ca("root");
    let text = format!("a\x1b[2J\n{}", "x".repeat(500));
    let verified = trust(&ca).judge(&ca.issue(&params(&text)).claim()).unwrap();
    assert!(verified.subject.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    assert!(verified.subject.len() < 1000);
}

#[test]
fn our_own_certificate_and_key_belong_together() {
    let ca = ca("root");
    let (one, two) = (ca.issue(&params("gateway")), ca.issue(&params("gateway")));
    let key = one.key.serialize_der();
    let own = Own::new(vec![one.der.clone()], &key).unwrap();
    assert_eq!(own.signer.kind(), KeyKind::EcdsaP256);
    assert_eq!(own.subject, names::read(&one.der).unwrap().subject().as_raw());
    assert_eq!(Own::new(vec![two.der], &key).unwrap_err(), OwnError::Mismatch);
    assert_eq!(Own::new(Vec::new(), &key).unwrap_err(), OwnError::NoCertificate);
    assert!(matches!(Own::new(vec![one.der], b"x").unwrap_err(), OwnError::Key(_)));
    assert!(matches!(Own::new(vec![vec![1]], &key).unwrap_err(), OwnError::Certificate(_)));
}

#[test]
fn what_peers_will_object_to_in_our_own_certificate_is_known() {
    let ca = ca("root");
    let seconds = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let (y2010, y2030, y2070) = (1_262_304_000, 1_893_456_000, 3_155_760_000);
    let own = |usages: &[ExtendedKeyUsagePurpose], above: Option<&Ca>| {
        let mut params = params("gateway");
        params.extended_key_usages = usages.to_vec();
        let end = above.unwrap_or(&ca).issue(&params);
        let chain = [Some(end.der.clone()), above.map(|ca| ca.der.clone())];
        Own::new(chain.into_iter().flatten().collect(), &end.key.serialize_der()).unwrap()
    };
    let plain = own(&[], None);
    assert_eq!(plain.objection(seconds(y2030)), None);
    assert_eq!(plain.objection(seconds(y2010)), Some(Untrusted::NotYetValid));
    assert_eq!(plain.objection(seconds(y2070)), Some(Untrusted::Expired));
    let ike = ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]);
    for good in [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any, ike] {
        assert_eq!(own(&[good], None).objection(seconds(y2030)), None);
    }
    let client = own(&[ExtendedKeyUsagePurpose::ClientAuth], None);
    assert_eq!(client.objection(seconds(y2030)), Some(Untrusted::WrongUsage));
    // The time of every one in the chain counts.
    let mut above = ca_params("middle");
    above.not_after = date_time_ymd(2025, 1, 1);
    let key = key();
    let der = above.signed_by(&key, &ca.issuer).unwrap().der().to_vec();
    let old = Ca { issuer: Issuer::new(above, key), der };
    assert_eq!(own(&[], Some(&old)).objection(seconds(y2030)), Some(Untrusted::Expired));
}

#[test]
fn files_are_read_as_pem_and_der() {
    let ca = ca("root");
    let end = ca.issue(&params("alice"));
    assert_eq!(pem::certificates(&end.der).first(), Some(&end.der));
    assert!(pem::certificates(b"nothing").is_empty());
    let text = end.key.serialize_pem();
    assert_eq!(pem::private_key(text.as_bytes()), Some(end.key.serialize_der()));
    assert_eq!(pem::private_key(b"nothing"), None);
    assert!(pem::revocation_lists(b"nothing").is_empty());
    let numbered = [(0, vec![0x30, 0])];
    let fault = Authorities::new(&numbered, &[], Policy::default()).unwrap_err();
    assert_eq!(fault, CertificateFault::Authority);
    let fault = Authorities::new(&[], &[vec![0x30, 0]], Policy::default()).unwrap_err();
    assert_eq!(fault, CertificateFault::RevocationList);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..3),
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let trust = Authorities::new(&[], &[], Policy::default()).unwrap();
        let claim = Claim {
            chain,
            kind: KeyKind::Rsa,
            digest: vec![1; 20],
            signature,
            name: ClaimedName::Other,
            wanted: None,
        };
        prop_assert!(trust.judge(&claim).is_err());
    }

    #[test]
    fn no_changed_byte_makes_it_panic_or_believe(at in 0usize..300, to: u8) {
        let ca = ca("root");
        let mut claim = ca.issue(&params("alice")).claim();
        let at = at.min(claim.chain[0].len() - 1);
        prop_assume!(claim.chain[0][at] != to);
        claim.chain[0][at] = to;
        prop_assert!(trust(&ca).judge(&claim).is_err());
    }
}
