//! What is said and written down about hostile input: nothing from beyond the packet, nothing for an
//! SA that is gone, and never a character that a terminal would act on.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Rng;

use super::super::fake::{self, Fake};
use super::super::net::{Net, server_config};
use super::{MAIN_MODE, a_good_client_still_connects, established, ordinary, refused, server};
use crate::codec::{Chain, Message, Notification, Out, SaBody};
use crate::iana::{ExchangeType, NotifyType, PayloadType};
use crate::*;

/// The payloads of a message in clear, which must be its every byte.
fn payloads(bytes: &[u8]) -> Vec<(PayloadType, Vec<u8>)> {
    let message = Message::read(bytes).unwrap();
    assert_eq!(message.header.flags.0, 0);
    let chain = Chain::read(message.header.first, message.body).unwrap();
    let mut out = Out::new();
    chain.iter().for_each(|payload| out.push(payload.kind, payload.body));
    assert_eq!(out.to_bytes(), message.body, "bytes beside the payloads");
    chain.iter().map(|payload| (payload.kind, payload.body.to_vec())).collect()
}

/// CVE-2016-6415: Cisco answered with memory from behind the packet.
#[test]
fn every_byte_of_a_reply_is_accounted_for() {
    for profile in [fake::windows10(), fake::apple(), fake::windows_xp()] {
        let mut net = server();
        let mut fake = Fake::new(profile, 0);
        let mm1 = fake.mm1();
        let mm2 = fake.ask(&mut net, &mm1).unwrap();
        let said = payloads(&mm2);
        let (offer, answer) = (fake.profile.sa_body(), &said[0].1);
        let (offer, answer) = (SaBody::read(&offer).unwrap(), SaBody::read(answer).unwrap());
        assert_eq!(answer.proposals.len(), 1);
        let chosen = &answer.proposals[0].transforms;
        assert!(offer.proposals[0].transforms.contains(&chosen[0]) && chosen.len() == 1);
        for (kind, body) in &said[1..] {
            assert_eq!(*kind, PayloadType::VENDOR_ID);
            assert!(fake.profile.vids.contains(body), "a vendor id that nobody announced");
        }
        let mm3 = fake.mm3(&mm2);
        let mm4 = fake.ask(&mut net, &mm3).unwrap();
        let asked = payloads(&mm3);
        let said = payloads(&mm4);
        let shape = |list: &[(PayloadType, Vec<u8>)]| -> Vec<_> {
            list.iter().map(|(kind, body)| (*kind, body.len())).collect()
        };
        assert_eq!(shape(&said), shape(&asked), "message 4 has the shape of message 3");
        a_good_client_still_connects(&mut net);
    }
}

/// The same with lengths that lie: a refusal has forty bytes, whatever provoked it.
#[test]
fn a_refusal_repeats_nothing_of_what_it_refuses() {
    let mut net = server();
    let mut rng = Rng::new([4; 32]);
    let mut refusals = 0;
    for round in 0..500u32 {
        let mut fake = Fake::new(fake::windows10(), 0);
        fake.cookies.initiator = u64::from(round + 1).to_be_bytes();
        fake.profile.ike = vec![(1, None, 1, 1); 5];
        let mut mm1 = fake.mm1();
        let len = u32::try_from(mm1.len()).unwrap();
        for _ in 0..rng.below(6) {
            let at = usize::try_from(rng.below(len - 28)).unwrap() + 28;
            mm1[at] = rng.array::<1>()[0];
        }
        let _ = fake.tell(&mut net, &mm1);
        for packet in core::mem::take(&mut net.taken) {
            let said = payloads(&packet.bytes);
            let [(PayloadType::NOTIFICATION, body)] = said.as_slice() else { continue };
            let told = Notification::read(body).unwrap();
            assert_eq!(told.kind, NotifyType::NO_PROPOSAL_CHOSEN);
            assert!(told.spi.is_empty() && told.data.is_empty());
            assert_eq!(packet.bytes.len(), 40);
            refusals += 1;
        }
    }
    assert!(refusals > 100, "{refusals}");
    a_good_client_still_connects(&mut net);
}

