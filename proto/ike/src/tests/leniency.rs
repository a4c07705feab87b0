//! What clients do beside the book, and must not be punished for.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Path, SecretBytes};
use isthmus_crypto::DhGroup;

use super::fake::{self, Fake, esp_offer, udp};
use super::net::{Nat, Net, client_config, server_config};
use crate::codec::{Attribute, Chain, IdBody, Message, Notification, Out};
use crate::iana::PayloadType;
use crate::iana::{AuthMethod, ExchangeType, GroupNumber, IkeEncryption, IkeHash, NotifyType};
use crate::*;

const AES256_SHA1: (u8, Option<u16>, Option<u16>) = (12, Some(256), Some(2));

fn server() -> Net {
    Net::server(server_config())
}

fn ordinary(fake: &Fake, spi: u32) -> Out {
    let ids = Some((udp("192.168.1.10", 1701), udp("198.51.100.1", 1701)));
    fake.payloads(esp_offer(&[AES256_SHA1], spi, 4, None, false), ids)
}

#[test]
fn xauth_proposals_before_the_plain_one_are_passed_over() {
    // A TP-Link Archer offers XAUTHInitPreShared first.
    let transform = |authentication| OfferedIke {
        encryption: IkeEncryption::AES,
        key_bits: Some(256),
        hash: IkeHash::SHA256,
        group: GroupNumber(14),
        authentication,
    };
    let with = |transforms| {
        let phase1 = Phase1Habits { transforms: Some(transforms), ..Phase1Habits::default() };
        let habits = Habits { phase1, ..Habits::default() };
        let ike = vec![IkeProposal::from_name("aes256-sha256-modp2048").unwrap()];
        let server = Config { ike, ..server_config() };
        let mut net = Net::new(Nat::Client, server, Config { habits, ..client_config() });
        net.connect(1);
        net.run_secs(1);
        net
    };
    let xauth = transform(AuthMethod(65001));
    let net = with(vec![xauth, transform(AuthMethod::PSK)]);
    net.assert_agreed(1, 1);
    let other = OfferedIke { hash: IkeHash::SHA1, ..transform(AuthMethod::PSK) };
    let net = with(vec![xauth, other]);
    assert_eq!(net.nodes[0].failed[0].cause.label(), "no_ike_proposal");
    assert!(net.nodes[0].up.is_empty());
}

#[test]
fn the_commit_bit_and_reserved_flags_mean_nothing() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let with_flags = |mut bytes: Vec<u8>| {
        bytes[19] |= 0xfe;
        bytes
    };
    let mm1 = with_flags(fake.mm1());
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = with_flags(fake.mm3(&mm2));
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    let mm5 = with_flags(fake.mm5(&mm4));
    let mm6 = fake.ask(&mut net, &mm5).unwrap();
    fake.mm6(&mm6);
    let (qm1, mut quick) = fake.qm1(1, &fake.nonce_i, ordinary(&fake, 0xb100_0001));
    let qm2 = fake.ask(&mut net, &with_flags(qm1)).unwrap();
    assert_eq!(qm2[19], 1, "the bit is not returned: no fourth message is announced");
    let qm3 = fake.qm3(&mut quick, &qm2);
    fake.tell(&mut net, &with_flags(qm3)).unwrap();
    assert_eq!(net.nodes[0].children.len(), 1);
}

#[test]
fn a_fourth_message_and_an_undecryptable_informational_end_nothing() {
    let mut net = server();
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let (quick, _) = fake.quick_mode(&mut net, 1, ordinary(&fake, 0xb100_0001)).unwrap();
    net.taken.clear();
    // CONNECTED under the message id of quick mode, as a Windows responder sends it.
    let noise = [0x33; 64];
    for (exchange, id) in [(ExchangeType::INFORMATIONAL, 9), (ExchangeType::QUICK_MODE, quick.id)] {
        let bytes = fake.raw_message(exchange, id, 1, PayloadType::HASH, &noise);
        assert!(fake.tell(&mut net, &bytes).is_err());
        // Windows seals notifications before the SA is up in a way of its own.
        let bytes = fake.raw_message(exchange, id, 0, PayloadType::NOTIFICATION, &noise);
        assert!(fake.tell(&mut net, &bytes).is_err());
    }
    assert!(net.taken.is_empty());
    assert_eq!((net.nodes[0].up.len(), net.nodes[0].inbound.len()), (1, 1));
    fake.quick_mode(&mut net, 2, ordinary(&fake, 0xb100_0002)).unwrap();
}

#[test]
fn vendor_ids_that_nobody_knows_are_ignored_however_many_and_long() {
    let mut net = server();
    let mut profile = fake::windows10();
    for len in (0..40).map(|n| n * 8) {
        profile.vids.push(vec![0xe7; len]);
    }
    Fake::connect(profile, 0, &mut net);
    assert_eq!(net.nodes[0].up.len(), 1);
}

