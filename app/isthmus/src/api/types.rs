//! What travels over the control API, as JSON.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_findings::Finding;
use serde::{Deserialize, Serialize};

use crate::config::Changes;
use crate::report::ProblemView;

/// Names one session for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u32);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The state of the gateway at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `[gateway] name`.
    pub name: String,
    /// Of the running program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// What clients dial, when that is not an address of the machine.
    pub public_address: Option<IpAddr>,
    /// Addresses and IKE port it listens on.
    pub listen: Vec<SocketAddr>,
    /// Peers with an IPsec SA.
    pub peers: u64,
    /// Sessions in which packets flow.
    pub sessions: u64,
    /// Sessions that are logging in.
    pub sessions_starting: u64,
    /// Sessions that came up since the start.
    pub sessions_total: u64,
    /// In the order of the configuration.
    pub tenants: Vec<TenantStatus>,
    /// LACs trusted without IPsec, in the order of the configuration.
    #[serde(default)]
    pub lacs: Vec<LacStatus>,
    /// How packets cross into the kernel and out of it.
    #[serde(default)]
    pub data_path: DataPath,
    /// What cannot work on this machine, the worst first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What was thrown away since the start; zeros are left out.
    pub drops: Vec<DropCount>,
    /// Failed attempts to connect since the start.
    pub failures_total: u64,
    /// The last few of them, newest first.
    pub failures: Vec<Failure>,
}

/// How packets cross into the kernel and out of it: in runs where it can cut and join them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPath {
    /// What encrypts, like `libipsec-mb 1.3.0 (AVX2), aws-lc`.
    pub engine: String,
    /// Threads that work on packets.
    pub workers: u64,
    /// Packets that came to one of them and were for another.
    pub led: u64,
    /// Datagrams that one message may carry; 1 where the kernel does not cut them.
    pub udp_segments_max: u64,
    /// The tenants' devices.
    pub devices: Vec<DeviceStatus>,
}

/// One TUN device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its name.
    pub interface: String,
    /// Whether runs of packets are read from it.
    pub reads_runs: bool,
    /// Whether runs of packets are written to it.
    pub writes_runs: bool,
    /// Whether that holds for UDP as well as for TCP (Linux 6.2).
    pub udp_runs: bool,
    /// Packets read.
    pub read: u64,
    /// Packets written.
    pub written: u64,
    /// Those written in runs.
    pub written_in_runs: u64,
}

/// One LAC that is trusted without IPsec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LacStatus {
    /// Its name.
    pub name: String,
    /// Whose users it brings.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Where it speaks from now.
    pub from: Vec<SocketAddr>,
    /// Its tunnels.
    pub tunnels: u64,
    /// Its sessions, starting ones included.
    pub sessions: u64,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStatus {
    /// Its name.
    pub name: String,
    /// Its number while the gateway runs, by which its routing tables are numbered.
    #[serde(default)]
    pub number: Option<u16>,
    /// Its TUN device.
    pub interface: String,
    /// The namespace of that; none for the gateway's own.
    pub netns: Option<String>,
    /// Addresses to give out.
    pub pool: Vec<Ipv4Net>,
    /// How many there are.
    pub pool_size: u64,
    /// How many are given out.
    pub pool_used: u64,
    /// IPv6 networks that sessions get a /64 of.
    pub pool6: Vec<Ipv6Net>,
    /// How many /64 are given out.
    pub pool6_used: u64,
    /// How many users it knows.
    pub users: u64,
    /// How many sessions it has.
    pub sessions: u64,
    /// How often its limits and those of its groups and users have held since the start.
    #[serde(default)]
    pub limits: LimitCounts,
    /// Its ways out, in the order of the configuration.
    #[serde(default)]
    pub egress: Vec<EgressStatus>,
}

/// How often limits have held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitCounts {
    /// Logins refused because the tenant had all its sessions.
    pub refused_sessions: u64,
    /// Logins refused because the group had all its sessions.
    pub refused_group_sessions: u64,
    /// Logins refused because the user had all his sessions.
    pub refused_user_sessions: u64,
    /// Sessions ended for another one of the same user.
    pub ended_replaced: u64,
    /// Sessions ended by `session_timeout`.
    pub ended_session_timeout: u64,
    /// Sessions ended by `idle_timeout`.
    pub ended_idle_timeout: u64,
    /// Sessions ended by `quota`.
    pub ended_quota: u64,
}

/// A way out of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressStatus {
    /// Its name.
    pub name: String,
    /// Whether packets may take it.
    pub up: bool,
    /// Why it is as it is; nothing where neither a link nor a probe is looked at.
    pub reason: Option<String>,
}

