//! Reading and writing bytes of untrusted origin.
//!
//! [`Reader`] can only shrink and never indexes; [`Writer`] back-patches lengths. A value is decoded
//! by `read(&mut Reader) -> Result<Self, DecodeError>` and encoded by `write(&self, &mut Writer)`.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

mod error;
mod reader;
mod writer;

pub use error::{DecodeError, Fault};
pub use reader::Reader;
pub use writer::{LengthMark, Writer};
