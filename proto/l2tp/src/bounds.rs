//! Every limit of the crate in one place; what exceeds one is refused, counted or cut, as said here.

/// Longest control message taken, in bytes; longer ones are refused.
pub const CONTROL_MESSAGE_MAX: usize = 4096;
/// Longest host name taken, in bytes.
pub const HOST_NAME_MAX: usize = 255;
/// Longest vendor name taken, in bytes.
pub const VENDOR_NAME_MAX: usize = 255;
/// Longest challenge taken, in bytes.
pub const CHALLENGE_MAX: usize = 255;
/// Longest calling or called number or sub-address taken, in bytes.
pub const NUMBER_MAX: usize = 128;
/// Longest private group id taken, in bytes.
pub const GROUP_ID_MAX: usize = 255;
/// Longest proxied LCP request taken, in bytes.
pub const LCP_CONFREQ_MAX: usize = 512;
/// Longest proxied name, challenge or response taken, in bytes.
pub const PROXY_AUTHEN_MAX: usize = 255;
/// Longest random vector taken, in bytes.
pub const VECTOR_MAX: usize = 255;
/// Most tunnels of one endpoint, closing ones included, whatever the configuration says.
pub const TUNNELS_MAX: usize = 64;
/// Most sessions of one endpoint, whatever the configuration says.
pub const SESSIONS_MAX: usize = 2048;
/// Most messages waiting for the peer's window in one tunnel; one more ends the tunnel.
pub const SEND_QUEUE_MAX: usize = 64;
/// Most messages kept because an earlier one is missing; further ones are dropped.
pub const PARKED_MAX: usize = 8;
/// Retransmissions of a message before its tunnel is dead: sent at 0, 1, 3, 7, 15 and 23 s, given up
/// at 31 s (RFC 2661 §5.8).
pub const RETRANSMIT_MAX: u32 = 5;
/// Longest error message of a Result Code kept, in bytes; the rest is cut off.
pub const RESULT_MESSAGE_MAX: usize = 128;
/// Longest advisory message of a Q.931 cause code kept, in bytes; the rest is cut off.
pub const ADVISORY_MAX: usize = 128;
