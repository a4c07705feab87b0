//! The pipeline itself: its state and the commands.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Agenda, Instant, Key, Path, RngStream, Seed, SmallMap};
use isthmus_crypto::Provider;
use isthmus_esp::{NAT_KEEPALIVE, NON_ESP_MARKER};
use isthmus_l2tp::data::Header;

use crate::DropReason;
use crate::command::{Command, InstallInbound, InstallOutbound};
use crate::lac::PeerRef;
use crate::limit::Limiter;
use crate::packet::{Outputs, Port, Tx};
use crate::peer::Message;
use crate::report::{Counters, Report};
use crate::sa::{Inbound, Outbound};
use crate::scratch::Scratch;
use crate::session::push_udp;
use crate::share::Share;
use crate::stats::Stats;
use crate::tables::Tables;

/// The packet pipeline of one worker. See the crate documentation.
pub struct Plane {
    provider: Arc<dyn Provider>,
    /// Where IVs come from.
    pub(crate) ivs: RngStream,
    pub(crate) tables: Tables,
    pub(crate) stats: Stats,
    pub(crate) too_big: Limiter,
    pub(crate) scratch: Scratch,
    pub(crate) share: Share,
    /// Nothing may be sent on to another pipeline: it comes from one.
    pub(crate) settled: bool,
    /// How many inbound SAs were installed; the age of the next one.
    installed: u64,
    /// Sessions in which messages wait for earlier ones.
    pub(crate) reordering: Agenda<Key>,
}

impl Plane {
    /// An empty pipeline that works for everybody.
    pub fn new(provider: Arc<dyn Provider>, seed: Seed) -> Self {
        Self::sharing(Share::SOLE, provider, seed)
    }

    /// An empty pipeline, one of several. [`Command::OpenSession`] and [`Command::CloseSession`] must come
    /// to all of them; another's session is only led to.
    pub fn sharing(share: Share, provider: Arc<dyn Provider>, seed: Seed) -> Self {
        Self {
            provider,
            ivs: RngStream::new(seed),
            tables: Tables::default(),
            stats: Stats::default(),
            too_big: Limiter::default(),
            scratch: Scratch::default(),
            share,
            settled: false,
            installed: 0,
            reordering: Agenda::new(),
        }
    }

    /// Carries out a command. The time is there for uniformity: nothing a command does depends on it.
    pub fn apply(&mut self, command: Command, out: &mut Outputs, _now: Instant) {
        debug_assert!(self.scratch.is_empty(), "a batch was left half done");
        self.carry_out(command, out);
        for buf in core::mem::take(&mut self.tables.abandoned) {
            self.drop(DropReason::SessionEnded, buf, out);
        }
    }

    /// Feeds the passage of time; calling it early is harmless.
    pub fn handle_timeout(&mut self, out: &mut Outputs, now: Instant) {
        while let Some(session) = self.reordering.pop_due(now) {
            self.release(session, out, now);
        }
    }

