//! Each way to fail leaves one record, with the cause and the cure.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking"
)]

use std::sync::Arc;

use isthmus_core::{Duration, Instant, SecretBytes};
use isthmus_crypto::EspSuite;
use isthmus_gateway::{Cause, Config, Failure, Milestone, Stage};
use isthmus_ike::IkeProposal;
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{ClientHost, GatewayHost, Nat, Node, NodeId, Packet, World};

struct Attempt {
    gateway: Config,
    client: isthmus_client::Config,
    nat: bool,
    firewall: Option<fn(&Packet) -> bool>,
}

const HOME: &str = "192.0.2.1";

impl Attempt {
    fn new() -> Self {
        let client = settings::client(HOME, "user1");
        Self { gateway: settings::gateway(), client, nat: false, firewall: None }
    }

    fn through_nat() -> Self {
        let client = settings::client("192.168.1.2", "user1");
        Self { client, nat: true, ..Self::new() }
    }

    /// Fails, and leaves one record.
    fn fails(self) -> Failure {
        let (mut world, gateway, _client) = self.begin();
        world.run_for(Duration::from_mins(2));
        let failures = world.gateway(gateway).machine.status().failures;
        assert_eq!(failures.len(), 1, "{failures:#?}");
        assert!(world.gateway(gateway).machine.is_idle(), "nothing stays");
        assert!(failures[0].remedy.len() > 20 && failures[0].from.ip().to_string() == HOME);
        failures[0].clone()
    }

    fn begin(self) -> (World, NodeId, NodeId) {
        let mut world = World::new(1);
        world.firewall = self.firewall;
        let host = GatewayHost::new(Arc::new(self.gateway), &mut world.rng, world.now);
        let gateway = world.add(host, GATEWAY.parse().unwrap());
        let host = ClientHost::new(self.client, &mut world.rng, world.now);
        let home = HOME.parse().unwrap();
        let client = if self.nat {
            let nat = world.add(Nat::new(home), home);
            world.add_behind(nat, host, "192.168.1.2".parse().unwrap())
        } else {
            world.add(host, home)
        };
        (world, gateway, client)
    }
}

fn reached(failure: &Failure) -> Option<Milestone> {
    failure.steps.iter().map(|step| step.milestone).max()
}

fn is_from_gateway(packet: &Packet) -> bool {
    packet.from.ip().to_string() == GATEWAY
}

/// ESP in UDP: not IKE, which has four zero bytes in front on port 4500, and no keepalive.
fn is_esp(packet: &Packet) -> bool {
    let nat_t = packet.from.port() == 4500 || packet.to.port() == 4500;
    packet.esp || nat_t && packet.bytes.len() > 1 && !packet.bytes.starts_with(&[0; 4])
}

#[test]
fn udp_4500_blocked_behind_a_nat() {
    let mut attempt = Attempt::through_nat();
    attempt.firewall = Some(|packet| packet.to.port() == 4500);
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeMainMode, Cause::NatTraversalBlocked));
    assert_eq!(reached(&failure), Some(Milestone::KeysExchanged));
    assert!(failure.client.behind_nat && failure.proven);
    assert!(failure.remedy.contains("UDP 4500"), "{}", failure.remedy);
}

#[test]
fn answers_that_never_arrive() {
    let mut attempt = Attempt::new();
    attempt.firewall = Some(is_from_gateway);
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeMainMode, Cause::NoAnswerHeard));
    assert!(!failure.proven, "the address may be forged");
}

#[test]
fn a_client_that_falls_silent_after_the_keys_without_a_nat() {
    let mut attempt = Attempt::new();
    // Message 5 is the first encrypted one.
    attempt.firewall = Some(|packet| !is_from_gateway(packet) && packet.bytes[19] & 1 == 1);
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeMainMode, Cause::PeerSilent));
    assert!(failure.detail.contains("message 5 never came"), "{}", failure.detail);
}

