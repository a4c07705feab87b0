//! What of a packet matters for joining it to others.

use crate::Checksum;
use crate::ip::{Ipv4, Ipv6, Tcp, Udp, protocol};

/// The headers of one packet of TCP or UDP.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// IP and transport header with zeroes where segments of a run may differ.
    template: [u8; HEADER_MAX],
    header_len: usize,
    /// Where the transport header starts.
    pub(super) transport_at: usize,
    pub(super) payload_len: usize,
    /// Sequence number of TCP.
    pub(super) sequence: u32,
    /// Identification of IPv4, unless DF makes it meaningless (RFC 6864 §4.1).
    pub(super) identification: Option<u16>,
    /// Whether TCP says that nothing follows for now.
    pub(super) push: bool,
    /// Whether it may be joined to others at all.
    pub(super) joinable: bool,
}

impl Segment {
    /// Reads a packet that fills `packet` exactly; none when it is no whole packet of TCP or UDP.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::read_v4(packet),
            6 => Self::read_v6(packet),
            _ => None,
        }
    }

    fn read_v4(packet: &[u8]) -> Option<Self> {
        let ip = Ipv4::new(packet).ok()?;
        let plain = ip.header_len() == Ipv4::HEADER_LEN && !ip.is_fragment();
        if !plain || ip.total_len() != packet.len() || !ip.checksum_is_valid() {
            return None;
        }
        let mut segment = Self::read_transport(packet, Ipv4::HEADER_LEN, ip.protocol())?;
        segment.identification = (!ip.dont_fragment()).then_some(ip.identification());
        segment.blank(2..6);
        segment.blank(10..12);
        Some(segment)
    }

    fn read_v6(packet: &[u8]) -> Option<Self> {
        let ip = Ipv6::new(packet).ok()?;
        if ip.total_len() != packet.len() {
            return None;
        }
        // Extension headers are read as no transport protocol.
        let mut segment = Self::read_transport(packet, Ipv6::HEADER_LEN, ip.next_header())?;
        segment.blank(4..6);
        Some(segment)
    }

    fn read_transport(packet: &[u8], at: usize, number: u8) -> Option<Self> {
        match number {
            protocol::TCP => Self::read_tcp(packet, at),
            protocol::UDP => Self::read_udp(packet, at),
            _ => None,
        }
    }

    fn read_tcp(packet: &[u8], at: usize) -> Option<Self> {
        let tcp = Tcp::new(packet.get(at..)?).ok()?;
        let mut segment = Self::new(packet, at, tcp.payload().len())?;
        segment.sequence = tcp.sequence();
        segment.push = tcp.flags() & PSH != 0;
        segment.joinable = tcp.flags() & !PSH == ACK && !tcp.payload().is_empty();
        segment.blank(at + 4..at + 8);
        segment.blank(at + TCP_CHECKSUM_AT..at + TCP_CHECKSUM_AT + 2);
        if let Some(flags) = segment.template.get_mut(at + TCP_FLAGS_AT) {
            *flags &= !PSH;
        }
        Some(segment)
    }

    fn read_udp(packet: &[u8], at: usize) -> Option<Self> {
        let datagram = packet.get(at..)?;
        let udp = Udp::new(datagram).ok()?;
        let exact = udp.payload().len() + Udp::HEADER_LEN == datagram.len();
        let mut segment = Self::new(packet, at, udp.payload().len())?;
        segment.joinable = exact && udp.checksum() != 0 && !udp.payload().is_empty();
        segment.blank(at + 4..at + 8);
        Some(segment)
    }

    fn new(packet: &[u8], transport_at: usize, payload_len: usize) -> Option<Self> {
        let header_len = packet.len().checked_sub(payload_len)?;
        let mut template = [0; HEADER_MAX];
        template.get_mut(..header_len)?.copy_from_slice(packet.get(..header_len)?);
        Some(Self {
            template,
            header_len,
            transport_at,
            payload_len,
            sequence: 0,
            identification: None,
            push: false,
            joinable: false,
        })
    }

    /// The header, with zeroes where segments of a run may differ.
    pub(super) fn header(&self) -> &[u8] {
        self.template.get(..self.header_len).unwrap_or_default()
    }

    pub(super) fn is_v4(&self) -> bool {
        self.transport_at == Ipv4::HEADER_LEN
    }

    pub(super) fn is_udp(&self) -> bool {
        self.protocol() == protocol::UDP
    }

    /// Whether both are of the same flow: addresses, protocol and ports.
    pub(super) fn is_flow_of(&self, other: &Self) -> bool {
        let flow = |segment: &Self| (segment.transport_at, segment.protocol());
        flow(self) == flow(other) && self.ends() == other.ends()
    }

    fn protocol(&self) -> u8 {
        let at = if self.is_v4() { 9 } else { 6 };
        self.template.get(at).copied().unwrap_or_default()
    }

    /// Addresses and ports, which stand beside each other.
    fn ends(&self) -> &[u8] {
        let addresses_at = if self.is_v4() { 12 } else { 8 };
        self.template.get(addresses_at..self.transport_at + 4).unwrap_or_default()
    }

    fn blank(&mut self, range: core::ops::Range<usize>) {
        if let Some(field) = self.template.get_mut(range) {
            field.fill(0);
        }
    }
}

/// Whether the transport checksum of a packet that [`Segment::read`] took is right.
pub(super) fn checksum_is_valid(packet: &[u8], transport_at: usize) -> bool {
    let Some(transport) = packet.get(transport_at..) else { return false };
    pseudo_header(packet, transport_at, transport.len())
        .is_some_and(|sum| sum.bytes(transport).is_valid())
}

/// The sum of the pseudo-header of a packet whose transport part is `len` bytes long.
pub(super) fn pseudo_header(packet: &[u8], transport_at: usize, len: usize) -> Option<Checksum> {
    if transport_at == Ipv4::HEADER_LEN {
        let source = *packet.get(12..)?.first_chunk::<4>()?;
        let destination = *packet.get(16..)?.first_chunk::<4>()?;
        let (number, len) = (*packet.get(9)?, u16::try_from(len).ok()?);
        return Some(Checksum::new().pseudo_v4(source.into(), destination.into(), number, len));
    }
    let source = *packet.get(8..)?.first_chunk::<16>()?;
    let destination = *packet.get(24..)?.first_chunk::<16>()?;
    let (number, len) = (*packet.get(6)?, u32::try_from(len).ok()?);
    Some(Checksum::new().pseudo_v6(source.into(), destination.into(), number, len))
}

/// IPv6 and the longest TCP header.
pub(super) const HEADER_MAX: usize = Ipv6::HEADER_LEN + 60;
/// Where the flags stand in a TCP header.
pub(super) const TCP_FLAGS_AT: usize = 13;
/// Where the checksum stands in a TCP header.
pub(super) const TCP_CHECKSUM_AT: usize = 16;
/// Where it stands in a UDP header.
pub(super) const UDP_CHECKSUM_AT: usize = 6;
pub(super) const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
