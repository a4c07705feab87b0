//! `isthmus explain`: why somebody cannot connect, or how somebody is connected.

use std::net::IpAddr;

use isthmus_gateway::Milestone;
use serde::Serialize;

use super::args::ExplainArgs;
use super::failure::CliError;
use super::output::{Output, age, bytes, printable};
use super::run::runtime;
use super::status::client;
use crate::api::{Failure, Session};
use crate::config::value::show_rate;

/// Everything that is known of somebody.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Explanation {
    /// The user or address asked about; everybody when absent.
    about: Option<String>,
    /// Sessions that are there.
    sessions: Vec<Explained>,
    /// Attempts that failed, newest first.
    failures: Vec<Failure>,
    /// What to check when there is neither.
    advice: Vec<String>,
}

/// A session and what its counters say.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Explained {
    #[serde(flatten)]
    session: Session,
    hints: Vec<String>,
}

pub(crate) fn explain(args: &ExplainArgs, out: &mut Output) -> Result<(), CliError> {
    let client = client(&args.ask)?;
    let (sessions, failures) = runtime()?.block_on(async {
        Ok::<_, CliError>((client.sessions().await?, client.failures().await?))
    })?;
    let since = args.since.map(|since| since.as_secs());
    let found = find(args.who.as_deref(), since, sessions, failures);
    if args.ask.json {
        out.json(&found)?;
    } else {
        out.line(found.text().trim_end())?;
    }
    if found.about.is_some() && found.sessions.is_empty() && found.failures.is_empty() {
        return Err(CliError::NothingKnown);
    }
    Ok(())
}

fn find(
    who: Option<&str>,
    since: Option<u64>,
    sessions: Vec<Session>,
    failures: Vec<Failure>,
) -> Explanation {
    let about = About::of(who);
    let young = |failure: &Failure| since.is_none_or(|since| failure.age_seconds <= since);
    let nameless =
        failures.iter().filter(|f| young(f) && f.user.is_none()).map(|f| f.from.ip()).collect();
    let sessions: Vec<Explained> = sessions
        .into_iter()
        .filter(|session| about.is_session(session))
        .map(|session| Explained { hints: hints(&session), session })
        .collect();
    let failures: Vec<Failure> =
        failures.into_iter().filter(|f| young(f) && about.is_failure(f)).collect();
    let known = !sessions.is_empty() || !failures.is_empty();
    let advice = if known { Vec::new() } else { about.advice(nameless) };
    Explanation { about: who.map(str::to_owned), sessions, failures, advice }
}

/// Whom a person asks about.
enum About<'a> {
    Address(IpAddr),
    Everybody,
    User(&'a str),
}

impl<'a> About<'a> {
    fn of(who: Option<&'a str>) -> Self {
        match who.map(|who| (who, who.parse())) {
            None => Self::Everybody,
            Some((_, Ok(address))) => Self::Address(address),
            Some((user, Err(_))) => Self::User(user),
        }
    }

    fn is_session(&self, session: &Session) -> bool {
        match self {
            Self::Everybody => true,
            Self::User(user) => session.user.as_deref() == Some(user),
            Self::Address(address) => {
                session.from.ip() == *address || session.address.map(IpAddr::from) == Some(*address)
            }
        }
    }

    fn is_failure(&self, failure: &Failure) -> bool {
        match self {
            Self::Everybody => true,
            Self::User(user) => failure.user.as_deref() == Some(user),
            Self::Address(address) => failure.from.ip() == *address,
        }
    }

