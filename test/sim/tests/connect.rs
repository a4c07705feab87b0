//! Clients connect, talk, rekey and leave, over good and bad networks.

use isthmus_client::Event;
use isthmus_core::Duration;
use isthmus_sim::{GatewayHost, Impairment, NodeId, World, seeds, settings};

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn a_client_connects_without_nat_and_talks() {
    let (mut world, gateway) = World::around(1, settings::gateway());
    let client = world.dial(settings::client("198.51.100.7", "user1"));
    world.wait_up(client, LIMIT);
    world.echo(client, b"hello");
    let sessions = world.gateway(gateway).machine.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].user.as_deref(), Some("user1"));
}

#[test]
fn a_client_connects_through_nat_and_talks() {
    let (mut world, _gateway) = World::around(2, settings::gateway());
    let nat = world.add_nat("192.0.2.1");
    let client = world.dial_behind(nat, settings::client("192.168.1.2", "user1"));
    world.wait_up(client, LIMIT);
    world.echo(client, b"hello");
}

#[test]
fn loss_reordering_and_duplicates_only_cost_time() {
    for seed in seeds(20) {
        for percent in [1, 5, 20] {
            let (mut world, gateway) = World::around(seed, settings::gateway());
            world.impairment = Impairment::lossy(percent);
            let nat = world.add_nat("192.0.2.1");
            let client = world.dial_behind(nat, settings::client("192.168.1.2", "user1"));
            world.wait_up(client, LIMIT);
            world.echo(client, b"hello");
            assert_eq!(world.gateway(gateway).machine.sessions().len(), 1, "SIM_SEED={seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let (mut world, _gateway) = World::around(9, settings::gateway());
        world.impairment = Impairment::lossy(10);
        let client = world.dial(settings::client("198.51.100.7", "user1"));
        world.wait_up(client, LIMIT);
        (world.now, world.rng.u64())
    };
    assert_eq!(run(), run());
}

#[test]
fn many_clients_behind_one_nat_do_not_mix() {
    let (mut world, gateway) = World::around(3, settings::gateway());
    let nat = world.add_nat("192.0.2.1");
    let clients: Vec<NodeId> = (0..30)
        .map(|n| {
            let address = format!("192.168.1.{}", n + 2);
            world.dial_behind(nat, settings::client(&address, &format!("user{n}")))
        })
        .collect();
    for &client in &clients {
        world.wait_up(client, LIMIT);
    }
    for (n, &client) in clients.iter().enumerate() {
        world.echo(client, format!("token of {n}").as_bytes());
    }
    for (n, &client) in clients.iter().enumerate() {
        let own = format!("token of {n}").into_bytes();
        assert!(world.client(client).echoes.iter().all(|e| *e == own), "client {n} got another's");
    }
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 30);
}

#[test]
fn a_client_that_hangs_up_leaves_nothing_behind() {
    let (mut world, gateway) = World::around(4, settings::gateway());
    let client = world.dial(settings::client("198.51.100.7", "user1"));
    world.wait_up(client, LIMIT);
    world.with_client(client, |c, now| c.act(now, isthmus_client::Client::stop));
    world.run_for(Duration::from_secs(2));
    assert!(world.client(client).down().unwrap().requested);
    assert!(world.gateway(gateway).machine.is_idle());
    assert_eq!(world.gateway(gateway).machine.status().tenants[0].leased, 0);
}

#[test]
fn a_client_that_vanishes_is_forgotten() {
    let (mut world, gateway) = World::around(5, settings::gateway());
    let client = world.dial(settings::client("198.51.100.7", "user1"));
    world.wait_up(client, LIMIT);
    world.impairment.loss = 100;
    world.run_till("forgotten", Duration::from_mins(10), |w| w.gateway(gateway).machine.is_idle());
    assert_eq!(world.gateway(gateway).machine.status().tenants[0].leased, 0);
}

#[test]
fn a_gateway_that_stops_tells_its_clients() {
    let (mut world, gateway) = World::around(6, settings::gateway());
    let client = world.dial(settings::client("198.51.100.7", "user1"));
    world.wait_up(client, LIMIT);
    world.with_gateway(gateway, GatewayHost::shut_down);
    world.run_for(Duration::from_secs(1));
    assert!(!world.client(client).down().expect("told").requested);
}

#[test]
fn both_rekeys_lose_no_packet() {
    let (mut world, gateway) = World::around(7, settings::gateway());
    let nat = world.add_nat("192.0.2.1");
    let client = world.dial_behind(nat, settings::client("192.168.1.2", "user1"));
    world.wait_up(client, LIMIT);
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
    let events = &world.client(client).events;
    let told = |is: fn(&&Event) -> bool| events.iter().filter(is).count();
    assert_eq!(
        told(|event| matches!(event, Event::Secured { .. })),
        3,
        "the first, and two rekeys"
    );
    assert_eq!(told(|event| matches!(event, Event::IkeRekeyed)), 1);
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 1);
    assert_eq!(world.gateway(gateway).machine.status().peers, 1);
}

#[test]
fn a_session_survives_nat_rebinding() {
    let (mut world, gateway) = World::around(8, settings::gateway());
    let nat = world.add_nat("192.0.2.1");
    let client = world.dial_behind(nat, settings::client("192.168.1.2", "user1"));
    world.wait_up(client, LIMIT);
    world.echo(client, b"before");
    world.rebind(nat);
    let start = world.now;
    world.echo(client, b"after");
    assert!(world.now.since(start) <= Duration::from_secs(1));
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 1);
}

#[test]
fn a_day_passes_without_a_break() {
    let (mut world, gateway) = World::around(10, settings::gateway());
    let nat = world.add_nat("192.0.2.1");
    let client = world.dial_behind(nat, settings::client("192.168.1.2", "user1"));
    world.wait_up(client, LIMIT);
    for hour in 0..24_u8 {
        world.run_for(Duration::from_hours(1));
        assert!(
            world.client(client).down().is_none(),
            "hour {hour}: {:?}",
            world.client(client).down()
        );
        world.echo(client, &[hour]);
    }
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 1);
}
