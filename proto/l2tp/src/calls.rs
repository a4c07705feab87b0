//! Calls inside a tunnel: the incoming-call machines of both ends (RFC 2661 §7.4).
//!
//! ```text
//!   LAC: WaitTunnel --tunnel up--> ICRQ -> WaitReply --ICRP--> ICCN -> Up
//!   LNS: --ICRQ--> ICRP -> WaitConnect --ICCN--> Up
//! ```
//!
//! Outgoing calls, which an LNS would ask a LAC with telephone lines for, are refused at both ends.

use alloc::boxed::Box;

use isthmus_core::Instant;

use crate::action::{Action, CloseReason, DownReason, Refused, SessionId, SessionRef, SessionUp};
use crate::avp::{Avp, Bounded, ResultCode};
use crate::body::{Body, BodyError, Cdn, Iccn, Icrq, WINDOW_DEFAULT};
use crate::bounds::NUMBER_MAX;
use crate::config::Role;
use crate::context::Context;
use crate::dialect::{Filling, fill, serial};
use crate::error::PeerError;
use crate::habits::Results;
use crate::iana::{AttributeType, CallCode, ErrorCode, MessageType};
use crate::tunnel::{Timer, Tunnel, fields};

/// One call.
#[derive(Debug)]
pub(crate) struct Session {
    /// The peer's id, 0 until known.
    pub(crate) remote: u16,
    pub(crate) state: CallState,
    pub(crate) serial: u32,
    /// Whether a command of ours asked for it.
    pub(crate) commanded: bool,
    pub(crate) sequencing: bool,
    calling: Bounded<NUMBER_MAX>,
    called: Bounded<NUMBER_MAX>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallState {
    Up,
    /// LAC: ICCN must be acknowledged first.
    WaitAck {
        until: Instant,
    },
    /// LNS: we sent ICRP.
    WaitConnect {
        until: Instant,
    },
    /// LAC: we sent ICRQ.
    WaitReply {
        until: Instant,
    },
    /// LAC: the tunnel is not up.
    WaitTunnel,
}

impl CallState {
    const fn until(self) -> Option<Instant> {
        match self {
            Self::WaitAck { until } | Self::WaitConnect { until } | Self::WaitReply { until } => {
                Some(until)
            }
            Self::Up | Self::WaitTunnel => None,
        }
    }
}

impl Session {
    pub(crate) fn new(remote: u16, serial: u32, state: CallState) -> Self {
        Self {
            remote,
            state,
            serial,
            commanded: false,
            sequencing: false,
            calling: Bounded::default(),
            called: Bounded::default(),
        }
    }

    /// Whether the owner got our id by a command or by [`Action::SessionUp`].
    pub(crate) fn is_known_to_owner(&self) -> bool {
        self.commanded || self.state == CallState::Up
    }
}

impl Tunnel {
    /// Asks for a call, now or when the tunnel is up; `None` at the limit of sessions.
    pub(crate) fn open_call(&mut self, ctx: &mut Context<'_>) -> Option<SessionId> {
        let id = ctx.new_session()?;
        let serial = serial(&ctx.config.dialect.icrq, *ctx.calls, ctx.rng);
        *ctx.calls = ctx.calls.wrapping_add(1);
        let mut call = Session::new(0, serial, CallState::WaitTunnel);
        call.commanded = true;
        self.sessions.insert(id, Box::new(call));
        if self.is_up() {
            self.start_calls(ctx);
            self.watch_idle(ctx);
        }
        Some(id)
    }

    /// Sends ICRQ for every call that waited for the tunnel.
    pub(crate) fn start_calls(&mut self, ctx: &mut Context<'_>) {
        let until = ctx.now + ctx.config.establish_timeout;
        let waiting: alloc::vec::Vec<_> = self
            .sessions
            .iter_mut()
            .filter(|(_, call)| call.state == CallState::WaitTunnel)
            .map(|(&id, call)| {
                call.state = CallState::WaitReply { until };
                (id, call.serial)
            })
            .collect();
        for (id, serial) in waiting {
            let filling = Filling {
                assigned: Avp::AssignedSessionId(id.0),
                serial,
                challenge: None,
                tie_breaker: None,
            };
            self.say(0, MessageType::ICRQ, &fill(&ctx.config.dialect.icrq, &filling), ctx);
        }
        self.watch_calls();
    }

