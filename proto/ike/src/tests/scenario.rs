//! Longer stories: several keys, several clients, rekeying, death, restart and moving addresses.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Path, SecretBytes};
use isthmus_crypto::DhGroup;

use super::fake::{self, Fake, esp_offer, udp};
use super::net::{Fate, Nat, Net, Packet, client_config, exchange_of, server_config};
use crate::iana::{ExchangeType, NotifyType};
use crate::lifecycle::OVERTAKEN_MAX;
use crate::*;

fn psk(id: u32, secret: &[u8], remote: Option<RemoteMatch>) -> Psk {
    Psk { id: PskId(id), secret: SecretBytes::copy_of(secret), remote }
}

fn connect_with_secret(server: Config, secret: &[u8]) -> Net {
    let mut net = Net::new(Nat::Client, server, client_config());
    let params = Connect { psk: SecretBytes::copy_of(secret), ..net.params(1) };
    net.connect_with(1, params);
    net.run_secs(1);
    net
}

#[test]
fn the_key_is_found_among_several_because_identities_are_private_addresses() {
    let psks: Vec<Psk> = (0..5u8).map(|n| psk(u32::from(n), &[b'a' + n; 12], None)).collect();
    for n in 0..5u8 {
        let server = Config { psks: psks.clone(), ..server_config() };
        let net = connect_with_secret(server, &[b'a' + n; 12]);
        net.assert_agreed(1, 1);
        assert_eq!(net.nodes[0].up[&net.server_peer()].psk, PskId(u32::from(n)));
    }
}

#[test]
fn a_key_for_an_identity_serves_nobody_else() {
    let only = |name: &str| Some(RemoteMatch::Identity(Identity::parse(name)));
    let right = Config { psks: vec![psk(1, b"shared", only("192.168.1.10"))], ..server_config() };
    connect_with_secret(right, b"shared").assert_agreed(1, 1);
    let wrong = Config { psks: vec![psk(1, b"shared", only("192.168.1.11"))], ..server_config() };
    let net = connect_with_secret(wrong, b"shared");
    let cause = &net.nodes[0].failed[0].cause;
    let expected = FailureCause::IdentityNotAllowed(Identity::parse("192.168.1.10"));
    assert_eq!(*cause, expected);
    assert!(net.nodes[0].up.is_empty());
}

#[test]
fn a_key_for_an_address_is_tried_for_that_address_only() {
    let at = |text: &str| Some(RemoteMatch::Address(text.parse().unwrap()));
    let right = Config { psks: vec![psk(1, b"k", at("203.0.113.5"))], ..server_config() };
    connect_with_secret(right, b"k").assert_agreed(1, 1);
    let wrong = Config { psks: vec![psk(1, b"k", at("203.0.113.6"))], ..server_config() };
    let net = connect_with_secret(wrong, b"k");
    let nobody = Identity::parse("203.0.113.5");
    assert_eq!(net.nodes[0].failed[0].cause, FailureCause::IdentityNotAllowed(nobody));
    assert_eq!(net.bytes_from(0), 0, "nothing to say to an address without a key");
}

#[test]
fn no_common_proposal_is_reported_on_both_sides() {
    let client = Config {
        ike: vec![IkeProposal::from_name("3des-sha1-modp1024").unwrap()],
        ..client_config()
    };
    let server = Config { legacy: false, ..server_config() };
    let mut net = Net::new(Nat::Client, server, client);
    net.connect(1);
    net.run_secs(40);
    let causes: Vec<_> = net.nodes.iter().map(|node| node.failed[0].cause.label()).collect();
    assert_eq!(causes, ["no_ike_proposal", "peer_notify"]);
    let told = FailureCause::PeerNotify(NotifyType::NO_PROPOSAL_CHOSEN);
    assert_eq!(net.nodes[1].failed[0].cause, told);
    assert_eq!(net.nodes[0].failed.len(), 1, "once, however often message 1 came");
    assert_eq!(net.bytes_from(0), 40);
    net.assert_nothing_left();
}

