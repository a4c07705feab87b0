//! Each client in its own shape, byte for byte where the shape is known.

use alloc::string::ToString;
use alloc::vec::Vec;
use alloc::{format, vec};

use isthmus_core::{Duration, Encap};
use isthmus_crypto::{DhGroup, DhJob, DhOutput, EspSuite};

use super::fake::{self, Fake, esp_offer, original, udp};
use super::net::{Net, server_config};
use crate::codec::{Message, Out};
use crate::iana::{NotifyType, PayloadType};
use crate::lifecycle::OVERTAKEN_MAX;
use crate::*;

/// A server as installed: no legacy algorithms.
fn modern() -> Config {
    Config { legacy: false, ..server_config() }
}

const AES256_SHA1: (u8, Option<u16>, Option<u16>) = (12, Some(256), Some(2));
/// AES256, AES128, 3DES, DES and NULL with HMAC-SHA1, as Windows lists them.
const WINDOWS_SUITES: [(u8, Option<u16>, Option<u16>); 5] = [
    AES256_SHA1,
    (12, Some(128), Some(2)),
    (3, None, Some(2)),
    (2, None, Some(2)),
    (11, None, Some(2)),
];

fn windows_ids() -> (Vec<u8>, Vec<u8>) {
    (udp("192.168.1.10", 1701), udp("198.51.100.1", 1701))
}

/// SPIs that the server sends on.
fn outbound(net: &Net) -> Vec<u32> {
    net.nodes[0].outbound.keys().map(|(_, spi)| *spi).collect()
}

fn sends_on(net: &Net, spi: u32) -> bool {
    outbound(net).contains(&spi)
}

fn windows_payloads(fake: &Fake, spi: u32) -> Out {
    fake.payloads(esp_offer(&WINDOWS_SUITES, spi, 4, None, true), Some(windows_ids()))
        .with(PayloadType::NAT_OA, original("192.168.1.10"))
        .with(PayloadType::NAT_OA, original("198.51.100.1"))
}

#[test]
fn windows_10_connects_with_p384_and_aes256() {
    let mut net = Net::server(modern());
    let mut fake = Fake::new(fake::windows10(), 0);
    assert_eq!(fake.mm1().len(), 408, "as in every public log");
    fake.main_mode(&mut net);
    let up = net.nodes[0].up[&net.server_peer()].clone();
    assert_eq!(up.proposal.to_string(), "aes256-sha1-ecp384");
    assert_eq!(up.identity.to_string(), "192.168.1.10");
    assert_eq!(up.vendors.microsoft, Some(9));
    assert_eq!((up.encap, up.path), (Encap::Udp, fake.path));
    assert_eq!(up.nat, NatStatus { local: true, remote: true });

    let payloads = windows_payloads(&fake, 0xb1);
    let refused = fake.quick_mode(&mut net, 1, payloads).err();
    assert_eq!(refused, Some(Rejected::NoProposalChosen), "a reserved SPI");
    net.taken.clear();
    let payloads = windows_payloads(&fake, 0xb100_0001);
    let (quick, spi) = fake.quick_mode(&mut net, 2, payloads).unwrap();
    let child = net.nodes[0].children[0];
    assert_eq!((child.suite, child.encap), (EspSuite::Aes256CbcSha1, Encap::Udp));
    assert_eq!((child.inbound, child.outbound), (spi, 0xb100_0001));
    assert_eq!((child.local_port, child.remote_port), (1701, 1701));

    // Identities come back unchanged; the server names the address it sees, then its own.
    let (own, servers) = windows_ids();
    assert_eq!(quick.all(PayloadType::ID), [own, servers]);
    let addresses = [original("203.0.113.5"), original("10.0.0.5")];
    assert_eq!(quick.all(PayloadType::NAT_OA), addresses);

    let inbound = &net.nodes[0].inbound[&spi];
    let keymat = fake.keymat(&quick, spi, &[], 52);
    assert_eq!(inbound.keys.cipher.expose(), &keymat[..32]);
    assert_eq!(inbound.keys.integrity.expose(), &keymat[32..]);
    assert!(sends_on(&net, 0xb100_0001));
    let outbound = net.nodes[0].outbound.values().next().unwrap();
    let keymat = fake.keymat(&quick, 0xb100_0001, &[], 52);
    assert_eq!(outbound.keys.cipher.expose(), &keymat[..32]);
    let lifetime = Lifetime { time: Duration::from_hours(1), kilobytes: Some(250_000) };
    assert_eq!(inbound.lifetime, lifetime);
}

