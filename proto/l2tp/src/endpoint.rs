//! All tunnels with one IPsec peer: finds the tunnel of a message, and makes and ends tunnels.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::fmt;

use isthmus_core::{Deadline, Instant, Outbox, Rng, Seed, SmallMap};
use isthmus_crypto::Provider;
use isthmus_wire::{DecodeError, Reader};

use crate::action::{Action, CloseReason, SessionId, SessionRef, TunnelId};
use crate::body::Body;
use crate::config::{Config, Role};
use crate::context::{Context, free_id};
use crate::data;
use crate::error::Rejected;
use crate::iana::MessageType;
use crate::message::Message;
use crate::stats::Stats;
use crate::tunnel::Tunnel;

/// The L2TP of one IPsec peer. Ids are scoped to it.
pub struct Endpoint {
    pub(crate) tunnels: SmallMap<TunnelId, Box<Tunnel>>,
    pub(crate) shared: Shared,
}

/// What the tunnels of an endpoint share.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    provider: Arc<dyn Provider>,
    pub(crate) rng: Rng,
    /// Every session id that is taken.
    taken: BTreeSet<SessionId>,
    /// Calls asked for so far.
    pub(crate) calls: u32,
    /// Whether anybody can write the peer's address into a packet.
    doubts: bool,
    pub(crate) out: Outbox<Action>,
    pub(crate) stats: Stats,
}

impl Shared {
    /// Lends everything for the time of one input.
    pub(crate) fn context(&mut self, now: Instant) -> Context<'_> {
        Context {
            config: &self.config,
            provider: &*self.provider,
            rng: &mut self.rng,
            out: &mut self.out,
            stats: &mut self.stats,
            taken: &mut self.taken,
            calls: &mut self.calls,
            doubts: self.doubts,
            now,
        }
    }
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

impl Endpoint {
    /// An endpoint without tunnels.
    pub fn new(
        config: Arc<Config>,
        provider: Arc<dyn Provider>,
        seed: Seed,
        _now: Instant,
    ) -> Self {
        let shared = Shared {
            config,
            provider,
            rng: Rng::new(seed),
            taken: BTreeSet::new(),
            calls: 0,
            doubts: false,
            out: Outbox::new(),
            stats: Stats::default(),
        };
        Self { tunnels: SmallMap::new(), shared }
    }

    /// Nobody has checked that the peer is where its packets come from: until SCCCN shows that it receives
    /// what we send, a tunnel that it asks for sends it no more bytes than came from it. Without IPsec
    /// anybody can write the address of another into an SCCRQ, and an SCCRP is longer than many of those.
    #[must_use]
    pub fn doubting(mut self) -> Self {
        self.shared.doubts = true;
        self
    }

    /// Takes a new configuration; tunnels that are up stay as they are.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.shared.config = config;
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
            Ok(()) => self.shared.stats.received += 1,
            Err(_) => self.shared.stats.rejected += 1,
        }
        result
    }

    fn take_control(&mut self, from_port: u16, bytes: &[u8], now: Instant) -> Result<(), Rejected> {
        let message = Message::read(bytes)?;
        self.check_habit(&message, bytes)?;
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

    /// Refuses what the client that we speak as would refuse.
    fn check_habit(&self, message: &Message<'_>, bytes: &[u8]) -> Result<(), Rejected> {
        let accepts = self.shared.config.dialect.habits.accepts;
        if !accepts.flags(Reader::new(bytes).u16("flags")?) {
            return Err(DecodeError::illegal("flags").into());
        }
        let typed = message.payload.as_ref().is_none_or(|payload| payload.mandatory);
        if typed || accepts.optional_type() {
            return Ok(());
        }
        Err(DecodeError::illegal("message type").into())
    }

    /// The tunnel that a `StopCCN` means whose sender does not know our id, or has it wrong as some old
    /// Windows clients do: the sender's own id tells.
    fn find_stopped(&self, from_port: u16, message: &Message<'_>) -> Option<TunnelId> {
        let payload = message.payload.as_ref().filter(|p| p.kind == MessageType::STOP_CCN)?;
        let (Body::StopCcn(stop), _) = Body::read(payload, None).ok()? else { return None };
        let of_peer =
            |t: &Tunnel| t.to_port == from_port && stop.tunnel == Some(t.channel.remote());
        self.tunnels.values().find(|tunnel| of_peer(tunnel)).map(|tunnel| tunnel.local)
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
        if self.shared.config.role != Role::Lac {
            return Err(OpenError::NotLac);
        }
        let open = self.tunnels.values().filter(|t| !t.is_closing()).count();
        if open >= self.shared.config.tunnel_limit() {
            return Err(OpenError::TooManyTunnels);
        }
        if self.shared.taken.len() >= self.shared.config.session_limit() {
            return Err(OpenError::TooManySessions);
        }
        self.make_room();
        let local = self.new_tunnel_id();
        let mut ctx = self.shared.context(now);
        let mut tunnel = Tunnel::request(local, to_port, &mut ctx);
        let session = tunnel.open_call(&mut ctx).ok_or(OpenError::TooManySessions)?;
        self.tunnels.insert(local, Box::new(tunnel));
        Ok(SessionRef { tunnel: local, session })
    }

    /// Asks for another call in a tunnel.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_call(&mut self, tunnel: TunnelId, now: Instant) -> Result<SessionRef, OpenError> {
        if self.shared.config.role != Role::Lac {
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
        self.shared.stats.stray_data += u64::from(!known);
        known.then_some(SessionRef { tunnel, session })
    }

    /// The next thing to do; the order is part of the contract.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.shared.out.pop()
    }

    /// When to call [`Endpoint::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.tunnels.values().map(|tunnel| tunnel.deadline()).fold(None, Deadline::earlier)
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
        self.shared.taken.len()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.shared.stats
    }

    /// Forgets the oldest closing tunnels until one more fits under
    /// [`TUNNELS_MAX`](crate::bounds::TUNNELS_MAX).
    pub(crate) fn make_room(&mut self) {
        while self.tunnels.len() >= crate::bounds::TUNNELS_MAX {
            let closing = self.tunnels.values().filter(|tunnel| tunnel.is_closing());
            let first = closing.min_by_key(|tunnel| tunnel.deadline().map(|d| d.at));
            let Some(id) = first.map(|tunnel| tunnel.local) else { return };
            self.tunnels.remove(&id);
        }
    }

    pub(crate) fn new_tunnel_id(&mut self) -> TunnelId {
        let ids = self.shared.config.dialect.habits.ids;
        TunnelId(free_id(ids, &mut self.shared.rng, |id| self.tunnels.contains_key(&TunnelId(id))))
    }

    /// A tunnel and what it works with.
    pub(crate) fn lend(
        &mut self,
        id: TunnelId,
        now: Instant,
    ) -> Option<(&mut Tunnel, Context<'_>)> {
        Some((self.tunnels.get_mut(&id)?, self.shared.context(now)))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("tunnels", &self.tunnels.len())
            .field("sessions", &self.shared.taken.len())
            .finish_non_exhaustive()
    }
}
