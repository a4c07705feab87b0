//! `isthmus bench`.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use rustix::process::Pid;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::bench_args::{
    BenchArgs, BenchCarryArgs, BenchCommand, BenchReflectArgs, BenchStormArgs, BenchTrafficArgs,
    LoadArgs,
};
use super::client::{enter_netns, from_environment, resolve};
use super::failure::CliError;
use super::output::{Output, remark};
use super::run::{log_filter, runtime};
use crate::bench::{
    BenchError, Carry, Load, Names, Offer, Report, Scenario, Speech, Stop, Storm, Towards, Traffic,
    is_near, run, show, svg,
};
use crate::users;

pub(crate) fn bench(args: BenchArgs, out: &mut Output) -> Result<(), CliError> {
    let filter = log_filter().unwrap_or_else(|| String::from("warn"));
    isthmus_telemetry::init(isthmus_telemetry::LogFormat::Text, &filter)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    match args.command {
        BenchCommand::Connect(args) => {
            measure(&args.load, &Scenario::Connect { churn: args.churn }, out)
        }
        BenchCommand::Hold(args) => {
            measure(&args.load, &Scenario::Hold { duration: args.duration }, out)
        }
        BenchCommand::Traffic(args) => {
            let traffic = traffic(&args)?;
            measure(&args.load, &Scenario::Traffic(traffic), out)
        }
        BenchCommand::Storm(args) => {
            let BenchStormArgs { load, outage, patience, retry, tries } = *args;
            measure(&load, &Scenario::Storm(Storm { outage, patience, retry, tries }), out)
        }
        BenchCommand::Carry(args) => {
            let BenchCarryArgs { load, interface, routes, duration } = *args;
            one_thread(&load)?;
            let load = LoadArgs { threads: Some(1), ..load };
            measure(&load, &Scenario::Carry(Carry { interface, routes, duration }), out)
        }
        BenchCommand::Reflect(args) => reflect(&args, out),
    }
}

fn measure(args: &LoadArgs, scenario: &Scenario, out: &mut Output) -> Result<(), CliError> {
    if let Some(netns) = &args.netns {
        // Before any thread exists: threads inherit the namespace.
        enter_netns(netns)?;
    }
    let load = load(args)?;
    if let Some(plot) = &args.plot {
        // Not being able to write is better known before than after.
        write(plot, "")?;
    }
    let runtime = runtime()?;
    let stop = Arc::new(Stop::default());
    let _guard = runtime.enter();
    runtime.spawn(ask_on_signals(signals()?, Arc::clone(&stop)));
    let quiet = args.quiet;
    let mut progress = |line: &str| {
        if !quiet {
            remark(line);
        }
    };
    let report = run(&load, scenario, &stop, &mut progress)?;
    print(&report, args, out)
}

/// The sessions of a device live on one thread, as those of a client do.
fn one_thread(args: &LoadArgs) -> Result<(), CliError> {
    if args.threads.is_some_and(|threads| threads > 1) {
        return Err(CliError::Usage(String::from(
            "`carry` uses one thread: leave --threads out, or run it several times with several \
             --interface",
        )));
    }
    Ok(())
}

fn print(report: &Report, args: &LoadArgs, out: &mut Output) -> Result<(), CliError> {
    if args.json {
        out.json(report)?;
    } else {
        out.text(&show(report))?;
    }
    if let Some(plot) = &args.plot {
        write(plot, &svg(report).map_err(CliError::Failed)?)?;
    }
    report.complaint().map_or(Ok(()), |complaint| Err(CliError::Failed(complaint)))
}

fn load(args: &LoadArgs) -> Result<Load, CliError> {
    let dial = &args.dial;
    let server = resolve(&dial.server, dial.server_ports.0)?;
    refuse_strangers("server", server, args.public_target)?;
    let speech = Speech {
        server,
        server_ports: dial.server_ports,
        psk: dial.psk()?,
        ike: dial.ike(),
        esp: dial.esp(),
        auth: dial.auth.clone(),
        mtu: dial.mtu,
        profile: args.profile,
    };
    let password = match &args.password_file {
        Some(path) => users::read_file(path, "Password")?,
        None => from_environment("ISTHMUS_PASSWORD").ok_or_else(|| {
            CliError::Usage(String::from(
                "give the password with --password-file or ISTHMUS_PASSWORD",
            ))
        })?,
    };
    let numbered_passwords = args.numbered_passwords;
    let names = Names { user: args.user.clone(), first: args.first, password, numbered_passwords };
    Ok(Load {
        speech,
        names,
        clients: args.clients,
        rate: args.rate,
        parallel: args.parallel,
        sources: sources(args, server)?,
        threads: args.threads.map_or_else(half_of_the_processors, usize::from),
        vanish: args.vanish,
        gateway: args.gateway_pid.and_then(Pid::from_raw),
    })
}

