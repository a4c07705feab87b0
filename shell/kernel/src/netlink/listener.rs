//! What the kernel tells of changes: which of them concern us.

use std::io;

use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::rule::RuleAttribute;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::socket::parts;

/// A socket on which the kernel of the namespace it was opened in tells of changes. It is opened inside a
/// runtime and read on it.
pub(crate) struct Listener {
    socket: TokioSocket,
    ours: Ours,
}

/// How we know what is ours.
enum Ours {
    /// Any link.
    Links,
    /// Routes and rules of this protocol number.
    Protocol(u8),
    /// The nftables table of this name.
    Table(Vec<u8>),
}

impl Listener {
    /// Listens to changes of links, addresses, routes, rules and forwarding.
    pub(crate) fn to_routes(protocol: u8) -> io::Result<Self> {
        Self::open(NETLINK_ROUTE, &ROUTE_GROUPS, Ours::Protocol(protocol))
    }

    /// Listens to changes of links.
    pub(crate) fn to_links() -> io::Result<Self> {
        Self::open(NETLINK_ROUTE, &[RTNLGRP_LINK], Ours::Links)
    }

    /// Listens to changes of nftables.
    pub(crate) fn to_nftables(table: &str) -> io::Result<Self> {
        let mut name = table.as_bytes().to_vec();
        // As in an attribute: with its closing zero, so that a longer name is another.
        name.push(0);
        Self::open(NETLINK_NETFILTER, &[NFNLGRP_NFTABLES], Ours::Table(name))
    }

    fn open(protocol: isize, groups: &[u32], ours: Ours) -> io::Result<Self> {
        let mut socket = TokioSocket::new(protocol)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        groups.iter().try_for_each(|group| socket.socket_ref().add_membership(*group))?;
        Ok(Self { socket, ours })
    }

    /// Waits until something of ours may have been changed.
    ///
    /// # Errors
    /// When the socket is of no more use.
    pub(crate) async fn told(&mut self) -> io::Result<()> {
        loop {
            match self.socket.recv_from_full().await {
                Ok((datagram, _)) if self.ours.concerns(&datagram) => return Ok(()),
                Ok(_) => {}
                // More was told than we could read: anything may have happened.
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Ours {
    fn concerns(&self, datagram: &[u8]) -> bool {
        match self {
            Self::Links => true,
            Self::Protocol(tag) => {
                parts(datagram).any(|message| concerns_routes(message, RouteProtocol::from(*tag)))
            }
            // The tables of others change all day; ours is named in what concerns it.
            Self::Table(name) => datagram.windows(name.len()).any(|bytes| bytes == name),
        }
    }
}

/// Whether a message tells that something with our tag went, or something that ours depends on changed.
///
/// A link that goes down takes its IPv4 routes along without a word, so every change of a link's flags
/// counts.
fn concerns_routes(bytes: &[u8], tag: RouteProtocol) -> bool {
    let Ok(buffer) = NetlinkBuffer::new_checked(bytes) else { return false };
    if buffer.message_type() == RTM_NEWNETCONF {
        return true;
    }
    let Ok(message) = NetlinkMessage::deserialize(bytes) else { return false };
    let NetlinkPayload::InnerMessage(message) = message.payload else { return false };
    if let RouteNetlinkMessage::DelRoute(route) = &message {
        return route.header.protocol == tag;
    }
    if let RouteNetlinkMessage::DelRule(rule) = &message {
        return rule.attributes.contains(&RuleAttribute::Protocol(tag));
    }
    if let RouteNetlinkMessage::NewLink(link) = &message {
        return !link.header.change_mask.is_empty();
    }
    matches!(message, RouteNetlinkMessage::DelAddress(_) | RouteNetlinkMessage::DelLink(_))
}

/// Links, of `linux/rtnetlink.h`.
const RTNLGRP_LINK: u32 = 1;
/// `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV4_RULE`, `_IPV6_IFADDR`, `_IPV6_ROUTE`, `_IPV6_RULE`,
/// `_IPV4_NETCONF`, `_IPV6_NETCONF` of `linux/rtnetlink.h`.
const ROUTE_GROUPS: [u32; 9] = [1, 5, 7, 8, 9, 11, 19, 24, 25];
/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`.
const NFNLGRP_NFTABLES: u32 = 7;
/// A switch such as forwarding was changed (`linux/rtnetlink.h`).
const RTM_NEWNETCONF: u16 = 80;
const ENOBUFS: i32 = 105;
