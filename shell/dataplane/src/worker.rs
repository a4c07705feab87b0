//! The worker thread and its loop.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use isthmus_core::{Buf, Instant, Path, Seed};
use isthmus_crypto::Provider;
use isthmus_plane::{Astray, Command, Device, Outputs, Plane, Port, Report, Rx, Share, Tx};
use isthmus_tun::{Cutter, TunDevice};
use rustix::event::Timespec;

use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::closer::Closer;
use crate::inbox::Inbox;
use crate::io::{IoReport, IoStats, TunReport};
use crate::poller::{Poller, Ready, Source};
use crate::ports::Ports;

/// What control says to the worker.
pub(crate) enum Message {
    /// For the pipeline.
    Command(Command),
    /// A device to read from and write to.
    AddTun(Device, TunDevice),
    /// A device to let go of; the sender goes when it is closed.
    RemoveTun(Device, Sender<()>),
    /// Answers how the worker's sockets and devices do.
    ReadIo(Sender<IoReport>),
    /// The end.
    Stop,
}

/// A queue of a device that nobody needs any more, and who waits for its end, which comes after it.
pub(crate) type Closing = (TunDevice, Option<Sender<()>>);

/// What makes a worker, beside what all have in common.
pub(crate) struct Place {
    /// Its share of the clients.
    pub(crate) share: Share,
    /// Its sockets.
    pub(crate) ports: Ports,
    /// Its inbox.
    pub(crate) inbox: Arc<Inbox>,
    /// The inboxes of all workers, its own among them.
    pub(crate) inboxes: Arc<[Arc<Inbox>]>,
    /// Buffers.
    pub(crate) buffers: Buffers,
    /// What closes devices.
    pub(crate) closer: Closer<Closing>,
    /// Randomness.
    pub(crate) seed: Seed,
    /// The processor to stay on.
    pub(crate) processor: Option<usize>,
    /// How long to go on looking, without sleeping, after the last packet.
    pub(crate) busy_poll: Duration,
}

/// One thread's sockets, devices and pipeline.
pub(crate) struct Worker {
    ports: Ports,
    tuns: BTreeMap<Device, TunDevice>,
    cutter: Cutter,
    plane: Plane,
    clock: Clock,
    poller: Poller,
    messages: Receiver<Message>,
    inbox: Arc<Inbox>,
    inboxes: Arc<[Arc<Inbox>]>,
    /// Takes a report; false when control is too busy for it.
    report: Box<dyn FnMut(Report) -> bool + Send>,
    out: Outputs,
    buffers: Buffers,
    closer: Closer<Closing>,
    received: Vec<(Path, Buf)>,
    rx: Vec<Rx>,
    inner: Vec<Buf>,
    astray: Vec<Astray>,
    busy_poll: Duration,
    /// Until when not to sleep.
    awake_until: Instant,
    stats: IoStats,
}

