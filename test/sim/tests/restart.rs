//! A gateway dies and another one goes on with its records; the clients notice nothing.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use isthmus_client::Client;
use isthmus_core::{Duration, SecretBytes};
use isthmus_gateway::{Config, PeerRecord, RESERVE_BLOCK, RecordError, RestoreError};
use isthmus_plane::Direction;
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{GatewayHost, NodeId, World, seeds};

const LIMIT: Duration = Duration::from_mins(1);

fn world(seed: u64) -> (World, NodeId) {
    let mut world = World::new(seed);
    let mut gateway = gateway(&mut world);
    gateway.machine.keep_records();
    let id = world.add(gateway, GATEWAY.parse().unwrap());
    (world, id)
}

fn gateway(world: &mut World) -> GatewayHost {
    GatewayHost::new(Arc::new(settings::gateway()), &mut world.rng, world.now)
}

fn connect(world: &mut World, nat: Option<NodeId>, address: &str, user: &str) -> NodeId {
    let config = settings::client(address, user);
    let client = match nat {
        Some(nat) => world.dial_behind(nat, config),
        None => world.dial(config),
    };
    world.wait_up(client, LIMIT);
    client
}

fn echo(world: &mut World, client: NodeId, payload: &[u8]) {
    world.with_client(client, |c, now| c.send(payload, now));
    world.run_for(Duration::from_millis(200));
    let echoes = &world.client(client).echoes;
    assert!(echoes.iter().any(|e| e == payload), "{payload:?} did not come back");
}

fn store(world: &mut World, gateway: NodeId) -> Vec<SecretBytes> {
    let mut records = Vec::new();
    world.with_gateway(gateway, |g, now| records = g.records(now));
    records
}

fn restart(world: &mut World, gateway: NodeId, records: &[SecretBytes]) {
    let config = Arc::new(settings::gateway());
    let host = GatewayHost::restored(config, records, &mut world.rng, world.now);
    world.replace(gateway, host);
}

/// A record of one client that is up and has talked.
fn one_record(seed: u64) -> (World, SecretBytes) {
    let (mut world, gateway) = world(seed);
    let client = connect(&mut world, None, "198.51.100.7", "user1");
    echo(&mut world, client, b"hello");
    let mut records = store(&mut world, gateway);
    assert_eq!(records.len(), 1);
    (world, records.remove(0))
}

#[test]
fn a_client_does_not_notice_that_its_gateway_was_replaced() {
    for (seed, natted) in seeds(4).into_iter().zip([false, true].into_iter().cycle()) {
        let (mut world, gateway) = world(seed);
        let nat = natted.then(|| world.add_nat("192.0.2.1"));
        let client = connect(&mut world, nat, "192.168.1.2", "user1");
        echo(&mut world, client, b"before");
        let before = world.gateway(gateway).machine.sessions().remove(0);
        let records = store(&mut world, gateway);
        let stored = world.now;
        // The record grows old while the SAs go on.
        for n in 0..20_u8 {
            echo(&mut world, client, &[n]);
        }
        restart(&mut world, gateway, &records);
        let aside = world.now.since(stored);
        echo(&mut world, client, b"after");
        let after = world.gateway(gateway).machine.sessions().remove(0);
        assert_eq!((after.session, after.peer), (before.session, before.peer));
        assert_eq!(
            after.since,
            before.since + aside,
            "what a record lies aside is no part of its age"
        );
        assert_eq!((after.user, after.address, after.up), (before.user, before.address, true));
        assert!(after.carried.received.packets >= 1);
        world.with_client(client, |c, now| c.act(now, Client::rekey_child));
        world.run_for(Duration::from_secs(2));
        echo(&mut world, client, b"after the child was rekeyed");
        world.with_client(client, |c, now| c.act(now, Client::rekey_ike));
        world.run_for(Duration::from_secs(2));
        echo(&mut world, client, b"after IKE was rekeyed");
        assert_eq!(world.gateway(gateway).machine.status().peers, 1);
        world.run_for(Duration::from_mins(10));
        assert!(world.client(client).down().is_none(), "{:?}", world.client(client).down());
        echo(&mut world, client, b"much later");
        world.with_client(client, |c, now| c.act(now, Client::stop));
        world.run_for(Duration::from_secs(2));
        assert!(world.gateway(gateway).machine.is_idle());
        assert_eq!(world.gateway(gateway).machine.status().tenants[0].leased, 0);
    }
}

#[test]
fn many_restarts_from_ever_new_records_use_no_number_twice() {
    let (mut world, gateway) = world(5);
    let nat = world.add_nat("192.0.2.1");
    let clients: Vec<NodeId> = (0..5)
        .map(|n| {
            connect(&mut world, Some(nat), &format!("192.168.1.{}", n + 2), &format!("user{n}"))
        })
        .collect();
    for round in 0..5_u8 {
        let records = store(&mut world, gateway);
        assert_eq!(records.len(), clients.len());
        for &client in &clients {
            echo(&mut world, client, &[round, 1]);
        }
        restart(&mut world, gateway, &records);
        for (n, &client) in clients.iter().enumerate() {
            echo(&mut world, client, &[round, 2]);
            if n == usize::from(round) {
                world.with_client(client, |c, now| c.act(now, Client::rekey_child));
                world.run_for(Duration::from_secs(2));
            }
        }
    }
    assert_eq!(world.gateway(gateway).machine.sessions().len(), clients.len());
    // Somebody new finds free keys and a free address.
    let late = connect(&mut world, Some(nat), "192.168.1.99", "user50");
    echo(&mut world, late, b"new here");
}

