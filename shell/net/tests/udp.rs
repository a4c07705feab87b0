//! UDP ports on the real kernel, between two network namespaces.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use isthmus_core::{Buf, Path};
use isthmus_net::{Sharing, SocketOptions, UdpPort, in_namespace};
use support::{CapabilitySet, Space, readable, without};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn options(space: &Space) -> SocketOptions {
    SocketOptions { namespace: Some(space.namespace()), ..SocketOptions::default() }
}

fn port(space: &Space, bind: &str) -> UdpPort {
    UdpPort::bind(address(bind), &options(space)).unwrap()
}

fn alloc() -> Buf {
    Buf::with_capacity(2048)
}

/// Receives until `count` packets are there or none comes for two seconds.
fn receive(port: &mut UdpPort, count: usize) -> Vec<(Path, Buf)> {
    let mut packets = Vec::new();
    while packets.len() < count && readable(port, 2) {
        port.recv_batch(&mut alloc, &mut packets).unwrap();
    }
    packets
}

fn send(port: &mut UdpPort, path: Path, packets: &[Vec<u8>]) {
    let sent = port.send_batch(packets.iter().map(|packet| (path, &packet[..]))).unwrap();
    assert_eq!((sent.done, sent.blocked), (packets.len(), false));
}

/// Packets that tell their number, as long as `length` says.
fn numbered(count: u32, length: impl Fn(u32) -> usize) -> Vec<Vec<u8>> {
    let packet = |number: u32| {
        let mut packet = vec![0; length(number)];
        packet[..4].copy_from_slice(&number.to_be_bytes());
        packet
    };
    (0..count).map(packet).collect()
}

fn contents(packets: &[(Path, Buf)]) -> Vec<Vec<u8>> {
    packets.iter().map(|(_, buf)| buf.to_vec()).collect()
}

/// A client that is connected to one address takes replies from no other.
fn replies_leave_from(gateway: &Space, client: &Space, bind: &str, dialled: &[&str], from: &str) {
    let mut port = port(gateway, bind);
    for dialled in dialled {
        let peer = in_namespace(&client.namespace(), || UdpSocket::bind(from)).unwrap().unwrap();
        peer.connect(dialled).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        peer.send(b"hello").unwrap();

        let packets = receive(&mut port, 1);
        let (path, buf) = packets.first().unwrap();
        assert_eq!(path.local, address(dialled));
        assert_eq!(path.remote, peer.local_addr().unwrap());
        assert_eq!(&buf[..], b"hello");

        send(&mut port, *path, &[b"reply".to_vec()]);
        let mut reply = [0; 16];
        let length = peer.recv(&mut reply).unwrap();
        assert_eq!(&reply[..length], b"reply");
    }
}

#[test]
fn replies_leave_from_the_ipv4_address_that_was_dialled() {
    let (gateway, client) = Space::pair();
    gateway.ip("address add 10.9.0.11/24 dev veth0");
    gateway.ip("address add 10.9.0.12/32 dev lo");
    client.ip("route add 10.9.0.12/32 via 10.9.0.1");
    let dialled = ["10.9.0.1:4500", "10.9.0.11:4500", "10.9.0.12:4500"];
    replies_leave_from(&gateway, &client, "0.0.0.0:4500", &dialled, "10.9.0.2:0");
}

#[test]
fn replies_leave_from_the_ipv6_address_that_was_dialled() {
    let (gateway, client) = Space::pair();
    gateway.ip("address add fd09::11/64 dev veth0 nodad");
    let dialled = ["[fd09::1]:4500", "[fd09::11]:4500"];
    replies_leave_from(&gateway, &client, "[::]:4500", &dialled, "[fd09::2]:0");
}

#[test]
fn both_ip_versions_bind_the_same_port() {
    let space = Space::new("both");
    let v4 = port(&space, "0.0.0.0:500");
    let v6 = port(&space, "[::]:500");
    assert_eq!((v4.local(), v6.local()), (address("0.0.0.0:500"), address("[::]:500")));
}

