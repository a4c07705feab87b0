//! One tunnel: the control connection of RFC 2661 §7.2 over its [`Channel`].
//!
//! ```text
//!   request: SCCRQ -> WaitReply --SCCRP--> SCCCN -> Up
//!   accept:  SCCRP -> WaitConnect --SCCCN---------> Up
//!   Up --stop: `StopCCN`--> Stopping --acknowledged or a cycle over--> gone
//!   any --the peer's `StopCCN`--> Stopped --a cycle over--> gone
//! ```
//!
//! Calls inside the tunnel are in [`calls`](crate::calls).

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Deadline, Duration, Instant, SmallMap, Timers};

use crate::action::{Action, CloseReason, DownReason, Refused, SessionId, SessionRef, TunnelId};
use crate::avp::{Avp, Bounded, ResultCode};
use crate::body::{Body, StopCcn, WINDOW_DEFAULT};
use crate::bounds::{HOST_NAME_MAX, VENDOR_NAME_MAX};
use crate::calls::Session;
use crate::channel::{Channel, Health, Order, RETRANSMIT_CYCLE};
use crate::context::Context;
use crate::error::{PeerError, Rejected};
use crate::iana::{ErrorCode, MessageType, StopCode};
use crate::message::{Field, Message};

/// A control connection and its calls.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) local: TunnelId,
    pub(crate) to_port: u16,
    pub(crate) state: State,
    pub(crate) channel: Channel,
    pub(crate) sessions: SmallMap<SessionId, Box<Session>>,
    pub(crate) host: Bounded<HOST_NAME_MAX>,
    pub(crate) timers: Timers<Timer>,
    pub(crate) initiator: bool,
    pub(crate) vendor: Bounded<VENDOR_NAME_MAX>,
    /// When anything authentic came last: control or data.
    last_heard: Instant,
    /// When data came last.
    data_at: Option<Instant>,
    /// The peer makes us say more than it acknowledges.
    overflow: bool,
}

/// Where the control connection stands.
#[derive(Debug)]
pub(crate) enum State {
    /// We sent SCCRQ.
    WaitReply {
        /// Our challenge, when a secret is configured.
        challenge: Option<[u8; 16]>,
        tie_breaker: Option<u64>,
    },
    /// We sent SCCRP.
    WaitConnect {
        challenge: Option<[u8; 16]>,
        /// The SCCRQ without its header, to know it again.
        request: Vec<u8>,
    },
    /// Both ends agree.
    Up { since: Instant },
    /// We sent `StopCCN`.
    Stopping,
    /// The peer sent `StopCCN`; we acknowledge it once more when it comes again.
    Stopped,
}

/// What a tunnel waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Calls,
    Establish,
    Hello,
    Idle,
    Linger,
}

impl Timer {
    const fn why(self) -> &'static str {
        match self {
            Self::Calls => "l2tp call setup",
            Self::Establish => "l2tp tunnel setup",
            Self::Hello => "l2tp hello",
            Self::Idle => "l2tp idle tunnel",
            Self::Linger => "l2tp linger",
        }
    }
}

impl Tunnel {
    /// A tunnel that was up before, from its record.
    pub(crate) fn resume(
        local: TunnelId,
        to_port: u16,
        (host, vendor): (Bounded<HOST_NAME_MAX>, Bounded<VENDOR_NAME_MAX>),
        (channel, initiator): (Channel, bool),
        ctx: &Context<'_>,
    ) -> Self {
        let mut tunnel = Self::new(local, to_port, State::Up { since: ctx.now }, channel, ctx);
        (tunnel.host, tunnel.vendor, tunnel.initiator) = (host, vendor, initiator);
        tunnel.timers.clear(Timer::Establish);
        tunnel.watch_life(ctx);
        tunnel
    }

    pub(crate) fn new(
        local: TunnelId,
        to_port: u16,
        state: State,
        channel: Channel,
        ctx: &Context<'_>,
    ) -> Self {
        let mut timers = Timers::new();
        timers.set(Timer::Establish, ctx.now + ctx.config.establish_timeout);
        Self {
            local,
            to_port,
            state,
            channel,
            sessions: SmallMap::new(),
            host: Bounded::default(),
            timers,
            initiator: false,
            vendor: Bounded::default(),
            last_heard: ctx.now,
            data_at: None,
            overflow: false,
        }
    }

