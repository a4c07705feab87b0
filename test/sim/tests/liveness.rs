//! Who counts as alive: whoever sends anything authentic. Only whoever is silent is probed and given up.

use std::sync::Arc;

use isthmus_core::{Duration, Instant};
use isthmus_gateway::{Config, Event};
use isthmus_sim::{NodeId, World, settings};

const LIMIT: Duration = Duration::from_mins(1);

/// A gateway that notices a silent client by LCP Echo alone.
fn config() -> Config {
    let mut config = settings::gateway();
    let ike = isthmus_ike::Config { dpd_interval: None, ..(*config.ike).clone() };
    config.ike = Arc::new(ike);
    let mut l2tp = isthmus_l2tp::Config::lns(b"gateway");
    l2tp.hello_interval = Duration::from_hours(4);
    config.l2tp = Arc::new(l2tp);
    config
}

/// A client of the default gateway but for `config`, connected.
fn connected(config: Config) -> (World, NodeId, NodeId) {
    let (mut world, gateway) = World::around(1, config);
    let client = world.dial(settings::client("198.51.100.7", "user1"));
    world.wait_up(client, LIMIT);
    (world, gateway, client)
}

/// Whether an L2TP packet is data with an LCP Echo-Request in it.
fn is_echo_request(l2tp: &[u8]) -> bool {
    let is_data = l2tp.first().is_some_and(|flags| flags & 0x80 == 0);
    is_data && l2tp.windows(5).any(|bytes| bytes == [0xff, 0x03, 0xc0, 0x21, 9])
}

fn is_up(world: &mut World, gateway: NodeId) -> bool {
    world.gateway(gateway).machine.sessions().iter().any(|session| session.up)
}

fn end_of_session(world: &mut World, gateway: NodeId) -> Option<String> {
    world.gateway(gateway).events.iter().find_map(|event| {
        if let Event::SessionDown { reason, .. } = event { Some(reason.clone()) } else { None }
    })
}

#[test]
fn a_client_that_never_answers_an_echo_but_sends_data_lives() {
    for config in [config(), settings::gateway()] {
        let (mut world, gateway, client) = connected(config);
        world.client(client).deaf_to = Some(is_echo_request);
        // Longer than the gateway's patience with a silent client, several times over.
        for n in 0..60_u8 {
            world.with_client(client, |c, now| c.send(&[n], now));
            world.run_for(Duration::from_secs(20));
        }
        assert!(is_up(&mut world, gateway), "{:?}", end_of_session(&mut world, gateway));
        assert_eq!(world.client(client).echoes.len(), 60);
    }
}

#[test]
fn nobody_who_sends_data_is_probed() {
    let (mut world, gateway, client) = connected(config());
    // The path is tried with one large echo; it is no question whether the client lives.
    world.run_for(Duration::from_secs(5));
    world.client(client).deaf_to = Some(|l2tp| {
        assert!(!is_echo_request(l2tp), "an Echo-Request to a client that talks");
        false
    });
    for n in 0..30_u8 {
        world.with_client(client, |c, now| c.send(&[n], now));
        world.run_for(Duration::from_secs(10));
    }
    assert!(is_up(&mut world, gateway));
}

/// Four probes follow the last word of the client, an interval apart; half an interval after the time for
/// a fifth it is given up. Then two goodbyes, three seconds apart.
#[test]
fn a_silent_client_is_given_up_after_five_to_six_intervals() {
    for talk in [Duration::from_secs(3), Duration::from_secs(29), Duration::from_secs(31)] {
        let (mut world, gateway, client) = connected(config());
        world.run_for(talk);
        world.with_client(client, |c, now| c.send(b"the last word", now));
        let silent: Instant = world.now;
        world.impairment.loss = 100;
        world.run_till("given up", Duration::from_secs(200), |w| !is_up(w, gateway));
        let took = world.now.since(silent);
        let interval = isthmus_ppp::Echo::default().interval;
        assert!(took >= interval * 5, "given up after {took:?}");
        assert!(took <= interval * 6 + Duration::from_secs(7), "given up after {took:?}");
        world.run_for(Duration::from_secs(7));
        let reason = end_of_session(&mut world, gateway).unwrap_or_else(|| panic!("no event"));
        assert!(reason.contains("echo_lost"), "{reason}");
    }
}

#[test]
fn a_client_that_answers_echoes_and_says_nothing_else_lives() {
    let (mut world, gateway, _client) = connected(config());
    world.run_for(Duration::from_hours(1));
    assert!(is_up(&mut world, gateway), "{:?}", end_of_session(&mut world, gateway));
}

#[test]
fn a_session_that_was_up_ends_as_a_session_and_not_as_a_failed_attempt() {
    let (mut world, gateway, _client) = connected(config());
    let session = world.gateway(gateway).machine.sessions().remove(0).session;
    let status = world.gateway(gateway).machine.status();
    assert_eq!((status.sessions, status.sessions_up, status.tenants[0].sessions), (1, 1, 1));
    world.with_gateway(gateway, |g, now| {
        assert!(g.machine.disconnect(session, now));
        g.settle(now);
    });
    world.run_for(Duration::from_secs(10));
    let host = world.gateway(gateway);
    let count = |wanted: fn(&Event) -> bool| host.events.iter().filter(|e| wanted(e)).count();
    assert_eq!(count(|event| matches!(event, Event::SessionUp { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::SessionDown { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::AttemptFailed(_))), 0);
}
