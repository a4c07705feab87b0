//! Readers of single values: text into addresses, durations, names; wrong ones into problems.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_ppp::dhcp::Domain;

use super::document::{Node, Value};
use super::keys;
use super::section::At;
use crate::report::Report;

/// Text.
pub(crate) fn text(node: &Node, report: &mut Report) -> Option<String> {
    let written = node.value.as_text();
    if written.is_none() {
        wrong_kind(node, "text", &node.value, "put it between double quotes", report);
    }
    written.map(str::to_owned)
}

/// True or false.
pub(crate) fn boolean(node: &Node, report: &mut Report) -> Option<bool> {
    let Value::Boolean(value) = node.value else {
        wrong_kind(
            node,
            "true or false",
            &node.value,
            "write true or false, without quotes",
            report,
        );
        return None;
    };
    Some(value)
}

/// A whole number in a range.
pub(crate) fn number<T: TryFrom<i64> + PartialOrd + Display>(
    range: RangeInclusive<T>,
) -> impl FnOnce(&Node, &mut Report) -> Option<T> {
    move |node, report| {
        let remedy = format!("write a number from {} to {}", range.start(), range.end());
        let Value::Integer(value) = &node.value else {
            wrong_kind(node, "a number", &node.value, &remedy, report);
            return None;
        };
        let value = T::try_from(*value).ok().filter(|value| range.contains(value));
        if value.is_none() {
            report.error(node.span, "the number is out of range", remedy);
        }
        value
    }
}

/// A list; every item is read even when one is wrong. Places are those of the items.
pub(crate) fn list<T>(
    read: impl Fn(&Node, &mut Report) -> Option<T>,
) -> impl FnOnce(&Node, &mut Report) -> Option<Vec<At<T>>> {
    move |node, report| {
        let Value::Array(items) = &node.value else {
            wrong_kind(node, "a list", &node.value, "put it between [ and ]", report);
            return None;
        };
        let read: Vec<_> = items
            .iter()
            .filter_map(|item| Some(At { span: item.span, value: read(item, report)? }))
            .collect();
        (read.len() == items.len()).then_some(read)
    }
}

/// One value, or a list of such.
pub(crate) fn one_or_more<T>(
    read: impl Fn(&Node, &mut Report) -> Option<T>,
) -> impl FnOnce(&Node, &mut Report) -> Option<Vec<At<T>>> {
    move |node, report| {
        if let Value::Array(_) = &node.value {
            return list(read)(node, report);
        }
        Some(vec![At { span: node.span, value: read(node, report)? }])
    }
}

/// One of a few words.
pub(crate) fn one_of<T: Copy>(
    words: &[(&'static str, T)],
) -> impl Fn(&Node, &mut Report) -> Option<T> {
    move |node, report| {
        let written = text(node, report)?;
        let found = words.iter().find(|(word, _)| *word == written).map(|(_, value)| *value);
        if found.is_none() {
            let all = words.iter().map(|(word, _)| *word);
            let remedy = match keys::nearest(&written, all.clone()) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("write one of: {}", all.collect::<Vec<_>>().join(", ")),
            };
            report.error(node.span, format!("`{written}` is not known here"), remedy);
        }
        found
    }
}

/// An IPv4 or IPv6 address.
pub(crate) fn address(node: &Node, report: &mut Report) -> Option<IpAddr> {
    parsed(node, report, "an IP address", "write it like \"192.0.2.1\" or \"2001:db8::1\"")
}

/// An IPv4 address.
pub(crate) fn address_v4(node: &Node, report: &mut Report) -> Option<Ipv4Addr> {
    let address: IpAddr = parsed(node, report, "an IPv4 address", "write it like \"192.0.2.1\"")?;
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => {
            not_yet_v6(node, report);
            None
        }
    }
}

/// A domain name.
pub(crate) fn domain(node: &Node, report: &mut Report) -> Option<Domain> {
    let written = text(node, report)?;
    let domain = Domain::new(&written);
    if domain.is_none() {
        let remedy =
            "write it like \"corp.example\": letters, digits, `-` and `_` with dots between";
        report.error(node.span, format!("`{written}` is not a domain name"), remedy);
    }
    domain
}

