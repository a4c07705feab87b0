//! Routes.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::KernelError;

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

/// The routing table that is used when no rule says otherwise.
pub const MAIN_TABLE: u32 = 254;
/// The metric the kernel gives IPv6 routes that ask for none.
const IPV6_METRIC: u32 = 1024;

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

    pub(super) fn check(&self) -> Result<(), KernelError> {
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

impl NextHop {
    /// The link it names.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Gateway { link, .. } => link.as_deref(),
            Self::Link(link) => Some(link),
            Self::Altered | Self::Blackhole | Self::Prohibit | Self::Unreachable => None,
        }
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
