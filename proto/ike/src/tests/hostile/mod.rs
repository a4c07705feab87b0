//! Hostile input: each class that broke a released product, and each bound.
//!
//! Everywhere the same is asked: no panic, nothing said that was not paid for, nothing changed.

mod flood;
mod fragments;
mod replies;

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_wire::{DecodeError, Fault};

use super::fake::{self, Fake, esp_offer, udp};
use super::net::{Fate, Nat, Net, Packet, exchange_of, server_config};
use crate::codec::{Chain, Message, Out};
use crate::iana::{ExchangeType, PayloadType};
use crate::*;

const MAIN_MODE: ExchangeType = ExchangeType::IDENTITY_PROTECTION;
const AES256_SHA1: (u8, Option<u16>, Option<u16>) = (12, Some(256), Some(2));

fn server() -> Net {
    Net::server(server_config())
}

/// A peer with one child, and its next outbound SPI.
fn established(net: &mut Net) -> Fake {
    let fake = Fake::connect(fake::windows10(), 0, net);
    fake.quick_mode(net, 1, ordinary(&fake, 0xb100_0001)).unwrap();
    fake
}

fn ordinary(fake: &Fake, spi: u32) -> Out {
    let ids = Some((udp("192.168.1.10", 1701), udp("198.51.100.1", 1701)));
    fake.payloads(esp_offer(&[AES256_SHA1], spi, 4, None, false), ids)
}

/// What a rejected datagram must not touch.
fn state_of(net: &Net) -> (usize, usize, usize, usize, usize, Option<isthmus_core::Deadline>) {
    let node = &net.nodes[0];
    let endpoint = &node.endpoint;
    (
        endpoint.ike_sas(),
        endpoint.peers(),
        endpoint.inbound_spis(),
        endpoint.half_open(),
        node.log.len(),
        endpoint.poll_timeout(),
    )
}

/// Nothing of `bytes` is believed, and nothing is said.
#[track_caller]
fn refused(net: &mut Net, fake: &Fake, bytes: &[u8]) -> Rejected {
    let before = state_of(net);
    let rejected = fake.tell(net, bytes).expect_err("accepted");
    assert_eq!(state_of(net), before, "{rejected:?} changed something");
    assert!(net.taken.is_empty(), "{rejected:?} was answered");
    rejected
}

/// Whatever came before, a good client gets its SA and its child.
#[track_caller]
fn a_good_client_still_connects(net: &mut Net) {
    net.taken.clear();
    let mut profile = fake::apple();
    profile.ike = vec![(7, Some(256), 4, 19)];
    let modern = net.nodes[0].up.len();
    let good = Fake::connect(profile, 90, net);
    good.quick_mode(net, 3, ordinary(&good, 0xb100_0077)).unwrap();
    assert!(net.nodes[0].up.len() > modern);
    assert!(sends_on(net, 0xb100_0077));
}

/// Whether the server sends on the SPI of a client.
fn sends_on(net: &Net, spi: u32) -> bool {
    net.nodes[0].outbound.keys().any(|(_, outbound)| *outbound == spi)
}

#[test]
fn a_length_field_that_is_not_the_datagrams_is_refused() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let longer = [&mm1[..], &[0]].concat();
    let trailing = DecodeError::new("length", Fault::Trailing);
    assert_eq!(refused(&mut net, &fake, &longer), Rejected::Decode(trailing));
    let truncated = DecodeError::new("length", Fault::Truncated);
    assert_eq!(refused(&mut net, &fake, &mm1[..407]), Rejected::Decode(truncated));
    a_good_client_still_connects(&mut net);
}

#[test]
fn every_prefix_of_every_message_is_refused() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    (0..mm1.len()).for_each(|n| {
        refused(&mut net, &fake, &mm1[..n]);
    });
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    (0..mm3.len()).for_each(|n| {
        refused(&mut net, &fake, &mm3[..n]);
    });
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    let mm5 = fake.mm5(&mm4);
    (0..mm5.len()).for_each(|n| {
        refused(&mut net, &fake, &mm5[..n]);
    });
    let mm6 = fake.ask(&mut net, &mm5).unwrap();
    fake.mm6(&mm6);
    a_good_client_still_connects(&mut net);
}

