//! What a client tells whoever started it.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::{Encap, Path};
use serde::Serialize;

/// A step of the connection's life.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// IPsec is up; later, its SA pair was replaced.
    Secured {
        /// The ESP suite agreed.
        suite: &'static str,
        /// How ESP travels.
        encap: Encap,
    },
    /// The IKE SA was replaced.
    IkeRekeyed,
    /// The server's or our address changed.
    PathMoved {
        /// Where to now.
        path: Path,
    },
    /// Packets flow.
    Up(Up),
    /// The server gave us IPv6 as well, or another prefix than before.
    Ipv6(Ipv6),
    /// The server took IPv6 back.
    Ipv6Down,
    /// The connection is over; nothing follows.
    Down(Down),
}

/// What the server gave us.
#[derive(Clone, Debug, Serialize)]
pub struct Up {
    /// Our address.
    pub address: Ipv4Addr,
    /// The server's address on the link.
    pub gateway: Ipv4Addr,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Routes the server pushed.
    pub routes: Vec<Ipv4Net>,
    /// Largest inner packet, in bytes.
    pub mtu: u16,
}

/// What a router of the server advertised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ipv6 {
    /// Our address: the prefix and our interface identifier.
    pub address: Ipv6Addr,
    /// The /64 that is ours.
    pub prefix: Ipv6Net,
    /// The server's link-local address.
    pub gateway: Ipv6Addr,
    /// Name servers.
    pub dns: Vec<Ipv6Addr>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Down {
    /// How far it had come.
    pub stage: Stage,
    /// Whether it was us who wanted it.
    pub requested: bool,
    /// Why, in words.
    pub reason: String,
    /// What to do about it; empty when it was requested.
    pub remedy: &'static str,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// IKE and IPsec.
    Ipsec,
    /// L2TP tunnel and call.
    L2tp,
    /// PPP link and authentication.
    Login,
    /// Packets flow.
    Up,
}

impl Stage {
    /// What usually helps when a connection ends here.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Ipsec => {
                "check the server's address and the pre-shared key, that UDP 500 and 4500 pass, and \
                 that the server allows the proposals offered"
            }
            Self::L2tp => "the server's log says why it refused the L2TP tunnel or call",
            Self::Login => {
                "check user name and password, and that the server allows the authentication protocol"
            }
            Self::Up => {
                "connect again; if it happens often, look for a lossy path or a NAT that forgets"
            }
        }
    }
}
