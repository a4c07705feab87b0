//! Why an attempt to connect failed, in words an operator can act on.

use alloc::collections::VecDeque;
use alloc::string::String;
use core::net::SocketAddr;

use isthmus_core::Instant;
use serde::Serialize;

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// IKE main mode.
    IkeMainMode,
    /// IKE quick mode.
    IkeQuickMode,
    /// L2TP control connection and call.
    L2tp,
    /// PPP link negotiation.
    PppLink,
    /// PPP authentication.
    PppAuth,
    /// PPP network negotiation (IPCP).
    PppNetwork,
}

impl Stage {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::IkeMainMode => "ike_main_mode",
            Self::IkeQuickMode => "ike_quick_mode",
            Self::L2tp => "l2tp",
            Self::PppLink => "ppp_link",
            Self::PppAuth => "ppp_auth",
            Self::PppNetwork => "ppp_network",
        }
    }
}

/// The cause of a failure: a closed set, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The user is switched off.
    AccountDisabled,
    /// The user's own address is held by another session.
    AddressInUse,
    /// The configuration has no secret in the form the chosen authentication protocol needs.
    AuthProtocolUnusable,
    /// Neither side could agree on how to authenticate, or on link options.
    LinkNegotiation,
    /// The IPsec SA is up but no L2TP followed.
    NoL2tp,
    /// None of the ESP suites the client offers is allowed.
    NoProposalEsp,
    /// None of the IKE proposals the client offers is allowed.
    NoProposalIke,
    /// The peer broke its protocol.
    PeerMisbehaved,
    /// The peer said why itself, with a notification or result code.
    PeerRefused,
    /// No answer to our retransmissions.
    PeerSilent,
    /// Every address of the pool is in use.
    PoolExhausted,
    /// A configured limit was reached.
    TooMany,
    /// No user of that name.
    UnknownUser,
    /// The password is not the user's.
    WrongPassword,
    /// No configured pre-shared key fits.
    WrongPsk,
}

impl Cause {
    /// The metric label; also what `--json` shows.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AccountDisabled => "account_disabled",
            Self::AddressInUse => "address_in_use",
            Self::AuthProtocolUnusable => "auth_protocol_unusable",
            Self::LinkNegotiation => "link_negotiation",
            Self::NoL2tp => "no_l2tp",
            Self::NoProposalEsp => "no_proposal_esp",
            Self::NoProposalIke => "no_proposal_ike",
            Self::PeerMisbehaved => "peer_misbehaved",
            Self::PeerRefused => "peer_refused",
            Self::PeerSilent => "peer_silent",
            Self::PoolExhausted => "pool_exhausted",
            Self::TooMany => "too_many",
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::WrongPsk => "wrong_psk",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::AccountDisabled => "remove `disabled = true` from the user, or tell the user why",
            Self::AddressInUse => {
                "end the other session of this user, or remove the user's fixed `address`"
            }
            Self::AuthProtocolUnusable => {
                "store `password` instead of `nt_hash`, or take \"chap\" out of `[ppp] auth`"
            }
            Self::LinkNegotiation => {
                "allow in `[ppp] auth` a protocol that the client offers (MS-CHAPv2 is the usual one)"
            }
            Self::NoL2tp => {
                "check that the client is set to L2TP/IPsec, and that nothing between it and the \
                 gateway drops UDP 4500 or ESP after the first exchange"
            }
            Self::NoProposalEsp => {
                "add one of the offered suites to `[ipsec] esp`; old clients may need `legacy = true`"
            }
            Self::NoProposalIke => {
                "add one of the offered proposals to `[ipsec] ike`; Android up to 11 and old routers \
                 need `legacy = true`"
            }
            Self::PeerMisbehaved => "look at the peer's own log; the detail names what it sent",
            Self::PeerRefused => "look at the peer's own log for the reason it gives in the detail",
            Self::PeerSilent => {
                "check that UDP 500 and 4500 pass in both directions, and that the client is still there"
            }
            Self::PoolExhausted => "enlarge `pool` of the tenant, or end unused sessions",
            Self::TooMany => "raise the limit, or find out who opens so many",
            Self::UnknownUser => {
                "add the user with `isthmus user add`, or correct the name in the client"
            }
            Self::WrongPassword => {
                "correct the password in the client, or set it with `isthmus user add --replace`; \
                 `isthmus user test` tells whether it fits"
            }
            Self::WrongPsk => {
                "set the client's pre-shared key to the `psk` of the gateway or tenant; mind trailing \
                 spaces and line ends"
            }
        }
    }
}

/// One failed attempt.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When it failed.
    pub at: Instant,
    /// Where the peer was reached.
    pub from: SocketAddr,
    /// The user, when the attempt came that far; untrusted text, escaped.
    pub user: Option<String>,
    /// How far it came.
    pub stage: Stage,
    /// Why it failed.
    pub cause: Cause,
    /// Facts that help: what was offered, what the peer said.
    pub detail: String,
}

/// The last failures, oldest first.
#[derive(Debug, Default)]
pub struct FailureLog {
    entries: VecDeque<Failure>,
    total: u64,
}

/// Most failures kept.
pub const FAILURES_MAX: usize = 256;
/// Longest detail kept, in bytes; what peers say is cut there.
pub const DETAIL_BYTES_MAX: usize = 512;

impl FailureLog {
    /// Adds a failure; the oldest goes when there are too many.
    pub fn push(&mut self, mut failure: Failure) {
        let cut = failure.detail.floor_char_boundary(DETAIL_BYTES_MAX);
        failure.detail.truncate(cut);
        self.total += 1;
        if self.entries.len() >= FAILURES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(failure);
    }

    /// The failures kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.entries.iter()
    }

    /// How many there were since the start.
    pub const fn total(&self) -> u64 {
        self.total
    }
}

/// Turns bytes of a peer into text that is safe in a log: printable ASCII stays, the rest is escaped.
pub fn printable(bytes: &[u8]) -> String {
    let shown = bytes.get(..NAME_BYTES_MAX).unwrap_or(bytes);
    shown.iter().flat_map(|b| b.escape_ascii()).map(char::from).collect()
}

/// Longest untrusted name shown, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn failure(detail: &str) -> Failure {
        Failure {
            at: Instant::ZERO,
            from: "192.0.2.1:500".parse().unwrap(),
            user: None,
            stage: Stage::IkeMainMode,
            cause: Cause::WrongPsk,
            detail: detail.to_string(),
        }
    }

    #[test]
    fn the_log_keeps_the_newest() {
        let mut log = FailureLog::default();
        for n in 0..FAILURES_MAX + 5 {
            log.push(failure(&n.to_string()));
        }
        assert_eq!(log.iter().count(), FAILURES_MAX);
        assert_eq!(log.iter().next().unwrap().detail, "5");
        assert_eq!(log.total(), FAILURES_MAX as u64 + 5);
    }

    #[test]
    fn a_long_detail_is_cut_at_a_character() {
        let mut log = FailureLog::default();
        log.push(failure(&"é".repeat(DETAIL_BYTES_MAX)));
        assert!(log.iter().next().unwrap().detail.len() <= DETAIL_BYTES_MAX);
    }

    #[test]
    fn hostile_names_are_escaped_and_cut() {
        assert_eq!(printable(b"a\x1b[2J\n"), "a\\x1b[2J\\n");
        assert_eq!(printable(&[b'x'; 500]).len(), NAME_BYTES_MAX);
    }
}
