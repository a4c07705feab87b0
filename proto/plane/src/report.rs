//! What the pipeline tells control.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Encap, Key, Path};

use crate::lac::LacKey;
use crate::stats::{SaCounters, SessionCounters, Stats};

/// One observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Something authentic came from the peer; at most once per
    /// [`ALIVE_REPORT_INTERVAL`](crate::ALIVE_REPORT_INTERVAL).
    Alive {
        /// The peer.
        peer: Key,
    },
    /// The answer to [`Command::ReadSession`](crate::Command::ReadSession).
    Carried {
        /// The session.
        session: Key,
        /// Since it was opened.
        counters: SessionCounters,
    },
    /// The answer to [`Command::ReadCounters`](crate::Command::ReadCounters).
    Counters(Box<Counters>),
    /// An IKE message; nothing about it has been checked.
    Ike {
        /// Where it came from.
        path: Path,
        /// Whether it came to port 4500 behind the non-ESP marker, which is removed.
        marked: bool,
        /// The message.
        bytes: Vec<u8>,
    },
    /// An SA cannot be installed: its keys do not fit its suite, or the provider lacks it.
    InstallFailed {
        /// The peer.
        peer: Key,
        /// The SPI, ours or the peer's.
        spi: u32,
    },
    /// An L2TP packet for control, authentic: a control message, or a PPP frame behind a data header
    /// that is not IP or belongs to no session known here.
    L2tp {
        /// The peer.
        peer: Key,
        /// Our UDP port.
        local_port: u16,
        /// The peer's UDP port.
        remote_port: u16,
        /// The packet from the L2TP flags on.
        bytes: Vec<u8>,
    },
    /// Something came from a LAC that is open; at most once per
    /// [`ALIVE_REPORT_INTERVAL`](crate::ALIVE_REPORT_INTERVAL) for the LAC and for each session.
    LacAlive {
        /// The LAC.
        lac: LacKey,
        /// The session that data came in: the user behind it lives. Without one only the LAC does.
        session: Option<Key>,
    },
    /// A plain L2TP packet for control from an address that is trusted; nothing else about it has been
    /// checked. What it is, is as with [`Report::L2tp`].
    PlainL2tp {
        /// Where it came from.
        path: Path,
        /// A lane of the pipeline that got it and will get what comes from there: a LAC's keys must be
        /// of it.
        lane: usize,
        /// The packet from the L2TP flags on.
        bytes: Vec<u8>,
    },
    /// The newest authentic packet came from another address; the pipeline sends there from now on.
    PathMoved {
        /// The peer.
        peer: Key,
        /// Where it is.
        path: Path,
        /// How ESP travels to it.
        encap: Encap,
    },
    /// An outbound SA has few reserved sequence numbers left; once for each reservation. Without
    /// [`Command::Reserve`](crate::Command::Reserve) it will stop sending.
    ReserveLow {
        /// The peer.
        peer: Key,
        /// The peer's SPI.
        spi: u32,
        /// The next number to use.
        next: u64,
    },
    /// The peer uses an inbound SA; once for each. It proves that the peer has the last message of the
    /// negotiation, even where ours of it was lost.
    SaUsed {
        /// The peer.
        peer: Key,
        /// Our SPI.
        spi: u32,
    },
    /// An SA has done most of what it may; once for each.
    SoftLimit {
        /// The peer.
        peer: Key,
        /// The SPI, ours or the peer's.
        spi: u32,
    },
}

/// All counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// From the command.
    pub token: u64,
    /// The whole pipeline.
    pub total: Stats,
    /// Each session that is open.
    pub sessions: Vec<(Key, SessionCounters)>,
    /// Each SA that is installed.
    pub sas: Vec<SaCounters>,
}

impl Counters {
    /// Adds those of another pipeline.
    pub fn merge(&mut self, other: Self) {
        self.total.add(&other.total);
        self.sessions.extend(other.sessions);
        self.sas.extend(other.sas);
    }
}
