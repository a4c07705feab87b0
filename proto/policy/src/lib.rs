//! Which user may reach what: rules, their decision, and what a packet filter makes of them.
//!
//! A [`Policy`] is a list of rules of which the first that fits decides. [`Policy::decide`] walks the
//! list and says which one it was: for a test in the configuration, and to explain. [`compile`] makes
//! of the same list what a packet filter can look up in sets, whose cost hardly grows with the number
//! of rules; [`Compiled::decide`] does what the filter does, so that the two are compared without one.
//!
//! A user is known to the filter by the class of the session's address: everybody whom the rules treat
//! alike has the same class ([`Classes`]).
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

mod class;
mod compile;
mod ranges;
mod rule;
mod service;

pub use class::{Class, Classes, Named};
pub use compile::{Compiled, Entries, Port, compile};
pub use rule::{Decision, Flow, Policy, Rule, Verdict, Who};
pub use service::{Protocol, Service, ServiceError};
