//! What must not get through, and what no input may do.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Encap, RngStream};
use isthmus_crypto::{EspJob, EspJobResult, EspSuite};
use isthmus_esp::OutboundSa;
use proptest::prelude::*;

use super::fixture::{End, Link, SERVER, TUN, again, connected, frame_up, l2tp_up, rx, udp, up};
use crate::{Command, DropReason, Port, Report};

const PORTS: [Port; 4] = [Port::Esp, Port::Ike, Port::L2tp, Port::NatT];

/// Seals anything as the client would.
fn sealed(link: &Link, next_header: u8, content: &[u8]) -> crate::Rx {
    let record = link.client_outbound(0).sa;
    let provider = isthmus_crypto_aws::provider();
    let mut sa = OutboundSa::new(record.params, 1000, &*provider).unwrap();
    let mut buf = isthmus_core::Buf::copy_of(content);
    sa.seal(&mut buf, next_header, &mut RngStream::new([9; 32])).unwrap();
    rx(link, Port::NatT, &buf)
}

#[test]
fn l2tp_in_the_clear_is_taken_on_no_port() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let packet = [&[0xff, 3, 0, 0x21][..], &udp("10.0.0.2", SERVER, 60)].concat();
    let data = [&[0, 2, 0, 11, 0, 12][..], &packet].concat();
    let control = [0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];
    let in_udp = [&[6, 165, 6, 165, 0, 98, 0, 0][..], &data].concat();
    let cases: [&[u8]; 4] = [&data, &control, &in_udp, &packet];
    for bytes in cases {
        for port in PORTS {
            gateway.net(vec![rx(&link, port, bytes)]);
        }
    }
    assert!(gateway.delivered().is_empty());
    // On port 500 anything is IKE, and IKE will refuse it.
    let reports = gateway.reports();
    assert_eq!(reports.len(), cases.len());
    assert!(reports.iter().all(|report| matches!(report, Report::Ike { marked: false, .. })));
    assert_eq!(gateway.drops(DropReason::UnknownSpi), 8);
}

#[test]
fn a_source_that_is_not_the_sessions_is_dropped() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let spoofed =
        [udp("10.0.0.3", SERVER, 60), udp("0.0.0.0", SERVER, 60), udp("2001:db8:7::3", "::1", 60)];
    up(&link, &spoofed, &mut client, &mut gateway);
    assert!(gateway.delivered().is_empty());
    assert_eq!(gateway.drops(DropReason::SourceNotAllowed), 3);
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    assert_eq!(gateway.delivered().len(), 1);
}

#[test]
fn a_peer_cannot_use_the_session_of_another() {
    let (one, two) = (Link::new(1), Link::new(2));
    let (mut gateway, mut first, mut second) = (End::new(1), End::new(2), End::new(3));
    one.connect(&mut gateway, &mut first);
    two.connect(&mut gateway, &mut second);
    // Both have tunnel 11 and session 12; the first one sends from the address of the second.
    up(&one, &[udp("10.0.0.3", SERVER, 60)], &mut first, &mut gateway);
    assert_eq!(gateway.drops(DropReason::SourceNotAllowed), 1);
    up(&two, &[udp("10.0.0.3", SERVER, 60)], &mut second, &mut gateway);
    assert_eq!(gateway.delivered().len(), 1);
    // An id that only the other has open means nothing.
    gateway.apply(Command::CloseSession { session: one.session() });
    up(&one, &[udp("10.0.0.3", SERVER, 60)], &mut first, &mut gateway);
    assert!(gateway.delivered().is_empty());
    assert_eq!(gateway.l2tp().len(), 1);
}