#[test]
fn each_payload_dropped_from_each_message_is_survived() {
    // Message 1 without its SA; the vendor ids are optional.
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let without = |bytes: &[u8], index: usize| {
        let message = Message::read(bytes).unwrap();
        let chain = Chain::read(message.header.first, message.body).unwrap();
        let mut out = Out::new();
        for (n, payload) in chain.iter().enumerate() {
            if n != index {
                out.push(payload.kind, payload.body);
            }
        }
        out
    };
    let out = without(&mm1, 0);
    let bytes = fake.message(MAIN_MODE, 0, 0, &out);
    let missing = |field| Rejected::Decode(DecodeError::new(field, Fault::Truncated));
    assert_eq!(refused(&mut net, &fake, &bytes), missing("SA"));
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    for (index, field) in [(0, "KE"), (1, "NONCE")] {
        let out = without(&mm3, index);
        let bytes = fake.message(MAIN_MODE, 0, 0, &out);
        assert_eq!(refused(&mut net, &fake, &bytes), missing(field));
    }
    // One NAT-D of two only changes what is detected.
    let out = without(&mm3, 3);
    let mm3 = fake.message(MAIN_MODE, 0, 0, &out);
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    let mm5 = fake.mm5(&mm4);
    let mm6 = fake.ask(&mut net, &mm5).unwrap();
    fake.mm6(&mm6);

    let payloads = [PayloadType::SA, PayloadType::NONCE];
    for (id, gone) in (10..).zip(payloads) {
        let all = ordinary(&fake, 0xb100_0001).to_bytes();
        let chain = Chain::read(PayloadType::SA, &all).unwrap();
        let mut out = Out::new();
        chain.iter().filter(|p| p.kind != gone).for_each(|p| out.push(p.kind, p.body));
        let (qm1, _) = fake.qm1(id, &fake.nonce_i, out);
        assert_eq!(refused(&mut net, &fake, &qm1), missing(gone.name().unwrap()));
    }
    // Without HASH nothing is looked at.
    let iv = fake.phase2_iv(20);
    let (bare, _) = fake.seal(ExchangeType::QUICK_MODE, 20, &iv, &ordinary(&fake, 0xb100_0001));
    let illegal = Rejected::Decode(DecodeError::illegal("HASH"));
    assert_eq!(refused(&mut net, &fake, &bare), illegal);
    a_good_client_still_connects(&mut net);
}

#[test]
fn unassigned_situation_bits_and_foreign_payload_types_are_refused() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    fake.mm1();
    let mut body = fake.profile.sa_body();
    body[..8].fill(0xff);
    let out = Out::new().with(PayloadType::SA, body);
    let bytes = fake.message(MAIN_MODE, 0, 0, &out);
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::Decode(DecodeError::illegal("DOI")));
    for kind in [22, 33, 34, 46, 53, 127] {
        let out = Out::new().with(PayloadType(kind), vec![0; 20]);
        let bytes = fake.message(MAIN_MODE, 0, 0, &out);
        let illegal = Rejected::Decode(DecodeError::illegal("payload type"));
        assert_eq!(refused(&mut net, &fake, &bytes), illegal);
    }
    // Type 15 is Apple's old NAT-D: tolerated beside an SA, and no substitute for one.
    let out = Out::new().with(PayloadType::NAT_D_OLD, vec![0; 20]);
    let bytes = fake.message(MAIN_MODE, 0, 0, &out);
    assert!(matches!(refused(&mut net, &fake, &bytes), Rejected::Decode(_)));
    a_good_client_still_connects(&mut net);
}

#[test]
fn an_ikev2_message_is_refused_by_its_version() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mut mm1 = fake.mm1();
    mm1[17] = 0x20;
    let illegal = Rejected::Decode(DecodeError::illegal("version"));
    assert_eq!(refused(&mut net, &fake, &mm1), illegal);
    a_good_client_still_connects(&mut net);
}

