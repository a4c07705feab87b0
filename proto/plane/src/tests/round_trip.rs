//! Packets arrive at the other end as they were sent.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Encap;
use isthmus_crypto::EspSuite;

use super::fixture::{End, Link, SERVER, connected, down, key, udp, up};
use crate::{Command, Port, Report};

#[test]
fn every_suite_carries_packets_both_ways_in_both_encapsulations() {
    for suite in EspSuite::ALL {
        for encap in [Encap::Udp, Encap::Esp] {
            let link = Link { suite, encap, ..Link::new(1) };
            let (mut gateway, mut client) = connected(&link);
            // Every length modulo the block, and one that fills the MTU.
            let sizes = (28..80).chain([1299, 1300]);
            let there: Vec<_> = sizes.clone().map(|n| udp("10.0.0.2", SERVER, n)).collect();
            let back: Vec<_> = sizes.map(|n| udp(SERVER, "10.0.0.2", n)).collect();
            up(&link, &there, &mut client, &mut gateway);
            assert_eq!(gateway.delivered(), there, "{suite} {encap:?}");
            down(&link, &back, &mut gateway, &mut client);
            assert_eq!(client.delivered(), back, "{suite} {encap:?}");
            gateway.dropped_nothing();
            client.dropped_nothing();
        }
    }
}

#[test]
fn ipv6_travels_inside() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let there = [udp("2001:db8:7::2", "2001:db8:9::9", 1200)];
    let back = [udp("2001:db8:9::9", "2001:db8:7::2", 1200)];
    up(&link, &there, &mut client, &mut gateway);
    assert_eq!(gateway.delivered(), there);
    down(&link, &back, &mut gateway, &mut client);
    assert_eq!(client.delivered(), back);
}

#[test]
fn ipv6_carries_the_tunnel() {
    let mut link = Link::new(1);
    link.at_gateway.local = "[2001:db8::1]:4500".parse().unwrap();
    link.at_gateway.remote = "[2001:db8::99]:4500".parse().unwrap();
    link.at_client.local = link.at_gateway.remote;
    link.at_client.remote = link.at_gateway.local;
    let (mut gateway, mut client) = connected(&link);
    let there = [udp("10.0.0.2", SERVER, 777)];
    up(&link, &there, &mut client, &mut gateway);
    assert_eq!(gateway.delivered(), there);
}

#[test]
fn compressed_ppp_headers_are_sent_where_wanted_and_always_taken() {
    let link = Link::new(1);
    for (acfc, pfc) in [(false, false), (true, false), (false, true), (true, true)] {
        let (mut gateway, mut client) = connected(&link);
        let mut params = link.client_session();
        (params.acfc, params.pfc) = (acfc, pfc);
        client.apply(Command::OpenSession(params));
        let there = [udp("10.0.0.2", SERVER, 100)];
        up(&link, &there, &mut client, &mut gateway);
        assert_eq!(gateway.delivered(), there);
    }
}

#[test]
fn a_batch_of_many_clients_is_sorted_to_each_of_them() {
    let links: Vec<Link> = (1..6).map(Link::new).collect();
    let mut gateway = End::new(1);
    let mut clients: Vec<End> = Vec::new();
    for link in &links {
        let mut client = End::new(9);
        link.connect(&mut gateway, &mut client);
        clients.push(client);
    }
    // Packets of all clients in turn, three rounds of them, in one batch each way.
    let address = |link: &Link| std::format!("{}", link.inner_v4);
    let mut batch = Vec::new();
    for round in 0..3 {
        for (link, client) in links.iter().zip(&mut clients) {
            client.tun(&[udp(&address(link), SERVER, 60 + round)]);
            batch.extend(link.to_gateway(client.sent()));
        }
    }
    gateway.net(batch);
    let delivered = gateway.delivered();
    for link in &links {
        let expected: Vec<_> = (0..3).map(|n| udp(&address(link), SERVER, 60 + n)).collect();
        let from_client: Vec<_> =
            delivered.iter().filter(|p| p[12..16] == link.inner_v4.octets()).cloned().collect();
        assert_eq!(from_client, expected);
    }
    let back: Vec<_> = (0..3)
        .flat_map(|n| links.iter().map(move |link| udp(SERVER, &address(link), 60 + n)))
        .collect();
    gateway.tun(&back);
    let mut sent = gateway.sent();
    for (link, client) in links.iter().zip(&mut clients) {
        client.net(link.to_client(&mut sent));
        let expected: Vec<_> = (0..3).map(|n| udp(SERVER, &address(link), 60 + n)).collect();
        assert_eq!(client.delivered(), expected);
    }
    gateway.dropped_nothing();
}

