//! What every host has: a packet pipeline, jobs that take time, and packets that leave.

use std::collections::BTreeMap;

use isthmus_core::{Buf, Duration, Instant, Path, Seed};
use isthmus_crypto::{CryptoError, JobOutput};
use isthmus_ike::JobId;
use isthmus_plane::{Command, Outputs, Plane, Report, Rx, TunId};

use crate::network::Packet;

/// A host or box in the world.
pub trait Node {
    /// Takes a packet.
    fn handle_packet(&mut self, packet: Packet, now: Instant);
    /// Time passes.
    fn handle_timeout(&mut self, now: Instant);
    /// When time must pass next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Packets that leave, in order.
    fn take_packets(&mut self) -> Vec<Packet>;
    /// For looking inside.
    fn as_any(&mut self) -> &mut dyn std::any::Any;
}

/// A job's result, and when it is there.
type Job = (JobId, Result<JobOutput, CryptoError>);

/// The pipeline of a host, with jobs on a slow processor.
pub struct Pipeline {
    plane: Plane,
    out: Outputs,
    jobs: BTreeMap<(Instant, u64), Job>,
    serial: u64,
    sent: Vec<Packet>,
    /// Inner packets that came out of the tunnel, and the device that each is for.
    pub inner: Vec<(TunId, Vec<u8>)>,
}

impl Pipeline {
    /// An empty pipeline.
    pub fn new(seed: Seed) -> Self {
        Self {
            plane: Plane::new(isthmus_crypto_aws::provider(), seed),
            out: Outputs::new(),
            jobs: BTreeMap::new(),
            serial: 0,
            sent: Vec::new(),
            inner: Vec::new(),
        }
    }

    /// Feeds a packet from outside.
    pub fn receive(&mut self, packet: &Packet, now: Instant) {
        let path = Path::new(packet.to, packet.from);
        let rx = Rx { path, port: packet.port(), buf: Buf::copy_of(&packet.bytes) };
        self.plane.handle_net(&mut vec![rx], &mut self.out, now);
        self.collect();
    }

    /// Feeds an inner packet of the first device towards the tunnel.
    pub fn send_inner(&mut self, packet: &[u8], now: Instant) {
        self.send_inner_of(TunId(0), packet, now);
    }

    /// Feeds an inner packet of a device towards the tunnel.
    pub fn send_inner_of(&mut self, tun: TunId, packet: &[u8], now: Instant) {
        self.plane.handle_tun(tun, &mut vec![Buf::copy_of(packet)], &mut self.out, now);
        self.collect();
    }

    /// Time passes for the pipeline.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.plane.handle_timeout(&mut self.out, now);
        self.collect();
    }

    /// When time must pass next: a job is done, or the pipeline is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_job().into_iter().chain(self.plane.poll_timeout()).min()
    }

    /// Carries out a command.
    pub fn apply(&mut self, command: Command, now: Instant) {
        self.plane.apply(command, &mut self.out, now);
        self.collect();
    }

    /// Starts a job; it is done after [`JOB_TIME`].
    pub fn offload(&mut self, id: JobId, job: &isthmus_crypto::Job, now: Instant) {
        self.serial += 1;
        let result = job.run(&*isthmus_crypto_aws::provider());
        self.jobs.insert((now + JOB_TIME, self.serial), (id, result));
    }

    /// A job that is done by now.
    pub fn finished(&mut self, now: Instant) -> Option<Job> {
        let entry = self.jobs.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// When the next job is done.
    pub fn next_job(&self) -> Option<Instant> {
        self.jobs.first_key_value().map(|((at, _), _)| *at)
    }

    /// What control must know.
    pub fn reports(&mut self) -> Vec<Report> {
        self.out.reports.drain(..).collect()
    }

    /// Packets that leave the host.
    pub fn take_packets(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.sent)
    }

    fn collect(&mut self) {
        for tx in self.out.net.drain(..) {
            self.sent.push(Packet {
                from: tx.path.local,
                to: tx.path.remote,
                esp: tx.port == isthmus_plane::Port::Esp,
                bytes: tx.buf.to_vec(),
            });
        }
        self.inner.extend(self.out.tun.drain(..).map(|(device, buf)| (device.tun, buf.to_vec())));
        self.out.free.clear();
    }
}

/// How long slow arithmetic takes.
pub const JOB_TIME: Duration = Duration::from_millis(3);