#[test]
fn forward_secrecy_follows_the_initiator_in_every_group() {
    let groups = [
        DhGroup::Modp1024,
        DhGroup::Modp1536,
        DhGroup::Modp2048,
        DhGroup::Modp3072,
        DhGroup::Ecp256,
        DhGroup::Ecp384,
    ];
    for group in groups {
        let mut net = Net::simple(Nat::Client);
        let params = Connect { pfs: Some(group), ..net.params(1) };
        let peer = net.connect_with(1, params);
        net.run_secs(2);
        net.assert_agreed(1, 1);
        // The successor has the same group, whoever else has none.
        net.nodes[1].endpoint.rekey_child(peer, net.now);
        net.drain(1);
        net.run_secs(20);
        net.assert_agreed(1, 1);
    }
    let modern = Config { legacy: false, ..server_config() };
    let mut net = Net::new(Nat::Client, modern, client_config());
    let params = Connect { pfs: Some(DhGroup::Modp1024), ..net.params(1) };
    net.connect_with(1, params);
    net.run_secs(2);
    assert_eq!(net.nodes[0].failed[0].cause.label(), "no_esp_proposal", "legacy is off");
}

#[test]
fn an_initiator_that_offers_too_long_a_life_is_told_and_may_mind() {
    let day = Config { child_lifetime: Duration::from_hours(24), ..client_config() };
    let hour = Config { child_kilobytes: Some(5000), ..server_config() };
    let mut net = Net::new(Nat::Client, hour, day.clone());
    net.connect(1);
    net.run_secs(1);
    let life = |net: &Net, node: usize| net.nodes[node].inbound.values().next().unwrap().lifetime;
    let told = Lifetime { time: Duration::from_hours(1), kilobytes: Some(5000) };
    assert_eq!(life(&net, 1), told);
    // racoon does not mind: its child lives as long as it was offered.
    assert_eq!(life(&net, 0).time, Duration::from_hours(24));
    net.run(Duration::from_hours(1));
    assert!(net.nodes[1].children.len() > 1, "it rekeyed in time");

    let habits = Habits {
        phase2: Phase2Habits { minds_responder_lifetime: false, ..Phase2Habits::default() },
        ..Habits::default()
    };
    let mut net = Net::new(Nat::Client, server_config(), Config { habits, ..day });
    net.connect(1);
    net.run(Duration::from_hours(5));
    assert_eq!(net.nodes[1].children.len(), 1);
    net.assert_agreed(1, 1);
}

#[test]
fn a_life_that_is_short_enough_is_not_commented_on() {
    let mut net = server();
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let (quick, spi) = fake.quick_mode(&mut net, 1, ordinary(&fake, 0xb100_0001)).unwrap();
    assert!(quick.all(PayloadType::NOTIFICATION).is_empty(), "Windows offers an hour");

    let config = Config { child_lifetime: Duration::from_mins(10), ..server_config() };
    let mut net = Net::server(config);
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let (quick, other) = fake.quick_mode(&mut net, 1, ordinary(&fake, 0xb100_0001)).unwrap();
    let told = Notification::read(&quick.all(PayloadType::NOTIFICATION)[0]).unwrap();
    assert_eq!(told.kind, NotifyType::RESPONDER_LIFETIME);
    assert_eq!(told.spi, other.to_be_bytes());
    let mut r = isthmus_wire::Reader::new(&told.data);
    let expected = [Attribute::basic(1, 1), Attribute::duration(2, 600, true)];
    assert_eq!(Attribute::read_all(&mut r).unwrap(), expected);
    assert_eq!(spi, other, "SPIs begin alike, so this names ours");
}

#[test]
fn a_first_contact_by_notification_takes_away_no_neighbour_of_the_same_name() {
    // Sixty phones behind one NAT, all of them 192.168.1.10 with the same key.
    let mut net = server();
    let mut all = Vec::new();
    for index in 0..60u32 {
        let mut profile = fake::apple();
        profile.initial_contact = true;
        profile.ike = vec![(7, Some(256), 2, 19)];
        let fake = Fake::connect(profile, u16::try_from(index).unwrap(), &mut net);
        fake.quick_mode(&mut net, 1, ordinary(&fake, 0xb100_0000 + index)).unwrap();
        all.push(fake);
    }
    assert_eq!((net.nodes[0].up.len(), net.nodes[0].inbound.len()), (60, 60));
    assert!(net.nodes[0].down.is_empty(), "a neighbour was taken away");
    // One comes again from where it was: its own old self goes, and nobody else.
    let index = 17u16;
    let mut again = Fake::new(all[17].profile.clone(), index);
    again.cookies.initiator = [0xaa; 8];
    again.main_mode(&mut net);
    assert_eq!(net.nodes[0].down.len(), 1);
    assert_eq!(net.nodes[0].down[0].1, DownReason::InitialContact);
    // And another by notification in an exchange of its own.
    let body = [&[0, 0, 0, 1, 1, 16, 0x60, 2][..], &all[3].cookies.concat()].concat();
    let chain = Out::new().with(PayloadType::NOTIFICATION, body);
    all[3].tell(&mut net, &all[3].informational(50, chain)).unwrap();
    assert_eq!(net.nodes[0].down.len(), 1, "an SA of its own is no former life");
    assert_eq!(net.nodes[0].up.len(), 60);
}

