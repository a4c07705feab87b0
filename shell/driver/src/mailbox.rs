//! Reports from the worker to the loop, in two bounded queues.
//!
//! Anybody can send IKE datagrams, so they have a queue of their own: a flood of them fills it and is
//! dropped there, while reports about authenticated peers still get through.

use isthmus_plane::Report;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The loop's end.
pub(crate) struct Mailbox {
    ike: Receiver<Report>,
    peers: Receiver<Report>,
}

/// A mailbox and the function that fills it, which answers whether there was room.
pub(crate) fn mailbox() -> (Mailbox, Box<dyn FnMut(Report) -> bool + Send>) {
    let (ike_in, ike) = channel(IKE_REPORTS_MAX);
    let (peers_in, peers) = channel(PEER_REPORTS_MAX);
    (Mailbox { ike, peers }, Box::new(move |report| deliver(&ike_in, &peers_in, report)))
}

fn deliver(ike: &Sender<Report>, peers: &Sender<Report>, report: Report) -> bool {
    let queue = if matches!(report, Report::Ike { .. }) { ike } else { peers };
    queue.try_send(report).is_ok()
}

impl Mailbox {
    /// The next report, peers' first; none when the worker has ended.
    pub(crate) async fn next(&mut self) -> Option<Report> {
        tokio::select! {
            biased;
            report = self.peers.recv() => report,
            report = self.ike.recv() => report,
        }
    }
}

/// Most IKE datagrams that wait for control.
const IKE_REPORTS_MAX: usize = 1024;
/// Most reports about authenticated peers that wait for control.
const PEER_REPORTS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_core::{Key, Path};

    fn ike() -> Report {
        let any = "192.0.2.1:500".parse().unwrap();
        Report::Ike { path: Path::new(any, any), marked: false, bytes: Vec::new() }
    }

    #[tokio::test]
    async fn a_flood_of_ike_leaves_room_for_peers() {
        let (mut mailbox, mut deliver) = mailbox();
        let taken = (0..IKE_REPORTS_MAX + 10).filter(|_| deliver(ike())).count();
        assert_eq!(taken, IKE_REPORTS_MAX);
        assert!(deliver(Report::Alive { peer: Key::from_raw(1) }));
        assert_eq!(mailbox.next().await, Some(Report::Alive { peer: Key::from_raw(1) }));
        assert_eq!(mailbox.next().await, Some(ike()));
    }
}