    /// What to check when nothing is known.
    fn advice(&self, mut nameless: Vec<IpAddr>) -> Vec<String> {
        nameless.sort_unstable();
        nameless.dedup();
        match self {
            Self::Everybody => vec![String::from("nobody is connected and no attempt has failed")],
            Self::Address(address) => vec![
                format!(
                    "nothing was seen from {address}: no packet of it reached this gateway as IKE"
                ),
                String::from(
                    "check that the client dials the right name or address (DNS), and that every \
                     firewall and security group in between lets UDP 500 and 4500 through to here",
                ),
                String::from(
                    "a client behind a NAT is seen under the NAT's public address; `isthmus explain` \
                     without an address shows every source",
                ),
            ],
            Self::User(user) => {
                let mut advice =
                    vec![format!("no attempt has come as far as giving the user name `{user}`")];
                if nameless.is_empty() {
                    advice.push(String::from(
                        "nor has any other attempt failed: check the address the client dials (DNS), \
                         and that UDP 500 and 4500 get through to here",
                    ));
                } else {
                    let shown: Vec<_> =
                        nameless.iter().take(SOURCES_SHOWN_MAX).map(ToString::to_string).collect();
                    advice.push(format!(
                        "attempts failed before login from {} address(es), one may be this user's: {}; \
                         ask about the address",
                        nameless.len(),
                        shown.join(", ")
                    ));
                }
                advice
            }
        }
    }
}

/// What the counters of a session say.
fn hints(session: &Session) -> Vec<String> {
    let mut hints = Vec::new();
    if !session.up {
        hints.push(String::from("it is logging in, or negotiates again"));
    } else if session.rx_packets == 0 && session.tx_packets == 0 {
        hints.push(String::from(
            "nothing has passed yet: if the user complains, look at the routes on the client",
        ));
    } else if session.tx_packets == 0 {
        hints.push(String::from(
            "packets come from the client and none go back: check the tenant's egress, and that \
             networks behind the gateway have a route to the tenant's pool",
        ));
    } else if session.rx_packets == 0 {
        hints.push(String::from(
            "packets go to the client and none come back: a firewall between it and the gateway may \
             drop what the client sends, or the client itself",
        ));
    }
    if session.up {
        hints.push(String::from(
            "if it is slow or large pages hang and there is no record `path_mtu`, compare `ping -s 1300` \
             with a small ping through the tunnel; if only the large one is lost, lower `[ppp] mru`",
        ));
    }
    hints
}

impl Explanation {
    fn text(&self) -> String {
        let sessions = self.sessions.iter().map(session_text);
        let failures = self.failures.iter().map(failure_text);
        let advice = (!self.advice.is_empty()).then(|| self.advice.join("\n"));
        let parts: Vec<String> = sessions.chain(failures).chain(advice).collect();
        parts.join("\n\n")
    }
}

fn session_text(explained: &Explained) -> String {
    let Explained { session, hints } = explained;
    let user = printable(session.user.as_deref().unwrap_or("somebody"));
    let state = if session.up { "connected" } else { "connecting" };
    let mut lines = vec![format!(
        "{user}: {state} since {} from {}{}, tenant {}",
        age(session.age_seconds),
        session.from,
        session.address.map(|address| format!(" as {address}")).unwrap_or_default(),
        printable(&session.tenant),
    )];
    let way = if session.encapsulated { "in UDP, because of a NAT" } else { "without UDP" };
    let suite = session.suite.as_deref().unwrap_or("none");
    lines.push(format!(
        "  IPsec {suite}, {way}; {} in, {} out",
        bytes(session.rx_bytes),
        bytes(session.tx_bytes)
    ));
    let limits = limits_text(session);
    if !limits.is_empty() {
        lines.push(format!("  {}", limits.join(", ")));
    }
    lines.extend(hints.iter().map(|hint| format!("  {hint}")));
    lines.join("\n")
}

/// The group of a session and its limits, with what is used of them.
fn limits_text(session: &Session) -> Vec<String> {
    let rate = |way: &str, bits: Option<u64>, dropped: u64| {
        bits.map(|bits| format!("{} {way} ({dropped} packets dropped)", show_rate(bits)))
    };
    let used = bytes(session.quota_used_bytes.unwrap_or_default());
    let found = [
        session.group.as_deref().map(|group| format!("group {}", printable(group))),
        session.ends_in_seconds.map(|left| format!("ends in {}", age(left))),
        session.idle_timeout_seconds.map(|most| format!("ends when silent for {}", age(most))),
        session.quota_bytes.map(|most| format!("has carried {used} of {}", bytes(most))),
        rate("in", session.rate_up_bits, session.dropped_rate_up),
        rate("out", session.rate_down_bits, session.dropped_rate_down),
    ];
    found.into_iter().flatten().collect()
}

