//! Reads `[[tenant.nat]]`, and what becomes of the addresses of packets that take an egress.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_driver::{BOUND_MAX, NatKind, NatNetwork, Translation, Transport};

use super::document::Node;
use super::read::distinct;
use super::section::{At, Section};
use super::tenant::{required, sections};
use super::types::Egress;
use super::{keys, value};
use crate::report::{Report, Span};

/// `nat` or `nat6` of an egress: a word, an address or a range.
pub(super) fn translation(is_ipv4: bool) -> impl Fn(&Node, &mut Report) -> Option<Translation> {
    move |node, report| {
        let written = value::text(node, report)?;
        match written.as_str() {
            "masquerade" => return Some(Translation::Masquerade),
            "none" => return Some(Translation::Keep),
            word if word.chars().all(char::is_alphabetic) => {
                let remedy = "write \"masquerade\", \"none\", an address or a range of such";
                report.error(node.span, format!("`{word}` is not known here"), remedy);
                return None;
            }
            _ => {}
        }
        let range = value::addresses(node, report)?;
        let (first, last) = (*range.start(), *range.end());
        if first.is_ipv4() != is_ipv4 {
            let (version, key) = if is_ipv4 { ("IPv4", "nat6") } else { ("IPv6", "nat") };
            let message = format!("`{written}` is not an {version} address");
            report.error(node.span, message, format!("write it into `{key}`"));
            return None;
        }
        Some(if first == last {
            Translation::Address(first)
        } else {
            Translation::Range(first, last)
        })
    }
}

/// The addresses that are a tenant's own.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    pub(super) pool: &'a [At<Ipv4Net>],
    pub(super) pool6: &'a [At<Ipv6Net>],
    pub(super) egress: &'a [Egress],
}

impl Home<'_> {
    fn has(self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.pool.iter().any(|net| net.value.contains(&address)),
            IpAddr::V6(address) => self.pool6.iter().any(|net| net.value.contains(&address)),
        }
    }

    fn meets(self, net: IpNet) -> bool {
        let v4 = self.pool.iter().map(|net| IpNet::V4(net.value));
        let mut all = v4.chain(self.pool6.iter().map(|net| IpNet::V6(net.value)));
        all.any(|own| own.contains(&net) || net.contains(&own))
    }
}

/// Reads every translation of a tenant.
pub(super) fn nats(node: Node, home: Home<'_>, report: &mut Report) -> Vec<NatNetwork> {
    let mut found: Vec<(Span, NatNetwork)> = Vec::new();
    for section in sections(node, &keys::NAT, report) {
        let at = section.span();
        let Some(nat) = nat(section, home, report) else { continue };
        let same = |other: &&(Span, NatNetwork)| known(&other.1.kind) == known(&nat.kind);
        if let Some((first, _)) = found.iter().find(same) {
            let message = "this is translated already";
            report.error(
                at,
                message,
                format!("remove one; the other is at {}", report.place(*first)),
            );
        }
        found.push((at, nat));
    }
    let bound = |nat: &NatNetwork| matches!(nat.kind, NatKind::Map { .. }) && !nat.by.is_empty();
    let mut bound = found.iter().filter(|(_, nat)| bound(nat));
    if let Some((at, _)) = bound.nth(BOUND_MAX as usize) {
        let message = format!("there are more than {BOUND_MAX} `netmap` with an `egress`");
        report.error(*at, message, "leave `egress` out where the networks differ");
    }
    found.into_iter().map(|(_, nat)| nat).collect()
}

/// What packets are told by that a translation is for.
fn known(kind: &NatKind) -> (IpNet, Option<(Transport, u16)>) {
    match *kind {
        NatKind::Forward { outside, service, .. } => (outside.into(), service),
        NatKind::Map { inside, .. } => (inside, None),
        NatKind::OneToOne { outside, .. } => (outside.into(), None),
    }
}