#[test]
fn no_common_suite_ends_the_connection() {
    let client = Config { esp: vec![isthmus_crypto::EspSuite::TripleDesSha1], ..client_config() };
    let server = Config { legacy: false, ..server_config() };
    let mut net = Net::new(Nat::Client, server, client);
    let peer = net.connect(1);
    net.run_secs(5);
    let told = FailureCause::PeerNotify(NotifyType::NO_PROPOSAL_CHOSEN);
    assert_eq!(net.nodes[1].failed[0].cause, told);
    assert_eq!(net.nodes[1].failed[0].stage, Stage::QuickMode);
    assert_eq!(net.nodes[0].failed[0].cause.label(), "no_esp_proposal");
    assert_eq!(net.nodes[1].down, [(peer, DownReason::QuickModeFailed)]);
    net.run_secs(40);
    net.assert_nothing_left();
}

#[test]
fn silence_is_reported_with_how_far_it_came() {
    // The numbers of the first datagram that is lost with all that follow, and the stage.
    let stages = [
        (0, Stage::Proposal),
        (1, Stage::Proposal),
        (2, Stage::KeyExchange),
        (3, Stage::KeyExchange),
        (4, Stage::Authentication),
        (5, Stage::Authentication),
        (6, Stage::QuickMode),
        (7, Stage::QuickMode),
    ];
    for (from, stage) in stages {
        let mut net = Net::simple(Nat::Both);
        net.fate(move |n, _| if n >= from { Fate::Drop } else { Fate::Deliver });
        net.connect(1);
        net.run_secs(30);
        let failure = &net.nodes[1].failed[0];
        assert_eq!((failure.stage, &failure.cause), (stage, &FailureCause::Timeout), "from {from}");
        assert_eq!(net.nodes[1].endpoint.peers(), 0);
        // What others began is gone 30 seconds later; who was authenticated stays a while.
        net.run_secs(31);
        assert_eq!(net.nodes[0].endpoint.half_open(), 0);
        assert_eq!(net.nodes[0].endpoint.ike_sas(), net.nodes[0].up.len());
        let reported = match from {
            1..=4 | 7 => 1,
            _ => 0,
        };
        assert_eq!(net.nodes[0].failed.len(), reported, "from {from}");
        net.run(bounds::CHILDLESS_MAX);
        net.assert_nothing_left();
    }
}

#[test]
fn two_clients_behind_one_nat_with_the_same_private_address_are_two_peers() {
    let mut net = Net::simple(Nat::Both);
    net.add_client(client_config());
    net.connect(1);
    net.connect(2);
    net.run_secs(1);
    assert_eq!(net.nodes[0].up.len(), 2);
    net.assert_agreed(1, 1);
    net.assert_agreed(2, 1);
    let ups: Vec<&PeerUp> = net.nodes[0].up.values().collect();
    assert_eq!(ups[0].identity, ups[1].identity);
    assert_eq!(ups[0].path.remote.ip(), ups[1].path.remote.ip());
    assert_ne!(ups[0].path.remote.port(), ups[1].path.remote.port());

    // The second one starts afresh: its INITIAL-CONTACT takes its own old self away, not its neighbour.
    let neighbour = *net.nodes[0].up.iter().find(|(_, up)| up.path == ups[0].path).unwrap().0;
    let old = net.nodes[2].up.keys().copied().next().unwrap();
    let config = alloc::sync::Arc::new(client_config());
    let provider = isthmus_crypto_aws::provider();
    net.nodes[2].endpoint = Endpoint::new(config, provider, [99; 32], net.now);
    net.nodes[2].inbound.clear();
    net.nodes[2].outbound.clear();
    net.nodes[2].up.clear();
    net.connect(2);
    net.run_secs(1);
    assert!(old.0.raw() > 0);
    assert_eq!(net.nodes[0].down.len(), 1);
    assert_eq!(net.nodes[0].down[0].1, DownReason::InitialContact);
    assert_eq!(net.nodes[0].up.len(), 2);
    assert!(net.nodes[0].up.contains_key(&neighbour));
    net.assert_agreed(1, 1);
    net.assert_agreed(2, 1);
}

