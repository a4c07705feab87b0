//! Every bound is hit.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Buf;

use super::fixture::{Link, SERVER, connected, l2tp_up, rx, udp};
use crate::{Command, Direction, DropReason, Port, REPORTS_MAX, SAS_MAX};

#[test]
fn more_reports_than_the_limit_are_dropped() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let ike = || rx(&link, Port::Ike, b"anything");
    gateway.net((0..REPORTS_MAX + 3).map(|_| ike()).collect());
    assert_eq!(gateway.out.reports.len(), REPORTS_MAX);
    assert_eq!(gateway.drops(DropReason::ReportsFull), 3);
    let control = [0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0];
    gateway.net(l2tp_up(&link, 1701, &control, &mut client));
    assert_eq!(gateway.drops(DropReason::ReportsFull), 4);
    // First use and life are about state and are not lost.
    assert_eq!(gateway.out.reports.len(), REPORTS_MAX + 2);
    gateway.reports();
    gateway.net(l2tp_up(&link, 1701, &control, &mut client));
    assert_eq!(gateway.l2tp().len(), 1);
}

#[test]
fn a_peer_has_no_more_sas_than_the_limit() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    for age in 1..20 {
        gateway.apply(Command::InstallInbound(link.gateway_inbound(age)));
        gateway.apply(Command::InstallOutbound(link.gateway_outbound(age)));
    }
    let newest: Vec<u32> =
        (20 - u32::try_from(SAS_MAX).unwrap()..20).map(|age| link.spi(age)).collect();
    let sas = gateway.counters().sas;
    for direction in [Direction::Inbound, Direction::Outbound] {
        let spis: Vec<u32> =
            sas.iter().filter(|sa| sa.direction == direction).map(|sa| sa.spi).collect();
        assert_eq!(spis, newest);
    }
}

#[test]
fn a_packet_without_room_for_headers_is_dropped() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let packet = udp(SERVER, "10.0.0.2", 100);
    for (front, reason) in
        [(0, DropReason::NoRoom), (3, DropReason::NoRoom), (30, DropReason::NoRoom)]
    {
        let mut buf = Buf::copy_of(&packet);
        let room = buf.headroom() - front;
        buf.push_front(room);
        buf[..100].copy_from_slice(&packet);
        let before = gateway.drops(reason);
        let mut batch = vec![buf];
        gateway.plane.handle_tun(super::fixture::TUN, &mut batch, &mut gateway.out, gateway.now);
        assert_eq!(gateway.drops(reason), before + 1, "{front} bytes in front");
    }
    assert!(gateway.sent().is_empty());
}

#[test]
fn a_message_too_long_for_udp_is_dropped() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let peer = link.peer();
    let bytes = vec![0xc8; 65_528];
    gateway.apply(Command::SendL2tp { peer, local_port: 1701, remote_port: 1701, bytes });
    assert_eq!(gateway.drops(DropReason::NoRoom), 1);
    assert!(gateway.sent().is_empty());
}

#[test]
fn buffers_come_back_whatever_became_of_the_packet() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    client.tun(&[udp("10.0.0.2", SERVER, 60), udp("10.0.0.9", SERVER, 60)]);
    let mut batch = link.to_gateway(client.sent());
    batch.push(rx(&link, Port::NatT, &[0xff]));
    batch.push(rx(&link, Port::NatT, &[1]));
    batch.push(rx(&link, Port::Ike, &[1]));
    batch.push(rx(&link, Port::Esp, &[9; 64]));
    let len = batch.len();
    gateway.net(batch);
    assert_eq!(gateway.out.tun.len() + gateway.out.free.len(), len);

    client.out.free.clear();
    let whole = super::fixture::may_fragment(udp("10.0.0.2", SERVER, 1400));
    client.tun(&[whole]);
    assert_eq!((client.sent().len(), client.out.free.len()), (2, 1), "the uncut packet");
}
