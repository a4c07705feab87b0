//! A PPP peer made of bytes: what it sends, what it saw, and what must hold for the link at all times.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use isthmus_core::{Duration, Instant, SecretBytes};
use isthmus_ppp::auth::AuthenticatorResponse;
use isthmus_ppp::iana::Protocol;
use isthmus_ppp::{
    Action, AuthProtocol, AuthRequest, ClientConfig, Frame, Ipv6Up, Link, LinkConfig, NetworkUp,
    Refusal, Role, ServerConfig, Stage, Verdict,
};

use crate::Step;

/// The address a login is given.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 7);
/// The server's address.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);

/// A link and the peer at its other end.
pub struct Line {
    link: Link,
    now: Instant,
    /// The last request sent in each protocol: identifier and data.
    requests: BTreeMap<u16, (u8, Vec<u8>)>,
    login: Option<AuthRequest>,
    /// A verdict let the peer in, and it has not had to begin again since.
    accepted: bool,
    up: Option<NetworkUp>,
    ipv6: Option<Ipv6Up>,
    down: bool,
}

/// The configuration of a server that takes these protocols.
pub fn server(auth: &[AuthProtocol]) -> LinkConfig {
    with_ipv6(Role::Server(ServerConfig {
        auth: auth.to_vec(),
        name: b"isthmus".to_vec(),
        local_address: GATEWAY,
        auth_retries: 1,
    }))
}

/// The configuration of a client that takes these protocols.
pub fn client(auth: &[AuthProtocol], require_auth: bool) -> LinkConfig {
    with_ipv6(Role::Client(ClientConfig {
        user: b"CORP\\User".to_vec(),
        password: SecretBytes::copy_of(b"clientPass"),
        auth: auth.to_vec(),
        require_auth,
        address: None,
        request_dns: true,
    }))
}

fn with_ipv6(role: Role) -> LinkConfig {
    LinkConfig { ipv6: true, ..LinkConfig::new(role) }
}

impl Line {
    /// A link that has begun to negotiate.
    pub fn new(config: LinkConfig) -> Self {
        let provider = isthmus_crypto_aws::provider();
        let now = Instant::from_secs(1000);
        let mut line = Self {
            link: Link::new(Arc::new(config), provider, [5; 32], now),
            now,
            requests: BTreeMap::new(),
            login: None,
            accepted: false,
            up: None,
            ipv6: None,
            down: false,
        };
        line.link.open(now);
        line.settle();
        line
    }

    /// Opens LCP; the link's request is acknowledged, and asks for nothing but `options` itself.
    pub fn open_lcp(&mut self, options: &[u8]) {
        self.answer(&[0, 2]);
        self.settle();
        self.send(Protocol::LCP, 1, 1, options);
        self.settle();
    }

    /// Sends an EAP packet: code, identifier, and the rest behind a right length. Identifier 0xee is that of
    /// the link's last request.
    pub fn eap(&mut self, bytes: &[u8]) {
        let eap = PROTOCOLS.iter().position(|protocol| *protocol == Protocol::EAP);
        let eap = u8::try_from(eap.unwrap()).unwrap();
        self.packet(&[&[eap], bytes].concat());
        self.settle();
    }

    /// What was agreed, while the network is up.
    pub fn up(&self) -> Option<&NetworkUp> {
        self.up.as_ref()
    }

    /// Whether a verdict let the peer in.
    pub fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Does one step.
    pub fn step(&mut self, step: Step<'_>) {
        match step.op % 8 {
            0 => self.frame(step.bytes),
            1 | 2 => self.packet(step.bytes),
            3 => self.answer(step.bytes),
            4 => {
                let ticks = step.bytes.first_chunk().map_or(1, |wait| u16::from_be_bytes(*wait));
                self.now = self.now + Duration::from_millis(u64::from(ticks));
                self.link.handle_timeout(self.now);
            }
            5 => self.judge(true),
            6 => self.judge(false),
            _ => self.link.peer_alive(self.now),
        }
        self.settle();
    }

    /// Hangs up and waits: the link must end, whatever happened before.
    pub fn end(mut self) {
        self.link.close(isthmus_ppp::CloseReason::Admin, self.now);
        self.settle();
        let mut rounds = 0;
        while let Some(due) = self.link.poll_timeout().filter(|_| !self.down) {
            self.now = self.now.max(due.at);
            self.link.handle_timeout(self.now);
            self.settle();
            rounds += 1;
            assert!(rounds < 1000, "timers without end");
        }
        assert!(self.down && self.link.down_reason().is_some());
    }

