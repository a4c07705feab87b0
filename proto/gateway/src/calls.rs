//! What L2TP and PPP do: calls, links, logins and sessions.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use isthmus_core::{Instant, Key};
use isthmus_l2tp::{self as l2tp, SessionId, SessionRef, SessionUp, TunnelId};
use isthmus_plane::{Command, Ipv6Link, PeerRef, SessionCounters, SessionParams};
use isthmus_ppp as ppp;

use crate::cause::Cause;
use crate::config::{Config, Tenant};
use crate::diagnosis::End;
use crate::event::Event;
use crate::failure::{Failure, Milestone, Stage, printable};
use crate::inform::dhcp_packet;
use crate::ipv6::ipv6_packet;
use crate::login;
use crate::machine::Gateway;
use crate::negotiation::{Negotiation, Sender};
use crate::peer::{Peer, reach};
use crate::probe::{ECHO_HEADER_LEN, NarrowPath, PROBE_TRIES_MAX, PathProbe};
use crate::session::{Lease, Session};

/// How often a client may try another password on one link.
const AUTH_RETRIES: u8 = 0;
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
        if self.peers.get(&peer).is_none_or(quiet) {
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

    fn call_up(&mut self, peer: PeerRef, call: Box<SessionUp>, now: Instant) {
        let at = call.session;
        let Ok(key) = self.sessions.insert((peer, at)) else {
            self.stats.l2tp.count("sessions_full");
            if let Some(state) = self.peers.get_mut(&peer) {
                state.l2tp.close_session(at, l2tp::CloseReason::NoResources, now);
            }
            return;
        };
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(tenant) = self.config.tenants.get(state.tenant) else { return };
        let ipv6 = !tenant.pool6.is_empty();
        let config = link_config(&self.config, tenant.gateway_address, ipv6);
        let mut link =
            ppp::Link::new(Arc::new(config), self.provider.clone(), self.rng.seed(), now);
        link.open(now);
        let session = Session {
            key,
            call,
            link,
            lease: None,
            claimed_user: None,
            refused: None,
            negotiation: Negotiation::default(),
            steps: Vec::new(),
            probe: None,
            network: None,
            ipv6: None,
            announced: None,
            since: now,
            carried: SessionCounters::default(),
        };
        state.had_session = true;
        state.attempt.reach(Milestone::CallUp, now);
        state.sessions.insert(at, session);
        self.number(peer, at);
    }

    /// Has the pipeline count the frames of a session that must be numbered, from the first one on and
    /// whether or not packets may pass.
    fn number(&mut self, peer: PeerRef, at: SessionRef) {
        let Some(state) = self.peers.get(&peer) else { return };
        let tenant = self.config.tenants.get(state.tenant);
        let Some(session) = state.sessions.get(&at) else { return };
        let (true, Some(tenant)) = (session.call.send_sequence, tenant) else { return };
        let params = session_params(peer, at, session, tenant, self.config.mru);
        self.plane(Command::OpenSession(params));
    }

    fn handle_ppp_action(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        action: ppp::Action,
        now: Instant,
    ) {
        match action {
            ppp::Action::Transmit(frame) => {
                if let Some(session) = self.session_mut(peer, at) {
                    session.note(Sender::Us, &frame);
                }
                self.send_frame(peer, at, &frame);
            }
            ppp::Action::Authenticate(request) => self.authenticate(peer, at, &request, now),
            ppp::Action::Up(network) => {
                let mtu = network.peer_mru.min(self.config.mru);
                if let Some(session) = self.session_mut(peer, at) {
                    reach(&mut session.steps, Milestone::Connected, now);
                    session.probe.get_or_insert_with(|| PathProbe::new(mtu, now));
                }
                self.network_up(peer, at, network, now);
            }
            ppp::Action::Ipv6Down => self.ipv6_down(peer, at),
            ppp::Action::Ipv6Up(up) => self.ipv6_up(peer, at, up, now),
            ppp::Action::NetworkDown => self.network_down(peer, at),
            ppp::Action::Down(reason) => self.link_down(peer, at, reason, now),
        }
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

    fn authenticate(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        request: &ppp::AuthRequest,
        now: Instant,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let Some(session) = state.sessions.get_mut(&at) else { return };
        let (Some(tenant), Some(pools)) =
            (self.config.tenants.get(state.tenant), self.pools.get_mut(state.tenant))
        else {
            return;
        };
        session.claimed_user = Some(printable(&request.user));
        reach(&mut session.steps, Milestone::LinkUp, now);
        let holder = u64::from(session.key.raw());
        match login::decide(tenant, pools, holder, request, &*self.provider) {
            Ok(grant) => {
                reach(&mut session.steps, Milestone::LoggedIn, now);
                // Once more on a link that negotiates again: what is not granted again goes back.
                if let Some(old) = session.lease.take() {
                    pools.give_back(&old, &grant, holder);
                }
                let verdict = ppp::Verdict::Accept {
                    address: grant.address,
                    dns: grant.dns.clone(),
                    proof: grant.response,
                };
                session.lease = Some(Lease {
                    user: grant.user,
                    address: grant.address,
                    dns: grant.dns,
                    routes: grant.routes,
                    prefix6: grant.prefix6,
                    dns6: grant.dns6,
                    domain: grant.domain,
                    search: grant.search,
                    networks: grant.networks,
                });
                session.link.allow_ipv6(grant.prefix6.is_some());
                let _stale = session.link.handle_verdict(request.ticket, verdict, now);
            }
            Err(cause) => {
                session.refused = Some(cause);
                let verdict = ppp::Verdict::Refuse { reason: refusal(cause) };
                let _stale = session.link.handle_verdict(request.ticket, verdict, now);
                self.login_refused(peer, at, cause, request, now);
            }
        }
    }

    fn login_refused(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        cause: Cause,
        request: &ppp::AuthRequest,
        now: Instant,
    ) {
        let Some(mut state) = self.peers.remove(&peer) else { return };
        let mut failure = Failure::new(now, state.path.remote, Stage::PppAuth, cause);
        if let Some(session) = state.sessions.get(&at) {
            failure.user.clone_from(&session.claimed_user);
            failure.steps.clone_from(&session.steps);
        }
        failure.detail = self.refusal_detail(&state, request, cause);
        self.peer_failed(&mut state, failure);
        self.peers.insert(peer, state);
    }

    /// What was tried, for a person who looks for the reason.
    fn refusal_detail(&self, peer: &Peer, request: &ppp::AuthRequest, cause: Cause) -> String {
        let protocol = match request.proof {
            ppp::Proof::ChapMd5 { .. } => "CHAP with MD5",
            ppp::Proof::MsChapV2(_) => "MS-CHAPv2",
            ppp::Proof::Pap { .. } => "PAP",
        };
        let Some(tenant) = self.config.tenants.get(peer.tenant) else { return protocol.into() };
        let place = format!("{protocol}, tenant {}", tenant.name);
        let fixed = tenant.users.find(&request.user).and_then(|(_, user)| user.address);
        match (cause, self.pools.get(peer.tenant), fixed) {
            (Cause::PoolExhausted, Some(pool), _) => {
                format!(
                    "{place}: {} of {} addresses are leased",
                    pool.v4.leased_count(),
                    pool.v4.capacity()
                )
            }
            (Cause::AddressInUse, _, Some(address)) => format!("{place}: {address} is leased"),
            _ => place,
        }
    }

    pub(crate) fn session_mut(&mut self, peer: PeerRef, at: SessionRef) -> Option<&mut Session> {
        self.peers.get_mut(&peer)?.sessions.get_mut(&at)
    }

    pub(crate) fn network_up(
        &mut self,
        peer: PeerRef,
        at: SessionRef,
        network: ppp::NetworkUp,
        now: Instant,
    ) {
        self.publish(peer, at, &network);
        if let Some(session) = self.session_mut(peer, at) {
            session.network = Some(network);
        }
        self.start_advertising(peer, at, now);
        self.announce(peer, at);
    }

    /// Says that somebody is connected.
    fn announce(&mut self, peer: PeerRef, at: SessionRef) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let tenant = self.config.tenants.get(state.tenant);
        let Some(session) = state.sessions.get_mut(&at) else { return };
        let (Some(lease), Some(tenant)) = (&session.lease, tenant) else { return };
        let now_up = (lease.user.clone(), lease.address);
        // A client that negotiated anew and is who it was before is the same session.
        if session.announced.as_ref() == Some(&now_up) {
            return;
        }
        let (key, tenant) = (session.key, tenant.name.clone());
        let before = session.announced.replace(now_up.clone());
        self.session_down(key, before, "logged in again");
        self.stats.sessions_up_total += 1;
        let (user, address) = now_up;
        self.event(Event::SessionUp { session: key, peer, user, tenant, address });
    }

    /// Says that whoever was announced is no longer connected.
    fn session_down(&mut self, session: Key, announced: Option<(String, Ipv4Addr)>, reason: &str) {
        if let Some((user, address)) = announced {
            let reason = reason.to_string();
            self.event(Event::SessionDown { session, user, address, reason });
        }
    }

    /// Lets packets of a session flow, or changes how they do.
    pub(crate) fn publish(&mut self, peer: PeerRef, at: SessionRef, network: &ppp::NetworkUp) {
        let Some(state) = self.peers.get(&peer) else { return };
        let tenant = self.config.tenants.get(state.tenant);
        let Some(session) = state.sessions.get(&at) else { return };
        let (Some(lease), Some(tenant)) = (&session.lease, tenant) else { return };
        let mtu = network.peer_mru.min(self.config.mru);
        let prefixes = prefixes(lease, session.ipv6.is_some());
        let params = SessionParams {
            sources: prefixes.clone(),
            destinations: prefixes,
            ipv6_link: session.ipv6.map(|ipv6| Ipv6Link {
                local: ipv6.up.local.link_local(),
                remote: ipv6.up.remote.link_local(),
            }),
            ..session_params(peer, at, session, tenant, mtu)
        };
        self.plane(Command::OpenSession(params));
    }

    /// The client negotiates anew: no packet passes until the network is up again.
    fn network_down(&mut self, peer: PeerRef, at: SessionRef) {
        let session = self.peers.get_mut(&peer).and_then(|p| p.sessions.get_mut(&at));
        let Some(session) = session else { return };
        session.network = None;
        let (session, numbered) = (session.key, session.call.send_sequence);
        if numbered {
            self.number(peer, at);
        } else {
            self.plane(Command::CloseSession { session });
        }
    }

    /// The peer's L2TP moved to another UDP port: packets of its sessions follow.
    fn port_moved(&mut self, peer: PeerRef, tunnel: TunnelId, to_port: u16) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let up: Vec<(SessionRef, ppp::NetworkUp)> = state
            .sessions
            .iter_mut()
            .filter(|(at, _)| at.tunnel == tunnel)
            .filter_map(|(at, session)| {
                session.call.to_port = to_port;
                session.network.clone().map(|network| (*at, network))
            })
            .collect();
        for (at, network) in up {
            self.publish(peer, at, &network);
        }
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

    /// The link is down: the call has no purpose any more.
    fn link_down(&mut self, peer: PeerRef, at: SessionRef, reason: ppp::DownReason, now: Instant) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.l2tp.close_session(at, close_reason(reason), now);
        self.call_down(peer, at, &End::Link(reason), now);
    }

    fn call_down(&mut self, peer: PeerRef, at: SessionRef, end: &End<'_>, now: Instant) {
        let Some(mut state) = self.peers.remove(&peer) else { return };
        if let Some(session) = state.sessions.remove(&at) {
            self.session_ended(&mut state, &session, end, now);
        }
        self.peers.insert(peer, state);
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
        if let (Some(lease), Some(pools)) = (&session.lease, self.pools.get_mut(peer.tenant)) {
            pools.release(lease, u64::from(session.key.raw()));
        }
        if session.network.is_some() || session.call.send_sequence {
            self.plane(Command::CloseSession { session: session.key });
        }
        if session.announced.is_some() {
            self.session_down(session.key, session.announced.clone(), &end.text());
        } else if session.refused.is_none() && !self.closing {
            self.session_failed(peer, session, end, now);
        }
    }

    /// A session ended that never was up.
    fn session_failed(&mut self, peer: &mut Peer, session: &Session, end: &End<'_>, now: Instant) {
        let Some(cause) = end.cause() else { return };
        let mut failure = Failure::new(now, peer.path.remote, session.stage(), cause);
        failure.user.clone_from(&session.claimed_user);
        failure.steps.clone_from(&session.steps);
        let wanted = session.negotiation.describe();
        let wanted = if wanted.is_empty() { wanted } else { format!("; {wanted}") };
        failure.detail = format!("{}{wanted}", end.text());
        self.peer_failed(peer, failure);
    }

    /// Sends the echoes that are due.
    pub(crate) fn probe_paths(peer: &mut Peer, now: Instant) {
        for session in peer.sessions.values_mut() {
            let due = session.probe.as_mut().and_then(|probe| probe.handle_timeout(now));
            if let Some(size) = due {
                session.link.echo(size.saturating_sub(ECHO_HEADER_LEN));
            }
        }
    }

    /// Large packets of a session are lost on the way. It goes on.
    fn path_narrow(&mut self, peer: PeerRef, at: SessionRef, path: NarrowPath, now: Instant) {
        let Some(mut state) = self.peers.remove(&peer) else { return };
        let NarrowPath { passes, lost } = path;
        let from = state.path.remote;
        let mut failure = Failure::new(now, from, Stage::Connected, Cause::PathMtu);
        failure.detail = format!(
            "connected, but of echoes of {lost} bytes none came back in {PROBE_TRIES_MAX} tries; one of \
             {passes} bytes did"
        );
        failure.remedy = format!(
            "lower `[ppp] mru` to {passes}, or let ICMP \"fragmentation needed\" and fragments pass on the \
             way to this client"
        );
        if let Some(session) = state.sessions.get(&at) {
            failure.user.clone_from(&session.claimed_user);
            failure.steps.clone_from(&session.steps);
        }
        self.peer_failed(&mut state, failure);
        self.peers.insert(peer, state);
    }

    /// Starts ending one session from our side.
    pub(crate) fn close_link(&mut self, peer: PeerRef, at: SessionRef, now: Instant) {
        let session = self.peers.get_mut(&peer).and_then(|p| p.sessions.get_mut(&at));
        if let Some(session) = session {
            session.link.close(ppp::CloseReason::Admin, now);
        }
    }
}