#[test]
fn windows_says_initial_contact_by_vendor_id() {
    let mut net = Net::server(server_config());
    let mut first = Fake::new(fake::windows10(), 0);
    first.main_mode(&mut net);
    let mut again = Fake::new(fake::windows10(), 0);
    again.cookies.initiator = [0x77; 8];
    again.main_mode(&mut net);
    assert_eq!(net.nodes[0].down[0].1, DownReason::InitialContact);
    assert_eq!(net.nodes[0].up.len(), 1);
    // A rekey does not carry it, and joins the peer.
    let mut profile = fake::windows10();
    profile.vids.remove(6);
    let mut rekey = Fake::new(profile, 0);
    rekey.cookies.initiator = [0x78; 8];
    rekey.main_mode(&mut net);
    assert_eq!((net.nodes[0].down.len(), net.nodes[0].rekeyed), (1, 1));
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 2);
}

#[test]
fn the_initiator_rekeys_its_child_all_day_and_traffic_never_lacks_one() {
    for pfs in [None, Some(DhGroup::Ecp256)] {
        let mut net = Net::simple(Nat::Client);
        let params = Connect { pfs, ..net.params(1) };
        let peer = net.connect_with(1, params);
        net.run_secs(1);
        let first = *net.nodes[1].inbound.keys().next().unwrap();
        for _ in 0..24 {
            net.run_secs(3600);
            assert!(!net.nodes[1].outbound.is_empty() && !net.nodes[0].outbound.is_empty());
            let newest = net.nodes[1].children.last().unwrap();
            let outbound = &net.nodes[0].inbound;
            assert!(outbound.contains_key(&newest.outbound), "the server lacks the newest");
        }
        assert!(!net.nodes[1].inbound.contains_key(&first));
        assert!(net.nodes[1].children.len() > 24);
        assert!(net.nodes[1].rekeyed >= 2, "IKE SAs live eight hours");
        assert!(net.nodes[1].children[1..].iter().all(|child| child.rekeyed));
        assert!(net.nodes[0].down.is_empty() && net.nodes[1].down.is_empty());
        assert!(net.nodes.iter().all(|node| node.failed.is_empty()));
        assert!(net.nodes[0].endpoint.ike_sas() <= 2);
        net.nodes[1].endpoint.close_peer(peer, net.now);
        net.drain(1);
        net.run_secs(120);
        net.assert_nothing_left();
    }
}

#[test]
fn a_responder_does_not_rekey_by_itself_and_expires_what_is_not_renewed() {
    let config = Config { dpd_interval: None, ..server_config() };
    let mut quiet =
        Net::new(Nat::Client, config.clone(), Config { dpd_interval: None, ..client_config() });
    quiet.connect(1);
    quiet.run_secs(1);
    let before = quiet.sent.len();
    quiet.fate(|_, _| Fate::Drop);
    quiet.run_secs(3600 + 57);
    let from_server = quiet.sent[before..].iter().filter(|packet| packet.from == 0).count();
    assert_eq!(from_server, 0, "the responder began something");
    assert_eq!(quiet.nodes[0].inbound.len(), 1);
    quiet.run_secs(5);
    assert!(quiet.nodes[0].inbound.is_empty());
    quiet.run(bounds::CHILDLESS_MAX + Duration::from_secs(1));
    assert_eq!(quiet.nodes[0].down[0].1, DownReason::Childless);
}

