//! The gateway machine: inputs from the packet pipeline, jobs and time; ordered actions out.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Agenda, Arena, Deadline, Instant, Key, Outbox, Path, Rng, Seed};
use isthmus_crypto::{CryptoError, Job, JobOutput, Provider};
use isthmus_ike::{self as ike, JobId, PeerId};
use isthmus_l2tp::SessionRef;
use isthmus_plane::{Command, PeerRef, Report};

use crate::cause::Cause;
use crate::config::Config;
use crate::diagnosis;
use crate::event::Event;
use crate::failure::{Failure, Stage};
use crate::failures::FailureLog;
use crate::lacs::Lacs;
use crate::limits::Ending;
use crate::links::LinkConfigs;
use crate::peer::Peer;
use crate::pool::Pools;
use crate::stats::Stats;
use crate::trials::Trials;

/// Something the shell must do, in this order.
#[derive(Debug)]
pub enum Action {
    /// Tell people and programs.
    Event(Event),
    /// Do slow arithmetic elsewhere and come back with [`Gateway::handle_job`].
    Offload {
        /// To be given back.
        id: JobId,
        /// The work.
        job: Job,
    },
    /// Give to the packet pipeline.
    Plane(Command),
}

/// One gateway: all peers, sessions, tenants and pools. Owns no socket, clock or thread.
///
/// A peer comes from IKE, its L2TP endpoint carries sessions, each session has a PPP link; the gateway
/// turns the actions of one machine into inputs of the next. Everything a packet needs is published to
/// the pipeline as a [`Command`], and because commands and messages leave through one queue, a security
/// association is always installed before the message that lets the peer use it.
pub struct Gateway {
    pub(crate) config: Arc<Config>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) rng: Rng,
    pub(crate) ike: ike::Endpoint,
    /// Boxed, since a node of the map has room for eleven and half of it stays empty.
    pub(crate) peers: BTreeMap<PeerRef, Box<Peer>>,
    pub(crate) link_configs: LinkConfigs,
    pub(crate) lacs: Lacs,
    /// Session keys; the value says where the session is.
    pub(crate) sessions: Arena<(PeerRef, SessionRef)>,
    /// One per tenant, same order.
    pub(crate) pools: Vec<Pools>,
    pub(crate) agenda: Agenda<PeerRef>,
    /// When sessions have lasted as long as they may; most gateways set no such limit.
    pub(crate) expiries: Agenda<Key>,
    /// When to ask the pipeline what sessions have carried; only those with a limit that needs it.
    pub(crate) looks: Agenda<Key>,
    pub(crate) failures: FailureLog,
    pub(crate) stats: Stats,
    /// Probes of the last second.
    pub(crate) trials: Trials,
    pub(crate) outbox: Outbox<Action>,
    pub(crate) closing: bool,
    /// Whether sequence numbers are reserved by stored records.
    pub(crate) keeps_records: bool,
}

impl Gateway {
    /// A gateway without peers.
    pub fn new(config: Arc<Config>, provider: Arc<dyn Provider>, seed: Seed, now: Instant) -> Self {
        let mut rng = Rng::new(seed);
        let ike =
            ike::Endpoint::new(Arc::clone(&config.ike), Arc::clone(&provider), rng.seed(), now)
                .in_lanes();
        let pools = config.tenants.iter().map(Pools::of).collect();
        let mut gateway = Self {
            config,
            provider,
            rng,
            ike,
            peers: BTreeMap::new(),
            link_configs: LinkConfigs::default(),
            lacs: Lacs::default(),
            sessions: Arena::in_lanes(),
            pools,
            agenda: Agenda::new(),
            expiries: Agenda::new(),
            looks: Agenda::new(),
            failures: FailureLog::default(),
            stats: Stats::default(),
            trials: Trials::default(),
            outbox: Outbox::new(),
            closing: false,
            keeps_records: false,
        };
        gateway.trust_lacs();
        gateway
    }

    /// Feeds what the packet pipeline reports.
    pub fn handle_report(&mut self, report: Report, now: Instant) {
        match report {
            Report::Ike { path, marked, bytes } => {
                let evicted = self.ike.stats().half_open_evicted;
                let outcome = self.ike.handle_datagram(path, marked, &bytes, now);
                if self.ike.stats().half_open_evicted > evicted {
                    self.half_open_evicted(path, now);
                }
                if let Err(rejected) = outcome {
                    self.stats.ike.count(rejected.label());
                    self.ike_rejected(path, &rejected, now);
                }
            }
            Report::L2tp { peer, remote_port, bytes, .. } => {
                self.handle_l2tp(PeerRef::Ipsec(peer), remote_port, &bytes, now);
            }
            Report::PathMoved { peer, path, encap } => {
                self.ike.path_moved(PeerId(peer), path);
                self.path_moved(peer, path, encap);
            }
            Report::Alive { peer } => self.peer_alive(peer, now),
            Report::LacAlive { lac, session } => self.lac_alive(lac, session, now),
            Report::PlainL2tp { path, lane, bytes } => {
                self.handle_plain(path, lane, &bytes, now);
            }
            Report::SaUsed { spi, .. } => self.ike.inbound_used(spi, now),
            Report::SoftLimit { peer, spi } => self.ike.soft_limit(PeerId(peer), spi, now),
            // An SA that the provider cannot work with is an SA the peer must not believe in.
            Report::InstallFailed { peer, .. } => self.close_peer(PeerRef::Ipsec(peer), now),
            // Counters answer the shell's own question; numbers are reserved by whoever stores records.
            Report::Carried { session, counters } => self.carried(session, &counters, now),
            Report::Counters { .. } | Report::ReserveLow { .. } => {}
        }
        self.drain_ike(now);
    }

