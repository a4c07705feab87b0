//! All tunnels with one IPsec peer: finds the tunnel of a message, and makes and ends tunnels.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use isthmus_core::{Deadline, Duration, Instant, Outbox, Rng, Seed};
use isthmus_crypto::Provider;

use crate::action::{Action, CloseReason, DownReason, Refused, SessionId, SessionRef, TunnelId};
use crate::avp::Avp;
use crate::body::{Body, BodyError, Greeting};
use crate::config::{Config, Role};
use crate::context::{Context, random_id};
use crate::data;
use crate::error::{PeerError, Rejected};
use crate::header::Header;
use crate::iana::MessageType;
use crate::message::{Message, Payload};
use crate::stats::Stats;
use crate::tunnel::{State, Tunnel, fields};

/// How long after a tunnel came up an SCCRQ with its id is a late copy of the one that made it, and
/// not a client that starts anew.
pub const LATE_REQUEST: Duration = Duration::from_secs(2);

/// The L2TP of one IPsec peer. Ids are scoped to it.
pub struct Endpoint {
    pub(crate) config: Arc<Config>,
    provider: Arc<dyn Provider>,
    rng: Rng,
    pub(crate) tunnels: BTreeMap<TunnelId, Tunnel>,
    index: BTreeMap<SessionId, TunnelId>,
    calls: u32,
    out: Outbox<Action>,
    stats: Stats,
}

/// Why a command cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Only a LAC asks for calls.
    NotLac,
    /// The limit of sessions is reached.
    TooManySessions,
    /// The limit of tunnels is reached.
    TooManyTunnels,
    /// No such tunnel, or it is closing.
    UnknownTunnel,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLac => "only a LAC asks for calls",
            Self::TooManySessions => "too many sessions",
            Self::TooManyTunnels => "too many tunnels",
            Self::UnknownTunnel => "no such tunnel",
        })
    }
}

impl core::error::Error for OpenError {}

/// Who wins when both ends ask for a tunnel at once (RFC 2661 §4.4.3, Tie Breaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tie {
    /// No collision, or nobody minds two tunnels.
    Both,
    /// Equal values: both drop their tunnel and start anew.
    Draw(TunnelId),
    Ours,
    Theirs(TunnelId),
}

impl Endpoint {
    /// An endpoint without tunnels.
    pub fn new(
        config: Arc<Config>,
        provider: Arc<dyn Provider>,
        seed: Seed,
        _now: Instant,
    ) -> Self {
        Self {
            config,
            provider,
            rng: Rng::new(seed),
            tunnels: BTreeMap::new(),
            index: BTreeMap::new(),
            calls: 0,
            out: Outbox::new(),
            stats: Stats::default(),
        }
    }

