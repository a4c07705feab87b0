//! Packets of an IPv6 link behind right headers: neighbour discovery and DHCPv6 from anybody.
#![no_main]

use std::net::Ipv6Addr;

use isthmus_ppp::InterfaceId;
use isthmus_ppp::dhcp::Domain;
use isthmus_ppp::dhcp6::{ALL_DHCP_SERVERS, DNS6_MAX, InformationRequest, Reply};
use isthmus_ppp::nd::{ALL_NODES, Question, RDNSS_MAX, RouterAdvertisement};
use isthmus_wire::Checksum;
use libfuzzer_sys::fuzz_target;

const PEER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);

fuzz_target!(|input: &[u8]| {
    let Some((&kind, payload)) = input.split_first() else { return };
    if kind & 1 == 0 {
        discovery(payload)
    } else {
        dhcp6(payload)
    }
    let _ = (Question::read(input), RouterAdvertisement::read(input));
    let _ = InformationRequest::read(input);
});

fn discovery(payload: &[u8]) {
    let Some((head, rest)) = payload.split_first_chunk::<2>() else { return };
    let message = [&head[..], &[0, 0], rest].concat();
    let packet = packet(58, 255, &message, 2);
    let _ = Question::read(&packet);
    if let Ok((router, said)) = RouterAdvertisement::read(&packet) {
        assert_eq!(router, PEER);
        assert!(said.dns.len() <= RDNSS_MAX);
        assert!(said.prefix.is_none_or(|prefix| prefix.prefix_len() == 64));
        let again = said.write(InterfaceId::new(7).unwrap(), ALL_NODES);
        let (_, read) = RouterAdvertisement::read(&again).expect("our own advertisement");
        assert_eq!((read.prefix, read.mtu), (said.prefix, said.mtu));
    }
}

fn dhcp6(payload: &[u8]) {
    let len = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX).to_be_bytes();
    let datagram = [&[0x02, 0x22, 0x02, 0x23][..], &len, &[0, 0], payload].concat();
    let Ok(request) = InformationRequest::read(&packet(17, 64, &datagram, 6)) else { return };
    assert_eq!(request.from, PEER);
    let reply = Reply {
        dns: vec![PEER; DNS6_MAX + 1],
        search: vec![Domain::new("corp.example").unwrap(); 9],
    };
    if let Some(bytes) = reply.write(InterfaceId::new(9).unwrap(), &request) {
        assert!(bytes.len() <= 1280, "{} bytes", bytes.len());
    }
}

/// A packet with a right checksum at this place of the payload.
fn packet(next: u8, hops: u8, payload: &[u8], at: usize) -> Vec<u8> {
    let to = if next == 17 { ALL_DHCP_SERVERS } else { ALL_NODES };
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let sum = Checksum::new().pseudo_v6(PEER, to, next, u32::from(len)).bytes(payload);
    let sum = if next == 17 { sum.finish_udp() } else { sum.finish() };
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([next, hops]);
    packet.extend(PEER.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet[40 + at..42 + at].copy_from_slice(&sum.to_be_bytes());
    packet
}
