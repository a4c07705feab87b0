//! Rules that choose a routing table.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{KernelError, Owner};

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

impl Rule {
    pub(super) fn check(&self, owner: &Owner) -> Result<(), KernelError> {
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