    /// Takes a new configuration; tunnels that are up stay as they are.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// Feeds a control message (T bit set) that came from the peer's UDP `from_port`.
    ///
    /// # Errors
    /// The message was dropped and changed nothing.
    pub fn handle_control(
        &mut self,
        from_port: u16,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Rejected> {
        let result = self.take_control(from_port, bytes, now);
        match result {
            Ok(()) => self.stats.received += 1,
            Err(_) => self.stats.rejected += 1,
        }
        result
    }

    fn take_control(&mut self, from_port: u16, bytes: &[u8], now: Instant) -> Result<(), Rejected> {
        let message = Message::read(bytes)?;
        let kind = message.payload.as_ref().map(|payload| payload.kind);
        let id = TunnelId(message.header.tunnel);
        if id.0 == 0 {
            match (kind, &message.payload) {
                (Some(MessageType::SCCRQ), Some(payload)) => {
                    return self.on_sccrq(from_port, message.header, payload, bytes, now);
                }
                (Some(MessageType::HELLO), _) => return Err(Rejected::StrayHello),
                _ => {}
            }
        }
        let id = if self.tunnels.contains_key(&id) {
            id
        } else {
            self.find_stopped(from_port, &message).ok_or(Rejected::UnknownTunnel(id.0))?
        };
        let (tunnel, mut ctx) = self.lend(id, now).ok_or(Rejected::UnknownTunnel(id.0))?;
        tunnel.handle(from_port, &message, bytes, &mut ctx)?;
        if tunnel.is_gone() {
            self.tunnels.remove(&id);
        }
        Ok(())
    }

    /// The tunnel that a `StopCCN` means whose sender does not know our id, or has it wrong as some old
    /// Windows clients do: the sender's own id tells.
    fn find_stopped(&self, from_port: u16, message: &Message<'_>) -> Option<TunnelId> {
        let payload = message.payload.as_ref().filter(|p| p.kind == MessageType::STOP_CCN)?;
        let (Body::StopCcn(stop), _) = Body::read(payload, None).ok()? else { return None };
        let of_peer =
            |t: &&Tunnel| t.to_port == from_port && stop.tunnel == Some(t.channel.remote());
        self.tunnels.values().find(of_peer).map(|tunnel| tunnel.local)
    }

    fn on_sccrq(
        &mut self,
        from_port: u16,
        header: Header,
        payload: &Payload<'_>,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Rejected> {
        if header.ns != 0 {
            return Err(Rejected::OutOfWindow);
        }
        let request = bytes.get(Header::LEN..).unwrap_or_default();
        let (body, ignored) = match Body::read(payload, self.context(now).hiding()) {
            Ok(body) => body,
            Err(error) => return self.refuse(from_port, error, bytes.len()),
        };
        let Body::Sccrq(greeting) = body else { return Err(Rejected::UnknownTunnel(0)) };
        let remote = greeting.tunnel;
        let copies = self.tunnels.values().filter(|t| t.channel.remote() == remote);
        let old = copies.filter(|t| t.to_port == from_port && !t.initiator).map(|t| t.local).next();
        if let Some(old) = old
            && self.is_copy(old, request, now)
        {
            if let Some((tunnel, mut ctx)) = self.lend(old, now) {
                tunnel.request_repeated(&mut ctx);
            }
            return Ok(());
        }
        let tie = self.judge_tie(greeting.tie_breaker);
        if tie == Tie::Ours {
            return Err(Rejected::TieBreakerWon);
        }
        if let Err(error) = self.admit_tunnel(&greeting, tie, old) {
            let error = BodyError { error, assigned: Some(remote) };
            return self.refuse(from_port, error, bytes.len());
        }
        self.stats.ignored_avps += ignored;
        self.commit_tunnel(from_port, greeting, request, (tie, old), now);
        Ok(())
    }

    /// Whether an SCCRQ is the one that made tunnel `old`, once more.
    fn is_copy(&self, old: TunnelId, again: &[u8], now: Instant) -> bool {
        match self.tunnels.get(&old).map(|tunnel| &tunnel.state) {
            Some(State::WaitConnect { request, .. }) => request == again,
            Some(State::Up { since }) => now.since(*since) < LATE_REQUEST,
            Some(State::WaitReply { .. } | State::Stopping | State::Stopped) | None => false,
        }
    }

    fn judge_tie(&self, theirs: Option<u64>) -> Tie {
        let mine = self.tunnels.values().find_map(|tunnel| match tunnel.state {
            State::WaitReply { tie_breaker, .. } => Some((tunnel.local, tie_breaker)),
            State::WaitConnect { .. } | State::Up { .. } | State::Stopping | State::Stopped => None,
        });
        match (mine, theirs) {
            (None | Some((_, None)), None) | (None, Some(_)) => Tie::Both,
            (Some((_, Some(_))), None) => Tie::Ours,
            (Some((id, None)), Some(_)) => Tie::Theirs(id),
            (Some((id, Some(mine))), Some(theirs)) => match mine.cmp(&theirs) {
                core::cmp::Ordering::Less => Tie::Ours,
                core::cmp::Ordering::Equal => Tie::Draw(id),
                core::cmp::Ordering::Greater => Tie::Theirs(id),
            },
        }
    }

    /// Whether policy allows a tunnel that the peer asks for; `old` is one it replaces.
    fn admit_tunnel(
        &self,
        greeting: &Greeting,
        tie: Tie,
        old: Option<TunnelId>,
    ) -> Result<(), PeerError> {
        let asked = self.tunnels.values().any(|t| matches!(t.state, State::WaitReply { .. }));
        if self.config.role == Role::Lac && !asked {
            return Err(PeerError::NotOffered(MessageType::SCCRQ));
        }
        let leaves = |t: &Tunnel| Some(t.local) == old || tie == Tie::Theirs(t.local);
        let staying = self.tunnels.values().filter(|t| !t.is_closing() && !leaves(t)).count();
        if staying >= self.config.tunnel_limit() {
            return Err(PeerError::NoResources);
        }
        if greeting.challenge.is_some() && self.config.secret.is_none() {
            return Err(PeerError::NoSecret);
        }
        Ok(())
    }

    fn commit_tunnel(
        &mut self,
        from_port: u16,
        greeting: Greeting,
        request: &[u8],
        (tie, old): (Tie, Option<TunnelId>),
        now: Instant,
    ) {
        if let Some(old) = old {
            self.discard(old, &DownReason::Replaced, now);
        }
        if let Tie::Draw(ours) = tie {
            self.restart(ours, now);
            return;
        }
        self.make_room();
        let local = self.new_tunnel_id();
        let mut ctx = self.context(now);
        let Ok(mut tunnel) = Tunnel::accept(local, from_port, greeting, request, &mut ctx) else {
            return;
        };
        if let Tie::Theirs(ours) = tie {
            self.move_calls(ours, &mut tunnel);
            self.discard(ours, &DownReason::TieBreakerLost, now);
        }
        self.tunnels.insert(local, tunnel);
    }

    /// Starts our tunnel anew, under another id and tie breaker, with the calls that wait in it.
    fn restart(&mut self, old: TunnelId, now: Instant) {
        let Some(to_port) = self.tunnels.get(&old).map(|tunnel| tunnel.to_port) else { return };
        let local = self.new_tunnel_id();
        let mut tunnel = Tunnel::request(local, to_port, &mut self.context(now));
        self.move_calls(old, &mut tunnel);
        self.discard(old, &DownReason::TieBreakerLost, now);
        self.tunnels.insert(local, tunnel);
    }

    /// Calls that wait for one tunnel wait for another.
    fn move_calls(&mut self, from: TunnelId, to: &mut Tunnel) {
        let Some(from) = self.tunnels.get_mut(&from) else { return };
        to.sessions = core::mem::take(&mut from.sessions);
        for id in to.sessions.keys() {
            self.index.insert(*id, to.local);
        }
    }

    /// Forgets a tunnel without telling the peer.
    fn discard(&mut self, id: TunnelId, reason: &DownReason, now: Instant) {
        if let Some(mut tunnel) = self.tunnels.remove(&id)
            && !tunnel.is_closing()
        {
            tunnel.bring_down(reason, &mut self.context(now));
        }
    }

    /// Refuses an SCCRQ without keeping anything: the peer's retransmission is refused again. The
    /// answer is never longer than the question.
    fn refuse(
        &mut self,
        port: u16,
        BodyError { error, assigned }: BodyError,
        len: usize,
    ) -> Result<(), Rejected> {
        let remote = assigned.ok_or(Rejected::NoAnswer(error))?;
        let told = error.stop_result();
        let unused = random_id(&mut self.rng, |id| self.tunnels.contains_key(&TunnelId(id)));
        let avps = alloc::vec![Avp::AssignedTunnelId(unused), Avp::ResultCode(told.clone())];
        let ids = (remote, 0);
        let mut bytes =
            crate::message::encode(ids, MessageType::STOP_CCN, &fields(avps), None, &mut self.rng);
        if bytes.len() > len {
            return Err(Rejected::NoAnswer(error));
        }
        Header::renumber(&mut bytes, 0, 1);
        self.stats.refused += 1;
        self.stats.transmitted += 1;
        self.out.push(Action::Transmit { to_port: port, bytes });
        self.out.push(Action::Refused(Refused { tunnel: None, port, error, told }));
        Ok(())
    }

    /// Runs timers that are due; calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |tunnel: &Tunnel| tunnel.deadline().is_some_and(|deadline| deadline.at <= now);
        let ids: alloc::vec::Vec<_> =
            self.tunnels.values().filter(|tunnel| due(tunnel)).map(|tunnel| tunnel.local).collect();
        for id in ids {
            let gone = self.lend(id, now).is_some_and(|(t, mut ctx)| t.handle_timeout(&mut ctx));
            if gone {
                self.tunnels.remove(&id);
            }
        }
    }

