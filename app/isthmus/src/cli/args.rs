//! Every command and option, with the help a person reads.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::{IpNet, Ipv4Net};
use isthmus_client::Profile;
use isthmus_crypto::EspSuite;
use isthmus_policy::Protocol;

use super::bench_args::BenchArgs;
use super::dial_args::DialArgs;
use crate::config::value::{parse_duration, show_duration};
use crate::config::{AuthProtocol, DEFAULT_PATH, parse_end};
use crate::profile::System;

/// L2TP/IPsec gateway for every cloud: one daemon, and the client your systems already have.
#[derive(Debug, Parser)]
#[command(
    name = "isthmus",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Begin with `isthmus quickstart`.\n\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the gateway is not running, 4 `explain` knows\n\
        nothing of whom it was asked about."
)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Quickstart(QuickstartArgs),
    Profile(ProfileArgs),
    Check(CheckArgs),
    Plan(PlanArgs),
    Show(ShowArgs),
    Trace(TraceArgs),
    Run(RunArgs),
    /// Show the running gateway: tenants, pools, sessions, drops, and why clients failed to connect.
    #[command(after_help = "Examples:\n  \
        isthmus status\n  \
        isthmus status --json | jq '.failures'\n  \
        isthmus status --socket /run/isthmus/control.sock")]
    Status(AskArgs),
    Explain(ExplainArgs),
    Sessions(SessionsArgs),
    Reload(ReloadArgs),
    User(UserArgs),
    Client(ClientArgs),
    Bench(BenchArgs),
    Version(VersionArgs),
}

/// Write a configuration that works, and say how to connect.
///
/// Makes a pre-shared key, a user with a password, and files that only their owner can read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus quickstart\n  \
        isthmus quickstart --user jo --address 203.0.113.10\n  \
        isthmus quickstart --dir ./lab --pool 10.99.0.0/24")]
pub(crate) struct QuickstartArgs {
    /// Where to write
    #[arg(long, default_value = "/etc/isthmus")]
    pub(crate) dir: PathBuf,
    /// The first user
    #[arg(long, default_value = "alice")]
    pub(crate) user: String,
    /// The address clients dial; found out when absent
    #[arg(long)]
    pub(crate) address: Option<IpAddr>,
    /// Addresses to give to clients
    #[arg(long, default_value = "10.64.0.0/24")]
    pub(crate) pool: Ipv4Net,
    /// Also allow the weak algorithms of Android up to 11 and old routers
    #[arg(long)]
    pub(crate) legacy: bool,
    /// Replace files that are there; all clients then need the new key
    #[arg(long)]
    pub(crate) force: bool,
}

/// Check a configuration and name every mistake with its line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus check\n  \
        isthmus check --config ./isthmus.toml --json")]
pub(crate) struct CheckArgs {
    /// The configuration file; `conf.d/*.toml` next to it is read too
    #[arg(long, short, default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Follow a packet of a user through the gateway: session, tenant, class, policy, route, translation, MTU.
///
/// The configuration says what is meant, and the kernel of the tenant's namespace where it would send the
/// packet. With --send, a packet of that kind leaves the user's session, and what becomes of it is told too.
/// Needs root.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus trace alice 10.1.2.3:443\n  \
        isthmus trace alice 10.1.2.3:443 --send\n  \
        isthmus trace alice 10.1.2.3 --send --wait 5 --json | jq '.sent'\n  \
        isthmus trace 10.64.0.9 [2001:db8::1]:53 --protocol udp\n  \
        isthmus trace alice 192.0.2.1 --json | jq -r '.steps[] | select(.by == \"policy\").what'\n\n\
    With --send it exits with 0 when the packet did what the trace says and was answered, with 5\n\
    when it did and was not answered (or a closed port was), and with 6 when it did something else.")]
pub(crate) struct TraceArgs {
    /// A user's name, or the address that the packet comes from
    pub(crate) from: String,
    /// Where it goes to: an address, with or without port
    #[arg(value_parser = parse_end)]
    pub(crate) to: (IpAddr, Option<u16>),
    /// Its protocol [default: tcp with a port, icmp without]
    #[arg(long)]
    pub(crate) protocol: Option<Protocol>,
    /// The tenant, where several have such a user or address
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Send such a packet out of the user's session, and see what becomes of it: an echo request, a TCP SYN or a UDP datagram
    #[arg(long)]
    pub(crate) send: bool,
    /// With --send, how many seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 2, requires = "send",
          value_parser = clap::value_parser!(u64).range(1..=WAIT_SECONDS_MAX))]
    pub(crate) wait: u64,
    /// The configuration file; `conf.d/*.toml` next to it is read too
    #[arg(long, short, default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    /// The control socket of the running gateway [default: that of the configuration]
    #[arg(long)]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what is in force in the kernel: routes, rules, translations or what users may reach.
