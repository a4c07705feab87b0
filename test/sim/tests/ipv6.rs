//! IPv6 inside the tunnel: every session its /64, by router advertisement, for those who want it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use std::net::Ipv6Addr;
use std::sync::Arc;

use isthmus_client::Event;
use isthmus_core::Duration;
use isthmus_gateway::{Config, Users};
use isthmus_plane::DropReason;
use isthmus_sim::{GatewayHost, Impairment, NodeId, World, seeds, settings};

const LIMIT: Duration = Duration::from_mins(1);

fn config() -> Config {
    let mut config = settings::gateway();
    let tenant = &mut config.tenants[0];
    tenant.pool6 = vec!["2001:db8:64::/60".parse().unwrap()];
    tenant.gateway_address6 = Some("2001:db8:64::1".parse().unwrap());
    tenant.advice.dns6 = vec!["2001:db8:64::53".parse().unwrap()];
    config
}

fn dial(world: &mut World, n: u8, ipv6: bool) -> NodeId {
    let address = format!("198.51.100.{n}");
    let mut settings = settings::client(&address, &format!("user{n}"));
    settings.ipv6 = ipv6;
    let id = world.dial(settings);
    world.wait_up(id, LIMIT);
    id
}

fn connect(world: &mut World, n: u8) -> NodeId {
    let id = dial(world, n, true);
    world.run_till("IPv6", LIMIT, |w| w.client(id).ipv6().is_some());
    id
}

fn echo6(world: &mut World, client: NodeId, payload: &[u8]) -> bool {
    for _ in 0..50 {
        world.with_client(client, |c, now| c.send6(None, payload, now));
        world.run_for(Duration::from_millis(200));
        if world.client(client).echoes.iter().any(|e| e == payload) {
            return true;
        }
    }
    false
}

#[test]
fn every_client_gets_its_own_64_without_a_wait_and_can_use_it() {
    let (mut world, gateway) = World::around(1, config());
    let mut prefixes = Vec::new();
    for n in 1..=4 {
        let start = world.now;
        let client = connect(&mut world, n);
        assert!(world.now.since(start) < Duration::from_secs(1));
        let ipv6 = world.client(client).ipv6().unwrap().clone();
        assert!(ipv6.prefix.contains(&ipv6.address));
        assert_eq!(ipv6.dns, ["2001:db8:64::53".parse::<Ipv6Addr>().unwrap()]);
        assert!(ipv6.gateway.is_unicast_link_local());
        assert!(!ipv6.prefix.contains(&"2001:db8:64::1".parse::<Ipv6Addr>().unwrap()));
        assert!(echo6(&mut world, client, format!("from {n}").as_bytes()));
        prefixes.push(ipv6.prefix);
    }
    isthmus_sim::checks::unique("prefix", prefixes.iter().copied());
    let sessions = world.gateway(gateway).machine.sessions();
    let shown: Vec<_> = sessions.iter().filter_map(|session| session.prefix6).collect();
    assert_eq!(shown, prefixes);
    assert_eq!(world.gateway(gateway).machine.status().tenants[0].leased6, 4);
}

#[test]
fn ipv6_comes_up_over_bad_networks() {
    for seed in seeds(20) {
        let (mut world, _gateway) = World::around(seed, config());
        world.impairment = Impairment::lossy(10);
        let client = connect(&mut world, 1);
        assert!(echo6(&mut world, client, b"through the loss"), "SIM_SEED={seed}");
    }
}

#[test]
fn a_client_may_send_only_from_its_own_64() {
    let (mut world, gateway) = World::around(2, config());
    let first = connect(&mut world, 1);
    let second = connect(&mut world, 2);
    let other = world.client(second).ipv6().unwrap().address;
    let link_local = world.client(second).ipv6().unwrap().gateway;
    for from in [other, "2001:db8:64::1".parse().unwrap(), link_local] {
        world.with_client(first, |c, now| c.send6(Some(from), b"spoofed", now));
    }
    world.run_for(Duration::from_secs(1));
    let now = world.now;
    let counters = world.gateway(gateway).counters(now);
    assert_eq!(counters.total.drops.of(DropReason::SourceNotAllowed), 3);
    assert!(world.client(second).echoes.is_empty());
    // Any address in it will do: privacy extensions make new ones every day.
    let prefix = world.client(first).ipv6().unwrap().prefix;
    let temporary = Ipv6Addr::from_bits(prefix.network().to_bits() | 0x1234_5678);
    world.with_client(first, |c, now| c.send6(Some(temporary), b"temporary", now));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.client(first).echoes, [b"temporary".to_vec()]);
}

