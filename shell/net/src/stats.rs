//! What a socket counted.

/// Counters of one socket since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Packets received.
    pub received: u64,
    /// Received packets dropped because they are no packet of this protocol (a bad IP header).
    pub received_malformed: u64,
    /// Errors on receive that were not "nothing there": ICMP errors delivered to the socket.
    pub receive_errors: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets not sent because the peer or the route to it is unreachable.
    pub unreachable: u64,
    /// Packets not sent because a filter on this machine refuses them.
    pub filtered: u64,
    /// Packets not sent because they exceed what the path takes unfragmented.
    pub too_big: u64,
    /// Packets not sent for another reason.
    pub send_failed: u64,
    /// Times the kernel's buffer was full, so that the rest of a batch was left to the caller.
    pub blocked: u64,
    /// Runs of packets that the kernel would not segment for us and that went one by one.
    pub segmentation_refused: u64,
    /// Runs of packets that left as one segmented message.
    pub segmented: u64,
}
