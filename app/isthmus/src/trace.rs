//! What `isthmus trace` tells: the way of a packet, step by step, each with who decides.
//!
//! The configuration says what is meant, the kernel's own route lookup in the tenant's namespace what is.

mod expected;
mod outcome;
mod prove;
mod said;
mod sender;

use std::net::IpAddr;

use isthmus_kernel::{
    CLASS_MASK, KernelError, Lookup, MAIN_TABLE, Options, Reconciler, Road, class_mark,
};
use isthmus_net::Namespace;
use isthmus_policy::{Flow, Protocol, Verdict};
use serde::Serialize;

use expected::{Expected, source_seen};
use sender::{Sender, sender, session};

use crate::access::class_of;
use crate::api::{Session, SessionId};
use crate::config::{Config, Egress, Mapped, Tenant, Way, judge};

pub use outcome::Outcome;
pub use prove::{ProveError, prove};
pub use said::{Left, Sent};

/// A packet to ask about.
#[derive(Clone, Debug)]
pub struct Question {
    /// A user's name, or the address that the packet comes from.
    pub from: String,
    /// Where it goes to.
    pub to: IpAddr,
    /// Its destination port.
    pub port: Option<u16>,
    /// Its protocol; TCP with a port and ICMP without, where it is absent.
    pub protocol: Option<Protocol>,
    /// The tenant, where several know the user.
    pub tenant: Option<String>,
}

/// The way of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// Whose it is.
    pub user: Option<String>,
    /// The tenant.
    pub tenant: String,
    /// The session it is of, while packets flow there.
    pub session: Option<SessionId>,
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to.
    pub destination: IpAddr,
    /// `tcp`, for example.
    pub protocol: String,
    /// What is decided, in order; the last one is where it ends.
    pub steps: Vec<Step>,
    /// Whether it leaves the gateway, or reaches it where it is for the gateway.
    pub passes: bool,
    /// The egress it leaves by.
    pub egress: Option<String>,
    /// What became of a packet like it, where one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    #[serde(skip)]
    expected: Expected,
}

/// One decision, or what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who decides: `session`, `tenant`, `class`, `policy`, `route`, `nat`, `mtu`. What was seen of a packet
    /// that was sent: `sent`, `answer`, and `differs` for what is not as it was to be.
    pub by: &'static str,
    /// What, in words.
    pub what: String,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Nobody knows where the packet comes from.
    #[error("{0}")]
    Unknown(String),
    /// The kernel cannot be asked.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Follows a packet; `sessions` are those of the running gateway, none where it does not run.
///
/// # Errors
/// [`TraceError`].
pub async fn trace(
    config: &Config,
    sessions: Option<&[Session]>,
    question: &Question,
) -> Result<Trace, TraceError> {
    let sender = sender(config, sessions.unwrap_or_default(), question)?;
    let protocol = question.protocol.unwrap_or_else(|| Protocol::usual(question.port));
    let mut trace = Trace {
        user: sender.user.clone(),
        tenant: sender.tenant.name.clone(),
        session: sender.session.filter(|session| session.up).map(|session| session.id),
        source: sender.source,
        destination: question.to,
        protocol: protocol.to_string(),
        steps: Vec::new(),
        passes: false,
        egress: None,
        sent: None,
        expected: Expected::default(),
    };
    trace.tell("session", session(&sender, sessions.is_some()));
    let place = sender.tenant.netns.as_deref();
    let namespace =
        place.map_or(String::from("the gateway's own namespace"), |n| format!("namespace {n}"));
    trace.tell(
        "tenant",
        format!("{}: comes out of {} in {namespace}", sender.tenant.name, sender.device()),
    );
    let mark = class(config, &sender, &mut trace);
    let mapped = sender.tenant.mapped(question.to);
    let (to, mark) = mapped.map_or((question.to, mark), |mapped| {
        trace.tell("nat", translated(&mapped));
        (mapped.address, mark | mapped.mark.map_or(0, |(mark, _)| mark))
    });
    let flow = Flow {
        user: sender.user.as_deref().unwrap_or_default(),
        group: sender.group.as_deref(),
        source: sender.source,
        destination: question.to,
        protocol,
        port: question.port.unwrap_or_default(),
    };
    let judgement = judge(config, sender.tenant, &flow);
    let verdict = if judgement.verdict == Verdict::Allow { "allowed" } else { "denied" };
    trace.tell("policy", format!("{verdict}: {}", judgement.why));
    if judgement.verdict == Verdict::Deny {
        return Ok(trace);
    }
    let road = road(config, &sender, to, mark).await?;
    leave(config, sender.tenant, &road, (to, mapped), &mut trace);
    Ok(trace)
}

impl Trace {
    fn tell(&mut self, by: &'static str, what: String) {
        self.steps.push(Step { by, what });
    }
}