#[test]
fn a_wrong_pre_shared_key() {
    let mut attempt = Attempt::new();
    attempt.client.psk = SecretBytes::copy_of(b"another key");
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeMainMode, Cause::WrongPsk));
    assert!(failure.remedy.contains("pre-shared key"), "{}", failure.remedy);
}

#[test]
fn a_key_that_is_for_somebody_else() {
    let mut attempt = Attempt::new();
    let psk = isthmus_ike::Psk {
        id: isthmus_ike::PskId(0),
        secret: SecretBytes::copy_of(settings::PSK),
        remote: Some(isthmus_ike::RemoteMatch::Identity(isthmus_ike::Identity::fqdn("branch"))),
    };
    attempt.gateway.ike = Arc::new(isthmus_ike::Config { psks: vec![psk], ..Default::default() });
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeMainMode, Cause::NoPskForIdentity));
    assert!(failure.detail.contains(HOME), "{}", failure.detail);
}

fn ike(names: &[&str], legacy: bool) -> Vec<IkeProposal> {
    let found = names.iter().map(|name| IkeProposal::from_name(name).unwrap()).collect::<Vec<_>>();
    assert!(legacy || found.iter().all(|proposal| !proposal.is_legacy()));
    found
}

fn offers(client: &mut isthmus_client::Config, names: &[&str]) {
    let config = isthmus_ike::Config::clone(&client.ike);
    client.ike = Arc::new(isthmus_ike::Config { ike: ike(names, true), legacy: true, ..config });
}

#[test]
fn no_ike_proposal_in_common_names_both_lists_and_what_to_add() {
    let mut attempt = Attempt::new();
    offers(&mut attempt.client, &["aes256-sha1-modp1024", "aes128-sha1-modp2048"]);
    let config = isthmus_ike::Config::clone(&attempt.gateway.ike);
    let ours = ike(&["aes256-sha256-modp2048"], false);
    attempt.gateway.ike = Arc::new(isthmus_ike::Config { ike: ours, ..config });
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeMainMode, Cause::NoProposalIke));
    let lists =
        "offered: aes256-sha1-modp1024, aes128-sha1-modp2048; accepted: aes256-sha256-modp2048";
    assert!(failure.detail.contains(lists), "{}", failure.detail);
    assert!(failure.remedy.contains("add \"aes128-sha1-modp2048\""), "{}", failure.remedy);
}

#[test]
fn only_weak_ike_proposals_name_the_switch() {
    let mut attempt = Attempt::new();
    offers(&mut attempt.client, &["aes256-sha384-modp1024"]);
    let failure = attempt.fails();
    assert_eq!(failure.cause, Cause::NoProposalIke);
    assert!(
        failure.remedy.contains("`legacy = true` in `[ipsec]` allows \"aes256-sha384-modp1024\""),
        "{}",
        failure.remedy
    );
}

#[test]
fn no_esp_suite_in_common_names_both_lists_and_what_to_add() {
    let mut attempt = Attempt::new();
    let config = isthmus_ike::Config::clone(&attempt.gateway.ike);
    let esp = vec![EspSuite::Aes256CbcSha256];
    attempt.gateway.ike = Arc::new(isthmus_ike::Config { esp, ..config });
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeQuickMode, Cause::NoProposalEsp));
    assert!(failure.detail.contains("offered: aes256-sha1"), "{}", failure.detail);
    assert!(failure.detail.contains("accepted: aes256-sha256"), "{}", failure.detail);
    assert!(failure.remedy.contains("add \"aes256-sha1\" to `esp`"), "{}", failure.remedy);
    assert_eq!(reached(&failure), Some(Milestone::Authenticated));
}

#[test]
fn ipsec_up_and_no_l2tp() {
    let mut attempt = Attempt::through_nat();
    attempt.firewall = Some(is_esp);
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::L2tp, Cause::NoL2tp));
    assert_eq!(reached(&failure), Some(Milestone::Secured));
    let at: Vec<_> = failure.steps.iter().filter_map(|step| step.at).collect();
    assert!(!at.is_empty() && at.is_sorted() && at.iter().all(|at| *at <= failure.at));
}

