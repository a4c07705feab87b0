//! The client machine.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;

use isthmus_core::{Deadline, Instant, Key, Outbox, Path, Rng, Seed, Timers};
use isthmus_crypto::{CryptoError, Job, JobOutput, Provider};
use isthmus_ike::{self as ike, JobId, PeerId};
use isthmus_l2tp::{self as l2tp, SessionUp};
use isthmus_plane::{Command, LacKey, PeerRef, SessionParams};
use isthmus_ppp as ppp;

use crate::config::Config;
use crate::event::{Down, Event, Stage};
use crate::inform::Asking;
use crate::ipv6::Ipv6State;
use crate::reason::Reason;

/// Something the shell must do, in this order.
#[derive(Debug)]
pub enum Action {
    /// Tell whoever started the client.
    Event(Event),
    /// Do slow arithmetic elsewhere and come back with [`Client::handle_job`].
    Offload {
        /// To be given back.
        id: JobId,
        /// The work.
        job: Job,
    },
    /// Give to the packet pipeline.
    Plane(Command),
}

/// One connection to a server, from the first IKE message to the last.
pub struct Client {
    pub(crate) config: Config,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) rng: Rng,
    pub(crate) ike: ike::Endpoint,
    pub(crate) state: State,
    pub(crate) timers: Timers<Timer>,
    pub(crate) outbox: Outbox<Action>,
    /// We were asked to stop.
    pub(crate) stopping: bool,
    /// Why the connection is ending, from the layer that knew first.
    pub(crate) reason: Option<Reason>,
    /// How far the connection had come when it began to end.
    pub(crate) parting: Option<Stage>,
}

/// What the client waits for; each state has what the one before had.
pub(crate) enum State {
    /// IKE main mode and quick mode.
    Securing,
    /// An L2TP call.
    Calling(Secured),
    /// PPP: negotiating, and later up.
    Linked(Secured, Box<Linked>),
    /// Nothing more happens.
    Over,
}

/// The server can be spoken with: IPsec is up, or is not wanted.
pub(crate) struct Secured {
    pub(crate) peer: PeerRef,
    pub(crate) l2tp: l2tp::Endpoint,
}

/// An L2TP call is up.
pub(crate) struct Linked {
    pub(crate) call: Box<SessionUp>,
    pub(crate) link: ppp::Link,
    /// The question for routes that must be answered, or given up, before the connection is up.
    pub(crate) asking: Option<Box<Asking>>,
    /// What the session is open with in the pipeline.
    pub(crate) params: Option<SessionParams>,
    pub(crate) ipv6: Option<Ipv6State>,
    pub(crate) up: bool,
}

/// Why the client wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The connection takes too long.
    Setup,
    /// The server has not answered our question for routes.
    Inform,
    /// IPsec outlives what it carried by a while.
    Linger,
    /// No router has answered us.
    Solicit,
}

impl Timer {
    const fn why(self) -> &'static str {
        match self {
            Self::Setup => "client setup",
            Self::Inform => "client inform",
            Self::Linger => "client linger",
            Self::Solicit => "client solicit",
        }
    }
}

/// The name of the only session in the pipeline.
pub(crate) const SESSION: Key = Key::from_raw(1 << 20);
/// How long a connection may take to come up.
const SETUP_MAX: isthmus_core::Duration = isthmus_core::Duration::from_mins(1);

impl Client {
    /// Starts to connect.
    pub fn new(config: Config, provider: Arc<dyn Provider>, seed: Seed, now: Instant) -> Self {
        let mut rng = Rng::new(seed);
        let mut ike =
            ike::Endpoint::new(Arc::clone(&config.ike), Arc::clone(&provider), rng.seed(), now);
        let plain = config.plain;
        let refused = if plain.is_some() { None } else { connect(&mut ike, &config, now) };
        let mut timers = Timers::new();
        timers.set(Timer::Setup, now + SETUP_MAX);
        let mut client = Self {
            config,
            provider,
            rng,
            ike,
            state: State::Securing,
            timers,
            outbox: Outbox::new(),
            stopping: false,
            reason: None,
            parting: None,
        };
        if let Some(refused) = refused {
            client.reason = Some(Reason::plain(refused.to_string()));
            client.over(Stage::Ipsec, now);
        }
        if let Some(path) = plain {
            client.speak_plainly(path, now);
        }
        client.drain(now);
        client
    }

    /// Dials without IPsec; only the server is listened to.
    fn speak_plainly(&mut self, path: Path, now: Instant) {
        let lac = LacKey(SESSION);
        self.plane(Command::TrustLacs { sources: alloc::vec![path.remote.ip().into()] });
        self.plane(Command::OpenLac { lac, path });
        self.dial(PeerRef::Lac(lac), now);
    }

    /// Feeds the result of an [`Action::Offload`].
    pub fn handle_job(&mut self, id: JobId, result: Result<JobOutput, CryptoError>, now: Instant) {
        self.ike.handle_job(id, result, now);
        self.drain(now);
    }

