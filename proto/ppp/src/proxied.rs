//! What a LAC has negotiated with the peer before it handed the link over (RFC 2661 §4.4.5).

use core::fmt;

/// LCP and the login as a LAC brought them to their end.
#[derive(Clone, Copy)]
pub struct Proxied<'a> {
    /// The options of the last Configure-Request of the LAC, which the peer acknowledged.
    pub last_sent: &'a [u8],
    /// The options of the last Configure-Request of the peer, which the LAC acknowledged.
    pub last_received: &'a [u8],
    /// Who the peer says it is.
    pub login: ProxiedLogin<'a>,
}

/// What the peer told the LAC about itself. It waits for an answer.
#[derive(Clone, Copy)]
pub enum ProxiedLogin<'a> {
    /// CHAP or MS-CHAPv2; which of them, the LAC's Configure-Request says.
    Chap {
        /// Identifier of challenge and response.
        id: u8,
        /// The name in the response.
        name: &'a [u8],
        /// The value of the LAC's challenge.
        challenge: &'a [u8],
        /// The value of the response: 16 bytes with MD5, 49 with MS-CHAPv2 (RFC 2759 §4).
        response: &'a [u8],
    },
    /// PAP.
    Pap {
        /// Identifier of the request.
        id: u8,
        /// The name.
        name: &'a [u8],
        /// The password.
        password: &'a [u8],
    },
}

impl fmt::Debug for ProxiedLogin<'_> {
    // A response is open to a dictionary attack, so none of them is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chap { .. } => "Chap",
            Self::Pap { .. } => "Pap",
        })
    }
}

impl fmt::Debug for Proxied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxied")
            .field("last_sent", &self.last_sent)
            .field("last_received", &self.last_received)
            .field("login", &self.login)
            .finish()
    }
}

/// Why a link cannot go on where the LAC stopped. It can begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdopted {
    /// The LAC agreed on no authentication protocol or on one that is not ours, or the login is of
    /// another one.
    AuthProtocol,
    /// Options or login are malformed.
    Malformed,
    /// LAC and peer agreed on this LCP option, or on a value of it, and we would not have.
    Option(u8),
}

impl NotAdopted {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AuthProtocol => "proxy_auth_protocol",
            Self::Malformed => "proxy_malformed",
            Self::Option(_) => "proxy_lcp_option",
        }
    }
}

impl fmt::Display for NotAdopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())?;
        match self {
            Self::Option(kind) => write!(f, " ({kind})"),
            Self::AuthProtocol | Self::Malformed => Ok(()),
        }
    }
}

impl core::error::Error for NotAdopted {}
