//! A client in the world.

use std::net::Ipv6Addr;

use isthmus_client::{Action, Client, Config, Down, Event, Ipv6, Up};
use isthmus_core::{Instant, Rng};
use isthmus_plane::Report;

use crate::network::Packet;
use crate::node::{Node, Pipeline};

/// A client machine and its pipeline.
pub struct ClientHost {
    /// The machine.
    pub machine: Client,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Everything that happened.
    pub events: Vec<Event>,
    /// Payloads that came back through the tunnel.
    pub echoes: Vec<Vec<u8>>,
    /// L2TP packets that never reach the machine, as if it did not know what to do with them.
    pub deaf_to: Option<fn(&[u8]) -> bool>,
}

impl ClientHost {
    /// A client that starts to connect.
    pub fn new(config: Config, rng: &mut Rng, now: Instant) -> Self {
        let provider = isthmus_crypto_aws::provider();
        let machine = Client::new(config, provider, rng.seed(), now);
        let pipeline = Pipeline::new(rng.seed());
        let mut host =
            Self { machine, pipeline, events: Vec::new(), echoes: Vec::new(), deaf_to: None };
        host.settle(now);
        host
    }

    /// What the server gave, once connected.
    pub fn up(&self) -> Option<&Up> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Up(up) => Some(up),
            Event::Down(_)
            | Event::IkeRekeyed
            | Event::Ipv6(_)
            | Event::Ipv6Down
            | Event::PathMoved { .. }
            | Event::Secured { .. } => None,
        })
    }

    /// The IPv6 the server gave, while it is there.
    pub fn ipv6(&self) -> Option<&Ipv6> {
        let mut last = None;
        for event in &self.events {
            match event {
                Event::Ipv6(ipv6) => last = Some(ipv6),
                Event::Ipv6Down | Event::Down(_) => last = None,
                Event::IkeRekeyed
                | Event::PathMoved { .. }
                | Event::Secured { .. }
                | Event::Up(_) => {}
            }
        }
        last
    }

    /// Sends an IPv6 packet with this payload through the tunnel, from our address or another one.
    pub fn send6(&mut self, from: Option<Ipv6Addr>, payload: &[u8], now: Instant) {
        let Some(own) = self.ipv6().map(|ipv6| ipv6.address) else { return };
        let to = "2001:db8:9::9".parse().expect("an address");
        self.pipeline.send_inner(&packet6(from.unwrap_or(own), to, payload), now);
    }

    /// How it ended, once it has.
    pub fn down(&self) -> Option<&Down> {
        self.events.iter().find_map(|event| match event {
            Event::Down(down) => Some(down),
            Event::IkeRekeyed
            | Event::Ipv6(_)
            | Event::Ipv6Down
            | Event::PathMoved { .. }
            | Event::Secured { .. }
            | Event::Up(_) => None,
        })
    }

    /// Sends a datagram with this payload through the tunnel to a host behind the gateway.
    pub fn send(&mut self, payload: &[u8], now: Instant) {
        let Some(up) = self.up() else { return };
        let packet = datagram(up.address.octets(), [10, 9, 9, 9], payload);
        self.pipeline.send_inner(&packet, now);
    }

    /// Does something to the machine and carries out what follows.
    pub fn act(&mut self, now: Instant, act: impl FnOnce(&mut Client, Instant)) {
        act(&mut self.machine, now);
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        loop {
            while let Some(action) = self.machine.poll_action() {
                match action {
                    Action::Event(event) => self.events.push(event),
                    Action::Offload { id, job } => self.pipeline.offload(id, &job, now),
                    Action::Plane(command) => self.pipeline.apply(command, now),
                }
            }
            for (_, packet) in std::mem::take(&mut self.pipeline.inner) {
                let header = if packet.first().is_some_and(|b| b >> 4 == 6) { 40 } else { 20 };
                self.echoes.push(packet.get(header..).unwrap_or_default().to_vec());
            }
            let reports = self.pipeline.reports();
            if reports.is_empty() {
                return;
            }
            for report in reports {
                if let (Report::L2tp { bytes, .. }, Some(deaf_to)) = (&report, self.deaf_to)
                    && deaf_to(bytes)
                {
                    continue;
                }
                self.machine.handle_report(report, now);
            }
        }
    }
}

impl Node for ClientHost {
    fn handle_packet(&mut self, packet: Packet, now: Instant) {
        self.pipeline.receive(&packet, now);
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((id, result)) = self.pipeline.finished(now) {
            self.machine.handle_job(id, result, now);
            self.settle(now);
        }
        self.pipeline.handle_timeout(now);
        self.machine.handle_timeout(now);
        self.settle(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let machine = self.machine.poll_timeout().map(|deadline| deadline.at);
        machine.into_iter().chain(self.pipeline.poll_timeout()).min()
    }

    fn take_packets(&mut self) -> Vec<Packet> {
        self.pipeline.take_packets()
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// An IPv4 packet of an experimental protocol (RFC 3692), so that only the header is checked.
pub(crate) fn datagram(from: [u8; 4], to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 253, 0, 0];
    packet.extend(from);
    packet.extend(to);
    let sum = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    packet[10..12].copy_from_slice(&folded(sum).to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 packet of an experimental protocol.
fn packet6(from: Ipv6Addr, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], 253, 64];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
