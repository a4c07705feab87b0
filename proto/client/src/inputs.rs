//! Inputs from the pipeline, and the translation of each layer's actions into the next one's inputs.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Instant;
use isthmus_crypto::{EspKeys, EspSuite};
use isthmus_esp::{self as esp, SaParams};
use isthmus_ike::{self as ike, PeerId};
use isthmus_l2tp::{self as l2tp, SessionUp};
use isthmus_plane::{self as plane, Command, PeerRef, Rates, Report, SessionParams};
use isthmus_ppp as ppp;

use crate::config::Config;
use crate::event::{Event, Up};
use crate::inform::Asking;
use crate::ipv6::{Ipv6State, everything_v6};
use crate::machine::{Action, Client, Linked, SESSION, Secured, State, Timer};
use crate::reason::Reason;

/// The server's L2TP port (RFC 2661 §8.1).
const L2TP_PORT: u16 = 1701;

impl Client {
    /// Feeds what the packet pipeline reports.
    pub fn handle_report(&mut self, report: Report, now: Instant) {
        match report {
            Report::Ike { path, marked, bytes } => {
                // A refused datagram changes nothing, and a client has nobody to count it for.
                let _refused = self.ike.handle_datagram(path, marked, &bytes, now);
            }
            Report::L2tp { remote_port, bytes, .. } => self.handle_l2tp(remote_port, &bytes, now),
            Report::PlainL2tp { path, bytes, .. } => {
                self.handle_l2tp(path.remote.port(), &bytes, now);
            }
            Report::PathMoved { peer, path, .. } => self.ike.path_moved(PeerId(peer), path),
            Report::Alive { peer } => self.alive(PeerRef::Ipsec(peer), now),
            Report::LacAlive { lac, .. } => self.alive(PeerRef::Lac(lac), now),
            Report::SaUsed { spi, .. } => self.ike.inbound_used(spi, now),
            Report::SoftLimit { peer, spi } => self.ike.soft_limit(PeerId(peer), spi, now),
            Report::InstallFailed { .. } => {
                self.end(Reason::plain("the ESP suite cannot be used here"), now);
            }
            Report::Carried { .. } | Report::Counters { .. } | Report::ReserveLow { .. } => {}
        }
        self.drain(now);
    }

    fn alive(&mut self, peer: PeerRef, now: Instant) {
        if let PeerRef::Ipsec(peer) = peer {
            self.ike.peer_alive(PeerId(peer), now);
        }
        if let State::Calling(secured) | State::Linked(secured, _) = &mut self.state {
            secured.l2tp.peer_alive(now);
        }
        if let State::Linked(_, linked) = &mut self.state {
            linked.link.peer_alive(now);
        }
    }

    fn handle_l2tp(&mut self, remote_port: u16, bytes: &[u8], now: Instant) {
        let (State::Calling(secured) | State::Linked(secured, _)) = &mut self.state else { return };
        secured.l2tp.peer_alive(now);
        if l2tp::is_control(bytes) {
            let _refused = secured.l2tp.handle_control(remote_port, bytes, now);
            return;
        }
        let State::Linked(_, linked) = &mut self.state else { return };
        let Ok((header, payload)) = l2tp::data::Header::read(bytes) else { return };
        let ours = linked.call.session;
        let Some(frame) = bytes.get(payload) else { return };
        if (header.tunnel, header.session) != (ours.tunnel.0, ours.session.0) {
            return;
        }
        if self.handle_on_link(frame) {
            return;
        }
        let State::Linked(_, linked) = &mut self.state else { return };
        match linked.asking.as_ref().and_then(|asking| asking.read(frame)) {
            Some(answer) => self.answered(Some(answer)),
            None => {
                let _refused = linked.link.handle_frame(frame, now);
            }
        }
    }

    /// Carries out everything every layer wants done, until all are quiet.
    pub(crate) fn drain(&mut self, now: Instant) {
        loop {
            if let Some(action) = self.ike.poll_action() {
                self.handle_ike_action(action, now);
            } else if let Some(action) = self.next_l2tp_action() {
                self.handle_l2tp_action(action, now);
            } else if let Some(action) = self.next_ppp_action() {
                self.handle_ppp_action(action, now);
            } else {
                return;
            }
        }
    }

    fn next_l2tp_action(&mut self) -> Option<l2tp::Action> {
        match &mut self.state {
            State::Calling(secured) | State::Linked(secured, _) => secured.l2tp.poll_action(),
            State::Securing | State::Over => None,
        }
    }

    fn next_ppp_action(&mut self) -> Option<ppp::Action> {
        match &mut self.state {
            State::Linked(_, linked) => linked.link.poll_action(),
            State::Securing | State::Calling(_) | State::Over => None,
        }
    }

