//! Clients find their tenant: by realm, by the address they dial, by who they say they are.
use std::sync::Arc;

use isthmus_core::{Duration, SecretBytes};
use isthmus_gateway::{
    Advice, Cause, Config, Event, Group, IdentityPattern, LimitCounts, Limits, OnLimit, Stage,
    Tenant, User, UserSecret, Users,
};
use isthmus_plane::SessionCounters;
use isthmus_ppp::AuthProtocol;
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{GatewayHost, NodeId, World, seeds};

const LIMIT: Duration = Duration::from_mins(1);

fn with_realm(name: &str, number: u8) -> Tenant {
    let mut tenant = settings::tenant(name, number);
    tenant.selector.realms = vec![name.to_owned()];
    tenant
}

/// Two tenants with one key, told apart by realm.
fn red_and_blue() -> Config {
    let mut config = settings::gateway();
    config.tenants = vec![with_realm("red", 0), with_realm("blue", 1)];
    config
}

/// Gives the second tenant the addresses of the first.
fn same_addresses(config: &mut Config) {
    if let [first, second] = config.tenants.as_mut_slice() {
        second.pool.clone_from(&first.pool);
        second.gateway_address = first.gateway_address;
    }
}

/// A client that logs in as `user1` under the name `sent`.
fn client(address: &str, sent: &str) -> isthmus_client::Config {
    let mut config = settings::client(address, sent);
    config.password = SecretBytes::copy_of(b"user1");
    config
}

fn connect(world: &mut World, address: &str, sent: &str) -> NodeId {
    let id = world.dial(client(address, sent));
    world.wait_up(id, LIMIT);
    id
}

/// The tenant of each session with its user.
fn who(world: &mut World, gateway: NodeId) -> Vec<(String, String)> {
    let sessions = world.gateway(gateway).machine.sessions();
    sessions.into_iter().map(|s| (s.tenant, s.user.unwrap_or_default())).collect()
}

/// The cause, detail and tenant of the only failure.
fn refused(
    config: Config,
    client: isthmus_client::Config,
) -> (Stage, Cause, String, Option<String>) {
    let (mut world, gateway) = World::around(1, config);
    world.dial(client);
    world.run_for(Duration::from_mins(2));
    assert!(world.gateway(gateway).machine.is_idle(), "nothing stays");
    let mut failures = world.gateway(gateway).machine.status().failures;
    assert_eq!(failures.len(), 1, "{failures:#?}");
    let failure = failures.remove(0);
    (failure.stage, failure.cause, failure.detail, failure.tenant)
}

