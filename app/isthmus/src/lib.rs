//! Everything of Isthmus that a person touches: configuration, users, commands, the control API.
//!
//! The binary is a thin caller of [`cli::main`]. Each piece is a module of its own, so that it can be
//! tested without a gateway:
//!
//! - [`config`]: files in, a validated [`config::Config`] or a [`report::Report`] out.
//! - [`users`]: the users file, read, edited in place, watched.
//! - [`api`]: what a running gateway shows and takes, over a Unix socket.
//! - [`daemon`]: what surrounds a running gateway: signals, reload, systemd.
//! - [`run`] and [`client`]: where the daemon and the client command meet the machines.
//! - [`mod@bench`]: many clients at once, and what they measure.
//! - [`trace`] and [`plan`]: what the configuration and the kernel make of a packet, and of each other.
//! - [`show`]: what is in force, and what it is for.
//! - `findings`: what cannot work, asked by `check`, `plan` and the running gateway.
//! - [`profile`]: what each kind of client needs to connect.
//! - [`cli`]: the commands.
//!
//! The machines know nothing of this crate: it translates into their types.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

mod access;
pub mod api;
pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
mod connection;
pub mod daemon;
mod descriptors;
mod engine;
mod findings;
mod numbers;
mod origin;
pub mod plan;
pub mod profile;
pub mod report;
pub mod run;
pub mod show;
pub mod trace;
mod translate;
pub mod users;
mod view;
mod watcher;