#[test]
fn windows_10_falls_through_to_modp2048_where_ecp_is_not_ours() {
    let ike = vec![IkeProposal::from_name("aes256-sha1-modp2048").unwrap()];
    let mut net = Net::server(Config { ike, ..modern() });
    Fake::connect(fake::windows10(), 0, &mut net);
    let up = &net.nodes[0].up[&net.server_peer()];
    assert_eq!(up.proposal.group, DhGroup::Modp2048);
}

#[test]
fn message_2_says_nothing_that_windows_did_not_say_first() {
    let mut net = Net::server(modern());
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let message = Message::read(&mm2).unwrap();
    let chain = codec::Chain::read(message.header.first, message.body).unwrap();
    let vids: Vec<&[u8]> = chain.all(PayloadType::VENDOR_ID).collect();
    let expected = [VendorId::Rfc3947.bytes(), VendorId::Fragmentation.bytes()];
    assert_eq!(vids, expected, "no DPD");
    let sa = codec::SaBody::read(chain.required(PayloadType::SA).unwrap()).unwrap();
    let offered = codec::SaBody::read(&fake.profile.sa_body()).unwrap();
    assert_eq!(sa.proposals[0].transforms, offered.proposals[0].transforms[..1]);
}

#[test]
fn null_and_des_are_never_chosen() {
    let mut net = Net::server(server_config());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let offer = esp_offer(&WINDOWS_SUITES[3..], 0xb100_0001, 4, None, true);
    let refused = fake.quick_mode(&mut net, 1, fake.payloads(offer, Some(windows_ids())));
    assert_eq!(refused.err(), Some(Rejected::NoProposalChosen));
    assert!(net.nodes[0].inbound.is_empty() && net.nodes[0].endpoint.inbound_spis() == 0);
    let told = fake.read_informational(&net.taken.pop_front().unwrap().bytes);
    let notification = codec::Notification::read(&told[0].1).unwrap();
    assert_eq!(notification.kind, NotifyType::NO_PROPOSAL_CHOSEN);
    assert_eq!(notification.spi, 0xb100_0001u32.to_be_bytes());
    assert_eq!(
        fake::names(&net)[0],
        "no ESP proposal in common; offered: des-sha1 (udp transport), null-sha1 (udp transport); \
         accepted: aes256gcm16, aes128gcm16, aes256-sha256, aes128-sha256, aes256-sha1, \
         aes192-sha1, aes128-sha1, 3des-sha1"
    );
}

#[test]
fn an_spi_that_the_peer_uses_again_names_its_new_child_only() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    fake.quick_mode(&mut net, 1, windows_payloads(&fake, 0xb100_0001)).unwrap();
    let (_, second) = fake.quick_mode(&mut net, 2, windows_payloads(&fake, 0xb100_0001)).unwrap();
    assert!(net.nodes[0].children[1].rekeyed);
    for _ in 0..2 {
        assert_eq!(net.nodes[0].inbound.keys().copied().collect::<Vec<_>>(), [second]);
        assert_eq!(outbound(&net), [0xb100_0001]);
        // Past the time that a replaced child is kept.
        net.run_secs(300);
    }
}

#[test]
fn windows_rekeys_and_deletes_the_old_child_before_message_3() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let (_, first) = fake.quick_mode(&mut net, 1, windows_payloads(&fake, 0xb100_0001)).unwrap();
    let (qm1, mut quick) = fake.qm1(2, &fake.nonce_i, windows_payloads(&fake, 0xb100_0002));
    let qm2 = fake.ask(&mut net, &qm1).unwrap();
    let qm3 = fake.qm3(&mut quick, &qm2);
    let second = quick.sa().proposals[0].esp_spi().unwrap();
    fake.tell(&mut net, &fake.delete_esp(77, &[0xb100_0001])).unwrap();
    // Both inbound SAs receive, and the only outbound SA there is stays until its successor comes.
    assert_eq!(net.nodes[0].inbound.keys().copied().collect::<Vec<_>>(), [first, second]);
    assert!(sends_on(&net, 0xb100_0001));
    fake.tell(&mut net, &qm3).unwrap();
    // What Windows sent on the old SA before may still come; nothing goes out on it.
    assert_eq!(net.nodes[0].inbound.keys().copied().collect::<Vec<_>>(), [first, second]);
    assert_eq!(outbound(&net), [0xb100_0002]);
    net.run(bounds::DRAINING_GRACE);
    assert_eq!(net.nodes[0].inbound.keys().copied().collect::<Vec<_>>(), [second]);
    assert!(net.nodes[0].children[1].rekeyed);
    net.run_secs(60);
    assert_eq!(net.nodes[0].inbound.len(), 1);
}

