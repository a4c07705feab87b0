//! IPv6 packets that stay on the link: headers and checksums around `ICMPv6` and UDP.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use isthmus_wire::ip::{Ipv6, Udp, protocol};
use isthmus_wire::{Checksum, DecodeError, Writer};

/// Where a packet comes from, and what it carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried<'a> {
    pub(crate) source: Ipv6Addr,
    pub(crate) payload: &'a [u8],
}

/// The `ICMPv6` message in a packet that no router has touched (RFC 4861 §6.1, §7.1) and that is whole.
pub(crate) fn read_icmp(packet: &[u8]) -> Result<Carried<'_>, DecodeError> {
    let ip = Ipv6::new(packet)?;
    if ip.hop_limit() != HOP_LIMIT_ON_LINK {
        return Err(DecodeError::illegal("hop limit"));
    }
    if ip.next_header() != protocol::ICMPV6 {
        return Err(DecodeError::illegal("next header"));
    }
    checked(&ip, "ICMPv6 checksum")
}

/// The payload of a UDP datagram between these ports.
pub(crate) fn read_udp(packet: &[u8], from: u16, to: u16) -> Result<Carried<'_>, DecodeError> {
    let ip = Ipv6::new(packet)?;
    if ip.next_header() != protocol::UDP {
        return Err(DecodeError::illegal("next header"));
    }
    let carried = checked(&ip, "UDP checksum")?;
    let udp = Udp::new(carried.payload)?;
    if (udp.source_port(), udp.destination_port()) != (from, to) {
        return Err(DecodeError::illegal("UDP port"));
    }
    // Zero would be "none", which IPv6 does not allow (RFC 8200 §8.1).
    if udp.checksum() == 0 || Udp::HEADER_LEN + udp.payload().len() != carried.payload.len() {
        return Err(DecodeError::illegal("UDP length"));
    }
    Ok(Carried { payload: udp.payload(), ..carried })
}

fn checked<'a>(ip: &Ipv6<'a>, field: &'static str) -> Result<Carried<'a>, DecodeError> {
    let (source, payload) = (ip.source(), ip.payload());
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let sum = Checksum::new().pseudo_v6(source, ip.destination(), ip.next_header(), len);
    if !sum.bytes(payload).is_valid() {
        return Err(DecodeError::illegal(field));
    }
    Ok(Carried { source, payload })
}

/// The packet with this `ICMPv6` message, whose checksum field must be zero. Empty when it does not fit.
pub(crate) fn write_icmp(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let Ok(len) = u16::try_from(message.len()) else { return Vec::new() };
    let sum = Checksum::new()
        .pseudo_v6(source, destination, protocol::ICMPV6, u32::from(len))
        .bytes(message)
        .finish();
    let mut writer = header(source, destination, protocol::ICMPV6, HOP_LIMIT_ON_LINK, len);
    writer.bytes(message);
    writer.patch(Ipv6::HEADER_LEN + 2, &sum.to_be_bytes());
    writer.into_vec()
}

/// The packet with this UDP payload. Empty when it does not fit.
pub(crate) fn write_udp(
    (source, from): (Ipv6Addr, u16),
    (destination, to): (Ipv6Addr, u16),
    payload: &[u8],
) -> Vec<u8> {
    let len = u16::try_from(Udp::HEADER_LEN + payload.len()).ok();
    let Some((len, udp)) = len.zip(Udp::header(from, to, payload.len(), 0)) else {
        return Vec::new();
    };
    let sum = Checksum::new()
        .pseudo_v6(source, destination, protocol::UDP, u32::from(len))
        .bytes(&udp)
        .bytes(payload)
        .finish_udp();
    let mut writer = header(source, destination, protocol::UDP, HOP_LIMIT, len);
    writer.bytes(&udp);
    writer.bytes(payload);
    writer.patch(Ipv6::HEADER_LEN + 6, &sum.to_be_bytes());
    writer.into_vec()
}

fn header(source: Ipv6Addr, destination: Ipv6Addr, next: u8, hops: u8, len: u16) -> Writer {
    let mut writer = Writer::new();
    writer.u32(0x6000_0000);
    writer.u16(len);
    writer.u8(next);
    writer.u8(hops);
    writer.bytes(&source.octets());
    writer.bytes(&destination.octets());
    writer
}

/// Proof that a packet was not forwarded (RFC 4861 §3.1).
const HOP_LIMIT_ON_LINK: u8 = 255;
const HOP_LIMIT: u8 = 64;
