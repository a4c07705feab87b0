//! What is said of a probe: in words, and to programs.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use isthmus_wire::probe::{Answer, Kind, Probe, Trouble};
use serde::Serialize;

use super::expected::Expected;
use super::outcome::{Outcome, Watched};

/// What became of a packet that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// In a word.
    pub outcome: Outcome,
    /// Its source port; none with ICMP.
    pub source_port: Option<u16>,
    /// How it left the gateway; none when it did not.
    pub left: Option<Left>,
    /// The link that an answer came back by.
    pub returned_by: Option<String>,
    /// What the user was told: `echo_reply`, `syn_ack`, `reset`, `datagram`, or what an ICMP error says.
    pub answer: Option<&'static str>,
    /// Who told it.
    pub answered_by: Option<IpAddr>,
    /// How long that took, in milliseconds.
    pub answered_in_ms: Option<u64>,
    /// The largest packet that fits, in bytes, where it was too big.
    pub mtu: Option<u32>,
    /// What is not as it was to be; nothing, when all of it is.
    pub contradictions: Vec<String>,
}

/// How a packet left the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// By which link.
    pub link: String,
    /// With which source; the port is 0 with ICMP.
    pub source: SocketAddr,
    /// For which destination.
    pub destination: SocketAddr,
}

/// What there is to say when nobody waits any more; `after` is how long the answer took.
pub(super) fn sent(
    watched: &Watched,
    expected: (bool, &Expected),
    after: Option<Duration>,
) -> Sent {
    let told = watched.told();
    let mtu = told.and_then(|(answer, _)| match answer {
        Answer::Trouble(Trouble::TooBig { mtu }) => Some(mtu),
        Answer::Datagram | Answer::Echo | Answer::Reset | Answer::SynAck | Answer::Trouble(_) => {
            None
        }
    });
    let probe = watched.probe();
    Sent {
        outcome: watched.outcome(expected.1.local),
        source_port: probe.port().map(|_| probe.source_port()),
        left: watched.left().map(|(link, ends)| Left {
            link: link.clone(),
            source: ends.source,
            destination: ends.destination,
        }),
        returned_by: watched.returned_by().map(str::to_owned),
        answer: told.map(|(answer, _)| name(answer)),
        answered_by: told.map(|(_, from)| from),
        answered_in_ms: after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        mtu,
        contradictions: contradictions(watched, expected),
    }
}

/// What is not as it was to be; `passes` is whether the packet was to leave or to reach this machine.
fn contradictions(watched: &Watched, (passes, expected): (bool, &Expected)) -> Vec<String> {
    let mut all = Vec::new();
    let Some((link, ends)) = watched.left() else {
        let is_told = watched.outcome(expected.local) == Outcome::Unreachable;
        if passes && !expected.local && !is_told {
            all.push(String::from("it was to leave the gateway, and did not"));
        }
        if passes && expected.local && watched.outcome(true) == Outcome::Refused {
            all.push(String::from("it was to reach this machine, and was refused"));
        }
        return all;
    };
    if !passes || expected.local {
        let meant = if expected.local { "stay on this machine" } else { "go nowhere" };
        all.push(format!("it was to {meant}, and left by {link}"));
        return all;
    }
    if let Some(meant) = expected.link.as_ref().filter(|meant| *meant != link) {
        all.push(format!("it was to leave by {meant}, and left by {link}"));
    }
    let (own, seen) = (watched.probe().source(), ends.source.ip());
    if !expected.source.fits(own, seen) {
        let meant = expected.source.told(link);
        all.push(format!(
            "its source then was {seen}, but for translation the trace says: {meant}"
        ));
    }
    let to = ends.destination.ip();
    if let Some(meant) = expected.destination.filter(|meant| *meant != to) {
        all.push(format!("it was to go to {meant}, and went to {to}"));
    }
    all
}

