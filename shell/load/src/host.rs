//! One client: its machine, its packet pipeline and its socket.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use isthmus_client::{Action, Client, Config, Event, Stage};
use isthmus_core::{Buf, Instant, Rng, SecretBytes};
use isthmus_crypto::{CryptoError, Job, JobOutput, Provider};
use isthmus_ike::JobId;
use isthmus_plane::{Outputs, Plane, Rx, TunId};

use crate::carrier::Carrier;
use crate::port::{Blocks, ClientPort};
use crate::told::{Told, What};
use crate::traffic::{Counting, Window};

/// Who logs in, and from where.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The number of the client, which must not be in use.
    pub client: u32,
    /// The address to send from.
    pub source: IpAddr,
    /// The user name.
    pub user: Vec<u8>,
    /// The password.
    pub password: SecretBytes,
}

/// What the clients of a shard share.
pub(crate) struct World {
    pub(crate) template: Arc<Config>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) rng: Rng,
    pub(crate) blocks: Blocks,
    pub(crate) out: Outputs,
    pub(crate) rx: Vec<Rx>,
    pub(crate) inner: Vec<Buf>,
    pub(crate) jobs: VecDeque<Waiting>,
    /// A run of traffic whose packets may come.
    pub(crate) counting: Option<Counting>,
    /// A device whose packets the sessions carry.
    pub(crate) carrier: Option<Carrier>,
    pub(crate) told: Sender<Told>,
}

/// Arithmetic that somebody waits for.
pub(crate) struct Waiting {
    pub(crate) client: u32,
    /// Which of the lives of this client.
    pub(crate) life: u64,
    pub(crate) id: JobId,
    pub(crate) job: Job,
}

/// One client.
pub(crate) struct Host {
    pub(crate) number: u32,
    /// Tells this client from those that had its number before.
    pub(crate) life: u64,
    machine: Client,
    plane: Plane,
    pub(crate) port: ClientPort,
    reached: Stage,
    /// Address and largest packet, while packets flow.
    pub(crate) up: Option<(Ipv4Addr, u16)>,
    /// What has come of a run of traffic.
    arrived: Option<Box<Window>>,
    /// Nothing follows.
    pub(crate) over: bool,
}

impl Host {
    /// Opens a socket and sends the first message.
    pub(crate) fn dial(
        dial: Dial,
        life: u64,
        world: &mut World,
        now: Instant,
    ) -> Result<Self, io::Error> {
        let port = ClientPort::open(dial.source)?;
        let mut config = Config::clone(&world.template);
        config.user = dial.user;
        config.password = dial.password;
        config.ike_path.local = port.local();
        config.nat_t_path.local = port.local();
        let provider = Arc::clone(&world.provider);
        let machine = Client::new(config, provider, world.rng.seed(), now);
        let plane = Plane::new(Arc::clone(&world.provider), world.rng.seed());
        let reached = Stage::Ipsec;
        let (number, up, arrived, over) = (dial.client, None, None, false);
        let mut host = Self { number, life, machine, plane, port, reached, up, arrived, over };
        host.tell(What::Dialed, world, now);
        host.settle(world, now);
        Ok(host)
    }

    /// Takes what the socket has; whether there may be more.
    pub(crate) fn receive(&mut self, nat_t: SocketAddr, world: &mut World, now: Instant) -> bool {
        let World { blocks, out, rx, .. } = world;
        let more = self.port.receive(nat_t, blocks, &mut out.free, rx);
        self.plane.handle_net(rx, out, now);
        self.settle(world, now);
        more
    }

    /// Time passes.
    pub(crate) fn handle_timeout(&mut self, world: &mut World, now: Instant) {
        self.plane.handle_timeout(&mut world.out, now);
        self.machine.handle_timeout(now);
        self.settle(world, now);
    }

