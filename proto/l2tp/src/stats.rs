//! Counters of one endpoint.

/// Plain counters; exporting them is the shell's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Control messages taken, ZLBs included.
    pub received: u64,
    /// Control messages dropped without a change of state.
    pub rejected: u64,
    /// Control messages sent, ZLBs and retransmissions included.
    pub transmitted: u64,
    /// Control messages sent again.
    pub retransmitted: u64,
    /// Control messages not sent, because the peer's address is doubted and it has sent less itself.
    pub withheld: u64,
    /// Control messages received again.
    pub duplicates: u64,
    /// Control messages that came too early.
    pub ahead: u64,
    /// Optional AVPs that were skipped, unknown or broken.
    pub ignored_avps: u64,
    /// Messages that were acknowledged and ignored: unknown optional types, and messages for
    /// sessions that are gone.
    pub ignored_messages: u64,
    /// Data messages for sessions that are gone.
    pub stray_data: u64,
    /// Tunnels and sessions we refused.
    pub refused: u64,
    /// WAN-Error-Notify messages.
    pub wan_errors: u64,
    /// Set-Link-Info messages.
    pub link_infos: u64,
}
