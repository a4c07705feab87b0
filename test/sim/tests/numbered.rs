//! Sessions with sequence numbers (RFC 2661 §5.4) over networks that reorder and lose.

use std::sync::Arc;

use isthmus_core::Duration;
use isthmus_l2tp::avp::Avp;
use isthmus_plane::DropReason;
use isthmus_sim::{Impairment, NodeId, World, seeds, settings};

/// A gateway and a client that demands sequence numbers.
fn connected(seed: u64, impairment: Impairment) -> (World, NodeId, NodeId) {
    let (mut world, gateway) = World::around(seed, settings::gateway());
    world.impairment = impairment;
    let mut config = settings::client("198.51.100.7", "user1");
    let mut l2tp = (*config.l2tp).clone();
    l2tp.dialect.iccn.push(Avp::SequencingRequired(()).into());
    config.l2tp = Arc::new(l2tp);
    let client = world.dial(config);
    world.wait_up(client, Duration::from_mins(2));
    (world, gateway, client)
}

#[test]
fn numbered_sessions_come_up_whatever_the_network_does() {
    for seed in seeds(10) {
        for percent in [0, 5, 20] {
            let (mut world, gateway, _) = connected(seed, Impairment::lossy(percent));
            assert_eq!(world.gateway(gateway).machine.sessions().len(), 1, "SIM_SEED={seed}");
        }
    }
}

#[test]
fn what_a_network_reorders_arrives_in_order_and_whole() {
    let jitter = Duration::from_millis(20);
    for seed in seeds(5) {
        let reordering = Impairment { jitter, ..Impairment::default() };
        let (mut world, gateway, client) = connected(seed, reordering);
        world.with_client(client, |c, now| {
            for n in 0..20_u8 {
                c.send(&[n], now);
            }
        });
        world.run_for(Duration::from_secs(1));
        let expected: Vec<Vec<u8>> = (0..20).map(|n| vec![n]).collect();
        assert_eq!(world.client(client).echoes, expected, "SIM_SEED={seed}");
        let now = world.now;
        let total = world.gateway(gateway).counters(now).total;
        assert!(total.reordered > 0, "SIM_SEED={seed}");
        assert_eq!(total.drops.of(DropReason::LateOrTwice), 0, "SIM_SEED={seed}");
    }
}

#[test]
fn a_loss_delays_and_never_blocks() {
    for seed in seeds(5) {
        let (mut world, _, client) = connected(seed, Impairment::lossy(10));
        world.with_client(client, |c, now| {
            for n in 0..100_u8 {
                c.send(&[n], now);
            }
        });
        world.run_for(Duration::from_secs(2));
        let echoes = &world.client(client).echoes;
        assert!(echoes.len() > 50, "SIM_SEED={seed}: {}", echoes.len());
        assert!(echoes.is_sorted_by(|a, b| a < b), "SIM_SEED={seed}: in order, and none twice");
    }
}
