//! Reads `[[tenant.egress]]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use isthmus_driver::{PASSAGES_MAX, Translation};

use super::document::Node;
use super::read::{distinct, require_some};
use super::section::{At, Section};
use super::tenant::{required, sections};
use super::types::{Egress, Way};
use super::{health, keys, nat, passage, value};
use crate::report::{Report, Span};

/// Reads every egress of a tenant called so.
pub(crate) fn egresses(node: Node, tenant: &str, report: &mut Report) -> Vec<Egress> {
    let mut found: Vec<(Span, Egress)> = Vec::new();
    let mut passages = 0;
    for section in sections(node, &keys::EGRESS, report) {
        let at = section.span();
        let Some(mut egress) = egress(section, tenant, report) else { continue };
        if let Way::Passage(passage) = &mut egress.way {
            passage.number = passages;
            passages += 1;
            if passage.number == PASSAGES_MAX {
                let message = format!("there are more than {PASSAGES_MAX} ways into namespaces");
                report.error(at, message, "let those into one namespace share a way");
            }
        }
        if let Some((first, other)) = found.iter().find(|(_, other)| other.name == egress.name) {
            let message = format!("the egress `{}` exists twice", other.name);
            let remedy = format!("change one; the other is at {}", report.place(*first));
            report.error(at, message, remedy);
        }
        never_taken(&found, &egress, at, report);
        found.push((at, egress));
    }
    countable(&found, report);
    found.into_iter().map(|(_, egress)| egress).collect()
}

/// What is denied is not taken by an egress further down.
fn never_taken(before: &[(Span, Egress)], egress: &Egress, at: Span, report: &mut Report) {
    let denied = |to: &IpNet| {
        let denies = |other: &&(Span, Egress)| {
            other.1.way == Way::Deny && other.1.is_for_the_same(egress) && other.1.to.contains(to)
        };
        before.iter().find(denies)
    };
    let all: Option<Vec<_>> = egress.to.iter().map(denied).collect();
    if let Some((first, other)) = all.as_deref().and_then(<[_]>::first) {
        let message =
            format!("nothing ever leaves by `{}`: `{}` denies it", egress.name, other.name);
        let remedy = format!("put it before the other, at {}, or remove it", report.place(*first));
        report.warning(at, message, remedy);
    }
}

fn countable(found: &[(Span, Egress)], report: &mut Report) {
    if let Some((at, _)) = found.get(EGRESSES_MAX) {
        let message = format!("there are more than {EGRESSES_MAX} ways out");
        report.error(*at, message, "join those with the same next hop");
    }
    let mut probed = found.iter().filter(|(_, egress)| egress.health.is_some());
    if let Some((at, _)) = probed.nth(PROBED_MAX) {
        let message = format!("there are more than {PROBED_MAX} ways out with `health`");
        report.error(*at, message, "leave it out where the link says enough");
    }
    let mut conditions: Vec<&Egress> = Vec::new();
    for (at, egress) in found {
        if conditions.iter().any(|other| other.is_for_the_same(egress)) {
            continue;
        }
        if conditions.len() == CONDITIONS_MAX {
            let message =
                format!("the ways out have more than {CONDITIONS_MAX} different conditions");
            let remedy =
                "each pair of `from`, `mark`, `group` and `user` has a routing table; use fewer";
            report.error(*at, message, remedy);
            return;
        }
        conditions.push(egress);
    }
}

