//! LACs that answer a caller themselves at first and hand over what they negotiated (RFC 2661 §4.4.5).
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking"
)]

use std::net::IpAddr;
use std::sync::Arc;

use isthmus_core::{Duration, Path, SecretBytes};
use isthmus_gateway::{Cause, Config, Lac, Proxy, Stage};
use isthmus_l2tp::avp::{Avp, Bounded};
use isthmus_l2tp::iana::ProxyAuthenType;
use isthmus_ppp::{AuthProtocol, DownReason};
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{Call, Caller, GatewayHost, Impairment, LacHost, NodeId, World, seeds};

const LIMIT: Duration = Duration::from_mins(1);
const SECRET: &[u8] = b"wholesale";
const LAC: &str = "198.51.100.20";
const METHODS: [AuthProtocol; 3] =
    [AuthProtocol::ChapMd5, AuthProtocol::MsChapV2, AuthProtocol::Pap];

fn config(proxy: Proxy) -> Config {
    let mut l2tp = isthmus_l2tp::Config::lns(b"gateway");
    l2tp.secret = Some(SecretBytes::copy_of(SECRET));
    let lac = Lac {
        name: "metro".into(),
        sources: vec![format!("{LAC}/32").parse().unwrap()],
        l2tp: Arc::new(l2tp),
        tenants: vec![0],
        proxy,
    };
    Config { lacs: vec![lac], ..settings::gateway() }
}

struct Net {
    world: World,
    gateway: NodeId,
    lac: NodeId,
}

impl Net {
    fn new(seed: u64, config: Config, hide: bool) -> Self {
        let mut world = World::new(seed);
        let host = GatewayHost::new(Arc::new(config), &mut world.rng, world.now);
        let gateway = world.add(host, GATEWAY.parse().unwrap());
        let at: IpAddr = LAC.parse().unwrap();
        world.allow_plain(at);
        let path = Path::new((at, 1701).into(), (GATEWAY.parse::<IpAddr>().unwrap(), 1701).into());
        let host = LacHost::new(path, SECRET, hide, &mut world.rng, world.now);
        let lac = world.add(host, at);
        Self { world, gateway, lac }
    }

    fn dial(&mut self, caller: &Caller) {
        self.world.with_lac(self.lac, |lac, now| lac.dial(caller, now));
    }

    fn call(&mut self, index: usize) -> &mut Call {
        &mut self.world.lac(self.lac).calls[index]
    }

    fn wait_up(&mut self, index: usize) {
        let lac = self.lac;
        self.world.run_till("up", LIMIT, |w| w.lac(lac).calls[index].up.is_some());
    }

    /// How often the gateway counted this.
    fn counted(&mut self, label: &str) -> u64 {
        let stats = &self.world.gateway(self.gateway).machine.status().stats;
        stats.l2tp.iter().find(|(name, _)| *name == label).map_or(0, |(_, count)| count)
    }

    fn sessions_up(&mut self) -> usize {
        let sessions = self.world.gateway(self.gateway).machine.sessions();
        sessions.iter().filter(|session| session.up).count()
    }

    /// A packet goes out and comes back.
    fn echoes(&mut self, index: usize) {
        self.world.with_lac(self.lac, |lac, _| lac.send(index, b"to and fro"));
        let (lac, before) = (self.lac, self.call(index).packets);
        self.world.run_till("an echo", LIMIT, |w| w.lac(lac).calls[index].packets > before);
    }
}

fn caller(user: &str, auth: AuthProtocol) -> Caller {
    Caller { user: user.into(), password: user.into(), auth, mru: 1300, handover: Some(|_| {}) }
}

