//! Whole exchanges: two links against each other, and scripted peers in the shape of real clients.

mod adopt;
mod bounds;
mod exchange;
mod guard;
mod habits;
mod hostile;
mod ipv6;
pub(crate) mod pair;
mod peers;
mod refusals;
mod rows;
mod script;
