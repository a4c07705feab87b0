//! The network of the scripts: node 0 is the server, the others are clients.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{boxed::Box, format, vec};
use core::net::{IpAddr, SocketAddr};

use isthmus_core::{Duration, Instant, Path, SecretBytes};
use isthmus_crypto::{EspSuite, Provider};

use crate::codec::Message;
use crate::*;

pub(super) const SERVER_PUBLIC: &str = "198.51.100.1";
pub(super) const SERVER_PRIVATE: &str = "10.0.0.5";
pub(super) const NAT_PUBLIC: &str = "203.0.113.5";
pub(super) const SECRET: &[u8] = b"correct horse battery staple";

/// Who is behind a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nat {
    Neither,
    Client,
    Server,
    Both,
}

impl Nat {
    pub(super) const ALL: [Self; 4] = [Self::Neither, Self::Client, Self::Server, Self::Both];

    pub(super) fn client(self) -> bool {
        matches!(self, Self::Client | Self::Both)
    }

    pub(super) fn server(self) -> bool {
        matches!(self, Self::Server | Self::Both)
    }
}

/// What happens to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Deliver,
    Drop,
    Duplicate,
    /// Delivered after the next one, or after a while.
    Late,
}

/// Decides what happens to a datagram, given its number.
type Judge = dyn FnMut(usize, &Packet) -> Fate;

/// A datagram under way, with the addresses as the receiver sees them.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) path: Path,
    pub(super) marked: bool,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Node {
    pub(super) endpoint: Endpoint,
    pub(super) ip: IpAddr,
    pub(super) inbound: BTreeMap<u32, InstallInbound>,
    /// By peer and SPI: SPIs of different peers may be equal.
    pub(super) outbound: BTreeMap<(PeerId, u32), InstallOutbound>,
    pub(super) up: BTreeMap<PeerId, PeerUp>,
    pub(super) down: Vec<(PeerId, DownReason)>,
    pub(super) failed: Vec<Failure>,
    pub(super) children: Vec<ChildUp>,
    pub(super) keepalives: usize,
    pub(super) moved: Vec<(PeerId, Path)>,
    pub(super) rekeyed: usize,
    /// Names of all actions in order.
    pub(super) log: Vec<String>,
}

pub(super) struct Net {
    pub(super) nodes: Vec<Node>,
    pub(super) nat: Nat,
    pub(super) now: Instant,
    pub(super) flight: VecDeque<Packet>,
    late: Vec<Packet>,
    fate: Box<Judge>,
    /// Everything ever sent.
    pub(super) sent: Vec<Packet>,
    /// NAT port mappings shift by this: a rebinding.
    pub(super) rebound: u16,
    /// What node 0 sent to addresses of no node: to fakes.
    pub(super) taken: VecDeque<Packet>,
    /// Results of `handle_datagram`.
    pub(super) rejected: Vec<(usize, Rejected)>,
    /// Computations are kept until asked for.
    pub(super) hold_jobs: bool,
    pub(super) jobs: Vec<(usize, JobId, isthmus_crypto::Job)>,
    provider: Arc<dyn Provider>,
}

/// What gateways accept unless told more.
const SUITES: [EspSuite; 8] = [
    EspSuite::Aes256Gcm16,
    EspSuite::Aes128Gcm16,
    EspSuite::Aes256CbcSha256,
    EspSuite::Aes128CbcSha256,
    EspSuite::Aes256CbcSha1,
    EspSuite::Aes192CbcSha1,
    EspSuite::Aes128CbcSha1,
    EspSuite::TripleDesSha1,
];

pub(super) fn server_config() -> Config {
    let secret = SecretBytes::copy_of(SECRET);
    Config {
        psks: vec![Psk { id: PskId(7), secret, remote: None }],
        ike: IkeProposal::acceptable(true),
        esp: SUITES.to_vec(),
        legacy: true,
        ..Config::default()
    }
}

pub(super) fn client_config() -> Config {
    Config { psks: Vec::new(), ike: IkeProposal::offered(true), ..server_config() }
}

impl Net {
    /// A server behind a 1:1 NAT, for fakes.
    pub(super) fn server(config: Config) -> Self {
        let mut net = Self::new(Nat::Both, config, client_config());
        net.nodes.truncate(1);
        net
    }

