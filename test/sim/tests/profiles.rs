//! Every client people have, by its own habits, on good and bad networks.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use isthmus_client::{Client, Event, Profile};
use isthmus_core::Duration;
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{ClientHost, GatewayHost, Impairment, Nat, NodeId, World, seeds};

const HOME: &str = "192.168.1.2";
const LIMIT: Duration = Duration::from_mins(1);

/// A client behind a NAT, and its gateway.
struct Scene {
    world: World,
    gateway: NodeId,
    nat: NodeId,
    client: NodeId,
    profile: Profile,
    told: String,
}

impl Scene {
    fn new(profile: Profile, percent: u32, seed: u64) -> Self {
        let mut world = World::new(seed);
        let config = Arc::new(settings::gateway_for(profile));
        let gateway = GatewayHost::new(config, &mut world.rng, world.now);
        let gateway = world.add(gateway, GATEWAY.parse().unwrap());
        if percent > 0 {
            world.impairment = Impairment::lossy(percent);
        }
        let public = "192.0.2.1".parse().unwrap();
        let nat = world.add(Nat::new(public), public);
        let config = settings::client_as(profile, HOME, "user1");
        let host = ClientHost::new(config, &mut world.rng, world.now);
        let client = world.add_behind(nat, host, HOME.parse().unwrap());
        let told = format!("SIM_SEED={seed} {} at {percent} %", profile.name());
        let mut scene = Self { world, gateway, nat, client, profile, told };
        scene.wait_up();
        scene
    }

    fn wait_up(&mut self) {
        let (client, told) = (self.client, self.told.clone());
        self.world.run_till(&told, LIMIT, |w| {
            if let Some(down) = w.client(client).down() {
                panic!("{told}: {down:?}");
            }
            w.client(client).up().is_some()
        });
    }

    /// Sends a payload every 100 ms until it comes back; how long that took.
    fn echo(&mut self, payload: &[u8]) -> Duration {
        let start = self.world.now;
        for _ in 0..100 {
            self.world.with_client(self.client, |c, now| c.send(payload, now));
            self.world.run_for(Duration::from_millis(100));
            if self.world.client(self.client).echoes.iter().any(|e| e == payload) {
                return self.world.now.since(start);
            }
        }
        panic!("{}: {payload:?} did not come back", self.told);
    }

    /// How many SA pairs there have been.
    fn children(&mut self) -> usize {
        let events = self.world.client(self.client).events.iter();
        events.filter(|event| matches!(event, Event::Secured { .. })).count()
    }

    /// The same machine dials again; its former self has said nothing.
    fn restart_client(&mut self) {
        let config = settings::client_as(self.profile, HOME, "user1");
        let host = ClientHost::new(config, &mut self.world.rng, self.world.now);
        self.world.restart_client(self.client, host);
    }

    fn sessions(&mut self) -> usize {
        self.world.gateway(self.gateway).machine.sessions().len()
    }

    fn wait_idle(&mut self, what: &str, limit: Duration) {
        let gateway = self.gateway;
        let told = format!("{}: {what}", self.told);
        self.world.run_till(&told, limit, |w| w.gateway(gateway).machine.is_idle());
        assert_eq!(
            self.world.gateway(gateway).machine.status().tenants.first().map(|t| t.leased),
            Some(0),
            "{told}"
        );
    }
}

/// Runs a story for every profile at 0, 1 and 5 per cent.
fn everywhere(count: u64, story: impl Fn(Scene)) {
    for seed in seeds(count) {
        for profile in Profile::ALL {
            for percent in [0, 1, 5] {
                story(Scene::new(profile, percent, seed));
            }
        }
    }
}

#[test]
fn every_client_connects_and_talks() {
    everywhere(3, |mut scene| {
        for n in 0..10_u8 {
            scene.echo(&[n]);
        }
        assert_eq!(scene.sessions(), 1);
    });
}

#[test]
fn every_client_rekeys_in_its_own_way_and_time() {
    everywhere(1, |mut scene| {
        let before = scene.children();
        // Android's SAs last eight hours; all others' children less.
        let slow = [Profile::Android7To11, Profile::Android6, Profile::NmLibreswan];
        let hours = if slow.contains(&scene.profile) { 9 } else { 2 };
        for hour in 0..hours {
            scene.world.run_for(Duration::from_hours(1));
            scene.echo(&[hour]);
        }
        assert!(scene.children() > before, "{}: no rekey", scene.told);
        assert_eq!(scene.sessions(), 1);
        assert_eq!(scene.world.gateway(scene.gateway).machine.status().peers, 1, "{}", scene.told);
    });
}

#[test]
fn every_client_survives_a_new_mapping_of_its_nat() {
    everywhere(2, |mut scene| {
        scene.echo(b"before");
        for round in 0..3_u8 {
            scene.world.rebind(scene.nat);
            let took = scene.echo(&[round]);
            if scene.world.impairment.loss == 0 {
                assert!(took <= Duration::from_secs(1), "{}: {took:?}", scene.told);
            }
        }
        assert_eq!(scene.sessions(), 1);
    });
}

#[test]
fn every_client_gets_back_in_while_its_old_session_lives() {
    everywhere(2, |mut scene| {
        scene.echo(b"first");
        scene.world.run_for(Duration::from_secs(7));
        scene.restart_client();
        scene.wait_up();
        scene.echo(b"second");
        scene.world.run_for(Duration::from_mins(1));
        scene.echo(b"still there");
        assert_eq!(scene.sessions(), 1, "{}: its own old self is gone", scene.told);
        assert_eq!(scene.world.gateway(scene.gateway).machine.status().tenants[0].leased, 1);
    });
}

#[test]
fn every_client_gets_back_in_from_a_new_mapping_and_its_old_self_goes_in_time() {
    everywhere(1, |mut scene| {
        scene.echo(b"first");
        scene.world.rebind(scene.nat);
        scene.restart_client();
        scene.wait_up();
        scene.echo(b"second");
        // Nothing tells that it is the same machine and not its neighbour; its silence does.
        let (gateway, told) = (scene.gateway, scene.told.clone());
        scene.world.run_till(&told, Duration::from_mins(4), |w| {
            w.gateway(gateway).machine.sessions().len() == 1
        });
        scene.echo(b"still there");
        assert_eq!(scene.world.gateway(gateway).machine.status().tenants[0].leased, 1, "{told}");
    });
}

#[test]
fn every_client_leaves_in_its_own_order_and_leaves_nothing_behind() {
    everywhere(2, |mut scene| {
        scene.echo(b"hello");
        scene.world.with_client(scene.client, |c, now| c.act(now, Client::stop));
        // What is lost of a goodbye is made up for by the gateway's own clocks.
        let limit = if scene.world.impairment.loss == 0 { 25 } else { 300 };
        scene.wait_idle("left", Duration::from_secs(limit));
        scene.world.run_for(Duration::from_secs(5));
        assert!(scene.world.client(scene.client).down().unwrap().requested, "{}", scene.told);
    });
}

#[test]
fn every_client_that_vanishes_is_forgotten_in_time() {
    everywhere(1, |mut scene| {
        scene.echo(b"hello");
        scene.world.impairment.loss = 100;
        scene.wait_idle("forgotten", Duration::from_mins(4));
    });
}
