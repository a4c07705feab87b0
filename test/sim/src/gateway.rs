//! A gateway in the world, with a cloud behind it that returns every packet to its sender.

use std::collections::BTreeSet;
use std::sync::Arc;

use isthmus_core::{Instant, Key, Rng, SecretBytes};
use isthmus_gateway::{Action, Config, Event, Gateway, PeerRecord};
use isthmus_plane::{Command, Counters, PeerRef, Report};

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
        let mut host = Self { machine, pipeline: Pipeline::new(rng.seed()), events: Vec::new() };
        host.settle(now);
        host
    }

    /// A gateway that goes on with what an earlier one left behind, and stores that anew.
    ///
    /// # Panics
    /// When a record cannot be read or restored.
    pub fn restored(
        config: Arc<Config>,
        records: &[SecretBytes],
        rng: &mut Rng,
        now: Instant,
    ) -> Self {
        let mut host = Self::new(config, rng, now);
        for bytes in records {
            let record = PeerRecord::decode(bytes.expose()).expect("a record");
            host.machine.restore(&record, now).expect("room for the record");
        }
        host.settle(now);
        host.records(now);
        host
    }

    /// Records every peer with a session and says that the records are stored.
    ///
    /// # Panics
    /// When a record is too long.
    pub fn records(&mut self, now: Instant) -> Vec<SecretBytes> {
        let counters = self.counters(now);
        let peers: BTreeSet<_> = self.machine.sessions().iter().map(|s| s.peer).collect();
        let record = |peer| {
            let PeerRef::Ipsec(peer) = peer else { return None };
            let record = self.machine.record(peer, now, &counters)?;
            self.machine.stored(&record);
            Some(record.encode().expect("a short record"))
        };
        let records = peers.into_iter().filter_map(record).collect();
        self.settle(now);
        records
    }

    /// What the pipeline has counted.
    ///
    /// # Panics
    /// When the pipeline does not answer.
    pub fn counters(&mut self, now: Instant) -> Counters {
        self.pipeline.apply(Command::ReadCounters { token: 0, each: true }, now);
        let mut answer = None;
        for report in self.pipeline.reports() {
            if let Report::Counters(counters) = report {
                answer = Some(*counters);
            } else {
                self.machine.handle_report(report, now);
            }
        }
        answer.expect("counters")
    }

    /// Ends everything, telling peers.
    pub fn shut_down(&mut self, now: Instant) {
        self.machine.shutdown(now);
        self.settle(now);
    }

    /// Takes over another configuration.
    pub fn reconfigure(&mut self, config: Arc<Config>, now: Instant) {
        self.machine.reconfigure(config, now);
        self.settle(now);
    }

    /// A packet arrives, from wherever it says.
    pub fn hears(&mut self, packet: &Packet, now: Instant) {
        self.pipeline.receive(packet, now);
        self.settle(now);
    }

    /// Carries out what the machine wants.
    pub fn settle(&mut self, now: Instant) {
        loop {
            while let Some(action) = self.machine.poll_action() {
                match action {
                    Action::Event(event) => self.events.push(event),
                    Action::Offload { id, job } => self.pipeline.offload(id, &job, now),
                    Action::Plane(command) => {
                        assert_one_lane(&command);
                        self.pipeline.apply(command, now);
                    }
                }
            }
            for (tun, packet) in std::mem::take(&mut self.pipeline.inner) {
                self.pipeline.send_inner_of(tun, &returned(packet), now);
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

/// The same packet on its way back: addresses swapped, which leaves every checksum right.
fn returned(mut packet: Vec<u8>) -> Vec<u8> {
    if packet.first().is_some_and(|byte| byte >> 4 == 6) {
        if let Some([head, tail]) = packet
            .get_mut(8..40)
            .map(|a| a.as_chunks_mut::<16>().0)
            .and_then(|c| c.first_chunk_mut::<2>())
        {
            core::mem::swap(head, tail);
        }
    } else if packet.len() >= 20 {
        let (head, tail) = packet.split_at_mut(16);
        head[12..].swap_with_slice(&mut tail[..4]);
    }
    packet
}

/// Several pipelines share the clients of a gateway by the lanes of keys: whatever is a peer's must have
/// the peer's.
fn assert_one_lane(command: &Command) {
    if let Command::InstallInbound(sa) = command {
        assert_eq!(Key::from_raw(sa.sa.params.spi).lane(), sa.peer.lane(), "{sa:?}");
    }
    if let Command::OpenSession(session) = command {
        assert_eq!(session.session.lane(), session.peer.lane(), "{session:?}");
    }
}
