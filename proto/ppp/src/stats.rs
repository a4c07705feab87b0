//! Counters of one link.

/// Plain numbers; exporting them is the shell's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames given to the link.
    pub frames_received: u64,
    /// Of those, frames not taken.
    pub frames_rejected: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Echo-Requests sent.
    pub echoes_sent: u64,
    /// Logins given to be judged.
    pub logins_asked: u64,
    /// Protocol-Rejects sent.
    pub protocol_rejects_sent: u64,
    /// Times the peer negotiated again.
    pub renegotiations: u64,
}
