//! A gateway in the world, with a cloud behind it that returns every packet to its sender.

use std::sync::Arc;

use isthmus_core::{Instant, Rng};
use isthmus_gateway::{Action, Config, Event, Gateway};

use crate::network::Packet;
use crate::node::{Node, Pipeline};

/// A gateway machine and its pipeline.
pub struct GatewayHost {
    /// The machine.
    pub machine: Gateway,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Everything that happened.
    pub events: Vec<Event>,
}

impl GatewayHost {
    /// A gateway without peers.
    pub fn new(config: Arc<Config>, rng: &mut Rng, now: Instant) -> Self {
        let provider = isthmus_crypto_aws::provider();
        let machine = Gateway::new(config, provider, rng.seed(), now);
        Self { machine, pipeline: Pipeline::new(rng.seed()), events: Vec::new() }
    }

    /// Ends everything, telling peers.
    pub fn shut_down(&mut self, now: Instant) {
        self.machine.shutdown(now);
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
            for packet in std::mem::take(&mut self.pipeline.inner) {
                self.pipeline.send_inner(&returned(packet), now);
            }
            let reports = self.pipeline.reports();
            if reports.is_empty() {
                return;
            }
            for report in reports {
                self.machine.handle_report(report, now);
            }
        }
    }
}

impl Node for GatewayHost {
    fn handle_packet(&mut self, packet: Packet, now: Instant) {
        self.pipeline.receive(&packet, now);
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((id, result)) = self.pipeline.finished(now) {
            self.machine.handle_job(id, result, now);
            self.settle(now);
        }
        self.machine.handle_timeout(now);
        self.settle(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let machine = self.machine.poll_timeout().map(|deadline| deadline.at);
        machine.into_iter().chain(self.pipeline.next_job()).min()
    }

    fn take_packets(&mut self) -> Vec<Packet> {
        self.pipeline.take_packets()
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// The same packet on its way back: addresses swapped, which leaves every checksum right.
fn returned(mut packet: Vec<u8>) -> Vec<u8> {
    if packet.len() >= 20 {
        let (head, tail) = packet.split_at_mut(16);
        head[12..].swap_with_slice(&mut tail[..4]);
    }
    packet
}
