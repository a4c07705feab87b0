//! One PPP link over an L2TP session, either end.
//!
//! ```text
//!  Dead --open--> Establish --LCP opened--> Authenticate --accepted--> Network --IPCP opened--> (up)
//!                     ^                          |                        |
//!                     '--- the peer negotiates again (NetworkDown) -------'
//!  (a LAC) --adopt------------------------> Authenticate
//!  any --close, refusal, timeout--> Terminate --goodbye answered--> Down
//! ```
//!
//! The phases are those of RFC 1661 §3.2. What a phase does not expect is discarded, so that nothing
//! an unauthenticated peer sends reaches IPCP. Authentication begins when LCP is open in both
//! directions, never before: iOS and pppd drop a challenge that comes earlier.
//!
//! The peer's word is admitted first and committed then (`link/receive.rs`); what the inner machines
//! want is carried out in `link/phases.rs`. [`Action::Up`] can only follow from a verdict that
//! accepts (server) or from a proof that the server knows our password (client, MS-CHAPv2).

mod adopt;
mod phases;
mod receive;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Deadline, Duration, Instant, Outbox, Rng, Seed};
use isthmus_crypto::Provider;

use crate::action::{Action, Ipv6Up, NetworkUp, Ticket, Verdict};
use crate::authenticatee::Authenticatee;
use crate::authenticator::Authenticator;
use crate::automaton::State;
use crate::config::{LinkConfig, Role};
use crate::eap;
use crate::error::{CloseReason, DownReason, Rejected, Stage};
use crate::habits::Asked;
use crate::ipcp::IpcpOptions;
use crate::ipv6cp::Ipv6cpOptions;
use crate::keepalive::Keepalive;
use crate::lcp::LcpOptions;
use crate::negotiation::Negotiation;
use crate::record::{Ipv6Record, LinkRecord};
use crate::stats::Stats;
use crate::text::Text;

/// One link.
#[derive(Debug)]
pub struct Link {
    config: Arc<LinkConfig>,
    provider: Shared,
    rng: Rng,
    /// Whether IPV6CP is spoken in the next network phase.
    ipv6: bool,
    phase: Phase,
    lcp: Negotiation<LcpOptions>,
    keepalive: Keepalive,
    /// When the network must be up.
    establish_at: Option<Instant>,
    /// The login whose verdict is awaited.
    ticket: Option<Ticket>,
    last_ticket: u32,
    renegotiations: u8,
    rejects: Rejects,
    /// When the network last came up.
    up_since: Option<Instant>,
    identifications: Vec<Text>,
    farewell: Option<Text>,
    stats: Stats,
    outbox: Outbox<Action>,
}

/// The provider, which cannot be printed.
struct Shared(Arc<dyn Provider>);

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Provider")
    }
}

/// How many frames of protocols we do not speak were answered of late.
#[derive(Debug, Default)]
struct Rejects {
    sent: u8,
    /// When counting begins anew.
    until: Option<Instant>,
}

/// The phases of RFC 1661 §3.2.
#[derive(Debug)]
enum Phase {
    Authenticate(Login),
    Dead,
    Down(DownReason),
    Establish,
    Network(Box<Network>),
    Terminate(DownReason),
}

/// Whose turn it is to prove itself.
#[derive(Debug)]
enum Login {
    /// We must.
    Client(Box<Authenticatee>),
    /// We must, by EAP.
    EapPeer(Box<eap::peer::Peer>),
    /// The peer must, by EAP.
    EapServer(Box<eap::server::Server>),
    /// The peer must.
    Server(Box<Authenticator>),
}

/// The network phase.
#[derive(Debug)]
struct Network {
    /// Kept for repetitions and new challenges; none for a server restored from a record, or a
    /// client nobody asked.
    login: Option<Login>,
    ipcp: Negotiation<IpcpOptions>,
    /// Other network protocols that are our habit to ask for.
    asked: Vec<Asked>,
    ipv6: Option<Box<Ipv6Network>>,
    /// Whether the peer has spoken IPCP, so that it knows it is accepted.
    heard: bool,
    is_up: bool,
}

/// IPv6 in the network phase. Whatever becomes of it, the link stays.
#[derive(Debug)]
struct Ipv6Network {
    cp: Negotiation<Ipv6cpOptions>,
    is_up: bool,
    /// How often it came up.
    ups: u8,
}

impl Link {
    /// A link that waits for [`Link::open`].
    pub fn new(
        config: Arc<LinkConfig>,
        provider: Arc<dyn Provider>,
        seed: Seed,
        _now: Instant,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let options = LcpOptions::new(&config, Rng::new(rng.seed()));
        let mut lcp = Negotiation::new(options, config.timing);
        if let (Role::Client(_), Some(id)) = (&config.role, config.habits.first_id) {
            lcp.set_first_id(id);
        }
        Self::with(config, provider, rng, lcp, Phase::Dead)
    }

