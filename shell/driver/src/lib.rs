//! The event loop: one machine, one worker, one timer, a pool for slow arithmetic.
//!
//! The only async place. Each turn takes inputs one by one (reports of the workers, results of jobs,
//! a request, the timer), feeds each to the machine, carries out every action in order, and then wakes
//! the workers and arms the timer anew. The machine is a [`Gateway`](isthmus_gateway::Gateway) or a
//! [`Client`](isthmus_client::Client); the loop is the same.

mod around;
mod change;
mod client;
mod entropy;
mod gateway;
mod guard;
mod guards;
mod health;
mod inside;
mod jobs;
mod keeper;
mod mailbox;
mod members;
mod network;
mod ours;
mod own;
mod pace;
mod places;
mod plan;
mod roll;
mod stock;
mod wanted;
mod ways;

pub use around::Surroundings;
pub use client::{ClientDriver, ClientRequest, ClientSettings};
pub use entropy::seed;
pub use isthmus_dataplane::{IoReport, TunReport};

pub use gateway::{Detail, GatewayDriver, GatewaySettings, Request, Snapshot, Wanted};
pub use guards::Access;
pub use health::{Health, Target, Thresholds, WayState};
pub use isthmus_kernel::{Around, Translation, Transport};
pub use keeper::SESSION_DEVICES_MAX;
pub use network::{NetworkError, TenantNetwork};
pub use plan::{Inspected, Planned, Wishes, inspect, plan};
pub use wanted::{
    BOUND_MAX, CONDITIONS_MAX, EgressNetwork, FIRST_PROBE_TABLE, FIRST_TABLE, NatKind, NatNetwork,
    PASSAGES_MAX, PREFERENCE_FIRST, PROBED_MAX, Passage, Way, bound_marks,
};
