//! Exchange scripts: endpoints over an in-memory network with NATs, loss, duplication and reordering.

extern crate std;

mod fake;
mod net;

mod aggressive;
mod certificates;
mod clients;
mod exchange;
mod habits;
mod hostile;
mod leniency;
mod scenario;
mod swarm;