#[test]
fn without_a_pool_or_without_the_wish_there_is_ipv4_alone() {
    for (config, wish) in [(settings::gateway(), true), (config(), false)] {
        let (mut world, gateway) = World::around(3, config);
        let client = dial(&mut world, 1, wish);
        world.run_for(Duration::from_mins(2));
        assert!(world.client(client).ipv6().is_none() && world.client(client).down().is_none());
        assert_eq!(world.gateway(gateway).machine.sessions()[0].prefix6, None);
    }
}

#[test]
fn whoever_comes_when_the_pool_is_empty_gets_ipv4() {
    let mut config = config();
    config.tenants[0].pool6 = vec!["2001:db8:64::/63".parse().unwrap()];
    let (mut world, _gateway) = World::around(4, config);
    let first = connect(&mut world, 1);
    let second = dial(&mut world, 2, true);
    world.run_for(Duration::from_mins(1));
    assert!(world.client(second).ipv6().is_none() && world.client(second).down().is_none());
    // What is given back is given again.
    world.with_client(first, |c, now| c.act(now, isthmus_client::Client::stop));
    world.run_for(Duration::from_secs(5));
    connect(&mut world, 3);
}

#[test]
fn a_user_with_a_64_of_its_own_gets_that_one() {
    let mut config = config();
    let fixed = "2001:db8:64:7::/64".parse().unwrap();
    let all = settings::users();
    let mut user = all.find(b"user5").unwrap().1.clone();
    user.prefix6 = Some(fixed);
    user.advice.dns6 = vec!["2001:db8::5".parse().unwrap()];
    let others = (1..5)
        .map(|n| (format!("user{n}"), all.find(format!("user{n}").as_bytes()).unwrap().1.clone()));
    let users = others.chain([("user5".to_owned(), user)]);
    config.tenants[0].users = Arc::new(Users::new(users.collect()));
    let (mut world, _gateway) = World::around(5, config);
    for n in 1..5 {
        let client = connect(&mut world, n);
        assert_ne!(world.client(client).ipv6().unwrap().prefix, fixed);
    }
    let client = connect(&mut world, 5);
    let ipv6 = world.client(client).ipv6().unwrap();
    assert_eq!(ipv6.prefix, fixed);
    assert_eq!(ipv6.dns, ["2001:db8::5".parse::<Ipv6Addr>().unwrap()]);
}

#[test]
fn advertisements_go_on_and_change_nothing() {
    let (mut world, _gateway) = World::around(6, config());
    let client = connect(&mut world, 1);
    world.run_for(Duration::from_hours(3));
    let told = world.client(client).events.iter().filter(|e| matches!(e, Event::Ipv6(_))).count();
    assert_eq!(told, 1);
    assert!(echo6(&mut world, client, b"after three hours"));
}

#[test]
fn a_restored_gateway_goes_on_with_ipv6() {
    let (mut world, gateway) = World::around(7, config());
    world.with_gateway(gateway, |g, _| g.machine.keep_records());
    let client = connect(&mut world, 1);
    let prefix = world.client(client).ipv6().unwrap().prefix;
    let now = world.now;
    let records = world.gateway(gateway).records(now);
    let host = GatewayHost::restored(Arc::new(config()), &records, &mut world.rng, now);
    world.replace(gateway, host);
    assert!(echo6(&mut world, client, b"after the restart"));
    assert_eq!(world.gateway(gateway).machine.sessions()[0].prefix6, Some(prefix));
    let second = connect(&mut world, 2);
    assert_ne!(world.client(second).ipv6().unwrap().prefix, prefix);
}