/// Control's end of a running worker. Dropping it stops the thread.
pub(crate) struct WorkerHandle {
    messages: Sender<Message>,
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread. `report` is called on it and must not block.
    ///
    /// # Errors
    /// When the system has no descriptor or thread left.
    pub(crate) fn spawn(
        place: Place,
        provider: Arc<dyn Provider>,
        clock: Clock,
        report: Box<dyn FnMut(Report) -> bool + Send>,
    ) -> io::Result<WorkerHandle> {
        let Place { share, ports, inbox, inboxes, buffers, closer, seed, processor, busy_poll } =
            place;
        let (sender, messages) = channel();
        let worker = Self {
            tuns: BTreeMap::new(),
            cutter: Cutter::new(),
            plane: Plane::sharing(share, provider, seed),
            clock,
            poller: Poller::new()?,
            messages,
            inbox: Arc::clone(&inbox),
            inboxes,
            report,
            out: Outputs::new(),
            buffers,
            closer,
            received: Vec::new(),
            rx: Vec::new(),
            inner: Vec::new(),
            astray: Vec::new(),
            busy_poll,
            awake_until: clock.now(),
            stats: IoStats::default(),
            ports,
        };
        worker.watch()?;
        let name = format!("isthmus-{}", share.lane());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            if let Some(processor) = processor {
                stay_on(processor);
            }
            worker.run();
        })?;
        Ok(WorkerHandle { messages: sender, inbox, thread: Some(thread) })
    }

    fn watch(&self) -> io::Result<()> {
        self.poller.watch(&self.inbox.door, Source::Wake)?;
        for (index, descriptor) in (0..).zip(self.ports.fds()) {
            self.poller.watch(&descriptor, Source::Socket(index))?;
        }
        Ok(())
    }

    fn run(mut self) {
        let mut ready = Ready::new();
        // Only EFAULT, EINVAL and ENOMEM end the waiting, and none of them passes by itself.
        while self.wait(&mut ready).is_ok() {
            if !self.take_messages() {
                self.flush();
                break;
            }
            for source in ready.sources() {
                match *source {
                    Source::Wake => self.inbox.door.silence(),
                    Source::Socket(index) => self.read_socket(index),
                    Source::Tun(id) => self.read_tun(id),
                }
            }
            self.take_astray();
            self.plane.handle_timeout(&mut self.out, self.clock.now());
            self.flush();
        }
        for device in std::mem::take(&mut self.tuns).into_values() {
            self.closer.close((device, None));
        }
    }

    /// Sleeps until a descriptor is readable, control or another worker has left something, or the
    /// pipeline is due.
    fn wait(&mut self, ready: &mut Ready) -> io::Result<()> {
        let is_busy = !self.busy_poll.is_zero() && self.clock.now() < self.awake_until;
        let time = if is_busy || !self.inbox.may_sleep() {
            Some(Timespec { tv_sec: 0, tv_nsec: 0 })
        } else {
            self.plane.poll_timeout().map(|at| self.clock.until(at))
        };
        let waited = self.poller.wait(time.as_ref(), ready);
        self.inbox.door.awake();
        if !self.busy_poll.is_zero() && !ready.sources().is_empty() {
            self.awake_until = self.clock.now() + self.busy_poll;
        }
        waited
    }

    /// Carries out what control said, at most one batch; false when it said stop or is gone.
    fn take_messages(&mut self) -> bool {
        for _ in 0..MESSAGES_MAX {
            if !self.inbox.door.has_messages() {
                break;
            }
            let message = match self.messages.try_recv() {
                Ok(message) => message,
                // It is announced and not yet there; until it is, nobody sleeps.
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            };
            self.inbox.door.message_taken();
            match message {
                Message::Command(command) => {
                    self.buffers.lend(&mut self.out.free);
                    self.plane.apply(command, &mut self.out, self.clock.now());
                }
                Message::AddTun(id, device) => self.add_tun(id, device),
                Message::RemoveTun(id, told) => self.remove_tun(id, Some(told)),
                Message::ReadIo(answer) => drop(answer.send(self.io_report())),
                Message::Stop => return false,
            }
        }
        true
    }

    fn add_tun(&mut self, id: Device, device: TunDevice) {
        if self.poller.watch(&device, Source::Tun(id)).is_err() {
            self.stats.recv_errors += 1;
        }
        self.tuns.insert(id, device);
    }

    /// Lets go of a device; the sender goes with it. What a session's counted stays with its tenant's.
    fn remove_tun(&mut self, id: Device, told: Option<Sender<()>>) {
        let Some(device) = self.tuns.remove(&id) else { return };
        self.poller.forget(&device);
        if let Some(heir) = id.session.and_then(|_| self.tuns.get_mut(&id.tun.into())) {
            heir.inherit(&device.stats());
        }
        self.closer.close((device, told));
    }

    fn io_report(&self) -> IoReport {
        let mut tuns: Vec<TunReport> = Vec::new();
        // A tenant's own comes first, and those of its sessions are counted with it.
        for (id, device) in &self.tuns {
            let stats = device.stats();
            match tuns.last_mut().filter(|last| last.id == id.tun) {
                Some(last) => last.stats.add(&stats),
                None => tuns.push(TunReport { id: id.tun, offload: device.offload(), stats }),
            }
        }
        IoReport {
            workers: 1,
            stats: self.stats,
            udp_segments_max: self.ports.segments_max(),
            tuns,
        }
    }

    fn read_socket(&mut self, index: u32) {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let mut alloc = || self.buffers.take();
        let port = self.ports.recv(index, &mut alloc, &mut self.received, &mut self.stats);
        if let Some(port) = port {
            let packets = self.received.drain(..);
            self.rx.extend(packets.map(|(path, buf)| Rx { path, port, buf }));
        }
        let now = self.clock.now();
        self.plane.handle_net(&mut self.rx, &mut self.out, now);
    }

    fn read_tun(&mut self, id: Device) {
        let Some(device) = self.tuns.get_mut(&id) else { return };
        let mut alloc = || self.buffers.take();
        if device.recv_batch(&mut self.cutter, &mut alloc, &mut self.inner).is_err() {
            // Somebody deleted the interface; polling it on would spin.
            self.remove_tun(id, None);
        }
        let now = self.clock.now();
        self.plane.handle_tun(id, &mut self.inner, &mut self.out, now);
    }

    /// Takes what other workers have left.
    fn take_astray(&mut self) {
        self.inbox.take(&mut self.astray);
        if !self.astray.is_empty() {
            self.plane.handle_astray(&mut self.astray, &mut self.out, self.clock.now());
        }
    }

    /// Writes out everything the pipeline wants out.
    fn flush(&mut self) {
        self.flush_net();
        self.flush_tun();
        self.flush_astray();
        for report in self.out.reports.drain(..) {
            if !(self.report)(report) {
                self.stats.reports_dropped += 1;
            }
        }
        self.buffers.give(&mut self.out.free);
    }

    /// Leaves packets with the workers they belong to.
    fn flush_astray(&mut self) {
        let mut rung = None;
        for (owner, packet) in self.out.astray.drain(..) {
            let Some(inbox) = self.inboxes.get(owner) else { continue };
            if let Err(Astray::Net(Rx { buf, .. }) | Astray::Tun(_, buf)) = inbox.leave(packet) {
                self.stats.inbox_full += 1;
                self.out.free.push(buf);
            }
            if let Some(before) = rung.replace(owner).filter(|before| *before != owner) {
                self.inboxes.get(before).into_iter().for_each(|inbox| inbox.door.ring());
            }
        }
        rung.and_then(|last| self.inboxes.get(last))
            .into_iter()
            .for_each(|inbox| inbox.door.ring());
    }

    fn flush_net(&mut self) {
        let mut rest = self.out.net.as_slice();
        while let Some(first) = rest.first() {
            let key = route(first);
            let run = rest.iter().take_while(|tx| route(tx) == key).count();
            let (head, tail) = rest.split_at(run);
            let packets = head.iter().map(|tx| (tx.path, &*tx.buf));
            self.ports.send(first.port, first.path.local.ip(), packets, &mut self.stats);
            rest = tail;
        }
        self.out.free.extend(self.out.net.drain(..).map(|tx| tx.buf));
    }

    fn flush_tun(&mut self) {
        let mut rest = self.out.tun.as_slice();
        while let Some((id, _)) = rest.first() {
            let run = rest.iter().take_while(|(other, _)| other == id).count();
            let (head, tail) = rest.split_at(run);
            // A session's may be gone, or not be there yet.
            let device = if self.tuns.contains_key(id) { *id } else { id.tun.into() };
            let done = self
                .tuns
                .get_mut(&device)
                .and_then(|tun| tun.send_batch(head, |(_, buf)| buf).ok())
                .map_or(0, |sent| sent.done);
            self.stats.tun_full += head.len().saturating_sub(done) as u64;
            rest = tail;
        }
        self.out.free.extend(self.out.tun.drain(..).map(|(_, buf)| buf));
    }
}