#[test]
fn packets_that_a_delete_overtook_are_taken_and_nothing_waits_for_them_alone() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let (_, first) = fake.quick_mode(&mut net, 1, windows_payloads(&fake, 0xb100_0001)).unwrap();
    let (_, second) = fake.quick_mode(&mut net, 2, windows_payloads(&fake, 0xb100_0002)).unwrap();
    fake.tell(&mut net, &fake.delete_esp(77, &[0xb100_0001])).unwrap();
    assert_eq!(net.nodes[0].inbound.keys().copied().collect::<Vec<_>>(), [first, second]);
    assert_eq!(outbound(&net), [0xb100_0002]);
    fake.tell(&mut net, &fake.delete_esp(78, &[0xb100_0002])).unwrap();
    assert!(net.nodes[0].inbound.is_empty(), "the last one takes the other with it");
    assert_eq!(net.nodes[0].endpoint.inbound_spis(), 0);
}

#[test]
fn a_delete_of_a_child_that_the_ike_sas_own_overtook_is_heard() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    fake.quick_mode(&mut net, 1, windows_payloads(&fake, 0xb100_0001)).unwrap();
    let child = fake.delete_esp(77, &[0xb100_0001]);
    fake.tell(&mut net, &fake.delete_ike(78)).unwrap();
    assert!(net.nodes[0].down.is_empty(), "the child may go on without (RFC 2408 §5.15)");
    let (qm1, _) = fake.qm1(2, &fake.nonce_i, windows_payloads(&fake, 0xb100_0002));
    assert_eq!(fake.tell(&mut net, &qm1), Err(Rejected::UnknownCookies), "nothing new");
    fake.tell(&mut net, &child).unwrap();
    assert_eq!(net.nodes[0].down[0].1, DownReason::Deleted);
    let endpoint = &net.nodes[0].endpoint;
    assert_eq!((endpoint.ike_sas(), endpoint.inbound_spis(), endpoint.peers()), (0, 0, 0));
}

#[test]
fn what_comes_long_after_the_delete_of_the_ike_sa_is_not_heard_and_the_child_goes_on() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    fake.quick_mode(&mut net, 1, windows_payloads(&fake, 0xb100_0001)).unwrap();
    fake.tell(&mut net, &fake.delete_ike(78)).unwrap();
    net.run(OVERTAKEN_MAX);
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
    let child = fake.delete_esp(77, &[0xb100_0001]);
    assert_eq!(fake.tell(&mut net, &child), Err(Rejected::UnknownCookies));
    assert_eq!((net.nodes[0].inbound.len(), net.nodes[0].down.len()), (1, 0));
}

#[test]
fn a_lost_message_3_is_made_good_by_the_first_packet() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    fake.quick_mode(&mut net, 1, windows_payloads(&fake, 0xb100_0001)).unwrap();
    let (qm1, mut quick) = fake.qm1(2, &fake.nonce_i, windows_payloads(&fake, 0xb100_0002));
    let qm2 = fake.ask(&mut net, &qm1).unwrap();
    let qm3 = fake.qm3(&mut quick, &qm2);
    let spi = quick.sa().proposals[0].esp_spi().unwrap();
    fake.tell(&mut net, &fake.delete_esp(77, &[0xb100_0001])).unwrap();
    net.nodes[0].endpoint.inbound_used(spi, net.now);
    net.drain(0);
    assert_eq!(outbound(&net), [0xb100_0002]);
    assert_eq!(net.nodes[0].children.len(), 2);
    assert_eq!(fake.tell(&mut net, &qm3), Err(Rejected::Duplicate));
    net.nodes[0].endpoint.inbound_used(spi, net.now);
    net.drain(0);
    assert_eq!(net.nodes[0].children.len(), 2);
}

