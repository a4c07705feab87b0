//! What kernel state is wanted, in our words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{KernelError, Owner, sysctl};

/// All that we want of one network namespace; what is not in it is removed if it is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Desired {
    /// Settings of links that exist.
    pub links: Vec<Link>,
    /// Addresses on links.
    pub addresses: Vec<Address>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Rules that choose a routing table.
    pub rules: Vec<Rule>,
    /// Kernel parameters below `/proc/sys`, by path: `net/ipv4/ip_forward` to `1`.
    pub sysctls: BTreeMap<String, String>,
    /// Source address translation.
    pub nat: Vec<Nat>,
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

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// Where packets go that it is for.
    pub destination: IpNet,
    /// The routing table; [`MAIN_TABLE`] is the usual one.
    pub table: u32,
    /// Among routes to one destination the lowest metric wins. The kernel's default when absent (0 for
    /// IPv4, 1024 for IPv6).
    pub metric: Option<u32>,
    /// What to do with the packets.
    pub next: NextHop,
    /// The source address of packets that this machine itself sends there.
    pub source: Option<IpAddr>,
}

/// What a route does with packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextHop {
    /// Something we did not write, read back under our tag; cannot be desired.
    Altered,
    /// Drops them silently.
    Blackhole,
    /// Sends them to a router.
    Gateway {
        /// The router.
        gateway: IpAddr,
        /// The link it is on; found by its address when absent.
        link: Option<String>,
        /// Takes it to be on the link although no address there says so.
        on_link: bool,
    },
    /// Sends them out of a link.
    Link(String),
    /// Refuses them with an ICMP "administratively prohibited".
    Prohibit,
    /// Refuses them with an ICMP "host unreachable".
    Unreachable,
}

/// A rule that chooses a routing table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// Rules are tried from the lowest priority; it has to be one of [`Owner::rule_priorities`].
    pub priority: u32,
    /// Which packets it is for at all.
    pub version: IpVersion,
    /// Only packets from here.
    pub from: Option<IpNet>,
    /// Only packets to here.
    pub to: Option<IpNet>,
    /// Only packets that came in by this link (`lo` for those of this machine).
    pub input: Option<String>,
    /// Only packets of sockets bound to this link.
    pub output: Option<String>,
    /// Only packets with this firewall mark under this mask.
    pub mark: Option<(u32, u32)>,
    /// What to do with them.
    pub action: RuleAction,
}

/// What a rule does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// Something we did not write, read back under our tag; cannot be desired.
    Altered,
    /// Drops them silently.
    Blackhole,
    /// Looks them up in this routing table, and goes on when nothing is found.
    Lookup(u32),
    /// The same, but a default route found there does not count: only what the table knows better.
    LookupSpecific(u32),
    /// Refuses them with an ICMP "administratively prohibited".
    Prohibit,
    /// Refuses them with an ICMP "network unreachable".
    Unreachable,
}

/// The IP version a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
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

/// The routing table that is used when no rule says otherwise.
pub const MAIN_TABLE: u32 = 254;
/// The metric the kernel gives IPv6 routes that ask for none.
const IPV6_METRIC: u32 = 1024;

impl Desired {
    /// Refuses what the kernel would refuse halfway through, and what is not ours to ask for.
    pub(crate) fn check(&self, owner: &Owner) -> Result<(), KernelError> {
        self.routes.iter().try_for_each(Route::check)?;
        let mut keys = BTreeSet::new();
        if let Some(twice) = self.routes.iter().find(|route| !keys.insert(route.normal().key())) {
            return Err(KernelError::Duplicate(twice.to_string()));
        }
        self.rules.iter().try_for_each(|rule| rule.check(owner))?;
        self.nat.iter().try_for_each(Nat::check)?;
        self.sysctls.keys().try_for_each(|key| sysctl::check(key))
    }
}

impl Route {
    /// The same route as the kernel tells it: no host bits, and a metric.
    pub(crate) fn normal(&self) -> Self {
        let default = if self.destination.addr().is_ipv6() { IPV6_METRIC } else { 0 };
        // The kernel takes metric 0 over IPv6 for "the usual one".
        let metric = self.metric.filter(|&metric| metric != 0).unwrap_or(default);
        Self { destination: self.destination.trunc(), metric: Some(metric), ..self.clone() }
    }