    /// When time must pass next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let machine = self.machine.poll_timeout().map(|deadline| deadline.at);
        machine.into_iter().chain(self.plane.poll_timeout()).min()
    }

    /// Arithmetic is done.
    pub(crate) fn handle_job(
        &mut self,
        id: JobId,
        result: Result<JobOutput, CryptoError>,
        world: &mut World,
        now: Instant,
    ) {
        self.machine.handle_job(id, result, now);
        self.settle(world, now);
    }

    /// Hangs up as a person does.
    pub(crate) fn hang_up(&mut self, world: &mut World, now: Instant) {
        self.machine.stop(now);
        self.settle(world, now);
    }

    /// Sends inner packets; answers how many left.
    pub(crate) fn send_inner(&mut self, world: &mut World, now: Instant) -> usize {
        let World { out, inner, blocks, .. } = world;
        self.plane.handle_tun(TUN, inner, out, now);
        let sent = out.net.len();
        self.port.send(&out.net, blocks);
        out.free.extend(out.net.drain(..).map(|tx| tx.buf));
        self.settle(world, now);
        sent
    }

    /// A new run of traffic begins to count from zero.
    pub(crate) fn forget_arrivals(&mut self) {
        self.arrived = None;
    }

    /// Carries out everything until machine and pipeline are quiet.
    fn settle(&mut self, world: &mut World, now: Instant) {
        loop {
            while let Some(action) = self.machine.poll_action() {
                self.carry_out(action, world, now);
            }
            self.port.send(&world.out.net, &mut world.blocks);
            world.out.free.extend(world.out.net.drain(..).map(|tx| tx.buf));
            if world.out.reports.is_empty() {
                break;
            }
            for report in std::mem::take(&mut world.out.reports) {
                self.machine.handle_report(report, now);
            }
        }
        if let Some(carrier) = &mut world.carrier {
            carrier.send(&world.out.tun);
        }
        for (_, buf) in world.out.tun.drain(..) {
            if let Some(counting) = &mut world.counting {
                counting.take(&buf, &mut self.arrived, now);
            }
            world.out.free.push(buf);
        }
        world.out.free.truncate(FREE_MAX);
        let reached = self.machine.stage();
        if reached > self.reached && reached < Stage::Up {
            self.reached = reached;
            self.tell(What::Reached(reached), world, now);
        }
    }

    fn carry_out(&mut self, action: Action, world: &mut World, now: Instant) {
        match action {
            Action::Event(event) => self.handle_event(event, world, now),
            Action::Offload { id, job } => {
                let (client, life) = (self.number, self.life);
                world.jobs.push_back(Waiting { client, life, id, job });
            }
            Action::Plane(command) => self.plane.apply(command, &mut world.out, now),
        }
    }

    fn handle_event(&mut self, event: Event, world: &mut World, now: Instant) {
        match event {
            Event::Up(up) => {
                self.up = Some((up.address, up.mtu));
                if let Some(carrier) = &mut world.carrier {
                    carrier.owns(up.address, self.number);
                }
                let (address, gateway, mtu) = (up.address, up.gateway, up.mtu);
                self.tell(What::Up { address, gateway, mtu }, world, now);
            }
            Event::Down(down) => {
                self.up = None;
                self.over = true;
                self.tell(What::Down(down), world, now);
            }
            // The stage tells of the first; the others are rekeys, moves and IPv6, which change nothing
            // that is measured.
            Event::Secured { .. }
            | Event::IkeRekeyed
            | Event::PathMoved { .. }
            | Event::Ipv6(_)
            | Event::Ipv6Down => {}
        }
    }

    fn tell(&self, what: What, world: &World, at: Instant) {
        // Nobody listens any more when the fleet is being ended.
        let _gone = world.told.send(Told { client: self.number, at, what });
    }
}

/// The device that inner packets pretend to come from.
pub(crate) const TUN: TunId = TunId(0);
/// Buffers kept for use again by all clients of a shard.
const FREE_MAX: usize = 1024;