#[test]
fn exchanges_that_we_do_not_do_are_named_and_dropped() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    for exchange in [0, 1, 3, 4, 6, 33, 34, 35, 36, 37, 240, 255] {
        let mut bytes = mm1.clone();
        bytes[18] = exchange;
        let unsupported = Rejected::ExchangeUnsupported(ExchangeType(exchange));
        assert_eq!(refused(&mut net, &fake, &bytes), unsupported);
    }
    let stats = net.nodes[0].endpoint.stats();
    assert_eq!(stats.rejected["exchange_unsupported"], 11);
    assert_eq!(stats.rejected["aggressive_mode"], 1);
    a_good_client_still_connects(&mut net);
}

/// A key exchange with a chosen value, as far as the server's judgement.
fn with_share(group: u16, share: &[u8]) -> (Net, Result<(), Rejected>) {
    let mut net = server();
    let mut profile = fake::windows10();
    profile.ike = vec![(7, Some(256), 2, group)];
    let mut fake = Fake::new(profile, 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    fake.mm3(&mm2);
    let out =
        Out::new().with(PayloadType::KE, share).with(PayloadType::NONCE, fake.nonce_i.as_slice());
    let mm3 = fake.message(MAIN_MODE, 0, 0, &out);
    let result = fake.tell(&mut net, &mm3);
    (net, result)
}

#[test]
fn unusable_key_exchange_values_are_refused() {
    let one = |len: usize| [vec![0; len - 1], vec![1]].concat();
    for (group, len) in [(14, 256), (20, 96), (19, 64), (2, 128)] {
        for share in [vec![0; len], one(len), vec![0xff; len]] {
            let (mut net, result) = with_share(group, &share);
            assert_eq!(result, Ok(()), "the length is right");
            assert!(net.taken.is_empty(), "group {group} was answered");
            assert_eq!(net.nodes[0].failed[0].cause.label(), "bad_key_exchange");
            a_good_client_still_connects(&mut net);
        }
        for wrong in [0, 1, len - 1, len + 1] {
            let (mut net, result) = with_share(group, &vec![2; wrong]);
            assert_eq!(result, Err(Rejected::Decode(DecodeError::illegal("KE"))));
            assert!(net.nodes[0].failed.is_empty());
            a_good_client_still_connects(&mut net);
        }
    }
}

#[test]
fn a_bad_share_does_not_spoil_the_true_one_and_a_second_ends_the_attempt() {
    let bad = |net: &mut Net, fake: &Fake, fill: u8| {
        let out = Out::new()
            .with(PayloadType::KE, vec![fill; 256])
            .with(PayloadType::NONCE, fake.nonce_i.as_slice());
        let bytes = fake.message(MAIN_MODE, 0, 0, &out);
        let _ = fake.tell(net, &bytes);
    };
    let mut profile = fake::windows10();
    profile.ike = vec![(7, Some(256), 2, 14)];
    let mut net = server();
    let mut fake = Fake::new(profile.clone(), 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    bad(&mut net, &fake, 0);
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    let mm5 = fake.mm5(&mm4);
    let mm6 = fake.ask(&mut net, &mm5).unwrap();
    fake.mm6(&mm6);

    let mut net = server();
    let mut fake = Fake::new(profile, 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    fake.mm3(&mm2);
    bad(&mut net, &fake, 0);
    bad(&mut net, &fake, 0xff);
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
    assert_eq!(net.nodes[0].failed.len(), 1);
    net.run_secs(31);
    net.assert_nothing_left();
}

#[test]
fn an_unknown_group_or_a_transform_without_one_is_no_proposal() {
    for group in [0, 1, 17, 21, 31, 1025, 65535] {
        let mut net = server();
        let mut profile = fake::windows10();
        profile.ike = vec![(7, Some(256), 2, group)];
        let mut fake = Fake::new(profile, 0);
        let mm1 = fake.mm1();
        assert_eq!(fake.tell(&mut net, &mm1), Err(Rejected::NoProposalChosen));
        assert_eq!(net.nodes[0].failed[0].cause.label(), "no_ike_proposal");
        assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
        a_good_client_still_connects(&mut net);
    }
}

#[test]
fn md5_is_not_negotiated_when_legacy_is_off() {
    let mut net = Net::server(Config { legacy: false, ..server_config() });
    let mut profile = fake::windows10();
    profile.ike = vec![(7, Some(256), 1, 14)];
    let mut fake = Fake::new(profile, 0);
    let mm1 = fake.mm1();
    assert_eq!(fake.tell(&mut net, &mm1), Err(Rejected::NoProposalChosen));
    a_good_client_still_connects(&mut net);
}

#[test]
fn one_spoofed_message_1_costs_less_than_it_sent_and_nothing_after_30_seconds() {
    for profile in [fake::windows10(), fake::apple(), fake::android(), fake::windows_xp()] {
        let mut net = server();
        let mut fake = Fake::new(profile, 0);
        let mm1 = fake.mm1();
        fake.tell(&mut net, &mm1).unwrap();
        net.run_secs(60);
        let sent: usize = net.taken.iter().map(|packet| packet.bytes.len()).sum();
        assert_eq!(net.taken.len(), 1, "message 2 was repeated unasked");
        assert!(sent <= mm1.len(), "{sent} for {}", mm1.len());
        net.assert_nothing_left();
        // Reported once, as what may come from anybody: its stage says that no message 3 came.
        let failed = &net.nodes[0].failed;
        let seen: Vec<_> = failed.iter().map(|f| (f.peer, f.stage, &f.cause)).collect();
        assert_eq!(seen, [(None, Stage::KeyExchange, &FailureCause::Timeout)]);
        a_good_client_still_connects(&mut net);
    }
}

#[test]
fn the_smallest_message_1_is_not_amplified() {
    let mut profile = fake::network_manager();
    profile.ike.truncate(1);
    profile.vids.clear();
    let mut net = server();
    let mut fake = Fake::new(profile, 0);
    let mm1 = fake.mm1();
    for _ in 0..10 {
        fake.tell(&mut net, &mm1).unwrap();
    }
    let sent: usize = net.taken.iter().map(|packet| packet.bytes.len()).sum();
    assert!(sent <= 10 * mm1.len());
    a_good_client_still_connects(&mut net);
}

#[test]
fn a_stranger_never_gets_more_bytes_than_he_sent_whatever_he_repeats() {
    for profile in [fake::windows10(), fake::apple(), fake::network_manager()] {
        let mut net = server();
        let mut fake = Fake::new(profile, 0);
        fake.psk = b"a guess".to_vec();
        fake.nonce_i = vec![5; 8];
        let mut received = 0;
        let mut say = |net: &mut Net, fake: &Fake, bytes: &[u8]| {
            for _ in 0..7 {
                received += bytes.len();
                let _ = fake.tell(net, bytes);
                let sent: usize = net.sent.iter().chain(&net.taken).map(|p| p.bytes.len()).sum();
                assert!(sent <= received, "{sent} for {received}");
            }
        };
        let mm1 = fake.mm1();
        say(&mut net, &fake, &mm1);
        let mm2 = net.taken[0].bytes.clone();
        let mm3 = fake.mm3(&mm2);
        say(&mut net, &fake, &mm3);
        let mm4 = net.taken.iter().rfind(|p| p.bytes[16] == 4).unwrap().bytes.clone();
        let mm5 = fake.mm5(&mm4);
        say(&mut net, &fake, &mm5);
        net.run_secs(31);
        net.assert_nothing_left();
        assert_eq!(net.nodes[0].failed.len(), 1);
        a_good_client_still_connects(&mut net);
    }
}

#[test]
fn a_wrong_key_is_answered_once_and_tried_a_bounded_number_of_times() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    let true_mm5 = fake.mm5(&mm4);
    net.taken.clear();
    let garbled = |n: u8| {
        let mut bytes = true_mm5.clone();
        bytes[28..].fill(n);
        bytes
    };
    assert_eq!(fake.tell(&mut net, &garbled(1)), Err(Rejected::Undecryptable));
    assert_eq!(net.taken.len(), 1);
    let told = net.taken.pop_front().unwrap();
    assert_eq!(exchange_of(&told), ExchangeType::INFORMATIONAL);
    assert!(told.bytes.len() < true_mm5.len());
    assert_eq!(fake.tell(&mut net, &garbled(1)), Err(Rejected::Duplicate));
    assert_eq!(fake.tell(&mut net, &garbled(2)), Err(Rejected::Undecryptable));
    assert_eq!(net.nodes[0].failed.len(), 1);
    // Forgeries so far: the true message still counts.
    let mm6 = fake.ask(&mut net, &true_mm5).unwrap();
    fake.mm6(&mm6);

    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm2 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm2).unwrap();
    let mm3 = fake.mm3(&mm2);
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    let true_mm5 = fake.mm5(&mm4);
    for n in 0..bounds::MM5_TRIES_MAX {
        let _ = fake.tell(&mut net, &garbled(u8::try_from(n).unwrap()));
    }
    assert_eq!(fake.tell(&mut net, &true_mm5), Err(Rejected::Spent));
    a_good_client_still_connects(&mut net);
}

#[test]
fn an_informational_message_with_a_wrong_hash_is_discarded() {
    let mut net = server();
    let fake = established(&mut net);
    let body = [&[0, 0, 0, 1, 3, 4, 0, 1][..], &0xb100_0001u32.to_be_bytes()].concat();
    let out =
        Out::new().with(PayloadType::HASH, vec![0; 20]).with(PayloadType::DELETE, body.clone());
    let (forged, _) = fake.seal(ExchangeType::INFORMATIONAL, 7, &fake.phase2_iv(7), &out);
    assert_eq!(refused(&mut net, &fake, &forged), Rejected::HashMismatch);
    let out = Out::new().with(PayloadType::DELETE, body);
    let (bare, _) = fake.seal(ExchangeType::INFORMATIONAL, 7, &fake.phase2_iv(7), &out);
    assert!(matches!(refused(&mut net, &fake, &bare), Rejected::Decode(_)));
    let plain = fake.message(ExchangeType::INFORMATIONAL, 7, 0, &out);
    assert!(matches!(refused(&mut net, &fake, &plain), Rejected::Plain | Rejected::Decode(_)));
    assert_eq!(net.nodes[0].inbound.len(), 1);
    a_good_client_still_connects(&mut net);
}

#[test]
fn an_encrypted_message_before_keys_exist_or_with_unknown_cookies_is_dropped_unanswered() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let noise = |fake: &Fake, exchange, id, flags| {
        fake.raw_message(exchange, id, flags, PayloadType::HASH, &[0x5a; 64])
    };
    fake.cookies.responder = [9; 8];
    let unknown = [
        (MAIN_MODE, 0, 1),
        (ExchangeType::QUICK_MODE, 5, 1),
        (ExchangeType::INFORMATIONAL, 5, 1),
        (ExchangeType::INFORMATIONAL, 5, 0),
    ];
    for (exchange, id, flags) in unknown {
        let bytes = noise(&fake, exchange, id, flags);
        assert_eq!(refused(&mut net, &fake, &bytes), Rejected::UnknownCookies);
    }
    fake.cookies.responder = [0; 8];
    let bytes = noise(&fake, MAIN_MODE, 0, 1);
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::NotYetEncrypted);
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    let bytes = noise(&fake, MAIN_MODE, 0, 1);
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::NotYetEncrypted);
    for exchange in [ExchangeType::INFORMATIONAL, ExchangeType::QUICK_MODE] {
        let bytes = noise(&fake, exchange, 5, 1);
        assert_eq!(refused(&mut net, &fake, &bytes), Rejected::UnknownCookies, "no SA yet");
    }
    fake.ask(&mut net, &mm3).unwrap();
    let bytes = noise(&fake, ExchangeType::INFORMATIONAL, 5, 1);
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::NotYetEncrypted);
    let bytes = noise(&fake, ExchangeType::QUICK_MODE, 5, 1);
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::IncorrectState);
    a_good_client_still_connects(&mut net);
}

