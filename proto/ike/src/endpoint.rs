//! The machine as a whole: finds the SA of a datagram, keeps the timers, and hands on.
//!
//! ```text
//!  datagram -> Message::read -> by cookies -> main mode | quick mode | informational
//!                                 |                admit (sees state) -> commit (changes it)
//!                                 `-- no SA: only a first message of main mode may go on
//! ```
//!
//! What it is fed and what it gives is here; which exchange a message belongs to is in `dispatch`.
//!
//! Whatever an input touches is noted, and when the input is done the deadlines of what was touched
//! are entered into one agenda, so that thousands of SAs cost the logarithm of their number.

mod dispatch;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_core::{Agenda, Arena, Deadline, Instant, Key, Path, Rng, Seed};
use isthmus_crypto::{CryptoError, JobOutput, Provider};

use crate::action::{Action, DownReason, JobId, PeerId};
use crate::config::{Config, Connect};
use crate::context::{Context, Job, Stats};
use crate::embryo::Embryos;
use crate::error::Rejected;
use crate::fragmentation::Reassembly;
use crate::peer::Peer;
use crate::sa::{IkeSa, Sent};
use crate::table::Table;

/// IKEv1, both roles, for any number of peers.
pub struct Endpoint {
    pub(crate) ctx: Context,
    pub(crate) sas: Arena<Box<IkeSa>>,
    pub(crate) peers: Arena<Box<Peer>>,
    /// Inbound SPIs: the raw value of a key, and whose it is.
    pub(crate) inbound: Arena<PeerId>,
    pub(crate) table: Table,
    pub(crate) agenda: Agenda<Owner>,
    touched: Vec<Owner>,
    pub(crate) embryos: Embryos,
    pub(crate) reassembly: Reassembly,
    /// The rest of a message that was cut.
    pieces: VecDeque<Action>,
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Endpoint>();
};

/// Who has deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Embryos,
    Fragments,
    Peer(Key),
    Sa(Key),
}

impl Endpoint {
    /// An endpoint without peers. All randomness comes from `seed`.
    pub fn new(
        config: Arc<Config>,
        provider: Arc<dyn Provider>,
        seed: Seed,
        _now: Instant,
    ) -> Self {
        Self {
            ctx: Context::new(config, provider, Rng::new(seed)),
            sas: Arena::new(),
            peers: Arena::new(),
            inbound: Arena::new(),
            table: Table::default(),
            agenda: Agenda::new(),
            touched: Vec::new(),
            embryos: Embryos::default(),
            reassembly: Reassembly::default(),
            pieces: VecDeque::new(),
        }
    }

    /// Gives the inbound SPIs of a peer the lane of its key, so that several pipelines can share the
    /// peers; for an endpoint that has none yet.
    #[must_use]
    pub fn in_lanes(self) -> Self {
        Self { inbound: Arena::in_lanes(), ..self }
    }