/// Tells the class of a packet and answers its mark.
fn class(config: &Config, sender: &Sender<'_>, trace: &mut Trace) -> u32 {
    let user = sender.user.as_deref().unwrap_or_default();
    let Some(class) = class_of(config, sender.tenant, user, sender.group.as_deref()) else {
        return 0;
    };
    let mark = class_mark(class);
    let group = sender.group.as_ref().map_or(String::new(), |group| format!(" of group `{group}`"));
    trace.tell("class", format!("{class}{group}: mark {mark:#010x}/{CLASS_MASK:#010x}"));
    mark
}

async fn road(
    config: &Config,
    sender: &Sender<'_>,
    to: IpAddr,
    mark: u32,
) -> Result<Road, TraceError> {
    let options = Options {
        namespace: sender.tenant.netns.as_deref().map(Namespace::new),
        keep_on_drop: true,
        ..Options::named(&config.gateway.name)
    };
    let mut reconciler = Reconciler::new(options)?;
    let input = sender.device().to_owned();
    Ok(reconciler.look_up(Lookup { input, from: sender.source, to, mark }).await?)
}

/// What becomes of the destination.
fn translated(mapped: &Mapped<'_>) -> String {
    let Mapped { address, inside, outside, by, .. } = mapped;
    let by = if by.is_empty() { String::new() } else { format!(", by {}", by.join(" or ")) };
    format!("it goes to {address}: the map of {inside} to {outside}{by}")
}

fn leave(
    config: &Config,
    tenant: &Tenant,
    road: &Road,
    (to, mapped): (IpAddr, Option<Mapped<'_>>),
    trace: &mut Trace,
) {
    if let Some(refusal) = &road.refusal {
        trace.tell("route", format!("the kernel: {refusal}{}", denied_by(tenant, to)));
        return;
    }
    trace.passes = true;
    trace.expected.destination = Some(to);
    trace.expected.local = road.local;
    if road.local {
        trace.tell("route", String::from("the kernel: it is for this machine"));
        return;
    }
    let table = if road.table == MAIN_TABLE {
        String::from("the main table")
    } else {
        format!("table {}", road.table)
    };
    let gateway = road.gateway.map_or(String::new(), |gateway| format!(" via {gateway}"));
    let link = road.link.as_deref().unwrap_or("?");
    let other = config.tenants.iter().find(|other| is_device_of(other, link));
    let by = mapped.map(|mapped| mapped.by).unwrap_or_default();
    let meant = |egress: &&Egress| {
        let takes = by.contains(&egress.name) || egress.to.iter().any(|net| net.contains(&to));
        takes && leads(egress, road)
    };
    let egress = tenant.egress.iter().find(meant);
    let owner = match (other, egress) {
        (Some(other), _) => format!(", the device of tenant {}", other.name),
        (None, Some(egress)) => format!(", egress {}", egress.name),
        (None, None) => String::new(),
    };
    trace.tell("route", format!("the kernel: {table}{gateway} on {link}{owner}"));
    trace.expected.link.clone_from(&road.link);
    if let Some(egress) = egress {
        trace.egress = Some(egress.name.clone());
        trace.expected.source = source_seen(tenant, egress, (trace.source, to), road);
        let nat = trace.expected.source.told(link);
        trace.tell("nat", nat);
    }
    let (own, out) = (config.ppp.mru, road.mtu.unwrap_or_default());
    trace.tell("mtu", format!("{own} in the tunnel, {out} on {link}"));
}

/// Whether a link is the device of a tenant, or of a session of it.
fn is_device_of(tenant: &Tenant, link: &str) -> bool {
    let rest = link.strip_prefix(&tenant.interface);
    rest.is_some_and(|rest| rest.is_empty() || tenant.device_per_session && rest.starts_with('.'))
}

/// Whether a packet that takes this road may have taken this egress.
fn leads(egress: &Egress, road: &Road) -> bool {
    match &egress.way {
        Way::Deny => false,
        Way::Gateway { interface, gateway, gateway6 } => {
            let hops = [gateway.map(IpAddr::V4), gateway6.map(IpAddr::V6)];
            let on = interface.is_none() || *interface == road.link;
            on && road.gateway.is_some() && hops.contains(&road.gateway)
        }
        Way::Interface(interface) | Way::Main(interface) => road.link.as_ref() == Some(interface),
        Way::Passage(passage) => road.link.as_ref() == Some(&passage.interface),
    }
}

/// The egress that says no to a destination.
fn denied_by(tenant: &Tenant, to: IpAddr) -> String {
    let denies =
        |egress: &&Egress| egress.way == Way::Deny && egress.to.iter().any(|net| net.contains(&to));
    let egress = tenant.egress.iter().find(denies);
    egress.map_or(String::new(), |egress| format!(" (egress {} denies it)", egress.name))
}
