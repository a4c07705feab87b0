//! Keeps kernel state as it is wished: the task behind [`Network`](crate::network::Network).
//!
//! Wishes are fulfilled in order. Those about what is inside that wait together are taken together, and the
//! namespaces that they concern are reconciled all at the same time: each has a thread of its own.
//!
//! Other tenants come in two steps. First the devices are made that nothing is in the way of; if that
//! fails, nothing has changed. Then, when the workers have let go of the devices that go, the others are
//! made, and every namespace becomes as it is to be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ipnet::Ipv4Net;
use isthmus_core::Key;
use isthmus_kernel::{Desired, Flows, KernelError, Link, Options};
use isthmus_net::Namespace;
use isthmus_plane::TunId;
use isthmus_tun::TunDevice;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::around::{Surroundings, interest};
use crate::guard::{Guard, Look};
use crate::health::News;
use crate::inside::{Inside, Placed};
use crate::members::{Exchange, Members, PACE};
use crate::network::{NetworkError, TenantNetwork};
use crate::own::{Attach, Made, Own};
use crate::places::{Outcome, Places};
use crate::roll::Entered;
use crate::wanted::{moved, passages, want, want_beyond};
use crate::ways::{KnownWays, Ways};

mod own;

pub(crate) use own::OwnDevice;
pub use own::SESSION_DEVICES_MAX;

/// What the control thread wants; a new kind of wish gets its arm in [`Keeper::take`].
pub(crate) enum Wish {
    /// What is inside tenants; answers when it is in force.
    Inside(Vec<Inside>, Done),
    /// Sources of packets that are of another class now.
    Enter(Entered),
    /// Devices of sessions.
    Own(Own),
    /// Devices made for other tenants, as far as they can be now; answers whether there is any obstacle.
    Prepare(Vec<TenantNetwork>, Done),
    /// Those tenants in force.
    Commit(Box<Commit>),
    /// Nothing put back any more: the devices are about to go. Answers when that is so.
    Rest(Done),
    /// Everything removed; nothing follows.
    Down(Done),
}

/// Whoever waits for a wish.
pub(crate) type Done = oneshot::Sender<Result<(), NetworkError>>;

/// Other tenants, which [`Wish::Prepare`] has prepared.
pub(crate) struct Commit {
    pub(crate) tenants: Vec<TenantNetwork>,
    pub(crate) inside: Vec<Inside>,
    /// Which class each session is of then.
    pub(crate) entered: Vec<Entered>,
    /// Closed when the workers hold none of the devices any more that go.
    pub(crate) released: Receiver<()>,
    /// Gets the devices that are new, and whether everything is as it is to be.
    pub(crate) done: oneshot::Sender<InForce>,
}

/// What a [`Commit`] came to.
pub(crate) struct InForce {
    pub(crate) devices: Devices,
    pub(crate) outcome: Result<(), NetworkError>,
}

/// The queues of devices.
pub(crate) type Devices = Vec<(TunId, Vec<TunDevice>)>;

/// Kernel state that is ours.
pub(crate) struct Keeper {
    tenants: Vec<Placed>,
    /// Devices that are made and not yet in force.
    prepared: Devices,
    places: Places,
    guard: Guard,
    queues: usize,
    /// When members of classes were exchanged last.
    entered: Instant,
    /// When devices of sessions were made last, and who gets them.
    owned: Instant,
    made: mpsc::UnboundedSender<Made>,
    ways: Ways,
    /// Whether the devices are about to go, so that nothing is put back.
    rests: bool,
    /// Where it shows what is not ours.
    around: watch::Sender<Surroundings>,
}

/// A keeper, the devices it made, where it shows the ways out, and where it hands out sessions' devices.
pub(crate) type Kept = (Keeper, Devices, watch::Receiver<KnownWays>, mpsc::UnboundedReceiver<Made>);

/// What a run of wishes comes to.
#[derive(Default)]
struct Due {
    /// Namespaces to reconcile.
    namespaces: BTreeSet<Option<Namespace>>,
    /// Namespaces with members of classes to exchange.
    members: BTreeSet<Option<Namespace>>,
    /// Sessions to make devices for.
    attach: BTreeMap<Key, Attach>,
    /// Who waits for it.
    waiting: Vec<Done>,
    /// What comes after all that.
    next: Option<Wish>,
}

