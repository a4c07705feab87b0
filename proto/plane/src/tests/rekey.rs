//! SAs that come and go while packets travel.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_esp::Lifetime;

use super::fixture::{End, Link, SERVER, connected, down, udp, up};
use crate::{Command, Direction, DropReason, InstallOutbound, RESERVE_LOW, Report};

#[test]
fn traffic_flows_over_a_rekeying_without_loss() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let there: Vec<_> = (0..8).map(|n| udp("10.0.0.2", SERVER, 60 + n)).collect();
    let back: Vec<_> = (0..8).map(|n| udp(SERVER, "10.0.0.2", 60 + n)).collect();
    for age in 1..6 {
        // In the order of IKE: the responder's inbound SA, the initiator's pair, the responder's other.
        // What is sent before each step arrives after it.
        let (peer, old) = (link.peer(), link.spi(age - 1));
        let steps: [(bool, Command); 8] = [
            (true, Command::InstallInbound(link.gateway_inbound(age))),
            (false, Command::InstallInbound(link.client_inbound(age))),
            (false, Command::InstallOutbound(link.client_outbound(age))),
            (true, Command::InstallOutbound(link.gateway_outbound(age))),
            (false, Command::RemoveOutbound { peer, spi: old }),
            (true, Command::RemoveOutbound { peer, spi: old }),
            (true, Command::RemoveInbound { spi: old }),
            (false, Command::RemoveInbound { spi: old }),
        ];
        for (n, (at_gateway, command)) in steps.into_iter().enumerate() {
            client.tun(&there);
            gateway.tun(&back);
            let (up, mut down) = (link.to_gateway(client.sent()), gateway.sent());
            if at_gateway { &mut gateway } else { &mut client }.apply(command);
            gateway.net(up);
            client.net(link.to_client(&mut down));
            assert_eq!(gateway.delivered(), there, "age {age}, step {n}");
            assert_eq!(client.delivered(), back, "age {age}, step {n}");
        }
    }
    gateway.dropped_nothing();
    client.dropped_nothing();
}

#[test]
fn the_sa_before_serves_when_the_newest_is_removed() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    link.install(1, &mut gateway, &mut client);
    let spi_of = |gateway: &mut End| {
        gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
        let sent = gateway.sent();
        u32::from_be_bytes(*sent[0].buf.first_chunk().unwrap())
    };
    assert_eq!(spi_of(&mut gateway), link.spi(1));
    gateway.apply(Command::RemoveOutbound { peer: link.peer(), spi: link.spi(1) });
    assert_eq!(spi_of(&mut gateway), link.spi(0));
}

#[test]
fn an_sa_installed_twice_keeps_its_numbers_and_its_window() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    client.tun(&[udp("10.0.0.2", SERVER, 60)]);
    let sent = link.to_gateway(client.sent());
    let copy = super::fixture::again(&sent[0]);
    gateway.net(sent);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    let number = |gateway: &mut End| {
        let sent = gateway.sent();
        u32::from_be_bytes(*sent[0].buf[4..].first_chunk().unwrap())
    };
    assert_eq!(number(&mut gateway), 1);
    link.install(0, &mut gateway, &mut client);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(number(&mut gateway), 2);
    gateway.net(vec![copy]);
    assert_eq!(gateway.drops(DropReason::EspReplayed), 1);
}

#[test]
fn an_spi_used_again_with_other_keys_is_another_sa() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    gateway.sent();
    // The keys of the next age under the old SPI.
    let mut outbound = link.gateway_outbound(1);
    outbound.sa.params.spi = link.spi(0);
    let mut inbound = link.client_inbound(1);
    inbound.sa.params.spi = link.spi(0);
    gateway.apply(Command::InstallOutbound(outbound));
    client.apply(Command::InstallInbound(inbound));
    down(&link, &[udp(SERVER, "10.0.0.2", 60)], &mut gateway, &mut client);
    assert_eq!(client.delivered().len(), 1);
    let outbound = |sa: &crate::SaCounters| sa.direction == Direction::Outbound;
    let sas: Vec<_> = gateway.counters().sas.into_iter().filter(outbound).collect();
    assert_eq!(sas.len(), 1);
    assert_eq!(sas[0].sequence, 2);
}

