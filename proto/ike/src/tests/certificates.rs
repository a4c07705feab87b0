//! Main mode with certificates: two endpoints message by message, and what must not be believed.
//!
//! Certificates are opaque to the endpoint, so these are made of a name only, and a signature is the
//! name and the digest. What real ones are is for the tests of whoever judges them.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap};
use isthmus_crypto::{
    Claim, ClaimedName, CryptoError, KeyKind, Signer, Trust, Untrusted, Verified,
};

use super::fake::{self, Fake};
use super::net::{Fate, Nat, Net, client_config, exchange_of, server_config};
use crate::codec::{Chain, Message, SaBody};
use crate::iana::{ExchangeType, PayloadType};
use crate::*;

const AUTHORITY: u32 = 70;

/// A name that signs with itself.
#[derive(Debug)]
struct Name(&'static [u8], KeyKind);

impl Signer for Name {
    fn kind(&self) -> KeyKind {
        self.1
    }

    fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok([self.0, digest].concat())
    }
}

/// Believes certificates of these names.
#[derive(Debug)]
struct Names {
    known: Vec<&'static [u8]>,
    authorities: Vec<Vec<u8>>,
}

impl Trust for Names {
    fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    fn judge(&self, claim: &Claim) -> Result<Verified, Untrusted> {
        let own = claim.chain.first().ok_or(Untrusted::NoCertificate)?;
        let length = claim.kind.hash().map_or(claim.digest.len(), isthmus_crypto::HashAlg::len);
        assert_eq!(claim.digest.len(), length, "ECDSA is tied to a hash");
        if claim.signature != [own.as_slice(), &claim.digest].concat() {
            return Err(Untrusted::BadSignature);
        }
        let named = ClaimedName::DistinguishedName(own.clone());
        if claim.name != named || claim.wanted.as_ref().is_some_and(|wanted| *wanted != named) {
            return Err(Untrusted::NameMismatch);
        }
        let known = self.known.contains(&own.as_slice());
        let verified = Verified { authority: AUTHORITY, subject: "someone".into() };
        known.then_some(verified).ok_or(Untrusted::UnknownAuthority)
    }
}

fn certificates(name: &'static [u8], kind: KeyKind, known: &[&'static [u8]]) -> Certificates {
    let authorities = vec![b"an authority of some length".to_vec()];
    Certificates {
        own: vec![own(name, kind)],
        trust: Arc::new(Names { known: known.to_vec(), authorities }),
        serves: true,
    }
}

fn own(name: &'static [u8], kind: KeyKind) -> OwnCertificate {
    OwnCertificate {
        signer: Arc::new(Name(name, kind)),
        chain: vec![name.to_vec(), b"one in between".to_vec()],
        subject: name.to_vec(),
    }
}

fn server(kind: KeyKind) -> Config {
    let own = certificates(b"server", kind, &[b"client"]);
    Config { certificates: Some(own), ..server_config() }
}

fn client(kind: KeyKind) -> Config {
    let own = certificates(b"client", kind, &[b"server"]);
    Config { certificates: Some(Certificates { serves: false, ..own }), ..client_config() }
}

fn network(nat: Nat, kind: KeyKind) -> Net {
    Net::new(nat, server(kind), client(kind))
}

fn connect(net: &mut Net) -> PeerId {
    let server_name = Some(Identity::distinguished_name(b"server"));
    let params = Connect { certificate: true, server_name, ..net.params(1) };
    net.connect_with(1, params)
}

const KINDS: [KeyKind; 3] = [KeyKind::Rsa, KeyKind::EcdsaP256, KeyKind::EcdsaP384];