    /// A server and one client.
    pub(super) fn new(nat: Nat, server: Config, client: Config) -> Self {
        let mut net = Self {
            nodes: Vec::new(),
            nat,
            now: Instant::from_secs(1000),
            flight: VecDeque::new(),
            late: Vec::new(),
            fate: Box::new(|_, _| Fate::Deliver),
            sent: Vec::new(),
            rebound: 0,
            taken: VecDeque::new(),
            rejected: Vec::new(),
            hold_jobs: false,
            jobs: Vec::new(),
            provider: isthmus_crypto_aws::provider(),
        };
        let ip = if nat.server() { SERVER_PRIVATE } else { SERVER_PUBLIC };
        net.add(ip, server);
        net.add_client(client);
        net
    }

    pub(super) fn simple(nat: Nat) -> Self {
        Self::new(nat, server_config(), client_config())
    }

    /// Every client behind the NAT has the same private address.
    pub(super) fn add_client(&mut self, config: Config) -> usize {
        if self.nat.client() {
            self.add("192.168.1.10", config)
        } else {
            let ip = format!("192.0.2.{}", self.nodes.len());
            self.add(&ip, config)
        }
    }

    fn add(&mut self, ip: &str, config: Config) -> usize {
        let index = self.nodes.len();
        let seed = [u8::try_from(index + 1).unwrap(); 32];
        let provider = Arc::clone(&self.provider);
        self.nodes.push(Node {
            endpoint: Endpoint::new(Arc::new(config), provider, seed, self.now),
            ip: ip.parse().unwrap(),
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            up: BTreeMap::new(),
            down: Vec::new(),
            failed: Vec::new(),
            children: Vec::new(),
            keepalives: 0,
            moved: Vec::new(),
            rekeyed: 0,
            log: Vec::new(),
        });
        index
    }

    pub(super) fn fate(&mut self, fate: impl FnMut(usize, &Packet) -> Fate + 'static) {
        self.fate = Box::new(fate);
    }

    pub(super) fn path_of(&self, client: usize, port: u16) -> Path {
        let remote = SocketAddr::new(SERVER_PUBLIC.parse().unwrap(), port);
        Path::new(SocketAddr::new(self.nodes[client].ip, port), remote)
    }

    pub(super) fn params(&self, client: usize) -> Connect {
        let (ike, nat_t) = (self.path_of(client, 500), self.path_of(client, 4500));
        Connect::l2tp(ike, nat_t, SecretBytes::copy_of(SECRET))
    }

    pub(super) fn connect(&mut self, client: usize) -> PeerId {
        let params = self.params(client);
        self.connect_with(client, params)
    }

    pub(super) fn connect_with(&mut self, client: usize, params: Connect) -> PeerId {
        let peer = self.nodes[client].endpoint.connect(params, self.now).unwrap();
        self.drain(client);
        peer
    }

    /// A client's address as the server sees it.
    pub(super) fn outside(&self, client: usize, local: SocketAddr) -> SocketAddr {
        if client == 0 || !self.nat.client() {
            return local;
        }
        let base = 20_000 + u16::try_from(client).unwrap() * 10 + self.rebound;
        let port = base + u16::from(local.port() == 4500);
        SocketAddr::new(NAT_PUBLIC.parse().unwrap(), port)
    }

    fn route(&self, from: usize, path: Path) -> Option<(usize, Path)> {
        if from != 0 && path.remote.ip().to_string() != SERVER_PUBLIC {
            return None;
        }
        if from != 0 {
            let remote = self.outside(from, path.local);
            let local = SocketAddr::new(self.nodes[0].ip, path.remote.port());
            return Some((0, Path::new(local, remote)));
        }
        let public = SocketAddr::new(SERVER_PUBLIC.parse().unwrap(), path.local.port());
        (1..self.nodes.len()).find_map(|client| {
            [500, 4500].into_iter().find_map(|port| {
                let local = SocketAddr::new(self.nodes[client].ip, port);
                let hit = self.outside(client, local) == path.remote;
                hit.then(|| (client, Path::new(local, public)))
            })
        })
    }

