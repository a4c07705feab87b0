//! Two ends, what connects them, and the packets between.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use isthmus_core::{Buf, Encap, Instant, Key, Path};
use isthmus_crypto::{EspKeys, EspSuite};
use isthmus_esp::{Lifetime, SaParams};
use isthmus_wire::Checksum;
use isthmus_wire::ip::Ip;

use crate::{
    Command, Counters, DropReason, InstallInbound, InstallOutbound, Outputs, Plane, Port, Rates,
    Report, Rx, SessionParams, TunId, Tx,
};

/// The TUN device of every test.
pub(crate) const TUN: TunId = TunId(7);
/// The gateway's inner address.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// A server behind the gateway.
pub(crate) const SERVER: &str = "172.16.0.9";

/// The key of a slot.
pub(crate) fn key(slot: u32) -> Key {
    Key::from_raw(1 << 20 | slot)
}

/// A pipeline with its queues and clock.
pub(crate) struct End {
    pub(crate) plane: Plane,
    pub(crate) out: Outputs,
    pub(crate) now: Instant,
}

impl End {
    pub(crate) fn new(seed: u8) -> Self {
        let plane = Plane::new(isthmus_crypto_aws::provider(), [seed; 32]);
        Self { plane, out: Outputs::new(), now: Instant::from_secs(1000) }
    }

    pub(crate) fn apply(&mut self, command: Command) {
        self.plane.apply(command, &mut self.out, self.now);
    }

    pub(crate) fn net(&mut self, mut batch: Vec<Rx>) {
        self.plane.handle_net(&mut batch, &mut self.out, self.now);
        assert!(batch.is_empty());
    }

    pub(crate) fn tun<P: AsRef<[u8]>>(&mut self, packets: &[P]) {
        let mut batch = packets.iter().map(|packet| Buf::copy_of(packet.as_ref())).collect();
        self.plane.handle_tun(TUN, &mut batch, &mut self.out, self.now);
        assert!(batch.is_empty());
    }

    /// Takes what was sent to the network.
    pub(crate) fn sent(&mut self) -> Vec<Tx> {
        core::mem::take(&mut self.out.net)
    }

    /// Takes what was sent to the TUN device.
    pub(crate) fn delivered(&mut self) -> Vec<Vec<u8>> {
        let tun = core::mem::take(&mut self.out.tun);
        assert!(tun.iter().all(|(device, _)| *device == TUN.into()));
        tun.iter().map(|(_, buf)| buf.to_vec()).collect()
    }

    /// Takes the reports.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        core::mem::take(&mut self.out.reports)
    }

    /// Takes the L2TP packets among the reports, with the peer; others are dropped.
    pub(crate) fn l2tp(&mut self) -> Vec<(Key, Vec<u8>)> {
        let l2tp = |report| {
            if let Report::L2tp { peer, bytes, .. } = report { Some((peer, bytes)) } else { None }
        };
        self.reports().into_iter().filter_map(l2tp).collect()
    }

    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.plane.stats().drops.of(reason)
    }

    /// Asserts that nothing was dropped for any reason.
    pub(crate) fn dropped_nothing(&self) {
        let drops: Vec<_> = self.plane.stats().drops.iter().filter(|(_, n)| *n != 0).collect();
        assert_eq!(drops, []);
    }

    pub(crate) fn counters(&mut self) -> Counters {
        self.apply(Command::ReadCounters { token: 99, each: true });
        match self.reports().pop() {
            Some(Report::Counters(counters)) => *counters,
            other => panic!("no counters but {other:?}"),
        }
    }
}

/// One client's connection: its SAs, its session and its addresses.
#[derive(Clone)]
pub(crate) struct Link {
    /// Slot of peer, session and first SPI at the gateway.
    pub(crate) slot: u32,
    pub(crate) suite: EspSuite,
    pub(crate) encap: Encap,
    pub(crate) lifetime: Lifetime,
    /// How the gateway sees it: the remote address may be that of a NAT.
    pub(crate) at_gateway: Path,
    pub(crate) at_client: Path,
    /// The client's inner addresses.
    pub(crate) inner_v4: Ipv4Addr,
    pub(crate) inner_v6: &'static str,
}