impl WorkerHandle {
    /// Says something to the worker, after what was said before; false when it is gone. Call
    /// [`WorkerHandle::ring`] after the last.
    pub(crate) fn post(&self, message: Message) -> bool {
        self.inbox.door.announce();
        self.messages.send(message).is_ok()
    }

    /// Whether the worker has not yet taken all that was said.
    pub(crate) fn has_messages(&self) -> bool {
        self.inbox.door.has_messages()
    }

    /// Wakes the worker if it sleeps.
    pub(crate) fn ring(&self) {
        self.inbox.door.ring();
    }

    fn join(&mut self) {
        self.post(Message::Stop);
        self.ring();
        if let Some(thread) = self.thread.take() {
            // A panic of the worker has been printed by its own thread.
            let _panicked = thread.join();
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.join();
    }
}

/// Messages of control taken at a time, so that a burst of logins does not keep packets waiting.
const MESSAGES_MAX: usize = 256;

/// Packets with the same answer go through the same socket.
fn route(tx: &Tx) -> (Port, IpAddr) {
    (tx.port, tx.path.local.ip())
}

/// Keeps the calling thread on one processor, where it may.
fn stay_on(processor: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(processor);
    // Without it the scheduler chooses, as it does by default.
    let _unpinned = rustix::thread::sched_setaffinity(None, &set);
}