///
/// Read in the namespaces of the tenants, beside what the configuration asks for: each line says what it is
/// for, and whether it is as wanted, missing, altered, unwanted (ours, and asked for no more) or foreign
/// (somebody else's). Needs root, and the gateway to run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus show routes\n  \
        isthmus show policy --tenant acme\n  \
        isthmus show nat --json | jq '.nat[] | select(.state != \"as_wanted\")'\n\n\
        Exit codes: 0 shown, 1 failed, 2 wrong usage, 3 the gateway is not running.")]
pub(crate) struct ShowArgs {
    /// What to show
    #[arg(value_enum)]
    pub(crate) what: ShowWhat,
    /// Only what is of this tenant, or of nobody where its device is
    #[arg(long, short)]
    pub(crate) tenant: Option<String>,
    /// The configuration file; `conf.d/*.toml` next to it is read too
    #[arg(long, short, default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    /// The control socket of the running gateway [default: that of the configuration]
    #[arg(long)]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `show` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowWhat {
    /// Translations of addresses, in the order in which they are tried
    Nat,
    /// Which users reach what, in the order in which it is decided, with packets counted
    Policy,
    /// Routes in the main table and in those of tenants
    Routes,
    /// Rules that choose routing tables, in the order in which they are asked
    Rules,
}

/// Show what the gateway would change in the kernel, and change nothing.
///
/// Devices, addresses, routes, rules, kernel parameters, and the packet filter and address translation entry by
/// entry, each with what asks for it. Beside a running gateway it shows what a reload, or a repair, would do. Needs root.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus plan\n  \
        isthmus plan --config ./isthmus.toml --json | jq '.steps[] | select(.action == \"remove\")'")]
pub(crate) struct PlanArgs {
    /// The configuration file; `conf.d/*.toml` next to it is read too
    #[arg(long, short, default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    /// The control socket of the running gateway [default: that of the configuration]
    #[arg(long)]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Run the gateway in the foreground.
///
/// SIGTERM and SIGINT end it and tell every client; SIGHUP reads the configuration again. Logs go to
/// standard error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus run\n  \
        isthmus run --config ./isthmus.toml\n  \
        ISTHMUS_LOG=info,isthmus_ike=debug isthmus run")]
pub(crate) struct RunArgs {
    /// The configuration file; `conf.d/*.toml` next to it is read too
    #[arg(long, short, default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
}

/// Make the running gateway read its configuration again.
///
/// Says what is new, table by table, and what becomes of sessions. A file with mistakes changes nothing.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus reload --dry-run\n  \
        isthmus check && isthmus reload")]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which gateway is asked, and how the answer is printed.
#[derive(Clone, Debug, Args)]
pub(crate) struct AskArgs {
    /// The configuration of the gateway to ask [default: /etc/isthmus/isthmus.toml]
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
    /// The control socket of the gateway to ask; has precedence over --config
    #[arg(long)]
    pub(crate) socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write what a client's system needs to connect.
///
/// A script for Windows (PowerShell) and RouterOS, a profile for Apple (.mobileconfig), a keyfile for
/// NetworkManager, an ONC file for ChromeOS, instructions for Android. It holds the pre-shared key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus profile --for windows jo --output jo.ps1\n  \
        isthmus profile --for apple jo --server vpn.example.org --output jo.mobileconfig\n  \
        isthmus profile --for linux jo --include-password --output isthmus.nmconnection\n  \
        isthmus profile --for android jo --tenant acme")]
pub(crate) struct ProfileArgs {
    /// The user who connects
    pub(crate) user: String,
    /// The client's system
    #[arg(long = "for", value_name = "SYSTEM", value_enum)]
    pub(crate) system: System,
    /// What clients dial [default: `public_address` of the gateway]
    #[arg(long)]
    pub(crate) server: Option<String>,
    /// What the connection is called [default: Isthmus and the tenant's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The tenant, when several have a user of that name
    #[arg(long, short)]
    pub(crate) tenant: Option<String>,
    /// The group of the tenant whose key is meant; Apple and Android only
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Put the user's password in as well, where it is stored
    #[arg(long)]
    pub(crate) include_password: bool,
    /// Write to a new file that only its owner can read, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The configuration with the pre-shared key, the users and the routes
    #[arg(long, short, default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
}

/// Explain why somebody cannot connect, or how somebody is connected.
///
/// Shows for each attempt that failed how far it came, the cause and what to do about it. Attempts that
/// fail before login carry no user name: ask about the address then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus explain                      # everybody\n  \
        isthmus explain jo\n  \
        isthmus explain 198.51.100.7 --since 1h\n  \
        isthmus explain jo --json | jq -r '.failures[].remedy'\n\n\
        Exit codes: 0 something is known, 1 failed, 2 wrong usage, 3 the gateway is not running,\n\
        4 nothing is known of this user or address.")]
pub(crate) struct ExplainArgs {
    /// A user name, or the address a client comes from or was given; everybody when absent
    #[arg(value_name = "USER|ADDRESS")]
    pub(crate) who: Option<String>,
    /// Only attempts within this time, such as 10m or 24h
    #[arg(long, value_name = "DURATION", value_parser = any_duration)]
    pub(crate) since: Option<Duration>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// Show who is connected, or end a session.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus sessions\n  \
        isthmus sessions --watch\n  \
        isthmus sessions --json | jq '.[].user'\n  \
        isthmus sessions --disconnect 1048577")]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Show again every two seconds
    #[arg(long, conflicts_with_all = ["json", "disconnect"])]
    pub(crate) watch: bool,
    /// End the session with this id
    #[arg(long, value_name = "ID")]
    pub(crate) disconnect: Option<u32>,
}

/// Add, list, remove and test users.
#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    Add(UserAddArgs),
    List(UserListArgs),
    Remove(UserRemoveArgs),
    Test(UserTestArgs),
}

/// Which users file.
#[derive(Clone, Debug, Args)]
pub(crate) struct UsersFileArgs {
    /// The users file; by default that of the tenant
    #[arg(long, short, conflicts_with_all = ["config", "tenant"])]
    pub(crate) file: Option<PathBuf>,
    /// The configuration that names the users file
    #[arg(long, short, default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    /// The tenant, when there are several
    #[arg(long, short)]
    pub(crate) tenant: Option<String>,
}

/// Add a user; a running gateway notices within seconds.
///
/// The password is asked for without being shown, or read from a file or a pipe.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus user add jo\n  \
        isthmus user add jo --nt-hash --address 10.64.0.9\n  \
        pwgen -s 20 1 | tee jo.password | isthmus user add jo\n  \
        isthmus user add jo --replace --password-file jo.password")]
pub(crate) struct UserAddArgs {
    /// The name the user logs in with
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) users: UsersFileArgs,
    /// Read the password from the first line of a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Store only the NT hash, which serves MS-CHAPv2 and PAP
    #[arg(long)]
    pub(crate) nt_hash: bool,
    /// The address this user always gets
    #[arg(long)]
    pub(crate) address: Option<Ipv4Addr>,
    /// A group, for your own order
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Give an existing user a new password
    #[arg(long)]
    pub(crate) replace: bool,
}

