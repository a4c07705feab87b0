//! Reads `[[tenant]]` with its egresses and users, keeping the places that later checks point at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::SecretBytes;
use isthmus_driver::NatNetwork;
use isthmus_gateway::{Advice, Limits};

use super::document::{Node, Value};
use super::egress::egresses;
use super::group::{GroupDraft, groups};
use super::nat::{Home, nats};
use super::policy::{AccessDraft, policy};
use super::read::{distinct, require_some};
use super::section::{At, Section};
use super::terms::{advice, limits};
use super::types::Egress;
use super::{certificate, keys, secret, value};
use crate::report::{Report, Span};
use crate::users::{LocatedUser, read_table};

/// A tenant as written.
#[derive(Debug)]
pub(crate) struct TenantDraft {
    pub(crate) name: At<String>,
    pub(crate) netns: Option<String>,
    pub(crate) psk: Option<At<SecretBytes>>,
    pub(crate) groups: Vec<GroupDraft>,
    pub(crate) realm: Vec<At<String>>,
    pub(crate) strip_realm: bool,
    pub(crate) identity: Vec<At<String>>,
    pub(crate) listen: Vec<At<IpAddr>>,
    pub(crate) authorities: Option<At<Vec<Vec<u8>>>>,
    pub(crate) pool: Vec<At<Ipv4Net>>,
    pub(crate) exclude: Vec<At<RangeInclusive<IpAddr>>>,
    pub(crate) gateway_address: Option<At<Ipv4Addr>>,
    pub(crate) pool6: Vec<At<Ipv6Net>>,
    pub(crate) gateway_address6: Option<At<Ipv6Addr>>,
    pub(crate) advice: Advice,
    pub(crate) sessions: Option<At<u32>>,
    pub(crate) limits: Limits,
    pub(crate) users_file: Option<At<PathBuf>>,
    pub(crate) inline_users: Vec<LocatedUser>,
    pub(crate) interface: Option<At<String>>,
    pub(crate) device_per_session: Option<At<bool>>,
    pub(crate) egress: Vec<Egress>,
    pub(crate) nat: Vec<NatNetwork>,
    pub(crate) policy: AccessDraft,
}

/// Reads every `[[tenant]]`.
pub(crate) fn tenants(node: Option<Node>, report: &mut Report) -> Vec<TenantDraft> {
    let Some(node) = node else {
        report.error(
            None,
            "there is no [[tenant]]",
            "write at least one, with `name` and `pool`; `isthmus quickstart` writes an example",
        );
        return Vec::new();
    };
    sections(node, &keys::TENANT, report)
        .into_iter()
        .map(|section| tenant(section, report))
        .collect()
}

fn tenant(mut section: Section, report: &mut Report) -> TenantDraft {
    let at = section.span();
    let name = required(section.take_optional("name", report, value::name), "name", at, report);
    let called = name.as_ref().map_or_else(String::new, |name| name.value.clone());
    let pool = section.take_optional("pool", report, value::list(value::network));
    let pool = required(pool, "pool", at, report).map(|pool| {
        require_some(&pool.value, pool.span, "a network", report);
        pool.value
    });
    let pool6 = section.take("pool6", report, value::list(value::network_v6(POOL6_BITS)));
    let mut draft = TenantDraft {
        netns: section.take("netns", report, value::name).map(|at| at.value),
        psk: secret::take(&mut section, "psk", "psk_file", report),
        authorities: certificate::authorities(&mut section, report),
        groups: section.take_node("group").map(|n| groups(n, report)).unwrap_or_default(),
        realm: marks(section.take("realm", report, value::one_or_more(value::name)), report),
        strip_realm: section.take("strip_realm", report, value::boolean).is_none_or(|at| at.value),
        identity: marks(section.take("identity", report, value::one_or_more(identity)), report),
        listen: marks(section.take("listen", report, value::one_or_more(local_address)), report),
        exclude: section
            .take("exclude", report, value::list(value::addresses))
            .map(|list| list.value)
            .unwrap_or_default(),
        gateway_address: section.take("gateway_address", report, value::address_v4),
        pool6: pool6.map(|list| list.value).unwrap_or_default(),
        gateway_address6: section.take("gateway_address6", report, value::address_v6),
        advice: advice(&mut section, report),
        sessions: section.take("sessions", report, value::number(1..=SESSIONS_MAX)),
        limits: limits(&mut section, "sessions_per_user", report),
        users_file: section.take("users_file", report, secret::path),
        inline_users: section
            .take_node("users")
            .map(|node| read_table(node, report))
            .unwrap_or_default(),
        interface: section.take("interface", report, value::interface),
        device_per_session: section.take("device_per_session", report, value::boolean),
        policy: policy(section.take_node("policy"), report),
        egress: section
            .take_node("egress")
            .map(|n| egresses(n, &called, report))
            .unwrap_or_default(),
        nat: Vec::new(),
        pool: pool.unwrap_or_default(),
        name: name.unwrap_or(At { span: at, value: String::new() }),
    };
    if let Some(node) = section.take_node("nat") {
        let home = Home { pool: &draft.pool, pool6: &draft.pool6, egress: &draft.egress };
        draft.nat = nats(node, home, report);
    }
    section.finish(report);
    draft
}

