//! Arguments of `isthmus bench`.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use ipnet::Ipv4Net;
use isthmus_client::Profile;
use isthmus_load::{IMIX, PROBE_BYTES_MIN};

use super::args::{any_duration, profiles};
use super::dial_args::DialArgs;

/// Load an L2TP/IPsec server with many clients and measure how it bears it.
///
/// Any server that uses a pre-shared key and IKEv1 will do. No root is needed but for `carry`. Load only servers that are yours, or whose owners know of it.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    Connect(Box<BenchConnectArgs>),
    Hold(Box<BenchHoldArgs>),
    Traffic(Box<BenchTrafficArgs>),
    Storm(Box<BenchStormArgs>),
    Carry(Box<BenchCarryArgs>),
    Reflect(BenchReflectArgs),
}

/// Log in many times: the rate, how long each step takes, and why some fail.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus bench connect --server 10.0.0.1 --psk-file psk --user load --password-file pw\n  \
        isthmus bench connect --server 10.0.0.1 --psk-file psk --user 'load{}' --password-file pw \\\n      \
        --clients 5000 --rate 500 --parallel 200 --churn --json > connect.json\n  \
        isthmus bench connect --server 10.0.0.1 --psk-file psk --user load --password-file pw \\\n      \
        --ike aes256-sha256-ecp256 --gateway-pid $(pidof -s isthmus) --plot connect.svg")]
pub(crate) struct BenchConnectArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Each client hangs up as soon as it is up, instead of staying until the end
    #[arg(long)]
    pub(crate) churn: bool,
}

/// Log in and stay: how many are lost, and what memory and processor time each session takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus bench hold --server 10.0.0.1 --psk-file psk --user load --password-file pw \\\n      \
        --clients 10000 --rate 200 --duration 10m --gateway-pid $(pidof -s isthmus)")]
pub(crate) struct BenchHoldArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// How long to hold the sessions once all are up
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = any_duration)]
    pub(crate) duration: Duration,
}

/// Send packets through the sessions: throughput, loss, and how long packets take.
///
/// Packets are UDP over IPv4 from the address that the server gave to each session. They go to
/// `isthmus bench reflect` on a host behind the server and back, or from each session to the next.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus bench reflect --listen 10.0.0.80:7007                 # on a host behind the server\n  \
        isthmus bench traffic --server 10.0.0.1 --psk-file psk --user load --password-file pw \\\n      \
        --reflector 10.0.0.80:7007 --clients 100 --pps 20000 --size imix --duration 30s\n  \
        isthmus bench traffic --server 10.0.0.1 --psk-file psk --user load --password-file pw \\\n      \
        --between --clients 50 --window 16 --size 1400 --plot traffic.svg")]
pub(crate) struct BenchTrafficArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Send to a reflector at this address behind the server
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present = "between")]
    pub(crate) reflector: Option<SocketAddrV4>,
    /// Send from each session to the next, through the server and back
    #[arg(long, conflicts_with = "reflector")]
    pub(crate) between: bool,
    /// Packets to send in a second, all sessions together [default: 1000]
    #[arg(long, value_name = "NUMBER", value_parser = rate, group = "offer")]
    pub(crate) pps: Option<f64>,
    /// Millions of bits of IP to send in a second, all sessions together
    #[arg(long, value_name = "NUMBER", value_parser = rate, group = "offer")]
    pub(crate) mbit: Option<f64>,
    /// Send as fast as possible, with at most so many packets of each session on their way
    #[arg(
        long,
        value_name = "PACKETS",
        value_parser = clap::value_parser!(u32).range(1..=65_536),
        group = "offer"
    )]
    pub(crate) window: Option<u32>,
    /// Length of the IP packets in bytes; `imix` is 64, 570 and 1400 in the ratio 7:4:1. Longer ones
    /// than a session takes are cut to what it takes
    #[arg(long, default_value = "imix", value_name = "BYTES|imix", value_parser = sizes)]
    pub(crate) size: PacketSizes,
    /// How long to send
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = any_duration)]
    pub(crate) duration: Duration,
}

/// Have all clients dial at once, and again when they fail: how long until all are up, and who never is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus bench storm --server 10.0.0.1 --psk-file psk --user load --password-file pw \\\n      \
        --clients 1000\n  \
        isthmus bench storm --server 10.0.0.1 --psk-file psk --user 'load{}' --password-file pw \\\n      \
        --clients 10000 --outage --rate 300 --patience 2m --plot storm.svg")]
pub(crate) struct BenchStormArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Connect all at --rate first, and cut them off without a word, as an outage does
    #[arg(long)]
    pub(crate) outage: bool,
    /// How long to wait until all are up
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = any_duration)]
    pub(crate) patience: Duration,
    /// A client that failed tries again after a random part of this
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = any_duration)]
    pub(crate) retry: Duration,
    /// How often a client tries
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) tries: u32,
}

