//! Views of IP packets: checked once when made, read without failing afterwards.
//!
//! A view never looks behind the length its own header states, so bytes that follow a packet (PPP or
//! ESP padding) are not part of it. Checksums are not verified when a view is made; ask for it.

mod icmp;
mod tcp;
mod udp;
mod v4;
mod v6;

use core::net::IpAddr;

pub use icmp::Icmp;
pub use tcp::{Tcp, TcpOption, TcpOptions};
pub use udp::Udp;
pub use v4::{Ipv4, Ipv4Option, Ipv4Options};
pub use v6::{EXTENSION_HEADERS_MAX, FragmentHeader, Ipv6, Upper};

use crate::{DecodeError, Fault};

/// IP protocol numbers (IANA "Assigned Internet Protocol Numbers").
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ESP.
    pub const ESP: u8 = 50;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
}

/// A packet of either version.
#[derive(Clone, Copy, Debug)]
pub enum Ip<'a> {
    /// Version 4.
    V4(Ipv4<'a>),
    /// Version 6.
    V6(Ipv6<'a>),
}

impl<'a> Ip<'a> {
    /// A view of the packet at the front of `bytes`, whichever version it says it is.
    pub fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes.first().map(|first| first >> 4) {
            None => Err(DecodeError::new("version", Fault::Truncated)),
            Some(4) => Ipv4::new(bytes).map(Self::V4),
            Some(6) => Ipv6::new(bytes).map(Self::V6),
            Some(_) => Err(DecodeError::illegal("version")),
        }
    }

    /// Where the packet says it comes from.
    pub fn source(&self) -> IpAddr {
        match self {
            Self::V4(ip) => IpAddr::V4(ip.source()),
            Self::V6(ip) => IpAddr::V6(ip.source()),
        }
    }

    /// Where the packet goes.
    pub fn destination(&self) -> IpAddr {
        match self {
            Self::V4(ip) => IpAddr::V4(ip.destination()),
            Self::V6(ip) => IpAddr::V6(ip.destination()),
        }
    }

    /// Length of the whole packet in bytes, as its header states it.
    pub fn total_len(&self) -> usize {
        match self {
            Self::V4(ip) => ip.total_len(),
            Self::V6(ip) => ip.total_len(),
        }
    }
}
