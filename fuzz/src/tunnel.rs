//! Two pipelines, a gateway and a client, with one session between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use isthmus_core::{Buf, Encap, Instant, Key, Path};
use isthmus_crypto::{EspKeys, EspSuite};
use isthmus_esp::{Lifetime, SaParams};
use isthmus_l2tp::data::Header;
use isthmus_plane::{
    Command, InstallInbound, InstallOutbound, LacKey, Outputs, PeerRef, Plane, Port, Rates, Rx,
    SessionParams, TunId, Tx,
};
use isthmus_wire::ip::Ip;

/// The TUN device of both.
pub const TUN: TunId = TunId(7);
/// The client's inner addresses.
pub const INNER_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// See [`INNER_V4`].
pub const INNER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 2);
/// Longest inner packet to the client.
pub const MTU: u16 = 1300;

/// One pipeline with its queues and clock.
pub struct End {
    /// The pipeline.
    pub plane: Plane,
    /// Its queues.
    pub out: Outputs,
    /// Its clock.
    pub now: Instant,
}

/// Both ends; what the gateway sends arrives unless a target takes it.
pub struct Tunnel {
    /// Who is attacked.
    pub gateway: End,
    /// Who has the keys.
    pub client: End,
    /// How the gateway sees the client.
    pub at_gateway: Path,
    /// How the client sees the gateway.
    pub at_client: Path,
}

impl End {
    fn new(seed: u8) -> Self {
        let plane = Plane::new(isthmus_crypto_aws::provider(), [seed; 32]);
        Self { plane, out: Outputs::new(), now: Instant::from_secs(1000) }
    }

    /// Does a command.
    pub fn apply(&mut self, command: Command) {
        self.plane.apply(command, &mut self.out, self.now);
    }

    /// Takes datagrams.
    pub fn net(&mut self, mut batch: Vec<Rx>) {
        self.plane.handle_net(&mut batch, &mut self.out, self.now);
        assert!(batch.is_empty());
    }

    /// Takes inner packets.
    pub fn tun(&mut self, packets: &[Vec<u8>]) {
        let mut batch = packets.iter().map(|packet| Buf::copy_of(packet)).collect();
        self.plane.handle_tun(TUN, &mut batch, &mut self.out, self.now);
        assert!(batch.is_empty());
    }

    /// What it gave to the TUN device since the last time.
    pub fn delivered(&mut self) -> Vec<Vec<u8>> {
        let tun = std::mem::take(&mut self.out.tun);
        assert!(tun.iter().all(|(device, _)| *device == TUN.into()));
        tun.iter().map(|(_, buf)| buf.to_vec()).collect()
    }
}

impl Tunnel {
    /// A session that is open at both ends, with these algorithms.
    pub fn new(suite: EspSuite) -> Self {
        let address = |ip: [u8; 4], port| SocketAddr::from((ip, port));
        let gateway = address([192, 0, 2, 1], 4500);
        let mut tunnel = Self {
            gateway: End::new(1),
            client: End::new(2),
            at_gateway: Path::new(gateway, address([198, 51, 100, 9], 40_001)),
            at_client: Path::new(address([192, 168, 1, 5], 4500), gateway),
        };
        for (direction, up) in [(1, true), (2, false)] {
            let sa = params(suite, direction);
            let (from, to) = if up {
                ((&mut tunnel.client, tunnel.at_client), (&mut tunnel.gateway, tunnel.at_gateway))
            } else {
                ((&mut tunnel.gateway, tunnel.at_gateway), (&mut tunnel.client, tunnel.at_client))
            };
            let outbound = InstallOutbound::fresh(peer(), sa.clone(), from.1, Encap::Udp);
            let inbound = InstallInbound::fresh(peer(), sa, to.1, Encap::Udp);
            from.0.apply(Command::InstallOutbound(outbound));
            to.0.apply(Command::InstallInbound(InstallInbound { local_port: 1701, ..inbound }));
        }
        tunnel.gateway.apply(Command::OpenSession(gateway_session()));
        tunnel.client.apply(Command::OpenSession(client_session()));
        tunnel.trust_lac();
        tunnel
    }

    /// A LAC without IPsec that has the peer's key and ids, and a numbered session of its own.
    fn trust_lac(&mut self) {
        let (lac, path) = (LacKey(peer()), lac_path());
        self.gateway.apply(Command::TrustLacs { sources: vec![path.remote.ip().into()] });
        self.gateway.apply(Command::OpenLac { lac, path });
        let inner: Vec<IpNet> = vec![IpAddr::V4(LAC_INNER).into()];
        self.gateway.apply(Command::OpenSession(SessionParams {
            session: Key::from_raw(1 << 20 | 2),
            peer: PeerRef::Lac(lac),
            sequence: Some(0),
            sources: inner.clone(),
            destinations: inner,
            ..gateway_session()
        }));
    }