    /// Feeds a message that carries our tunnel id.
    ///
    /// # Errors
    /// The message does not fit the channel; nothing changed.
    pub(crate) fn handle(
        &mut self,
        from_port: u16,
        message: &Message<'_>,
        bytes: &[u8],
        ctx: &mut Context<'_>,
    ) -> Result<(), Rejected> {
        let admitted = self.channel.admit(message.header, message.payload.is_none())?;
        self.last_heard = ctx.now;
        self.channel.hear(bytes.len());
        if admitted.is_news() && from_port != self.to_port {
            self.to_port = from_port;
            if self.is_up() {
                ctx.out.push(Action::PortMoved { tunnel: self.local, to_port: from_port });
            }
        }
        match self.channel.commit(&admitted, bytes, ctx.now) {
            Order::Ahead => ctx.stats.ahead += 1,
            Order::Duplicate => ctx.stats.duplicates += 1,
            Order::Next => {
                self.take(message, ctx);
                while let Some(parked) = self.channel.unpark() {
                    if let Ok(message) = Message::read(&parked) {
                        self.take(&message, ctx);
                    }
                }
            }
            Order::Zlb => {}
        }
        self.settle(ctx);
        Ok(())
    }

    /// An SCCRQ of `len` bytes that we answered came again: our answer was lost, or withheld.
    pub(crate) fn request_repeated(&mut self, len: usize, ctx: &mut Context<'_>) {
        self.channel.hear(len);
        ctx.stats.duplicates += 1;
        self.last_heard = ctx.now;
        self.channel.owe_ack(true, ctx.now);
        self.channel.repeat(&mut ctx.wire(self.to_port));
        self.settle(ctx);
    }

    fn take(&mut self, message: &Message<'_>, ctx: &mut Context<'_>) {
        let Some(payload) = &message.payload else { return };
        self.channel.owe_ack(is_urgent(payload.kind), ctx.now);
        match Body::read(payload, ctx.hiding()) {
            Ok((body, ignored)) => {
                ctx.stats.ignored_avps += ignored;
                if self.is_closing() {
                    self.take_closing(&body, ctx);
                } else {
                    self.dispatch(body, message.header.session, ctx);
                }
            }
            Err(_) if self.is_closing() => ctx.stats.ignored_messages += 1,
            Err(error) => self.refuse_message(payload.kind, message.header.session, error, ctx),
        }
    }

    fn take_closing(&mut self, body: &Body, ctx: &mut Context<'_>) {
        if matches!(body, Body::StopCcn(_)) {
            self.linger(ctx);
        } else {
            ctx.stats.ignored_messages += 1;
        }
    }

    fn dispatch(&mut self, body: Body, session: u16, ctx: &mut Context<'_>) {
        let kind = body.kind();
        match body {
            Body::Sccrp(greeting) => {
                if let State::WaitReply { challenge, .. } = self.state {
                    self.on_sccrp(greeting, challenge, ctx);
                } else {
                    self.fail(PeerError::OutOfState(kind), ctx);
                }
            }
            Body::Scccn(response) => {
                if let State::WaitConnect { challenge, .. } = self.state {
                    self.on_scccn(response, challenge, ctx);
                } else {
                    self.fail(PeerError::OutOfState(kind), ctx);
                }
            }
            Body::StopCcn(stop) => self.on_stop(stop, ctx),
            Body::Hello => {}
            Body::Ignored(_) => ctx.stats.ignored_messages += 1,
            Body::Sccrq(_) => self.fail(PeerError::OutOfState(kind), ctx),
            Body::Ocrq(_)
            | Body::Ocrp
            | Body::Occn
            | Body::Icrq(_)
            | Body::Icrp(_)
            | Body::Iccn(_)
            | Body::Cdn(_)
            | Body::Wen(_)
            | Body::Sli(_) => {
                if self.is_up() {
                    self.dispatch_call(body, session, ctx);
                } else {
                    self.fail(PeerError::OutOfState(kind), ctx);
                }
            }
        }
    }

