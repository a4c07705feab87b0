//! What was measured, for people.

use std::fmt::Write as _;

use super::logins::{Cause, Percentiles};
use super::process::Share;
use super::report::{CarryReport, HoldReport, ProcessReport, Report, StormReport, TrafficReport};

/// The report as text.
pub fn show(report: &Report) -> String {
    let mut out = String::new();
    let logins = &report.logins;
    let ended = if report.interrupted { ", ended before its time" } else { "" };
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "{} {}: {} clients, {:.1} s{ended}",
        report.scenario, report.server, report.clients, report.seconds
    );
    let _ = writeln!(
        out,
        "logins    {} begun, {} up, {} failed, {} unfinished; {:.1} a second",
        logins.started, logins.up, logins.failed, logins.unfinished, logins.per_second
    );
    for (name, values) in [
        ("login", &logins.latency_ms),
        ("  ike", &logins.ike_ms),
        ("  l2tp", &logins.l2tp_ms),
        ("  ppp", &logins.ppp_ms),
    ] {
        percentiles(&mut out, name, values);
    }
    causes(&mut out, "failed", &logins.failures);
    causes(&mut out, "lost", &report.lost);
    report.hold.iter().for_each(|hold| show_hold(&mut out, hold));
    report.storm.iter().for_each(|storm| show_storm(&mut out, storm));
    report.traffic.iter().for_each(|traffic| show_traffic(&mut out, traffic));
    report.carry.iter().for_each(|carry| show_carry(&mut out, carry));
    report.gateway.iter().for_each(|gateway| show_gateway(&mut out, gateway));
    let own = &report.generator;
    let _ = writeln!(
        out,
        "generator {} thread(s), {:.0} % busy during logins, {} bytes a session",
        own.threads, own.busy_percent, own.bytes_per_session
    );
    if own.busy_percent > BUSY {
        out.push_str(
            "          it was out of breath: part of the times above is its own; use --threads, or \
             another machine\n",
        );
    }
    out
}

fn percentiles(out: &mut String, name: &str, values: &Percentiles) {
    if values.count == 0 {
        return;
    }
    let Percentiles { p50, p90, p99, p999, max, .. } = values;
    let _ = writeln!(
        out,
        "{name:<9} p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms"
    );
}

fn causes(out: &mut String, name: &str, causes: &[Cause]) {
    for cause in causes {
        let _ = writeln!(out, "{name:<9} {} x {}: {}", cause.count, cause.stage, cause.reason);
        if !cause.remedy.is_empty() {
            let _ = writeln!(out, "          {}", cause.remedy);
        }
    }
}

fn show_hold(out: &mut String, hold: &HoldReport) {
    let HoldReport { seconds, sessions, left } = hold;
    let _ =
        writeln!(out, "held      {sessions} sessions for {seconds:.1} s, {left} left at the end");
}

fn show_storm(out: &mut String, storm: &StormReport) {
    let after = |seconds: Option<f64>| {
        seconds.map_or_else(|| String::from("never"), |seconds| format!("{seconds:.1} s"))
    };
    let _ = writeln!(
        out,
        "storm     {} of {} up after {} attempts, {} failed for good\n          \
         half up: {}, nine in ten: {}, all: {}",
        storm.up,
        storm.clients,
        storm.attempts,
        storm.failed_for_good,
        after(storm.half_up_seconds),
        after(storm.most_up_seconds),
        after(storm.all_up_seconds)
    );
}

fn show_traffic(out: &mut String, traffic: &TrafficReport) {
    let _ = writeln!(
        out,
        "packets   {} sent, {} received, {} lost ({:.3} %), {} reordered, {} duplicated\n\
         sent      {:.0} packets/s, {:.1} Mbit/s\n\
         received  {:.0} packets/s, {:.1} Mbit/s",
        traffic.sent,
        traffic.received,
        traffic.lost,
        traffic.lost_percent,
        traffic.reordered,
        traffic.duplicated,
        traffic.sent_pps,
        traffic.sent_mbit,
        traffic.received_pps,
        traffic.received_mbit
    );
    let way = if traffic.towards == "between" { "one way" } else { "to&fro" };
    percentiles(out, way, &traffic.latency_ms);
    if traffic.unsent > 0 {
        let _ = writeln!(
            out,
            "          {} packets were due and not sent: this machine could not, or sessions were gone",
            traffic.unsent
        );
    }
}

fn show_carry(out: &mut String, carry: &CarryReport) {
    let CarryReport { interface, seconds, sessions, left, sent, received, .. } = carry;
    let _ = writeln!(
        out,
        "carried   {sessions} sessions on {interface} for {seconds:.1} s, {left} left at the end\n\
         sent      {sent} packets, {:.1} Mbit/s\n\
         received  {received} packets, {:.1} Mbit/s",
        carry.sent_mbit, carry.received_mbit
    );
    if carry.strangers + carry.refused > 0 {
        let _ = writeln!(
            out,
            "          {} from addresses of no session, {} that this machine did not take",
            carry.strangers, carry.refused
        );
    }
}

fn show_gateway(out: &mut String, gateway: &ProcessReport) {
    let _ = writeln!(
        out,
        "gateway   {} KiB before, {} KiB with the sessions: {} bytes a session",
        gateway.before_bytes / 1024,
        gateway.loaded_bytes / 1024,
        gateway.bytes_per_session
    );
    let cpu = |share: &Share| share.cpu_percent;
    let _ = write!(out, "          {:.0} % of a core during logins", cpu(&gateway.logins));
    if let Some(steady) = &gateway.steady {
        let _ = write!(out, ", {:.1} % after", cpu(steady));
    }
    out.push('\n');
}

/// Threads that are busier than this, in percent, are in the way of what they measure.
const BUSY: f64 = 85.0;
