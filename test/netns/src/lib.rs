//! The built binary at both ends, on the real kernel, in throw-away network namespaces.
//!
//! `isthmus run` serves in the gateway's namespace of a [`Lab`](isthmus_interop::Lab), `isthmus client
//! connect` dials it from namespaces on the peers' segment. What the tests look at is the kernel, the
//! wire and what the binary says of itself; the product's code is not linked.
//!
//! ```text
//!   client -- lan -- nat -- internet -- gateway -- cloud (HTTP server, answers pings)
//!                               `- every packet is captured here
//! ```
//!
//! A test reads as: open a [`Site`], make hosts, start [`Client`]s there, look, hang up, and
//! [`Site::close`], which demands what every test demands: nobody left on the gateway, nothing left
//! in its kernel, no complaint in its log, no L2TP in the clear.

mod client;
mod clouds;
mod config;
mod flood;
mod flow;
mod look;
mod member;
mod site;
mod visit;

pub use client::{Client, Dial, Down, Up};
pub use clouds::CloudSite;
pub use config::{Config, PASSWORD, PSK, USER};
pub use flood::{Attacker, Flood, Traffic};
pub use flow::{Flow, Flowed};
pub use look::{Datagrams, RunningPing, download, fetch, ping, pinged, start_fetch, start_ping};
pub use member::{Member, PING_INTERVAL, Pings, Place, everybody_gets_its_own_answers};
pub use site::{Closed, Site, Stopped};
pub use visit::use_beside_the_key;
