//! From the network: datagram, ESP, UDP, L2TP, PPP, inner packet.

use alloc::vec::Vec;

use isthmus_core::{Buf, Instant, Key, Path};
use isthmus_esp::{Datagram, NON_ESP_MARKER};
use isthmus_wire::ip::{Udp, protocol};

use crate::l2tp::{self, Packet, keep};
use crate::packet::{Outputs, Port, Rx};
use crate::report::Report;
use crate::scratch::Arrival;
use crate::share::Astray;
use crate::{DropReason, Plane, REPORTS_MAX};

impl Plane {
    /// Takes a batch of datagrams and leaves it empty.
    pub fn handle_net(&mut self, batch: &mut Vec<Rx>, out: &mut Outputs, now: Instant) {
        debug_assert!(self.scratch.is_empty(), "a batch was left half done");
        for (index, rx) in (0..).zip(batch.iter_mut()) {
            match rx.port {
                Port::Esp => self.sort_in(index, rx, out),
                Port::Ike => self.ike(take(rx), false, out),
                Port::L2tp => self.plain(take(rx), out, now),
                Port::NatT => self.nat_t(index, rx, out),
            }
        }
        let mut arrivals = core::mem::take(&mut self.scratch.arrivals);
        arrivals.sort_unstable();
        for group in arrivals.chunk_by(|a, b| a.spi == b.spi) {
            self.open_group(group, batch, out, now);
        }
        arrivals.clear();
        self.scratch.arrivals = arrivals;
        batch.clear();
    }

    /// Tells apart what arrives on port 4500.
    fn nat_t(&mut self, index: u32, rx: &mut Rx, out: &mut Outputs) {
        match isthmus_esp::classify(&rx.buf) {
            Ok(Datagram::Esp { .. }) => self.sort_in(index, rx, out),
            Ok(Datagram::Ike) => self.ike(take(rx), true, out),
            Ok(Datagram::Keepalive) => {
                self.stats.keepalives = self.stats.keepalives.saturating_add(1);
                out.free.push(take(rx).buf);
            }
            Err(_) => self.drop(DropReason::Runt, take(rx).buf, out),
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

    /// Notes an ESP packet, to be opened with those of its SA; one without an SA costs no more than
    /// this.
    fn sort_in(&mut self, index: u32, rx: &mut Rx, out: &mut Outputs) {
        let Some([spi, sequence]) = esp_header(&rx.buf) else {
            return self.drop(DropReason::EspLength, take(rx).buf, out);
        };
        let key = Key::from_raw(spi);
        if !self.share.owns(key) {
            return self.lead(key, Astray::Net(take(rx)), out);
        }
        if self.tables.inbound.get(key).is_none() {
            return self.drop(DropReason::UnknownSpi, take(rx).buf, out);
        }
        self.scratch.arrivals.push(Arrival { spi, index, sequence });
    }

    /// Opens the packets of one SA.
    fn open_group(&mut self, group: &[Arrival], batch: &mut [Rx], out: &mut Outputs, now: Instant) {
        let mut run = core::mem::take(&mut self.scratch.run);
        run.extend(group.iter().filter_map(|arrival| {
            batch.get_mut(position(arrival)).map(|rx| core::mem::take(&mut rx.buf))
        }));
        let spi = group.first().map(|arrival| arrival.spi).unwrap_or_default();
        self.open_run(spi, &mut run, (group, batch), out, now);
        // Empty anyway, unless the SA has gone, which it cannot within a batch.
        out.free.append(&mut run);
        self.scratch.run = run;
    }

    fn open_run(
        &mut self,
        spi: u32,
        run: &mut Vec<Buf>,
        (group, batch): (&[Arrival], &[Rx]),
        out: &mut Outputs,
        now: Instant,
    ) {
        let Some(sa) = self.tables.inbound.get_mut(Key::from_raw(spi)) else { return };
        let mut results = core::mem::take(&mut self.scratch.opened);
        let opened = sa.open(run, group, &mut results);
        let (peer, local_port) = (sa.peer, sa.local_port);
        if opened.first_use {
            out.reports.push(Report::SaUsed { peer, spi });
        }
        if opened.soft_limit {
            out.reports.push(Report::SoftLimit { peer, spi });
        }
        if let Some((age, newest)) = opened.newest
            && let Some(rx) = batch.get(position(&newest))
        {
            self.seen(peer, age, (rx.path, rx.port), out, now);
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
    fn seen(
        &mut self,
        key: Key,
        age: u64,
        (path, port): (Path, Port),
        out: &mut Outputs,
        now: Instant,
    ) {
        let Some(peer) = self.tables.peers.get_mut(key) else { return };
        if peer.alive(now) {
            out.reports.push(Report::Alive { peer: key });
        }
        if let Some(place) = peer.follow(age, path, port) {
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

/// Takes a datagram out of a batch, where an empty one stays.
fn take(rx: &mut Rx) -> Rx {
    Rx { path: rx.path, port: rx.port, buf: core::mem::take(&mut rx.buf) }
}

/// Where in its batch a packet is.
fn position(arrival: &Arrival) -> usize {
    usize::try_from(arrival.index).unwrap_or(usize::MAX)
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