/// Whoever loads a stranger's machine attacks it.
fn refuse_strangers(what: &str, address: IpAddr, allowed: bool) -> Result<(), CliError> {
    if allowed || is_near(address) {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "the {what} {address} has a public address, and a load there is an attack unless its owner \
         knows of it; if so, say --public-target"
    )))
}

fn sources(args: &LoadArgs, server: IpAddr) -> Result<Vec<IpAddr>, CliError> {
    if args.source.is_empty() {
        return Ok(vec![own_address(server)?]);
    }
    if let Some(other) = args.source.iter().find(|source| source.is_ipv4() != server.is_ipv4()) {
        return Err(CliError::Usage(format!(
            "--source {other} and the server {server} are not of the same family of addresses"
        )));
    }
    for source in &args.source {
        UdpSocket::bind(SocketAddr::new(*source, 0)).map_err(|error| {
            CliError::Failed(format!(
                "cannot send from {source}: {error}; --source takes addresses of this machine"
            ))
        })?;
    }
    Ok(args.source.clone())
}

/// The address that this machine sends from.
fn own_address(server: IpAddr) -> Result<IpAddr, CliError> {
    crate::client::local_address(server)
        .map_err(|error| CliError::Failed(format!("no way to {server}: {error}; check the routes")))
}

fn half_of_the_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))
}

fn traffic(args: &BenchTrafficArgs) -> Result<Traffic, CliError> {
    let towards = match args.reflector {
        None => Towards::Between,
        Some(address) => {
            let ip = IpAddr::V4(*address.ip());
            refuse_strangers("reflector", ip, args.load.public_target)?;
            Towards::Reflector(address)
        }
    };
    if towards == Towards::Between && args.load.clients < 2 {
        return Err(CliError::Usage(String::from("--between needs two --clients at least")));
    }
    let sizes = args.size.0.clone();
    let offer = match (args.pps, args.mbit, args.window) {
        (_, Some(mbit), _) => Offer::of_mbit(mbit, &sizes),
        (_, _, Some(window)) => Offer::Window(window),
        (pps, None, None) => Offer::PerSecond(pps.unwrap_or(DEFAULT_PPS)),
    };
    Ok(Traffic { towards, sizes, offer, duration: args.duration })
}

#[derive(Serialize)]
struct ReflectReport {
    probes: u64,
    others: u64,
    unsent: u64,
}

fn reflect(args: &BenchReflectArgs, out: &mut Output) -> Result<(), CliError> {
    if let Some(netns) = &args.netns {
        enter_netns(netns)?;
    }
    let runtime = runtime()?;
    let stop = Arc::new(Stop::default());
    let _guard = runtime.enter();
    runtime.spawn(ask_on_signals(signals()?, Arc::clone(&stop)));
    let ready = |address| remark(&format!("sending back what comes to {address}"));
    let done = isthmus_load::reflect(args.listen, ready, || stop.is_asked())
        .map_err(|error| CliError::Failed(error.to_string()))?;
    let isthmus_load::Reflected { probes, others, unsent } = done;
    if args.json {
        return out.json(&ReflectReport { probes, others, unsent });
    }
    out.line(&format!("{probes} sent back, {others} others ignored, {unsent} not sent"))
}

fn signals() -> Result<(Signal, Signal), CliError> {
    let on = |kind| {
        signal(kind).map_err(|error| CliError::Failed(format!("cannot receive signals: {error}")))
    };
    Ok((on(SignalKind::interrupt())?, on(SignalKind::terminate())?))
}

async fn ask_on_signals((mut interrupt, mut terminate): (Signal, Signal), stop: Arc<Stop>) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.ask();
    }
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text)
        .map_err(|error| CliError::Failed(format!("cannot write `{}`: {error}", path.display())))
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Packets in a second when nothing else is said: what no link minds.
const DEFAULT_PPS: f64 = 1000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_server_is_refused_unless_that_is_meant() {
        let public: IpAddr = "203.0.113.10".parse().unwrap();
        let refused = refuse_strangers("server", public, false).unwrap_err().to_string();
        assert!(refused.contains("203.0.113.10") && refused.contains("--public-target"));
        assert!(refuse_strangers("server", public, true).is_ok());
        assert!(refuse_strangers("server", IpAddr::from([10, 0, 0, 1]), false).is_ok());
    }
}
