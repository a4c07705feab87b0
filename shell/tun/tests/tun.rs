//! TUN devices on the real kernel, in a network namespace of their own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use isthmus_core::{Buf, Path};
use isthmus_net::{Namespace, SocketOptions, UdpPort, in_namespace};
use isthmus_tun::{Cutter, TunConfig, TunDevice, TunError};
use support::{CapabilitySet, Space, readable, without};

fn tun(space: &Space, name: &str) -> TunDevice {
    TunDevice::create(&config(space, name)).unwrap()
}

fn config(space: &Space, name: &str) -> TunConfig {
    TunConfig {
        name: name.to_owned(),
        mtu: 1400,
        namespace: Some(space.namespace()),
        offload: false,
    }
}

/// A namespace with a device that has 10.7.0.1 and `fd07::1`.
fn addressed() -> (Space, TunDevice) {
    let space = Space::new("tun");
    let device = tun(&space, "gate0");
    space.ip("address add 10.7.0.1/24 dev gate0");
    space.ip("address add fd07::1/64 dev gate0 nodad");
    (space, device)
}

fn alloc() -> Buf {
    Buf::with_capacity(2048)
}

/// Receives IP packets of `version` until `count` are there or none comes for two seconds.
fn receive(device: &mut TunDevice, version: u8, count: usize) -> Vec<Buf> {
    let mut packets = Vec::new();
    while packets.len() < count && readable(device, 2) {
        device.recv_batch(&mut Cutter::new(), &mut alloc, &mut packets).unwrap();
        packets.retain(|packet| packet[0] >> 4 == version);
    }
    packets
}

/// Makes an echo request its reply: `kind` is where its type stands, `addresses` where both addresses are.
fn answer(packet: &mut [u8], kind: usize, reply: u8, addresses: std::ops::Range<usize>) {
    let size = addresses.len() / 2;
    packet[addresses].rotate_left(size);
    // RFC 1624: HC' = ~(~HC + ~m + m'), m being the word of the type.
    let word = |at: usize, packet: &[u8]| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let (checksum, old) = (word(kind + 2, packet), word(kind, packet));
    packet[kind] = reply;
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(word(kind, packet));
    let sum = (sum & 0xffff) + (sum >> 16);
    let folded = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[kind + 2..kind + 4].copy_from_slice(&folded.to_be_bytes());
}

/// Answers the requests that `reply` turns into replies until it ends, and demands its success.
fn ping_succeeds(mut ping: Child, device: &mut TunDevice, reply: impl Fn(&mut [u8]) -> bool) {
    let status = loop {
        if let Some(status) = ping.try_wait().unwrap() {
            break status;
        }
        if !readable(device, 1) {
            continue;
        }
        let mut packets = Vec::new();
        device.recv_batch(&mut Cutter::new(), &mut alloc, &mut packets).unwrap();
        packets.retain_mut(|packet| reply(packet));
        device.send_batch(&packets, |packet| packet).unwrap();
    };
    assert!(status.success());
}

#[test]
fn a_ping_over_ipv4_goes_through_the_kernel_and_back() {
    let (space, mut device) = addressed();
    let arguments = ["-c", "3", "-i", "0.1", "-W", "5", "-s", "1372", "10.7.0.9"];
    let ping = space.command("ping", &arguments).stdout(Stdio::null()).spawn().unwrap();
    ping_succeeds(ping, &mut device, |packet| {
        let request = packet[0] == 0x45 && packet[9] == 1 && packet[20] == 8;
        if request {
            assert_eq!(packet.len(), 1400, "as long as the MTU");
            answer(packet, 20, 0, 12..20);
        }
        request
    });
    assert!(device.stats().sent >= 3 && device.stats().received >= 3);
}

#[test]
fn a_ping_over_ipv6_goes_through_the_kernel_and_back() {
    let (space, mut device) = addressed();
    let arguments = ["-6", "-c", "3", "-i", "0.1", "-W", "5", "fd07::9"];
    let ping = space.command("ping", &arguments).stdout(Stdio::null()).spawn().unwrap();
    ping_succeeds(ping, &mut device, |packet| {
        let request = packet[0] >> 4 == 6 && packet[6] == 58 && packet[40] == 128;
        if request {
            answer(packet, 40, 129, 8..40);
        }
        request
    });
}

