//! An L2TP peer made of bytes, and what must hold for the endpoint at all times.

use std::collections::BTreeSet;
use std::sync::Arc;

use isthmus_core::{Duration, Instant, Rng};
use isthmus_crypto::HashAlg;
use isthmus_l2tp::avp::{Avp, Hiding};
use isthmus_l2tp::bounds::{SESSIONS_MAX, TUNNELS_MAX};
use isthmus_l2tp::iana::AttributeType;
use isthmus_l2tp::{
    Action, Body, CloseReason, Config, Endpoint, Message, Role, SessionRef, SessionUp, TunnelId,
    data,
};
use isthmus_ppp::{AuthProtocol, Link, Proxied, ProxiedLogin};

use crate::Step;

/// An endpoint and the peer at its other end.
pub struct Line {
    endpoint: Endpoint,
    config: Arc<Config>,
    now: Instant,
    /// The last ids the endpoint assigned.
    tunnel: u16,
    session: u16,
    /// Its last challenge.
    challenge: Vec<u8>,
    /// Ns and Nr of its last message.
    numbers: (u16, u16),
    sessions: BTreeSet<SessionRef>,
    tunnels: BTreeSet<TunnelId>,
}

impl Line {
    /// An endpoint; a LAC has asked for its first call.
    pub fn new(config: Config) -> Self {
        let (config, now) = (Arc::new(config), Instant::from_secs(1000));
        let provider = isthmus_crypto_aws::provider();
        let mut line = Self {
            endpoint: Endpoint::new(Arc::clone(&config), provider, [5; 32], now),
            config,
            now,
            tunnel: 0,
            session: 0,
            challenge: Vec::new(),
            numbers: (0, 0),
            sessions: BTreeSet::new(),
            tunnels: BTreeSet::new(),
        };
        if line.config.role == Role::Lac {
            line.endpoint.open(PORT, now).unwrap();
        }
        line.settle();
        line
    }

    /// Does one step.
    pub fn step(&mut self, step: Step<'_>) {
        match step.op % 16 {
            0..8 => self.control(step.bytes),
            8 | 9 => {
                let wait = step.bytes.first_chunk().map_or(100, |wait| u16::from_be_bytes(*wait));
                self.pass(Duration::from_millis(u64::from(wait)));
            }
            10 if self.config.role == Role::Lns => self.prove(),
            10 => {
                let tunnel = TunnelId(self.tunnel);
                let _ = self.endpoint.open_call(tunnel, self.now);
            }
            11 => self.close(),
            12 => {
                self.endpoint.close_tunnel(
                    TunnelId(self.tunnel),
                    CloseReason::Administrative,
                    self.now,
                );
            }
            13 => self.endpoint.peer_alive(self.now),
            14 => {
                let header = data::Header::new(self.tunnel, self.session);
                let found = self.endpoint.data_session(&header);
                assert!(found.is_none_or(|found| found.tunnel.0 == self.tunnel));
            }
            _ if self.config.role == Role::Lns => self.hidden(step.bytes),
            _ => drop(self.endpoint.open(PORT, self.now)),
        }
        self.settle();
    }

    /// SCCCN with the answer to the last challenge (RFC 2661 §5.1.1).
    fn prove(&mut self) {
        let Some(secret) = &self.config.secret else { return };
        let mut response = [0; 16];
        let provider = isthmus_crypto_aws::provider();
        let parts: [&[u8]; 3] = [&[3], secret.expose(), &self.challenge];
        provider.hash(HashAlg::Md5, &parts, &mut response).unwrap();
        self.say([0, 0], &[&[0x80, 8, 0, 0, 0, 0, 0, 3], &avp(0x80, 13, &response)[..]].concat());
    }

