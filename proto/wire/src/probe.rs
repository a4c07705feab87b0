//! A packet that is sent to see what becomes of it, and that is known again wherever it shows up.
//!
//! A translation on the way changes addresses, ports and identifiers, so none of them tells a [`Probe`]
//! from other packets: its mark does, which is the sequence number of a SYN and stands in the payload of the
//! others.

mod sight;

use alloc::vec::Vec;
use core::net::IpAddr;

pub use sight::{Answer, Ends, Sighting, Trouble};

use crate::ip::{Icmp, Ipv4, Ipv6, Tcp, Udp, protocol};
use crate::{Checksum, Writer, checksum};

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ICMP echo request.
    Echo,
    /// A TCP SYN to this port.
    Tcp(u16),
    /// A UDP datagram to this port.
    Udp(u16),
}

/// One packet from one host to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    ends: (IpAddr, IpAddr),
    kind: Kind,
    mark: u32,
}

impl Probe {
    /// A probe of both addresses' IP version; none when they are not of the same one. The mark has to be
    /// random, so that no other packet has it.
    pub fn new(source: IpAddr, destination: IpAddr, kind: Kind, mark: u32) -> Option<Self> {
        let same = source.is_ipv4() == destination.is_ipv4();
        same.then_some(Self { ends: (source, destination), kind, mark })
    }

    /// Where it comes from.
    pub const fn source(&self) -> IpAddr {
        self.ends.0
    }

    /// Where it goes to.
    pub const fn destination(&self) -> IpAddr {
        self.ends.1
    }

    /// What it asks.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is known by.
    pub const fn mark(&self) -> u32 {
        self.mark
    }

    /// Its destination port.
    pub const fn port(&self) -> Option<u16> {
        match self.kind {
            Kind::Echo => None,
            Kind::Tcp(port) | Kind::Udp(port) => Some(port),
        }
    }

    /// The source port of TCP and UDP, of the range for such (RFC 6335 §6).
    pub const fn source_port(&self) -> u16 {
        // The lower 14 bits fit.
        0xc000 | (self.mark & 0x3fff) as u16
    }

    /// Its protocol number.
    pub const fn protocol(&self) -> u8 {
        match (self.kind, self.ends.0) {
            (Kind::Echo, IpAddr::V4(_)) => protocol::ICMP,
            (Kind::Echo, IpAddr::V6(_)) => protocol::ICMPV6,
            (Kind::Tcp(_), _) => protocol::TCP,
            (Kind::Udp(_), _) => protocol::UDP,
        }
    }

    /// The packet.
    pub fn packet(&self) -> Vec<u8> {
        let body = self.body();
        // It is less than a hundred bytes long.
        let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
        let mut packet = Writer::new();
        match self.ends {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet.bytes(&[0x45, 0]);
                packet.u16(len.saturating_add(IPV4_HEADER_LEN));
                // Identification 0 with DF: an atomic datagram (RFC 6864 §4.1).
                packet.bytes(&[0, 0, 0x40, 0, TTL, self.protocol(), 0, 0]);
                packet.bytes(&source.octets());
                packet.bytes(&destination.octets());
                let sum = checksum::checksum(packet.as_slice());
                packet.patch(10, &sum.to_be_bytes());
            }
            (source, destination) => {
                packet.bytes(&[0x60, 0, 0, 0]);
                packet.u16(len);
                packet.bytes(&[self.protocol(), TTL]);
                packet.bytes(&six(source));
                packet.bytes(&six(destination));
            }
        }
        packet.bytes(&body);
        packet.into_vec()
    }

    /// What is behind the IP header, its checksum included.
    fn body(&self) -> Vec<u8> {
        let mut body = Writer::new();
        let checksum_at = match self.kind {
            Kind::Echo => {
                let request = if self.ends.0.is_ipv4() { ECHO } else { ECHO_V6 };
                body.bytes(&[request, 0, 0, 0]);
                body.u32(self.mark);
                body.bytes(&self.payload());
                2
            }
            Kind::Tcp(port) => {
                body.u16(self.source_port());
                body.u16(port);
                body.u32(self.mark);
                body.u32(0);
                body.bytes(&[TCP_WORDS << 4, SYN]);
                body.u16(WINDOW);
                body.bytes(&[0; 4]);
                body.bytes(&MSS);
                16
            }
            Kind::Udp(port) => {
                let payload = self.payload();
                let header = Udp::header(self.source_port(), port, payload.len(), 0);
                body.bytes(&header.unwrap_or_default());
                body.bytes(&payload);
                6
            }
        };
        let sum = self.sum(body.as_slice());
        body.patch(checksum_at, &sum.to_be_bytes());
        body.into_vec()
    }

    /// The checksum of a body in which it is still zero.
    fn sum(&self, body: &[u8]) -> u16 {
        let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
        let sum = match (self.kind, self.ends) {
            (Kind::Echo, (IpAddr::V4(_), _)) => Checksum::new(),
            (_, (IpAddr::V4(source), IpAddr::V4(destination))) => {
                Checksum::new().pseudo_v4(source, destination, self.protocol(), len)
            }
            (_, (source, destination)) => {
                let (source, destination) = (six(source).into(), six(destination).into());
                Checksum::new().pseudo_v6(source, destination, self.protocol(), len.into())
            }
        };
        let sum = sum.bytes(body);
        if matches!(self.kind, Kind::Udp(_)) { sum.finish_udp() } else { sum.finish() }
    }

    /// What an echo request or a datagram carries.
    fn payload(&self) -> [u8; PAYLOAD_LEN] {
        let mut payload = [0; PAYLOAD_LEN];
        if let Some((text, mark)) = payload.split_last_chunk_mut::<4>() {
            text.copy_from_slice(&TEXT);
            *mark = self.mark.to_be_bytes();
        }
        payload
    }
}

