//! From what was seen to the cause: the rules, one place.
//!
//! A rule says only what the evidence carries. Silence has several readings; the record names the most
//! likely one, and its detail says what was seen, so that a person can disagree.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use isthmus_core::Instant;
use isthmus_crypto::EspSuite;
use isthmus_ike::{self as ike, FailureCause, IkeProposal, OfferedEsp, OfferedIke, Rejected};
use isthmus_ppp::{self as ppp, NegotiationFailure};

use crate::cause::Cause;
use crate::failure::{Client, Failure, Milestone, Stage, Step};
use crate::peer::Peer;
use crate::steps::Steps;

/// A failure that IKE reports.
pub(crate) fn of_ike(failed: &ike::Failure, config: &ike::Config, now: Instant) -> Failure {
    let stage = match failed.stage {
        ike::Stage::Proposal | ike::Stage::KeyExchange | ike::Stage::Authentication => {
            Stage::IkeMainMode
        }
        ike::Stage::QuickMode => Stage::IkeQuickMode,
    };
    let cause = ike_cause(failed);
    let mut failure = Failure::new(now, failed.path.remote, stage, cause);
    failure.client = Client::of(&failed.facts.vendors, failed.facts.nat);
    failure.detail = ike_detail(failed, cause);
    failure.steps = main_mode_steps(failed.stage);
    failure.proven = failed.initiator
        || match failed.stage {
            ike::Stage::Proposal => false,
            // A share that is wrong came in message 3, which has our cookie.
            ike::Stage::KeyExchange => failed.cause != FailureCause::Timeout,
            ike::Stage::Authentication | ike::Stage::QuickMode => true,
        };
    match &failed.cause {
        FailureCause::NoIkeProposal { offered, .. } => {
            failure.remedy = ike_remedy(offered, config);
        }
        FailureCause::NoEspProposal { offered, .. } => {
            failure.remedy = esp_remedy(offered, config);
        }
        FailureCause::AuthenticationFailed
        | FailureCause::BadKeyExchange(_)
        | FailureCause::IdentityNotAllowed(_)
        | FailureCause::InvalidSelectors
        | FailureCause::PeerNotify(_)
        | FailureCause::Timeout
        | FailureCause::UnknownGroup(_)
        | FailureCause::Untrusted(_)
        | FailureCause::WrongPsk => {}
    }
    failure
}

fn ike_cause(failed: &ike::Failure) -> Cause {
    match &failed.cause {
        FailureCause::NoIkeProposal { .. } => Cause::NoProposalIke,
        FailureCause::NoEspProposal { .. } => Cause::NoProposalEsp,
        FailureCause::WrongPsk | FailureCause::AuthenticationFailed => Cause::WrongPsk,
        FailureCause::IdentityNotAllowed(_) => Cause::NoPskForIdentity,
        FailureCause::Timeout => silence(failed),
        FailureCause::UnknownGroup(_) => Cause::UnknownGroup,
        FailureCause::Untrusted(_) => Cause::CertificateRefused,
        FailureCause::PeerNotify(_) => Cause::PeerRefused,
        FailureCause::BadKeyExchange(_) | FailureCause::InvalidSelectors => Cause::PeerMisbehaved,
    }
}

/// What silence means depends on when it begins.
fn silence(failed: &ike::Failure) -> Cause {
    let facts = &failed.facts;
    let nat = facts.nat.unwrap_or_default();
    match failed.stage {
        _ if failed.initiator => Cause::PeerSilent,
        ike::Stage::Proposal | ike::Stage::KeyExchange => Cause::NoAnswerHeard,
        ike::Stage::Authentication | ike::Stage::QuickMode
            if nat.local && facts.vendors.microsoft.is_some() =>
        {
            Cause::WindowsServerNat
        }
        ike::Stage::Authentication if nat.any() && !facts.marked => Cause::NatTraversalBlocked,
        ike::Stage::Authentication | ike::Stage::QuickMode => Cause::PeerSilent,
    }
}

fn ike_detail(failed: &ike::Failure, cause: Cause) -> String {
    let nat = failed.facts.nat.unwrap_or_default();
    let who = match (nat.local, nat.remote) {
        (true, true) => "both ends are behind NATs",
        (true, false) => "this gateway is behind a NAT",
        (false, true) => "the client is behind a NAT",
        (false, false) => "no NAT was seen",
    };
    let silent = failed.cause == FailureCause::Timeout && !failed.initiator;
    match (cause, failed.stage) {
        (Cause::NatTraversalBlocked, _) => format!(
            "UDP 500 passed in both directions, {who}, so the client must go on from UDP 4500; nothing \
             came there"
        ),
        (Cause::NoAnswerHeard, _) => {
            "the client's first message was answered, its next one never came".into()
        }
        (_, ike::Stage::Authentication) if silent => {
            format!("keys were exchanged, {who}, and the client's message 5 never came")
        }
        (_, ike::Stage::QuickMode) if silent => {
            format!("the client asked for an IPsec SA, {who}, and did not confirm our answer")
        }
        _ => failed.cause.to_string(),
    }
}

