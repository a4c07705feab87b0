//! The caller's end of all clients.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use isthmus_client::Config;
use isthmus_core::{Instant, Seed};
use isthmus_crypto::Provider;
use isthmus_dataplane::{Clock, Doorbell};
use isthmus_tun::TunDevice;

use crate::carrier::{Carried, Carrier};
use crate::host::Dial;
use crate::shard::{Order, Shard, Start};
use crate::told::Told;
use crate::traffic::{Pace, Plan, Tally};

/// What a fleet is made of.
pub struct Setup {
    /// What all clients have in common: where the server is, how it is spoken to. User, password and
    /// local addresses are each client's own.
    pub template: Config,
    /// Who computes.
    pub provider: Arc<dyn Provider>,
    /// Randomness for each shard; there are as many shards as seeds.
    pub seeds: Vec<Seed>,
    /// A device whose packets travel through the sessions of the first shard; with one, there should be
    /// one shard.
    pub device: Option<TunDevice>,
}

/// Many clients. Dropping it forgets them without a word to the server.
pub struct Fleet {
    shards: Vec<Handle>,
    told: Receiver<Told>,
    clock: Clock,
}

struct Handle {
    orders: Sender<Order>,
    door: Arc<Doorbell>,
    busy: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The system has no thread or descriptor left.
    #[error("cannot start the threads of the clients: {0}")]
    Start(#[from] io::Error),
}

impl Fleet {
    /// Starts the threads; nobody dials yet.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub fn start(setup: Setup) -> Result<Self, FleetError> {
        let (tell, told) = channel();
        let clock = Clock::start();
        let template = Arc::new(setup.template);
        let count = u32::try_from(setup.seeds.len()).unwrap_or(u32::MAX);
        let mut device = setup.device;
        let start = |seed| -> io::Result<Handle> {
            let (orders, taken) = channel();
            let door = Arc::new(Doorbell::new()?);
            let busy = Arc::new(AtomicU64::new(0));
            let shard = Shard::new(Start {
                template: Arc::clone(&template),
                provider: Arc::clone(&setup.provider),
                seed,
                clock,
                orders: taken,
                told: tell.clone(),
                door: Arc::clone(&door),
                busy: Arc::clone(&busy),
                shards: count,
                carrier: device.take().map(Carrier::new),
            })?;
            let thread = std::thread::Builder::new().name("isthmus-load".into());
            let thread = Some(thread.spawn(|| shard.run())?);
            Ok(Handle { orders, door, busy, thread })
        };
        let shards = setup.seeds.into_iter().map(start).collect::<io::Result<_>>()?;
        Ok(Self { shards, told, clock })
    }

    /// Connects a client.
    pub fn dial(&self, dial: Dial) {
        self.order(dial.client, Order::Dial(dial));
    }

    /// Has a client hang up; it tells when it is over.
    pub fn hang_up(&self, client: u32) {
        self.order(client, Order::HangUp(client));
    }

    /// Forgets a client without a word to the server; it tells nothing more.
    pub fn vanish(&self, client: u32) {
        self.order(client, Order::Vanish(client));
    }

    /// Sends packets through every session that is up now. A rate is shared among the shards by the
    /// number of clients that each has of `clients`.
    pub fn traffic(&self, plan: &Plan, clients: u32) {
        let count = u32::try_from(self.shards.len()).unwrap_or(u32::MAX);
        for (shard, index) in self.shards.iter().zip(0..) {
            let own = (clients + count - 1).saturating_sub(index) / count.max(1);
            let pace = match &plan.pace {
                Pace::Rate(all) => Pace::Rate(all * f64::from(own) / f64::from(clients.max(1))),
                Pace::Window(in_flight) => Pace::Window(Arc::clone(in_flight)),
            };
            shard.send(Order::Traffic(Plan { pace, ..plan.clone() }));
        }
    }

    /// Sends no more packets; those on their way are still counted.
    pub fn quiet(&self) {
        for shard in &self.shards {
            shard.send(Order::Quiet);
        }
    }

    /// What the packets have come to so far.
    pub fn tally(&self) -> Tally {
        let (answer, answers) = channel();
        for shard in &self.shards {
            shard.send(Order::Tally(answer.clone()));
        }
        drop(answer);
        let mut all = Tally::new();
        for tally in answers {
            all.add(&tally);
        }
        all
    }

    /// What the device has carried so far.
    pub fn carried(&self) -> Carried {
        let (answer, answers) = channel();
        if let Some(first) = self.shards.first() {
            first.send(Order::Carried(answer));
        }
        answers.recv().unwrap_or_default()
    }

    /// The next thing that happened to a client, if something does in time.
    pub fn next(&self, wait: Duration) -> Option<Told> {
        self.told.recv_timeout(wait).ok()
    }

    /// The time on the line of [`Told::at`].
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How long all threads together have worked.
    pub fn busy(&self) -> Duration {
        let each = self.shards.iter().map(|shard| shard.busy.load(Ordering::Relaxed));
        Duration::from_nanos(each.sum())
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.shards.len()
    }

    fn order(&self, client: u32, order: Order) {
        let count = self.shards.len().max(1);
        let index = usize::try_from(client).unwrap_or(usize::MAX) % count;
        if let Some(shard) = self.shards.get(index) {
            shard.send(order);
        }
    }
}

impl Handle {
    fn send(&self, order: Order) {
        self.door.announce();
        // A shard that is gone has panicked, which its thread has said.
        let _gone = self.orders.send(order);
        self.door.ring();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
