//! A NAT box: address and port dependent filtering, port rewriting, rebinding.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use isthmus_core::Instant;

use crate::network::Packet;
use crate::node::Node;

/// Rewrites source ports, those of IKE included, and lets in only answers.
///
/// Raw ESP has no ports: like home routers it is sent back to whoever sent some last.
pub struct Nat {
    public: IpAddr,
    next_port: u16,
    /// Inside address and destination to our port.
    out: BTreeMap<(SocketAddr, SocketAddr), u16>,
    /// Our port to inside address and destination.
    back: BTreeMap<u16, (SocketAddr, SocketAddr)>,
    esp_host: Option<IpAddr>,
    sent: Vec<Packet>,
}

impl Nat {
    /// A NAT with this public address.
    pub fn new(public: IpAddr) -> Self {
        Self {
            public,
            next_port: 20_000,
            out: BTreeMap::new(),
            back: BTreeMap::new(),
            esp_host: None,
            sent: Vec::new(),
        }
    }

    /// The public address.
    pub fn public(&self) -> IpAddr {
        self.public
    }

    /// Forgets every mapping, as after a reboot: the next packets get new ports.
    pub fn rebind(&mut self) {
        self.out.clear();
        self.back.clear();
    }

    /// Takes a packet from inside.
    pub fn outward(&mut self, mut packet: Packet) {
        if packet.esp {
            self.esp_host = Some(packet.from.ip());
            packet.from.set_ip(self.public);
            self.sent.push(packet);
            return;
        }
        let flow = (packet.from, packet.to);
        let port = *self.out.entry(flow).or_insert_with(|| {
            self.next_port += 1;
            self.next_port
        });
        self.back.insert(port, flow);
        packet.from = SocketAddr::new(self.public, port);
        self.sent.push(packet);
    }
}

impl Node for Nat {
    /// A packet from outside.
    fn handle_packet(&mut self, mut packet: Packet, _now: Instant) {
        if packet.esp {
            if let Some(host) = self.esp_host {
                packet.to.set_ip(host);
                self.sent.push(packet);
            }
            return;
        }
        if let Some((inside, destination)) = self.back.get(&packet.to.port())
            && *destination == packet.from
        {
            packet.to = *inside;
            self.sent.push(packet);
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn take_packets(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.sent)
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}
