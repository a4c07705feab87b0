//! What an endpoint asks its owner to do, and the reasons it gives.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::avp::{Bounded, CauseCode, ResultCode};
use crate::body::{ProxyAuth, ProxyLcp};
use crate::bounds::{GROUP_ID_MAX, HOST_NAME_MAX, NUMBER_MAX, VENDOR_NAME_MAX};
use crate::error::PeerError;
use crate::iana::{CallCode, ErrorCode, Framing, StopCode};

/// Our id of a tunnel, never 0; unique in its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TunnelId(pub u16);

/// Our id of a session, never 0; unique in its endpoint, not only in its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u16);

/// Our ids of a session, as data messages towards us carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionRef {
    /// The tunnel.
    pub tunnel: TunnelId,
    /// The session.
    pub session: SessionId,
}

/// What must be done, in this order.
///
/// As LNS, [`Action::SessionUp`] stands before the acknowledgement that lets the client send. As LAC,
/// it stands behind the ICCN. A CDN or `StopCCN` of ours stands before the [`Action::SessionDown`] and
/// [`Action::TunnelDown`] it causes; the acknowledgement of the peer's stands behind them. Sessions
/// go down before their tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The peer sends from another port; data goes there too.
    PortMoved {
        /// The tunnel.
        tunnel: TunnelId,
        /// The peer's UDP port.
        to_port: u16,
    },
    /// We refused a tunnel or session; for logs.
    Refused(Refused),
    /// A session is gone. It comes once for every session that was up or was named by a command.
    SessionDown {
        /// The session.
        session: SessionRef,
        /// Why.
        reason: DownReason,
    },
    /// A session is up: data may flow.
    SessionUp(Box<SessionUp>),
    /// Send a control message.
    Transmit {
        /// The peer's UDP port.
        to_port: u16,
        /// The L2TP message.
        bytes: Vec<u8>,
    },
    /// A tunnel is gone. It comes once for every tunnel that was up or was named by a command.
    TunnelDown {
        /// The tunnel.
        tunnel: TunnelId,
        /// Why.
        reason: DownReason,
    },
    /// A tunnel is up.
    TunnelUp(TunnelUp),
}

/// A tunnel that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelUp {
    /// Our id.
    pub tunnel: TunnelId,
    /// The peer's id.
    pub remote_tunnel: u16,
    /// The peer's UDP port.
    pub to_port: u16,
    /// Host name as the peer gave it, without trailing NULs; any bytes.
    pub peer_host: Bounded<HOST_NAME_MAX>,
    /// Vendor name as the peer gave it; any bytes.
    pub peer_vendor: Bounded<VENDOR_NAME_MAX>,
    /// Whether we asked for the tunnel.
    pub initiator: bool,
}

/// A session that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionUp {
    /// Our ids.
    pub session: SessionRef,
    /// The peer's tunnel id: goes into our data headers.
    pub remote_tunnel: u16,
    /// The peer's session id: goes into our data headers.
    pub remote_session: u16,
    /// The peer's UDP port.
    pub to_port: u16,
    /// Data messages must carry sequence numbers.
    pub send_sequence: bool,
    /// Host name as the peer gave it; any bytes.
    pub peer_host: Bounded<HOST_NAME_MAX>,
    /// Names the call in both ends' logs.
    pub serial: u32,
    /// Who called; any bytes.
    pub calling: Bounded<NUMBER_MAX>,
    /// Who was called; any bytes.
    pub called: Bounded<NUMBER_MAX>,
    /// The call's framing, when said.
    pub framing: Option<Framing>,
    /// Bits per second towards the client as the LAC says; Windows says 100000000.
    pub tx_speed: u32,
    /// Bits per second from the client, when the LAC says something else.
    pub rx_speed: Option<u32>,
    /// To which customer the LAC says the call belongs.
    pub group: Option<Bounded<GROUP_ID_MAX>>,
    /// LCP that the LAC negotiated already.
    pub proxy_lcp: Option<Box<ProxyLcp>>,
    /// Authentication that the LAC did already.
    pub proxy_auth: Option<Box<ProxyAuth>>,
}