#[test]
fn a_return_path_that_is_dead() {
    let mut attempt = Attempt::through_nat();
    attempt.firewall = Some(|packet| is_from_gateway(packet) && is_esp(packet));
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::L2tp, Cause::ReturnPathDead));
    assert_eq!(reached(&failure), Some(Milestone::L2tpHeard));
    assert!(failure.detail.contains("heard none of our answers"), "{}", failure.detail);
}

#[test]
fn a_refused_login_says_why() {
    let mut unknown = with_user1(|_| {});
    unknown.client.user = "mallory".into();
    let mut wrong = with_user1(|_| {});
    wrong.client.password = SecretBytes::copy_of(b"guess");
    let mut exhausted = with_user1(|_| {});
    exhausted.gateway.tenants[0].pool = vec!["10.64.0.1/32".parse().unwrap()];
    for (attempt, cause, name) in [
        (unknown, Cause::UnknownUser, "mallory"),
        (wrong, Cause::WrongPassword, "user1"),
        (with_user1(|u| u.disabled = true), Cause::AccountDisabled, "user1"),
        (exhausted, Cause::PoolExhausted, "user1"),
    ] {
        let failure = attempt.fails();
        assert_eq!((failure.stage, failure.cause), (Stage::PppAuth, cause));
        assert_eq!(failure.user.as_deref(), Some(name));
        assert_eq!(failure.tenant.as_deref(), Some("acme"));
        assert!(failure.detail.contains("MS-CHAPv2"), "{}", failure.detail);
        assert_eq!(reached(&failure), Some(Milestone::LinkUp));
    }
}

#[test]
fn a_link_that_cannot_be_agreed_tells_what_each_side_wanted() {
    let mut attempt = Attempt::new();
    attempt.gateway.auth = vec![isthmus_ppp::AuthProtocol::Pap];
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::PppLink, Cause::LinkNegotiation));
    assert!(failure.detail.contains("the client wants instead MS-CHAPv2"), "{}", failure.detail);
    assert!(failure.detail.contains("the gateway asks for MRU 1300, PAP"), "{}", failure.detail);
}

#[test]
fn a_client_that_tries_again_and_again_is_one_record() {
    let mut attempt = Attempt::new();
    attempt.client.psk = SecretBytes::copy_of(b"guess");
    let again = attempt.client.clone();
    let (mut world, gateway, mut client) = attempt.begin();
    for _ in 0..5 {
        world.run_till("refused", Duration::from_mins(1), |w| w.client(client).down().is_some());
        let host = ClientHost::new(again.clone(), &mut world.rng, world.now);
        client = world.add(host, HOME.parse().unwrap());
    }
    world.run_for(Duration::from_mins(1));
    let status = world.gateway(gateway).machine.status();
    let kept: Vec<_> = status.failures.iter().map(|f| (f.cause, f.count)).collect();
    assert_eq!(kept, [(Cause::WrongPsk, 6)]);
    assert!(status.failures[0].first < status.failures[0].at);
    assert_eq!(status.failures_total, 6);
    let told = world.gateway(gateway).events.iter();
    let told = told.filter(|e| matches!(e, isthmus_gateway::Event::AttemptFailed(_))).count();
    assert_eq!(told, 3, "the first, the second and the fourth");
}

