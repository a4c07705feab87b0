//! Packets through the sessions of a crowd.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use isthmus_load::{Pace, Plan, Sizes, Tally, Target};

use super::crowd::Crowd;
use super::logins::{Percentiles, curve};
use super::report::{Rate, TrafficReport};
use super::scenario::address;

/// A run of packets.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Where they go.
    pub towards: Towards,
    /// Lengths of IP packets in bytes, in turn.
    pub sizes: Vec<u16>,
    /// How many there are.
    pub offer: Offer,
    /// For how long.
    pub duration: Duration,
}

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From each session to the next, the last to the first.
    Between,
    /// To a reflector behind the server, and back.
    Reflector(SocketAddrV4),
}

/// How many packets are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offer {
    /// So many in a second, all sessions together.
    PerSecond(f64),
    /// As many as possible, with so many of each session on their way.
    Window(u32),
}

impl Offer {
    /// The rate of packets that makes so many millions of bits of IP in a second.
    pub fn of_mbit(mbit: f64, sizes: &[u16]) -> Self {
        let total: f64 = sizes.iter().map(|size| f64::from(*size)).sum();
        let count = sizes.len().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a handful of sizes")]
        let mean = (total / count as f64).max(1.0);
        Self::PerSecond(mbit * 1e6 / 8.0 / mean)
    }
}

/// Sends packets for the time given, waits for the last of them, and counts.
pub(crate) fn run(traffic: &Traffic, crowd: &mut Crowd<'_>) -> TrafficReport {
    let sessions = crowd.counts.up;
    crowd.say(&format!("packets through {sessions} sessions for {} s", traffic.duration.as_secs()));
    let plan = plan(traffic, crowd);
    let clients = u32::try_from(crowd.seats().len()).unwrap_or(u32::MAX);
    let began = crowd.elapsed();
    crowd.fleet.traffic(&plan, clients);
    let mut timeline = Vec::new();
    let mut before = (0.0, 0, 0);
    loop {
        let elapsed = crowd.elapsed().saturating_sub(began);
        let left = traffic.duration.saturating_sub(elapsed);
        if left.is_zero() || crowd.is_stopped() {
            break;
        }
        crowd.wait(left.min(SECOND));
        let tally = crowd.fleet.tally();
        let now = (crowd.elapsed().saturating_sub(began).as_secs_f64(), tally.sent, tally.received);
        let rate = rate(before, now);
        crowd.say(&format!(
            "       {:.0} packets/s sent, {:.0} received",
            rate.sent_pps, rate.received_pps
        ));
        timeline.push(rate);
        before = now;
    }
    crowd.fleet.quiet();
    let seconds = crowd.elapsed().saturating_sub(began).as_secs_f64();
    crowd.wait(GRACE);
    let tally = crowd.fleet.tally();
    report(traffic, &tally, sessions, seconds, timeline)
}

fn plan(traffic: &Traffic, crowd: &Crowd<'_>) -> Plan {
    let target = match traffic.towards {
        Towards::Reflector(address) => Target::Reflector(address),
        Towards::Between => {
            let addresses: Vec<_> = crowd.seats().iter().map(address).collect();
            Target::Between(next_of_each(&addresses).into())
        }
    };
    let pace = match traffic.offer {
        Offer::PerSecond(rate) => Pace::Rate(rate),
        Offer::Window(each) => Pace::window(u64::from(each) * u64::from(crowd.counts.up)),
    };
    let sizes = Sizes(traffic.sizes.clone().into());
    // Packets of an earlier load through the same server must not count.
    let run = u32::from_be_bytes(*b"run0") ^ std::process::id();
    Plan { run, target, sizes, pace }
}

/// To each that is up the address of the next that is; none when there is no other.
fn next_of_each(addresses: &[Option<Ipv4Addr>]) -> Vec<Option<Ipv4Addr>> {
    let up: Vec<Ipv4Addr> = addresses.iter().copied().flatten().collect();
    let mut nexts = up.iter().skip(1).chain(up.first()).copied();
    let mut next = |address: &Option<Ipv4Addr>| address.and_then(|_| nexts.next());
    if up.len() < 2 {
        vec![None; addresses.len()]
    } else {
        addresses.iter().map(&mut next).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 packets")]
fn rate(before: (f64, u64, u64), now: (f64, u64, u64)) -> Rate {
    let span = (now.0 - before.0).max(f64::MIN_POSITIVE);
    Rate {
        seconds: now.0,
        sent_pps: now.1.saturating_sub(before.1) as f64 / span,
        received_pps: now.2.saturating_sub(before.2) as f64 / span,
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 packets")]
fn report(
    traffic: &Traffic,
    tally: &Tally,
    sessions: u32,
    seconds: f64,
    timeline: Vec<Rate>,
) -> TrafficReport {
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let mbit = |bytes: u64| per_second(bytes) * 8.0 / 1e6;
    let lost = tally.lost();
    let lost_percent = if tally.sent > 0 { 100.0 * lost as f64 / tally.sent as f64 } else { 0.0 };
    TrafficReport {
        towards: match traffic.towards {
            Towards::Between => "between",
            Towards::Reflector(_) => "reflector",
        },
        sizes: traffic.sizes.clone(),
        sessions,
        seconds,
        offered_pps: match traffic.offer {
            Offer::PerSecond(rate) => Some(rate),
            Offer::Window(_) => None,
        },
        sent: tally.sent,
        received: tally.received,
        lost,
        lost_percent,
        reordered: tally.reordered,
        duplicated: tally.duplicated,
        unsent: tally.unsent,
        sent_pps: per_second(tally.sent),
        received_pps: per_second(tally.received),
        sent_mbit: mbit(tally.sent_bytes),
        received_mbit: mbit(tally.received_bytes),
        latency_ms: Percentiles::of(&tally.latency, 1e-6),
        curve: curve(&tally.latency, 1e-6),
        timeline,
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// How long is waited for the last packets.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sends_to_the_next_that_is_up() {
        let address = |n: u8| Some(Ipv4Addr::new(10, 0, 0, n));
        let seats = [address(1), None, address(3), address(4), None];
        assert_eq!(next_of_each(&seats), [address(3), None, address(4), address(1), None]);
        assert_eq!(next_of_each(&[address(1), None]), [None, None], "nobody sends to itself");
    }

    #[test]
    fn bits_make_packets_by_their_mean_length() {
        let Offer::PerSecond(rate) = Offer::of_mbit(8.0, &[500, 1500]) else { panic!("a rate") };
        assert!((rate - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn the_report_says_what_was_lost() {
        let mut tally = Tally::new();
        (tally.sent, tally.received, tally.sent_bytes, tally.received_bytes) =
            (200, 150, 20_000, 15_000);
        let traffic = Traffic {
            towards: Towards::Between,
            sizes: vec![100],
            offer: Offer::PerSecond(100.0),
            duration: Duration::from_secs(2),
        };
        let report = report(&traffic, &tally, 4, 2.0, Vec::new());
        assert_eq!((report.lost, report.sessions, report.offered_pps), (50, 4, Some(100.0)));
        assert!((report.lost_percent - 25.0).abs() < 1e-9);
        assert!((report.sent_pps - 100.0).abs() < 1e-9 && (report.sent_mbit - 0.08).abs() < 1e-9);
    }
}
