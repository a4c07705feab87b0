//! From the TUN device: inner packet, PPP, L2TP, UDP, ESP, datagram.

use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_core::{Buf, Instant, Key, Path};
use isthmus_ppp::IpVersion;
use isthmus_wire::ip::Ip;
use isthmus_wire::mss::{self, Clamped};
use isthmus_wire::{fragment, icmp};

use crate::lac::{LacKey, PeerRef};
use crate::packet::{Device, Outputs, Tx};
use crate::report::Report;
use crate::share::Astray;
use crate::{Direction, DropReason, Plane};

/// What the way of a packet depends on.
#[derive(Clone, Copy)]
struct Route {
    session: Key,
    way: Way,
    version: IpVersion,
}

/// Where the session of a packet is.
enum Found {
    Route(Route),
    /// With another pipeline.
    Elsewhere(Key),
}

/// How a packet leaves.
#[derive(Clone, Copy)]
enum Way {
    /// Sealed, to an IPsec peer.
    Ipsec(Key, Path),
    /// In the clear, to a trusted LAC.
    Plain(LacKey),
}

impl Plane {
    /// Takes a batch of inner packets from a TUN device and leaves it empty. TCP and UDP checksums
    /// must be complete, and segments no longer than one packet. What a session's own device gives is for
    /// that session and no other.
    pub fn handle_tun(
        &mut self,
        device: impl Into<Device>,
        batch: &mut Vec<Buf>,
        out: &mut Outputs,
        now: Instant,
    ) {
        debug_assert!(self.scratch.is_empty(), "a batch was left half done");
        let device = device.into();
        for mut buf in batch.drain(..) {
            self.stats.tun_received.count(buf.len());
            match self.route(device, &mut buf) {
                Ok(Found::Route(route)) => self.send(device, route, buf, out, now),
                Ok(Found::Elsewhere(session)) => self.lead(session, Astray::Tun(device, buf), out),
                Err(reason) => self.drop(reason, buf, out),
            }
        }
        self.seal(out);
    }

    /// Finds where a packet goes.
    fn route(&mut self, device: Device, buf: &mut Buf) -> Result<Found, DropReason> {
        let ip = Ip::new(buf).map_err(|_| DropReason::NotIp)?;
        let version = match ip {
            Ip::V4(_) => IpVersion::V4,
            Ip::V6(_) => IpVersion::V6,
        };
        let (destination, behind) = (ip.destination(), buf.len() - ip.total_len());
        buf.trim_back(behind);
        let found = self.tables.route(device.tun, destination);
        let found = found.filter(|found| device.session.is_none_or(|own| own == *found));
        let session = found.ok_or(DropReason::NoRoute)?;
        if !self.share.owns(session) {
            return Ok(Found::Elsewhere(session));
        }
        let open = self.tables.sessions.get_mut(session).ok_or(DropReason::NoRoute)?;
        let way = match open.params.peer {
            PeerRef::Ipsec(peer) => {
                let known = self.tables.peers.get_mut(peer).filter(|peer| peer.may_send());
                let path = known.and_then(|peer| peer.place).map(|place| place.path);
                path.map(|path| Way::Ipsec(peer, path)).ok_or(DropReason::NoOutboundSa)
            }
            PeerRef::Lac(lac) => {
                let known = self.tables.lacs.get(lac);
                known.map(|_| Way::Plain(lac)).ok_or(DropReason::UnknownPeer)
            }
        };
        if let Err(reason) = &way {
            open.counters.count_drop(*reason);
        }
        Ok(Found::Route(Route { session, way: way?, version }))
    }

    /// Sends a packet, in fragments where it must be and may be.
    fn send(
        &mut self,
        device: Device,
        route: Route,
        mut buf: Buf,
        out: &mut Outputs,
        now: Instant,
    ) {
        let Some(session) = self.tables.sessions.get_mut(route.session) else { return };
        if let Err(reason) = session.pass(Direction::Outbound, buf.len(), now) {
            return self.drop_in_session(route.session, reason, buf, out);
        }
        let mtu = usize::from(session.mtu(route.version));
        if buf.len() > mtu {
            return self.too_big(device, route, buf, mtu, out, now);
        }
        if mss::clamp(&mut buf, session.mss(route.version)) != Clamped::Unchanged {
            self.stats.mss_clamped = self.stats.mss_clamped.saturating_add(1);
        }
        self.wrap(route, buf, out);
    }

