//! DHCP messages behind right headers: a question is answered without a panic, the answer is one to it, and
//! an answer that is read can be read again from what we would write.
#![no_main]

use std::net::Ipv4Addr;

use isthmus_ppp::dhcp::{Answer, Domain, Inform, NAME_SERVERS_MAX, ROUTES_MAX, is_for_server};
use isthmus_wire::checksum::checksum;
use libfuzzer_sys::fuzz_target;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 7);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);

fuzz_target!(|input: &[u8]| {
    let Some((&kind, payload)) = input.split_first() else { return };
    if kind & 1 == 0 {
        question(&packet(CLIENT, 68, Ipv4Addr::BROADCAST, 67, payload));
    } else {
        answer(&packet(GATEWAY, 67, CLIENT, 68, payload));
    }
    let _ = Inform::read(input);
});

fn question(packet: &[u8]) {
    let Ok(inform) = Inform::read(packet) else { return };
    assert!(is_for_server(packet) && !inform.address.is_unspecified());
    assert_eq!(Inform::read(&inform.write()).unwrap().address, inform.address);
    let answer = Answer {
        server: GATEWAY,
        routes: vec!["10.9.0.0/16".parse().unwrap(); 60],
        dns: vec![GATEWAY; 9],
        ntp: vec![GATEWAY; 5],
        domain: Domain::new("corp.example"),
        search: vec![Domain::new("lab.example").unwrap(); 9],
    };
    let reply = answer.write(&inform);
    assert!(reply.len() <= 1500, "{} bytes", reply.len());
    let read = Answer::read(&reply, &inform).expect("an answer to this question");
    assert!(read.routes.len() <= ROUTES_MAX && read.dns.len() <= NAME_SERVERS_MAX);
}

fn answer(packet: &[u8]) {
    let inform = Inform::new(CLIENT, 0);
    let Ok(answer) = Answer::read(packet, &inform) else { return };
    assert!(answer.routes.len() <= ROUTES_MAX && answer.dns.len() <= NAME_SERVERS_MAX);
    let again = Answer::read(&answer.write(&inform), &inform).expect("our own answer");
    assert_eq!(again.routes, answer.routes);
}

/// An IPv4 packet with a right checksum around a UDP datagram without one.
fn packet(from: Ipv4Addr, source: u16, to: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, 0];
    packet.extend(udp_len.saturating_add(20).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    for word in [source, port, udp_len, 0] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend(payload);
    packet
}