#[test]
fn replayed_and_forged_packets_change_nothing() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    client.tun(&[udp("10.0.0.2", SERVER, 60), udp("10.0.0.2", SERVER, 60)]);
    let batch = link.to_gateway(client.sent());
    let copies: Vec<_> = batch.iter().chain(&batch).map(again).collect();
    gateway.net(copies);
    assert_eq!(gateway.delivered().len(), 2, "a copy in the same batch");
    gateway.net(batch);
    assert!(gateway.delivered().is_empty(), "a copy in a later batch");
    assert_eq!(gateway.drops(DropReason::EspReplayed), 4);

    gateway.reports();
    client.tun(&[udp("10.0.0.2", SERVER, 60)]);
    let [genuine] = &link.to_gateway(client.sent())[..] else { panic!("one packet") };
    let before = gateway.counters().sas;
    for at in 4..genuine.buf.len() {
        let mut forged = again(genuine);
        forged.buf[at] ^= 0x10;
        forged.path.remote = "203.0.113.66:6666".parse().unwrap();
        gateway.net(vec![forged]);
    }
    assert_eq!(gateway.counters().sas, before);
    assert!(gateway.delivered().is_empty() && gateway.reports().is_empty());
    let count = u64::try_from(genuine.buf.len() - 4).unwrap();
    // A changed sequence number may also be one seen before.
    let replayed = gateway.drops(DropReason::EspReplayed) - 4;
    assert_eq!(gateway.drops(DropReason::EspNotAuthentic) + replayed, count);
    gateway.net(vec![again(genuine)]);
    assert_eq!(gateway.delivered().len(), 1);
}

#[test]
fn every_prefix_of_a_packet_is_dropped() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    client.tun(&[udp("10.0.0.2", SERVER, 60)]);
    let batch = link.to_gateway(client.sent());
    for len in 0..batch[0].buf.len() {
        gateway.net(vec![rx(&link, Port::NatT, &batch[0].buf[..len])]);
        gateway.net(vec![rx(&link, Port::Esp, &batch[0].buf[..len])]);
    }
    let lens = u64::try_from(batch[0].buf.len()).unwrap();
    assert_eq!(gateway.plane.stats().drops.total(), 2 * lens);
    assert_eq!(gateway.drops(DropReason::Runt), 8);
    assert!(gateway.delivered().is_empty() && gateway.reports().is_empty());
}

#[test]
fn nothing_but_udp_to_the_l2tp_port_leaves_esp() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let l2tp = [0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];
    gateway.net(l2tp_up(&link, 1700, &l2tp, &mut client));
    assert_eq!(gateway.drops(DropReason::WrongPort), 1);
    gateway.net(vec![sealed(&link, 6, &udp("10.0.0.2", SERVER, 60))]);
    assert_eq!(gateway.drops(DropReason::NotUdp), 1);
    assert!(gateway.delivered().is_empty() && gateway.l2tp().is_empty());
}

#[test]
fn a_client_takes_l2tp_on_any_port() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let bytes = vec![0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];
    let (peer, local_port, remote_port) = (link.peer(), 1701, 50_000);
    gateway.apply(Command::SendL2tp { peer, local_port, remote_port, bytes: bytes.clone() });
    client.net(link.to_client(&mut gateway.sent()));
    assert_eq!(client.l2tp(), [(peer, bytes)]);
}

#[test]
fn bad_content_of_an_authentic_packet_is_dropped() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let cases: [&[u8]; 5] = [
        &[],
        &[6, 165, 6, 165, 0, 7, 0, 0],
        &[6, 165, 6, 165, 0, 99, 0, 0, 0xc8],
        &[6, 165, 6, 165, 0, 8, 0, 0],
        // L2TP version 3.
        &[6, 165, 6, 165, 0, 14, 0, 0, 0, 3, 0, 11, 0, 12],
    ];
    for content in cases {
        let (mut fresh, _) = connected(&link);
        fresh.net(vec![sealed(&link, 17, content)]);
        assert_eq!(fresh.drops(DropReason::BadL2tp), 1, "{content:?}");
        assert!(fresh.delivered().is_empty() && fresh.l2tp().is_empty());
    }
    // Bytes behind the UDP length hide traffic (RFC 4303 §2.7) and are not passed on.
    let control = [0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];
    let (mut fresh, _) = connected(&link);
    let padded = [&[6, 165, 6, 165, 0, 20, 0, 0], &control[..], &[0; 30]].concat();
    fresh.net(vec![sealed(&link, 17, &padded)]);
    assert_eq!(fresh.l2tp(), [(link.peer(), control.to_vec())]);

    gateway.net(vec![sealed(&link, 59, b"noise")]);
    assert_eq!(gateway.drops(DropReason::Dummy), 1);
}

