//! The built binary against real peers, on one machine and without the outside world.
//!
//! A [`Lab`] is a set of throw-away network namespaces around one gateway: the peer's LAN, the NAT
//! in front of it, the internet between them, the gateway itself and a cloud network behind it. The
//! peer is a virtual machine with Debian's kernel, because what must be proved is that the kernel's
//! own IPsec and L2TP, as driven by strongSwan, xl2tpd and pppd, work with the gateway.
//!
//! ```text
//!   peer (VM) -- lan -- nat -- internet -- gateway -- cloud (HTTP server, answers pings)
//!                                  `- tcpdump writes outside.pcap here
//! ```
//!
//! A test reads as: build the lab, start the gateway ([`Gateway`]), boot the peer ([`Peer`]), run the
//! scenario's steps in it one by one, look at the gateway from outside between them, and finish
//! with [`Lab::passed`]; a [`Visit`] does what most scenarios have in common. Whatever ends a test
//! before that keeps the evidence folder and prints its path. Nothing here knows the product's code: it sees the binary, the kernel and the wire.

mod answer;
mod capture;
mod cloud;
mod command;
mod daemon;
mod error;
mod evidence;
mod gateway;
mod image;
mod lab;
mod netns;
mod pcap;
mod peer;
mod ping;
mod pki;
mod scenario;
mod snapshot;
mod visit;
mod vm;

pub use crate::answer::Answer;
pub use crate::capture::Capture;
pub use crate::cloud::Cloud;
pub use crate::command::{run, wait_for};
pub use crate::daemon::Daemon;
pub use crate::error::LabError;
pub use crate::evidence::Evidence;
pub use crate::gateway::{Gateway, binary};
pub use crate::lab::{
    Access, CLOUD_HOST, CLOUD_ROUTER, DIRECT_PEER, GATEWAY, INTERNET_ROUTER, LAN_PEER, LAN_ROUTER,
    LAN_SECOND_PEER, Lab, NAT,
};
pub use crate::netns::{Namespace, cable};
pub use crate::pcap::{ClearL2tp, WireSummary, summarize};
pub use crate::peer::{LOST_PER_REKEY_MAX, Peer};
pub use crate::ping::PingRun;
pub use crate::pki::{ALICE, Authority, KeyKind, Subject, make_pki, place_keys};
pub use crate::scenario::Scenario;
pub use crate::snapshot::KernelState;
pub use crate::visit::{Carrier, Visit};
pub use crate::vm::{Nic, Vm, VmSpec, fact};
