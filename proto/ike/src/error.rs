//! Why a datagram changed nothing.

use core::fmt;

use isthmus_crypto::CryptoError;
use isthmus_wire::DecodeError;

use crate::iana::ExchangeType;

/// A datagram that changed nothing, and why; [`Rejected::label`] is fit for a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The reply would be more than was received before authentication.
    AmplificationLimit,
    /// The exchange waits for a computation.
    Busy,
    /// An algorithm failed on a length; only a bug or a hostile length does that.
    Crypto(CryptoError),
    /// Not a message.
    Decode(DecodeError),
    /// Received before, and no answer is due.
    Duplicate,
    /// An exchange type we do not do, or are not configured to.
    ExchangeUnsupported(ExchangeType),
    /// Too many half-open exchanges.
    HalfOpenLimit,
    /// Too many half-open exchanges from this source address.
    HalfOpenSourceLimit,
    /// A HASH does not verify.
    HashMismatch,
    /// The message does not fit the state of its SA.
    IncorrectState,
    /// Too many computations at once for first messages that nothing proves.
    JobLimit,
    /// A message id that this exchange type may not have.
    MessageId,
    /// Nothing offered is acceptable.
    NoProposalChosen,
    /// No pre-shared key could fit the source address, or the group.
    NoPsk,
    /// Encrypted before keys exist.
    NotYetEncrypted,
    /// Too many peers.
    PeerLimit,
    /// In clear where only encrypted messages count.
    Plain,
    /// Too many quick modes at once, or no SPI left.
    QuickModeLimit,
    /// Quick mode selectors we cannot serve.
    Selectors,
    /// This attempt failed before, and its answer was given.
    Spent,
    /// Does not decrypt to a message.
    Undecryptable,
    /// No SA has these cookies.
    UnknownCookies,
}

impl Rejected {
    /// The metric label.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::AmplificationLimit => "amplification_limit",
            Self::Busy => "busy",
            Self::Crypto(_) => "crypto",
            Self::Decode(error) => error.fault.label(),
            Self::Duplicate => "duplicate",
            Self::ExchangeUnsupported(ExchangeType::AGGRESSIVE) => "aggressive_mode",
            Self::ExchangeUnsupported(_) => "exchange_unsupported",
            Self::HalfOpenLimit => "half_open_limit",
            Self::HalfOpenSourceLimit => "half_open_source_limit",
            Self::HashMismatch => "hash_mismatch",
            Self::IncorrectState => "incorrect_state",
            Self::JobLimit => "job_limit",
            Self::MessageId => "message_id",
            Self::NoProposalChosen => "no_proposal_chosen",
            Self::NoPsk => "no_psk",
            Self::NotYetEncrypted => "not_yet_encrypted",
            Self::PeerLimit => "peer_limit",
            Self::Plain => "plain",
            Self::QuickModeLimit => "quick_mode_limit",
            Self::Selectors => "selectors",
            Self::Spent => "spent",
            Self::Undecryptable => "undecryptable",
            Self::UnknownCookies => "unknown_cookies",
        }
    }
}

impl From<DecodeError> for Rejected {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<CryptoError> for Rejected {
    fn from(error: CryptoError) -> Self {
        Self::Crypto(error)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "{error}"),
            Self::Crypto(error) => write!(f, "{error}"),
            Self::ExchangeUnsupported(exchange) => write!(f, "unsupported exchange {exchange}"),
            Self::AmplificationLimit
            | Self::Busy
            | Self::Duplicate
            | Self::HalfOpenLimit
            | Self::HalfOpenSourceLimit
            | Self::HashMismatch
            | Self::IncorrectState
            | Self::JobLimit
            | Self::MessageId
            | Self::NoProposalChosen
            | Self::NoPsk
            | Self::NotYetEncrypted
            | Self::PeerLimit
            | Self::Plain
            | Self::QuickModeLimit
            | Self::Selectors
            | Self::Spent
            | Self::Undecryptable
            | Self::UnknownCookies => f.write_str(self.label()),
        }
    }
}

impl core::error::Error for Rejected {}