#[test]
fn authentic_packets_with_bad_padding_are_dropped_and_prove_life() {
    let link = Link { suite: EspSuite::Aes128Gcm16, ..Link::new(1) };
    let (mut gateway, _) = connected(&link);
    let params = link.client_outbound(0).sa.params;
    let cipher = isthmus_crypto_aws::provider().esp(params.suite, &params.keys).unwrap();
    // SPI, number, IV, a payload with two bytes of padding that should be 1 and 2, ICV.
    let mut packet = [&params.spi.to_be_bytes()[..], &[0, 0, 0, 1], &[7; 8]].concat();
    packet.extend_from_slice(&[0xaa, 0xaa, 0xaa, 0xaa, 9, 9, 2, 17]);
    packet.resize(packet.len() + 16, 0);
    let job = EspJob { packet: &mut packet, seq_hi: None, result: EspJobResult::Pending };
    cipher.seal(&mut [job]);
    gateway.net(vec![rx(&link, Port::NatT, &packet)]);
    assert_eq!(gateway.drops(DropReason::EspPadding), 1);
    let (peer, spi) = (link.peer(), link.spi(0));
    assert_eq!(gateway.reports(), [Report::SaUsed { peer, spi }, Report::Alive { peer }]);
}

#[test]
fn packets_older_than_the_window_are_dropped() {
    let link = Link::new(1);
    let (mut gateway, mut client) = (End::new(1), End::new(2));
    link.connect(&mut End::new(3), &mut client);
    let mut sa = link.gateway_inbound(0);
    sa.sa.top = isthmus_esp::REPLAY_WINDOW + 1;
    gateway.apply(Command::InstallInbound(sa));
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    assert_eq!(gateway.drops(DropReason::EspStale), 1);
    assert!(gateway.reports().is_empty());
}

#[test]
fn a_frame_that_is_not_the_packet_it_claims_to_be_is_dropped() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let v4 = udp("10.0.0.2", SERVER, 60);
    let v6 = udp("2001:db8:7::2", "2001:db8::1", 60);
    let frames = [
        [&[0x57][..], &v4].concat(),
        [&[0x21][..], &v6].concat(),
        [&[0x21][..], &v4[..59]].concat(),
        vec![0x21],
    ];
    for frame in frames {
        gateway.net(frame_up(&link, &frame, &mut client));
    }
    assert_eq!(gateway.drops(DropReason::BadInner), 4);
    // Padding behind a packet is no harm and is not delivered.
    gateway.net(frame_up(&link, &[&[0x21][..], &v4, &[0; 9]].concat(), &mut client));
    assert_eq!(gateway.delivered(), [v4]);
}

#[test]
fn what_the_tun_device_gives_without_a_session_is_dropped() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let v4 = udp(SERVER, "10.0.0.2", 60);
    let junk: [&[u8]; 4] = [&[], &[0x45], &v4[..59], &[0x20; 60]];
    gateway.tun(&junk);
    assert_eq!(gateway.drops(DropReason::NotIp), 4);
    gateway.tun(&[udp(SERVER, "10.0.0.9", 60), udp("::2", "::1", 60)]);
    assert_eq!(gateway.drops(DropReason::NoRoute), 2);
    // What follows a packet is not sent, so it fits the MTU.
    let full = udp(SERVER, "10.0.0.2", 1300);
    let padded = [&full[..], &[0; 9]].concat();
    super::fixture::down(&link, &[padded], &mut gateway, &mut client);
    assert_eq!(client.delivered(), [full]);
    gateway.apply(Command::RemoveOutbound { peer: link.peer(), spi: link.spi(0) });
    gateway.tun(&[v4]);
    assert_eq!(gateway.drops(DropReason::NoOutboundSa), 1);
    assert!(gateway.sent().is_empty(), "nothing leaves in the clear");
}

