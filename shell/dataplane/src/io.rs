//! What a worker tells of its sockets and devices.

use isthmus_plane::TunId;
use isthmus_tun::{TunOffload, TunStats};

/// How packets cross into the kernel and out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoReport {
    /// Workers that this is of.
    pub workers: usize,
    /// What the operating system refused.
    pub stats: IoStats,
    /// Datagrams that one message to the kernel may carry (`UDP_SEGMENT`); 1 where it does not cut them.
    pub udp_segments_max: usize,
    /// The TUN devices.
    pub tuns: Vec<TunReport>,
}

/// One TUN device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunReport {
    /// Whose it is.
    pub id: TunId,
    /// What the kernel does for it.
    pub offload: TunOffload,
    /// What it counted.
    pub stats: TunStats,
}

/// Counters of what the operating system refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoStats {
    /// Reads that failed.
    pub recv_errors: u64,
    /// Packets dropped because the socket buffer was full.
    pub send_full: u64,
    /// Batches the kernel refused.
    pub send_errors: u64,
    /// Packets for which there is no socket of that kind.
    pub send_no_socket: u64,
    /// Inner packets dropped because the TUN queue was full or gone.
    pub tun_full: u64,
    /// Reports dropped because control was busy; only IKE datagrams are.
    pub reports_dropped: u64,
    /// Packets for another worker dropped because it was busy.
    pub inbox_full: u64,
}

impl IoReport {
    /// Adds what another worker says.
    pub(crate) fn merge(&mut self, other: Self) {
        self.workers += other.workers;
        let known = Some(self.udp_segments_max).filter(|most| *most > 0);
        let least = known.map_or(other.udp_segments_max, |most| most.min(other.udp_segments_max));
        self.udp_segments_max = least;
        self.stats.add(&other.stats);
        for tun in other.tuns {
            match self.tuns.iter_mut().find(|known| known.id == tun.id) {
                Some(known) => known.stats.add(&tun.stats),
                None => self.tuns.push(tun),
            }
        }
    }
}

impl IoStats {
    /// Every counter with its name, for showing.
    pub fn counts(&self) -> [(&'static str, u64); 7] {
        [
            ("recv_errors", self.recv_errors),
            ("send_full", self.send_full),
            ("send_errors", self.send_errors),
            ("send_no_socket", self.send_no_socket),
            ("tun_full", self.tun_full),
            ("reports_dropped", self.reports_dropped),
            ("inbox_full", self.inbox_full),
        ]
    }

    fn add(&mut self, more: &Self) {
        self.recv_errors += more.recv_errors;
        self.send_full += more.send_full;
        self.send_errors += more.send_errors;
        self.send_no_socket += more.send_no_socket;
        self.tun_full += more.tun_full;
        self.reports_dropped += more.reports_dropped;
        self.inbox_full += more.inbox_full;
    }
}
