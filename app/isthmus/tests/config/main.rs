//! Configuration files as people write them: what is understood, and what is said about mistakes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod files;
mod reading;
mod tenants;
