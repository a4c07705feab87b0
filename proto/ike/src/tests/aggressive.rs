//! Aggressive mode: two endpoints message by message, clients in their own shape, hostile input.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Encap, SecretBytes};
use isthmus_crypto::DhGroup;
use isthmus_wire::DecodeError;

use super::fake::{self, Fake, esp_offer, udp};
use super::net::{Fate, Nat, Net, client_config, exchange_of, server_config};
use crate::codec::{Chain, IdBody, Message, Notification, Out};
use crate::iana::{ExchangeType, IdType, NotifyType, PayloadType};
use crate::*;

mod fragments;

const GROUP_SECRET: &[u8] = b"the sales people know this";
const AGGRESSIVE: ExchangeType = ExchangeType::AGGRESSIVE;

/// A server with a group beside the key for everybody.
fn with_group() -> Config {
    let mut config = server_config();
    let secret = SecretBytes::copy_of(GROUP_SECRET);
    let remote = Some(RemoteMatch::Group(b"sales".to_vec()));
    config.psks.push(Psk { id: PskId(8), secret, remote });
    config
}

fn network(nat: Nat) -> Net {
    Net::new(nat, with_group(), client_config())
}

fn member(net: &Net, client: usize) -> Connect {
    Connect {
        psk: SecretBytes::copy_of(GROUP_SECRET),
        local_id: Some(Identity::key_id(b"sales")),
        aggressive: true,
        ..net.params(client)
    }
}

fn connect(net: &mut Net) -> PeerId {
    let params = member(net, 1);
    net.connect_with(1, params)
}

/// A member of the group in the shape of a client.
fn member_fake(profile: fake::Profile, index: u16) -> Fake {
    let mut fake = Fake::new(profile, index);
    fake.psk = GROUP_SECRET.to_vec();
    fake.id = id_body(IdType::KEY_ID, b"sales");
    fake
}

fn id_body(kind: IdType, data: &[u8]) -> Vec<u8> {
    IdBody { kind, protocol: 0, port: 0, data: data.to_vec() }.to_bytes()
}

/// Apple with a group name: the four G14 transforms.
fn apple() -> fake::Profile {
    let mut profile = fake::apple();
    profile.ike.truncate(4);
    profile
}

#[test]
fn a_group_connects_in_every_nat_arrangement() {
    for nat in Nat::ALL {
        let mut net = network(nat);
        let peer = connect(&mut net);
        net.run_secs(1);
        net.assert_agreed(1, 1);
        let (up, server_up) = (&net.nodes[1].up[&peer], &net.nodes[0].up[&net.server_peer()]);
        let udp = nat != Nat::Neither;
        let encap = if udp { Encap::Udp } else { Encap::Esp };
        assert_eq!((up.encap, server_up.encap), (encap, encap), "{nat:?}");
        assert_eq!(up.path.local.port(), if udp { 4500 } else { 500 });
        assert_eq!(server_up.psk, PskId(8));
        assert_eq!(server_up.identity, Identity::key_id(b"sales"));
        assert_eq!(server_up.nat, NatStatus { local: nat.server(), remote: nat.client() });
        // Three messages of aggressive mode and three of quick mode.
        assert_eq!(net.sent.len(), 6);
        assert!(net.rejected.is_empty(), "{:?}", net.rejected);
        assert_eq!(net.sent[2].marked, udp, "message 3 floats");
        net.run_secs(30);
        assert_eq!(net.sent.iter().filter(|p| exchange_of(p) == AGGRESSIVE).count(), 3);
    }
}