/// More sessions than any gateway has.
pub(crate) const SESSIONS_MAX: u32 = 1_000_000;

/// What a tenant is told by: each once, and at least one where the key is written.
fn marks<T: Clone + PartialEq>(list: Option<At<Vec<At<T>>>>, report: &mut Report) -> Vec<At<T>> {
    let Some(list) = list else { return Vec::new() };
    if list.value.is_empty() {
        report.error(list.span, "the list is empty", "write at least one, or remove the key");
    }
    distinct(&list, report);
    list.value
}

/// An identity in IKE, or the end of one behind a `*`.
fn identity(node: &Node, report: &mut Report) -> Option<String> {
    let written = value::text(node, report)?;
    let end = written.strip_prefix('*').unwrap_or(&written);
    if end.is_empty() || end.len() > IDENTITY_BYTES_MAX || end.contains(['*', ' ']) {
        report.error(
            node.span,
            format!("`{written}` is not an identity"),
            "write an IP address, a name, user@domain, or the end of a name like \"*.blue.example\"",
        );
        return None;
    }
    Some(written)
}

fn local_address(node: &Node, report: &mut Report) -> Option<IpAddr> {
    let address = value::address(node, report)?;
    if address.is_unspecified() || address.is_multicast() {
        let remedy = "write addresses of this gateway, or remove the key to serve all of them";
        report.error(node.span, format!("nobody can dial {address}"), remedy);
        return None;
    }
    Some(address)
}

/// Longest identity.
const IDENTITY_BYTES_MAX: usize = 255;

/// The value of a key that must be there; says so when it is not. A wrong value was reported before.
pub(crate) fn required<T>(
    taken: Option<At<Option<T>>>,
    key: &str,
    section: Span,
    report: &mut Report,
) -> Option<At<T>> {
    match taken {
        Some(At { span, value: Some(value) }) => Some(At { span, value }),
        Some(At { value: None, .. }) => None,
        None => {
            report.error(section, format!("`{key}` is missing"), format!("add `{key} = …` here"));
            None
        }
    }
}

pub(crate) fn sections(
    node: Node,
    known: &'static keys::SectionKeys,
    report: &mut Report,
) -> Vec<Section> {
    if let Value::Table(table) = &node.value {
        let remedy = format!("write it with two brackets: {}", known.header);
        report.error(table.span, "there may be several of these", remedy);
        return Vec::new();
    }
    match node.value.into_items() {
        Ok(items) => {
            items.into_iter().filter_map(|item| Section::from_node(known, item, report)).collect()
        }
        Err(kind) => {
            let message = format!("{} is a list of tables, not {kind}", known.header);
            let remedy = format!("write `{}` on a line of its own", known.header);
            report.error(node.span, message, remedy);
            Vec::new()
        }
    }
}

/// Prefix lengths of `pool6`: at least one /64, and no more than can be counted.
pub(crate) const POOL6_BITS: RangeInclusive<u8> = 32..=64;
