//! What our nftables table does, thing by thing, and where in the table each is.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{Entries, Filter, Firewall, Guard, Nat, Redirect, Verdict};

/// One thing that our nftables table does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// TCP connections out of this link learn the largest segment that fits the way.
    Clamp(String),
    /// The end of a list of a device: what becomes of packets that nothing fits.
    Default {
        /// The device.
        device: String,
        /// Whose list it is; everybody's when absent.
        class: Option<u16>,
        /// What becomes of them.
        verdict: Verdict,
    },
    /// What is the same for all packets of a device that lists are asked about.
    Entries {
        /// The device.
        device: String,
        /// The classes whose lists have it; empty where there is one list for everybody.
        classes: Vec<u16>,
        /// What it is.
        entries: Entries,
    },
    /// Networks out of reach of a device's packets, whatever lists say.
    Forbidden {
        /// The device.
        device: String,
        /// The networks.
        nets: Vec<IpNet>,
    },
    /// That packets of these devices are looked at, and whose they are.
    Frame {
        /// The devices.
        devices: Vec<String>,
        /// Those to which nobody outside may open connections.
        closed: Vec<String>,
    },
    /// Translation of sources.
    Nat(Nat),
    /// That no other guarded device is in reach of one, but for these, and of their addresses none.
    Others {
        /// The device.
        device: String,
        /// This machine's addresses for it.
        own: Vec<IpAddr>,
        /// The devices that lists may let packets pass to.
        reaches: Vec<String>,
    },
    /// Translation of destinations.
    Redirect(Redirect),
    /// A rule of somebody else in our table.
    Strange {
        /// The chain it is in.
        chain: String,
        /// The rule.
        rule: String,
    },
}

/// A part of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All rules of a chain.
    Chain(String),
    /// A rule of a chain, by its place.
    Rule(String, usize),
    /// The elements of a set, if there is one.
    Set(String),
}

impl Entry {
    /// Whether another one differs only in what it lets pass, or makes of it.
    pub(crate) fn is_kind_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Default { device, class, .. }, Self::Default { device: d, class: c, .. }) => {
                device == d && class == c
            }
            (
                Self::Entries { device, entries, .. },
                Self::Entries { device: d, entries: e, .. },
            ) => device == d && entries.name == e.name && entries.verdict == e.verdict,
            (Self::Forbidden { device, .. }, Self::Forbidden { device: d, .. })
            | (Self::Others { device, .. }, Self::Others { device: d, .. }) => device == d,
            (Self::Frame { .. }, Self::Frame { .. }) => true,
            (Self::Nat(nat), Self::Nat(other)) => {
                let key = |nat: &Nat| Nat { to: other.to, except: Vec::new(), ..nat.clone() };
                key(nat) == key(other)
            }
            (Self::Redirect(redirect), Self::Redirect(other)) => {
                let key = |redirect: &Redirect| Redirect {
                    to: other.to,
                    except: Vec::new(),
                    ..redirect.clone()
                };
                key(redirect) == key(other)
            }
            (
                Self::Clamp(_)
                | Self::Default { .. }
                | Self::Entries { .. }
                | Self::Forbidden { .. }
                | Self::Frame { .. }
                | Self::Nat(_)
                | Self::Others { .. }
                | Self::Redirect(_)
                | Self::Strange { .. },
                _,
            ) => false,
        }
    }
}

impl Entry {
    /// Whether it is about what becomes of addresses, and not about who reaches what.
    pub fn translates(&self) -> bool {
        match self {
            Self::Clamp(_) | Self::Nat(_) | Self::Redirect(_) => true,
            Self::Strange { chain, .. } => TRANSLATIONS.contains(&&**chain),
            Self::Default { .. }
            | Self::Entries { .. }
            | Self::Forbidden { .. }
            | Self::Frame { .. }
            | Self::Others { .. } => false,
        }
    }
}

/// Everything that a table does, in the order in which packets meet it, each with its parts.
pub(crate) fn entries(firewall: &Firewall) -> Vec<(Entry, Vec<Part>)> {
    let Firewall { nat, redirects, clamped, filter, families: _, members: _ } = firewall;
    let mut all = Vec::new();
    let mut marked = 0..;
    for (index, redirect) in redirects.iter().enumerate() {
        let mut parts = vec![Part::Rule("redirect".into(), index)];
        let mark = redirect.mark.and_then(|_| marked.next());
        parts.extend(mark.map(|index| Part::Rule("redirected".into(), index)));
        all.push((Entry::Redirect(redirect.clone()), parts));
    }
    of_filter(filter, &mut all);
    let rule = |chain: &str, index| vec![Part::Rule(chain.to_owned(), index)];
    let nat = nat.iter().enumerate();
    all.extend(nat.map(|(index, nat)| (Entry::Nat(nat.clone()), rule("postrouting", index))));
    let clamped = clamped.iter().enumerate();
    all.extend(clamped.map(|(index, link)| (Entry::Clamp(link.clone()), rule("clamp", index))));
    all
}

fn of_filter(filter: &Filter, all: &mut Vec<(Entry, Vec<Part>)>) {
    if filter.is_empty() {
        return;
    }
    let closed = filter.guards.iter().filter(|guard| guard.inbound == Verdict::Deny);
    let chains = ["refuse", "forward", "input", "prerouting", "members"];
    let classes: BTreeSet<_> = filter.classes().map(|class| format!("class_{class}")).collect();
    let chains = chains.map(str::to_owned).into_iter().chain(classes).map(Part::Chain);
    let sets = ["guarded", "own_ip", "own_ip6"].map(|set| Part::Set(set.to_owned()));
    let frame = Entry::Frame {
        devices: filter.guards.iter().map(|guard| guard.device.clone()).collect(),
        closed: closed.map(|guard| guard.device.clone()).collect(),
    };
    all.push((frame, chains.chain(sets).collect()));
    for (index, guard) in filter.guards.iter().enumerate() {
        of_guard(filter, (index, guard), all);
    }
}

