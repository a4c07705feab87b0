//! Commands in any order, twice, and about things that are gone.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_crypto::EspKeys;

use super::fixture::{End, Link, SERVER, connected, down, key, udp, up};
use crate::{Command, DropReason, InstallInbound, Report, SessionParams, TunId};

#[test]
fn a_session_may_be_opened_before_its_sas_are_installed() {
    let link = Link::new(1);
    let (mut gateway, mut client) = (End::new(1), End::new(2));
    gateway.apply(Command::OpenSession(link.gateway_session()));
    client.apply(Command::OpenSession(link.client_session()));
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.drops(DropReason::NoOutboundSa), 1);
    link.install(0, &mut gateway, &mut client);
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    assert_eq!(gateway.delivered().len(), 1);
}

#[test]
fn a_removed_peer_leaves_nothing() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    link.install(1, &mut gateway, &mut client);
    gateway.apply(Command::RemovePeer { peer: link.peer() });
    assert!(gateway.plane.tables.is_empty());
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert!(gateway.delivered().is_empty() && gateway.sent().is_empty());
    assert_eq!(gateway.drops(DropReason::UnknownSpi), 1);
    assert_eq!(gateway.drops(DropReason::NoRoute), 1);
    // What comes late about it does nothing.
    let (peer, spi) = (link.peer(), link.spi(0));
    for late in [
        Command::RemovePeer { peer },
        Command::RemoveInbound { spi },
        Command::RemoveOutbound { peer, spi },
        Command::CloseSession { session: link.session() },
        Command::MovePath { peer, path: link.at_gateway, encap: link.encap },
        Command::Reserve { peer, spi, until: 7 },
    ] {
        gateway.apply(late);
    }
    assert!(gateway.plane.tables.is_empty());
}

#[test]
fn a_peer_in_the_slot_of_another_replaces_it() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let newcomer = isthmus_core::Key::from_raw(2 << 20 | 1);
    let other = Link::new(2);
    let sa = InstallInbound { peer: newcomer, ..other.gateway_inbound(0) };
    gateway.apply(Command::InstallInbound(sa));
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.drops(DropReason::NoRoute), 1, "the session went with its peer");
    gateway.apply(Command::RemovePeer { peer: newcomer });
    assert!(gateway.plane.tables.is_empty());
}

#[test]
fn an_spi_in_the_slot_of_another_replaces_it() {
    let (one, two) = (Link::new(1), Link::new(2));
    let (mut gateway, mut first, mut second) = (End::new(1), End::new(2), End::new(3));
    one.connect(&mut gateway, &mut first);
    two.connect(&mut gateway, &mut second);
    let mut sa = two.gateway_inbound(0);
    sa.sa.params.spi = 2 << 20 | 1;
    gateway.apply(Command::InstallInbound(sa));
    up(&one, &[udp("10.0.0.2", SERVER, 60)], &mut first, &mut gateway);
    assert_eq!(gateway.drops(DropReason::UnknownSpi), 1);
    // A late removal of the SA that was replaced does not take the other.
    gateway.apply(Command::RemoveInbound { spi: one.spi(0) });
    assert_eq!(gateway.counters().sas.len(), 4);
}

#[test]
fn an_open_session_can_be_changed_and_keeps_its_counters() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    down(&link, &[udp(SERVER, "10.0.0.2", 60)], &mut gateway, &mut client);
    let params = SessionParams {
        destinations: vec!["10.9.0.0/16".parse().unwrap()],
        ..link.gateway_session()
    };
    gateway.apply(Command::OpenSession(params));
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.drops(DropReason::NoRoute), 1);
    down(&link, &[udp(SERVER, "10.9.8.7", 60)], &mut gateway, &mut client);
    assert_eq!(gateway.counters().sessions[0].1.sent.packets, 2);
    gateway.apply(Command::CloseSession { session: link.session() });
    gateway.apply(Command::RemovePeer { peer: link.peer() });
    assert!(gateway.plane.tables.is_empty());
}

#[test]
fn sums_are_told_without_each_session() {
    let (mut gateway, _) = connected(&Link::new(1));
    let all = gateway.counters();
    assert!(!all.sessions.is_empty() && !all.sas.is_empty());
    gateway.apply(Command::ReadCounters { token: 7, each: false });
    let Some(Report::Counters(sums)) = gateway.reports().pop() else { panic!("no counters") };
    assert_eq!((sums.token, sums.total), (7, all.total));
    assert!(sums.sessions.is_empty() && sums.sas.is_empty());
}

#[test]
fn counters_of_one_session_are_told_while_it_is_open() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let session = link.session();
    let (_, counters) = gateway.counters().sessions[0];
    gateway.apply(Command::ReadSession { session });
    assert_eq!(gateway.reports().pop(), Some(Report::Carried { session, counters }));
    gateway.apply(Command::CloseSession { session });
    gateway.apply(Command::ReadSession { session });
    assert_eq!(gateway.reports().pop(), None);
}

