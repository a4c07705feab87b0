//! Why a connection failed or ended, in words a person can act on.

use alloc::string::{String, ToString};

use isthmus_ike::iana::NotifyType;
use isthmus_ike::{self as ike, FailureCause};
use isthmus_l2tp as l2tp;
use isthmus_ppp as ppp;

/// What happened, and what helps where more is known than how far the connection had come.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) text: String,
    pub(crate) remedy: Option<&'static str>,
}

impl Reason {
    /// What happened, for which the usual remedy of the stage will do.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), remedy: None }
    }

    fn new(text: &str, remedy: &'static str) -> Self {
        Self { text: text.to_string(), remedy: Some(remedy) }
    }

    /// IKE failed.
    pub(crate) fn of_ike(failure: &ike::Failure) -> Self {
        let stage = failure.stage;
        match &failure.cause {
            FailureCause::PeerNotify(notify) if *notify == NotifyType::NO_PROPOSAL_CHOSEN => {
                if stage == ike::Stage::QuickMode {
                    Self::new("the server allows none of the ESP suites offered", OFFER)
                } else {
                    Self::new("the server allows none of the IKE proposals offered", OFFER)
                }
            }
            FailureCause::PeerNotify(NotifyType::INVALID_ID_INFORMATION)
                if stage == ike::Stage::Proposal =>
            {
                Self::new("the server does not know the group", GROUP)
            }
            FailureCause::PeerNotify(NotifyType::AUTHENTICATION_FAILED)
                if stage == ike::Stage::Authentication =>
            {
                Self::new("the server does not believe our certificate", CERTIFICATE)
            }
            FailureCause::Untrusted(why) => Self {
                text: alloc::format!("the server is not believed: {why}"),
                remedy: Some(SERVER_CERTIFICATE),
            },
            FailureCause::Timeout => match stage {
                ike::Stage::Proposal | ike::Stage::KeyExchange => {
                    Self::new("the server does not answer", REACH)
                }
                ike::Stage::Authentication => {
                    Self::new("the server does not answer our authentication", PSK_OR_PORT)
                }
                ike::Stage::QuickMode => {
                    Self::plain("the server does not answer the offer of ESP suites")
                }
            },
            FailureCause::AuthenticationFailed | FailureCause::WrongPsk => {
                Self::new("the pre-shared key is not the server's", PSK)
            }
            other @ (FailureCause::BadKeyExchange(_)
            | FailureCause::IdentityNotAllowed(_)
            | FailureCause::InvalidSelectors
            | FailureCause::NoEspProposal { .. }
            | FailureCause::NoIkeProposal { .. }
            | FailureCause::PeerNotify(_)
            | FailureCause::UnknownGroup(_)) => Self::plain(other.to_string()),
        }
    }

    /// IPsec is gone.
    pub(crate) fn of_peer(reason: ike::DownReason) -> Self {
        Self::plain(match reason {
            ike::DownReason::Childless | ike::DownReason::QuickModeFailed => {
                "there was no IPsec SA any more"
            }
            ike::DownReason::Closed => "IPsec was closed",
            ike::DownReason::Dead => "the server no longer answers",
            ike::DownReason::Deleted => "the server closed IPsec",
            ike::DownReason::Expired => "the IPsec SAs expired and were not replaced",
            ike::DownReason::InitialContact => "the server started afresh",
        })
    }

    /// The tunnel or the call is gone.
    pub(crate) fn of_l2tp(reason: &l2tp::DownReason) -> Self {
        Self::plain(reason.to_string())
    }

    /// The link is gone.
    pub(crate) fn of_ppp(reason: ppp::DownReason) -> Self {
        match reason {
            ppp::DownReason::AuthRefusedByPeer(code) => Self::of_login(code),
            ppp::DownReason::NegotiationFailed(_, ppp::NegotiationFailure::AuthProtocol) => {
                Self::new("the server wants another authentication protocol", AUTH)
            }
            ppp::DownReason::AuthNotOffered => {
                Self::new("the server does not ask for a login", NOT_OURS)
            }
            ppp::DownReason::PeerNotAuthentic => {
                Self::new("the server does not know the password either", NOT_OURS)
            }
            ppp::DownReason::EchoLost => Self::plain("the server no longer answers"),
            ppp::DownReason::PeerTerminated(ppp::Stage::Up) => {
                Self::plain("the server ended the connection")
            }
            other @ (ppp::DownReason::AuthNotConfigured
            | ppp::DownReason::AuthRefused(_)
            | ppp::DownReason::Closed(_)
            | ppp::DownReason::CryptoFailed
            | ppp::DownReason::LoopDetected
            | ppp::DownReason::NegotiationFailed(..)
            | ppp::DownReason::PeerTerminated(_)
            | ppp::DownReason::Timeout(_)) => Self::plain(other.to_string()),
        }
    }

    /// The server refused us, with a code of MS-CHAPv2 (RFC 2759 §6) or of the Windows list it is from.
    fn of_login(code: Option<u32>) -> Self {
        let (text, remedy) = match code {
            None | Some(691) => ("the server refused the user name or the password", CREDENTIALS),
            Some(646) => ("this user may not log in at this time", ASK),
            Some(647) => ("the account of this user is disabled", ASK),
            Some(648) => ("the password of this user has expired", ASK),
            Some(649) => ("this user may not dial in", ASK),
            Some(738) => ("the server has no address left for us", NO_ADDRESS),
            Some(code) => {
                let text = alloc::format!("the server refused the login (code {code})");
                return Self { text, remedy: Some(ASK) };
            }
        };
        Self::new(text, remedy)
    }
}