/// A UDP packet to 10.7.0.1 port 7000 without checksum.
fn udp(number: u16) -> Vec<u8> {
    let mut packet = vec![0; 128];
    packet[..4].copy_from_slice(&[0x45, 0, 0, 128]);
    packet[8..10].copy_from_slice(&[64, 17]);
    packet[12..20].copy_from_slice(&[10, 7, 0, 9, 10, 7, 0, 1]);
    let sum: u32 =
        packet[..20].chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[20..26].copy_from_slice(&[0x1b, 0x58, 0x1b, 0x58, 0, 108]);
    packet[28..30].copy_from_slice(&number.to_be_bytes());
    packet
}

fn socket(space: &Space) -> UdpSocket {
    let socket = in_namespace(&space.namespace(), || UdpSocket::bind("10.7.0.1:7000"));
    let socket = socket.unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn numbers(socket: &UdpSocket, count: usize) -> Vec<u16> {
    let mut bytes = [0; 200];
    let mut next = || {
        assert_eq!(socket.recv(&mut bytes).unwrap(), 100);
        u16::from_be_bytes([bytes[0], bytes[1]])
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn a_batch_enters_the_kernel_in_order() {
    let (space, mut device) = addressed();
    let socket = socket(&space);
    let packets: Vec<Vec<u8>> = (0..60).map(udp).collect();
    let sent = device.send_batch(&packets, |packet| packet).unwrap();
    assert_eq!((sent.done, sent.blocked), (60, false));
    assert_eq!(numbers(&socket, 60), (0..60).collect::<Vec<u16>>());
}

#[test]
fn batches_leave_the_kernel_in_order_and_are_bounded() {
    let (space, mut device) = addressed();
    let socket = socket(&space);
    for number in 0..400_u16 {
        socket.send_to(&number.to_be_bytes(), "10.7.0.9:9").unwrap();
    }
    let mut first = Vec::new();
    assert_eq!(
        device.recv_batch(&mut Cutter::new(), &mut alloc, &mut first).unwrap(),
        TunDevice::BATCH_MAX
    );
    first.retain(|packet| packet[0] >> 4 == 4);
    let rest = receive(&mut device, 4, 400 - first.len());
    let order: Vec<u16> = first
        .iter()
        .chain(&rest)
        .map(|packet| u16::from_be_bytes([packet[28], packet[29]]))
        .collect();
    assert_eq!(order, (0..400).collect::<Vec<u16>>());
    assert!(first.iter().all(|packet| packet.headroom() == Buf::HEADROOM));
}

#[test]
fn a_buffer_too_small_for_the_mtu_is_replaced() {
    let (space, mut device) = addressed();
    let socket = socket(&space);
    socket.send_to(&[7; 1300], "10.7.0.9:9").unwrap();
    let mut packets = Vec::new();
    while packets.is_empty() && readable(&device, 2) {
        device
            .recv_batch(&mut Cutter::new(), &mut || Buf::with_capacity(100), &mut packets)
            .unwrap();
        packets.retain(|packet| packet[0] >> 4 == 4);
    }
    assert_eq!(packets[0].len(), 1328);
}

#[test]
fn an_mtu_that_is_raised_lets_longer_packets_through() {
    let (space, mut device) = addressed();
    space.ip(&format!("link set {} mtu 1500", device.name()));
    let socket = socket(&space);
    socket.send_to(&[7; 1472], "10.7.0.9:9").unwrap();
    let mut packets = Vec::new();
    while packets.is_empty() && readable(&device, 2) {
        device
            .recv_batch(&mut Cutter::new(), &mut || Buf::with_capacity(100), &mut packets)
            .unwrap();
        packets.retain(|packet| packet[0] >> 4 == 4);
    }
    assert_eq!(packets[0].len(), 1500);
}

#[test]
fn what_is_no_ip_packet_is_counted_and_the_rest_goes() {
    let (space, mut device) = addressed();
    let socket = socket(&space);
    let (good, bad) = (udp(1), vec![0xff; 60]);
    let sent = device.send_batch(&[&good[..], &bad, &[], &good], |packet| packet).unwrap();
    assert_eq!((sent.done, sent.blocked), (4, false));
    assert_eq!(numbers(&socket, 2), [1, 1]);
    assert_eq!((device.stats().sent, device.stats().refused), (2, 2), "{:?}", device.stats());
}

#[test]
fn a_device_that_is_down_loses_packets_and_comes_back() {
    let (space, mut device) = addressed();
    let socket = socket(&space);
    let packet = udp(3);
    space.ip("link set gate0 down");
    assert_eq!(device.send_batch(&[&packet[..]], |packet| packet).unwrap().done, 1);
    assert_eq!(device.stats().down, 1);
    space.ip("link set gate0 up");
    assert_eq!(device.send_batch(&[&packet[..]], |packet| packet).unwrap().done, 1);
    assert_eq!(numbers(&socket, 1), [3]);
}

#[test]
fn a_device_deleted_by_another_is_an_error() {
    let (space, mut device) = addressed();
    space.ip("link delete gate0");
    assert!(device.recv_batch(&mut Cutter::new(), &mut alloc, &mut Vec::new()).is_err());
    assert!(device.send_batch(&[&udp(0)[..]], |packet| packet).is_err());
}

#[test]
fn the_interface_goes_with_the_value() {
    let space = Space::new("gone");
    let device = tun(&space, "gate0");
    let shown = space.ip("-o link show gate0");
    assert!(shown.contains("mtu 1400") && shown.contains("UP"), "{shown}");
    assert!(shown.starts_with(&format!("{}:", device.index())), "{shown}");
    drop(device);
    assert!(!space.ip("-o link show").contains("gate0"));
}

#[test]
fn a_pattern_takes_the_first_free_number() {
    let space = Space::new("pattern");
    let (first, second) = (tun(&space, "gate%d"), tun(&space, "gate%d"));
    assert_eq!((first.name(), second.name()), ("gate0", "gate1"));
}

#[test]
fn an_interface_of_that_name_is_left_alone() {
    let space = Space::new("taken");
    space.ip("tuntap add dev gate0 mode tun");
    let error = TunDevice::create(&config(&space, "gate0")).unwrap_err();
    assert!(matches!(error, TunError::Create { .. }));
    assert!(error.to_string().contains("ip link delete"), "{error}");
    assert!(space.ip("tuntap show").contains("gate0: tun persist"));
}

#[test]
fn a_missing_namespace_is_an_error() {
    let nowhere = Some(Namespace::new("isthmus-nowhere"));
    let config = TunConfig { namespace: nowhere, ..TunConfig::default() };
    assert!(matches!(TunDevice::create(&config), Err(TunError::Namespace(_))));
}

#[test]
fn without_the_capability_the_error_names_it() {
    let create = || TunDevice::create(&TunConfig::default());
    let error = without(CapabilitySet::NET_ADMIN, create).unwrap_err().to_string();
    assert!(error.contains("isthmus%d") && error.contains("CAP_NET_ADMIN"), "{error}");
}

/// Sums `bytes` as 16-bit words in ones' complement (RFC 1071).
fn sum(bytes: &[u8]) -> u32 {
    let word = |two: &[u8]| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0));
    bytes.chunks(2).map(word).fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    })
}

