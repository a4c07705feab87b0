//! The peer asks for a tunnel: copies, replacements, collisions, limits, and refusals that keep no
//! state.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant};

use crate::action::{Action, DownReason, Refused, TunnelId};
use crate::avp::Avp;
use crate::body::{Body, BodyError, Greeting};
use crate::config::Role;
use crate::context::random_id;
use crate::endpoint::Endpoint;
use crate::error::{PeerError, Rejected};
use crate::header::Header;
use crate::iana::MessageType;
use crate::message::{Payload, encode};
use crate::tunnel::{State, Tunnel, fields};

/// How long after a tunnel came up an SCCRQ with its id is a late copy of the one that made it, and
/// not a client that starts anew.
pub const LATE_REQUEST: Duration = Duration::from_secs(2);

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
    /// Feeds an SCCRQ.
    ///
    /// # Errors
    /// It was dropped and changed nothing.
    pub(crate) fn on_sccrq(
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
        let (body, ignored) = match Body::read(payload, self.shared.context(now).hiding()) {
            Ok(body) => body,
            Err(error) => return self.refuse(from_port, error, bytes.len()),
        };
        let Body::Sccrq(greeting) = body else { return Err(Rejected::UnknownTunnel(0)) };
        let same = |t: &Tunnel| t.channel.remote() == greeting.tunnel && t.to_port == from_port;
        let rivals: Vec<_> =
            self.tunnels.values().filter(|tunnel| same(tunnel)).map(|t| t.local).collect();
        if let Some(&copy) = rivals.iter().find(|&&id| self.is_copy(id, request, now)) {
            if let Some((tunnel, mut ctx)) = self.lend(copy, now) {
                tunnel.request_repeated(bytes.len(), &mut ctx);
            }
            return Ok(());
        }
        let tie = self.judge_tie(greeting.tie_breaker);
        if tie == Tie::Ours {
            return Err(Rejected::TieBreakerWon);
        }
        if let Err(error) = self.admit_tunnel(&greeting, tie, &rivals) {
            let error = BodyError { error, assigned: Some(greeting.tunnel) };
            return self.refuse(from_port, error, bytes.len());
        }
        self.shared.stats.ignored_avps += ignored;
        for rival in rivals {
            self.discard(rival, &DownReason::Replaced, now);
        }
        match tie {
            Tie::Draw(ours) => self.restart(ours, now),
            Tie::Both | Tie::Ours => self.accept(from_port, greeting, request, None, now),
            Tie::Theirs(ours) => self.accept(from_port, greeting, request, Some(ours), now),
        }
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

    /// Whether policy allows a tunnel that the peer asks for; it replaces `rivals`.
    fn admit_tunnel(
        &self,
        greeting: &Greeting,
        tie: Tie,
        rivals: &[TunnelId],
    ) -> Result<(), PeerError> {
        let asked = self.tunnels.values().any(|t| matches!(t.state, State::WaitReply { .. }));
        if self.shared.config.role == Role::Lac && !asked {
            return Err(PeerError::NotOffered(MessageType::SCCRQ));
        }
        let leaves = |t: &Tunnel| rivals.contains(&t.local) || tie == Tie::Theirs(t.local);
        let staying = self.tunnels.values().filter(|t| !t.is_closing() && !leaves(t)).count();
        if staying >= self.shared.config.tunnel_limit() {
            return Err(PeerError::NoResources);
        }
        if greeting.challenge.is_some() && self.shared.config.secret.is_none() {
            return Err(PeerError::NoSecret);
        }
        Ok(())
    }

    /// Makes the tunnel; the calls of `loser` go into it.
    fn accept(
        &mut self,
        from_port: u16,
        greeting: Greeting,
        request: &[u8],
        loser: Option<TunnelId>,
        now: Instant,
    ) {
        self.make_room();
        let local = self.new_tunnel_id();
        let mut ctx = self.shared.context(now);
        let Ok(mut tunnel) = Tunnel::accept(local, from_port, greeting, request, &mut ctx) else {
            return;
        };
        if let Some(loser) = loser {
            self.move_calls(loser, &mut tunnel);
            self.discard(loser, &DownReason::TieBreakerLost, now);
        }
        self.tunnels.insert(local, Box::new(tunnel));
    }

    /// Starts our tunnel anew, under another id and tie breaker, with the calls that wait in it.
    fn restart(&mut self, old: TunnelId, now: Instant) {
        let Some(to_port) = self.tunnels.get(&old).map(|tunnel| tunnel.to_port) else { return };
        let local = self.new_tunnel_id();
        let mut tunnel = Tunnel::request(local, to_port, &mut self.shared.context(now));
        self.move_calls(old, &mut tunnel);
        self.discard(old, &DownReason::TieBreakerLost, now);
        self.tunnels.insert(local, Box::new(tunnel));
    }

    /// Calls that wait for one tunnel wait for another.
    fn move_calls(&mut self, from: TunnelId, to: &mut Tunnel) {
        let Some(from) = self.tunnels.get_mut(&from) else { return };
        to.sessions = core::mem::take(&mut from.sessions);
    }

    /// Forgets a tunnel without telling the peer.
    fn discard(&mut self, id: TunnelId, reason: &DownReason, now: Instant) {
        if let Some(mut tunnel) = self.tunnels.remove(&id)
            && !tunnel.is_closing()
        {
            tunnel.bring_down(reason, &mut self.shared.context(now));
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
        let unused = random_id(&mut self.shared.rng, |id| self.tunnels.contains_key(&TunnelId(id)));
        let avps = alloc::vec![Avp::AssignedTunnelId(unused), Avp::ResultCode(told.clone())];
        let ids = (remote, 0);
        let mut bytes =
            encode(ids, MessageType::STOP_CCN, &fields(avps), None, &mut self.shared.rng);
        if bytes.len() > len {
            return Err(Rejected::NoAnswer(error));
        }
        Header::renumber(&mut bytes, 0, 1);
        self.shared.stats.refused += 1;
        self.shared.stats.transmitted += 1;
        self.shared.out.push(Action::Transmit { to_port: port, bytes });
        self.shared.out.push(Action::Refused(Refused { tunnel: None, port, error, told }));
        Ok(())
    }
}
