//! Why a frame was not taken, and why a link is down.

use core::fmt;

use isthmus_wire::DecodeError;

/// Why an input was refused. Whatever the variant, the link is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The same credentials again while the verdict on them is still awaited.
    AlreadyAsked,
    /// A Configure-Ack that does not repeat our request byte for byte (RFC 1661 §5.2).
    AlteredAck,
    /// A Configure-Reject with options we did not send (RFC 1661 §5.4).
    AlteredReject,
    /// The link is down for good.
    LinkDown,
    /// Our own echo came back: the magic number is ours (RFC 1661 §5.8).
    LoopedBack,
    /// The bytes are not a message.
    Malformed(DecodeError),
    /// An IP packet; those belong to the data plane, and only while the network is up.
    NetworkData,
    /// The protocol has nothing to say in this phase (RFC 1661 §3.4 to §3.7) or is not the
    /// authentication protocol agreed on.
    OutOfPhase,
    /// A message of the right protocol that answers nothing we sent, such as a Success before any
    /// Response.
    OutOfState,
    /// A protocol we do not speak, after [`PROTOCOL_REJECTS_MAX`](crate::PROTOCOL_REJECTS_MAX) answers
    /// to the like within a short time.
    RejectedOften,
    /// A verdict on a login that is over.
    StaleVerdict,
    /// A code that the other role sends, or that does not exist.
    UnexpectedCode,
    /// The identifier is not that of the outstanding request.
    UnexpectedId,
}

impl Rejected {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AlreadyAsked => "already_asked",
            Self::AlteredAck => "altered_ack",
            Self::AlteredReject => "altered_reject",
            Self::LinkDown => "link_down",
            Self::LoopedBack => "looped_back",
            Self::Malformed(_) => "malformed",
            Self::NetworkData => "network_data",
            Self::OutOfPhase => "out_of_phase",
            Self::OutOfState => "out_of_state",
            Self::RejectedOften => "rejected_often",
            Self::StaleVerdict => "stale_verdict",
            Self::UnexpectedCode => "unexpected_code",
            Self::UnexpectedId => "unexpected_id",
        }
    }
}

impl From<DecodeError> for Rejected {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "malformed: {error}"),
            Self::AlreadyAsked
            | Self::AlteredAck
            | Self::AlteredReject
            | Self::LinkDown
            | Self::LoopedBack
            | Self::NetworkData
            | Self::OutOfPhase
            | Self::OutOfState
            | Self::RejectedOften
            | Self::StaleVerdict
            | Self::UnexpectedCode
            | Self::UnexpectedId => f.write_str(self.label()),
        }
    }
}

impl core::error::Error for Rejected {}

/// How far a link had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Negotiating the link.
    Lcp,
    /// Waiting for the peer's credentials, or for its word on ours.
    Authenticate,
    /// Waiting for the verdict of whoever knows the users.
    Verdict,
    /// Negotiating addresses.
    Ipcp,
    /// The network was up.
    Up,
}

impl Stage {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lcp => "lcp",
            Self::Authenticate => "authenticate",
            Self::Verdict => "verdict",
            Self::Ipcp => "ipcp",
            Self::Up => "up",
        }
    }
}

/// Why no agreement on options was possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegotiationFailure {
    /// The peer will not do any of our authentication protocols.
    AuthProtocol,
    /// The server gives us no usable address.
    NoAddress,
    /// Too many rounds without an agreement.
    NotConverging,
    /// What comes in is what we sent.
    LoopDetected,
    /// The peer insists on a value we cannot take, or leaves it out, for this option type.
    OptionRequired(u8),
    /// The peer does not know LCP, IPCP or the authentication protocol it agreed to.
    ProtocolRefused,
    /// The peer negotiates again and again.
    Restless,
}

impl NegotiationFailure {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AuthProtocol => "auth_protocol",
            Self::LoopDetected => "loop_detected",
            Self::NoAddress => "no_address",
            Self::NotConverging => "not_converging",
            Self::OptionRequired(_) => "option_required",
            Self::ProtocolRefused => "protocol_refused",
            Self::Restless => "restless",
        }
    }
}

/// Why we close a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// An operator or a reloaded configuration ended it.
    Admin,
    /// Another session took its place.
    Replaced,
    /// The gateway stops.
    Shutdown,
    /// A limit of time or volume was reached.
    SessionLimit,
    /// The user hung up; for the client role.
    User,
}

impl CloseReason {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Replaced => "replaced",
            Self::SessionLimit => "session_limit",
            Self::Shutdown => "shutdown",
            Self::User => "user",
        }
    }
}

/// Why a link is down for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// Server: no authentication protocol is configured, and nobody is let in without.
    AuthNotConfigured,
    /// Client: the server does not ask who we are, and configuration says it must.
    AuthNotOffered,
    /// Server: the verdict was no.
    AuthRefused(crate::Refusal),
    /// Client: the server refused us; the MS-CHAPv2 error code when it gave one (RFC 2759 §6).
    AuthRefusedByPeer(Option<u32>),
    /// We were told to close.
    Closed(CloseReason),
    /// The crypto provider cannot compute what the authentication protocol needs.
    CryptoFailed,
    /// The peer stopped answering.
    EchoLost,
    /// The line is looped back (RFC 1661 §6.4).
    LoopDetected,
    /// No agreement on options.
    NegotiationFailed(Stage, NegotiationFailure),
    /// Client: the server does not know our password, so it is not our server (RFC 2759 §5).
    PeerNotAuthentic,
    /// The peer said goodbye while we were at this stage.
    PeerTerminated(Stage),
    /// Nothing came of this stage in time.
    Timeout(Stage),
}

impl DownReason {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AuthNotConfigured => "auth_not_configured",
            Self::AuthNotOffered => "auth_not_offered",
            Self::AuthRefused(_) => "auth_refused",
            Self::AuthRefusedByPeer(_) => "auth_refused_by_peer",
            Self::Closed(reason) => reason.label(),
            Self::CryptoFailed => "crypto_failed",
            Self::EchoLost => "echo_lost",
            Self::LoopDetected => "loop_detected",
            Self::NegotiationFailed(..) => "negotiation_failed",
            Self::PeerNotAuthentic => "peer_not_authentic",
            Self::PeerTerminated(_) => "peer_terminated",
            Self::Timeout(_) => "timeout",
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())?;
        match self {
            Self::AuthRefused(refusal) => write!(f, " ({})", refusal.label()),
            Self::AuthRefusedByPeer(Some(code)) => write!(f, " ({code})"),
            Self::NegotiationFailed(stage, failure) => {
                write!(f, " ({}: {})", stage.label(), failure.label())
            }
            Self::PeerTerminated(stage) | Self::Timeout(stage) => {
                write!(f, " ({})", stage.label())
            }
            Self::AuthNotConfigured
            | Self::AuthNotOffered
            | Self::AuthRefusedByPeer(None)
            | Self::Closed(_)
            | Self::CryptoFailed
            | Self::EchoLost
            | Self::LoopDetected
            | Self::PeerNotAuthentic => Ok(()),
        }
    }
}
