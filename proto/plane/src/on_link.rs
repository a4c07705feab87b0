//! IPv6 that stays on a link: neighbour discovery, `DHCPv6` and noise. It is never forwarded.

use core::net::Ipv6Addr;

use isthmus_wire::ip::{Ipv6, Udp, protocol};

/// The two ends of an IPv6 link (RFC 5072 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Link {
    /// Our link-local address.
    pub local: Ipv6Addr,
    /// The peer's.
    pub remote: Ipv6Addr,
}

impl Ipv6Link {
    /// Whether the source is the peer's on this link, or none yet.
    pub(crate) fn is_from_peer(&self, ip: &Ipv6<'_>) -> bool {
        let source = ip.source();
        source == self.remote || source.is_unspecified()
    }
}

/// Whether a packet is not to leave the link: its source or its destination means something there
/// only (RFC 4291 §2.5.2, §2.5.6, §2.7).
pub(crate) fn stays_on_link(ip: &Ipv6<'_>) -> bool {
    let (source, destination) = (ip.source(), ip.destination());
    source.is_unspecified()
        || source.is_unicast_link_local()
        || destination.is_unicast_link_local()
        || is_link_multicast(destination)
}

/// Whether control has an answer: neighbour discovery and `DHCPv6`.
pub(crate) fn is_for_control(ip: &Ipv6<'_>) -> bool {
    match ip.next_header() {
        protocol::ICMPV6 => ip.payload().first().is_some_and(|kind| DISCOVERY.contains(kind)),
        protocol::UDP => {
            Udp::new(ip.payload()).is_ok_and(|udp| DHCP6_PORTS.contains(&udp.destination_port()))
        }
        _ => false,
    }
}

/// Whether an address is multicast of the scope of an interface or a link (RFC 4291 §2.7).
fn is_link_multicast(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 0xff && second & 0xf <= 2
}

/// `ICMPv6` types from Router Solicitation to Neighbor Advertisement (RFC 4861 §4).
const DISCOVERY: core::ops::RangeInclusive<u8> = 133..=136;
/// Client and server (RFC 8415 §7.2).
const DHCP6_PORTS: [u16; 2] = [546, 547];