#[test]
fn a_restored_sa_begins_behind_the_reserved_numbers() {
    let (mut world, bytes) = one_record(6);
    let record = PeerRecord::decode(bytes.expose()).unwrap();
    assert_eq!(record.outbound[0].resume_at, RESERVE_BLOCK);
    let mut host = gateway(&mut world);
    host.machine.restore(&record, world.now).unwrap();
    let id = world.add(host, "203.0.113.2".parse().unwrap());
    world.with_gateway(id, |g, now| {
        g.records(now);
        let counters = g.counters(now);
        let of = |direction| counters.sas.iter().find(|sa| sa.direction == direction).unwrap();
        assert_eq!(of(Direction::Outbound).sequence, RESERVE_BLOCK);
        assert_eq!(of(Direction::Inbound).sequence, record.inbound[0].top);
        let again = g.machine.record(record.peer().0, now, &counters).unwrap();
        assert_eq!(again.outbound[0].resume_at, 2 * RESERVE_BLOCK);
    });
}

#[test]
fn nothing_is_sent_before_the_record_is_stored_anew() {
    let (mut world, gateway_id) = world(7);
    let client = connect(&mut world, None, "198.51.100.7", "user1");
    let records = store(&mut world, gateway_id);
    let mut host = gateway(&mut world);
    let record = PeerRecord::decode(records[0].expose()).unwrap();
    host.machine.restore(&record, world.now).unwrap();
    world.replace(gateway_id, host);
    world.with_client(client, |c, now| c.send(b"too early", now));
    world.run_for(Duration::from_secs(1));
    assert!(world.client(client).echoes.is_empty());
    store(&mut world, gateway_id);
    echo(&mut world, client, b"now");
}

#[test]
fn a_record_survives_its_encoding() {
    for seed in seeds(5) {
        let (_world, bytes) = one_record(seed);
        let record = PeerRecord::decode(bytes.expose()).unwrap();
        assert_eq!(record.encode().unwrap(), bytes, "SIM_SEED={seed}");
        assert_eq!((record.sessions.len(), record.sessions[0].tenant.as_str()), (1, "acme"));
        assert_eq!(record.sessions[0].user, "user1");
    }
}

#[test]
fn every_part_of_a_record_and_every_addition_is_refused() {
    let (_world, bytes) = one_record(8);
    let whole = bytes.expose();
    for len in 0..whole.len() {
        assert_eq!(PeerRecord::decode(&whole[..len]).unwrap_err(), RecordError::Truncated, "{len}");
    }
    let longer = [whole, &[0]].concat();
    assert_eq!(PeerRecord::decode(&longer).unwrap_err(), RecordError::Trailing);
}

#[test]
fn a_flipped_bit_makes_nothing_panic() {
    let (mut world, bytes) = one_record(9);
    let mut bytes = bytes.expose().to_vec();
    let mut read = 0;
    for at in 0..bytes.len() * 8 {
        bytes[at / 8] ^= 1 << (at % 8);
        if let Ok(record) = PeerRecord::decode(&bytes) {
            read += 1;
            let mut host = gateway(&mut world);
            if host.machine.restore(&record, world.now).is_err() {
                assert!(host.machine.is_idle());
                assert_eq!(host.machine.status().tenants[0].leased, 0);
            }
        }
        bytes[at / 8] ^= 1 << (at % 8);
    }
    assert!(read > 100, "keys and counters take any value");
}

#[test]
fn a_record_is_restored_once_and_only_where_it_belongs() {
    let (mut world, bytes) = one_record(10);
    let mut record = PeerRecord::decode(bytes.expose()).unwrap();
    let now = world.now;
    let mut host = gateway(&mut world);
    host.machine.restore(&record, now).unwrap();
    assert_eq!(host.machine.restore(&record, now), Err(RestoreError::SessionKey));
    assert_eq!(host.machine.sessions().len(), 1);
    assert_eq!(host.machine.status().tenants[0].leased, 1);
    let config = Config { tenants: Vec::new(), ..settings::gateway() };
    let mut other = GatewayHost::new(Arc::new(config), &mut world.rng, now);
    assert_eq!(other.machine.restore(&record, now), Err(RestoreError::UnknownTenant));
    record.sessions.clear();
    assert_eq!(gateway(&mut world).machine.restore(&record, now), Err(RestoreError::Inconsistent));
    let mut closing = gateway(&mut world);
    closing.shut_down(now);
    assert_eq!(closing.machine.restore(&record, now), Err(RestoreError::Closing));
}

#[test]
fn a_record_prints_no_secrets_and_leaves_no_address_behind() {
    let (mut world, bytes) = one_record(11);
    let record = PeerRecord::decode(bytes.expose()).unwrap();
    let printed = format!("{record:?}");
    assert!(printed.contains("acme") && printed.len() < 400, "{printed}");
    // The IKE part finds its peer there after the session was claimed: all is given back.
    let mut host = gateway(&mut world);
    host.machine.restore(&record, world.now).unwrap();
    let mut second = record.clone();
    second.sessions[0].session = isthmus_core::Key::from_raw((1 << 20) + 77);
    second.sessions[0].address = [10, 64, 0, 200].into();
    assert!(matches!(host.machine.restore(&second, world.now), Err(RestoreError::Ike(_))));
    assert_eq!(host.machine.status().tenants[0].leased, 1);
    second.sessions[0].address = record.sessions[0].address;
    assert_eq!(host.machine.restore(&second, world.now), Err(RestoreError::AddressInUse));
    assert_eq!(host.machine.sessions().len(), 1);
}
