//! One failed attempt: who, from where, how far it came, the cause and the cure.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use isthmus_core::Instant;
use isthmus_ike::{ClientKind, Vendors};
use serde::Serialize;

use crate::cause::Cause;

/// The protocol in which an attempt ended.
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
    /// Packets flow.
    Connected,
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
            Self::Connected => "connected",
        }
    }
}

/// What an attempt has behind it, in the order in which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// A first IKE message came.
    Began,
    /// IKE algorithms are agreed.
    ProposalAgreed,
    /// Both have the Diffie-Hellman secret; who is behind a NAT is known.
    KeysExchanged,
    /// The client proved its pre-shared key.
    Authenticated,
    /// The pair of IPsec SAs is up.
    Secured,
    /// An L2TP message came out of it.
    L2tpHeard,
    /// The L2TP tunnel is up.
    TunnelUp,
    /// The call is up; PPP begins.
    CallUp,
    /// LCP is open and the client says who it is.
    LinkUp,
    /// The user is who he says.
    LoggedIn,
    /// Packets flow.
    Connected,
}

impl Milestone {
    /// Every milestone, in order.
    pub const ALL: [Self; 11] = [
        Self::Began,
        Self::ProposalAgreed,
        Self::KeysExchanged,
        Self::Authenticated,
        Self::Secured,
        Self::L2tpHeard,
        Self::TunnelUp,
        Self::CallUp,
        Self::LinkUp,
        Self::LoggedIn,
        Self::Connected,
    ];

    /// The name in `--json`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::ProposalAgreed => "proposal_agreed",
            Self::KeysExchanged => "keys_exchanged",
            Self::Authenticated => "authenticated",
            Self::Secured => "secured",
            Self::L2tpHeard => "l2tp_heard",
            Self::TunnelUp => "tunnel_up",
            Self::CallUp => "call_up",
            Self::LinkUp => "link_up",
            Self::LoggedIn => "logged_in",
            Self::Connected => "connected",
        }
    }
}

/// A milestone that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which.
    pub milestone: Milestone,
    /// When, where that is known.
    pub at: Option<Instant>,
}

/// One attempt that failed, and the like of it that followed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When the first of them failed.
    pub first: Instant,
    /// When the last of them failed.
    pub at: Instant,
    /// How many there were: the same cause from the same source within [`crate::MERGE_WINDOW`].
    pub count: u64,
    /// Where the peer was reached.
    pub from: SocketAddr,
    /// Whether the source has shown that it receives what we send; else the address may be forged.
    pub proven: bool,
    /// The user, when the attempt came that far; untrusted text, escaped.
    pub user: Option<String>,
    /// The tenant, when the pre-shared key led to one.
    pub tenant: Option<String>,
    /// What the client probably is.
    pub client: Client,
    /// How far it came.
    pub stage: Stage,
    /// Why it failed.
    pub cause: Cause,
    /// Facts that help: what was offered, what the peer said.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
    /// What the last attempt had behind it.
    pub steps: Vec<Step>,
}

impl Failure {
    /// An attempt that ended just now, of which nothing more is known.
    pub fn new(now: Instant, from: SocketAddr, stage: Stage, cause: Cause) -> Self {
        Self {
            first: now,
            at: now,
            count: 1,
            from,
            proven: true,
            user: None,
            tenant: None,
            client: Client::default(),
            stage,
            cause,
            detail: String::new(),
            remedy: cause.remedy().to_owned(),
            steps: Vec::new(),
        }
    }
}

/// What is known of a client's make and place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Client {
    /// A guess from its vendor ids and its L2TP vendor name; empty when nothing tells.
    pub kind: String,
    /// Whether it is behind a NAT.
    pub behind_nat: bool,
    /// Whether this gateway is behind a NAT, as the client's messages show.
    pub server_behind_nat: bool,
}

impl Client {
    /// What IKE tells.
    pub fn of(vendors: &Vendors, nat: Option<isthmus_ike::NatStatus>) -> Self {
        let nat = nat.unwrap_or_default();
        Self {
            kind: kind_name(vendors.client()),
            behind_nat: nat.remote,
            server_behind_nat: nat.local,
        }
    }
}

fn kind_name(kind: ClientKind) -> String {
    match kind {
        ClientKind::Unknown => String::new(),
        ClientKind::Android
        | ClientKind::Apple
        | ClientKind::Libreswan
        | ClientKind::RouterOs
        | ClientKind::StrongSwan
        | ClientKind::Windows(_) => alloc::string::ToString::to_string(&kind),
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.kind.is_empty() { "unknown client" } else { &self.kind })?;
        if self.behind_nat {
            f.write_str(", behind a NAT")?;
        }
        if self.server_behind_nat {
            f.write_str(", this gateway behind a NAT")?;
        }
        Ok(())
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

    #[test]
    fn hostile_names_are_escaped_and_cut() {
        assert_eq!(printable(b"a\x1b[2J\n"), "a\\x1b[2J\\n");
        assert_eq!(printable(&[b'x'; 500]).len(), NAME_BYTES_MAX);
    }

    #[test]
    fn milestones_are_in_order_and_have_names_of_their_own() {
        assert!(Milestone::ALL.is_sorted());
        let mut names = Milestone::ALL.map(Milestone::label);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
