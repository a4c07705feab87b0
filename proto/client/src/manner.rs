//! How a client behaves above IKE and beside L2TP's messages; the default is our own way.

use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_crypto::DhGroup;
use isthmus_l2tp::CloseReason;
use isthmus_ppp as ppp;

/// How a client behaves where the protocols leave it free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Group for perfect forward secrecy; none as most clients have it.
    pub pfs: Option<DhGroup>,
    /// How PPP is spoken.
    pub ppp: ppp::Habits,
    /// PPP's restart timer.
    pub restart: Duration,
    /// Probing of a silent server; none to leave that to it.
    pub echo: Option<ppp::Echo>,
    /// How the server is asked for routes; none not to.
    pub inform: Option<Informing>,
    /// What CDN and `StopCCN` give as reason.
    pub closes: CloseReason,
    /// Time from `StopCCN` to the IKE DELETEs.
    pub lingers: Duration,
}

/// DHCPINFORM over PPP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Informing {
    /// Codes of the options asked for, in order; none for our own list.
    pub wanted: Option<Vec<u8>>,
    /// How often the question is sent.
    pub tries: u8,
    /// How long an answer may take.
    pub wait: Duration,
}

impl Default for Informing {
    fn default() -> Self {
        Self { wanted: None, tries: 3, wait: Duration::from_secs(1) }
    }
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            pfs: None,
            ppp: ppp::Habits::default(),
            restart: ppp::Timing::default().restart,
            echo: Some(ppp::Echo::default()),
            inform: Some(Informing::default()),
            closes: CloseReason::Shutdown,
            lingers: Duration::ZERO,
        }
    }
}
