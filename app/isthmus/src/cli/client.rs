//! `isthmus client connect`.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use isthmus_client::Profile;
use isthmus_core::SecretBytes;
use isthmus_ike::{Certificates, Identity, OwnCertificate};
use isthmus_trust::{Authorities, Own, Policy, Usage, pem};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::args::{ClientArgs, ClientCommand, ConnectArgs};
use super::failure::CliError;
use super::output::{Output, remark};
use super::run::{log_filter, runtime};
use crate::client::{
    ClientEvent, ClientFailure, ClientIpv6, ClientRequest, ClientRoutes, ClientSettings,
    ClientSide, ClientUp, PlainL2tp, connect,
};
use crate::config::IkeProposal;
use crate::users;

pub(crate) fn client(args: ClientArgs, out: &mut Output) -> Result<(), CliError> {
    match args.command {
        ClientCommand::Connect(args) => connect_command(*args, out),
    }
}

fn connect_command(args: ConnectArgs, out: &mut Output) -> Result<(), CliError> {
    let json = args.json;
    let filter = log_filter().unwrap_or_else(|| String::from("warn"));
    isthmus_telemetry::init(isthmus_telemetry::LogFormat::Text, &filter)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    if let Some(netns) = &args.netns {
        // Before any thread exists: threads inherit the namespace.
        enter_netns(netns)?;
    }
    let settings = settings(args)?;
    let outcome = runtime()?.block_on(stay_connected(settings, json, out));
    if let (Err(CliError::Client(failure)), true) = (&outcome, json) {
        out.json_line(&Down { event: "down", requested: false, failure: Some(failure) })?;
    }
    outcome
}

#[derive(Serialize)]
struct Down<'a> {
    event: &'static str,
    requested: bool,
    #[serde(flatten)]
    failure: Option<&'a ClientFailure>,
}

async fn stay_connected(
    settings: ClientSettings,
    json: bool,
    out: &mut Output,
) -> Result<(), CliError> {
    let on = |kind| {
        signal(kind).map_err(|error| CliError::Failed(format!("cannot receive signals: {error}")))
    };
    let (mut interrupt, mut terminate) =
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let (mut child, mut ike) = (on(SignalKind::user_defined1())?, on(SignalKind::user_defined2())?);
    let (events, mut arrivals) = mpsc::channel(EVENTS_MAX);
    let (requests, wanted) = mpsc::channel(REQUESTS_MAX);
    let mut requests = Some(requests);
    let mut engine = tokio::spawn(connect(settings, ClientSide { events, requests: wanted }));
    let ended = loop {
        tokio::select! {
            biased;
            Some(event) = arrivals.recv() => show(&event, json, out)?,
            ended = &mut engine => break ended,
            _ = interrupt.recv() => hang_up(&mut requests)?,
            _ = terminate.recv() => hang_up(&mut requests)?,
            _ = child.recv() => rekey(requests.as_ref(), ClientRequest::RekeyChild),
            _ = ike.recv() => rekey(requests.as_ref(), ClientRequest::RekeyIke),
        }
    };
    ended.map_err(|broken| CliError::Failed(format!("the client broke off: {broken}")))??;
    if json {
        return out.json_line(&Down { event: "down", requested: true, failure: None });
    }
    out.line("disconnected")
}

/// What `--as help` says.
pub(crate) fn list_profiles(out: &mut Output) -> Result<(), CliError> {
    for profile in Profile::ALL {
        let legacy =
            if profile.needs_legacy() { "; needs `legacy = true` at the server" } else { "" };
        out.line(&format!("{:<17} {}{legacy}", profile.name(), profile.about()))?;
    }
    Ok(())
}

/// Asks the engine to hang up; a second wish does not wait for it.
fn hang_up(requests: &mut Option<mpsc::Sender<ClientRequest>>) -> Result<(), CliError> {
    if requests.take().is_none() {
        return Err(CliError::Failed(String::from("stopped at once, without telling the server")));
    }
    Ok(())
}

/// Asks the engine for new keys, unless it hangs up already or has been asked too often to follow.
fn rekey(requests: Option<&mpsc::Sender<ClientRequest>>, which: ClientRequest) {
    if let Some(requests) = requests {
        let _superfluous = requests.try_send(which);
    }
}