/// What an answer is to programs.
const fn name(answer: Answer) -> &'static str {
    match answer {
        Answer::Datagram => "datagram",
        Answer::Echo => "echo_reply",
        Answer::Reset => "reset",
        Answer::SynAck => "syn_ack",
        Answer::Trouble(trouble) => match trouble {
            Trouble::HopsExceeded => "hops_exceeded",
            Trouble::HostUnreachable => "host_unreachable",
            Trouble::NoRoute => "no_route",
            Trouble::Other { .. } => "icmp_error",
            Trouble::PortUnreachable => "port_unreachable",
            Trouble::Prohibited => "prohibited",
            Trouble::TooBig { .. } => "too_big",
        },
    }
}

/// What was sent and how it left, in words.
pub(super) fn sent_step(probe: &Probe, sent: &Sent) -> String {
    let own = probe.own_ends();
    let ends = |from: SocketAddr, to: SocketAddr| match probe.kind() {
        Kind::Echo => format!("{} to {}", from.ip(), to.ip()),
        Kind::Tcp(_) | Kind::Udp(_) => format!("{from} to {to}"),
    };
    let what = match probe.kind() {
        Kind::Echo => "an echo request",
        Kind::Tcp(_) => "a TCP SYN",
        Kind::Udp(_) => "a UDP datagram",
    };
    let what = format!("{what} from {}", ends(own.source, own.destination));
    match &sent.left {
        None => format!("{what}: it did not leave the gateway"),
        Some(Left { link, source, destination }) => {
            let same = (*source, *destination) == (own.source, own.destination);
            let seen =
                if same { String::new() } else { format!(" as {}", ends(*source, *destination)) };
            format!("{what}: it left by {link}{seen}")
        }
    }
}

/// What came of it, in words.
pub(super) fn answer_step(probe: &Probe, told: Option<Answer>, sent: &Sent, wait: u64) -> String {
    let by = sent.answered_by.map_or_else(String::new, |by| by.to_string());
    let after = sent.answered_in_ms.map_or_else(String::new, |ms| format!(" after {ms} ms"));
    let meaning = told.map(meaning).unwrap_or_default();
    match sent.outcome {
        Outcome::Answered | Outcome::Closed => {
            let port = match probe.kind() {
                Kind::Echo => String::new(),
                Kind::Tcp(port) | Kind::Udp(port) => format!(" at port {port}"),
            };
            format!("{by} answers{after}: {meaning}{port}")
        }
        Outcome::Refused => format!("this gateway refuses it ({by}): {meaning}"),
        Outcome::Unreachable => format!("{by} answers{after}: {meaning}"),
        Outcome::Lost => format!(
            "one came back by {} and did not go on to the user: a filter or rp_filter has taken it",
            sent.returned_by.as_deref().unwrap_or("?")
        ),
        Outcome::Silent if matches!(probe.kind(), Kind::Udp(_)) => {
            format!("none within {wait} s; many services do not answer what they do not know")
        }
        Outcome::Silent => format!("none within {wait} s"),
        Outcome::Stopped => format!(
            "none within {wait} s: a blackhole route, a filter that says nothing, rp_filter, or a next hop that \
             does not answer (which `--wait 5` would tell)"
        ),
        Outcome::Unseen => String::from("none: it did not come out of the session's device"),
    }
}

/// What an answer means.
fn meaning(answer: Answer) -> String {
    match answer {
        Answer::Datagram => String::from("a datagram back, somebody listens"),
        Answer::Echo => String::from("an echo reply"),
        Answer::Reset => String::from("a TCP reset, nobody listens"),
        Answer::SynAck => String::from("a SYN-ACK, somebody listens"),
        Answer::Trouble(trouble) => match trouble {
            Trouble::HopsExceeded => String::from("it ran out of hops, most likely in a loop"),
            Trouble::HostUnreachable => String::from("the host, or the next hop, does not answer"),
            Trouble::NoRoute => String::from("no route leads there"),
            Trouble::Other { kind, code } => format!("an ICMP error of type {kind}, code {code}"),
            Trouble::PortUnreachable => String::from("port unreachable, nobody listens"),
            Trouble::Prohibited => String::from("it is prohibited"),
            Trouble::TooBig { mtu } => format!("it is too big, {mtu} bytes fit"),
        },
    }
}
