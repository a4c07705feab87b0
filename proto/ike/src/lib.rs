//! IKEv1 (RFC 2408, 2409, 2407) with NAT traversal (RFC 3947 and drafts 02, 03) and dead peer
//! detection (RFC 3706), both roles, as one sans-IO machine.
//!
//! [`Endpoint`] takes datagrams, time and results of offloaded computations, and gives ordered
//! [`Action`]s: what to send, what to compute, which ESP SAs to install and remove, who came and went.
//! A *peer* is the far end of one or more IKE SAs; children belong to the peer and outlive a rekeyed
//! IKE SA.
//!
//! What is here: main mode with pre-shared keys and with certificates, aggressive mode with pre-shared
//! keys, quick mode in transport mode with or without perfect forward secrecy, informational
//! exchanges, fragmentation both ways. What is not: XAUTH; its messages are counted and dropped.
//!
//! `docs/protocol/ike.md` says which RFC section lives in which file, and which deviation is accepted
//! for which client.
#![no_std]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

extern crate alloc;

mod action;
mod aggressive_mode;
mod child;
pub mod codec;
mod config;
mod context;
mod dpd;
mod embryo;
mod endpoint;
mod error;
mod first;
mod fragmentation;
mod habits;
pub mod iana;
mod identity;
mod informational;
mod keys;
mod lifecycle;
mod main_mode;
mod nat;
mod offer;
mod peer;
mod proposal;
mod quick_mode;
mod record;
mod sa;
mod suite;
mod table;
mod turns;
mod vendor;

pub use action::{
    Action, ChildUp, DownReason, Facts, Failure, FailureCause, InstallInbound, InstallOutbound,
    JobId, PeerId, PeerUp, Stage,
};
pub use config::{Certificates, Config, Connect, OwnCertificate, Psk, PskId, RemoteMatch};
pub use context::Stats;
pub use endpoint::Endpoint;
pub use error::Rejected;
pub use habits::{
    DpdHabit, Habits, InitialContact, LifeHabits, MessageIds, Phase1Habits, Phase2Habits, Replaced,
    Selector,
};
pub use identity::Identity;
pub use nat::NatStatus;
pub use proposal::{IkeProposal, OfferedIke, group_name};
pub use record::{PeerRecord, RestoreError};
pub use suite::{Lifetime, OfferedEsp};
pub use vendor::{ClientKind, NatT, VendorId, Vendors};

/// Every bound and period of this crate that another may want to name.
pub mod bounds {
    pub use crate::aggressive_mode::initiator::AM3_REPEATS_MAX;
    pub use crate::aggressive_mode::responder::UNPROVEN_JOBS_MAX;
    pub use crate::child::{
        ANNOUNCED_GRACE, CHILD_LIFETIME_MAX, CHILDREN_MAX, DELETED_GRACE, DRAINING_GRACE,
        REPLACED_GRACE, REPLACED_GRACE_INITIATOR,
    };
    pub use crate::codec::fragment::FRAGMENTS_MAX;
    pub use crate::config::PSK_CANDIDATES_MAX;
    pub use crate::context::{REPORT_INTERVAL, REPORTS_MAX};
    pub use crate::dpd::{DPD_RETRY, DPD_TRIES_MAX};
    pub use crate::embryo::{EMBRYO_OCTETS_MAX, EMBRYOS_MAX, EMBRYOS_PER_SOURCE_MAX};
    pub use crate::fragmentation::{
        FRAGMENT_OCTETS_MAX, FRAGMENT_OCTETS_PER_SOURCE_MAX, FRAGMENT_SIZE_MIN, PARTIALS_MAX,
        PARTIALS_PER_SA_MAX, PARTIALS_PER_SOURCE_MAX, REASSEMBLY_LIFETIME,
    };
    pub use crate::lifecycle::REKEY_RETRY;
    pub use crate::main_mode::authentication::MM5_TRIES_MAX;
    pub use crate::main_mode::initiator::HINT_GRACE;
    pub use crate::main_mode::responder::BAD_SHARES_MAX;
    pub use crate::main_mode::signature::{
        CERTIFICATE_LEN_MAX, CERTIFICATE_REQUESTS_MAX, CERTIFICATES_MAX,
    };
    pub use crate::peer::{
        CHILDLESS_MAX, IKE_LIFETIME_MAX, IKE_SAS_PER_PEER_MAX, KEEPALIVE_INTERVAL, PEERS_MAX,
    };
    pub use crate::proposal::OFFERS_MAX;
    pub use crate::quick_mode::QUICK_MODES_MAX;
    pub use crate::sa::{RETRANSMIT_MAX, SEEN_IDS_MAX};
    pub use crate::suite::SUITES_MAX;
    pub use crate::table::{
        HALF_OPEN_LIFETIME, HALF_OPEN_MAX, HALF_OPEN_PER_SOURCE_MAX, SPENT_MAX,
    };
    pub use crate::turns::{JOBS_AT_ONCE_MAX, JOBS_MAX, JOBS_PER_SOURCE_MAX};
}

#[cfg(test)]
mod tests;
