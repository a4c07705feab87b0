//! What time and commands do: retransmission, expiry, rekeying and closing.

use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Key};

use crate::action::{Action, DownReason, Failure, FailureCause, PeerId, Stage};
use crate::aggressive_mode;
use crate::child::ChildState;
use crate::config::Connect;
use crate::endpoint::{Endpoint, Owner};
use crate::peer::{KEEPALIVE_INTERVAL, PeerTimer};
use crate::quick_mode::Quick;
use crate::sa::{Role, SaTimer, State};

impl Endpoint {
    pub(crate) fn sa_timers(&mut self, key: Key, now: Instant) {
        while let Some(timer) = self.sas.get_mut(key).and_then(|sa| sa.timers.expired(now)) {
            match timer {
                SaTimer::HalfOpen => self.attempt_expired(key, now),
                SaTimer::Retransmit => self.repeat_request(key, now),
                SaTimer::GiveUp => self.give_up(key, FailureCause::Timeout, now),
                SaTimer::Soft => {
                    if let Some(peer) = self.sas.get(key).and_then(|sa| sa.peer) {
                        self.start_ike_rekey(peer, now);
                    }
                }
                SaTimer::Retire => self.delete_sa(key),
                SaTimer::Hard => self.expire_sa(key),
                SaTimer::Deleted => self.drop_sa(key),
                SaTimer::Quick(id) => self.quick_mode_timer(key, id, now),
            }
        }
    }

    pub(crate) fn peer_timers(&mut self, id: PeerId, now: Instant) {
        while let Some(timer) = self.peers.get_mut(id.0).and_then(|peer| peer.timers.expired(now)) {
            match timer {
                PeerTimer::ChildGone(spi) => self.let_go_of_child(id, spi),
                PeerTimer::ChildHard(spi) => {
                    self.delete_children(id, &[spi]);
                    self.note_childless(id, now);
                }
                PeerTimer::ChildSoft(spi) => self.rekey_one(id, spi, now),
                PeerTimer::Childless => self.close(id, DownReason::Childless),
                PeerTimer::Dpd => self.check_life(id, now),
                PeerTimer::Keepalive => self.keep_mapping(id, now),
                PeerTimer::RekeyIke => self.start_ike_rekey(id, now),
            }
        }
    }

    fn repeat_request(&mut self, key: Key, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        if sa.established().is_some() {
            return self.repeat_third(key, now);
        }
        sa.window.tries += 1;
        let Some(wait) = sa.window.wait_of(&self.ctx.config.habits.phase1.retransmit) else {
            return self.give_up(key, FailureCause::Timeout, now);
        };
        sa.timers.set(SaTimer::Retransmit, now + wait);
        self.ctx.stats.requests_repeated += 1;
        sa.resend(&mut self.ctx);
    }

    fn attempt_expired(&mut self, key: Key, now: Instant) {
        let Some(sa) = self.sas.get(key) else { return };
        match (&sa.state, sa.role) {
            // Reported when message 5 was refused.
            (State::AwaitMm5(state), _) if state.was_refused() => self.drop_sa(key),
            (State::Aggressive(aggressive_mode::State::AwaitAm3(state)), _)
                if state.was_refused() =>
            {
                self.drop_sa(key);
            }
            (State::AwaitMm5(_), _) | (_, Role::Initiator) => {
                self.give_up(key, FailureCause::Timeout, now);
            }
            // Before message 3 it may have been anybody with a forged address; there are never more of
            // them than half-open exchanges.
            (_, Role::Responder) => {
                self.ctx.stats.half_open_expired += 1;
                self.give_up(key, FailureCause::Timeout, now);
            }
        }
    }

    /// Ends an attempt with the cause that was hinted at, or else this one.
    pub(crate) fn give_up(&mut self, key: Key, cause: FailureCause, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        let cause = sa.hint.take().unwrap_or(cause);
        let (path, peer, initiator) = (sa.path, sa.peer, sa.role == Role::Initiator);
        let facts = sa.facts();
        // The state is out of its place while a computation's result is looked at.
        let changing = matches!(sa.state, State::Changing).then_some(Stage::KeyExchange);
        if let Some(stage) = sa.state.stage().or(changing) {
            self.ctx.fail(Failure { peer, path, stage, cause, initiator, facts });
        }
        self.drop_sa(key);
        let Some(peer_id) = peer else { return };
        self.set_attempt(peer_id, None);
        match self.peers.get_mut(peer_id.0) {
            Some(peer) if peer.up => {
                peer.timers.set(PeerTimer::RekeyIke, now + REKEY_RETRY);
                self.touch(Owner::Peer(peer_id.0));
                self.remove_if_empty(peer_id, DownReason::Expired);
            }
            Some(_) => self.remove_peer(peer_id, DownReason::Closed),
            None => {}
        }
    }

    fn expire_sa(&mut self, key: Key) {
        let peer = self.sas.get(key).and_then(|sa| sa.peer);
        self.delete_sa(key);
        if let Some(peer) = peer {
            self.remove_if_empty(peer, DownReason::Expired);
        }
    }