    /// Cuts a packet into fragments, or tells its sender that it is too big.
    fn too_big(
        &mut self,
        device: Device,
        route: Route,
        buf: Buf,
        mtu: usize,
        out: &mut Outputs,
        now: Instant,
    ) {
        if route.version == IpVersion::V4
            && let Some(fragments) = fragment::ipv4(&buf, mtu)
        {
            self.stats.fragmented = self.stats.fragmented.saturating_add(1);
            for part in fragments {
                let header_len = part.header().len();
                let mut cut = out.buf(header_len + part.payload().len());
                if let Some((header, payload)) = cut.split_at_mut_checked(header_len) {
                    header.copy_from_slice(part.header());
                    payload.copy_from_slice(part.payload());
                }
                self.wrap(route, cut, out);
            }
            out.free.push(buf);
            return;
        }
        if let Some(answer) = self.answer(&buf, mtu, now) {
            self.stats.too_big_answered = self.stats.too_big_answered.saturating_add(1);
            let answer = out.copy(&answer);
            out.tun.push((device, answer));
        }
        self.drop_in_session(route.session, DropReason::TooBig, buf, out);
    }

    /// The "too big" answer, where one is allowed.
    ///
    /// It comes from where the packet was to go: out of a TUN device a kernel takes no packet from an
    /// address of its own, which that of the gateway is.
    fn answer(&mut self, buf: &[u8], mtu: usize, now: Instant) -> Option<Vec<u8>> {
        let mtu = u16::try_from(mtu).ok()?;
        let answer = match Ip::new(buf).ok()?.destination() {
            // A multicast address says nothing (RFC 1122 §3.2.1.3, RFC 4291 §2.7).
            from if from.is_multicast() => None,
            IpAddr::V4(from) => icmp::fragmentation_needed(buf, mtu, from),
            IpAddr::V6(from) => icmp::packet_too_big(buf, u32::from(mtu), from),
        };
        answer.filter(|_| self.too_big.take(now))
    }

    /// Puts the headers on, and the packet in line for sealing where it must be sealed.
    fn wrap(&mut self, route: Route, mut buf: Buf, out: &mut Outputs) {
        let Some(session) = self.tables.sessions.get_mut(route.session) else { return };
        let len = buf.len();
        let fits = session.encapsulate(&mut buf, route.version);
        match route.way {
            Way::Ipsec(peer, path) if fits && session.push_udp(&mut buf, &path) => {
                session.counters.sent.count(len);
                self.scratch.push_sealing(peer, buf);
            }
            Way::Plain(lac) if fits => {
                session.counters.sent.count(len);
                self.send_plain(lac, buf, out);
            }
            Way::Ipsec(..) | Way::Plain(_) => {
                self.drop_in_session(route.session, DropReason::NoRoom, buf, out);
            }
        }
    }

    /// Sends an L2TP packet to a LAC as it is.
    pub(crate) fn send_plain(&mut self, lac: LacKey, buf: Buf, out: &mut Outputs) {
        match self.tables.lacs.get(lac) {
            Some(lac) => {
                self.stats.plain_sent.count(buf.len());
                out.net.push(lac.send(buf));
            }
            None => self.drop(DropReason::UnknownPeer, buf, out),
        }
    }

    pub(crate) fn drop_in_session(
        &mut self,
        session: Key,
        reason: DropReason,
        buf: Buf,
        out: &mut Outputs,
    ) {
        if let Some(session) = self.tables.sessions.get_mut(session) {
            session.counters.count_drop(reason);
        }
        self.drop(reason, buf, out);
    }

    /// Seals and sends everything in line, a run for each peer.
    pub(crate) fn seal(&mut self, out: &mut Outputs) {
        self.scratch.sealing.sort();
        let mut run = core::mem::take(&mut self.scratch.run);
        while let Some(peer) = self.scratch.sealing.take(|buf| run.push(buf)) {
            self.seal_run(Key::from_raw(peer), &mut run, out);
        }
        self.scratch.run = run;
    }

    fn seal_run(&mut self, key: Key, run: &mut Vec<Buf>, out: &mut Outputs) {
        let peer = self.tables.peers.get_mut(key);
        let Some((place, sa)) = peer.and_then(|peer| Some((peer.place?, peer.outbound()?))) else {
            for buf in run.drain(..) {
                self.drop(DropReason::NoOutboundSa, buf, out);
            }
            return;
        };
        let mut results = core::mem::take(&mut self.scratch.sealed);
        let (spi, sealed) = (sa.spi(), sa.seal(run, &mut self.ivs, &mut results));
        if sealed.soft_limit {
            out.reports.push(Report::SoftLimit { peer: key, spi });
        }
        if let Some(next) = sealed.reserve_low {
            out.reports.push(Report::ReserveLow { peer: key, spi, next });
        }
        for (buf, result) in run.drain(..).zip(results.drain(..)) {
            match result {
                Ok(()) => {
                    self.stats.esp_sent.count(buf.len());
                    out.net.push(Tx { path: place.path, port: place.port(), buf });
                }
                Err(reason) => self.drop(reason.into(), buf, out),
            }
        }
        self.scratch.sealed = results;
    }
}