#[test]
fn rekeying_on_command_works_from_either_side() {
    for node in [0, 1] {
        let mut net = Net::simple(Nat::Both);
        let peer = net.connect(1);
        net.run_secs(1);
        let peer = if node == 0 { net.server_peer() } else { peer };
        net.nodes[node].endpoint.rekey_child(peer, net.now);
        net.drain(node);
        net.run_secs(1);
        assert_eq!(net.nodes[0].children.len(), 2, "node {node}");
        assert_eq!(net.nodes[1 - node].inbound.len(), 2);
        net.run_secs(130);
        net.assert_agreed(1, 1);
        net.nodes[node].endpoint.rekey_ike(peer, net.now);
        net.drain(node);
        net.run_secs(1);
        assert_eq!((net.nodes[0].rekeyed, net.nodes[1].rekeyed), (1, 1), "node {node}");
        net.assert_agreed(1, 1);
        net.run_secs(10);
        assert_eq!((net.nodes[0].endpoint.ike_sas(), net.nodes[1].endpoint.ike_sas()), (1, 1));
        // The new IKE SA carries on where the old one was.
        net.nodes[node].endpoint.rekey_child(peer, net.now);
        net.drain(node);
        net.run_secs(130);
        net.assert_agreed(1, 1);
        assert_eq!(net.nodes[0].children.len(), 3);
        assert!(net.nodes.iter().all(|n| n.down.is_empty() && n.failed.is_empty()));
    }
}

#[test]
fn any_one_message_of_a_rekey_may_be_lost() {
    // Three messages of quick mode, then six of main mode and the delete of the old IKE SA.
    for index in 9..19 {
        let mut net = Net::simple(Nat::Client);
        net.fate(move |n, _| if n == index { Fate::Drop } else { Fate::Deliver });
        let peer = net.connect(1);
        net.run_secs(1);
        net.nodes[1].endpoint.rekey_child(peer, net.now);
        net.drain(1);
        net.run_secs(20);
        net.nodes[1].endpoint.rekey_ike(peer, net.now);
        net.drain(1);
        net.run_secs(140);
        net.assert_agreed(1, 1);
        assert_eq!(net.nodes[1].rekeyed, 1, "{index}");
        assert!(net.nodes.iter().all(|n| n.down.is_empty() && n.failed.is_empty()), "{index}");
    }
}

#[test]
fn a_rekey_that_fails_is_tried_again() {
    let mut net = Net::simple(Nat::Client);
    let peer = net.connect(1);
    net.run_secs(1);
    let quick = |packet: &Packet| exchange_of(packet) == ExchangeType::QUICK_MODE;
    net.fate(move |_, packet| if quick(packet) { Fate::Drop } else { Fate::Deliver });
    net.nodes[1].endpoint.rekey_child(peer, net.now);
    net.drain(1);
    net.run_secs(25);
    assert_eq!(net.nodes[1].failed.len(), 1);
    assert_eq!(net.nodes[1].children.len(), 1);
    net.assert_agreed(1, 1);
    net.fate(|_, _| Fate::Deliver);
    net.run_secs(150);
    assert_eq!(net.nodes[1].children.len(), 2);
    net.assert_agreed(1, 1);
}

#[test]
fn reaching_the_soft_limit_rekeys_who_made_the_child() {
    let mut net = Net::simple(Nat::Client);
    let peer = net.connect(1);
    net.run_secs(1);
    let spi = net.nodes[1].outbound.keys().next().unwrap().1;
    let server = net.server_peer();
    net.nodes[0].endpoint.soft_limit(server, spi, net.now);
    net.drain(0);
    net.run_secs(1);
    assert_eq!(net.nodes[0].children.len(), 1, "the responder leaves it to its peer");
    net.nodes[1].endpoint.soft_limit(peer, spi, net.now);
    net.nodes[1].endpoint.soft_limit(peer, spi, net.now);
    net.drain(1);
    net.run_secs(1);
    assert_eq!(net.nodes[0].children.len(), 2);
}