#[test]
fn a_peer_that_cannot_install_its_side_says_so_and_ours_goes_too() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::network_manager(), 0, &mut net);
    let (qm1, _) = fake.qm1(1, &fake.nonce_i, windows_payloads(&fake, 0xb100_0001));
    fake.ask(&mut net, &qm1).unwrap();
    assert_eq!(net.nodes[0].inbound.len(), 1);
    // strongSwan answers message 2 with NO-PROPOSAL-CHOSEN when its kernel refuses.
    let body = vec![0, 0, 0, 1, 3, 4, 0, 14, 0xb1, 0, 0, 1];
    let chain = Out::new().with(PayloadType::NOTIFICATION, body);
    fake.tell(&mut net, &fake.informational(7, chain)).unwrap();
    assert!(net.nodes[0].inbound.is_empty());
    let told = FailureCause::PeerNotify(NotifyType::NO_PROPOSAL_CHOSEN);
    assert_eq!((&net.nodes[0].failed[0].cause, net.nodes[0].up.len()), (&told, 1));
}

#[test]
fn windows_may_redo_quick_mode_on_every_retransmission() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    for round in 1u32..200 {
        fake.quick_mode(&mut net, round, windows_payloads(&fake, 0xb100_0000 + round)).unwrap();
        if round > 1 {
            let old = 0xb100_0000 + round - 1;
            fake.tell(&mut net, &fake.delete_esp(0x8000_0000 + round, &[old])).unwrap();
        }
        net.run_secs(2);
        assert_eq!((net.nodes[0].inbound.len(), net.nodes[0].outbound.len()), (1, 1));
    }
    net.run_secs(31);
    assert_eq!(net.nodes[0].endpoint.inbound_spis(), 1);
}

#[test]
fn children_that_nobody_deletes_are_bounded() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    for round in 1u32..40 {
        fake.quick_mode(&mut net, round, windows_payloads(&fake, 0xb100_0000 + round)).unwrap();
        assert!(net.nodes[0].inbound.len() <= bounds::CHILDREN_MAX);
        net.taken.clear();
    }
    assert_eq!(net.nodes[0].inbound.len(), bounds::CHILDREN_MAX);
    net.run(bounds::REPLACED_GRACE);
    assert_eq!((net.nodes[0].inbound.len(), net.nodes[0].outbound.len()), (1, 1));
    assert!(sends_on(&net, 0xb100_0000 + 39));
}

#[test]
fn windows_xp_connects_by_the_draft_with_its_name_as_selector() {
    let mut net = Net::server(server_config());
    let fake = Fake::connect(fake::windows_xp(), 0, &mut net);
    let up = &net.nodes[0].up[&net.server_peer()];
    assert_eq!(up.proposal.to_string(), "3des-sha1-modp2048");
    assert_eq!((up.vendors.microsoft, up.vendors.nat_t), (Some(3), Some(NatT::Draft02N)));
    let name = b"\x02\x11\x06\xa5OLDPC".to_vec();
    let offer = esp_offer(&[(3, None, Some(2))], 0xb100_0001, 61444, None, true);
    let payloads = fake
        .payloads(offer, Some((name.clone(), udp("198.51.100.1", 1701))))
        .with(PayloadType::NAT_OA_DRAFT, original("192.168.1.10"));
    let (quick, _) = fake.quick_mode(&mut net, 1, payloads).unwrap();
    assert_eq!(net.nodes[0].children[0].suite, EspSuite::TripleDesSha1);
    assert_eq!(quick.all(PayloadType::ID)[0], name);
    assert_eq!(quick.all(PayloadType::NAT_OA_DRAFT).len(), 2);
}

#[test]
fn a_responder_named_by_a_domain_name_is_handled_too() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let ids = Some((udp("192.168.1.10", 1701), b"\x02\x11\x06\xa5vpn.example.org".to_vec()));
    let offer = esp_offer(&[AES256_SHA1], 0xb100_0001, 4, None, true);
    fake.quick_mode(&mut net, 1, fake.payloads(offer, ids)).unwrap();
    assert_eq!(net.nodes[0].children.len(), 1);
}

