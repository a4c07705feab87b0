//! Which packets out of tenants' devices go on.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Filters of packets that come in by tenants' devices, be they forwarded or for this machine. Packets
/// of other devices pass untouched, except those that open connections to a [closed](Guard::inbound) one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// One for each device. Between two of these devices nothing passes unless it is
    /// [allowed](Guard::reaches).
    pub guards: Vec<Guard>,
    /// What lists have in common, known there by its place here.
    pub entries: Vec<Entries>,
}

/// What is looked at in packets of one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The device's name.
    pub device: String,
    /// Addresses of this machine that are for this device; those of other guards are out of reach.
    pub own: Vec<IpAddr>,
    /// Networks that are out of reach whatever a list says.
    pub forbidden: Vec<IpNet>,
    /// Other guarded devices to which lists may let packets pass.
    pub reaches: Vec<String>,
    /// What becomes of packets to this device that open a connection.
    pub inbound: Verdict,
    /// One list for all packets, or one for each class; without any, everything else passes.
    pub lists: Vec<List>,
}

/// What packets are compared with, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Only packets whose source is a [`Member`] of this class, 1 to 65535. A packet of no member is
    /// dropped where classes are told apart.
    pub class: Option<u16>,
    /// Places in [`Filter::entries`]; the first that fits decides.
    pub entries: Vec<usize>,
    /// What becomes of packets that nothing fits.
    pub default: Verdict,
}

/// Packets of which one thing becomes. No two of its elements may fit the same packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Whose it is, in words of the operator.
    pub name: String,
    /// What becomes of packets.
    pub verdict: Verdict,
    /// Only those from here; from anywhere when empty.
    pub from: Vec<IpNet>,
    /// Packets to these networks.
    pub nets: Vec<IpNet>,
    /// Packets to services.
    pub ports: Vec<Ports>,
}

/// Ports of a protocol in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// The network.
    pub to: IpNet,
    /// The protocol's number.
    pub protocol: u8,
    /// Destination ports; all of them for protocols that have none.
    pub ports: RangeInclusive<u16>,
}

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They go on.
    Allow,
    /// They are refused: with a reset of the connection, or an ICMP "administratively prohibited".
    Deny,
}

/// A source whose packets are of a class. Members come and go with sessions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// An address, a network behind a user, or a session's IPv6 /64.
    pub source: IpNet,
    /// The class, 1 to 65535.
    pub class: u16,
}

/// Where a packet's mark has its class; the lower half is the operator's.
pub const CLASS_MASK: u32 = 0xffff_0000;

/// The mark of packets of a class, under [`CLASS_MASK`].
pub const fn class_mark(class: u16) -> u32 {
    (class as u32) << 16
}

impl Filter {
    /// Whether nothing is looked at.
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Every class there is.
    pub(crate) fn classes(&self) -> impl Iterator<Item = u16> {
        self.guards.iter().flat_map(|guard| &guard.lists).filter_map(|list| list.class)
    }

    /// Whether answers have to be told from packets that open a connection.
    pub(crate) fn knows_answers(&self) -> bool {
        let closed = |guard: &Guard| {
            !guard.lists.is_empty() || !guard.reaches.is_empty() || guard.inbound == Verdict::Deny
        };
        self.guards.iter().any(closed)
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, forbidden, lists, .. } = self;
        write!(f, "filter of {device}: {} networks forbidden", forbidden.len())?;
        if !lists.is_empty() {
            let entries: usize = lists.iter().map(|list| list.entries.len()).sum();
            write!(f, ", {} lists of {entries} entries", lists.len())?;
        }
        Ok(())
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of class {}", self.source, self.class)
    }
}
