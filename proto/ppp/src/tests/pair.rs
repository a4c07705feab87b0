//! A server and a client joined by a queue that can lose, repeat and swap frames; virtual time.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use isthmus_core::{Deadline, Duration, Instant, Rng, SecretBytes};
use isthmus_crypto::Provider;

use crate::auth;
use crate::{
    Action, AuthProtocol, AuthRequest, ClientConfig, Link, LinkConfig, Proof, Refusal, Role,
    ServerConfig, Ticket, Verdict,
};

pub(super) const PASSWORD: &[u8] = b"clientPass";
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 7);
pub(super) const DNS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 64, 0, 2), Ipv4Addr::new(10, 64, 0, 3)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Duplicated,
    Lost,
    /// Held back until its sender has sent another one.
    Swapped,
}

pub(super) const FAULTS: [Fault; 3] = [Fault::Duplicated, Fault::Lost, Fault::Swapped];

pub(super) struct Pair {
    pub(super) server: Link,
    pub(super) client: Link,
    pub(super) now: Instant,
    /// Frames under way and who sent them.
    flight: VecDeque<(Side, Vec<u8>)>,
    /// The frame held back.
    held: Option<(Side, Vec<u8>)>,
    /// Everything sent so far, and by whom.
    pub(super) sent: Vec<(Side, Vec<u8>)>,
    /// Actions other than transmissions.
    pub(super) server_saw: Vec<Action>,
    pub(super) client_saw: Vec<Action>,
    /// What happens to the frame with this number.
    pub(super) fault: Option<(usize, Fault)>,
    /// Until when frames are disturbed at random, and by what.
    pub(super) chaos: Option<(Instant, Rng)>,
    pub(super) verdict_takes: Duration,
    verdicts: Vec<(Instant, Ticket, Verdict)>,
    provider: Arc<dyn Provider>,
}

pub(crate) fn server_config(auth: &[AuthProtocol]) -> LinkConfig {
    LinkConfig::new(Role::Server(ServerConfig {
        auth: auth.to_vec(),
        name: b"isthmus".to_vec(),
        local_address: GATEWAY,
        auth_retries: 0,
    }))
}

pub(super) fn client_config(auth: &[AuthProtocol], password: &[u8]) -> LinkConfig {
    LinkConfig::new(Role::Client(ClientConfig {
        user: b"CORP\\User".to_vec(),
        password: SecretBytes::copy_of(password),
        auth: auth.to_vec(),
        require_auth: true,
        address: None,
        request_dns: true,
    }))
}

pub(super) fn link(config: LinkConfig, seed: u8) -> Link {
    Link::new(Arc::new(config), isthmus_crypto_aws::provider(), [seed; 32], Instant::ZERO)
}

/// What a gateway with one user would say.
pub(super) fn judge(provider: &dyn Provider, request: &AuthRequest) -> Verdict {
    let hash = auth::nt_hash(provider, PASSWORD).unwrap();
    let known = auth::without_domain(&request.user) == b"User";
    let (ok, proof) = match &request.proof {
        Proof::ChapMd5 { id, challenge, response } => {
            (auth::chap_md5::verify(provider, *id, PASSWORD, challenge, response), None)
        }
        Proof::MsChapV2(proof) => {
            let answer = auth::mschapv2::verify(provider, &hash, &request.user, proof);
            (answer.is_some(), answer)
        }
        Proof::Pap { password } => {
            (auth::pap::verify(&SecretBytes::copy_of(PASSWORD), password), None)
        }
    };
    if ok && known {
        Verdict::Accept { address: ADDRESS, dns: DNS.to_vec(), proof }
    } else {
        Verdict::Refuse { reason: Refusal::BadCredentials }
    }
}

impl Pair {
    pub(super) fn new(server: LinkConfig, client: LinkConfig) -> Self {
        let mut pair = Self {
            server: link(server, 1),
            client: link(client, 2),
            now: Instant::ZERO,
            flight: VecDeque::new(),
            held: None,
            sent: Vec::new(),
            server_saw: Vec::new(),
            client_saw: Vec::new(),
            fault: None,
            chaos: None,
            verdict_takes: Duration::ZERO,
            verdicts: Vec::new(),
            provider: isthmus_crypto_aws::provider(),
        };
        pair.server.open(pair.now);
        pair.client.open(pair.now);
        pair
    }

