//! The pair of UDP addresses a peer is reached by.

use core::fmt;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where a peer is reached now: our address and its address.
///
/// A path changes only on an authenticated packet. The ports are those of IKE (500 or 4500, or
/// whatever a NAT made of them); plain ESP uses the addresses and ignores the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

impl Path {
    /// A path between two addresses.
    pub const fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.remote, self.local)
    }
}

/// How ESP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encap {
    /// IP protocol 50 (RFC 4303).
    Esp,
    /// In UDP port 4500 (RFC 3948).
    Udp,
}