fn six(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Who looks at a capture sees what it is.
const TEXT: [u8; 16] = *b"isthmus --send: ";
const PAYLOAD_LEN: usize = TEXT.len() + 4;
const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
const TTL: u8 = 64;
const WINDOW: u16 = 64_240;
/// The largest segment, 1460 bytes: some hosts do not answer a SYN without it.
const MSS: [u8; 4] = [2, 4, 5, 180];
/// Length of the TCP header in words, with [`MSS`].
const TCP_WORDS: u8 = 6;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const IPV4_HEADER_LEN: u16 = 20;
const _: () = assert!(Ipv4::HEADER_LEN == 20 && Ipv6::HEADER_LEN == 40);
const _: () = assert!(Tcp::HEADER_LEN + MSS.len() == TCP_WORDS as usize * 4);
const _: () = assert!(Icmp::HEADER_LEN == 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::Ip;
    use proptest::prelude::*;

    pub(super) fn any_probe() -> impl Strategy<Value = Probe> {
        let kind = prop_oneof![
            Just(Kind::Echo),
            any::<u16>().prop_map(Kind::Tcp),
            any::<u16>().prop_map(Kind::Udp),
        ];
        let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
        let v6 =
            any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
        (prop_oneof![v4, v6], kind, any::<u32>())
            .prop_map(|((from, to), kind, mark)| Probe::new(from, to, kind, mark).unwrap())
    }

    proptest! {
        #[test]
        fn a_packet_is_what_was_asked_for_and_its_checksums_are_right(probe in any_probe()) {
            let packet = probe.packet();
            let ip = Ip::new(&packet).unwrap();
            prop_assert_eq!((ip.source(), ip.destination()), probe.ends);
            prop_assert_eq!(ip.total_len(), packet.len());
            let (number, body, sum) = match &ip {
                Ip::V4(ip) => {
                    prop_assert!(ip.checksum_is_valid() && ip.dont_fragment() && !ip.is_fragment());
                    let len = u16::try_from(ip.payload().len()).unwrap();
                    let pseudo = Checksum::new().pseudo_v4(ip.source(), ip.destination(), ip.protocol(), len);
                    (ip.protocol(), ip.payload(), if ip.protocol() == 1 { Checksum::new() } else { pseudo })
                }
                Ip::V6(ip) => {
                    let len = u32::try_from(ip.payload().len()).unwrap();
                    let sum = Checksum::new().pseudo_v6(ip.source(), ip.destination(), ip.next_header(), len);
                    (ip.next_header(), ip.payload(), sum)
                }
            };
            prop_assert_eq!(number, probe.protocol());
            prop_assert!(sum.bytes(body).is_valid());
            match probe.kind {
                Kind::Echo => {
                    let icmp = Icmp::new(body).unwrap();
                    prop_assert_eq!((icmp.kind(), icmp.code()), (if number == 1 { 8 } else { 128 }, 0));
                }
                Kind::Tcp(port) => {
                    let tcp = Tcp::new(body).unwrap();
                    prop_assert_eq!((tcp.source_port(), tcp.destination_port()), (probe.source_port(), port));
                    prop_assert_eq!((tcp.flags(), tcp.options().count(), tcp.payload().len()), (SYN, 1, 0));
                }
                Kind::Udp(port) => {
                    let udp = Udp::new(body).unwrap();
                    prop_assert_eq!((udp.source_port(), udp.destination_port()), (probe.source_port(), port));
                    prop_assert_ne!(udp.checksum(), 0);
                }
            }
        }

        #[test]
        fn a_source_port_is_of_the_range_for_such(probe in any_probe()) {
            prop_assert!(probe.source_port() >= 49_152);
        }
    }

    #[test]
    fn addresses_of_two_versions_make_no_probe() {
        let (four, six) = ([10, 0, 0, 1].into(), IpAddr::from([7; 16]));
        assert_eq!(Probe::new(four, six, Kind::Echo, 1), None);
        assert_eq!(Probe::new(six, four, Kind::Udp(53), 1), None);
    }
}