/// A refusal of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was refused: a session of this tunnel, or a tunnel.
    pub tunnel: Option<TunnelId>,
    /// The peer's UDP port.
    pub port: u16,
    /// Why.
    pub error: PeerError,
    /// What the peer was told.
    pub told: ResultCode,
}

/// Why we close; given by a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// An operator or a policy says so.
    Administrative,
    /// PPP has ended in good order.
    Ended,
    /// Nothing is left for it: addresses, memory.
    NoResources,
    /// The program ends.
    Shutdown,
}

impl CloseReason {
    /// What a `StopCCN` says.
    pub fn stop_result(self) -> ResultCode {
        match self {
            Self::Administrative | Self::Ended => {
                ResultCode::stop(StopCode::GENERAL_REQUEST, ErrorCode::NONE)
            }
            Self::NoResources => ResultCode::stop(StopCode::GENERAL_ERROR, ErrorCode::NO_RESOURCES),
            Self::Shutdown => ResultCode::stop(StopCode::SHUTTING_DOWN, ErrorCode::NONE),
        }
    }

    /// What a CDN says.
    pub fn call_result(self) -> ResultCode {
        match self {
            Self::Administrative | Self::Shutdown => {
                ResultCode::call(CallCode::ADMINISTRATIVE, ErrorCode::NONE)
            }
            Self::Ended => ResultCode::call(CallCode::LOST_CARRIER, ErrorCode::NONE),
            Self::NoResources => {
                ResultCode::call(CallCode::NO_FACILITIES_NOW, ErrorCode::NO_RESOURCES)
            }
        }
    }

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Administrative => "administrative",
            Self::Ended => "ended",
            Self::NoResources => "no_resources",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Why a tunnel or session is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// A command of ours.
    Closed(CloseReason),
    /// More messages wait for the peer than we keep.
    Congested,
    /// A tunnel without sessions.
    Idle,
    /// It did not come up in time.
    NotEstablished,
    /// The peer's CDN.
    PeerDisconnected {
        /// What it says.
        result: ResultCode,
        /// Why the telephone call ended.
        cause: Option<CauseCode>,
    },
    /// The peer broke the protocol and was told.
    PeerError(PeerError),
    /// The peer did not acknowledge in a full retransmission cycle.
    PeerSilent,
    /// The peer's `StopCCN`.
    PeerStopped(ResultCode),
    /// The peer began anew with the same id.
    Replaced,
    /// The peer's own tunnel takes the place of this one (RFC 2661 §4.4.3, Tie Breaker).
    TieBreakerLost,
}

impl DownReason {
    /// The metric label.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Closed(reason) => reason.label(),
            Self::Congested => "congested",
            Self::Idle => "idle",
            Self::NotEstablished => "not_established",
            Self::PeerDisconnected { .. } => "peer_disconnected",
            Self::PeerError(error) => error.label(),
            Self::PeerSilent => "peer_silent",
            Self::PeerStopped(_) => "peer_stopped",
            Self::Replaced => "replaced",
            Self::TieBreakerLost => "tie_breaker_lost",
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerDisconnected { result, cause } => {
                write!(f, "the peer disconnected the call: {}", CallCode(result.code))?;
                write_rest(result, f)?;
                cause.as_ref().map_or(Ok(()), |c| write!(f, ", Q.931 cause {}", c.cause))
            }
            Self::PeerStopped(result) => {
                write!(f, "the peer stopped the tunnel: {}", StopCode(result.code))?;
                write_rest(result, f)
            }
            Self::PeerError(error) => write!(f, "protocol error: {error}"),
            Self::Closed(_)
            | Self::Congested
            | Self::Idle
            | Self::NotEstablished
            | Self::PeerSilent
            | Self::Replaced
            | Self::TieBreakerLost => f.write_str(self.label()),
        }
    }
}

fn write_rest(result: &ResultCode, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(error) = result.error.filter(|&error| error != ErrorCode::NONE) {
        write!(f, ", error {error}")?;
    }
    if !result.message.is_empty() {
        write!(f, ", {:?}", result.message)?;
    }
    Ok(())
}