    fn on_stop(&mut self, stop: StopCcn, ctx: &mut Context<'_>) {
        if let (0, Some(remote)) = (self.channel.remote(), stop.tunnel) {
            self.channel.set_peer(remote, WINDOW_DEFAULT);
        }
        self.bring_down(&DownReason::PeerStopped(stop.result), ctx);
        self.linger(ctx);
    }

    /// From here on only acknowledges.
    fn linger(&mut self, ctx: &Context<'_>) {
        self.state = State::Stopped;
        self.channel.silence();
        self.timers.clear_all();
        self.timers.set(Timer::Linger, ctx.now + RETRANSMIT_CYCLE);
    }

    /// Ends the tunnel because of what the peer did.
    pub(crate) fn fail(&mut self, error: PeerError, ctx: &mut Context<'_>) {
        let told = error.stop_result();
        if !self.is_known_to_owner() {
            ctx.stats.refused += 1;
            let port = self.to_port;
            ctx.out.push(Action::Refused(Refused {
                tunnel: None,
                port,
                error,
                told: told.clone(),
            }));
        }
        self.stop(told, &DownReason::PeerError(error), ctx);
    }

    /// Closes the tunnel by command.
    pub(crate) fn close(&mut self, reason: CloseReason, ctx: &mut Context<'_>) {
        if !self.is_closing() {
            self.stop(reason.stop_result(), &DownReason::Closed(reason), ctx);
        }
    }

    fn stop(&mut self, result: ResultCode, reason: &DownReason, ctx: &mut Context<'_>) {
        let result = ctx.config.dialect.habits.results.of(result);
        let avps = alloc::vec![Avp::AssignedTunnelId(self.local.0), Avp::ResultCode(result)];
        let ids = (self.channel.remote(), 0);
        let bytes = ctx.encode(ids, MessageType::STOP_CCN, &fields(avps));
        self.channel.finish(MessageType::STOP_CCN, bytes, &mut ctx.wire(self.to_port));
        self.bring_down(reason, ctx);
        self.state = State::Stopping;
        self.timers.clear_all();
        if self.channel.is_doubted() {
            // Nobody asks the peer again whether it got that.
            self.timers.set(Timer::Linger, ctx.now + RETRANSMIT_CYCLE);
        }
    }

    /// Ends everything inside and says so; nothing is sent.
    pub(crate) fn bring_down(&mut self, reason: &DownReason, ctx: &mut Context<'_>) {
        for (session, call) in core::mem::take(&mut self.sessions) {
            ctx.taken.remove(&session);
            if call.is_known_to_owner() {
                let session = SessionRef { tunnel: self.local, session };
                ctx.out.push(Action::SessionDown { session, reason: reason.clone() });
            }
        }
        if self.is_known_to_owner() {
            ctx.out.push(Action::TunnelDown { tunnel: self.local, reason: reason.clone() });
        }
    }

