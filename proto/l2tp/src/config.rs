//! How an endpoint behaves.

use alloc::vec::Vec;

use isthmus_core::{Duration, SecretBytes};

use crate::avp::{Avp, Bounded};
use crate::bounds::{HOST_NAME_MAX, SESSIONS_MAX, TUNNELS_MAX, VENDOR_NAME_MAX};
use crate::dialect::Dialect;
use crate::iana::{Bearer, Framing, PROTOCOL_VERSION};

/// Which end of the tunnel we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The client's end: it opens tunnels and asks for calls.
    Lac,
    /// The network's end: it accepts tunnels and calls.
    Lns,
}

/// How an endpoint behaves; shared by all endpoints of a gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which end we are.
    pub role: Role,
    /// Our host name in SCCRP; a LAC's stands in its dialect.
    pub host_name: Bounded<HOST_NAME_MAX>,
    /// Our vendor name in SCCRP.
    pub vendor_name: Bounded<VENDOR_NAME_MAX>,
    /// Our firmware revision in SCCRP.
    pub firmware: u16,
    /// Our receive window in SCCRP, in messages; at most [`PARKED_MAX`](crate::bounds::PARKED_MAX)
    /// makes sense.
    pub window: u16,
    /// Silence after which a HELLO asks whether the peer lives.
    pub hello_interval: Duration,
    /// Time for a tunnel or a call to come up.
    pub establish_timeout: Duration,
    /// Time a tunnel may be without sessions.
    pub idle_timeout: Duration,
    /// Most tunnels of a peer; [`TUNNELS_MAX`] bounds it.
    pub tunnels_max: usize,
    /// Most sessions of a peer; [`SESSIONS_MAX`] bounds it.
    pub sessions_max: usize,
    /// The tunnel secret. With one, the peer must prove that it knows it: Apple and Android cannot.
    pub secret: Option<SecretBytes>,
    /// Hide what may be hidden in all messages but SCCRQ; needs the secret.
    pub hide: bool,
    /// Put a tie breaker into SCCRQ: of two tunnels opened at once, only one stays.
    pub tie_breaker: bool,
    /// What a LAC's messages look like.
    pub dialect: Dialect,
}

impl Config {
    /// A server with the defaults of this project.
    pub fn lns(host_name: &[u8]) -> Self {
        Self {
            role: Role::Lns,
            host_name: Bounded::clipped(host_name),
            vendor_name: Bounded::clipped(b"Isthmus"),
            firmware: 0x0100,
            window: 8,
            hello_interval: Duration::from_mins(1),
            establish_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_mins(1),
            tunnels_max: 4,
            sessions_max: 16,
            secret: None,
            hide: false,
            tie_breaker: false,
            dialect: Dialect::isthmus(host_name),
        }
    }

    /// A client that speaks `dialect`.
    pub fn lac(host_name: &[u8], dialect: Dialect) -> Self {
        Self { role: Role::Lac, dialect, ..Self::lns(host_name) }
    }

    /// Most tunnels, bounded.
    pub(crate) fn tunnel_limit(&self) -> usize {
        self.tunnels_max.min(TUNNELS_MAX)
    }

    /// Most sessions, bounded.
    pub(crate) fn session_limit(&self) -> usize {
        self.sessions_max.min(SESSIONS_MAX)
    }

    /// What SCCRP says of us, but for ids and authentication; `short` is without what nobody needs.
    pub(crate) fn greeting(&self, tunnel: u16, short: bool) -> Vec<Avp> {
        let mut avps = alloc::vec![
            Avp::ProtocolVersion(PROTOCOL_VERSION),
            Avp::FramingCapabilities(Framing::BOTH),
            Avp::BearerCapabilities(Bearer::NONE),
            Avp::FirmwareRevision(self.firmware),
            Avp::HostName(self.host_name.clone()),
            Avp::VendorName(self.vendor_name.clone()),
            Avp::AssignedTunnelId(tunnel),
            Avp::ReceiveWindowSize(self.window.max(1)),
        ];
        let is_needless = |avp: &Avp| {
            matches!(
                avp,
                Avp::BearerCapabilities(_) | Avp::FirmwareRevision(_) | Avp::VendorName(_)
            )
        };
        avps.retain(|avp| !(short && is_needless(avp)));
        avps
    }
}
