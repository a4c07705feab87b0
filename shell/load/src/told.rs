//! What a shard tells of its clients.

use std::net::Ipv4Addr;

use isthmus_client::{Down, Stage};
use isthmus_core::Instant;

/// Something that happened to a client.
#[derive(Clone, Debug)]
pub struct Told {
    /// Which client.
    pub client: u32,
    /// When, on the fleet's time line.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// A step in a client's life. For each [`What::Dialed`] there is one [`What::Down`] at its end, unless
/// the client was made to vanish.
#[derive(Clone, Debug)]
pub enum What {
    /// Its first message is on its way.
    Dialed,
    /// It has come this far; [`Stage::Up`] is told as [`What::Up`].
    Reached(Stage),
    /// Packets flow.
    Up {
        /// The address that the server gave.
        address: Ipv4Addr,
        /// The server's address on the link.
        gateway: Ipv4Addr,
        /// Largest inner packet, in bytes.
        mtu: u16,
    },
    /// It is over.
    Down(Down),
    /// It never began: there is no socket for it. Nothing follows.
    NoSocket(String),
}
