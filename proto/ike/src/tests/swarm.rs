//! Random weather: whatever is lost, doubled or delayed, both ends agree once it clears.

use core::net::SocketAddr;

use isthmus_core::{Duration, Encap, Path, Rng};
use isthmus_crypto::DhGroup;

use super::net::{Fate, Nat, Net};
use crate::*;

/// A net whose datagrams fare badly, in a way that follows from the seed.
fn storm(net: &mut Net, seed: u8) {
    let mut rng = Rng::new([seed; 32]);
    net.fate(move |_, _| match rng.below(10) {
        0 | 1 => Fate::Drop,
        2 => Fate::Duplicate,
        3 => Fate::Late,
        _ => Fate::Deliver,
    });
}

/// The client sends a packet on its newest child, and the server answers on its own.
fn traffic(net: &mut Net, peer: PeerId) {
    let newest = |node: &super::net::Node| {
        node.children.iter().rfind(|c| node.inbound.contains_key(&c.inbound)).copied()
    };
    let Some(child) = newest(&net.nodes[1]) else { return };
    if let Some(inbound) = net.nodes[0].inbound.get(&child.outbound) {
        let server = inbound.peer;
        if child.encap == Encap::Udp {
            let local = SocketAddr::new(net.nodes[0].ip, 4500);
            let ours = SocketAddr::new(net.nodes[1].ip, 4500);
            let path = Path::new(local, net.outside(1, ours));
            net.nodes[0].endpoint.path_moved(server, path);
        }
        net.nodes[0].endpoint.inbound_used(child.outbound, net.now);
        net.nodes[0].endpoint.peer_alive(server, net.now);
        net.drain(0);
        net.nodes[1].endpoint.peer_alive(peer, net.now);
    }
}

#[test]
fn both_ends_agree_once_the_weather_clears() {
    for seed in 0..48u8 {
        let nat = Nat::ALL[usize::from(seed) % 4];
        let mut net = Net::simple(nat);
        storm(&mut net, seed);
        let mut rng = Rng::new([seed ^ 0x55; 32]);
        let pfs = (seed % 3 == 0).then_some(DhGroup::Ecp256);
        let mut peer = net.connect(1);
        for _ in 0..30 {
            if net.nodes[1].endpoint.peers() == 0 {
                let params = Connect { pfs, ..net.params(1) };
                peer = net.connect_with(1, params);
            }
            net.run(Duration::from_secs(u64::from(rng.below(20))));
            let (node, now) = (usize::from(rng.below(4) == 0), net.now);
            match rng.below(6) {
                0 => net.nodes[1].endpoint.rekey_child(peer, now),
                1 => net.nodes[1].endpoint.rekey_ike(peer, now),
                2 if node == 1 => net.nodes[1].endpoint.close_peer(peer, now),
                3 if nat.client() => {
                    net.rebound = u16::try_from(rng.below(200)).unwrap() * 20;
                    traffic(&mut net, peer);
                }
                _ => traffic(&mut net, peer),
            }
            net.drain(1);
        }
        net.fate(|_, _| Fate::Deliver);
        net.run_secs(400);
        if net.nodes[1].endpoint.peers() == 0 {
            peer = net.connect(1);
        }
        net.run_secs(400);
        assert_eq!(net.nodes[1].up.len(), 1, "seed {seed}");
        assert_eq!(net.nodes[0].up.len(), 1, "seed {seed}");
        net.assert_agreed(1, net.nodes[1].inbound.len());
        assert!(!net.nodes[1].inbound.is_empty(), "seed {seed}");
        net.nodes[1].endpoint.close_peer(peer, net.now);
        net.drain(1);
        net.run_secs(120);
        net.assert_nothing_left();
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let mut net = Net::simple(Nat::Both);
        storm(&mut net, 9);
        net.connect(1);
        net.run_secs(60);
        let packets = net.sent.iter().map(|packet| packet.bytes.clone());
        packets.collect::<alloc::vec::Vec<_>>()
    };
    assert_eq!(run(), run());
}
