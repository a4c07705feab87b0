//! Drives a gateway.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use isthmus_core::{Instant, Key};
use isthmus_crypto::Provider;
use isthmus_dataplane::{Clock, Crew, CrewConfig, IoReport};
use isthmus_gateway::{Action, Config, Event, Gateway, ProbeRefusal, SessionInfo, Status};
use isthmus_plane::{Command, Counters, Report, TunId};
use isthmus_wire::probe::Probe;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant as TokioInstant, sleep_until};

use crate::around::Surroundings;
use crate::change::Coming;
use crate::entropy::seed;
use crate::health::WayState;
use crate::jobs::{JobDone, JobPool};
use crate::mailbox::{Mailbox, mailbox};
use crate::network::{Network, NetworkError, TenantNetwork};
use crate::own::Owners;
use crate::pace::Pace;
use crate::roll::{Entered, Roll};

/// What a gateway needs of the world.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The machine's configuration.
    pub machine: Arc<Config>,
    /// Where to listen, and with how many workers.
    pub crew: CrewConfig,
    /// The gateway's name; tags what it makes in the kernel.
    pub name: String,
    /// One for each tenant that is not vacant.
    pub tenants: Vec<TenantNetwork>,
}

/// A configuration that is to be in force. Tenants keep their number, which is their index and that of
/// their device, as long as the gateway runs; the place of one that has gone is vacant.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The machine's configuration.
    pub machine: Arc<Config>,
    /// One for each tenant that is not vacant.
    pub tenants: Vec<TenantNetwork>,
}

/// A question or an order from a person or a program.
pub enum Request {
    /// Ends one session; answers whether it existed.
    Disconnect(Key, oneshot::Sender<bool>),
    /// Sends a probe in the name of a session; answers why not, if not.
    Probe(Key, Probe, oneshot::Sender<Result<(), ProbeRefusal>>),
    /// Takes over a new configuration; answers when it is in force, or why nothing has changed.
    Reconfigure(Wanted, oneshot::Sender<Result<(), NetworkError>>),
    /// Shows everything; with the sessions one by one only where they are wanted, for there may be tens of
    /// thousands.
    Snapshot(Detail, oneshot::Sender<Snapshot>),
    /// Ends everything, telling peers.
    Shutdown,
}

/// How much of a gateway is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Sums.
    Sums,
    /// Each session and SA as well.
    Sessions,
}

/// Everything a gateway shows of itself.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The machine.
    pub status: Status,
    /// Its sessions; none with [`Detail::Sums`].
    pub sessions: Vec<SessionInfo>,
    /// The pipeline's counters; with [`Detail::Sums`] without those of sessions and SAs.
    pub counters: Option<Counters>,
    /// The workers' sockets and devices.
    pub io: IoReport,
    /// What encrypts.
    pub engine: String,
    /// The devices that sessions have to themselves.
    pub devices: BTreeMap<Key, String>,
    /// Ways out that are looked after, by tenant and name.
    pub ways: BTreeMap<(TunId, String), WayState>,
    /// Time since the start.
    pub uptime: Duration,
}

/// A snapshot that waits for the pipelines' counters.
struct Asking {
    answer: oneshot::Sender<Snapshot>,
    detail: Detail,
    /// How many pipelines have told theirs.
    told: usize,
    /// Their sum.
    counters: Option<Counters>,
}

/// A running gateway.
pub struct GatewayDriver {
    pub(crate) machine: Gateway,
    pub(crate) crew: Crew,
    pub(crate) network: Network,
    /// Whose packets are of which class.
    pub(crate) roll: Roll,
    /// Which sessions have devices of their own.
    pub(crate) owners: Owners,
    pub(crate) clock: Clock,
    jobs: JobPool,
    results: mpsc::UnboundedReceiver<JobDone>,
    mailbox: Mailbox,
    requests: mpsc::Receiver<Request>,
    on_event: Box<dyn FnMut(&Event) + Send>,
    /// Snapshots that wait for the pipeline's counters.
    asking: BTreeMap<u64, Asking>,
    next_token: u64,
    /// The configuration in force, and those to come.
    pub(crate) config: Arc<Config>,
    pub(crate) tenants: Vec<TenantNetwork>,
    pub(crate) coming: VecDeque<Coming>,
    engine: String,
    /// When those who were due were last called.
    fired: Instant,
    pace: Pace,
}