    fn handle_ike_action(&mut self, action: ike::Action, now: Instant) {
        match action {
            ike::Action::Transmit { peer, path, marked, bytes } => {
                self.plane(Command::SendIke { peer: peer.map(|peer| peer.0), path, marked, bytes });
            }
            ike::Action::Keepalive { path } => self.plane(Command::SendKeepalive { path }),
            ike::Action::Offload { id, job } => self.outbox.push(Action::Offload { id, job }),
            // The peer matters only once it has an SA pair: see `secured`.
            ike::Action::PeerUp(_) => {}
            ike::Action::PeerRekeyed { .. } => self.event(Event::IkeRekeyed),
            ike::Action::InstallInbound(sa) => self.install_inbound(sa),
            ike::Action::InstallOutbound(sa) => self.install_outbound(sa),
            ike::Action::ChildUp(up) => {
                self.event(Event::Secured { suite: up.suite.name(), encap: up.encap });
                self.dial(PeerRef::Ipsec(up.peer.0), now);
            }
            ike::Action::RemoveInbound { spi, .. } => self.plane(Command::RemoveInbound { spi }),
            ike::Action::RemoveOutbound { peer, spi } => {
                self.plane(Command::RemoveOutbound { peer: peer.0, spi });
            }
            ike::Action::PathMoved { peer, path, encap } => {
                self.plane(Command::MovePath { peer: peer.0, path, encap });
                self.event(Event::PathMoved { path });
            }
            ike::Action::PeerDown { peer, reason } => {
                if self.peer().is_none_or(|ours| ours == PeerRef::Ipsec(peer.0)) {
                    self.end(Reason::of_peer(reason), now);
                    self.peer_gone(now);
                }
            }
            // A rekey that fails leaves the SAs that are there; they last until they expire.
            ike::Action::Failed(failure) => {
                if matches!(self.state, State::Securing) {
                    self.end(Reason::of_ike(&failure), now);
                }
            }
        }
    }

    fn install_inbound(&mut self, sa: ike::InstallInbound) {
        let params = sa_params(sa.spi, sa.suite, sa.keys, sa.lifetime);
        let mut install = plane::InstallInbound::fresh(sa.peer.0, params, sa.path, sa.encap);
        install.local_port = self.config.l2tp_port;
        self.plane(Command::InstallInbound(install));
    }

    fn install_outbound(&mut self, sa: ike::InstallOutbound) {
        let params = sa_params(sa.spi, sa.suite, sa.keys, sa.lifetime);
        let install = plane::InstallOutbound::fresh(sa.peer.0, params, sa.path, sa.encap);
        self.plane(Command::InstallOutbound(install));
    }

    /// The server can be spoken with: dial. SA pairs after the first are rekeys.
    pub(crate) fn dial(&mut self, peer: PeerRef, now: Instant) {
        if !matches!(self.state, State::Securing) {
            return;
        }
        let mut endpoint = l2tp::Endpoint::new(
            self.config.l2tp.clone(),
            self.provider.clone(),
            self.rng.seed(),
            now,
        );
        let opened = endpoint.open(L2TP_PORT, now);
        self.state = State::Calling(Secured { peer, l2tp: endpoint });
        if let Err(refused) = opened {
            self.end(Reason::plain(refused.to_string()), now);
        }
    }

    fn handle_l2tp_action(&mut self, action: l2tp::Action, now: Instant) {
        match action {
            l2tp::Action::Transmit { to_port, bytes } => self.send_l2tp(to_port, bytes),
            // A server that moves its port in mid-call is none we know; its next message tells.
            l2tp::Action::TunnelUp(_) | l2tp::Action::PortMoved { .. } => {}
            l2tp::Action::Refused(refused) => {
                self.reason.get_or_insert_with(|| Reason::plain(refused.error.to_string()));
            }
            l2tp::Action::SessionUp(call) => self.call_up(call, now),
            l2tp::Action::SessionDown { reason, .. } | l2tp::Action::TunnelDown { reason, .. } => {
                self.end(Reason::of_l2tp(&reason), now);
            }
        }
    }

    fn call_up(&mut self, call: Box<SessionUp>, now: Instant) {
        let role = ppp::Role::Client(ppp::ClientConfig {
            user: self.config.user.clone(),
            password: self.config.password.clone(),
            auth: self.config.auth.clone(),
            require_auth: true,
            address: None,
            request_dns: true,
        });
        let manner = &self.config.manner;
        let config = ppp::LinkConfig {
            mru: self.config.mru,
            ipv6: self.config.ipv6,
            echo: manner.echo,
            timing: ppp::Timing { restart: manner.restart, ..ppp::Timing::default() },
            habits: manner.ppp.clone(),
            ..ppp::LinkConfig::new(role)
        };
        let mut link =
            ppp::Link::new(Arc::new(config), self.provider.clone(), self.rng.seed(), now);
        link.open(now);
        self.state = match core::mem::replace(&mut self.state, State::Over) {
            State::Calling(secured) => {
                let (asking, params, ipv6) = (None, None, None);
                let linked = Linked { call, link, asking, params, ipv6, up: false };
                State::Linked(secured, Box::new(linked))
            }
            other @ (State::Securing | State::Linked(..) | State::Over) => other,
        };
        self.number();
    }

