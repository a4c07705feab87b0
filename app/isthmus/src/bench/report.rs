//! What was measured, as a document for programs.

use std::net::IpAddr;

use isthmus_load::Carried;
use serde::Serialize;

use super::logins::{Cause, LoginReport, Percentiles};
use super::process::Share;

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// `connect`, `hold`, `storm`, `traffic` or `carry`.
    pub scenario: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The server.
    pub server: IpAddr,
    /// How many clients there were.
    pub clients: u32,
    /// Whether the load was ended before its time.
    pub interrupted: bool,
    /// From the first dial to the beginning of the end, in seconds.
    pub seconds: f64,
    /// The logins.
    pub logins: LoginReport,
    /// Sessions that ended and were not to, and why.
    pub lost: Vec<Cause>,
    /// What holding the sessions took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldReport>,
    /// How the storm went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormReport>,
    /// What became of the packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficReport>,
    /// What other programs' packets came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carry: Option<CarryReport>,
    /// The server's process, when it runs on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<ProcessReport>,
    /// This program.
    pub generator: GeneratorReport,
    /// How things stood each second.
    pub timeline: Vec<Point>,
    /// For each percent of the logins how long they took at most, in milliseconds.
    pub login_curve: Vec<(f64, f64)>,
}

/// Sessions that were held.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HoldReport {
    /// For how long, in seconds.
    pub seconds: f64,
    /// How many at the beginning.
    pub sessions: u32,
    /// How many at the end.
    pub left: u32,
}

/// A storm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StormReport {
    /// How many clients dialed at once.
    pub clients: u32,
    /// How many were up in the end.
    pub up: u32,
    /// How many were not: they had tried too often, or the time was over.
    pub failed_for_good: u32,
    /// Attempts, those that failed included.
    pub attempts: u64,
    /// Time until half of them, nine in ten, and all were up, in seconds; none when that never was.
    pub half_up_seconds: Option<f64>,
    /// See [`StormReport::half_up_seconds`].
    pub most_up_seconds: Option<f64>,
    /// See [`StormReport::half_up_seconds`].
    pub all_up_seconds: Option<f64>,
}

/// Packets through the sessions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrafficReport {
    /// Where they went: `reflector` or `between`.
    pub towards: &'static str,
    /// Lengths of IP packets in bytes, in turn.
    pub sizes: Vec<u16>,
    /// Sessions that took part.
    pub sessions: u32,
    /// For how long packets were sent, in seconds.
    pub seconds: f64,
    /// Packets that were to be sent in a second; none for as many as possible.
    pub offered_pps: Option<f64>,
    /// Packets sent.
    pub sent: u64,
    /// Packets that came, each counted once.
    pub received: u64,
    /// Packets that did not come.
    pub lost: u64,
    /// The same, in percent of those sent.
    pub lost_percent: f64,
    /// Packets that were overtaken.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicated: u64,
    /// Packets that were due and were not sent, because this machine could not.
    pub unsent: u64,
    /// Packets sent in a second.
    pub sent_pps: f64,
    /// Packets that came in a second.
    pub received_pps: f64,
    /// Bits of IP sent in a second, in millions.
    pub sent_mbit: f64,
    /// Bits of IP that came in a second, in millions.
    pub received_mbit: f64,
    /// How long packets were on their way, in milliseconds: there and back with a reflector, one way
    /// between sessions.
    pub latency_ms: Percentiles,
    /// For each percent of the packets how long they took at most, in milliseconds.
    pub curve: Vec<(f64, f64)>,
    /// Packets each second.
    pub timeline: Vec<Rate>,
}

/// Other programs' packets through the sessions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CarryReport {
    /// The device they were sent to.
    pub interface: String,
    /// For how long, in seconds.
    pub seconds: f64,
    /// Sessions at the beginning.
    pub sessions: u32,
    /// Sessions at the end.
    pub left: u32,
    /// Packets that left through a session.
    pub sent: u64,
    /// Packets that came out of a session.
    pub received: u64,
    /// Millions of bits of IP that left in a second, on average.
    pub sent_mbit: f64,
    /// Millions of bits of IP that came in a second, on average.
    pub received_mbit: f64,
    /// Packets from addresses that no session has, and of IPv6.
    pub strangers: u64,
    /// Packets that this machine had no room for.
    pub refused: u64,
}

impl CarryReport {
    /// Of what was counted in some time by sessions, then and now.
    pub(crate) fn new(
        interface: &str,
        (sessions, left): (u32, u32),
        seconds: f64,
        carried: &Carried,
    ) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let mbit =
            |bytes: u64| if seconds > 0.0 { bytes as f64 * 8.0 / 1e6 / seconds } else { 0.0 };
        let Carried { sent, sent_bytes, received, received_bytes, strangers, refused } = *carried;
        Self {
            interface: interface.to_owned(),
            seconds,
            sessions,
            left,
            sent,
            received,
            sent_mbit: mbit(sent_bytes),
            received_mbit: mbit(received_bytes),
            strangers,
            refused,
        }
    }
}

/// Packets in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Since packets began, in seconds.
    pub seconds: f64,
    /// Sent in a second.
    pub sent_pps: f64,
    /// Came in a second.
    pub received_pps: f64,
}

/// A process before, during and after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProcessReport {
    /// Resident memory before the first login, in bytes.
    pub before_bytes: u64,
    /// Resident memory with all sessions, in bytes.
    pub loaded_bytes: u64,
    /// The difference for each session, in bytes.
    pub bytes_per_session: u64,
    /// While clients logged in.
    pub logins: Share,
    /// While sessions were held or packets flowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steady: Option<Share>,
}

/// This program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GeneratorReport {
    /// Its threads of clients.
    pub threads: usize,
    /// How busy they were while clients logged in, in percent of the time. Near 100 the figures are its
    /// own limit rather than the server's.
    pub busy_percent: f64,
    /// Resident memory for each session, in bytes.
    pub bytes_per_session: u64,
}

/// How things stood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Since the beginning, in seconds.
    pub seconds: f64,
    /// Sessions up.
    pub up: u32,
    /// Logins under way.
    pub dialing: u32,
    /// Logins that failed so far.
    pub failed: u64,
    /// Sessions lost so far.
    pub lost: u64,
    /// Logins done so far.
    pub logins: u64,
}

impl Report {
    /// What went wrong for the clients, in a line; none when all went well.
    pub fn complaint(&self) -> Option<String> {
        let never = match &self.storm {
            Some(storm) => u64::from(storm.failed_for_good),
            None => self.logins.failed + self.logins.unfinished,
        };
        let lost: u64 = self.lost.iter().map(|cause| cause.count).sum();
        let mut complaints = Vec::new();
        if never > 0 {
            let of =
                if self.storm.is_some() { u64::from(self.clients) } else { self.logins.started };
            complaints.push(format!("{never} of {of} logins failed"));
        }
        if lost > 0 {
            complaints.push(format!("{lost} sessions were lost"));
        }
        (!complaints.is_empty() && !self.interrupted).then(|| complaints.join(", "))
    }
}