#[test]
fn a_question_whether_we_are_there_without_an_sa_is_dropped() {
    let mut net = server();
    let fake = Fake::new(fake::apple(), 0);
    let body = [&[0, 0, 0, 1, 1, 16, 0x8d, 0x28][..], &fake.cookies.concat(), &[0, 0, 0, 5]];
    let out = Out::new().with(PayloadType::NOTIFICATION, body.concat());
    let bytes = fake.message(ExchangeType::INFORMATIONAL, 5, 0, &out);
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::UnknownCookies);
    a_good_client_still_connects(&mut net);
}

#[test]
fn quick_mode_before_authentication_is_refused_in_every_state() {
    let mut net = server();
    net.hold_jobs = true;
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    let quick =
        |fake: &Fake| fake.raw_message(ExchangeType::QUICK_MODE, 1, 1, PayloadType::HASH, &[7; 64]);
    let bytes = quick(&fake);
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::UnknownCookies);
    fake.tell(&mut net, &mm3).unwrap();
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::IncorrectState);
    assert_eq!(fake.tell(&mut net, &mm3), Err(Rejected::Busy));
    net.work();
    net.taken.clear();
    assert_eq!(refused(&mut net, &fake, &bytes), Rejected::IncorrectState);
    net.hold_jobs = false;
    a_good_client_still_connects(&mut net);
}

