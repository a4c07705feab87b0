//! A deterministic network: whole gateways and clients, NATs, loss, delay and virtual time.
//!
//! Nothing sleeps: the loop delivers the packets that are due, fires timers, runs jobs and jumps to the
//! next moment at which something happens. The same seed gives the same run, packet for packet; a
//! failing test prints its seed, and `SIM_SEED=n` runs it again.
//!
//! After every step the [`checks`] hold: no ESP sequence number is used twice under one SPI, no packet
//! that is neither IKE nor ESP leaves a host, no inner address belongs to two sessions.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a library for tests: what is wrong fails the test by panicking"
)]

pub mod checks;
mod client;
mod gateway;
mod lac;
mod nat;
mod network;
mod node;
mod scene;
pub mod settings;
mod world;

pub use client::ClientHost;
pub use gateway::GatewayHost;
pub use lac::{Call, Caller, LacHost};
pub use nat::Nat;
pub use network::{Impairment, Packet};
pub use node::{JOB_TIME, Node, Pipeline};
pub use world::{NodeId, World, seeds};