#[test]
fn a_connection_comes_up_with_every_kind_of_key_in_every_nat_arrangement() {
    for kind in KINDS {
        for nat in Nat::ALL {
            let mut net = network(nat, kind);
            let peer = connect(&mut net);
            net.run_secs(1);
            net.assert_agreed(1, 1);
            let (up, server_up) = (&net.nodes[1].up[&peer], &net.nodes[0].up[&net.server_peer()]);
            let encap = if nat == Nat::Neither { Encap::Esp } else { Encap::Udp };
            assert_eq!((up.encap, server_up.encap), (encap, encap), "{nat:?}");
            assert_eq!(server_up.psk, PskId(AUTHORITY));
            assert_eq!(server_up.identity, Identity::distinguished_name(b"client"));
            assert_eq!(up.identity, Identity::distinguished_name(b"server"));
            // Six messages of main mode and three of quick mode.
            assert_eq!(net.sent.len(), 9);
            assert!(net.rejected.is_empty(), "{:?}", net.rejected);
        }
    }
}

#[test]
fn any_one_message_may_be_lost_come_twice_or_late() {
    for fate in [Fate::Drop, Fate::Duplicate, Fate::Late] {
        for nat in Nat::ALL {
            for index in 0..9 {
                let mut net = network(nat, KeyKind::Rsa);
                net.fate(move |n, _| if n == index { fate } else { Fate::Deliver });
                connect(&mut net);
                net.run_secs(25);
                net.assert_agreed(1, 1);
                assert_eq!(net.nodes[0].children.len(), 1, "{fate:?} {nat:?} {index}");
                let failed = net.nodes.iter().flat_map(|node| &node.failed).count();
                assert_eq!(failed, 0, "{fate:?} {nat:?} {index}");
            }
        }
    }
}

#[test]
fn every_hash_works_with_every_kind_of_key() {
    for kind in KINDS {
        for name in ["aes256-sha1-modp2048", "aes256-sha256-ecp256", "aes256-sha384-ecp384"] {
            let ike = vec![IkeProposal::from_name(name).unwrap()];
            let mut net = Net::new(Nat::Both, server(kind), Config { ike, ..client(kind) });
            connect(&mut net);
            net.run_secs(5);
            net.assert_agreed(1, 1);
        }
    }
}

#[test]
fn a_new_ike_sa_takes_over_whoever_begins() {
    for node in [0, 1] {
        let mut net = network(Nat::Client, KeyKind::EcdsaP256);
        let peer = connect(&mut net);
        net.run_secs(1);
        let peer = if node == 0 { net.server_peer() } else { peer };
        net.nodes[node].endpoint.rekey_ike(peer, net.now);
        net.drain(node);
        net.run_secs(30);
        // A server has no name to ask its client for, so it leaves the rekeying to it.
        assert_eq!(net.nodes[1].rekeyed, node);
        net.assert_agreed(1, 1);
    }
}

#[test]
fn the_server_asks_for_certificates_of_its_authorities_within_its_budget() {
    let mut net = network(Nat::Client, KeyKind::Rsa);
    connect(&mut net);
    net.run_secs(1);
    let requests = |index: usize| -> Vec<Vec<u8>> {
        let message = Message::read(&net.sent[index].bytes).unwrap();
        let chain = Chain::read(message.header.first, message.body).unwrap();
        chain.all(PayloadType::CERT_REQUEST).map(<[u8]>::to_vec).collect()
    };
    let asked = [&[4][..], b"an authority of some length"].concat();
    assert_eq!(requests(2), core::slice::from_ref(&asked), "in message 3");
    assert_eq!(requests(3), [asked], "in message 4");
    let bytes = |from| -> usize {
        net.sent.iter().take(4).filter(|p| p.from == from).map(|p| p.bytes.len()).sum()
    };
    assert!(bytes(0) <= bytes(1));
}