    /// Feeds the result of an [`Action::Offload`].
    pub fn handle_job(&mut self, id: JobId, result: Result<JobOutput, CryptoError>, now: Instant) {
        self.ike.handle_job(id, result, now);
        self.drain_ike(now);
    }

    /// Feeds the passage of time; calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ike.handle_timeout(now);
        self.drain_ike(now);
        while let Some(session) = self.expiries.pop_due(now) {
            self.end_for(session, Ending::Expired, now);
        }
        while let Some(session) = self.looks.pop_due(now) {
            self.look_at(session, now);
        }
        while let Some(peer) = self.agenda.pop_due(now) {
            self.handle_peer_timeout(peer, now);
        }
    }

    /// Takes over a new configuration. Sessions go on, with the limits that their users have now; a user who
    /// is gone keeps the session that is up, with those of the tenant, but cannot log in again; a LAC that is
    /// not trusted any more is told so, with all its sessions.
    pub fn reconfigure(&mut self, config: Arc<Config>, now: Instant) {
        self.ike.set_config(Arc::clone(&config.ike));
        for (index, tenant) in config.tenants.iter().enumerate() {
            match self.pools.get_mut(index) {
                Some(pools) => pools.reconfigure(tenant),
                None => self.pools.push(Pools::of(tenant)),
            }
            if !tenant.is_vacant() {
                self.outbox.push(Action::Event(Event::UsersReloaded {
                    tenant: tenant.name.clone(),
                    count: tenant.users.len(),
                }));
            }
        }
        let before = core::mem::replace(&mut self.config, config);
        self.review_limits(&before, now);
        self.link_configs = LinkConfigs::default();
        self.review_lacs(now);
        self.trust_lacs();
    }

    /// Ends one session: LCP Terminate-Request and CDN. False when there is no such session.
    pub fn disconnect(&mut self, session: Key, now: Instant) -> bool {
        let Some(&(peer, at)) = self.sessions.get(session) else { return false };
        self.close_link(peer, at, now);
        self.drain_peer(peer, now);
        true
    }

    /// Ends everything, telling every peer: LCP Terminate-Request, CDN, `StopCCN`, IKE DELETE. New
    /// attempts are ignored from here on. Done when [`Gateway::is_idle`].
    pub fn shutdown(&mut self, now: Instant) {
        self.closing = true;
        let peers: Vec<PeerRef> = self.peers.keys().copied().collect();
        for peer in peers {
            self.close_peer(peer, now);
        }
    }

    /// The next thing to do; the order is part of the contract.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.outbox.pop()
    }

    /// When to call [`Gateway::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let peers = self.agenda.next().map(|at| Deadline { at, why: "peer" });
        let expiries = self.expiries.next().map(|at| Deadline { at, why: "session timeout" });
        let looks = self.looks.next().map(|at| Deadline { at, why: "session watch" });
        let sessions = Deadline::earlier(expiries, looks);
        Deadline::earlier(Deadline::earlier(self.ike.poll_timeout(), peers), sessions)
    }

    /// Whether no peer is left.
    pub fn is_idle(&self) -> bool {
        self.peers.is_empty()
    }

    /// Keeps a failure, and tells it unless much the same was told.
    pub(crate) fn fail(&mut self, failure: Failure) {
        let Some(told) = self.failures.push(failure).cloned() else { return };
        match self.failures.take_unsaid() {
            0 => {}
            count => self.event(Event::AttemptsUntold { count }),
        }
        self.event(Event::AttemptFailed(Box::new(told)));
    }

    /// So many begin that others lose their place before they were done.
    fn half_open_evicted(&mut self, path: Path, now: Instant) {
        let mut failure = Failure::new(now, path.remote, Stage::IkeMainMode, Cause::TooMany);
        failure.proven = false;
        failure.detail = "so many attempts begin that the oldest ones are forgotten".into();
        self.fail(failure);
    }

    /// A refused datagram may show a client that cannot connect; anybody may have sent it.
    fn ike_rejected(&mut self, path: Path, rejected: &ike::Rejected, now: Instant) {
        let Some((cause, detail)) = diagnosis::of_rejected(rejected) else { return };
        let mut failure = Failure::new(now, path.remote, Stage::IkeMainMode, cause);
        failure.proven = false;
        failure.detail = detail;
        self.fail(failure);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outbox.push(Action::Event(event));
    }

    pub(crate) fn plane(&mut self, command: Command) {
        self.outbox.push(Action::Plane(command));
    }
}
