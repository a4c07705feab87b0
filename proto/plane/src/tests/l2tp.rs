//! What goes to control, what comes from it, and sequence numbers of data messages.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::fixture::{End, Link, SERVER, connected, down, frame_up, l2tp_up, udp, udp_to_port, up};
use crate::{Command, DropReason, Report, WAITING_MAX};

/// A control message as far as the pipeline can tell.
fn sccrq() -> Vec<u8> {
    vec![0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]
}

#[test]
fn control_messages_are_reported_with_their_ports() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    client.apply(Command::SendL2tp {
        peer: link.peer(),
        local_port: 56_322,
        remote_port: 1701,
        bytes: sccrq(),
    });
    gateway.net(link.to_gateway(client.sent()));
    let report =
        Report::L2tp { peer: link.peer(), local_port: 1701, remote_port: 56_322, bytes: sccrq() };
    assert!(gateway.reports().contains(&report));
    gateway.dropped_nothing();
}

#[test]
fn messages_without_an_sa_wait_in_order_and_leave_with_it() {
    let link = Link::new(1);
    let (mut gateway, mut client) = (End::new(1), End::new(2));
    link.connect(&mut End::new(3), &mut client);
    gateway.apply(Command::InstallInbound(link.gateway_inbound(0)));
    let send = |gateway: &mut End, n: u8| {
        let bytes = [&sccrq()[..], &[n]].concat();
        let (peer, port) = (link.peer(), 1701);
        gateway.apply(Command::SendL2tp { peer, local_port: port, remote_port: port, bytes });
    };
    for n in 0..u8::try_from(WAITING_MAX).unwrap() {
        send(&mut gateway, n);
    }
    gateway.dropped_nothing();
    send(&mut gateway, 99);
    assert_eq!(gateway.drops(DropReason::QueueFull), 1);
    assert!(gateway.sent().is_empty(), "nothing leaves in the clear");
    gateway.apply(Command::InstallOutbound(link.gateway_outbound(0)));
    client.net(link.to_client(&mut gateway.sent()));
    let last: Vec<u8> = client.l2tp().iter().map(|(_, bytes)| bytes[12]).collect();
    assert_eq!(last, (0..u8::try_from(WAITING_MAX).unwrap()).collect::<Vec<_>>());
}

#[test]
fn a_message_to_an_unknown_peer_is_dropped() {
    let mut gateway = End::new(1);
    let peer = Link::new(1).peer();
    let command = Command::SendL2tp { peer, local_port: 1701, remote_port: 1701, bytes: sccrq() };
    gateway.apply(command);
    assert_eq!(gateway.drops(DropReason::UnknownPeer), 1);
    assert!(gateway.plane.tables.is_empty());
}

#[test]
fn frames_before_the_session_is_open_go_to_control() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    gateway.apply(Command::CloseSession { session: link.session() });
    // Even IP: control knows whether that session is on its way.
    let packet = [&[0xff, 3, 0, 0x21][..], &udp("10.0.0.2", SERVER, 60)].concat();
    for frame in [&b"\xff\x03\xc0\x21\x01\x01\x00\x04"[..], &packet] {
        gateway.net(frame_up(&link, frame, &mut client));
        let message = [&[0, 2, 0, 11, 0, 12], frame].concat();
        assert_eq!(gateway.l2tp(), [(link.peer(), message)]);
    }
    gateway.dropped_nothing();
}

#[test]
fn frames_that_are_not_ip_go_to_control() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let frames: [&[u8]; 5] =
        [b"\xff\x03\xc0\x21\x09\x05\x00\x08abcd", b"\xc0\x21\x01", b"\x80\x21\x01", b"\xff", b""];
    for frame in frames {
        gateway.net(frame_up(&link, frame, &mut client));
        let message = [&[0, 2, 0, 11, 0, 12], frame].concat();
        assert_eq!(gateway.l2tp(), [(link.peer(), message)]);
    }
    assert!(gateway.delivered().is_empty());
    gateway.dropped_nothing();
}

#[test]
fn dhcp_goes_to_control_where_wanted() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let inform = udp_to_port("10.0.0.2", "255.255.255.255", 67);
    let to_gateway = udp_to_port("10.0.0.2", "10.0.0.1", 67);
    let to_another = udp_to_port("10.0.0.2", SERVER, 67);
    let all = [inform.clone(), to_gateway.clone(), to_another.clone()];
    up(&link, &all, &mut client, &mut gateway);
    let reported: Vec<_> =
        gateway.l2tp().into_iter().map(|(_, bytes)| bytes[10..].to_vec()).collect();
    assert_eq!(reported, [inform.clone(), to_gateway]);
    assert_eq!(gateway.delivered(), [to_another]);

    gateway.apply(Command::OpenSession(crate::SessionParams {
        dhcp: false,
        ..link.gateway_session()
    }));
    up(&link, core::slice::from_ref(&inform), &mut client, &mut gateway);
    assert_eq!(gateway.delivered(), core::slice::from_ref(&inform));
    gateway.apply(Command::OpenSession(link.gateway_session()));
    // The bytes of a later fragment are no ports.
    let mut fragment = inform;
    fragment[7] = 9;
    up(&link, &[&fragment], &mut client, &mut gateway);
    assert_eq!(gateway.delivered(), [fragment]);
    let spoofed = udp_to_port("0.0.0.0", "255.255.255.255", 67);
    up(&link, &[spoofed], &mut client, &mut gateway);
    assert_eq!(gateway.drops(DropReason::SourceNotAllowed), 1);
}

