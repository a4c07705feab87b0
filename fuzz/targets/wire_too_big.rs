//! What is made of a packet that is too big: fragments that put together give it back, or an answer
//! that is a sound ICMP message about it.
#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use isthmus_wire::ip::{Icmp, Ipv4, Ipv6, protocol};
use isthmus_wire::{Checksum, checksum, fragment, icmp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((mtu, packet)) = input.split_first_chunk::<2>() else { return };
    let mtu = u16::from_be_bytes(*mtu);
    fragments(packet, usize::from(mtu));
    answer_v4(packet, mtu);
    answer_v6(packet, u32::from(mtu));
});

fn fragments(packet: &[u8], mtu: usize) {
    let Some(fragments) = fragment::ipv4(packet, mtu) else { return };
    let whole = Ipv4::new(packet).unwrap();
    assert!(!whole.dont_fragment());
    let (mut payload, mut finished) = (Vec::new(), false);
    for piece in fragments {
        assert!(!finished, "a fragment behind the last one");
        let bytes = [piece.header(), piece.payload()].concat();
        let ip = Ipv4::new(&bytes).unwrap();
        assert!(bytes.len() <= mtu && ip.total_len() == bytes.len() && ip.checksum_is_valid());
        assert_eq!(ip.identification(), whole.identification());
        assert_eq!((ip.source(), ip.destination()), (whole.source(), whole.destination()));
        assert_eq!(ip.fragment_offset(), whole.fragment_offset() + payload.len());
        payload.extend_from_slice(ip.payload());
        finished = payload.len() == whole.payload().len();
        assert_eq!(ip.more_fragments(), !finished || whole.more_fragments());
        assert!(finished || ip.payload().len() % 8 == 0 && !ip.payload().is_empty());
    }
    assert!(finished);
    assert_eq!(payload, whole.payload());
}

fn answer_v4(packet: &[u8], mtu: u16) {
    let from = Ipv4Addr::new(10, 0, 0, 1);
    let Some(answer) = icmp::fragmentation_needed(packet, mtu, from) else { return };
    let (ip, about) = (Ipv4::new(&answer).unwrap(), Ipv4::new(packet).unwrap());
    assert!(answer.len() <= 576 && ip.total_len() == answer.len() && ip.checksum_is_valid());
    assert_eq!((ip.source(), ip.destination()), (from, about.source()));
    assert_eq!(about.fragment_offset(), 0);
    let message = Icmp::new(ip.payload()).unwrap();
    assert_eq!((message.kind(), message.code(), message.rest()), (3, 4, u32::from(mtu)));
    assert_eq!(checksum::checksum(ip.payload()), 0);
    assert!(packet[..about.total_len()].starts_with(message.body()));
    assert!(icmp::fragmentation_needed(&answer, 68, from).is_none(), "an error about an error");
}

fn answer_v6(packet: &[u8], mtu: u32) {
    let from = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let Some(answer) = icmp::packet_too_big(packet, mtu, from) else { return };
    let (ip, about) = (Ipv6::new(&answer).unwrap(), Ipv6::new(packet).unwrap());
    assert!(answer.len() <= 1280 && ip.total_len() == answer.len());
    assert_eq!((ip.source(), ip.destination()), (from, about.source()));
    let message = Icmp::new(ip.payload()).unwrap();
    assert_eq!((message.kind(), message.code(), message.rest()), (2, 0, mtu));
    let len = u32::try_from(ip.payload().len()).unwrap();
    let sum = Checksum::new().pseudo_v6(from, ip.destination(), protocol::ICMPV6, len);
    assert!(sum.bytes(ip.payload()).is_valid());
    assert!(packet[..about.total_len()].starts_with(message.body()));
    assert!(icmp::packet_too_big(&answer, 1280, from).is_none(), "an error about an error");
}
