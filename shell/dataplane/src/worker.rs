//! The worker thread and its loop.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use isthmus_core::{Buf, Path, Seed};
use isthmus_crypto::Provider;
use isthmus_plane::{Command, Outputs, Plane, Port, Report, Rx, TunId, Tx};
use isthmus_tun::TunDevice;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::clock::Clock;
use crate::io::{IoReport, IoStats, TunReport};
use crate::ports::Ports;

/// What control says to the worker.
pub enum Message {
    /// For the pipeline.
    Command(Command),
    /// A device to read from and write to.
    AddTun(TunId, TunDevice),
    /// A device to close; it vanishes from the system.
    RemoveTun(TunId),
    /// Answers how the worker's sockets and devices do.
    ReadIo(Sender<IoReport>),
    /// The end.
    Stop,
}

/// What the worker is made of.
pub struct Worker {
    ports: Ports,
    tuns: BTreeMap<TunId, TunDevice>,
    plane: Plane,
    clock: Clock,
    messages: Receiver<Message>,
    wake: Arc<OwnedFd>,
    /// Takes a report; false when control is too busy for it.
    report: Box<dyn FnMut(Report) -> bool + Send>,
    out: Outputs,
    /// Buffers ready for use.
    pool: Vec<Buf>,
    received: Vec<(Path, Buf)>,
    rx: Vec<Rx>,
    inner: Vec<Buf>,
    stats: IoStats,
}