/// List users; passwords are never shown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus user list\n  \
        isthmus user list --tenant acme --json")]
pub(crate) struct UserListArgs {
    #[command(flatten)]
    pub(crate) users: UsersFileArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove a user; sessions that are up go on until they end.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  isthmus user remove jo")]
pub(crate) struct UserRemoveArgs {
    /// The user
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) users: UsersFileArgs,
}

/// Check a password against the file, without any network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus user test jo\n  \
        isthmus user test jo --password-file jo.password --json")]
pub(crate) struct UserTestArgs {
    /// The user
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) users: UsersFileArgs,
    /// Read the password from the first line of a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Connect this machine to an L2TP/IPsec server.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    #[command(subcommand)]
    pub(crate) command: ClientCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    Connect(Box<ConnectArgs>),
}

/// Connect and stay connected until SIGINT or SIGTERM.
///
/// Prints the address and routes when the tunnel is up. Works with any L2TP/IPsec server that uses a
/// pre-shared key and IKEv1. Needs root, or the capability `NET_ADMIN`, for the tunnel device. SIGUSR1
/// replaces the ESP SAs at once, SIGUSR2 the IKE SA.
#[derive(Debug, Args)]
#[command(
    after_help = "The pre-shared key and the password may also come from the environment: ISTHMUS_PSK,\n\
        ISTHMUS_PASSWORD. What is given as an argument can be read by everybody on this machine.\n\n\
        Examples:\n  \
        isthmus client connect --server vpn.example.org --psk-file psk --user jo --password-file pw\n  \
        isthmus client connect --server 203.0.113.10 --psk-file psk --user jo --password-file - \\\n      \
        --default-route\n  \
        isthmus client connect --server 203.0.113.10 --psk-file psk --user jo --password-file pw \\\n      \
        --inner-netns office --routes 10.0.0.0/8 --json"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    pub(crate) dial: DialArgs,
    /// Our certificate and those that lead to its authority, PEM; used instead of a pre-shared key
    #[arg(long, value_name = "FILE", requires_all = ["key", "ca"], conflicts_with_all = ["psk", "psk_file", "group"])]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of the certificate, PEM, not encrypted
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Authorities of which one must have certified the server, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) ca: Option<PathBuf>,
    /// The name or address that the server's certificate must bear [default: that of --server]
    #[arg(long, value_name = "NAME", requires = "cert")]
    pub(crate) server_name: Option<String>,
    /// The group that the pre-shared key is for: IKE aggressive mode, with this as key id
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Speak plain L2TP as a wholesale LAC does: nothing is encrypted, and only servers that trust us answer
    #[arg(long, conflicts_with_all = ["psk", "psk_file", "group"])]
    pub(crate) no_ipsec: bool,
    /// A file whose first line is the tunnel secret of `--no-ipsec`
    #[arg(long, value_name = "FILE", requires = "no_ipsec")]
    pub(crate) tunnel_secret_file: Option<PathBuf>,
    /// The user name
    #[arg(long, short)]
    pub(crate) user: String,
    /// A file whose first line is the password; `-` is standard input; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Run in this network namespace, sockets and tunnel
    #[arg(long, value_name = "NAME")]
    pub(crate) netns: Option<String>,
    /// Put only the tunnel device into this network namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) inner_netns: Option<String>,
    /// Name of the tunnel device
    #[arg(long, default_value = "isthmus0")]
    pub(crate) interface: String,
    /// Networks to send through the tunnel, besides those the server names; without any, everything
    #[arg(long, value_delimiter = ',', value_name = "NETWORK", conflicts_with = "default_route")]
    pub(crate) routes: Vec<IpNet>,
    /// Send everything through the tunnel, whatever the server names
    #[arg(long)]
    pub(crate) default_route: bool,
    /// Our UDP port for L2TP, inside IPsec or without it
    #[arg(long, default_value_t = 1701, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) local_port: u16,
    /// Our UDP ports for IKE and for NAT traversal; 0 is any free one
    #[arg(long, default_value = "0,0", value_name = "IKE,NATT", value_parser = ports)]
    pub(crate) source_ports: (u16, u16),
    /// Put ESP into UDP even where no NAT is seen
    #[arg(long)]
    pub(crate) force_encap: bool,
    /// Replace the IKE SA before it is this old, 1m to 7d
    #[arg(long, default_value = "8h", value_name = "DURATION", value_parser = ike_lifetime)]
    pub(crate) ike_lifetime: Duration,
    /// Replace the ESP SAs before they are this old, 30s to 2d
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = child_lifetime)]
    pub(crate) child_lifetime: Duration,
    /// Speak as this client does, to test a server; `help` lists them
    #[arg(
        long = "as",
        value_name = "CLIENT",
        value_parser = profiles(),
        hide_possible_values = true,
        conflicts_with_all = ["ike", "esp", "mtu", "local_port", "ike_lifetime", "child_lifetime"],
    )]
    pub(crate) profile: Option<Profile>,
    /// Print one line of JSON per event
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show the version.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct VersionArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The names of the clients that we can speak as.
pub(crate) fn profiles() -> impl TypedValueParser<Value = Profile> {
    let values = Profile::ALL.map(|profile| PossibleValue::new(profile.name()));
    PossibleValuesParser::new(values)
        .try_map(|name| Profile::from_name(&name).ok_or("no client that we can speak as"))
}