    /// A datagram of the LAC, in the clear; time passes after it.
    pub fn plain(&mut self, bytes: &[u8]) {
        let rx = Rx { path: lac_path(), port: Port::L2tp, buf: Buf::copy_of(bytes) };
        self.gateway.net(vec![rx]);
        let End { plane, out, now } = &mut self.gateway;
        *now += isthmus_core::Duration::from_millis(u64::from(bytes.last().copied().unwrap_or(0)));
        plane.handle_timeout(out, *now);
    }

    /// A datagram to the gateway as from the client's address.
    pub fn to_gateway(&self, port: Port, bytes: &[u8]) -> Rx {
        Rx { path: self.at_gateway, port, buf: Buf::copy_of(bytes) }
    }

    /// Sends any bytes in UDP from the client to this port of the gateway, authentic.
    pub fn authentic(&mut self, remote_port: u16, bytes: Vec<u8>) {
        self.client.apply(Command::SendL2tp { peer: peer(), local_port: 1701, remote_port, bytes });
        let sent = std::mem::take(&mut self.client.out.net);
        let batch = sent.iter().map(|tx| self.to_gateway(tx.port, &tx.buf)).collect();
        self.gateway.net(batch);
    }

    /// Carries what the gateway sent to the client and answers how many datagrams there were; every one
    /// must be ESP to the client, or plain L2TP to the LAC with a packet for the user behind it.
    pub fn carry(&mut self) -> usize {
        let sent = std::mem::take(&mut self.gateway.out.net);
        let (to_lac, to_client): (Vec<Tx>, Vec<Tx>) =
            sent.into_iter().partition(|tx| tx.port == Port::L2tp);
        for tx in &to_lac {
            assert_eq!(tx.path, lac_path());
            let (_, frame) = Header::read(&tx.buf).unwrap();
            let inner = tx.buf.get(frame).and_then(|frame| frame.strip_prefix(&[0xff, 3, 0, 0x21]));
            assert_eq!(Ip::new(inner.unwrap()).unwrap().destination(), LAC_INNER);
        }
        let carry = |tx: &Tx| {
            assert_eq!((tx.path, tx.port), (self.at_gateway, Port::NatT));
            assert!(tx.buf.starts_with(&spi().to_be_bytes()), "not ESP");
            Rx { path: self.at_client, port: tx.port, buf: Buf::copy_of(&tx.buf) }
        };
        let batch: Vec<Rx> = to_client.iter().map(carry).collect();
        let count = batch.len() + to_lac.len();
        self.client.net(batch);
        count
    }
}

/// Where the LAC is.
pub fn lac_path() -> Path {
    let address = |ip: [u8; 4]| SocketAddr::from((ip, 1701));
    Path::new(address([192, 0, 2, 1]), address([203, 0, 113, 7]))
}

/// The inner address behind the LAC.
pub const LAC_INNER: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 2);

/// The key of both peers.
pub fn peer() -> Key {
    Key::from_raw(1 << 20 | 1)
}

/// The SPI in both directions.
pub fn spi() -> u32 {
    peer().raw()
}

/// An SA in one direction.
pub fn params(suite: EspSuite, direction: u8) -> SaParams {
    // Keys of 3DES must differ from each other.
    let keymat: Vec<u8> = (direction..).take(suite.keymat_len()).collect();
    let keys = EspKeys::from_keymat(suite, &keymat).unwrap();
    SaParams { spi: spi(), suite, keys, esn: false, lifetime: Lifetime::UNLIMITED }
}

fn gateway_session() -> SessionParams {
    let inner: Vec<IpNet> = vec![IpAddr::V4(INNER_V4).into(), IpAddr::V6(INNER_V6).into()];
    SessionParams {
        session: peer(),
        peer: peer().into(),
        local_tunnel: 11,
        local_session: 12,
        remote_tunnel: 21,
        remote_session: 22,
        local_port: 1701,
        remote_port: 1701,
        sequence: None,
        tun: TUN,
        sources: inner.clone(),
        destinations: inner,
        rates: Rates::default(),
        mtu: MTU,
        acfc: false,
        pfc: false,
        gateway_v4: Some(Ipv4Addr::new(10, 0, 0, 1)),
        ipv6_link: None,
        dhcp: true,
    }
}

fn client_session() -> SessionParams {
    let all: Vec<IpNet> = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).into();
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
        ..gateway_session()
    }
}