/// CVE-2015-3204, CVE-2022-23094: the packet was refused in time, but not its description.
#[test]
fn a_refusal_can_be_written_down_whatever_it_is_of() {
    let mut net = server();
    let fake = established(&mut net);
    let mut rng = Rng::new([6; 32]);
    let mut written = 0;
    let seeds = [
        Fake::new(fake::windows10(), 1).mm1(),
        Fake::new(fake::android(), 2).mm1(),
        fake.qm1(9, &fake.nonce_i, ordinary(&fake, 0xb100_0009)).0,
    ];
    for round in 0..6000usize {
        let mut bytes = seeds[round % seeds.len()].clone();
        if round % seeds.len() < 2 {
            bytes[..8].copy_from_slice(&(round as u64 + 1).to_be_bytes());
        }
        let len = u32::try_from(bytes.len()).unwrap();
        for _ in 0..=rng.below(8) {
            let at = usize::try_from(rng.below(len - 16)).unwrap() + 16;
            bytes[at] = rng.array::<1>()[0];
        }
        if let Err(rejected) = fake.tell(&mut net, &bytes) {
            let text = format!("{rejected} {rejected:?} {}", rejected.label());
            assert!(text.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text:?}");
            written += 1;
        }
        for failure in net.nodes[0].failed.drain(..) {
            let text = format!("{} {failure:?} {}", failure.cause, failure.facts.vendors);
            assert!(text.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text:?}");
            written += 1;
        }
        net.taken.clear();
    }
    assert!(written > 1000, "{written}");
    a_good_client_still_connects(&mut net);
}

/// CVE-2015-4047 (the GSS payload of racoon) and others: payloads of no bytes, of every type.
#[test]
fn payloads_without_a_body_are_refused_or_ignored_in_every_message() {
    let mut net = server();
    for kind in 1..=255u8 {
        let mut fake = Fake::new(fake::windows10(), 0);
        fake.cookies.initiator = [kind; 8];
        fake.mm1();
        let bare = Out::new().with(PayloadType(kind), Vec::new());
        let alone = fake.message(MAIN_MODE, 0, 0, &bare);
        refused(&mut net, &fake, &alone);
        let body = fake.profile.sa_body();
        let beside = Out::new().with(PayloadType::SA, body).with(PayloadType(kind), Vec::new());
        let bytes = fake.message(MAIN_MODE, 0, 0, &beside);
        let _ = fake.tell(&mut net, &bytes);
        net.taken.clear();
    }
    let fake = established(&mut net);
    net.taken.clear();
    for kind in 1..=255u8 {
        let chain = Out::new().with(PayloadType(kind), Vec::new());
        let _ = fake.tell(&mut net, &fake.informational(1000 + u32::from(kind), chain.clone()));
        let (qm1, _) = fake.qm1(2000 + u32::from(kind), &fake.nonce_i, chain);
        refused(&mut net, &fake, &qm1);
    }
    assert_eq!(net.nodes[0].inbound.len(), 1);
    a_good_client_still_connects(&mut net);
}

/// `SoftEther` 6f574491 answered IKE for which it had no SA, and so amplified.
#[test]
fn an_sa_that_is_gone_is_never_answered_for() {
    let mut net = server();
    let fake = established(&mut net);
    fake.tell(&mut net, &fake.delete_esp(7, &[0xb100_0001])).unwrap();
    fake.tell(&mut net, &fake.delete_ike(8)).unwrap();
    net.taken.clear();
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
    let question = [&[0, 0, 0, 1, 1, 16, 0x8d, 0x28][..], &fake.cookies.concat(), &[0; 4]].concat();
    let chain = Out::new().with(PayloadType::NOTIFICATION, question);
    let (qm1, _) = fake.qm1(10, &fake.nonce_i, ordinary(&fake, 0xb100_0002));
    let later = [
        fake.informational(9, chain),
        qm1,
        fake.delete_ike(11),
        fake.raw_message(ExchangeType::TRANSACTION, 12, 1, PayloadType::HASH, &[7; 64]),
    ];
    for bytes in later {
        refused(&mut net, &fake, &bytes);
    }
    a_good_client_still_connects(&mut net);
}

/// CVE-2023-38711: `IDcr` of type FQDN, with `IDci` missing, doubled or odd.
#[test]
fn a_name_as_selector_is_handled_in_any_place() {
    let mut net = Net::server(server_config());
    let fake = Fake::connect(fake::windows_xp(), 0, &mut net);
    let name = b"\x02\x11\x06\xa5server.example".to_vec();
    let offer = |spi| fake::esp_offer(&[(3, None, Some(2))], spi, 61444, None, false);
    let both = Some((name.clone(), name.clone()));
    fake.quick_mode(&mut net, 1, fake.payloads(offer(0xb100_0001), both)).unwrap();
    for (id, count) in [(2, 1), (3, 3)] {
        let mut chain = fake.payloads(offer(0xb100_0002), None);
        for _ in 0..count {
            chain.push(PayloadType::ID, name.clone());
        }
        let refusal = fake.quick_mode(&mut net, id, chain).err();
        assert_eq!(refusal, Some(Rejected::Selectors), "{count} identities");
    }
    assert_eq!(net.nodes[0].inbound.len(), 1);
    a_good_client_still_connects(&mut net);
}
