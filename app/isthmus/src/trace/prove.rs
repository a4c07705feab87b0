//! `isthmus trace --send`: a packet like the one that was asked about, and who sees it.
//!
//! The gateway lets it out of the session's device, as if the user had sent it. A tap in the tenant's namespace
//! shows what the kernel makes of it: where it leaves and how it looks then, and what goes back to the user.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use isthmus_net::{Catch, Namespace, SocketError, Tap};
use isthmus_policy::Protocol;
use isthmus_wire::probe::{Kind, Probe};

use super::outcome::{Outcome, Watched};
use super::{Question, Trace, said};
use crate::api::{Client, ClientError, ProbeProtocol, ProbeRequest, SessionId};
use crate::config::Config;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The gateway sends nothing.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// Nobody is there in whose name to send it.
    #[error(
        "{0} is not connected, and a packet is sent out of a session only; `isthmus sessions` shows who is, and \
         without --send the way is traced all the same"
    )]
    NotConnected(String),
    /// No packet of that kind can be sent.
    #[error("{0}")]
    Packet(String),
    /// What becomes of it cannot be seen.
    #[error("cannot see what becomes of it: {0}")]
    Sight(#[from] SocketError),
    /// The system fails.
    #[error("cannot see what becomes of it: {0}")]
    System(#[from] std::io::Error),
    /// The session sent nothing.
    #[error(
        "session {0} has sent nothing: it has just ended, or its device is gone; `isthmus sessions` shows all"
    )]
    Unseen(SessionId),
}

/// Sends a packet like that of a trace, waits for what becomes of it, and adds that to the trace.
///
/// # Errors
/// [`ProveError`]; a packet that goes nowhere is no error.
pub async fn prove(
    config: &Config,
    client: &Client,
    (question, trace): (&Question, &mut Trace),
    wait: Duration,
) -> Result<(), ProveError> {
    let (kind, protocol) = kind(question)?;
    let not_connected = || ProveError::NotConnected(question.from.clone());
    let session = trace.session.ok_or_else(not_connected)?;
    let mark = getrandom::u32().map_err(|error| std::io::Error::other(error.to_string()))?;
    let probe = Probe::new(trace.source, trace.destination, kind, mark);
    let probe = probe.ok_or_else(|| ProveError::Packet(String::from(TWO_VERSIONS)))?;
    let namespace = config.tenants.iter().find(|tenant| tenant.name == trace.tenant);
    let namespace = namespace.and_then(|tenant| tenant.netns.as_deref()).map(Namespace::new);
    // Open before anything is sent; what it sees waits there.
    let tap = Tap::open(catch(&probe), probe.source().is_ipv4(), namespace.as_ref())?;
    let request = ProbeRequest {
        source: trace.source,
        destination: trace.destination,
        protocol,
        port: question.port,
        mark: Some(mark),
    };
    let start = Instant::now();
    client.probe(session, &request).await?;
    let watching = tokio::task::spawn_blocking(move || watch(&tap, probe, start, wait));
    let (watched, after) = watching.await.map_err(std::io::Error::other)??;
    if watched.outcome(false) == Outcome::Unseen {
        return Err(ProveError::Unseen(session));
    }
    tell(trace, &watched, after, wait);
    Ok(())
}

/// What to send for a question.
fn kind(question: &Question) -> Result<(Kind, ProbeProtocol), ProveError> {
    let protocol = question.protocol.unwrap_or_else(|| Protocol::usual(question.port));
    let needs = |what: &str| ProveError::Packet(format!("--send needs {what}"));
    let port = || question.port.filter(|port| *port > 0);
    match protocol {
        Protocol::TCP => {
            let port = port().ok_or_else(|| needs("a port with TCP, as in 10.1.2.3:443"))?;
            Ok((Kind::Tcp(port), ProbeProtocol::Tcp))
        }
        Protocol::UDP => {
            let port = port().ok_or_else(|| needs("a port with UDP, as in 10.1.2.3:53"))?;
            Ok((Kind::Udp(port), ProbeProtocol::Udp))
        }
        _ if question.port.is_some() => Err(needs("TCP or UDP with a port")),
        Protocol::Icmp => Ok((Kind::Echo, ProbeProtocol::Icmp)),
        Protocol::Number(number) if number == Protocol::Icmp.number(question.to) => {
            Ok((Kind::Echo, ProbeProtocol::Icmp))
        }
        Protocol::Number(_) => Err(needs("ICMP, TCP or UDP")),
    }
}

const fn catch(probe: &Probe) -> Catch {
    match probe.kind() {
        Kind::Echo => Catch::Icmp,
        Kind::Tcp(_) => Catch::Tcp { sequence: probe.mark() },
        Kind::Udp(port) => Catch::Udp { port },
    }
}

/// Looks at what passes until the probe is answered or nobody waits any more, and says how long it took.
fn watch(
    tap: &Tap,
    probe: Probe,
    start: Instant,
    wait: Duration,
) -> std::io::Result<(Watched, Option<Duration>)> {
    let mut watched = Watched::new(probe);
    let until = Instant::now() + wait;
    while let Some(caught) = tap.next(until)? {
        // A link that has gone since has no name; nothing of ours is lost with it.
        let Ok(link) = tap.link_name(caught.link) else { continue };
        watched.see(&link, caught.outgoing, &caught.packet);
        if watched.is_done() {
            return Ok((watched, Some(start.elapsed())));
        }
        if Instant::now() >= until {
            break;
        }
    }
    Ok((watched, None))
}

fn tell(trace: &mut Trace, watched: &Watched, after: Option<Duration>, wait: Duration) {
    let sent = said::sent(watched, (trace.passes, &trace.expected), after);
    let answer = watched.told().map(|(answer, _): (_, IpAddr)| answer);
    trace.tell("sent", said::sent_step(watched.probe(), &sent));
    trace.tell("answer", said::answer_step(watched.probe(), answer, &sent, wait.as_secs()));
    for contradiction in &sent.contradictions {
        trace.tell("differs", contradiction.clone());
    }
    trace.sent = Some(sent);
}

const TWO_VERSIONS: &str = "--send needs a source of the same IP version as the destination";
