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

#[cfg(test)]
mod tests {
    use isthmus_crypto::EspSuite;

    use super::*;
    use crate::tests::{pair, params};

    #[test]
    fn records_survive_their_encoding() {
        for suite in EspSuite::ALL {
            let (outbound, inbound) = pair(&params(suite, true));
            let record = outbound.record(1 << 20);
            let bytes = postcard::to_allocvec(&record).unwrap();
            let read: OutboundRecord = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read.resume_at, record.resume_at);
            assert_eq!(read.params.keys.cipher, record.params.keys.cipher);
            assert_eq!(read.params.suite, suite);
            let record = inbound.record();
            let bytes = postcard::to_allocvec(&record).unwrap();
            let read: InboundRecord = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read.top, record.top);
            assert_eq!(read.params.keys.integrity, record.params.keys.integrity);
        }
    }

    #[test]
    fn every_prefix_of_a_record_is_refused() {
        let (outbound, _) = pair(&params(EspSuite::Aes128Gcm16, false));
        let bytes = postcard::to_allocvec(&outbound.record(1)).unwrap();
        for len in 0..bytes.len() {
            assert!(postcard::from_bytes::<OutboundRecord>(&bytes[..len]).is_err(), "{len}");
        }
    }
}