/// What an attempt that ended at this stage of IKE has behind it; when is not known.
pub(crate) fn main_mode_steps(stage: ike::Stage) -> Vec<Step> {
    let next = match stage {
        ike::Stage::Proposal => Milestone::ProposalAgreed,
        ike::Stage::KeyExchange => Milestone::KeysExchanged,
        ike::Stage::Authentication => Milestone::Authenticated,
        ike::Stage::QuickMode => Milestone::Secured,
    };
    Steps::before(next).list().collect()
}

/// Which of the offered IKE proposals to allow, and with which switch.
fn ike_remedy(offered: &[OfferedIke], config: &ike::Config) -> String {
    let known: Vec<IkeProposal> = offered.iter().filter_map(OfferedIke::proposal).collect();
    if known.is_empty() {
        let psk = offered.iter().any(|o| o.authentication == ike::iana::AuthMethod::PSK);
        return if psk || offered.is_empty() {
            "the client offers only what this gateway cannot do; update the client, or give it other \
             algorithms"
                .into()
        } else {
            "the client does not offer to authenticate by pre-shared key; enter the key in the client \
             instead of a certificate or XAUTH"
                .into()
        };
    }
    advice("ike", known.iter().map(|p| (p.to_string(), p.is_legacy())), config.legacy)
}

/// Which of the offered ESP suites to allow, and with which switch.
fn esp_remedy(offered: &[OfferedEsp], config: &ike::Config) -> String {
    let known: Vec<EspSuite> = offered.iter().filter_map(OfferedEsp::suite).collect();
    let allowed =
        |suite: &EspSuite| config.esp.contains(suite) && (config.legacy || !suite.is_legacy());
    if known.is_empty() {
        return "the client offers only what this gateway cannot do (DES, no encryption, MD5); update \
                the client, or give it other algorithms"
            .into();
    }
    if known.iter().any(allowed) {
        return "the algorithms would do, but not the mode in brackets or the group for PFS: set the \
                client to transport mode, and to a PFS group of 2048 bits or none"
            .into();
    }
    advice("esp", known.iter().map(|s| (s.name().to_string(), s.is_legacy())), config.legacy)
}

fn advice(
    key: &str,
    offered: impl Iterator<Item = (String, bool)> + Clone,
    legacy_allowed: bool,
) -> String {
    if let Some((name, _)) = offered.clone().find(|(_, legacy)| legacy_allowed || !*legacy) {
        return format!(
            "add \"{name}\" to `{key}` in `[ipsec]`, or give the client other algorithms"
        );
    }
    match offered.into_iter().next() {
        Some((name, _)) => format!(
            "`legacy = true` in `[ipsec]` allows \"{name}\", which is weak (where `{key}` is listed \
             there, add it to the list as well); better give the client stronger algorithms"
        ),
        None => String::new(),
    }
}

/// A datagram that IKE refused, when it shows a client that cannot connect.
pub(crate) fn of_rejected(rejected: &Rejected) -> Option<(Cause, String)> {
    if matches!(
        rejected,
        Rejected::HalfOpenLimit
            | Rejected::HalfOpenSourceLimit
            | Rejected::JobLimit
            | Rejected::PeerLimit
    ) {
        return Some((Cause::TooMany, format!("refused by the limit {}", rejected.label())));
    }
    if let Rejected::ExchangeUnsupported(exchange) = rejected {
        let detail = format!("the client begins with {exchange}, which is not supported here");
        return Some((Cause::ExchangeUnsupported, detail));
    }
    if let Rejected::Decode(error) = rejected
        && error.field == "version"
    {
        return Some((Cause::IkeV2, "the message is not of IKE version 1".into()));
    }
    None
}

/// A peer that is gone without ever having had a call.
pub(crate) fn of_peer(peer: &Peer, reason: &str, now: Instant) -> Failure {
    let reached = |milestone| peer.attempt.steps.has(milestone);
    let windows =
        peer.attempt.client.server_behind_nat && peer.attempt.client.kind.starts_with("Windows");
    let who = &peer.identity;
    let (stage, cause, detail) = if !reached(Milestone::Secured) {
        let detail =
            format!("{who} proved its pre-shared key and asked for no IPsec SA ({reason})");
        (Stage::IkeQuickMode, Cause::NoQuickMode, detail)
    } else if !reached(Milestone::L2tpHeard) {
        let detail = format!("IPsec with {who} is up, but no L2TP came out of it ({reason})");
        (Stage::L2tp, Cause::NoL2tp, detail)
    } else if !reached(Milestone::TunnelUp) {
        let again = match peer.attempt.children {
            0..=2 => String::new(),
            n => format!("; it made the IPsec SA {n} times, as Windows does when it hears nothing"),
        };
        let detail = format!(
            "{} L2TP messages came through the IPsec SA, and the client heard none of our answers{again} \
             ({reason})",
            peer.attempt.l2tp_messages
        );
        (Stage::L2tp, Cause::ReturnPathDead, detail)
    } else {
        let detail = format!("the tunnel was up, but no call came up in it ({reason})");
        (Stage::L2tp, Cause::PeerSilent, detail)
    };
    let is_silence = matches!(cause, Cause::NoQuickMode | Cause::NoL2tp);
    let cause = if windows && is_silence { Cause::WindowsServerNat } else { cause };
    let mut failure = Failure::new(now, peer.path.remote, stage, cause);
    failure.detail = detail;
    failure
}