#[test]
fn apple_connects_from_an_ephemeral_port() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::apple(), 0, &mut net);
    let up = net.nodes[0].up[&net.server_peer()].clone();
    assert_eq!(up.proposal.to_string(), "aes256-sha256-modp2048");
    assert!(up.vendors.apple && up.vendors.dpd);
    assert_eq!(up.vendors.nat_t, Some(NatT::Rfc3947));
    let suites = [(12, Some(256), Some(5)), AES256_SHA1, (12, Some(256), Some(1))];
    let offer = esp_offer(&suites, 0xb100_0001, 4, None, false);
    let ids = Some((udp("192.168.1.10", 56322), udp("198.51.100.1", 1701)));
    let payloads = fake
        .payloads(offer, ids)
        .with(PayloadType::NAT_OA, original("192.168.1.10"))
        .with(PayloadType::NAT_OA, original("198.51.100.1"));
    fake.quick_mode(&mut net, 0x1234_5678, payloads).unwrap();
    let child = net.nodes[0].children[0];
    assert_eq!((child.local_port, child.remote_port), (1701, 56322));
    assert_eq!(child.suite, EspSuite::Aes256CbcSha256);
    let outbound = net.nodes[0].outbound.values().next().unwrap();
    assert_eq!(outbound.remote_port, 56322);
}

#[test]
fn android_needs_the_legacy_switch_and_is_told_why() {
    let mut net = Net::server(modern());
    let mut fake = Fake::new(fake::android(), 0);
    let mm1 = fake.mm1();
    assert_eq!(fake.tell(&mut net, &mm1), Err(Rejected::NoProposalChosen));
    let names = fake::names(&net);
    assert!(names[0].starts_with("no IKE proposal in common; offered: aes256-sha384-modp1024, "));
    assert!(!names[0].split("accepted").nth(1).unwrap().contains("modp1024"));

    let mut net = Net::server(server_config());
    let fake = Fake::connect(fake::android(), 0, &mut net);
    let up = &net.nodes[0].up[&net.server_peer()];
    assert_eq!(up.proposal.to_string(), "aes256-sha384-modp1024");
    let suites: Vec<_> = [7, 6, 2, 5, 1].map(|auth| (12, Some(256), Some(auth))).to_vec();
    let offer = esp_offer(&suites, 0xb100_0001, 4, None, false);
    let ids = Some((udp("192.168.1.10", 0), udp("198.51.100.1", 1701)));
    fake.quick_mode(&mut net, 9, fake.payloads(offer, ids)).unwrap();
    // SHA-1 comes before SHA-256 in its list, which old kernels truncate wrongly.
    assert_eq!(net.nodes[0].children[0].suite, EspSuite::Aes256CbcSha1);
    assert_eq!(net.nodes[0].children[0].remote_port, 0);
}

#[test]
fn network_manager_connects_with_any_selectors_and_with_forward_secrecy() {
    let any = vec![1, 0, 0, 0, 192, 168, 1, 10];
    let selectors = [
        Some((any, udp("198.51.100.1", 1701))),
        Some((udp("192.168.1.10", 0), udp("198.51.100.1", 1701))),
        None,
    ];
    for ids in selectors {
        for group in [None, Some(DhGroup::Modp2048), Some(DhGroup::Ecp384)] {
            let mut net = Net::server(modern());
            let fake = Fake::connect(fake::network_manager(), 0, &mut net);
            let number = group.map(DhGroup::number);
            let offer = esp_offer(&[AES256_SHA1], 0xb100_0001, 4, number, false);
            let mut payloads = fake.payloads(offer, ids.clone());
            let pair = group.map(|group| {
                let job = DhJob::Generate { group, seed: [9; 32] };
                let provider = isthmus_crypto_aws::provider();
                let Ok(DhOutput::KeyPair(pair)) = provider.dh(&job) else { panic!() };
                payloads.push(PayloadType::KE, pair.public.as_slice());
                (provider, group, pair.private)
            });
            let (quick, spi) = fake.quick_mode(&mut net, 5, payloads).unwrap();
            let shared = pair.map(|(provider, group, private)| {
                let peer = quick.all(PayloadType::KE).remove(0);
                let job = DhJob::Agree { group, private, peer };
                let Ok(DhOutput::Shared(shared)) = provider.dh(&job) else { panic!() };
                shared.expose().to_vec()
            });
            let keymat = fake.keymat(&quick, spi, &shared.unwrap_or_default(), 52);
            let inbound = &net.nodes[0].inbound[&spi];
            assert_eq!(inbound.keys.cipher.expose(), &keymat[..32], "{ids:?} {group:?}");
            assert_eq!(quick.all(PayloadType::ID).len(), if ids.is_some() { 2 } else { 0 });
        }
    }
}