#[test]
fn a_run_of_udp_packets_is_cut_apart_and_summed() {
    let space = Space::new("run");
    let offload = TunConfig { offload: true, ..config(&space, "gate0") };
    let mut device = TunDevice::create(&offload).unwrap();
    space.ip("address add 10.7.0.1/24 dev gate0");
    space.ip("address add fd07::1/64 dev gate0 nodad");
    let versions = [
        (4, "10.7.0.1:7000", "10.7.0.9:7000", 12..20, 20),
        (6, "[fd07::1]:7000", "[fd07::9]:7000", 8..40, 40),
    ];
    for (version, local, remote, addresses, header) in versions {
        let options = SocketOptions { namespace: Some(space.namespace()), ..Default::default() };
        let mut port = UdpPort::bind(local.parse().unwrap(), &options).unwrap();
        let path = Path::new(local.parse().unwrap(), remote.parse().unwrap());
        let sent: Vec<Vec<u8>> =
            (0..100_u8).map(|number| vec![number; if number == 99 { 301 } else { 1000 }]).collect();
        port.send_batch(sent.iter().map(|packet| (path, &packet[..]))).unwrap();
        assert!(port.stats().segmented > 0);

        let packets = receive(&mut device, version, 100);
        assert_eq!(packets.len(), 100);
        for (packet, sent) in packets.iter().zip(&sent) {
            assert_eq!(packet[header + 8..], sent[..]);
            let udp = &packet[header..];
            let pseudo = sum(&packet[addresses.clone()]) + 17 + u32::try_from(udp.len()).unwrap();
            let total = sum(udp) + pseudo;
            assert_eq!((total & 0xffff) + (total >> 16), 0xffff, "the checksum");
        }
    }
    assert_eq!(device.stats().uncut, 0);
}