#[test]
fn answers_of_a_dhcp_server_go_to_control_where_wanted() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let own = link.inner_v4.to_string();
    let answer = udp_to_port("10.0.0.1", &own, 68);
    down(&link, core::slice::from_ref(&answer), &mut gateway, &mut client);
    assert_eq!(client.delivered(), core::slice::from_ref(&answer), "not unless asked for");
    client.apply(Command::OpenSession(crate::SessionParams {
        gateway_v4: Some(link.inner_v4),
        dhcp: true,
        ..link.client_session()
    }));
    let other = udp_to_port("10.0.0.1", &own, 69);
    down(&link, &[answer.clone(), other.clone()], &mut gateway, &mut client);
    let reported: Vec<_> =
        client.l2tp().into_iter().map(|(_, bytes)| bytes[10..].to_vec()).collect();
    assert_eq!(reported, [answer]);
    assert_eq!(client.delivered(), [other]);
}

#[test]
fn late_and_repeated_data_messages_are_dropped_where_they_are_numbered() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let frame = [&[0xff, 3, 0, 0x21][..], &udp("10.0.0.2", SERVER, 60)].concat();
    let mut send = |ns: u8, gateway: &mut End| {
        let message = [&[0x08, 2, 0, 11, 0, 12, 0, ns, 0, 0], &frame[..]].concat();
        gateway.net(l2tp_up(&link, 1701, &message, &mut client));
        gateway.delivered().len()
    };
    assert_eq!([5, 6, 6, 8, 7, 9].map(|ns| send(ns, &mut gateway)), [1, 1, 0, 1, 0, 1]);
    // A change of parameters forgets nothing.
    let params = crate::SessionParams { mtu: 1200, ..link.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    assert_eq!([9, 10].map(|ns| send(ns, &mut gateway)), [0, 1]);
    assert_eq!(gateway.drops(DropReason::LateOrTwice), 3);
}

#[test]
fn data_and_frames_from_control_share_one_sequence() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let params = crate::SessionParams { sequence: Some(4), ..link.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    let echo = |flags: &[u8]| {
        [flags, &[0, 21, 0, 22, 0xaa, 0xbb, 0, 0, 0xff, 3, 0xc0, 0x21, 9, 1, 0, 8]].concat()
    };
    let send = |bytes, gateway: &mut End| {
        let (peer, port) = (link.peer(), 1701);
        gateway.apply(Command::SendL2tp { peer, local_port: port, remote_port: port, bytes });
    };
    client.apply(Command::CloseSession { session: link.session() });
    down(&link, &[udp(SERVER, "10.0.0.2", 60)], &mut gateway, &mut client);
    send(echo(&[0x08, 2]), &mut gateway);
    send(echo(&[0x48, 2, 0, 20]), &mut gateway);
    client.net(link.to_client(&mut gateway.sent()));
    down(&link, &[udp(SERVER, "10.0.0.2", 60)], &mut gateway, &mut client);
    let numbers: Vec<_> = client
        .l2tp()
        .into_iter()
        .map(|(_, bytes)| isthmus_l2tp::data::Header::read(&bytes).unwrap().0.sequence)
        .collect();
    assert_eq!(numbers, [4, 5, 6, 7].map(|ns| Some((ns, 0))));
}

#[test]
fn each_session_of_a_peer_has_its_own_sequence() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    for (slot, first) in [(1, 100), (2, 200), (3, 300)] {
        gateway.apply(Command::OpenSession(crate::SessionParams {
            session: super::fixture::key(slot),
            local_session: 12 + u16::try_from(slot).unwrap(),
            remote_session: 22 + u16::try_from(slot).unwrap(),
            sequence: Some(first),
            ..link.gateway_session()
        }));
    }
    for session in [25, 24, 23, 24] {
        let bytes = vec![0x08, 2, 0, 21, 0, session, 0, 0, 0, 0, 0xc0, 0x21];
        let (peer, port) = (link.peer(), 1701);
        gateway.apply(Command::SendL2tp { peer, local_port: port, remote_port: port, bytes });
    }
    client.net(link.to_client(&mut gateway.sent()));
    let numbers: Vec<u8> = client.l2tp().iter().map(|(_, bytes)| bytes[7]).collect();
    assert_eq!(numbers, [44, 200, 100, 201], "44 is 300 without its upper byte");
}

#[test]
fn control_messages_and_unnumbered_frames_are_sent_untouched() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let params = crate::SessionParams { sequence: Some(4), ..link.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    client.apply(Command::CloseSession { session: link.session() });
    let plain = vec![0, 2, 0, 21, 0, 22, 0xff, 3, 0xc0, 0x21, 9, 1, 0, 8];
    for bytes in [sccrq(), plain] {
        let (peer, port) = (link.peer(), 1701);
        let sent = bytes.clone();
        gateway.apply(Command::SendL2tp { peer, local_port: port, remote_port: port, bytes: sent });
        client.net(link.to_client(&mut gateway.sent()));
        assert_eq!(client.l2tp(), [(peer, bytes)]);
    }
}
