//! What every protocol machine shares: our own time, timers, secrets, random numbers, packet buffers,
//! network paths and generation-checked arenas.
//!
//! Nothing here reads a clock, a socket or the operating system. A machine gets `now` with every
//! input and a 32-byte seed when it is made, so a run can be repeated exactly.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

mod agenda;
mod arena;
mod buf;
mod outbox;
mod path;
mod rng;
mod secret;
mod small_map;
mod time;
mod timers;

pub use agenda::Agenda;
pub use arena::{Arena, Key, LANES, SLOTS_MAX};
pub use buf::Buf;
pub use outbox::Outbox;
pub use path::{Encap, Path};
pub use rng::{Rng, RngStream, Seed};
pub use secret::{SecretBytes, ct_eq};
pub use small_map::SmallMap;
pub use time::{Instant, UnixTime};
pub use timers::{Deadline, Timers};

/// Re-exported so that machines and shells name one duration type.
pub use core::time::Duration;
