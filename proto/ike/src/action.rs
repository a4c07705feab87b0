//! What an endpoint wants done, and what it has to say.

use alloc::vec::Vec;
use core::fmt;

use isthmus_core::{Encap, Key, Path};
use isthmus_crypto::{CryptoError, EspKeys, EspSuite, Job, Untrusted};
use serde::{Deserialize, Serialize};

use crate::child::Child;
use crate::config::PskId;
use crate::iana::NotifyType;
use crate::identity::Identity;
use crate::nat::NatStatus;
use crate::proposal::{IkeProposal, OfferedIke};
use crate::suite::{Lifetime, OfferedEsp};
use crate::vendor::Vendors;

/// Names the far end of one or more IKE SAs for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(pub Key);

/// Names a computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Something to do, in order: a responder installs the inbound SA before the reply that lets the
/// peer use it.
#[derive(Clone, Debug)]
pub enum Action {
    /// Both directions of a child are installed.
    ChildUp(ChildUp),
    /// A connection attempt failed.
    Failed(Failure),
    /// Send a keepalive octet (RFC 3948 §2.3).
    Keepalive {
        /// Where to.
        path: Path,
    },
    /// Accept ESP under this SPI.
    InstallInbound(InstallInbound),
    /// Send ESP under this SPI from here on.
    InstallOutbound(InstallOutbound),
    /// Compute, and bring the result to `handle_job`.
    Offload {
        /// Names the job.
        id: JobId,
        /// The work.
        job: Job,
    },
    /// An authenticated message showed that the peer is reached elsewhere.
    PathMoved {
        /// The peer.
        peer: PeerId,
        /// Where it is reached.
        path: Path,
        /// How ESP travels.
        encap: Encap,
    },
    /// The peer is gone with everything that belongs to it.
    PeerDown {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// A new IKE SA took over from an older one of the same peer.
    PeerRekeyed {
        /// The peer.
        peer: PeerId,
    },
    /// A peer was authenticated.
    PeerUp(PeerUp),
    /// Forget an inbound SA.
    RemoveInbound {
        /// The peer it belonged to.
        peer: PeerId,
        /// Its SPI.
        spi: u32,
    },
    /// Forget an outbound SA.
    RemoveOutbound {
        /// The peer it belonged to.
        peer: PeerId,
        /// Its SPI.
        spi: u32,
    },
    /// Send a datagram.
    Transmit {
        /// Whose IKE SA it is of, once that is known: what was said of this peer before must be done
        /// first.
        peer: Option<PeerId>,
        /// Where to.
        path: Path,
        /// Put the non-ESP marker in front (RFC 3948 §2.2): the path is one of port 4500.
        marked: bool,
        /// The message.
        bytes: Vec<u8>,
    },
}

/// A peer was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUp {
    /// The peer.
    pub peer: PeerId,
    /// Where it is reached.
    pub path: Path,
    /// How its ESP is going to travel.
    pub encap: Encap,
    /// Who it says it is.
    pub identity: Identity,
    /// The key it has; for connections of our own, zero.
    pub psk: PskId,
    /// Who is behind a NAT.
    pub nat: NatStatus,
    /// Algorithms of the IKE SA.
    pub proposal: IkeProposal,
    /// What it announced about itself.
    pub vendors: Vendors,
    /// We started the connection.
    pub initiator: bool,
}

/// Accept ESP under this SPI.
#[derive(Clone, Debug)]
pub struct InstallInbound {
    /// The peer it comes from.
    pub peer: PeerId,
    /// Our SPI; the raw value of a key, so its slot is dense.
    pub spi: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// Keys.
    pub keys: EspKeys,
    /// How it travels.
    pub encap: Encap,
    /// Where the peer is.
    pub path: Path,
    /// When to tell `soft_limit`.
    pub lifetime: Lifetime,
}

/// Send ESP under this SPI.
#[derive(Clone, Debug)]
pub struct InstallOutbound {
    /// The peer it goes to.
    pub peer: PeerId,
    /// The peer's SPI.
    pub spi: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// Keys.
    pub keys: EspKeys,
    /// How it travels.
    pub encap: Encap,
    /// Where the peer is.
    pub path: Path,
    /// Our UDP port in the selectors; 0 for any.
    pub local_port: u16,
    /// The peer's UDP port in the selectors; 0 for any.
    pub remote_port: u16,
    /// When to tell `soft_limit`.
    pub lifetime: Lifetime,
}

/// Both directions of a child are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildUp {
    /// The peer.
    pub peer: PeerId,
    /// Our SPI.
    pub inbound: u32,
    /// The peer's SPI.
    pub outbound: u32,
    /// Algorithms.
    pub suite: EspSuite,
    /// How it travels.
    pub encap: Encap,
    /// Our UDP port in the selectors; 0 for any.
    pub local_port: u16,
    /// The peer's UDP port in the selectors; 0 for any.
    pub remote_port: u16,
    /// It takes over from an older child with the same selectors.
    pub rekeyed: bool,
}

impl InstallInbound {
    pub(crate) fn of(peer: PeerId, child: &Child, path: Path) -> Self {
        Self {
            peer,
            spi: child.inbound,
            suite: child.suite,
            keys: child.keys_in.clone(),
            encap: child.encap,
            path,
            lifetime: child.lifetime,
        }
    }
}

impl InstallOutbound {
    pub(crate) fn of(peer: PeerId, child: &Child, path: Path) -> Self {
        Self {
            peer,
            spi: child.outbound,
            suite: child.suite,
            keys: child.keys_out.clone(),
            encap: child.encap,
            path,
            local_port: child.selectors.local_port,
            remote_port: child.selectors.remote_port,
            lifetime: child.lifetime,
        }
    }
}

