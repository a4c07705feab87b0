//! What our nftables table does with packets that are forwarded.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::filter::{Filter, Member};
use crate::KernelError;

/// Our nftables table; without anything in it there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Firewall {
    /// Source address translation.
    pub nat: Vec<Nat>,
    /// Which packets go on.
    pub filter: Filter,
    /// Whose packets are of a class that the filter tells apart.
    pub members: Vec<Member>,
}

impl Firewall {
    /// Whether no table is needed.
    pub fn is_empty(&self) -> bool {
        let Self { nat, filter, members: _ } = self;
        nat.is_empty() && filter.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), KernelError> {
        self.nat.iter().try_for_each(Nat::check)
    }

    /// The same with its members in order, each once.
    pub(crate) fn normal(&self) -> Self {
        let mut firewall = self.clone();
        firewall.members.iter_mut().for_each(|member| member.source = member.source.trunc());
        firewall.members.sort_unstable();
        firewall.members.dedup_by_key(|member| member.source);
        firewall
    }

    /// The same without its members, who come and go.
    pub(crate) fn without_members(&self) -> Self {
        Self { nat: self.nat.clone(), filter: self.filter.clone(), members: Vec::new() }
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