#[test]
fn any_one_message_may_be_lost_come_twice_or_late() {
    for fate in [Fate::Drop, Fate::Duplicate, Fate::Late] {
        for nat in Nat::ALL {
            for index in 0..6 {
                let mut net = network(nat);
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
fn every_group_and_hash_works() {
    for proposal in IkeProposal::acceptable(true) {
        let client = Config { ike: vec![proposal], ..client_config() };
        let mut net = Net::new(Nat::Both, with_group(), client);
        let peer = connect(&mut net);
        net.run_secs(5);
        net.assert_agreed(1, 1);
        assert_eq!(net.nodes[1].up[&peer].proposal, proposal);
    }
}

#[test]
fn every_proposal_offered_has_the_group_of_the_first() {
    let names = ["aes256-sha256-ecp256", "aes256-sha256-modp2048", "aes128-sha1-ecp256"];
    let ike = names.iter().map(|name| IkeProposal::from_name(name).unwrap()).collect();
    let client = Config { ike, ..client_config() };
    let only = IkeProposal::from_name(names[2]).unwrap();
    let mut net = Net::new(Nat::Client, Config { ike: vec![only], ..with_group() }, client);
    let peer = connect(&mut net);
    net.run_secs(1);
    assert_eq!(net.nodes[1].up[&peer].proposal, only);
}

#[test]
fn a_forced_encapsulation_is_kept_by_either_side() {
    for (at_server, at_client) in [(true, false), (false, true)] {
        let server = Config { force_encap: at_server, ..with_group() };
        let client = Config { force_encap: at_client, ..client_config() };
        let mut net = Net::new(Nat::Neither, server, client);
        connect(&mut net);
        net.run_secs(1);
        net.assert_agreed(1, 1);
        assert!(net.nodes.iter().all(|n| n.up.values().all(|up| up.encap == Encap::Udp)));
    }
}

#[test]
fn a_new_ike_sa_takes_over_in_aggressive_mode_too() {
    let mut net = network(Nat::Client);
    let peer = connect(&mut net);
    net.run_secs(1);
    net.nodes[1].endpoint.rekey_ike(peer, net.now);
    net.drain(1);
    net.run_secs(30);
    assert_eq!((net.nodes[0].rekeyed, net.nodes[1].rekeyed), (1, 1));
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 1);
    net.assert_agreed(1, 1);
}

#[test]
fn a_wrong_key_is_named_on_both_sides_and_leaves_nothing() {
    let mut net = network(Nat::Client);
    let params = Connect { psk: SecretBytes::copy_of(b"wrong"), ..member(&net, 1) };
    net.connect_with(1, params);
    net.run_secs(40);
    for node in &net.nodes {
        assert_eq!(node.failed.len(), 1, "{:?}", node.failed);
        assert_eq!(node.failed[0].cause, FailureCause::WrongPsk);
    }
    assert_eq!(net.nodes[0].failed[0].stage, Stage::KeyExchange);
    net.assert_nothing_left();
}

#[test]
fn a_key_that_only_the_client_gets_wrong_is_named_at_message_3() {
    let mut net = Net::server(with_group());
    let mut fake = member_fake(apple(), 0);
    let am1 = fake.am1();
    let am2 = fake.ask(&mut net, &am1).unwrap();
    let mut am3 = fake.am3(&am2, false, 4500);
    am3[40] ^= 1;
    assert_eq!(fake.tell(&mut net, &am3), Err(Rejected::HashMismatch));
    assert_eq!(net.nodes[0].failed[0].cause, FailureCause::WrongPsk);
    let told = net.taken.pop_front().unwrap();
    let message = Message::read(&told.bytes).unwrap();
    let chain = Chain::read(message.header.first, message.body).unwrap();
    let n = Notification::read(chain.required(PayloadType::NOTIFICATION).unwrap()).unwrap();
    assert_eq!(n.kind, NotifyType::AUTHENTICATION_FAILED);
    assert_eq!(fake.tell(&mut net, &am3), Err(Rejected::Duplicate));
    // The true message 3 may still come; after too many others it is not looked at.
    for byte in 41..41 + u8::try_from(bounds::MM5_TRIES_MAX).unwrap() {
        am3[usize::from(byte)] ^= 1;
        assert!(fake.tell(&mut net, &am3).is_err());
    }
    am3[45] ^= 1;
    assert_eq!(fake.tell(&mut net, &am3), Err(Rejected::Spent));
    net.run_secs(40);
    assert_eq!(net.nodes[0].failed.len(), 1, "reported once");
    net.assert_nothing_left();
}

#[test]
fn an_unknown_group_is_named_and_answered_once() {
    let mut net = network(Nat::Client);
    let params = Connect { local_id: Some(Identity::key_id(b"Sales")), ..member(&net, 1) };
    net.connect_with(1, params);
    net.run_secs(40);
    let cause = FailureCause::UnknownGroup(Identity::key_id(b"Sales"));
    assert_eq!(net.nodes[0].failed.iter().map(|f| &f.cause).collect::<Vec<_>>(), [&cause]);
    assert_eq!(cause.to_string(), "no group or key for key id:Sales in aggressive mode");
    let told = FailureCause::PeerNotify(NotifyType::INVALID_ID_INFORMATION);
    assert_eq!(net.nodes[1].failed[0].cause, told);
    net.assert_nothing_left();
}

#[test]
fn a_group_key_is_not_tried_in_main_mode() {
    let mut net = network(Nat::Client);
    let params = Connect { aggressive: false, ..member(&net, 1) };
    net.connect_with(1, params);
    net.run_secs(40);
    assert!(net.nodes[0].up.is_empty());
    assert_eq!(net.nodes[0].failed[0].cause, FailureCause::WrongPsk);
}

#[test]
fn without_a_group_or_the_switch_aggressive_mode_is_off() {
    let mut net = Net::server(server_config());
    let mut fake = member_fake(apple(), 0);
    let am1 = fake.am1();
    assert_eq!(fake.tell(&mut net, &am1), Err(Rejected::ExchangeUnsupported(AGGRESSIVE)));
    assert_eq!(net.nodes[0].endpoint.stats().rejected["aggressive_mode"], 1);
    assert!(net.taken.is_empty());
}

#[test]
fn the_switch_lets_the_key_for_everybody_be_used() {
    let server = Config { aggressive: true, ..server_config() };
    for id in [Identity::fqdn("any.example"), Identity::parse("192.0.2.77")] {
        let mut net = Net::new(Nat::Client, server.clone(), client_config());
        let params = Connect { local_id: Some(id.clone()), aggressive: true, ..net.params(1) };
        net.connect_with(1, params);
        net.run_secs(1);
        net.assert_agreed(1, 1);
        assert_eq!(net.nodes[0].up[&net.server_peer()].identity, id);
    }
}

/// Aggressive mode of a client's shape, then a child, to see that phase 2 IVs agree.
fn whole(profile: fake::Profile, id: Vec<u8>, encrypted: bool) -> (Net, Fake) {
    let mut net = Net::server(with_group());
    let mut fake = member_fake(profile, 0);
    fake.id = id;
    fake.aggressive_mode(&mut net, encrypted);
    let ids = Some((udp("192.168.1.10", 0), udp("198.51.100.1", 1701)));
    let offer = esp_offer(&[(12, Some(256), Some(2))], 0xb100_0001, 4, None, false);
    fake.quick_mode(&mut net, 1, fake.payloads(offer, ids)).unwrap();
    (net, fake)
}

#[test]
fn apple_with_a_group_name_connects() {
    let (net, fake) = whole(apple(), id_body(IdType::KEY_ID, b"sales"), false);
    let up = net.nodes[0].up[&net.server_peer()].clone();
    assert_eq!(up.proposal.to_string(), "aes256-sha256-modp2048");
    assert_eq!((up.encap, up.path, up.psk), (Encap::Udp, fake.path, PskId(8)));
    assert!(up.vendors.apple && up.vendors.dpd);
    assert_eq!(up.nat, NatStatus { local: true, remote: true });
}

#[test]
fn android_with_an_identifier_connects_with_group_2() {
    let (net, _) = whole(fake::android(), id_body(IdType::KEY_ID, b"sales"), false);
    let up = net.nodes[0].up[&net.server_peer()].clone();
    assert_eq!(up.proposal.to_string(), "aes256-sha384-modp1024");
}

#[test]
fn an_encrypted_message_3_is_as_good_as_a_plain_one() {
    for encrypted in [false, true] {
        let mut profile = fake::network_manager();
        profile.ike.truncate(1);
        // Few vendor ids: the repeated message 1 pays for message 2.
        let mut net = Net::server(with_group());
        let mut fake = member_fake(profile, 0);
        let am1 = fake.am1();
        fake.tell(&mut net, &am1).unwrap();
        if net.taken.is_empty() {
            fake.tell(&mut net, &am1).unwrap();
        }
        let am2 = net.taken.pop_front().expect("message 2").bytes;
        let am3 = fake.am3(&am2, encrypted, 500);
        fake.tell(&mut net, &am3).unwrap();
        let up = net.nodes[0].up[&net.server_peer()].clone();
        assert_eq!(up.nat, NatStatus { local: true, remote: true });
        assert_eq!(fake.tell(&mut net, &am3), Err(Rejected::Duplicate));
    }
}

#[test]
fn a_client_without_nat_traversal_gets_no_nat_detection() {
    let mut profile = apple();
    profile.vids = vec![vec![7; 20]; 12];
    let mut net = Net::server(with_group());
    let mut fake = member_fake(profile, 0);
    fake.aggressive_mode(&mut net, true);
    let up = net.nodes[0].up[&net.server_peer()].clone();
    assert_eq!((up.encap, up.nat), (Encap::Esp, NatStatus::default()));
}

#[test]
fn never_more_bytes_out_than_in_before_message_3() {
    let lengths = [0usize, 1, 2, 3, 5, 8, 12];
    for vids in lengths {
        for id_len in [1usize, 5, 200] {
            let mut profile = apple();
            profile.ike.truncate(1);
            profile.vids.truncate(vids);
            let mut config = with_group();
            let name = vec![b'g'; id_len];
            config.psks[1].remote = Some(RemoteMatch::Group(name.clone()));
            config.local_id = Some(Identity::fqdn("a-rather-long-name.gateways.example.org"));
            let mut net = Net::server(config);
            let mut fake = member_fake(profile, 0);
            fake.id = id_body(IdType::KEY_ID, &name);
            let am1 = fake.am1();
            let (mut received, mut tries) = (0, 0);
            while net.taken.is_empty() {
                received += am1.len();
                tries += 1;
                let _ = fake.tell(&mut net, &am1);
                assert!(tries <= 2, "message 2 never came: {vids} {id_len}");
            }
            let sent: usize = net.taken.iter().map(|packet| packet.bytes.len()).sum();
            assert!(sent <= received, "{vids} {id_len}: {sent} for {received}");
            // More of the same is worth no more than it weighs.
            for _ in 0..20 {
                received += am1.len();
                let _ = fake.tell(&mut net, &am1);
            }
            let sent: usize = net.taken.iter().map(|packet| packet.bytes.len()).sum();
            assert!(sent <= received, "{vids} {id_len}: {sent} for {received}");
        }
    }
}

#[test]
fn refusals_are_shorter_than_what_they_refuse_and_given_once() {
    for id in [&b"sales"[..], b"nobody"] {
        let mut net = Net::server(with_group());
        let mut profile = apple();
        profile.ike = vec![(1, None, 1, 14)];
        profile.vids.clear();
        let mut fake = member_fake(profile, 0);
        fake.id = id_body(IdType::KEY_ID, id);
        let am1 = fake.am1();
        assert!(fake.tell(&mut net, &am1).is_err());
        assert!(net.taken.pop_front().unwrap().bytes.len() < am1.len());
        assert_eq!(fake.tell(&mut net, &am1), Err(Rejected::Spent));
        assert!(net.taken.is_empty());
    }
}

#[test]
fn cve_2023_30570_the_cookie_of_a_refused_aggressive_mode_names_nothing() {
    let mut net = Net::server(with_group());
    let mut profile = apple();
    profile.ike = vec![(1, None, 1, 14)];
    let mut fake = member_fake(profile, 0);
    let am1 = fake.am1();
    assert_eq!(fake.tell(&mut net, &am1), Err(Rejected::NoProposalChosen));
    let refusal = net.taken.pop_front().unwrap().bytes;
    fake.cookies = Message::read(&refusal).unwrap().header.cookies;
    assert!(!fake.cookies.is_initial());
    let out = Out::new().with(PayloadType::HASH, vec![0; 32]);
    let again = fake.am1_payloads();
    for (exchange, id, out) in [
        (AGGRESSIVE, 0, &out),
        (AGGRESSIVE, 0, &again),
        (ExchangeType::IDENTITY_PROTECTION, 0, &again),
        (ExchangeType::QUICK_MODE, 7, &out),
        (ExchangeType::INFORMATIONAL, 7, &out),
    ] {
        for flags in [0, 1] {
            let bytes = fake.message(exchange, id, flags, out);
            assert_eq!(fake.tell(&mut net, &bytes), Err(Rejected::UnknownCookies));
        }
    }
    assert!(net.taken.is_empty());
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
    // A good client still gets in, with the same initiator cookie from elsewhere.
    let mut good = member_fake(apple(), 1);
    good.cookies.initiator = fake.cookies.initiator;
    good.aggressive_mode(&mut net, false);
    assert_eq!(net.nodes[0].up.len(), 1);
}

#[test]
fn computations_for_unproven_first_messages_are_bounded() {
    let mut net = Net::server(with_group());
    net.hold_jobs = true;
    for index in 0..u16::try_from(bounds::UNPROVEN_JOBS_MAX).unwrap() {
        let mut fake = member_fake(apple(), index);
        let am1 = fake.am1();
        fake.tell(&mut net, &am1).unwrap();
    }
    let mut late = member_fake(apple(), 200);
    late.cookies.initiator = [0xee; 8];
    let am1 = late.am1();
    assert_eq!(late.tell(&mut net, &am1), Err(Rejected::JobLimit));
    // Main mode goes on beside it.
    let mut windows = Fake::new(fake::windows10(), 201);
    let mm1 = windows.mm1();
    windows.ask(&mut net, &mm1).unwrap();
    net.work();
    net.taken.clear();
    net.hold_jobs = false;
    late.aggressive_mode(&mut net, false);
    assert_eq!(net.nodes[0].up.len(), 1);
}

#[test]
fn each_payload_dropped_from_each_message_is_survived() {
    let mut net = Net::server(with_group());
    let mut fake = member_fake(apple(), 0);
    let am1 = fake.am1();
    let needed = [PayloadType::SA, PayloadType::KE, PayloadType::NONCE, PayloadType::ID];
    for gone in needed {
        let all = fake.am1_payloads().to_bytes();
        let chain = Chain::read(PayloadType::SA, &all).unwrap();
        let mut out = Out::new();
        chain.iter().filter(|p| p.kind != gone).for_each(|p| out.push(p.kind, p.body));
        let bytes = fake.message(AGGRESSIVE, 0, 0, &out);
        let rejected = fake.tell(&mut net, &bytes).unwrap_err();
        assert!(matches!(rejected, Rejected::Decode(_)), "{gone}: {rejected}");
    }
    (0..am1.len()).for_each(|n| assert!(fake.tell(&mut net, &am1[..n]).is_err()));
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
    let am2 = fake.ask(&mut net, &am1).unwrap();
    let am3 = fake.am3(&am2, false, 4500);
    (0..am3.len()).for_each(|n| assert!(fake.tell(&mut net, &am3[..n]).is_err()));
    assert!(net.taken.is_empty() && net.nodes[0].up.is_empty());
    fake.tell(&mut net, &am3).unwrap();
}

#[test]
fn an_identity_beyond_the_bound_is_refused() {
    let mut net = Net::server(Config { aggressive: true, ..server_config() });
    let mut fake = member_fake(apple(), 0);
    for kind in [IdType::KEY_ID, IdType::FQDN, IdType::USER_FQDN, IdType::DER_ASN1_DN] {
        fake.id = id_body(kind, &vec![b'a'; codec::body::ID_LEN_MAX + 1]);
        let am1 = fake.am1();
        let rejected = fake.tell(&mut net, &am1).unwrap_err();
        assert!(matches!(rejected, Rejected::Decode(DecodeError { field: "ID data", .. })));
    }
    assert!(net.taken.is_empty());
}

#[test]
fn unusable_shares_end_the_attempt_in_silence() {
    let len = DhGroup::Modp2048.public_len();
    let mut one = vec![0; len];
    one[len - 1] = 1;
    for share in [vec![0; len], one, vec![0xff; len]] {
        let mut net = Net::server(with_group());
        let mut fake = member_fake(apple(), 0);
        fake.am1();
        let all = fake.am1_payloads().to_bytes();
        let chain = Chain::read(PayloadType::SA, &all).unwrap();
        let mut out = Out::new();
        for p in chain.iter() {
            let ke = p.kind == PayloadType::KE;
            out.push(p.kind, if ke { share.clone() } else { p.body.to_vec() });
        }
        let bytes = fake.message(AGGRESSIVE, 0, 0, &out);
        fake.tell(&mut net, &bytes).unwrap();
        assert!(net.taken.is_empty());
        assert_eq!(net.nodes[0].endpoint.ike_sas(), 0);
        let cause = &net.nodes[0].failed[0].cause;
        assert!(matches!(cause, FailureCause::BadKeyExchange(_)), "{cause}");
    }
}

#[test]
fn silence_after_message_2_is_told_as_before_any_proof_of_the_address() {
    let mut net = Net::server(with_group());
    let mut fake = member_fake(apple(), 0);
    let am1 = fake.am1();
    fake.ask(&mut net, &am1).unwrap();
    net.run_secs(40);
    let failed = &net.nodes[0].failed[0];
    assert_eq!((&failed.cause, failed.stage), (&FailureCause::Timeout, Stage::KeyExchange));
    assert_eq!(net.nodes[0].endpoint.stats().half_open_expired, 1);
    net.assert_nothing_left();
}

#[test]
fn an_initiator_repeats_message_3_only_so_often() {
    let mut net = network(Nat::Client);
    // Everything after message 2 is lost.
    net.fate(|n, _| if n >= 2 { Fate::Drop } else { Fate::Deliver });
    connect(&mut net);
    net.run_secs(60);
    let thirds = net.sent.iter().filter(|p| p.from == 1 && exchange_of(p) == AGGRESSIVE).count();
    let repeats = usize::try_from(bounds::AM3_REPEATS_MAX).unwrap();
    assert_eq!(thirds, 1 + 1 + repeats, "message 1, message 3 and its repetitions");
}