/// A network of either version, or a single address; host bits must be zero.
pub(crate) fn any_network(node: &Node, report: &mut Report) -> Option<IpNet> {
    let written = text(node, report)?;
    let single = written.parse::<IpAddr>().map(IpNet::from);
    match single.or_else(|_| written.parse::<IpNet>()) {
        Ok(net) if net.addr() == net.network() => Some(net),
        Ok(net) => {
            let remedy = format!("did you mean \"{}\"?", net.trunc());
            report.error(node.span, format!("`{written}` has bits set after its prefix"), remedy);
            None
        }
        Err(_) => {
            let remedy = "write it like \"192.0.2.16/28\" or \"2001:db8::7\"";
            report.error(node.span, format!("`{written}` is not an IP network"), remedy);
            None
        }
    }
}

/// An address, a network or `FIRST-LAST`, of either version.
pub(crate) fn addresses(node: &Node, report: &mut Report) -> Option<RangeInclusive<IpAddr>> {
    let written = text(node, report)?;
    let Some((first, last)) = written.split_once('-') else {
        let net = any_network(node, report)?;
        return Some(net.network()..=net.broadcast());
    };
    let ends = first.trim().parse::<IpAddr>().ok().zip(last.trim().parse::<IpAddr>().ok());
    let range = ends
        .filter(|(first, last)| first.is_ipv4() == last.is_ipv4() && first <= last)
        .map(|(first, last)| first..=last);
    if range.is_none() {
        let remedy = "write it like \"10.64.0.10-10.64.0.20\", the lower address first";
        report.error(node.span, format!("`{written}` is not a range of addresses"), remedy);
    }
    range
}

/// An IPv4 network with its prefix length; host bits must be zero.
pub(crate) fn network(node: &Node, report: &mut Report) -> Option<Ipv4Net> {
    let written = text(node, report)?;
    if let Ok(address) = written.parse::<Ipv4Addr>() {
        let remedy = format!("write \"{address}/32\" for the one address, or a shorter prefix");
        report.error(node.span, format!("`{written}` has no prefix length"), remedy);
        return None;
    }
    match written.parse::<IpNet>() {
        Ok(IpNet::V4(net)) if net.addr() == net.network() => Some(net),
        Ok(IpNet::V4(net)) => {
            let remedy = format!("did you mean \"{}\"?", net.trunc());
            report.error(node.span, format!("`{written}` has bits set after its prefix"), remedy);
            None
        }
        Ok(IpNet::V6(_)) => {
            not_yet_v6(node, report);
            None
        }
        Err(_) => {
            let remedy = "write address and prefix length, like \"10.64.0.0/20\"";
            report.error(node.span, format!("`{written}` is not a network"), remedy);
            None
        }
    }
}

/// An IPv6 address.
pub(crate) fn address_v6(node: &Node, report: &mut Report) -> Option<Ipv6Addr> {
    parsed(node, report, "an IPv6 address", "write it like \"2001:db8::1\"")
}

/// An IPv6 network with a prefix length in this range; host bits must be zero.
pub(crate) fn network_v6(
    range: RangeInclusive<u8>,
) -> impl Fn(&Node, &mut Report) -> Option<Ipv6Net> {
    move |node, report| {
        let example =
            format!("write it like \"2001:db8:64::/{}\"", range.start().max(&48).min(range.end()));
        let net: Ipv6Net = parsed(node, report, "an IPv6 network", &example)?;
        let (least, most) = (range.start(), range.end());
        if !range.contains(&net.prefix_len()) {
            let wanted =
                if least == most { format!("/{least}") } else { format!("/{least} to /{most}") };
            report.error(
                node.span,
                format!("{net} is not a {wanted}"),
                format!("write a {wanted}"),
            );
        } else if net.addr() != net.network() {
            let remedy = format!("did you mean \"{}\"?", net.trunc());
            report.error(node.span, format!("`{net}` has bits set after its prefix"), remedy);
        } else {
            return Some(net);
        }
        None
    }
}

