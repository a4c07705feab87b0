//! A question to the kernel's routing, and its answer.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A packet that comes in by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The link's name.
    pub input: String,
    /// Where it comes from.
    pub from: IpAddr,
    /// Where it goes to.
    pub to: IpAddr,
    /// Its firewall mark by then.
    pub mark: u32,
}

/// Where the kernel sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Road {
    /// The routing table that knew.
    pub table: u32,
    /// The next hop; none on the link itself.
    pub gateway: Option<IpAddr>,
    /// The link it leaves by.
    pub link: Option<String>,
    /// That link's MTU.
    pub mtu: Option<u32>,
    /// That link's addresses of the packet's IP version, but those that stay on the link.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Whether it is for this machine.
    pub local: bool,
    /// Why it goes nowhere, where it does not.
    pub refusal: Option<String>,
}
