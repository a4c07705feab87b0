//! What a link needs to go on after a restart of the program.

use serde::{Deserialize, Serialize};

use crate::action::{Ipv6Up, NetworkUp};
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
    /// IPv6, where it was up.
    pub ipv6: Option<Ipv6Record>,
}

/// IPv6 on a link that was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6Record {
    /// The interface identifiers.
    pub up: Ipv6Up,
    /// The IPV6CP identifier used last.
    pub id: u8,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InterfaceId;

    #[test]
    fn a_record_survives_being_stored() {
        let record = LinkRecord {
            ours: LcpValues { mru: 1400, magic: 7, pfc: true, ..LcpValues::default() },
            peer: LcpValues {
                auth: Some(crate::AuthProtocol::MsChapV2),
                acfc: true,
                ..LcpValues::default()
            },
            lcp_id: 255,
            ipcp_id: 3,
            network: NetworkUp {
                local: [10, 0, 0, 1].into(),
                remote: [10, 0, 0, 2].into(),
                dns: alloc::vec![[10, 0, 0, 3].into()],
                peer_mru: 1280,
                local_mru: 1400,
                send_pfc: false,
                send_acfc: true,
            },
            ipv6: Some(Ipv6Record {
                up: Ipv6Up {
                    local: InterfaceId::new(1).unwrap(),
                    remote: InterfaceId::new(2).unwrap(),
                },
                id: 9,
            }),
        };
        let bytes = postcard::to_allocvec(&record).unwrap();
        assert_eq!(postcard::from_bytes::<LinkRecord>(&bytes), Ok(record));
        for len in 0..bytes.len() {
            assert!(postcard::from_bytes::<LinkRecord>(&bytes[..len]).is_err());
        }
    }
}
