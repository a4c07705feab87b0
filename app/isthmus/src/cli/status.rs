//! Commands that ask a running gateway: `status`, `sessions`, `reload`; and `version`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::args::{AskArgs, ReloadArgs, SessionsArgs, VersionArgs};
use super::failure::CliError;
use super::output::{Output, age, bytes, printable, remark};
use super::run::runtime;
use crate::api::{
    Client, ClientError, DataPath, EgressStatus, Failure, Refusal, ReloadOutcome, Session,
    SessionId, Status, TenantStatus,
};
use crate::config::{self, CONTROL_SOCKET, DEFAULT_PATH, Difference, Effect, Kind};

pub(crate) fn status(args: &AskArgs, out: &mut Output) -> Result<(), CliError> {
    let status = runtime()?.block_on(client(args)?.status())?;
    if args.json {
        return out.json(&status);
    }
    show_status(&status, out)
}

pub(crate) fn sessions(args: &SessionsArgs, out: &mut Output) -> Result<(), CliError> {
    let client = client(&args.ask)?;
    let runtime = runtime()?;
    if let Some(id) = args.disconnect {
        let ended = runtime.block_on(client.disconnect(SessionId(id)))?;
        if args.ask.json {
            return out.json(&ended);
        }
        return out.line(&format!("session {} is ended", ended.session));
    }
    loop {
        let sessions = runtime.block_on(client.sessions())?;
        if args.ask.json {
            return out.json(&sessions);
        }
        if args.watch && out.is_terminal() {
            // Home, and clear to the end of the screen.
            out.text("\x1b[H\x1b[2J")?;
        }
        show_sessions(&sessions, out)?;
        if !args.watch {
            return Ok(());
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

pub(crate) fn reload(args: &ReloadArgs, out: &mut Output) -> Result<(), CliError> {
    let ReloadArgs { ask: args, dry_run } = args;
    let client = client(args)?;
    let outcome = if *dry_run {
        runtime()?.block_on(client.preview_reload())
    } else {
        runtime()?.block_on(client.reload())
    };
    let outcome = match outcome {
        Err(ClientError::Refused(refusal)) if args.json => {
            out.json(&refusal)?;
            return Err(CliError::Said);
        }
        Err(ClientError::Refused(refusal)) => return Err(refused(&refusal)),
        other => other?,
    };
    if args.json {
        return out.json(&outcome);
    }
    show_reload(&outcome, *dry_run, out)
}

pub(crate) fn version(args: VersionArgs, out: &mut Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Version {
        name: &'static str,
        version: &'static str,
    }
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        return out.json(&Version { name: "isthmus", version });
    }
    out.line(&format!("isthmus {version}"))
}

pub(crate) fn client(args: &AskArgs) -> Result<Client, CliError> {
    Ok(Client::new(socket(args)?))
}

/// `--socket`, or what the configuration says, or the usual place.
fn socket(args: &AskArgs) -> Result<PathBuf, CliError> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let Some(path) = &args.config else {
        let named = config::control_socket(Path::new(DEFAULT_PATH));
        return Ok(named.unwrap_or_else(|| PathBuf::from(CONTROL_SOCKET)));
    };
    if let Err(error) = std::fs::File::open(path) {
        let message =
            format!("cannot read `{}`: {error}; name the socket with --socket", path.display());
        return Err(CliError::Failed(message));
    }
    Ok(config::control_socket(path).unwrap_or_else(|| PathBuf::from(CONTROL_SOCKET)))
}

/// The ways out of all tenants, where there are any.
fn show_egresses(status: &Status, out: &mut Output) -> Result<(), CliError> {
    let of = |tenant: &TenantStatus| {
        let name = tenant.name.clone();
        let row = move |egress: &EgressStatus| {
            let state = if egress.up { "up" } else { "down" };
            let reason = egress.reason.clone().unwrap_or_else(|| String::from("-"));
            vec![name.clone(), egress.name.clone(), state.to_owned(), reason]
        };
        tenant.egress.iter().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<_> = status.tenants.iter().flat_map(of).collect();
    if rows.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&["tenant", "egress", "state", "because"], rows)
}

/// How often limits of each tenant have held, where they have.
fn show_limits(status: &Status, out: &mut Output) -> Result<(), CliError> {
    let of = |tenant: &TenantStatus| {
        let name = tenant.name.clone();
        let limits = tenant.limits;
        let counts = [
            ("sessions", "logins refused", limits.refused_sessions),
            ("sessions of a group", "logins refused", limits.refused_group_sessions),
            ("sessions of a user", "logins refused", limits.refused_user_sessions),
            ("sessions of a user", "sessions replaced", limits.ended_replaced),
            ("session_timeout", "sessions ended", limits.ended_session_timeout),
            ("idle_timeout", "sessions ended", limits.ended_idle_timeout),
            ("quota", "sessions ended", limits.ended_quota),
        ];
        let held = counts.into_iter().filter(|(_, _, count)| *count > 0);
        held.map(move |(limit, what, count)| {
            vec![name.clone(), limit.to_owned(), what.to_owned(), count.to_string()]
        })
        .collect::<Vec<_>>()
    };
    let rows: Vec<_> = status.tenants.iter().flat_map(of).collect();
    if rows.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.table(&["tenant", "limit", "what it did", "count"], rows)
}

fn show_status(status: &Status, out: &mut Output) -> Result<(), CliError> {
    out.line(&format!(
        "{}: isthmus {}, up {}, pid {}",
        status.name,
        status.version,
        age(status.uptime_seconds),
        status.pid
    ))?;
    let listen: Vec<_> = status.listen.iter().map(ToString::to_string).collect();
    let public = status.public_address.map(|a| format!(", public {a}")).unwrap_or_default();
    out.line(&format!("listening on {}{public}", listen.join(" ")))?;
    out.line(&format!(
        "{} sessions ({} starting, {} since the start), {} peers",
        status.sessions, status.sessions_starting, status.sessions_total, status.peers
    ))?;
    out.line(&data_path(&status.data_path))?;
    out.line("")?;
    let tenants = status.tenants.iter().map(|tenant| {
        let v4 = tenant.pool.iter().map(ToString::to_string);
        let pool: Vec<_> = v4.chain(tenant.pool6.iter().map(ToString::to_string)).collect();
        vec![
            tenant.name.clone(),
            tenant.sessions.to_string(),
            format!("{} of {}", tenant.pool_used, tenant.pool_size),
            pool.join(" "),
            tenant.users.to_string(),
            tenant.interface.clone(),
            tenant.netns.clone().unwrap_or_else(|| String::from("-")),
        ]
    });
    let header = ["tenant", "sessions", "addresses", "pool", "users", "device", "netns"];
    out.table(&header, tenants.collect())?;
    show_egresses(status, out)?;
    show_limits(status, out)?;
    if !status.lacs.is_empty() {
        out.line("")?;
        let lacs = status.lacs.iter().map(|lac| {
            let from: Vec<_> = lac.from.iter().map(ToString::to_string).collect();
            let from = if from.is_empty() { String::from("-") } else { from.join(" ") };
            let (tunnels, sessions) = (lac.tunnels.to_string(), lac.sessions.to_string());
            vec![lac.name.clone(), lac.tenants.join(" "), tunnels, sessions, from]
        });
        out.table(&["lac", "tenant", "tunnels", "sessions", "from"], lacs.collect())?;
    }
    if !status.findings.is_empty() {
        out.line("")?;
        for finding in &status.findings {
            out.line(&printable(&finding.to_string()))?;
        }
    }
    let drops = status
        .drops
        .iter()
        .map(|drop| vec![drop.layer.clone(), drop.reason.clone(), drop.count.to_string()]);
    let drops: Vec<_> = drops.collect();
    if !drops.is_empty() {
        out.line("")?;
        out.table(&["dropped by", "reason", "count"], drops)?;
    }
    if status.failures_total > 0 {
        out.line("")?;
        out.line(&format!("{} failed attempts to connect; the last:", status.failures_total))?;
        show_failures(&status.failures, out)?;
    }
    Ok(())
}

fn show_failures(failures: &[Failure], out: &mut Output) -> Result<(), CliError> {
    let rows = failures.iter().map(|failure| {
        vec![
            age(failure.age_seconds),
            failure.user.clone().unwrap_or_else(|| String::from("-")),
            failure.from.to_string(),
            failure.count.to_string(),
            failure.stage.clone(),
            failure.cause.clone(),
            failure.detail.clone(),
        ]
    });
    out.table(&["ago", "user", "from", "times", "stage", "cause", "detail"], rows.collect())?;
    let mut said: Vec<(&str, &str)> = Vec::new();
    for failure in failures {
        let advice = (failure.cause.as_str(), failure.remedy.as_str());
        if !said.contains(&advice) && !failure.remedy.is_empty() {
            said.push(advice);
        }
    }
    for (cause, remedy) in said {
        out.line(&format!("  {cause}: {}", printable(remedy)))?;
    }
    out.line("  `isthmus explain USER|ADDRESS` tells more of one of them")
}

fn show_sessions(sessions: &[Session], out: &mut Output) -> Result<(), CliError> {
    if sessions.is_empty() {
        remark("nobody is connected");
        return Ok(());
    }
    let any_device = sessions.iter().any(|session| session.device.is_some());
    let rows = sessions.iter().map(|session| {
        let v4 = session.address.map(|address| address.to_string());
        let v6 = session.prefix6.map(|prefix| prefix.to_string());
        let address: Vec<_> = v4.into_iter().chain(v6).collect();
        let how = match (&session.suite, session.encapsulated) {
            (None, _) => "plain",
            (Some(_), true) => "udp",
            (Some(_), false) => "esp",
        };
        let device = session.device.as_deref().unwrap_or("-").to_owned();
        let mut row = vec![
            session.id.to_string(),
            session.user.clone().unwrap_or_else(|| String::from("-")),
            session.tenant.clone(),
            if address.is_empty() { String::from("-") } else { address.join(" ") },
            session.from.to_string(),
            age(session.age_seconds),
            if session.up { "up" } else { "starting" }.to_owned(),
            format!("{} {how}", session.suite.as_deref().unwrap_or("-")),
            bytes(session.rx_bytes),
            bytes(session.tx_bytes),
            session.host.clone(),
        ];
        row.extend(any_device.then_some(device));
        row
    });
    let mut header = vec![
        "id", "user", "tenant", "address", "from", "age", "state", "cipher", "in", "out", "host",
    ];
    header.extend(any_device.then_some("device"));
    out.table(&header, rows.collect())
}

/// The refusal with every mistake it names.
fn refused(refusal: &Refusal) -> CliError {
    let mut text = format!("{}; {}", refusal.error, refusal.remedy);
    for problem in &refusal.problems {
        let place = match (&problem.file, problem.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (_, _) => String::new(),
        };
        // Writing into a String cannot fail.
        let _ = write!(text, "\n  {place}{}\n    {}", problem.message, problem.remedy);
    }
    CliError::Failed(text)
}

/// How packets cross the kernel, in one line.
fn data_path(path: &DataPath) -> String {
    let udp = match path.udp_segments_max {
        0 | 1 => String::from("UDP one by one (this kernel does not cut datagrams)"),
        most => format!("UDP up to {most} at once"),
    };
    let devices = path.devices.iter().map(|device| {
        let runs = match (device.reads_runs, device.writes_runs) {
            (true, true) if device.udp_runs => "runs of TCP and UDP",
            (true, true) => "runs of TCP (runs of UDP need Linux 6.2)",
            (true, false) => {
                "runs when read, one by one when written (this kernel refuses joined packets)"
            }
            (false, _) => "one by one (this kernel has no offload for TUN devices)",
        };
        format!("; {} {runs}", device.interface)
    });
    let devices: String = devices.collect();
    let workers = match path.workers {
        1 => String::from("1 worker"),
        several => format!("{several} workers, {} packets led from one to another", path.led),
    };
    format!("packets cross the kernel: {udp}{devices}\n{workers}; encryption by {}", path.engine)
}

fn show_reload(outcome: &ReloadOutcome, dry: bool, out: &mut Output) -> Result<(), CliError> {
    for warning in &outcome.warnings {
        remark(&format!("warning: {}", warning.message));
    }
    let changes = &outcome.changes;
    if changes.is_empty() {
        return out.line("nothing has changed");
    }
    for difference in &changes.differences {
        out.line(&difference_line(difference))?;
    }
    if dry {
        return out.line("dry run: nothing has been changed");
    }
    if !changes.applied.is_empty() {
        out.line(&format!("applied: {}", changes.applied.join(", ")))?;
    }
    if !changes.needs_restart.is_empty() {
        let waiting = changes.needs_restart.join(", ");
        out.line(&format!("waiting for a restart: {waiting}"))?;
    }
    Ok(())
}

/// `  ~ tenant acme: interface, dns  # its sessions end (3 now)`.
fn difference_line(difference: &Difference) -> String {
    let sign = match difference.kind {
        Kind::Added => '+',
        Kind::Changed => '~',
        Kind::Removed => '-',
    };
    let keys = if difference.keys.is_empty() { "" } else { ": " };
    let effect = match difference.effect {
        Effect::EndsSessions => format!("its sessions end ({} now)", difference.sessions_ended),
        Effect::NeedsRestart => String::from("waits for a restart"),
        Effect::SessionsGoOn => String::from("sessions go on"),
    };
    format!("  {sign} {}{keys}{}  # {effect}", difference.what, difference.keys.join(", "))
}

const WATCH_INTERVAL: Duration = Duration::from_secs(2);
