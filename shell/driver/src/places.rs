//! The namespaces that tenants are in, with a reconciler each.

use std::collections::{BTreeMap, BTreeSet};

use isthmus_kernel::{Changes, Desired, Flows, Interest, KernelError, Options, Reconciler, Watch};
use isthmus_net::Namespace;
use tokio::task::JoinSet;

use crate::around::Surroundings;
use crate::members::Exchange;
use crate::network::NetworkError;
use crate::ours::OurNamespaces;

/// All namespaces; `None` is the gateway's own.
pub(crate) struct Places {
    options: Options,
    ours: OurNamespaces,
    reconcilers: BTreeMap<Option<Namespace>, Reconciler>,
    /// The numbers of namespaces that are not ours to make, as they were when they were opened.
    visited: BTreeMap<Namespace, u64>,
    /// Those that devices lead from or into.
    joined: BTreeSet<Option<Namespace>>,
}

/// What became of a namespace.
pub(crate) struct Outcome {
    pub(crate) namespace: Option<Namespace>,
    pub(crate) made: Result<Changes, KernelError>,
}

impl Places {
    /// None yet; each gets these options, but for the namespace.
    pub(crate) fn new(options: Options) -> Self {
        let ours = OurNamespaces::new(&options.state_folder, &options.owner.name);
        Self {
            options,
            ours,
            reconcilers: BTreeMap::new(),
            visited: BTreeMap::new(),
            joined: BTreeSet::new(),
        }
    }

    /// Begins to look after a namespace; it is made if it is missing.
    ///
    /// # Errors
    /// When the namespace cannot be made or entered.
    pub(crate) fn open(&mut self, namespace: Option<Namespace>) -> Result<(), NetworkError> {
        if self.reconcilers.contains_key(&namespace) {
            return Ok(());
        }
        if let Some(namespace) = &namespace {
            self.ours.provide(namespace)?;
        }
        let options = Options { namespace: namespace.clone(), ..self.options.clone() };
        self.reconcilers.insert(namespace, Reconciler::new(options)?);
        Ok(())
    }

