//! Reads `[[test]]` and tries each against the configuration.

use std::net::{AddrParseError, IpAddr, SocketAddr};

use isthmus_policy::{Flow, Protocol, Verdict};

use super::document::Node;
use super::policy::VERDICTS;
use super::road::egress_of;
use super::section::{At, Section};
use super::tenant::{required, sections};
use super::types::{Config, Egress, Tenant, Way};
use super::verdict::{Judgement, judge};
use super::{keys, value};
use crate::report::{Report, Span};

/// A test as written.
#[derive(Debug)]
pub(crate) struct TestDraft {
    at: Span,
    tenant: Option<At<String>>,
    user: At<String>,
    from: Option<IpAddr>,
    to: (IpAddr, Option<u16>),
    protocol: Option<At<Protocol>>,
    expect: At<Expected>,
}

/// What must come of a packet.
#[derive(Debug)]
struct Expected {
    verdict: Verdict,
    /// The egress it must leave by.
    via: Option<String>,
}

/// Reads every `[[test]]`.
pub(crate) fn tests(node: Option<Node>, report: &mut Report) -> Vec<TestDraft> {
    let sections = node.map(|node| sections(node, &keys::TEST, report)).unwrap_or_default();
    sections.into_iter().filter_map(|section| test(section, report)).collect()
}

fn test(mut section: Section, report: &mut Report) -> Option<TestDraft> {
    let at = section.span();
    let user = required(section.take_optional("user", report, value::text), "user", at, report);
    let to = required(section.take_optional("to", report, end), "to", at, report);
    let expect = section.take_optional("expect", report, expected);
    let expect = required(expect, "expect", at, report);
    let tenant = section.take("tenant", report, value::name);
    let from = section.take("from", report, value::address).map(|at| at.value);
    let protocol = section.take("protocol", report, protocol);
    section.finish(report);
    Some(TestDraft { at, tenant, user: user?, from, to: to?.value, protocol, expect: expect? })
}

/// An address, with or without port.
fn end(node: &Node, report: &mut Report) -> Option<(IpAddr, Option<u16>)> {
    let written = value::text(node, report)?;
    let end = parse_end(&written);
    if end.is_err() {
        let remedy = "write it like \"10.1.2.3:443\", \"10.1.2.3\" or \"[2001:db8::1]:443\"";
        report.error(node.span, format!("`{written}` is not an address"), remedy);
    }
    end.ok()
}

/// An address, with or without port.
///
/// # Errors
/// When it is neither.
pub(crate) fn parse_end(text: &str) -> Result<(IpAddr, Option<u16>), AddrParseError> {
    let whole = text.parse().map(|end: SocketAddr| (end.ip(), Some(end.port())));
    whole.or_else(|_| text.parse().map(|address: IpAddr| (address, None)))
}

fn expected(node: &Node, report: &mut Report) -> Option<Expected> {
    let written = value::text(node, report)?;
    let (verdict, via) = match written.split_once(" via ") {
        Some((verdict, via)) => (verdict, Some(via.trim().to_owned())),
        None => (written.as_str(), None),
    };
    let found = VERDICTS.iter().find(|(word, _)| *word == verdict).map(|(_, verdict)| *verdict);
    if found.is_none() || (found == Some(Verdict::Deny) && via.is_some()) {
        let remedy = "write \"allow\", \"deny\" or \"allow via NAME\" with the name of an egress";
        report.error(node.span, format!("`{written}` is nothing to expect"), remedy);
        return None;
    }
    Some(Expected { verdict: found?, via })
}

fn protocol(node: &Node, report: &mut Report) -> Option<Protocol> {
    let written = value::text(node, report)?;
    let read = written.parse();
    if let Err(error) = &read {
        report.error(node.span, format!("{error}"), "write `tcp`, `udp`, `icmp` or a number");
    }
    read.ok()
}

/// Tries each test; one that fails is an error.
pub(crate) fn check(tests: &[TestDraft], config: &Config, report: &mut Report) {
    for test in tests {
        try_one(test, config, report);
    }
}

fn try_one(test: &TestDraft, config: &Config, report: &mut Report) -> Option<()> {
    let tenant = tenant(test, config, report)?;
    let name = &test.user.value;
    let Some(user) = tenant.users.named(name) else {
        let message = format!("there is no user `{name}` in tenant `{}`", tenant.name);
        report.error(test.user.span, message, "name one there is");
        return None;
    };
    let (destination, port) = test.to;
    let source = test.from.or_else(|| tenant.source_of(name, destination));
    let Some(source) = source.filter(|source| source.is_ipv4() == destination.is_ipv4()) else {
        let message = format!("`{name}` has no address from which {destination} can be reached");
        report.error(test.at, message, "name one of the same IP version in `from`");
        return None;
    };
    let protocol = test.protocol.as_ref().map_or_else(|| Protocol::usual(port), |at| at.value);
    if let (Some(_), false, Some(at)) = (port, protocol.has_ports(), &test.protocol) {
        report.error(at.span, format!("`{protocol}` has no ports"), "take the port out of `to`");
        return None;
    }
    let group = user.group.as_deref();
    let port = port.unwrap_or_default();
    let flow = Flow { user: name, group, source, destination, protocol, port };
    let found = judge(config, tenant, &flow);
    let egress = egress_of(tenant, &flow);
    let found = match egress.filter(|egress| egress.way == Way::Deny) {
        Some(egress) if found.verdict == Verdict::Allow => Judgement {
            verdict: Verdict::Deny,
            why: format!("the egress `{}` denies it", egress.name),
        },
        _ => found,
    };
    compare(test, &flow, &found, egress, report);
    Some(())
}

/// Reports what is found where it is not what was expected.
fn compare(
    test: &TestDraft,
    flow: &Flow<'_>,
    found: &Judgement,
    egress: Option<&Egress>,
    report: &mut Report,
) {
    let to = match test.to {
        (address, Some(port)) => SocketAddr::new(address, port).to_string(),
        (address, None) => address.to_string(),
    };
    let (name, protocol, expected) = (flow.user, flow.protocol, &test.expect.value);
    if found.verdict != expected.verdict {
        let (may, remedy) = match found.verdict {
            Verdict::Allow => ("may reach", "deny it by a rule further up, or expect \"allow\""),
            Verdict::Deny => ("may not reach", "allow it by a rule further up, or expect \"deny\""),
        };
        let message = format!("the test fails: `{name}` {may} {to} by {protocol}: {}", found.why);
        report.error(test.expect.span, message, remedy);
        return;
    }
    let way = egress.map(|egress| &egress.name);
    if expected.via.is_some() && way != expected.via.as_ref() {
        let takes = way.map_or(String::from("no egress"), |way| format!("the egress `{way}`"));
        let message = format!("the test fails: `{name}` takes {takes} to {to}");
        report.error(
            test.expect.span,
            message,
            "change `match` or the order of the egresses, or the test",
        );
    }
}

fn tenant<'a>(test: &TestDraft, config: &'a Config, report: &mut Report) -> Option<&'a Tenant> {
    let Some(at) = &test.tenant else {
        if config.tenants.len() > 1 {
            report.error(
                test.at,
                "`tenant` is missing",
                "say whose user it is: there are several tenants",
            );
            return None;
        }
        return config.tenants.first();
    };
    let found = config.tenants.iter().find(|tenant| tenant.name == at.value);
    if found.is_none() {
        report.error(at.span, format!("there is no tenant `{}`", at.value), "name one there is");
    }
    found
}
