//! The habits of an initiator: what each of them puts on the wire, and that a server takes it.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;

use super::net::{Fate, Nat, Net, client_config, exchange_of, server_config};
use crate::codec::{Chain, Message, SaBody};
use crate::iana::{
    AuthMethod, Encapsulation, EspAuthentication, EspTransform, ExchangeType, GroupNumber,
    IkeEncryption, IkeHash, PayloadType,
};
use crate::*;

const fn ike(encryption: IkeEncryption, bits: Option<u16>, group: GroupNumber) -> OfferedIke {
    let (hash, authentication) = (IkeHash::SHA1, AuthMethod::PSK);
    OfferedIke { encryption, key_bits: bits, hash, group, authentication }
}

const fn esp(transform: EspTransform, key_bits: Option<u16>) -> OfferedEsp {
    let authentication = Some(EspAuthentication::SHA1);
    OfferedEsp { transform, key_bits, authentication, group: None, encapsulation: None }
}

fn windows_phase1() -> Phase1Habits {
    let (aes, des3) = (IkeEncryption::AES, IkeEncryption::TRIPLE_DES);
    let microsoft = |id: VendorId, tail: u32| [id.bytes(), &tail.to_be_bytes()].concat();
    Phase1Habits {
        transforms: Some(vec![
            ike(aes, Some(256), GroupNumber(20)),
            ike(aes, Some(128), GroupNumber(19)),
            ike(aes, Some(256), GroupNumber(14)),
            ike(des3, None, GroupNumber(14)),
            ike(des3, None, GroupNumber(2)),
        ]),
        wide_lifetimes: true,
        vendors: Some(vec![
            microsoft(VendorId::MicrosoftNt5, 1),
            microsoft(VendorId::MicrosoftNt5, 9),
            VendorId::Rfc3947.bytes().to_vec(),
            VendorId::NatTDraft02N.bytes().to_vec(),
            VendorId::Fragmentation.bytes().to_vec(),
            VendorId::NegotiationDiscovery.bytes().to_vec(),
            VendorId::MicrosoftInitialContact.bytes().to_vec(),
            VendorId::IkeCga.bytes().to_vec(),
        ]),
        initial_contact: InitialContact::VendorId,
        ..Phase1Habits::default()
    }
}

fn net(habits: Habits) -> Net {
    Net::new(Nat::Client, server_config(), Config { habits, ..client_config() })
}

fn vendors_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let message = Message::read(bytes).unwrap();
    let chain = Chain::read(message.header.first, message.body).unwrap();
    chain.all(PayloadType::VENDOR_ID).map(<[u8]>::to_vec).collect()
}

#[test]
fn message_1_of_windows_has_its_408_bytes() {
    let phase1 = windows_phase1();
    let mut net = net(Habits { phase1: phase1.clone(), ..Habits::default() });
    net.connect(1);
    let first = net.sent[0].bytes.clone();
    assert_eq!(first.len(), 408);
    assert_eq!(Some(vendors_of(&first)), phase1.vendors);
    let message = Message::read(&first).unwrap();
    let chain = Chain::read(message.header.first, message.body).unwrap();
    let sa = SaBody::read(chain.required(PayloadType::SA).unwrap()).unwrap();
    let offered: Vec<_> = sa.proposals[0].transforms.iter().map(OfferedIke::of).collect();
    assert_eq!(Some(offered), phase1.transforms);
    net.run_secs(1);
    net.assert_agreed(1, 1);
    assert_eq!(net.nodes[0].up[&net.server_peer()].vendors.microsoft, Some(9));
}

#[test]
fn first_contact_is_said_once_and_by_one_way() {
    let mut net = net(Habits { phase1: windows_phase1(), ..Habits::default() });
    let peer = net.connect(1);
    net.run_secs(1);
    let before = net.sent.len();
    net.nodes[1].endpoint.rekey_ike(peer, net.now);
    net.drain(1);
    net.run_secs(10);
    let fresh = |p: &&super::net::Packet| exchange_of(p) == ExchangeType::IDENTITY_PROTECTION;
    let rekey = net.sent[before..].iter().find(fresh).unwrap();
    let first = VendorId::MicrosoftInitialContact.bytes().to_vec();
    assert!(vendors_of(&net.sent[0].bytes).contains(&first));
    assert!(!vendors_of(&rekey.bytes).contains(&first));
    assert_eq!(vendors_of(&rekey.bytes).len(), 7);
    assert_eq!(net.nodes[0].rekeyed, 1, "the same peer");
}