fn egress(mut section: Section, tenant: &str, report: &mut Report) -> Option<Egress> {
    let at = section.span();
    let name = required(section.take_optional("name", report, value::name), "name", at, report);
    let matched = match section.take_node("match") {
        Some(node) => matched(node, report),
        None => Some(Matched::default()),
    };
    let way = way(&mut section, tenant, report);
    let nat = section.take("nat", report, nat::translation(true));
    let nat6 = section.take("nat6", report, nat::translation(false));
    let nat_except = section.take("nat_except", report, value::list(value::any_network));
    let mss_clamp = section.take("mss_clamp", report, value::boolean);
    let health = section.take_node("health");
    section.finish(report);
    let known = way.clone().zip(matched.as_ref());
    let known = known.and_then(|(way, matched)| destinations(way, matched, report));
    let wants_health = health.is_some();
    let way_there = known.as_ref().map(|(way, _)| way);
    let health = health.and_then(|node| health::health(node, way_there, report));
    if wants_health && health.is_none() {
        return None;
    }
    let ((way, to), matched) = known.zip(matched)?;
    let translated = [nat, nat6].into_iter().flatten();
    for nat in translated.filter(|nat| nat.value != Translation::Keep) {
        if way.interface().is_none() {
            let remedy = "add `interface` to `via`";
            report.error(nat.span, "translating addresses needs to know the interface", remedy);
        }
    }
    if let Some(clamp) = mss_clamp.filter(|clamp| clamp.value && way.interface().is_none()) {
        report.error(
            clamp.span,
            "`mss_clamp` needs to know the interface",
            "add `interface` to `via`",
        );
    }
    Some(Egress {
        name: name?.value,
        to,
        from: matched.from,
        mark: matched.mark,
        groups: matched.groups,
        users: matched.users,
        way,
        nat: nat.map_or(Translation::Keep, |nat| nat.value),
        nat6: nat6.map_or(Translation::Keep, |nat| nat.value),
        nat_except: nat_except.map(|list| distinct(&list, report)).unwrap_or_default(),
        mss_clamp: mss_clamp.is_some_and(|clamp| clamp.value),
        health,
    })
}

/// `match` as written.
#[derive(Default)]
struct Matched {
    to: Option<At<Vec<At<IpNet>>>>,
    from: Vec<IpNet>,
    mark: Option<(u32, u32)>,
    groups: Vec<String>,
    users: Vec<String>,
}

fn matched(node: Node, report: &mut Report) -> Option<Matched> {
    let mut section = Section::from_node(&keys::MATCH, node, report)?;
    let (at, before) = (section.span(), report.problems().len());
    let to = section.take("to", report, value::list(value::any_network));
    let from = section.take("from", report, value::list(value::any_network));
    let mark = section.take("mark", report, mark);
    let groups = section.take("group", report, value::one_or_more(value::text));
    let users = section.take("user", report, value::one_or_more(value::text));
    section.finish(report);
    let empty = to.is_none() && from.is_none() && mark.is_none() && groups.is_none();
    if empty && users.is_none() && report.problems().len() == before {
        report.error(at, "`match` has no condition", "write `to` or another key, or remove it");
    }
    if let Some(to) = &to {
        require_some(&distinct(to, report), to.span, "a network", report);
    }
    if let Some(extra) = from.as_ref().and_then(|from| from.value.get(SOURCES_MAX)) {
        let message = format!("there are more than {SOURCES_MAX} sources");
        report.error(extra.span, message, "join them into wider networks");
    }
    let mut some = |list: Option<At<Vec<At<String>>>>, what: &str| {
        let list = list?;
        let names = distinct(&list, report);
        require_some(&names, list.span, what, report);
        Some(names)
    };
    let (groups, users) = (some(groups, "a group"), some(users, "a user"));
    let from = from.map(|from| {
        let nets = distinct(&from, report);
        require_some(&nets, from.span, "a network", report);
        nets
    });
    (report.problems().len() == before || !report.has_errors()).then(|| Matched {
        to,
        from: from.unwrap_or_default(),
        mark: mark.map(|at| at.value),
        groups: groups.unwrap_or_default(),
        users: users.unwrap_or_default(),
    })
}

/// `MARK/MASK` in the lower 12 bits, or a mark under all of those.
fn mark(node: &Node, report: &mut Report) -> Option<(u32, u32)> {
    let written = value::text(node, report)?;
    let number = |text: &str| {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u16::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        number.filter(|number| *number <= MARK_MAX)
    };
    let (value, under) = written.split_once('/').unwrap_or((&written, "0xfff"));
    match number(value).zip(number(under)) {
        Some((value, under)) if value & !under == 0 && under != 0 => {
            Some((value.into(), under.into()))
        }
        Some(_) => {
            let message = format!("no packet has the mark `{written}`");
            report.error(node.span, message, "the mask has to have the bits of the mark");
            None
        }
        None => {
            let remedy = "write it like \"0x10/0xff\"; the bits above 0xfff are the gateway's own";
            report.error(node.span, format!("`{written}` is not a mark of 12 bits"), remedy);
            None
        }
    }
}

