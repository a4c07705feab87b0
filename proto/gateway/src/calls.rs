//! What L2TP does: tunnels, calls, and the data that is not a packet.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Instant;
use isthmus_l2tp::{self as l2tp, SessionId, SessionRef, SessionUp, TunnelId};
use isthmus_plane::{Command, PeerRef};
use isthmus_ppp as ppp;

use crate::cause::Cause;
use crate::diagnosis::End;
use crate::failure::{Failure, Milestone, Stage, printable};
use crate::inform::dhcp_packet;
use crate::ipv6::ipv6_packet;
use crate::machine::Gateway;
use crate::negotiation::Sender;
use crate::peer::Peer;
use crate::session::Session;

/// Our L2TP port (RFC 2661 §8.1).
pub(crate) const L2TP_PORT: u16 = 1701;

impl Gateway {
    /// Feeds an L2TP message that came out of a peer's SA: control, or data that is not a packet of a
    /// published session.
    pub(crate) fn handle_l2tp(
        &mut self,
        peer: PeerRef,
        remote_port: u16,
        bytes: &[u8],
        now: Instant,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else {
            self.stats.l2tp.count("unknown_peer");
            return;
        };
        state.l2tp.peer_alive(now);
        if l2tp::is_control(bytes) {
            state.spoke_l2tp = true;
            state.attempt.l2tp_messages = state.attempt.l2tp_messages.saturating_add(1);
            state.attempt.reach(Milestone::L2tpHeard, now);
            if let Err(rejected) = state.l2tp.handle_control(remote_port, bytes, now) {
                self.stats.l2tp.count(rejected.label());
            }
        } else {
            self.handle_frame(peer, bytes, now);
        }
        self.drain_peer(peer, now);
    }

    fn handle_frame(&mut self, peer: PeerRef, bytes: &[u8], now: Instant) {
        let Ok((header, payload)) = l2tp::data::Header::read(bytes) else {
            self.stats.l2tp.count("bad_data_header");
            return;
        };
        let at = SessionRef { tunnel: TunnelId(header.tunnel), session: SessionId(header.session) };
        let is_known = self.session_mut(peer, at).is_some();
        let Some(frame) = bytes.get(payload).filter(|_| is_known) else {
            self.stats.l2tp.count("unknown_session");
            return;
        };
        if let Some(packet) = dhcp_packet(frame) {
            return self.handle_dhcp(peer, at, packet);
        }
        if ipv6_packet(frame).is_some_and(|packet| self.handle_on_link(peer, at, packet, now)) {
            return;
        }
        if let Some(session) = self.session_mut(peer, at) {
            session.note(Sender::Peer, frame);
            let narrow = session.probe.as_mut().and_then(|probe| probe.handle_frame(frame));
            if let Err(rejected) = session.link.handle_frame(frame, now) {
                self.stats.ppp.count(rejected.label());
            }
            if let Some(narrow) = narrow {
                self.path_narrow(peer, at, narrow, now);
            }
        }
    }

    /// Carries out everything the peer's L2TP endpoint and links want done, until all are quiet.
    pub(crate) fn drain_peer(&mut self, peer: PeerRef, now: Instant) {
        loop {
            let Some(state) = self.peers.get_mut(&peer) else { return };
            if let Some(action) = state.l2tp.poll_action() {
                self.handle_l2tp_action(peer, action, now);
                continue;
            }
            let next = state
                .sessions
                .iter_mut()
                .find_map(|(at, session)| session.link.poll_action().map(|a| (*at, a)));
            match next {
                Some((at, action)) => self.handle_ppp_action(peer, at, action, now),
                None => break,
            }
        }
        self.watch_idle(peer, now);
    }

