//! Whether ways out are up: probes through each of them, and the state of their links.
//!
//! A thread for each namespace, inside it, with a task for each way: a probe that waits keeps nobody else
//! waiting. What changes is told to whoever keeps the kernel's state.

mod probe;
mod state;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::Duration;

use isthmus_dataplane::Clock;
use isthmus_kernel::LinkWatch;
use isthmus_net::Namespace;
use isthmus_plane::TunId;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};

use probe::Probe;
use state::State;

pub use probe::Target;
pub use state::Thresholds;

/// How a way out is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What has to answer.
    pub target: Target,
    /// From one probe to the next.
    pub interval: Duration,
    /// How long an answer may take; not longer than `interval`.
    pub timeout: Duration,
    /// How many results in a row change the state.
    pub thresholds: Thresholds,
}

/// Which way out: of a tenant, by name.
pub(crate) type WayId = (TunId, String);

/// A way out to look after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) id: WayId,
    /// The device that has to be up.
    pub(crate) device: Option<String>,
    /// What to ask, and the mark of the probes.
    pub(crate) health: Option<(Health, u32)>,
}

/// What is known about a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayState {
    /// Whether packets go there.
    pub up: bool,
    /// Why it is as it is.
    pub reason: String,
}

/// News of a way out.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) id: WayId,
    pub(crate) state: WayState,
}

/// Looks after ways out until it is dropped.
pub(crate) struct Watchers {
    tell: mpsc::Sender<News>,
    told: mpsc::Receiver<News>,
    places: BTreeMap<Option<Namespace>, watch::Sender<Vec<Watched>>>,
}

impl Watchers {
    /// Nothing is looked after yet.
    pub(crate) fn new() -> Self {
        let (tell, told) = mpsc::channel(NEWS_MAX);
        Self { tell, told, places: BTreeMap::new() }
    }

    /// Looks after these from now on. Those that were looked after in the same way keep their state.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn set(
        &mut self,
        wanted: BTreeMap<Option<Namespace>, Vec<Watched>>,
    ) -> io::Result<()> {
        self.places.retain(|place, _| wanted.contains_key(place));
        for (place, ways) in wanted {
            if let Some(there) = self.places.get(&place) {
                there.send_replace(ways);
                continue;
            }
            let (wish, wished) = watch::channel(ways);
            let (namespace, tell) = (place.clone(), self.tell.clone());
            thread::Builder::new()
                .name("egress-health".to_owned())
                .spawn(move || run(namespace.as_ref(), wished, &tell))?;
            self.places.insert(place, wish);
        }
        Ok(())
    }

    /// News that wait.
    pub(crate) fn try_news(&mut self) -> Option<News> {
        self.told.try_recv().ok()
    }

    /// The next news.
    pub(crate) async fn news(&mut self) -> News {
        match self.told.recv().await {
            Some(news) => news,
            // Never: one end of the queue is ours.
            None => std::future::pending().await,
        }
    }
}

/// News that wait to be heard; a way waits for room.
const NEWS_MAX: usize = 256;

/// The thread of a namespace.
fn run(
    namespace: Option<&Namespace>,
    wished: watch::Receiver<Vec<Watched>>,
    tell: &mpsc::Sender<News>,
) {
    let place = namespace.map_or("host", Namespace::name);
    if let Some(Err(error)) = namespace.map(Namespace::enter) {
        tracing::error!(namespace = place, %error, "ways out are not looked after");
        return;
    }
    let done = Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| LocalSet::new().block_on(&runtime, serve(wished, tell)));
    if let Err(error) = done {
        tracing::error!(namespace = place, %error, "ways out are not looked after");
    }
}

/// Has a task for each way, until nobody wishes for any.
async fn serve(
    mut wished: watch::Receiver<Vec<Watched>>,
    tell: &mpsc::Sender<News>,
) -> io::Result<()> {
    let mut links = LinkWatch::open()?;
    let (seen, see) = watch::channel(BTreeMap::new());
    let mut tasks: BTreeMap<WayId, (Watched, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let ways = wished.borrow_and_update().clone();
        seen.send_replace(look(&mut links, &ways));
        tasks.retain(|_, (old, task)| {
            let stays = ways.contains(old);
            if !stays {
                task.abort();
            }
            stays
        });
        for way in ways {
            tasks.entry(way.id.clone()).or_insert_with(|| {
                let task = look_after(way.clone(), see.clone(), tell.clone());
                (way, spawn_local(task))
            });
        }
        tokio::select! {
            change = wished.changed() => if change.is_err() { return Ok(()) },
            // The kernel may tell more than we can hear, so it is asked now and then.
            told = timeout(LOOK_EVERY, links.changed()) => if let Ok(told) = told { told? },
        }
    }
}

/// Which of their devices are up.
fn look(links: &mut LinkWatch, ways: &[Watched]) -> BTreeMap<String, bool> {
    let devices = ways.iter().filter_map(|way| way.device.clone());
    let mut seen = BTreeMap::new();
    for device in devices {
        seen.entry(device).or_insert_with_key(|device| links.is_running(device).unwrap_or(true));
    }
    seen
}

/// How often links are looked at unasked.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A way, its state, and whom to tell.
struct Keeper {
    way: Watched,
    state: RefCell<State>,
    clock: Clock,
    tell: mpsc::Sender<News>,
}

async fn look_after(
    way: Watched,
    links: watch::Receiver<BTreeMap<String, bool>>,
    tell: mpsc::Sender<News>,
) {
    let unprobed = Thresholds { fall: 1, rise: 1 };
    let thresholds = way.health.as_ref().map_or(unprobed, |(health, _)| health.thresholds);
    let state = RefCell::new(State::new(thresholds));
    let keeper = Keeper { way, state, clock: Clock::start(), tell };
    tokio::join!(keeper.follow_link(links), keeper.follow_probes());
}

impl Keeper {
    async fn follow_link(&self, mut links: watch::Receiver<BTreeMap<String, bool>>) {
        let device = self.way.device.clone().unwrap_or_default();
        let mut first = true;
        loop {
            let up = links.borrow_and_update().get(&device).copied().unwrap_or(true);
            let (probed, now) = (self.way.health.is_some(), self.clock.now());
            let changed = self.state.borrow_mut().handle_link(up, probed, now);
            if changed || first {
                let reason = match (up, probed) {
                    (false, _) => format!("link {device} is down"),
                    (true, true) => String::from("being probed"),
                    (true, false) => String::from("not probed"),
                };
                self.tell(reason).await;
            }
            first = false;
            if links.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow_probes(&self) {
        let Some((health, mark)) = &self.way.health else { return };
        let (target, mark, device) = (health.target.clone(), *mark, self.way.device.clone());
        let probe = Probe { target, mark, device };
        let mut ticks = interval(health.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for sequence in (0..=u16::MAX).cycle() {
            ticks.tick().await;
            let asked = probe.ask(sequence, health.timeout).await;
            let now = self.clock.now();
            let changed = self.state.borrow_mut().handle_probe(asked.is_ok(), now);
            if changed {
                let target = health.target.address();
                self.tell(match asked {
                    Ok(()) => format!("{target} answers"),
                    Err(error) => format!("no answer from {target}: {error}"),
                })
                .await;
            }
        }
    }

    async fn tell(&self, reason: String) {
        let state = WayState { up: self.state.borrow().is_up(), reason };
        // Nobody listens at the end.
        let _gone = self.tell.send(News { id: self.way.id.clone(), state }).await;
    }
}
