//! What a link wants done, what it asks, and what it is answered.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use isthmus_core::SecretBytes;
use serde::{Deserialize, Serialize};

use crate::auth::AuthenticatorResponse;
use crate::error::DownReason;
use crate::ipv6cp::InterfaceId;

/// Something the owner of a link has to do, in the order of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Find out whether this login is good and answer with
    /// [`Link::handle_verdict`](crate::Link::handle_verdict).
    Authenticate(AuthRequest),
    /// The link is down for good; nothing follows.
    Down(DownReason),
    /// The network is no longer up, but the link negotiates again; [`Action::Up`] or
    /// [`Action::Down`] follows. Traffic must stop until then.
    NetworkDown,
    /// IPv6 is no longer up. [`Action::Down`] says the same without it.
    Ipv6Down,
    /// Interface identifiers are agreed: IPv6 may flow as long as the network is up.
    Ipv6Up(Ipv6Up),
    /// Send this frame: FF 03, protocol number, body.
    Transmit(Vec<u8>),
    /// Addresses are agreed; traffic may flow.
    Up(NetworkUp),
}

/// Names one login, so that a verdict cannot be given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(crate) u32);

/// A login to be judged.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// To be returned with the verdict.
    pub ticket: Ticket,
    /// The name as the peer sent it, with its domain; untrusted bytes, at most
    /// [`NAME_MAX`](crate::NAME_MAX).
    pub user: Vec<u8>,
    /// What the peer knows.
    pub proof: Proof,
}

impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest")
            .field("ticket", &self.ticket)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

/// What the peer offers in proof of its name.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// CHAP with MD5: check with [`chap_md5::verify`](crate::auth::chap_md5::verify).
    ChapMd5 {
        /// The identifier of the challenge, part of what is hashed.
        id: u8,
        /// Our challenge.
        challenge: Vec<u8>,
        /// The peer's response.
        response: [u8; 16],
    },
    /// MS-CHAPv2: check with [`mschapv2::verify`](crate::auth::mschapv2::verify).
    MsChapV2(MsChapV2Proof),
    /// PAP.
    Pap {
        /// The password as sent.
        password: SecretBytes,
    },
}

impl fmt::Debug for Proof {
    // A response is open to a dictionary attack, so none of them is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChapMd5 { .. } => "ChapMd5",
            Self::MsChapV2(_) => "MsChapV2",
            Self::Pap { .. } => "Pap",
        })
    }
}

/// An MS-CHAPv2 exchange up to the response (RFC 2759 §4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MsChapV2Proof {
    /// The identifier of the response, which RADIUS wants (RFC 2548 §2.3.2).
    pub id: u8,
    /// Our challenge.
    pub auth_challenge: [u8; 16],
    /// The peer's challenge to us.
    pub peer_challenge: [u8; 16],
    /// The peer's response.
    pub nt_response: [u8; 24],
    /// Must be zero, which some peers ignore.
    pub flags: u8,
}

impl fmt::Debug for MsChapV2Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MsChapV2Proof")
    }
}

/// The answer to an [`AuthRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The login is good.
    Accept {
        /// The address the peer gets.
        address: Ipv4Addr,
        /// Name servers in order of preference; the first two are told.
        dns: Vec<Ipv4Addr>,
        /// For MS-CHAPv2 the answer to the peer's challenge. Without it the login is refused,
        /// because the peer would not believe us.
        proof: Option<AuthenticatorResponse>,
    },
    /// The login is not good.
    Refuse {
        /// Why; decides what the peer is told.
        reason: Refusal,
    },
}

/// Why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account is switched off.
    AccountDisabled,
    /// Wrong name or password; the peer is not told which.
    BadCredentials,
    /// The account may not dial in.
    NoDialIn,
    /// No address, too many sessions.
    NoResources,
    /// The password must be changed first.
    PasswordExpired,
    /// Not at this time.
    RestrictedHours,
    /// Nobody could be asked, or the answer was incomplete.
    Unavailable,
}

impl Refusal {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AccountDisabled => "account_disabled",
            Self::BadCredentials => "bad_credentials",
            Self::NoDialIn => "no_dial_in",
            Self::NoResources => "no_resources",
            Self::PasswordExpired => "password_expired",
            Self::RestrictedHours => "restricted_hours",
            Self::Unavailable => "unavailable",
        }
    }

    /// The MS-CHAPv2 error code, which is also the number Windows shows. Those of RFC 2759 §6 are part of
    /// the list of Windows; 738, "the server did not assign an address", is from the same list, so that
    /// nobody looks for a wrong password.
    pub const fn code(self) -> u32 {
        match self {
            Self::RestrictedHours => 646,
            Self::AccountDisabled => 647,
            Self::PasswordExpired => 648,
            Self::NoDialIn => 649,
            Self::BadCredentials | Self::Unavailable => 691,
            Self::NoResources => 738,
        }
    }

    /// Whether other credentials could help.
    pub(crate) const fn may_retry(self) -> bool {
        match self {
            Self::BadCredentials => true,
            Self::AccountDisabled
            | Self::NoDialIn
            | Self::NoResources
            | Self::PasswordExpired
            | Self::RestrictedHours
            | Self::Unavailable => false,
        }
    }
}

/// What was agreed when IPv6 came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6Up {
    /// Our identifier on the link.
    pub local: InterfaceId,
    /// The peer's.
    pub remote: InterfaceId,
}

/// What was agreed when the network came up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkUp {
    /// Our address on the link.
    pub local: Ipv4Addr,
    /// The peer's address; 0.0.0.0 when a server did not tell us its own.
    pub remote: Ipv4Addr,
    /// Client: name servers the server told us. Server: those the peer was told.
    pub dns: Vec<Ipv4Addr>,
    /// Largest packet the peer takes, in bytes.
    pub peer_mru: u16,
    /// Largest packet the peer may send, in bytes: what it acknowledged, or 1500.
    pub local_mru: u16,
    /// Whether we may send one-byte protocol numbers.
    pub send_pfc: bool,
    /// Whether we may leave out FF 03.
    pub send_acfc: bool,
}
