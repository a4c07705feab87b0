//! What IKE does, turned into commands for the pipeline and into peers.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Instant, Key, Path};
use isthmus_crypto::{EspKeys, EspSuite};
use isthmus_esp::{self as esp, SaParams};
use isthmus_ike::{self as ike, PeerId};
use isthmus_l2tp as l2tp;
use isthmus_plane::{self as plane, Command, PeerRef};
use isthmus_ppp as ppp;

use crate::calls::L2TP_PORT;
use crate::cause::Cause;
use crate::diagnosis::{self, End};
use crate::event::Event;
use crate::failure::{Client, Failure, Milestone, Stage};
use crate::machine::{Action, Gateway};
use crate::peer::{Peer, PeerTimer};
use crate::record::RESERVE_BLOCK;
use crate::steps::Steps;
use crate::tenants::Admitted;

/// How long a peer may stay silent on L2TP once its IPsec SA is up.
const NO_L2TP_AFTER: Duration = Duration::from_secs(20);
/// How long a peer without a session is kept, for a client that hangs up in its own order or redials.
const IDLE_AFTER: Duration = Duration::from_secs(15);

impl Gateway {
    /// Carries out everything IKE wants done.
    pub(crate) fn drain_ike(&mut self, now: Instant) {
        while let Some(action) = self.ike.poll_action() {
            self.handle_ike_action(action, now);
        }
    }

    pub(crate) fn handle_ike_action(&mut self, action: ike::Action, now: Instant) {
        match action {
            ike::Action::Transmit { peer, path, marked, bytes } => {
                self.plane(Command::SendIke { peer: peer.map(|peer| peer.0), path, marked, bytes });
            }
            ike::Action::Keepalive { path } => self.plane(Command::SendKeepalive { path }),
            ike::Action::Offload { id, job } => self.outbox.push(Action::Offload { id, job }),
            ike::Action::PeerUp(up) => self.peer_up(&up, now),
            ike::Action::InstallInbound(sa) => {
                self.plane(Command::InstallInbound(install_inbound(sa)));
            }
            ike::Action::InstallOutbound(sa) => self.install_fresh(install_outbound(sa)),
            ike::Action::ChildUp(up) => self.child_up(up.peer.0, up.suite.name(), now),
            // The peer stays; only its IKE SA is another.
            ike::Action::PeerRekeyed { .. } => {}
            ike::Action::RemoveInbound { spi, .. } => self.plane(Command::RemoveInbound { spi }),
            ike::Action::RemoveOutbound { peer, spi } => {
                if let Some(state) = self.peers.get_mut(&PeerRef::Ipsec(peer.0)) {
                    state.reserved.remove(&spi);
                }
                self.plane(Command::RemoveOutbound { peer: peer.0, spi });
            }
            ike::Action::PathMoved { peer, path, encap } => {
                self.plane(Command::MovePath { peer: peer.0, path, encap });
                self.path_moved(peer.0, path, encap);
            }
            ike::Action::PeerDown { peer, reason } => {
                self.peer_down(peer, reason.label(), now);
            }
            ike::Action::Failed(failure) => self.ike_failed(&failure, now),
        }
    }

    fn peer_up(&mut self, up: &ike::PeerUp, now: Instant) {
        let dialled = up.path.local.ip();
        let Some(tenants) = Admitted::of(&self.config.tenants, up.psk, &up.identity, dialled)
        else {
            return self.no_tenant(up, now);
        };
        let endpoint = l2tp::Endpoint::new(
            self.config.l2tp.clone(),
            self.provider.clone(),
            self.rng.seed(),
            now,
        );
        let mut peer = Peer::of_ipsec(up, tenants, endpoint);
        peer.timers.set(PeerTimer::NoL2tp, now + NO_L2TP_AFTER);
        peer.attempt.steps = Steps::before(Milestone::Authenticated);
        peer.attempt.reach(Milestone::Authenticated, now);
        self.announce_peer(up, peer);
        if self.closing {
            self.close_peer(PeerRef::Ipsec(up.peer.0), now);
        }
    }

