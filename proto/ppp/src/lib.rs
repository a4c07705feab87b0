//! PPP for L2TP: LCP, PAP, CHAP with MD5, MS-CHAPv2, IPCP and IPV6CP, as the server (LNS) and as the client.
//!
//! A [`Link`] is one PPP link over one L2TP session. It owns no socket, clock or thread: frames,
//! time and verdicts go in, [`Action`]s come out in order.
//!
//! ```text
//!   handle_frame ---+                       +--> Transmit(frame)
//!   handle_timeout -+--> Link --poll_action-+--> Authenticate(request) --> you --> handle_verdict
//!   open, close ----+                       +--> Up(network) | NetworkDown | Down(reason)
//! ```
//!
//! IP packets do not pass through here. The packet path uses [`split_ip`] and [`DataHeader`] on its
//! own while the network is up.
//!
//! The server never knows a password: it emits [`Action::Authenticate`], and whoever knows the
//! users checks it with the functions of [`auth`] or asks RADIUS.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

mod action;
pub mod auth;
mod auth_message;
mod authenticatee;
mod authenticator;
mod automaton;
mod config;
pub mod dhcp;
pub mod dhcp6;
mod eap;
mod error;
mod frame;
mod habits;
pub mod iana;
mod ipcp;
mod ipv6_packet;
mod ipv6cp;
mod keepalive;
mod lcp;
mod link;
pub mod nd;
mod negotiation;
mod option;
mod packet;
mod proxied;
mod record;
mod stats;
mod text;

#[cfg(test)]
mod tests;

pub use action::{
    Action, AuthRequest, Ipv6Up, MsChapV2Proof, NetworkUp, Proof, Refusal, Ticket, Verdict,
};
pub use auth_message::NAME_MAX;
pub use authenticatee::CHALLENGE_MAX;
pub use authenticator::AUTH_RETRIES_MAX;
pub use config::{AuthProtocol, ClientConfig, Echo, LinkConfig, Role, ServerConfig, Timing};
pub use error::{CloseReason, DownReason, NegotiationFailure, Rejected, Stage};
pub use frame::{DataHeader, Frame, IpVersion, split_ip};
pub use habits::{Habits, IpcpItem, LcpItem, Wanted, encode_options};
pub use ipcp::DNS_MAX;
pub use ipv6cp::InterfaceId;
pub use lcp::{LOOPED_REQUESTS_MAX, LcpValues, MRU_DEFAULT, MRU_MIN};
pub use link::{IDENTIFICATIONS_MAX, Link, PROTOCOL_REJECTS_MAX, RENEGOTIATIONS_MAX};
pub use negotiation::ROUNDS_MAX;
pub use option::OPTIONS_MAX;
pub use packet::CONTROL_MAX;
pub use proxied::{NotAdopted, Proxied, ProxiedLogin};
pub use record::{Ipv6Record, LinkRecord};
pub use stats::Stats;
pub use text::{TEXT_MAX, Text};
