//! What a link needs to go on after a restart of the program.

use serde::{Deserialize, Serialize};

use crate::action::NetworkUp;
use crate::lcp::LcpValues;

/// A link that was up. There is nothing secret in it: PPP has no keys of its own here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRecord {
    /// What the peer acknowledged.
    pub ours: LcpValues,
    /// What we acknowledged.
    pub peer: LcpValues,
    /// The LCP identifier used last.
    pub lcp_id: u8,
    /// The IPCP identifier used last.
    pub ipcp_id: u8,
    /// Addresses and sizes.
    pub network: NetworkUp,
}