impl Link {
    /// The connection of the client in this slot, behind a NAT that gives each another port.
    pub(crate) fn new(slot: u32) -> Self {
        let gateway: SocketAddr = "192.0.2.1:4500".parse().unwrap();
        let mut nat: SocketAddr = "198.51.100.9:0".parse().unwrap();
        nat.set_port(40_000 + u16::try_from(slot).unwrap());
        let client: SocketAddr = "192.168.1.5:4500".parse().unwrap();
        let last = u8::try_from(slot + 1).unwrap();
        Self {
            slot,
            suite: EspSuite::Aes256CbcSha1,
            encap: Encap::Udp,
            lifetime: Lifetime::UNLIMITED,
            at_gateway: Path::new(gateway, nat),
            at_client: Path::new(client, gateway),
            inner_v4: Ipv4Addr::new(10, 0, 0, last),
            inner_v6: "2001:db8:7::2",
        }
    }

    pub(crate) fn peer(&self) -> Key {
        key(self.slot)
    }

    pub(crate) fn session(&self) -> Key {
        key(self.slot)
    }

    /// The SPI of an SA, `age` counting rekeyings; a fresh key for each.
    pub(crate) fn spi(&self, age: u32) -> u32 {
        key(self.slot + age * 1000).raw()
    }

    fn sa(&self, spi: u32, direction: u8) -> SaParams {
        let [.., high, low] = spi.to_be_bytes();
        let keymat: Vec<u8> = (0..)
            .map(|n: u8| n.wrapping_mul(31) ^ high.wrapping_mul(7) ^ low ^ direction)
            .take(self.suite.keymat_len())
            .collect();
        let keys = EspKeys::from_keymat(self.suite, &keymat).unwrap();
        SaParams { spi, suite: self.suite, keys, esn: false, lifetime: self.lifetime }
    }

    pub(crate) fn gateway_inbound(&self, age: u32) -> InstallInbound {
        let params = self.sa(self.spi(age), 1);
        let sa = InstallInbound::fresh(self.peer(), params, self.at_gateway, self.encap);
        InstallInbound { local_port: 1701, ..sa }
    }

    pub(crate) fn gateway_outbound(&self, age: u32) -> InstallOutbound {
        let params = self.sa(self.spi(age), 2);
        InstallOutbound::fresh(self.peer(), params, self.at_gateway, self.encap)
    }

    /// The client uses the gateway's keys the other way round; the SPIs are the same for brevity.
    pub(crate) fn client_inbound(&self, age: u32) -> InstallInbound {
        let params = self.sa(self.spi(age), 2);
        InstallInbound::fresh(self.peer(), params, self.at_client, self.encap)
    }

    pub(crate) fn client_outbound(&self, age: u32) -> InstallOutbound {
        let params = self.sa(self.spi(age), 1);
        InstallOutbound::fresh(self.peer(), params, self.at_client, self.encap)
    }

    /// The gateway's side of the session. The ids are the same for every client.
    pub(crate) fn gateway_session(&self) -> SessionParams {
        let prefixes =
            vec![IpAddr::V4(self.inner_v4).into(), self.inner_v6.parse::<IpAddr>().unwrap().into()];
        SessionParams {
            session: self.session(),
            peer: self.peer().into(),
            local_tunnel: 11,
            local_session: 12,
            remote_tunnel: 21,
            remote_session: 22,
            local_port: 1701,
            remote_port: 1701,
            sequence: None,
            tun: TUN,
            sources: prefixes.clone(),
            destinations: prefixes,
            rates: Rates::default(),
            mtu: 1300,
            acfc: false,
            pfc: false,
            gateway_v4: Some(GATEWAY),
            ipv6_link: None,
            dhcp: true,
        }
    }