#[test]
fn a_soft_limit_is_reported_once_for_each_sa() {
    let lifetime = Lifetime { soft_bytes: 1000, hard_bytes: 3000 };
    let link = Link { lifetime, ..Link::new(1) };
    let (mut gateway, mut client) = connected(&link);
    let (peer, spi) = (link.peer(), link.spi(0));
    let limits = |end: &mut End| {
        let reports = end.reports().into_iter();
        reports.filter(|report| *report == Report::SoftLimit { peer, spi }).count()
    };
    let mut seen = Vec::new();
    for _ in 0..4 {
        up(&link, &[udp("10.0.0.2", SERVER, 400)], &mut client, &mut gateway);
        seen.push((limits(&mut client), limits(&mut gateway)));
    }
    assert_eq!(seen, [(0, 0), (0, 0), (1, 1), (0, 0)]);
    // Beyond the hard limit nothing is sealed; a message from control is counted like a packet.
    for _ in 0..4 {
        up(&link, &[udp("10.0.0.2", SERVER, 400)], &mut client, &mut gateway);
    }
    assert_eq!(client.drops(DropReason::LifetimeOver), 2);
    assert_eq!(gateway.delivered().len(), 6);
}

#[test]
fn the_last_sequence_number_is_the_last_packet() {
    let link = Link::new(1);
    let (mut gateway, mut client) = (End::new(1), End::new(2));
    link.connect(&mut End::new(3), &mut client);
    let mut sa = link.gateway_outbound(0);
    sa.sa.resume_at = u64::from(u32::MAX) - 1;
    gateway.apply(Command::InstallOutbound(sa));
    gateway.apply(Command::OpenSession(link.gateway_session()));
    down(&link, &vec![udp(SERVER, "10.0.0.2", 60); 5], &mut gateway, &mut client);
    assert_eq!(client.delivered().len(), 2);
    assert_eq!(gateway.drops(DropReason::SequenceExhausted), 3);
    let (peer, spi) = (link.peer(), link.spi(0));
    assert_eq!(gateway.reports(), [Report::SoftLimit { peer, spi }]);
}

#[test]
fn reserved_numbers_are_used_up_reported_and_granted() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let fresh = link.gateway_outbound(1);
    let sa = InstallOutbound { reserved_until: Some(3), ..fresh };
    gateway.apply(Command::InstallOutbound(sa));
    client.apply(Command::InstallInbound(link.client_inbound(1)));
    let (peer, spi) = (link.peer(), link.spi(1));
    gateway.tun(&vec![udp(SERVER, "10.0.0.2", 60); 3]);
    assert_eq!(gateway.drops(DropReason::SequenceUnreserved), 1);
    assert_eq!(gateway.reports(), [Report::ReserveLow { peer, spi, next: 3 }]);
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.reports(), [], "once for each reservation");

    gateway.apply(Command::Reserve { peer, spi, until: 4 + RESERVE_LOW });
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.reports(), [], "enough is left");
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.reports(), [Report::ReserveLow { peer, spi, next: 5 }]);
    // An order that comes late takes nothing back.
    gateway.apply(Command::Reserve { peer, spi, until: 2 });
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    client.net(link.to_client(&mut gateway.sent()));
    assert_eq!(client.delivered().len(), 5);
}

#[test]
fn a_restored_pair_goes_on_where_the_old_one_stopped() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let there = [udp("10.0.0.2", SERVER, 60)];
    up(&link, &there, &mut client, &mut gateway);
    client.tun(&there);
    let in_flight = link.to_gateway(client.sent());
    down(&link, &[udp(SERVER, "10.0.0.2", 60)], &mut gateway, &mut client);
    client.delivered();

    // The gateway dies; another one knows its records.
    let mut heir = End::new(5);
    let (mut inbound, mut outbound) = (link.gateway_inbound(0), link.gateway_outbound(0));
    inbound.sa.top = 1;
    outbound.sa.resume_at = 1000;
    heir.apply(Command::InstallInbound(inbound));
    heir.apply(Command::InstallOutbound(outbound));
    heir.apply(Command::OpenSession(link.gateway_session()));
    heir.net(in_flight);
    assert_eq!(heir.delivered(), there);
    down(&link, &[udp(SERVER, "10.0.0.2", 61)], &mut heir, &mut client);
    assert_eq!(client.delivered(), [udp(SERVER, "10.0.0.2", 61)]);
}