/// How often something was thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCount {
    /// The part that did it: `ike`, `esp`, `l2tp`, `ppp`, `plane`, `io`.
    pub layer: String,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// For `disconnect`.
    pub id: SessionId,
    /// None before login.
    pub user: Option<String>,
    /// The tenant.
    pub tenant: String,
    /// The user's group; none before login.
    #[serde(default)]
    pub group: Option<String>,
    /// The address given; none before login.
    pub address: Option<Ipv4Addr>,
    /// The IPv6 network given; none without IPv6.
    pub prefix6: Option<Ipv6Net>,
    /// The device it has to itself; none while it shares its tenant's.
    #[serde(default)]
    pub device: Option<String>,
    /// Whether packets flow.
    pub up: bool,
    /// Seconds since the call began.
    pub age_seconds: u64,
    /// Seconds until it has lasted as long as it may; none without `session_timeout`.
    #[serde(default)]
    pub ends_in_seconds: Option<u64>,
    /// Seconds of silence after which it ends; none without `idle_timeout`.
    #[serde(default)]
    pub idle_timeout_seconds: Option<u64>,
    /// Bytes that it may carry; none without `quota`.
    #[serde(default)]
    pub quota_bytes: Option<u64>,
    /// Bytes that it has carried of them; none without `quota`.
    #[serde(default)]
    pub quota_used_bytes: Option<u64>,
    /// Bits per second that pass from the client; none without `rate_up`.
    #[serde(default)]
    pub rate_up_bits: Option<u64>,
    /// Bits per second that pass to the client; none without `rate_down`.
    #[serde(default)]
    pub rate_down_bits: Option<u64>,
    /// Bytes that pass at once beyond `rate_up`; none without it.
    #[serde(default)]
    pub burst_up_bytes: Option<u64>,
    /// Bytes that pass at once beyond `rate_down`; none without it.
    #[serde(default)]
    pub burst_down_bytes: Option<u64>,
    /// Where the client is.
    pub from: SocketAddr,
    /// Whether ESP travels in UDP.
    pub encapsulated: bool,
    /// The ESP suite.
    pub suite: Option<String>,
    /// Who the peer says it is.
    pub identity: String,
    /// The client's host name as sent in L2TP.
    pub host: String,
    /// Bytes from the client.
    pub rx_bytes: u64,
    /// Packets from the client.
    pub rx_packets: u64,
    /// Bytes to the client.
    pub tx_bytes: u64,
    /// Packets to the client.
    pub tx_packets: u64,
    /// Packets dropped for any reason, either way.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Those from the client that were more than its rate.
    #[serde(default)]
    pub dropped_rate_up: u64,
    /// Those to the client that were more than its rate.
    #[serde(default)]
    pub dropped_rate_down: u64,
}

/// One failed attempt to connect, and those like it: the same cause from the same source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Seconds since the last of them.
    pub age_seconds: u64,
    /// Seconds since the first of them.
    pub first_age_seconds: u64,
    /// How many there were.
    pub count: u64,
    /// Where the client was.
    pub from: SocketAddr,
    /// Whether the client has shown that it receives what we send; else its address may be forged.
    pub proven: bool,
    /// The user, when the attempt came that far.
    pub user: Option<String>,
    /// The tenant, when the pre-shared key led to one.
    pub tenant: Option<String>,
    /// What the client probably is, such as `Windows 8 or later`; empty when nothing tells.
    pub client: String,
    /// Whether the client is behind a NAT.
    pub client_behind_nat: bool,
    /// Whether the gateway is behind a NAT.
    pub server_behind_nat: bool,
    /// How far it came, such as `ike_main_mode`.
    pub stage: String,
    /// Why it failed, such as `wrong_psk`.
    pub cause: String,
    /// Facts that help.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// What the last attempt had behind it, in order.
    pub steps: Vec<Step>,
}

/// Something that an attempt had behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, such as `proposal_agreed`.
    pub milestone: String,
    /// How long before the end it was reached, where that is known.
    pub ms_before_end: Option<u64>,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadOutcome {
    /// What changed.
    #[serde(flatten)]
    pub changes: Changes,
    /// Things to look at.
    pub warnings: Vec<ProblemView>,
}

/// The answer to a disconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnected {
    /// The session that was ended.
    pub session: SessionId,
}

/// A packet to send in the name of a session: `POST /v1/sessions/{id}/probe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// Where it comes from: an address of the session.
    pub source: IpAddr,
    /// Where it goes to: one host.
    pub destination: IpAddr,
    /// What it is.
    pub protocol: ProbeProtocol,
    /// Its destination port; none with ICMP.
    #[serde(default)]
    pub port: Option<u16>,
    /// What it is known by; random when absent.
    #[serde(default)]
    pub mark: Option<u32>,
}

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeProtocol {
    /// An echo request.
    Icmp,
    /// A SYN.
    Tcp,
    /// A datagram.
    Udp,
}

impl std::fmt::Display for ProbeProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSent {
    /// In whose name.
    pub session: SessionId,
    /// The packet, and the mark it has.
    pub probe: ProbeRequest,
    /// Its source port; none with ICMP.
    pub source_port: Option<u16>,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
    /// What to do.
    pub remedy: String,
    /// For a configuration with mistakes: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemView>,
}
