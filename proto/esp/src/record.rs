//! What of an SA is stored so that it can be rebuilt after a crash or on another gateway.
//!
//! The two directions need opposite care. A sequence number used twice breaks GCM, so an outbound record
//! speaks of the future: it names the first number that nobody has used and nobody is allowed to use
//! before a newer record is stored. An inbound record speaks of the past and is only as good as its age.

use serde::{Deserialize, Serialize};

use crate::{Counters, SaParams};

/// An outbound SA.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutboundRecord {
    /// What was agreed, keys included: whoever stores it encrypts it.
    pub params: SaParams,
    /// The first number of the rebuilt SA.
    pub resume_at: u64,
    /// What was carried up to the record.
    pub counters: Counters,
}

/// An inbound SA.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InboundRecord {
    /// What was agreed, keys included: whoever stores it encrypts it.
    pub params: SaParams,
    /// The highest number accepted; the rebuilt SA refuses it and everything below.
    pub top: u64,
    /// What was carried up to the record.
    pub counters: Counters,
}