    fn with(
        config: Arc<LinkConfig>,
        provider: Arc<dyn Provider>,
        rng: Rng,
        lcp: Negotiation<LcpOptions>,
        phase: Phase,
    ) -> Self {
        Self {
            keepalive: Keepalive::new(config.echo, matches!(config.role, Role::Server(_))),
            ipv6: config.ipv6,
            config,
            provider: Shared(provider),
            rng,
            phase,
            lcp,
            establish_at: None,
            ticket: None,
            last_ticket: 0,
            renegotiations: 0,
            rejects: Rejects::default(),
            up_since: None,
            identifications: Vec::new(),
            farewell: None,
            stats: Stats::default(),
            outbox: Outbox::new(),
        }
    }

    /// Begins to negotiate.
    pub fn open(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Dead) {
            return;
        }
        if let Role::Server(server) = &self.config.role
            && server.auth.is_empty()
        {
            return self.finish(DownReason::AuthNotConfigured);
        }
        self.phase = Phase::Establish;
        self.establish_at = Some(now + self.config.timing.establish);
        self.lcp.open(now);
        self.settle(now);
    }

    /// Takes one frame, beginning with FF 03 or with the protocol number.
    ///
    /// # Errors
    /// The frame is not taken, and nothing has changed.
    pub fn handle_frame(&mut self, frame: &[u8], now: Instant) -> Result<(), Rejected> {
        self.stats.frames_received += 1;
        let outcome = self.admit(frame, now);
        match outcome {
            Ok(accepted) => {
                self.keepalive.hear(now);
                self.commit(accepted, now);
                self.settle(now);
                Ok(())
            }
            Err(rejected) => {
                self.stats.frames_rejected += 1;
                Err(rejected)
            }
        }
    }

    /// Takes the answer to [`Action::Authenticate`].
    ///
    /// # Errors
    /// [`Rejected::StaleVerdict`]: that login is over, and the verdict changes nothing. A server that
    /// leased an address for it takes it back.
    pub fn handle_verdict(
        &mut self,
        ticket: Ticket,
        verdict: Verdict,
        now: Instant,
    ) -> Result<(), Rejected> {
        match &mut self.phase {
            Phase::Authenticate(login) if self.ticket == Some(ticket) && login.is_asking() => {
                self.ticket = None;
                match login {
                    Login::Server(server) => server.handle_verdict(verdict, &mut self.rng, now),
                    Login::EapServer(server) => server.handle_verdict(verdict, now),
                    Login::Client(_) | Login::EapPeer(_) => {}
                }
                self.settle(now);
                Ok(())
            }
            Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Network(_)
            | Phase::Terminate(_) => Err(Rejected::StaleVerdict),
        }
    }

    /// Takes another configuration, of the same role, for what is not negotiated yet: who logs in may have
    /// to be served otherwise than who dialled. To be called before [`Link::allow_ipv6`] and the verdict.
    pub fn go_on_with(&mut self, config: Arc<LinkConfig>) {
        self.config = config;
    }

    /// Says whether this peer gets IPv6, where the configuration allows it at all; to be called before
    /// the verdict that accepts it.
    pub fn allow_ipv6(&mut self, allowed: bool) {
        self.ipv6 = allowed && self.config.ipv6;
    }

    /// Authenticated traffic of the peer was seen elsewhere: it counts as a sign of life.
    pub fn peer_alive(&mut self, now: Instant) {
        self.keepalive.hear(now);
    }

    /// Takes the passage of time; calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lcp.handle_timeout(now);
        self.settle(now);
        self.time_out_login(now);
        self.settle(now);
        self.time_out_ipcp(now);
        self.settle(now);
        self.time_out_ipv6cp(now);
        self.settle(now);
        self.ask_others(now);
        self.time_out_keepalive(now);
        if self.establish_at.is_some_and(|at| at <= now) {
            self.terminate(DownReason::Timeout(self.stage()), now);
        }
        self.settle(now);
    }

    /// Says goodbye; [`Action::Down`] follows when the peer has answered or did not.
    pub fn close(&mut self, reason: CloseReason, now: Instant) {
        self.terminate(DownReason::Closed(reason), now);
        self.settle(now);
    }

    /// The next thing to do; the order is part of the contract.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.outbox.pop()
    }

    /// When to call [`Link::handle_timeout`] next, and why.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let (login, network) = match &self.phase {
            Phase::Authenticate(login) => (Some(login), None),
            Phase::Network(network) => (network.login.as_ref(), Some(network)),
            Phase::Dead | Phase::Down(_) | Phase::Establish | Phase::Terminate(_) => (None, None),
        };
        let ipv6 = network.and_then(|network| network.ipv6.as_ref());
        [
            (self.lcp.poll_timeout(), "lcp restart"),
            (login.and_then(Login::poll_timeout), "authentication"),
            (network.and_then(|network| network.ipcp.poll_timeout()), "ipcp restart"),
            (ipv6.and_then(|ipv6| ipv6.cp.poll_timeout()), "ipv6cp restart"),
            (
                network.and_then(|n| n.asked.iter().filter_map(Asked::poll_timeout).min()),
                "ncp restart",
            ),
            (self.keepalive.poll_timeout(), "echo"),
            (self.establish_at, "establish"),
        ]
        .into_iter()
        .filter_map(|(at, why)| at.map(|at| Deadline { at, why }))
        .min_by_key(|deadline| deadline.at)
    }

    /// How far the link has come.
    pub fn stage(&self) -> Stage {
        match &self.phase {
            Phase::Authenticate(login) if login.is_asking() => Stage::Verdict,
            Phase::Authenticate(_) => Stage::Authenticate,
            Phase::Network(network) if network.is_up => Stage::Up,
            Phase::Network(_) => Stage::Ipcp,
            Phase::Dead | Phase::Down(_) | Phase::Establish | Phase::Terminate(_) => Stage::Lcp,
        }
    }

    /// What was agreed, while the network is up.
    pub fn network(&self) -> Option<NetworkUp> {
        match &self.phase {
            Phase::Network(network) if network.is_up => Some(NetworkUp {
                local: network.ipcp.options.local(),
                remote: network.ipcp.options.remote(),
                dns: network.ipcp.options.dns(),
                peer_mru: self.lcp.options.peer.mru,
                local_mru: self.lcp.options.ours.mru,
                send_pfc: self.lcp.options.peer.pfc,
                send_acfc: self.lcp.options.peer.acfc,
            }),
            Phase::Network(_)
            | Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Down(_)
            | Phase::Establish
            | Phase::Terminate(_) => None,
        }
    }

    /// What was agreed about IPv6, while it is up.
    pub fn ipv6(&self) -> Option<Ipv6Up> {
        let Phase::Network(network) = &self.phase else { return None };
        let ipv6 = network.ipv6.as_ref().filter(|ipv6| ipv6.is_up)?;
        ipv6.cp.options.agreement()
    }

    /// Why the link is down, when it is.
    pub const fn down_reason(&self) -> Option<DownReason> {
        match &self.phase {
            Phase::Down(reason) => Some(*reason),
            Phase::Authenticate(_)
            | Phase::Dead
            | Phase::Establish
            | Phase::Network(_)
            | Phase::Terminate(_) => None,
        }
    }

    /// Everything needed to go on after a restart; none while the network is not up.
    pub fn record(&self) -> Option<LinkRecord> {
        let network = self.network()?;
        let Phase::Network(phase) = &self.phase else { return None };
        Some(LinkRecord {
            ours: self.lcp.options.ours,
            peer: self.lcp.options.peer,
            lcp_id: self.lcp.last_id(),
            ipcp_id: phase.ipcp.last_id(),
            network,
            ipv6: self.ipv6().zip(phase.ipv6.as_ref()).map(|(up, ipv6)| {
                let id = ipv6.cp.last_id();
                Ipv6Record { up, id }
            }),
        })
    }

    /// What the peer said it is in LCP Identification packets (RFC 1570 §2.1), at most
    /// [`IDENTIFICATIONS_MAX`] of them.
    pub fn identifications(&self) -> &[Text] {
        &self.identifications
    }

    /// The data of the peer's Terminate-Request; many put a reason there.
    pub const fn farewell(&self) -> Option<&Text> {
        self.farewell.as_ref()
    }

    /// Counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether LCP is open in both directions.
    fn is_lcp_open(&self) -> bool {
        self.lcp.state() == State::Opened
    }
}