    /// Takes a node's actions and puts its datagrams into flight.
    pub(super) fn drain(&mut self, index: usize) {
        while let Some(action) = self.nodes[index].endpoint.poll_action() {
            if let Action::Transmit { path, marked, bytes, .. } = action {
                self.nodes[index].log.push("transmit".to_string());
                if let Some((to, path)) = self.route(index, path) {
                    self.launch(Packet { from: index, to, path, marked, bytes });
                } else {
                    let packet = Packet { from: index, to: index, path, marked, bytes };
                    self.taken.push_back(packet);
                }
            } else if let Action::Offload { id, job } = action {
                self.nodes[index].log.push("offload".to_string());
                self.jobs.push((index, id, job));
            } else {
                self.nodes[index].note(action);
            }
        }
        if !self.hold_jobs {
            self.work();
        }
    }

    /// Loses the computations that wait: they fail as if the provider could not do them.
    pub(super) fn skip_jobs(&mut self) {
        for (node, id, _) in core::mem::take(&mut self.jobs) {
            let failed = Err(isthmus_crypto::CryptoError::Unsupported);
            self.nodes[node].endpoint.handle_job(id, failed, self.now);
        }
    }

    /// Does the computations that wait.
    pub(super) fn work(&mut self) {
        for (node, id, job) in core::mem::take(&mut self.jobs) {
            let result = job.run(&*self.provider);
            self.nodes[node].endpoint.handle_job(id, result, self.now);
            self.drain(node);
        }
    }

    fn launch(&mut self, packet: Packet) {
        let fate = (self.fate)(self.sent.len(), &packet);
        self.sent.push(packet.clone());
        match fate {
            Fate::Drop => return,
            Fate::Late => return self.late.push(packet),
            Fate::Duplicate => self.flight.push_back(packet.clone()),
            Fate::Deliver => {}
        }
        self.flight.push_back(packet);
        let late = core::mem::take(&mut self.late);
        self.flight.extend(late);
    }

    /// Delivers a datagram, whoever made it.
    pub(super) fn deliver(&mut self, packet: &Packet) -> Result<(), Rejected> {
        let node = &mut self.nodes[packet.to].endpoint;
        let result = node.handle_datagram(packet.path, packet.marked, &packet.bytes, self.now);
        if let Err(rejected) = result {
            self.rejected.push((packet.to, rejected));
        }
        self.drain(packet.to);
        result
    }

    /// Delivers everything in flight without letting time pass.
    pub(super) fn flow(&mut self) {
        while let Some(packet) = self.flight.pop_front() {
            let _ = self.deliver(&packet);
        }
    }

