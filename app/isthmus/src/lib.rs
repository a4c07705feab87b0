//! Everything of Isthmus that a person touches: configuration, users, commands, the control API.
//!
//! The binary is a thin caller of [`cli`]. Each piece is a module of its own so that it can be tested
//! without a gateway:
//!
//! - [`config`]: files in, a validated [`config::Config`] or a [`report::Report`] out.
//! - [`users`]: the users file, read, edited in place, watched.
//!
//! The machines know nothing of this crate: it translates into their types.

pub mod config;
pub mod report;
pub mod users;