#[test]
fn a_dead_peer_is_noticed_by_both_sides_and_a_live_one_is_not_asked() {
    let mut net = Net::simple(Nat::Client);
    let peer = net.connect(1);
    net.run_secs(1);
    let before = net.sent.len();
    for _ in 0..10 {
        net.run_secs(20);
        let server = net.server_peer();
        net.nodes[0].endpoint.peer_alive(server, net.now);
        net.nodes[1].endpoint.peer_alive(peer, net.now);
    }
    assert_eq!(net.sent.len(), before, "ESP was proof enough");
    net.run_secs(100);
    assert!(net.sent.len() > before && net.nodes.iter().all(|node| node.down.is_empty()));
    net.fate(|_, _| Fate::Drop);
    net.run_secs(30 + 5 * 5 + 1);
    assert_eq!(net.nodes[0].down[0].1, DownReason::Dead);
    assert_eq!(net.nodes[1].down, [(peer, DownReason::Dead)]);
    net.assert_nothing_left();
}

#[test]
fn a_client_behind_a_nat_keeps_its_mapping_and_a_server_does_not() {
    let mut net = Net::simple(Nat::Both);
    net.connect(1);
    net.run_secs(205);
    assert_eq!((net.nodes[1].keepalives, net.nodes[0].keepalives), (10, 0));
    let mut net = Net::simple(Nat::Neither);
    net.connect(1);
    net.run_secs(205);
    assert_eq!(net.nodes[1].keepalives, 0);
}

#[test]
fn a_rebound_nat_mapping_is_followed_on_an_authenticated_message_only() {
    let mut net = Net::simple(Nat::Client);
    let peer = net.connect(1);
    net.run_secs(1);
    let before = net.nodes[0].up[&net.server_peer()].path;
    net.rebound = 100;
    let child = net.nodes[1].children[0];
    assert_eq!(child.peer, peer);
    net.nodes[1].endpoint.rekey_child(peer, net.now);
    net.drain(1);
    // The same message from elsewhere with one bit flipped moves nothing.
    let mut forged = net.flight[0].clone();
    forged.path.remote.set_port(9);
    let last = forged.bytes.len() - 1;
    forged.bytes[last] ^= 1;
    assert!(net.deliver(&forged).is_err());
    assert!(net.nodes[0].moved.is_empty());
    net.run_secs(130);
    let moved = net.nodes[0].moved[0].1;
    assert_eq!((moved.local, moved.remote.ip()), (before.local, before.remote.ip()));
    assert_eq!(moved.remote.port(), before.remote.port() + 100);
    net.assert_agreed(1, 1);
}

#[test]
fn esp_from_a_new_address_moves_the_ike_path_too() {
    let mut net = Net::simple(Nat::Client);
    net.connect(1);
    net.run_secs(1);
    net.rebound = 50;
    let server = net.server_peer();
    let before = net.nodes[0].up[&server].path;
    let mut remote = before.remote;
    remote.set_port(remote.port() + 50);
    net.nodes[0].endpoint.path_moved(server, Path::new(before.local, remote));
    net.nodes[0].endpoint.rekey_child(server, net.now);
    net.drain(0);
    net.run_secs(1);
    assert_eq!(net.nodes[1].children.len(), 2, "the server's message arrived");
}

#[test]
fn encapsulation_can_be_forced_by_either_side_without_a_nat() {
    for (server, client) in [(true, false), (false, true), (true, true)] {
        let server = Config { force_encap: server, ..server_config() };
        let client = Config { force_encap: client, ..client_config() };
        let mut net = Net::new(Nat::Neither, server, client);
        let peer = net.connect(1);
        net.run_secs(1);
        net.assert_agreed(1, 1);
        let (up, other) = (&net.nodes[1].up[&peer], &net.nodes[0].up[&net.server_peer()]);
        assert_eq!((up.encap, other.encap), (Encap::Udp, Encap::Udp));
        assert_eq!(up.path.remote.port(), 4500);
    }
}

#[test]
fn a_server_hides_its_own_nat_unless_told_not_to() {
    for (mask, seen) in [(true, false), (false, true)] {
        let server = Config { mask_nat: mask, ..server_config() };
        let mut net = Net::new(Nat::Server, server, client_config());
        let peer = net.connect(1);
        net.run_secs(1);
        net.assert_agreed(1, 1);
        let up = &net.nodes[1].up[&peer];
        // Windows refuses a server behind a NAT; masked, it believes that it is behind one itself.
        assert_eq!(up.nat, NatStatus { local: mask, remote: seen });
        assert_eq!(up.encap, Encap::Udp);
    }
}