    fn handle_l2tp_action(&mut self, peer: PeerRef, action: l2tp::Action, now: Instant) {
        match action {
            l2tp::Action::Transmit { to_port, bytes } => self.send_l2tp(peer, to_port, bytes),
            l2tp::Action::TunnelUp(up) => {
                self.tunnel_up(peer, &up, now);
                self.lac_tunnel_up(peer, &up);
            }
            l2tp::Action::PortMoved { tunnel, to_port } => self.port_moved(peer, tunnel, to_port),
            l2tp::Action::Refused(refused) => self.call_refused(peer, &refused, now),
            l2tp::Action::SessionUp(call) => self.call_up(peer, call, now),
            l2tp::Action::SessionDown { session, reason } => {
                self.call_down(peer, session, &End::Call(&reason.to_string()), now);
            }
            l2tp::Action::TunnelDown { reason, .. } => {
                self.lac_tunnel_down(peer, &reason);
                self.tunnel_down(peer, &reason, now);
            }
        }
    }

    /// The L2TP vendor name says more about a client than most vendor ids.
    fn tunnel_up(&mut self, peer: PeerRef, up: &l2tp::TunnelUp, now: Instant) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.attempt.reach(Milestone::TunnelUp, now);
        let kind = &mut state.attempt.client.kind;
        if kind.is_empty() {
            *kind = match up.peer_vendor.as_bytes() {
                [] => String::new(),
                vendor => format!("L2TP of {}", printable(vendor)),
            };
        }
    }

    /// A tunnel that ends before any call came up is a failed attempt.
    fn tunnel_down(&mut self, peer: PeerRef, reason: &l2tp::DownReason, now: Instant) {
        let cause = match reason {
            l2tp::DownReason::NotEstablished | l2tp::DownReason::PeerSilent => Cause::PeerSilent,
            l2tp::DownReason::PeerError(_) => Cause::PeerMisbehaved,
            l2tp::DownReason::Congested => Cause::TooMany,
            l2tp::DownReason::PeerStopped(_) => Cause::PeerRefused,
            l2tp::DownReason::Closed(_)
            | l2tp::DownReason::Idle
            | l2tp::DownReason::PeerDisconnected { .. }
            | l2tp::DownReason::Replaced
            | l2tp::DownReason::TieBreakerLost => return,
        };
        let quiet = |p: &Peer| p.had_session || p.attempt.reported;
        if self.peers.get(&peer).is_none_or(|peer| quiet(peer)) {
            return;
        }
        self.l2tp_failed(peer, cause, reason.to_string(), now);
    }

    fn l2tp_failed(&mut self, peer: PeerRef, cause: Cause, detail: String, now: Instant) {
        let Some(mut state) = self.peers.remove(&peer) else { return };
        let mut failure = Failure::new(now, state.path.remote, Stage::L2tp, cause);
        failure.detail = detail;
        self.peer_failed(&mut state, failure);
        self.peers.insert(peer, state);
    }

    fn call_up(&mut self, peer: PeerRef, mut call: Box<SessionUp>, now: Instant) {
        let at = call.session;
        let Ok(key) = self.sessions.insert_in(peer.lane(), (peer, at)) else {
            self.stats.l2tp.count("sessions_full");
            if let Some(state) = self.peers.get_mut(&peer) {
                state.l2tp.close_session(at, l2tp::CloseReason::NoResources, now);
            }
            return;
        };
        let Some(state) = self.peers.get(&peer) else { return };
        let home = state.tenants.home;
        let Some(tenant) = self.config.tenants.get(home) else { return };
        let config = self.link_configs.of(&self.config, tenant);
        let adopted = self.adopt_link(peer, &call, &config, now);
        let handed_over = adopted.is_some();
        let link = adopted.unwrap_or_else(|| {
            let (provider, seed) = (self.provider.clone(), self.rng.seed());
            let mut link = ppp::Link::new(config, provider, seed, now);
            link.open(now);
            link
        });
        // A password is kept no longer than it is needed.
        (call.proxy_lcp, call.proxy_auth) = (None, None);
        let mut session = Session::new(key, call, link, home, now);
        session.handed_over = handed_over;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.had_session = true;
        state.attempt.reach(Milestone::CallUp, now);
        state.sessions.insert(at, Box::new(session));
        self.number(peer, at);
    }

    /// We turned a tunnel or call away.
    fn call_refused(&mut self, peer: PeerRef, refused: &l2tp::Refused, now: Instant) {
        let cause = match refused.error {
            l2tp::PeerError::NoResources => Cause::TooMany,
            l2tp::PeerError::BadResponse | l2tp::PeerError::NoSecret => Cause::WrongTunnelSecret,
            l2tp::PeerError::Hidden(_)
            | l2tp::PeerError::Malformed(..)
            | l2tp::PeerError::Missing(_)
            | l2tp::PeerError::NotOffered(_)
            | l2tp::PeerError::OutOfState(_)
            | l2tp::PeerError::UnknownMandatory { .. }
            | l2tp::PeerError::UnknownMessage(_)
            | l2tp::PeerError::Version(_) => Cause::PeerMisbehaved,
        };
        self.l2tp_failed(peer, cause, refused.error.to_string(), now);
    }

    pub(crate) fn call_down(&mut self, peer: PeerRef, at: SessionRef, end: &End<'_>, now: Instant) {
        let Some(mut state) = self.peers.remove(&peer) else { return };
        if let Some(session) = state.sessions.remove(&at) {
            self.session_ended(&mut state, &session, end, now);
        }
        self.peers.insert(peer, state);
    }

    pub(crate) fn send_frame(&mut self, peer: PeerRef, at: SessionRef, frame: &[u8]) {
        let Some(session) = self.peers.get_mut(&peer).and_then(|p| p.sessions.get_mut(&at)) else {
            return;
        };
        let header = l2tp::data::Header {
            // The pipeline counts.
            sequence: session.call.send_sequence.then_some((0, 0)),
            ..l2tp::data::Header::new(session.call.remote_tunnel, session.call.remote_session)
        };
        let mut bytes = vec![0; header.len()];
        header.write_into(&mut bytes);
        bytes.extend_from_slice(frame);
        let remote_port = session.call.to_port;
        self.send_l2tp(peer, remote_port, bytes);
    }

    /// Sends an L2TP packet the way its peer is spoken with.
    fn send_l2tp(&mut self, peer: PeerRef, remote_port: u16, bytes: Vec<u8>) {
        self.plane(match peer {
            PeerRef::Ipsec(peer) => {
                Command::SendL2tp { peer, local_port: L2TP_PORT, remote_port, bytes }
            }
            PeerRef::Lac(lac) => Command::SendPlain { lac, bytes },
        });
    }

    pub(crate) fn session_mut(&mut self, peer: PeerRef, at: SessionRef) -> Option<&mut Session> {
        Some(self.peers.get_mut(&peer)?.sessions.get_mut(&at)?)
    }

    /// Frees what a session held and says that it ended, or, when it never was up, why it failed.
    pub(crate) fn session_ended(
        &mut self,
        peer: &mut Peer,
        session: &Session,
        end: &End<'_>,
        now: Instant,
    ) {
        self.sessions.remove(session.key);
        self.expiries.set(session.key, None);
        self.looks.set(session.key, None);
        if let (Some(lease), Some(pools)) = (&session.lease, self.pools.get_mut(session.tenant())) {
            pools.release(lease, u64::from(session.key.raw()));
        }
        if session.network.is_some() || session.call.send_sequence {
            self.plane(Command::CloseSession { session: session.key });
        }
        if session.announced.is_some() {
            let reason = session.ending.map_or_else(|| end.text(), |ending| ending.text().into());
            self.session_down(session.key, session.announced.clone(), &reason);
        } else if session.refused.is_none() && !self.closing {
            self.session_failed(peer, session, end, now);
        }
    }

    /// A session ended that never was up.
    fn session_failed(&mut self, peer: &mut Peer, session: &Session, end: &End<'_>, now: Instant) {
        let Some(cause) = end.cause() else { return };
        let mut failure = Failure::new(now, peer.path.remote, session.stage(), cause);
        failure.user.clone_from(&session.claimed_user);
        failure.steps = session.steps.list().collect();
        if session.lease.is_some() {
            failure.tenant = self.tenant_name(session.tenant());
        }
        let wanted = session.negotiation.describe();
        let wanted = if wanted.is_empty() { wanted } else { format!("; {wanted}") };
        failure.detail = format!("{}{wanted}", end.text());
        self.peer_failed(peer, failure);
    }
}
