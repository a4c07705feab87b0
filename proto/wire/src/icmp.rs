//! "Too big" answers: ICMP Fragmentation Needed (RFC 792, RFC 1191 §4) and `ICMPv6` Packet Too Big
//! (RFC 4443 §3.2).
//!
//! Both give nothing where the RFCs forbid an answer, so a caller may ask about any packet.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::ip::{Icmp, Ipv4, Ipv6, protocol};
use crate::{Checksum, Writer, checksum};

/// The answer to an IPv4 packet that has DF set and is longer than `mtu`, sent by `from`; none when
/// the packet must not be answered (RFC 1122 §3.2.2, RFC 1812 §4.3.2.7).
pub fn fragmentation_needed(offending: &[u8], mtu: u16, from: Ipv4Addr) -> Option<Vec<u8>> {
    let ip = Ipv4::new(offending).ok().filter(may_be_answered_v4)?;
    let quoted = offending.get(..ip.total_len().min(QUOTED_V4_MAX))?;
    let mut body = Writer::new();
    body.bytes(&[KIND_UNREACHABLE, CODE_FRAGMENTATION_NEEDED, 0, 0, 0, 0]);
    body.u16(mtu);
    body.bytes(quoted);
    let sum = checksum::checksum(body.as_slice());
    body.patch(2, &sum.to_be_bytes());

    let mut packet = Writer::new();
    // Precedence 6, internetwork control (RFC 1812 §4.3.2.5).
    packet.bytes(&[0x45, 0xc0]);
    packet.u16(u16::try_from(Ipv4::HEADER_LEN + body.len()).ok()?);
    // Identification 0 with DF: an atomic datagram (RFC 6864 §4.1).
    packet.bytes(&[0, 0, 0x40, 0, TTL, protocol::ICMP, 0, 0]);
    packet.bytes(&from.octets());
    packet.bytes(&ip.source().octets());
    let sum = checksum::checksum(packet.as_slice());
    packet.patch(10, &sum.to_be_bytes());
    packet.bytes(body.as_slice());
    Some(packet.into_vec())
}

/// The answer to an IPv6 packet that is longer than `mtu`, sent by `from`; none when the packet must
/// not be answered (RFC 4443 §2.4 (e)). A multicast destination does not forbid it.
pub fn packet_too_big(offending: &[u8], mtu: u32, from: Ipv6Addr) -> Option<Vec<u8>> {
    let ip = Ipv6::new(offending).ok().filter(may_be_answered_v6)?;
    let quoted = offending.get(..ip.total_len().min(QUOTED_V6_MAX))?;
    let mut body = Writer::new();
    body.bytes(&[KIND_PACKET_TOO_BIG, 0, 0, 0]);
    body.u32(mtu);
    body.bytes(quoted);
    let len = u16::try_from(body.len()).ok()?;
    let sum = Checksum::new()
        .pseudo_v6(from, ip.source(), protocol::ICMPV6, u32::from(len))
        .bytes(body.as_slice());
    body.patch(2, &sum.finish().to_be_bytes());

    let mut packet = Writer::new();
    packet.bytes(&[0x60, 0, 0, 0]);
    packet.u16(len);
    packet.bytes(&[protocol::ICMPV6, TTL]);
    packet.bytes(&from.octets());
    packet.bytes(&ip.source().octets());
    packet.bytes(body.as_slice());
    Some(packet.into_vec())
}

fn may_be_answered_v4(ip: &Ipv4<'_>) -> bool {
    let source = ip.source();
    let from_one_host = !(source.is_unspecified()
        || source.is_loopback()
        || source.is_multicast()
        || source.octets()[0] >= 240);
    let to_one_host = !(ip.destination().is_multicast() || ip.destination().is_broadcast());
    from_one_host && to_one_host && ip.fragment_offset() == 0 && !is_icmp_error_v4(ip)
}

/// Whether the packet is an ICMP message other than a query; one too short to tell counts as such.
fn is_icmp_error_v4(ip: &Ipv4<'_>) -> bool {
    // Echo, router discovery, timestamp, information and address mask, requests and replies.
    const QUERIES: [u8; 10] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];
    ip.protocol() == protocol::ICMP
        && Icmp::new(ip.payload()).map_or(true, |icmp| !QUERIES.contains(&icmp.kind()))
}

fn may_be_answered_v6(ip: &Ipv6<'_>) -> bool {
    let source = ip.source();
    let from_one_host = !(source.is_unspecified() || source.is_loopback() || source.is_multicast());
    from_one_host && !is_icmp_error_v6(ip)
}

fn is_icmp_error_v6(ip: &Ipv6<'_>) -> bool {
    const REDIRECT: u8 = 137;
    let Ok(upper) = ip.upper() else { return true };
    let first = upper.fragment.is_none_or(|fragment| fragment.offset == 0);
    let kind = upper.payload.first().filter(|_| upper.protocol == protocol::ICMPV6 && first);
    // Types below 128 are errors (RFC 4443 §2.1).
    kind.is_some_and(|&kind| kind < 128 || kind == REDIRECT)
}

