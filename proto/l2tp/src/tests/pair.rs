//! Two endpoints and the line between them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::vec::Vec;

use isthmus_core::{Duration, Instant};

use super::md5;
use crate::{Action, Config, Dialect, Endpoint, Message, SessionRef, iana::MessageType};

/// The port our LAC sends from; not 1701, as with Apple and Android.
pub(crate) const LAC_PORT: u16 = 56322;
/// The port our LNS listens at.
pub(crate) const LNS_PORT: u16 = 1701;

/// One end: the machine and what it asked its owner to do, but for transmissions.
pub(crate) struct End {
    pub(crate) endpoint: Endpoint,
    pub(crate) done: Vec<Action>,
    /// What goes to the peer.
    pub(crate) sent: VecDeque<Vec<u8>>,
    /// The port the peer sees.
    pub(crate) port: u16,
}

impl End {
    pub(crate) fn new(config: Config, seed: u8, port: u16) -> Self {
        let endpoint = Endpoint::new(Arc::new(config), md5(), [seed; 32], Instant::ZERO);
        Self { endpoint, done: Vec::new(), sent: VecDeque::new(), port }
    }

    /// Takes all actions, keeping their order.
    pub(crate) fn drain(&mut self, peer_port: u16) {
        while let Some(action) = self.endpoint.poll_action() {
            if let Action::Transmit { to_port, bytes } = action {
                assert_eq!(to_port, peer_port, "an answer goes to the port it came from");
                self.sent.push_back(bytes);
            } else {
                self.done.push(action);
            }
        }
    }

    pub(crate) fn sessions_up(&self) -> Vec<SessionRef> {
        let up = |action: &Action| {
            if let Action::SessionUp(up) = action { Some(up.session) } else { None }
        };
        self.done.iter().filter_map(up).collect()
    }
}

/// A LAC and an LNS.
pub(crate) struct Pair {
    pub(crate) lac: End,
    pub(crate) lns: End,
    pub(crate) now: Instant,
    /// Every message delivered or lost, in order: the sender and its kind, `None` for a ZLB.
    pub(crate) trace: Vec<(Side, Option<MessageType>)>,
}

/// Who sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Lac,
    Lns,
}

/// What happens to a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrive,
    Lose,
    Twice,
    /// After the next one of the same sender.
    Late,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(Config::lns(b"gateway"), Config::lac(b"laptop", Dialect::isthmus(b"laptop")))
    }

    pub(crate) fn with(lns: Config, lac: Config) -> Self {
        Self {
            lac: End::new(lac, 1, LAC_PORT),
            lns: End::new(lns, 2, LNS_PORT),
            now: Instant::from_secs(1000),
            trace: Vec::new(),
        }
    }

    /// A pair with one session up.
    pub(crate) fn up() -> Self {
        let mut pair = Self::new();
        pair.bring_up();
        pair
    }

    pub(crate) fn bring_up(&mut self) -> SessionRef {
        let session = self.lac.endpoint.open(LNS_PORT, self.now).unwrap();
        self.run();
        assert_eq!(self.lac.sessions_up(), [session]);
        assert_eq!(self.lns.sessions_up().len(), 1);
        session
    }

    pub(crate) fn drain(&mut self) {
        self.lac.drain(self.lns.port);
        self.lns.drain(self.lac.port);
    }

    /// Delivers everything until nothing is under way; no time passes.
    pub(crate) fn run(&mut self) {
        self.run_with(|_, _, _| Fate::Arrive);
    }

    /// As [`Pair::run`], with a fate for each message: sender, its kind, how many went before.
    pub(crate) fn run_with(
        &mut self,
        mut fate: impl FnMut(Side, Option<MessageType>, usize) -> Fate,
    ) {
        self.drain();
        loop {
            let (side, bytes) = if let Some(bytes) = self.lac.sent.pop_front() {
                (Side::Lac, bytes)
            } else if let Some(bytes) = self.lns.sent.pop_front() {
                (Side::Lns, bytes)
            } else {
                return;
            };
            let kind = kind_of(&bytes);
            let index = self.trace.len();
            self.trace.push((side, kind));
            assert!(index < 10_000, "the two never stop talking");
            match fate(side, kind, index) {
                Fate::Arrive => self.deliver(side, &bytes),
                Fate::Lose => {}
                Fate::Twice => {
                    self.deliver(side, &bytes);
                    self.deliver(side, &bytes);
                }
                Fate::Late => {
                    let queue = match side {
                        Side::Lac => &mut self.lac.sent,
                        Side::Lns => &mut self.lns.sent,
                    };
                    if let Some(next) = queue.pop_front() {
                        self.deliver(side, &next);
                    }
                    self.deliver(side, &bytes);
                }
            }
        }
    }

    /// Hands a message to the other end; a refusal is the other end's affair.
    pub(crate) fn deliver(&mut self, from: Side, bytes: &[u8]) {
        let (receiver, port) = match from {
            Side::Lac => (&mut self.lns, self.lac.port),
            Side::Lns => (&mut self.lac, self.lns.port),
        };
        let _ = receiver.endpoint.handle_control(port, bytes, self.now);
        self.drain();
    }

    /// Lets time pass, event by event, delivering everything.
    pub(crate) fn pass(&mut self, duration: Duration) {
        self.pass_with(duration, |_, _, _| Fate::Arrive);
    }

    pub(crate) fn pass_with(
        &mut self,
        duration: Duration,
        mut fate: impl FnMut(Side, Option<MessageType>, usize) -> Fate,
    ) {
        let end = self.now + duration;
        self.run_with(&mut fate);
        for _ in 0..10_000 {
            let ends = [&self.lac.endpoint, &self.lns.endpoint];
            let next = ends.iter().filter_map(|e| e.poll_timeout()).map(|d| d.at).min();
            let Some(at) = next.filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.lac.endpoint.handle_timeout(self.now);
            self.lns.endpoint.handle_timeout(self.now);
            self.run_with(&mut fate);
        }
        self.now = end;
    }
}

/// The message type, `None` for a ZLB.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<MessageType> {
    Message::read(bytes).unwrap().payload.map(|payload| payload.kind)
}