impl GatewayDriver {
    /// Opens sockets, makes TUN devices, puts kernel state in place and starts the worker.
    ///
    /// # Errors
    /// What cannot be had, with what to do about it; nothing is left behind then.
    pub async fn start(
        settings: GatewaySettings,
        provider: Arc<dyn Provider>,
        requests: mpsc::Receiver<Request>,
        on_event: Box<dyn FnMut(&Event) + Send>,
    ) -> Result<Self, NetworkError> {
        let clock = Clock::start();
        let (mailbox, deliver) = mailbox();
        let roll = Roll::new(&settings.tenants);
        let owners = Owners::new(&settings.tenants);
        let behind = crate::change::networks(&settings.machine, &settings.tenants);
        // Ports first: another gateway that has them must keep its kernel state. Nobody is answered before
        // this returns, so whoever gets an answer finds everything behind it in place.
        let crew = Crew::start(&settings.crew, &provider, seed, clock, &deliver)?;
        let queues = crew.workers();
        let (network, devices) =
            Network::up(&settings.name, &settings.tenants, behind, queues).await?;
        for (id, queues) in devices {
            crew.add_tun(id, queues);
        }
        let (jobs, results) = JobPool::new(Arc::clone(&provider), KEY_PAIRS_AHEAD);
        let engine = provider.engine().to_owned();
        let config = Arc::clone(&settings.machine);
        let machine = Gateway::new(settings.machine, provider, seed()?, clock.now());
        Ok(Self {
            machine,
            crew,
            network,
            roll,
            owners,
            clock,
            jobs,
            results,
            mailbox,
            requests,
            on_event,
            asking: BTreeMap::new(),
            next_token: 0,
            config,
            tenants: settings.tenants,
            coming: VecDeque::new(),
            engine,
            fired: clock.now(),
            pace: Pace::new(),
        })
    }

    /// What the tenants' namespaces have that is not ours. It is read from the first turn on, whenever
    /// something of ours may have changed, and once a minute.
    pub fn surroundings(&self) -> watch::Receiver<Surroundings> {
        self.network.around()
    }

    /// Runs until told to shut down, then tells every peer and cleans up.
    ///
    /// # Errors
    /// When the worker dies or kernel state cannot be removed.
    pub async fn run(mut self) -> Result<(), NetworkError> {
        let outcome = loop {
            self.carry_out();
            self.crew.ring();
            self.pace.turn().await;
            let timer = self.timer();
            tokio::select! {
                report = self.mailbox.next() => match report {
                    Some(report) => self.handle_reports(report),
                    None => break Err(NetworkError::WorkerGone),
                },
                Some((id, result)) = self.results.recv() => {
                    self.machine.handle_job(id, result, self.clock.now());
                }
                request = self.requests.recv() => {
                    if !self.handle_request(request.unwrap_or(Request::Shutdown)) {
                        break Ok(());
                    }
                }
                Some(made) = self.network.made.recv() => self.attach(made),
                done = Coming::step(&mut self.coming) => self.go_on(done),
                () = sleep_until(timer) => {}
            }
            self.handle_timeout();
        };
        self.shut_down().await?;
        outcome
    }

    async fn shut_down(mut self) -> Result<(), NetworkError> {
        self.machine.shutdown(self.clock.now());
        self.carry_out();
        self.network.rest().await;
        // Stopping the workers lets them send what is queued: the farewells.
        drop(self.crew);
        self.network.down().await
    }

    /// Handles a report and those that have come since, at most one batch; arithmetic that is done comes
    /// next.
    fn handle_reports(&mut self, first: Report) {
        self.handle_report(first);
        for _ in 1..REPORTS_PER_TURN_MAX {
            let Some(report) = self.mailbox.try_next() else { break };
            self.carry_out();
            self.handle_report(report);
        }
        while let Ok((id, result)) = self.results.try_recv() {
            self.carry_out();
            self.machine.handle_job(id, result, self.clock.now());
        }
    }

    /// Lets time pass, if somebody waits for it.
    fn handle_timeout(&mut self) {
        let now = self.clock.now();
        if now >= self.due() {
            self.carry_out();
            self.machine.handle_timeout(now);
            self.fired = now;
        }
    }

