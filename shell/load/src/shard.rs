//! One thread and its clients.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use isthmus_client::Config;
use isthmus_core::{Agenda, Buf, Instant, Rng, Seed};
use isthmus_crypto::Provider;
use isthmus_dataplane::{Clock, Doorbell};
use isthmus_plane::Outputs;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::carrier::{Carried, Carrier, source};
use crate::host::{Dial, Host, World};
use crate::port::Blocks;
use crate::told::{Told, What};
use crate::traffic::{Counting, Flow, Plan, Source, Tally};

/// What a shard is told.
pub(crate) enum Order {
    /// Connect a client.
    Dial(Dial),
    /// Hang up.
    HangUp(u32),
    /// Forget a client without a word to the server.
    Vanish(u32),
    /// Send packets; an earlier run ends.
    Traffic(Plan),
    /// Send no more, and go on counting what comes.
    Quiet,
    /// Answers the counts of the run.
    Tally(Sender<Tally>),
    /// Answers what the device has carried.
    Carried(Sender<Carried>),
    /// The end.
    Stop,
}

/// What a shard begins with.
pub(crate) struct Start {
    pub(crate) template: Arc<Config>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) seed: Seed,
    pub(crate) clock: Clock,
    pub(crate) orders: Receiver<Order>,
    pub(crate) told: Sender<Told>,
    pub(crate) door: Arc<Doorbell>,
    /// Time spent working, in nanoseconds.
    pub(crate) busy: Arc<AtomicU64>,
    /// How many shards there are: client `n` has place `n / shards` on shard `n % shards`.
    pub(crate) shards: u32,
    /// A device whose packets the sessions carry.
    pub(crate) carrier: Option<Carrier>,
}

/// One thread and its clients.
pub(crate) struct Shard {
    world: World,
    clock: Clock,
    orders: Receiver<Order>,
    door: Arc<Doorbell>,
    busy: Arc<AtomicU64>,
    shards: u32,
    epoll: OwnedFd,
    hosts: Vec<Option<Box<Host>>>,
    agenda: Agenda<u32>,
    /// When those who were due were last called.
    fired: Instant,
    lives: u64,
    source: Option<Source>,
    /// What the device has sent, while it is dealt out.
    packets: Vec<Buf>,
}