    fn handle_ppp_action(&mut self, action: ppp::Action, now: Instant) {
        match action {
            ppp::Action::Transmit(frame) => self.send_frame(&frame),
            // Only servers ask.
            ppp::Action::Authenticate(_) => {}
            ppp::Action::Ipv6Down => self.ipv6_down(),
            ppp::Action::Ipv6Up(up) => self.ipv6_up(up, now),
            ppp::Action::NetworkDown => self.network_down(),
            ppp::Action::Up(network) => self.network_up(&network, now),
            ppp::Action::Down(reason) => {
                self.end(Reason::of_ppp(reason), now);
            }
        }
    }

    /// Lets packets pass and asks for routes; the connection is up when that is settled.
    fn network_up(&mut self, network: &ppp::NetworkUp, now: Instant) {
        let mtu = network.peer_mru.min(self.config.mru);
        let xid = self.rng.u32();
        let State::Linked(secured, linked) = &mut self.state else { return };
        let params = SessionParams {
            // Whatever lies behind the server may answer.
            sources: core::iter::once(ipnet::Ipv4Net::default().into())
                .chain(linked.ipv6.is_some().then(everything_v6))
                .collect(),
            destinations: self.config.destinations.clone(),
            mtu,
            gateway_v4: Some(network.local),
            ipv6_link: linked.ipv6.as_ref().map(Ipv6State::link),
            ..session_params(&self.config, secured.peer, &linked.call)
        };
        let up = Up {
            address: network.local,
            gateway: network.remote,
            dns: network.dns.clone(),
            routes: Vec::new(),
            mtu,
        };
        let habit = self.config.manner.inform.as_ref();
        linked.asking = Some(Box::new(Asking::new(habit, up, xid)));
        linked.params = Some(params.clone());
        self.timers.clear(Timer::Setup);
        self.plane(Command::OpenSession(params));
        self.ask(now);
    }

    fn network_down(&mut self) {
        if let State::Linked(_, linked) = &mut self.state {
            linked.asking = None;
            linked.params = None;
        }
        self.timers.clear(Timer::Inform);
        match &self.state {
            State::Linked(_, linked) if linked.call.send_sequence => self.number(),
            State::Securing | State::Calling(_) | State::Linked(..) | State::Over => {
                self.plane(Command::CloseSession { session: SESSION });
            }
        }
    }

    /// Has the pipeline count the frames of a session that must be numbered, whether or not packets may
    /// pass.
    fn number(&mut self) {
        let State::Linked(secured, linked) = &self.state else { return };
        if linked.call.send_sequence {
            let params = session_params(&self.config, secured.peer, &linked.call);
            self.plane(Command::OpenSession(params));
        }
    }

    pub(crate) fn send_frame(&mut self, frame: &[u8]) {
        let State::Linked(_, linked) = &self.state else { return };
        let header = l2tp::data::Header {
            // The pipeline counts.
            sequence: linked.call.send_sequence.then_some((0, 0)),
            ..l2tp::data::Header::new(linked.call.remote_tunnel, linked.call.remote_session)
        };
        let to_port = linked.call.to_port;
        let mut bytes = vec![0; header.len()];
        header.write_into(&mut bytes);
        bytes.extend_from_slice(frame);
        self.send_l2tp(to_port, bytes);
    }

    fn send_l2tp(&mut self, remote_port: u16, bytes: Vec<u8>) {
        let Some(peer) = self.peer() else { return };
        let local_port = self.config.l2tp_port;
        self.plane(match peer {
            PeerRef::Ipsec(peer) => Command::SendL2tp { peer, local_port, remote_port, bytes },
            PeerRef::Lac(lac) => Command::SendPlain { lac, bytes },
        });
    }

    /// A layer ended by itself or by the server's word: the rest goes too.
    pub(crate) fn end(&mut self, reason: Reason, now: Instant) {
        self.reason.get_or_insert(reason);
        self.close(now);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outbox.push(Action::Event(event));
    }

    pub(crate) fn plane(&mut self, command: Command) {
        self.outbox.push(Action::Plane(command));
    }
}

/// A session that no packet passes yet.
fn session_params(config: &Config, peer: PeerRef, call: &SessionUp) -> SessionParams {
    SessionParams {
        session: SESSION,
        peer,
        local_tunnel: call.session.tunnel.0,
        local_session: call.session.session.0,
        remote_tunnel: call.remote_tunnel,
        remote_session: call.remote_session,
        local_port: config.l2tp_port,
        remote_port: call.to_port,
        sequence: call.send_sequence.then_some(0),
        tun: config.tun,
        sources: Vec::new(),
        destinations: Vec::new(),
        mtu: config.mru,
        acfc: false,
        pfc: false,
        gateway_v4: None,
        ipv6_link: None,
        rates: Rates::default(),
        dhcp: true,
    }
}

/// What the pipeline needs of a negotiated SA.
fn sa_params(spi: u32, suite: EspSuite, keys: EspKeys, lifetime: ike::Lifetime) -> SaParams {
    let kilobytes = lifetime.kilobytes.and_then(|kilobytes| u32::try_from(kilobytes).ok());
    let lifetime = kilobytes.map(esp::Lifetime::of_kilobytes).unwrap_or_default();
    SaParams { spi, suite, keys, esn: false, lifetime }
}
