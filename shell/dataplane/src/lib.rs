//! The workers: sockets and TUN devices around the pure packet pipeline.
//!
//! Each thread owns its sockets, its queues of TUN devices and a [`Plane`](isthmus_plane::Plane); nobody
//! else touches them, so there is no lock. Control speaks to each through one first-in-first-out queue.
//! Because an L2TP message to send travels in the same queue as the command that installs its security
//! association, the order control chose is the order on the wire.
//!
//! A client belongs to one worker for good (see [`isthmus_plane::Share`]). What comes to another one is
//! left in its owner's inbox.
//!
//! Each turn of the loop: take what control said (a bell wakes only a worker that sleeps), read a batch from every ready descriptor, run it
//! through the pipeline, write the results out in batches, hand reports to control.

mod buffers;
mod clock;
mod closer;
mod crew;
mod doorbell;
mod inbox;
mod io;
mod poller;
mod ports;
mod worker;

pub use clock::Clock;
pub use crew::{Crew, CrewConfig, WorkerError};
pub use doorbell::Doorbell;
pub use io::{IoReport, IoStats, TunReport};
pub use ports::PortsConfig;
