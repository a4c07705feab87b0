//! Clients that reach the gateway over IPv6: raw ESP, ESP in UDP, and both families at once.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use isthmus_client::{Client, Config};
use isthmus_core::{Duration, Encap, Path};
use isthmus_sim::{Impairment, NodeId, World, seeds, settings};

const GATEWAY_V6: &str = "2001:db8::1";
const LIMIT: Duration = Duration::from_mins(1);

fn world(seed: u64) -> (World, NodeId) {
    let (mut world, gateway) = World::around(seed, settings::gateway());
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
    world.dial(config)
}

#[test]
fn over_ipv6_esp_travels_by_itself_where_there_is_no_nat() {
    let (mut world, gateway) = world(1);
    let client = client_v6(&mut world, "2001:db8:5::7", "user1", false);
    world.wait_up(client, LIMIT);
    world.echo(client, b"protocol 50");
    let session = world.gateway(gateway).machine.sessions().remove(0);
    assert_eq!(session.encap, Some(Encap::Esp));
    assert!(session.from.is_ipv6());
}

#[test]
fn over_ipv6_esp_may_travel_in_udp() {
    let (mut world, gateway) = world(2);
    let client = client_v6(&mut world, "2001:db8:5::7", "user1", true);
    world.wait_up(client, LIMIT);
    world.echo(client, b"in udp");
    let session = world.gateway(gateway).machine.sessions().remove(0);
    assert_eq!((session.encap, session.from.port()), (Some(Encap::Udp), 4500));
}

#[test]
fn both_families_are_served_at_once_over_bad_networks_and_through_rekeys() {
    for seed in seeds(5) {
        let (mut world, gateway) = world(seed);
        world.impairment = Impairment::lossy(5);
        let six = client_v6(&mut world, "2001:db8:5::7", "user1", seed % 2 == 0);
        let four = world.dial(settings::client("198.51.100.7", "user2"));
        for client in [six, four] {
            world.wait_up(client, LIMIT);
        }
        world.with_client(six, |c, now| c.act(now, Client::rekey_child));
        world.run_for(Duration::from_secs(5));
        world.with_client(six, |c, now| c.act(now, Client::rekey_ike));
        world.run_for(Duration::from_secs(5));
        world.echo(six, b"six");
        world.echo(four, b"four");
        assert_eq!(world.gateway(gateway).machine.sessions().len(), 2, "SIM_SEED={seed}");
        world.with_client(six, |c, now| c.act(now, Client::stop));
        world.run_for(Duration::from_secs(30));
        assert_eq!(world.gateway(gateway).machine.sessions().len(), 1, "SIM_SEED={seed}");
    }
}
