//! Fragments: what broke strongSwan (CVE-2013-6076), Cisco ASA (CVE-2016-1287) and racoon
//! (CVE-2016-10396), and what works.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_wire::{DecodeError, Fault};

use super::super::fake::{self, Fake};
use super::super::net::{Fate, Nat, Net, Packet, client_config, server_config};
use super::{MAIN_MODE, established, ordinary, refused, server, state_of};
use crate::codec::fragment::Fragment;
use crate::codec::{Flags, Header, Message};
use crate::fragmentation::cut;
use crate::iana::{ExchangeType, PayloadType};
use crate::*;

/// A piece with the cookies of the fake.
fn piece(fake: &Fake, id: u16, number: u8, last: bool, data: &[u8]) -> Vec<u8> {
    let body = Fragment { id, number, last, data }.to_bytes();
    fake.raw_message(MAIN_MODE, 0, 0, PayloadType::FRAGMENT, &body)
}

/// A good client, fragments and all, still gets in.
#[track_caller]
fn a_client_with_fragments_still_connects(net: &mut Net) {
    net.taken.clear();
    let mut good = Fake::new(fake::apple(), 40);
    let mm1 = good.mm1();
    let mm2 = good.ask(net, &mm1).unwrap();
    let mm3 = good.mm3(&mm2);
    for part in cut(&mm3, 100).unwrap() {
        good.tell(net, &part).unwrap();
    }
    let mm4 = net.taken.pop_back().unwrap().bytes;
    let mm5 = good.mm5(&mm4);
    let mm6 = good.ask(net, &mm5).unwrap();
    good.mm6(&mm6);
    good.quick_mode(net, 3, ordinary(&good, 0xb100_0077)).unwrap();
}

/// Both ends with small packets and a group whose shares do not fit into one.
fn small(fragment_size: u16) -> Net {
    let ike = vec![IkeProposal::from_name("aes256-sha256-modp4096").unwrap()];
    let server = Config { ike: ike.clone(), fragment_size, ..server_config() };
    let client = Config { ike, fragment_size, ..client_config() };
    Net::new(Nat::Client, server, client)
}

#[test]
fn both_ends_cut_what_is_longer_than_a_packet() {
    let mut net = small(576);
    net.connect(1);
    net.flow();
    net.assert_agreed(1, 1);
    let pieces = |from: usize| {
        let of = |packet: &&Packet| packet.from == from && packet.bytes[16] == 132;
        net.sent.iter().filter(of).count()
    };
    assert_eq!((pieces(1), pieces(0)), (2, 2), "messages 3 and 4");
    assert!(net.sent.iter().all(|packet| packet.bytes.len() + 28 <= 576));
    for node in &net.nodes {
        let stats = node.endpoint.stats();
        assert_eq!((stats.messages_cut, stats.fragments_received), (1, 2));
        assert_eq!(node.endpoint.incomplete(), (0, 0));
    }
    assert!(net.bytes_from(0) <= net.bytes_from(1), "pieces are paid for, too");
}

#[test]
fn nothing_is_cut_that_fits_or_that_the_peer_did_not_ask_for() {
    let mut net = small(1280);
    net.connect(1);
    net.flow();
    net.assert_agreed(1, 1);
    assert_eq!(net.nodes[0].endpoint.stats().messages_cut, 0);

    let mut net = Net::server(Config { fragment_size: 576, ..server_config() });
    let mut profile = fake::network_manager();
    profile.ike = vec![(7, Some(256), 4, 16)];
    let fake = Fake::connect(profile, 0, &mut net);
    assert!(!fake.marked || net.nodes[0].endpoint.stats().messages_cut == 0);
    assert_eq!(net.nodes[0].up.len(), 1);
}

#[test]
fn any_one_piece_may_be_lost_doubled_or_late() {
    let mut count = 0;
    for fate in [Fate::Drop, Fate::Duplicate, Fate::Late] {
        for victim in 0..11 {
            let mut net = small(576);
            net.fate(move |n, _| if n == victim { fate } else { Fate::Deliver });
            net.connect(1);
            net.run_secs(20);
            assert_eq!(net.nodes[1].up.len(), 1, "{fate:?} of datagram {victim}");
            assert!(!net.nodes[1].children.is_empty());
            count += usize::from(net.sent[victim].bytes[16] == 132);
        }
    }
    assert_eq!(count, 12, "each of the four pieces was lost, doubled and late");
}