    fn handle_report(&mut self, report: Report) {
        match report {
            Report::Counters(counters) => self.answer(*counters),
            other @ (Report::Alive { .. }
            | Report::Ike { .. }
            | Report::InstallFailed { .. }
            | Report::L2tp { .. }
            | Report::LacAlive { .. }
            | Report::PathMoved { .. }
            | Report::PlainL2tp { .. }
            | Report::Carried { .. }
            | Report::ReserveLow { .. }
            | Report::SaUsed { .. }
            | Report::SoftLimit { .. }) => self.machine.handle_report(other, self.clock.now()),
        }
    }

    /// False when it is time to end.
    fn handle_request(&mut self, request: Request) -> bool {
        match request {
            Request::Disconnect(session, answer) => {
                let known = self.machine.disconnect(session, self.clock.now());
                let _asker_gone = answer.send(known);
            }
            Request::Probe(session, probe, answer) => {
                let sent = self.machine.send_probe(session, &probe, self.clock.now());
                let _asker_gone = answer.send(sent);
            }
            Request::Reconfigure(wanted, answer) => self.reconfigure(wanted, answer),
            Request::Snapshot(detail, answer) => {
                let token = self.next_token;
                self.next_token += 1;
                self.asking.insert(token, Asking { answer, detail, told: 0, counters: None });
                let each = detail == Detail::Sessions;
                self.crew.command(Command::ReadCounters { token, each });
            }
            Request::Shutdown => return false,
        }
        true
    }

    /// A pipeline answered; with the last, the snapshot is complete.
    fn answer(&mut self, counters: Counters) {
        let token = counters.token;
        let Some(asking) = self.asking.get_mut(&token) else { return };
        asking.told += 1;
        match &mut asking.counters {
            Some(sum) => sum.merge(counters),
            None => asking.counters = Some(counters),
        }
        if asking.told < self.crew.workers() {
            return;
        }
        let Some(asking) = self.asking.remove(&token) else { return };
        let Asking { answer, detail, counters, .. } = asking;
        let io = self.crew.io();
        let snapshot = Snapshot {
            status: self.machine.status(),
            sessions: match detail {
                Detail::Sessions => self.machine.sessions(),
                Detail::Sums => Vec::new(),
            },
            counters,
            io,
            engine: self.engine.clone(),
            devices: self.owners.names(),
            ways: self.network.ways(),
            uptime: Duration::from_nanos(self.clock.now().as_nanos()),
        };
        let _asker_gone = answer.send(snapshot);
    }

    /// Carries out every action, in order.
    pub(crate) fn carry_out(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Event(event) => {
                    if let Event::SessionDown { session, .. } = event {
                        let gone = self.roll.leave(session);
                        self.enter(gone);
                        self.drop_devices(&[session]);
                    }
                    (self.on_event)(&event);
                }
                Action::Offload { id, job } => self.jobs.run(id, job),
                Action::Plane(command) => {
                    // The sooner the kernel knows of a session, the fewer of its packets are nobody's.
                    let machine = &self.machine;
                    let entered = self.roll.note(&command, |session| machine.user_of(session));
                    self.enter(entered);
                    self.note_owner(&command);
                    self.crew.command(command);
                }
            }
        }
    }

    pub(crate) fn enter(&self, entered: impl IntoIterator<Item = Entered>) {
        for entered in entered {
            self.network.enter(entered);
        }
    }

    /// When time must pass next. Who is due soon after others waits a little, so that the keepalives of
    /// thousands are sent in few turns.
    fn due(&self) -> Instant {
        let deadline = self.machine.poll_timeout();
        deadline.map_or(Instant::FAR_FUTURE, |deadline| deadline.at.max(self.fired + TIMER_SLACK))
    }

    fn timer(&self) -> TokioInstant {
        let far = self.clock.now() + IDLE_WAKE_UP;
        TokioInstant::from_std(self.clock.to_std(self.due().min(far)))
    }
}

/// Diffie-Hellman key pairs of each group made ahead: a burst of logins is that much shorter.
const KEY_PAIRS_AHEAD: usize = 256;
/// Most reports handled before timers and arithmetic have their turn.
const REPORTS_PER_TURN_MAX: usize = 256;
/// How long a timer may be late; the shortest of the protocols' is five times as long.
const TIMER_SLACK: Duration = Duration::from_millis(20);
/// The loop wakes up at least this often.
pub(crate) const IDLE_WAKE_UP: Duration = Duration::from_mins(1);

impl From<io::Error> for NetworkError {
    fn from(error: io::Error) -> Self {
        Self::Entropy(error)
    }
}
