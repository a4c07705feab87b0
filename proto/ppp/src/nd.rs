//! Neighbour discovery on a PPP link (RFC 4861, RFC 4862, RFC 8106): how clients get IPv6 addresses.
//!
//! There are two ends and no link-layer addresses, so none of the options that carry such is written:
//! Windows 11 does not take advertisements with one over PPP. Every client has a /64 of its own, which is
//! not "on link" (RFC 8273 §4): everything goes to the gateway, and nobody has to resolve anything.

mod advertisement;
mod options;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use isthmus_wire::{DecodeError, Reader, Writer};

use crate::InterfaceId;
use crate::ipv6_packet::{read_icmp, write_icmp};

pub use advertisement::{RDNSS_MAX, RouterAdvertisement};
pub use options::ND_OPTIONS_MAX;

/// What a client wants to know of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who has the address? (Neighbor Solicitation, RFC 4861 §4.3)
    Neighbor {
        /// Who asks; unspecified while it makes sure that nobody else has `target` (RFC 4862 §5.4.2).
        from: Ipv6Addr,
        /// The address.
        target: Ipv6Addr,
    },
    /// Is there a router, and what does it say? (Router Solicitation, RFC 4861 §4.1)
    Router {
        /// Who asks; may be unspecified.
        from: Ipv6Addr,
    },
}

impl Question {
    /// Reads an IPv6 packet.
    ///
    /// # Errors
    /// It is anything else than a valid solicitation (RFC 4861 §6.1.1, §7.1.1).
    pub fn read(packet: &[u8]) -> Result<Self, DecodeError> {
        let carried = read_icmp(packet)?;
        let from = carried.source;
        let mut reader = Reader::new(carried.payload);
        let [kind, code, _, _] = reader.array("ICMPv6 header")?;
        if code != 0 {
            return Err(DecodeError::illegal("code"));
        }
        reader.u32("reserved")?;
        let question = match kind {
            ROUTER_SOLICITATION => Self::Router { from },
            NEIGHBOR_SOLICITATION => {
                let target = Ipv6Addr::from(reader.array::<16>("target")?);
                if target.is_multicast() {
                    return Err(DecodeError::illegal("target"));
                }
                Self::Neighbor { from, target }
            }
            _ => return Err(DecodeError::illegal("ICMPv6 type")),
        };
        // Their content means nothing here, but all of them must be well-formed.
        options::each(&mut reader, |_, _| Ok(()))?;
        Ok(question)
    }
}

/// A Router Solicitation of ours.
pub fn router_solicitation(ours: InterfaceId) -> Vec<u8> {
    write_icmp(ours.link_local(), ALL_ROUTERS, &[ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0])
}

/// Tells whoever asked that the link-local address with this identifier is ours, and a router
/// (RFC 4861 §4.4).
pub fn neighbor_advertisement(ours: InterfaceId, asked_by: Ipv6Addr) -> Vec<u8> {
    let (to, solicited) = match asked_by {
        Ipv6Addr::UNSPECIFIED => (ALL_NODES, 0),
        asker => (asker, SOLICITED),
    };
    let mut writer = Writer::new();
    writer.bytes(&[NEIGHBOR_ADVERTISEMENT, 0, 0, 0]);
    writer.u32(ROUTER | solicited | OVERRIDE);
    writer.bytes(&ours.link_local().octets());
    write_icmp(ours.link_local(), to, writer.as_slice())
}

/// Everybody on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Every router on the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

// ICMPv6 types (RFC 4861 §4).
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
// Flags of a Neighbor Advertisement.
const ROUTER: u32 = 0x8000_0000;
const SOLICITED: u32 = 0x4000_0000;
const OVERRIDE: u32 = 0x2000_0000;
