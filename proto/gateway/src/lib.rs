//! The composition: peers, sessions, tenants, pools and policy.
//!
//! The only crate, with `isthmus-client`, that knows more than one protocol. A login walks through it
//! like this:
//!
//! ```text
//! Report::Ike   -> ike  -> InstallInbound, QM2, InstallOutbound    -> Command to the pipeline
//! Report::L2tp  -> l2tp -> SCCRP .. ICRP                           -> Command::SendL2tp
//!                  l2tp -> SessionUp -> a ppp::Link is made
//! Report::L2tp  -> ppp  -> Authenticate -> users, pool             -> verdict back to ppp
//!                  ppp  -> Up -> Command::OpenSession, Event::SessionUp
//! ```
//!
//! Each attempt that fails leaves a [`Failure`] with its cause and the cure.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

mod advice;
mod calls;
mod cause;
mod config;
mod diagnosis;
mod event;
mod failure;
mod failures;
mod held;
mod inform;
mod ipv6;
mod lacs;
mod limits;
mod links;
mod login;
mod machine;
mod negotiation;
mod peer;
mod peers;
mod pool;
mod pool6;
mod probe;
mod proxy;
mod publish;
mod record;
mod removal;
mod restore;
mod session;
mod stats;
mod status;
mod steps;
mod tenants;
mod trials;
mod users;
mod watch;

pub use advice::Advice;
pub use cause::{Cause, WINDOWS_REGISTRY};
pub use config::{Config, Group, Lac, Proxy, Tenant};
pub use event::Event;
pub use failure::{Client, Failure, Milestone, NAME_BYTES_MAX, Stage, Step, printable};
pub use failures::{
    DETAIL_BYTES_MAX, FAILURES_MAX, FAILURES_PER_SOURCE_MAX, FailureLog, LINES_MAX, MERGE_WINDOW,
    UNPROVEN_LINES_MAX, UNPROVEN_MAX,
};
pub use held::LimitCounts;
pub use isthmus_plane::PeerRef;
pub use lacs::PLACES_MAX;
pub use limits::{Limits, OnLimit};
pub use machine::{Action, Gateway};
pub use pool::{Holder, Pool};
pub use pool6::Pool6;
pub use record::{
    InboundNumbers, OutboundNumbers, PeerRecord, RECORD_BYTES_MAX, RECORD_VERSION, RESERVE_BLOCK,
    RecordError, SessionRecord,
};
pub use restore::RestoreError;
pub use stats::{Rejections, Stats};
pub use status::{LacStatus, SessionInfo, Status, TenantStatus};
pub use tenants::{IdentityPattern, Selector};
pub use trials::{PROBES_PER_SECOND_MAX, ProbeRefusal};
pub use users::{User, UserSecret, Users};
