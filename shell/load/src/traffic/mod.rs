//! Probe packets inside the sessions: made, sent, and counted where they come out again.
//!
//! Each session is one flow of UDP packets with a sequence number and a time stamp. They go to a
//! reflector behind the server and come back in the same session, or to the next session, whose
//! client counts them. Nothing but [`probe`] knows how a packet looks.

mod flow;
mod pace;
pub(crate) mod probe;
mod source;
mod tally;

pub(crate) use flow::{Counting, Window};
pub(crate) use source::{Flow, Source};

pub use pace::{InFlight, Pace};
pub use probe::PROBE_BYTES_MIN;
pub use tally::Tally;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

/// A run of traffic.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Tells the packets of this run from those of others.
    pub run: u32,
    /// Where packets go.
    pub target: Target,
    /// How long they are.
    pub sizes: Sizes,
    /// How many there are.
    pub pace: Pace,
}

/// Where packets go.
#[derive(Clone, Debug)]
pub enum Target {
    /// To a reflector, and back.
    Reflector(SocketAddrV4),
    /// From each client to the one that stands here at its number; none for those that send nothing.
    Between(Arc<[Option<Ipv4Addr>]>),
}

/// How long packets are: lengths of IP packets in bytes, in turn. Longer ones than a session takes are
/// cut to what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes(pub Arc<[u16]>);

/// The simple IMIX: packets of 64, 570 and 1400 bytes in the ratio 7:4:1, mixed evenly. (The usual
/// 1500 does not fit through a tunnel.)
pub const IMIX: [u16; 12] = [64, 570, 64, 64, 570, 64, 570, 64, 64, 570, 64, 1400];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imix_is_seven_four_one() {
        let count = |size| IMIX.iter().filter(|other| **other == size).count();
        assert_eq!((count(64), count(570), count(1400)), (7, 4, 1));
    }
}