#[test]
fn the_client_refuses_a_server_that_says_it_is_someone_else() {
    let wanted = |name: &str| {
        let server =
            Config { local_id: Some(Identity::fqdn("vpn.example.org")), ..server_config() };
        let mut net = Net::new(Nat::Client, server, client_config());
        let params = Connect { remote_id: Some(Identity::fqdn(name)), ..net.params(1) };
        net.connect_with(1, params);
        net.run_secs(1);
        net
    };
    wanted("vpn.example.org").assert_agreed(1, 1);
    let net = wanted("other.example.org");
    let cause = FailureCause::IdentityNotAllowed(Identity::fqdn("vpn.example.org"));
    assert_eq!(net.nodes[1].failed[0].cause, cause);
    assert_eq!(net.nodes[1].endpoint.peers(), 0);
}

#[test]
fn a_forged_refusal_does_not_end_an_attempt_that_goes_on() {
    let mut net = Net::simple(Nat::Client);
    net.hold_jobs = true;
    net.connect(1);
    net.flow();
    // Message 2 has come; the key pair is being made. Someone shouts NO-PROPOSAL-CHOSEN.
    let mm1 = net.sent[0].clone();
    let mm2 = net.sent[1].clone();
    let mut header = mm2.bytes[..28].to_vec();
    header[16..20].copy_from_slice(&[11, 0x10, 5, 0]);
    header[20..24].copy_from_slice(&[0, 0, 0, 9]);
    header[24..28].copy_from_slice(&[0, 0, 0, 40]);
    let shout = [&header[..], &[0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 14]].concat();
    let forged = Packet { from: 0, to: 1, bytes: shout, ..mm2 };
    assert_eq!(net.deliver(&forged), Err(Rejected::Plain));
    assert_eq!(net.nodes[1].endpoint.stats().plain_notifications, 1);
    assert!(mm1.bytes.len() > 40);
    net.hold_jobs = false;
    net.work();
    net.run_secs(10);
    net.assert_agreed(1, 1);
    assert!(net.nodes[1].failed.is_empty());
}

#[test]
fn a_restored_peer_goes_on_under_its_old_ids() {
    let mut net = Net::simple(Nat::Both);
    let client_peer = net.connect(1);
    net.run_secs(100);
    let server_peer = net.server_peer();
    for node in [0, 1] {
        let peer = if node == 0 { server_peer } else { client_peer };
        let record = net.nodes[node].endpoint.record(peer, net.now).unwrap();
        let bytes = postcard::to_allocvec(&record).unwrap();
        let record: PeerRecord = postcard::from_bytes(&bytes).unwrap();
        let config = if node == 0 { server_config() } else { client_config() };
        let provider = isthmus_crypto_aws::provider();
        let config = alloc::sync::Arc::new(config);
        let mut fresh = Endpoint::new(config, provider, [77; 32], net.now);
        fresh.restore(&record, net.now).unwrap();
        assert_eq!(fresh.restore(&record, net.now), Err(RestoreError::Conflict));
        let (inbound, outbound) =
            (net.nodes[node].inbound.clone(), net.nodes[node].outbound.clone());
        let before = &mut net.nodes[node];
        before.endpoint = fresh;
        before.inbound.clear();
        before.outbound.clear();
        before.up.clear();
        net.drain(node);
        let after = &net.nodes[node];
        assert!(after.up.contains_key(&peer));
        assert!(
            after.inbound.keys().eq(inbound.keys()) && after.outbound.keys().eq(outbound.keys())
        );
    }
    net.assert_agreed(1, 1);
    // Life goes on: DPD, then both rekeys, on time.
    net.run_secs(3600);
    assert!(net.nodes[1].children.len() >= 2);
    net.run_secs(8 * 3600);
    assert!(net.nodes[1].rekeyed >= 1);
    assert!(net.nodes.iter().all(|node| node.down.is_empty() && node.failed.is_empty()));
}

