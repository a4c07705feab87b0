//! Keeps kernel state as it is wished: the task behind [`Network`](crate::network::Network).
//!
//! Wishes are taken in order. Those that wait are taken together, and then each namespace that they concern
//! is reconciled once, all of them at the same time: each has a thread of its own.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use isthmus_kernel::{Desired, KernelError, Options};
use isthmus_net::Namespace;
use isthmus_plane::TunId;
use isthmus_tun::TunDevice;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::guard::{Guard, Look};
use crate::health::News;
use crate::inside::{Inside, Placed};
use crate::members::{Exchange, Members, PACE};
use crate::network::{NetworkError, TenantNetwork};
use crate::places::{Outcome, Places};
use crate::roll::Entered;
use crate::wanted::want;
use crate::ways::{KnownWays, Ways};

/// What the control thread wants; a new kind of wish gets its arm in [`Keeper::take`].
pub(crate) enum Wish {
    /// What is inside, one per tenant, same order; answers when it is in force.
    Inside(Vec<Inside>, Done),
    /// Sources of packets that are of another class now.
    Enter(Entered),
    /// Nothing put back any more: the devices are about to go. Answers when that is so.
    Rest(Done),
    /// Everything removed; nothing follows.
    Down(Done),
}

/// Whoever waits for a wish.
pub(crate) type Done = oneshot::Sender<Result<(), NetworkError>>;

/// Kernel state that is ours.
pub(crate) struct Keeper {
    tenants: Vec<Placed>,
    places: Places,
    guard: Guard,
    /// When members of classes were exchanged last.
    entered: Instant,
    ways: Ways,
}

/// A keeper, the devices it made, and where it shows the ways out.
pub(crate) type Kept = (Keeper, Vec<(TunId, Vec<TunDevice>)>, watch::Receiver<KnownWays>);

/// What a run of wishes comes to.
#[derive(Default)]
struct Due {
    /// Namespaces to reconcile.
    namespaces: BTreeSet<Option<Namespace>>,
    /// Namespaces with members of classes to exchange.
    members: BTreeSet<Option<Namespace>>,
    /// Who waits for it.
    waiting: Vec<Done>,
    /// Who waits for the end.
    end: Option<Done>,
}

impl Keeper {
    /// Makes every device and puts everything in place; nothing is left behind when it cannot.
    pub(crate) async fn up(
        name: &str,
        tenants: Vec<(TenantNetwork, Vec<Ipv4Net>)>,
        queues: usize,
    ) -> Result<Kept, NetworkError> {
        let options = Options::named(name);
        // Making a device is a call that waits.
        let made = tokio::task::spawn_blocking(move || make(options, tenants, queues)).await;
        let (tenants, places, devices) = made.map_err(|_panic| NetworkError::KeeperGone)??;
        let (ways, show) = Ways::new();
        let (guard, entered) = (Guard::new(), Instant::now());
        let mut keeper = Self { tenants, places, guard, entered, ways };
        let all = keeper.places.namespaces();
        if let Err(error) = first_error(keeper.reconcile(all).await) {
            // The first error tells more than what the clean-up may add.
            let _second = keeper.places.remove_all().await;
            return Err(error.into());
        }
        for (namespace, watch) in keeper.places.watch().await? {
            keeper.guard.watch(namespace, watch);
        }
        keeper.ways.look_after(&mut keeper.tenants);
        Ok((keeper, devices, show))
    }

    /// Fulfils wishes and puts back what others undo, until the end is wished or nobody can wish.
    pub(crate) async fn run(mut self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        loop {
            tokio::select! {
                biased;
                wish = wishes.recv() => {
                    let Some(first) = wish else { return };
                    let mut due = Due::default();
                    self.take(first, &mut due);
                    while let Some(more) = due.end.is_none().then(|| wishes.try_recv().ok()).flatten() {
                        self.take(more, &mut due);
                    }
                    if let Some(end) = self.fulfil(due).await {
                        let removed = self.places.remove_all().await;
                        let _asker_gone = end.send(removed.map_err(NetworkError::from));
                        return;
                    }
                }
                news = self.ways.news() => self.hear(news).await,
                look = self.guard.disturbed() => self.repair(look).await,
            }
        }
    }