pub(crate) fn esp_suite(written: &str) -> Result<EspSuite, String> {
    EspSuite::from_name(written).ok_or_else(|| {
        let known: Vec<_> = EspSuite::ALL.iter().map(|suite| suite.name()).collect();
        format!("not an ESP suite; known: {}", known.join(", "))
    })
}

pub(crate) fn auth_protocol(written: &str) -> Result<AuthProtocol, String> {
    let found = AuthProtocol::NAMES.iter().find(|(name, _)| *name == written);
    found.map(|(_, protocol)| *protocol).ok_or_else(|| String::from("known: mschapv2, chap, pap"))
}

pub(crate) fn any_duration(written: &str) -> Result<Duration, String> {
    parse_duration(written)
        .ok_or_else(|| String::from("write a number and a unit, like 10m or 24h"))
}

fn ike_lifetime(written: &str) -> Result<Duration, String> {
    lifetime(written, Duration::from_mins(1)..=Duration::from_hours(7 * 24))
}

fn child_lifetime(written: &str) -> Result<Duration, String> {
    lifetime(written, Duration::from_secs(30)..=Duration::from_hours(48))
}

fn lifetime(written: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let value = parse_duration(written).ok_or("write a number and a unit, like 30s or 8h")?;
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
    Err(format!("write {least} to {most}"))
}

pub(crate) fn ports(written: &str) -> Result<(u16, u16), String> {
    let parse = |text: &str| text.trim().parse::<u16>().map_err(|error| error.to_string());
    let (ike, nat_t) = written.split_once(',').ok_or("write two ports, like 500,4500")?;
    Ok((parse(ike)?, parse(nat_t)?))
}

/// Longest `trace --send --wait`, in seconds: no answer comes later.
const WAIT_SECONDS_MAX: u64 = 60;