/// A session that no packet passes yet.
fn session_params(
    peer: PeerRef,
    at: SessionRef,
    session: &Session,
    tenant: &Tenant,
    mtu: u16,
) -> SessionParams {
    SessionParams {
        session: session.key,
        peer,
        local_tunnel: at.tunnel.0,
        local_session: at.session.0,
        remote_tunnel: session.call.remote_tunnel,
        remote_session: session.call.remote_session,
        local_port: L2TP_PORT,
        remote_port: session.call.to_port,
        sequence: session.call.send_sequence.then_some(0),
        tun: tenant.tun,
        sources: Vec::new(),
        destinations: Vec::new(),
        mtu,
        // Plain framing: two bytes saved are not worth a client that gets it wrong.
        acfc: false,
        pfc: false,
        gateway_v4: Some(tenant.gateway_address),
        ipv6_link: None,
        dhcp: true,
    }
}

pub(crate) fn link_config(config: &Config, local_address: Ipv4Addr, ipv6: bool) -> ppp::LinkConfig {
    let role = ppp::Role::Server(ppp::ServerConfig {
        auth: config.auth.clone(),
        name: config.l2tp.host_name.as_bytes().to_vec(),
        local_address,
        auth_retries: AUTH_RETRIES,
    });
    ppp::LinkConfig { mru: config.mru, ipv6, echo: config.echo, ..ppp::LinkConfig::new(role) }
}

