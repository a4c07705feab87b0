//! Routes, rules and translations of a namespace, each with what it is for.

use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_kernel::{
    Entry, Found, Inspection, IpVersion, NextHop, OtherRoute, Route, Rule, RuleAction, Standing,
};
use serde::Serialize;

use crate::origin::Origins;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteRow {
    /// Whose it is; none where it is of several or of nobody.
    pub tenant: Option<String>,
    /// The network namespace; none for the gateway's own.
    pub namespace: Option<String>,
    /// The routing table; 254 is the main one.
    pub table: u32,
    /// Where packets go that it is for.
    pub destination: IpNet,
    /// Among routes to one destination the lowest wins.
    pub metric: u32,
    /// What is done with packets: `gateway`, `link`, `blackhole`, `prohibit`, `unreachable`, `multipath` or
    /// `altered`.
    pub action: &'static str,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The device.
    pub device: Option<String>,
    /// How it stands.
    pub state: Standing,
    /// How it differs from what is wanted.
    pub differs: Vec<String>,
    /// What asks for it.
    pub why: String,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    /// Whose it is; none where it is of nobody.
    pub tenant: Option<String>,
    /// The network namespace; none for the gateway's own.
    pub namespace: Option<String>,
    /// 4 or 6.
    pub ip_version: u8,
    /// Rules are asked from the lowest on.
    pub priority: u32,
    /// Only packets from here.
    pub from: Option<IpNet>,
    /// Only packets to here.
    pub to: Option<IpNet>,
    /// Only packets that came in by this device.
    pub input: Option<String>,
    /// Only packets with this mark, under this mask.
    pub mark: Option<(u32, u32)>,
    /// The table that packets are looked up in.
    pub table: Option<u32>,
    /// What is done, in words.
    pub action: String,
    /// How it stands.
    pub state: Standing,
    /// What asks for it.
    pub why: String,
}

/// A translation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NatRow {
    /// Whose it is; none where it is of nobody.
    pub tenant: Option<String>,
    /// The network namespace; none for the gateway's own.
    pub namespace: Option<String>,
    /// `source`, `destination`, `mss_clamp`, or `foreign`.
    pub kind: &'static str,
    /// What becomes of what, in words.
    pub what: String,
    /// How it stands.
    pub state: Standing,
    /// How it differs from what is wanted.
    pub differs: Vec<String>,
    /// What asks for it.
    pub why: String,
}

pub(super) fn routes(
    origins: &Origins<'_>,
    namespace: Option<&String>,
    found: &Inspection,
) -> Vec<RouteRow> {
    let ours = found.routes.iter().map(|one| {
        let origin = origins.route(&one.what);
        let Route { table, destination, metric, .. } = one.what;
        let (action, gateway, device) = hop(&one.what.next);
        RouteRow {
            tenant: origin.tenant.map(|tenant| tenant.name.clone()),
            namespace: namespace.cloned(),
            table,
            destination,
            metric: metric.unwrap_or_default(),
            action,
            gateway,
            device,
            state: one.standing,
            differs: one.differs.clone(),
            why: origin.why,
        }
    });
    let others = found.other_routes.iter().map(|(table, route)| other(namespace, *table, route));
    let mut rows: Vec<_> = ours.chain(others).collect();
    rows.sort_by_key(|row| (row.table, row.destination, row.metric));
    rows
}

fn other(namespace: Option<&String>, table: u32, route: &OtherRoute) -> RouteRow {
    let (action, hop) = match &*route.hops {
        [] => ("unreachable", None),
        [one] if one.gateway.is_some() => ("gateway", Some(one)),
        [one] => ("link", Some(one)),
        [first, ..] => ("multipath", Some(first)),
    };
    RouteRow {
        tenant: None,
        namespace: namespace.cloned(),
        table,
        destination: route.destination,
        metric: route.metric,
        action,
        gateway: hop.and_then(|hop| hop.gateway),
        device: hop.and_then(|hop| hop.link.clone()),
        state: Standing::Foreign,
        differs: Vec::new(),
        why: if route.connected {
            String::from("an address of the machine")
        } else {
            String::new()
        },
    }
}

fn hop(next: &NextHop) -> (&'static str, Option<IpAddr>, Option<String>) {
    match next {
        NextHop::Altered => ("altered", None, None),
        NextHop::Blackhole => ("blackhole", None, None),
        NextHop::Gateway { gateway, link, .. } => ("gateway", Some(*gateway), link.clone()),
        NextHop::Link(link) => ("link", None, Some(link.clone())),
        NextHop::Prohibit => ("prohibit", None, None),
        NextHop::Unreachable => ("unreachable", None, None),
    }
}

pub(super) fn rules(
    origins: &Origins<'_>,
    namespace: Option<&String>,
    found: &Inspection,
) -> Vec<RuleRow> {
    let ours = found.rules.iter().map(|one| {
        let origin = origins.rule(&one.what);
        let tenant = origin.tenant.map(|tenant| tenant.name.clone());
        RuleRow { tenant, why: origin.why, ..rule(namespace, &one.what, one.standing) }
    });
    let others = found.other_rules.iter().map(|one| {
        let usual = KERNEL_RULES.contains(&one.priority);
        let why = if usual { String::from("the kernel's own") } else { String::new() };
        RuleRow { why, ..rule(namespace, one, Standing::Foreign) }
    });
    let mut rows: Vec<_> = ours.chain(others).collect();
    rows.sort_by_key(|row| (row.ip_version, row.priority));
    rows
}

fn rule(namespace: Option<&String>, rule: &Rule, state: Standing) -> RuleRow {
    let (table, action) = match rule.action {
        RuleAction::Altered => (None, String::from("altered by somebody else")),
        RuleAction::Blackhole => (None, String::from("blackhole")),
        RuleAction::Lookup(table) => (Some(table), format!("lookup {table}")),
        RuleAction::LookupSpecific(table) => {
            (Some(table), format!("lookup {table} without its default"))
        }
        RuleAction::Prohibit => (None, String::from("prohibit")),
        RuleAction::Unreachable => (None, String::from("unreachable")),
    };
    RuleRow {
        tenant: None,
        namespace: namespace.cloned(),
        ip_version: match rule.version {
            IpVersion::V4 => 4,
            IpVersion::V6 => 6,
        },
        priority: rule.priority,
        from: rule.from,
        to: rule.to,
        input: rule.input.clone(),
        mark: rule.mark,
        table,
        action,
        state,
        why: String::new(),
    }
}

pub(super) fn nat(
    origins: &Origins<'_>,
    namespace: Option<&String>,
    found: &Inspection,
) -> Vec<NatRow> {
    let row = |one: &Found<Entry>| {
        let kind = match &one.what {
            Entry::Clamp(_) => "mss_clamp",
            Entry::Nat(_) => "source",
            Entry::Redirect(_) => "destination",
            Entry::Strange { .. } if one.what.translates() => "foreign",
            Entry::Default { .. }
            | Entry::Entries { .. }
            | Entry::Forbidden { .. }
            | Entry::Frame { .. }
            | Entry::Others { .. }
            | Entry::Strange { .. } => return None,
        };
        let origin = origins.entry(&one.what);
        Some(NatRow {
            tenant: origin.tenant.map(|tenant| tenant.name.clone()),
            namespace: namespace.cloned(),
            kind,
            what: one.what.to_string(),
            state: one.standing,
            differs: one.differs.clone(),
            why: origin.why,
        })
    };
    found.firewall.iter().filter_map(row).collect()
}

/// The priorities of the rules that every namespace begins with: for the local, main and default table.
const KERNEL_RULES: [u32; 3] = [0, 32_766, 32_767];
