//! Clients that reach the gateway over IPv6: raw ESP, ESP in UDP, and both families at once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use isthmus_client::{Client, Config};
use isthmus_core::{Duration, Encap, Path};
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{ClientHost, GatewayHost, Impairment, NodeId, World, seeds};

const GATEWAY_V6: &str = "2001:db8::1";

fn world(seed: u64) -> (World, NodeId) {
    let mut world = World::new(seed);
    let config = Arc::new(settings::gateway());
    let host = GatewayHost::new(config, &mut world.rng, world.now);
    let gateway = world.add(host, GATEWAY.parse().unwrap());
    world.also_at(gateway, GATEWAY_V6.parse().unwrap());
    (world, gateway)
}

/// A client at an IPv6 address.
fn client_v6(world: &mut World, address: &str, user: &str, force_encap: bool) -> NodeId {
    let base = settings::client("192.0.2.250", user);
    let path = |port| {
        let at = |ip: &str| format!("[{ip}]:{port}").parse().unwrap();
        Path::new(at(address), at(GATEWAY_V6))
    };
    let ike = isthmus_ike::Config { force_encap, ..(*base.ike).clone() };
    let config = Config { ike_path: path(500), nat_t_path: path(4500), ike: Arc::new(ike), ..base };
    let host = ClientHost::new(config, &mut world.rng, world.now);
    world.add(host, address.parse().unwrap())
}

fn wait_up(world: &mut World, client: NodeId) {
    world.run_till("connected", Duration::from_mins(1), |w| {
        if let Some(down) = w.client(client).down() {
            panic!("{down:?}");
        }
        w.client(client).up().is_some()
    });
}

fn echo(world: &mut World, client: NodeId, payload: &[u8]) {
    for _ in 0..50 {
        world.with_client(client, |c, now| c.send(payload, now));
        world.run_for(Duration::from_millis(200));
        if world.client(client).echoes.iter().any(|e| e == payload) {
            return;
        }
    }
    panic!("nothing came back");
}

#[test]
fn over_ipv6_esp_travels_by_itself_where_there_is_no_nat() {
    let (mut world, gateway) = world(1);
    let client = client_v6(&mut world, "2001:db8:5::7", "user1", false);
    wait_up(&mut world, client);
    echo(&mut world, client, b"protocol 50");
    let session = world.gateway(gateway).machine.sessions().remove(0);
    assert_eq!(session.encap, Some(Encap::Esp));
    assert!(session.from.is_ipv6());
}

#[test]
fn over_ipv6_esp_may_travel_in_udp() {
    let (mut world, gateway) = world(2);
    let client = client_v6(&mut world, "2001:db8:5::7", "user1", true);
    wait_up(&mut world, client);
    echo(&mut world, client, b"in udp");
    let session = world.gateway(gateway).machine.sessions().remove(0);
    assert_eq!((session.encap, session.from.port()), (Some(Encap::Udp), 4500));
}

#[test]
fn both_families_are_served_at_once_over_bad_networks_and_through_rekeys() {
    for seed in seeds(5) {
        let (mut world, gateway) = world(seed);
        world.impairment = Impairment::lossy(5);
        let six = client_v6(&mut world, "2001:db8:5::7", "user1", seed % 2 == 0);
        let four =
            ClientHost::new(settings::client("198.51.100.7", "user2"), &mut world.rng, world.now);
        let four = world.add(four, "198.51.100.7".parse().unwrap());
        for client in [six, four] {
            wait_up(&mut world, client);
        }
        world.with_client(six, |c, now| c.act(now, Client::rekey_child));
        world.run_for(Duration::from_secs(5));
        world.with_client(six, |c, now| c.act(now, Client::rekey_ike));
        world.run_for(Duration::from_secs(5));
        echo(&mut world, six, b"six");
        echo(&mut world, four, b"four");
        assert_eq!(world.gateway(gateway).machine.sessions().len(), 2, "SIM_SEED={seed}");
        world.with_client(six, |c, now| c.act(now, Client::stop));
        world.run_for(Duration::from_secs(30));
        assert_eq!(world.gateway(gateway).machine.sessions().len(), 1, "SIM_SEED={seed}");
    }
}