#[test]
fn a_caller_the_lac_has_answered_is_connected_without_another_negotiation() {
    for hide in [false, true] {
        for auth in METHODS {
            let mut net = Net::new(1, config(Proxy::Accept), hide);
            net.dial(&caller("user1", auth));
            net.wait_up(0);
            net.echoes(0);
            assert_eq!(net.call(0).requests, 0, "{auth:?}: nobody negotiates LCP again");
            let session = net.world.gateway(net.gateway).machine.sessions().remove(0);
            assert_eq!(session.user.as_deref(), Some("user1"));
        }
    }
}

#[test]
fn it_works_over_bad_networks() {
    for seed in seeds(5) {
        let mut net = Net::new(seed, config(Proxy::Accept), true);
        net.world.impairment = Impairment::lossy(10);
        for (n, auth) in METHODS.into_iter().enumerate() {
            net.dial(&caller(&format!("user{n}"), auth));
            net.wait_up(n);
        }
        let gateway = net.gateway;
        let all_up = |w: &mut World| {
            w.gateway(gateway).machine.sessions().iter().filter(|s| s.up).count() == METHODS.len()
        };
        net.world.run_till("all up at the gateway", LIMIT, all_up);
    }
}

#[test]
fn the_realm_of_a_caller_chooses_among_the_tenants_of_the_lac() {
    for proxy in [Proxy::Accept, Proxy::Renegotiate] {
        let mut config = config(proxy);
        config.tenants = vec![settings::tenant("red", 0), settings::tenant("blue", 1)];
        config.tenants[1].selector.realms = vec!["blue".into()];
        // Led to by a key, and not by the LAC.
        config.tenants.push(settings::tenant("green", 2));
        config.tenants[2].selector.realms = vec!["green".into()];
        config.lacs[0].tenants = vec![0, 1];
        let mut net = Net::new(9, config, false);
        let users = ["user1", "user1@blue", "blue\\user2", "user1@green"];
        for (index, user) in users.into_iter().enumerate() {
            let password = if index == 2 { "user2" } else { "user1" };
            net.dial(&Caller { password: password.into(), ..caller(user, AuthProtocol::ChapMd5) });
            if index < 3 {
                net.wait_up(index);
                net.echoes(index);
            }
        }
        net.world.run_for(Duration::from_secs(20));
        let sessions = net.world.gateway(net.gateway).machine.sessions();
        let mut found: Vec<_> =
            sessions.into_iter().map(|s| (s.tenant, s.user.unwrap_or_default())).collect();
        found.sort();
        let own = |tenant: &str, user: &str| (tenant.to_owned(), user.to_owned());
        let wanted = [own("blue", "user1"), own("blue", "user2"), own("red", "user1")];
        assert_eq!(found, wanted, "{proxy:?}");
        assert!(net.call(3).up.is_none());
        let status = net.world.gateway(net.gateway).machine.status();
        assert_eq!(status.failures.last().map(|f| f.cause), Some(Cause::UnknownRealm));
        assert_eq!(status.lacs[0].tenants, ["red", "blue"]);
    }
}

#[test]
fn by_default_everything_begins_anew() {
    let mut net = Net::new(2, config(Proxy::Renegotiate), false);
    net.dial(&caller("user1", AuthProtocol::ChapMd5));
    net.wait_up(0);
    assert!(net.call(0).requests >= 2);
    assert_eq!(Proxy::default(), Proxy::Renegotiate);
}

#[test]
fn a_wrong_proof_is_a_failed_login_with_its_cause_and_the_end_of_the_call() {
    for auth in METHODS {
        let mut net = Net::new(3, config(Proxy::Accept), true);
        net.dial(&Caller { password: "guess".into(), ..caller("user1", auth) });
        net.world.run_for(Duration::from_secs(20));
        assert_eq!(net.sessions_up(), 0);
        let code = (auth == AuthProtocol::MsChapV2).then_some(691);
        assert_eq!(net.call(0).down, Some(DownReason::AuthRefusedByPeer(code)), "{auth:?}");
        let ended = net.call(0).ended.clone().unwrap();
        assert!(ended.contains("administrative"), "{ended}");
        let failures = net.world.gateway(net.gateway).machine.status().failures;
        assert_eq!(failures.len(), 1, "{failures:#?}");
        let failure = &failures[0];
        assert_eq!((failure.stage, failure.cause), (Stage::PppAuth, Cause::WrongPassword));
        assert_eq!(failure.user.as_deref(), Some("user1"));
        assert!(failure.detail.ends_with("handed over by the LAC"), "{}", failure.detail);
        // The next one is let in.
        net.dial(&caller("user2", auth));
        net.wait_up(1);
    }
}