#[test]
fn mikrotik_wants_modp1024_in_quick_mode_which_is_legacy() {
    let attempt = |config: Config| {
        let mut net = Net::server(config);
        let fake = Fake::connect(fake::network_manager(), 0, &mut net);
        let offer = esp_offer(&[AES256_SHA1], 0xb100_0001, 4, Some(2), false);
        let job = DhJob::Generate { group: DhGroup::Modp1024, seed: [9; 32] };
        let Ok(DhOutput::KeyPair(pair)) = isthmus_crypto_aws::provider().dh(&job) else { panic!() };
        let payloads = fake.payloads(offer, Some(windows_ids())).with(PayloadType::KE, pair.public);
        fake.quick_mode(&mut net, 5, payloads).map(|_| ())
    };
    assert_eq!(attempt(modern()), Err(Rejected::NoProposalChosen));
    assert_eq!(attempt(server_config()), Ok(()));
}

#[test]
fn chrome_os_gets_its_first_choice_of_gcm() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::network_manager(), 0, &mut net);
    let suites = [(20, Some(128), None), (12, Some(128), Some(5))];
    let offer = esp_offer(&suites, 0xb100_0001, 4, None, false);
    fake.quick_mode(&mut net, 5, fake.payloads(offer, Some(windows_ids()))).unwrap();
    assert_eq!(net.nodes[0].children[0].suite, EspSuite::Aes128Gcm16);
}

#[test]
fn only_peers_that_announced_dpd_are_asked() {
    let mut net = Net::server(modern());
    let windows = Fake::connect(fake::windows10(), 0, &mut net);
    net.run_secs(300);
    assert!(net.taken.is_empty(), "Windows was asked");
    let question = [&[0, 0, 0, 1, 1, 16, 0x8d, 0x28][..], &windows.cookies.concat(), &[0, 0, 0, 5]];
    let question = Out::new().with(PayloadType::NOTIFICATION, question.concat());
    windows.tell(&mut net, &windows.informational(88, question)).unwrap();
    assert!(net.taken.is_empty(), "Windows was answered");

    let apple = Fake::connect(fake::apple(), 1, &mut net);
    net.run_secs(31);
    let asked = apple.read_informational(&net.taken.pop_front().unwrap().bytes);
    let question = codec::Notification::read(&asked[0].1).unwrap();
    assert_eq!(question.kind, NotifyType::R_U_THERE);
    assert_eq!(question.spi, apple.cookies.concat());
}

#[test]
fn dpd_questions_are_answered_with_their_number_and_old_ones_are_not() {
    let mut net = Net::server(modern());
    let apple = Fake::connect(fake::apple(), 0, &mut net);
    let ask = |net: &mut Net, id: u32, number: u32| {
        let body =
            [&[0, 0, 0, 1, 1, 16, 0x8d, 0x28][..], &apple.cookies.concat(), &number.to_be_bytes()];
        let chain = Out::new().with(PayloadType::NOTIFICATION, body.concat());
        apple.tell(net, &apple.informational(id, chain)).unwrap();
        net.taken.pop_front().map(|packet| {
            let told = apple.read_informational(&packet.bytes);
            let answer = codec::Notification::read(&told[0].1).unwrap();
            assert_eq!(answer.kind, NotifyType::R_U_THERE_ACK);
            u32::from_be_bytes(answer.data.try_into().unwrap())
        })
    };
    assert_eq!(ask(&mut net, 1, 1000), Some(1000));
    assert_eq!(ask(&mut net, 2, 1001), Some(1001));
    assert_eq!(ask(&mut net, 3, 1001), Some(1001), "asked again");
    assert_eq!(ask(&mut net, 4, 1000), None, "an old number");
}

#[test]
fn everyone_is_let_go_cleanly() {
    let mut net = Net::server(modern());
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    fake.quick_mode(&mut net, 1, windows_payloads(&fake, 0xb100_0001)).unwrap();
    fake.tell(&mut net, &fake.delete_esp(50, &[0xb100_0001])).unwrap();
    assert!(net.nodes[0].inbound.is_empty() && net.nodes[0].outbound.is_empty());
    assert_eq!(net.nodes[0].up.len(), 1, "Windows may come back with another quick mode");
    fake.tell(&mut net, &fake.delete_ike(51)).unwrap();
    assert_eq!(net.nodes[0].down[0].1, DownReason::Deleted);
    net.run_secs(31);
    net.assert_nothing_left();
    assert_eq!(format!("{:?}", net.rejected), "[]");
}
