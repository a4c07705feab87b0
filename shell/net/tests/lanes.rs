//! The kernel deals packets out by the lane of their SPI, whoever they come from.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::net::{IpAddr, SocketAddr, UdpSocket};

use isthmus_core::{Buf, LANES, Path};
use isthmus_net::{EspFamily, EspSocket, LaneShare, Sharing, SocketOptions, UdpPort, in_namespace};
use support::{Space, readable};

const OF: u32 = 3;
/// Seconds that a packet may take on a busy machine.
const LATE: i64 = 10;

fn options(space: &Space, index: u32) -> SocketOptions {
    let sharing = Sharing::ByLane(LaneShare { index, of: OF });
    SocketOptions { namespace: Some(space.namespace()), sharing, ..SocketOptions::default() }
}

/// SPIs of every lane and of several generations.
fn spis() -> impl Iterator<Item = u32> {
    (0..200).map(|n| (1 << 20) + n * 0x0010_0001)
}

fn owner(spi: u32) -> u32 {
    spi % u32::try_from(LANES).unwrap() % OF
}

/// What a socket got. It is to be `count` packets: they are waited for, since the first may have to wait
/// until the cable carries it, and what has come beyond them is heard as well.
fn spis_at(count: usize, mut receive: impl FnMut(i64, &mut Vec<(Path, Buf)>) -> bool) -> Vec<u32> {
    let mut packets = Vec::new();
    while receive(if packets.len() < count { LATE } else { 0 }, &mut packets) {}
    packets.iter().map(|(_, buf)| u32::from_be_bytes(buf[..4].try_into().unwrap())).collect()
}

#[test]
fn udp_goes_to_the_socket_of_its_lane_from_whichever_port() {
    let space = Space::new("lanes");
    let bind = "127.0.0.1:4500".parse().unwrap();
    let open = |index| UdpPort::bind(bind, &options(&space, index)).unwrap();
    let mut ports: Vec<UdpPort> = (0..OF).map(open).collect();
    let senders = in_namespace(&space.namespace(), || {
        [(); 4].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap())
    });
    let senders = senders.unwrap();
    for (spi, sender) in spis().zip(senders.iter().cycle()) {
        sender.send_to(&[&spi.to_be_bytes()[..], b"packet"].concat(), bind).unwrap();
    }
    for (index, port) in (0..).zip(&mut ports) {
        let mut expected: Vec<u32> = spis().filter(|spi| owner(*spi) == index).collect();
        let mut heard = spis_at(expected.len(), |wait, packets| {
            readable(port, wait)
                && port.recv_batch(&mut || Buf::with_capacity(2048), packets).unwrap() > 0
        });
        heard.sort_unstable();
        expected.sort_unstable();
        assert_eq!(heard, expected, "socket {index}");
        assert!(heard.len() > 50);
    }
}

#[test]
fn what_is_no_esp_goes_to_the_first_socket() {
    let space = Space::new("marker");
    let bind = "[::1]:4500".parse().unwrap();
    let open = |index| UdpPort::bind(bind, &options(&space, index)).unwrap();
    let mut ports: Vec<UdpPort> = (0..OF).map(open).collect();
    let sender = in_namespace(&space.namespace(), || UdpSocket::bind("[::1]:0").unwrap()).unwrap();
    let datagrams: [&[u8]; 3] = [b"\0\0\0\0an IKE message", &[0xff], b"abc"];
    for datagram in datagrams {
        sender.send_to(datagram, bind).unwrap();
    }
    let mut packets = Vec::new();
    while packets.len() < 3 && readable(&ports[0], 2) {
        ports[0].recv_batch(&mut || Buf::with_capacity(2048), &mut packets).unwrap();
    }
    assert_eq!(packets.iter().map(|(_, buf)| &buf[..]).collect::<Vec<_>>(), datagrams);
    assert!(ports[1..].iter().all(|port| !readable(port, 0)));
}

#[test]
fn a_port_can_be_for_sending_from_by_all_and_for_hearing_by_the_first() {
    let space = Space::new("first");
    let bind = "127.0.0.1:500".parse().unwrap();
    let open = |index| {
        let sharing = Sharing::First(LaneShare { index, of: OF });
        UdpPort::bind(bind, &SocketOptions { sharing, ..options(&space, index) }).unwrap()
    };
    let mut ports: Vec<UdpPort> = (0..OF).map(open).collect();
    let peer = in_namespace(&space.namespace(), || UdpSocket::bind("127.0.0.1:0").unwrap());
    let peer = peer.unwrap();
    for cookie in 1..=90_u32 {
        peer.send_to(&[&cookie.to_be_bytes()[..], b"IKE"].concat(), bind).unwrap();
    }
    let mut packets = Vec::new();
    while packets.len() < 90 && readable(&ports[0], 2) {
        ports[0].recv_batch(&mut || Buf::with_capacity(2048), &mut packets).unwrap();
    }
    assert_eq!(packets.len(), 90);
    assert!(ports[1..].iter().all(|port| !readable(port, 0)));
    let path = Path::new(bind, peer.local_addr().unwrap());
    ports[2].send_batch([(path, &b"answer"[..])]).unwrap();
    let mut answer = [0; 20];
    assert_eq!(peer.recv_from(&mut answer).unwrap(), (6, bind));
}

fn raw_esp_goes_to_its_socket(family: EspFamily, local: &str, remote: &str) {
    let (left, right) = Space::pair();
    let alone = SocketOptions { namespace: Some(left.namespace()), ..SocketOptions::default() };
    let mut sender = EspSocket::open(family, &alone).unwrap();
    let open = |index| EspSocket::open(family, &options(&right, index)).unwrap();
    let mut sockets: Vec<EspSocket> = (0..OF).map(open).collect();
    let end = |text: &str| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0);
    let packets: Vec<Vec<u8>> =
        spis().map(|spi| [&spi.to_be_bytes()[..], &[7; 60]].concat()).collect();
    let path = Path::new(end(local), end(remote));
    let sent = sender.send_batch(packets.iter().map(|packet| (path, &packet[..]))).unwrap();
    assert_eq!(sent.done, packets.len());
    for (index, socket) in (0..).zip(&mut sockets) {
        let expected: Vec<u32> = spis().filter(|spi| owner(*spi) == index).collect();
        let heard = spis_at(expected.len(), |wait, packets| {
            readable(socket, wait)
                && socket.recv_batch(&mut || Buf::with_capacity(2048), packets).unwrap() > 0
        });
        assert_eq!(heard, expected, "socket {index}");
    }
}

#[test]
fn raw_esp_over_ipv4_goes_to_the_socket_of_its_lane() {
    raw_esp_goes_to_its_socket(EspFamily::V4, "10.9.0.1", "10.9.0.2");
}

#[test]
fn raw_esp_over_ipv6_goes_to_the_socket_of_its_lane() {
    raw_esp_goes_to_its_socket(EspFamily::V6, "fd09::1", "fd09::2");
}