impl Rejects {
    /// Whether another one may be sent.
    fn may_send(&self, now: Instant) -> bool {
        self.sent < PROTOCOL_REJECTS_MAX || self.until.is_none_or(|until| until <= now)
    }

    /// One is sent.
    fn count(&mut self, now: Instant) {
        if self.until.is_none_or(|until| until <= now) {
            *self = Self { sent: 0, until: Some(now + REJECTS_PERIOD) };
        }
        self.sent = self.sent.saturating_add(1);
    }
}

impl Login {
    const fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Client(client) => client.poll_timeout(),
            Self::EapPeer(peer) => peer.poll_timeout(),
            Self::EapServer(server) => server.poll_timeout(),
            Self::Server(server) => server.poll_timeout(),
        }
    }

    /// Whether a verdict on the peer is out.
    const fn is_asking(&self) -> bool {
        match self {
            Self::Client(_) | Self::EapPeer(_) => false,
            Self::EapServer(server) => server.is_asking(),
            Self::Server(server) => server.is_asking(),
        }
    }

    /// Says once more that the peer is in.
    fn repeat_answer(&mut self) {
        match self {
            Self::Client(_) | Self::EapPeer(_) => {}
            Self::EapServer(server) => server.repeat_answer(),
            Self::Server(server) => server.repeat_answer(),
        }
    }
}

/// Most Identification texts kept; Windows sends three.
pub const IDENTIFICATIONS_MAX: usize = 4;
/// How often a peer may negotiate again without being up for ten minutes in between.
pub const RENEGOTIATIONS_MAX: u8 = 8;
/// Most frames of protocols we do not speak that are answered within ten seconds.
pub const PROTOCOL_REJECTS_MAX: u8 = 16;
const REJECTS_PERIOD: Duration = Duration::from_secs(10);
/// A network that was up for this long was worth its negotiation.
const REST: Duration = Duration::from_mins(10);