/// How a session that never came up ended.
pub(crate) enum End<'a> {
    /// The link ended.
    Link(ppp::DownReason),
    /// L2TP ended the call.
    Call(&'a str),
    /// IKE lost the peer.
    Peer(&'a str),
}

impl End<'_> {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Link(reason) => reason.to_string(),
            Self::Call(reason) | Self::Peer(reason) => (*reason).to_string(),
        }
    }

    /// The cause; none when we ended it ourselves.
    pub(crate) fn cause(&self) -> Option<Cause> {
        let reason = match self {
            Self::Link(reason) => reason,
            Self::Call(_) => return Some(Cause::PeerRefused),
            Self::Peer(_) => return Some(Cause::PeerSilent),
        };
        match reason {
            ppp::DownReason::Closed(_) => None,
            ppp::DownReason::NegotiationFailed(_, NegotiationFailure::Restless) => {
                Some(Cause::PeerMisbehaved)
            }
            ppp::DownReason::NegotiationFailed(..)
            | ppp::DownReason::AuthNotOffered
            | ppp::DownReason::LoopDetected => Some(Cause::LinkNegotiation),
            ppp::DownReason::Timeout(_) | ppp::DownReason::EchoLost => Some(Cause::PeerSilent),
            ppp::DownReason::AuthNotConfigured | ppp::DownReason::CryptoFailed => {
                Some(Cause::AuthProtocolUnusable)
            }
            ppp::DownReason::AuthRefused(_)
            | ppp::DownReason::AuthRefusedByPeer(_)
            | ppp::DownReason::PeerNotAuthentic
            | ppp::DownReason::PeerTerminated(_) => Some(Cause::PeerRefused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_core::Path;

    fn silent(stage: ike::Stage, windows: bool, nat: ike::NatStatus, marked: bool) -> Failure {
        let path = Path::new("192.0.2.2:500".parse().unwrap(), "192.0.2.1:500".parse().unwrap());
        let mut vendors = ike::Vendors::default();
        vendors.microsoft = windows.then_some(9);
        let failed = ike::Failure {
            peer: None,
            path,
            stage,
            cause: FailureCause::Timeout,
            initiator: false,
            facts: ike::Facts { vendors, nat: Some(nat), marked },
        };
        of_ike(&failed, &ike::Config::default(), Instant::from_secs(1))
    }

    const SERVER: ike::NatStatus = ike::NatStatus { local: true, remote: false };
    const CLIENT: ike::NatStatus = ike::NatStatus { local: false, remote: true };
    const NONE: ike::NatStatus = ike::NatStatus { local: false, remote: false };

    #[test]
    fn windows_that_falls_silent_before_a_gateway_behind_nat_gets_the_registry_value() {
        for stage in [ike::Stage::Authentication, ike::Stage::QuickMode] {
            let failure = silent(stage, true, SERVER, true);
            assert_eq!(failure.cause, Cause::WindowsServerNat);
            assert!(failure.remedy.contains("AssumeUDPEncapsulationContextOnSendRule"));
            assert_eq!(failure.client.kind, "Windows 8 or later");
            assert!(failure.client.server_behind_nat);
        }
        assert_eq!(
            silent(ike::Stage::Authentication, false, SERVER, false).cause,
            Cause::NatTraversalBlocked,
            "others do not mind"
        );
    }

    #[test]
    fn silence_means_something_else_at_each_stage() {
        let cause = |stage, nat, marked| silent(stage, true, nat, marked).cause;
        assert_eq!(cause(ike::Stage::KeyExchange, NONE, false), Cause::NoAnswerHeard);
        let auth = ike::Stage::Authentication;
        assert_eq!(cause(auth, CLIENT, false), Cause::NatTraversalBlocked);
        assert_eq!(cause(auth, CLIENT, true), Cause::PeerSilent);
        assert_eq!(cause(auth, NONE, false), Cause::PeerSilent);
        assert_eq!(cause(ike::Stage::QuickMode, CLIENT, true), Cause::PeerSilent);
        assert!(!silent(ike::Stage::KeyExchange, true, NONE, false).proven);
        assert!(silent(auth, true, NONE, false).proven);
    }

    #[test]
    fn an_offer_with_nothing_to_add_says_so() {
        let config = ike::Config::default();
        assert!(ike_remedy(&[], &config).contains("update the client"));
        assert!(esp_remedy(&[], &config).contains("update the client"));
    }
}