#[test]
fn a_peer_that_is_not_up_has_no_record() {
    let mut net = Net::simple(Nat::Client);
    net.fate(|_, _| Fate::Drop);
    let peer = net.connect(1);
    assert!(net.nodes[1].endpoint.record(peer, net.now).is_none());
}

#[test]
fn a_peer_that_asks_for_udp_without_a_nat_on_port_4500_gets_it() {
    let mut net = Net::server(Config { mask_nat: false, ..server_config() });
    let fake = Fake::connect(fake::windows10(), 0, &mut net);
    let offer = esp_offer(&[(12, Some(256), Some(2))], 0xb100_0001, 2, None, false);
    let ids = Some((udp("192.168.1.10", 1701), udp("198.51.100.1", 1701)));
    let plain = fake.quick_mode(&mut net, 1, fake.payloads(offer, ids));
    assert_eq!(plain.err(), Some(Rejected::NoProposalChosen), "plain ESP does not pass a NAT");
}

#[test]
fn many_peers_share_one_endpoint() {
    let mut net = Net::server(server_config());
    let mut fakes: Vec<Fake> = Vec::new();
    for index in 0..100 {
        let fake = Fake::connect(fake::network_manager(), index, &mut net);
        let offer = esp_offer(&[(12, Some(256), Some(2))], 0xb100_0001, 4, None, false);
        fake.quick_mode(&mut net, 1, fake.payloads(offer, None)).unwrap();
        fakes.push(fake);
    }
    assert_eq!((net.nodes[0].up.len(), net.nodes[0].inbound.len()), (100, 100));
    // The same SPI of a hundred peers: a delete takes its sender's child only.
    fakes[41].tell(&mut net, &fakes[41].delete_ike(9)).unwrap();
    net.run(OVERTAKEN_MAX);
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 99);
    assert_eq!(net.nodes[0].inbound.len(), 100, "children outlive their IKE SA");
}

#[test]
fn lifetimes_beyond_reason_are_cut() {
    let mut net = Net::server(server_config());
    let mut profile = fake::windows10();
    profile.seconds = u32::MAX;
    let fake = Fake::connect(profile, 0, &mut net);
    let server = net.server_peer();
    let offer = esp_offer(&[(12, Some(256), Some(2))], 0xb100_0001, 4, None, false);
    // The duration in seconds is the first one of the transform.
    let at = offer.windows(8).position(|w| w == [0, 2, 0, 4, 0, 0, 0x0e, 0x10]).unwrap();
    let mut offer = offer;
    offer[at + 4..at + 8].fill(0xff);
    fake.quick_mode(&mut net, 1, fake.payloads(offer, None)).unwrap();
    let inbound = net.nodes[0].inbound.values().next().unwrap();
    assert_eq!(inbound.lifetime.time, bounds::CHILD_LIFETIME_MAX);
    net.run(bounds::IKE_LIFETIME_MAX);
    assert_eq!(net.nodes[0].endpoint.ike_sas(), 0, "no child for days");
    assert_eq!(net.nodes[0].down, [(server, DownReason::Childless)]);
}

#[test]
fn a_failed_computation_ends_the_attempt_with_a_report() {
    let mut net = Net::simple(Nat::Client);
    net.hold_jobs = true;
    let peer = net.connect(1);
    net.flow();
    let (node, id, _) = net.jobs.pop().unwrap();
    assert_eq!(node, 1);
    let error = isthmus_crypto::CryptoError::Unsupported;
    net.nodes[1].endpoint.handle_job(id, Err(error), net.now);
    net.drain(1);
    let failure = &net.nodes[1].failed[0];
    assert_eq!((failure.peer, failure.stage), (Some(peer), Stage::KeyExchange));
    assert_eq!(failure.cause, FailureCause::BadKeyExchange(error));
    net.run_secs(31);
    net.assert_nothing_left();
}