    /// Feeds the passage of time; calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ike.handle_timeout(now);
        match &mut self.state {
            State::Calling(secured) => secured.l2tp.handle_timeout(now),
            State::Linked(secured, linked) => {
                secured.l2tp.handle_timeout(now);
                linked.link.handle_timeout(now);
            }
            State::Securing | State::Over => {}
        }
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Setup => {
                    self.end(Reason::plain("the connection did not come up in time"), now);
                }
                Timer::Inform => self.ask(now),
                Timer::Linger => self.part(now),
                Timer::Solicit => self.solicit(now),
            }
        }
        self.drain(now);
    }

    /// Hangs up: LCP Terminate-Request, CDN, `StopCCN`, and after the manner's wait IKE DELETE. A
    /// second time it does not wait.
    pub fn stop(&mut self, now: Instant) {
        self.stopping = true;
        if self.parting.is_some() {
            self.part(now);
        } else {
            self.close(now);
        }
    }

    /// Replaces the IPsec SA pair, as the client does by itself before its lifetime ends.
    pub fn rekey_child(&mut self, now: Instant) {
        if let Some(PeerRef::Ipsec(peer)) = self.peer() {
            self.ike.rekey_child(PeerId(peer), now);
            self.drain(now);
        }
    }

    /// Replaces the IKE SA, as the client does by itself before its lifetime ends.
    pub fn rekey_ike(&mut self, now: Instant) {
        if let Some(PeerRef::Ipsec(peer)) = self.peer() {
            self.ike.rekey_ike(PeerId(peer), now);
            self.drain(now);
        }
    }

    /// The next thing to do; the order is part of the contract.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.outbox.pop()
    }

    /// When to call [`Client::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let own = self.timers.next().map(|(at, timer)| Deadline { at, why: timer.why() });
        let mut next = Deadline::earlier(own, self.ike.poll_timeout());
        match &self.state {
            State::Calling(secured) => next = Deadline::earlier(next, secured.l2tp.poll_timeout()),
            State::Linked(secured, linked) => {
                next = Deadline::earlier(next, secured.l2tp.poll_timeout());
                next = Deadline::earlier(next, linked.link.poll_timeout());
            }
            State::Securing | State::Over => {}
        }
        next
    }

    /// Whether the connection is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// How far the connection has come.
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Securing | State::Over => Stage::Ipsec,
            State::Calling(_) => Stage::L2tp,
            State::Linked(_, linked) if linked.up => Stage::Up,
            State::Linked(..) => Stage::Login,
        }
    }

    pub(crate) fn peer(&self) -> Option<PeerRef> {
        match &self.state {
            State::Calling(secured) | State::Linked(secured, _) => Some(secured.peer),
            State::Securing | State::Over => None,
        }
    }

    /// Takes everything down in order and says so once.
    pub(crate) fn close(&mut self, now: Instant) {
        if self.is_over() || self.parting.is_some() {
            return;
        }
        self.parting = Some(self.stage());
        self.timers.clear_all();
        let closes = self.config.manner.closes;
        if let State::Linked(_, linked) = &mut self.state {
            linked.link.close(ppp::CloseReason::User, now);
        }
        self.drain(now);
        if let State::Linked(secured, linked) = &mut self.state {
            secured.l2tp.close_session(linked.call.session, closes, now);
        }
        if let State::Calling(secured) | State::Linked(secured, _) = &mut self.state {
            secured.l2tp.close(closes, now);
        }
        self.drain(now);
        if self.config.manner.lingers.is_zero() || self.peer().is_none() {
            self.part(now);
        } else {
            self.timers.set(Timer::Linger, now + self.config.manner.lingers);
        }
    }

    /// Ends IPsec, and with it everything.
    fn part(&mut self, now: Instant) {
        if let Some(PeerRef::Ipsec(peer)) = self.peer() {
            self.ike.close_peer(PeerId(peer), now);
            self.drain(now);
        }
        self.peer_gone(now);
    }

    /// IPsec is gone: there is nothing to wait for.
    pub(crate) fn peer_gone(&mut self, now: Instant) {
        if let Some(stage) = self.parting {
            self.over(stage, now);
        }
    }

    /// Ends the machine; nothing more can be said to the server.
    pub(crate) fn over(&mut self, stage: Stage, _now: Instant) {
        if self.is_over() {
            return;
        }
        if let Some(peer) = self.peer() {
            self.plane(match peer {
                PeerRef::Ipsec(peer) => Command::RemovePeer { peer },
                PeerRef::Lac(lac) => Command::CloseLac { lac },
            });
        }
        self.state = State::Over;
        self.timers.clear_all();
        let reason = self.reason.take().unwrap_or_else(|| Reason::plain("stopped"));
        let remedy = reason.remedy.unwrap_or_else(|| stage.remedy());
        let remedy = if self.stopping { "" } else { remedy };
        let down = Down { stage, requested: self.stopping, reason: reason.text, remedy };
        self.outbox.push(Action::Event(Event::Down(down)));
    }
}

/// Starts main mode, or aggressive mode for a group; tells why it cannot.
fn connect(ike: &mut ike::Endpoint, config: &Config, now: Instant) -> Option<ike::Rejected> {
    let mut connect = ike::Connect::l2tp(config.ike_path, config.nat_t_path, config.psk.clone());
    connect.local_port = config.l2tp_port;
    connect.certificate = config.server_name.is_some();
    connect.server_name.clone_from(&config.server_name);
    if let Some(group) = &config.group {
        connect.aggressive = true;
        connect.local_id = Some(ike::Identity::key_id(group));
    }
    connect.pfs = config.manner.pfs;
    ike.connect(connect, now).err()
}
