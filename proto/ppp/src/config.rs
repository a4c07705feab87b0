//! What a link is told when it is made.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use isthmus_core::{Duration, SecretBytes};
use serde::{Deserialize, Serialize};

use crate::habits::Habits;
use crate::iana::{Protocol, chap_algorithm};

/// The configuration of one link; shared and immutable.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Which end we are.
    pub role: Role,
    /// Largest packet we take, in bytes, told to the peer; 128 to 1500 (RFC 1661 §6.1).
    pub mru: u16,
    /// Whether IPv6 is wanted (RFC 5072); without it IPV6CP is answered with Protocol-Reject.
    pub ipv6: bool,
    /// How a silent peer is noticed; none to never probe.
    pub echo: Option<Echo>,
    /// Intervals and counts.
    pub timing: Timing,
    /// How we speak as client.
    pub habits: Habits,
}

impl LinkConfig {
    /// A configuration with an MRU of 1400 bytes, no IPv6, probes every 30 s and the RFC's timing.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            mru: 1400,
            ipv6: false,
            echo: Some(Echo::default()),
            timing: Timing::default(),
            habits: Habits::default(),
        }
    }
}

/// Which end of the link we are.
#[derive(Clone, Debug)]
pub enum Role {
    /// The end that is dialled into: LAC or dial-in client.
    Client(ClientConfig),
    /// The end that authenticates and assigns addresses: LNS.
    Server(ServerConfig),
}

/// The server role.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Protocols we accept, the preferred one first. Empty refuses everybody.
    pub auth: Vec<AuthProtocol>,
    /// Our name in challenges; at most [`NAME_MAX`](crate::NAME_MAX) bytes are used.
    pub name: Vec<u8>,
    /// Our address on the link.
    pub local_address: Ipv4Addr,
    /// How many more attempts an MS-CHAPv2 client gets on the same link after a wrong password; at
    /// most [`AUTH_RETRIES_MAX`](crate::AUTH_RETRIES_MAX).
    pub auth_retries: u8,
}

/// The client role.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The name sent to the server, with its `DOMAIN\` prefix if it has one.
    pub user: Vec<u8>,
    /// The password in UTF-8.
    pub password: SecretBytes,
    /// Protocols we let the server use, the preferred one first.
    pub auth: Vec<AuthProtocol>,
    /// Whether a server that does not ask who we are is refused. MS-CHAPv2 is also how the server
    /// proves itself, so that an impostor who skips it must not get through.
    pub require_auth: bool,
    /// The address we would like; the server decides.
    pub address: Option<Ipv4Addr>,
    /// Whether to ask for name servers.
    pub request_dns: bool,
}

/// Probing of a silent peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Time without any sign of life after which a probe is sent.
    pub interval: Duration,
    /// Probes without an answer after which the peer is gone.
    pub failures_max: u8,
}

impl Default for Echo {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), failures_max: 4 }
    }
}

/// Intervals and counts (RFC 1661 §4.6 for the first four).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Restart timer: how long to wait for an answer before asking again.
    pub restart: Duration,
    /// Max-Configure, also the number of challenges and responses sent.
    pub configure_max: u8,
    /// Max-Terminate.
    pub terminate_max: u8,
    /// Max-Failure: Naks before disputed options are rejected.
    pub failure_max: u8,
    /// How long a verdict may take.
    pub verdict: Duration,
    /// How long everything from the first packet to the network may take.
    pub establish: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            restart: Duration::from_secs(3),
            configure_max: 10,
            terminate_max: 2,
            failure_max: 5,
            verdict: Duration::from_secs(30),
            establish: Duration::from_secs(90),
        }
    }
}

/// An authentication protocol we can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AuthProtocol {
    /// CHAP with MD5 (RFC 1994).
    ChapMd5,
    /// EAP (RFC 3748) with MS-CHAPv2 as its method.
    EapMsChapV2,
    /// MS-CHAPv2 (RFC 2759).
    MsChapV2,
    /// PAP (RFC 1334).
    Pap,
}

impl AuthProtocol {
    /// Every protocol, the strongest first.
    pub const ALL: [Self; 4] = [Self::MsChapV2, Self::EapMsChapV2, Self::ChapMd5, Self::Pap];

    /// The name people write in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChapMd5 => "chap",
            Self::EapMsChapV2 => "eap-mschapv2",
            Self::MsChapV2 => "mschapv2",
            Self::Pap => "pap",
        }
    }

    /// The protocol with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// The protocol number its packets carry.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::ChapMd5 | Self::MsChapV2 => Protocol::CHAP,
            Self::EapMsChapV2 => Protocol::EAP,
            Self::Pap => Protocol::PAP,
        }
    }

    /// The value of the LCP Authentication-Protocol option (RFC 1661 §6.2).
    pub(crate) fn option_value(self) -> Vec<u8> {
        let mut value = self.protocol().0.to_be_bytes().to_vec();
        match self {
            Self::ChapMd5 => value.push(chap_algorithm::MD5),
            Self::MsChapV2 => value.push(chap_algorithm::MS_CHAP_V2),
            Self::EapMsChapV2 | Self::Pap => {}
        }
        value
    }

    /// The protocol with this option value.
    pub(crate) fn from_option_value(value: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.option_value() == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_protocols_have_the_values_of_their_rfcs() {
        assert_eq!(AuthProtocol::Pap.option_value(), [0xc0, 0x23]);
        assert_eq!(AuthProtocol::ChapMd5.option_value(), [0xc2, 0x23, 0x05]);
        assert_eq!(AuthProtocol::EapMsChapV2.option_value(), [0xc2, 0x27]);
        assert_eq!(AuthProtocol::MsChapV2.option_value(), [0xc2, 0x23, 0x81]);
        for protocol in AuthProtocol::ALL {
            assert_eq!(AuthProtocol::from_option_value(&protocol.option_value()), Some(protocol));
            assert_eq!(AuthProtocol::from_name(protocol.name()), Some(protocol));
        }
    }

    #[test]
    fn ms_chap_version_1_is_not_ours() {
        assert_eq!(AuthProtocol::from_option_value(&[0xc2, 0x23, 0x80]), None);
        assert_eq!(AuthProtocol::from_option_value(&[0xc2, 0x23]), None);
    }
}