/// Control's end of a running worker. Dropping it stops the thread.
pub struct WorkerHandle {
    messages: Sender<Message>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the packet worker: {0}")]
pub struct WorkerError(#[from] io::Error);

impl Worker {
    /// Starts a thread that owns `ports`. `report` is called on that thread and must not block.
    ///
    /// # Errors
    /// When the system has no descriptor or thread left.
    pub fn spawn(
        ports: Ports,
        provider: Arc<dyn Provider>,
        seed: Seed,
        clock: Clock,
        report: Box<dyn FnMut(Report) -> bool + Send>,
    ) -> Result<WorkerHandle, WorkerError> {
        let wake =
            eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(io::Error::from)?;
        let wake = Arc::new(wake);
        let (sender, messages) = channel();
        let worker = Self {
            ports,
            tuns: BTreeMap::new(),
            plane: Plane::new(provider, seed),
            clock,
            messages,
            wake: Arc::clone(&wake),
            report,
            out: Outputs::new(),
            pool: Vec::new(),
            received: Vec::new(),
            rx: Vec::new(),
            inner: Vec::new(),
            stats: IoStats::default(),
        };
        let thread =
            std::thread::Builder::new().name("isthmus-worker".into()).spawn(|| worker.run())?;
        Ok(WorkerHandle { messages: sender, wake, thread: Some(thread) })
    }

    fn run(mut self) {
        let mut ready = Vec::new();
        loop {
            if self.wait(&mut ready).is_err() {
                // Only EFAULT, EINVAL and ENOMEM are left, and none of them passes by itself.
                return;
            }
            if !self.take_messages() {
                self.flush();
                return;
            }
            self.read_sockets(&ready);
            self.read_tuns(&ready);
            self.plane.handle_timeout(&mut self.out, self.clock.now());
            self.flush();
        }
    }

    /// Sleeps until a descriptor is readable or the pipeline is due; `ready` says which, in the order
    /// wake-up, sockets, TUNs.
    fn wait(&self, ready: &mut Vec<bool>) -> io::Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        fds.extend(self.ports.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let tuns = self.tuns.values();
        fds.extend(tuns.map(|tun| PollFd::from_borrowed_fd(tun.as_fd(), PollFlags::IN)));
        let until = self.plane.poll_timeout();
        loop {
            let wait = until.map(|at| self.clock.until(at));
            match poll(&mut fds, wait.as_ref()) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        ready.clear();
        ready.extend(fds.iter().map(|fd| !fd.revents().is_empty()));
        Ok(())
    }

    /// Carries out what control said so far; false when it said stop or is gone.
    fn take_messages(&mut self) -> bool {
        // Reset before reading the queue: a message that comes later wakes us again.
        let _nothing_to_reset = rustix::io::read(&self.wake, &mut [0; 8]);
        loop {
            match self.messages.try_recv() {
                Ok(Message::Command(command)) => {
                    self.plane.apply(command, &mut self.out, self.clock.now());
                }
                Ok(Message::AddTun(id, device)) => drop(self.tuns.insert(id, device)),
                Ok(Message::RemoveTun(id)) => drop(self.tuns.remove(&id)),
                Ok(Message::ReadIo(answer)) => drop(answer.send(self.io_report())),
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn io_report(&self) -> IoReport {
        let tun = |(&id, device): (&TunId, &TunDevice)| TunReport {
            id,
            offload: device.offload(),
            stats: device.stats(),
        };
        IoReport {
            stats: self.stats,
            udp_segments_max: self.ports.segments_max(),
            tuns: self.tuns.iter().map(tun).collect(),
        }
    }

    fn read_sockets(&mut self, ready: &[bool]) {
        for index in 0..self.ports.len() {
            // Descriptor 0 is the wake-up.
            if !ready.get(index + 1).copied().unwrap_or(false) {
                continue;
            }
            let pool = &mut self.pool;
            let mut alloc = || pool.pop().unwrap_or_else(|| Buf::with_capacity(BUF_BYTES));
            let port = self.ports.recv(index, &mut alloc, &mut self.received, &mut self.stats);
            if let Some(port) = port {
                let packets = self.received.drain(..);
                self.rx.extend(packets.map(|(path, buf)| Rx { path, port, buf }));
            }
            let now = self.clock.now();
            self.plane.handle_net(&mut self.rx, &mut self.out, now);
        }
    }

    fn read_tuns(&mut self, ready: &[bool]) {
        let first = self.ports.len() + 1;
        let mut gone = Vec::new();
        for (index, (id, device)) in self.tuns.iter_mut().enumerate() {
            if !ready.get(first + index).copied().unwrap_or(false) {
                continue;
            }
            let pool = &mut self.pool;
            let mut alloc = || pool.pop().unwrap_or_else(|| Buf::with_capacity(BUF_BYTES));
            if device.recv_batch(&mut alloc, &mut self.inner).is_err() {
                // Somebody deleted the interface; polling it on would spin.
                gone.push(*id);
            }
            let now = self.clock.now();
            self.plane.handle_tun(*id, &mut self.inner, &mut self.out, now);
        }
        for id in gone {
            self.tuns.remove(&id);
        }
    }

    /// Writes out everything the pipeline wants out.
    fn flush(&mut self) {
        self.flush_net();
        self.flush_tun();
        for report in self.out.reports.drain(..) {
            if !(self.report)(report) {
                self.stats.reports_dropped += 1;
            }
        }
        let room = POOL_MAX.saturating_sub(self.pool.len());
        self.pool.extend(self.out.free.drain(..).take(room));
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
            let done = self
                .tuns
                .get_mut(id)
                .and_then(|tun| tun.send_batch(head, |(_, buf)| buf).ok())
                .map_or(0, |sent| sent.done);
            self.stats.tun_full += head.len().saturating_sub(done) as u64;
            rest = tail;
        }
        self.out.free.extend(self.out.tun.drain(..).map(|(_, buf)| buf));
    }
}

impl WorkerHandle {
    /// Says something to the worker; false when it is gone.
    pub fn send(&self, message: Message) -> bool {
        self.messages.send(message).is_ok()
            && rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).is_ok()
    }

    /// Lets the worker finish what it was told, and waits for its end.
    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.send(Message::Stop);
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

/// Packets with the same answer go through the same socket.
fn route(tx: &Tx) -> (Port, IpAddr) {
    (tx.port, tx.path.local.ip())
}

/// Room for a packet of a 2 KiB path; more than any cloud's default MTU of 1500 asks for.
const BUF_BYTES: usize = 2048;
/// Buffers kept for use again.
const POOL_MAX: usize = 4096;