    /// A message of any type for the last session, whose AVPs, a byte for the attribute, one for the length
    /// and the value each, are hidden as the peer would hide them.
    fn hidden(&mut self, bytes: &[u8]) {
        let Some(secret) = &self.config.secret else { return };
        let Some((kind, mut rest)) = bytes.split_first() else { return };
        let provider = isthmus_crypto_aws::provider();
        let hiding = Hiding { secret: secret.expose(), provider: &*provider };
        let vector = [0x5a; 16];
        let mut avps = [&[0x80, 8, 0, 0, 0, 0, 0, *kind], &avp(0x80, 36, &vector)[..]].concat();
        while let [attribute, len, more @ ..] = rest {
            let (value, more) = more.split_at(usize::from(*len).min(more.len()));
            let at = AttributeType(u16::from(*attribute));
            let hidden = hiding.hide(at, &vector, value, &mut Rng::new([1; 32])).unwrap();
            avps.extend(avp(0x40, *attribute, &hidden));
            rest = more;
        }
        self.say([1, 2], &avps);
    }

    /// A control message that is due, with these AVPs.
    fn say(&mut self, ids: [u8; 2], avps: &[u8]) {
        let Ok(len) = u16::try_from(12 + avps.len()) else { return };
        let [hi, lo] = len.to_be_bytes();
        let tunnel = u8::from(ids == [0, 0]) | ids[0];
        let head = [0xc8, 2, hi, lo, 0, tunnel, 0, ids[1], 0xee, 0xee, 0xee, 0xee];
        self.control(&[&head[..], avps].concat());
    }

    /// Falls silent: the endpoint must forget everything. A client that never asks whether its server
    /// lives cannot know, and is told to end.
    pub fn end(mut self) {
        if self.config.dialect.habits.silent {
            self.endpoint.close(CloseReason::Administrative, self.now);
            self.settle();
        }
        self.pass(Duration::from_mins(10));
        assert!(self.endpoint.is_empty(), "a tunnel lives on without a peer");
        assert_eq!(self.endpoint.session_count(), 0);
        assert!(self.sessions.is_empty() && self.tunnels.is_empty(), "nobody was told");
        assert_eq!(self.endpoint.poll_timeout(), None);
    }

    /// A control message. Tunnel 1 and session 2 stand for the last ones there are; Ns and Nr 0xeeee
    /// for the ones that are due.
    fn control(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if let Some(header) = bytes.first_chunk_mut::<12>() {
            let due = (self.numbers.1, self.numbers.0.wrapping_add(1));
            let fields = [
                (4, 1, self.tunnel),
                (6, 2, self.session),
                (8, 0xeeee, due.0),
                (10, 0xeeee, due.1),
            ];
            for (at, marker, value) in fields {
                if u16::from_be_bytes([header[at], header[at + 1]]) == marker {
                    header[at..at + 2].copy_from_slice(&value.to_be_bytes());
                }
            }
        }
        let before = self.state();
        if self.endpoint.handle_control(PORT, &bytes, self.now).is_err() {
            assert!(self.endpoint.poll_action().is_none(), "a refused message was answered");
            assert_eq!(self.state(), before, "a refused message changed something");
        }
    }

