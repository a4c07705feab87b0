//! A LAC in the world, with its callers: it may answer them itself at first, and hands them over in
//! plain L2TP (RFC 2661 §4.4.5).

use std::sync::Arc;

use isthmus_core::{Instant, Path, Rng, SecretBytes, Seed};
use isthmus_l2tp::avp::{Avp, Bounded, Identifier};
use isthmus_l2tp::iana::ProxyAuthenType;
use isthmus_l2tp::{self as l2tp, SessionId, SessionRef, SessionUp, TunnelId};
use isthmus_ppp::{self as ppp, AuthProtocol, LinkConfig, NetworkUp, Role};

use crate::client::datagram;
use crate::network::Packet;
use crate::node::Node;

/// Somebody who calls, and says who he is.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
    /// What the caller can do, and what the LAC asks for where it answers itself.
    pub auth: AuthProtocol,
    /// The MRU that caller and LAC say.
    pub mru: u16,
    /// How the LAC changes what it hands over; none when it leaves everything to the gateway.
    pub handover: Option<fn(&mut Vec<Avp>)>,
}

/// A call that goes through the LAC.
pub struct Call {
    link: ppp::Link,
    at: SessionRef,
    to: Option<SessionUp>,
    /// What the caller got, while its network is up.
    pub up: Option<NetworkUp>,
    /// How the caller's link ended.
    pub down: Option<ppp::DownReason>,
    /// Why the gateway or the LAC ended the call.
    pub ended: Option<String>,
    /// LCP Configure-Requests exchanged with the gateway.
    pub requests: usize,
    /// IP packets that came for the caller.
    pub packets: usize,
    /// The caller neither hears nor says anything.
    pub silent: bool,
    waits: bool,
}

/// The LAC.
pub struct LacHost {
    path: Path,
    config: l2tp::Config,
    endpoint: l2tp::Endpoint,
    /// In the order they came.
    pub calls: Vec<Call>,
    sent: Vec<Packet>,
    rng: Rng,
}

impl LacHost {
    /// A LAC at one end of `path` that knows the tunnel secret, and hides what it may when told so.
    pub fn new(path: Path, secret: &[u8], hide: bool, rng: &mut Rng, now: Instant) -> Self {
        let mut config = l2tp::Config::lac(b"lac", l2tp::Dialect::isthmus(b"lac"));
        config.secret = Some(SecretBytes::copy_of(secret));
        config.hide = hide;
        let provider = isthmus_crypto_aws::provider();
        let endpoint = l2tp::Endpoint::new(Arc::new(config.clone()), provider, rng.seed(), now);
        let rng = Rng::new(rng.seed());
        Self { path, config, endpoint, calls: Vec::new(), sent: Vec::new(), rng }
    }

    /// Takes a call, in the tunnel there is or a new one. The next one may come when this one is up,
    /// because what is handed over is the same for all calls that wait.
    pub fn dial(&mut self, caller: &Caller, now: Instant) {
        let (link, avps) = match caller.handover {
            Some(change) => {
                let (link, mut avps) = answered(caller, [self.rng.seed(), self.rng.seed()], now);
                change(&mut avps);
                (link, avps)
            }
            None => (caller_link(caller, self.rng.seed(), now), Vec::new()),
        };
        let mut config = self.config.clone();
        config.dialect.iccn.extend(avps.into_iter().map(l2tp::Field::from));
        self.endpoint.set_config(Arc::new(config));
        let tunnel = self.calls.iter().find(|call| call.ended.is_none()).map(|call| call.at.tunnel);
        let at = match tunnel {
            Some(tunnel) => self.endpoint.open_call(tunnel, now),
            None => self.endpoint.open(self.path.remote.port(), now),
        };
        self.calls.push(Call {
            link,
            at: at.expect("room for a call"),
            to: None,
            up: None,
            down: None,
            ended: None,
            requests: 0,
            packets: 0,
            silent: false,
            waits: caller.handover.is_none(),
        });
        self.pump(now);
    }

    /// Sends an IP packet of a caller.
    pub fn send(&mut self, call: usize, payload: &[u8]) {
        let Some(up) = &self.calls[call].up else { return };
        let packet = datagram(up.local.octets(), [10, 9, 9, 9], payload);
        let frame = [&[0xff, 3, 0, 0x21], &packet[..]].concat();
        self.send_frame(call, &frame);
    }

