//! Translation of addresses of packets that are forwarded.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::KernelError;

/// Translation of source addresses, after routing. The first that a packet meets decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nat {
    /// Packets from here, usually a pool.
    pub source: IpNet,
    /// To here; to anywhere when absent.
    pub destination: Option<IpNet>,
    /// That came in by this link; by any when absent.
    pub input: Option<String>,
    /// Leaving by this link; by any when absent.
    pub egress: Option<String>,
    /// With this firewall mark under this mask.
    pub mark: Option<(u32, u32)>,
    /// But not to these destinations.
    pub except: Vec<IpNet>,
    /// What their source address becomes.
    pub to: Translation,
}

/// What an address becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Translation {
    /// This address.
    Address(IpAddr),
    /// What it is.
    Keep,
    /// The address of the link it leaves by, whatever that is at the time.
    Masquerade,
    /// The same host of this network, which is as large as the one it was in.
    Network(IpNet),
    /// One of these addresses, first and last.
    Range(IpAddr, IpAddr),
}

/// Translation of destination addresses, before routing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Redirect {
    /// Packets to here.
    pub destination: IpNet,
    /// That come in by this link; by any when absent.
    pub input: Option<String>,
    /// Of this protocol and to this port; all when absent.
    pub service: Option<(Transport, u16)>,
    /// But not to these destinations.
    pub except: Vec<IpNet>,
    /// The firewall mark that they get under its mask, for rules to choose their way.
    pub mark: Option<(u32, u32)>,
    /// What their destination becomes.
    pub to: Redirection,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Its name, as people and `nft` write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// What a destination becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redirection {
    /// This address, and this port where one is given.
    Address(IpAddr, Option<u16>),
    /// The same host of this network, which is as large as the one it was in.
    Network(IpNet),
}

impl Nat {
    /// Translation of everything from `source`, to be narrowed.
    pub const fn new(source: IpNet, to: Translation) -> Self {
        let (destination, input, egress, mark) = (None, None, None, None);
        Self { source, destination, input, egress, mark, except: Vec::new(), to }
    }

    pub(super) fn check(&self) -> Result<(), KernelError> {
        let others = self.except.iter().map(IpNet::addr).chain(self.destination.map(|n| n.addr()));
        let (address, sized) = match self.to {
            Translation::Address(address) => (Some(address), true),
            Translation::Range(first, last) => {
                (Some(first), first.is_ipv4() == last.is_ipv4() && first <= last)
            }
            Translation::Network(net) => {
                (Some(net.addr()), net.prefix_len() == self.source.prefix_len())
            }
            Translation::Keep | Translation::Masquerade => (None, true),
        };
        sound(self.source, others.chain(address), sized, self)
    }
}

impl Redirect {
    pub(super) fn check(&self) -> Result<(), KernelError> {
        let (address, sized) = match self.to {
            Redirection::Address(address, _) => (address, true),
            Redirection::Network(net) => {
                (net.addr(), net.prefix_len() == self.destination.prefix_len())
            }
        };
        let others = self.except.iter().map(IpNet::addr).chain([address]);
        sound(self.destination, others, sized, self)
    }
}

/// Refuses what mixes IP versions, and networks that do not fit onto each other.
fn sound(
    net: IpNet,
    mut others: impl Iterator<Item = IpAddr>,
    sized: bool,
    whole: &dyn fmt::Display,
) -> Result<(), KernelError> {
    if others.any(|other| other.is_ipv4() != net.addr().is_ipv4()) {
        return Err(KernelError::MixedVersions(whole.to_string()));
    }
    if sized { Ok(()) } else { Err(KernelError::Sizes(whole.to_string())) }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "translate {}", self.source)?;
        if let Some(destination) = self.destination {
            write!(f, " to {destination}")?;
        }
        if let Some(input) = &self.input {
            write!(f, " coming by {input}")?;
        }
        if let Some(egress) = &self.egress {
            write!(f, " leaving by {egress}")?;
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " with mark {mark:#x}/{mask:#x}")?;
        }
        exceptions(f, &self.except)?;
        match self.to {
            Translation::Address(address) => write!(f, " to {address}"),
            Translation::Keep => f.write_str(" to what it is"),
            Translation::Masquerade => f.write_str(" to the link's own address"),
            Translation::Network(net) => write!(f, " to the same host of {net}"),
            Translation::Range(first, last) => write!(f, " to {first}-{last}"),
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lead what is for {}", self.destination)?;
        if let Some((protocol, port)) = self.service {
            write!(f, " {} port {port}", protocol.name())?;
        }
        if let Some(input) = &self.input {
            write!(f, " coming by {input}")?;
        }
        exceptions(f, &self.except)?;
        match self.to {
            Redirection::Address(address, None) => write!(f, " to {address}"),
            Redirection::Address(address, Some(port)) => write!(f, " to {address} port {port}"),
            Redirection::Network(net) => write!(f, " to the same host of {net}"),
        }
    }
}

fn exceptions(f: &mut fmt::Formatter<'_>, except: &[IpNet]) -> fmt::Result {
    for (index, except) in except.iter().enumerate() {
        write!(f, "{}{except}", if index == 0 { " except to " } else { ", " })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let six = Nat::new(net("10.0.0.0/8"), Translation::Network(net("2001:db8::/32")));
        assert!(matches!(six.check(), Err(KernelError::MixedVersions(_))));
        let wide = Nat::new(net("10.1.0.0/16"), Translation::Network(net("10.0.0.0/8")));
        assert!(matches!(wide.check(), Err(KernelError::Sizes(_))));
        let (first, last) = ("192.0.2.9".parse().unwrap(), "192.0.2.7".parse().unwrap());
        let backwards = Nat::new(net("10.1.0.0/16"), Translation::Range(first, last));
        assert!(matches!(backwards.check(), Err(KernelError::Sizes(_))));
        let redirect = Redirect {
            destination: net("10.201.0.0/16"),
            input: None,
            service: None,
            except: Vec::new(),
            mark: None,
            to: Redirection::Network(net("10.1.0.0/16")),
        };
        redirect.check().unwrap();
        let except = vec![net("2001:db8::/32")];
        assert!(Redirect { except, ..redirect }.check().is_err());
    }
}
