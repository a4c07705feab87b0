//! Changes to kernel state: printable, comparable, serialisable.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Address, Firewall, Link, Member, Route, Rule, Veth};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Adds an address.
    AddAddress(Address),
    /// Needs a link that somebody else makes, and that is not there.
    AddLink(Link),
    /// Adds a route.
    AddRoute(Route),
    /// Adds a rule.
    AddRule(Rule),
    /// Makes a pair of devices.
    AddVeth(Veth),
    /// Removes an address of ours.
    RemoveAddress(Address),
    /// Removes our nftables table.
    RemoveFirewall,
    /// Removes a route of ours.
    RemoveRoute(Route),
    /// Removes a rule of ours.
    RemoveRule(Rule),
    /// Removes a pair of devices of ours, by the name of the end here.
    RemoveVeth(String),
    /// Replaces a route of ours by another to the same destination.
    ReplaceRoute {
        /// The route that is there.
        from: Route,
        /// The route that is wanted.
        to: Route,
    },
    /// Gives a link back the settings it had before us.
    RestoreLink(Link),
    /// Gives a kernel parameter back the value it had before us.
    RestoreSysctl {
        /// Its path below `/proc/sys`.
        key: String,
        /// Its value before us.
        to: String,
    },
    /// Changes a link's settings.
    SetLink(Link),
    /// Removes members of classes and adds others.
    SetMembers {
        /// Who is no longer one, or of another class now.
        remove: Vec<Member>,
        /// Who is to be one.
        add: Vec<Member>,
    },
    /// Writes our nftables table anew, in one transaction.
    SetFirewall(Firewall),
    /// Sets a kernel parameter.
    SetSysctl {
        /// Its path below `/proc/sys`.
        key: String,
        /// Its value now.
        from: String,
        /// The value wanted.
        to: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddAddress(address) => write!(f, "add {address}"),
            Self::AddLink(link) => write!(f, "add {link}"),
            Self::AddRoute(route) => write!(f, "add {route}"),
            Self::AddRule(rule) => write!(f, "add {rule}"),
            Self::AddVeth(veth) => write!(f, "add {veth}"),
            Self::RemoveAddress(address) => write!(f, "remove {address}"),
            Self::RemoveFirewall => f.write_str("remove the nftables table"),
            Self::RemoveRoute(route) => write!(f, "remove {route}"),
            Self::RemoveRule(rule) => write!(f, "remove {rule}"),
            Self::RemoveVeth(name) => write!(f, "remove device {name} and its other end"),
            Self::ReplaceRoute { from, to } => write!(f, "replace {from} by {to}"),
            Self::RestoreLink(link) => write!(f, "restore {link}"),
            Self::RestoreSysctl { key, to } => write!(f, "restore {key} to {to}"),
            Self::SetLink(link) => write!(f, "set {link}"),
            Self::SetFirewall(firewall) => {
                f.write_str("set the nftables table:")?;
                firewall.nat.iter().try_for_each(|nat| write!(f, " {nat};"))?;
                firewall.redirects.iter().try_for_each(|redirect| write!(f, " {redirect};"))?;
                firewall.filter.guards.iter().try_for_each(|guard| write!(f, " {guard};"))
            }
            Self::SetMembers { remove, add } => {
                f.write_str("set members:")?;
                remove.iter().try_for_each(|member| write!(f, " -{member};"))?;
                add.iter().try_for_each(|member| write!(f, " +{member};"))
            }
            Self::SetSysctl { key, from, to } => write!(f, "set {key} from {from} to {to}"),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {} {}", self.name, if self.up { "up" } else { "down" })?;
        self.mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))
    }
}

/// Changes in the order they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(pub Vec<Change>);

impl Changes {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The changes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }
}

/// One change a line.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.0.iter().enumerate() {
            write!(f, "{}{change}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