#[test]
fn a_batch_arrives_whole_and_in_order_as_few_messages() {
    let (left, right) = Space::pair();
    for (from, to) in [("10.9.0.1:4500", "10.9.0.2:4500"), ("[fd09::1]:4500", "[fd09::2]:4500")] {
        let (mut sender, mut receiver) = (port(&left, from), port(&right, to));
        let packets = numbered(200, |number| if number % 70 == 69 { 500 } else { 1400 });
        send(&mut sender, Path::new(address(from), address(to)), &packets);
        assert_eq!(contents(&receive(&mut receiver, 200)), packets);
        assert_eq!(sender.stats().sent, 200);
        assert!(sender.stats().segmented >= 4, "{:?}", sender.stats());
        assert_eq!(sender.stats().segmentation_refused, 0);
        assert_eq!(receiver.stats().received, 200);
    }
}

#[test]
fn a_batch_for_many_peers_reaches_each_of_them() {
    let (left, right) = Space::pair();
    let mut sender = port(&left, "10.9.0.1:4500");
    let mut receivers: Vec<UdpPort> = (0..40).map(|_| port(&right, "10.9.0.2:0")).collect();
    let packets = numbered(120, |number| 100 + number as usize);
    let paths = receivers.iter().map(|to| Path::new(sender.local(), to.local())).cycle();
    let paths: Vec<Path> = paths.take(packets.len()).collect();
    let batch = paths.iter().zip(&packets).map(|(path, packet)| (*path, &packet[..]));
    assert_eq!(sender.send_batch(batch).unwrap().done, 120);
    for (index, receiver) in receivers.iter_mut().enumerate() {
        let expected = [&packets[index], &packets[index + 40], &packets[index + 80]];
        assert_eq!(contents(&receive(receiver, 3)), expected.map(Clone::clone));
    }
}

#[test]
fn a_datagram_longer_than_the_link_takes_is_fragmented() {
    let (left, right) = Space::pair();
    for (from, to) in [("10.9.0.1:500", "10.9.0.2:500"), ("[fd09::1]:500", "[fd09::2]:500")] {
        let (mut sender, mut receiver) = (port(&left, from), port(&right, to));
        let packets = numbered(1, |_| 9000);
        send(&mut sender, Path::new(address(from), address(to)), &packets);
        assert_eq!(contents(&receive(&mut receiver, 1)), packets);
    }
}

#[test]
fn packets_the_kernel_will_not_segment_go_one_by_one() {
    let (left, right) = Space::pair();
    let (mut sender, mut receiver) = (port(&left, "10.9.0.1:500"), port(&right, "10.9.0.2:500"));
    let path = Path::new(sender.local(), receiver.local());
    let packets = numbered(5, |_| 3000);
    send(&mut sender, path, &packets);
    assert_eq!(contents(&receive(&mut receiver, 5)), packets);
    assert_eq!(sender.stats().segmentation_refused, 1);

    let small = numbered(5, |_| 300);
    send(&mut sender, path, &small);
    assert_eq!(contents(&receive(&mut receiver, 5)), small);
    assert_eq!(sender.stats().segmented, 1, "one refusal does not end segmentation");
}

#[test]
fn a_packet_that_cannot_go_is_counted_and_the_rest_goes() {
    let (left, right) = Space::pair();
    left.run("nft", &["add table ip t"]);
    left.run("nft", &["add chain ip t out { type filter hook output priority 0; }"]);
    left.run("nft", &["add rule ip t out udp dport 9 drop"]);
    let (mut sender, mut receiver) = (port(&left, "0.0.0.0:500"), port(&right, "10.9.0.2:500"));
    let remotes = ["10.9.0.2:500", "192.0.2.1:500", "10.9.0.2:9", "10.9.0.2:500"];
    let local = address("10.9.0.1:500");
    let batch = remotes.map(|remote| (Path::new(local, address(remote)), &b"packet"[..]));
    assert_eq!(sender.send_batch(batch).unwrap().done, 4);
    assert_eq!(receive(&mut receiver, 2).len(), 2);
    let stats = sender.stats();
    assert_eq!((stats.sent, stats.unreachable, stats.filtered), (2, 1, 1), "{stats:?}");
}