#[test]
fn a_delete_followed_by_more_payloads_in_one_message_is_worked_through() {
    let mut net = server();
    let fake = established(&mut net);
    let esp = [&[0, 0, 0, 1, 3, 4, 0, 1][..], &0xb100_0001u32.to_be_bytes()].concat();
    let ike = [&[0, 0, 0, 1, 1, 16, 0, 1][..], &fake.cookies.concat()].concat();
    let question = [&[0, 0, 0, 1, 1, 16, 0x8d, 0x28][..], &fake.cookies.concat(), &[0; 4]];
    let chain = Out::new()
        .with(PayloadType::DELETE, ike)
        .with(PayloadType::DELETE, esp.clone())
        .with(PayloadType::DELETE, esp)
        .with(PayloadType::NOTIFICATION, question.concat())
        .with(PayloadType::DELETE, vec![0; 3])
        .with(PayloadType::NOTIFICATION, vec![1]);
    fake.tell(&mut net, &fake.informational(7, chain)).unwrap();
    assert!(net.taken.is_empty());
    assert_eq!(net.nodes[0].down[0].1, DownReason::Deleted);
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
    assert_eq!(net.nodes[0].endpoint.inbound_spis(), 0);
    a_good_client_still_connects(&mut net);
}

#[test]
fn deletes_of_protocol_zero_of_others_spis_and_of_too_many_change_nothing() {
    let mut net = server();
    let fake = established(&mut net);
    let bodies: [&[u8]; 5] = [
        &[0, 0, 0, 1, 0, 4, 0, 1, 0xb1, 0, 0, 1],
        &[0, 0, 0, 1, 1, 4, 0, 1, 0xb1, 0, 0, 1],
        &[0, 0, 0, 1, 3, 4, 0, 1, 0xb1, 0, 0, 2],
        &[0, 0, 0, 1, 3, 4, 0xff, 0xff, 0xb1, 0, 0, 1],
        &[0, 0, 0, 1, 3, 0, 0, 1],
    ];
    for (id, body) in (30..).zip(bodies) {
        let chain = Out::new().with(PayloadType::DELETE, body);
        fake.tell(&mut net, &fake.informational(id, chain)).unwrap();
        assert_eq!((net.nodes[0].inbound.len(), net.nodes[0].outbound.len()), (1, 1));
    }
    a_good_client_still_connects(&mut net);
}