    /// Lets time pass, with everything that happens meanwhile.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.flow();
            if !self.late.is_empty() {
                let late = core::mem::take(&mut self.late);
                self.flight.extend(late);
                continue;
            }
            let next =
                self.nodes.iter().filter_map(|node| node.endpoint.poll_timeout()).map(|d| d.at);
            match next.min().filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
            for index in 0..self.nodes.len() {
                self.nodes[index].endpoint.handle_timeout(self.now);
                self.drain(index);
            }
        }
        self.now = end;
    }

    pub(super) fn run_secs(&mut self, secs: u64) {
        self.run(Duration::from_secs(secs));
    }

    /// The server's only peer.
    pub(super) fn server_peer(&self) -> PeerId {
        assert_eq!(self.nodes[0].up.len(), 1, "peers of the server");
        *self.nodes[0].up.keys().next().unwrap()
    }

    /// Both ends have exactly `children` children, with the same keys crosswise.
    #[track_caller]
    pub(super) fn assert_agreed(&self, client: usize, children: usize) {
        let (c, s) = (&self.nodes[client], &self.nodes[0]);
        assert_eq!(c.inbound.len(), children, "client inbound");
        assert_eq!(c.outbound.len(), children, "client outbound");
        for ((_, spi), outbound) in &c.outbound {
            let inbound = s.inbound.get(spi).expect("the server takes what the client sends");
            assert_eq!(inbound.suite, outbound.suite);
            assert_eq!(inbound.encap, outbound.encap);
            assert_eq!(inbound.keys.cipher, outbound.keys.cipher);
            assert_eq!(inbound.keys.integrity, outbound.keys.integrity);
        }
        for (spi, inbound) in &c.inbound {
            let same =
                |sa: &&InstallOutbound| sa.spi == *spi && sa.keys.cipher == inbound.keys.cipher;
            let outbound = s.outbound.values().find(same);
            let outbound = outbound.expect("the server sends what the client takes");
            assert_eq!(inbound.suite, outbound.suite);
            assert_eq!(inbound.keys.integrity, outbound.keys.integrity);
            assert_ne!(inbound.keys.cipher, c.outbound.values().next().unwrap().keys.cipher);
        }
        if self.nodes.len() == 2 {
            assert_eq!(s.inbound.len(), children, "server inbound");
            assert_eq!(s.outbound.len(), children, "server outbound");
        }
        for node in [c, s] {
            assert_eq!(node.endpoint.inbound_spis(), node.inbound.len(), "SPIs leaked");
        }
    }

    /// Both ends have forgotten everything.
    #[track_caller]
    pub(super) fn assert_nothing_left(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            assert!(node.inbound.is_empty() && node.outbound.is_empty(), "node {index} has SAs");
            let endpoint = &node.endpoint;
            assert_eq!(endpoint.peers(), 0, "node {index} has peers");
            assert_eq!(endpoint.ike_sas(), 0, "node {index} has IKE SAs");
            assert_eq!(endpoint.inbound_spis(), 0, "node {index} has SPIs");
            assert_eq!(endpoint.half_open(), 0, "node {index} has half-open exchanges");
            assert_eq!(endpoint.poll_timeout(), None, "node {index} has timers");
        }
    }

    /// Bytes sent by a node.
    pub(super) fn bytes_from(&self, node: usize) -> usize {
        self.sent.iter().filter(|p| p.from == node).map(|p| p.bytes.len()).sum()
    }
}

impl Node {
    fn note(&mut self, action: Action) {
        let name = match action {
            Action::ChildUp(child) => {
                assert!(self.inbound.contains_key(&child.inbound), "inbound missing");
                assert!(
                    self.outbound.contains_key(&(child.peer, child.outbound)),
                    "outbound missing"
                );
                self.children.push(child);
                "child up"
            }
            Action::Failed(failure) => {
                self.failed.push(failure);
                "failed"
            }
            Action::InstallInbound(sa) => {
                assert!(self.up.contains_key(&sa.peer), "a child of nobody");
                assert!(self.inbound.insert(sa.spi, sa).is_none(), "installed twice");
                "install inbound"
            }
            Action::InstallOutbound(sa) => {
                assert!(self.outbound.insert((sa.peer, sa.spi), sa).is_none(), "installed twice");
                "install outbound"
            }
            Action::Keepalive { .. } => {
                self.keepalives += 1;
                "keepalive"
            }
            Action::PathMoved { peer, path, .. } => {
                self.moved.push((peer, path));
                "path moved"
            }
            Action::PeerDown { peer, reason } => {
                assert!(self.up.remove(&peer).is_some(), "down without up");
                assert!(self.inbound.values().all(|sa| sa.peer != peer), "inbound left behind");
                assert!(self.outbound.values().all(|sa| sa.peer != peer), "outbound left behind");
                self.down.push((peer, reason));
                "peer down"
            }
            Action::PeerRekeyed { .. } => {
                self.rekeyed += 1;
                "peer rekeyed"
            }
            Action::PeerUp(up) => {
                assert!(self.up.insert(up.peer, up).is_none(), "up twice");
                "peer up"
            }
            Action::RemoveInbound { spi, .. } => {
                assert!(self.inbound.remove(&spi).is_some(), "removed what was not there");
                "remove inbound"
            }
            Action::RemoveOutbound { peer, spi } => {
                assert!(self.outbound.remove(&(peer, spi)).is_some(), "removed what was not there");
                "remove outbound"
            }
            Action::Offload { .. } | Action::Transmit { .. } => return,
        };
        self.log.push(name.to_string());
    }
}

/// The exchange type of a datagram.
pub(super) fn exchange_of(packet: &Packet) -> iana::ExchangeType {
    Message::read(&packet.bytes).unwrap().header.exchange
}
