//! Reports from the worker to the loop, in three bounded queues.
//!
//! Anybody can send IKE datagrams, so they have queues of their own: a flood of them fills those and
//! is dropped there, while reports about authenticated peers still get through. First messages of
//! strangers (their responder cookie is zero, RFC 2408 §3.1) come last: who has had an answer from
//! us goes on in front of a flood of spoofed first messages. Plain L2TP comes from whoever can fake
//! the address of a LAC, so it waits where IKE does.

use isthmus_plane::Report;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The loop's end.
pub(crate) struct Mailbox {
    peers: Receiver<Report>,
    ike: Receiver<Report>,
    strangers: Receiver<Report>,
}

/// The workers' end.
#[derive(Clone)]
struct Inlets {
    peers: Sender<Report>,
    ike: Sender<Report>,
    strangers: Sender<Report>,
}

/// A mailbox and the function that fills it, which answers whether there was room; each worker has a
/// copy.
pub(crate) fn mailbox() -> (Mailbox, impl Fn(Report) -> bool + Clone + Send + 'static) {
    let (peers_in, peers) = channel(PEER_REPORTS_MAX);
    let (ike_in, ike) = channel(IKE_REPORTS_MAX);
    let (strangers_in, strangers) = channel(STRANGER_REPORTS_MAX);
    let inlets = Inlets { peers: peers_in, ike: ike_in, strangers: strangers_in };
    (Mailbox { peers, ike, strangers }, move |report| inlets.deliver(report))
}

impl Inlets {
    fn deliver(&self, report: Report) -> bool {
        let queue = match &report {
            Report::Ike { bytes, .. } if opens_an_exchange(bytes) => &self.strangers,
            Report::Ike { .. } | Report::PlainL2tp { .. } => &self.ike,
            Report::Alive { .. }
            | Report::Carried { .. }
            | Report::Counters(_)
            | Report::InstallFailed { .. }
            | Report::L2tp { .. }
            | Report::LacAlive { .. }
            | Report::PathMoved { .. }
            | Report::ReserveLow { .. }
            | Report::SaUsed { .. }
            | Report::SoftLimit { .. } => &self.peers,
        };
        queue.try_send(report).is_ok()
    }
}

impl Mailbox {
    /// The next report, peers' first and strangers' last; none when the worker has ended.
    pub(crate) async fn next(&mut self) -> Option<Report> {
        tokio::select! {
            biased;
            report = self.peers.recv() => report,
            report = self.ike.recv() => report,
            report = self.strangers.recv() => report,
        }
    }

    /// The next report that is already here, in the same order.
    pub(crate) fn try_next(&mut self) -> Option<Report> {
        let peers = self.peers.try_recv();
        let known = peers.or_else(|_| self.ike.try_recv());
        known.or_else(|_| self.strangers.try_recv()).ok()
    }
}

/// Whether the responder cookie is still zero, or missing.
fn opens_an_exchange(message: &[u8]) -> bool {
    message.get(8..16).is_none_or(|cookie| cookie == [0; 8])
}

/// Most first messages that wait for control: what it handles in a fraction of a second, so that
/// under a flood a queue of old ones is not in the way of a new client.
const STRANGER_REPORTS_MAX: usize = 1024;
/// Most other IKE datagrams that wait for control.
const IKE_REPORTS_MAX: usize = 1024;
/// Most reports about authenticated peers that wait for control.
const PEER_REPORTS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_core::{Key, Path};

    fn ike(responder_cookie: u8) -> Report {
        let any = "192.0.2.1:500".parse().unwrap();
        let bytes = [[1; 8], [responder_cookie; 8]].concat();
        Report::Ike { path: Path::new(any, any), marked: false, bytes }
    }

    #[tokio::test]
    async fn a_flood_of_first_messages_leaves_room_for_answers_and_for_peers() {
        let (mut mailbox, deliver) = mailbox();
        let taken = (0..STRANGER_REPORTS_MAX + 10).filter(|_| deliver(ike(0))).count();
        assert_eq!(taken, STRANGER_REPORTS_MAX);
        let taken = (0..IKE_REPORTS_MAX + 10).filter(|_| deliver(ike(1))).count();
        assert_eq!(taken, IKE_REPORTS_MAX);
        assert!(deliver(Report::Alive { peer: Key::from_raw(1) }));
        assert_eq!(mailbox.next().await, Some(Report::Alive { peer: Key::from_raw(1) }));
        assert_eq!(mailbox.next().await, Some(ike(1)));
        assert!(deliver(Report::Alive { peer: Key::from_raw(2) }));
        assert_eq!(mailbox.try_next(), Some(Report::Alive { peer: Key::from_raw(2) }));
        let order: Vec<_> = std::iter::from_fn(|| mailbox.try_next()).collect();
        assert_eq!(order.len(), IKE_REPORTS_MAX - 1 + STRANGER_REPORTS_MAX);
        assert_eq!((order.first(), order.last()), (Some(&ike(1)), Some(&ike(0))));
    }

    #[tokio::test]
    async fn strangers_are_heard_when_nobody_else_waits() {
        let (mut mailbox, deliver) = mailbox();
        assert!(deliver(ike(0)));
        assert!(deliver(ike(1)));
        assert_eq!(mailbox.next().await, Some(ike(1)));
        assert_eq!(mailbox.next().await, Some(ike(0)));
    }
}