fn failure_text(failure: &Failure) -> String {
    let user = printable(failure.user.as_deref().unwrap_or("before login"));
    let times = match failure.count {
        0 | 1 => String::from("failed"),
        n => format!("failed {n} times in {},", age(span(failure))),
    };
    let client = if failure.client.is_empty() { "unknown client" } else { &failure.client };
    let mut lines =
        vec![format!("{user}: {times} {} ago, from {}", age(failure.age_seconds), failure.from)];
    let mut about = vec![printable(client)];
    if failure.client_behind_nat {
        about.push(String::from("behind a NAT"));
    }
    if failure.server_behind_nat {
        about.push(String::from("this gateway behind a NAT"));
    }
    if !failure.proven {
        about.push(String::from("its address may be forged"));
    }
    if let Some(tenant) = &failure.tenant {
        about.push(format!("tenant {}", printable(tenant)));
    }
    lines.push(format!("  client   {}", about.join(", ")));
    lines.extend(timeline(failure));
    lines.push(format!("  cause    {} ({})", failure.cause, failure.stage));
    if !failure.detail.is_empty() {
        lines.push(format!("  detail   {}", printable(&failure.detail)));
    }
    lines.push(format!("  remedy   {}", printable(&failure.remedy)));
    lines.join("\n")
}

fn span(failure: &Failure) -> u64 {
    failure.first_age_seconds.saturating_sub(failure.age_seconds)
}

/// One line for each milestone that was reached, and one for the first that was not.
fn timeline(failure: &Failure) -> Vec<String> {
    let reached = |m: Milestone| failure.steps.iter().find(|s| s.milestone == m.label());
    let mut lines = Vec::new();
    for milestone in Milestone::ALL {
        let Some(step) = reached(milestone) else { continue };
        let when = match step.ms_before_end {
            Some(ms) => format!(", {}.{} s before the end", ms / 1000, ms % 1000 / 100),
            None => String::new(),
        };
        lines.push(format!("  ok       {}{when}", words(milestone)));
    }
    let last = Milestone::ALL.iter().rposition(|m| reached(*m).is_some());
    let next = last.map_or(Some(0), |at| at.checked_add(1));
    if let Some(missing) = next.and_then(|at| Milestone::ALL.get(at)) {
        lines.push(format!("  missing  {}", words(*missing)));
    }
    lines
}

const fn words(milestone: Milestone) -> &'static str {
    match milestone {
        Milestone::Began => "first IKE message",
        Milestone::ProposalAgreed => "IKE algorithms agreed",
        Milestone::KeysExchanged => "keys exchanged",
        Milestone::Authenticated => "pre-shared key proven",
        Milestone::Secured => "IPsec up",
        Milestone::L2tpHeard => "L2TP heard",
        Milestone::TunnelUp => "L2TP tunnel up",
        Milestone::CallUp => "L2TP call up",
        Milestone::LinkUp => "PPP link agreed",
        Milestone::LoggedIn => "logged in",
        Milestone::Connected => "connected",
    }
}

