//! A gateway and a client with one session between them, for the tests and benchmarks that watch the
//! pipeline from outside.

use std::net::Ipv4Addr;

use isthmus_core::{Buf, Encap, Instant, Key, Path};
use isthmus_crypto::{EspKeys, EspSuite};
use isthmus_esp::{Lifetime, SaParams};
use isthmus_plane::{
    Command, InstallInbound, InstallOutbound, Outputs, Plane, Port, Rates, Rx, SessionParams,
    TunId, Tx,
};

/// The TUN device of both ends.
pub(crate) const TUN: TunId = TunId(1);
/// Our only moment.
pub(crate) const NOW: Instant = Instant::from_secs(1);
/// The SPI in both directions.
pub(crate) const SPI: u32 = 1 << 20 | 3;

/// A pipeline and its queues.
pub(crate) struct End {
    /// The pipeline.
    pub(crate) plane: Plane,
    /// Its queues.
    pub(crate) out: Outputs,
}

impl End {
    /// Makes an end that takes with the keys of one direction and sends with those of the other.
    fn new(suite: EspSuite, [takes, sends]: [u8; 2], all: bool, rates: Rates) -> Self {
        let peer = Key::from_raw(1 << 20);
        let outbound =
            InstallOutbound::fresh(peer, params(suite, sends), path(takes, sends), Encap::Udp);
        let mut plane = Plane::new(isthmus_crypto_aws::provider(), [sends; 32]);
        let mut out = Outputs::new();
        plane.apply(Command::InstallInbound(inbound(suite, takes, sends)), &mut out, NOW);
        plane.apply(Command::InstallOutbound(outbound), &mut out, NOW);
        let prefix = if all { "0.0.0.0/0" } else { "10.0.0.2/32" };
        let prefixes: Vec<_> = prefix.parse().into_iter().collect();
        let session = SessionParams {
            session: peer,
            peer: peer.into(),
            local_tunnel: takes.into(),
            local_session: takes.into(),
            remote_tunnel: sends.into(),
            remote_session: sends.into(),
            local_port: 1701,
            remote_port: 1701,
            sequence: None,
            tun: TUN,
            sources: prefixes.clone(),
            destinations: prefixes,
            rates,
            mtu: 1400,
            acfc: false,
            pfc: false,
            gateway_v4: None,
            ipv6_link: None,
            dhcp: false,
        };
        plane.apply(Command::OpenSession(session), &mut out, NOW);
        Self { plane, out }
    }
}

/// The SA that an end takes packets with.
pub(crate) fn inbound(suite: EspSuite, takes: u8, sends: u8) -> InstallInbound {
    let peer = Key::from_raw(1 << 20);
    InstallInbound::fresh(peer, params(suite, takes), path(takes, sends), Encap::Udp)
}

fn path(local: u8, remote: u8) -> Path {
    let address = |last| (Ipv4Addr::new(192, 0, 2, last), 4500).into();
    Path::new(address(local), address(remote))
}

/// A gateway and a client.
pub(crate) fn connected(suite: EspSuite, rates: Rates) -> (End, End) {
    (End::new(suite, [1, 2], false, rates), End::new(suite, [2, 1], true, Rates::default()))
}

/// The SA of one direction.
pub(crate) fn params(suite: EspSuite, direction: u8) -> SaParams {
    let keymat: Vec<u8> = (direction..).take(suite.keymat_len()).collect();
    let keys = EspKeys::from_keymat(suite, &keymat).expect("the right length");
    SaParams { spi: SPI, suite, keys, esn: false, lifetime: Lifetime::UNLIMITED }
}

/// A UDP packet of this length from the client, or to it.
pub(crate) fn packet(len: usize, from_client: bool) -> Vec<u8> {
    let (client, server) = ([10, 0, 0, 2], [172, 16, 0, 9]);
    let (from, to) = if from_client { (client, server) } else { (server, client) };
    let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet.extend([from, to].concat());
    packet.resize(len, 0x5a);
    packet
}

/// Moves the datagrams of one end to the other, as fresh as from a socket.
pub(crate) fn carry(sent: &mut Vec<Tx>, batch: &mut Vec<Rx>) {
    for tx in sent.drain(..) {
        let path = Path::new(tx.path.remote, tx.path.local);
        batch.push(Rx { path, port: Port::NatT, buf: tx.buf });
    }
}

/// Fills a buffer from the free ones, or a new one.
pub(crate) fn fill(free: &mut Vec<Buf>, bytes: &[u8]) -> Buf {
    let mut buf = free.pop().unwrap_or_else(|| Buf::with_capacity(2048));
    buf.clear();
    assert!(buf.set_len(bytes.len()), "large enough");
    buf.copy_from_slice(bytes);
    buf
}