    /// Uses another configuration for what begins from here on; nothing that is up changes.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.ctx.config = config;
    }

    /// Feeds one datagram. `marked`: it came with the non-ESP marker, which is taken off already.
    ///
    /// # Errors
    /// Why the datagram changed nothing; counted in [`Stats`].
    pub fn handle_datagram(
        &mut self,
        path: Path,
        marked: bool,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Rejected> {
        self.ctx.now = now;
        let result = self.receive(path, marked, bytes, now);
        if let Err(rejected) = &result {
            *self.ctx.stats.rejected.entry(rejected.label()).or_default() += 1;
        }
        self.settle();
        result
    }

    /// Feeds the passage of time; calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ctx.now = now;
        while let Some(owner) = self.agenda.pop_due(now) {
            self.touch(owner);
            match owner {
                Owner::Embryos => self.embryos_expired(now),
                Owner::Fragments => {
                    self.ctx.stats.fragments_expired += self.reassembly.expire(now);
                }
                Owner::Peer(key) => self.peer_timers(PeerId(key), now),
                Owner::Sa(key) => self.sa_timers(key, now),
            }
            self.settle();
        }
    }

    /// Feeds the result of an [`Action::Offload`].
    pub fn handle_job(&mut self, id: JobId, result: Result<JobOutput, CryptoError>, now: Instant) {
        match self.ctx.finished(id) {
            Some(Job::MainMode(key) | Job::Unproven(key)) => {
                self.touch(Owner::Sa(key));
                self.main_mode_job(key, result.and_then(JobOutput::dh), now);
            }
            Some(Job::Signature(key)) => {
                self.touch(Owner::Sa(key));
                self.main_mode_signature(key, result, now);
            }
            Some(Job::QuickMode(key, message_id)) => {
                self.touch(Owner::Sa(key));
                self.quick_mode_job(key, message_id, result.and_then(JobOutput::dh), now);
            }
            None => {}
        }
        self.settle();
    }

    /// Authentic ESP came from the peer: it is alive.
    pub fn peer_alive(&mut self, peer: PeerId, now: Instant) {
        if let Some(peer) = self.peers.get_mut(peer.0) {
            peer.dpd.alive(now);
        }
    }

    /// Authentic ESP came from a new address of the peer.
    pub fn path_moved(&mut self, peer: PeerId, path: Path) {
        self.move_path(peer, path);
    }

    /// The first packet came on an inbound SA; it confirms a quick mode whose message 3 was lost.
    pub fn inbound_used(&mut self, spi: u32, now: Instant) {
        self.child_used(spi, now);
        self.settle();
    }

    /// An SA, by either of its SPIs, has used most of its bytes or sequence numbers. Who made the
    /// child rekeys it; a responder leaves that to its peer.
    pub fn soft_limit(&mut self, peer: PeerId, spi: u32, now: Instant) {
        let Some(found) = self.peers.get(peer.0) else { return };
        let child = found.children.iter().find(|c| c.inbound == spi || c.outbound == spi);
        if let Some(inbound) = child.filter(|child| child.initiator).map(|child| child.inbound) {
            self.rekey_one(peer, inbound, now);
        }
        self.settle();
    }

    /// Connects to a server. The id is the peer's for good; if the attempt fails, `Failed` names it and
    /// it is forgotten.
    ///
    /// # Errors
    /// [`Rejected::PeerLimit`], or [`Rejected::NoProposalChosen`] when the configuration has nothing to
    /// offer.
    pub fn connect(&mut self, params: Connect, now: Instant) -> Result<PeerId, Rejected> {
        let path = params.ike;
        let connect = Arc::new(params);
        if self.peers.len() >= crate::peer::PEERS_MAX {
            return Err(Rejected::PeerLimit);
        }
        let peer = Box::new(Peer::outgoing(Arc::clone(&connect)));
        let id = self.peers.insert(peer).map(PeerId).map_err(|_| Rejected::PeerLimit)?;
        let result = self.initiate(id, connect, (path, false), false, now);
        match result {
            Ok(key) => self.set_attempt(id, Some(key)),
            Err(_) => {
                self.peers.remove(id.0);
            }
        }
        self.settle();
        result.map(|_| id)
    }

    /// Replaces every child of the peer by a new one.
    pub fn rekey_child(&mut self, peer: PeerId, now: Instant) {
        let Some(found) = self.peers.get(peer.0) else { return };
        let up = |c: &&crate::child::Child| c.state == crate::child::ChildState::Up;
        let children: Vec<u32> = found.children.iter().filter(up).map(|c| c.inbound).collect();
        for spi in children {
            self.rekey_one(peer, spi, now);
        }
        self.settle();
    }

    /// Replaces the IKE SA of the peer by a new one; children stay.
    pub fn rekey_ike(&mut self, peer: PeerId, now: Instant) {
        self.start_ike_rekey(peer, now);
        self.settle();
    }

    /// Deletes everything towards the peer, then takes it away.
    pub fn close_peer(&mut self, peer: PeerId, _now: Instant) {
        self.close(peer, DownReason::Closed);
        self.settle();
    }

    /// The next thing to do; the order is part of the contract.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(piece) = self.pieces.pop_front() {
            return Some(piece);
        }
        let action = self.ctx.out.pop()?;
        if let Action::Transmit { peer, path, marked, bytes } = action {
            return Some(self.cut(Sent { peer, path, marked, bytes }));
        }
        Some(action)
    }

    /// When to call `handle_timeout` next.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.agenda.next().map(|at| Deadline { at, why: "ike" })
    }

    /// Counters.
    pub const fn stats(&self) -> &Stats {
        &self.ctx.stats
    }

    /// Number of peers, connection attempts of our own included.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Number of IKE SAs in any state.
    pub fn ike_sas(&self) -> usize {
        self.sas.len()
    }

    /// Number of inbound SPIs in use or reserved.
    pub fn inbound_spis(&self) -> usize {
        self.inbound.len()
    }

    /// Number of messages of which pieces are missing, and the octets kept of them.
    pub fn incomplete(&self) -> (usize, usize) {
        self.reassembly.load()
    }

    /// Number of half-open exchanges that others began.
    pub fn half_open(&self) -> usize {
        self.embryos.len() + self.table.half_open()
    }

    /// Makes sure that another half-open exchange may begin, at the cost of the oldest one whose
    /// source may be forged, or else of the source that has most.
    pub(crate) fn make_room(&mut self, remote: IpAddr) -> Result<(), Rejected> {
        match self.table.admits(remote) {
            Err(Rejected::HalfOpenLimit) => {
                let unproven = self.table.oldest_unproven();
                let oldest = unproven.or_else(|| self.table.oldest_of_greediest(remote));
                let oldest = oldest.ok_or(Rejected::HalfOpenLimit)?;
                self.ctx.stats.half_open_evicted += 1;
                self.drop_sa(oldest);
                Ok(())
            }
            other => other,
        }
    }

    pub(crate) fn add_half_open(&mut self, sa: IkeSa) -> Result<Key, Rejected> {
        let (cookies, remote, created) = (sa.cookies, sa.path.remote, sa.created);
        let key = self.sas.insert(Box::new(sa)).map_err(|_| Rejected::HalfOpenLimit)?;
        self.table.add_half_open(cookies, remote, created, key);
        self.touch(Owner::Sa(key));
        Ok(key)
    }

    pub(crate) fn add_outgoing(&mut self, sa: IkeSa) -> Result<Key, Rejected> {
        let cookie = sa.cookies.initiator;
        let key = self.sas.insert(Box::new(sa)).map_err(|_| Rejected::PeerLimit)?;
        self.table.add_outgoing(cookie, key);
        self.touch(Owner::Sa(key));
        Ok(key)
    }

    pub(crate) fn with_sa<T>(
        &mut self,
        key: Key,
        f: impl FnOnce(&mut IkeSa, &mut Context) -> Result<T, Rejected>,
    ) -> Result<T, Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        f(sa, &mut self.ctx)
    }

    /// Notes that deadlines of an owner may have changed.
    pub(crate) fn touch(&mut self, owner: Owner) {
        self.touched.push(owner);
    }

    /// Enters the deadlines of everything touched.
    pub(crate) fn settle(&mut self) {
        while let Some(owner) = self.touched.pop() {
            let next = match owner {
                Owner::Embryos => self.embryos.deadline(),
                Owner::Fragments => self.reassembly.deadline(),
                Owner::Peer(key) => {
                    self.peers.get(key).and_then(|peer| peer.timers.next().map(|(at, _)| at))
                }
                Owner::Sa(key) => {
                    self.sas.get(key).and_then(|sa| sa.timers.next().map(|(at, _)| at))
                }
            };
            self.agenda.set(owner, next);
        }
        let sas = &self.sas;
        self.ctx.start_jobs(|sa| sas.get(sa).is_some());
    }
}