#[test]
fn a_flood_and_a_scan_are_named_and_a_good_client_still_gets_in() {
    let (mut world, gateway, client) = Attempt::new().begin();
    let mut first = Vec::new();
    world.firewall = None;
    // What a first message looks like, from a client that nobody hears.
    let mut probe = ClientHost::new(settings::client(HOME, "user1"), &mut world.rng, world.now);
    first.extend(probe.take_packets());
    let mm1 = first.swap_remove(0);
    let now = world.now;
    for n in 0..2000_u64 {
        let mut packet = mm1.clone();
        packet.from = "198.51.100.66:500".parse().unwrap();
        packet.bytes[..8].copy_from_slice(&(n + 1).to_be_bytes());
        world.with_gateway(gateway, |host, _| host.handle_packet(packet, now));
    }
    let mut ikev2 = mm1.clone();
    ikev2.from = "198.51.100.67:500".parse().unwrap();
    ikev2.bytes[17] = 0x20;
    world.with_gateway(gateway, |host, now| host.handle_packet(ikev2, now));
    world.run_till("connected", Duration::from_mins(1), |w| w.client(client).up().is_some());
    let failures = world.gateway(gateway).machine.status().failures;
    let of = |cause| failures.iter().find(|failure| failure.cause == cause);
    assert!(of(Cause::TooMany).is_some_and(|f| f.count > 100 && !f.proven), "{failures:#?}");
    assert!(of(Cause::IkeV2).is_some_and(|f| f.remedy.contains("L2TP/IPsec")), "{failures:#?}");
}

#[test]
fn a_path_that_loses_large_packets_is_found_and_a_wide_one_is_not_blamed() {
    let mut attempt = Attempt::through_nat();
    // An inner packet of 1280 bytes has about 90 bytes around it.
    attempt.firewall = Some(|packet| packet.bytes.len() > 1200);
    let (mut world, gateway, client) = attempt.begin();
    world.run_till("connected", Duration::from_mins(1), |w| w.client(client).up().is_some());
    world.run_for(Duration::from_mins(1));
    let failures = world.gateway(gateway).machine.status().failures;
    assert_eq!(failures.len(), 1, "{failures:#?}");
    let failure = &failures[0];
    assert_eq!((failure.stage, failure.cause), (Stage::Connected, Cause::PathMtu));
    assert_eq!(failure.user.as_deref(), Some("user1"));
    assert!(failure.detail.contains("1280 bytes none"), "{}", failure.detail);
    assert!(failure.remedy.contains("`[ppp] mru` to 1000"), "{}", failure.remedy);
    assert_eq!(reached(failure), Some(Milestone::Connected));
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 1, "it goes on");

    let (mut world, gateway, client) = Attempt::through_nat().begin();
    world.run_till("connected", Duration::from_mins(1), |w| w.client(client).up().is_some());
    world.run_for(Duration::from_mins(1));
    assert!(world.gateway(gateway).machine.status().failures.is_empty());
}

fn with_user1(change: fn(&mut isthmus_gateway::User)) -> Attempt {
    let mut attempt = Attempt::new();
    let mut user = attempt.gateway.tenants[0].users.find(b"user1").unwrap().1.clone();
    change(&mut user);
    let users = [(String::from("user1"), user)].into_iter().collect();
    attempt.gateway.tenants[0].users = Arc::new(isthmus_gateway::Users::new(users));
    attempt
}

#[test]
fn an_address_of_ones_own_that_somebody_else_has() {
    let attempt = with_user1(|user| user.address = Some([10, 64, 0, 77].into()));
    let (mut world, gateway, first) = attempt.begin();
    world.run_till("connected", Duration::from_mins(1), |w| w.client(first).up().is_some());
    let again = settings::client("192.0.2.9", "user1");
    let host = ClientHost::new(again, &mut world.rng, world.now);
    let second = world.add(host, "192.0.2.9".parse().unwrap());
    world.run_for(Duration::from_mins(1));
    assert!(world.client(second).down().is_some() && world.client(first).down().is_none());
    let failures = world.gateway(gateway).machine.status().failures;
    assert_eq!(failures.len(), 1, "{failures:#?}");
    let failure = &failures[0];
    assert_eq!((failure.stage, failure.cause), (Stage::PppAuth, Cause::AddressInUse));
    assert_eq!(failure.from.ip().to_string(), "192.0.2.9");
    assert!(failure.detail.ends_with("10.64.0.77 is leased"), "{}", failure.detail);
}