/// Sources named in an advice.
const SOURCES_SHOWN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{SessionId, Step};

    fn session(user: &str, from: &str) -> Session {
        Session {
            id: SessionId(7),
            user: Some(user.to_owned()),
            tenant: String::from("acme"),
            address: Some([10, 64, 0, 9].into()),
            prefix6: None,
            device: None,
            up: true,
            age_seconds: 61,
            from: from.parse().unwrap(),
            encapsulated: true,
            suite: Some(String::from("aes256-sha1")),
            identity: String::from("192.168.1.7"),
            host: String::from("LAPTOP"),
            rx_bytes: 2048,
            rx_packets: 10,
            tx_bytes: 0,
            ends_in_seconds: None,
            idle_timeout_seconds: None,
            quota_bytes: None,
            quota_used_bytes: None,
            rate_up_bits: None,
            rate_down_bits: None,
            burst_up_bytes: None,
            burst_down_bytes: None,
            dropped_packets: 0,
            dropped_rate_up: 0,
            dropped_rate_down: 0,
            group: None,
            tx_packets: 0,
        }
    }

    fn failure(user: Option<&str>, from: &str, age_seconds: u64) -> Failure {
        Failure {
            age_seconds,
            first_age_seconds: age_seconds + 40,
            count: 3,
            from: from.parse().unwrap(),
            proven: true,
            user: user.map(str::to_owned),
            tenant: Some(String::from("acme")),
            client: String::from("Windows 8 or later"),
            client_behind_nat: true,
            server_behind_nat: false,
            stage: String::from("l2tp"),
            cause: String::from("no_l2tp"),
            detail: String::from("a \x1b[2J detail"),
            remedy: String::from("do this"),
            steps: Milestone::ALL
                .into_iter()
                .take(5)
                .map(|m| Step {
                    milestone: m.label().to_owned(),
                    ms_before_end: (m == Milestone::Secured).then_some(20_150),
                })
                .collect(),
        }
    }

    #[test]
    fn an_attempt_is_told_with_its_timeline_cause_and_remedy() {
        let found = find(
            Some("198.51.100.7"),
            None,
            Vec::new(),
            vec![failure(None, "198.51.100.7:4500", 5), failure(None, "198.51.100.8:4500", 5)],
        );
        assert_eq!(
            found.text(),
            "before login: failed 3 times in 40s, 5s ago, from 198.51.100.7:4500\n\
             \x20 client   Windows 8 or later, behind a NAT, tenant acme\n\
             \x20 ok       first IKE message\n\
             \x20 ok       IKE algorithms agreed\n\
             \x20 ok       keys exchanged\n\
             \x20 ok       pre-shared key proven\n\
             \x20 ok       IPsec up, 20.1 s before the end\n\
             \x20 missing  L2TP heard\n\
             \x20 cause    no_l2tp (l2tp)\n\
             \x20 detail   a \\u{1b}[2J detail\n\
             \x20 remedy   do this"
        );
    }

    #[test]
    fn a_session_is_told_with_what_its_counters_say() {
        for who in ["jo", "10.64.0.9", "198.51.100.7"] {
            let sessions = vec![session("jo", "198.51.100.7:4500"), {
                let mut other = session("kim", "198.51.100.8:4500");
                other.address = None;
                other
            }];
            let found = find(Some(who), None, sessions, Vec::new());
            assert_eq!(found.sessions.len(), 1, "{who}");
            let text = found.text();
            assert!(
                text.starts_with("jo: connected since 1m01s from 198.51.100.7:4500 as 10.64.0.9")
            );
            assert!(text.contains("none go back") && text.contains("if it is slow"), "{text}");
        }
    }

    #[test]
    fn a_session_is_told_with_its_limits() {
        let limited = Session {
            group: Some(String::from("field")),
            ends_in_seconds: Some(60),
            quota_bytes: Some(1 << 30),
            quota_used_bytes: Some(1 << 20),
            rate_up_bits: Some(20_000_000),
            dropped_rate_up: 7,
            ..session("jo", "198.51.100.7:4500")
        };
        let text = limits_text(&limited).join(", ");
        assert_eq!(
            text,
            "group field, ends in 1m00s, has carried 1.0 MiB of 1.0 GiB, 20Mbit/s in (7 packets dropped)"
        );
        assert!(limits_text(&session("jo", "198.51.100.7:4500")).is_empty());
    }

    #[test]
    fn who_never_came_is_told_what_to_check() {
        let found = find(
            Some("198.51.100.9"),
            None,
            Vec::new(),
            vec![failure(None, "[2001:db8::1]:500", 5)],
        );
        assert!(found.failures.is_empty());
        assert!(found.text().contains("nothing was seen from 198.51.100.9"));
        assert!(found.text().contains("DNS") && found.text().contains("UDP 500"));
        let found = find(Some("jo"), None, Vec::new(), vec![failure(None, "198.51.100.7:500", 5)]);
        assert!(found.text().contains("may be this user's: 198.51.100.7"), "{}", found.text());
    }

    #[test]
    fn old_attempts_are_left_out_on_demand() {
        let both = || {
            vec![failure(Some("jo"), "192.0.2.1:500", 5), failure(Some("jo"), "192.0.2.1:500", 500)]
        };
        assert_eq!(find(Some("jo"), None, Vec::new(), both()).failures.len(), 2);
        assert_eq!(find(Some("jo"), Some(60), Vec::new(), both()).failures.len(), 1);
    }
}