    /// A pair that speaks one protocol, with this password in the client's hand.
    pub(super) fn speaking(method: AuthProtocol, password: &[u8]) -> Self {
        Self::new(server_config(&[method]), client_config(&[method], password))
    }

    /// Puts another server in the place of the first, which is heard no more. What was sent is forgotten.
    pub(super) fn hand_over(&mut self, server: Link) {
        self.server = server;
        self.verdict_takes = Duration::ZERO;
        self.verdicts.clear();
        self.server_saw.clear();
        self.flight.clear();
        self.sent.clear();
    }

    /// Runs until nothing is due before `seconds`.
    pub(super) fn run_until(&mut self, seconds: u64) {
        let end = Instant::from_secs(seconds);
        for _ in 0..100_000 {
            self.collect();
            if let Some((from, frame)) = self.flight.pop_front() {
                self.deliver(from, &frame);
            } else if !self.advance(end) {
                return;
            }
        }
        panic!("the pair never comes to rest");
    }

    fn deliver(&mut self, from: Side, frame: &[u8]) {
        // A refusal is part of the game; what came of it is asserted by the tests.
        let _ = match from {
            Side::Client => self.server.handle_frame(frame, self.now),
            Side::Server => self.client.handle_frame(frame, self.now),
        };
    }

    /// Jumps to the next deadline; false when there is none before `end`.
    fn advance(&mut self, end: Instant) -> bool {
        let verdict = self.verdicts.first().map(|(at, ..)| Deadline { at: *at, why: "verdict" });
        let timers = Deadline::earlier(self.server.poll_timeout(), self.client.poll_timeout());
        let Some(next) = Deadline::earlier(verdict, timers).filter(|next| next.at <= end) else {
            return false;
        };
        self.now = self.now.max(next.at);
        if self.verdicts.first().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, ticket, verdict) = self.verdicts.remove(0);
            let _ = self.server.handle_verdict(ticket, verdict, self.now);
        }
        self.server.handle_timeout(self.now);
        self.client.handle_timeout(self.now);
        true
    }

    fn collect(&mut self) {
        while let Some(action) = self.server.poll_action() {
            match action {
                Action::Transmit(frame) => self.send(Side::Server, frame),
                Action::Authenticate(ref request) => {
                    let verdict = judge(&*self.provider, request);
                    let at = self.now + self.verdict_takes;
                    self.verdicts.push((at, request.ticket, verdict));
                    self.server_saw.push(action);
                }
                Action::Down(_)
                | Action::Ipv6Down
                | Action::Ipv6Up(_)
                | Action::NetworkDown
                | Action::Up(_) => self.server_saw.push(action),
            }
        }
        while let Some(action) = self.client.poll_action() {
            match action {
                Action::Transmit(frame) => self.send(Side::Client, frame),
                Action::Authenticate(_)
                | Action::Down(_)
                | Action::Ipv6Down
                | Action::Ipv6Up(_)
                | Action::NetworkDown
                | Action::Up(_) => self.client_saw.push(action),
            }
        }
    }

    fn send(&mut self, from: Side, frame: Vec<u8>) {
        let fault = self.fault.filter(|(number, _)| *number == self.sent.len());
        let fault = fault.map(|(_, fault)| fault).or_else(|| self.chance());
        self.sent.push((from, frame.clone()));
        match fault {
            Some(Fault::Duplicated) => self.flight.extend(vec![(from, frame); 2]),
            Some(Fault::Lost) => {}
            Some(Fault::Swapped) => self.held = Some((from, frame)),
            None => {
                self.flight.push_back((from, frame));
                self.flight.extend(self.held.take_if(|(side, _)| *side == from));
            }
        }
    }

    /// What chance does to the next frame.
    fn chance(&mut self) -> Option<Fault> {
        let (_, rng) = self.chaos.as_mut().filter(|(until, _)| self.now < *until)?;
        match rng.below(10) {
            0..=2 => Some(Fault::Lost),
            3 => Some(Fault::Duplicated),
            4 | 5 => Some(Fault::Swapped),
            _ => None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.server.network().is_some() && self.client.network().is_some()
    }

    pub(super) fn logins(&self) -> usize {
        self.server_saw.iter().filter(|a| matches!(a, Action::Authenticate(_))).count()
    }

    pub(super) fn ever_up(saw: &[Action]) -> bool {
        saw.iter().any(|action| matches!(action, Action::Up(_)))
    }
}
