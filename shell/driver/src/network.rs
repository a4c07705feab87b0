//! TUN devices and kernel state of tenants: made at the start, gone at the end.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_dataplane::WorkerError;
use isthmus_kernel::KernelError;
use isthmus_net::{NamespaceError, SocketError};
use isthmus_plane::TunId;
use isthmus_tun::{TunConfig, TunError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::around::Surroundings;
use crate::guards::Access;
use crate::inside::Inside;
use crate::keeper::{Commit, Devices, InForce, Keeper, Wish};
use crate::own::{Made, Own};
use crate::roll::Entered;
use crate::wanted::{EgressNetwork, NatNetwork};
use crate::ways::KnownWays;

/// What a tenant needs of the kernel.
#[derive(Clone, Debug)]
pub struct TenantNetwork {
    /// The device in the pipeline.
    pub tun: TunId,
    /// Name, MTU and namespace of the device.
    pub device: TunConfig,
    /// Our address on it.
    pub gateway_address: Ipv4Addr,
    /// Whether each session has a device to itself, beside the tenant's.
    pub device_per_session: bool,
    /// Networks behind it.
    pub pool: Vec<Ipv4Net>,
    /// IPv6 networks behind it; what is behind the machine is the affair of its own routes.
    pub pool6: Vec<Ipv6Net>,
    /// Our IPv6 address on it.
    pub gateway_address6: Option<Ipv6Addr>,
    /// Ways out.
    pub egress: Vec<EgressNetwork>,
    /// Translations beside those of the ways out.
    pub nat: Vec<NatNetwork>,
    /// What users may reach.
    pub access: Access,
}

/// Why the world refuses.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No randomness.
    #[error("cannot read the system's random numbers: {0}")]
    Entropy(#[source] io::Error),
    /// The task that looks after the kernel's state has ended by itself.
    #[error(
        "the task that looks after the kernel's state has stopped; the log says why (please report this)"
    )]
    KeeperGone,
    /// Routes, addresses, NAT.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A network namespace cannot be made or removed.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// What is ours cannot be remembered for the next run.
    #[error("cannot keep {}: {source} (it has to be writable)", path.display())]
    Remember {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// TUN devices.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// The worker cannot start.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The worker has ended by itself.
    #[error("the packet worker has stopped; the log says why (please report this)")]
    WorkerGone,
}

/// The control thread's end of the [`Keeper`], a task of its own: whoever speaks IKE does not wait for the
/// kernel's routing tables or for `nft`.
pub(crate) struct Network {
    wishes: mpsc::UnboundedSender<Wish>,
    keeper: JoinHandle<()>,
    ways: watch::Receiver<KnownWays>,
    /// Devices made for sessions.
    pub(crate) made: mpsc::UnboundedReceiver<Made>,
    around: watch::Receiver<Surroundings>,
}

impl Network {
    /// Makes every device, with so many queues, and puts routes, rules and NAT in place. `networks` has
    /// for each tenant those behind its users.
    pub(crate) async fn up(
        name: &str,
        tenants: &[TenantNetwork],
        networks: Vec<Vec<Ipv4Net>>,
        queues: usize,
    ) -> Result<(Self, Devices), NetworkError> {
        let tenants = tenants.iter().cloned().zip(networks).collect();
        let (keeper, devices, ways, made) = Keeper::up(name, tenants, queues).await?;
        let (wishes, told) = mpsc::unbounded_channel();
        let around = keeper.around();
        let keeper = tokio::spawn(keeper.run(told));
        Ok((Self { wishes, keeper, ways, made, around }, devices))
    }

    /// Routes what is inside now to the tenants' devices; the answer comes when it is in force.
    pub(crate) fn set_inside(
        &self,
        inside: Vec<Inside>,
    ) -> oneshot::Receiver<Result<(), NetworkError>> {
        let (done, answer) = oneshot::channel();
        self.wish(Wish::Inside(inside, done));
        answer
    }

    /// Tells whose packets are of which class.
    pub(crate) fn enter(&self, entered: Entered) {
        self.wish(Wish::Enter(entered));
    }

    /// Makes or removes a session's device.
    pub(crate) fn own(&self, own: Own) {
        self.wish(Wish::Own(own));
    }

    /// The ways out that are looked after.
    pub(crate) fn ways(&self) -> KnownWays {
        self.ways.borrow().clone()
    }

    /// What namespaces have that is not ours, as it is read.
    pub(crate) fn around(&self) -> watch::Receiver<Surroundings> {
        self.around.clone()
    }

    /// Makes the devices of other tenants, as far as they can be made now; an error changes nothing.
    pub(crate) fn prepare(
        &self,
        tenants: Vec<TenantNetwork>,
    ) -> oneshot::Receiver<Result<(), NetworkError>> {
        let (done, answer) = oneshot::channel();
        self.wish(Wish::Prepare(tenants, done));
        answer
    }

    /// Puts the tenants that were prepared in force, once `released` is closed.
    pub(crate) fn commit(
        &self,
        tenants: Vec<TenantNetwork>,
        (inside, entered): (Vec<Inside>, Vec<Entered>),
        released: Receiver<()>,
    ) -> oneshot::Receiver<InForce> {
        let (done, answer) = oneshot::channel();
        self.wish(Wish::Commit(Box::new(Commit { tenants, inside, entered, released, done })));
        answer
    }

    /// Lets the devices go without anybody putting back what goes with them.
    pub(crate) async fn rest(&self) {
        let (done, answer) = oneshot::channel();
        self.wish(Wish::Rest(done));
        // Whether something else that was wished before could be done is told elsewhere.
        let _rests = answer.await;
    }

    /// Removes everything that is ours; the devices go with the worker that holds them.
    pub(crate) async fn down(self) -> Result<(), NetworkError> {
        let (done, answer) = oneshot::channel();
        self.wish(Wish::Down(done));
        let outcome = answer.await.unwrap_or(Err(NetworkError::KeeperGone));
        // It ends by itself after this answer, and with it the tasks that watch.
        let _ended = self.keeper.await;
        outcome
    }

    fn wish(&self, wish: Wish) {
        // A keeper that is gone answers nothing, which is what the answer's end is told then.
        let _gone = self.wishes.send(wish);
    }
}
