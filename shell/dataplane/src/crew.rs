//! All workers of a gateway, as control sees them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use isthmus_core::{Key, LANES, Seed};
use isthmus_crypto::Provider;
use isthmus_net::SocketError;
use isthmus_plane::{Audience, Command, Device, Port, Report, Share, TunId};
use isthmus_tun::TunDevice;

use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::closer::Closer;
use crate::inbox::Inbox;
use crate::io::IoReport;
use crate::ports::{Ports, PortsConfig};
use crate::worker::{Closing, Message, Place, Worker, WorkerHandle};

/// How many workers there are and how they run.
#[derive(Clone, Debug)]
pub struct CrewConfig {
    /// Where to listen.
    pub ports: PortsConfig,
    /// Threads, 1 to [`LANES`].
    pub workers: usize,
    /// Keeps each on a processor of its own, the first on the first.
    pub pin: bool,
    /// How long a worker goes on looking, without sleeping, after the last packet: less latency for a
    /// processor that is never idle. Zero sleeps at once.
    pub busy_poll: Duration,
}

impl CrewConfig {
    /// One worker that sleeps when there is nothing to do.
    pub fn one(ports: PortsConfig) -> Self {
        Self { ports, workers: 1, pin: false, busy_poll: Duration::ZERO }
    }

    /// How many workers there will be.
    pub fn count(&self) -> usize {
        self.workers.clamp(1, LANES)
    }
}

/// Running workers. Dropping them lets them send what they were told to, and ends them.
pub struct Crew {
    workers: Vec<WorkerHandle>,
    locals: Vec<(Port, SocketAddr)>,
    closer: Closer<Closing>,
}

/// Why workers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A socket cannot be opened.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// No descriptor, thread or randomness left.
    #[error("cannot start the packet workers: {0}")]
    System(#[from] io::Error),
}

impl Crew {
    /// Opens sockets and starts threads. Reports are told on them, one at a time for each thread;
    /// telling must not block, and answers whether there was room.
    ///
    /// # Errors
    /// What cannot be had, with what to do about it.
    pub fn start<R>(
        config: &CrewConfig,
        provider: &Arc<dyn Provider>,
        mut seed: impl FnMut() -> io::Result<Seed>,
        clock: Clock,
        report: &R,
    ) -> Result<Self, WorkerError>
    where
        R: FnMut(Report) -> bool + Clone + Send + 'static,
    {
        let of = config.count();
        let inboxes = (0..of).map(|_| Inbox::new().map(Arc::new));
        let inboxes: Arc<[Arc<Inbox>]> = inboxes.collect::<io::Result<_>>()?;
        let (mut workers, mut locals) = (Vec::new(), Vec::new());
        let closer = Closer::new();
        for ((index, inbox), buffers) in inboxes.iter().enumerate().zip(Buffers::of(of)) {
            let share = Share::new(index, of).unwrap_or(Share::SOLE);
            let ports = Ports::open(&config.ports, share)?;
            locals.extend(ports.locals());
            let place = Place {
                share,
                ports,
                inbox: Arc::clone(inbox),
                inboxes: Arc::clone(&inboxes),
                buffers,
                closer: closer.clone(),
                seed: seed()?,
                processor: config.pin.then_some(index),
                busy_poll: config.busy_poll,
            };
            let report = Box::new(report.clone());
            workers.push(Worker::spawn(place, Arc::clone(provider), clock, report)?);
        }
        Ok(Self { workers, locals, closer })
    }

    /// The local address of the first socket of a port; tells what the system chose for port 0.
    pub fn local(&self, port: Port) -> Option<SocketAddr> {
        self.locals.iter().find(|(of, _)| *of == port).map(|(_, address)| *address)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Has a command carried out by whom it concerns; each carries out commands in order. Nobody is woken
    /// for it before [`Crew::ring`].
    pub fn command(&self, command: Command) {
        let owner = match command.audience() {
            Audience::Everybody => {
                for worker in &self.workers {
                    worker.post(Message::Command(command.clone()));
                }
                return;
            }
            Audience::Owner(key) => self.owner(key),
            Audience::First => self.workers.first(),
        };
        if let Some(worker) = owner {
            worker.post(Message::Command(command));
        }
    }

    fn owner(&self, key: Key) -> Option<&WorkerHandle> {
        self.workers.get(key.lane() % self.workers.len().max(1))
    }

    /// Wakes whoever has something to do and sleeps; to be called after the last of a burst of commands.
    pub fn ring(&self) {
        self.workers.iter().filter(|worker| worker.has_messages()).for_each(WorkerHandle::ring);
    }

    /// Gives each worker a queue of a device.
    pub fn add_tun(&self, id: TunId, queues: Vec<TunDevice>) {
        for (worker, queue) in self.workers.iter().zip(queues) {
            worker.post(Message::AddTun(id.into(), queue));
            worker.ring();
        }
    }

    /// Gives a session a device of its own.
    pub fn add_session_tun(&self, session: Key, id: TunId, device: TunDevice) {
        if let Some(owner) = self.owner(session) {
            owner.post(Message::AddTun(Device::of_session(id, session), device));
        }
        self.command(Command::SetDevice { session, own: true });
    }

    /// Closes a device that no worker has.
    pub fn close(&self, device: TunDevice) {
        self.closer.close((device, None));
    }

    /// Has the workers let go of tenants' devices, and of those that sessions have to themselves, once they
    /// have done what they were told before; packets of such sessions use their tenant's again. The answer's
    /// other end is closed when the last of them has: then the devices are gone.
    pub fn remove_tuns(&self, ids: &[TunId], sessions: &[(Key, TunId)]) -> Receiver<()> {
        let (held, released) = channel();
        for worker in &self.workers {
            for id in ids {
                worker.post(Message::RemoveTun((*id).into(), held.clone()));
            }
        }
        for (session, id) in sessions {
            self.command(Command::SetDevice { session: *session, own: false });
            if let Some(owner) = self.owner(*session) {
                let device = Device::of_session(*id, *session);
                owner.post(Message::RemoveTun(device, held.clone()));
            }
        }
        self.ring();
        released
    }

    /// How the workers' sockets and devices do, all taken together.
    pub fn io(&self) -> IoReport {
        let (answer, answers) = channel();
        let ask = |worker: &&WorkerHandle| worker.post(Message::ReadIo(answer.clone()));
        let asked = self.workers.iter().filter(ask).count();
        self.ring();
        let mut sum = IoReport::default();
        for _ in 0..asked {
            // A worker answers between two batches.
            let Ok(report) = answers.recv_timeout(ANSWER_TIME_MAX) else { break };
            sum.merge(report);
        }
        sum
    }
}

impl Drop for Crew {
    /// The workers have let go of their devices when they end, and the devices are gone when this returns.
    fn drop(&mut self) {
        self.workers.clear();
        self.closer.finish();
    }
}

/// How long control waits for a worker's answer.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(200);