#[test]
fn the_realm_leads_to_the_tenant_whatever_the_protocol_and_the_way_to_write_it() {
    for (seed, auth) in seeds(4).into_iter().zip(AuthProtocol::ALL.into_iter().cycle()) {
        let mut config = red_and_blue();
        config.auth = vec![auth];
        let (mut world, gateway) = World::around(seed, config);
        for (address, sent, number) in [
            ("198.51.100.1", "user1@red", 64),
            ("198.51.100.2", "user1@blue", 65),
            ("198.51.100.3", "BLUE\\user1", 65),
        ] {
            let mut config = client(address, sent);
            config.auth = vec![auth];
            let id = world.dial(config);
            world.wait_up(id, LIMIT);
            let up = world.client(id).up().unwrap().clone();
            assert_eq!(up.address.octets()[..2], [10, number], "SIM_SEED={seed} {sent}");
            assert_eq!(up.gateway.octets(), [10, number, 0, 1]);
            assert_eq!(up.dns, [std::net::Ipv4Addr::new(10, number, 0, 53)]);
            world.echo(id, sent.as_bytes());
        }
        let mut found = who(&mut world, gateway);
        found.sort();
        assert_eq!(found, ["blue", "blue", "red"].map(|t| (t.to_owned(), "user1".to_owned())));
        let status = world.gateway(gateway).machine.status();
        assert_eq!(status.tenants.iter().map(|t| t.leased).collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn the_same_address_in_two_realms_is_two_clients() {
    let mut config = red_and_blue();
    same_addresses(&mut config);
    let (mut world, gateway) = World::around(3, config);
    let red = connect(&mut world, "198.51.100.1", "user1@red");
    let blue = connect(&mut world, "198.51.100.2", "user1@blue");
    let address = world.client(red).up().unwrap().address;
    assert_eq!(world.client(blue).up().unwrap().address, address);
    world.echo(red, b"to red");
    world.echo(blue, b"to blue");
    assert!(!world.client(red).echoes.iter().any(|e| e == b"to blue"));
    for (id, left) in [(red, 1), (blue, 0)] {
        world.with_client(id, |c, now| c.act(now, isthmus_client::Client::stop));
        world.run_for(Duration::from_secs(30));
        assert_eq!(who(&mut world, gateway).len(), left);
    }
    let leased = |t: &isthmus_gateway::TenantStatus| t.leased;
    let tenants = world.gateway(gateway).machine.status().tenants;
    assert_eq!(tenants.iter().map(leased).sum::<usize>(), 0);
}

#[test]
fn an_unknown_realm_is_a_failure_of_its_own() {
    for sent in ["user1@green", "green\\user1", "user1"] {
        let (stage, cause, detail, tenant) = refused(red_and_blue(), client("192.0.2.1", sent));
        assert_eq!((stage, cause, tenant), (Stage::PppAuth, Cause::UnknownRealm, None), "{sent}");
        assert!(detail.contains("realms of the client's key: red, blue"), "{detail}");
    }
    let (_, cause, detail, tenant) = refused(red_and_blue(), client("192.0.2.1", "eve@blue"));
    assert_eq!((cause, tenant.as_deref()), (Cause::UnknownUser, Some("blue")));
    assert!(detail.contains("tenant blue"), "{detail}");
}

#[test]
fn the_address_dialled_leads_to_the_tenant_or_nowhere() {
    let mut config = settings::gateway();
    config.tenants.push(settings::tenant("here", 1));
    config.tenants[1].selector.addresses = vec![GATEWAY.parse().unwrap()];
    let (mut world, gateway) = World::around(5, config.clone());
    connect(&mut world, "198.51.100.1", "user1");
    assert_eq!(who(&mut world, gateway), [("here".to_owned(), "user1".to_owned())]);

    config.tenants.remove(0);
    config.tenants[0].selector.addresses = vec!["203.0.113.9".parse().unwrap()];
    let (stage, cause, detail, tenant) = refused(config, client("192.0.2.1", "user1"));
    assert_eq!((stage, cause, tenant), (Stage::IkeMainMode, Cause::NoTenant, None));
    assert_eq!(detail, "192.0.2.1 has the key of a tenant, but none serves it at 203.0.113.1");
}

#[test]
fn the_identity_leads_to_the_tenant() {
    let mut config = settings::gateway();
    config.tenants.push(settings::tenant("blue", 1));
    config.tenants[1].selector.identities = vec![IdentityPattern("*.blue.example".into())];
    let (mut world, gateway) = World::around(6, config);
    let mut named = client("198.51.100.1", "user1");
    named.ike = Arc::new(isthmus_ike::Config {
        local_id: Some(isthmus_ike::Identity::fqdn("laptop.blue.example")),
        ..isthmus_ike::Config::clone(&named.ike)
    });
    let named = world.dial(named);
    world.wait_up(named, LIMIT);
    connect(&mut world, "198.51.100.2", "user1");
    let mut found = who(&mut world, gateway);
    found.sort();
    assert_eq!(found, ["acme", "blue"].map(|t| (t.to_owned(), "user1".to_owned())));
    let events = &world.gateway(gateway).events;
    for name in ["blue", "acme"] {
        let up = |e: &&Event| matches!(e, Event::PeerUp { tenant, .. } if tenant == name);
        assert_eq!(events.iter().filter(up).count(), 1, "{name}");
    }
}

#[test]
fn a_session_keeps_its_tenant_when_its_gateway_is_replaced() {
    let mut world = World::new(7);
    let config = || {
        let mut config = red_and_blue();
        same_addresses(&mut config);
        Arc::new(config)
    };
    let mut host = GatewayHost::new(config(), &mut world.rng, world.now);
    host.machine.keep_records();
    let gateway = world.add(host, GATEWAY.parse().unwrap());
    let client = connect(&mut world, "198.51.100.2", "user1@blue");
    world.echo(client, b"before");
    let mut records = Vec::new();
    world.with_gateway(gateway, |g, now| records = g.records(now));
    let host = GatewayHost::restored(config(), &records, &mut world.rng, world.now);
    world.replace(gateway, host);
    assert_eq!(who(&mut world, gateway), [("blue".to_owned(), "user1".to_owned())]);
    world.echo(client, b"after");
    let leased: Vec<_> =
        world.gateway(gateway).machine.status().tenants.iter().map(|t| t.leased).collect();
    assert_eq!(leased, [0, 1]);
}

#[test]
fn a_user_who_comes_back_has_the_same_addresses_and_what_is_excluded_is_nobodys() {
    let mut config = settings::gateway();
    if let Some(tenant) = config.tenants.first_mut() {
        tenant.pool = vec!["10.64.0.0/28".parse().unwrap()];
        tenant.exclude = vec!["10.64.0.2".parse().unwrap()..="10.64.0.10".parse().unwrap()];
        tenant.pool6 = vec!["2001:db8:64::/60".parse().unwrap()];
        tenant.gateway_address6 = Some("2001:db8:64::1".parse().unwrap());
    }
    let (mut world, gateway) = World::around(8, config);
    let dial = |world: &mut World, host: u8, user: &str| {
        let mut config = settings::client(&format!("198.51.100.{host}"), user);
        config.ipv6 = true;
        let id = world.dial(config);
        world.wait_up(id, LIMIT);
        world.run_for(Duration::from_secs(5));
        let host = world.client(id);
        (id, host.up().unwrap().address, host.ipv6().unwrap().prefix)
    };
    let leave = |world: &mut World, id| {
        world.with_client(id, |c, now| c.act(now, isthmus_client::Client::stop));
        world.run_for(Duration::from_secs(30));
    };
    let (first, address, prefix) = dial(&mut world, 1, "user1");
    assert_eq!(address.octets(), [10, 64, 0, 11]);
    leave(&mut world, first);
    let (_, others, others_prefix) = dial(&mut world, 2, "user2");
    assert_eq!(others.octets(), [10, 64, 0, 12]);
    assert_ne!(others_prefix, prefix);
    let (again, same, same_prefix) = dial(&mut world, 3, "user1");
    assert_eq!((same, same_prefix), (address, prefix));
    leave(&mut world, again);
    for (host, last) in [(4, 13), (5, 14), (6, 11)] {
        let (_, given, _) = dial(&mut world, host, &format!("user{host}"));
        assert_eq!(given.octets()[3], last, "fresh ones first, then the one that rests");
    }
    let tenant = world.gateway(gateway).machine.status().tenants.remove(0);
    assert_eq!((tenant.leased, tenant.capacity), (4, 4));
}

/// One tenant with the users `user1`, who has `own` limits, and `user2`.
fn limited(sessions_max: Option<u32>, limits: Limits, own: Limits) -> Config {
    let mut config = settings::gateway();
    let user = |name: &str, limits| {
        let secret = UserSecret::Password(SecretBytes::copy_of(name.as_bytes()));
        (name.to_owned(), User { limits, ..User::new(secret) })
    };
    let users = [user("user1", own), user("user2", Limits::default())];
    if let Some(tenant) = config.tenants.first_mut() {
        (tenant.sessions_max, tenant.limits) = (sessions_max, limits);
        tenant.users = Arc::new(Users::new(users.into()));
    }
    config
}

fn one(on_limit: OnLimit) -> Limits {
    Limits { sessions_per_user: Some(1), on_limit: Some(on_limit), ..Limits::NONE }
}

/// How often the limits of the first tenant have held.
fn held(world: &mut World, gateway: NodeId) -> LimitCounts {
    let tenants = world.gateway(gateway).machine.status().tenants;
    tenants.first().map(|tenant| tenant.limits).unwrap_or_default()
}

/// Why sessions ended.
fn ends(world: &mut World, gateway: NodeId) -> Vec<String> {
    let events = world.gateway(gateway).events.iter();
    let reason = |event: &Event| {
        if let Event::SessionDown { reason, .. } = event { Some(reason.clone()) } else { None }
    };
    events.filter_map(reason).collect()
}

fn last_cause(world: &mut World, gateway: NodeId) -> Option<Cause> {
    world.gateway(gateway).machine.status().failures.last().map(|failure| failure.cause)
}

#[test]
fn a_user_who_has_all_his_sessions_is_refused_another_one_and_others_are_not() {
    let config = limited(None, one(OnLimit::Refuse), Limits::default());
    let (mut world, gateway) = World::around(9, config);
    let first = connect(&mut world, "198.51.100.1", "user1");
    world.dial(client("198.51.100.2", "user1"));
    world.run_for(Duration::from_secs(30));
    assert_eq!(last_cause(&mut world, gateway), Some(Cause::TooManySessions));
    let other = world.dial(settings::client("198.51.100.3", "user2"));
    world.wait_up(other, LIMIT);
    world.echo(first, b"still there");
    assert_eq!(held(&mut world, gateway).refused_user_sessions, 1);
    let last = world.gateway(gateway).machine.status().failures.pop().unwrap();
    assert!(last.detail.ends_with("user1 has all his 1 sessions"), "{}", last.detail);
    assert_eq!(who(&mut world, gateway).len(), 2);
    world.with_client(first, |c, now| c.act(now, isthmus_client::Client::stop));
    world.run_for(Duration::from_secs(30));
    connect(&mut world, "198.51.100.4", "user1");
}

#[test]
fn a_new_session_replaces_the_oldest_one_and_takes_over_its_address() {
    let mut own = Limits { sessions_per_user: Some(2), ..Limits::default() };
    for seed in seeds(4) {
        let config = limited(None, one(OnLimit::Replace), own);
        let (mut world, gateway) = World::around(seed, config);
        let first = connect(&mut world, "198.51.100.1", "user1");
        let address = world.client(first).up().unwrap().address;
        let second = connect(&mut world, "198.51.100.2", "user1");
        let both = own.sessions_per_user == Some(2);
        assert_eq!(world.client(first).down().is_none(), both, "SIM_SEED={seed}");
        let third = connect(&mut world, "198.51.100.3", "user1");
        world.run_for(Duration::from_secs(5));
        assert!(world.client(first).down().is_some(), "SIM_SEED={seed}");
        assert_eq!(world.client(second).down().is_none(), both);
        assert_eq!(world.client(third).up().unwrap().address, address, "SIM_SEED={seed}");
        world.echo(third, b"the new one");
        let ended = if both { 1 } else { 2 };
        let reason = "replaced by another session of the same user";
        assert_eq!(ends(&mut world, gateway), vec![reason.to_owned(); ended]);
        assert_eq!(who(&mut world, gateway).len(), 3 - ended);
        own.sessions_per_user = None;
    }
}

#[test]
fn only_who_has_the_password_replaces_a_session() {
    let config = limited(None, one(OnLimit::Replace), Limits::default());
    let (mut world, gateway) = World::around(10, config);
    let first = connect(&mut world, "198.51.100.1", "user1");
    let mut guess = client("198.51.100.2", "user1");
    guess.password = SecretBytes::copy_of(b"guess");
    world.dial(guess);
    world.run_for(Duration::from_secs(30));
    assert_eq!(last_cause(&mut world, gateway), Some(Cause::WrongPassword));
    world.echo(first, b"undisturbed");
}

#[test]
fn a_tenant_has_no_more_sessions_than_it_may_have() {
    let config = limited(Some(1), Limits::default(), one(OnLimit::Replace));
    let (mut world, gateway) = World::around(11, config);
    connect(&mut world, "198.51.100.1", "user1");
    let other = world.dial(settings::client("198.51.100.2", "user2"));
    world.run_for(Duration::from_secs(30));
    assert!(world.client(other).up().is_none());
    assert_eq!(last_cause(&mut world, gateway), Some(Cause::TooManySessions));
    connect(&mut world, "198.51.100.3", "user1");
    assert_eq!(who(&mut world, gateway).len(), 1, "one replaced makes room for one");
    let counts = LimitCounts { refused_sessions: 1, ended_replaced: 1, ..LimitCounts::default() };
    assert_eq!(held(&mut world, gateway), counts);
    let last = world.gateway(gateway).machine.status().failures.pop().unwrap();
    assert!(last.detail.ends_with("tenant acme: it has all its 1 sessions"), "{}", last.detail);
}

#[test]
fn a_session_ends_when_it_has_lasted_as_long_as_it_may_restarts_included() {
    let limits = Limits { session_timeout: Some(Duration::from_mins(10)), ..Limits::default() };
    let config = Arc::new(limited(None, limits, Limits::default()));
    let mut world = World::new(12);
    let mut host = GatewayHost::new(Arc::clone(&config), &mut world.rng, world.now);
    host.machine.keep_records();
    let gateway = world.add(host, GATEWAY.parse().unwrap());
    let client = connect(&mut world, "198.51.100.1", "user1");
    world.run_for(Duration::from_mins(4));
    let mut records = Vec::new();
    world.with_gateway(gateway, |g, now| records = g.records(now));
    let host = GatewayHost::restored(config, &records, &mut world.rng, world.now);
    world.replace(gateway, host);
    world.run_for(Duration::from_mins(5));
    assert!(world.client(client).down().is_none());
    world.run_for(Duration::from_secs(90));
    assert!(world.client(client).down().is_some());
    assert_eq!(ends(&mut world, gateway), ["the session has lasted as long as it may"]);
    assert_eq!(who(&mut world, gateway), []);
}

/// Like [`limited`], with `user1` in a group of which two may be there and two addresses are set apart.
fn grouped(pool: &str) -> Config {
    let mut config = limited(None, one(OnLimit::Refuse), Limits::default());
    let Some(tenant) = config.tenants.first_mut() else { return config };
    tenant.groups = vec![Group {
        name: "staff".into(),
        pool: pool.parse().into_iter().collect(),
        advice: Advice { dns: vec![[10, 99, 0, 53].into()], ..Advice::NONE },
        sessions_max: Some(2),
        limits: Limits { sessions_per_user: Some(9), ..Limits::default() },
        ..Group::default()
    }];
    let secret = |name: &str| UserSecret::Password(SecretBytes::copy_of(name.as_bytes()));
    let user = |name: &str, group: Option<&str>| {
        let group = group.map(Into::into);
        (name.to_owned(), User { group, ..User::new(secret(name)) })
    };
    let users = [user("user1", Some("staff")), user("user2", None), user("user3", Some("staff"))];
    tenant.users = Arc::new(Users::new(users.into()));
    config
}

#[test]
fn a_group_has_addresses_name_servers_and_limits_of_its_own() {
    let (mut world, gateway) = World::around(13, grouped("10.99.0.8/31"));
    let first = connect(&mut world, "198.51.100.1", "user1");
    let other = world.dial(settings::client("198.51.100.2", "user2"));
    world.wait_up(other, LIMIT);
    let up = |world: &mut World, client| {
        let up = world.client(client).up().unwrap();
        (up.address.to_string(), up.dns.first().map(ToString::to_string).unwrap_or_default())
    };
    assert_eq!(up(&mut world, first), ("10.99.0.8".into(), "10.99.0.53".into()));
    assert!(up(&mut world, other).0.starts_with("10.64."), "{:?}", up(&mut world, other));
    world.echo(first, b"out of the group's pool");
    let sessions = world.gateway(gateway).machine.sessions();
    let groups: Vec<_> = sessions.into_iter().map(|s| (s.user, s.group)).collect();
    assert!(groups.contains(&(Some("user1".into()), Some("staff".into()))), "{groups:?}");

    let second = world.dial(settings::client("198.51.100.3", "user3"));
    world.wait_up(second, LIMIT);
    let third = world.dial(settings::client("198.51.100.4", "user1"));
    world.run_for(Duration::from_secs(30));
    assert!(world.client(third).up().is_none(), "two of the group are there");
    assert_eq!(last_cause(&mut world, gateway), Some(Cause::TooManySessions));
    assert_eq!(held(&mut world, gateway).refused_group_sessions, 1);
    world.with_client(first, |c, now| c.act(now, isthmus_client::Client::stop));
    world.run_for(Duration::from_secs(30));
    let again = connect(&mut world, "198.51.100.5", "user1");
    assert_eq!(up(&mut world, again).0, "10.99.0.8", "the one that he had");
}

#[test]
fn who_is_in_a_group_without_addresses_left_is_refused_though_the_tenant_has_some() {
    let mut config = grouped("10.99.0.8/32");
    if let Some(group) = config.tenants.first_mut().and_then(|t| t.groups.first_mut()) {
        group.sessions_max = None;
    }
    let (mut world, gateway) = World::around(14, config);
    connect(&mut world, "198.51.100.1", "user1");
    world.dial(settings::client("198.51.100.2", "user3"));
    world.run_for(Duration::from_secs(30));
    let failures = world.gateway(gateway).machine.status().failures;
    let last = failures.last().unwrap();
    assert_eq!(last.cause, Cause::PoolExhausted);
    assert!(last.detail.contains("all 1 addresses of group staff"), "{}", last.detail);
}

#[test]
fn a_session_whose_user_is_silent_ends_and_one_whose_user_is_not_goes_on() {
    let limits = Limits { idle_timeout: Some(Duration::from_mins(10)), ..Limits::default() };
    let (mut world, gateway) = World::around(15, limited(None, limits, Limits::default()));
    let silent = connect(&mut world, "198.51.100.1", "user1");
    let busy = world.dial(settings::client("198.51.100.2", "user2"));
    world.wait_up(busy, LIMIT);
    for minute in 0..13 {
        assert!(minute > 9 || world.client(silent).down().is_none(), "minute {minute}");
        world.echo(busy, b"still here");
        world.run_for(Duration::from_mins(1));
    }
    assert!(world.client(silent).down().is_some());
    assert!(world.client(busy).down().is_none());
    assert_eq!(ends(&mut world, gateway), ["the user has sent nothing for as long as may be"]);
}

/// Gives the gateway other limits of the tenant.
fn relimit(world: &mut World, gateway: NodeId, limits: Limits) {
    let config = Arc::new(limited(None, limits, Limits::NONE));
    world.with_gateway(gateway, |host, now| host.reconfigure(config, now));
}

#[test]
fn limits_that_change_reach_the_sessions_that_are_there() {
    let (mut world, gateway) = World::around(18, limited(None, Limits::NONE, Limits::NONE));
    let minutes = |most| Some(Duration::from_mins(most));
    let connect_and = |world: &mut World, limits: Limits, then: &dyn Fn(&mut World, NodeId)| {
        relimit(world, gateway, Limits::NONE);
        let host = 1 + ends(world, gateway).len();
        let client = connect(world, &format!("198.51.100.{host}"), "user1");
        world.run_for(Duration::from_mins(20));
        relimit(world, gateway, limits);
        then(world, client);
        world.run_for(Duration::from_mins(2));
        assert!(world.client(client).down().is_some(), "{limits:?}");
    };
    let lasts = |most| {
        move |world: &mut World, client: NodeId| {
            world.run_for(Duration::from_mins(most));
            assert!(world.client(client).down().is_none());
        }
    };
    let none = Limits::NONE;
    connect_and(&mut world, Limits { session_timeout: minutes(30), ..none }, &lasts(9));
    connect_and(&mut world, Limits { session_timeout: minutes(10), ..none }, &|_, _| {});
    connect_and(&mut world, Limits { idle_timeout: minutes(5), ..none }, &lasts(4));
    let carries = |world: &mut World, client: NodeId| {
        (0..3).for_each(|_| world.echo(client, &[7; 1000]));
        assert!(world.client(client).down().is_none());
    };
    connect_and(&mut world, Limits { quota: Some(5_000), ..none }, &carries);
    let reasons = ends(&mut world, gateway);
    let of = |part: &str| reasons.iter().filter(|reason| reason.contains(part)).count();
    assert_eq!((of("lasted"), of("sent nothing"), of("as many bytes")), (2, 1, 1), "{reasons:?}");
    let counts = LimitCounts {
        ended_session_timeout: 2,
        ended_idle_timeout: 1,
        ended_quota: 1,
        ..LimitCounts::default()
    };
    assert_eq!(held(&mut world, gateway), counts);
}

#[test]
fn a_rate_that_changes_holds_at_once_and_one_that_goes_is_gone() {
    let (mut world, gateway) = World::around(19, limited(None, Limits::NONE, Limits::NONE));
    let client = connect(&mut world, "198.51.100.1", "user1");
    let send = |world: &mut World| {
        for _ in 0..100 {
            world.with_client(client, |host, now| host.send(&[7; 972], now));
        }
        world.run_for(Duration::from_secs(1));
        counters(world, gateway).dropped_rate_up
    };
    assert_eq!(send(&mut world), 0);
    relimit(&mut world, gateway, Limits { rate_up: Some(8_000), ..Limits::NONE });
    let dropped = send(&mut world);
    assert!((33..=35).contains(&dropped), "{dropped}");
    // Twice as much, with what is left in the bucket.
    relimit(&mut world, gateway, Limits { rate_up: Some(16_000), ..Limits::NONE });
    assert!(send(&mut world) > dropped + 90);
    relimit(&mut world, gateway, Limits::NONE);
    let dropped = send(&mut world);
    assert_eq!(send(&mut world), dropped);
}

/// The counters of the only session.
fn counters(world: &mut World, gateway: NodeId) -> SessionCounters {
    let mut found = None;
    world.with_gateway(gateway, |host, now| found = Some(host.counters(now)));
    let sessions = found.map(|counters| counters.sessions).unwrap_or_default();
    sessions.first().map(|(_, own)| *own).unwrap_or_default()
}

#[test]
fn what_comes_faster_than_the_rate_is_dropped_and_the_session_stays() {
    let limits = Limits { rate_up: Some(80_000), burst: Some(65_536), ..Limits::default() };
    let own = Limits { rate_up: Some(8_000), ..Limits::default() };
    let (mut world, gateway) = World::around(17, limited(None, limits, own));
    let client = connect(&mut world, "198.51.100.1", "user1");
    for _ in 0..100 {
        world.with_client(client, |host, now| host.send(&[7; 972], now));
    }
    world.run_for(Duration::from_secs(1));
    // Packets of 1000 bytes: the burst, and what a second at 1000 bytes brings.
    let carried = counters(&mut world, gateway);
    assert!((65..=67).contains(&carried.received.packets), "{carried:?}");
    assert_eq!(carried.received.packets + carried.dropped_rate_up, 100);
    world.run_for(Duration::from_secs(5));
    for _ in 0..10 {
        world.with_client(client, |host, now| host.send(&[7; 972], now));
    }
    world.run_for(Duration::from_secs(1));
    let later = counters(&mut world, gateway).received.packets - carried.received.packets;
    assert!((5..=7).contains(&later), "{later} in the time for 6");
    assert!(world.client(client).down().is_none());
}

#[test]
fn a_session_ends_when_it_has_carried_its_quota() {
    let limits = Limits { quota: Some(5_000), ..Limits::default() };
    let (mut world, gateway) = World::around(16, limited(None, limits, Limits::default()));
    let client = connect(&mut world, "198.51.100.1", "user1");
    world.echo(client, &[7; 1000]);
    world.run_for(Duration::from_secs(30));
    assert!(world.client(client).down().is_none(), "2 kB are less than 5");
    for _ in 0..2 {
        world.echo(client, &[7; 1000]);
    }
    world.run_for(Duration::from_secs(15));
    assert!(world.client(client).down().is_some());
    assert_eq!(ends(&mut world, gateway), ["the session has carried as many bytes as it may"]);
    connect(&mut world, "198.51.100.2", "user1");
}
