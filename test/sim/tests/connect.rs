//! Clients connect, talk, rekey and leave, over good and bad networks.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use isthmus_core::Duration;
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{ClientHost, GatewayHost, Impairment, Nat, NodeId, World, seeds};
use std::sync::Arc;

const LIMIT: Duration = Duration::from_mins(1);

fn world(seed: u64) -> (World, NodeId) {
    let mut world = World::new(seed);
    let config = Arc::new(settings::gateway());
    let gateway = GatewayHost::new(config, &mut world.rng, world.now);
    let id = world.add(gateway, GATEWAY.parse().unwrap());
    (world, id)
}

fn client(world: &mut World, address: &str, user: &str) -> NodeId {
    let host = ClientHost::new(settings::client(address, user), &mut world.rng, world.now);
    world.add(host, address.parse().unwrap())
}

fn client_behind(world: &mut World, nat: NodeId, address: &str, user: &str) -> NodeId {
    let host = ClientHost::new(settings::client(address, user), &mut world.rng, world.now);
    world.add_behind(nat, host, address.parse().unwrap())
}

fn nat(world: &mut World, public: &str) -> NodeId {
    let public = public.parse().unwrap();
    world.add(Nat::new(public), public)
}

fn wait_up(world: &mut World, client: NodeId) {
    world.run_till("connected", LIMIT, |w| {
        if let Some(down) = w.client(client).down() {
            panic!("{down:?}");
        }
        w.client(client).up().is_some()
    });
}

/// Sends a payload until it comes back; on a lossy path once is not enough.
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
fn a_client_connects_without_nat_and_talks() {
    let (mut world, gateway) = world(1);
    let client = client(&mut world, "198.51.100.7", "user1");
    wait_up(&mut world, client);
    echo(&mut world, client, b"hello");
    let sessions = world.gateway(gateway).machine.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].user.as_deref(), Some("user1"));
}

#[test]
fn a_client_connects_through_nat_and_talks() {
    let (mut world, _gateway) = world(2);
    let nat = nat(&mut world, "192.0.2.1");
    let client = client_behind(&mut world, nat, "192.168.1.2", "user1");
    wait_up(&mut world, client);
    echo(&mut world, client, b"hello");
}

#[test]
fn loss_reordering_and_duplicates_only_cost_time() {
    for seed in seeds(20) {
        for percent in [1, 5, 20] {
            let (mut world, gateway) = world(seed);
            world.impairment = Impairment::lossy(percent);
            let nat = nat(&mut world, "192.0.2.1");
            let client = client_behind(&mut world, nat, "192.168.1.2", "user1");
            wait_up(&mut world, client);
            echo(&mut world, client, b"hello");
            assert_eq!(world.gateway(gateway).machine.sessions().len(), 1, "SIM_SEED={seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let (mut world, _gateway) = world(9);
        world.impairment = Impairment::lossy(10);
        let client = client(&mut world, "198.51.100.7", "user1");
        wait_up(&mut world, client);
        (world.now, world.rng.u64())
    };
    assert_eq!(run(), run());
}

#[test]
fn many_clients_behind_one_nat_do_not_mix() {
    let (mut world, gateway) = world(3);
    let nat = nat(&mut world, "192.0.2.1");
    let clients: Vec<NodeId> = (0..30)
        .map(|n| {
            client_behind(&mut world, nat, &format!("192.168.1.{}", n + 2), &format!("user{n}"))
        })
        .collect();
    for &client in &clients {
        wait_up(&mut world, client);
    }
    for (n, &client) in clients.iter().enumerate() {
        echo(&mut world, client, format!("token of {n}").as_bytes());
    }
    for (n, &client) in clients.iter().enumerate() {
        let own = format!("token of {n}").into_bytes();
        assert!(world.client(client).echoes.iter().all(|e| *e == own), "client {n} got another's");
    }
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 30);
}

#[test]
fn a_client_that_hangs_up_leaves_nothing_behind() {
    let (mut world, gateway) = world(4);
    let client = client(&mut world, "198.51.100.7", "user1");
    wait_up(&mut world, client);
    world.with_client(client, |c, now| c.act(now, isthmus_client::Client::stop));
    world.run_for(Duration::from_secs(2));
    assert!(world.client(client).down().unwrap().requested);
    assert!(world.gateway(gateway).machine.is_idle());
    assert_eq!(world.gateway(gateway).machine.status().tenants[0].leased, 0);
}

#[test]
fn a_client_that_vanishes_is_forgotten() {
    let (mut world, gateway) = world(5);
    let client = client(&mut world, "198.51.100.7", "user1");
    wait_up(&mut world, client);
    world.impairment.loss = 100;
    world.run_till("forgotten", Duration::from_mins(10), |w| w.gateway(gateway).machine.is_idle());
    assert_eq!(world.gateway(gateway).machine.status().tenants[0].leased, 0);
}

#[test]
fn a_gateway_that_stops_tells_its_clients() {
    let (mut world, gateway) = world(6);
    let client = client(&mut world, "198.51.100.7", "user1");
    wait_up(&mut world, client);
    world.with_gateway(gateway, GatewayHost::shut_down);
    world.run_for(Duration::from_secs(1));
    assert!(!world.client(client).down().expect("told").requested);
}

#[test]
fn both_rekeys_lose_no_packet() {
    let (mut world, gateway) = world(7);
    let nat = nat(&mut world, "192.0.2.1");
    let client = client_behind(&mut world, nat, "192.168.1.2", "user1");
    wait_up(&mut world, client);
    for round in 0_u32..100 {
        match round {
            20 => {
                world.with_client(client, |c, now| c.act(now, isthmus_client::Client::rekey_child));
            }
            50 => world.with_client(client, |c, now| c.act(now, isthmus_client::Client::rekey_ike)),
            70 => {
                world.with_client(client, |c, now| c.act(now, isthmus_client::Client::rekey_child));
            }
            _ => {}
        }
        world.with_client(client, |c, now| c.send(&round.to_be_bytes(), now));
        world.run_for(Duration::from_millis(100));
    }
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.client(client).echoes.len(), 100);
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 1);
    assert_eq!(world.gateway(gateway).machine.status().peers, 1);
}

#[test]
fn a_session_survives_nat_rebinding() {
    let (mut world, gateway) = world(8);
    let nat = nat(&mut world, "192.0.2.1");
    let client = client_behind(&mut world, nat, "192.168.1.2", "user1");
    wait_up(&mut world, client);
    echo(&mut world, client, b"before");
    world.rebind(nat);
    let start = world.now;
    echo(&mut world, client, b"after");
    assert!(world.now.since(start) <= Duration::from_secs(1));
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 1);
}

#[test]
fn a_day_passes_without_a_break() {
    let (mut world, gateway) = world(10);
    let nat = nat(&mut world, "192.0.2.1");
    let client = client_behind(&mut world, nat, "192.168.1.2", "user1");
    wait_up(&mut world, client);
    for hour in 0..24_u8 {
        world.run_for(Duration::from_hours(1));
        assert!(
            world.client(client).down().is_none(),
            "hour {hour}: {:?}",
            world.client(client).down()
        );
        echo(&mut world, client, &[hour]);
    }
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 1);
}