/// The chain of a guard has rules for each IP version, and one for other devices behind them.
fn of_guard(filter: &Filter, (number, guard): (usize, &Guard), all: &mut Vec<(Entry, Vec<Part>)>) {
    let chain = format!("guard_{number}");
    let (mut place, mut forbidden, mut others) = (0.., Vec::new(), Vec::new());
    for is_ipv4 in [true, false] {
        let rule = |index| Part::Rule(chain.clone(), index);
        if guard.forbidden.iter().any(|net| net.addr().is_ipv4() == is_ipv4) {
            forbidden.extend(place.next().map(rule));
        }
        if guard.own.iter().any(|own| own.is_ipv4() == is_ipv4) {
            others.extend(place.next().map(rule));
        }
    }
    others.extend(place.next().map(|index| Part::Rule(chain.clone(), index)));
    let device = &guard.device;
    if !forbidden.is_empty() {
        let nets = guard.forbidden.clone();
        all.push((Entry::Forbidden { device: device.clone(), nets }, forbidden));
    }
    let (own, reaches) = (guard.own.clone(), guard.reaches.clone());
    all.push((Entry::Others { device: device.clone(), own, reaches }, others));
    let used: BTreeSet<_> = guard.lists.iter().flat_map(|list| &list.entries).copied().collect();
    for index in used {
        let Some(entries) = filter.entries.get(index) else { continue };
        let having = guard.lists.iter().filter(|list| list.entries.contains(&index));
        let classes = having.filter_map(|list| list.class).collect();
        let entry = Entry::Entries { device: device.clone(), classes, entries: entries.clone() };
        let sets = ["from", "nets", "ports"].into_iter();
        let sets = sets.flat_map(|kind| ["ip", "ip6"].map(|ip| format!("{kind}_{ip}_{index}")));
        let parts = [Part::Chain(format!("entries_{index}"))].into_iter();
        all.push((entry, parts.chain(sets.map(Part::Set)).collect()));
    }
    for list in &guard.lists {
        let name = list
            .class
            .map_or_else(|| format!("list_{number}"), |class| format!("list_{number}_{class}"));
        let (device, class, verdict) = (device.clone(), list.class, list.default);
        all.push((Entry::Default { device, class, verdict }, vec![Part::Chain(name)]));
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| names.join(", ");
        match self {
            Self::Clamp(link) => write!(f, "segments of TCP out of {link} as large as fits"),
            Self::Default { device, class: None, verdict } => {
                write!(f, "{verdict} everything else from {device}")
            }
            Self::Default { device, class: Some(class), verdict } => {
                write!(f, "{verdict} everything else from {device} of class {class}")
            }
            Self::Entries { device, entries, .. } => {
                write!(f, "rule {} of {device}: {entries}", entries.name)
            }
            Self::Forbidden { device, nets } => {
                write!(f, "deny {} from {device}", few(nets.iter()))
            }
            Self::Frame { devices, closed } => {
                write!(f, "filter of what comes out of {}", list(devices))?;
                if closed.is_empty() {
                    return Ok(());
                }
                write!(f, "; no connections from outside to {}", list(closed))
            }
            Self::Nat(nat) => nat.fmt(f),
            Self::Others { device, own, reaches } => {
                write!(f, "deny other tenants")?;
                if !reaches.is_empty() {
                    write!(f, " than those at {}", list(reaches))?;
                }
                write!(f, " from {device}, and their addresses of this machine")?;
                if own.is_empty() { Ok(()) } else { write!(f, " (own: {})", few(own.iter())) }
            }
            Self::Redirect(redirect) => redirect.fmt(f),
            Self::Strange { chain, rule } => write!(f, "rule in chain {chain}: {rule}"),
        }
    }
}

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verdict, few(self.elements().iter()))?;
        if self.from.is_empty() { Ok(()) } else { write!(f, " from {}", few(self.from.iter())) }
    }
}

impl Entries {
    /// Networks and services, in words.
    pub fn elements(&self) -> Vec<String> {
        let nets = self.nets.iter().map(ToString::to_string);
        let ports = self.ports.iter().map(|port| {
            let (first, last) = (port.ports.start(), port.ports.end());
            let protocol = match port.protocol {
                1 => "icmp".to_owned(),
                6 => "tcp".to_owned(),
                17 => "udp".to_owned(),
                58 => "icmpv6".to_owned(),
                other => format!("protocol {other}"),
            };
            match (*first, *last) {
                (0, u16::MAX) => format!("{} {protocol}", port.to),
                (first, last) if first == last => format!("{} {protocol} {first}", port.to),
                (first, last) => format!("{} {protocol} {first}-{last}", port.to),
            }
        });
        nets.chain(ports).collect()
    }
}

/// The first few, and how many there are besides.
pub(crate) fn few<T: fmt::Display>(all: impl ExactSizeIterator<Item = T>) -> String {
    let more = all.len().saturating_sub(FEW_MAX);
    let told: Vec<_> = all.take(FEW_MAX).map(|one| one.to_string()).collect();
    let told = told.join(", ");
    if more == 0 { told } else { format!("{told} and {more} more") }
}

/// The chains of translation.
const TRANSLATIONS: [&str; 4] = ["clamp", "postrouting", "redirect", "redirected"];
/// Most networks, services or elements that a line names.
pub const FEW_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_no_more_than_a_few() {
        assert_eq!(few(0..FEW_MAX), "0, 1, 2, 3");
        assert_eq!(few(0..FEW_MAX + 7), "0, 1, 2, 3 and 7 more");
    }
}
