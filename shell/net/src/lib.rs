//! The sockets that peers are reached by: UDP ports and raw ESP, in batches.
//!
//! Both kinds tell the local address every packet came to and send from the address they are told,
//! so one wildcard socket serves every address of the machine and a reply always leaves from the
//! address the peer knows. They never block and expose their descriptor for polling.
//!
//! Receiving is `recvmmsg` with `UDP_GRO` (by `quinn-udp`), sending is `sendmmsg` where a run of
//! packets of one size to one peer is one `UDP_SEGMENT` message gathered from the packets' own
//! buffers. What goes wrong with one packet (no route, a filter, an ICMP error) is counted in
//! [`NetStats`] and never ends a batch.
//!
//! [`Namespace`] and [`in_namespace`] open such things in another network namespace. A [`Tap`] sees what
//! passes the links of one.

mod bpf;
mod error;
mod esp;
mod lanes;
mod mmsg;
mod namespace;
mod options;
mod recv;
mod send;
mod stats;
mod tap;
mod udp;

pub use error::SocketError;
pub use esp::{EspFamily, EspSocket};
pub use lanes::LaneShare;
pub use namespace::{Namespace, NamespaceError, in_namespace};
pub use options::{Sharing, SocketOptions};
pub use send::Sent;
pub use stats::NetStats;
pub use tap::{Catch, Caught, Tap};
pub use udp::UdpPort;
