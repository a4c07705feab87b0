//! One L2TP session: its PPP link, its user and its address.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::{Deadline, Instant, Key};
use isthmus_l2tp::SessionUp;
use isthmus_plane::SessionCounters;
use isthmus_ppp as ppp;

use crate::advice::Advice;
use crate::cause::Cause;
use crate::failure::Stage;
use crate::ipv6::Ipv6Session;
use crate::limits::Ending;
use crate::negotiation::{Negotiation, Sender};
use crate::probe::PathProbe;
use crate::steps::Steps;
use crate::watch::Watch;

/// From the call to the hang-up.
pub(crate) struct Session {
    /// Its name in the data plane and towards operators.
    pub(crate) key: Key,
    /// Ids and options of the call.
    pub(crate) call: Box<SessionUp>,
    pub(crate) link: ppp::Link,
    /// Index of the tenant: that of the user, before login the peer's home.
    pub(crate) tenant: u16,
    /// What was granted at login.
    pub(crate) lease: Option<Lease>,
    /// The next login is one that the LAC took down.
    pub(crate) handed_over: bool,
    /// The user name as sent; escaped.
    pub(crate) claimed_user: Option<String>,
    /// The cause we refused the login with, so that the link's end is not reported a second time.
    pub(crate) refused: Option<Cause>,
    /// What both sides asked for on the link.
    pub(crate) negotiation: Negotiation,
    /// What the session has behind it.
    pub(crate) steps: Steps,
    /// The result of IPCP, while the network is up.
    pub(crate) network: Option<ppp::NetworkUp>,
    /// IPv6, while IPV6CP is up.
    pub(crate) ipv6: Option<Ipv6Session>,
    /// Who was said to be connected, and with which address; until somebody else is, or the end.
    pub(crate) announced: Option<(String, Ipv4Addr)>,
    /// Whether large packets pass; none before the network is up.
    pub(crate) probe: Option<PathProbe>,
    /// Why we end it, where its own end would not say so.
    pub(crate) ending: Option<Ending>,
    /// What it is ended for when it carries too little or too much.
    pub(crate) watch: Option<Box<Watch>>,
    /// When the call began.
    pub(crate) since: Instant,
    /// What it carried under earlier processes.
    pub(crate) carried: SessionCounters,
}

/// What a session holds until it ends.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) user: String,
    pub(crate) address: Ipv4Addr,
    /// The /64, for a session with IPv6.
    pub(crate) prefix6: Option<Ipv6Net>,
    pub(crate) advice: Arc<Advice>,
    pub(crate) group: Option<String>,
    pub(crate) networks: Vec<Ipv4Net>,
}

impl Session {
    /// A call that has just come up, or had come up at `since`.
    pub(crate) fn new(
        key: Key,
        call: Box<SessionUp>,
        link: ppp::Link,
        tenant: usize,
        since: Instant,
    ) -> Self {
        Self {
            key,
            call,
            link,
            tenant: u16::try_from(tenant).unwrap_or(u16::MAX),
            lease: None,
            handed_over: false,
            claimed_user: None,
            refused: None,
            negotiation: Negotiation::default(),
            steps: Steps::default(),
            probe: None,
            network: None,
            ipv6: None,
            announced: None,
            ending: None,
            watch: None,
            since,
            carried: SessionCounters::default(),
        }
    }

    /// Index of the tenant.
    pub(crate) fn tenant(&self) -> usize {
        self.tenant.into()
    }

    /// Brings it to another tenant.
    pub(crate) fn move_to(&mut self, tenant: usize) {
        self.tenant = u16::try_from(tenant).unwrap_or(u16::MAX);
    }

    /// When the link or the probe needs attention.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let probe = self.probe.as_ref().and_then(PathProbe::poll_timeout);
        let probe = probe.map(|at| Deadline { at, why: "path probe" });
        Deadline::earlier(self.link.poll_timeout(), probe)
    }

    /// Keeps what is asked for while nobody is logged in or no address is agreed.
    pub(crate) fn note(&mut self, sender: Sender, frame: &[u8]) {
        if self.network.is_none() {
            self.negotiation.note(sender, frame);
        }
    }

    /// How far the session came, for a failure record.
    pub(crate) fn stage(&self) -> Stage {
        match (&self.claimed_user, &self.lease) {
            (None, _) => Stage::PppLink,
            (Some(_), None) => Stage::PppAuth,
            (Some(_), Some(_)) => Stage::PppNetwork,
        }
    }
}

/// Gateways hold them by the ten thousand: whoever makes it larger decides so here.
const _: () = assert!(size_of::<Session>() <= 1232);
