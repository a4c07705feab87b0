//! What our nftables table does with packets that are forwarded.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::KernelError;

/// Our nftables table; without anything in it there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Firewall {
    /// Source address translation.
    pub nat: Vec<Nat>,
}

impl Firewall {
    /// Whether no table is needed.
    pub fn is_empty(&self) -> bool {
        let Self { nat } = self;
        nat.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), KernelError> {
        self.nat.iter().try_for_each(Nat::check)
    }
}

/// Source address translation of forwarded packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nat {
    /// Packets from here, usually a pool.
    pub source: IpNet,
    /// Leaving by this link; by any when absent.
    pub egress: Option<String>,
    /// But not to these destinations.
    pub except: Vec<IpNet>,
    /// What their source address becomes.
    pub to: Translation,
}

/// What a source address becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Translation {
    /// This address.
    Address(IpAddr),
    /// The address of the link it leaves by, whatever that is at the time.
    Masquerade,
}

impl Nat {
    fn check(&self) -> Result<(), KernelError> {
        let version = self.source.addr().is_ipv4();
        let address = match self.to {
            Translation::Address(address) => Some(address),
            Translation::Masquerade => None,
        };
        let others = self.except.iter().map(IpNet::addr).chain(address);
        let mixed = others.map(|ip| ip.is_ipv4()).any(|other| other != version);
        if mixed { Err(KernelError::MixedVersions(self.to_string())) } else { Ok(()) }
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "translate {}", self.source)?;
        if let Some(egress) = &self.egress {
            write!(f, " leaving by {egress}")?;
        }
        for (index, except) in self.except.iter().enumerate() {
            write!(f, "{}{except}", if index == 0 { " except to " } else { ", " })?;
        }
        match self.to {
            Translation::Address(address) => write!(f, " to {address}"),
            Translation::Masquerade => f.write_str(" to the link's own address"),
        }
    }
}
