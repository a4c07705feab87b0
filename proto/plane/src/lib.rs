//! The packet pipeline: everything that happens to a packet between a socket and a TUN device.
//!
//! ```text
//!  UDP 4500 ─┬─ keepalive: counted
//!            ├─ marker ────────────────────────────────────────────────┐
//!  UDP 500 ──┼─────────────────────────────────────────────────────────┼─> Report::Ike
//!  IP 50 ────┴─ SPI ─> SA ─> ICV, replay ─> UDP port ─> L2TP ─┬ T bit ─┼─> Report::L2tp
//!                                                             └ data ──┤ not IP, or no session
//!                                                  session ─> source ──┴─> TUN device
//!  TUN device ─> longest prefix ─> session ─> size, MSS ─> PPP, L2TP, UDP ─> newest SA ─> socket
//! ```
//!
//! A [`Plane`] is what one worker thread owns, and what a simulation runs: no socket, clock or
//! thread in it. Control feeds it [`Command`]s and gets [`Report`]s; packets come in batches and leave
//! in [`Outputs`]. Nothing is allocated for a data packet once the vectors have grown, as long as
//! the caller lets [`Outputs::free`] keep some buffers; only reports own bytes.
//!
//! What always holds:
//! - L2TP is taken only out of ESP or from a LAC that was configured to be trusted without it; inner
//!   packets are taken only from the addresses of their session.
//! - To an IPsec peer nothing but IKE, keepalives and ESP is sent. Plain L2TP is sent to an open LAC and
//!   to nobody else: a [`LacKey`] names no IPsec peer, and a peer's key names no LAC.
//! - A packet that is not authentic changes nothing but a counter.
//! - A peer's session ids mean nothing to another peer.
//! - Every packet is delivered, reported or counted under a [`DropReason`].
#![no_std]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod command;
mod drops;
mod inbound;
mod inner;
mod key_map;
mod l2tp;
mod lac;
mod limit;
mod on_link;
mod order;
mod outbound;
mod packet;
mod peer;
mod plane;
mod pulse;
mod rate;
mod report;
mod routes;
mod sa;
mod scratch;
mod session;
mod share;
mod stats;
mod tables;
#[cfg(test)]
mod tests;

pub use command::{Audience, Command, InstallInbound, InstallOutbound, SessionParams};
pub use drops::DropReason;
pub use lac::{LacKey, PeerRef};
pub use limit::TOO_BIG_PER_SECOND_MAX;
pub use on_link::Ipv6Link;
pub use order::{REORDER_MAX, REORDER_WAIT_MAX};
pub use packet::{Device, Outputs, Port, Rx, TunId, Tx};
pub use peer::{SAS_MAX, WAITING_MAX};
pub use plane::Plane;
pub use rate::{BURST_MAX, BURST_MIN, BURST_TIME_MS, RATE_MAX, RATE_MIN, Rate, Rates};
pub use report::{Counters, Report};
pub use sa::RESERVE_LOW;
pub use share::{Astray, Share};
pub use stats::{Direction, Drops, SaCounters, SessionCounters, Stats, Traffic};

use isthmus_core::Duration;

/// How often a peer's life is reported at most.
pub const ALIVE_REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Datagrams for control that wait in [`Outputs::reports`]; more are dropped.
pub const REPORTS_MAX: usize = 1024;
