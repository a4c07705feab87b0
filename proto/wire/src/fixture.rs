//! Packets for the tests of this crate.

use alloc::vec;
use alloc::vec::Vec;

use crate::checksum::{Checksum, checksum};
use crate::ip::Ip;

/// 192.0.2.1:53 to 198.51.100.7:1025 with four bytes of payload; DF set.
pub(crate) const IPV4_UDP: [u8; 32] = [
    0x45, 0x00, 0x00, 0x20, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x11, 0x32, 0x4b, 192, 0, 2, 1, 198, 51,
    100, 7, 0x00, 0x35, 0x04, 0x01, 0x00, 0x0c, 0x00, 0x00, b'd', b'a', b't', b'a',
];

/// A packet like [`IPV4_UDP`] with `payload_len` bytes behind the IP header; DF set.
pub(crate) fn ipv4_udp_of(payload_len: usize) -> Vec<u8> {
    let mut packet = IPV4_UDP[..20].to_vec();
    packet[2..4].copy_from_slice(&u16::try_from(20 + payload_len).unwrap().to_be_bytes());
    packet.extend_from_slice(&vec![3; payload_len]);
    packet
}

/// An IPv4 packet with DF clear and a right header checksum.
pub(crate) fn ipv4_with_options(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_len = 20 + options.len();
    assert_eq!(header_len % 4, 0);
    let mut packet = IPV4_UDP[..20].to_vec();
    packet[0] = 0x40 | u8::try_from(header_len / 4).unwrap();
    packet[2..4].copy_from_slice(&u16::try_from(header_len + payload.len()).unwrap().to_be_bytes());
    packet[6] = 0;
    packet[10..12].fill(0);
    packet.extend_from_slice(options);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// `2001:db8::1` to `2001:db8:ffff::2`.
pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend_from_slice(&[next_header, 64]);
    packet.extend_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend_from_slice(&[0x20, 1, 0x0d, 0xb8, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend_from_slice(payload);
    packet
}

/// A SYN without a checksum.
pub(crate) fn tcp_syn(options: &[u8]) -> Vec<u8> {
    let offset = u8::try_from(5 + options.len() / 4).unwrap() << 4;
    let mut segment = vec![0x9c, 0x40, 1, 187, 1, 2, 3, 4, 0, 0, 0, 0];
    segment.extend_from_slice(&[offset, 2, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend_from_slice(options);
    segment
}

/// A SYN in IPv4 with a right checksum.
pub(crate) fn tcp_v4(options: &[u8]) -> Vec<u8> {
    let mut packet = ipv4_with_options(&[], &tcp_syn(options));
    packet[9] = 6;
    complete(packet, 20)
}

/// A SYN in IPv6, behind a destination options header, with a right checksum.
pub(crate) fn tcp_v6(options: &[u8]) -> Vec<u8> {
    let payload = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &tcp_syn(options)].concat();
    complete(ipv6(60, &payload), 48)
}

fn complete(mut packet: Vec<u8>, segment_at: usize) -> Vec<u8> {
    let sum = tcp_sum(&packet).finish();
    packet[segment_at + 16..segment_at + 18].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Whether the TCP checksum in a packet made here is right.
pub(crate) fn tcp_checksum_is_valid(packet: &[u8]) -> bool {
    tcp_sum(packet).is_valid()
}

fn tcp_sum(packet: &[u8]) -> Checksum {
    match Ip::new(packet).unwrap() {
        Ip::V4(ip) => Checksum::new()
            .pseudo_v4(ip.source(), ip.destination(), 6, u16::try_from(ip.payload().len()).unwrap())
            .bytes(ip.payload()),
        Ip::V6(ip) => {
            let segment = ip.upper().unwrap().payload;
            let len = u32::try_from(segment.len()).unwrap();
            Checksum::new().pseudo_v6(ip.source(), ip.destination(), 6, len).bytes(segment)
        }
    }
}
