//! The reconciler on the real kernel, in network namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../../../net/tests/support/mod.rs"]
mod support;

mod apply;
mod ends;
mod links;
mod machine;
mod others;
mod refusals;
