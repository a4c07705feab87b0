//! The namespaces that tenants are in, with a reconciler each.

use std::collections::{BTreeMap, BTreeSet};

use isthmus_kernel::{Changes, Desired, KernelError, Options, Reconciler, Watch};
use isthmus_net::Namespace;
use tokio::task::JoinSet;

use crate::members::Exchange;

/// All namespaces; `None` is the gateway's own.
pub(crate) struct Places {
    options: Options,
    reconcilers: BTreeMap<Option<Namespace>, Reconciler>,
}

/// What became of a namespace.
pub(crate) struct Outcome {
    pub(crate) namespace: Option<Namespace>,
    pub(crate) made: Result<Changes, KernelError>,
}

impl Places {
    /// None yet; each gets these options, but for the namespace.
    pub(crate) fn new(options: Options) -> Self {
        Self { options, reconcilers: BTreeMap::new() }
    }

    /// Begins to look after a namespace; it waits for the thread there.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub(crate) fn open(&mut self, namespace: Option<Namespace>) -> Result<(), KernelError> {
        if !self.reconcilers.contains_key(&namespace) {
            let options = Options { namespace: namespace.clone(), ..self.options.clone() };
            self.reconcilers.insert(namespace, Reconciler::new(options)?);
        }
        Ok(())
    }

    /// Those that are looked after.
    pub(crate) fn namespaces(&self) -> BTreeSet<Option<Namespace>> {
        self.reconcilers.keys().cloned().collect()
    }

    /// Brings about what is desired in each namespace, in all of them at once.
    pub(crate) async fn apply(
        &mut self,
        desired: BTreeMap<Option<Namespace>, Desired>,
    ) -> Vec<Outcome> {
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
            let Ok((reconciler, outcome)) = done else { continue };
            self.reconcilers.insert(outcome.namespace.clone(), reconciler);
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Exchanges members of classes in a namespace.
    ///
    /// # Errors
    /// When the filter there is not as it was left.
    pub(crate) async fn exchange(
        &mut self,
        namespace: Option<Namespace>,
        Exchange { remove, add }: Exchange,
    ) -> Result<(), KernelError> {
        match self.reconcilers.get_mut(&namespace) {
            Some(reconciler) => reconciler.exchange(remove, add).await,
            None => Ok(()),
        }
    }

    /// Tells of changes in each namespace.
    ///
    /// # Errors
    /// When the kernel does not let us listen.
    pub(crate) async fn watch(&mut self) -> Result<Vec<(Option<Namespace>, Watch)>, KernelError> {
        let mut watches = Vec::new();
        for (namespace, reconciler) in &mut self.reconcilers {
            watches.push((namespace.clone(), reconciler.watch().await?));
        }
        Ok(watches)
    }

    /// Removes everything that is ours.
    ///
    /// # Errors
    /// The first removal that failed; the others are made.
    pub(crate) async fn remove_all(mut self) -> Result<(), KernelError> {
        let nothing = self.namespaces().into_iter().map(|place| (place, Desired::default()));
        let outcomes = self.apply(nothing.collect()).await;
        outcomes.into_iter().try_for_each(|outcome| outcome.made.map(drop))
    }
}