    /// Opens a tunnel to the peer's UDP `to_port` and a call in it.
    ///
    /// The session comes up with [`Action::SessionUp`], whose session id is the one returned; the
    /// tunnel may be another one when the peer asked for a tunnel too. Or it goes down.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self, to_port: u16, now: Instant) -> Result<SessionRef, OpenError> {
        if self.config.role != Role::Lac {
            return Err(OpenError::NotLac);
        }
        let open = self.tunnels.values().filter(|t| !t.is_closing()).count();
        if open >= self.config.tunnel_limit() {
            return Err(OpenError::TooManyTunnels);
        }
        if self.index.len() >= self.config.session_limit() {
            return Err(OpenError::TooManySessions);
        }
        self.make_room();
        let local = self.new_tunnel_id();
        let mut ctx = self.context(now);
        let mut tunnel = Tunnel::request(local, to_port, &mut ctx);
        let session = tunnel.open_call(&mut ctx).ok_or(OpenError::TooManySessions)?;
        self.tunnels.insert(local, tunnel);
        Ok(SessionRef { tunnel: local, session })
    }

    /// Asks for another call in a tunnel.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_call(&mut self, tunnel: TunnelId, now: Instant) -> Result<SessionRef, OpenError> {
        if self.config.role != Role::Lac {
            return Err(OpenError::NotLac);
        }
        let (tunnel, mut ctx) = self.lend(tunnel, now).ok_or(OpenError::UnknownTunnel)?;
        if tunnel.is_closing() {
            return Err(OpenError::UnknownTunnel);
        }
        let session = tunnel.open_call(&mut ctx).ok_or(OpenError::TooManySessions)?;
        tunnel.settle(&mut ctx);
        Ok(SessionRef { tunnel: tunnel.local, session })
    }

    /// Ends a session: CDN, then [`Action::SessionDown`]. False when there is no such session.
    pub fn close_session(
        &mut self,
        session: SessionRef,
        reason: CloseReason,
        now: Instant,
    ) -> bool {
        let Some((tunnel, mut ctx)) = self.lend(session.tunnel, now) else { return false };
        let known = tunnel.close_call(session.session, reason, &mut ctx);
        tunnel.settle(&mut ctx);
        known
    }

    /// Ends a tunnel: `StopCCN`, then [`Action::SessionDown`] for each session, then
    /// [`Action::TunnelDown`]. False when there is no such tunnel.
    pub fn close_tunnel(&mut self, tunnel: TunnelId, reason: CloseReason, now: Instant) -> bool {
        let Some((tunnel, mut ctx)) = self.lend(tunnel, now) else { return false };
        tunnel.close(reason, &mut ctx);
        true
    }

    /// Ends every tunnel as [`Endpoint::close_tunnel`] does. [`Endpoint::is_empty`] tells when the
    /// peer has acknowledged.
    pub fn close(&mut self, reason: CloseReason, now: Instant) {
        let ids: alloc::vec::Vec<_> = self.tunnels.keys().copied().collect();
        for id in ids {
            self.close_tunnel(id, reason, now);
        }
    }

    /// Authenticated data came from the peer: no HELLO is needed, and one that was not acknowledged
    /// kills nobody.
    pub fn peer_alive(&mut self, now: Instant) {
        for tunnel in self.tunnels.values_mut() {
            tunnel.peer_alive(now);
        }
    }

    /// The session a data message is for; counts it when there is none.
    pub fn data_session(&mut self, header: &data::Header) -> Option<SessionRef> {
        let (tunnel, session) = (TunnelId(header.tunnel), SessionId(header.session));
        let known = self.tunnels.get(&tunnel).is_some_and(|t| t.sessions.contains_key(&session));
        self.stats.stray_data += u64::from(!known);
        known.then_some(SessionRef { tunnel, session })
    }

    /// The next thing to do; the order is part of the contract.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop()
    }

    /// When to call [`Endpoint::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.tunnels.values().map(Tunnel::deadline).fold(None, Deadline::earlier)
    }

    /// Whether no tunnel is left, closing ones included.
    pub fn is_empty(&self) -> bool {
        self.tunnels.is_empty()
    }

    /// Number of tunnels, closing ones included.
    pub fn tunnel_count(&self) -> usize {
        self.tunnels.len()
    }

    /// Number of sessions, those that are coming up included.
    pub fn session_count(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Forgets the oldest closing tunnels until one more fits under
    /// [`TUNNELS_MAX`](crate::bounds::TUNNELS_MAX).
    fn make_room(&mut self) {
        while self.tunnels.len() >= crate::bounds::TUNNELS_MAX {
            let closing = self.tunnels.values().filter(|tunnel| tunnel.is_closing());
            let first = closing.min_by_key(|tunnel| tunnel.deadline().map(|d| d.at));
            let Some(id) = first.map(|tunnel| tunnel.local) else { return };
            self.tunnels.remove(&id);
        }
    }

    fn new_tunnel_id(&mut self) -> TunnelId {
        TunnelId(random_id(&mut self.rng, |id| self.tunnels.contains_key(&TunnelId(id))))
    }

    pub(crate) fn context(&mut self, now: Instant) -> Context<'_> {
        Context {
            config: &self.config,
            provider: &*self.provider,
            rng: &mut self.rng,
            out: &mut self.out,
            stats: &mut self.stats,
            index: &mut self.index,
            calls: &mut self.calls,
            now,
        }
    }

    /// A tunnel and what it works with.
    fn lend(&mut self, id: TunnelId, now: Instant) -> Option<(&mut Tunnel, Context<'_>)> {
        let tunnel = self.tunnels.get_mut(&id)?;
        let ctx = Context {
            config: &self.config,
            provider: &*self.provider,
            rng: &mut self.rng,
            out: &mut self.out,
            stats: &mut self.stats,
            index: &mut self.index,
            calls: &mut self.calls,
            now,
        };
        Some((tunnel, ctx))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("tunnels", &self.tunnels.len())
            .field("sessions", &self.index.len())
            .finish_non_exhaustive()
    }
}
