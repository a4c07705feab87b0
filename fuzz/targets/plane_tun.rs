//! The pipeline and the TUN device: whatever comes from it leaves as ESP to its peer or not at all,
//! arrives as it was (but for a clamped MSS and fragments), and never exceeds the session's MTU.
#![no_main]

use isthmus_crypto::EspSuite;
use isthmus_fuzz::steps;
use isthmus_fuzz::tunnel::{INNER_V4, INNER_V6, MTU, Tunnel};
use isthmus_wire::ip::Ip;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, script)) = input.split_first() else { return };
    let mut tunnel = Tunnel::new(EspSuite::ALL[usize::from(first) % EspSuite::ALL.len()]);
    for step in steps(script) {
        send(&mut tunnel, packet(step.op, step.bytes));
    }
});

/// Any bytes, or a packet to the client whose lengths are right; long ones are made of few bytes.
fn packet(op: u8, bytes: &[u8]) -> Vec<u8> {
    let mut packet = bytes.to_vec();
    if op & 0x80 != 0 {
        packet.resize(packet.len() * 16, op);
    }
    let Ok(len) = u16::try_from(packet.len()) else { return packet };
    match op % 4 {
        1 | 2 if packet.len() >= 20 => {
            packet[0] = 0x40 | packet[0] & 0xf;
            packet[2..4].copy_from_slice(&len.to_be_bytes());
            packet[16..20].copy_from_slice(&INNER_V4.octets());
        }
        3 if packet.len() >= 40 => {
            packet[0] = 0x60;
            packet[4..6].copy_from_slice(&(len - 40).to_be_bytes());
            packet[24..40].copy_from_slice(&INNER_V6.octets());
        }
        _ => {}
    }
    packet
}

fn send(tunnel: &mut Tunnel, packet: Vec<u8>) {
    let before = tunnel.gateway.plane.stats().drops.total();
    tunnel.gateway.tun(std::slice::from_ref(&packet));
    let sent = tunnel.carry();
    let dropped = tunnel.gateway.plane.stats().drops.total() - before;
    assert!(sent > 0 || dropped == 1, "neither sent nor counted");
    let arrived = tunnel.client.delivered();
    assert!(arrived.len() <= sent);
    for inner in &arrived {
        let ip = Ip::new(inner).unwrap();
        assert_eq!(ip.total_len(), inner.len());
        match ip {
            Ip::V4(ip) => {
                assert_eq!(ip.destination(), INNER_V4);
                assert!(inner.len() <= usize::from(MTU));
            }
            Ip::V6(ip) => {
                assert_eq!(ip.destination(), INNER_V6);
                assert!(inner.len() <= usize::from(MTU));
            }
        }
    }
    if let [inner] = &arrived[..] {
        let changed = inner.iter().zip(&packet).filter(|(new, old)| new != old).count();
        assert!(changed <= 4 && packet.len() >= inner.len(), "{changed} bytes changed");
    }
    // What goes back is an answer to the TUN device, never to the network.
    for answer in tunnel.gateway.delivered() {
        assert!(dropped == 1 && Ip::new(&answer).is_ok());
    }
    tunnel.gateway.out.reports.clear();
    tunnel.client.out.reports.clear();
}
