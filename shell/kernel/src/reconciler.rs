//! The asynchronous front of the reconciler.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use isthmus_net::{Namespace, NamespaceError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::watch::Watch;
use crate::{
    Around, Changes, Desired, Entry, Flows, Found, Inspection, Interest, KernelError, Lookup,
    Member, Owner, Road,
};

/// How a reconciler is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tags of what it makes.
    pub owner: Owner,
    /// The network namespace it looks after; the caller's own when absent.
    pub namespace: Option<Namespace>,
    /// Where previous values are kept; it has to be empty after a boot.
    pub state_folder: PathBuf,
    /// Leaves everything as it is when the reconciler is dropped, for the next run to take over.
    pub keep_on_drop: bool,
    /// The gateway runs, in another process, and this one only plans: what it noted of its nftables table
    /// is not read again while that is the same. Members of classes stay unknown then.
    pub beside: bool,
}

impl Options {
    /// The usual setup of the gateway called `name`, in the caller's namespace.
    pub fn named(name: &str) -> Self {
        Self {
            owner: Owner::named(name),
            namespace: None,
            state_folder: "/run/isthmus".into(),
            keep_on_drop: false,
            beside: false,
        }
    }
}

/// Looks after the kernel state of one network namespace.
///
/// Dropping it removes everything it made, unless [`Options::keep_on_drop`] says otherwise.
#[derive(Debug)]
pub struct Reconciler {
    jobs: mpsc::Sender<Job>,
    keep_on_drop: bool,
}

/// Work for the thread in the namespace.
type Job = Box<dyn FnOnce(&mut Engine) + Send>;