impl Keeper {
    /// Makes every device and puts everything in place; nothing is left behind when it cannot.
    pub(crate) async fn up(
        name: &str,
        tenants: Vec<(TenantNetwork, Vec<Ipv4Net>)>,
        queues: usize,
    ) -> Result<Kept, NetworkError> {
        let (ways, show) = Ways::new();
        let (made, hand_out) = mpsc::unbounded_channel();
        let mut keeper = Self {
            tenants: Vec::new(),
            prepared: Vec::new(),
            places: Places::new(Options::named(name)),
            guard: Guard::new(),
            queues,
            entered: Instant::now(),
            owned: Instant::now(),
            made,
            ways,
            rests: false,
            around: watch::channel(Surroundings::new()).0,
        };
        match keeper.begin(tenants).await {
            Ok(devices) => Ok((keeper, devices, show, hand_out)),
            Err(error) => {
                // The first error tells more than what the clean-up may add.
                let _second = keeper.places.remove_all().await;
                Err(error)
            }
        }
    }

    async fn begin(
        &mut self,
        tenants: Vec<(TenantNetwork, Vec<Ipv4Net>)>,
    ) -> Result<Devices, NetworkError> {
        let networks: Vec<_> = tenants.iter().map(|(tenant, _)| tenant.clone()).collect();
        for tenant in &networks {
            self.places.open(tenant.device.namespace.clone())?;
        }
        let devices = make(networks, self.queues).await?;
        for ((tenant, networks), (_, queues)) in tenants.into_iter().zip(&devices) {
            self.tenants.push(placed(tenant, name_of(queues), networks));
        }
        self.tell_missing();
        let all = self.places.namespaces();
        first_error(self.reconcile(all).await)?;
        self.places.forget_leftovers();
        self.watch().await?;
        self.ways.look_after(&mut self.tenants);
        Ok(devices)
    }