/// `via` or `deny`.
fn way(section: &mut Section, tenant: &str, report: &mut Report) -> Option<At<Way>> {
    let at = section.span();
    let deny = section.take("deny", report, value::boolean).filter(|deny| deny.value);
    let via = section.take_node("via");
    match (deny, via) {
        (Some(deny), Some(via)) => {
            let remedy = format!("remove one; `deny` is at {}", report.place(deny.span));
            report.error(via.span, "what is denied goes nowhere", remedy);
            None
        }
        (Some(At { span, .. }), None) => Some(At { span, value: Way::Deny }),
        (None, Some(via)) => via_of(via, tenant, report),
        (None, None) => {
            let remedy =
                "write via = { interface = \"eth0\" }, with `gateway` if there is a next hop";
            report.error(at, "`via` is missing", remedy);
            None
        }
    }
}

fn via_of(node: Node, tenant: &str, report: &mut Report) -> Option<At<Way>> {
    let mut section = Section::from_node(&keys::VIA, node, report)?;
    let span = section.span();
    let before = report.problems().len();
    let interface = section.take("interface", report, value::interface).map(|at| at.value);
    let hops = section.take("gateway", report, value::one_or_more(value::address));
    let into = passage::take(&mut section, hops.as_ref().map(|at| at.span), report);
    section.finish(report);
    if report.problems().len() > before {
        return None;
    }
    if let Some(into) = into {
        return Some(At { span, value: Way::Passage(into.passage(interface, tenant)) });
    }
    let Some(hops) = hops else {
        let Some(interface) = interface else {
            let remedy = "write `interface`, `gateway` or both, or `netns`";
            report.error(span, "`via` names no way", remedy);
            return None;
        };
        return Some(At { span, value: Way::Interface(interface) });
    };
    let (gateway, gateway6) = next_hops(&hops, interface.is_some(), report);
    Some(At { span, value: Way::Gateway { interface, gateway, gateway6 } })
}

/// At most one next hop of each IP version.
fn next_hops(
    hops: &At<Vec<At<IpAddr>>>,
    on_link: bool,
    report: &mut Report,
) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let (mut v4, mut v6) = (None, None);
    for at in &hops.value {
        let taken = match at.value {
            IpAddr::V4(address) => v4.replace(address).is_some(),
            IpAddr::V6(address) => v6.replace(address).is_some(),
        };
        if taken {
            let remedy = "write another egress for it: the first that is up is taken";
            report.error(at.span, "there is a next hop of this IP version already", remedy);
        }
        if matches!(at.value, IpAddr::V6(address) if address.is_unicast_link_local()) && !on_link {
            let message = format!("{} is on every link", at.value);
            report.error(at.span, message, "add `interface` to `via`");
        }
    }
    require_some(&hops.value, hops.span, "a next hop", report);
    (v4, v6)
}

/// Where the way leads: what is written, or everything it can lead to.
fn destinations(way: At<Way>, matched: &Matched, report: &mut Report) -> Option<(Way, Vec<IpNet>)> {
    let (v4, v6) = match &way.value {
        Way::Gateway { gateway, gateway6, .. } => (gateway.is_some(), gateway6.is_some()),
        Way::Deny | Way::Interface(_) | Way::Main(_) | Way::Passage(_) => (true, true),
    };
    let Some(to) = &matched.to else {
        let any = [
            v4.then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            v6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        ];
        let to = any.into_iter().flatten().filter_map(|any| IpNet::new(any, 0).ok()).collect();
        let way = match way.value {
            Way::Interface(interface) => Way::Main(interface),
            other @ (Way::Deny | Way::Gateway { .. } | Way::Main(_) | Way::Passage(_)) => other,
        };
        return Some((way, to));
    };
    let lost = |to: &&At<IpNet>| !(if to.value.addr().is_ipv4() { v4 } else { v6 });
    if let Some(lost) = to.value.iter().find(lost) {
        let version = if lost.value.addr().is_ipv4() { "IPv4" } else { "IPv6" };
        let remedy = format!("add an {version} address to `gateway`");
        report.error(
            lost.span,
            format!("there is no {version} next hop to {}", lost.value),
            remedy,
        );
        return None;
    }
    Some((way.value, to.value.iter().map(|at| at.value).collect()))
}

/// Most ways out of a tenant: each has a metric of its own.
const EGRESSES_MAX: usize = 256;
/// Most conditions of the ways out of a tenant: each has a routing table.
const CONDITIONS_MAX: usize = isthmus_driver::CONDITIONS_MAX as usize;
/// Most ways out of a tenant with probes: each has a mark and a routing table.
const PROBED_MAX: usize = isthmus_driver::PROBED_MAX as usize;
/// The bits of marks that are the operator's.
const MARK_MAX: u16 = 0xfff;
/// Most sources of an egress: each has rules.
const SOURCES_MAX: usize = 64;