    /// A peer that no tenant takes: it is told to go, and the reason is kept.
    fn no_tenant(&mut self, up: &ike::PeerUp, now: Instant) {
        let mut failure = Failure::new(now, up.path.remote, Stage::IkeMainMode, Cause::NoTenant);
        failure.detail = format!(
            "{} has the key of a tenant, but none serves it at {}",
            up.identity,
            up.path.local.ip()
        );
        failure.client = Client::of(&up.vendors, Some(up.nat));
        let mut steps = Steps::before(Milestone::Authenticated);
        steps.reach(Milestone::Authenticated, now);
        failure.steps = steps.list().collect();
        self.fail(failure);
        // Carried out by whoever carries out what IKE wants.
        self.ike.close_peer(up.peer, now);
    }

    /// Takes a peer in and says so.
    pub(crate) fn announce_peer(&mut self, up: &ike::PeerUp, peer: Peer) {
        let names = peer.tenants.iter().filter_map(|index| self.config.tenants.get(index));
        let names: Vec<&str> = names.map(|tenant| tenant.name.as_str()).collect();
        self.event(Event::PeerUp {
            peer: up.peer.0,
            from: up.path.remote,
            encap: up.encap,
            identity: peer.identity.clone(),
            tenant: names.join(", "),
        });
        let id = peer.id;
        self.agenda.set(id, peer.deadline().map(|d| d.at));
        self.peers.insert(id, Box::new(peer));
    }

    /// Sends with a new SA. Where records are kept, the first block is its own: no record names less.
    fn install_fresh(&mut self, mut install: plane::InstallOutbound) {
        let keeps = self.keeps_records;
        if let Some(state) = self.peers.get_mut(&PeerRef::Ipsec(install.peer)).filter(|_| keeps) {
            let spi = install.sa.params.spi;
            let before = state.reserved.get(&spi).copied().unwrap_or_default();
            state.reserved.insert(spi, before.max(RESERVE_BLOCK));
            install.reserved_until = Some(RESERVE_BLOCK);
        }
        self.plane(Command::InstallOutbound(install));
    }

    fn child_up(&mut self, peer: Key, suite: &'static str, now: Instant) {
        if let Some(state) = self.peers.get_mut(&PeerRef::Ipsec(peer)) {
            state.attempt.children = state.attempt.children.saturating_add(1);
            state.attempt.reach(Milestone::Secured, now);
            state.suite = Some(suite);
            self.event(Event::ChildUp { peer, suite });
        }
    }

    pub(crate) fn path_moved(&mut self, peer: Key, path: Path, encap: Encap) {
        if let Some(state) = self.peers.get_mut(&PeerRef::Ipsec(peer)) {
            state.path = path;
            state.encap = Some(encap);
            self.event(Event::PathMoved { peer, path });
        }
    }

    /// IKE says the peer is gone with all its SAs: nothing more can be said to it.
    fn peer_down(&mut self, peer: PeerId, reason: &'static str, now: Instant) {
        self.plane(Command::RemovePeer { peer: peer.0 });
        if let Some(mut state) = self.forget_peer(PeerRef::Ipsec(peer.0), reason, now) {
            if !state.had_session && !state.attempt.reported && !self.closing {
                let failure = diagnosis::of_peer(&state, reason, now);
                self.peer_failed(&mut state, failure);
            }
            self.event(Event::PeerDown { peer: peer.0, reason });
        }
    }

    /// Ends what is left of a peer here; nothing is said to it.
    pub(crate) fn forget_peer(
        &mut self,
        peer: PeerRef,
        reason: &'static str,
        now: Instant,
    ) -> Option<Box<Peer>> {
        self.agenda.set(peer, None);
        let mut state = self.peers.remove(&peer)?;
        for session in core::mem::take(&mut state.sessions).into_values() {
            self.session_ended(&mut state, &session, &End::Peer(reason), now);
        }
        Some(state)
    }

    /// Completes a failure with what is known of its peer.
    pub(crate) fn peer_failed(&mut self, peer: &mut Peer, mut failure: Failure) {
        peer.attempt.reported = true;
        failure.client.clone_from(&peer.attempt.client);
        failure.tenant = failure.tenant.or(peer.tenants.only().and_then(|t| self.tenant_name(t)));
        let own = core::mem::take(&mut failure.steps);
        failure.steps = peer.attempt.steps.list().chain(own).collect();
        self.fail(failure);
    }

    pub(crate) fn tenant_name(&self, index: usize) -> Option<String> {
        self.config.tenants.get(index).map(|tenant| tenant.name.clone())
    }

