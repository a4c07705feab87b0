//! One peer, an IPsec peer or a trusted LAC: its L2TP endpoint, its sessions and its timers.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use isthmus_core::{Deadline, Encap, Instant, Path, SmallMap, Timers};
use isthmus_ike as ike;
use isthmus_l2tp::{self as l2tp, SessionRef};
use isthmus_plane::PeerRef;

use crate::failure::{Client, Milestone};
use crate::session::Session;
use crate::steps::Steps;
use crate::tenants::Admitted;

/// Everything that hangs on one peer.
///
/// L2TP ids are scoped per peer, so clients that all use tunnel 1 and session 1 never meet.
pub(crate) struct Peer {
    pub(crate) id: PeerRef,
    /// The tenants that its users may belong to.
    pub(crate) tenants: Admitted,
    pub(crate) path: Path,
    /// How ESP travels; none for a LAC, which does without.
    pub(crate) encap: Option<Encap>,
    /// Who it says it is, escaped; the name of a LAC.
    pub(crate) identity: String,
    /// The ESP suite in use, once there is one.
    pub(crate) suite: Option<&'static str>,
    pub(crate) l2tp: l2tp::Endpoint,
    pub(crate) sessions: SmallMap<SessionRef, Box<Session>>,
    pub(crate) timers: Timers<PeerTimer>,
    /// Whether any L2TP control message came.
    pub(crate) spoke_l2tp: bool,
    /// Whether any call came up.
    pub(crate) had_session: bool,
    /// What the attempt became.
    pub(crate) attempt: Attempt,
    /// By SPI of the peer: the numbers below may be used, and no record names one below. Empty when no
    /// records are kept.
    pub(crate) reserved: SmallMap<u32, u64>,
}

/// What a failure record will need, should nothing come of the peer.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) client: Client,
    /// Reached by the peer itself; sessions have their own.
    pub(crate) steps: Steps,
    /// How often IPsec SAs were made.
    pub(crate) children: u32,
    pub(crate) l2tp_messages: u64,
    /// A failure record was made, or no record is due.
    pub(crate) reported: bool,
}

impl Attempt {
    /// Notes that a milestone is behind; only the first time counts.
    pub(crate) fn reach(&mut self, milestone: Milestone, now: Instant) {
        self.steps.reach(milestone, now);
    }
}

/// Why a peer wants to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerTimer {
    /// The IPsec SA is up and no L2TP followed.
    NoL2tp,
    /// No session is left; the client had time to hang up or dial again.
    Idle,
}

impl Peer {
    /// A peer that nothing hangs on yet.
    pub(crate) fn new(
        id: PeerRef,
        tenants: Admitted,
        path: Path,
        identity: String,
        l2tp: l2tp::Endpoint,
    ) -> Self {
        Self {
            id,
            tenants,
            path,
            encap: None,
            identity,
            suite: None,
            l2tp,
            sessions: SmallMap::new(),
            timers: Timers::new(),
            spoke_l2tp: false,
            had_session: false,
            attempt: Attempt::default(),
            reserved: SmallMap::new(),
        }
    }

    /// A peer that IKE has let in.
    pub(crate) fn of_ipsec(up: &ike::PeerUp, tenants: Admitted, l2tp: l2tp::Endpoint) -> Self {
        let id = PeerRef::Ipsec(up.peer.0);
        let mut peer = Self::new(id, tenants, up.path, up.identity.to_string(), l2tp);
        peer.encap = Some(up.encap);
        peer.attempt.client = Client::of(&up.vendors, Some(up.nat));
        peer
    }

    /// When the peer, its L2TP endpoint or one of its links needs attention.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let own = self.timers.next().map(|(at, timer)| Deadline { at, why: timer.why() });
        let links = self.sessions.values().filter_map(|session| session.deadline());
        let routers = self.sessions.values().filter_map(|s| s.ipv6?.router.due());
        let routers = routers.map(|at| Deadline { at, why: "router advertisement" });
        links.chain(routers).fold(Deadline::earlier(own, self.l2tp.poll_timeout()), |a, b| {
            Deadline::earlier(a, Some(b))
        })
    }
}

impl PeerTimer {
    const fn why(self) -> &'static str {
        match self {
            Self::NoL2tp => "peer without L2TP",
            Self::Idle => "peer without sessions",
        }
    }
}
