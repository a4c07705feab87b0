//! Why bytes are refused, and what a peer did wrong and is told.

use core::fmt;

use isthmus_wire::{DecodeError, Fault};

use crate::avp::ResultCode;
use crate::iana::{AttributeType, CallCode, ErrorCode, MessageType, PROTOCOL_VERSION, StopCode};

/// Why a control message was dropped; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Nr acknowledges what was never sent.
    AckOfUnsent,
    /// Not a control message of this protocol.
    Malformed(DecodeError),
    /// An SCCRQ that is broken and too short to deserve an answer, or whose sender has no id.
    NoAnswer(PeerError),
    /// Ns is further ahead than the window we gave.
    OutOfWindow,
    /// A HELLO for tunnel 0, which Apple sends to wake IPsec.
    StrayHello,
    /// An SCCRQ that loses against ours (RFC 2661 §4.4.3, Tie Breaker).
    TieBreakerWon,
    /// No such tunnel.
    UnknownTunnel(u16),
}

impl Rejected {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AckOfUnsent => "ack_of_unsent",
            Self::Malformed(_) => "malformed",
            Self::NoAnswer(_) => "no_answer",
            Self::OutOfWindow => "out_of_window",
            Self::StrayHello => "stray_hello",
            Self::TieBreakerWon => "tie_breaker_won",
            Self::UnknownTunnel(_) => "unknown_tunnel",
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
            Self::NoAnswer(error) => write!(f, "dropped without an answer: {error}"),
            Self::UnknownTunnel(id) => write!(f, "unknown tunnel {id}"),
            Self::AckOfUnsent | Self::OutOfWindow | Self::StrayHello | Self::TieBreakerWon => {
                f.write_str(self.label())
            }
        }
    }
}

impl core::error::Error for Rejected {}

/// What a peer did that we refuse with a `StopCCN` or CDN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerError {
    /// The Challenge Response is missing or wrong.
    BadResponse,
    /// A mandatory AVP is hidden, and we have no secret or got no Random Vector.
    Hidden(AttributeType),
    /// A mandatory AVP does not decode.
    Malformed(AttributeType, DecodeError),
    /// A required AVP is not there, or a mandatory one has a value that cannot be.
    Missing(AttributeType),
    /// The limit of tunnels or sessions is reached.
    NoResources,
    /// The peer wants a proof of a secret we do not have.
    NoSecret,
    /// A role we do not play: outgoing calls, or a tunnel towards a client.
    NotOffered(MessageType),
    /// The message does not fit the state.
    OutOfState(MessageType),
    /// An AVP we do not know has the M bit set.
    UnknownMandatory {
        /// 0 for the IETF.
        vendor: u16,
        /// The attribute, in the vendor's numbering.
        attribute: AttributeType,
    },
    /// A message type we do not know has the M bit set.
    UnknownMessage(MessageType),
    /// Not version 1.
    Version(u16),
}

impl PeerError {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadResponse => "bad_response",
            Self::Hidden(_) => "hidden",
            Self::Malformed(..) => "malformed",
            Self::Missing(_) => "missing",
            Self::NoResources => "no_resources",
            Self::NoSecret => "no_secret",
            Self::NotOffered(_) => "not_offered",
            Self::OutOfState(_) => "out_of_state",
            Self::UnknownMandatory { .. } => "unknown_mandatory",
            Self::UnknownMessage(_) => "unknown_message",
            Self::Version(_) => "version",
        }
    }

    /// What a `StopCCN` says about it.
    pub fn stop_result(self) -> ResultCode {
        let code = match self {
            Self::BadResponse | Self::NoSecret | Self::NotOffered(_) => StopCode::NOT_AUTHORIZED,
            Self::OutOfState(_) => StopCode::FSM_ERROR,
            // The error code is the highest version understood.
            Self::Version(_) => {
                return ResultCode::stop(
                    StopCode::VERSION_UNSUPPORTED,
                    ErrorCode(PROTOCOL_VERSION),
                );
            }
            Self::Hidden(_)
            | Self::Malformed(..)
            | Self::Missing(_)
            | Self::NoResources
            | Self::UnknownMandatory { .. }
            | Self::UnknownMessage(_) => StopCode::GENERAL_ERROR,
        };
        ResultCode::stop(code, self.error_code())
    }

    /// What a CDN says about it.
    pub fn call_result(self) -> ResultCode {
        let code = match self {
            Self::NoResources => CallCode::NO_FACILITIES_NOW,
            Self::NotOffered(_) => CallCode::NO_FACILITIES,
            Self::BadResponse | Self::NoSecret => CallCode::ADMINISTRATIVE,
            Self::Hidden(_)
            | Self::Malformed(..)
            | Self::Missing(_)
            | Self::OutOfState(_)
            | Self::UnknownMandatory { .. }
            | Self::UnknownMessage(_)
            | Self::Version(_) => CallCode::GENERAL_ERROR,
        };
        let error = match self {
            Self::OutOfState(_) => ErrorCode::BAD_SESSION_ID,
            Self::BadResponse
            | Self::Hidden(_)
            | Self::Malformed(..)
            | Self::Missing(_)
            | Self::NoResources
            | Self::NoSecret
            | Self::NotOffered(_)
            | Self::UnknownMandatory { .. }
            | Self::UnknownMessage(_)
            | Self::Version(_) => self.error_code(),
        };
        ResultCode::call(code, error)
    }

    fn error_code(self) -> ErrorCode {
        match self {
            Self::Malformed(_, error) => match error.fault {
                Fault::TooLong | Fault::Trailing | Fault::Truncated => ErrorCode::LENGTH_WRONG,
                Fault::Illegal | Fault::TooMany => ErrorCode::VALUE_OUT_OF_RANGE,
            },
            Self::Missing(_) => ErrorCode::VALUE_OUT_OF_RANGE,
            Self::NoResources => ErrorCode::NO_RESOURCES,
            // RFC 2661 has no code for a hidden AVP without a secret; to us it is an unknown one.
            Self::Hidden(_) | Self::UnknownMandatory { .. } | Self::UnknownMessage(_) => {
                ErrorCode::UNKNOWN_MANDATORY
            }
            Self::BadResponse
            | Self::NoSecret
            | Self::NotOffered(_)
            | Self::OutOfState(_)
            | Self::Version(_) => ErrorCode::NONE,
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadResponse => f.write_str("tunnel authentication failed"),
            Self::Hidden(a) => write!(f, "AVP {a} is hidden and cannot be revealed"),
            Self::Malformed(a, error) => write!(f, "AVP {a}: {error}"),
            Self::Missing(a) => write!(f, "AVP {a} is missing or impossible"),
            Self::NoResources => f.write_str("too many tunnels or sessions"),
            Self::NoSecret => f.write_str("challenged, and no tunnel secret is configured"),
            Self::NotOffered(m) => write!(f, "{m} asks for a role we do not play"),
            Self::OutOfState(m) => write!(f, "{m} does not fit the state"),
            Self::UnknownMandatory { vendor, attribute } => {
                write!(f, "unknown mandatory AVP {} of vendor {vendor}", attribute.0)
            }
            Self::UnknownMessage(m) => write!(f, "unknown mandatory message type {}", m.0),
            Self::Version(v) => write!(f, "protocol version {}.{}", v >> 8, v & 0xff),
        }
    }
}

impl core::error::Error for PeerError {}