impl Reconciler {
    /// Starts the thread in the namespace. It changes nothing yet: what an earlier run left is taken
    /// over or removed by the first [`Reconciler::apply`].
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, the process may not, or previous values cannot be read.
    pub fn new(options: Options) -> Result<Self, KernelError> {
        let (jobs, work) = mpsc::channel::<Job>();
        let (ready, opened) = mpsc::sync_channel(1);
        let keep_on_drop = options.keep_on_drop;
        let run = move || {
            let engine = open(options);
            let mut engine = match engine {
                Ok(engine) => {
                    // The other end waits for this.
                    let _ = ready.send(Ok(()));
                    engine
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            for job in work {
                job(&mut engine);
            }
        };
        let started = thread::Builder::new().name("kernel-state".to_owned()).spawn(run);
        started.map_err(NamespaceError::Thread)?;
        opened.recv().map_err(|_| KernelError::Stopped)??;
        Ok(Self { jobs, keep_on_drop })
    }

    /// Brings about what is desired and answers what had to be changed for it. What is ours and not
    /// desired is removed.
    ///
    /// Changes are made as far as they can be; the next call goes on from there.
    ///
    /// # Errors
    ///
    /// The first change that failed, with what to do about it.
    pub async fn apply(&mut self, desired: &Desired) -> Result<Changes, KernelError> {
        let desired = desired.clone();
        self.ask(move |engine| engine.apply(&desired)).await
    }

    /// Makes and removes the devices into other namespaces that are desired, and brings up links. Whoever
    /// looks after both ends does this for both before [`Reconciler::apply`].
    ///
    /// # Errors
    ///
    /// The first change that failed, with what to do about it.
    pub async fn connect(&mut self, desired: &Desired) -> Result<Changes, KernelError> {
        let desired = desired.clone();
        self.ask(move |engine| engine.connect(&desired)).await
    }

    /// Waits a moment for the devices into other namespaces to be in use, once both ends are up.
    ///
    /// # Errors
    ///
    /// When links cannot be read.
    pub async fn await_running(&mut self, desired: &Desired) -> Result<(), KernelError> {
        let desired = desired.clone();
        self.ask(move |engine| engine.await_running(&desired)).await
    }

    /// Answers what [`Reconciler::apply`] would change, and changes nothing.
    ///
    /// # Errors
    ///
    /// When something desired makes no sense or the kernel cannot be read.
    pub async fn plan(&mut self, desired: &Desired) -> Result<Changes, KernelError> {
        let desired = desired.clone();
        self.ask(move |engine| engine.plan(&desired)).await
    }

    /// Removes members of classes and adds others, and looks at nothing else: sessions come and go more
    /// often than everything is worth comparing.
    ///
    /// # Errors
    ///
    /// When the table is not as it was left; [`Reconciler::apply`] mends it.
    pub async fn exchange(
        &mut self,
        remove: Vec<Member>,
        add: Vec<Member>,
    ) -> Result<(), KernelError> {
        self.ask(move |engine| engine.exchange(&remove, &add)).await
    }

    /// Forgets connections, so that their next packets begin them anew: by the routes and translations of now.
    /// Answers how many they were.
    ///
    /// # Errors
    ///
    /// When the kernel's table of connections cannot be read or changed.
    pub async fn forget(&mut self, flows: Vec<Flows>) -> Result<usize, KernelError> {
        self.ask(move |_| Engine::forget_connections(&flows)).await
    }

    /// Where the kernel would send a packet.
    ///
    /// # Errors
    ///
    /// When there is no link of that name, or the kernel cannot be asked.
    pub async fn look_up(&mut self, lookup: Lookup) -> Result<Road, KernelError> {
        self.ask(move |engine| engine.look_up(&lookup)).await
    }

    /// What is in force, beside what is wanted; of the routes of others those of interest.
    ///
    /// # Errors
    ///
    /// When something desired makes no sense or the kernel cannot be read.
    pub async fn inspect(
        &mut self,
        desired: &Desired,
        interest: Interest,
    ) -> Result<Inspection, KernelError> {
        let desired = desired.clone();
        self.ask(move |engine| engine.inspect(&desired, &interest)).await
    }

    /// What [`Change::SetFirewall`](crate::Change::SetFirewall) would change, thing by thing.
    ///
    /// # Errors
    ///
    /// When something desired makes no sense or the table cannot be read.
    pub async fn firewall_changes(
        &mut self,
        desired: &Desired,
    ) -> Result<Vec<Found<Entry>>, KernelError> {
        let desired = desired.clone();
        self.ask(move |engine| engine.firewall_changes(&desired)).await
    }

    /// What the namespace has that is not ours, as far as it is of interest.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub async fn around(&mut self, interest: Interest) -> Result<Around, KernelError> {
        self.ask(move |engine| engine.around(&interest)).await
    }

    /// Tells from now on when somebody else changes what is ours.
    ///
    /// # Errors
    ///
    /// When the kernel does not let us listen.
    pub async fn watch(&mut self) -> Result<Watch, KernelError> {
        let runtime = Handle::current();
        self.ask(move |engine| {
            let _inside = runtime.enter();
            engine.watch()
        })
        .await
    }

    /// Removes everything that is ours and restores what was there before, also what a crashed run left.
    ///
    /// # Errors
    ///
    /// The first removal that failed; the others are made.
    pub async fn remove_all(&mut self) -> Result<Changes, KernelError> {
        self.apply(&Desired::default()).await
    }

    /// Ends without removing anything: the namespace goes, and takes everything along.
    pub fn leave(mut self) {
        self.keep_on_drop = true;
    }

    async fn ask<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> Result<T, KernelError> + Send + 'static,
    ) -> Result<T, KernelError> {
        let (answer, answered) = oneshot::channel();
        let job = move |engine: &mut Engine| {
            // Nobody waits for the answer of a call that was given up.
            let _ = answer.send(work(engine));
        };
        self.jobs.send(Box::new(job)).map_err(|_| KernelError::Stopped)?;
        answered.await.map_err(|_| KernelError::Stopped)?
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        if self.keep_on_drop {
            return;
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let job = move |engine: &mut Engine| {
            let _ = answer.send(engine.apply(&Desired::default()));
        };
        if self.jobs.send(Box::new(job)).is_err() {
            tracing::warn!("kernel state not removed: its thread has stopped");
            return;
        }
        match answered.recv_timeout(DROP_WAIT_MAX) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "kernel state not removed completely"),
            Err(error) => tracing::warn!(%error, "kernel state not removed in time"),
        }
    }
}

/// How long dropping waits for the removal; usually it takes some milliseconds.
const DROP_WAIT_MAX: Duration = Duration::from_secs(5);

fn open(options: Options) -> Result<Engine, KernelError> {
    let Options { owner, namespace, state_folder, beside, .. } = options;
    let place = match &namespace {
        Some(namespace) => {
            namespace.enter()?;
            namespace.name()
        }
        None => "host",
    };
    Engine::open(owner, &state_folder, place, beside)
}