#[test]
fn a_replayed_message_does_not_count_twice() {
    let mut net = server();
    let fake = established(&mut net);
    let delete = fake.delete_esp(40, &[0xb100_0009]);
    fake.tell(&mut net, &delete).unwrap();
    assert_eq!(refused(&mut net, &fake, &delete), Rejected::Duplicate);
    // From another address it does not even move the path.
    let mut path = fake.path;
    path.remote.set_port(1);
    let packet = Packet { from: 1, to: 0, path, marked: true, bytes: delete };
    assert_eq!(net.deliver(&packet), Err(Rejected::Duplicate));
    assert!(net.nodes[0].moved.is_empty());
    net.run_secs(60);
    let (qm1, _) = fake.qm1(1, &fake.nonce_i, ordinary(&fake, 0xb100_0001));
    assert_eq!(refused(&mut net, &fake, &qm1), Rejected::Duplicate);
    a_good_client_still_connects(&mut net);
}

#[test]
fn unconfigured_esp_algorithms_are_refused_however_odd() {
    let odd = [
        (23, Some(128), None),
        (21, Some(128), None),
        (11, None, Some(2)),
        (12, Some(256), None),
        (12, Some(512), Some(2)),
        (20, Some(128), Some(2)),
        (20, None, None),
        (255, Some(1), Some(99)),
        (12, Some(256), Some(0)),
    ];
    let mut net = server();
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    for (id, suite) in (1..).zip(odd) {
        let payloads = fake.payloads(esp_offer(&[suite], 0xb100_0001, 4, None, false), None);
        let refused = fake.quick_mode(&mut net, id, payloads).err();
        assert_eq!(refused, Some(Rejected::NoProposalChosen), "{suite:?}");
    }
    assert_eq!(net.nodes[0].failed.len(), odd.len());
    assert_eq!(net.nodes[0].endpoint.inbound_spis(), 0);
    a_good_client_still_connects(&mut net);
}

