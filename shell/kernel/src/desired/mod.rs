//! What kernel state is wanted, in our words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{KernelError, Owner, sysctl};

mod filter;
mod firewall;
mod nat;
mod route;
mod rule;
mod veth;

pub use filter::{CLASS_MASK, Entries, Filter, Guard, List, Member, Ports, Verdict, class_mark};
pub use firewall::Firewall;
pub use nat::{Nat, Redirect, Redirection, Translation, Transport};
pub use route::{MAIN_TABLE, NextHop, Route};
pub use rule::{IpVersion, Rule, RuleAction};
pub use veth::Veth;
pub(crate) use veth::label_of;

/// All that we want of one network namespace; what is not in it is removed if it is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Desired {
    /// Pairs of devices into other namespaces.
    pub veths: Vec<Veth>,
    /// Links that come from other namespaces: while they are not there, nothing is desired on them.
    pub far_links: BTreeSet<String>,
    /// Settings of links that exist.
    pub links: Vec<Link>,
    /// Addresses on links.
    pub addresses: Vec<Address>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Links that may be away or down: their routes are wanted only while they are up.
    pub optional_links: BTreeSet<String>,
    /// Links that packets may come back by although the machine itself would send them by another way:
    /// a strict reverse path filter (RFC 3704 §2.2) on them becomes a loose one.
    pub asymmetric_links: BTreeSet<String>,
    /// Rules that choose a routing table.
    pub rules: Vec<Rule>,
    /// Kernel parameters below `/proc/sys`, by path: `net/ipv4/ip_forward` to `1`.
    pub sysctls: BTreeMap<String, String>,
    /// Our nftables table.
    pub firewall: Firewall,
}

/// Settings of a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Brings it up; false leaves it as it is.
    pub up: bool,
    /// Its MTU; left as it is when absent.
    pub mtu: Option<u32>,
}

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// The link's name.
    pub link: String,
    /// The address and the length of its network.
    pub address: IpNet,
    /// The other end, on a point-to-point link.
    pub peer: Option<IpAddr>,
}

impl Desired {
    /// Refuses what the kernel would refuse halfway through, and what is not ours to ask for.
    pub(crate) fn check(&self, owner: &Owner) -> Result<(), KernelError> {
        self.routes.iter().try_for_each(Route::check)?;
        let mut keys = BTreeSet::new();
        if let Some(twice) = self.routes.iter().find(|route| !keys.insert(route.normal().key())) {
            return Err(KernelError::Duplicate(twice.to_string()));
        }
        self.rules.iter().try_for_each(|rule| rule.check(owner))?;
        self.firewall.check()?;
        self.sysctls.keys().try_for_each(|key| sysctl::check(key))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {} on {}", self.address, self.link)?;
        self.peer.map_or(Ok(()), |peer| write!(f, " peer {peer}"))
    }
}
