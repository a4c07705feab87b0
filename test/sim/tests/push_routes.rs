//! Routes of a tenant or user reach its clients by DHCPINFORM, and their absence stops nobody.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use isthmus_client::Event;
use isthmus_core::{Duration, SecretBytes};
use isthmus_gateway::{Config, User, UserSecret, Users};
use isthmus_ppp::dhcp::{Domain, Inform};
use isthmus_sim::{Impairment, NodeId, World, seeds, settings};

const LIMIT: Duration = Duration::from_mins(1);
const TENANT_ROUTES: [&str; 3] = ["10.9.0.0/16", "10.229.0.128/25", "192.0.2.7/32"];
const OWN_ROUTES: [&str; 1] = ["10.8.0.0/13"];

/// Clients with routes of their own: `own`.
fn config() -> Config {
    let mut config = settings::gateway();
    let user = |name: &str, routes: &[&str]| User {
        advice: isthmus_gateway::Advice {
            routes: routes.iter().map(|r| r.parse().unwrap()).collect(),
            ..isthmus_gateway::Advice::NONE
        },
        ..User::new(UserSecret::Password(SecretBytes::copy_of(name.as_bytes())))
    };
    let users = [("user1", &[][..]), ("own", &OWN_ROUTES[..])];
    let users = users.map(|(name, routes)| (name.to_owned(), user(name, routes)));
    config.tenants[0].users = Arc::new(Users::new(BTreeMap::from(users)));
    config.tenants[0].advice.routes = TENANT_ROUTES.map(|r| r.parse().unwrap()).into();
    config
}

fn connect(world: &mut World, user: &str) -> NodeId {
    let id = world.dial(settings::client("198.51.100.7", user));
    world.wait_up(id, LIMIT);
    id
}

fn routes(world: &mut World, client: NodeId) -> Vec<String> {
    world.client(client).up().unwrap().routes.iter().map(ToString::to_string).collect()
}

fn ups(world: &mut World, client: NodeId) -> usize {
    world.client(client).events.iter().filter(|event| matches!(event, Event::Up(_))).count()
}

fn refused(world: &mut World, gateway: NodeId, label: &str) -> u64 {
    let stats = world.gateway(gateway).machine.status().stats;
    stats.ppp.iter().filter(|(known, _)| *known == label).map(|(_, count)| count).sum()
}

#[test]
fn routes_of_the_tenant_reach_the_client_without_a_wait() {
    let (mut world, _gateway) = World::around(1, config());
    let start = world.now;
    let client = connect(&mut world, "user1");
    assert_eq!(routes(&mut world, client), TENANT_ROUTES);
    assert_eq!(ups(&mut world, client), 1);
    assert!(world.now.since(start) < Duration::from_secs(1), "nothing was repeated");
    assert_eq!(world.client(client).echoes.len(), 0, "the answer is not for the host");
    world.run_for(Duration::from_secs(10));
    assert_eq!(ups(&mut world, client), 1);
}

#[test]
fn routes_of_a_user_replace_those_of_the_tenant() {
    let (mut world, _gateway) = World::around(2, config());
    let client = connect(&mut world, "own");
    assert_eq!(routes(&mut world, client), OWN_ROUTES);
}

#[test]
fn a_tenant_without_routes_answers_all_the_same() {
    let (mut world, _gateway) = World::around(3, settings::gateway());
    let start = world.now;
    let client = connect(&mut world, "user1");
    assert_eq!(routes(&mut world, client), [""; 0]);
    assert!(world.now.since(start) < Duration::from_secs(1));
}