fn nat(mut section: Section, home: Home<'_>, report: &mut Report) -> Option<NatNetwork> {
    let (at, before) = (section.span(), report.problems().len());
    let kinds = [
        section.take_node("dnat").and_then(|node| forward(node, home, report)),
        section.take_node("one_to_one").and_then(|node| one_to_one(node, home, report)),
        section.take_node("netmap").and_then(|node| netmap(node, home, report)),
    ];
    let by = section.take("egress", report, value::one_or_more(value::name));
    let except = section.take("except", report, value::list(value::any_network));
    section.finish(report);
    let by = by.map_or((at, Vec::new()), |by| (by.span, distinct(&by, report)));
    for name in &by.1 {
        if !home.egress.iter().any(|egress| egress.name == *name) {
            let names: Vec<_> = home.egress.iter().map(|egress| egress.name.as_str()).collect();
            let remedy = format!("write one of: {}", names.join(", "));
            report.error(by.0, format!("there is no egress `{name}`"), remedy);
        }
    }
    let mut kinds = kinds.into_iter().flatten();
    let kind = kinds.next();
    if kind.is_none() && report.problems().len() == before {
        report.error(at, "this translates nothing", "write `dnat`, `one_to_one` or `netmap`");
    }
    if kinds.next().is_some() {
        report.error(at, "this is several translations", "write a `[[tenant.nat]]` for each");
    }
    let except = except.map(|list| distinct(&list, report)).unwrap_or_default();
    Some(NatNetwork { kind: kind?, by: by.1, except })
}

fn forward(node: Node, home: Home<'_>, report: &mut Report) -> Option<NatKind> {
    const TRANSPORTS: [(&str, Transport); 2] = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];
    let mut section = Section::from_node(&keys::DNAT, node, report)?;
    let at = section.span();
    let outside = section.take_optional("address", report, value::address);
    let outside = required(outside, "address", at, report);
    let inside = required(section.take_optional("to", report, value::address), "to", at, report);
    let transport = section.take("protocol", report, value::one_of(&TRANSPORTS));
    let port = section.take("port", report, value::number(1..=u16::MAX));
    let to_port = section.take("to_port", report, value::number(1..=u16::MAX));
    section.finish(report);
    if transport.is_some() != port.is_some() {
        let remedy = "write both, or neither for all packets to the address";
        report.error(at, "`protocol` and `port` go together", remedy);
    }
    if let Some(to_port) = to_port.filter(|_| port.is_none()) {
        report.error(to_port.span, "`to_port` needs a `port`", "write `protocol` and `port`");
    }
    let (outside, inside) = (outside?, inside?);
    client(inside, outside.value, home, report);
    let service = transport.zip(port).map(|(transport, port)| (transport.value, port.value));
    let (outside, inside, port) = (outside.value, inside.value, to_port.map(|port| port.value));
    Some(NatKind::Forward { outside, service, inside, port })
}

fn one_to_one(node: Node, home: Home<'_>, report: &mut Report) -> Option<NatKind> {
    let mut section = Section::from_node(&keys::ONE_TO_ONE, node, report)?;
    let (inside, outside) = pair(&mut section, value::address, report);
    section.finish(report);
    let (inside, outside) = (inside?, outside?);
    client(inside, outside.value, home, report);
    Some(NatKind::OneToOne { inside: inside.value, outside: outside.value })
}

fn netmap(node: Node, home: Home<'_>, report: &mut Report) -> Option<NatKind> {
    let mut section = Section::from_node(&keys::NETMAP, node, report)?;
    let at = section.span();
    let (inside, outside) = pair(&mut section, value::any_network, report);
    section.finish(report);
    let (inside, outside) = (inside?, outside?);
    let (a, b) = (inside.value, outside.value);
    if a.addr().is_ipv4() != b.addr().is_ipv4() || a.prefix_len() != b.prefix_len() {
        let remedy = "write two networks of the same IP version with the same prefix length";
        report.error(at, format!("{a} does not fit onto {b}"), remedy);
        return None;
    }
    if home.meets(a) {
        let message = format!("{a} is what clients have themselves");
        report.error(inside.span, message, "choose a network that no client and no egress has");
    }
    Some(NatKind::Map { inside: a, outside: b })
}

/// `inside` and `outside`.
fn pair<T>(
    section: &mut Section,
    read: fn(&Node, &mut Report) -> Option<T>,
    report: &mut Report,
) -> (Option<At<T>>, Option<At<T>>) {
    let at = section.span();
    let inside = section.take_optional("inside", report, read);
    let inside = required(inside, "inside", at, report);
    let outside = section.take_optional("outside", report, read);
    (inside, required(outside, "outside", at, report))
}

/// A client has an address of the pool, of the IP version that the other address has.
fn client(inside: At<IpAddr>, outside: IpAddr, home: Home<'_>, report: &mut Report) {
    if inside.value.is_ipv4() != outside.is_ipv4() {
        let message = format!("{} cannot be {outside}", inside.value);
        report.error(inside.span, message, "write two addresses of the same IP version");
    } else if !home.has(inside.value) {
        let message = format!("{} is not in the tenant's pool", inside.value);
        report.error(inside.span, message, "write the address that a user always gets");
    }
}
