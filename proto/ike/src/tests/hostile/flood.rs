//! Floods: first messages from forged addresses, and storms of those that are not.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use isthmus_core::{Duration, Rng};

use super::super::fake::{self, Fake};
use super::super::net::{Net, server_config};
use super::{established, ordinary, refused, server};
use crate::codec::Message;
use crate::*;

/// A client from an address of its own.
fn from(number: u32) -> Fake {
    let mut fake = Fake::new(fake::network_manager(), 0);
    // A group that is quick to compute.
    fake.profile.ike = alloc::vec![(7, Some(256), 4, 19)];
    fake.path.remote = SocketAddr::new(Ipv4Addr::from(0x0b00_0000 + number).into(), 500);
    fake.cookies.initiator = u64::from(number + 1).to_be_bytes();
    fake
}

/// Bytes that node 0 sent since the queue was last emptied.
fn said(net: &Net) -> usize {
    net.taken.iter().map(|packet| packet.bytes.len()).sum()
}

#[test]
fn twenty_thousand_forged_first_messages_a_second_starve_nobody() {
    const PER_MS: u64 = 20;
    let mut rng = Rng::new([8; 32]);
    let mut net = server();
    let connected = established(&mut net);
    let mut late = from(0x00ff_ffff);
    let mut late_mm2 = None;
    let (mut received, mut sent) = (0, 0);
    let template = Fake::new(fake::windows10(), 1).mm1();
    for ms in 0..2500 {
        for _ in 0..PER_MS {
            let mut bytes = template.clone();
            bytes[..8].copy_from_slice(&rng.u64().max(1).to_be_bytes());
            let mut forged = from(0);
            forged.path.remote.set_ip(Ipv4Addr::from(rng.u32()).into());
            received += bytes.len();
            forged.tell(&mut net, &bytes).unwrap();
        }
        sent += said(&net);
        net.taken.clear();
        match ms {
            // A new client, half a second away.
            1500 => {
                let mm1 = late.mm1();
                late_mm2 = Some(late.ask(&mut net, &mm1).unwrap());
            }
            2000 => {
                let mm3 = late.mm3(&late_mm2.take().unwrap());
                let mm4 = late.ask(&mut net, &mm3).unwrap();
                let mm5 = late.mm5(&mm4);
                let mm6 = late.ask(&mut net, &mm5).unwrap();
                late.mm6(&mm6);
                late.quick_mode(&mut net, 1, ordinary(&late, 0xb100_0009)).unwrap();
            }
            // Who is connected rekeys as ever.
            2400 => {
                connected.quick_mode(&mut net, 2, ordinary(&connected, 0xb100_0002)).unwrap();
            }
            _ => {}
        }
        assert!(net.nodes[0].endpoint.half_open() <= bounds::EMBRYOS_MAX + 1);
        net.run(Duration::from_millis(1));
    }
    assert!(sent <= received, "{sent} for {received}");
    assert_eq!(net.nodes[0].up.len(), 2);
    assert!(net.nodes[0].down.is_empty());
    assert!(net.nodes[0].failed.is_empty(), "nothing expired yet");
    net.run_secs(31);
    let friends = [connected.path.remote, late.path.remote];
    let unasked = net.taken.iter().find(|packet| !friends.contains(&packet.path.remote));
    assert!(unasked.is_none(), "nothing is ever said unasked: {unasked:?}");
    let endpoint = &net.nodes[0].endpoint;
    assert_eq!((endpoint.half_open(), endpoint.peers()), (0, 2));
    let reported = net.nodes[0].failed.len();
    assert!((1..=500).contains(&reported), "{reported} reports");
    let stats = endpoint.stats();
    assert_eq!(stats.failures_unreported + reported as u64, stats.failed["timeout"]);
}

