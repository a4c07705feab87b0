//! From the network: datagram, ESP, UDP, L2TP, PPP, inner packet.

use alloc::vec::Vec;

use isthmus_core::{Buf, Instant, Key};
use isthmus_esp::{Datagram, NON_ESP_MARKER};
use isthmus_wire::ip::{Udp, protocol};

use crate::l2tp::{self, Packet, keep};
use crate::packet::{Outputs, Port, Rx};
use crate::report::Report;
use crate::scratch::{Origin, Received};
use crate::share::Astray;
use crate::{DropReason, Plane, REPORTS_MAX};

impl Plane {
    /// Takes a batch of datagrams and leaves it empty.
    pub fn handle_net(&mut self, batch: &mut Vec<Rx>, out: &mut Outputs, now: Instant) {
        debug_assert!(self.scratch.is_empty(), "a batch was left half done");
        for rx in batch.drain(..) {
            match rx.port {
                Port::Esp => self.sort_in(rx, out),
                Port::Ike => self.ike(rx, false, out),
                Port::L2tp => self.plain(rx, out, now),
                Port::NatT => self.nat_t(rx, out),
            }
        }
        self.scratch.received.sort();
        while self.open_group(out, now) {}
    }

    /// Tells apart what arrives on port 4500.
    fn nat_t(&mut self, rx: Rx, out: &mut Outputs) {
        match isthmus_esp::classify(&rx.buf) {
            Ok(Datagram::Esp { .. }) => self.sort_in(rx, out),
            Ok(Datagram::Ike) => self.ike(rx, true, out),
            Ok(Datagram::Keepalive) => {
                self.stats.keepalives = self.stats.keepalives.saturating_add(1);
                out.free.push(rx.buf);
            }
            Err(_) => self.drop(DropReason::Runt, rx.buf, out),
        }
    }

    /// Hands an IKE message to control.
    fn ike(&mut self, rx: Rx, marked: bool, out: &mut Outputs) {
        if out.reports.len() >= REPORTS_MAX {
            return self.drop(DropReason::ReportsFull, rx.buf, out);
        }
        self.stats.ike_received = self.stats.ike_received.saturating_add(1);
        let skip = if marked { NON_ESP_MARKER.len() } else { 0 };
        let bytes = rx.buf.get(skip..).unwrap_or_default().to_vec();
        out.reports.push(Report::Ike { path: rx.path, marked, bytes });
        out.free.push(rx.buf);
    }

    /// Puts an ESP packet with those of its SA; one without an SA costs no more than this.
    fn sort_in(&mut self, rx: Rx, out: &mut Outputs) {
        let Some([spi, sequence]) = esp_header(&rx.buf) else {
            return self.drop(DropReason::EspLength, rx.buf, out);
        };
        let key = Key::from_raw(spi);
        if !self.share.owns(key) {
            return self.lead(key, Astray::Net(rx), out);
        }
        if self.tables.inbound.get(key).is_none() {
            return self.drop(DropReason::UnknownSpi, rx.buf, out);
        }
        let origin = Origin { path: rx.path, port: rx.port, sequence };
        self.scratch.received.push(spi, Received { origin, buf: rx.buf });
    }

    /// Opens the packets of one SA; false when there are no more.
    fn open_group(&mut self, out: &mut Outputs, now: Instant) -> bool {
        let mut run = core::mem::take(&mut self.scratch.run);
        let mut origins = core::mem::take(&mut self.scratch.origins);
        let group = self.scratch.received.take(|received| {
            run.push(received.buf);
            origins.push(received.origin);
        });
        if let Some(spi) = group {
            self.open_run(spi, &mut run, &origins, out, now);
        }
        // Empty anyway, unless the SA has gone, which it cannot within a batch.
        out.free.append(&mut run);
        origins.clear();
        self.scratch.run = run;
        self.scratch.origins = origins;
        group.is_some()
    }

    fn open_run(
        &mut self,
        spi: u32,
        run: &mut Vec<Buf>,
        origins: &[Origin],
        out: &mut Outputs,
        now: Instant,
    ) {
        let Some(sa) = self.tables.inbound.get_mut(Key::from_raw(spi)) else { return };
        let mut results = core::mem::take(&mut self.scratch.opened);
        let opened = sa.open(run, origins, &mut results);
        let (peer, local_port) = (sa.peer, sa.local_port);
        if opened.first_use {
            out.reports.push(Report::SaUsed { peer, spi });
        }
        if opened.soft_limit {
            out.reports.push(Report::SoftLimit { peer, spi });
        }
        if let Some((age, origin)) = opened.newest {
            self.seen(peer, age, origin, out, now);
        }
        for (buf, result) in run.drain(..).zip(results.drain(..)) {
            match result {
                Ok(next_header) => self.inner(peer, local_port, next_header, buf, out, now),
                Err(reason) => self.drop(reason.into(), buf, out),
            }
        }
        self.scratch.opened = results;
    }

    /// Notes life and whereabouts of a peer after an authentic packet that is newer than any before.
    fn seen(&mut self, key: Key, age: u64, origin: Origin, out: &mut Outputs, now: Instant) {
        let Some(peer) = self.tables.peers.get_mut(key) else { return };
        if peer.alive(now) {
            out.reports.push(Report::Alive { peer: key });
        }
        if let Some(place) = peer.follow(age, origin.path, origin.port) {
            self.stats.paths_moved = self.stats.paths_moved.saturating_add(1);
            let (path, encap) = (place.path, place.encap);
            out.reports.push(Report::PathMoved { peer: key, path, encap });
        }
    }

    /// Sends the payload of an authentic packet on its way.
    fn inner(
        &mut self,
        peer: Key,
        local_port: u16,
        next_header: u8,
        mut buf: Buf,
        out: &mut Outputs,
        now: Instant,
    ) {
        self.stats.esp_received.count(buf.len());
        match unwrap_udp(local_port, next_header, &mut buf) {
            Ok((local_port, remote_port)) => {
                let origin = l2tp::Origin::Ipsec { peer, local_port, remote_port };
                self.l2tp(Packet { origin, buf, frame: 0..0 }, out, now);
            }
            Err(reason) => self.drop(reason, buf, out),
        }
    }
}

/// Takes the UDP header off; its ports, ours first.
fn unwrap_udp(local_port: u16, next_header: u8, buf: &mut Buf) -> Result<(u16, u16), DropReason> {
    if next_header != protocol::UDP {
        return Err(DropReason::NotUdp);
    }
    // The checksum was made before NAT changed the addresses (RFC 3948 §3.1.2); ESP has vouched.
    let udp = Udp::new(buf).map_err(|_| DropReason::BadL2tp)?;
    let (to, from, len) = (udp.destination_port(), udp.source_port(), udp.payload().len());
    if local_port != 0 && to != local_port {
        return Err(DropReason::WrongPort);
    }
    keep(buf, Udp::HEADER_LEN, len);
    Ok((to, from))
}

/// SPI and sequence number of an ESP packet.
fn esp_header(packet: &[u8]) -> Option<[u32; 2]> {
    let ([spi, sequence], _) = packet.first_chunk::<8>()?.as_chunks::<4>() else { return None };
    Some([u32::from_be_bytes(*spi), u32::from_be_bytes(*sequence)])
}
