//! The L2TP/IPsec client: the same machines as the gateway's in the other role.
//!
//! ```text
//! connect -> ike (initiator) -> ChildUp -> l2tp (LAC) -> SessionUp -> ppp (client) -> DHCPINFORM -> Up
//! ```
//!
//! It is the engine of `isthmus client`, of the tests and of the load generator. One [`Client`] is one
//! connection: it ends with [`Event::Down`] and is not used again; whoever wants to redial makes a new
//! one.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

mod config;
mod event;
mod inform;
mod inputs;
mod ipv6;
mod machine;
mod manner;
mod profile;
mod reason;

pub use config::Config;
pub use event::{Down, Event, Ipv6, Stage, Up};
pub use machine::{Action, Client};
pub use manner::{Informing, Manner};
pub use profile::Profile;