    /// The client's side: everything goes to the gateway and may come from it.
    pub(crate) fn client_session(&self) -> SessionParams {
        let all: Vec<_> = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).into();
        SessionParams {
            local_tunnel: 21,
            local_session: 22,
            remote_tunnel: 11,
            remote_session: 12,
            sources: all.clone(),
            destinations: all,
            gateway_v4: None,
            ipv6_link: None,
            dhcp: false,
            ..self.gateway_session()
        }
    }

    /// Installs SAs and opens the session at both ends.
    pub(crate) fn connect(&self, gateway: &mut End, client: &mut End) {
        self.install(0, gateway, client);
        gateway.apply(Command::OpenSession(self.gateway_session()));
        client.apply(Command::OpenSession(self.client_session()));
    }

    /// Installs a pair of SAs at both ends.
    pub(crate) fn install(&self, age: u32, gateway: &mut End, client: &mut End) {
        gateway.apply(Command::InstallInbound(self.gateway_inbound(age)));
        gateway.apply(Command::InstallOutbound(self.gateway_outbound(age)));
        client.apply(Command::InstallInbound(self.client_inbound(age)));
        client.apply(Command::InstallOutbound(self.client_outbound(age)));
    }

    /// What the network does to datagrams of the client.
    pub(crate) fn to_gateway(&self, sent: Vec<Tx>) -> Vec<Rx> {
        let carry = |tx: Tx| {
            assert_eq!(tx.path, self.at_client);
            Rx { path: self.at_gateway, port: tx.port, buf: copy(&tx.buf) }
        };
        sent.into_iter().map(carry).collect()
    }

    /// What the network does to datagrams of the gateway; those to others stay.
    pub(crate) fn to_client(&self, sent: &mut Vec<Tx>) -> Vec<Rx> {
        let ours = sent.extract_if(.., |tx| tx.path == self.at_gateway);
        ours.map(|tx| Rx { path: self.at_client, port: tx.port, buf: copy(&tx.buf) }).collect()
    }
}

/// A buffer fresh from a socket.
fn copy(bytes: &[u8]) -> Buf {
    Buf::copy_of(bytes)
}

/// The same datagram once more.
pub(crate) fn again(rx: &Rx) -> Rx {
    Rx { path: rx.path, port: rx.port, buf: copy(&rx.buf) }
}

/// Two connected ends.
pub(crate) fn connected(link: &Link) -> (End, End) {
    let (mut gateway, mut client) = (End::new(1), End::new(2));
    link.connect(&mut gateway, &mut client);
    (gateway, client)
}

/// Sends packets from the client's TUN device and delivers them to the gateway.
pub(crate) fn up<P: AsRef<[u8]>>(link: &Link, packets: &[P], client: &mut End, gateway: &mut End) {
    client.tun(packets);
    let sent = client.sent();
    gateway.net(link.to_gateway(sent));
}

/// Sends packets from the gateway's TUN device and delivers them to the client.
pub(crate) fn down<P: AsRef<[u8]>>(
    link: &Link,
    packets: &[P],
    gateway: &mut End,
    client: &mut End,
) {
    gateway.tun(packets);
    let mut sent = gateway.sent();
    client.net(link.to_client(&mut sent));
    assert!(sent.is_empty(), "sent to someone else");
}

/// What the client sends in a data message: the bytes of a PPP frame, to its session.
pub(crate) fn frame_up(link: &Link, frame: &[u8], client: &mut End) -> Vec<Rx> {
    l2tp_up(link, 1701, &[&[0, 2, 0, 11, 0, 12], frame].concat(), client)
}

