//! Reads `health` of an egress.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use hyper::Uri;
use isthmus_driver::{Health, Target, Thresholds};

use super::document::Node;
use super::section::{At, Section};
use super::types::Way;
use super::{keys, value};
use crate::report::Report;

/// Reads `health`; `way` is what it has to go by.
pub(super) fn health(node: Node, way: Option<&Way>, report: &mut Report) -> Option<Health> {
    let mut section = Section::from_node(&keys::HEALTH, node, report)?;
    let (at, before) = (section.span(), report.problems().len());
    let icmp = section.take("icmp", report, value::address).map(|at| at.map(Target::Icmp));
    let tcp = section.take("tcp", report, server).map(|at| at.map(Target::Tcp));
    let http = section.take("http", report, web_server);
    let interval = section.take("interval", report, value::duration(INTERVALS));
    let limit = section.take("timeout", report, value::duration(TIMEOUTS));
    let fall = section.take("fall", report, value::number(1..=RESULTS_MAX));
    let rise = section.take("rise", report, value::number(1..=RESULTS_MAX));
    section.finish(report);
    let mut targets: Vec<At<Target>> = [icmp, tcp, http].into_iter().flatten().collect();
    if let Some(second) = targets.get(1) {
        report.error(
            second.span,
            "a way out has one probe",
            "keep one of `icmp`, `tcp` and `http`",
        );
    }
    if targets.is_empty() && report.problems().len() == before {
        let remedy = "write `icmp`, `tcp` or `http` with something behind this way out";
        report.error(at, "`health` asks nobody", remedy);
    }
    let interval = interval.map_or(INTERVAL, |at| at.value);
    if let Some(limit) = limit.filter(|limit| limit.value > interval) {
        let remedy = format!("write {} or less", value::show_duration(interval));
        report.error(limit.span, "`timeout` is longer than `interval`", remedy);
    }
    let target = targets.pop()?;
    reachable(&target, way, report);
    Some(Health {
        target: target.value,
        interval,
        timeout: limit.map_or(interval, |at| at.value),
        thresholds: Thresholds {
            fall: fall.map_or(FALL, |at| at.value),
            rise: rise.map_or(RISE, |at| at.value),
        },
    })
}

/// A probe goes by the next hop of its way out.
fn reachable(target: &At<Target>, way: Option<&Way>, report: &mut Report) {
    let is_ipv4 = target.value.address().is_ipv4();
    match way {
        None | Some(Way::Interface(_) | Way::Passage(_)) => {}
        Some(Way::Deny | Way::Main(_)) => {
            let remedy = "write `gateway` into `via`, or remove `health`";
            report.error(target.span, "this way out has no next hop to probe", remedy);
        }
        Some(Way::Gateway { gateway, gateway6, .. }) => {
            let there = if is_ipv4 { gateway.is_some() } else { gateway6.is_some() };
            if !there {
                let version = if is_ipv4 { "IPv4" } else { "IPv6" };
                let message =
                    format!("there is no {version} next hop to {}", target.value.address());
                let remedy = format!("add an {version} address to `gateway`, or probe another");
                report.error(target.span, message, remedy);
            }
        }
    }
}

fn server(node: &Node, report: &mut Report) -> Option<SocketAddr> {
    let written = value::text(node, report)?;
    let address = written.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    if address.is_none() {
        let remedy = "write it like \"10.0.0.5:443\" or \"[2001:db8::5]:443\"";
        report.error(node.span, format!("`{written}` is not an address with a port"), remedy);
    }
    address
}

fn web_server(node: &Node, report: &mut Report) -> Option<Target> {
    let written = value::text(node, report)?;
    let target = written.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http"));
    let target = target.and_then(|uri| {
        let host = uri.host()?.trim_matches(['[', ']']).parse().ok()?;
        let address = SocketAddr::new(host, uri.port_u16().unwrap_or(80));
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Target::Http { address, path })
    });
    if target.is_none() {
        let remedy =
            "write it like \"http://10.0.0.5:8080/healthz\", with an address instead of a name";
        report.error(node.span, format!("`{written}` is not asked for"), remedy);
    }
    target
}

const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_mins(1);
const RESULTS_MAX: u32 = 100;
const INTERVAL: Duration = Duration::from_millis(500);
const FALL: u32 = 3;
const RISE: u32 = 5;
