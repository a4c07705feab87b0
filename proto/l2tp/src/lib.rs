//! L2TP version 2 (RFC 2661): control channel, tunnels, incoming calls, and the data header.
//!
//! One [`Endpoint`] speaks with one IPsec peer, as LNS (a gateway) or as LAC (a client). It gets
//! control messages, time and commands, and answers with an ordered queue of [`Action`]s. Data
//! messages do not pass through it: [`data`] reads and writes their header in place.
//!
//! ```text
//!   Message::read      framing: header and AVP list          (bytes only)
//!   Channel::admit     does it fit Ns, Nr and window?        (&self)
//!   Channel::commit    acknowledge, number, park             (cannot fail)
//!   Body::read         values; what is mandatory             (bytes only)
//!   Tunnel, calls      the state machines of RFC 2661 §7
//! ```
//!
//! Everything that reaches an endpoint came through ESP, so the sender is who IKE said; it may still
//! be broken or hostile. [`bounds`] lists every limit.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod accept;
mod action;
mod allowance;
mod auth;
pub mod avp;
mod body;
pub mod bounds;
mod calls;
mod channel;
mod config;
mod context;
pub mod data;
mod dialect;
mod endpoint;
mod error;
mod habits;
mod header;
pub mod iana;
mod message;
mod record;
mod setup;
mod stats;
mod tunnel;
mod window;

#[cfg(test)]
mod tests;

pub use accept::LATE_REQUEST;
pub use action::{
    Action, CloseReason, DownReason, Refused, SessionId, SessionRef, SessionUp, TunnelId, TunnelUp,
};
pub use body::{Body, BodyError, Cdn, Greeting, Iccn, Icrq, ProxyAuth, ProxyLcp, StopCcn};
pub use channel::{ACK_DELAY, RETRANSMIT_CAP, RETRANSMIT_CYCLE, RETRANSMIT_FIRST};
pub use config::{Config, Role};
pub use dialect::{Dialect, Serial, Slot};
pub use endpoint::{Endpoint, OpenError};
pub use error::{PeerError, Rejected};
pub use habits::{Accepts, Habits, Ids, Results, Waits};
pub use header::{Header, is_control};
pub use message::{Field, Message, Payload};
pub use record::{EndpointRecord, MessageRecord, SessionRecord, TunnelRecord};
pub use stats::Stats;