#[test]
fn an_authority_without_room_for_its_name_is_asked_for_without_a_name() {
    let own = certificates(b"server", KeyKind::Rsa, &[]);
    let out = |allowance| {
        let mut out = codec::Out::new();
        main_mode::signature::request_certificates(&own, allowance, &mut out);
        out.to_bytes()
    };
    assert_eq!(out(1000).len(), 4 + 1 + 27);
    assert_eq!(out(31), [0, 0, 0, 5, 4]);
    assert!(out(4).is_empty());
    let many: Vec<Vec<u8>> = (0..20).map(|n| vec![n; 40]).collect();
    let trust = Arc::new(Names { known: Vec::new(), authorities: many });
    let own = Certificates { trust, ..own };
    let mut out = codec::Out::new();
    main_mode::signature::request_certificates(&own, usize::MAX, &mut out);
    assert_eq!(out.to_bytes().len(), bounds::CERTIFICATE_REQUESTS_MAX * 45);
}

/// What each side reports when the server believes `known` and the client wants `wanted`.
fn failures(known: &[&'static [u8]], wanted: &[u8]) -> [Vec<FailureCause>; 2] {
    let own = certificates(b"server", KeyKind::Rsa, known);
    let server = Config { certificates: Some(own), ..server_config() };
    let mut net = Net::new(Nat::Client, server, client(KeyKind::Rsa));
    let server_name = Some(Identity::distinguished_name(wanted));
    let params = Connect { certificate: true, server_name, ..net.params(1) };
    net.connect_with(1, params);
    net.run_secs(40);
    assert!(net.nodes[1].up.is_empty());
    [0, 1].map(|node| net.nodes[node].failed.iter().map(|f| f.cause.clone()).collect())
}

#[test]
fn an_unknown_certificate_is_named_on_the_server_and_refused_on_the_client() {
    let [server, client] = failures(&[], b"server");
    assert_eq!(server, [FailureCause::Untrusted(Untrusted::UnknownAuthority)]);
    assert_eq!(client, [FailureCause::PeerNotify(iana::NotifyType::AUTHENTICATION_FAILED)]);
}

#[test]
fn a_server_with_another_name_than_the_one_dialled_is_not_believed() {
    let [_, client] = failures(&[b"client"], b"another");
    assert_eq!(client, [FailureCause::Untrusted(Untrusted::NameMismatch)]);
}

#[test]
fn a_forged_message_5_leaves_the_attempt_to_the_true_one() {
    let mut net = network(Nat::Client, KeyKind::Rsa);
    net.fate(|n, packet| {
        // Message 5, and only its first sending.
        if n == 4 && exchange_of(packet) == ExchangeType::IDENTITY_PROTECTION {
            Fate::Drop
        } else {
            Fate::Deliver
        }
    });
    connect(&mut net);
    net.flow();
    let mut forged = net.sent[4].clone();
    for n in 0..bounds::MM5_TRIES_MAX - 1 {
        // In the signature: nothing covers what comes behind it.
        forged.bytes[28 + 80 + n] ^= 1;
        let _ = net.deliver(&forged);
    }
    net.run_secs(25);
    net.assert_agreed(1, 1);
    assert_eq!(net.nodes[0].up.len(), 1);
}

#[test]
fn a_server_with_certificates_still_serves_pre_shared_keys_and_the_other_way_round() {
    let mut net = Net::new(Nat::Client, server(KeyKind::Rsa), client_config());
    net.connect(1);
    net.run_secs(1);
    net.assert_agreed(1, 1);
    assert_eq!(net.nodes[0].up[&net.server_peer()].psk, PskId(7));

    let keyless = Config { psks: Vec::new(), ..server(KeyKind::Rsa) };
    let mut net = Net::new(Nat::Client, keyless, client(KeyKind::Rsa));
    connect(&mut net);
    net.run_secs(1);
    net.assert_agreed(1, 1);
}

#[test]
fn keys_of_different_kinds_have_no_proposal_in_common() {
    let mut net = Net::new(Nat::Client, server(KeyKind::EcdsaP256), client(KeyKind::Rsa));
    connect(&mut net);
    net.run_secs(40);
    assert!(matches!(net.nodes[0].failed[0].cause, FailureCause::NoIkeProposal { .. }));
    net.assert_nothing_left();
}

#[test]
fn a_server_with_two_certificates_answers_with_the_one_that_was_asked_for() {
    let both = |kinds: [(&'static [u8], KeyKind); 2]| {
        let own = kinds.map(|(name, kind)| own(name, kind)).to_vec();
        let both = Certificates { own, ..certificates(b"", KeyKind::Rsa, &[b"client"]) };
        Config { certificates: Some(both), ..server_config() }
    };
    let (rsa, ecdsa) = ((&b"by rsa"[..], KeyKind::Rsa), (&b"by ecdsa"[..], KeyKind::EcdsaP256));
    for order in [[rsa, ecdsa], [ecdsa, rsa]] {
        for (name, kind) in order {
            let own = certificates(b"client", kind, &[b"by rsa", b"by ecdsa"]);
            let client = Config { certificates: Some(own), ..client_config() };
            let mut net = Net::new(Nat::Client, both(order), client);
            let params = Connect { certificate: true, ..net.params(1) };
            let peer = net.connect_with(1, params);
            net.run_secs(1);
            net.assert_agreed(1, 1);
            let identity = &net.nodes[1].up[&peer].identity;
            assert_eq!(*identity, Identity::distinguished_name(name), "{kind:?}");
        }
        let mut net = Net::new(Nat::Client, both(order), client(KeyKind::EcdsaP384));
        connect(&mut net);
        net.run_secs(40);
        assert!(matches!(net.nodes[0].failed[0].cause, FailureCause::NoIkeProposal { .. }));
    }
}

#[test]
fn a_certificate_that_a_new_configuration_takes_away_ends_the_attempt_that_needs_it() {
    let mut net = network(Nat::Client, KeyKind::Rsa);
    net.hold_jobs = true;
    connect(&mut net);
    net.flow();
    while net.sent.len() < 5 {
        assert!(!net.jobs.is_empty(), "no message 5 came");
        net.work();
        net.flow();
    }
    // Message 5 is being judged.
    assert_eq!(net.jobs.iter().map(|(node, ..)| *node).collect::<Vec<_>>(), [0]);
    net.nodes[0].endpoint.set_config(Arc::new(server(KeyKind::EcdsaP256)));
    net.hold_jobs = false;
    net.work();
    net.run_secs(60);
    assert!(net.nodes[0].up.is_empty());
    net.assert_nothing_left();
}

#[test]
fn a_client_answers_nobody_who_begins_with_signatures() {
    let quiet = Config { psks: Vec::new(), ..client(KeyKind::Rsa) };
    let mut net = Net::new(Nat::Client, quiet, client(KeyKind::Rsa));
    connect(&mut net);
    net.run_secs(40);
    assert_eq!(net.bytes_from(0), 0);
    assert!(net.nodes[0].up.is_empty());
}

#[test]
fn without_a_certificate_of_our_own_there_is_no_connection_by_certificate() {
    let mut net = Net::simple(Nat::Client);
    let params = Connect { certificate: true, ..net.params(1) };
    let now = net.now;
    assert_eq!(net.nodes[1].endpoint.connect(params, now).unwrap_err(), Rejected::NoPsk);
}

/// Message 1 of a client that offers one transform with this authentication method.
fn with_method(method: u16) -> (Fake, Vec<u8>) {
    let mut profile = fake::windows10();
    profile.ike = vec![(7, Some(256), 2, 14)];
    let mut fake = Fake::new(profile, 0);
    let mut mm1 = fake.mm1();
    let psk = [0x80, 3, 0, 1];
    let at = mm1.windows(4).position(|bytes| bytes == psk).unwrap();
    mm1[at + 2..at + 4].copy_from_slice(&method.to_be_bytes());
    (fake, mm1)
}

#[test]
fn cve_2018_5389_rsa_encryption_and_xauth_are_never_chosen() {
    let never = [0, 2, 4, 5, 6, 7, 8, 9, 10, 11, 64221, 65001, 65002, 65005, 65006, 65535];
    for method in never {
        let mut net = Net::server(server(KeyKind::Rsa));
        let (fake, mm1) = with_method(method);
        assert_eq!(fake.tell(&mut net, &mm1), Err(Rejected::NoProposalChosen), "{method}");
        assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
    }
    for method in [1, 3] {
        let mut net = Net::server(server(KeyKind::Rsa));
        let (fake, mm1) = with_method(method);
        let mm2 = fake.ask(&mut net, &mm1).unwrap();
        let message = Message::read(&mm2).unwrap();
        let chain = Chain::read(message.header.first, message.body).unwrap();
        let sa = SaBody::read(chain.required(PayloadType::SA).unwrap()).unwrap();
        let chosen = sa.proposals[0].transforms[0].attribute(3).unwrap().as_u16();
        assert_eq!(chosen, Some(method));
    }
}

/// Message 5 with these certificate payloads and a distinguished name; returns what the server reports.
fn fifth(certs: &[Vec<u8>], id: &[u8]) -> (Vec<FailureCause>, usize) {
    let mut net = Net::server(server(KeyKind::Rsa));
    let (mut fake, mm1) = with_method(3);
    fake.psk_is_signature(&mm1);
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    fake.id = [&[9, 0, 0, 0][..], id].concat();
    let mm5 = fake.signed_mm5(&mm4, certs, b"client");
    let _ = fake.tell(&mut net, &mm5);
    net.taken.clear();
    net.run(Duration::from_secs(1));
    let causes = net.nodes[0].failed.iter().map(|f| f.cause.clone()).collect();
    (causes, net.nodes[0].up.len())
}

fn cert(encoding: u8, body: &[u8]) -> Vec<u8> {
    [&[encoding], body].concat()
}

#[test]
fn a_client_written_from_the_rfc_is_believed() {
    assert_eq!(fifth(&[cert(4, b"client")], b"client"), (Vec::new(), 1));
}

#[test]
fn certificates_in_other_encodings_are_passed_over_and_nothing_is_fetched() {
    // PKCS#7, PGP, DNS key, key exchange, CRL, ARL, and the address of a certificate.
    for encoding in [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 255] {
        let url = cert(encoding, b"http://192.0.2.9/evil.crt");
        let refused = FailureCause::Untrusted(Untrusted::NoCertificate);
        assert_eq!(fifth(core::slice::from_ref(&url), b"client"), (vec![refused], 0));
        assert_eq!(fifth(&[url, cert(4, b"client")], b"client"), (Vec::new(), 1));
    }
}

#[test]
fn too_many_or_too_long_certificates_and_empty_ones_are_refused() {
    let many = vec![cert(4, b"client"); bounds::CERTIFICATES_MAX];
    assert_eq!(fifth(&many, b"client").1, 1);
    let more = vec![cert(4, b"client"); bounds::CERTIFICATES_MAX + 1];
    assert_eq!(fifth(&more, b"client").1, 0);
    let long = cert(4, &vec![7; bounds::CERTIFICATE_LEN_MAX + 1]);
    assert_eq!(fifth(&[cert(4, b"client"), long], b"client").1, 0);
    assert_eq!(fifth(&[Vec::new()], b"client").1, 0);
}

#[test]
fn a_name_that_is_not_the_certificates_is_refused_however_long_or_broken() {
    let refused = FailureCause::Untrusted(Untrusted::NameMismatch);
    let broken: [&[u8]; 4] =
        [b"", b"\x30\x82\xff\xff", b"\x30\x84\xff\xff\xff\xff\x00", &[0x30; 512]];
    for id in broken {
        assert_eq!(fifth(&[cert(4, b"client")], id), (vec![refused.clone()], 0));
    }
    assert_eq!(fifth(&[cert(4, b"client")], &[0x30; 513]).1, 0);
}