#[test]
fn clients_behind_one_nat_with_equal_private_addresses_and_ports_are_kept_apart() {
    let (one, two) = (Link::new(1), Link::new(2));
    assert_eq!(one.at_client, two.at_client, "same private address, same port");
    assert_eq!(one.at_gateway.remote.ip(), two.at_gateway.remote.ip(), "same NAT");
    let (mut gateway, mut first, mut second) = (End::new(1), End::new(2), End::new(3));
    one.connect(&mut gateway, &mut first);
    two.connect(&mut gateway, &mut second);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 100), udp(SERVER, "10.0.0.3", 200)]);
    let mut sent = gateway.sent();
    first.net(one.to_client(&mut sent));
    second.net(two.to_client(&mut sent));
    assert_eq!(first.delivered(), [udp(SERVER, "10.0.0.2", 100)]);
    assert_eq!(second.delivered(), [udp(SERVER, "10.0.0.3", 200)]);
}

#[test]
fn keepalives_and_ike_messages_go_out_and_come_in() {
    let link = Link::new(1);
    let (mut gateway, mut client) = (End::new(1), End::new(2));
    client.apply(Command::SendKeepalive { path: link.at_client });
    for marked in [true, false] {
        let bytes = b"cookie and more".to_vec();
        client.apply(Command::SendIke { peer: None, path: link.at_client, marked, bytes });
    }
    let sent = client.sent();
    let ports: Vec<_> = sent.iter().map(|tx| tx.port).collect();
    assert_eq!(ports, [Port::NatT, Port::NatT, Port::Ike]);
    assert_eq!(&*sent[1].buf, b"\0\0\0\0cookie and more");
    gateway.net(link.to_gateway(sent));
    let ike =
        |marked| Report::Ike { path: link.at_gateway, marked, bytes: b"cookie and more".to_vec() };
    assert_eq!(gateway.reports(), [ike(true), ike(false)]);
    let stats = gateway.plane.stats();
    assert_eq!((stats.keepalives, stats.ike_received), (1, 2));
    gateway.dropped_nothing();
}

#[test]
fn counters_say_what_was_carried() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    up(&link, &[udp("10.0.0.2", SERVER, 100)], &mut client, &mut gateway);
    down(&link, &vec![udp(SERVER, "10.0.0.2", 50); 2], &mut gateway, &mut client);
    up(&link, &[udp("10.0.0.77", SERVER, 100)], &mut client, &mut gateway);
    gateway.reports();
    let counters = gateway.counters();
    assert_eq!(counters.token, 99);
    let [(session, session_counters)] = counters.sessions[..] else { panic!("one session") };
    assert_eq!(session, key(1));
    assert_eq!((session_counters.received.packets, session_counters.received.bytes), (1, 100));
    assert_eq!((session_counters.sent.packets, session_counters.sent.bytes), (2, 100));
    assert_eq!(session_counters.dropped, 1);
    let sas: Vec<_> = counters.sas.iter().map(|sa| (sa.direction, sa.sequence)).collect();
    assert_eq!(sas, [(crate::Direction::Inbound, 2), (crate::Direction::Outbound, 3)]);
    assert_eq!(counters.total, *gateway.plane.stats());
    assert_eq!(counters.total.tun_sent.bytes, 100);
}