/// A duration between two bounds, like `8h`, `1h30m` or `500ms`.
pub(crate) fn duration(
    range: RangeInclusive<Duration>,
) -> impl FnOnce(&Node, &mut Report) -> Option<Duration> {
    move |node, report| {
        const REMEDY: &str = "write a number and a unit (ms, s, m, h, d), like \"30s\" or \"8h\"";
        let Value::String(written) = &node.value else {
            wrong_kind(node, "a duration", &node.value, REMEDY, report);
            return None;
        };
        let Some(value) = parse_duration(written) else {
            report.error(node.span, format!("`{written}` is not a duration"), REMEDY);
            return None;
        };
        if !range.contains(&value) {
            let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
            let message = format!(
                "`{written}` is too {}",
                if value < *range.start() { "short" } else { "long" }
            );
            report.error(node.span, message, format!("write {least} to {most}"));
            return None;
        }
        Some(value)
    }
}

/// A number of bytes in a range, like `500MB` or `2GiB`.
pub(crate) fn bytes(range: RangeInclusive<u64>) -> impl FnOnce(&Node, &mut Report) -> Option<u64> {
    move |node, report| {
        const REMEDY: &str =
            "write a number and a unit (kB, MB, GB, TB, KiB, MiB, GiB, TiB), like \"10GB\"";
        let Value::String(written) = &node.value else {
            wrong_kind(node, "a number of bytes", &node.value, REMEDY, report);
            return None;
        };
        let value = parse_scaled(written, &BYTES);
        let remedy = match value {
            None => String::from(REMEDY),
            Some(value) if range.contains(&value) => return Some(value),
            Some(_) if *range.end() == u64::MAX => {
                format!("write at least {} bytes", range.start())
            }
            Some(_) => format!("write {} to {} bytes", range.start(), range.end()),
        };
        report.error(node.span, format!("`{written}` is no number of bytes to use"), remedy);
        None
    }
}

/// Bits per second in a range, like `20Mbit/s`.
pub(crate) fn rate(range: RangeInclusive<u64>) -> impl FnOnce(&Node, &mut Report) -> Option<u64> {
    move |node, report| {
        const REMEDY: &str =
            "write a number and a unit (kbit/s, Mbit/s, Gbit/s), like \"20Mbit/s\"";
        let Value::String(written) = &node.value else {
            wrong_kind(node, "a rate", &node.value, REMEDY, report);
            return None;
        };
        let value = parse_scaled(written, &RATES);
        if value.is_none() {
            report.error(node.span, format!("`{written}` is not a rate"), REMEDY);
        }
        let value = value?;
        if range.contains(&value) {
            return Some(value);
        }
        let (least, most) = (show_rate(*range.start()), show_rate(*range.end()));
        report.error(
            node.span,
            format!("`{written}` is too {}", if value < *range.start() { "slow" } else { "fast" }),
            format!("write {least} to {most}"),
        );
        None
    }
}

/// A rate as one writes it: `20Mbit/s`.
pub(crate) fn show_rate(bits_per_second: u64) -> String {
    let whole = RATES.iter().rev().find(|(_, unit)| bits_per_second.is_multiple_of(*unit));
    whole.map_or_else(
        || format!("{bits_per_second}bit/s"),
        |(name, unit)| format!("{}{name}", bits_per_second / unit),
    )
}

/// `10GB` and so on; none when it is no number with one of the units.
fn parse_scaled(written: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = written.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = written.split_at_checked(digits)?;
    let (_, unit) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*unit)
}

