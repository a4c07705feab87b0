//! What most tests begin with: a gateway, clients that dial it, and something sent through.
#![expect(clippy::panic, reason = "a library for tests: what is wrong fails the test by panicking")]

use std::net::IpAddr;
use std::sync::Arc;

use isthmus_core::Duration;
use isthmus_gateway::Config;

use crate::client::ClientHost;
use crate::gateway::GatewayHost;
use crate::nat::Nat;
use crate::settings::GATEWAY;
use crate::world::{NodeId, World};

impl World {
    /// A world with a gateway at [`GATEWAY`] in it.
    pub fn around(seed: u64, config: Config) -> (Self, NodeId) {
        let mut world = Self::new(seed);
        let gateway = GatewayHost::new(Arc::new(config), &mut world.rng, world.now);
        let id = world.add(gateway, GATEWAY.parse().expect("an address"));
        (world, id)
    }

    /// A NAT with the address `public` on the outside.
    pub fn add_nat(&mut self, public: &str) -> NodeId {
        let public = public.parse().expect("an address");
        self.add(Nat::new(public), public)
    }

    /// A client that begins to dial, from the address in its configuration.
    pub fn dial(&mut self, config: isthmus_client::Config) -> NodeId {
        let at = address(&config);
        let host = ClientHost::new(config, &mut self.rng, self.now);
        self.add(host, at)
    }

    /// The same behind `nat`.
    pub fn dial_behind(&mut self, nat: NodeId, config: isthmus_client::Config) -> NodeId {
        let at = address(&config);
        let host = ClientHost::new(config, &mut self.rng, self.now);
        self.add_behind(nat, host, at)
    }

    /// Runs until a client is connected, at most for `limit`.
    ///
    /// # Panics
    /// When it ends, or takes longer.
    pub fn wait_up(&mut self, client: NodeId, limit: Duration) {
        self.run_till("connected", limit, |w| {
            if let Some(down) = w.client(client).down() {
                panic!("{down:?}");
            }
            w.client(client).up().is_some()
        });
    }

    /// Has a client send a payload until it comes back; on a lossy path once is not enough.
    ///
    /// # Panics
    /// When it does not come back.
    pub fn echo(&mut self, client: NodeId, payload: &[u8]) {
        for _ in 0..50 {
            self.with_client(client, |c, now| c.send(payload, now));
            self.run_for(Duration::from_millis(200));
            if self.client(client).echoes.iter().any(|e| e == payload) {
                return;
            }
        }
        panic!("{payload:?} did not come back");
    }
}

fn address(config: &isthmus_client::Config) -> IpAddr {
    config.plain.unwrap_or(config.ike_path).local.ip()
}