#[test]
fn a_late_result_of_a_computation_finds_nobody() {
    let mut net = Net::simple(Nat::Client);
    net.hold_jobs = true;
    net.connect(1);
    net.flow();
    net.run_secs(31);
    net.assert_nothing_left();
    net.work();
    net.flow();
    net.assert_nothing_left();
    assert_eq!(net.nodes[1].failed.len(), 1);
}

#[test]
fn nothing_to_offer_is_an_error_at_once() {
    let client = Config { ike: Vec::new(), ..client_config() };
    let mut net = Net::new(Nat::Client, server_config(), client);
    let params = net.params(1);
    let result = net.nodes[1].endpoint.connect(params, net.now);
    assert_eq!(result, Err(Rejected::NoProposalChosen));
    net.assert_nothing_left();
}

#[test]
fn peers_are_bounded_whoever_begins() {
    let mut net = Net::server(server_config());
    let params = Connect::l2tp(
        net.path_of(0, 500),
        net.path_of(0, 4500),
        SecretBytes::copy_of(super::net::SECRET),
    );
    let connect = alloc::sync::Arc::new(params.clone());
    let endpoint = &mut net.nodes[0].endpoint;
    for _ in 0..bounds::PEERS_MAX {
        let peer = peer::Peer::outgoing(alloc::sync::Arc::clone(&connect));
        endpoint.peers.insert(alloc::boxed::Box::new(peer)).map_err(|_| "full").unwrap();
    }
    assert_eq!(endpoint.connect(params, net.now), Err(Rejected::PeerLimit));
    let mut fake = Fake::new(fake::windows10(), 0);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mm3 = fake.mm3(&mm2);
    let mm4 = fake.ask(&mut net, &mm3).unwrap();
    let mm5 = fake.mm5(&mm4);
    assert_eq!(fake.tell(&mut net, &mm5), Err(Rejected::PeerLimit));
    assert!(net.taken.is_empty());
    assert_eq!(net.nodes[0].endpoint.peers(), bounds::PEERS_MAX);
}

#[test]
fn a_server_may_rekey_the_ike_sa_of_its_client_and_nobody_else_may() {
    let mut net = Net::simple(Nat::Both);
    let peer = net.connect(1);
    net.run_secs(1);
    let server = net.server_peer();
    net.nodes[0].endpoint.rekey_ike(server, net.now);
    net.drain(0);
    net.run_secs(10);
    assert_eq!((net.nodes[1].rekeyed, net.nodes[1].up.len()), (1, 1));
    assert!(net.nodes[1].up.contains_key(&peer));
    // The client has no configured keys, so a stranger who knows the secret gets nowhere with it.
    let mut stranger = Fake::new(fake::network_manager(), 3);
    stranger.path.local.set_ip(net.nodes[1].ip);
    let say = |net: &mut Net, fake: &Fake, bytes: Vec<u8>| {
        let packet = Packet { from: 1, to: 1, path: fake.path, marked: fake.marked, bytes };
        let result = net.deliver(&packet);
        (result, net.taken.pop_front().map(|packet| packet.bytes))
    };
    let mm1 = stranger.mm1();
    assert_eq!(say(&mut net, &stranger, mm1), (Err(Rejected::NoPsk), None));
    // Nor under the server's address, with another secret.
    let mut forger = Fake::new(fake::network_manager(), 3);
    forger.path = net.nodes[1].up[&peer].path;
    forger.marked = true;
    forger.psk = b"a guess".to_vec();
    let mm1 = forger.mm1();
    say(&mut net, &forger, mm1).0.unwrap();
    let mm2 = net.flight.pop_front().unwrap().bytes;
    let mm3 = forger.mm3(&mm2);
    say(&mut net, &forger, mm3).0.unwrap();
    let mm4 = net.flight.pop_front().unwrap().bytes;
    let mm5 = forger.mm5(&mm4);
    assert_eq!(say(&mut net, &forger, mm5).0, Err(Rejected::Undecryptable));
    assert_eq!((net.nodes[1].up.len(), net.nodes[1].rekeyed), (1, 1));
}