const BYTES: [(&str, u64); 8] = [
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
/// The smallest first.
const RATES: [(&str, u64); 3] =
    [("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000)];

/// A name of ours: letters, digits, `-`, `_`, `.`.
pub(crate) fn name(node: &Node, report: &mut Report) -> Option<String> {
    let written = text(node, report)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if written.is_empty() || written.len() > NAME_BYTES_MAX || !written.chars().all(allowed) {
        let remedy = format!("use 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`");
        report.error(node.span, "this name cannot be used", remedy);
        return None;
    }
    Some(written)
}

/// The name of a network interface.
pub(crate) fn interface(node: &Node, report: &mut Report) -> Option<String> {
    let written = text(node, report)?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    if written.is_empty()
        || written.len() > INTERFACE_BYTES_MAX
        || matches!(written.as_str(), "." | "..")
        || written.chars().any(bad)
    {
        let remedy =
            format!("use 1 to {INTERFACE_BYTES_MAX} characters without spaces, `/` and `:`");
        report.error(node.span, "this is not an interface name", remedy);
        return None;
    }
    Some(written)
}

/// `1h30m` and so on; none when it is not a duration.
pub(crate) fn parse_duration(written: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = written;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_len)?;
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            "d" => number.checked_mul(86400).map(Duration::from_secs),
            _ => None,
        }?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    Some(total)
}

/// A duration as one writes it: `1h30m`.
pub(crate) fn show_duration(value: Duration) -> String {
    let seconds = value.as_secs();
    let parts = [
        (seconds / 86400, "d"),
        (seconds % 86400 / 3600, "h"),
        (seconds % 3600 / 60, "m"),
        (seconds % 60, "s"),
        (u64::from(value.subsec_millis()), "ms"),
    ];
    let shown: Vec<_> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if shown.is_empty() { String::from("0s") } else { shown.concat() }
}

fn parsed<T: FromStr>(node: &Node, report: &mut Report, what: &str, remedy: &str) -> Option<T> {
    let written = text(node, report)?;
    let value = written.parse().ok();
    if value.is_none() {
        report.error(node.span, format!("`{written}` is not {what}"), remedy);
    }
    value
}

fn not_yet_v6(node: &Node, report: &mut Report) {
    let remedy = "use IPv4 here; IPv6 inside tunnels comes with a later version";
    report.error(node.span, "IPv6 is not yet supported here", remedy);
}

/// Says what was expected without repeating the value, which may be a secret.
fn wrong_kind(node: &Node, expected: &str, found: &Value, remedy: &str, report: &mut Report) {
    report.error(node.span, format!("expected {expected}, found {}", found.kind()), remedy);
}

/// Longest name of ours, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest interface name Linux takes, in bytes.
pub(crate) const INTERFACE_BYTES_MAX: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_written() {
        assert_eq!(parse_duration("8h"), Some(Duration::from_hours(8)));
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("2d"), Some(Duration::from_hours(48)));
        for wrong in ["", "8", "h", "8 h", "-1s", "1.5h", "8hours", "99999999999999999999s", "s8"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        assert_eq!(parse_duration(&format!("{}d", u64::MAX)), None);
    }

    #[test]
    fn bytes_are_read_in_units_of_ten_and_of_two() {
        assert_eq!(parse_scaled("10GB", &BYTES), Some(10_000_000_000));
        assert_eq!(parse_scaled("3MiB", &BYTES), Some(3 << 20));
        for wrong in ["", "7", "GB", "1.5GB", "1 GB", "-1MB", "9gb", "99999999TB9"] {
            assert_eq!(parse_scaled(wrong, &BYTES), None, "{wrong}");
        }
        assert_eq!(parse_scaled(&format!("{}TB", u64::MAX), &BYTES), None);
    }

    #[test]
    fn a_shown_rate_reads_back() {
        for written in ["20Mbit/s", "1Gbit/s", "1500kbit/s", "64kbit/s"] {
            let rate = parse_scaled(written, &RATES).expect("a rate");
            assert_eq!(show_rate(rate), written);
        }
        assert_eq!(show_rate(8_001), "8001bit/s");
        for wrong in ["", "20", "20M", "20Mbit", "20MB/s", "1.5Mbit/s", "20 Mbit/s", "-1kbit/s"] {
            assert_eq!(parse_scaled(wrong, &RATES), None, "{wrong}");
        }
    }

    #[test]
    fn a_shown_duration_reads_back() {
        for written in ["8h", "1h30m", "1d2h3m4s5ms", "30s"] {
            assert_eq!(show_duration(parse_duration(written).unwrap()), written);
        }
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }
}