#[test]
fn transforms_that_nobody_may_choose_are_offered_and_not_chosen() {
    let transforms = vec![
        esp(EspTransform::NULL, None),
        esp(EspTransform::DES, None),
        esp(EspTransform::AES, Some(128)),
    ];
    let phase2 = Phase2Habits { transforms: Some(transforms), ..Phase2Habits::default() };
    let des = ike(IkeEncryption::DES, None, GroupNumber(1));
    let aes = ike(IkeEncryption::AES, Some(256), GroupNumber(14));
    let phase1 = Phase1Habits { transforms: Some(vec![des, aes]), ..Phase1Habits::default() };
    let mut net = net(Habits { phase1, phase2, ..Habits::default() });
    net.connect(1);
    net.run_secs(1);
    net.assert_agreed(1, 1);
    let suite = net.nodes[1].inbound.values().next().unwrap().suite;
    assert_eq!(suite, isthmus_crypto::EspSuite::Aes128CbcSha1);
}

#[test]
fn windows_counts_its_quick_modes() {
    let phase2 = Phase2Habits { message_ids: MessageIds::Counter, ..Phase2Habits::default() };
    let mut net = net(Habits { phase2, ..Habits::default() });
    let peer = net.connect(1);
    net.run_secs(1);
    for _ in 0..3 {
        net.nodes[1].endpoint.rekey_child(peer, net.now);
        net.drain(1);
        net.run_secs(40);
    }
    let quick = |p: &&super::net::Packet| exchange_of(p) == ExchangeType::QUICK_MODE;
    let id = |p: &super::net::Packet| Message::read(&p.bytes).unwrap().header.message_id;
    let mut ids: Vec<u32> = net.sent.iter().filter(quick).filter(|p| p.from == 1).map(id).collect();
    ids.dedup();
    assert_eq!(ids, [1, 2, 3, 4]);
    net.assert_agreed(1, 1);
}

#[test]
fn every_selector_and_nat_oa_is_taken() {
    let mut lengths = Vec::new();
    for (selector, port) in [(Selector::Port, 1701), (Selector::AnyPort, 0), (Selector::Any, 0)] {
        for nat_oa in 0..=2 {
            let phase2 = Phase2Habits {
                selector,
                nat_oa,
                nat_oa_number: Some(PayloadType::NAT_OA_DRAFT),
                encapsulation: Some(Encapsulation::UDP_TRANSPORT_DRAFT),
                nonce_len: 48,
                wide_lifetimes: true,
                ..Phase2Habits::default()
            };
            let mut net = net(Habits { phase2, ..Habits::default() });
            net.connect(1);
            net.run_secs(1);
            net.assert_agreed(1, 1);
            assert_eq!(net.nodes[0].children[0].remote_port, port, "{selector:?} {nat_oa}");
            lengths.push(net.sent[6].bytes.len());
        }
    }
    assert!(lengths[0] < lengths[1] && lengths[1] < lengths[2], "{lengths:?}");
}

