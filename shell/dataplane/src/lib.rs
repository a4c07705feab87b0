//! The worker: sockets and TUN devices around the pure packet pipeline.
//!
//! One thread owns its sockets, its TUN devices and a [`Plane`](isthmus_plane::Plane); nobody else
//! touches them, so there is no lock. Control speaks to it through one first-in-first-out queue of
//! [`Message`]s. Because an IKE or L2TP message to send travels in the same queue as the command that
//! installs a security association, the order control chose is the order on the wire.
//!
//! Each turn of the loop: take what control said, read a batch from every ready descriptor, run it
//! through the pipeline, write the results out in batches, hand reports to control.

mod clock;
mod io;
mod ports;
mod worker;

pub use clock::Clock;
pub use io::{IoReport, IoStats, TunReport};
pub use ports::{Ports, PortsConfig};
pub use worker::{Message, Worker, WorkerError, WorkerHandle};