    /// Fulfils wishes and puts back what others undo, until the end is wished or nobody can wish.
    pub(crate) async fn run(mut self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        self.look_around(self.places.namespaces()).await;
        let mut visits = interval(VISIT_EVERY);
        visits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                wish = wishes.recv() => {
                    let Some(first) = wish else { return };
                    let mut due = Due::default();
                    self.take(first, &mut due);
                    while let Some(more) = due.next.is_none().then(|| wishes.try_recv().ok()).flatten() {
                        self.take(more, &mut due);
                    }
                    match self.fulfil(due).await {
                        Some(Wish::Prepare(tenants, done)) => {
                            let _asker_gone = done.send(self.prepare(tenants).await);
                        }
                        Some(Wish::Commit(commit)) => self.commit(*commit).await,
                        Some(Wish::Down(done)) => {
                            let _asker_gone = done.send(self.places.remove_all().await);
                            return;
                        }
                        Some(Wish::Inside(..) | Wish::Enter(_) | Wish::Own(_) | Wish::Rest(_)) | None => {}
                    }
                }
                news = self.ways.news(), if !self.rests => self.hear(news).await,
                look = self.guard.disturbed() => self.repair(look).await,
                _tick = visits.tick(), if !self.rests && self.has_passages() => self.revisit().await,
            }
        }
    }

    /// Notes what a wish changes.
    fn take(&mut self, wish: Wish, due: &mut Due) {
        match wish {
            Wish::Inside(inside, done) => {
                due.namespaces.extend(self.take_inside(inside));
                due.waiting.push(done);
            }
            Wish::Enter(entered) => self.enter(entered, due),
            Wish::Own(own) => self.take_own(own, due),
            Wish::Rest(done) => {
                self.guard = Guard::new();
                self.rests = true;
                due.waiting.push(done);
            }
            last @ (Wish::Prepare(..) | Wish::Commit(_) | Wish::Down(_)) => due.next = Some(last),
        }
    }

    /// Notes sources that are of another class, and where.
    fn enter(&mut self, Entered { tun, sources }: Entered, due: &mut Due) {
        let placed = self.tenants.iter_mut().find(|placed| placed.tenant.tun == tun);
        if let Some(placed) = placed {
            placed.members.enter(sources);
            due.members.insert(placed.tenant.device.namespace.clone());
        }
    }

    /// Reconciles what is due and tells those who wait; answers what comes next.
    async fn fulfil(&mut self, mut due: Due) -> Option<Wish> {
        let made = self.make_own(&mut due).await;
        self.exchange(&mut due).await;
        let mut outcome = first_error(self.reconcile(due.namespaces).await);
        for made in made {
            // Control may have ended; then the device does as well.
            let _nobody = self.made.send(made);
        }
        for waiting in due.waiting {
            // An error is told once; whoever else waits has the log.
            let told = std::mem::replace(&mut outcome, Ok(()));
            let _asker_gone = waiting.send(told.map_err(NetworkError::from));
        }
        due.next
    }

    /// Exchanges members of classes where nothing else is to be done. Where that fails everything is compared.
    async fn exchange(&mut self, due: &mut Due) {
        let places: Vec<_> = due.members.difference(&due.namespaces).cloned().collect();
        let mut exchanges = BTreeMap::new();
        for namespace in places {
            let exchange = self.pending(namespace.as_ref());
            if exchange != Exchange::default() {
                exchanges.insert(namespace, exchange);
            }
        }
        if exchanges.is_empty() {
            return;
        }
        // Bursts of sessions are entered together.
        sleep_until(self.entered + PACE).await;
        for (namespace, error) in self.places.exchange(exchanges).await {
            tracing::warn!(%error, "members of classes are compared anew");
            due.namespaces.insert(namespace);
        }
        self.entered = Instant::now();
    }

    /// What is to be exchanged in a namespace; it counts as done.
    fn pending(&mut self, namespace: Option<&Namespace>) -> Exchange {
        let mut exchange = Exchange::default();
        for placed in &mut self.tenants {
            if placed.tenant.device.namespace.as_ref() == namespace {
                placed.members.take(&mut exchange);
            }
        }
        exchange
    }

    /// Takes over what is inside; answers the namespaces where anything differs.
    fn take_inside(&mut self, inside: Vec<Inside>) -> BTreeSet<Option<Namespace>> {
        let mut concerned = BTreeSet::new();
        let mut inside: BTreeMap<_, _> = inside.into_iter().map(|one| (one.tun, one)).collect();
        for placed in &mut self.tenants {
            let differs = inside.remove(&placed.tenant.tun).is_some_and(|new| placed.take(new));
            if differs {
                concerned.insert(placed.tenant.device.namespace.clone());
            }
        }
        concerned
    }

    /// Makes the devices of tenants that are new, or get another one, unless one that goes is in the way.
    async fn prepare(&mut self, tenants: Vec<TenantNetwork>) -> Result<(), NetworkError> {
        let held = |tenant: &TenantNetwork| {
            self.tenants.iter().any(|placed| placed.tenant.is_at_the_place_of(tenant))
        };
        let free: Vec<_> = tenants.into_iter().filter(|tenant| !held(tenant)).collect();
        let made = async {
            for tenant in &free {
                self.places.open(tenant.device.namespace.clone())?;
            }
            make(free.clone(), self.queues).await
        };
        match made.await {
            Ok(devices) => {
                self.prepared = devices;
                Ok(())
            }
            Err(error) => {
                self.close_empty().await;
                Err(error)
            }
        }
    }

    /// Puts the tenants in force.
    async fn commit(&mut self, commit: Commit) {
        let Commit { tenants, inside, entered, released, done } = commit;
        // A worker lets go of a device between two batches, so this takes no time worth mentioning.
        let _closed = tokio::task::spawn_blocking(move || released.recv()).await;
        let mut devices = std::mem::take(&mut self.prepared);
        let stays = |new: &TenantNetwork| self.tenants.iter().any(|p| p.tenant.has_device_of(new));
        let made = |new: &TenantNetwork| devices.iter().any(|(tun, _)| *tun == new.tun);
        let late: Vec<_> = tenants.iter().filter(|t| !stays(t) && !made(t)).cloned().collect();
        let mut outcome = Ok(());
        for tenant in late {
            match make(vec![tenant], self.queues).await {
                Ok(made) => devices.extend(made),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        self.replace(tenants, &devices);
        self.take_inside(inside);
        let mut everywhere = Due::default();
        for entered in entered {
            self.enter(entered, &mut everywhere);
        }
        self.ways.look_after(&mut self.tenants);
        self.tell_missing();
        let all = self.places.namespaces();
        outcome = outcome.and(first_error(self.reconcile(all).await).map_err(NetworkError::from));
        self.close_empty().await;
        if let Err(error) = self.watch().await {
            tracing::warn!(%error, "changes of kernel state stay unknown");
        }
        let _asker_gone = done.send(InForce { devices, outcome });
        self.look_around(self.places.namespaces()).await;
    }

    /// Takes the tenants over. Those whose device stays keep what is routed for their sessions; those without
    /// any device want nothing of the kernel.
    fn replace(&mut self, tenants: Vec<TenantNetwork>, devices: &Devices) {
        let mut before = std::mem::take(&mut self.tenants);
        for tenant in tenants {
            let old = before.iter().position(|placed| placed.tenant.has_device_of(&tenant));
            if let Some(old) = old.map(|index| before.swap_remove(index)) {
                self.tenants.push(old.with_settings(tenant));
            } else if let Some((_, queues)) = devices.iter().find(|(tun, _)| *tun == tenant.tun) {
                self.tenants.push(placed(tenant, name_of(queues), Vec::new()));
            }
        }
    }

    /// Stops looking after namespaces without a tenant; those that are ours go.
    async fn close_empty(&mut self) {
        let used = self.tenants.iter().map(|placed| placed.tenant.device.namespace.clone());
        let used: BTreeSet<_> = used.chain(self.beyond()).collect();
        for namespace in self.places.namespaces().difference(&used) {
            self.guard.forget(namespace.as_ref());
            if let Err(error) = self.places.close(namespace.clone()).await {
                tracing::error!(%error, "kernel state not removed");
            }
        }
    }

    /// The namespaces that ways out lead into.
    fn beyond(&self) -> impl Iterator<Item = Option<Namespace>> + use<'_> {
        self.tenants.iter().flat_map(passages).map(|(_, _, passage)| passage.namespace())
    }

    fn has_passages(&self) -> bool {
        self.beyond().next().is_some()
    }

    /// Looks after the namespaces that ways out lead into, those that are there; answers which are not as they
    /// were.
    fn visit(&mut self) -> BTreeSet<Option<Namespace>> {
        let mut changed = BTreeSet::new();
        let beyond: BTreeSet<_> = self.beyond().collect();
        for place in beyond {
            let visited = match &place {
                Some(namespace) => self.places.visit(namespace),
                None => self.places.open(None).map(|()| false),
            };
            let name = place.as_ref().map_or("host", Namespace::name);
            match visited {
                Ok(false) => {}
                Ok(true) => {
                    if place.as_ref().is_some_and(|namespace| !namespace.exists()) {
                        tracing::warn!(namespace = name, "what a way out leads into has gone");
                    }
                    self.guard.forget(place.as_ref());
                    changed.insert(place);
                }
                Err(error) => tracing::error!(namespace = name, %error, "no way out leads into it"),
            }
        }
        changed
    }

    /// Tells which ways out lead nowhere yet.
    fn tell_missing(&self) {
        for namespace in self.beyond().collect::<BTreeSet<_>>().into_iter().flatten() {
            if !namespace.exists() {
                tracing::warn!(
                    %namespace,
                    "a way out is down until there is the network namespace it leads into \
                     (`ip netns add {namespace}` makes it)"
                );
            }
        }
    }

    /// Looks whether a namespace beyond has come, gone, or been made anew.
    async fn revisit(&mut self) {
        let changed = self.visit();
        if !changed.is_empty()
            && let Err(error) = first_error(self.reconcile(changed).await)
        {
            tracing::error!(%error, "cannot make the way into another namespace");
        }
        if let Err(error) = self.watch().await {
            tracing::warn!(%error, "changes of kernel state stay unknown");
        }
    }

    /// Watches the namespaces that are not watched yet.
    async fn watch(&mut self) -> Result<(), NetworkError> {
        for namespace in self.places.namespaces() {
            if !self.guard.watches(namespace.as_ref()) {
                let watch = self.places.watch(namespace.clone()).await?;
                self.guard.watch(namespace, watch);
            }
        }
        Ok(())
    }

    /// Puts back what somebody else undid in the namespaces that are to be looked at.
    async fn repair(&mut self, first: Look) {
        let mut looks = vec![first];
        while let Some(more) = self.guard.try_disturbed() {
            looks.push(more);
        }
        let namespaces: BTreeSet<_> = looks.iter().map(|look| look.namespace.clone()).collect();
        let outcomes = self.reconcile(namespaces.clone()).await;
        let found = outcomes.into_iter().filter(tell_what_was_undone);
        let found: BTreeSet<_> = found.map(|outcome| outcome.namespace).collect();
        for Look { namespace, found: answer } in looks {
            let _gone = answer.send(found.contains(&namespace));
        }
        self.look_around(namespaces).await;
    }

    /// Looks at what namespaces have that is not ours, and shows it when it is new.
    async fn look_around(&mut self, namespaces: BTreeSet<Option<Namespace>>) {
        let interests = namespaces.into_iter().map(|place| {
            let here = |placed: &&Placed| placed.tenant.device.namespace == place;
            let interest = interest(self.tenants.iter().filter(here));
            (place, interest)
        });
        let interests = interests.collect();
        let found = self.places.around(interests).await;
        let all = self.places.namespaces();
        self.around.send_if_modified(|known| {
            let before = known.clone();
            known.extend(found);
            known.retain(|place, _| all.contains(place));
            *known != before
        });
    }

    /// What namespaces have that is not ours, as it is read.
    pub(crate) fn around(&self) -> watch::Receiver<Surroundings> {
        self.around.subscribe()
    }

    /// Routes packets by the ways out that are up, also those of connections that are there already.
    async fn hear(&mut self, news: News) {
        let ways = self.ways.hear(news, &mut self.tenants);
        let mut flows: BTreeMap<Option<Namespace>, Vec<Flows>> = BTreeMap::new();
        for (tun, name) in ways {
            if let Some(placed) = self.tenants.iter().find(|placed| placed.tenant.tun == tun) {
                let place = placed.tenant.device.namespace.clone();
                flows.entry(place).or_default().extend(moved(placed, &name));
            }
        }
        let namespaces = flows.keys().cloned().collect();
        if let Err(error) = first_error(self.reconcile(namespaces).await) {
            tracing::error!(%error, "cannot route packets by another way out");
        }
        for (namespace, flows) in flows {
            match self.places.forget(namespace, flows).await {
                Ok(count) => tracing::debug!(count, "connections begin anew"),
                Err(error) => tracing::warn!(%error, "connections keep the translation they had"),
            }
        }
    }

    /// Reconciles these namespaces, and those that devices lead to from there, or from where they come.
    async fn reconcile(&mut self, mut namespaces: BTreeSet<Option<Namespace>>) -> Vec<Outcome> {
        namespaces.extend(self.visit());
        let mut joined = BTreeSet::new();
        for placed in &self.tenants {
            for (_, _, passage) in passages(placed) {
                let ends = [placed.tenant.device.namespace.clone(), passage.namespace()];
                if ends.iter().any(|end| namespaces.contains(end)) {
                    namespaces.extend(ends.clone());
                    joined.extend(ends);
                }
            }
        }
        let wanted = namespaces.into_iter().map(|namespace| {
            let _included = self.pending(namespace.as_ref());
            let desired = self.desired(namespace.as_ref());
            (namespace, desired)
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        self.places.apply(wanted, &joined).await
    }

    /// All that the tenants of a namespace want.
    fn desired(&self, namespace: Option<&Namespace>) -> Desired {
        let mut desired = Desired::default();
        if namespace.is_some_and(|namespace| self.places.is_ours(namespace)) {
            desired.links.push(Link { name: LOOPBACK.to_owned(), up: true, mtu: None });
        }
        for placed in &self.tenants {
            if placed.tenant.device.namespace.as_ref() == namespace {
                want(&mut desired, placed);
            }
            want_beyond(&mut desired, placed, namespace);
        }
        desired
    }
}

/// How often to look whether the namespaces beyond are there: others make and remove them.
const VISIT_EVERY: Duration = Duration::from_secs(1);

/// A new namespace has it, and it is down.
pub(crate) const LOOPBACK: &str = "lo";

/// Makes devices; making one is a call that waits.
async fn make(tenants: Vec<TenantNetwork>, queues: usize) -> Result<Devices, NetworkError> {
    let make = move || {
        let each = tenants.iter().map(|tenant| {
            let device = TunDevice::create_queues(&tenant.device, queues)?;
            Ok((tenant.tun, device))
        });
        each.collect()
    };
    tokio::task::spawn_blocking(make).await.unwrap_or(Err(NetworkError::KeeperGone))
}

/// A tenant with its device, nobody in it yet.
fn placed(tenant: TenantNetwork, device: String, networks: Vec<Ipv4Net>) -> Placed {
    let (members, down) = (Members::default(), BTreeSet::new());
    Placed { tenant, device, networks, members, owned: BTreeMap::new(), down }
}

fn name_of(queues: &[TunDevice]) -> String {
    queues.first().map(|queue| queue.name().to_owned()).unwrap_or_default()
}

fn first_error(outcomes: Vec<Outcome>) -> Result<(), KernelError> {
    outcomes.into_iter().try_for_each(|outcome| outcome.made.map(drop))
}

/// Tells the log what was put back in a namespace; answers whether there was something.
fn tell_what_was_undone(Outcome { namespace, made }: &Outcome) -> bool {
    let place = namespace.as_ref().map_or("host", Namespace::name);
    match made {
        Ok(made) => made.iter().for_each(|change| {
            tracing::warn!(namespace = place, %change, "somebody else undid it; done again");
        }),
        Err(error) => {
            tracing::error!(namespace = place, %error, "cannot put back what somebody else undid");
        }
    }
    made.as_ref().map_or(true, |made| !made.is_empty())
}
