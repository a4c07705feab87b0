//! Dead peer detection (RFC 3706), and liveness in general.
//!
//! Anything authentic from the peer proves life, so a busy peer is never asked. Only peers that
//! announced DPD are asked or answered: Windows does not know it.

use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Key};
use serde::{Deserialize, Serialize};

use crate::action::{DownReason, PeerId};
use crate::codec::{Notification, Out};
use crate::endpoint::{Endpoint, Owner};
use crate::habits::DpdHabit;
use crate::iana::{NotifyType, PayloadType, ProtocolId};
use crate::peer::PeerTimer;

/// What is known about a peer's life.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dpd {
    /// Sequence number of our last question.
    sequence: Option<u32>,
    #[serde(skip)]
    heard: Instant,
    /// Questions sent since the peer was heard.
    #[serde(skip)]
    unanswered: u32,
}

impl Dpd {
    /// The peer was heard.
    pub(crate) fn alive(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
        self.unanswered = 0;
    }
}

impl Endpoint {
    /// Time to see whether the peer is there.
    pub(crate) fn check_life(&mut self, peer_id: PeerId, now: Instant) {
        let Some(interval) = self.ctx.config.dpd_interval else { return };
        let interval = interval.max(DPD_INTERVAL_MIN);
        let newest = self.newest_sa(peer_id);
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        let due = peer.dpd.heard + interval;
        let Some(key) = newest.filter(|_| due <= now) else {
            // Heard in between, or nothing to ask over until the peer makes a new IKE SA.
            peer.timers.set(PeerTimer::Dpd, if due > now { due } else { now + interval });
            return;
        };
        if peer.dpd.unanswered >= DPD_TRIES_MAX {
            return self.remove_peer(peer_id, DownReason::Dead);
        }
        peer.timers.set(PeerTimer::Dpd, now + DPD_RETRY);
        self.touch(Owner::Peer(peer_id.0));
        self.ask(peer_id, key);
    }

    /// Shows the peer where we are, if it listens: a NAT may have moved us unnoticed, and an IKE SA that
    /// begins at an unknown address would not be recognised as ours.
    pub(crate) fn show_path(&mut self, peer_id: PeerId) {
        let newest = self.newest_sa(peer_id);
        let listens = self.peers.get(peer_id.0).is_some_and(|p| p.marked && p.vendors.dpd);
        let asks = self.ctx.config.habits.life.dpd == DpdHabit::Active;
        if let Some(key) = newest.filter(|_| listens && asks) {
            self.ask(peer_id, key);
        }
    }

    fn ask(&mut self, peer_id: PeerId, key: Key) {
        let Some(peer) = self.peers.get_mut(peer_id.0) else { return };
        // A repeated question keeps its sequence number (RFC 3706 §6.2).
        let fresh = peer.dpd.unanswered == 0;
        let first = || self.ctx.rng.u32() >> 1;
        let last = peer.dpd.sequence.unwrap_or_else(first);
        let sequence = if fresh { last.wrapping_add(1) } else { last };
        peer.dpd.sequence = Some(sequence);
        peer.dpd.unanswered += 1;
        self.send_dpd(key, NotifyType::R_U_THERE, sequence);
    }

    /// A question or an answer of the peer.
    pub(crate) fn handle_dpd(&mut self, key: Key, notification: &Notification) {
        let Some(sa) = self.sas.get_mut(key).filter(|sa| sa.vendors.dpd) else { return };
        let cookies = sa.cookies.concat();
        if self.ctx.config.habits.life.dpd == DpdHabit::Unknown {
            return;
        }
        let Ok(data) = <[u8; 4]>::try_from(notification.data.as_slice()) else { return };
        let sequence = u32::from_be_bytes(data);
        if notification.spi != cookies {
            return;
        }
        if notification.kind != NotifyType::R_U_THERE {
            // An answer proves life as any authentic message does.
            return;
        }
        let Some(established) = sa.established_mut() else { return };
        if established.dpd_asked.is_some_and(|asked| sequence < asked) {
            return;
        }
        established.dpd_asked = Some(sequence);
        self.send_dpd(key, NotifyType::R_U_THERE_ACK, sequence);
    }

    fn send_dpd(&mut self, key: Key, kind: NotifyType, sequence: u32) {
        let Some(sa) = self.sas.get(key) else { return };
        let body = Notification {
            protocol: ProtocolId::ISAKMP,
            kind,
            spi: sa.cookies.concat().to_vec(),
            data: Vec::from(sequence.to_be_bytes()),
        };
        let chain = Out::new().with(PayloadType::NOTIFICATION, body.to_bytes());
        self.send_informational(key, chain);
    }
}

/// How often a silent peer is asked before it counts as dead.
pub const DPD_TRIES_MAX: u32 = 5;
const DPD_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Interval between questions to a silent peer.
pub const DPD_RETRY: Duration = Duration::from_secs(5);