#[test]
fn the_vendor_id_is_returned_in_the_form_of_the_peer() {
    for (profile, len) in [(fake::windows10(), 16), (fake::apple(), 20)] {
        let mut net = server();
        let mut fake = Fake::new(profile, 0);
        let mm1 = fake.mm1();
        let mm2 = fake.ask(&mut net, &mm1).unwrap();
        let message = Message::read(&mm2).unwrap();
        let chain = codec::Chain::read(message.header.first, message.body).unwrap();
        let known = |body: &&[u8]| VendorId::recognise(body) == Some(VendorId::Fragmentation);
        let announced = chain.all(PayloadType::VENDOR_ID).find(known).unwrap();
        assert_eq!(announced.len(), len);
        assert!(mm2.len() <= mm1.len());
    }
}

#[test]
fn windows_may_send_twenty_nine_pieces_and_any_exchange_in_pieces() {
    let mut net = server();
    let fake = established(&mut net);
    net.taken.clear();
    let (qm1, mut quick) = fake.qm1(2, &fake.nonce_i, ordinary(&fake, 0xb100_0002));
    let pieces = cut(&qm1, qm1.len().div_ceil(29)).unwrap();
    assert_eq!(pieces.len(), 29);
    for bytes in pieces.iter().rev() {
        fake.tell(&mut net, bytes).unwrap();
    }
    let qm2 = net.taken.pop_front().unwrap().bytes;
    fake.tell(&mut net, &fake.qm3(&mut quick, &qm2)).unwrap();
    assert_eq!(net.nodes[0].children.len(), 2);
}

#[test]
fn fragment_number_zero_and_numbers_beyond_the_bound_are_refused() {
    let mut net = server();
    let fake = established(&mut net);
    net.taken.clear();
    for number in [0, bounds::FRAGMENTS_MAX + 1, 255] {
        let bytes = piece(&fake, 1, number, true, b"data");
        let rejected = refused(&mut net, &fake, &bytes);
        assert!(matches!(rejected, Rejected::Decode(error) if error.field == "fragment number"));
    }
    assert_eq!(net.nodes[0].endpoint.incomplete(), (0, 0));
    a_client_with_fragments_still_connects(&mut net);
}

#[test]
fn a_piece_for_cookies_that_we_never_gave_out_is_not_kept() {
    let mut net = server();
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let first = piece(&fake, 1, 1, true, &mm1);
    assert_eq!(refused(&mut net, &fake, &first), Rejected::UnknownCookies);
    fake.cookies.responder = [7; 8];
    let other = piece(&fake, 1, 1, false, b"data");
    assert_eq!(refused(&mut net, &fake, &other), Rejected::UnknownCookies);
    a_client_with_fragments_still_connects(&mut net);
}

#[test]
fn a_second_last_piece_a_gap_and_differing_ids_make_no_message() {
    let mut net = server();
    let fake = established(&mut net);
    net.taken.clear();
    let before = state_of(&net);
    let script: [(u16, u8, bool); 7] = [
        (1, 1, false),
        (1, 3, true),
        (1, 4, true),
        (2, 2, false),
        (3, 64, true),
        (4, 1, false),
        (5, 2, true),
    ];
    for (id, number, last) in script {
        fake.tell(&mut net, &piece(&fake, id, number, last, b"data")).unwrap();
    }
    let (count, _) = net.nodes[0].endpoint.incomplete();
    assert_eq!(count, bounds::PARTIALS_PER_SA_MAX);
    let after = state_of(&net);
    assert_eq!((after.0, after.1, after.2, after.4), (before.0, before.1, before.2, before.4));
    assert!(net.taken.is_empty(), "nothing is said");
    net.run(bounds::REASSEMBLY_LIFETIME);
    assert_eq!(net.nodes[0].endpoint.incomplete(), (0, 0));
    assert_eq!(net.nodes[0].endpoint.stats().fragments_expired, 2);
    a_client_with_fragments_still_connects(&mut net);
}

