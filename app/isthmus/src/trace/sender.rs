//! Whose packet it is: a user by name, or whoever has an address.

use std::net::{IpAddr, SocketAddr};

use super::{Question, TraceError};
use crate::api::Session;
use crate::config::{Config, Tenant};

/// Whose packet it is.
pub(super) struct Sender<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) source: IpAddr,
    pub(super) session: Option<&'a Session>,
}

impl Sender<'_> {
    /// The device that it comes out of.
    pub(super) fn device(&self) -> &str {
        let own = self.session.and_then(|session| session.device.as_deref());
        own.unwrap_or(&self.tenant.interface)
    }
}

/// Finds out whose packet it is.
pub(super) fn sender<'a>(
    config: &'a Config,
    sessions: &'a [Session],
    question: &Question,
) -> Result<Sender<'a>, TraceError> {
    let tenants = || {
        let wanted =
            |tenant: &&Tenant| question.tenant.as_ref().is_none_or(|name| tenant.name == *name);
        config.tenants.iter().filter(wanted)
    };
    let unknown = |text: String| TraceError::Unknown(text);
    let from = &question.from;
    if let Ok(source) = from.parse::<IpAddr>() {
        let mut inside = tenants().filter(|tenant| tenant.is_inside(source));
        let tenant = inside.next().ok_or_else(|| {
            unknown(format!("{source} is of no pool and of no network behind a user"))
        })?;
        if let Some(other) = inside.next() {
            let text = format!(
                "{source} is of tenants `{}` and `{}`: choose one with --tenant",
                tenant.name, other.name
            );
            return Err(unknown(text));
        }
        let session = sessions.iter().find(|s| s.tenant == tenant.name && has(s, tenant, source));
        let owner = tenant
            .users
            .iter()
            .find(|(_, user)| owns(user, source))
            .map(|(name, _)| name.to_owned());
        let user = session.and_then(|session| session.user.clone()).or(owner);
        return Ok(Sender {
            group: group(tenant, user.as_deref(), session),
            tenant,
            user,
            source,
            session,
        });
    }
    let mut known = tenants().filter(|tenant| tenant.users.named(from).is_some());
    let tenant = known.next().ok_or_else(|| {
        unknown(format!("there is no user `{from}`; `isthmus user list` shows those there are"))
    })?;
    if let Some(other) = known.next() {
        let text = format!(
            "tenants `{}` and `{}` both have a user `{from}`: choose one with --tenant",
            tenant.name, other.name
        );
        return Err(unknown(text));
    }
    let of_user = |s: &&Session| s.tenant == tenant.name && s.user.as_deref() == Some(from) && s.up;
    let session = sessions.iter().find(of_user);
    let source = match question.to {
        IpAddr::V4(_) => session.and_then(|s| s.address).map(IpAddr::V4),
        IpAddr::V6(_) => session.and_then(|s| s.prefix6).map(|net| IpAddr::V6(host(net))),
    };
    let source = source.or_else(|| tenant.source_of(from, question.to)).ok_or_else(|| {
        unknown(format!("`{from}` has no address from which {} can be reached", question.to))
    })?;
    let user = Some(from.clone());
    Ok(Sender { group: group(tenant, Some(from), session), tenant, user, source, session })
}

/// The address that a client makes first in its network.
fn host(net: ipnet::Ipv6Net) -> std::net::Ipv6Addr {
    std::net::Ipv6Addr::from_bits(net.network().to_bits() | 2)
}

fn has(session: &Session, tenant: &Tenant, source: IpAddr) -> bool {
    let own = match source {
        IpAddr::V4(source) => session.address == Some(source),
        IpAddr::V6(source) => session.prefix6.is_some_and(|net| net.contains(&source)),
    };
    let user = session.user.as_deref().and_then(|user| tenant.users.named(user));
    own || user.is_some_and(|user| owns(user, source))
}

fn owns(user: &crate::users::User, source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => {
            user.address == Some(source) || user.networks.iter().any(|net| net.contains(&source))
        }
        IpAddr::V6(source) => user.address6.is_some_and(|net| net.contains(&source)),
    }
}

fn group(tenant: &Tenant, user: Option<&str>, session: Option<&Session>) -> Option<String> {
    let of_user = || user.and_then(|user| tenant.users.named(user)?.group.clone());
    session.and_then(|session| session.group.clone()).or_else(of_user)
}

/// What there is to say about the session.
pub(super) fn session(sender: &Sender<'_>, runs: bool) -> String {
    let who = sender.user.as_deref().unwrap_or("an address of nobody");
    match (sender.session, runs) {
        (Some(session), _) => {
            let from = SocketAddr::new(session.from.ip().to_canonical(), session.from.port());
            format!("{who} is connected from {from}: session {}, {}", session.id, sender.source)
        }
        (None, true) => format!("{who} is not connected; as if with {}", sender.source),
        (None, false) => format!("no gateway runs; as if {who} had {}", sender.source),
    }
}