/// What the CDN says when the link ended first.
fn close_reason(reason: ppp::DownReason) -> l2tp::CloseReason {
    match reason {
        ppp::DownReason::Closed(ppp::CloseReason::Shutdown) => l2tp::CloseReason::Shutdown,
        ppp::DownReason::AuthRefused(ppp::Refusal::NoResources) => l2tp::CloseReason::NoResources,
        ppp::DownReason::AuthNotConfigured
        | ppp::DownReason::AuthRefused(_)
        | ppp::DownReason::Closed(_) => l2tp::CloseReason::Administrative,
        ppp::DownReason::AuthNotOffered
        | ppp::DownReason::AuthRefusedByPeer(_)
        | ppp::DownReason::CryptoFailed
        | ppp::DownReason::EchoLost
        | ppp::DownReason::LoopDetected
        | ppp::DownReason::NegotiationFailed(..)
        | ppp::DownReason::PeerNotAuthentic
        | ppp::DownReason::PeerTerminated(_)
        | ppp::DownReason::Timeout(_) => l2tp::CloseReason::Ended,
    }
}

/// Where a session's packets may come from and which go to it.
fn prefixes(lease: &Lease, has_ipv6: bool) -> Vec<IpNet> {
    let own = Ipv4Net::from(lease.address);
    let v6 = lease.prefix6.filter(|_| has_ipv6).map(IpNet::V6);
    let v4 = core::iter::once(own).chain(lease.networks.iter().copied()).map(IpNet::V4);
    v4.chain(v6).collect()
}

/// What the user is told. An unknown name and a wrong password look the same from outside.
fn refusal(cause: Cause) -> ppp::Refusal {
    match cause {
        Cause::AccountDisabled => ppp::Refusal::AccountDisabled,
        Cause::AddressInUse | Cause::PoolExhausted | Cause::TooMany => ppp::Refusal::NoResources,
        Cause::AuthProtocolUnusable => ppp::Refusal::Unavailable,
        Cause::ExchangeUnsupported
        | Cause::IkeV2
        | Cause::CertificateRefused
        | Cause::LinkNegotiation
        | Cause::NatTraversalBlocked
        | Cause::NoAnswerHeard
        | Cause::NoL2tp
        | Cause::NoProposalEsp
        | Cause::NoProposalIke
        | Cause::NoPskForIdentity
        | Cause::NoQuickMode
        | Cause::PathMtu
        | Cause::PeerMisbehaved
        | Cause::PeerRefused
        | Cause::PeerSilent
        | Cause::ReturnPathDead
        | Cause::UnknownGroup
        | Cause::UnknownUser
        | Cause::WindowsServerNat
        | Cause::WrongPassword
        | Cause::WrongPsk
        | Cause::WrongTunnelSecret => ppp::Refusal::BadCredentials,
    }
}