    /// Takes a message about a call; the tunnel is up.
    pub(crate) fn dispatch_call(&mut self, body: Body, session: u16, ctx: &mut Context<'_>) {
        let id = SessionId(session);
        let kind = body.kind();
        match body {
            Body::Icrq(request) => self.on_icrq(request, ctx),
            Body::Icrp(remote) => self.on_icrp(id, remote, ctx),
            Body::Iccn(connected) => self.on_iccn(id, connected, ctx),
            Body::Cdn(cdn) => self.on_cdn(id, cdn, ctx),
            Body::Ocrq(remote) => self.refuse_call(remote, PeerError::NotOffered(kind), ctx),
            Body::Ocrp | Body::Occn => self.out_of_state(id, kind, ctx),
            Body::Sli(_) if self.sessions.contains_key(&id) => ctx.stats.link_infos += 1,
            Body::Wen(_) if self.sessions.contains_key(&id) => ctx.stats.wan_errors += 1,
            Body::Hello
            | Body::Ignored(_)
            | Body::Scccn(_)
            | Body::Sccrp(_)
            | Body::Sccrq(_)
            | Body::Sli(_)
            | Body::StopCcn(_)
            | Body::Wen(_) => ctx.stats.ignored_messages += 1,
        }
        self.watch_idle(ctx);
    }

    fn on_icrq(&mut self, request: Icrq, ctx: &mut Context<'_>) {
        if ctx.config.role != Role::Lns {
            let error = PeerError::NotOffered(MessageType::ICRQ);
            return self.refuse_call(request.session, error, ctx);
        }
        // The peer uses its id again, so to it the old call is over; a CDN would end the new one.
        let old = self.sessions.iter().find(|(_, call)| call.remote == request.session);
        if let Some(id) = old.map(|(&id, _)| id) {
            self.drop_call(id, DownReason::Replaced, ctx);
        }
        let Some(id) = ctx.new_session() else {
            return self.refuse_call(request.session, PeerError::NoResources, ctx);
        };
        let until = ctx.now + ctx.config.establish_timeout;
        let state = CallState::WaitConnect { until };
        let mut call = Session::new(request.session, request.serial, state);
        call.calling = request.calling;
        call.called = request.called;
        self.sessions.insert(id, Box::new(call));
        let reply = [Avp::AssignedSessionId(id.0).into()];
        self.say(request.session, MessageType::ICRP, &reply, ctx);
        self.watch_calls();
    }

    fn on_icrp(&mut self, id: SessionId, remote: u16, ctx: &mut Context<'_>) {
        let connected = &ctx.config.dialect.iccn;
        let sequencing =
            connected.iter().any(|f| f.avp.attribute() == AttributeType::SEQUENCING_REQUIRED);
        let call = self.sessions.get_mut(&id);
        let Some(call) = call.filter(|c| matches!(c.state, CallState::WaitReply { .. })) else {
            return self.out_of_state(id, MessageType::ICRP, ctx);
        };
        call.remote = remote;
        call.sequencing = sequencing;
        let waits = ctx.config.dialect.habits.waits_for_acks;
        if waits {
            call.state = CallState::WaitAck { until: ctx.now + ctx.config.establish_timeout };
        }
        self.say(remote, MessageType::ICCN, connected, ctx);
        if waits {
            self.watch_calls();
        } else {
            self.call_up(id, Iccn::default(), ctx);
        }
    }

    /// Everything said is acknowledged: what waited for that goes on.
    pub(crate) fn go_on_acknowledged(&mut self, ctx: &mut Context<'_>) {
        let waits = |call: &Session| matches!(call.state, CallState::WaitAck { .. });
        let ids: alloc::vec::Vec<_> =
            self.sessions.iter().filter(|(_, call)| waits(call)).map(|(&id, _)| id).collect();
        for id in ids {
            self.call_up(id, Iccn::default(), ctx);
        }
        self.start_calls(ctx);
    }

    fn on_iccn(&mut self, id: SessionId, connected: Iccn, ctx: &mut Context<'_>) {
        let call = self.sessions.get_mut(&id);
        let Some(call) = call.filter(|c| matches!(c.state, CallState::WaitConnect { .. })) else {
            return self.out_of_state(id, MessageType::ICCN, ctx);
        };
        call.sequencing = connected.sequencing;
        self.call_up(id, connected, ctx);
    }

    fn call_up(&mut self, id: SessionId, connected: Iccn, ctx: &mut Context<'_>) {
        let Some(call) = self.sessions.get_mut(&id) else { return };
        call.state = CallState::Up;
        ctx.out.push(Action::SessionUp(Box::new(SessionUp {
            session: SessionRef { tunnel: self.local, session: id },
            remote_tunnel: self.channel.remote(),
            remote_session: call.remote,
            to_port: self.to_port,
            send_sequence: call.sequencing,
            peer_host: self.host.clone(),
            serial: call.serial,
            calling: call.calling.clone(),
            called: call.called.clone(),
            framing: connected.framing,
            tx_speed: connected.tx_speed,
            rx_speed: connected.rx_speed,
            group: connected.group,
            proxy_lcp: connected.proxy_lcp.map(Box::new),
            proxy_auth: connected.proxy_auth.map(Box::new),
        })));
        self.watch_calls();
    }

