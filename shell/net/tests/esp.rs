//! Raw ESP on the real kernel, between two network namespaces.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::net::{IpAddr, SocketAddr};

use isthmus_core::{Buf, Path};
use isthmus_net::{EspFamily, EspSocket, SocketOptions};
use support::{CapabilitySet, Space, readable, without};

fn open(space: &Space, family: EspFamily) -> EspSocket {
    let options = SocketOptions { namespace: Some(space.namespace()), ..SocketOptions::default() };
    EspSocket::open(family, &options).unwrap()
}

fn path(local: &str, remote: &str) -> Path {
    let end = |text: &str| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0);
    Path::new(end(local), end(remote))
}

fn receive(socket: &mut EspSocket, count: usize) -> Vec<(Path, Buf)> {
    let mut packets = Vec::new();
    while packets.len() < count && readable(socket, 2) {
        socket.recv_batch(&mut || Buf::with_capacity(2048), &mut packets).unwrap();
    }
    packets
}

/// Sends a batch from `local` (one of several addresses) and sends back what arrives, by its path.
fn goes_both_ways(family: EspFamily, extra: &str, local: &str, remote: &str) {
    let (left, right) = Space::pair();
    left.ip(extra);
    let (mut near, mut far) = (open(&left, family), open(&right, family));
    let packets: Vec<Vec<u8>> = (0..50_u8).map(|number| vec![number; 1300]).collect();
    let there = path(local, remote);
    let sent = near.send_batch(packets.iter().map(|packet| (there, &packet[..]))).unwrap();
    assert_eq!(sent.done, 50);

    let arrived = receive(&mut far, 50);
    assert_eq!(arrived.len(), 50);
    for ((back, buf), packet) in arrived.iter().zip(&packets) {
        assert_eq!(*back, path(remote, local));
        assert_eq!(&buf[..], &packet[..]);
    }
    let echo = arrived.iter().map(|(back, buf)| (*back, &buf[..]));
    assert_eq!(far.send_batch(echo).unwrap().done, 50);
    let returned = receive(&mut near, 50);
    assert_eq!(returned.len(), 50);
    assert!(returned.iter().all(|(back, _)| *back == there));
}

#[test]
fn esp_over_ipv4_goes_both_ways_from_the_address_told() {
    goes_both_ways(EspFamily::V4, "address add 10.9.0.11/24 dev veth0", "10.9.0.11", "10.9.0.2");
}

#[test]
fn esp_over_ipv6_goes_both_ways_from_the_address_told() {
    goes_both_ways(EspFamily::V6, "address add fd09::11/64 dev veth0 nodad", "fd09::11", "fd09::2");
}

#[test]
fn an_unreachable_peer_is_counted() {
    let (left, _right) = Space::pair();
    let mut socket = open(&left, EspFamily::V4);
    let batch = [(path("10.9.0.1", "192.0.2.1"), &b"lost"[..])];
    assert_eq!(socket.send_batch(batch).unwrap().done, 1);
    assert_eq!((socket.stats().sent, socket.stats().unreachable), (0, 1));
}

#[test]
fn without_the_capability_the_error_names_it() {
    let open = || EspSocket::open(EspFamily::V4, &SocketOptions::default());
    let error = without(CapabilitySet::NET_RAW, open).unwrap_err().to_string();
    assert!(error.contains("ESP over IPv4") && error.contains("CAP_NET_RAW"), "{error}");
}