/// Log in, and carry what this machine's programs send: any of them is the load.
///
/// All sessions share one tunnel device, which has the addresses of all of them; a program chooses its
/// session by the address it sends from. Needs root.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus bench carry --server 10.0.0.1 --psk-file psk --user load --password-file pw \\\n      \
        --clients 64 --interface load0 --route 10.8.0.0/16 --duration 10m\n  \
        ip -4 -o address show dev load0                 # the addresses of the sessions\n  \
        iperf3 --client 10.8.0.5 --bind 10.64.0.7       # through one of them")]
pub(crate) struct BenchCarryArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// The tunnel device to make
    #[arg(long, default_value = "bench0", value_name = "NAME")]
    pub(crate) interface: String,
    /// A network behind the server that is reached through the device; may be given several times
    #[arg(long = "route", value_name = "NETWORK", required = true)]
    pub(crate) routes: Vec<Ipv4Net>,
    /// How long to carry packets once all sessions are up
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = any_duration)]
    pub(crate) duration: Duration,
}

/// Send packets of `bench traffic` back to where they came from; run it on a host behind the server.
///
/// Answers nothing but these packets, with as many bytes as came, until SIGINT or SIGTERM.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        isthmus bench reflect --listen 10.0.0.80:7007")]
pub(crate) struct BenchReflectArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Run in this network namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) netns: Option<String>,
    /// Print JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// What every load has.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) dial: DialArgs,
    /// The server has a public address; its owner knows of this load
    #[arg(long)]
    pub(crate) public_target: bool,
    /// The user; `{}` in it becomes the number of the client
    #[arg(long, short)]
    pub(crate) user: String,
    /// The number of the first client
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub(crate) first: u32,
    /// A file whose first line is everybody's password; `-` is standard input [default: `ISTHMUS_PASSWORD`
    /// of the environment]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// `{}` in the password becomes the number, too
    #[arg(long)]
    pub(crate) numbered_passwords: bool,
    /// How many clients there are
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) clients: u32,
    /// Logins to begin in a second
    #[arg(long, default_value = "20", value_name = "NUMBER", value_parser = rate)]
    pub(crate) rate: f64,
    /// Most logins under way
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) parallel: u32,
    /// Our address; may be given several times, since each has about 28,000 ports
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Vec<IpAddr>,
    /// Threads of clients [default: half of the processors]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// All clients speak as this one does; `help` lists them
    #[arg(
        long = "as",
        value_name = "CLIENT",
        value_parser = profiles(),
        hide_possible_values = true,
        conflicts_with_all = ["ike", "esp", "mtu"],
    )]
    pub(crate) profile: Option<Profile>,
    /// The server's process on this machine: its memory and processor time are measured
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) gateway_pid: Option<i32>,
    /// At the end nobody hangs up
    #[arg(long)]
    pub(crate) vanish: bool,
    /// Run in this network namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) netns: Option<String>,
    /// Draw what was measured into this file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    /// Say nothing on the way
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Lengths of packets, in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PacketSizes(pub(crate) Vec<u16>);

fn sizes(written: &str) -> Result<PacketSizes, String> {
    if written.eq_ignore_ascii_case("imix") {
        return Ok(PacketSizes(IMIX.to_vec()));
    }
    let wrong = || format!("write `imix`, or {PROBE_BYTES_MIN} to 1500 bytes");
    let size: u16 = written.parse().map_err(|_| wrong())?;
    if (PROBE_BYTES_MIN..=1500).contains(&size) {
        return Ok(PacketSizes(vec![size]));
    }
    Err(wrong())
}

fn rate(written: &str) -> Result<f64, String> {
    let rate: f64 = written.parse().map_err(|_| String::from("write a number"))?;
    if (RATE_MIN..=RATE_MAX).contains(&rate) {
        return Ok(rate);
    }
    Err(format!("write {RATE_MIN} to {RATE_MAX}"))
}

const RATE_MIN: f64 = 0.01;
const RATE_MAX: f64 = 10_000_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_a_length_or_the_mix() {
        assert_eq!(sizes("IMIX").unwrap().0.len(), 12);
        assert_eq!(sizes("64"), Ok(PacketSizes(vec![64])));
        for wrong in ["59", "1501", "", "64,64", "-1"] {
            assert!(sizes(wrong).unwrap_err().contains("60 to 1500"), "{wrong}");
        }
    }

    #[test]
    fn rates_are_positive_and_finite() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "inf", "nan", "fast", "1e9"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
