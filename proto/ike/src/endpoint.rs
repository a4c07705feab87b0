//! The machine as a whole: finds the SA of a datagram, keeps the timers, and hands on.
//!
//! ```text
//!  datagram -> Message::read -> by cookies -> main mode | quick mode | informational
//!                                 |                admit (sees state) -> commit (changes it)
//!                                 `-- no SA: only a first message of main mode may go on
//! ```
//!
//! Whatever an input touches is noted, and when the input is done the deadlines of what was touched
//! are entered into one agenda, so that thousands of SAs cost the logarithm of their number.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_core::{Agenda, Arena, Deadline, Instant, Key, Path, Rng, Seed};
use isthmus_crypto::{CryptoError, DhOutput, JobOutput, Provider};

use crate::action::{Action, DownReason, JobId, PeerId};
use crate::codec::{Fragment, Message, header::Header};
use crate::config::{Config, Connect};
use crate::context::{Context, Job, Stats};
use crate::embryo::Embryos;
use crate::error::Rejected;
use crate::fragmentation::{self, Reassembly};
use crate::iana::{ExchangeType, PayloadType};
use crate::peer::Peer;
use crate::sa::{IkeSa, Role, State};
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
        if let Action::Transmit { path, marked, bytes } = action {
            return Some(self.cut(path, marked, bytes));
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

    /// A message that its peer takes in pieces and that is longer than a packet becomes pieces.
    fn cut(&mut self, path: Path, marked: bool, bytes: Vec<u8>) -> Action {
        let room = fragmentation::room(path, marked, self.ctx.config.fragment_size);
        let Some(pieces) = fragmentation::cut(&bytes, room).filter(|_| self.takes_pieces(&bytes))
        else {
            return Action::Transmit { path, marked, bytes };
        };
        self.ctx.stats.messages_cut += 1;
        let transmit = |bytes| Action::Transmit { path, marked, bytes };
        self.pieces.extend(pieces.into_iter().map(transmit));
        self.pieces.pop_front().unwrap_or(Action::Transmit { path, marked, bytes })
    }

    /// Whether the peer of the SA that a message belongs to announced fragmentation.
    fn takes_pieces(&self, bytes: &[u8]) -> bool {
        let cookies = Message::read(bytes).map(|message| message.header.cookies);
        let sa = cookies.ok().and_then(|cookies| self.sas.get(self.table.find(&cookies)?));
        sa.is_some_and(|sa| sa.vendors.fragmentation)
    }

    /// A datagram: a message, or a piece of one.
    fn receive(
        &mut self,
        path: Path,
        marked: bool,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), Rejected> {
        let message = Message::read(bytes)?;
        if message.header.first != PayloadType::FRAGMENT {
            return self.dispatch(path, marked, &message, now);
        }
        let Some(whole) = self.take_piece(path, &message, now)? else { return Ok(()) };
        let whole = Message::read(&whole)?;
        // A message of another SA, or a piece of a piece, has no business in there.
        let cookies = message.header.cookies;
        if whole.header.first == PayloadType::FRAGMENT || whole.header.cookies != cookies {
            return Err(Rejected::UnknownCookies);
        }
        self.dispatch(path, marked, &whole, now)
    }

    /// Keeps a piece for cookies that we gave out; gives the message when it is complete.
    fn take_piece(
        &mut self,
        path: Path,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<Option<Vec<u8>>, Rejected> {
        let piece = Fragment::read(message)?;
        let cookies = &message.header.cookies;
        let sa = self.table.find(cookies).and_then(|key| self.sas.get_mut(key));
        let sa = sa.map(|sa| &mut sa.budget);
        let embryo = self.embryos.find(cookies, path.remote).map(|embryo| &mut embryo.budget);
        let budget = sa.or(embryo).ok_or(Rejected::UnknownCookies)?;
        let whole = self.reassembly.add(path.remote, message, &piece, now)?;
        // The data is paid for when the message is looked at, what is around it here.
        budget.earn(message.bytes.len() - piece.data.len());
        self.ctx.stats.fragments_received += 1;
        self.touch(Owner::Fragments);
        Ok(whole)
    }

    /// A whole message.
    fn dispatch(
        &mut self,
        path: Path,
        marked: bool,
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Header { cookies, exchange, message_id, .. } = message.header;
        let known = matches!(
            exchange,
            ExchangeType::IDENTITY_PROTECTION
                | ExchangeType::AGGRESSIVE
                | ExchangeType::QUICK_MODE
                | ExchangeType::INFORMATIONAL
        );
        if !known {
            return Err(Rejected::ExchangeUnsupported(exchange));
        }
        let main_mode = exchange == ExchangeType::IDENTITY_PROTECTION;
        let aggressive = exchange == ExchangeType::AGGRESSIVE;
        if (main_mode || aggressive) && message_id != 0 {
            return Err(Rejected::MessageId);
        }
        if main_mode && cookies.is_initial() {
            return self.main_mode_first(path, marked, message, now);
        }
        if aggressive && cookies.is_initial() {
            return self.aggressive_first(path, marked, message, now);
        }
        // Nothing is ever said to cookies that name no SA.
        let key = match self.table.find(&cookies) {
            Some(key) => key,
            None if main_mode => return self.main_mode_hatch((path, marked), message, now),
            None => return Err(Rejected::UnknownCookies),
        };
        self.touch(Owner::Sa(key));
        match exchange {
            ExchangeType::IDENTITY_PROTECTION => self.main_mode(key, (path, marked), message, now),
            ExchangeType::AGGRESSIVE => self.aggressive_mode(key, (path, marked), message, now),
            ExchangeType::QUICK_MODE => self.quick_mode(key, (path, marked), message, now),
            _ => self.informational(key, (path, marked), message, now),
        }
    }

    fn main_mode(
        &mut self,
        key: Key,
        from: (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get(key) else { return Err(Rejected::UnknownCookies) };
        if sa.window.received == Some(digest) {
            return self.duplicate_or(key, message, Rejected::Duplicate);
        }
        match &sa.state {
            State::AwaitMm2(_) => self.main_mode_second(key, message),
            State::AwaitMm3(_) => self.main_mode_third(key, from, message),
            State::AwaitMm4(_) => self.main_mode_fourth(key, message),
            State::AwaitMm5(_) => self.main_mode_fifth(key, from, message, now),
            State::AwaitMm6(_) => self.main_mode_sixth(key, from, message, now),
            State::AgreeingAsResponder(_)
            | State::AgreeingAsInitiator(_)
            | State::Generating(_)
            | State::Signature(_) => Err(Rejected::Busy),
            State::Aggressive(_) | State::Established(_) | State::Changing => {
                Err(Rejected::IncorrectState)
            }
        }
    }

    /// Answers the exact repetition of the last message; anything else is `otherwise`.
    pub(crate) fn duplicate_or(
        &mut self,
        key: Key,
        message: &Message<'_>,
        otherwise: Rejected,
    ) -> Result<(), Rejected> {
        let digest = self.ctx.digest(message.bytes)?;
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        if sa.window.received != Some(digest) {
            return Err(otherwise);
        }
        if sa.role == Role::Initiator {
            return Err(Rejected::Duplicate);
        }
        sa.budget.earn(message.bytes.len());
        if sa.window.sent.is_none() {
            return Err(Rejected::Busy);
        }
        if !sa.resend(&mut self.ctx) {
            return Err(Rejected::AmplificationLimit);
        }
        self.ctx.stats.replies_repeated += 1;
        Ok(())
    }

    fn main_mode_job(&mut self, key: Key, result: Result<DhOutput, CryptoError>, now: Instant) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        match sa.take_state() {
            State::AgreeingAsResponder(state) => self.responder_agreed(key, *state, result),
            State::Generating(state) => self.initiator_generated(key, *state, result, now),
            State::AgreeingAsInitiator(state) => self.initiator_agreed(key, *state, result, now),
            State::Aggressive(state) => self.aggressive_job(key, state, result, now),
            other @ (State::AwaitMm2(_)
            | State::AwaitMm3(_)
            | State::AwaitMm4(_)
            | State::AwaitMm5(_)
            | State::AwaitMm6(_)
            | State::Signature(_)
            | State::Established(_)
            | State::Changing) => sa.state = other,
        }
    }

    fn main_mode_signature(
        &mut self,
        key: Key,
        result: Result<JobOutput, CryptoError>,
        now: Instant,
    ) {
        let Some(sa) = self.sas.get_mut(key) else { return };
        match sa.take_state() {
            State::Signature(state) => self.signature_job(key, state, result, now),
            other @ (State::AwaitMm2(_)
            | State::AwaitMm3(_)
            | State::AwaitMm4(_)
            | State::AwaitMm5(_)
            | State::AwaitMm6(_)
            | State::AgreeingAsResponder(_)
            | State::Generating(_)
            | State::AgreeingAsInitiator(_)
            | State::Aggressive(_)
            | State::Established(_)
            | State::Changing) => sa.state = other,
        }
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
    }
}
