//! What control tells the pipeline.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use ipnet::IpNet;
use isthmus_core::{Encap, Key, Path};
use isthmus_esp::{InboundRecord, OutboundRecord, SaParams};

use crate::TunId;
use crate::lac::{LacKey, PeerRef};
use crate::on_link::Ipv6Link;
use crate::rate::Rates;

/// One change or one thing to send.
///
/// Every command may come twice, and commands about a peer may come in any order: `RemovePeer` is
/// the one that ends it. A command about something unknown does nothing.
#[derive(Clone, Debug)]
pub enum Command {
    /// Takes packets with this SPI.
    InstallInbound(InstallInbound),
    /// Sends with this SPI from now on; sends what had to wait for one.
    InstallOutbound(InstallOutbound),
    /// Takes no more packets with this SPI.
    RemoveInbound {
        /// Our SPI.
        spi: u32,
    },
    /// Sends no more with this SPI; the newest of those left serves instead.
    RemoveOutbound {
        /// The peer.
        peer: Key,
        /// The peer's SPI.
        spi: u32,
    },
    /// Forgets a peer with all its SAs, sessions and waiting messages.
    RemovePeer {
        /// The peer.
        peer: Key,
    },
    /// Sends to another address from now on.
    MovePath {
        /// The peer.
        peer: Key,
        /// Where it is.
        path: Path,
        /// How ESP travels to it.
        encap: Encap,
    },
    /// Allows an outbound SA to use the numbers below `until`.
    Reserve {
        /// The peer.
        peer: Key,
        /// The peer's SPI.
        spi: u32,
        /// A record that resumes here is stored.
        until: u64,
    },
    /// Listens for plain L2TP from these addresses and no others; none at the start.
    TrustLacs {
        /// Where LACs may be.
        sources: Vec<IpNet>,
    },
    /// A LAC speaks to us without IPsec: its packets are told from those of others by the path.
    OpenLac {
        /// The LAC.
        lac: LacKey,
        /// Where it is; this never changes.
        path: Path,
    },
    /// Forgets a LAC with all its sessions.
    CloseLac {
        /// The LAC.
        lac: LacKey,
    },
    /// Sends a complete L2TP packet to a LAC, in the clear.
    SendPlain {
        /// The LAC.
        lac: LacKey,
        /// The packet from the L2TP flags on.
        bytes: Vec<u8>,
    },
    /// Opens a session, or changes what an open one was opened with.
    OpenSession(SessionParams),
    /// Closes a session.
    CloseSession {
        /// The session.
        session: Key,
    },
    /// Leads a session's packets to a device of its own from now on, or to its tenant's again.
    SetDevice {
        /// The session.
        session: Key,
        /// Whether it has one.
        own: bool,
    },
    /// Lets an IP packet out of a session, as if its peer had sent it; it counts as none of the peer's.
    SendInner {
        /// The session.
        session: Key,
        /// The packet; its source has to be one that the peer may send from.
        packet: Vec<u8>,
    },
    /// Sends a complete L2TP packet: a control message, or a PPP frame behind a data header. Messages
    /// of one peer leave in order; without an outbound SA they wait for one.
    SendL2tp {
        /// The peer.
        peer: Key,
        /// Our UDP port.
        local_port: u16,
        /// The peer's UDP port.
        remote_port: u16,
        /// The packet from the L2TP flags on.
        bytes: Vec<u8>,
    },
    /// Sends an IKE message.
    SendIke {
        /// Whose it is, once that is known: it leaves after what was commanded about this peer before.
        peer: Option<Key>,
        /// Where to.
        path: Path,
        /// Whether it leaves port 4500 behind the non-ESP marker, which is added here.
        marked: bool,
        /// The message from the initiator cookie on.
        bytes: Vec<u8>,
    },
    /// Sends a NAT-keepalive (RFC 3948 §2.3).
    SendKeepalive {
        /// Where to.
        path: Path,
    },
    /// Answers with [`Report::Carried`](crate::Report::Carried), if the session is open.
    ReadSession {
        /// The session.
        session: Key,
    },
    /// Answers with [`Report::Counters`](crate::Report::Counters).
    ReadCounters {
        /// Comes back in the answer.
        token: u64,
        /// Those of each session and SA as well, of which there may be tens of thousands.
        each: bool,
    },
}

/// Which of several pipelines a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Each of them.
    Everybody,
    /// The one that has the lane of this key.
    Owner(Key),
    /// The first, which hears what is for nobody in particular.
    First,
}

