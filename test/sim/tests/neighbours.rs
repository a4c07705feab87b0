//! Sixty machines behind one address of a carrier, alike in everything: private address, L2TP port,
//! selectors, tunnel and session ids. The way back is always the SA.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::net::IpAddr;
use std::sync::Arc;

use isthmus_client::{Client, Profile};
use isthmus_core::Duration;
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{ClientHost, GatewayHost, Impairment, Nat, NodeId, World, seeds};

const CLIENTS: usize = 60;
/// The same in every home.
const HOME: &str = "192.168.1.2";
const LIMIT: Duration = Duration::from_mins(2);

struct Town {
    world: World,
    gateway: NodeId,
    clients: Vec<NodeId>,
}

impl Town {
    /// Every client behind a NAT of its own, and those behind the carrier's.
    fn new(seed: u64, impairment: Impairment) -> Self {
        let mut world = World::new(seed);
        world.impairment = impairment;
        let config = Arc::new(settings::gateway());
        let gateway = GatewayHost::new(config, &mut world.rng, world.now);
        let gateway = world.add(gateway, GATEWAY.parse().unwrap());
        let public: IpAddr = "192.0.2.1".parse().unwrap();
        let carrier = world.add(Nat::new(public), public);
        let clients = (0..CLIENTS).map(|n| {
            let inside: IpAddr = format!("100.64.0.{}", n + 1).parse().unwrap();
            let home = world.add_behind(carrier, Nat::new(inside), inside);
            let host = client(&mut world, n);
            world.add_behind(home, host, HOME.parse().unwrap())
        });
        let clients = clients.collect();
        Self { world, gateway, clients }
    }

    fn wait_all_up(&mut self) {
        let clients = self.clients.clone();
        self.world.run_till("all connected", LIMIT, |w| {
            clients.iter().all(|id| {
                if let Some(down) = w.client(*id).down() {
                    panic!("{down:?}");
                }
                w.client(*id).up().is_some()
            })
        });
    }

    /// Every client sends its own payload until it came back.
    fn all_talk(&mut self, word: &str) {
        let payload = |n: usize| format!("{word} of client {n}").into_bytes();
        for _ in 0..50 {
            let mut left = 0;
            for (n, id) in self.clients.clone().into_iter().enumerate() {
                let wanted = payload(n);
                if self.world.client(id).echoes.contains(&wanted) {
                    continue;
                }
                left += 1;
                self.world.with_client(id, |c, now| c.send(&wanted, now));
            }
            if left == 0 {
                return;
            }
            self.world.run_for(Duration::from_millis(200));
        }
        panic!("not everybody got its {word} back");
    }

    /// Nobody has ever got what another sent.
    fn assert_no_crosstalk(&mut self) {
        for (n, id) in self.clients.clone().into_iter().enumerate() {
            let own = format!(" of client {n}");
            for echo in &self.world.client(id).echoes {
                let text = String::from_utf8_lossy(echo);
                assert!(text.ends_with(&own), "client {n} got {text:?}");
            }
        }
        let sessions = self.world.gateway(self.gateway).machine.sessions();
        let up: Vec<_> = sessions.iter().filter(|s| s.up).collect();
        assert_eq!(up.len(), CLIENTS);
    }
}

fn client(world: &mut World, n: usize) -> ClientHost {
    let config = settings::client_as(Profile::Windows10, HOME, &format!("user{n}"));
    ClientHost::new(config, &mut world.rng, world.now)
}

fn a_day_in_town(seed: u64, impairment: Impairment) {
    let mut town = Town::new(seed, impairment);
    town.wait_all_up();
    town.all_talk("morning");
    for id in town.clients.clone() {
        town.world.with_client(id, |c, now| c.act(now, Client::rekey_child));
    }
    town.all_talk("rekey");
    town.world.run_for(Duration::from_secs(30));
    town.all_talk("noon");
    for (n, id) in town.clients.clone().into_iter().enumerate().step_by(3) {
        let host = client(&mut town.world, n);
        town.world.restart_client(id, host);
    }
    town.wait_all_up();
    town.all_talk("afternoon");
    // The gateway's view of those who came back is one session each.
    town.world.run_for(Duration::from_mins(2));
    town.all_talk("evening");
    town.assert_no_crosstalk();
    assert_eq!(town.world.gateway(town.gateway).machine.sessions().len(), CLIENTS);
}

#[test]
fn sixty_alike_behind_one_address_rekey_and_reconnect_without_crosstalk() {
    a_day_in_town(11, Impairment::default());
}

#[test]
fn sixty_alike_do_so_on_a_lossy_path_too() {
    for seed in seeds(1) {
        a_day_in_town(seed, Impairment::lossy(5));
    }
}
