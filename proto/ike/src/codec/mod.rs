//! Bytes to values and back: the ISAKMP header, payload chains and each payload's body.
//!
//! Nothing here knows state. What a hash covers is handed out as the exact bytes received.

pub mod body;
pub mod chain;
pub mod fragment;
pub mod header;
pub mod sa;

pub use body::{Delete, IdBody, NatOa, Notification};
pub use chain::{Chain, Out, Payload};
pub use fragment::Fragment;
pub use header::{Cookies, Flags, Header, Message};
pub use sa::{Attribute, AttributeValue, Proposal, SaBody, Transform};