#[test]
fn datagrams_that_enter_joined_reach_a_socket_one_by_one() {
    let (near, far) = (Space::new("near"), Space::new("far"));
    let device = |space: &Space, host: u8| {
        let device = TunConfig { offload: true, ..config(space, "gate0") };
        let device = TunDevice::create(&device).unwrap();
        space.ip(&format!("address add 10.7.0.{host}/24 dev gate0"));
        device
    };
    let (mut left, mut right) = (device(&near, 9), device(&far, 1));
    let (options, receiver) = (near.namespace(), socket(&far));
    let options = SocketOptions { namespace: Some(options), ..Default::default() };
    let mut port = UdpPort::bind("10.7.0.9:7000".parse().unwrap(), &options).unwrap();
    let path = Path::new(port.local(), "10.7.0.1:7000".parse().unwrap());
    let sent: Vec<Vec<u8>> =
        (0..80_u16).map(|n| [&n.to_be_bytes()[..], &[0; 98]].concat()).collect();
    port.send_batch(sent.iter().map(|packet| (path, &packet[..]))).unwrap();
    let packets = receive(&mut left, 4, 80);
    let done = right.send_batch(&packets, |packet| packet).unwrap();
    assert_eq!((done.done, done.blocked), (80, false));
    assert_eq!(numbers(&receiver, 80), (0..80).collect::<Vec<u16>>());
    let stats = right.stats();
    assert_eq!((stats.sent, stats.joined, stats.long), (80, 80, 2), "64 and 16: {stats:?}");
}

/// Ends a pump, also when its test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Moves packets between two devices until told to stop.
fn pump(left: &mut TunDevice, right: &mut TunDevice, stop: &AtomicBool) {
    let mut packets = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        left.recv_batch(&mut Cutter::new(), &mut alloc, &mut packets).unwrap();
        assert!(packets.iter().all(|packet| packet.len() <= 1400));
        right.send_batch(&packets, |packet| packet).unwrap();
        packets.clear();
        right.recv_batch(&mut Cutter::new(), &mut alloc, &mut packets).unwrap();
        left.send_batch(&packets, |packet| packet).unwrap();
        packets.clear();
    }
}

#[test]
fn a_tcp_stream_arrives_whole_with_and_without_offload() {
    const BYTES: usize = 8 << 20;
    for offload in [false, true] {
        let (near, far) = (Space::new("near"), Space::new("far"));
        let device = |space: &Space, host: u8| {
            let device = TunConfig { offload, ..config(space, "gate0") };
            let device = TunDevice::create(&device).unwrap();
            space.ip(&format!("address add 10.7.0.{host}/24 dev gate0"));
            device
        };
        let (mut left, mut right) = (device(&near, 1), device(&far, 2));
        let listener = in_namespace(&far.namespace(), || TcpListener::bind("10.7.0.2:7000"));
        let listener = listener.unwrap().unwrap();
        let stop = AtomicBool::new(false);
        let data: Vec<u8> = (0..251).cycle().take(BYTES).collect();
        thread::scope(|scope| {
            scope.spawn(|| pump(&mut left, &mut right, &stop));
            scope.spawn(|| {
                let stream =
                    in_namespace(&near.namespace(), || TcpStream::connect("10.7.0.2:7000"));
                stream.unwrap().unwrap().write_all(&data).unwrap();
            });
            let _guard = StopOnDrop(&stop);
            assert!(readable(&listener, 20), "no connection");
            let mut received = Vec::new();
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.read_to_end(&mut received).unwrap();
            assert!(received == data, "{} bytes", received.len());
        });
        let (here, there) = (left.stats(), right.stats());
        assert_eq!(here.refused + there.refused, 0);
        assert_eq!(there.long > 0 && there.joined > 2 * there.long, offload, "{there:?}");
    }
}