fn show(event: &ClientEvent, json: bool, out: &mut Output) -> Result<(), CliError> {
    if json {
        return out.json_line(event);
    }
    match event {
        ClientEvent::Secured { suite, encapsulated } => {
            let how = if *encapsulated { "UDP" } else { "IP protocol 50" };
            remark(&format!("secured: {suite} in {how}"));
            Ok(())
        }
        ClientEvent::IkeRekeyed => {
            remark("the IKE SA was replaced");
            Ok(())
        }
        ClientEvent::Moved { server } => {
            remark(&format!("the server is now reached at {server}"));
            Ok(())
        }
        ClientEvent::Up(up) => show_up(up, out),
        ClientEvent::Ipv6(ipv6) => show_ipv6(ipv6, out),
        ClientEvent::Ipv6Down => {
            remark("the server took IPv6 back");
            Ok(())
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { String::from("none") } else { items.join(" ") }
}

fn show_ipv6(ipv6: &ClientIpv6, out: &mut Output) -> Result<(), CliError> {
    out.line(&format!("IPv6: {} in {}", ipv6.address, ipv6.prefix))?;
    out.line(&format!("  gateway  {}", ipv6.gateway))?;
    out.line(&format!("  dns      {}", list(&ipv6.dns)))?;
    out.line(&format!("  routes   {}", list(&ipv6.routes)))?;
    out.text("")
}

fn show_up(up: &ClientUp, out: &mut Output) -> Result<(), CliError> {
    out.line(&format!("connected: {} on {}, mtu {}", up.address, up.interface, up.mtu))?;
    out.line(&format!("  gateway  {}", up.gateway))?;
    out.line(&format!("  dns      {}", list(&up.dns)))?;
    out.line(&format!("  routes   {}", list(&up.routes)))?;
    out.text("")
}

fn settings(args: ConnectArgs) -> Result<ClientSettings, CliError> {
    let server = resolve(&args.dial.server, args.dial.server_ports.0)?;
    let plain = plain(&args)?;
    let certificate = certificate(&args)?;
    let keyless = plain.is_some() || certificate.is_some();
    let psk = if keyless { SecretBytes::default() } else { args.dial.psk()? };
    let password = password(&args)?;
    let (ike, esp) = (args.dial.ike(), args.dial.esp());
    let legacy =
        ike.iter().copied().any(IkeProposal::is_legacy) || esp.iter().any(|s| s.is_legacy());
    let routes = if args.default_route {
        ClientRoutes::Everything
    } else {
        ClientRoutes::These(args.routes)
    };
    Ok(ClientSettings {
        server,
        server_ports: args.dial.server_ports,
        source_ports: args.source_ports,
        plain,
        psk,
        certificate,
        group: args.group,
        user: args.user,
        password,
        ike,
        esp,
        legacy,
        auth: args.dial.auth,
        inner_netns: args.inner_netns,
        interface: args.interface,
        routes,
        mtu: args.dial.mtu,
        local_port: args.local_port,
        force_encap: args.force_encap,
        ike_lifetime: args.ike_lifetime,
        child_lifetime: args.child_lifetime,
        profile: args.profile,
    })
}

/// The first address of the server; IPv4 before IPv6, because that is what such servers have.
pub(super) fn resolve(server: &str, port: u16) -> Result<IpAddr, CliError> {
    if let Ok(address) = server.parse() {
        return Ok(address);
    }
    let found: Vec<IpAddr> = (server, port)
        .to_socket_addrs()
        .map_err(|error| {
            CliError::Failed(format!(
                "cannot find the server `{server}`: {error}; check the name, or give its address"
            ))
        })?
        .map(|address| address.ip())
        .collect();
    let best = found.iter().find(|address| address.is_ipv4()).or(found.first());
    best.copied().ok_or_else(|| CliError::Failed(format!("`{server}` has no address")))
}

/// The pre-shared key, from wherever it is given.
pub(super) fn read_psk(given: Option<&str>, file: Option<&Path>) -> Result<SecretBytes, CliError> {
    if let Some(psk) = given {
        return Ok(SecretBytes::copy_of(psk.as_bytes()));
    }
    if let Some(path) = file {
        return Ok(users::read_file(path, "Pre-shared key")?);
    }
    from_environment("ISTHMUS_PSK").ok_or_else(|| {
        CliError::Usage(String::from(
            "give the pre-shared key with --psk-file, --psk or ISTHMUS_PSK",
        ))
    })
}

/// How to do without IPsec, if that is wanted.
fn plain(args: &ConnectArgs) -> Result<Option<PlainL2tp>, CliError> {
    if !args.no_ipsec {
        return Ok(None);
    }
    remark(
        "warning: --no-ipsec sends everything in the clear, the login included; use it only on a \
         network of your own",
    );
    let read = |path: &PathBuf| users::read_file(path, "Tunnel secret");
    Ok(Some(PlainL2tp { secret: args.tunnel_secret_file.as_ref().map(read).transpose()? }))
}

/// Our certificate, its key, whom to believe, and the name that the server must have.
fn certificate(args: &ConnectArgs) -> Result<Option<(Certificates, Identity)>, CliError> {
    let (Some(cert), Some(key), Some(ca)) = (&args.cert, &args.key, &args.ca) else {
        return Ok(None);
    };
    let read = |path: &PathBuf| {
        std::fs::read(path)
            .map_err(|error| CliError::Failed(format!("cannot read `{}`: {error}", path.display())))
    };
    let unusable = |path: &PathBuf, why: &str| {
        CliError::Failed(format!("`{}` cannot be used: {why}", path.display()))
    };
    let key_der = SecretBytes::new(pem::private_key(&read(key)?).unwrap_or_default());
    let own = Own::new(pem::certificates(&read(cert)?), key_der.expose())
        .map_err(|error| unusable(cert, &error.to_string()))?;
    let authorities: Vec<_> = (0..).zip(pem::certificates(&read(ca)?)).collect();
    if authorities.is_empty() {
        return Err(unusable(ca, "there is no certificate in it"));
    }
    let usages = vec![Usage::IpsecIke, Usage::ServerAuth];
    let policy = Policy { usages, ..Policy::default() };
    let trust = Authorities::new(&authorities, &[], policy)
        .map_err(|_| unusable(ca, "a certificate in it cannot be read"))?;
    let Own { signer, chain, subject } = own;
    let own = vec![OwnCertificate { signer, chain, subject }];
    let own = Certificates { own, trust: Arc::new(trust), serves: false };
    let server = args.server_name.as_ref().unwrap_or(&args.dial.server);
    Ok(Some((own, Identity::parse(server))))
}

fn password(args: &ConnectArgs) -> Result<SecretBytes, CliError> {
    if let Some(path) = &args.password_file {
        return Ok(users::read_file(path, "Password")?);
    }
    match from_environment("ISTHMUS_PASSWORD") {
        Some(password) => Ok(password),
        None => Ok(users::prompt(&format!("Password of {}", args.user), false)?),
    }
}

pub(super) fn from_environment(name: &str) -> Option<SecretBytes> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(SecretBytes::new(value.into_bytes()))
}

pub(super) fn enter_netns(name: &str) -> Result<(), CliError> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;

    let path = format!("/run/netns/{name}");
    let failed = |error: &dyn std::fmt::Display| {
        CliError::Failed(format!(
            "cannot enter the network namespace `{name}`: {error}; make it with `ip netns add {name}`, \
             and run this as root"
        ))
    };
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| failed(&error))
}

/// Most events waiting to be printed.
const EVENTS_MAX: usize = 16;
/// Most requests on their way to the engine; further rekeys would replace SAs that are still new.
const REQUESTS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rekeys_beyond_the_bound_are_left_out_and_hanging_up_comes_behind_them() {
        let (requests, mut wanted) = mpsc::channel(REQUESTS_MAX);
        let mut requests = Some(requests);
        for _ in 0..=REQUESTS_MAX {
            rekey(requests.as_ref(), ClientRequest::RekeyChild);
        }
        hang_up(&mut requests).unwrap();
        rekey(requests.as_ref(), ClientRequest::RekeyIke);
        for _ in 0..REQUESTS_MAX {
            assert_eq!(wanted.try_recv(), Ok(ClientRequest::RekeyChild));
        }
        assert_eq!(wanted.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert!(hang_up(&mut requests).is_err(), "a second wish does not wait");
    }
}