/// What the client sends in UDP to this port: any bytes.
pub(crate) fn l2tp_up(link: &Link, port: u16, bytes: &[u8], client: &mut End) -> Vec<Rx> {
    let (peer, bytes) = (link.peer(), bytes.to_vec());
    client.apply(Command::SendL2tp { peer, local_port: 1701, remote_port: port, bytes });
    link.to_gateway(client.sent())
}

/// A datagram to a port from the gateway's network.
pub(crate) fn rx(link: &Link, port: Port, bytes: &[u8]) -> Rx {
    Rx { path: link.at_gateway, port, buf: copy(bytes) }
}

/// A UDP packet of `len` bytes with DF set.
pub(crate) fn udp(source: &str, destination: &str, len: usize) -> Vec<u8> {
    let mut packet = packet(source, destination, 17, len);
    let at = header_len(&packet);
    let udp_len = u16::try_from(packet.len() - at).unwrap();
    packet[at..at + 4].copy_from_slice(&[0x30, 0x39, 0, 53]);
    packet[at + 4..at + 6].copy_from_slice(&udp_len.to_be_bytes());
    packet
}

/// A UDP packet to this port.
pub(crate) fn udp_to_port(source: &str, destination: &str, port: u16) -> Vec<u8> {
    let mut packet = udp(source, destination, 300);
    let at = header_len(&packet);
    packet[at + 2..at + 4].copy_from_slice(&port.to_be_bytes());
    packet
}

/// A SYN with an MSS option and a right checksum.
pub(crate) fn syn(source: &str, destination: &str, mss: u16) -> Vec<u8> {
    let v6 = source.contains(':');
    let mut packet = packet(source, destination, 6, if v6 { 64 } else { 44 });
    let at = header_len(&packet);
    packet[at..].fill(0);
    packet[at + 12] = 0x60;
    packet[at + 13] = 2;
    packet[at + 20..at + 22].copy_from_slice(&[2, 4]);
    packet[at + 22..at + 24].copy_from_slice(&mss.to_be_bytes());
    let sum = tcp_sum(&packet).finish();
    packet[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The MSS of a SYN made by [`syn`], whose checksum must be right.
pub(crate) fn mss_of(packet: &[u8]) -> u16 {
    assert!(tcp_sum(packet).is_valid());
    let at = header_len(packet) + 22;
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

fn tcp_sum(packet: &[u8]) -> Checksum {
    match Ip::new(packet).unwrap() {
        Ip::V4(ip) => {
            Checksum::new().pseudo_v4(ip.source(), ip.destination(), 6, 24).bytes(ip.payload())
        }
        Ip::V6(ip) => {
            Checksum::new().pseudo_v6(ip.source(), ip.destination(), 6, 24).bytes(ip.payload())
        }
    }
}

fn header_len(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { 20 } else { 40 }
}

fn packet(source: &str, destination: &str, protocol: u8, len: usize) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..=255).cycle().take(len).collect();
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let len = u16::try_from(len).unwrap().to_be_bytes();
            packet[..2].copy_from_slice(&[0x45, 0]);
            packet[2..4].copy_from_slice(&len);
            packet[4..12].copy_from_slice(&[0x12, 0x34, 0x40, 0, 64, protocol, 0, 0]);
            packet[12..16].copy_from_slice(&from.octets());
            packet[16..20].copy_from_slice(&to.octets());
            let sum = isthmus_wire::checksum::checksum(&packet[..20]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let len = u16::try_from(len - 40).unwrap().to_be_bytes();
            packet[..8].copy_from_slice(&[0x60, 0, 0, 0, len[0], len[1], protocol, 64]);
            packet[8..24].copy_from_slice(&from.octets());
            packet[24..40].copy_from_slice(&to.octets());
        }
        mixed => panic!("two IP versions: {mixed:?}"),
    }
    packet
}

/// The same packet with DF clear.
pub(crate) fn may_fragment(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] = 0;
    packet[10..12].fill(0);
    let sum = isthmus_wire::checksum::checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}
