//! Programs as the kernel would run them, and packets on the loopback of a namespace.

use std::net::UdpSocket;

use super::*;
use crate::bpf::{LOAD_WORD_BEHIND, RETURN_VALUE};

/// What a program makes of a packet: whether it is taken.
fn run(program: &[Instruction], packet: &[u8]) -> bool {
    let (mut a, mut x, mut at) = (0u32, 0usize, 0usize);
    let word = |from: usize, len: usize| {
        let bytes = packet.get(from..from + len)?;
        Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    };
    loop {
        let Instruction { code, jump_true, jump_false, value } = program[at];
        let here = value as usize;
        at += 1;
        let read = match code {
            LOAD_BYTE => word(here, 1),
            LOAD_HALF_BEHIND => word(x + here, 2),
            LOAD_WORD_BEHIND => word(x + here, 4),
            LOAD_X => {
                x = here;
                Some(a)
            }
            LOAD_HEADER_LEN => {
                x = usize::from(packet[0] & 15) * 4;
                Some(a)
            }
            AND => Some(a & value),
            JUMP_EQUAL => {
                at += usize::from(if a == value { jump_true } else { jump_false });
                Some(a)
            }
            RETURN_VALUE => return value != 0,
            other => panic!("{other:#x} is not used here"),
        };
        // A read behind the end drops the packet.
        let Some(read) = read else { return false };
        a = read;
    }
}

/// A packet of a protocol with this behind its header, which has an option in IPv4.
fn packet(is_ipv4: bool, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut header = if is_ipv4 { vec![0x46; 24] } else { vec![0x60; 40] };
    header[if is_ipv4 { 9 } else { 6 }] = protocol;
    header.extend_from_slice(body);
    header
}

#[test]
fn segments_with_the_sequence_number_and_those_that_acknowledge_it_are_taken() {
    for is_ipv4 in [true, false] {
        let program = program(Catch::Tcp { sequence: u32::MAX }, is_ipv4);
        let segment = |sequence: u32, acknowledged: u32| {
            let mut body = vec![0; 20];
            body[4..8].copy_from_slice(&sequence.to_be_bytes());
            body[8..12].copy_from_slice(&acknowledged.to_be_bytes());
            run(&program, &packet(is_ipv4, 6, &body))
        };
        assert!(segment(u32::MAX, 7) && segment(9, 0));
        assert!(!segment(9, 7) && !segment(0, u32::MAX));
    }
}

#[test]
fn datagrams_of_the_port_are_taken_either_way() {
    for is_ipv4 in [true, false] {
        let program = program(Catch::Udp { port: 53 }, is_ipv4);
        let datagram = |from: u16, to: u16| {
            let body = [from.to_be_bytes(), to.to_be_bytes(), [0, 8], [0, 0]].concat();
            run(&program, &packet(is_ipv4, 17, &body))
        };
        assert!(datagram(53, 40_000) && datagram(40_000, 53));
        assert!(!datagram(54, 40_000));
    }
}

#[test]
fn icmp_of_the_version_is_taken_and_nothing_else_is() {
    for catch in [Catch::Icmp, Catch::Tcp { sequence: 1 }, Catch::Udp { port: 53 }] {
        for (is_ipv4, icmp, other) in [(true, 1, 58), (false, 58, 1)] {
            let program = program(catch, is_ipv4);
            assert!(run(&program, &packet(is_ipv4, icmp, &[0; 8])));
            assert!(!run(&program, &packet(!is_ipv4, icmp, &[0; 8])), "the other version");
            assert!(!run(&program, &packet(is_ipv4, other, &[0; 20])));
            assert!(!run(&program, &packet(is_ipv4, 50, &[0; 20])));
            assert!(!run(&program, &[]) && !run(&program, &[0x45]));
        }
    }
}

#[test]
fn a_datagram_is_seen_going_out_and_coming_in() {
    let namespace = Namespace::new("/proc/thread-self/ns/net").imagined();
    let (tap, port) = in_namespace(&namespace, || {
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.unwrap().success());
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = there.local_addr().unwrap().port();
        let tap = Tap::open(Catch::Udp { port }, true, None).unwrap();
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        from.send_to(b"hello", ("127.0.0.1", port)).unwrap();
        from.send_to(&[b'!'; CAUGHT_BYTES_MAX], ("127.0.0.1", port)).unwrap();
        (tap, port)
    })
    .unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    for outgoing in [true, false] {
        let caught = tap.next(until).unwrap().unwrap();
        assert_eq!((caught.link, caught.outgoing), (1, outgoing));
        assert_eq!(caught.packet[22..24], port.to_be_bytes());
        assert!(caught.packet.ends_with(b"hello"));
    }
    for _ in 0..2 {
        assert_eq!(tap.next(until).unwrap().unwrap().packet.len(), CAUGHT_BYTES_MAX);
    }
    assert_eq!(tap.link_name(1).unwrap(), "lo");
    assert!(tap.link_name(99).is_err());
    assert_eq!(tap.next(Instant::now()).unwrap(), None);
}