#[test]
fn selectors_that_are_not_one_hosts_udp_are_refused_with_a_word() {
    let mut net = server();
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let tcp = vec![1, 6, 0, 80, 10, 0, 0, 1];
    let dn = vec![9, 17, 6, 0xa5, 0x30, 0xff, 0xff];
    for (id, odd) in (1..).zip([tcp, dn, vec![], vec![1, 17, 6, 0xa5, 10]]) {
        let offer = esp_offer(&[AES256_SHA1], 0xb100_0001, 4, None, false);
        let payloads = fake.payloads(offer, Some((odd, udp("198.51.100.1", 1701))));
        assert_eq!(fake.quick_mode(&mut net, id, payloads).err(), Some(Rejected::Selectors));
        let told = fake.read_informational(&net.taken.pop_front().unwrap().bytes);
        let notification = codec::Notification::read(&told[0].1).unwrap();
        assert_eq!(notification.kind, iana::NotifyType::INVALID_ID_INFORMATION);
    }
    a_good_client_still_connects(&mut net);
}

#[test]
fn quick_modes_at_once_are_bounded() {
    let mut net = server();
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let mut last = Ok(());
    for id in 1..=u32::try_from(bounds::QUICK_MODES_MAX).unwrap() + 1 {
        let payloads = ordinary(&fake, 0xb100_0000 + id);
        let (qm1, _) = fake.qm1(id, &fake.nonce_i, payloads);
        last = fake.tell(&mut net, &qm1);
        assert!(net.nodes[0].inbound.len() <= bounds::CHILDREN_MAX);
    }
    assert_eq!(last, Err(Rejected::QuickModeLimit));
    net.run_secs(31);
    assert_eq!(net.nodes[0].endpoint.inbound_spis(), 0, "half-open children stay");
    assert!(net.nodes[0].outbound.is_empty());
    a_good_client_still_connects(&mut net);
}