impl ChildUp {
    pub(crate) const fn of(peer: PeerId, child: &Child, rekeyed: bool) -> Self {
        Self {
            peer,
            inbound: child.inbound,
            outbound: child.outbound,
            suite: child.suite,
            encap: child.encap,
            local_port: child.selectors.local_port,
            remote_port: child.selectors.remote_port,
            rekeyed,
        }
    }
}

/// Why a peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DownReason {
    /// We closed it.
    Closed,
    /// It has had no child for too long.
    Childless,
    /// It does not answer.
    Dead,
    /// It deleted its SAs.
    Deleted,
    /// Its SAs expired.
    Expired,
    /// It started afresh.
    InitialContact,
    /// Its quick mode failed and it has no child.
    QuickModeFailed,
}

impl DownReason {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Childless => "childless",
            Self::Dead => "dead",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
            Self::InitialContact => "initial_contact",
            Self::QuickModeFailed => "quick_mode_failed",
        }
    }
}

/// A connection attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The peer, where there is one already; after a failed `connect` its id means nothing any more.
    pub peer: Option<PeerId>,
    /// Where it is or was.
    pub path: Path,
    /// How far it came.
    pub stage: Stage,
    /// What was wrong.
    pub cause: FailureCause,
    /// We had started the exchange.
    pub initiator: bool,
    /// What else is known of the attempt, as far as it came.
    pub facts: Facts,
}

/// What is known of an attempt besides its end; it helps to guess what is in the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the peer announced about itself.
    pub vendors: Vendors,
    /// Who is behind a NAT; known from message 3 on.
    pub nat: Option<NatStatus>,
    /// The peer's messages came with the non-ESP marker, on the port of NAT traversal.
    pub marked: bool,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Messages 1 and 2 of main mode, message 1 of aggressive mode.
    Proposal,
    /// Messages 3 and 4 of main mode; message 2 of aggressive mode, until message 3 comes.
    KeyExchange,
    /// Messages 5 and 6 of main mode, message 3 of aggressive mode.
    Authentication,
    /// Quick mode.
    QuickMode,
}

impl Stage {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::KeyExchange => "key_exchange",
            Self::Authentication => "authentication",
            Self::QuickMode => "quick_mode",
        }
    }
}

/// What was wrong with an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// The message decrypts, but its HASH is wrong.
    AuthenticationFailed,
    /// The key exchange value is unacceptable.
    BadKeyExchange(CryptoError),
    /// The peer has a key, but says it is someone whom that key is not for; or there is no key for
    /// its address.
    IdentityNotAllowed(Identity),
    /// Selectors that are not one host's UDP.
    InvalidSelectors,
    /// No ESP proposal in common.
    NoEspProposal {
        /// What the initiator offered.
        offered: Vec<OfferedEsp>,
        /// What we accept.
        ours: Vec<EspSuite>,
    },
    /// No IKE proposal in common.
    NoIkeProposal {
        /// What the initiator offered.
        offered: Vec<OfferedIke>,
        /// What we accept.
        ours: Vec<IkeProposal>,
    },
    /// The peer says this. In phase 1 nothing proves that it was the peer.
    PeerNotify(NotifyType),
    /// No answer.
    Timeout,
    /// In aggressive mode: no group and no key goes by the name that the peer says it has.
    UnknownGroup(Identity),
    /// The peer's certificates, or what it signed with them, are not believed.
    Untrusted(Untrusted),
    /// The first encrypted message is garbled, or in aggressive mode the hash is wrong: the keys
    /// differ.
    WrongPsk,
}

impl FailureCause {
    /// The metric label.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::AuthenticationFailed => "authentication_failed",
            Self::BadKeyExchange(_) => "bad_key_exchange",
            Self::IdentityNotAllowed(_) => "identity_not_allowed",
            Self::InvalidSelectors => "invalid_selectors",
            Self::NoEspProposal { .. } => "no_esp_proposal",
            Self::NoIkeProposal { .. } => "no_ike_proposal",
            Self::PeerNotify(_) => "peer_notify",
            Self::Timeout => "timeout",
            Self::UnknownGroup(_) => "unknown_group",
            Self::Untrusted(_) => "untrusted",
            Self::WrongPsk => "wrong_psk",
        }
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthenticationFailed => f.write_str("authentication failed"),
            Self::BadKeyExchange(error) => write!(f, "bad key exchange: {error}"),
            Self::IdentityNotAllowed(identity) => {
                write!(f, "the pre-shared key is not for {identity}")
            }
            Self::InvalidSelectors => f.write_str("unacceptable quick mode selectors"),
            Self::NoEspProposal { offered, ours } => {
                f.write_str("no ESP proposal in common; offered: ")?;
                list(f, offered)?;
                f.write_str("; accepted: ")?;
                list(f, ours)
            }
            Self::NoIkeProposal { offered, ours } => {
                f.write_str("no IKE proposal in common; offered: ")?;
                list(f, offered)?;
                f.write_str("; accepted: ")?;
                list(f, ours)
            }
            Self::PeerNotify(notify) => write!(f, "the peer answered {notify}"),
            Self::Timeout => f.write_str("no answer"),
            Self::UnknownGroup(identity) => {
                write!(f, "no group or key for {identity} in aggressive mode")
            }
            Self::Untrusted(why) => write!(f, "{why}"),
            Self::WrongPsk => f.write_str("the pre-shared keys differ"),
        }
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
    }
    if items.is_empty() { f.write_str("none") } else { Ok(()) }
}