    fn state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let endpoint = &self.endpoint;
        let counts = (endpoint.tunnel_count(), endpoint.session_count());
        (endpoint.record(), counts, endpoint.poll_timeout())
    }

    fn close(&mut self) {
        let (tunnel, session) = (TunnelId(self.tunnel), isthmus_l2tp::SessionId(self.session));
        let session = SessionRef { tunnel, session };
        self.endpoint.close_session(session, CloseReason::Administrative, self.now);
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut rounds = 0;
        while let Some(due) = self.endpoint.poll_timeout().filter(|due| due.at <= end) {
            self.now = self.now.max(due.at);
            self.endpoint.handle_timeout(self.now);
            self.settle();
            rounds += 1;
            assert!(rounds < 10_000, "timers without end");
        }
        self.now = end;
    }

    /// Takes what the endpoint wants done and checks that it may want it.
    fn settle(&mut self) {
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                Action::Transmit { bytes, .. } => self.note(&bytes),
                Action::SessionUp(up) => {
                    assert!(self.tunnels.contains(&up.session.tunnel), "a session of no tunnel");
                    assert!(self.sessions.insert(up.session), "up twice");
                    adopt(&up, self.now);
                }
                Action::SessionDown { session, .. } => {
                    self.sessions.remove(&session);
                }
                Action::TunnelUp(up) => assert!(self.tunnels.insert(up.tunnel), "up twice"),
                Action::TunnelDown { tunnel, .. } => {
                    assert!(self.sessions.iter().all(|session| session.tunnel != tunnel));
                    self.tunnels.remove(&tunnel);
                }
                Action::PortMoved { .. } | Action::Refused(_) => {}
            }
        }
        assert!(self.endpoint.tunnel_count() <= TUNNELS_MAX);
        let sessions = self.endpoint.session_count();
        assert!(sessions <= self.config.sessions_max.min(SESSIONS_MAX));
        assert!(self.sessions.len() <= sessions);
        assert!(self.tunnels.len() <= self.endpoint.tunnel_count());
    }

    /// What it sends is sound L2TP.
    fn note(&mut self, bytes: &[u8]) {
        let message = Message::read(bytes).unwrap();
        self.numbers = (message.header.ns, message.header.nr);
        let Some(payload) = &message.payload else {
            // A ZLB has the number that the next message will have.
            self.numbers.0 = self.numbers.0.wrapping_sub(1);
            return;
        };
        assert!(Body::read(payload, None).is_ok(), "we would refuse it ourselves");
        for raw in &payload.avps {
            match Avp::read(raw, None, None) {
                Ok(Avp::AssignedTunnelId(id)) => self.tunnel = id,
                Ok(Avp::AssignedSessionId(id)) => self.session = id,
                Ok(Avp::Challenge(challenge)) => self.challenge = challenge.as_bytes().to_vec(),
                _ => {}
            }
        }
    }
}

/// An AVP of the IETF.
fn avp(flags: u8, attribute: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len() + 6).unwrap() & 0x3ff;
    let [hi, lo] = len.to_be_bytes();
    [&[flags | hi, lo, 0, 0, 0, attribute], value].concat()
}

/// A link that goes on with what the call brought, if it may: it asks for a verdict and is not up.
fn adopt(up: &SessionUp, now: Instant) {
    let (Some(lcp), Some(auth)) = (&up.proxy_lcp, &up.proxy_auth) else { return };
    let (Some(sent), Some(received)) = (&lcp.last_sent, &lcp.last_received) else { return };
    let text = |bytes: &Option<_>| -> Vec<u8> {
        let bytes: &Option<isthmus_l2tp::avp::Bounded<255>> = bytes;
        bytes.as_ref().map(|b| b.as_bytes().to_vec()).unwrap_or_default()
    };
    let (name, challenge) = (text(&auth.name), text(&auth.challenge));
    let response = auth.response.as_ref().map(|r| r.expose()).unwrap_or_default();
    let id = auth.id.unwrap_or_default();
    let chap = ProxiedLogin::Chap { id, name: &name, challenge: &challenge, response };
    for login in [chap, ProxiedLogin::Pap { id, name: &name, password: response }] {
        let (last_sent, last_received) = (sent.as_bytes(), received.as_bytes());
        let proxied = Proxied { last_sent, last_received, login };
        let config = Arc::new(crate::ppp::server(&AuthProtocol::ALL));
        let provider = isthmus_crypto_aws::provider();
        if let Ok(mut link) = Link::adopt(config, provider, [6; 32], &proxied, now) {
            assert!(matches!(link.poll_action(), Some(isthmus_ppp::Action::Authenticate(_))));
            assert!(link.poll_action().is_none() && link.network().is_none());
        }
    }
}

/// The peer's UDP port.
const PORT: u16 = 1701;
