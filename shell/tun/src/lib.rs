//! TUN devices: where the packets of sessions enter and leave the kernel.
//!
//! A [`TunDevice`] is made in any network namespace, belongs to this process and vanishes with it, so
//! that a crash leaves no interface behind. Packets are plain IP, moved in batches; reads and writes
//! never block and the descriptor is there for polling. Addresses and routes are not given here but by
//! whoever reconciles the kernel's state.

mod config;
mod device;
mod error;
mod offload;

pub use config::TunConfig;
pub use device::{Sent, TunDevice, TunOffload, TunStats};
pub use error::TunError;
pub use offload::Cutter;