    /// Takes an IKE SA away on our side, with quick modes that are not finished.
    pub(crate) fn drop_sa(&mut self, key: Key) {
        let Some(sa) = self.sas.remove(key) else { return };
        self.table.remove(sa.cookies, sa.origin, sa.created, key);
        self.touch(Owner::Sa(key));
        let Some(peer_id) = sa.peer else { return };
        if let Some(peer) = self.peers.get_mut(peer_id.0) {
            peer.sas.retain(|other| *other != key);
        }
        if let Some(established) = sa.established() {
            self.drop_quick_modes(peer_id, established.quick.values().map(AsRef::as_ref));
        }
    }

    fn drop_quick_modes<'a>(&mut self, peer: PeerId, modes: impl Iterator<Item = &'a Quick>) {
        for quick in modes {
            if let Some(spi) = quick.offered_spi() {
                self.release_spi(spi);
            }
            if let Some(spi) = quick.half_child() {
                self.remove_child(peer, spi);
            }
        }
    }

    /// The peer has deleted an IKE SA. When it was the last one, DELETEs of children that were sent
    /// before and overtaken on the way are still heard, or the children would stay until the clock
    /// ends them.
    pub(crate) fn sa_deleted(&mut self, key: Key, now: Instant) {
        let peer_id = self.sas.get(key).and_then(|sa| sa.peer);
        let peer = peer_id.and_then(|id| self.peers.get_mut(id.0));
        let (Some(peer_id), Some(peer)) = (peer_id, peer) else { return self.drop_sa(key) };
        if peer.children.is_empty() || peer.sas.len() > 1 {
            return self.drop_sa(key);
        }
        peer.sas.clear();
        if let Some(before) = peer.deleted_sa.replace(key) {
            self.drop_sa(before);
        }
        let Some(sa) = self.sas.get_mut(key) else { return };
        sa.timers.clear_all();
        sa.timers.set(SaTimer::Deleted, now + OVERTAKEN_MAX);
        let modes = sa.established_mut().map(|sa| core::mem::take(&mut sa.quick));
        let modes = modes.unwrap_or_default();
        self.drop_quick_modes(peer_id, modes.values().map(AsRef::as_ref));
        self.touch(Owner::Sa(key));
    }

    fn keep_mapping(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.peers.get_mut(id.0) else { return };
        peer.timers.set(PeerTimer::Keepalive, now + KEEPALIVE_INTERVAL);
        self.ctx.out.push(Action::Keepalive { path: peer.path });
    }

    /// Begins a quick mode that replaces a child, and sees to it that one is begun again when it fails.
    pub(crate) fn rekey_one(&mut self, id: PeerId, spi: u32, now: Instant) {
        let Some(child) = self.child(id, spi) else { return };
        if child.state != ChildState::Up || self.is_rekeying(id, spi) {
            return;
        }
        let started = self.start_quick_mode(id, Some(spi), now).is_ok();
        if !started {
            self.start_ike_rekey(id, now);
        }
        if let Some(peer) = self.peers.get_mut(id.0) {
            peer.timers.set(PeerTimer::ChildSoft(spi), now + REKEY_RETRY);
            self.touch(Owner::Peer(id.0));
        }
    }

    /// Whether a quick mode of ours with the same selectors is under way.
    fn is_rekeying(&self, id: PeerId, spi: u32) -> bool {
        let Some(child) = self.child(id, spi) else { return false };
        let Some(peer) = self.peers.get(id.0) else { return false };
        let established = peer.sas.iter().filter_map(|key| self.sas.get(*key)?.established());
        established.flat_map(|e| e.quick.values()).any(|quick| quick.renews(&child.selectors))
    }

    /// Begins a main mode that replaces the peer's IKE SA.
    pub(crate) fn start_ike_rekey(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.peers.get(id.0) else { return };
        if peer.attempt.is_some() || !peer.up {
            return;
        }
        let (path, marked) = (peer.path, peer.marked);
        let connect = if let Some(connect) = &peer.connect {
            Arc::clone(connect)
        } else {
            let psk = self.ctx.config.psks.iter().find(|psk| psk.id == peer.psk);
            let Some(psk) = psk else { return };
            Arc::new(Connect::l2tp(path, path, psk.secret.clone()))
        };
        self.show_path(id);
        if let Ok(key) = self.initiate(id, connect, (path, marked), true, now) {
            self.set_attempt(id, Some(key));
        }
    }

    pub(crate) fn set_attempt(&mut self, id: PeerId, attempt: Option<Key>) {
        if let Some(peer) = self.peers.get_mut(id.0) {
            peer.attempt = attempt;
        }
    }

    /// Deletes everything towards the peer, then takes it away.
    pub(crate) fn close(&mut self, id: PeerId, reason: DownReason) {
        let Some(peer) = self.peers.get(id.0) else { return };
        let habits = self.ctx.config.habits.life;
        let children: Vec<u32> = peer.children.iter().map(|child| child.inbound).collect();
        let sas = peer.sas.clone();
        if habits.deletes_children {
            self.delete_children(id, &children);
        }
        if habits.deletes_ike {
            for key in sas {
                self.delete_sa(key);
            }
        }
        self.remove_peer(id, reason);
    }
}

/// How long a message may be under way after one that was sent later.
pub(crate) const OVERTAKEN_MAX: Duration = Duration::from_secs(2);
/// Wait before a failed rekey is tried again.
pub const REKEY_RETRY: Duration = Duration::from_secs(30);