#[test]
fn windows_deletes_the_old_child_before_message_3_and_takes_its_packets_for_a_minute() {
    let life = LifeHabits { replaced: Replaced::DeleteBefore, ..LifeHabits::default() };
    let life = LifeHabits { dpd: DpdHabit::Unknown, ..life };
    let mut net = net(Habits { phase1: windows_phase1(), life, ..Habits::default() });
    let peer = net.connect(1);
    net.run_secs(1);
    let before = net.sent.len();
    net.nodes[1].endpoint.rekey_child(peer, net.now);
    net.drain(1);
    net.run_secs(1);
    let exchanges: Vec<_> = net.sent[before..].iter().map(|p| (p.from, exchange_of(p))).collect();
    let (quick, delete) = (ExchangeType::QUICK_MODE, ExchangeType::INFORMATIONAL);
    assert_eq!(exchanges, [(1, quick), (0, quick), (1, delete), (1, quick)]);
    assert_eq!(net.nodes[1].inbound.len(), 2, "packets under way are taken");
    assert_eq!(net.nodes[0].outbound.len(), 1, "the server sends on the new one");
    net.run_secs(61);
    net.assert_agreed(1, 1);
    assert_eq!(net.sent.len(), before + 4, "nothing is deleted twice");
}

#[test]
fn the_old_child_deleted_early_costs_nothing_whatever_is_lost() {
    for lost in 0..4 {
        let life = LifeHabits { replaced: Replaced::DeleteBefore, ..LifeHabits::default() };
        let mut net = net(Habits { life, ..Habits::default() });
        let peer = net.connect(1);
        net.run_secs(1);
        let target = net.sent.len() + lost;
        net.fate(move |n, _| if n == target { Fate::Drop } else { Fate::Deliver });
        net.nodes[1].endpoint.rekey_child(peer, net.now);
        net.drain(1);
        for _ in 0..1200 {
            net.run(Duration::from_millis(100));
            let client = &net.nodes[1];
            let takes = |sa: &InstallOutbound| client.inbound.contains_key(&sa.spi);
            assert!(net.nodes[0].outbound.values().any(takes), "message {lost}: no way back");
        }
    }
}

#[test]
fn ios_says_nothing_when_it_leaves() {
    let life = LifeHabits { deletes_children: false, deletes_ike: false, ..LifeHabits::default() };
    let mut net = net(Habits { life, ..Habits::default() });
    let peer = net.connect(1);
    net.run_secs(1);
    let before = net.sent.len();
    net.nodes[1].endpoint.close_peer(peer, net.now);
    net.drain(1);
    assert_eq!(net.sent.len(), before);
    assert_eq!(net.nodes[1].endpoint.peers(), 0);
    net.run_secs(120);
    net.assert_nothing_left();
}

#[test]
fn who_does_not_announce_dpd_is_never_asked() {
    let phase1 = Phase1Habits {
        vendors: Some(vec![VendorId::Rfc3947.bytes().to_vec()]),
        ..Phase1Habits::default()
    };
    let life = LifeHabits { dpd: DpdHabit::Unknown, ..LifeHabits::default() };
    let mut net = net(Habits { phase1, life, ..Habits::default() });
    net.connect(1);
    net.run_secs(1);
    let before = net.sent.len();
    net.run_secs(600);
    assert_eq!(net.sent.len(), before, "nobody asks");
    net.assert_agreed(1, 1);
}

#[test]
fn who_only_answers_dpd_is_alive_without_asking() {
    let life = LifeHabits { dpd: DpdHabit::Answers, ..LifeHabits::default() };
    let mut net = net(Habits { life, ..Habits::default() });
    net.connect(1);
    net.run_secs(1);
    let before = net.sent.len();
    net.run_secs(600);
    let (asked, answered): (Vec<_>, Vec<_>) = net.sent[before..].iter().partition(|p| p.from == 0);
    assert!(!asked.is_empty());
    assert_eq!(asked.len(), answered.len());
    net.assert_agreed(1, 1);
}

#[test]
fn android_repeats_every_three_seconds() {
    let retransmit = vec![Duration::from_secs(3); 9];
    let phase1 = Phase1Habits { retransmit, id_port: (17, 500), ..Phase1Habits::default() };
    let mut net = net(Habits { phase1, ..Habits::default() });
    net.fate(|n, _| if n < 4 { Fate::Drop } else { Fate::Deliver });
    net.connect(1);
    net.run_secs(8);
    assert_eq!(net.sent.len(), 3);
    net.run_secs(7);
    net.assert_agreed(1, 1);
    assert!(net.sent.iter().take(5).all(|p| p.bytes == net.sent[0].bytes));
}
