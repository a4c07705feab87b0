//! Reading and writing bytes of untrusted origin.
//!
//! [`ip`] has views of IP, UDP, TCP and ICMP headers; [`mss`], [`icmp`] and [`fragment`] are what a router
//! does with packets that are too big; [`coalesce`] joins small ones. [`probe`] is a packet to see what becomes
//! of it.
//!
//! [`Reader`] can only shrink and never indexes; [`Writer`] back-patches lengths. A value is decoded
//! by `read(&mut Reader) -> Result<Self, DecodeError>` and encoded by `write(&self, &mut Writer)`.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

pub mod checksum;
pub mod coalesce;
mod error;
#[cfg(test)]
mod fixture;
pub mod fragment;
pub mod icmp;
pub mod ip;
pub mod mss;
pub mod probe;
mod reader;
mod writer;

pub use checksum::Checksum;
pub use error::{DecodeError, Fault};
pub use reader::Reader;
pub use writer::{LengthMark, Writer};