    /// What tells routes apart: there is one per destination, table and metric.
    pub(crate) fn key(&self) -> (IpNet, u32, Option<u32>) {
        (self.destination, self.table, self.metric)
    }

    /// Whether `actual`, read from the kernel, is this route.
    pub(crate) fn is_met_by(&self, actual: &Self) -> bool {
        let mut actual = actual.clone();
        if let (NextHop::Gateway { link: None, .. }, NextHop::Gateway { link, .. }) =
            (&self.next, &mut actual.next)
        {
            // The kernel names the link it found.
            *link = None;
        }
        actual == *self
    }

    fn check(&self) -> Result<(), KernelError> {
        let version = self.destination.addr().is_ipv4();
        let gateway = match &self.next {
            NextHop::Altered => return Err(KernelError::Altered),
            NextHop::Gateway { gateway, .. } => Some(gateway),
            NextHop::Blackhole | NextHop::Link(_) | NextHop::Prohibit | NextHop::Unreachable => {
                None
            }
        };
        let mixed = gateway.into_iter().chain(&self.source).any(|ip| ip.is_ipv4() != version);
        if mixed { Err(KernelError::MixedVersions(self.to_string())) } else { Ok(()) }
    }
}

impl Rule {
    fn check(&self, owner: &Owner) -> Result<(), KernelError> {
        if !owner.rule_priorities.contains(&self.priority) {
            let range = owner.rule_priorities.clone();
            return Err(KernelError::RulePriority { priority: self.priority, range });
        }
        if self.action == RuleAction::Altered {
            return Err(KernelError::Altered);
        }
        let version = self.version == IpVersion::V4;
        let mixed = self.from.iter().chain(&self.to).any(|net| net.addr().is_ipv4() != version);
        if mixed { Err(KernelError::MixedVersions(self.to_string())) } else { Ok(()) }
    }

    /// The same rule as the kernel tells it: no host bits, and no condition that everything meets.
    pub(crate) fn normal(&self) -> Self {
        let net =
            |net: &Option<IpNet>| net.map(|net| net.trunc()).filter(|net| net.prefix_len() > 0);
        Self { from: net(&self.from), to: net(&self.to), ..self.clone() }
    }
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {} on {}", self.address, self.link)?;
        self.peer.map_or(Ok(()), |peer| write!(f, " peer {peer}"))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {} {}", self.destination, self.next)?;
        if let Some(source) = self.source {
            write!(f, " source {source}")?;
        }
        if self.table != MAIN_TABLE {
            write!(f, " table {}", self.table)?;
        }
        self.metric
            .filter(|&metric| metric != 0)
            .map_or(Ok(()), |metric| write!(f, " metric {metric}"))
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("altered by somebody else"),
            Self::Blackhole => f.write_str("blackhole"),
            Self::Gateway { gateway, link, on_link } => {
                write!(f, "via {gateway}")?;
                if let Some(link) = link {
                    write!(f, " on {link}")?;
                }
                f.write_str(if *on_link { " onlink" } else { "" })
            }
            Self::Link(link) => write!(f, "on {link}"),
            Self::Prohibit => f.write_str("prohibit"),
            Self::Unreachable => f.write_str("unreachable"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version {
            IpVersion::V4 => "IPv4",
            IpVersion::V6 => "IPv6",
        };
        write!(f, "rule {} for {version}", self.priority)?;
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if let Some(input) = &self.input {
            write!(f, " in by {input}")?;
        }
        if let Some(output) = &self.output {
            write!(f, " out by {output}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " mark {mark:#x}/{mask:#x}")?;
        }
        match self.action {
            RuleAction::Altered => f.write_str(" altered by somebody else"),
            RuleAction::Blackhole => f.write_str(" blackhole"),
            RuleAction::Lookup(table) => write!(f, " lookup {table}"),
            RuleAction::LookupSpecific(table) => write!(f, " lookup {table} without its default"),
            RuleAction::Prohibit => f.write_str(" prohibit"),
            RuleAction::Unreachable => f.write_str(" unreachable"),
        }
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