/// Destination Unreachable.
const KIND_UNREACHABLE: u8 = 3;
const CODE_FRAGMENTATION_NEEDED: u8 = 4;
const KIND_PACKET_TOO_BIG: u8 = 2;
const TTL: u8 = 64;
/// Most bytes of the offending packet in an answer of at most 576 bytes (RFC 1812 §4.3.2.3).
const QUOTED_V4_MAX: usize = 576 - Ipv4::HEADER_LEN - Icmp::HEADER_LEN;
/// Most bytes of the offending packet in an answer of at most 1280 bytes (RFC 4443 §2.4 (c)).
const QUOTED_V6_MAX: usize = 1280 - Ipv6::HEADER_LEN - Icmp::HEADER_LEN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use alloc::vec;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn fragmentation_needed_quotes_the_packet_and_states_the_mtu() {
        for payload_len in [100, 2000] {
            let offending = fixture::ipv4_udp_of(payload_len);
            let answer = fragmentation_needed(&offending, 1300, GATEWAY).unwrap();
            let ip = Ipv4::new(&answer).unwrap();
            assert!(ip.checksum_is_valid() && answer.len() <= 576);
            assert_eq!((ip.source(), ip.destination()), (GATEWAY, Ipv4Addr::new(192, 0, 2, 1)));
            let icmp = Icmp::new(ip.payload()).unwrap();
            assert_eq!((icmp.kind(), icmp.code(), icmp.rest()), (3, 4, 1300));
            assert_eq!(checksum::checksum(ip.payload()), 0);
            assert!(!icmp.body().is_empty() && offending.starts_with(icmp.body()));
        }
    }

    #[test]
    fn packet_too_big_quotes_the_packet_and_states_the_mtu() {
        let from: Ipv6Addr = "2001:db8::ffff".parse().unwrap();
        for payload_len in [100, 2000] {
            let offending = fixture::ipv6(17, &vec![7; payload_len]);
            let answer = packet_too_big(&offending, 1280, from).unwrap();
            let ip = Ipv6::new(&answer).unwrap();
            assert!(answer.len() <= 1280);
            assert_eq!((ip.source(), ip.next_header()), (from, 58));
            assert_eq!(ip.destination(), Ipv6::new(&offending).unwrap().source());
            let icmp = Icmp::new(ip.payload()).unwrap();
            assert_eq!((icmp.kind(), icmp.code(), icmp.rest()), (2, 0, 1280));
            assert!(offending.starts_with(icmp.body()));
            let len = u32::try_from(ip.payload().len()).unwrap();
            let sum = Checksum::new().pseudo_v6(from, ip.destination(), 58, len);
            assert!(sum.bytes(ip.payload()).is_valid());
        }
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        let change = |at: usize, bytes: &[u8]| {
            let mut packet = fixture::ipv4_udp_of(600);
            packet[at..at + bytes.len()].copy_from_slice(bytes);
            fragmentation_needed(&packet, 500, GATEWAY)
        };
        assert!(change(0, &[0x45]).is_some());
        assert!(change(6, &[0, 1]).is_none(), "a later fragment");
        assert!(change(16, &[224, 0, 0, 5]).is_none(), "multicast");
        assert!(change(16, &[255, 255, 255, 255]).is_none(), "broadcast");
        for source in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255]] {
            assert!(change(12, &source).is_none(), "from {source:?}");
        }
        let icmp = |kind: u8| {
            let mut packet = fixture::ipv4_udp_of(600);
            packet[9] = 1;
            packet[20] = kind;
            fragmentation_needed(&packet, 500, GATEWAY).is_some()
        };
        assert!(icmp(8) && icmp(0));
        assert!(!icmp(3) && !icmp(5) && !icmp(11) && !icmp(12));
    }

    #[test]
    fn ipv6_errors_redirects_and_senders_that_are_no_host_get_no_answer() {
        let from: Ipv6Addr = "2001:db8::ffff".parse().unwrap();
        let icmp = |kind: u8| {
            packet_too_big(&fixture::ipv6(58, &[kind, 0, 0, 0, 0, 0, 0, 0]), 1280, from).is_some()
        };
        assert!(icmp(128) && icmp(135));
        assert!(!icmp(1) && !icmp(2) && !icmp(127) && !icmp(137));
        let behind_options = fixture::ipv6(60, &[58, 0, 1, 4, 0, 0, 0, 0, 3, 0]);
        assert!(packet_too_big(&behind_options, 1280, from).is_none());
        for source in ["::", "::1", "ff02::1"] {
            let mut packet = fixture::ipv6(17, &[0; 8]);
            packet[8..24].copy_from_slice(&source.parse::<Ipv6Addr>().unwrap().octets());
            assert!(packet_too_big(&packet, 1280, from).is_none(), "from {source}");
        }
    }

    #[test]
    fn every_prefix_is_left_unanswered() {
        let offending = fixture::ipv4_udp_of(40);
        for len in 0..offending.len() {
            assert!(fragmentation_needed(&offending[..len], 1300, GATEWAY).is_none());
        }
    }
}