impl Shard {
    /// A shard without clients.
    pub(crate) fn new(start: Start) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = epoll::EventData::new_u64(WAKE);
        epoll::add(&epoll, start.door.as_fd(), wake, epoll::EventFlags::IN)?;
        if let Some(carrier) = &start.carrier {
            epoll::add(&epoll, carrier, epoll::EventData::new_u64(DEVICE), epoll::EventFlags::IN)?;
        }
        let world = World {
            template: start.template,
            provider: start.provider,
            rng: Rng::new(start.seed),
            blocks: Blocks::new(),
            out: Outputs::new(),
            rx: Vec::new(),
            inner: Vec::new(),
            jobs: VecDeque::new(),
            counting: None,
            carrier: start.carrier,
            told: start.told,
        };
        Ok(Self {
            world,
            clock: start.clock,
            orders: start.orders,
            door: start.door,
            busy: start.busy,
            shards: start.shards,
            epoll,
            hosts: Vec::new(),
            agenda: Agenda::new(),
            fired: Instant::ZERO,
            lives: 0,
            source: None,
            packets: Vec::new(),
        })
    }

    /// Runs until told to stop.
    pub(crate) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            if self.wait(&mut events).is_err() {
                // Only EBADF, EFAULT and EINVAL are left, and none of them passes by itself.
                return;
            }
            let began = self.clock.now();
            for event in events.drain(..) {
                match event.data.u64() {
                    WAKE => self.door.silence(),
                    DEVICE => self.carry(),
                    place => self.receive(place),
                }
            }
            if !self.take_orders() {
                return;
            }
            self.fire();
            self.pump();
            self.compute();
            let worked = self.clock.now().since(began).as_nanos();
            self.busy.fetch_add(u64::try_from(worked).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let now = self.clock.now();
        let traffic = self.source.as_ref().and_then(|source| source.next(now));
        // Who is due soon after others waits a little, so that many are called in one turn.
        let due = self.agenda.next().map(|at| at.max(self.fired + TIMER_SLACK));
        let next = due.into_iter().chain(traffic).min();
        // With arithmetic or orders to carry out, what is ready is only looked at.
        let may_sleep = self.world.jobs.is_empty() && self.door.may_sleep(|| true);
        let next = if may_sleep { next } else { Some(now) };
        let wait = next.map(|at| self.clock.until(at));
        let waited = epoll::wait(&self.epoll, spare_capacity(events), wait.as_ref());
        self.door.awake();
        match waited {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn receive(&mut self, place: u64) {
        let nat_t = self.world.template.nat_t_path.remote;
        for _ in 0..BATCHES_MAX {
            let now = self.clock.now();
            let Some(host) = at(&mut self.hosts, place) else { return };
            let more = host.receive(nat_t, &mut self.world, now);
            if !more {
                break;
            }
        }
        self.after(place);
    }

    /// Sends what this machine's programs have sent to the device.
    fn carry(&mut self) {
        let mut packets = std::mem::take(&mut self.packets);
        let World { carrier, out, .. } = &mut self.world;
        let Some(device) = carrier else { return };
        if !device.receive(&mut out.free, &mut packets) {
            // Somebody deleted it, and closing takes it out of the epoll set.
            *carrier = None;
        }
        let mut rest = packets.drain(..).peekable();
        while let Some(first) = rest.next() {
            let Some(carrier) = &mut self.world.carrier else { break };
            let Some((address, client)) = carrier.owner(&first) else {
                carrier.stranger();
                self.world.out.free.push(first);
                continue;
            };
            let run = &mut self.world.inner;
            run.push(first);
            // Segments of one write of a program come together, and are encrypted together.
            run.extend(std::iter::from_fn(|| rest.next_if(|next| source(next) == Some(address))));
            self.send_through(client, address);
        }
        drop(rest);
        self.packets = packets;
    }

    /// Sends the inner packets that lie ready through the session of a client, if it still has the address.
    fn send_through(&mut self, client: u32, address: Ipv4Addr) {
        let (place, now) = (self.place(client), self.clock.now());
        let has = |host: &&mut Host| {
            host.number == client && host.up.is_some_and(|(own, _)| own == address)
        };
        if let Some(host) = at(&mut self.hosts, place).filter(has) {
            if let Some(carrier) = &mut self.world.carrier {
                carrier.left(&self.world.inner);
            }
            host.send_inner(&mut self.world, now);
        }
        self.world.out.free.append(&mut self.world.inner);
        self.after(place);
    }

    /// False when it is time to end.
    fn take_orders(&mut self) -> bool {
        for _ in 0..ORDERS_MAX {
            if !self.door.has_messages() {
                break;
            }
            let order = match self.orders.try_recv() {
                Ok(order) => order,
                // It is announced and not yet there; until it is, nobody sleeps.
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            };
            self.door.message_taken();
            match order {
                Order::Dial(dial) => self.dial(dial),
                Order::HangUp(client) => self.act(client, Host::hang_up),
                Order::Vanish(client) => self.forget(self.place(client)),
                Order::Traffic(plan) => self.begin(plan),
                Order::Quiet => self.source = None,
                Order::Tally(answer) => {
                    let counting = self.world.counting.as_ref();
                    // Whoever asked may be gone.
                    let _gone = answer.send(counting.map(|c| c.tally.clone()).unwrap_or_default());
                }
                Order::Carried(answer) => {
                    let carrier = self.world.carrier.as_ref();
                    let _gone = answer.send(carrier.map(Carrier::carried).unwrap_or_default());
                }
                Order::Stop => return false,
            }
        }
        true
    }

    fn dial(&mut self, dial: Dial) {
        let (place, client) = (self.place(dial.client), dial.client);
        let now = self.clock.now();
        self.lives += 1;
        let opened = Host::dial(dial, self.lives, &mut self.world, now).and_then(|host| {
            let data = epoll::EventData::new_u64(place);
            epoll::add(&self.epoll, host.port.as_fd(), data, epoll::EventFlags::IN)?;
            Ok(host)
        });
        match opened {
            Ok(host) => {
                let index = usize::try_from(place).unwrap_or(usize::MAX);
                if index >= self.hosts.len() {
                    self.hosts.resize_with(index + 1, || None);
                }
                if let Some(slot) = self.hosts.get_mut(index) {
                    *slot = Some(Box::new(host));
                }
                self.after(place);
            }
            Err(error) => {
                let what = What::NoSocket(error.to_string());
                let _gone = self.world.told.send(Told { client, at: now, what });
            }
        }
    }

    fn act(&mut self, client: u32, act: impl FnOnce(&mut Host, &mut World, Instant)) {
        let (place, now) = (self.place(client), self.clock.now());
        if let Some(host) = at(&mut self.hosts, place) {
            act(host, &mut self.world, now);
            self.after(place);
        }
    }

    /// Calls whoever is due.
    fn fire(&mut self) {
        let now = self.clock.now();
        if self.agenda.next().is_none_or(|at| at > now) {
            return;
        }
        self.fired = now;
        for _ in 0..TIMERS_MAX {
            let Some(number) = self.agenda.pop_due(now) else { return };
            if let Some(host) = at(&mut self.hosts, u64::from(number)) {
                host.handle_timeout(&mut self.world, now);
            }
            self.after(u64::from(number));
        }
    }

    /// Does arithmetic for a short while.
    fn compute(&mut self) {
        let began = self.clock.now();
        while let Some(waiting) = self.world.jobs.pop_front() {
            let place = self.place(waiting.client);
            // Whoever asked may be over, and the client a new one.
            if at(&mut self.hosts, place).is_some_and(|host| host.life == waiting.life) {
                let result = waiting.job.run(&*self.world.provider);
                let now = self.clock.now();
                if let Some(host) = at(&mut self.hosts, place) {
                    host.handle_job(waiting.id, result, &mut self.world, now);
                }
                self.after(place);
            }
            if self.clock.now().since(began) >= JOBS_TIME {
                return;
            }
        }
    }

    fn begin(&mut self, plan: Plan) {
        let flow = |host: &Host| Flow::new(&plan, host.number, host.up?);
        let flows = self.hosts.iter().flatten().filter_map(|host| flow(host)).collect();
        for host in self.hosts.iter_mut().flatten() {
            host.forget_arrivals();
        }
        self.world.counting = Some(Counting::new(&plan));
        self.source = Some(Source::new(plan, flows, self.clock.now()));
    }

    /// Sends the packets that are due.
    fn pump(&mut self) {
        let Some(mut source) = self.source.take() else { return };
        let now = self.clock.now();
        let (mut due, skipped) = source.due(now);
        let mut unsent = skipped;
        while due > 0 {
            let World { out, inner, .. } = &mut self.world;
            let Some(client) = source.fill(due, &mut out.free, inner, now) else { break };
            let made = inner.len() as u64;
            let bytes = inner.iter().map(|buf| buf.len() as u64).sum::<u64>();
            due = due.saturating_sub(made);
            let place = self.place(client);
            let host = at(&mut self.hosts, place).filter(|host| host.number == client);
            let left = host.map_or(0, |host| host.send_inner(&mut self.world, now) as u64);
            self.world.inner.clear();
            if let Some(counting) = &mut self.world.counting {
                counting.tally.sent += left.min(made);
                counting.tally.sent_bytes += if left >= made { bytes } else { 0 };
            }
            unsent += made.saturating_sub(left);
            self.after(place);
        }
        if let Some(counting) = &mut self.world.counting {
            counting.tally.unsent += unsent;
        }
        self.source = Some(source);
    }

    /// Something was done with a client: when it wants to be called has changed, or it is over.
    fn after(&mut self, place: u64) {
        let Some(host) = at(&mut self.hosts, place) else { return };
        if host.over {
            return self.forget(place);
        }
        let next = host.poll_timeout();
        self.agenda.set(u32::try_from(place).unwrap_or(u32::MAX), next);
    }

    /// Closing the socket takes it out of the epoll set.
    fn forget(&mut self, place: u64) {
        if let Some(slot) = usize::try_from(place).ok().and_then(|at| self.hosts.get_mut(at)) {
            *slot = None;
        }
        self.agenda.set(u32::try_from(place).unwrap_or(u32::MAX), None);
    }

    fn place(&self, client: u32) -> u64 {
        u64::from(client / self.shards.max(1))
    }
}

fn at(hosts: &mut [Option<Box<Host>>], place: u64) -> Option<&mut Host> {
    hosts.get_mut(usize::try_from(place).ok()?)?.as_deref_mut()
}

/// What epoll calls the wake-up; no client has this place.
const WAKE: u64 = u64::MAX;
/// What epoll calls the device that is carried.
const DEVICE: u64 = u64::MAX - 1;
/// Most sockets looked at in a round.
const EVENTS_MAX: usize = 256;
/// Most batches read from one socket in a round.
const BATCHES_MAX: usize = 8;
/// Most orders carried out in a round.
const ORDERS_MAX: usize = 64;
/// How long a timer may be late; none is so short that it matters.
const TIMER_SLACK: Duration = Duration::from_millis(5);
/// Most timers fired in a round.
const TIMERS_MAX: usize = 512;
/// How long a round may compute; the last computation may take it beyond.
const JOBS_TIME: Duration = Duration::from_millis(1);