#[test]
fn an_unknown_user_and_a_disabled_one_are_refused_as_everywhere() {
    let mut net = Net::new(4, config(Proxy::Accept), false);
    net.dial(&caller("mallory", AuthProtocol::ChapMd5));
    net.world.run_for(Duration::from_secs(20));
    let failures = net.world.gateway(net.gateway).machine.status().failures;
    assert_eq!(failures[0].cause, Cause::UnknownUser);
}

/// What the LAC does to what it hands over, and what the gateway counts then.
struct Spoilt(&'static str, fn(&mut Vec<Avp>));

const SPOILT: [Spoilt; 12] = [
    Spoilt("proxy_incomplete", |avps| avps.retain(|avp| !matches!(avp, Avp::LastSentLcp(_)))),
    Spoilt("proxy_incomplete", |avps| avps.retain(|avp| !matches!(avp, Avp::LastReceivedLcp(_)))),
    Spoilt("proxy_incomplete", |avps| avps.retain(|avp| !matches!(avp, Avp::ProxyAuthenType(_)))),
    Spoilt("proxy_incomplete", |avps| avps.retain(|avp| !matches!(avp, Avp::ProxyAuthenName(_)))),
    Spoilt("proxy_incomplete", |avps| avps.retain(|avp| !matches!(avp, Avp::ProxyAuthenId(_)))),
    Spoilt("proxy_incomplete", |avps| {
        avps.retain(|avp| !matches!(avp, Avp::ProxyAuthenResponse(_)));
    }),
    Spoilt("proxy_incomplete", |avps| {
        avps.retain(|avp| !matches!(avp, Avp::ProxyAuthenChallenge(_)));
    }),
    Spoilt("proxy_authen_type", |avps| with_type(avps, ProxyAuthenType::MS_CHAP_V1)),
    Spoilt("proxy_authen_type", |avps| with_type(avps, ProxyAuthenType::NONE)),
    Spoilt("proxy_auth_protocol", |avps| with_type(avps, ProxyAuthenType::PAP)),
    // Multilink, and half an option.
    Spoilt("proxy_lcp_option", |avps| with_received(avps, &[17, 4, 5, 0xdc])),
    Spoilt("proxy_malformed", |avps| with_received(avps, &[1, 4, 5])),
];

fn with_type(avps: &mut [Avp], new: ProxyAuthenType) {
    for avp in avps {
        if let Avp::ProxyAuthenType(kind) = avp {
            *kind = new;
        }
    }
}

fn with_received(avps: &mut [Avp], options: &[u8]) {
    for avp in avps {
        if let Avp::LastReceivedLcp(received) = avp {
            *received = Bounded::clipped(options);
        }
    }
}

#[test]
fn what_is_incomplete_or_not_ours_is_counted_and_the_link_begins_anew() {
    for Spoilt(label, spoil) in SPOILT {
        let mut net = Net::new(5, config(Proxy::Accept), false);
        net.dial(&Caller { handover: Some(spoil), ..caller("user1", AuthProtocol::ChapMd5) });
        net.wait_up(0);
        assert_eq!(net.counted(label), 1, "{label}");
        assert!(net.call(0).requests >= 2, "{label}");
        net.echoes(0);
    }
}

#[test]
fn the_first_request_of_the_caller_is_not_needed() {
    let mut net = Net::new(6, config(Proxy::Accept), false);
    let without: fn(&mut Vec<Avp>) =
        |avps| avps.retain(|avp| !matches!(avp, Avp::InitialReceivedLcp(_)));
    net.dial(&Caller { handover: Some(without), ..caller("user1", AuthProtocol::MsChapV2) });
    net.wait_up(0);
    assert_eq!(net.call(0).requests, 0);
}

#[test]
fn options_that_we_would_not_have_agreed_to_begin_anew() {
    // 1300 bytes are ours; the LAC says 1400.
    let mut net = Net::new(7, config(Proxy::Accept), false);
    net.dial(&Caller { mru: 1400, ..caller("user1", AuthProtocol::ChapMd5) });
    net.wait_up(0);
    assert_eq!(net.counted("proxy_lcp_option"), 1);
    // A protocol that the configuration does not list.
    let strict = Config { auth: vec![AuthProtocol::MsChapV2], ..config(Proxy::Accept) };
    let mut net = Net::new(8, strict, false);
    net.dial(&caller("user1", AuthProtocol::Pap));
    net.wait_up(0);
    assert_eq!(net.counted("proxy_lcp_option"), 1);
}

#[test]
fn a_lac_that_hands_nothing_over_is_not_counted() {
    let none: fn(&mut Vec<Avp>) = Vec::clear;
    // What Windows says in each ICCN.
    let nothing_done: fn(&mut Vec<Avp>) = |avps| {
        avps.clear();
        avps.push(Avp::ProxyAuthenType(ProxyAuthenType::NONE));
    };
    for handover in [none, nothing_done] {
        let mut net = Net::new(9, config(Proxy::Accept), false);
        net.dial(&Caller { handover: Some(handover), ..caller("user1", AuthProtocol::ChapMd5) });
        net.wait_up(0);
        assert_eq!(net.world.gateway(net.gateway).machine.status().stats.l2tp.iter().count(), 0);
    }
}

#[test]
fn a_caller_that_begins_anew_after_the_handover_negotiates_with_the_gateway() {
    let mut net = Net::new(10, config(Proxy::Accept), false);
    let caller = caller("user1", AuthProtocol::Pap);
    net.dial(&caller);
    net.wait_up(0);
    net.world.with_lac(net.lac, |lac, now| lac.restart(0, &caller, now));
    net.wait_up(0);
    net.echoes(0);
    assert!(net.call(0).requests >= 2);
    assert_eq!((net.sessions_up(), net.call(0).ended.is_none()), (1, true));
    let failures = net.world.gateway(net.gateway).machine.status().failures;
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn the_caller_of_a_lac_that_answers_and_hands_nothing_over_logs_in_as_ever() {
    let mut net = Net::new(11, config(Proxy::Accept), false);
    net.dial(&Caller { handover: None, ..caller("user1", AuthProtocol::MsChapV2) });
    net.wait_up(0);
    net.echoes(0);
}

/// The users of a LAC live and die each for himself.
#[test]
fn a_silent_caller_is_given_up_though_another_one_talks() {
    let mut net = Net::new(12, config(Proxy::Accept), false);
    for (n, user) in ["user1", "user2"].into_iter().enumerate() {
        net.dial(&caller(user, AuthProtocol::ChapMd5));
        net.wait_up(n);
    }
    net.world.run_for(Duration::from_secs(5));
    net.call(0).silent = true;
    let interval = isthmus_ppp::Echo::default().interval;
    let start = net.world.now;
    while net.sessions_up() == 2 {
        net.echoes(1);
        net.world.run_for(Duration::from_secs(4));
        assert!(net.world.now.since(start) < interval * 7, "the silent one is kept by the other");
    }
    assert!(net.world.now.since(start) >= interval * 5);
    net.world.run_for(Duration::from_secs(20));
    assert!(net.call(0).ended.is_some() && net.call(1).ended.is_none());
    net.echoes(1);
}