#[test]
fn a_client_that_asks_is_told_its_domain_the_time_and_where_to_look_names_up() {
    let mut config = config();
    config.tenants[0].advice.domain = Domain::new("corp.example");
    config.tenants[0].advice.ntp = vec![[10, 64, 0, 123].into()];
    config.tenants[0].advice.search =
        ["corp.example", "lab.example"].map(|d| Domain::new(d).unwrap()).into();
    let (mut world, _gateway) = World::around(6, config);
    let client = connect(&mut world, "user1");
    let own = world.client(client).up().unwrap().address;
    let inform = Inform::asking(own, 78, &[15, 42, 119]).write();
    world.with_client(client, |c, now| c.pipeline.send_inner(&inform, now));
    world.run_for(Duration::from_millis(200));
    let answer = &world.client(client).echoes[0];
    let has = |bytes: &[u8]| answer.windows(bytes.len()).any(|found| found == bytes);
    assert!(has(b"\x0f\x0ccorp.example"));
    assert!(has(&[42, 4, 10, 64, 0, 123]), "the time server");
    assert!(has(b"\x77\x1b\x04corp\x07example\0\x03lab\x07example\0"));
}

#[test]
fn loss_does_not_keep_a_client_from_coming_up_once() {
    let mut with_routes = 0;
    let mut runs = 0;
    for seed in seeds(20) {
        let (mut world, _gateway) = World::around(seed, config());
        world.impairment = Impairment::lossy(20);
        let client = connect(&mut world, "user1");
        let routes = routes(&mut world, client);
        assert!(routes.is_empty() || routes == TENANT_ROUTES, "SIM_SEED={seed}: {routes:?}");
        with_routes += u32::from(!routes.is_empty());
        runs += 1;
        assert_eq!(ups(&mut world, client), 1, "SIM_SEED={seed}");
    }
    // Three tries of which each fails with 36 %: about one run in twenty goes without.
    assert!(with_routes * 4 >= runs * 3, "{with_routes} of {runs}");
}

#[test]
fn a_gateway_whose_answer_does_not_fit_costs_three_seconds() {
    let mut config = config();
    let hosts = (0..200_u8).map(|n| std::net::Ipv4Addr::new(192, 0, 2, n).into());
    config.tenants[0].advice.routes = hosts.collect();
    let (mut world, gateway) = World::around(4, config);
    let mut settings = settings::client("198.51.100.7", "user1");
    settings.mru = 1000;
    let start = world.now;
    let client = world.dial(settings);
    world.wait_up(client, LIMIT);
    let took = world.now.since(start);
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(routes(&mut world, client), [""; 0]);
    assert_eq!(refused(&mut world, gateway, "dhcp_answer_too_long"), 3);
}

/// A packet with other bytes from `at` on, and right checksums.
fn altered(mut packet: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet[10..12].fill(0);
    let words = packet[..20].chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
    let sum = words.fold(0, |sum, word| (sum + word) % 0xffff);
    packet[10..12].copy_from_slice(&(0xffff - u16::try_from(sum).unwrap()).to_be_bytes());
    // None (RFC 768).
    packet[26..28].fill(0);
    packet
}

#[test]
fn only_a_question_for_the_own_address_is_answered() {
    let (mut world, gateway) = World::around(5, config());
    let client = connect(&mut world, "user1");
    let own = world.client(client).up().unwrap().address;
    let inform = Inform::new(own, 77);
    let send = |world: &mut World, packet: Vec<u8>| {
        world.with_client(client, |c, now| c.pipeline.send_inner(&packet, now));
        world.run_for(Duration::from_millis(200));
        world.client(client).echoes.len()
    };
    let foreign = altered(inform.write(), 28 + 12, &[10, 64, 0, 250]);
    assert_eq!(send(&mut world, foreign), 0);
    assert_eq!(refused(&mut world, gateway, "dhcp_foreign_address"), 1);
    let discover = altered(inform.write(), 28 + 242, &[1]);
    assert_eq!(send(&mut world, discover), 0);
    assert_eq!(refused(&mut world, gateway, "dhcp_not_inform"), 1);
    // The connection is up, so an answer is for the host that asked.
    assert_eq!(send(&mut world, altered(inform.write(), 0, &[])), 1);
    let udp = &world.client(client).echoes[0];
    assert_eq!(udp[..4], [0, 67, 0, 68]);
    assert_eq!(ups(&mut world, client), 1);
}