#[test]
fn a_packet_in_the_name_of_a_peer_goes_where_those_of_the_peer_go_and_counts_as_none_of_them() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let session = link.session();
    let packet = udp("10.0.0.2", SERVER, 60);
    gateway.apply(Command::SendInner { session, packet: packet.clone() });
    assert_eq!(gateway.delivered(), core::slice::from_ref(&packet));
    assert_eq!(gateway.counters().sessions[0].1.received.packets, 0);
    gateway.dropped_nothing();

    gateway.apply(Command::SendInner { session, packet: udp("10.0.0.3", SERVER, 60) });
    assert_eq!(gateway.drops(DropReason::SourceNotAllowed), 1);
    gateway.apply(Command::SendInner { session, packet: vec![0x45; 7] });
    assert_eq!(gateway.drops(DropReason::BadInner), 1);
    gateway.apply(Command::CloseSession { session });
    gateway.apply(Command::SendInner { session, packet });
    assert!(gateway.delivered().is_empty());
}

#[test]
fn a_session_with_the_ids_of_another_replaces_it() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let params = SessionParams { session: key(9), ..link.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    assert_eq!(gateway.counters().sessions.len(), 1);
    // Closing the one that was replaced changes nothing.
    gateway.apply(Command::CloseSession { session: link.session() });
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    let counters = gateway.counters();
    assert_eq!(counters.sessions.len(), 1);
    assert_eq!((counters.sessions[0].0, counters.sessions[0].1.received.packets), (key(9), 1));
}

#[test]
fn a_session_in_the_slot_of_another_replaces_it() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let params = SessionParams {
        session: isthmus_core::Key::from_raw(2 << 20 | 1),
        local_session: 99,
        destinations: vec![],
        ..link.gateway_session()
    };
    gateway.apply(Command::OpenSession(params));
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.drops(DropReason::NoRoute), 1);
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    assert_eq!(gateway.l2tp().len(), 1, "its ids lead nowhere");
}

#[test]
fn a_session_that_changes_hands_begins_anew() {
    let (one, two) = (Link::new(1), Link::new(2));
    let (mut gateway, mut first, mut second) = (End::new(1), End::new(2), End::new(3));
    one.connect(&mut gateway, &mut first);
    two.install(0, &mut gateway, &mut second);
    second.apply(Command::OpenSession(two.client_session()));
    up(&one, &[udp("10.0.0.2", SERVER, 60)], &mut first, &mut gateway);
    let params = SessionParams { peer: two.peer().into(), ..one.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    up(&two, &[udp("10.0.0.2", SERVER, 60)], &mut second, &mut gateway);
    gateway.reports();
    assert_eq!(gateway.counters().sessions[0].1.received.packets, 1);
    up(&one, &[udp("10.0.0.2", SERVER, 60)], &mut first, &mut gateway);
    assert_eq!(gateway.delivered().len(), 2, "the first peer lost it");
}

#[test]
fn a_peer_that_goes_takes_no_sa_of_another() {
    let (one, two) = (Link::new(1), Link::new(2));
    let (mut gateway, mut first, mut second) = (End::new(1), End::new(2), End::new(3));
    one.connect(&mut gateway, &mut first);
    two.connect(&mut gateway, &mut second);
    // The slot of the first peer's SA serves the second, until the same SPI comes round again.
    for spi in [2 << 20 | 1, one.spi(0)] {
        let mut sa = two.gateway_inbound(1);
        sa.sa.params.spi = spi;
        gateway.apply(Command::InstallInbound(sa));
    }
    gateway.apply(Command::RemovePeer { peer: one.peer() });
    let spis: Vec<u32> = gateway.counters().sas.iter().map(|sa| sa.spi).collect();
    assert!(spis.contains(&one.spi(0)));
}

#[test]
fn a_client_that_connects_anew_gets_its_address_from_the_dead_session() {
    let (old, new) = (Link::new(1), Link { inner_v4: [10, 0, 0, 2].into(), ..Link::new(2) });
    let (mut gateway, mut first, mut second) = (End::new(1), End::new(2), End::new(3));
    old.connect(&mut gateway, &mut first);
    new.connect(&mut gateway, &mut second);
    down(&new, &[udp(SERVER, "10.0.0.2", 60)], &mut gateway, &mut second);
    gateway.apply(Command::RemovePeer { peer: old.peer() });
    down(&new, &[udp(SERVER, "10.0.0.2", 60)], &mut gateway, &mut second);
    assert_eq!(second.delivered().len(), 2);
}

#[test]
fn tun_devices_are_separate() {
    let link = Link::new(1);
    let (mut gateway, _) = connected(&link);
    let mut batch = vec![isthmus_core::Buf::copy_of(&udp(SERVER, "10.0.0.2", 60))];
    gateway.plane.handle_tun(TunId(8), &mut batch, &mut gateway.out, gateway.now);
    assert_eq!(gateway.drops(DropReason::NoRoute), 1);
    assert!(gateway.sent().is_empty());
}

#[test]
fn keys_that_do_not_fit_are_reported() {
    let link = Link::new(1);
    let mut gateway = End::new(1);
    let short = || isthmus_core::SecretBytes::copy_of(b"short");
    let (mut inbound, mut outbound) = (link.gateway_inbound(0), link.gateway_outbound(0));
    inbound.sa.params.keys = EspKeys { cipher: short(), integrity: short() };
    outbound.sa.params.keys = EspKeys { cipher: short(), integrity: short() };
    gateway.apply(Command::InstallInbound(inbound));
    gateway.apply(Command::InstallOutbound(outbound));
    let failed = || Report::InstallFailed { peer: link.peer(), spi: link.spi(0) };
    assert_eq!(gateway.reports(), [failed(), failed()]);
}