const ASK: &str = "ask whoever runs the server";
const AUTH: &str = "allow the authentication protocol that the server wants; its log names it";
const CREDENTIALS: &str = "correct the user name or the password";
const NO_ADDRESS: &str =
    "try again later; whoever runs the server can enlarge its pool or end unused sessions";
const NOT_OURS: &str = "make sure that this is the right server";
const OFFER: &str = "offer others, or allow these on the server; its log names both sides' lists";
const CERTIFICATE: &str = "the server's log names the fault: its authority, times, use or name";
const SERVER_CERTIFICATE: &str = "check the file of authorities, and that the server's certificate bears the name that is dialled";
const GROUP: &str =
    "correct the name of the group, in the letter case of the server's configuration";
const PSK: &str = "correct the pre-shared key; mind trailing spaces and line ends";
const PSK_OR_PORT: &str = "check the pre-shared key, since servers are silent about a wrong one, and that UDP 4500 passes";
const REACH: &str = "check the server's address, and that UDP 500 and 4500 pass in both directions";

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_core::Path;

    fn failed(stage: ike::Stage, cause: FailureCause) -> Reason {
        let path = Path::new("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
        let facts = ike::Facts::default();
        Reason::of_ike(&ike::Failure { peer: None, path, stage, cause, initiator: true, facts })
    }

    #[test]
    fn a_refused_offer_says_which_one() {
        let refused = FailureCause::PeerNotify(NotifyType::NO_PROPOSAL_CHOSEN);
        assert!(failed(ike::Stage::Proposal, refused.clone()).text.contains("IKE proposals"));
        assert!(failed(ike::Stage::QuickMode, refused).text.contains("ESP suites"));
    }

    #[test]
    fn silence_means_something_else_at_each_stage() {
        let silent = |stage| failed(stage, FailureCause::Timeout);
        assert_eq!(silent(ike::Stage::Proposal).remedy, Some(REACH));
        assert_eq!(silent(ike::Stage::Authentication).remedy, Some(PSK_OR_PORT));
        assert!(silent(ike::Stage::QuickMode).remedy.is_none());
        assert_eq!(failed(ike::Stage::Authentication, FailureCause::WrongPsk).remedy, Some(PSK));
    }

    #[test]
    fn a_refused_login_says_whether_the_password_can_help() {
        let refused = |code| Reason::of_ppp(ppp::DownReason::AuthRefusedByPeer(code));
        assert_eq!(refused(Some(691)).remedy, Some(CREDENTIALS));
        assert_eq!(refused(None).remedy, Some(CREDENTIALS));
        assert_eq!(refused(Some(ppp::Refusal::NoResources.code())).remedy, Some(NO_ADDRESS));
        assert!(refused(Some(4711)).text.contains("4711"));
    }
}