    fn ike_failed(&mut self, failed: &ike::Failure, now: Instant) {
        let mut failure = diagnosis::of_ike(failed, &self.config.ike, now);
        let peer = failed.peer.and_then(|id| self.peers.remove(&PeerRef::Ipsec(id.0)));
        let Some(mut peer) = peer else { return self.fail(failure) };
        failure.steps.clear();
        self.peer_failed(&mut peer, failure);
        self.peers.insert(peer.id, peer);
    }

    /// Authenticated traffic counts as life for every layer of an IPsec peer.
    pub(crate) fn peer_alive(&mut self, peer: Key, now: Instant) {
        self.ike.peer_alive(PeerId(peer), now);
        let Some(state) = self.peers.get_mut(&PeerRef::Ipsec(peer)) else { return };
        state.l2tp.peer_alive(now);
        for session in state.sessions.values_mut() {
            session.link.peer_alive(now);
        }
        // That only puts deadlines off; the one in the agenda is early, and then the next is looked for.
    }

    /// Time passes for one peer.
    pub(crate) fn handle_peer_timeout(&mut self, peer: PeerRef, now: Instant) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.l2tp.handle_timeout(now);
        for session in state.sessions.values_mut() {
            session.link.handle_timeout(now);
        }
        Self::probe_paths(state, now);
        let due = state.timers.expired(now);
        self.advertise_due(peer, now);
        self.drain_peer(peer, now);
        match due {
            // Its end is reported when IKE has taken it away.
            Some(PeerTimer::Idle | PeerTimer::NoL2tp) => self.close_peer(peer, now),
            None => {}
        }
    }

    /// Arms the idle timer when the last session is gone, and disarms it when there is one.
    pub(crate) fn watch_idle(&mut self, peer: PeerRef, now: Instant) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if let PeerRef::Lac(lac) = peer {
            // Tunnels have timers of their own; without any the LAC is gone.
            if state.l2tp.is_empty() {
                return self.lac_down(lac, now);
            }
        } else if state.spoke_l2tp {
            state.timers.clear(PeerTimer::NoL2tp);
            if !state.sessions.is_empty() {
                state.timers.clear(PeerTimer::Idle);
            } else if !state.timers.is_set(PeerTimer::Idle) {
                state.timers.set(PeerTimer::Idle, now + IDLE_AFTER);
            }
        }
        let deadline = state.deadline();
        self.agenda.set(peer, deadline.map(|d| d.at));
    }

    /// Ends a peer in the order of RFC 2661 and RFC 2408: links, calls and tunnels, then the SAs.
    pub(crate) fn close_peer(&mut self, peer: PeerRef, now: Instant) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        for session in state.sessions.values_mut() {
            session.link.close(ppp::CloseReason::Shutdown, now);
        }
        self.drain_peer(peer, now);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.l2tp.close(l2tp::CloseReason::Shutdown, now);
        }
        self.drain_peer(peer, now);
        match peer {
            PeerRef::Ipsec(peer) => {
                self.ike.close_peer(PeerId(peer), now);
                self.drain_ike(now);
            }
            PeerRef::Lac(lac) => self.lac_down(lac, now),
        }
    }
}

pub(crate) fn install_inbound(sa: ike::InstallInbound) -> plane::InstallInbound {
    let params = sa_params(sa.spi, sa.suite, sa.keys, sa.lifetime);
    let mut install = plane::InstallInbound::fresh(sa.peer.0, params, sa.path, sa.encap);
    install.local_port = L2TP_PORT;
    install
}

pub(crate) fn install_outbound(sa: ike::InstallOutbound) -> plane::InstallOutbound {
    let params = sa_params(sa.spi, sa.suite, sa.keys, sa.lifetime);
    plane::InstallOutbound::fresh(sa.peer.0, params, sa.path, sa.encap)
}

/// What the pipeline needs of a negotiated SA.
fn sa_params(spi: u32, suite: EspSuite, keys: EspKeys, lifetime: ike::Lifetime) -> SaParams {
    let kilobytes = lifetime.kilobytes.and_then(|kilobytes| u32::try_from(kilobytes).ok());
    let lifetime = kilobytes.map(esp::Lifetime::of_kilobytes).unwrap_or_default();
    SaParams { spi, suite, keys, esn: false, lifetime }
}