    /// The caller of a call begins anew, as after a restart.
    pub fn restart(&mut self, call: usize, caller: &Caller, now: Instant) {
        let mut link = caller_link(caller, self.rng.seed(), now);
        link.open(now);
        self.calls[call].link = link;
        self.calls[call].up = None;
        self.pump(now);
    }

    fn send_frame(&mut self, call: usize, frame: &[u8]) {
        let Some(to) = &self.calls[call].to else { return };
        let header = l2tp::data::Header::new(to.remote_tunnel, to.remote_session);
        let mut bytes = vec![0; header.len()];
        header.write_into(&mut bytes);
        bytes.extend_from_slice(frame);
        self.send_l2tp(bytes);
    }

    fn send_l2tp(&mut self, bytes: Vec<u8>) {
        let (from, to) = (self.path.local, self.path.remote);
        self.sent.push(Packet { from, to, esp: false, bytes });
    }

    fn pump(&mut self, now: Instant) {
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                l2tp::Action::Transmit { bytes, .. } => self.send_l2tp(bytes),
                l2tp::Action::SessionUp(up) => self.call_up(*up, now),
                l2tp::Action::SessionDown { session, reason } => {
                    if let Some(call) = self.calls.iter_mut().find(|call| call.at == session) {
                        call.ended = Some(reason.to_string());
                    }
                }
                l2tp::Action::PortMoved { .. }
                | l2tp::Action::Refused(_)
                | l2tp::Action::TunnelDown { .. }
                | l2tp::Action::TunnelUp(_) => {}
            }
        }
        for index in 0..self.calls.len() {
            while let Some(action) = self.calls[index].link.poll_action() {
                self.do_link(index, action);
            }
        }
    }

    fn call_up(&mut self, up: SessionUp, now: Instant) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.at == up.session) {
            call.to = Some(up);
            if call.waits {
                call.link.open(now);
            }
        }
    }

    fn do_link(&mut self, index: usize, action: ppp::Action) {
        let call = &mut self.calls[index];
        match action {
            ppp::Action::Transmit(frame) => {
                call.requests += usize::from(is_lcp_request(&frame));
                if !call.silent {
                    self.send_frame(index, &frame);
                }
            }
            ppp::Action::Up(up) => call.up = Some(up),
            ppp::Action::NetworkDown => call.up = None,
            ppp::Action::Down(reason) => {
                (call.up, call.down) = (None, Some(reason));
            }
            ppp::Action::Authenticate(_) | ppp::Action::Ipv6Down | ppp::Action::Ipv6Up(_) => {}
        }
    }

    fn hear_frame(&mut self, bytes: &[u8], now: Instant) {
        let Ok((header, payload)) = l2tp::data::Header::read(bytes) else { return };
        let at = SessionRef { tunnel: TunnelId(header.tunnel), session: SessionId(header.session) };
        let call = self.calls.iter_mut().find(|call| call.at == at && !call.silent);
        let (Some(call), Some(frame)) = (call, bytes.get(payload)) else { return };
        if ppp::split_ip(frame).is_some() {
            call.packets += 1;
        } else {
            call.requests += usize::from(is_lcp_request(frame));
            // What a link refuses shows in what becomes of it.
            let _ = call.link.handle_frame(frame, now);
        }
    }
}