#[test]
fn one_peer_has_a_bounded_number_of_ike_sas() {
    let mut net = server();
    let mut profile = fake::network_manager();
    profile.initial_contact = false;
    for round in 0..10u8 {
        let mut fake = Fake::new(profile.clone(), 0);
        fake.cookies.initiator = [round + 1; 8];
        fake.main_mode(&mut net);
        net.taken.clear();
    }
    assert_eq!(net.nodes[0].endpoint.ike_sas(), bounds::IKE_SAS_PER_PEER_MAX);
    assert_eq!((net.nodes[0].up.len(), net.nodes[0].rekeyed), (1, 9));
    a_good_client_still_connects(&mut net);
}

#[test]
fn flipping_any_bit_of_a_protected_message_is_noticed() {
    let mut net = server();
    let fake = established(&mut net);
    let (qm1, _) = fake.qm1(2, &fake.nonce_i, ordinary(&fake, 0xb100_0002));
    for index in 28..qm1.len() {
        let mut bytes = qm1.clone();
        bytes[index] ^= 0x10;
        let rejected = refused(&mut net, &fake, &bytes);
        let expected = [Rejected::Undecryptable, Rejected::HashMismatch];
        assert!(
            expected.contains(&rejected)
                || rejected == Rejected::Decode(DecodeError::illegal("HASH")),
            "byte {index}: {rejected:?}"
        );
    }
    fake.tell(&mut net, &qm1).unwrap();
    a_good_client_still_connects(&mut net);
}

#[test]
fn noise_on_any_exchange_never_panics_and_never_gets_more_than_it_gave() {
    use isthmus_core::Rng;
    let mut rng = Rng::new([3; 32]);
    let mut net = server();
    let fake = established(&mut net);
    let mm1 = Fake::new(fake::apple(), 1).mm1();
    let mut received = 0;
    for round in 0..4000u32 {
        let mut bytes = if round % 2 == 0 { mm1.clone() } else { fake.delete_esp(round + 9, &[1]) };
        for _ in 0..=rng.below(4) {
            let len = u32::try_from(bytes.len()).unwrap();
            let at = usize::try_from(rng.below(len)).unwrap();
            bytes[at] = rng.array::<1>()[0];
        }
        received += bytes.len();
        let _ = fake.tell(&mut net, &bytes);
        let sent: usize = net.taken.iter().map(|packet| packet.bytes.len()).sum();
        assert!(sent <= received);
    }
    assert_eq!(net.nodes[0].inbound.len(), 1, "the child is untouched");
    assert_eq!(net.nodes[0].up.len(), 1);
    a_good_client_still_connects(&mut net);
}

#[test]
fn a_client_survives_a_hostile_server() {
    // Message 2 with an algorithm that was not offered, two transforms, or no SA.
    let other_group = |bytes: &mut [u8]| {
        let at = bytes.windows(4).position(|w| w[..2] == [0x80, 4]).unwrap();
        bytes[at + 2..at + 4].copy_from_slice(&[0, 5]);
    };
    let no_sa = |bytes: &mut [u8]| bytes[16] = 13;
    let two_transforms = |bytes: &mut [u8]| bytes[28 + 4 + 8 + 7] = 2;
    let answers: [fn(&mut [u8]); 3] = [other_group, no_sa, two_transforms];
    for change in answers {
        let mut net = Net::simple(Nat::Client);
        net.fate(|n, _| if n >= 1 { Fate::Drop } else { Fate::Deliver });
        net.connect(1);
        net.flow();
        let mut packet = net.sent[1].clone();
        change(&mut packet.bytes);
        assert!(net.deliver(&packet).is_err());
        let good = net.sent[1].clone();
        assert_eq!(net.deliver(&good), Ok(()), "the true answer still counts");
    }
    // A server that never ends: everything is bounded in time.
    let mut net = Net::simple(Nat::Client);
    net.fate(|n, _| if n >= 3 { Fate::Drop } else { Fate::Deliver });
    net.connect(1);
    net.run(Duration::from_secs(31));
    assert_eq!(net.nodes[1].endpoint.ike_sas(), 0);
}
