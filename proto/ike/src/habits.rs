//! How an initiator speaks where the protocol leaves it free: our own way, and by other values the
//! ways of the clients that people have.
//!
//! Only data: `isthmus-client` has one set of habits for each client it can stand in for. A responder
//! reads none of this; it follows its peer.

use alloc::vec::Vec;

use isthmus_core::Duration;

use crate::iana::{Encapsulation, PayloadType};
use crate::proposal::OfferedIke;
use crate::sa::BACKOFF;
use crate::suite::OfferedEsp;

/// How an initiator speaks. The default is our own way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// Main mode.
    pub phase1: Phase1Habits,
    /// Quick mode.
    pub phase2: Phase2Habits,
    /// What happens to SAs that are there.
    pub life: LifeHabits,
}

/// Habits in main mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase1Habits {
    /// Transforms in order, those included that we cannot do; none for the configuration's. At most
    /// [`OFFERS_MAX`](crate::bounds::OFFERS_MAX) are sent.
    pub transforms: Option<Vec<OfferedIke>>,
    /// Life durations have four bytes, however small they are.
    pub wide_lifetimes: bool,
    /// Vendor ids in order, as raw bytes; none for our own.
    pub vendors: Option<Vec<Vec<u8>>>,
    /// Protocol and port in the identification payload: 0 and 0, or 17 and 500.
    pub id_port: (u8, u16),
    /// Number of the NAT-D payloads; none for the one of the dialect agreed.
    pub nat_d: Option<PayloadType>,
    /// How a first contact is announced.
    pub initial_contact: InitialContact,
    /// Waits before a request is sent again, and after the last time; as many as there are.
    pub retransmit: Vec<Duration>,
}

impl Default for Phase1Habits {
    fn default() -> Self {
        Self {
            transforms: None,
            wide_lifetimes: false,
            vendors: None,
            id_port: (0, 0),
            nat_d: None,
            initial_contact: InitialContact::Notification,
            retransmit: BACKOFF.to_vec(),
        }
    }
}

/// Habits in quick mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase2Habits {
    /// How quick modes are numbered.
    pub message_ids: MessageIds,
    /// Transforms in order, those included that must never be chosen; none for the configuration's
    /// suites. At most [`SUITES_MAX`](crate::bounds::SUITES_MAX) are sent. Groups and encapsulation
    /// are filled in.
    pub transforms: Option<Vec<OfferedEsp>>,
    /// Life durations have four bytes, however small they are.
    pub wide_lifetimes: bool,
    /// Length of nonces in bytes, 8 to 256 (RFC 2409 §5).
    pub nonce_len: usize,
    /// Protocol and port of our own identification payload.
    pub selector: Selector,
    /// Number of UDP-encapsulated transport mode; none for the one of the dialect agreed.
    pub encapsulation: Option<Encapsulation>,
    /// How many NAT-OA payloads are sent behind a NAT: none, ours, or ours and the peer's.
    pub nat_oa: u8,
    /// Number of the NAT-OA payloads; none for the one of the dialect agreed.
    pub nat_oa_number: Option<PayloadType>,
    /// Whether RESPONDER-LIFETIME is minded.
    pub minds_responder_lifetime: bool,
}

impl Default for Phase2Habits {
    fn default() -> Self {
        Self {
            message_ids: MessageIds::Random,
            transforms: None,
            wide_lifetimes: false,
            nonce_len: crate::quick_mode::NONCE_LEN,
            selector: Selector::Port,
            encapsulation: None,
            nat_oa: 2,
            nat_oa_number: None,
            minds_responder_lifetime: true,
        }
    }
}

/// Habits about SAs that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeHabits {
    /// What is done about dead peer detection.
    pub dpd: DpdHabit,
    /// What happens to a child that was replaced.
    pub replaced: Replaced,
    /// A DELETE for every child when the connection ends.
    pub deletes_children: bool,
    /// A DELETE for every IKE SA when the connection ends.
    pub deletes_ike: bool,
}

impl Default for LifeHabits {
    fn default() -> Self {
        Self {
            dpd: DpdHabit::Active,
            replaced: Replaced::DeleteAfter,
            deletes_children: true,
            deletes_ike: true,
        }
    }
}

/// How a first contact is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialContact {
    /// Not at all.
    Never,
    /// By notification in message 5 (RFC 2407 §4.6.3.3).
    Notification,
    /// By Microsoft's vendor id in message 1; it stands among the vendor ids and is left out of
    /// rekeys.
    VendorId,
}

/// How quick modes are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageIds {
    /// 1, 2, 3 on each IKE SA, as Windows has it.
    Counter,
    /// Random (RFC 2408 §3.1).
    Random,
}

/// Protocol and port of our own identification payload in quick mode. The server's is always UDP and
/// the port of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Any protocol: 0 and 0.
    Any,
    /// UDP and any port: 17 and 0.
    AnyPort,
    /// UDP and the port of the connection.
    Port,
}

/// What is done about dead peer detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DpdHabit {
    /// Silent peers are asked, questions are answered.
    Active,
    /// Questions are answered.
    Answers,
    /// It is unknown: nothing is asked or answered.
    Unknown,
}

/// What happens to a child that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is deleted after a grace for packets under way.
    DeleteAfter,
    /// Its DELETE goes out before message 3 of its replacement; packets under way are taken for a
    /// minute. Windows does so.
    DeleteBefore,
    /// It is forgotten after the grace, and the peer is not told.
    Forget,
}
