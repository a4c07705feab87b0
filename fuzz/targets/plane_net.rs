//! The pipeline and the network: what is not authentic changes nothing but counters and is not
//! answered; what is authentic gets through only from the session's own addresses.
#![no_main]

use isthmus_crypto::EspSuite;
use isthmus_fuzz::steps;
use isthmus_fuzz::tunnel::{INNER_V4, INNER_V6, LAC_INNER, Tunnel, lac_path, peer, spi};
use isthmus_plane::{Port, Report};
use isthmus_wire::ip::Ip;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&first, script)) = input.split_first() else { return };
    let mut tunnel = Tunnel::new(EspSuite::ALL[usize::from(first) % EspSuite::ALL.len()]);
    for step in steps(script) {
        match step.op % 11 {
            0 => stranger(&mut tunnel, Port::Esp, step.bytes.to_vec()),
            1 => stranger(&mut tunnel, Port::Ike, step.bytes.to_vec()),
            2 => stranger(&mut tunnel, Port::NatT, step.bytes.to_vec()),
            3 => {
                let bytes = [&spi().to_be_bytes(), step.bytes].concat();
                stranger(&mut tunnel, Port::NatT, bytes);
            }
            4 => authentic(&mut tunnel, 1701, step.bytes.to_vec()),
            5 => authentic(&mut tunnel, 1701, [&[0, 2, 0, 11, 0, 12], step.bytes].concat()),
            6 => {
                let header = [0, 2, 0, 11, 0, 12, 0xff, 3, 0, 0x21];
                authentic(&mut tunnel, 1701, [&header, step.bytes].concat());
            }
            7 => stranger(&mut tunnel, Port::L2tp, step.bytes.to_vec()),
            8 => lac(&mut tunnel, step.bytes.to_vec()),
            9 => {
                let [high, low, rest @ ..] = step.bytes else { continue };
                let header = [0x08, 2, 0, 11, 0, 12, *high, *low, 0, 0, 0xff, 3, 0, 0x21];
                lac(&mut tunnel, [&header, rest].concat());
            }
            _ => {
                let port = step.bytes.first_chunk().map_or(0, |port| u16::from_be_bytes(*port));
                authentic(&mut tunnel, port, step.bytes.to_vec());
            }
        }
    }
});

/// A datagram of someone without the keys.
fn stranger(tunnel: &mut Tunnel, port: Port, bytes: Vec<u8>) {
    let before = tunnel.gateway.plane.stats().clone();
    let rx = tunnel.to_gateway(port, &bytes);
    tunnel.gateway.net(vec![rx]);
    let gateway = &mut tunnel.gateway;
    assert!(gateway.out.net.is_empty() && gateway.delivered().is_empty());
    let stats = gateway.plane.stats();
    let counted =
        |stats: &isthmus_plane::Stats| stats.drops.total() + stats.ike_received + stats.keepalives;
    assert_eq!(counted(stats), counted(&before) + 1, "every datagram is counted once");
    for report in gateway.out.reports.drain(..) {
        let Report::Ike { marked, bytes: reported, .. } = report else { panic!("{report:?}") };
        let skip = if marked { 4 } else { 0 };
        assert_eq!(reported, bytes[skip..]);
    }
}

/// Bytes that a trusted LAC sends in the clear: they reach its own sessions, in order, or control.
fn lac(tunnel: &mut Tunnel, bytes: Vec<u8>) {
    tunnel.plain(&bytes);
    let gateway = &mut tunnel.gateway;
    assert!(gateway.out.net.is_empty(), "the pipeline answers nobody by itself");
    for packet in gateway.delivered() {
        assert_eq!(Ip::new(&packet).unwrap().source(), LAC_INNER);
    }
    for report in gateway.out.reports.drain(..) {
        match report {
            Report::PlainL2tp { path, .. } => assert_eq!(path, lac_path()),
            Report::LacAlive { lac, .. } => assert_eq!(lac.0, peer()),
            other => panic!("{other:?}"),
        }
    }
}

/// Bytes that the client puts into ESP.
fn authentic(tunnel: &mut Tunnel, port: u16, bytes: Vec<u8>) {
    tunnel.authentic(port, bytes.clone());
    let gateway = &mut tunnel.gateway;
    assert!(gateway.out.net.is_empty(), "the pipeline answers nobody by itself");
    for packet in gateway.delivered() {
        assert_eq!(port, 1701);
        match Ip::new(&packet).unwrap() {
            Ip::V4(ip) => assert_eq!(ip.source(), INNER_V4),
            Ip::V6(ip) => assert_eq!(ip.source(), INNER_V6),
        }
    }
    for report in gateway.out.reports.drain(..) {
        match report {
            Report::L2tp { peer: from, bytes: reported, .. } => {
                assert_eq!((from, port), (peer(), 1701));
                assert_eq!(reported, bytes);
            }
            Report::Alive { .. } | Report::SaUsed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
