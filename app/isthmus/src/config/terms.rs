//! Reads what a tenant and its users have in common: what clients are told, and limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::Ipv4Net;
use isthmus_gateway::{Advice, Limits, OnLimit};
use isthmus_plane::{BURST_MAX, BURST_MIN, RATE_MAX, RATE_MIN};
use isthmus_ppp::dhcp::{Domain, ROUTES_MAX, SEARCH_MAX, TIME_SERVERS_MAX};

use super::read::distinct;
use super::section::{At, Section};
use super::value;
use crate::report::Report;

/// What clients are told.
pub(crate) fn advice(section: &mut Section, report: &mut Report) -> Advice {
    let dns = section.take("dns", report, value::list(value::address));
    let (dns, dns6) = by_version(&dns.map(|list| distinct(&list, report)).unwrap_or_default());
    let ntp = section.take("ntp", report, value::list(value::address_v4));
    let routes = section.take("routes", report, value::list(value::network));
    let search = section.take("search", report, value::list(value::domain));
    Advice {
        dns,
        dns6,
        ntp: ntp.map(|list| bounded_ntp(&list, report)).unwrap_or_default(),
        routes: routes.map(|list| advised_routes(&list, report)).unwrap_or_default(),
        domain: section.take("domain", report, value::domain).map(|at| at.value),
        search: search.map(|list| bounded_search(&list, report)).unwrap_or_default(),
    }
}

/// The limits of a user, or of each user of a tenant; `sessions` is what the key is called there.
pub(crate) fn limits(section: &mut Section, sessions: &'static str, report: &mut Report) -> Limits {
    let timeouts = Duration::from_mins(1)..=Duration::from_hours(365 * 24);
    let per_user = section.take(sessions, report, value::number(1..=u16::MAX));
    let on_limit = section.take("on_limit", report, value::one_of(&OnLimit::NAMES));
    let timeout = section.take("session_timeout", report, value::duration(timeouts));
    let idles = Duration::from_mins(1)..=Duration::from_hours(365 * 24);
    let idle = section.take("idle_timeout", report, value::duration(idles));
    let quota = section.take("quota", report, value::bytes(QUOTA_MIN..=u64::MAX));
    let up = section.take("rate_up", report, value::rate(RATE_MIN..=RATE_MAX));
    let down = section.take("rate_down", report, value::rate(RATE_MIN..=RATE_MAX));
    let burst = section.take("burst", report, value::bytes(BURST_MIN..=BURST_MAX));
    Limits {
        sessions_per_user: per_user.map(|at| at.value),
        on_limit: on_limit.map(|at| at.value),
        session_timeout: timeout.map(|at| at.value),
        idle_timeout: idle.map(|at| at.value),
        quota: quota.map(|at| at.value),
        rate_up: up.map(|at| at.value),
        rate_down: down.map(|at| at.value),
        burst: burst.map(|at| at.value),
    }
}

/// The least quota, in bytes: a login and its name resolution need some.
const QUOTA_MIN: u64 = 1_000_000;

/// Time servers for clients, each once and no more than an answer to a client holds.
fn bounded_ntp(list: &At<Vec<At<Ipv4Addr>>>, report: &mut Report) -> Vec<Ipv4Addr> {
    let ntp = distinct(list, report);
    if ntp.len() > TIME_SERVERS_MAX {
        let message = format!("clients are told no more than {TIME_SERVERS_MAX} time servers");
        report.error(list.span, message, "remove those that are needed least");
    }
    ntp
}

/// Addresses of each IP version.
fn by_version(addresses: &[IpAddr]) -> (Vec<Ipv4Addr>, Vec<Ipv6Addr>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(*address),
            IpAddr::V6(address) => v6.push(*address),
        }
    }
    (v4, v6)
}

/// Routes for clients, each once; warns when there are more than an answer to a client holds.
fn advised_routes(list: &At<Vec<At<Ipv4Net>>>, report: &mut Report) -> Vec<Ipv4Net> {
    let routes = distinct(list, report);
    if routes.len() > ROUTES_MAX {
        report.warning(
            list.span,
            format!("clients are told the first {ROUTES_MAX} of these {} routes", routes.len()),
            "join neighbouring networks into wider ones",
        );
    }
    routes
}

/// A search list for clients, each domain once and no more than an answer to a client holds.
fn bounded_search(list: &At<Vec<At<Domain>>>, report: &mut Report) -> Vec<Domain> {
    let search = distinct(list, report);
    if search.len() > SEARCH_MAX {
        let message = format!("clients are told no more than {SEARCH_MAX} domains");
        report.error(list.span, message, "remove those that are needed least");
    }
    search
}
