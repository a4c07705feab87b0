//! Two endpoints, message by message.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Encap, SecretBytes};
use isthmus_crypto::{DhGroup, EspSuite};

use super::net::{Fate, Nat, Net, SECRET, client_config, exchange_of, server_config};
use crate::iana::ExchangeType;
use crate::*;

#[test]
fn a_connection_comes_up_in_every_nat_arrangement() {
    for nat in Nat::ALL {
        let mut net = Net::simple(nat);
        let peer = net.connect(1);
        net.run_secs(1);
        net.assert_agreed(1, 1);
        let (up, server_up) = (&net.nodes[1].up[&peer], &net.nodes[0].up[&net.server_peer()]);
        let udp = nat != Nat::Neither;
        let encap = if udp { Encap::Udp } else { Encap::Esp };
        assert_eq!((up.encap, server_up.encap), (encap, encap), "{nat:?}");
        assert_eq!(up.path.local.port(), if udp { 4500 } else { 500 });
        assert_eq!((up.initiator, server_up.initiator), (true, false));
        assert_eq!(server_up.psk, PskId(7));
        assert_eq!(server_up.nat, NatStatus { local: nat.server(), remote: nat.client() });
        let child = net.nodes[0].children[0];
        assert_eq!((child.local_port, child.remote_port, child.rekeyed), (1701, 1701, false));
        // Six messages of main mode and three of quick mode.
        assert_eq!(net.sent.len(), 9);
        assert!(net.rejected.is_empty(), "{:?}", net.rejected);
        assert!(net.nodes.iter().all(|node| node.failed.is_empty()));
        assert_eq!(net.sent[4].marked, udp, "message 5 floats");
    }
}

#[test]
fn a_responder_installs_inbound_before_it_answers_and_outbound_when_confirmed() {
    let mut net = Net::simple(Nat::Client);
    net.connect(1);
    net.run_secs(1);
    let log = &net.nodes[0].log;
    let expected = [
        "transmit",
        "offload",
        "transmit",
        "peer up",
        "transmit",
        "install inbound",
        "transmit",
        "install outbound",
        "child up",
    ];
    let ordered: Vec<&str> = log.iter().map(alloc::string::String::as_str).collect();
    // The peer is announced with its message 6.
    let mut sorted = ordered.clone();
    sorted[3..5].sort_unstable();
    assert_eq!(sorted, expected);
}

#[test]
fn every_proposal_works() {
    for proposal in IkeProposal::acceptable(true) {
        let client = Config { ike: vec![proposal], ..client_config() };
        let mut net = Net::new(Nat::Both, server_config(), client);
        let peer = net.connect(1);
        net.run_secs(1);
        net.assert_agreed(1, 1);
        assert_eq!(net.nodes[1].up[&peer].proposal, proposal);
    }
}

#[test]
fn every_suite_works_with_and_without_forward_secrecy() {
    let groups = [None, Some(DhGroup::Modp2048), Some(DhGroup::Ecp384), Some(DhGroup::Modp1024)];
    for suite in EspSuite::ALL {
        for pfs in groups {
            let client = Config { esp: vec![suite], ..client_config() };
            let server = Config { esp: vec![suite], ..server_config() };
            let mut net = Net::new(Nat::Client, server, client);
            let params = Connect { pfs, ..net.params(1) };
            net.connect_with(1, params);
            net.run_secs(1);
            net.assert_agreed(1, 1);
            assert_eq!(net.nodes[0].children[0].suite, suite);
        }
    }
}

#[test]
fn any_one_message_may_be_lost() {
    for pfs in [None, Some(DhGroup::Ecp256)] {
        for nat in Nat::ALL {
            for index in 0..9 {
                let mut net = Net::simple(nat);
                net.fate(move |n, _| if n == index { Fate::Drop } else { Fate::Deliver });
                let params = Connect { pfs, ..net.params(1) };
                net.connect_with(1, params);
                net.run_secs(25);
                net.assert_agreed(1, 1);
                assert!(net.nodes.iter().all(|node| node.failed.is_empty()), "{nat:?} {index}");
            }
        }
    }
}

#[test]
fn any_one_message_may_come_twice() {
    for nat in Nat::ALL {
        for index in 0..9 {
            let mut net = Net::simple(nat);
            net.fate(move |n, _| if n == index { Fate::Duplicate } else { Fate::Deliver });
            net.connect(1);
            net.run_secs(25);
            net.assert_agreed(1, 1);
            assert_eq!(net.nodes[0].children.len(), 1, "{nat:?} {index}");
        }
    }
}

#[test]
fn any_one_message_may_come_late() {
    for nat in Nat::ALL {
        for index in 0..9 {
            let mut net = Net::simple(nat);
            net.fate(move |n, _| if n == index { Fate::Late } else { Fate::Deliver });
            net.connect(1);
            net.run_secs(25);
            net.assert_agreed(1, 1);
            assert!(net.nodes.iter().all(|node| node.failed.is_empty()), "{nat:?} {index}");
        }
    }
}

#[test]
fn a_wrong_key_is_reported_on_both_sides_and_leaves_nothing() {
    let mut net = Net::simple(Nat::Client);
    let params = Connect { psk: SecretBytes::copy_of(b"wrong"), ..net.params(1) };
    let peer = net.connect_with(1, params);
    net.run_secs(40);
    for node in &net.nodes {
        assert_eq!(node.failed.len(), 1);
        assert_eq!(node.failed[0].cause, FailureCause::WrongPsk);
        assert_eq!(node.failed[0].stage, Stage::Authentication);
    }
    assert_eq!(net.nodes[1].failed[0].peer, Some(peer));
    net.assert_nothing_left();
}

#[test]
fn closing_takes_everything_away_on_both_sides() {
    let mut net = Net::simple(Nat::Client);
    let peer = net.connect(1);
    net.run_secs(1);
    net.nodes[1].endpoint.close_peer(peer, net.now);
    net.drain(1);
    net.run_secs(1);
    assert_eq!(net.nodes[1].down, [(peer, DownReason::Closed)]);
    assert_eq!(net.nodes[0].down[0].1, DownReason::Deleted);
    net.run_secs(40);
    net.assert_nothing_left();
    let deletes = net.sent.iter().filter(|p| exchange_of(p) == ExchangeType::INFORMATIONAL);
    assert_eq!(deletes.count(), 2);
}

#[test]
fn the_secret_is_no_identity() {
    assert_eq!(SECRET.len(), 28);
    assert_eq!(Duration::from_secs(30), bounds::HALF_OPEN_LIFETIME);
}
