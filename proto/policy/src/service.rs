//! What a rule calls a service: a protocol and ports of it, as in `tcp/443`.

use alloc::string::String;
use core::fmt;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::str::FromStr;

/// A protocol over IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// ICMP with IPv4, `ICMPv6` with IPv6.
    Icmp,
    /// By its number (IANA, "Assigned Internet Protocol Numbers").
    Number(u8),
}

/// A protocol and ports of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The protocol.
    pub protocol: Protocol,
    /// Destination ports; all of them where there are none.
    pub ports: RangeInclusive<u16>,
}

/// What is wrong with a service's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceError {
    /// No such port or range of ports.
    Ports(String),
    /// Ports of a protocol that has none.
    NoPorts(String),
    /// Not a protocol.
    Protocol(String),
}

impl Protocol {
    /// TCP.
    pub const TCP: Self = Self::Number(6);
    /// UDP.
    pub const UDP: Self = Self::Number(17);

    /// The one that is meant where none is named: TCP with a port, ICMP without.
    pub const fn usual(port: Option<u16>) -> Self {
        if port.is_some() { Self::TCP } else { Self::Icmp }
    }

    /// The number it has in packets to `destination`.
    pub const fn number(self, destination: IpAddr) -> u8 {
        match (self, destination) {
            (Self::Icmp, IpAddr::V4(_)) => ICMP,
            (Self::Icmp, IpAddr::V6(_)) => ICMP_V6,
            (Self::Number(number), _) => number,
        }
    }

    /// Whether its packets have ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Number(number) if WITH_PORTS.contains(&number))
    }
}

impl Service {
    /// Everything of a protocol.
    pub const fn all(protocol: Protocol) -> Self {
        Self { protocol, ports: 0..=u16::MAX }
    }

    /// Whether it is every port.
    pub fn is_all(&self) -> bool {
        self.ports == (0..=u16::MAX)
    }
}

impl FromStr for Protocol {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        if let Some((_, protocol)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*protocol);
        }
        text.parse().map(Self::Number).map_err(|_| ServiceError::Protocol(text.into()))
    }
}

impl FromStr for Service {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        let Some((protocol, ports)) = text.split_once('/') else {
            return text.parse().map(Self::all);
        };
        let name: Protocol = protocol.parse()?;
        if !name.has_ports() {
            return Err(ServiceError::NoPorts(protocol.into()));
        }
        let wrong = || ServiceError::Ports(ports.into());
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let first: u16 = first.parse().map_err(|_| wrong())?;
        let last: u16 = last.parse().map_err(|_| wrong())?;
        if first > last { Err(wrong()) } else { Ok(Self { protocol: name, ports: first..=last }) }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.iter().find(|(_, protocol)| protocol == self), self) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Self::Number(number)) => write!(f, "{number}"),
            (None, Self::Icmp) => f.write_str("icmp"),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, first, last) = (self.protocol, self.ports.start(), self.ports.end());
        match (self.is_all(), first == last) {
            (true, _) => write!(f, "{protocol}"),
            (_, true) => write!(f, "{protocol}/{first}"),
            _ => write!(f, "{protocol}/{first}-{last}"),
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPorts(protocol) => write!(f, "`{protocol}` has no ports"),
            Self::Ports(ports) => write!(f, "`{ports}` is neither a port nor a range of ports"),
            Self::Protocol(name) => write!(f, "`{name}` is not a protocol"),
        }
    }
}

impl core::error::Error for ServiceError {}

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;
/// TCP, UDP, DCCP, SCTP and UDP-Lite begin with two ports.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
const NAMES: [(&str, Protocol); 7] = [
    ("tcp", Protocol::TCP),
    ("udp", Protocol::UDP),
    ("icmp", Protocol::Icmp),
    ("gre", Protocol::Number(47)),
    ("esp", Protocol::Number(50)),
    ("ah", Protocol::Number(51)),
    ("sctp", Protocol::Number(132)),
];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn services_are_written_as_they_are_read() {
        for text in ["tcp/443", "udp/8000-8999", "icmp", "gre", "tcp", "88"] {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        assert!("tcp/0-65535".parse::<Service>().unwrap().is_all());
        assert_eq!("6/22".parse::<Service>().unwrap().to_string(), "tcp/22");
    }

    #[test]
    fn what_is_no_service_says_what_is_wrong() {
        for (text, wrong) in [
            ("tcp/", "`` is neither a port nor a range of ports"),
            ("tcp/70000", "`70000` is neither a port nor a range of ports"),
            ("tcp/9-8", "`9-8` is neither a port nor a range of ports"),
            ("icmp/8", "`icmp` has no ports"),
            ("https", "`https` is not a protocol"),
            ("300", "`300` is not a protocol"),
        ] {
            assert_eq!(text.parse::<Service>().unwrap_err().to_string(), wrong);
        }
    }

    #[test]
    fn icmp_has_a_number_in_each_version() {
        let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        assert_eq!((Protocol::Icmp.number(v4), Protocol::Icmp.number(v6)), (1, 58));
        assert_eq!(Protocol::TCP.number(v6), 6);
    }
}