    /// Notes what a wish changes.
    fn take(&mut self, wish: Wish, due: &mut Due) {
        match wish {
            Wish::Inside(inside, done) => {
                for (placed, inside) in self.tenants.iter_mut().zip(inside) {
                    if placed.take(inside) {
                        due.namespaces.insert(placed.tenant.device.namespace.clone());
                    }
                }
                due.waiting.push(done);
            }
            Wish::Enter(Entered { tun, sources }) => {
                let placed = self.tenants.iter_mut().find(|placed| placed.tenant.tun == tun);
                if let Some(placed) = placed {
                    placed.members.enter(sources);
                    due.members.insert(placed.tenant.device.namespace.clone());
                }
            }
            Wish::Rest(done) => {
                self.guard = Guard::new();
                due.waiting.push(done);
            }
            Wish::Down(done) => due.end = Some(done),
        }
    }

    /// Reconciles what is due and tells those who wait; answers who waits for the end.
    async fn fulfil(&mut self, mut due: Due) -> Option<Done> {
        self.exchange(&mut due).await;
        if due.end.is_none() || !due.waiting.is_empty() {
            let mut outcome = first_error(self.reconcile(due.namespaces).await);
            for waiting in due.waiting {
                // An error is told once; whoever else waits has the log.
                let told = std::mem::replace(&mut outcome, Ok(()));
                let _asker_gone = waiting.send(told.map_err(NetworkError::from));
            }
        }
        due.end
    }

    /// Exchanges members of classes where nothing else is to be done. Where that fails everything is compared.
    async fn exchange(&mut self, due: &mut Due) {
        let places: Vec<_> = due.members.difference(&due.namespaces).cloned().collect();
        for namespace in places {
            let exchange = self.pending(namespace.as_ref());
            // Bursts of sessions are entered together.
            sleep_until(self.entered + PACE).await;
            if let Err(error) = self.places.exchange(namespace.clone(), exchange).await {
                tracing::warn!(%error, "members of classes are compared anew");
                due.namespaces.insert(namespace);
            }
            self.entered = Instant::now();
        }
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

    /// Puts back what somebody else undid in the namespaces that are to be looked at.
    async fn repair(&mut self, first: Look) {
        let mut looks = vec![first];
        while let Some(more) = self.guard.try_disturbed() {
            looks.push(more);
        }
        let namespaces = looks.iter().map(|look| look.namespace.clone()).collect();
        let outcomes = self.reconcile(namespaces).await;
        let found = outcomes.into_iter().filter(tell_what_was_undone);
        let found: BTreeSet<_> = found.map(|outcome| outcome.namespace).collect();
        for Look { namespace, found: answer } in looks {
            let _gone = answer.send(found.contains(&namespace));
        }
    }

    /// Routes packets by the ways out that are up.
    async fn hear(&mut self, news: News) {
        let namespaces = self.ways.hear(news, &mut self.tenants);
        if let Err(error) = first_error(self.reconcile(namespaces).await) {
            tracing::error!(%error, "cannot route packets by another way out");
        }
    }

    async fn reconcile(&mut self, namespaces: BTreeSet<Option<Namespace>>) -> Vec<Outcome> {
        let wanted = namespaces.into_iter().map(|namespace| {
            let _included = self.pending(namespace.as_ref());
            let desired = self.desired(namespace.as_ref());
            (namespace, desired)
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        self.places.apply(wanted).await
    }

    /// All that the tenants of a namespace want.
    fn desired(&self, namespace: Option<&Namespace>) -> Desired {
        let mut desired = Desired::default();
        for placed in &self.tenants {
            if placed.tenant.device.namespace.as_ref() == namespace {
                want(&mut desired, placed);
            }
        }
        desired
    }
}

type Made = (Vec<Placed>, Places, Vec<(TunId, Vec<TunDevice>)>);

fn make(
    options: Options,
    tenants: Vec<(TenantNetwork, Vec<Ipv4Net>)>,
    queues: usize,
) -> Result<Made, NetworkError> {
    let (mut all, mut devices, mut places) = (Vec::new(), Vec::new(), Places::new(options));
    for (tenant, networks) in tenants {
        let device = TunDevice::create_queues(&tenant.device, queues)?;
        places.open(tenant.device.namespace.clone())?;
        let name = device.first().map(|queue| queue.name().to_owned()).unwrap_or_default();
        devices.push((tenant.tun, device));
        let (members, down) = (Members::default(), BTreeSet::new());
        all.push(Placed { tenant, device: name, networks, members, down });
    }
    Ok((all, places, devices))
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