impl Node for LacHost {
    fn handle_packet(&mut self, packet: Packet, now: Instant) {
        if l2tp::is_control(&packet.bytes) {
            let _ = self.endpoint.handle_control(packet.from.port(), &packet.bytes, now);
        } else {
            self.endpoint.peer_alive(now);
            self.hear_frame(&packet.bytes, now);
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        for call in self.calls.iter_mut().filter(|call| !call.silent) {
            call.link.handle_timeout(now);
        }
        self.pump(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let calls = self.calls.iter().filter(|call| !call.silent);
        let links = calls.filter_map(|call| call.link.poll_timeout());
        self.endpoint.poll_timeout().into_iter().chain(links).map(|deadline| deadline.at).min()
    }

    fn take_packets(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.sent)
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// A caller who has told a LAC who he is, and what the LAC says about it.
fn answered(caller: &Caller, seeds: [Seed; 2], now: Instant) -> (ppp::Link, Vec<Avp>) {
    let [ours, theirs] = seeds;
    let mut link = caller_link(caller, theirs, now);
    let role = Role::Server(ppp::ServerConfig {
        auth: vec![caller.auth],
        name: b"lac".to_vec(),
        local_address: [192, 0, 2, 1].into(),
        auth_retries: 0,
    });
    let config = LinkConfig { mru: caller.mru, ..LinkConfig::new(role) };
    let mut lac = ppp::Link::new(Arc::new(config), isthmus_crypto_aws::provider(), ours, now);
    lac.open(now);
    link.open(now);
    let mut told = Told::default();
    loop {
        let frames = transmissions(&mut lac);
        let answers = transmissions(&mut link);
        if frames.is_empty() && answers.is_empty() {
            return (link, told.avps());
        }
        for frame in frames {
            told.note(true, &frame);
            let _ = link.handle_frame(&frame, now);
        }
        for frame in answers {
            told.note(false, &frame);
            let _ = lac.handle_frame(&frame, now);
        }
    }
}

fn transmissions(link: &mut ppp::Link) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(action) = link.poll_action() {
        if let ppp::Action::Transmit(frame) = action {
            frames.push(frame);
        }
    }
    frames
}

fn caller_link(caller: &Caller, seed: Seed, now: Instant) -> ppp::Link {
    let role = Role::Client(ppp::ClientConfig {
        user: caller.user.clone().into_bytes(),
        password: SecretBytes::copy_of(caller.password.as_bytes()),
        auth: AuthProtocol::ALL.to_vec(),
        require_auth: true,
        address: None,
        request_dns: true,
    });
    let config = LinkConfig { mru: caller.mru, echo: None, ..LinkConfig::new(role) };
    ppp::Link::new(Arc::new(config), isthmus_crypto_aws::provider(), seed, now)
}

/// What a LAC hears and says.
#[derive(Default)]
struct Told {
    initial: Option<Vec<u8>>,
    sent: Vec<u8>,
    received: Vec<u8>,
    challenge: Vec<u8>,
    login: Option<(ProxyAuthenType, u8, Vec<u8>, Vec<u8>)>,
}

impl Told {
    /// Frames are FF 03, protocol, code, identifier, length, data.
    fn note(&mut self, is_ours: bool, frame: &[u8]) {
        let [0xff, 3, hi, lo, code, id, _, _, data @ ..] = frame else { return };
        match (u16::from_be_bytes([*hi, *lo]), *code, is_ours) {
            (0xc021, 1, true) => self.sent = data.to_vec(),
            (0xc021, 1, false) => {
                self.initial.get_or_insert_with(|| data.to_vec());
                self.received = data.to_vec();
            }
            (0xc223, 1, true) => self.challenge = data[1..=usize::from(data[0])].to_vec(),
            (0xc223, 2, false) => {
                let (value, name) = data[1..].split_at(usize::from(data[0]));
                self.login = Some((ProxyAuthenType::CHAP, *id, name.to_vec(), value.to_vec()));
            }
            (0xc023, 1, false) => {
                let (name, rest) = data[1..].split_at(usize::from(data[0]));
                self.login = Some((ProxyAuthenType::PAP, *id, name.to_vec(), rest[1..].to_vec()));
            }
            _ => {}
        }
    }

    fn avps(self) -> Vec<Avp> {
        let (kind, id, name, response) = self.login.expect("a login");
        let mut avps = vec![
            Avp::InitialReceivedLcp(Bounded::clipped(&self.initial.unwrap_or_default())),
            Avp::LastSentLcp(Bounded::clipped(&self.sent)),
            Avp::LastReceivedLcp(Bounded::clipped(&self.received)),
            Avp::ProxyAuthenType(kind),
            Avp::ProxyAuthenName(Bounded::clipped(&name)),
            Avp::ProxyAuthenId(Identifier(id)),
            Avp::ProxyAuthenResponse(SecretBytes::new(response)),
        ];
        if kind == ProxyAuthenType::CHAP {
            avps.push(Avp::ProxyAuthenChallenge(Bounded::clipped(&self.challenge)));
        }
        avps
    }
}

fn is_lcp_request(frame: &[u8]) -> bool {
    frame.starts_with(&[0xff, 3, 0xc0, 0x21, 1])
}