#[test]
fn the_same_name_with_another_key_or_port_is_somebody_else() {
    let psk = |id, secret: &[u8]| Psk {
        id: PskId(id),
        secret: SecretBytes::copy_of(secret),
        remote: None,
    };
    let two = vec![psk(1, super::net::SECRET), psk(2, b"another long secret")];
    let mut net = Net::server(Config { psks: two, ..server_config() });
    Fake::connect(fake::apple(), 0, &mut net);
    let mut other = Fake::new(fake::apple(), 0);
    other.psk = b"another long secret".to_vec();
    other.cookies.initiator = [0xbb; 8];
    other.main_mode(&mut net);
    assert_eq!(net.nodes[0].up.len(), 2);
    let mut renamed = Fake::new(fake::apple(), 0);
    renamed.id = IdBody::address("192.168.1.11".parse().unwrap(), 0, 0).to_bytes();
    renamed.cookies.initiator = [0xcc; 8];
    renamed.main_mode(&mut net);
    assert_eq!((net.nodes[0].up.len(), net.nodes[0].down.len()), (3, 0));
}

#[test]
fn the_responder_never_begins_a_quick_mode_towards_a_windows_client() {
    let mut net = server();
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let (_, spi) = fake.quick_mode(&mut net, 1, ordinary(&fake, 0xb100_0001)).unwrap();
    net.taken.clear();
    let peer = net.server_peer();
    net.nodes[0].endpoint.soft_limit(peer, spi, net.now);
    net.drain(0);
    net.run(Duration::from_hours(2));
    let begun = net.taken.iter().any(|p| super::net::exchange_of(p) == ExchangeType::QUICK_MODE);
    assert!(!begun);
    assert!(net.nodes[0].inbound.is_empty(), "expired and not renewed by us");
}

#[test]
fn over_ipv6_a_client_that_announces_no_nat_traversal_gets_plain_esp() {
    let path =
        Path::new("[2001:db8::1]:500".parse().unwrap(), "[2001:db8:7::77]:500".parse().unwrap());
    // Some send hashes all the same; without a dialect they say nothing.
    for hashes in [false, true] {
        let mut profile = fake::network_manager();
        profile.vids.clear();
        let mut net = server();
        let mut fake = Fake::new(profile, 0);
        fake.path = path;
        let mm1 = fake.mm1();
        let mm2 = fake.ask(&mut net, &mm1).unwrap();
        assert_eq!(count(&mm2, PayloadType::VENDOR_ID), 0);
        let mut mm3 = fake.mm3(&mm2);
        if !hashes {
            let sent = Message::read(&mm3).unwrap();
            let chain = Chain::read(sent.header.first, sent.body).unwrap();
            let mut out = Out::new();
            let kept = |kind| matches!(kind, PayloadType::KE | PayloadType::NONCE);
            chain.iter().filter(|p| kept(p.kind)).for_each(|p| out.push(p.kind, p.body));
            mm3 = fake.message(ExchangeType::IDENTITY_PROTECTION, 0, 0, &out);
        }
        let mm4 = fake.ask(&mut net, &mm3).unwrap();
        assert_eq!(count(&mm4, PayloadType::NAT_D) + count(&mm4, PayloadType::NAT_D_DRAFT), 0);
        let mm5 = fake.mm5(&mm4);
        (fake.path, fake.marked) = (path, false);
        let mm6 = fake.ask(&mut net, &mm5).unwrap();
        fake.mm6(&mm6);
        let up = net.nodes[0].up[&net.server_peer()].clone();
        assert_eq!((up.encap, up.nat, up.path), (Encap::Esp, NatStatus::default(), path));

        let ask = |spi, mode| {
            let ids = Some((udp("2001:db8:7::77", 1701), udp("2001:db8::1", 1701)));
            fake.payloads(esp_offer(&[AES256_SHA1], spi, mode, None, false), ids)
        };
        fake.quick_mode(&mut net, 3, ask(0xb100_0001, 2)).unwrap();
        let encaps: Vec<_> = net.nodes[0].inbound.values().map(|sa| sa.encap).collect();
        assert_eq!(encaps, [Encap::Esp]);
        // In UDP it would not arrive.
        let refused = fake.quick_mode(&mut net, 5, ask(0xb100_0002, 4)).err();
        assert_eq!(refused, Some(Rejected::NoProposalChosen));
    }
}

fn count(message: &[u8], kind: PayloadType) -> usize {
    let message = Message::read(message).unwrap();
    Chain::read(message.header.first, message.body).unwrap().all(kind).count()
}
