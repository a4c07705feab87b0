//! Packets that belong together, and the header of the long packet that they make.

use super::segment::{
    HEADER_MAX, PSH, Segment, TCP_CHECKSUM_AT, TCP_FLAGS_AT, UDP_CHECKSUM_AT, checksum_is_valid,
    pseudo_header,
};
use crate::checksum::checksum;
use crate::ip::Ipv4;

/// Consecutive packets of a flow; often just one.
#[derive(Clone, Debug)]
pub struct Run {
    first: usize,
    last: usize,
    count: usize,
    /// Bytes of payload of all packets.
    payload_len: usize,
    /// Whether more may follow.
    open: bool,
    /// The first segment; none for a packet that is joined to nothing.
    head: Option<Segment>,
}

/// How a long packet is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over either.
    Udp,
}

/// The header of a long packet, and what the kernel must be told to cut it.
#[derive(Clone, Debug)]
pub struct Long {
    header: [u8; HEADER_MAX],
    /// Length of IP and transport header in bytes.
    pub header_len: u16,
    /// How to cut.
    pub kind: Kind,
    /// Bytes of payload in each segment.
    pub segment_len: u16,
    /// Where the part that the transport checksum covers starts.
    pub checksum_start: u16,
    /// Where the checksum stands in it; it holds the sum of the pseudo-header.
    pub checksum_offset: u16,
}

impl Run {
    pub(super) fn other(index: usize) -> Self {
        Self { first: index, last: index, count: 1, payload_len: 0, open: false, head: None }
    }

    pub(super) fn new(index: usize, segment: Segment) -> Self {
        let open = segment.joinable && !segment.push;
        let payload_len = segment.payload_len;
        Self { payload_len, open, head: Some(segment), ..Self::other(index) }
    }

    /// The number of its first packet.
    pub fn first(&self) -> usize {
        self.first
    }

    /// The number of its last packet.
    pub fn last(&self) -> usize {
        self.last
    }

    /// How many packets it has.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    pub(super) fn is_flow_of(&self, segment: &Segment) -> bool {
        self.head.as_ref().is_some_and(|head| head.is_flow_of(segment))
    }

    /// Whether a segment of its flow, packet `index`, continues it. Asked for every packet, so the dear
    /// questions come last.
    pub(super) fn joins<'a>(
        &self,
        index: usize,
        next: &Segment,
        packet: &impl Fn(usize) -> &'a [u8],
    ) -> bool {
        let Some(head) = self.head.as_ref().filter(|_| self.open && next.joinable) else {
            return false;
        };
        let is_right = |index| checksum_is_valid(packet(index), head.transport_at);
        self.has_room_for(head, next)
            && self.is_next(head, next)
            && head.header() == next.header()
            && (self.count > 1 || is_right(self.first))
            && is_right(index)
    }

    /// Takes a segment that [`Run::joins`] allowed.
    pub(super) fn append(&mut self, index: usize, next: &Segment) {
        self.last = index;
        self.count += 1;
        self.payload_len += next.payload_len;
        let full = self.head.as_ref().is_some_and(|head| head.payload_len == next.payload_len);
        self.open = full && !next.push;
    }

    /// The header of the long packet that the run makes; none when it has one packet only. `packet` shows
    /// the packets by number as it did when the run was planned.
    pub fn long<'a>(&self, packet: impl Fn(usize) -> &'a [u8]) -> Option<Long> {
        let head = self.head.as_ref().filter(|_| self.count > 1)?;
        let first = packet(self.first);
        let mut long = Long::new(head, first)?;
        let transport_len = head.header().len() - head.transport_at + self.payload_len;
        long.finish_ip(head, transport_len)?;
        let sum = !pseudo_header(&long.header, head.transport_at, transport_len)?.finish();
        long.put(head.transport_at + usize::from(long.checksum_offset), sum)?;
        if head.is_udp() {
            long.put(head.transport_at + UDP_LENGTH_AT, u16::try_from(transport_len).ok()?)?;
        } else {
            let at = head.transport_at + TCP_FLAGS_AT;
            *long.header.get_mut(at)? |= packet(self.last).get(at)? & PSH;
        }
        Some(long)
    }

    /// All but the last have the same size, and a shorter one closes the run.
    fn has_room_for(&self, head: &Segment, next: &Segment) -> bool {
        let len = head.header().len() + self.payload_len + next.payload_len;
        self.count < SEGMENTS_MAX && next.payload_len <= head.payload_len && len <= LENGTH_MAX
    }

    /// Whether the numbers of a segment follow those of the last.
    fn is_next(&self, head: &Segment, next: &Segment) -> bool {
        let numbered = |identification: u16| {
            // No more than `SEGMENTS_MAX`, so it fits.
            identification.wrapping_add(u16::try_from(self.count).unwrap_or_default())
        };
        let sent = u32::try_from(self.payload_len).unwrap_or_default();
        head.identification.map(numbered) == next.identification
            && (head.is_udp() || head.sequence.wrapping_add(sent) == next.sequence)
    }
}

impl Long {
    fn new(head: &Segment, first: &[u8]) -> Option<Self> {
        let mut header = [0; HEADER_MAX];
        let header_len = head.header().len();
        header.get_mut(..header_len)?.copy_from_slice(first.get(..header_len)?);
        let (kind, checksum_offset) = match (head.is_udp(), head.is_v4()) {
            (true, _) => (Kind::Udp, UDP_CHECKSUM_AT),
            (false, true) => (Kind::TcpV4, TCP_CHECKSUM_AT),
            (false, false) => (Kind::TcpV6, TCP_CHECKSUM_AT),
        };
        Some(Self {
            header,
            header_len: u16::try_from(header_len).ok()?,
            kind,
            segment_len: u16::try_from(head.payload_len).ok()?,
            checksum_start: u16::try_from(head.transport_at).ok()?,
            checksum_offset: u16::try_from(checksum_offset).ok()?,
        })
    }

    /// IP and transport header of the long packet.
    pub fn header(&self) -> &[u8] {
        self.header.get(..self.header_len.into()).unwrap_or_default()
    }

    /// Writes the length into the IP header, and the checksum that IPv4 has.
    fn finish_ip(&mut self, head: &Segment, transport_len: usize) -> Option<()> {
        if !head.is_v4() {
            return self.put(V6_LENGTH_AT, u16::try_from(transport_len).ok()?);
        }
        self.put(V4_LENGTH_AT, u16::try_from(Ipv4::HEADER_LEN + transport_len).ok()?)?;
        self.put(V4_CHECKSUM_AT, 0)?;
        let sum = checksum(self.header.get(..Ipv4::HEADER_LEN)?);
        self.put(V4_CHECKSUM_AT, sum)
    }

    fn put(&mut self, at: usize, value: u16) -> Option<()> {
        *self.header.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
        Some(())
    }
}

/// Most packets in a run; the kernel cuts no more datagrams out of one (`UDP_MAX_SEGMENTS` was 64 before
/// Linux 6.9), and a gathered write takes no more than 1024 pieces.
pub const SEGMENTS_MAX: usize = 64;
/// Longest packet that the length field of IP can state.
const LENGTH_MAX: usize = 65_535;
const V4_LENGTH_AT: usize = 2;
const V4_CHECKSUM_AT: usize = 10;
const V6_LENGTH_AT: usize = 4;
const UDP_LENGTH_AT: usize = 4;