#[test]
fn a_hash_that_the_protocol_cannot_be_checked_with() {
    let mut attempt = with_user1(|user| {
        let hash = isthmus_ppp::auth::nt_hash(&*isthmus_crypto_aws::provider(), b"user1").unwrap();
        user.secret = isthmus_gateway::UserSecret::NtHash(hash);
    });
    attempt.gateway.auth = vec![isthmus_ppp::AuthProtocol::ChapMd5];
    attempt.client.auth = vec![isthmus_ppp::AuthProtocol::ChapMd5];
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::PppAuth, Cause::AuthProtocolUnusable));
    assert!(failure.detail.contains("CHAP with MD5"), "{}", failure.detail);
    assert_eq!(failure.user.as_deref(), Some("user1"));
}

/// IKE's exchange type stands behind two cookies, next payload and version, and on port 4500 behind a
/// marker of four bytes.
fn is_quick_mode(packet: &Packet) -> bool {
    let at = if packet.to.port() == 4500 { 22 } else { 18 };
    !is_esp(packet) && packet.bytes.get(at) == Some(&32)
}

#[test]
fn a_key_is_proved_and_no_ipsec_sa_is_asked_for() {
    let mut attempt = Attempt::new();
    attempt.firewall = Some(|packet| !is_from_gateway(packet) && is_quick_mode(packet));
    let failure = attempt.fails();
    assert_eq!((failure.stage, failure.cause), (Stage::IkeQuickMode, Cause::NoQuickMode));
    assert_eq!(reached(&failure), Some(Milestone::Authenticated));
    assert!(failure.detail.contains("asked for no IPsec SA"), "{}", failure.detail);
}

#[test]
fn a_client_that_hangs_up_before_it_logs_in() {
    let (mut world, gateway, client) = Attempt::new().begin();
    world.run_till("called", Duration::from_mins(1), |w| {
        !w.gateway(gateway).machine.sessions().is_empty()
    });
    world.with_client(client, |c, now| c.act(now, isthmus_client::Client::stop));
    world.run_for(Duration::from_mins(1));
    let failures = world.gateway(gateway).machine.status().failures;
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert_eq!((failures[0].stage, failures[0].cause), (Stage::PppLink, Cause::PeerRefused));
    assert!(world.gateway(gateway).machine.is_idle());
}

/// A gateway behind the 1:1 NAT of a cloud: the address that clients dial is not its own.
struct InACloud(GatewayHost);

impl Node for InACloud {
    fn handle_packet(&mut self, mut packet: Packet, now: Instant) {
        packet.to.set_ip([10, 0, 0, 5].into());
        self.0.handle_packet(packet, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn take_packets(&mut self) -> Vec<Packet> {
        let mut packets = self.0.take_packets();
        for packet in &mut packets {
            packet.from.set_ip(GATEWAY.parse().unwrap());
        }
        packets
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self.0.as_any()
    }
}

#[test]
fn a_windows_that_will_not_speak_to_a_server_behind_a_nat() {
    for blocked in [is_quick_mode as fn(&Packet) -> bool, is_esp] {
        let profile = isthmus_client::Profile::Windows11;
        let mut world = World::new(1);
        world.firewall = Some(blocked);
        let config = Arc::new(settings::gateway_for(profile));
        let host = GatewayHost::new(config, &mut world.rng, world.now);
        let gateway = world.add(InACloud(host), GATEWAY.parse().unwrap());
        let client = settings::client_as(profile, HOME, "user1");
        let host = ClientHost::new(client, &mut world.rng, world.now);
        let client = world.add(host, HOME.parse().unwrap());
        world.run_for(Duration::from_mins(2));
        assert!(world.client(client).up().is_none());
        let failures = world.gateway(gateway).machine.status().failures;
        let failure = &failures[0];
        assert_eq!(failure.cause, Cause::WindowsServerNat, "{failures:#?}");
        assert!(failure.client.server_behind_nat && failure.client.kind.starts_with("Windows"));
        let remedy = isthmus_gateway::WINDOWS_REGISTRY;
        assert!(failure.remedy.contains(remedy), "{}", failure.remedy);
    }
}
