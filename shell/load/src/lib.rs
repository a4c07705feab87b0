//! Many clients in one process and few threads, to load a server with.
//!
//! ```text
//!   caller --- orders ---> shard 0: epoll, one socket + Client + Plane for each of its clients,
//!     ^                    shard 1: one agenda of all their timers, a queue of their jobs,
//!     '----- what was told ------'  probe packets made and counted right here
//! ```
//!
//! A [`Fleet`] is the caller's end. Client number `n` lives on shard `n % threads` from [`Fleet::dial`]
//! to [`What::Down`]. Each has a socket of its own, because a server tells clients apart by address
//! and port, and speaks to both of the server's IKE ports from it; ESP always travels in UDP.
//!
//! Diffie-Hellman runs on the shard's own thread, a few at a time between two looks at the sockets: more
//! threads than cores would only take turns, and packets never wait longer than for one computation.
//! How busy the shards are is part of what they measure ([`Fleet::busy`]), because a generator
//! that is out of breath measures itself.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

mod carrier;
mod fleet;
mod host;
mod port;
mod reflect;
mod shard;
mod told;
mod traffic;

pub use carrier::Carried;
pub use fleet::{Fleet, FleetError, Setup};
pub use host::Dial;
pub use reflect::{ReflectError, Reflected, reflect};
pub use told::{Told, What};
pub use traffic::{IMIX, InFlight, PROBE_BYTES_MIN, Pace, Plan, Sizes, Tally, Target};
