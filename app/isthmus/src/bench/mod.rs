//! Loads a server with many clients and says how it bore it.
//!
//! | module | |
//! |---|---|
//! | `crowd` | who dials when, who is up, who failed and why |
//! | `scenario` | connect, hold, storm: what the crowd does |
//! | `traffic` | packets through the sessions |
//! | `carry` | other programs' packets through the sessions |
//! | `logins`, `process` | what is measured |
//! | `report`, `text`, `plot` | what comes of it: for programs, for people, to look at |
//! | `place`, `limits`, `names` | what must be settled before anybody dials |
//!
//! The clients themselves are `isthmus-load`'s.

mod carry;
mod crowd;
mod limits;
mod logins;
mod names;
mod place;
mod plot;
mod process;
mod report;
mod scenario;
mod speech;
mod text;
mod traffic;

pub use carry::Carry;
pub use crowd::Stop;
pub use names::Names;
pub use place::is_near;
pub use plot::svg;
pub use report::Report;
pub use scenario::{Scenario, Storm};
pub use speech::Speech;
pub use text::show;
pub use traffic::{Offer, Towards, Traffic};

use std::net::IpAddr;

use rustix::process::Pid;

/// What every load has: who dials whom, and how fast.
#[derive(Clone, Debug)]
pub struct Load {
    /// How the server is spoken to.
    pub speech: Speech,
    /// Who logs in.
    pub names: Names,
    /// How many clients there are.
    pub clients: u32,
    /// Logins begun in a second; none for all at once.
    pub rate: f64,
    /// Most logins under way.
    pub parallel: u32,
    /// Addresses to send from, taken in turn; at least one.
    pub sources: Vec<IpAddr>,
    /// Threads of clients; at least one.
    pub threads: usize,
    /// At the end nobody hangs up.
    pub vanish: bool,
    /// The server's process, when it runs on this machine.
    pub gateway: Option<Pid>,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Too few descriptors.
    #[error(
        "{wanted} clients need as many sockets, and this process may open {allowed}; raise the limit \
         (`ulimit -n`, or LimitNOFILE of the service), or load with fewer --clients"
    )]
    Descriptors {
        /// Clients wanted.
        wanted: u32,
        /// Sockets that can be had.
        allowed: u64,
    },
    /// The device cannot be made.
    #[error(transparent)]
    Device(#[from] isthmus_tun::TunError),
    /// The threads cannot be started.
    #[error(transparent)]
    Fleet(#[from] isthmus_load::FleetError),
    /// The device cannot have its addresses and routes.
    #[error(transparent)]
    Kernel(#[from] isthmus_kernel::KernelError),
    /// Nobody came up.
    #[error("none of the {0} sessions came up, so there is nothing to measure")]
    Nobody(u32),
    /// Too few ports.
    #[error(
        "{wanted} clients need as many UDP ports, and {sources} address(es) have {allowed}; add \
         addresses to this machine and name them with --source, or widen \
         net.ipv4.ip_local_port_range"
    )]
    Ports {
        /// Clients wanted.
        wanted: u32,
        /// Addresses given.
        sources: usize,
        /// Ports there are.
        allowed: u64,
    },
    /// The gateway's process cannot be looked at.
    #[error("cannot look at process {0}: {1}; give the id of a process on this machine")]
    Process(i32, std::io::Error),
    /// No randomness.
    #[error("cannot read random numbers from the system: {0}")]
    Seed(std::io::Error),
}

/// Runs a scenario and answers what was measured; `progress` is told a line now and then.
///
/// # Errors
/// When nothing could be measured. Logins that fail are no error: they are counted.
pub fn run(
    load: &Load,
    scenario: &Scenario,
    stop: &Stop,
    progress: &mut dyn FnMut(&str),
) -> Result<Report, BenchError> {
    limits::allow(load)?;
    let seeds = (0..load.threads.max(1)).map(|_| isthmus_driver::seed());
    let seeds = seeds.collect::<Result<_, _>>().map_err(BenchError::Seed)?;
    scenario::run(load, scenario, seeds, stop, progress)
}
