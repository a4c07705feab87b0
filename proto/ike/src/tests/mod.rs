//! Exchange scripts: endpoints over an in-memory network with NATs, loss, duplication and reordering.

extern crate std;

mod net;

mod exchange;
