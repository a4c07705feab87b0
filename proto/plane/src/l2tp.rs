//! L2TP packets, wherever they came from: to control, or through their session to the TUN device.

use alloc::vec::Vec;
use core::ops::Range;

use isthmus_core::{Buf, Instant, Key, Path};
use isthmus_l2tp::data::Header;
use isthmus_wire::mss::{self, Clamped};

use crate::lac::{LacKey, PeerRef};
use crate::order::Turn;
use crate::packet::{Outputs, Rx};
use crate::report::Report;
use crate::session::Data;
use crate::{Direction, DropReason, Plane, REPORTS_MAX};

/// An L2TP packet; the buffer holds nothing else.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) origin: Origin,
    pub(crate) buf: Buf,
    /// The PPP frame of a data message.
    pub(crate) frame: Range<usize>,
}

/// Where an L2TP packet came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// Out of ESP.
    Ipsec { peer: Key, local_port: u16, remote_port: u16 },
    /// In the clear, from a LAC that is open.
    Plain(LacKey),
}

impl Origin {
    const fn peer(self) -> PeerRef {
        match self {
            Self::Ipsec { peer, .. } => PeerRef::Ipsec(peer),
            Self::Plain(lac) => PeerRef::Lac(lac),
        }
    }
}

impl Plane {
    /// Takes a datagram of the plain L2TP port. From anybody who is not trusted it is nothing.
    pub(crate) fn plain(&mut self, rx: Rx, out: &mut Outputs, now: Instant) {
        if !self.tables.lacs.trusts(rx.path.remote.ip()) {
            return self.drop(DropReason::NotTrusted, rx.buf, out);
        }
        self.stats.plain_received.count(rx.buf.len());
        let Some(lac) = self.tables.lacs.find(&rx.path) else {
            return self.stranger(&rx.path, rx.buf, out);
        };
        if self.tables.lacs.get_mut(lac).is_some_and(|lac| lac.pulse.beat(now)) {
            out.reports.push(Report::LacAlive { lac, session: None });
        }
        self.l2tp(Packet { origin: Origin::Plain(lac), buf: rx.buf, frame: 0..0 }, out, now);
    }

    /// Hands control what came from a trusted address where no LAC is open.
    fn stranger(&mut self, path: &Path, buf: Buf, out: &mut Outputs) {
        let is_control = buf.first().is_some_and(|flags| flags & CONTROL != 0);
        if !is_control && Header::read(&buf).is_err() {
            return self.drop(DropReason::BadL2tp, buf, out);
        }
        let (path, lane) = (*path, self.share.lane());
        self.report(buf, out, |bytes| Report::PlainL2tp { path, lane, bytes });
    }

    /// Sends an L2TP packet on its way: control, or a session.
    pub(crate) fn l2tp(&mut self, mut packet: Packet, out: &mut Outputs, now: Instant) {
        if packet.buf.first().is_some_and(|flags| flags & CONTROL != 0) {
            return self.report_l2tp(packet, out);
        }
        let Ok((header, frame)) = Header::read(&packet.buf) else {
            return self.drop(DropReason::BadL2tp, packet.buf, out);
        };
        packet.frame = frame;
        let ids = (header.tunnel, header.session);
        let peer = packet.origin.peer();
        let key = self.tables.session_of(peer, ids);
        let Some((key, session)) =
            key.and_then(|key| Some((key, self.tables.sessions.get_mut(key)?)))
        else {
            return self.report_l2tp(packet, out);
        };
        if let PeerRef::Lac(lac) = peer
            && session.pulse.beat(now)
        {
            out.reports.push(Report::LacAlive { lac, session: Some(key) });
        }
        let Some((ns, _)) = header.sequence else { return self.data(key, packet, out, now) };
        match session.order.turn(ns, session.keeps_order()) {
            Turn::Late => {
                return self.drop_in_session(key, DropReason::LateOrTwice, packet.buf, out);
            }
            Turn::Early => {
                if let Err(packet) = session.order.hold(ns, packet, now) {
                    self.drop_in_session(key, DropReason::LateOrTwice, packet.buf, out);
                } else {
                    self.stats.reordered = self.stats.reordered.saturating_add(1);
                }
            }
            Turn::Now => {
                session.order.take(ns);
                self.data(key, packet, out, now);
            }
        }
        self.release(key, out, now);
    }

    /// Takes messages whose turn has come, or that have waited long enough.
    pub(crate) fn release(&mut self, key: Key, out: &mut Outputs, now: Instant) {
        while let Some(session) = self.tables.sessions.get_mut(key) {
            let Some(packet) = session.order.release(now) else {
                let deadline = session.order.deadline();
                return self.reordering.set(key, deadline);
            };
            self.data(key, packet, out, now);
        }
        self.reordering.set(key, None);
    }

    /// Takes a data message of a session whose turn it is.
    fn data(&mut self, key: Key, mut packet: Packet, out: &mut Outputs, now: Instant) {
        let Some(session) = self.tables.sessions.get_mut(key) else { return };
        match session.admit(&packet.buf, packet.frame.clone()) {
            Ok(Data::Control) => self.report_l2tp(packet, out),
            Ok(Data::Packet { version, at }) => {
                let buf = &mut packet.buf;
                keep(buf, at.start, at.len());
                if let Err(reason) = session.pass(Direction::Inbound, buf.len(), now) {
                    return self.drop_in_session(key, reason, packet.buf, out);
                }
                if mss::clamp(buf, session.mss(version)) != Clamped::Unchanged {
                    self.stats.mss_clamped = self.stats.mss_clamped.saturating_add(1);
                }
                session.counters.received.count(buf.len());
                self.stats.tun_sent.count(buf.len());
                out.tun.push((session.device(), packet.buf));
            }
            Err(reason) => self.drop_in_session(key, reason, packet.buf, out),
        }
    }

    fn report_l2tp(&mut self, packet: Packet, out: &mut Outputs) {
        match packet.origin {
            Origin::Ipsec { peer, local_port, remote_port } => {
                self.report(packet.buf, out, |bytes| Report::L2tp {
                    peer,
                    local_port,
                    remote_port,
                    bytes,
                });
            }
            Origin::Plain(lac) => {
                let Some(path) = self.tables.lacs.get(lac).map(|lac| lac.path) else {
                    return self.drop(DropReason::SessionEnded, packet.buf, out);
                };
                let lane = self.share.lane();
                self.report(packet.buf, out, |bytes| Report::PlainL2tp { path, lane, bytes });
            }
        }
    }

    fn report(&mut self, buf: Buf, out: &mut Outputs, report: impl FnOnce(Vec<u8>) -> Report) {
        if out.reports.len() >= REPORTS_MAX {
            return self.drop(DropReason::ReportsFull, buf, out);
        }
        self.stats.l2tp_reported = self.stats.l2tp_reported.saturating_add(1);
        out.reports.push(report(buf.to_vec()));
        out.free.push(buf);
    }
}

/// Trims a buffer to the `len` bytes from `at` on, which a decoder has found in it.
pub(crate) fn keep(buf: &mut Buf, at: usize, len: usize) {
    let behind = buf.len().saturating_sub(at.saturating_add(len));
    let kept = buf.trim_front(at) && buf.trim_back(behind);
    debug_assert!(kept, "a decoder looked behind the end");
}

/// The T bit of the first byte (RFC 2661 §3.1).
const CONTROL: u8 = 0x80;
