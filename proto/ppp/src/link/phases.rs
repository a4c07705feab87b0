//! From phase to phase: carries out what LCP, authentication and IPCP want.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Instant, Rng};

use super::{Ipv6Network, Link, Login, Network, Phase, RENEGOTIATIONS_MAX, REST};
use crate::action::{Action, AuthRequest, Proof, Ticket};
use crate::authenticatee::{self, Authenticatee};
use crate::authenticator::{self, Authenticator};
use crate::automaton::State;
use crate::config::{AuthProtocol, Role};
use crate::eap;
use crate::error::{DownReason, NegotiationFailure, Stage};
use crate::frame::Frame;
use crate::habits::Asked;
use crate::iana::{Code, Protocol};
use crate::ipcp::{ClientAddresses, IpcpOptions, ServerAddresses};
use crate::ipv6cp::Ipv6cpOptions;
use crate::keepalive;
use crate::negotiation::{Effect, Finish, Negotiation};
use crate::packet::Packet;

/// What one of the inner machines wants.
enum Wish {
    Client(authenticatee::Effect),
    Ipcp(Effect),
    Ipv6cp(Effect),
    Lcp(Effect),
    Server(authenticator::Effect),
}

impl Link {
    /// Carries out everything the inner machines want, LCP first.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(wish) = self.next_wish() {
            match wish {
                Wish::Client(effect) => self.do_client(effect, now),
                Wish::Ipcp(effect) => self.do_ipcp(effect, now),
                Wish::Ipv6cp(effect) => self.do_ipv6cp(&effect, now),
                Wish::Lcp(effect) => self.do_lcp(effect, now),
                Wish::Server(effect) => self.do_server(effect, now),
            }
        }
    }

    fn next_wish(&mut self) -> Option<Wish> {
        if let Some(effect) = self.lcp.poll_effect() {
            return Some(Wish::Lcp(effect));
        }
        match &mut self.phase {
            Phase::Authenticate(login) => login.next_wish(),
            Phase::Network(network) => network
                .login
                .as_mut()
                .and_then(Login::next_wish)
                .or_else(|| network.ipcp.poll_effect().map(Wish::Ipcp))
                .or_else(|| network.ipv6.as_mut()?.cp.poll_effect().map(Wish::Ipv6cp)),
            Phase::Dead | Phase::Down(_) | Phase::Establish | Phase::Terminate(_) => None,
        }
    }

    fn do_lcp(&mut self, effect: Effect, now: Instant) {
        match effect {
            Effect::Down => self.leave_upper_phases(now),
            Effect::Failed(NegotiationFailure::LoopDetected) => {
                self.terminate(DownReason::LoopDetected, now);
            }
            Effect::Failed(failure) => {
                self.terminate(DownReason::NegotiationFailed(Stage::Lcp, failure), now);
            }
            Effect::Finished(finish) => self.lcp_finished(finish),
            Effect::Send(packet) => self.transmit(Protocol::LCP, &packet),
            Effect::Up => self.authenticate(now),
        }
    }

    fn do_server(&mut self, effect: authenticator::Effect, now: Instant) {
        match effect {
            authenticator::Effect::Ask { user, proof } => self.ask(user, proof),
            authenticator::Effect::Failed(reason) => self.terminate(reason, now),
            authenticator::Effect::Granted { address, dns } => {
                if let Role::Server(server) = &self.config.role {
                    let addresses = ServerAddresses::new(server.local_address, address, &dns);
                    self.enter_network(IpcpOptions::Server(addresses), now);
                }
            }
            authenticator::Effect::Send(packet) => self.transmit_login(&packet),
        }
    }

    fn do_client(&mut self, effect: authenticatee::Effect, now: Instant) {
        match effect {
            authenticatee::Effect::Failed(reason) => self.terminate(reason, now),
            authenticatee::Effect::Proved => {
                // After a new challenge the network is there already.
                if matches!(self.phase, Phase::Authenticate(_)) {
                    self.enter_network_as_client(now);
                }
            }
            authenticatee::Effect::Send(packet) => self.transmit_login(&packet),
        }
    }

    fn do_ipcp(&mut self, effect: Effect, now: Instant) {
        match effect {
            Effect::Down => self.network_down(now),
            Effect::Failed(failure) => {
                self.terminate(DownReason::NegotiationFailed(Stage::Ipcp, failure), now);
            }
            Effect::Finished(finish) => {
                let reason = match finish {
                    Finish::ProtocolRefused => DownReason::NegotiationFailed(
                        Stage::Ipcp,
                        NegotiationFailure::ProtocolRefused,
                    ),
                    Finish::Terminated => DownReason::PeerTerminated(Stage::Ipcp),
                    Finish::TimedOut => DownReason::Timeout(Stage::Ipcp),
                };
                self.terminate(reason, now);
            }
            Effect::Send(packet) => self.transmit(Protocol::IPCP, &packet),
            Effect::Up => self.network_up(now),
        }
    }

    /// Whatever becomes of IPv6, the link stays.
    fn do_ipv6cp(&mut self, effect: &Effect, now: Instant) {
        let Phase::Network(network) = &mut self.phase else { return };
        let Some(ipv6) = &mut network.ipv6 else { return };
        match effect {
            Effect::Down => self.withdraw_ipv6(),
            Effect::Failed(_) => ipv6.cp.close(now),
            // The peer may begin anew.
            Effect::Finished(_) => {}
            Effect::Send(packet) => self.transmit(Protocol::IPV6CP, packet),
            Effect::Up => {
                ipv6.ups = ipv6.ups.saturating_add(1);
                match ipv6.cp.options.agreement().filter(|_| ipv6.ups <= RENEGOTIATIONS_MAX) {
                    Some(up) => {
                        ipv6.is_up = true;
                        self.outbox.push(Action::Ipv6Up(up));
                    }
                    None => ipv6.cp.close(now),
                }
            }
        }
    }

    /// Tells the owner that IPv6 must stop, when it may flow.
    fn withdraw_ipv6(&mut self) {
        if let Phase::Network(network) = &mut self.phase
            && let Some(ipv6) = network.ipv6.as_mut().filter(|ipv6| ipv6.is_up)
        {
            ipv6.is_up = false;
            self.outbox.push(Action::Ipv6Down);
        }
    }

    /// LCP is open both ways: whoever must prove itself does.
    fn authenticate(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Establish) {
            return;
        }
        self.identify();
        let config = Arc::clone(&self.config);
        let login = match &config.role {
            Role::Client(client) => match self.lcp.options.peer.auth {
                Some(AuthProtocol::EapMsChapV2) => {
                    let provider = Arc::clone(&self.provider.0);
                    Login::EapPeer(Box::new(eap::peer::Peer::new(
                        client,
                        provider,
                        config.timing,
                        now,
                    )))
                }
                Some(method) => {
                    let provider = Arc::clone(&self.provider.0);
                    let timing = config.timing;
                    Login::Client(Box::new(Authenticatee::new(
                        method,
                        client,
                        provider,
                        timing,
                        &mut self.rng,
                        now,
                    )))
                }
                None if client.require_auth => {
                    return self.terminate(DownReason::AuthNotOffered, now);
                }
                None => return self.enter_network_as_client(now),
            },
            Role::Server(server) => match self.lcp.options.ours.auth {
                Some(AuthProtocol::EapMsChapV2) => Login::EapServer(Box::new(
                    eap::server::Server::new(server, config.timing, &mut self.rng, now),
                )),
                Some(method) => Login::Server(Box::new(Authenticator::new(
                    method,
                    server,
                    config.timing,
                    &mut self.rng,
                    now,
                ))),
                None => return self.terminate(DownReason::AuthNotConfigured, now),
            },
        };
        self.phase = Phase::Authenticate(login);
    }

    /// Says what we are, where that is a habit (RFC 1570 §2.1).
    fn identify(&mut self) {
        let config = Arc::clone(&self.config);
        let texts = config.habits.identifications.iter();
        for text in texts.filter(|_| matches!(config.role, Role::Client(_))) {
            let mut data = self.lcp.options.ours.magic.to_be_bytes().to_vec();
            data.extend_from_slice(text);
            let id = self.lcp.fresh_id();
            let packet = Packet { code: Code::IDENTIFICATION, id, data: &data };
            self.transmit(Protocol::LCP, &packet.write());
        }
    }

    fn ask(&mut self, user: Vec<u8>, proof: Proof) {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        self.ticket = Some(ticket);
        self.stats.logins_asked += 1;
        self.outbox.push(Action::Authenticate(AuthRequest { ticket, user, proof }));
    }

    fn enter_network_as_client(&mut self, now: Instant) {
        if let Role::Client(client) = &self.config.role {
            let items = self.config.habits.ipcp.clone();
            let addresses = ClientAddresses::new(client.address, client.request_dns, items);
            self.enter_network(IpcpOptions::Client(addresses), now);
        }
    }

    fn enter_network(&mut self, addresses: IpcpOptions, now: Instant) {
        let login = match core::mem::replace(&mut self.phase, Phase::Establish) {
            Phase::Authenticate(login) => Some(login),
            Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Network(_)
            | Phase::Terminate(_) => None,
        };
        let mut ipcp = Negotiation::new(addresses, self.config.timing);
        let asks = matches!(self.config.role, Role::Client(_));
        let config = Arc::clone(&self.config);
        let asked = config.habits.before_ipcp.iter().filter(|_| asks);
        let asked = asked.map(|wanted| Asked::new(wanted, now)).collect();
        ipcp.open(now);
        let ipv6 = self.ipv6.then(|| {
            let options = Ipv6cpOptions::new(Rng::new(self.rng.seed()));
            let mut cp = Negotiation::new(options, self.config.timing);
            cp.open(now);
            Box::new(Ipv6Network { cp, is_up: false, ups: 0 })
        });
        let network = Network { login, ipcp, asked, ipv6, heard: false, is_up: false };
        self.phase = Phase::Network(Box::new(network));
        self.ask_others(now);
        if let Phase::Network(network) = &mut self.phase {
            let asked = config.habits.after_ipcp.iter().filter(|_| asks);
            network.asked.extend(asked.map(|wanted| Asked::new(wanted, now)));
        }
        self.keepalive.start(now);
    }

    /// Asks for the protocols of a habit that are due.
    pub(super) fn ask_others(&mut self, now: Instant) {
        let Phase::Network(network) = &mut self.phase else { return };
        let timing = self.config.timing;
        let due = |asked: &mut Asked| Some((asked.protocol(), asked.poll(&timing, now)?));
        let requests: Vec<_> = network.asked.iter_mut().filter_map(due).collect();
        for (protocol, request) in requests {
            self.transmit(protocol, &request);
        }
    }

    /// The peer said something about a protocol of a habit.
    pub(super) fn asked_and_answered(&mut self, protocol: Protocol, refused: bool) {
        let Phase::Network(network) = &mut self.phase else { return };
        let asked = network.asked.iter_mut().find(|asked| asked.protocol() == protocol);
        if let Some(farewell) = asked.and_then(|asked| asked.answered(refused)) {
            self.transmit(protocol, &farewell);
        }
    }

    fn network_up(&mut self, now: Instant) {
        self.up_since = Some(now);
        if let Phase::Network(network) = &mut self.phase {
            network.is_up = true;
        }
        self.establish_at = None;
        if let Some(up) = self.network() {
            self.outbox.push(Action::Up(up));
        }
    }

    /// IPCP was open and no longer is.
    fn network_down(&mut self, now: Instant) {
        self.withdraw();
        self.restless(Stage::Ipcp, now);
    }

    /// LCP was open and no longer is: what stood on it is gone, logins included.
    fn leave_upper_phases(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Terminate(_) | Phase::Down(_)) {
            return;
        }
        self.withdraw_ipv6();
        self.withdraw();
        self.ticket = None;
        self.keepalive.stop();
        if self.lcp.state() == State::Stopping {
            let failure = NegotiationFailure::ProtocolRefused;
            self.establish_at = None;
            self.phase = Phase::Terminate(DownReason::NegotiationFailed(Stage::Lcp, failure));
            return;
        }
        self.phase = Phase::Establish;
        self.restless(Stage::Lcp, now);
    }

    /// Counts a new negotiation and gives it time, or ends a link that has had too many without
    /// being up for a while in between.
    fn restless(&mut self, stage: Stage, now: Instant) {
        self.stats.renegotiations += 1;
        if self.up_since.take().is_some_and(|since| now.since(since) >= REST) {
            self.renegotiations = 0;
        }
        self.renegotiations = self.renegotiations.saturating_add(1);
        self.establish_at = Some(now + self.config.timing.establish);
        if self.renegotiations > RENEGOTIATIONS_MAX {
            let failure = NegotiationFailure::Restless;
            self.terminate(DownReason::NegotiationFailed(stage, failure), now);
        }
    }

    /// Tells the owner that traffic must stop, when it may flow.
    fn withdraw(&mut self) {
        if let Phase::Network(network) = &mut self.phase
            && network.is_up
        {
            network.is_up = false;
            self.outbox.push(Action::NetworkDown);
        }
    }

    fn lcp_finished(&mut self, finish: Finish) {
        let reason = match (&self.phase, finish) {
            (Phase::Terminate(reason) | Phase::Down(reason), _) => *reason,
            (_, Finish::ProtocolRefused) => {
                DownReason::NegotiationFailed(Stage::Lcp, NegotiationFailure::ProtocolRefused)
            }
            (_, Finish::Terminated) => DownReason::PeerTerminated(self.stage()),
            (_, Finish::TimedOut) => DownReason::Timeout(Stage::Lcp),
        };
        self.finish(reason);
    }

    /// Says goodbye for this reason, unless that is done or under way.
    pub(super) fn terminate(&mut self, reason: DownReason, now: Instant) {
        match self.phase {
            Phase::Dead => return self.finish(reason),
            Phase::Down(_) | Phase::Terminate(_) => return,
            Phase::Authenticate(_) | Phase::Establish | Phase::Network(_) => {}
        }
        self.withdraw_ipv6();
        self.withdraw();
        self.phase = Phase::Terminate(reason);
        self.ticket = None;
        self.establish_at = None;
        self.keepalive.stop();
        if let (Role::Client(_), Some(text)) = (&self.config.role, &self.config.habits.farewell) {
            let magic = self.lcp.options.ours.magic.to_be_bytes();
            self.lcp.set_farewell([magic.as_slice(), text].concat());
        }
        self.lcp.close(now);
    }

    /// The end.
    pub(super) fn finish(&mut self, reason: DownReason) {
        if matches!(self.phase, Phase::Down(_)) {
            return;
        }
        self.phase = Phase::Down(reason);
        self.ticket = None;
        self.establish_at = None;
        self.keepalive.stop();
        self.lcp.stop();
        self.outbox.push(Action::Down(reason));
    }

    pub(super) fn time_out_login(&mut self, now: Instant) {
        let login = match &mut self.phase {
            Phase::Authenticate(login) => Some(login),
            Phase::Network(network) => network.login.as_mut(),
            Phase::Dead | Phase::Down(_) | Phase::Establish | Phase::Terminate(_) => None,
        };
        match login {
            Some(Login::Client(client)) => client.handle_timeout(now),
            Some(Login::EapPeer(peer)) => peer.handle_timeout(now),
            Some(Login::EapServer(server)) => server.handle_timeout(now),
            Some(Login::Server(server)) => server.handle_timeout(&mut self.rng, now),
            None => {}
        }
    }

    pub(super) fn time_out_ipcp(&mut self, now: Instant) {
        let Phase::Network(network) = &mut self.phase else { return };
        let is_due = network.ipcp.poll_timeout().is_some_and(|at| at <= now);
        // A peer that never spoke IPCP may still wait for our Success: pppd does not ask again.
        if is_due
            && !network.heard
            && let Some(login) = &mut network.login
        {
            login.repeat_answer();
        }
        network.ipcp.handle_timeout(now);
    }

    pub(super) fn time_out_ipv6cp(&mut self, now: Instant) {
        if let Phase::Network(network) = &mut self.phase
            && let Some(ipv6) = &mut network.ipv6
        {
            ipv6.cp.handle_timeout(now);
        }
    }

    pub(super) fn time_out_keepalive(&mut self, now: Instant) {
        match self.keepalive.handle_timeout(now) {
            keepalive::Verdict::Lost => self.terminate(DownReason::EchoLost, now),
            keepalive::Verdict::Nothing => {}
            keepalive::Verdict::Probe => {
                self.stats.echoes_sent += 1;
                let magic = self.lcp.options.ours.magic.to_be_bytes();
                let id = self.lcp.fresh_id();
                let packet = Packet { code: Code::ECHO_REQUEST, id, data: &magic };
                self.transmit(Protocol::LCP, &packet.write());
            }
        }
    }

    /// Sends a packet of the authentication protocol in use.
    fn transmit_login(&mut self, packet: &[u8]) {
        let method = match self.config.role {
            Role::Client(_) => self.lcp.options.peer.auth,
            Role::Server(_) => self.lcp.options.ours.auth,
        };
        if let Some(protocol) = method.map(AuthProtocol::protocol) {
            self.transmit(protocol, packet);
        }
    }

    pub(super) fn transmit(&mut self, protocol: Protocol, body: &[u8]) {
        self.stats.frames_sent += 1;
        self.outbox.push(Action::Transmit(Frame { protocol, body }.write()));
    }
}

impl Login {
    fn next_wish(&mut self) -> Option<Wish> {
        match self {
            Self::Client(client) => client.poll_effect().map(Wish::Client),
            Self::EapPeer(peer) => peer.poll_effect().map(Wish::Client),
            Self::EapServer(server) => server.poll_effect().map(Wish::Server),
            Self::Server(server) => server.poll_effect().map(Wish::Server),
        }
    }
}