impl Command {
    /// Who must carry it out.
    pub const fn audience(&self) -> Audience {
        match self {
            Self::TrustLacs { .. }
            | Self::OpenSession(_)
            | Self::CloseSession { .. }
            | Self::ReadCounters { .. } => Audience::Everybody,
            Self::InstallInbound(InstallInbound { peer, .. })
            | Self::InstallOutbound(InstallOutbound { peer, .. })
            | Self::RemoveOutbound { peer, .. }
            | Self::RemovePeer { peer }
            | Self::MovePath { peer, .. }
            | Self::Reserve { peer, .. }
            | Self::SendL2tp { peer, .. }
            | Self::SendIke { peer: Some(peer), .. } => Audience::Owner(*peer),
            Self::ReadSession { session }
            | Self::SendInner { session, .. }
            | Self::SetDevice { session, .. } => Audience::Owner(*session),
            Self::RemoveInbound { spi } => Audience::Owner(Key::from_raw(*spi)),
            Self::OpenLac { lac, .. } | Self::CloseLac { lac } | Self::SendPlain { lac, .. } => {
                Audience::Owner(lac.0)
            }
            Self::SendIke { peer: None, .. } | Self::SendKeepalive { .. } => Audience::First,
        }
    }
}

/// An inbound SA.
#[derive(Clone, Debug)]
pub struct InstallInbound {
    /// The peer it belongs to.
    pub peer: Key,
    /// The SA. Its SPI is the raw value of a key, so that it leads straight to the SA.
    pub sa: InboundRecord,
    /// Where the peer is; for a peer seen first. A known peer is moved by [`Command::MovePath`] or by
    /// its own packets.
    pub path: Path,
    /// How ESP travels; for a peer seen first.
    pub encap: Encap,
    /// The UDP port that L2TP is taken on (1701 for a gateway); 0 takes any.
    pub local_port: u16,
}

impl InstallInbound {
    /// An SA fresh from the negotiation, for L2TP on any port.
    pub const fn fresh(peer: Key, params: SaParams, path: Path, encap: Encap) -> Self {
        let counters = isthmus_esp::Counters { packets: 0, bytes: 0 };
        let sa = InboundRecord { params, top: 0, counters };
        Self { peer, sa, path, encap, local_port: 0 }
    }
}

/// An outbound SA.
#[derive(Clone, Debug)]
pub struct InstallOutbound {
    /// The peer it belongs to.
    pub peer: Key,
    /// The SA; its first packet gets the number `resume_at`.
    pub sa: OutboundRecord,
    /// The numbers below this one may be used, because a record that resumes there is stored;
    /// [`Command::Reserve`] allows more. None when nobody keeps records.
    pub reserved_until: Option<u64>,
    /// Where the peer is; for a peer seen first.
    pub path: Path,
    /// How ESP travels; for a peer seen first.
    pub encap: Encap,
}

impl InstallOutbound {
    /// An SA fresh from the negotiation, of which nobody keeps records.
    pub const fn fresh(peer: Key, params: SaParams, path: Path, encap: Encap) -> Self {
        let counters = isthmus_esp::Counters { packets: 0, bytes: 0 };
        let sa = OutboundRecord { params, resume_at: 1, counters };
        Self { peer, sa, reserved_until: None, path, encap }
    }
}

/// A session: how its packets are recognised, checked, addressed and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionParams {
    /// The name control has for it.
    pub session: Key,
    /// Who carries it.
    pub peer: PeerRef,
    /// Our tunnel id.
    pub local_tunnel: u16,
    /// Our session id.
    pub local_session: u16,
    /// The peer's tunnel id.
    pub remote_tunnel: u16,
    /// The peer's session id.
    pub remote_session: u16,
    /// Our UDP port.
    pub local_port: u16,
    /// The peer's UDP port.
    pub remote_port: u16,
    /// The Ns of the first data message, when both ends agreed on sequence numbers. From here on the
    /// pipeline counts, renumbers the PPP frames it gets by [`Command::SendL2tp`] and
    /// [`Command::SendPlain`], and puts messages that come early back into their place.
    pub sequence: Option<u16>,
    /// The TUN device behind the session.
    pub tun: TunId,
    /// What the peer may send from.
    pub sources: Vec<IpNet>,
    /// What is sent to the peer.
    pub destinations: Vec<IpNet>,
    /// How fast packets pass; what comes faster is dropped.
    pub rates: Rates,
    /// Longest inner packet to the peer in bytes; for IPv6 never taken as less than 1280.
    pub mtu: u16,
    /// Whether the address and control fields of data frames are left out (RFC 1661 §6.6).
    pub acfc: bool,
    /// Whether the protocol field of data frames takes one byte (RFC 1661 §6.5).
    pub pfc: bool,
    /// Our address on the link: a DHCP client that has a lease asks it (RFC 2131 §4.3.6), a DHCP server
    /// answers to it.
    pub gateway_v4: Option<Ipv4Addr>,
    /// The addresses of the IPv6 link, when IPV6CP has agreed on them: what stays on the link goes to control
    /// when it is neighbour discovery or `DHCPv6`, and nowhere otherwise.
    pub ipv6_link: Option<Ipv6Link>,
    /// Whether IPv4 datagrams for a DHCP server or client (RFC 2131) that are broadcast or for our own
    /// address go to control instead of the TUN device.
    pub dhcp: bool,
}
