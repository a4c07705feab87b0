//! Rekeying as Windows does it, with somebody watching.

use std::sync::Arc;

use isthmus_client::{Client, Config, Event, Profile};
use isthmus_core::Duration;
use isthmus_sim::{NodeId, World, seeds, settings};

const HOME: &str = "192.168.1.2";

fn windows() -> Config {
    settings::client_as(Profile::Windows10, HOME, "user1")
}

fn scene(seed: u64, config: Config) -> (World, NodeId) {
    let (mut world, _gateway) = World::around(seed, settings::gateway());
    let nat = world.add_nat("192.0.2.1");
    let client = world.dial_behind(nat, config);
    world.wait_up(client, Duration::from_mins(1));
    (world, client)
}

fn children(world: &mut World, client: NodeId) -> usize {
    let events = &world.client(client).events;
    events.iter().filter(|event| matches!(event, Event::Secured { .. })).count()
}

#[test]
fn a_ping_a_second_loses_nothing_while_windows_rekeys() {
    for seed in seeds(20) {
        let (mut world, client) = scene(seed, windows());
        // The path is never quite the same, so that DELETE and message 3 overtake each other.
        world.impairment.jitter = Duration::from_millis(40);
        for second in 0..60_u8 {
            if second % 10 == 5 {
                // Somewhere between two pings, or with one under way.
                let aside = Duration::from_millis(u64::from(world.rng.below(1000)));
                world.with_client(client, |c, now| c.send(&[second], now));
                world.run_for(aside);
                world.with_client(client, |c, now| c.act(now, Client::rekey_child));
                world.run_for(Duration::from_secs(1).checked_sub(aside).unwrap_or_default());
            } else {
                world.with_client(client, |c, now| c.send(&[second], now));
                world.run_for(Duration::from_secs(1));
            }
        }
        world.run_for(Duration::from_secs(2));
        let echoes = &world.client(client).echoes;
        let lost: Vec<u8> = (0..60).filter(|n| !echoes.contains(&vec![*n])).collect();
        assert!(lost.is_empty(), "SIM_SEED={seed}: lost {lost:?}");
        assert_eq!(children(&mut world, client), 7, "SIM_SEED={seed}");
    }
}

#[test]
fn a_stream_loses_nothing_while_windows_rekeys() {
    let (mut world, client) = scene(3, windows());
    world.impairment.jitter = Duration::from_millis(20);
    for round in 0..2000_u32 {
        if round % 400 == 200 {
            world.with_client(client, |c, now| c.act(now, Client::rekey_child));
        }
        world.with_client(client, |c, now| c.send(&round.to_be_bytes(), now));
        world.run_for(Duration::from_millis(5));
    }
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.client(client).echoes.len(), 2000);
    assert_eq!(children(&mut world, client), 6);
}

#[test]
fn windows_rekeys_by_traffic_as_well_as_by_time() {
    let mut config = windows();
    // A hundredth of its 250 MB, to be done sooner.
    let ike = isthmus_ike::Config { child_kilobytes: Some(2500), ..(*config.ike).clone() };
    config.ike = Arc::new(ike);
    let (mut world, client) = scene(4, config);
    let payload = vec![7; 1200];
    for _ in 0..6000 {
        world.with_client(client, |c, now| c.send(&payload, now));
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.client(client).echoes.len(), 6000, "nothing is lost on the way");
    assert!((3..=6).contains(&children(&mut world, client)), "7.2 MB in all");
}

#[test]
fn a_day_of_windows_passes_without_a_break() {
    let (mut world, client) = scene(5, windows());
    for minute in 0..24 * 60_u32 {
        world.with_client(client, |c, now| c.send(&minute.to_be_bytes(), now));
        world.run_for(Duration::from_mins(1));
    }
    assert!(world.client(client).down().is_none(), "{:?}", world.client(client).down());
    assert_eq!(world.client(client).echoes.len(), 24 * 60, "a ping a minute, all day");
    assert!(children(&mut world, client) >= 25, "every hour a new SA pair");
}