#[test]
fn pieces_and_whole_messages_may_be_mixed_and_do_not_disturb_each_other() {
    let mut net = server();
    let mut fake = Fake::new(fake::apple(), 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    let pieces = cut(&mm3, 100).unwrap();
    fake.tell(&mut net, &pieces[0]).unwrap();
    fake.tell(&mut net, &pieces[1]).unwrap();
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    for bytes in &pieces[2..] {
        // The last piece completes a message that was taken before.
        let _ = fake.tell(&mut net, bytes);
    }
    let repeated = net.taken.pop_front().expect("message 4 again").bytes;
    assert_eq!(repeated, mm4);
    let mm5 = fake.mm5(&mm4);
    let mm6 = fake.ask(&mut net, &mm5).unwrap();
    fake.mm6(&mm6);
    // A fragment payload in company is none.
    let body = [&[13, 0, 0, 9, 0, 1, 1, 1, 7][..], &[0, 0, 0, 5, 1]].concat();
    let mixed = fake.raw_message(MAIN_MODE, 0, 0, PayloadType::FRAGMENT, &body);
    let illegal = Rejected::Decode(DecodeError::illegal("fragment"));
    assert_eq!(refused(&mut net, &fake, &mixed), illegal);
    a_client_with_fragments_still_connects(&mut net);
}

#[test]
fn reassembled_lengths_are_believed_no_more_than_any_other() {
    let mut net = server();
    let fake = established(&mut net);
    net.taken.clear();
    let (qm1, _) = fake.qm1(2, &fake.nonce_i, ordinary(&fake, 0xb100_0002));
    let lengths = [(qm1.len() - 1, Fault::Trailing), (qm1.len() + 1, Fault::Truncated)];
    for (claimed, fault) in lengths {
        let mut bytes = qm1.clone();
        bytes[24..28].copy_from_slice(&u32::try_from(claimed).unwrap().to_be_bytes());
        fake.tell(&mut net, &piece(&fake, 9, 1, false, &bytes[..50])).unwrap();
        let end = piece(&fake, 9, 2, true, &bytes[50..]);
        let expected = Rejected::Decode(DecodeError::new("length", fault));
        assert_eq!(fake.tell(&mut net, &end), Err(expected));
    }
    // Longer than any message: refused before it is kept.
    let data = vec![0x5a; 6000];
    fake.tell(&mut net, &piece(&fake, 10, 1, false, &data)).unwrap();
    fake.tell(&mut net, &piece(&fake, 10, 2, false, &data)).unwrap();
    let too_long = Rejected::Decode(DecodeError::new("fragments", Fault::TooLong));
    assert_eq!(fake.tell(&mut net, &piece(&fake, 10, 3, true, &data)), Err(too_long));
    assert!(net.taken.is_empty());
    a_client_with_fragments_still_connects(&mut net);
}

#[test]
fn a_piece_of_a_piece_and_a_message_of_another_sa_are_refused() {
    let mut net = server();
    let fake = established(&mut net);
    net.taken.clear();
    let nested = piece(&fake, 1, 1, true, &piece(&fake, 1, 1, true, b"data"));
    assert_eq!(refused(&mut net, &fake, &nested), Rejected::UnknownCookies);
    let mut other = Fake::new(fake::windows10(), 5);
    let smuggled = piece(&fake, 1, 1, true, &other.mm1());
    assert_eq!(refused(&mut net, &fake, &smuggled), Rejected::UnknownCookies);
    a_client_with_fragments_still_connects(&mut net);
}

#[test]
fn a_flood_of_pieces_is_bounded_and_ends_with_the_timer() {
    let mut net = server();
    let fake = established(&mut net);
    net.taken.clear();
    for round in 0..20_000u32 {
        let (id, number) =
            (u16::try_from(round % 65_536).unwrap(), u8::try_from(round % 64 + 1).unwrap());
        let mut packet = Packet {
            from: 1,
            to: 0,
            path: fake.path,
            marked: fake.marked,
            bytes: piece(&fake, id, number, false, &[7; 400]),
        };
        packet.path.remote.set_port(u16::try_from(round % 60_000 + 1).unwrap());
        let _ = net.deliver(&packet);
        let (count, octets) = net.nodes[0].endpoint.incomplete();
        assert!(count <= bounds::PARTIALS_PER_SOURCE_MAX);
        assert!(octets <= bounds::FRAGMENT_OCTETS_PER_SOURCE_MAX);
    }
    assert!(net.taken.is_empty());
    a_client_with_fragments_still_connects(&mut net);
    net.run(bounds::REASSEMBLY_LIFETIME + Duration::from_secs(1));
    assert_eq!(net.nodes[0].endpoint.incomplete(), (0, 0));
}

#[test]
fn noise_in_pieces_never_panics_and_is_never_answered() {
    use isthmus_core::Rng;
    let mut rng = Rng::new([9; 32]);
    let mut net = server();
    let fake = established(&mut net);
    net.taken.clear();
    for _ in 0..4000 {
        let len = usize::try_from(rng.below(80)).unwrap();
        let mut body = vec![0; len];
        rng.fill(&mut body);
        if rng.below(4) > 0 && len >= 8 {
            body[..2].fill(0);
            body[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            body[4..6].copy_from_slice(&[0, 1]);
            body[6] %= 5;
        }
        let header = Header {
            cookies: fake.cookies,
            first: PayloadType::FRAGMENT,
            exchange: ExchangeType(rng.array::<1>()[0]),
            flags: Flags(rng.array::<1>()[0]),
            message_id: rng.below(3),
        };
        let mut w = isthmus_wire::Writer::new();
        header.write(&mut w, body.len());
        w.bytes(&body);
        let _ = fake.tell(&mut net, &w.into_vec());
    }
    assert!(net.taken.is_empty());
    assert_eq!((net.nodes[0].inbound.len(), net.nodes[0].up.len()), (1, 1));
    a_client_with_fragments_still_connects(&mut net);
}
