//! ESP (RFC 4303) in transport mode: security associations that seal and open packets in place, in
//! batches, plain or in UDP (RFC 3948).
//!
//! ```text
//!  SPI | sequence number | IV | payload | padding | pad length | next header | ICV
//!  <---------------- authenticated ------------------------------------------->
//!                             <--------------- encrypted ---------------------->
//! ```
//!
//! An [`OutboundSa`] gives every packet its own sequence number and IV, and never the same twice:
//! numbers are used in order, an SA rebuilt from its [`OutboundRecord`] starts behind every number the
//! old one may have used, and what is used up is a named drop. An [`InboundSa`] checks the
//! [`ReplayWindow`] first (cheap), then the ICV, and only then remembers the number, so a forged packet
//! changes nothing.
//!
//! The transform itself stands behind [`isthmus_crypto::EspCipher`] and gets whole runs of packets. No
//! packet costs an allocation; headers and trailers go into the head- and tailroom of its
//! [`isthmus_core::Buf`].
//!
//! Nothing here knows time, peers or paths: lifetimes in seconds and the choice of SA belong to the
//! callers.
#![no_std]

extern crate alloc;

mod batch;
mod error;
mod inbound;
mod outbound;
mod params;
mod record;
mod replay;
mod size;
#[cfg(test)]
mod tests;
mod udp_encap;

pub use error::DropReason;
pub use inbound::InboundSa;
pub use outbound::OutboundSa;
pub use params::{Counters, Lifetime, SaParams, SoftLimit};
pub use record::{InboundRecord, OutboundRecord};
pub use replay::{REPLAY_WINDOW, ReplayWindow};
pub use size::{OuterIp, headroom, max_payload, packet_len, tailroom_max};
pub use udp_encap::{Datagram, MARKER_LEN, NAT_KEEPALIVE, NON_ESP_MARKER, classify};

/// Length of SPI and sequence number in bytes.
pub const HEADER_LEN: usize = 8;

/// Length of pad length and next header in bytes.
pub const TRAILER_LEN: usize = 2;
