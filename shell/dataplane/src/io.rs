//! What a worker tells of its sockets and devices.

use isthmus_plane::TunId;
use isthmus_tun::{TunOffload, TunStats};

/// How packets cross into the kernel and out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoReport {
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
}

impl IoStats {
    /// Every counter with its name, for showing.
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("recv_errors", self.recv_errors),
            ("send_full", self.send_full),
            ("send_errors", self.send_errors),
            ("send_no_socket", self.send_no_socket),
            ("tun_full", self.tun_full),
            ("reports_dropped", self.reports_dropped),
        ]
    }
}