    /// Runs timers that are due; true when the tunnel is gone.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) -> bool {
        let forgiving = self.data_at.is_some_and(|at| ctx.now.since(at) < RETRANSMIT_CYCLE);
        let health = self.channel.handle_timeout(forgiving, &mut ctx.wire(self.to_port));
        if health == Health::Dead {
            if !self.is_closing() {
                self.bring_down(&DownReason::PeerSilent, ctx);
            }
            return true;
        }
        while let Some(timer) = self.timers.expired(ctx.now) {
            match timer {
                Timer::Calls => self.expire_calls(ctx),
                // Perhaps there is nobody who would know what a StopCCN is about.
                Timer::Establish if self.channel.is_doubted() => return true,
                Timer::Establish => {
                    let result = ResultCode::stop(StopCode::GENERAL_REQUEST, ErrorCode::NONE);
                    self.stop(result, &DownReason::NotEstablished, ctx);
                }
                Timer::Hello => self.ask_life(ctx),
                Timer::Idle => {
                    let result = ResultCode::stop(StopCode::GENERAL_REQUEST, ErrorCode::NONE);
                    self.stop(result, &DownReason::Idle, ctx);
                }
                Timer::Linger => return true,
            }
        }
        self.settle(ctx);
        self.is_gone()
    }

    /// Sends a HELLO after a time of silence (RFC 2661 §5.5).
    fn ask_life(&mut self, ctx: &mut Context<'_>) {
        let due = self.last_heard + ctx.config.hello_interval;
        if due > ctx.now {
            self.timers.set(Timer::Hello, due);
            return;
        }
        if self.channel.is_idle() {
            self.say(0, MessageType::HELLO, &[], ctx);
        }
        let wait = ctx.config.hello_interval.max(Duration::from_secs(1));
        self.timers.set(Timer::Hello, ctx.now + wait);
    }

    /// Arms the timer of HELLO, unless it is our habit never to ask.
    pub(crate) fn watch_life(&mut self, ctx: &Context<'_>) {
        if !ctx.config.dialect.habits.silent {
            self.timers.set(Timer::Hello, ctx.now + ctx.config.hello_interval);
        }
    }

    /// Authenticated data came from the peer.
    pub(crate) fn peer_alive(&mut self, now: Instant) {
        self.last_heard = now;
        self.data_at = Some(now);
    }

    /// Arms the idle timer when there is no session, disarms it when there is one.
    pub(crate) fn watch_idle(&mut self, ctx: &Context<'_>) {
        if !self.sessions.is_empty() || !self.is_up() {
            self.timers.clear(Timer::Idle);
        } else if !self.timers.is_set(Timer::Idle) {
            self.timers.set(Timer::Idle, ctx.now + ctx.config.idle_timeout);
        }
    }

    /// Queues a message for the peer's `session` and transmits it if the window allows.
    pub(crate) fn say(
        &mut self,
        session: u16,
        kind: MessageType,
        fields: &[Field],
        ctx: &mut Context<'_>,
    ) {
        let bytes = ctx.encode((self.channel.remote(), session), kind, fields);
        self.overflow |= !self.channel.push(kind, bytes);
        self.channel.pump(&mut ctx.wire(self.to_port));
    }

    /// What every input ends with.
    pub(crate) fn settle(&mut self, ctx: &mut Context<'_>) {
        if core::mem::take(&mut self.overflow) && !self.is_closing() {
            let result = ResultCode::stop(StopCode::GENERAL_ERROR, ErrorCode::NO_RESOURCES);
            self.stop(result, &DownReason::Congested, ctx);
        }
        if ctx.config.dialect.habits.waits_for_acks && self.is_up() && self.channel.is_idle() {
            self.go_on_acknowledged(ctx);
        }
        let mut wire = ctx.wire(self.to_port);
        self.channel.pump(&mut wire);
        self.channel.flush_ack(&mut wire);
    }

    /// When [`Tunnel::handle_timeout`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let timer = self.timers.next().map(|(at, timer)| Deadline { at, why: timer.why() });
        Deadline::earlier(self.channel.deadline(), timer)
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.state, State::Stopping | State::Stopped)
    }

    /// Whether our `StopCCN` was acknowledged.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state, State::Stopping) && self.channel.is_idle()
    }

    /// Whether the owner got our id by a command or by [`Action::TunnelUp`].
    fn is_known_to_owner(&self) -> bool {
        self.initiator || self.is_up()
    }
}

/// With the M bits that RFC 2661 gives the attributes.
pub(crate) fn fields(avps: Vec<Avp>) -> Vec<Field> {
    avps.into_iter().map(Field::from).collect()
}

/// Whether the sender waits for the acknowledgement: mtpd sends ICRQ only when SCCCN is acknowledged
/// and starts PPP only when ICCN is.
fn is_urgent(kind: MessageType) -> bool {
    !matches!(kind, MessageType::HELLO | MessageType::WEN | MessageType::SLI)
}

/// Gateways hold them by the ten thousand: whoever makes it larger decides so here.
const _: () = assert!(size_of::<Tunnel>() <= 368);