#[test]
fn a_closed_port_at_the_peer_disturbs_nothing() {
    let (left, right) = Space::pair();
    let (mut sender, mut receiver) = (port(&left, "10.9.0.1:500"), port(&right, "10.9.0.2:500"));
    let closed = Path::new(sender.local(), address("10.9.0.2:1"));
    let open = Path::new(sender.local(), receiver.local());
    for _ in 0..10 {
        send(&mut sender, closed, &[b"lost".to_vec()]);
        send(&mut sender, open, &[b"kept".to_vec()]);
        assert_eq!(receive(&mut receiver, 1).len(), 1);
        assert!(sender.recv_batch(&mut alloc, &mut Vec::new()).unwrap() == 0);
    }
}

#[test]
fn a_full_socket_says_how_far_it_got() {
    let (left, _right) = Space::pair();
    let options = SocketOptions { buffer_bytes: 8192, ..options(&left) };
    let mut sender = UdpPort::bind(address("10.9.0.1:500"), &options).unwrap();
    // Nobody has this address, so packets wait for its link address and hold the socket's buffer.
    let path = Path::new(sender.local(), address("10.9.0.77:500"));
    let packet = vec![0; 1000];
    let sent = sender.send_batch((0..100).map(|_| (path, &packet[..]))).unwrap();
    assert!(sent.blocked && sent.done < 100, "{sent:?}");
    assert_eq!(sender.stats().blocked, 1);
    assert_eq!(sender.stats().sent, sent.done as u64);
}

#[test]
fn a_port_is_shared_only_on_request() {
    let space = Space::new("share");
    let shared = SocketOptions { sharing: Sharing::ByFlow, ..options(&space) };
    let _first = UdpPort::bind(address("0.0.0.0:4500"), &shared).unwrap();
    let _second = UdpPort::bind(address("0.0.0.0:4500"), &shared).unwrap();
    let error = UdpPort::bind(address("0.0.0.0:4500"), &options(&space)).unwrap_err().to_string();
    assert!(error.contains("UDP 0.0.0.0:4500") && error.contains("ss -ulpn"), "{error}");
}

#[test]
fn an_address_of_another_machine_is_refused_with_advice() {
    let space = Space::new("foreign");
    let error = UdpPort::bind(address("192.0.2.1:500"), &options(&space)).unwrap_err().to_string();
    assert!(error.contains("192.0.2.1:500") && error.contains("ip address"), "{error}");
}

#[test]
fn what_is_opened_in_a_namespace_stays_in_it() {
    let (left, right) = Space::pair();
    let mut sender = port(&left, "10.9.0.1:0");
    let mut receiver = port(&right, "10.9.0.2:0");
    let path = Path::new(sender.local(), receiver.local());
    let worker = std::thread::spawn(move || send(&mut sender, path, &[b"far away".to_vec()]));
    worker.join().unwrap();
    assert_eq!(contents(&receive(&mut receiver, 1)), [b"far away".to_vec()]);
}

#[test]
fn without_the_capability_the_kernel_caps_the_buffers_and_the_port_opens() {
    let open = || UdpPort::bind(address("127.0.0.1:0"), &SocketOptions::default());
    without(CapabilitySet::NET_ADMIN, open).unwrap();
}

#[test]
fn a_namespace_that_may_not_be_entered_is_an_error() {
    let space = Space::new("closed");
    let open = || UdpPort::bind(address("0.0.0.0:500"), &options(&space));
    let error = without(CapabilitySet::SYS_ADMIN, open).unwrap_err().to_string();
    assert!(error.contains("cannot enter") && error.contains("CAP_SYS_ADMIN"), "{error}");
}