proptest! {
    #[test]
    fn no_datagram_makes_it_panic_or_send(
        batch in prop::collection::vec(
            (prop::sample::select(&PORTS), prop::collection::vec(any::<u8>(), 0..120), any::<bool>()), 0..20,
        ),
    ) {
        let link = Link::new(1);
        let (mut gateway, _) = connected(&link);
        let batch: Vec<_> = batch
            .into_iter()
            .map(|(port, mut bytes, known)| {
                if known && let Some(spi) = bytes.first_chunk_mut::<4>() {
                    *spi = link.spi(0).to_be_bytes();
                }
                rx(&link, port, &bytes)
            })
            .collect();
        let len = batch.len();
        gateway.net(batch);
        prop_assert!(gateway.sent().is_empty() && gateway.delivered().is_empty());
        let stats = gateway.plane.stats();
        let counted = stats.drops.total() + stats.ike_received + stats.keepalives;
        prop_assert_eq!(counted, u64::try_from(len).unwrap());
        prop_assert_eq!(gateway.out.free.len(), len);
    }

    #[test]
    fn no_authentic_content_makes_it_panic(
        contents in prop::collection::vec((any::<bool>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)), 1..8),
    ) {
        let link = Link::new(1);
        let (mut gateway, mut client) = connected(&link);
        for (near, first, content) in contents {
            // Half of them are data messages of the open session.
            let header = [first & 0x4b, 2, 0, 11, 0, 12, first];
            let bytes = if near { [&header, &content[..]].concat() } else { content };
            let batch = l2tp_up(&link, 1701, &bytes, &mut client);
            gateway.net(batch);
        }
        for packet in gateway.delivered() {
            prop_assert_eq!(&packet[12..16], &[10, 0, 0, 2]);
        }
    }

    #[test]
    fn no_inner_packet_makes_it_panic_or_leaves_in_the_clear(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..1500), any::<bool>()), 0..8),
    ) {
        let link = Link::new(1);
        let (mut gateway, mut client) = connected(&link);
        let template = &udp(SERVER, "10.0.0.2", 60)[..20];
        let packets: Vec<_> = packets
            .into_iter()
            .map(|(mut packet, near)| {
                if near && packet.len() >= 20 {
                    let (flags, len) = (packet[6], u16::try_from(packet.len()).unwrap());
                    packet[..20].copy_from_slice(template);
                    packet[2..4].copy_from_slice(&len.to_be_bytes());
                    packet[6] = flags;
                }
                packet
            })
            .collect();
        gateway.tun(&packets);
        let mut sent = gateway.sent();
        prop_assert!(sent.iter().all(|tx| tx.port == Port::NatT && tx.buf.starts_with(&link.spi(0).to_be_bytes())));
        let count = sent.len();
        client.net(link.to_client(&mut sent));
        prop_assert_eq!(client.delivered().len(), count);
    }

    #[test]
    fn no_order_of_commands_makes_it_panic_or_leaves_a_trace(order in prop::collection::vec((0u8..12, 1u32..4), 0..60)) {
        let mut gateway = End::new(1);
        for (what, slot) in order {
            let link = Link { encap: if slot == 2 { Encap::Esp } else { Encap::Udp }, ..Link::new(slot) };
            let (peer, path) = (link.peer(), link.at_gateway);
            let (spi, bytes) = (link.spi(0), vec![0xc8, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]);
            gateway.apply(match what {
                0 => Command::InstallInbound(link.gateway_inbound(0)),
                1 => Command::InstallOutbound(link.gateway_outbound(0)),
                2 => Command::RemoveInbound { spi },
                3 => Command::RemoveOutbound { peer, spi },
                4 => Command::RemovePeer { peer },
                5 => Command::MovePath { peer, path, encap: link.encap },
                6 => Command::OpenSession(link.gateway_session()),
                7 => Command::CloseSession { session: link.session() },
                8 => Command::SendL2tp { peer, local_port: 1701, remote_port: 1701, bytes },
                9 => Command::InstallInbound(link.gateway_inbound(1)),
                10 => Command::InstallOutbound(link.gateway_outbound(1)),
                _ => Command::Reserve { peer, spi, until: 5 },
            });
            let mut batch = vec![isthmus_core::Buf::copy_of(&udp(SERVER, "10.0.0.2", 60))];
            gateway.plane.handle_tun(TUN, &mut batch, &mut gateway.out, gateway.now);
        }
        for slot in 1..4 {
            gateway.apply(Command::RemovePeer { peer: Link::new(slot).peer() });
        }
        prop_assert!(gateway.plane.tables.is_empty());
    }
}
