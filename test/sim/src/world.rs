//! The loop: packets, timers and jobs in order of virtual time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use isthmus_core::{Duration, Instant, Rng};

use crate::checks::{Wire, unique};
use crate::client::ClientHost;
use crate::gateway::GatewayHost;
use crate::lac::LacHost;
use crate::nat::Nat;
use crate::network::{Impairment, Packet};
use crate::node::Node;

/// A node of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(usize);

/// Everything.
pub struct World {
    /// The time.
    pub now: Instant,
    /// Randomness for everything.
    pub rng: Rng,
    /// How bad the network is.
    pub impairment: Impairment,
    /// Whether a packet on the outside is dropped, as by a firewall on the way.
    pub firewall: Option<fn(&Packet) -> bool>,
    nodes: Vec<Box<dyn Node>>,
    /// Who has an address on the outside.
    public: BTreeMap<IpAddr, NodeId>,
    /// Hosts behind a NAT, by NAT and inside address.
    inside: BTreeMap<(NodeId, IpAddr), NodeId>,
    /// The NAT a host is behind.
    uplink: BTreeMap<NodeId, NodeId>,
    flight: BTreeMap<(Instant, u64), (NodeId, Packet)>,
    serial: u64,
    wire: Wire,
    seed: u64,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            now: Instant::from_secs(1),
            rng: Rng::new(bytes),
            impairment: Impairment::default(),
            firewall: None,
            nodes: Vec::new(),
            public: BTreeMap::new(),
            inside: BTreeMap::new(),
            uplink: BTreeMap::new(),
            flight: BTreeMap::new(),
            serial: 0,
            wire: Wire::default(),
            seed,
        }
    }

    /// Adds a node with an address on the outside.
    pub fn add(&mut self, node: impl Node + 'static, address: IpAddr) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Box::new(node));
        self.public.insert(address, id);
        self.pick_up(id);
        id
    }

    /// Gives a node another address on the outside.
    pub fn also_at(&mut self, node: NodeId, address: IpAddr) {
        self.public.insert(address, node);
    }

    /// Adds a host behind a NAT, or another NAT: hosts behind different NATs may have the same address
    /// although those are behind one in turn.
    pub fn add_behind(&mut self, nat: NodeId, node: impl Node + 'static, at: IpAddr) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Box::new(node));
        self.inside.insert((nat, at), id);
        self.uplink.insert(id, nat);
        self.pick_up(id);
        id
    }

    /// Another node takes the place of one: what the old one knew is lost.
    pub fn replace(&mut self, id: NodeId, node: impl Node + 'static) {
        self.nodes[id.0] = Box::new(node);
        self.pick_up(id);
    }

    /// A client starts afresh: what the old one knew is lost, and it has said nothing.
    pub fn restart_client(&mut self, id: NodeId, client: ClientHost) {
        let mut outermost = id;
        while let Some(nat) = self.uplink.get(&outermost) {
            outermost = *nat;
        }
        let seen = self.public.iter().find(|(_, node)| **node == outermost).map(|(ip, _)| *ip);
        if let Some(ip) = seen {
            self.wire.forget(ip);
        }
        self.replace(id, client);
    }

    /// A gateway, to look inside.
    ///
    /// # Panics
    /// When the node is something else.
    pub fn gateway(&mut self, id: NodeId) -> &mut GatewayHost {
        self.nodes[id.0].as_any().downcast_mut().expect("a gateway")
    }

    /// A client, to look inside.
    ///
    /// # Panics
    /// When the node is something else.
    pub fn client(&mut self, id: NodeId) -> &mut ClientHost {
        self.nodes[id.0].as_any().downcast_mut().expect("a client")
    }

    /// A LAC, to look inside.
    ///
    /// # Panics
    /// When the node is something else.
    pub fn lac(&mut self, id: NodeId) -> &mut LacHost {
        self.nodes[id.0].as_any().downcast_mut().expect("a LAC")
    }

    /// Does something to a LAC and sends what it then wants to send.
    pub fn with_lac(&mut self, id: NodeId, act: impl FnOnce(&mut LacHost, Instant)) {
        let now = self.now;
        act(self.lac(id), now);
        self.pick_up(id);
    }

    /// Does something to a client and sends what it then wants to send.
    pub fn with_client(&mut self, id: NodeId, act: impl FnOnce(&mut ClientHost, Instant)) {
        let now = self.now;
        act(self.client(id), now);
        self.pick_up(id);
    }

    /// Does something to a gateway and sends what it then wants to send.
    pub fn with_gateway(&mut self, id: NodeId, act: impl FnOnce(&mut GatewayHost, Instant)) {
        let now = self.now;
        act(self.gateway(id), now);
        self.pick_up(id);
    }

    /// A host may speak L2TP without IPsec; everybody else fails the simulation by it.
    pub fn allow_plain(&mut self, address: IpAddr) {
        self.wire.plain.insert(address);
    }

    /// A NAT forgets its mappings.
    ///
    /// # Panics
    /// When the node is something else.
    pub fn rebind(&mut self, nat: NodeId) {
        self.nodes[nat.0].as_any().downcast_mut::<Nat>().expect("a NAT").rebind();
    }

    /// Runs for some time.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Runs until `done`, at most for `limit`.
    ///
    /// # Panics
    /// When it takes longer, with the seed.
    pub fn run_till(&mut self, what: &str, limit: Duration, done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        let reached = self.run_until(end, done);
        assert!(reached, "SIM_SEED={}: not within {limit:?}: {what}", self.seed);
    }

    fn run_until(&mut self, end: Instant, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let packet = self.flight.first_key_value().map(|((at, _), _)| *at);
            let timers = self.nodes.iter().filter_map(|node| node.poll_timeout());
            let Some(next) = timers.chain(packet).min().filter(|next| *next <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    /// Delivers what is due and lets time pass where it must.
    fn step(&mut self) {
        while let Some(entry) = self.flight.first_entry().filter(|e| e.key().0 <= self.now) {
            let (id, packet) = entry.remove();
            self.nodes[id.0].handle_packet(packet, self.now);
            self.pick_up(id);
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].poll_timeout().is_some_and(|at| at <= self.now) {
                self.nodes[index].handle_timeout(self.now);
                self.pick_up(NodeId(index));
            }
        }
        self.check();
    }

    fn check(&mut self) {
        for node in &mut self.nodes {
            if let Some(gateway) = node.as_any().downcast_mut::<GatewayHost>() {
                let sessions = gateway.machine.sessions();
                let addresses = sessions.iter().filter_map(|s| Some((&s.tenant, s.address?)));
                unique("inner address", addresses);
            }
        }
    }

    /// Puts what a node sends on its way.
    fn pick_up(&mut self, id: NodeId) {
        for packet in self.nodes[id.0].take_packets() {
            if let Some(host) = self.inside.get(&(id, packet.to.ip())).copied() {
                // What a NAT sends inside has an inside destination; the last hop is perfect.
                self.fly(host, packet, Duration::ZERO);
            } else if let Some(nat) = self.uplink.get(&id).copied() {
                self.look(id, &packet);
                let nat_node = self.nodes[nat.0].as_any().downcast_mut::<Nat>().expect("a NAT");
                nat_node.outward(packet);
                self.pick_up(nat);
            } else {
                self.look(id, &packet);
                self.route(&packet);
            }
        }
    }

    /// Checks what a host sends, where it sends it.
    fn look(&mut self, from: NodeId, packet: &Packet) {
        if self.nodes[from.0].as_any().downcast_ref::<Nat>().is_none() {
            self.wire.look(packet);
        }
    }

    fn route(&mut self, packet: &Packet) {
        if self.firewall.is_some_and(|drops| drops(packet)) {
            return;
        }
        let Some(to) = self.public.get(&packet.to.ip()).copied() else { return };
        for delay in self.impairment.arrivals(&mut self.rng) {
            self.fly(to, packet.clone(), delay);
        }
    }

    fn fly(&mut self, to: NodeId, packet: Packet, delay: Duration) {
        self.serial += 1;
        self.flight.insert((self.now + delay, self.serial), (to, packet));
    }
}

/// An address with a port.
pub(crate) fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

/// The seeds to run: `SIM_SEED` alone when set, else `count` of them.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=count).collect(),
    }
}
