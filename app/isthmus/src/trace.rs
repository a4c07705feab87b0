//! What `isthmus trace` tells: the way of a packet, step by step, each with who decides.
//!
//! The configuration says what is meant, the kernel's own route lookup in the tenant's namespace what is.

mod sender;

use std::net::IpAddr;

use isthmus_driver::NatKind;
use isthmus_kernel::{
    CLASS_MASK, KernelError, Lookup, MAIN_TABLE, Options, Reconciler, Road, Translation, class_mark,
};
use isthmus_net::Namespace;
use isthmus_policy::{Flow, Protocol, Verdict};
use serde::Serialize;

use sender::{Sender, sender, session};

use crate::access::class_of;
use crate::api::Session;
use crate::config::{Config, Egress, Mapped, Tenant, Way, judge};

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
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who decides: `session`, `tenant`, `class`, `policy`, `route`, `nat`, `mtu`.
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
        source: sender.source,
        destination: question.to,
        protocol: protocol.to_string(),
        steps: Vec::new(),
        passes: false,
        egress: None,
    };
    trace.tell("session", session(&sender, sessions.is_some()));
    let place = sender.tenant.netns.as_deref();
    let namespace =
        place.map_or(String::from("the gateway's own namespace"), |n| format!("namespace {n}"));
    trace.tell(
        "tenant",
        format!("{}: comes out of {} in {namespace}", sender.tenant.name, sender.tenant.interface),
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
    let input = sender.tenant.interface.clone();
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
    let other = config.tenants.iter().find(|other| other.interface == link);
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
    if let Some(egress) = egress {
        trace.egress = Some(egress.name.clone());
        let nat = source_seen(tenant, egress, trace.source, to, link);
        trace.tell("nat", nat);
    }
    let (own, out) = (config.ppp.mru, road.mtu.unwrap_or_default());
    trace.tell("mtu", format!("{own} in the tunnel, {out} on {link}"));
}

/// With which source a packet to `to` leaves by an egress on `link`: translations of the tenant come first.
fn source_seen(tenant: &Tenant, egress: &Egress, source: IpAddr, to: IpAddr, link: &str) -> String {
    let one_to_one = tenant.nat.iter().find_map(|nat| match nat.kind {
        NatKind::OneToOne { inside, outside } => {
            let meant = inside == source && !nat.except.iter().any(|net| net.contains(&to));
            (meant && (nat.by.is_empty() || nat.by.contains(&egress.name))).then_some(outside)
        }
        NatKind::Forward { .. } | NatKind::Map { .. } => None,
    });
    if let Some(outside) = one_to_one {
        return format!("it leaves with the address {outside}, which is its own outside");
    }
    let kept = egress.nat_except.iter().any(|net| net.contains(&to));
    match if to.is_ipv4() { egress.nat } else { egress.nat6 } {
        _ if kept => String::from("none to there: it leaves with its own address"),
        Translation::Keep | Translation::Network(_) => {
            String::from("none: it leaves with its own address")
        }
        Translation::Address(address) => format!("it leaves with the address {address}"),
        Translation::Masquerade => format!("it leaves with the address of {link}"),
        Translation::Range(first, last) => format!("it leaves with one of {first}-{last}"),
    }
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
