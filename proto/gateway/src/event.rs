//! What happened, as types: the one source of logs, the API stream and, later, accounting.

use alloc::boxed::Box;
use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use isthmus_core::{Encap, Key, Path};
use isthmus_plane::PeerRef;
use serde::Serialize;

use crate::failure::Failure;

/// Something worth telling an operator.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An attempt to connect failed. The record as it is after it; see [`crate::FailureLog::push`] for
    /// which attempts are told.
    AttemptFailed(Box<Failure>),
    /// Further attempts failed that no event told, so that the log stays readable.
    AttemptsUntold {
        /// How many since the last event of this kind.
        count: u64,
    },
    /// An IPsec SA pair was installed or replaced.
    ChildUp {
        /// The peer.
        peer: Key,
        /// What was agreed, as written in configuration.
        suite: &'static str,
    },
    /// A tunnel of a LAC without IPsec is gone.
    LacDown {
        /// Its name in the configuration.
        lac: String,
        /// Where it was.
        from: SocketAddr,
        /// Why.
        reason: String,
    },
    /// A LAC without IPsec proved its secret and has a tunnel.
    LacUp {
        /// Its name in the configuration.
        lac: String,
        /// Where it is.
        from: SocketAddr,
        /// The host name it gives; escaped.
        host: String,
        /// The tenants of its users.
        tenant: String,
    },
    /// A peer is gone with all its SAs.
    PeerDown {
        /// The peer.
        peer: Key,
        /// Why.
        reason: &'static str,
    },
    /// A peer proved its pre-shared key.
    PeerUp {
        /// The peer.
        peer: Key,
        /// Where it is.
        from: SocketAddr,
        /// How ESP will travel.
        encap: Encap,
        /// Who it says it is; escaped.
        identity: String,
        /// The tenant its key leads to.
        tenant: String,
    },
    /// An authenticated packet came from a new address.
    PathMoved {
        /// The peer.
        peer: Key,
        /// Where it is now.
        path: Path,
    },
    /// An operator sent a packet in the name of a user, to see what becomes of it.
    ProbeSent {
        /// The session.
        session: Key,
        /// The user.
        user: String,
        /// The tenant.
        tenant: String,
        /// Where it comes from.
        source: IpAddr,
        /// Where it goes to.
        destination: IpAddr,
        /// Its protocol number.
        protocol: u8,
        /// Its destination port.
        port: Option<u16>,
    },
    /// A session ended.
    SessionDown {
        /// The session.
        session: Key,
        /// The user.
        user: String,
        /// The address, free again.
        address: Ipv4Addr,
        /// Why.
        reason: String,
    },
    /// A user is connected.
    SessionUp {
        /// The session.
        session: Key,
        /// Its peer.
        peer: PeerRef,
        /// The user.
        user: String,
        /// The tenant.
        tenant: String,
        /// The address given.
        address: Ipv4Addr,
    },
    /// The users of a tenant were read again.
    UsersReloaded {
        /// The tenant.
        tenant: String,
        /// How many there are now.
        count: usize,
    },
}