    /// Looks after a namespace that others make and remove, while it is there; answers whether it has come,
    /// gone, or become another one.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub(crate) fn visit(&mut self, namespace: &Namespace) -> Result<bool, NetworkError> {
        let place = Some(namespace.clone());
        let (known, now) = (self.visited.get(namespace).copied(), namespace.number());
        if known == now || (known.is_none() && self.reconcilers.contains_key(&place)) {
            return Ok(false);
        }
        // What it has there goes with it, and cleans up what can still be reached.
        self.visited.remove(namespace);
        drop(self.reconcilers.remove(&place));
        let Some(number) = now else { return Ok(true) };
        self.open(place)?;
        self.visited.insert(namespace.clone(), number);
        Ok(true)
    }

    /// Those that are looked after.
    pub(crate) fn namespaces(&self) -> BTreeSet<Option<Namespace>> {
        self.reconcilers.keys().cloned().collect()
    }

    /// Whether it was made by us.
    pub(crate) fn is_ours(&self, namespace: &Namespace) -> bool {
        self.ours.contains(namespace)
    }

    /// Removes the namespaces that an earlier run made and that nobody is in now.
    pub(crate) fn forget_leftovers(&self) {
        for namespace in self.ours.all() {
            if !self.reconcilers.contains_key(&Some(namespace.clone())) {
                match self.ours.remove(&namespace) {
                    Ok(()) => tracing::info!(%namespace, "removed what an earlier run had made"),
                    Err(error) => tracing::warn!(%error, "a namespace of an earlier run stays"),
                }
            }
        }
    }

    /// Brings about what is desired in each namespace, in all of them at once. `joined` are those that devices
    /// lead from or into, and these come first.
    pub(crate) async fn apply(
        &mut self,
        desired: BTreeMap<Option<Namespace>, Desired>,
        joined: &BTreeSet<Option<Namespace>>,
    ) -> Vec<Outcome> {
        self.joined.extend(joined.iter().cloned());
        let mut connected = BTreeMap::new();
        // A device has two ends: it is there after the first turn, and both are up after the second.
        for _ in 0..2 {
            for (namespace, desired) in desired.iter().filter(|(place, _)| joined.contains(place)) {
                let Some(reconciler) = self.reconcilers.get_mut(namespace) else { continue };
                // What fails here fails below as well, and is told there.
                let made = reconciler.connect(desired).await.unwrap_or_default();
                connected
                    .entry(namespace.clone())
                    .or_insert_with(Changes::default)
                    .0
                    .extend(made.0);
            }
        }
        for (namespace, desired) in desired.iter().filter(|(_, desired)| !desired.veths.is_empty())
        {
            if let Some(reconciler) = self.reconcilers.get_mut(namespace) {
                let _told_below = reconciler.await_running(desired).await;
            }
        }
        let mut at_work = JoinSet::new();
        for (namespace, desired) in desired {
            let Some(mut reconciler) = self.reconcilers.remove(&namespace) else { continue };
            at_work.spawn(async move {
                let made = reconciler.apply(&desired).await;
                (reconciler, Outcome { namespace, made })
            });
        }
        let mut outcomes = Vec::new();
        while let Some(done) = at_work.join_next().await {
            // A panic in there would be the reconciler's, which then has cleaned up after itself.
            let Ok((reconciler, mut outcome)) = done else { continue };
            if let (Ok(made), Some(before)) =
                (&mut outcome.made, connected.remove(&outcome.namespace))
            {
                made.0.splice(0..0, before.0);
            }
            self.reconcilers.insert(outcome.namespace.clone(), reconciler);
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Reads what namespaces have that is not ours, in all of them at once. One that cannot be read is left
    /// out.
    pub(crate) async fn around(
        &mut self,
        interests: BTreeMap<Option<Namespace>, Interest>,
    ) -> Surroundings {
        let mut at_work = JoinSet::new();
        for (namespace, interest) in interests {
            let Some(mut reconciler) = self.reconcilers.remove(&namespace) else { continue };
            at_work.spawn(async move {
                let around = reconciler.around(interest).await;
                (namespace, reconciler, around)
            });
        }
        let mut found = Surroundings::new();
        while let Some(done) = at_work.join_next().await {
            // As in `apply`.
            let Ok((namespace, reconciler, around)) = done else { continue };
            self.reconcilers.insert(namespace.clone(), reconciler);
            match around {
                Ok(around) => drop(found.insert(namespace, around)),
                Err(error) => tracing::warn!(%error, "what the machine has stays unknown"),
            }
        }
        found
    }

    /// Exchanges members of classes in namespaces, in all of them at once; answers where the filter is not as it
    /// was left.
    pub(crate) async fn exchange(
        &mut self,
        exchanges: BTreeMap<Option<Namespace>, Exchange>,
    ) -> Vec<(Option<Namespace>, KernelError)> {
        let mut at_work = JoinSet::new();
        for (namespace, Exchange { remove, add }) in exchanges {
            let Some(mut reconciler) = self.reconcilers.remove(&namespace) else { continue };
            at_work.spawn(async move {
                let made = reconciler.exchange(remove, add).await;
                (namespace, reconciler, made)
            });
        }
        let mut refused = Vec::new();
        while let Some(done) = at_work.join_next().await {
            // As in `apply`.
            let Ok((namespace, reconciler, made)) = done else { continue };
            self.reconcilers.insert(namespace.clone(), reconciler);
            refused.extend(made.err().map(|error| (namespace, error)));
        }
        refused
    }

    /// Forgets connections in a namespace; answers how many.
    ///
    /// # Errors
    /// When the kernel's table of connections cannot be changed.
    pub(crate) async fn forget(
        &mut self,
        namespace: Option<Namespace>,
        flows: Vec<Flows>,
    ) -> Result<usize, KernelError> {
        match self.reconcilers.get_mut(&namespace) {
            Some(reconciler) if !flows.is_empty() => reconciler.forget(flows).await,
            Some(_) | None => Ok(0),
        }
    }

    /// Tells of changes in a namespace that is looked after.
    ///
    /// # Errors
    /// When the kernel does not let us listen.
    pub(crate) async fn watch(
        &mut self,
        namespace: Option<Namespace>,
    ) -> Result<Watch, KernelError> {
        match self.reconcilers.get_mut(&namespace) {
            Some(reconciler) => reconciler.watch().await,
            None => Err(KernelError::Stopped),
        }
    }

    /// Removes everything that is ours in a namespace, or the namespace itself if that is ours.
    ///
    /// # Errors
    /// When something stays.
    pub(crate) async fn close(&mut self, namespace: Option<Namespace>) -> Result<(), NetworkError> {
        if self.remove_ours(namespace.as_ref()).await? {
            return Ok(());
        }
        let Some(mut reconciler) = self.reconcilers.remove(&namespace) else { return Ok(()) };
        self.visited.retain(|visited, _| Some(visited) != namespace.as_ref());
        reconciler.remove_all().await.map(drop).map_err(NetworkError::from)
    }

    /// Removes everything that is ours.
    ///
    /// # Errors
    /// The first removal that failed; the others are made.
    pub(crate) async fn remove_all(mut self) -> Result<(), NetworkError> {
        let mut result = Ok(());
        for namespace in self.namespaces() {
            result = result.and(self.remove_ours(namespace.as_ref()).await.map(drop));
        }
        let nothing = self.namespaces().into_iter().map(|place| (place, Desired::default()));
        let outcomes = self.apply(nothing.collect(), &BTreeSet::new()).await;
        let removed = outcomes.into_iter().try_for_each(|outcome| outcome.made.map(drop));
        result.and(removed.map_err(NetworkError::from))
    }

    /// Removes a namespace if we made it; answers whether that is so. What is in it goes with it.
    async fn remove_ours(&mut self, namespace: Option<&Namespace>) -> Result<bool, NetworkError> {
        let Some(ours) = namespace.filter(|one| self.ours.contains(one)) else { return Ok(false) };
        let place = namespace.cloned();
        if let Some(mut reconciler) = self.reconcilers.remove(&place) {
            if self.joined.remove(&place) {
                // The kernel takes its time with a namespace, and the other ends are elsewhere.
                reconciler.connect(&Desired::default()).await?;
            }
            reconciler.leave();
        }
        self.ours.remove(ours).map(|()| true)
    }
}