#[test]
fn a_client_whose_place_was_taken_repeats_message_1_and_goes_on() {
    let mut net = server();
    let mut slow = from(0x00ff_ffff);
    let mm1 = slow.mm1();
    let mm2 = slow.ask(&mut net, &mm1).unwrap();
    for number in 0..u32::try_from(bounds::EMBRYOS_MAX).unwrap() {
        let mut forged = from(number);
        let mm1 = forged.mm1();
        forged.tell(&mut net, &mm1).unwrap();
    }
    net.taken.clear();
    let mm3 = slow.mm3(&mm2);
    slow.cookies = Message::read(&mm2).unwrap().header.cookies;
    assert_eq!(refused(&mut net, &slow, &mm3), Rejected::UnknownCookies);
    assert_eq!(slow.ask(&mut net, &mm1).unwrap(), mm2, "the same cookie as before");
    let mm4 = slow.ask(&mut net, &mm3).unwrap();
    let mm5 = slow.mm5(&mm4);
    let mm6 = slow.ask(&mut net, &mm5).unwrap();
    slow.mm6(&mm6);
}

#[test]
fn another_message_1_under_the_same_cookie_does_not_displace_the_first() {
    let mut net = server();
    let mut fake = from(1);
    let mm1 = fake.mm1();
    let mm2 = fake.ask(&mut net, &mm1).unwrap();
    let mut other = from(1);
    other.profile = fake::apple();
    let bytes = other.mm1();
    assert_eq!(refused(&mut net, &other, &bytes), Rejected::IncorrectState);
    let mm3 = fake.mm3(&mm2);
    fake.ask(&mut net, &mm3).unwrap();
}

#[test]
fn a_storm_from_one_source_leaves_its_neighbours_alone() {
    let mut net = server();
    let mut good = from(1);
    let mm1 = good.mm1();
    let mm2 = good.ask(&mut net, &mm1).unwrap();
    for number in 0..5000u32 {
        let mut storm = from(7);
        storm.cookies.initiator = u64::from(number + 1).to_be_bytes();
        let mm1 = storm.mm1();
        storm.tell(&mut net, &mm1).unwrap();
        net.taken.clear();
    }
    let endpoint = &net.nodes[0].endpoint;
    assert_eq!(endpoint.half_open(), bounds::EMBRYOS_PER_SOURCE_MAX + 1);
    let mm3 = good.mm3(&mm2);
    good.ask(&mut net, &mm3).unwrap();
}

/// Clients that got as far as message 3.
fn proven(net: &mut Net, clients: impl Iterator<Item = Fake>) -> Vec<Result<(), Rejected>> {
    let mut results = Vec::new();
    for mut fake in clients {
        let mm1 = fake.mm1();
        let mm2 = fake.ask(net, &mm1).unwrap();
        let mm3 = fake.mm3(&mm2);
        results.push(fake.tell(net, &mm3));
        net.taken.clear();
    }
    results
}

/// The same source with another port and cookie.
fn neighbour(number: u32) -> Fake {
    let mut fake = from(3);
    fake.path.remote.set_port(u16::try_from(1000 + number).unwrap());
    fake.cookies.initiator = u64::from(number + 1).to_be_bytes();
    fake
}

#[test]
fn computations_are_bounded_for_each_source_and_the_refused_may_ask_again() {
    let mut net = server();
    net.hold_jobs = true;
    let most = bounds::JOBS_PER_SOURCE_MAX;
    let count = u32::try_from(most).unwrap() + 1;
    let results = proven(&mut net, (0..count).map(neighbour));
    assert!(results[..most].iter().all(Result::is_ok));
    assert_eq!(results[most], Err(Rejected::JobLimit));
    assert_eq!(net.jobs.len(), bounds::JOBS_AT_ONCE_MAX, "the others wait");
    // Somebody else is next after those that are under way.
    assert_eq!(proven(&mut net, [from(9)].into_iter()), [Ok(())]);
    net.work();
    assert_eq!(net.jobs.len(), bounds::JOBS_AT_ONCE_MAX, "as many again");
    while !net.jobs.is_empty() {
        net.work();
    }
    net.taken.clear();
    assert_eq!(proven(&mut net, [neighbour(count - 1)].into_iter()), [Ok(())]);
}

