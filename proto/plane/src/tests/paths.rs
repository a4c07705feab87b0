//! Where a peer is: moves, life and first use.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, Path};

use super::fixture::{End, Link, SERVER, again, connected, udp, up};
use crate::{ALIVE_REPORT_INTERVAL, Command, Port, Report, Rx};

/// A path to the gateway from another address.
fn from(link: &Link, remote: &str) -> Path {
    Path { remote: remote.parse().unwrap(), ..link.at_gateway }
}

/// What the client sends, a batch of one packet for each path.
fn sent_from(link: &Link, paths: &[Path], client: &mut End) -> Vec<Rx> {
    client.tun(&vec![udp("10.0.0.2", SERVER, 60); paths.len()]);
    let sent = link.to_gateway(client.sent());
    sent.into_iter().zip(paths).map(|(rx, path)| Rx { path: *path, ..rx }).collect()
}

/// Where the gateway sends now.
fn sends_to(gateway: &mut End) -> Path {
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    let sent = gateway.sent();
    assert_eq!(sent.len(), 1);
    sent[0].path
}

fn moves(gateway: &mut End) -> Vec<Path> {
    let path = |report| {
        if let Report::PathMoved { path, .. } = report { Some(path) } else { None }
    };
    gateway.reports().into_iter().filter_map(path).collect()
}

#[test]
fn the_newest_packet_moves_the_peer() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let moved = from(&link, "198.51.100.9:50001");
    gateway.net(sent_from(&link, &[link.at_gateway], &mut client));
    assert_eq!(moves(&mut gateway), []);
    gateway.net(sent_from(&link, &[moved], &mut client));
    assert_eq!(moves(&mut gateway), [moved]);
    assert_eq!(sends_to(&mut gateway), moved);
    assert_eq!(gateway.plane.stats().paths_moved, 1);
}

#[test]
fn an_older_packet_from_elsewhere_is_taken_and_moves_nothing() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let old = from(&link, "203.0.113.1:1");
    let mut batch = sent_from(&link, &[old, link.at_gateway], &mut client);
    let newer = batch.pop().unwrap();
    gateway.net(vec![newer]);
    gateway.net(batch);
    assert_eq!(gateway.delivered().len(), 2);
    assert_eq!(moves(&mut gateway), []);
    assert_eq!(sends_to(&mut gateway), link.at_gateway);
}

#[test]
fn within_a_batch_the_newest_number_decides_and_not_the_order() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let (old, new) = (from(&link, "203.0.113.1:1"), from(&link, "203.0.113.2:2"));
    let mut batch = sent_from(&link, &[old, new], &mut client);
    batch.reverse();
    gateway.net(batch);
    assert_eq!(moves(&mut gateway), [new]);
    assert_eq!(sends_to(&mut gateway), new);
}

#[test]
fn a_copy_or_a_forgery_with_the_newest_number_moves_nothing() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let attacker = from(&link, "203.0.113.66:6");
    let [genuine] = &sent_from(&link, &[link.at_gateway], &mut client)[..] else {
        panic!("one packet")
    };
    let copy = Rx { path: attacker, ..again(genuine) };
    let mut forged = Rx { path: attacker, ..again(genuine) };
    forged.buf[30] ^= 1;
    gateway.net(vec![forged, again(genuine), copy]);
    assert_eq!(gateway.delivered().len(), 1);
    assert_eq!(moves(&mut gateway), []);
    assert_eq!(sends_to(&mut gateway), link.at_gateway);
}

#[test]
fn a_packet_under_the_old_sa_does_not_move_the_peer_back() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let late = sent_from(&link, &[link.at_gateway], &mut client);
    link.install(1, &mut gateway, &mut client);
    let moved = from(&link, "198.51.100.9:50001");
    gateway.net(sent_from(&link, &[moved], &mut client));
    gateway.net(late);
    assert_eq!(gateway.delivered().len(), 2);
    assert_eq!(moves(&mut gateway), [moved]);
    assert_eq!(sends_to(&mut gateway), moved);
}

#[test]
fn plain_esp_follows_addresses_and_reports_them_with_the_ports_of_ike() {
    let link = Link { encap: Encap::Esp, ..Link::new(1) };
    let (mut gateway, mut client) = connected(&link);
    // Raw sockets know no ports.
    let mut same = link.at_gateway;
    same.remote.set_port(0);
    same.local.set_port(0);
    gateway.net(sent_from(&link, &[same], &mut client));
    assert_eq!(moves(&mut gateway), []);
    let elsewhere = Path { remote: "203.0.113.1:0".parse().unwrap(), ..same };
    gateway.net(sent_from(&link, &[elsewhere], &mut client));
    let moved = Path { remote: "203.0.113.1:40001".parse().unwrap(), ..link.at_gateway };
    assert_eq!(moves(&mut gateway), [moved]);
}

#[test]
fn the_other_encapsulation_is_taken_and_moves_nothing() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let elsewhere = from(&link, "203.0.113.1:0");
    let batch = sent_from(&link, &[elsewhere], &mut client);
    gateway.net(batch.into_iter().map(|rx| Rx { port: Port::Esp, ..rx }).collect());
    assert_eq!(gateway.delivered().len(), 1);
    assert_eq!(moves(&mut gateway), []);
}

#[test]
fn control_moves_a_peer_too() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let path = from(&link, "203.0.113.1:9");
    gateway.apply(Command::MovePath { peer: link.peer(), path, encap: Encap::Esp });
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    let sent = gateway.sent();
    assert_eq!((sent[0].path, sent[0].port), (path, Port::Esp));
    // Installing again with what IKE knew before does not undo it.
    gateway.apply(Command::InstallOutbound(link.gateway_outbound(1)));
    assert_eq!(sends_to(&mut gateway), path);
}

#[test]
fn life_is_reported_at_intervals_and_first_use_once() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let mut reports_of_a_packet = |after: Duration| {
        gateway.now += after;
        up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
        gateway.reports()
    };
    let (peer, spi) = (link.peer(), link.spi(0));
    let first = reports_of_a_packet(Duration::ZERO);
    assert_eq!(first, [Report::SaUsed { peer, spi }, Report::Alive { peer }]);
    let short = ALIVE_REPORT_INTERVAL.saturating_sub(Duration::from_nanos(1));
    assert_eq!(reports_of_a_packet(short), []);
    assert_eq!(reports_of_a_packet(Duration::from_nanos(1)), [Report::Alive { peer }]);
}