    /// When to call [`Plane::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.reordering.next()
    }

    fn carry_out(&mut self, command: Command, out: &mut Outputs) {
        match command {
            Command::InstallInbound(sa) => self.install_inbound(&sa, out),
            Command::InstallOutbound(sa) => self.install_outbound(&sa, out),
            Command::RemoveInbound { spi } => self.tables.remove_inbound(spi),
            Command::RemoveOutbound { peer, spi } => {
                if let Some(peer) = self.tables.peers.get_mut(peer) {
                    peer.remove_outbound(spi);
                }
            }
            Command::RemovePeer { peer } => self.tables.remove_peer(peer),
            Command::MovePath { peer, path, encap } => {
                if let Some(peer) = self.tables.peers.get_mut(peer) {
                    peer.place = Some(crate::peer::Place { path, encap });
                }
            }
            Command::Reserve { peer, spi, until } => {
                if let Some(peer) = self.tables.peers.get_mut(peer) {
                    peer.reserve(spi, until);
                }
            }
            Command::TrustLacs { sources } => self.tables.lacs.trust(sources),
            Command::OpenLac { lac, path } => self.tables.open_lac(lac, path),
            Command::CloseLac { lac } => self.tables.close_lac(lac),
            Command::SendPlain { lac, mut bytes } => {
                self.renumber(PeerRef::Lac(lac), &mut bytes);
                let buf = out.copy(&bytes);
                self.send_plain(lac, buf, out);
            }
            Command::OpenSession(params) if self.share.owns(params.session) => {
                self.tables.open_session(params);
            }
            Command::OpenSession(params) => self.tables.open_elsewhere(params),
            Command::CloseSession { session } if self.share.owns(session) => {
                self.tables.close_session(session);
            }
            Command::CloseSession { session } => self.tables.close_elsewhere(session),
            Command::SetDevice { session, own } => {
                if let Some(session) = self.tables.sessions.get_mut(session) {
                    session.has_device = own;
                }
            }
            Command::SendInner { session, packet } => self.send_inner(session, &packet, out),
            Command::SendL2tp { peer, local_port, remote_port, bytes } => {
                self.send_l2tp(peer, Message { local_port, remote_port, bytes }, out);
            }
            Command::SendIke { path, marked, bytes, .. } => send_ike(path, marked, &bytes, out),
            Command::SendKeepalive { path } => {
                let buf = out.copy(&[NAT_KEEPALIVE]);
                out.net.push(Tx { path, port: Port::NatT, buf });
            }
            Command::ReadSession { session } => {
                if let Some(counters) = self.tables.sessions.get_mut(session).map(|s| s.counters) {
                    out.reports.push(Report::Carried { session, counters });
                }
            }
            Command::ReadCounters { token, each } => {
                let total = self.stats;
                let sums = || Counters { token, total, sessions: Vec::new(), sas: Vec::new() };
                let counters = if each { self.counters(token) } else { sums() };
                out.reports.push(Report::Counters(Box::new(counters)));
            }
        }
    }

    /// The counters of the whole pipeline.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Counts a drop and makes the buffer free.
    pub(crate) fn drop(&mut self, reason: DropReason, buf: isthmus_core::Buf, out: &mut Outputs) {
        self.stats.drops.count(reason);
        out.free.push(buf);
    }

    fn install_inbound(&mut self, params: &InstallInbound, out: &mut Outputs) {
        let (peer, spi) = (params.peer, params.sa.params.spi);
        // The same again must not open the replay window anew.
        if self.tables.inbound.get(Key::from_raw(spi)).is_some_and(|sa| sa.is(params)) {
            return;
        }
        let Ok(inbound) = Inbound::new(params, self.installed, &*self.provider) else {
            out.reports.push(Report::InstallFailed { peer, spi });
            return;
        };
        self.installed = self.installed.saturating_add(1);
        if self.tables.peer_at(peer, params.path, params.encap).is_some() {
            self.tables.install_inbound(spi, inbound);
        }
    }

    fn install_outbound(&mut self, params: &InstallOutbound, out: &mut Outputs) {
        let Some(peer) = self.tables.peer_at(params.peer, params.path, params.encap) else {
            return;
        };
        // The same again must not start over with its sequence numbers.
        if peer.outbound_sas().iter().any(|sa| sa.is(params)) {
            return;
        }
        let Ok(outbound) = Outbound::new(params, &*self.provider) else {
            let (peer, spi) = (params.peer, params.sa.params.spi);
            out.reports.push(Report::InstallFailed { peer, spi });
            return;
        };
        peer.install_outbound(outbound);
        for message in peer.take_waiting() {
            self.send_l2tp(params.peer, message, out);
        }
    }

    fn send_l2tp(&mut self, key: Key, mut message: Message, out: &mut Outputs) {
        let Some(peer) = self.tables.peers.get_mut(key) else {
            self.stats.drops.count(DropReason::UnknownPeer);
            return;
        };
        let (Some(place), Some(_)) = (peer.place, peer.outbound()) else {
            if peer.wait(message).is_err() {
                self.stats.drops.count(DropReason::QueueFull);
            }
            return;
        };
        self.renumber(PeerRef::Ipsec(key), &mut message.bytes);
        let mut buf = out.copy(&message.bytes);
        if push_udp(&mut buf, message.local_port, message.remote_port, &place.path) {
            self.scratch.push_sealing(key, buf);
            self.seal(out);
        } else {
            self.drop(DropReason::NoRoom, buf, out);
        }
    }

    /// Gives a PPP frame from control the next number of its session, when we number them.
    fn renumber(&mut self, peer: PeerRef, bytes: &mut [u8]) {
        let Ok((header, _)) = Header::read(bytes) else { return };
        if header.sequence.is_none() {
            return;
        }
        let Tables { peers, lacs, sessions, .. } = &mut self.tables;
        let of_peer = match peer {
            PeerRef::Ipsec(peer) => peers.get(peer).map(|peer| &peer.sessions),
            PeerRef::Lac(lac) => lacs.get(lac).map(|lac| &lac.sessions),
        };
        for key in of_peer.into_iter().flat_map(SmallMap::values) {
            if let Some(session) = sessions.get_mut(*key)
                && session.sends(&header)
                && let Some(sequence) = session.number()
            {
                return patch_sequence(bytes, sequence);
            }
        }
    }

    fn counters(&self, token: u64) -> Counters {
        let sessions = self.tables.sessions.iter().map(|(key, s)| (key, s.counters));
        let inbound = self.tables.inbound.iter().map(|(_, sa)| sa.counters());
        let outbound = self
            .tables
            .peers
            .iter()
            .flat_map(|(key, peer)| peer.outbound_sas().iter().map(move |sa| sa.counters(key)));
        Counters {
            token,
            total: self.stats,
            sessions: sessions.collect(),
            sas: inbound.chain(outbound).collect::<Vec<_>>(),
        }
    }
}

impl core::fmt::Debug for Plane {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Plane").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// Writes Ns and Nr into a data header that has them.
fn patch_sequence(bytes: &mut [u8], (ns, nr): (u16, u16)) {
    // With the L bit the length stands in front of the ids (RFC 2661 §3.1).
    let at = if bytes.first().is_some_and(|flags| flags & 0x40 != 0) { 8 } else { 6 };
    if let Some([a, b, c, d]) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        [*a, *b] = ns.to_be_bytes();
        [*c, *d] = nr.to_be_bytes();
    }
}

fn send_ike(path: Path, marked: bool, bytes: &[u8], out: &mut Outputs) {
    let mut buf = out.copy(bytes);
    let port = if marked { Port::NatT } else { Port::Ike };
    if marked && let Some(marker) = buf.push_front(NON_ESP_MARKER.len()) {
        marker.copy_from_slice(&NON_ESP_MARKER);
    }
    out.net.push(Tx { path, port, buf });
}