    fn frame(&mut self, bytes: &[u8]) {
        let before = (self.link.stage(), self.link.network(), self.link.poll_timeout());
        if self.link.handle_frame(bytes, self.now).is_err() {
            let after = (self.link.stage(), self.link.network(), self.link.poll_timeout());
            assert_eq!(after, before, "a refused frame changed something");
            assert!(self.link.poll_action().is_none(), "a refused frame was answered");
        }
    }

    /// A control packet with a right length: protocol, code, identifier, data. Identifier 0xee is
    /// that of the link's last request.
    fn packet(&mut self, bytes: &[u8]) {
        let [protocol, code, id, data @ ..] = bytes else { return };
        let protocol = PROTOCOLS[usize::from(*protocol) % PROTOCOLS.len()];
        let asked = self.requests.get(&protocol.0).map_or(0, |(id, _)| *id);
        let id = if *id == 0xee { asked } else { *id };
        self.send(protocol, *code, id, data);
    }

    /// Acknowledges the link's last request, or says something else about the same options.
    fn answer(&mut self, bytes: &[u8]) {
        let [protocol, code, ..] = bytes else { return };
        let protocol = PROTOCOLS[usize::from(*protocol) % PROTOCOLS.len()];
        if let Some((id, data)) = self.requests.get(&protocol.0).cloned() {
            self.send(protocol, *code, id, &data);
        }
    }

    fn send(&mut self, protocol: Protocol, code: u8, id: u8, data: &[u8]) {
        let len = u16::try_from(data.len() + 4).unwrap().to_be_bytes();
        let body = [&[code, id][..], &len, data].concat();
        self.frame(&Frame { protocol, body: &body }.write());
    }

    fn judge(&mut self, good: bool) {
        let Some(request) = self.login.clone() else { return };
        let verdict = if good {
            let proof = Some(AuthenticatorResponse([7; 20]));
            Verdict::Accept { address: ADDRESS, dns: vec![GATEWAY], proof }
        } else {
            Verdict::Refuse { reason: Refusal::BadCredentials }
        };
        if self.link.handle_verdict(request.ticket, verdict, self.now).is_ok() {
            self.login = None;
            self.accepted = good;
        }
    }

    /// Takes what the link wants done and checks that it may want it.
    fn settle(&mut self) {
        if matches!(self.link.stage(), Stage::Lcp) {
            self.accepted = false;
        }
        while let Some(action) = self.link.poll_action() {
            assert!(!self.down, "something follows Down");
            match action {
                Action::Transmit(bytes) => self.note(&bytes),
                Action::Authenticate(request) => self.login = Some(request),
                Action::Up(network) => {
                    assert!(self.up.is_none(), "up twice");
                    self.up = Some(network);
                }
                Action::Ipv6Up(ipv6) => {
                    assert!(self.ipv6.replace(ipv6).is_none(), "IPv6 up twice");
                    assert_ne!(ipv6.local, ipv6.remote);
                }
                Action::Ipv6Down => assert!(self.ipv6.take().is_some(), "down without up"),
                Action::NetworkDown => assert!(self.up.take().is_some(), "down without up"),
                Action::Down(_) => {
                    self.up = None;
                    self.ipv6 = None;
                    self.down = true;
                }
            }
        }
        assert_eq!(self.link.network(), self.up);
        assert_eq!(self.link.ipv6(), self.ipv6);
        if let Some(network) = &self.up {
            assert!(network.peer_mru >= isthmus_ppp::MRU_MIN);
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        let frame = Frame::read(bytes).unwrap();
        let [code, id, high, low, data @ ..] = frame.body else { panic!("no header") };
        assert_eq!(usize::from(u16::from_be_bytes([*high, *low])), frame.body.len());
        if *code == 1 {
            self.requests.insert(frame.protocol.0, (*id, data.to_vec()));
        }
    }
}

const PROTOCOLS: [Protocol; 7] = [
    Protocol::LCP,
    Protocol::IPCP,
    Protocol::PAP,
    Protocol::CHAP,
    Protocol::IPV6CP,
    Protocol::CCP,
    Protocol::EAP,
];
