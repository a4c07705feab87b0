//! IPv4 and UDP around a DHCP message.

use alloc::vec::Vec;
use core::net::SocketAddrV4;

use isthmus_wire::ip::{Ipv4, Udp, protocol};
use isthmus_wire::{Checksum, DecodeError, Writer, checksum};

use super::SERVER_PORT;

/// Whether an IPv4 packet is for a DHCP server; says nothing about what is in it.
pub fn is_for_server(packet: &[u8]) -> bool {
    Ipv4::new(packet).is_ok_and(|ip| {
        ip.protocol() == protocol::UDP
            && ip.fragment_offset() == 0
            && Udp::new(ip.payload()).is_ok_and(|udp| udp.destination_port() == SERVER_PORT)
    })
}

/// The payload of an unfragmented, undamaged IPv4 packet between these ports.
pub(super) fn read(packet: &[u8], from: u16, to: u16) -> Result<&[u8], DecodeError> {
    let ip = Ipv4::new(packet)?;
    if ip.is_fragment() {
        return Err(DecodeError::illegal("fragment offset"));
    }
    if !ip.checksum_is_valid() {
        return Err(DecodeError::illegal("IPv4 checksum"));
    }
    if ip.protocol() != protocol::UDP {
        return Err(DecodeError::illegal("protocol"));
    }
    let udp = Udp::new(ip.payload())?;
    if (udp.source_port(), udp.destination_port()) != (from, to) {
        return Err(DecodeError::illegal("UDP port"));
    }
    if udp.checksum() != 0 && !udp_is_whole(&ip, &udp) {
        return Err(DecodeError::illegal("UDP checksum"));
    }
    Ok(udp.payload())
}

fn udp_is_whole(ip: &Ipv4<'_>, udp: &Udp<'_>) -> bool {
    let len = Udp::HEADER_LEN + udp.payload().len();
    let (Some(bytes), Ok(total)) = (ip.payload().get(..len), u16::try_from(len)) else {
        return false;
    };
    let sum = Checksum::new().pseudo_v4(ip.source(), ip.destination(), protocol::UDP, total);
    sum.bytes(bytes).is_valid()
}

/// The packet with this payload. Empty when the payload does not fit into one, which no message of
/// this module can be.
pub(super) fn write(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let udp_len = Udp::HEADER_LEN + payload.len();
    let lengths = u16::try_from(udp_len).ok().zip(u16::try_from(Ipv4::HEADER_LEN + udp_len).ok());
    let Some((udp_len, total)) = lengths else { return Vec::new() };
    let Some(header) = Udp::header(from.port(), to.port(), payload.len(), 0) else {
        return Vec::new();
    };
    let sum = Checksum::new().pseudo_v4(*from.ip(), *to.ip(), protocol::UDP, udp_len);
    let sum = sum.bytes(&header).bytes(payload).finish_udp();
    let mut writer = Writer::new();
    write_ip(&mut writer, from, to, total);
    writer.bytes(&header);
    writer.patch(Ipv4::HEADER_LEN + UDP_CHECKSUM, &sum.to_be_bytes());
    writer.bytes(payload);
    writer.into_vec()
}

/// The header of a packet that is not fragmented (RFC 6864 §4.1: its identification means nothing).
fn write_ip(writer: &mut Writer, from: SocketAddrV4, to: SocketAddrV4, total: u16) {
    writer.u16(0x4500);
    writer.u16(total);
    writer.u16(0);
    writer.u16(DONT_FRAGMENT);
    writer.u8(TTL);
    writer.u8(protocol::UDP);
    writer.u16(0);
    writer.bytes(&from.ip().octets());
    writer.bytes(&to.ip().octets());
    let sum = checksum::checksum(writer.as_slice());
    writer.patch(IPV4_CHECKSUM, &sum.to_be_bytes());
}

/// Where the checksum stands in an IPv4 header.
const IPV4_CHECKSUM: usize = 10;
/// Where the checksum stands in a UDP header.
const UDP_CHECKSUM: usize = 6;
const DONT_FRAGMENT: u16 = 0x4000;
const TTL: u8 = 64;