    fn on_cdn(&mut self, id: SessionId, cdn: Cdn, ctx: &mut Context<'_>) {
        // A peer that does not know our id names its own (RFC 2661 §6.12).
        let named = |call: &Session| cdn.session == Some(call.remote) && id.0 == 0;
        let found = self.sessions.iter().find(|&(&our, call)| our == id || named(call));
        match found.map(|(&id, _)| id) {
            Some(id) => {
                let reason = DownReason::PeerDisconnected { result: cdn.result, cause: cdn.cause };
                self.drop_call(id, reason, ctx);
            }
            None => ctx.stats.ignored_messages += 1,
        }
    }

    /// A message for a call that is not in the state for it: ends the call, or is ignored when there
    /// is none.
    fn out_of_state(&mut self, id: SessionId, kind: MessageType, ctx: &mut Context<'_>) {
        if self.sessions.contains_key(&id) {
            let error = PeerError::OutOfState(kind);
            self.end_call(id, error.call_result(), DownReason::PeerError(error), ctx);
        } else {
            ctx.stats.ignored_messages += 1;
        }
    }

    /// A message that does not decode: ends what it is about.
    pub(crate) fn refuse_message(
        &mut self,
        kind: MessageType,
        session: u16,
        BodyError { error, assigned }: BodyError,
        ctx: &mut Context<'_>,
    ) {
        let about_call = kind.is_known() && kind >= MessageType::OCRQ;
        if !about_call || !self.is_up() {
            if let (0, Some(remote)) = (self.channel.remote(), assigned) {
                self.channel.set_peer(remote, WINDOW_DEFAULT);
            }
            return self.fail(error, ctx);
        }
        let id = SessionId(session);
        if self.sessions.contains_key(&id) {
            self.end_call(id, error.call_result(), DownReason::PeerError(error), ctx);
            self.watch_idle(ctx);
        } else if let Some(remote) = assigned {
            self.refuse_call(remote, error, ctx);
        } else {
            ctx.stats.ignored_messages += 1;
        }
    }

    /// Refuses a call that we keep no state for.
    fn refuse_call(&mut self, remote: u16, error: PeerError, ctx: &mut Context<'_>) {
        let told = error.call_result();
        ctx.stats.refused += 1;
        ctx.out.push(Action::Refused(Refused {
            tunnel: Some(self.local),
            port: self.to_port,
            error,
            told: told.clone(),
        }));
        let unused = crate::context::random_id(ctx.rng, |id| ctx.taken.contains(&SessionId(id)));
        self.say_cdn(SessionId(unused), remote, told, ctx);
    }

    /// Closes a call by command; false when there is none.
    pub(crate) fn close_call(
        &mut self,
        id: SessionId,
        reason: CloseReason,
        ctx: &mut Context<'_>,
    ) -> bool {
        let known = self.sessions.contains_key(&id);
        if known {
            self.end_call(id, reason.call_result(), DownReason::Closed(reason), ctx);
            self.watch_idle(ctx);
        }
        known
    }

    /// CDN, then [`Action::SessionDown`].
    fn end_call(
        &mut self,
        id: SessionId,
        result: ResultCode,
        reason: DownReason,
        ctx: &mut Context<'_>,
    ) {
        let Some(call) = self.sessions.get(&id) else { return };
        if call.state != CallState::WaitTunnel {
            self.say_cdn(id, call.remote, result, ctx);
        }
        self.drop_call(id, reason, ctx);
    }

    fn say_cdn(&mut self, id: SessionId, remote: u16, result: ResultCode, ctx: &mut Context<'_>) {
        let results = ctx.config.dialect.habits.results;
        let mut avps =
            alloc::vec![Avp::ResultCode(results.of(result)), Avp::AssignedSessionId(id.0)];
        if results == Results::Apple {
            avps.reverse();
        }
        self.say(remote, MessageType::CDN, &fields(avps), ctx);
    }

    fn drop_call(&mut self, id: SessionId, reason: DownReason, ctx: &mut Context<'_>) {
        let Some(call) = self.sessions.remove(&id) else { return };
        ctx.taken.remove(&id);
        if call.is_known_to_owner() {
            let session = SessionRef { tunnel: self.local, session: id };
            ctx.out.push(Action::SessionDown { session, reason });
        }
        self.watch_calls();
    }

    /// Ends calls that did not come up in time.
    pub(crate) fn expire_calls(&mut self, ctx: &mut Context<'_>) {
        let late = |call: &Session| call.state.until().is_some_and(|until| until <= ctx.now);
        let ids: alloc::vec::Vec<_> =
            self.sessions.iter().filter(|(_, call)| late(call)).map(|(&id, _)| id).collect();
        for id in ids {
            let result = ResultCode::call(CallCode::NOT_ESTABLISHED_IN_TIME, ErrorCode::NONE);
            self.end_call(id, result, DownReason::NotEstablished, ctx);
        }
        self.watch_calls();
        self.watch_idle(ctx);
    }

    fn watch_calls(&mut self) {
        match self.sessions.values().filter_map(|call| call.state.until()).min() {
            Some(at) => self.timers.set(Timer::Calls, at),
            None => self.timers.clear(Timer::Calls),
        }
    }
}