#[test]
fn computations_of_all_sources_are_bounded() {
    let mut net = server();
    net.hold_jobs = true;
    let most = u32::try_from(bounds::JOBS_MAX).unwrap();
    let results = proven(&mut net, (0..=most).map(from));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), bounds::JOBS_MAX);
    assert_eq!(results.last(), Some(&Err(Rejected::JobLimit)));
}

#[test]
fn half_open_exchanges_are_bounded_for_each_source() {
    let mut net = server();
    net.hold_jobs = true;
    let count = u32::try_from(bounds::HALF_OPEN_PER_SOURCE_MAX).unwrap() + 1;
    for number in 0..count {
        let result = proven(&mut net, [neighbour(number)].into_iter());
        let expected = if number + 1 < count { Ok(()) } else { Err(Rejected::HalfOpenSourceLimit) };
        assert_eq!(result, [expected]);
        net.skip_jobs();
    }
    assert_eq!(proven(&mut net, [from(200)].into_iter()), [Ok(())]);
}

#[test]
fn half_open_exchanges_are_bounded_and_the_greediest_source_gives_way() {
    let mut net = server();
    net.hold_jobs = true;
    let greedy = |number: u32| {
        let mut fake = neighbour(number % 32);
        let source = Ipv4Addr::from(0x0c00_0000 + number / 32);
        fake.path.remote.set_ip(source.into());
        fake
    };
    for number in 0..u32::try_from(bounds::HALF_OPEN_MAX).unwrap() {
        assert_eq!(proven(&mut net, [greedy(number)].into_iter()), [Ok(())]);
        net.skip_jobs();
    }
    assert_eq!(net.nodes[0].endpoint.half_open(), bounds::HALF_OPEN_MAX);
    assert_eq!(proven(&mut net, [from(1)].into_iter()), [Ok(())]);
    assert_eq!(net.nodes[0].endpoint.half_open(), bounds::HALF_OPEN_MAX);
    assert_eq!(net.nodes[0].endpoint.stats().half_open_evicted, 1);
}

#[test]
fn failures_of_strangers_are_reported_at_a_bounded_rate_and_counted_beyond() {
    let mut net = Net::server(Config { ike: IkeProposal::acceptable(false), ..server_config() });
    let refuse = |net: &mut Net, number: u32| {
        let mut fake = from(number);
        fake.profile.ike = alloc::vec![(1, None, 1, 1)];
        let mm1 = fake.mm1();
        assert_eq!(fake.tell(net, &mm1), Err(Rejected::NoProposalChosen));
        net.taken.clear();
    };
    (0..1000).for_each(|number| refuse(&mut net, number));
    let most = usize::try_from(bounds::REPORTS_MAX).unwrap();
    assert_eq!(net.nodes[0].failed.len(), most);
    let stats = net.nodes[0].endpoint.stats();
    assert_eq!(stats.failed["no_ike_proposal"], 1000);
    assert_eq!(stats.failures_unreported, 1000 - most as u64);
    // Who has answered message 2 is heard all the same.
    let mut wrong = from(5000);
    wrong.psk = b"another".to_vec();
    let mm1 = wrong.mm1();
    let mm2 = wrong.ask(&mut net, &mm1).unwrap();
    let mm3 = wrong.mm3(&mm2);
    let mm4 = wrong.ask(&mut net, &mm3).unwrap();
    let mm5 = wrong.mm5(&mm4);
    assert!(wrong.tell(&mut net, &mm5).is_err());
    assert_eq!(net.nodes[0].failed.last().unwrap().cause, FailureCause::WrongPsk);
    net.run(bounds::REPORT_INTERVAL * 3);
    (2000..3000).for_each(|number| refuse(&mut net, number));
    assert_eq!(net.nodes[0].failed.len(), most + 1 + 3);
}
