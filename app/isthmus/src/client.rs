//! The client as a person sees it: what it is told, what it tells, how it fails.
//!
//! [`connect`] joins these to the client machine and its driver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_client::Profile;
use isthmus_core::SecretBytes;
use isthmus_crypto::EspSuite;
pub use isthmus_driver::ClientRequest;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::config::{AuthProtocol, IkeProposal};

/// One connection to make; validated.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The server.
    pub server: IpAddr,
    /// Its UDP ports for IKE and NAT traversal.
    pub server_ports: (u16, u16),
    /// Ours; 0 for any free one.
    pub source_ports: (u16, u16),
    /// Plain L2TP instead of IPsec; then nothing of IPsec below matters.
    pub plain: Option<PlainL2tp>,
    /// The pre-shared key.
    pub psk: SecretBytes,
    /// Our certificate, used instead of the pre-shared key, and the name the server must have.
    pub certificate: Option<(isthmus_ike::Certificates, isthmus_ike::Identity)>,
    /// Name of the group that the key is for.
    pub group: Option<String>,
    /// The user name.
    pub user: String,
    /// The password.
    pub password: SecretBytes,
    /// IKE proposals to offer, most wanted first; at least one.
    pub ike: Vec<IkeProposal>,
    /// ESP suites to offer, most wanted first; at least one.
    pub esp: Vec<EspSuite>,
    /// Whether any of them is weak.
    pub legacy: bool,
    /// Authentication protocols to agree to; at least one.
    pub auth: Vec<AuthProtocol>,
    /// The namespace of the tunnel device; none for the process's own.
    pub inner_netns: Option<String>,
    /// The tunnel device.
    pub interface: String,
    /// What is sent through the tunnel.
    pub routes: ClientRoutes,
    /// Largest inner packet in bytes.
    pub mtu: u16,
    /// Our UDP port for L2TP.
    pub local_port: u16,
    /// ESP in UDP even without NAT.
    pub force_encap: bool,
    /// Longest life of an IKE SA.
    pub ike_lifetime: Duration,
    /// Longest life of an ESP SA pair.
    pub child_lifetime: Duration,
    /// The client to speak as, in everything but keys and names; our own way when absent.
    pub profile: Option<Profile>,
}

/// How a LAC without IPsec proves itself.
#[derive(Clone, Debug, Default)]
pub struct PlainL2tp {
    /// The tunnel secret.
    pub secret: Option<SecretBytes>,
}

/// What a client sends through the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRoutes {
    /// Everything but the packets to the server itself.
    Everything,
    /// These networks and those the server names.
    These(Vec<IpNet>),
}

/// A step in the life of a connection; its JSON is one line of `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientEvent {
    /// IPsec is up; later, its ESP SAs were replaced.
    Secured {
        /// The ESP suite.
        suite: String,
        /// Whether ESP travels in UDP.
        encapsulated: bool,
    },
    /// The IKE SA was replaced.
    IkeRekeyed,
    /// The server's or our address changed.
    Moved {
        /// Where the server is now, with its port.
        server: std::net::SocketAddr,
    },
    /// Packets flow.
    Up(ClientUp),
    /// IPv6 packets flow as well, or from another address than before.
    Ipv6(ClientIpv6),
    /// No IPv6 packets flow any more.
    Ipv6Down,
}

/// What the server gave us and what became of it here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientUp {
    /// The tunnel device.
    pub interface: String,
    /// Our address.
    pub address: Ipv4Addr,
    /// The server's address on the link.
    pub gateway: Ipv4Addr,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Networks that are sent through the tunnel.
    pub routes: Vec<Ipv4Net>,
    /// Largest inner packet in bytes.
    pub mtu: u16,
}

/// The IPv6 that the server gave us and what became of it here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientIpv6 {
    /// The tunnel device.
    pub interface: String,
    /// Our address.
    pub address: Ipv6Addr,
    /// The /64 that is ours.
    pub prefix: Ipv6Net,
    /// The server's address on the link.
    pub gateway: Ipv6Addr,
    /// Name servers.
    pub dns: Vec<Ipv6Addr>,
    /// Networks that are sent through the tunnel.
    pub routes: Vec<Ipv6Net>,
}

/// Why there is no connection, or no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", one_line(reason, remedy))]
pub struct ClientFailure {
    /// How far it had come: `network`, `ipsec`, `l2tp`, `login` or `up`.
    pub stage: &'static str,
    /// What happened, one line.
    pub reason: String,
    /// What to do, one line.
    pub remedy: String,
}

fn one_line(reason: &str, remedy: &str) -> String {
    if remedy.is_empty() { reason.to_owned() } else { format!("{reason}; {remedy}") }
}

/// The engine's side of a client.
#[derive(Debug)]
pub struct ClientSide {
    /// To be told of every step.
    pub events: mpsc::Sender<ClientEvent>,
    /// Rekeys to do at once; its end is the wish to hang up.
    pub requests: mpsc::Receiver<ClientRequest>,
}

/// Connects and stays connected until `side.requests` ends; then hangs up and removes the device.
///
/// # Errors
/// Why it could not connect, or was cut off.
pub async fn connect(settings: ClientSettings, side: ClientSide) -> Result<(), ClientFailure> {
    crate::connection::run(settings, side).await
}

/// The address this machine would send from.
pub(crate) use crate::connection::local_address;
