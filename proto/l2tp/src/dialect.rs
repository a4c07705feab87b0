//! What a LAC's messages look like, AVP by AVP: our own, and those of the clients people have.
//!
//! A dialect lists the AVPs of SCCRQ, ICRQ and ICCN behind the Message Type, in order. SCCCN, HELLO,
//! CDN and `StopCCN` look alike everywhere.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::{Duration, Rng};

use crate::avp::{Avp, Bounded, VendorAvp};
use crate::habits::{Accepts, Habits, Ids, Results, Waits};
use crate::iana::{AttributeType, Bearer, Framing, PROTOCOL_VERSION, ProxyAuthenType};
use crate::message::Field;

/// How a LAC numbers its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serial {
    /// 1, 2, 3 and so on, as xl2tpd does.
    Counter,
    /// Always the same.
    Fixed(u32),
    /// Random.
    Random,
}

/// One AVP of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Our tunnel id in SCCRQ, our session id in ICRQ; mandatory.
    AssignedId,
    /// The call serial number; mandatory.
    CallSerial(Serial),
    /// A random challenge, when a secret is configured; mandatory.
    Challenge,
    /// Always the same AVP.
    Fixed(Field),
    /// A random tie breaker, when configured.
    TieBreaker,
}

impl From<Avp> for Slot {
    fn from(avp: Avp) -> Self {
        Self::Fixed(avp.into())
    }
}

/// The three messages that differ between clients, and the habits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Start-Control-Connection-Request.
    pub sccrq: Vec<Slot>,
    /// Incoming-Call-Request.
    pub icrq: Vec<Slot>,
    /// Incoming-Call-Connected.
    pub iccn: Vec<Field>,
    /// What is done beside what is said.
    pub habits: Habits,
}

impl Dialect {
    /// Our own: what RFC 2661 requires, our name and our window.
    pub fn isthmus(host_name: &[u8]) -> Self {
        Self {
            sccrq: vec![
                Avp::ProtocolVersion(PROTOCOL_VERSION).into(),
                Avp::FramingCapabilities(Framing::BOTH).into(),
                Avp::BearerCapabilities(Bearer::NONE).into(),
                Avp::FirmwareRevision(0x0100).into(),
                Avp::HostName(Bounded::clipped(host_name)).into(),
                Avp::VendorName(Bounded::clipped(b"Isthmus")).into(),
                Slot::AssignedId,
                Avp::ReceiveWindowSize(8).into(),
                Slot::Challenge,
                Slot::TieBreaker,
            ],
            icrq: vec![Slot::AssignedId, Slot::CallSerial(Serial::Counter)],
            iccn: speed_and_framing(100_000_000, Framing::SYNC),
            habits: Habits::default(),
        }
    }

    /// Windows Vista to 11; `firmware` is 0x0600 for Vista and 0x0a00 for 10.
    pub fn windows(host_name: &[u8], firmware: u16) -> Self {
        let correlation = Avp::Vendor(VendorAvp {
            vendor: 311,
            attribute: AttributeType(1),
            value: Bounded::clipped(&[0x5a; 16]),
        });
        let mut iccn = speed_and_framing(100_000_000, Framing::SYNC);
        iccn.push(Avp::ProxyAuthenType(ProxyAuthenType::NONE).into());
        Self {
            sccrq: vec![
                Avp::ProtocolVersion(PROTOCOL_VERSION).into(),
                Avp::FramingCapabilities(Framing::SYNC).into(),
                optional(Avp::BearerCapabilities(Bearer::NONE)),
                Avp::FirmwareRevision(firmware).into(),
                Avp::HostName(Bounded::clipped(host_name)).into(),
                Avp::VendorName(Bounded::clipped(b"Microsoft")).into(),
                Slot::AssignedId,
                Avp::ReceiveWindowSize(8).into(),
                Slot::Challenge,
            ],
            icrq: vec![
                Slot::AssignedId,
                Slot::CallSerial(Serial::Fixed(0)),
                optional(Avp::BearerType(Bearer::ANALOG)),
                correlation.into(),
            ],
            iccn,
            habits: Habits { accepts: Accepts::Windows, ids: Ids::Small, ..Habits::default() },
        }
    }

    /// macOS and iOS: everything mandatory, and a NUL behind the host name.
    pub fn apple(host_name: &[u8]) -> Self {
        let mut name = host_name.to_vec();
        name.push(0);
        Self {
            sccrq: vec![
                Avp::ProtocolVersion(PROTOCOL_VERSION).into(),
                Avp::FramingCapabilities(Framing::BOTH).into(),
                Avp::HostName(Bounded::clipped(&name)).into(),
                Slot::AssignedId,
                Avp::ReceiveWindowSize(4).into(),
            ],
            icrq: vec![Slot::AssignedId, Slot::CallSerial(Serial::Fixed(1))],
            iccn: speed_and_framing(1_000_000, Framing::BOTH),
            habits: Habits {
                wakes: 10,
                silent: true,
                results: Results::Apple,
                first_waits: Waits::fixed(Duration::from_secs(1), 60),
                waits: Waits { cap: Duration::from_secs(4), repeats: 9, ..Waits::default() },
                ..Habits::default()
            },
        }
    }

    /// Android up to 11 (mtpd): a window of one.
    pub fn android() -> Self {
        Self {
            sccrq: vec![
                Avp::ProtocolVersion(PROTOCOL_VERSION).into(),
                Avp::HostName(Bounded::clipped(b"anonymous")).into(),
                Avp::FramingCapabilities(Framing::BOTH).into(),
                Slot::AssignedId,
                Avp::ReceiveWindowSize(1).into(),
                Slot::Challenge,
            ],
            icrq: vec![Slot::AssignedId, Slot::CallSerial(Serial::Random)],
            iccn: speed_and_framing(100_000_000, Framing::BOTH),
            habits: Habits {
                silent: true,
                results: Results::CodeOnly,
                first_waits: Waits::fixed(Duration::from_secs(2), 30),
                waits: Waits::fixed(Duration::from_secs(2), 30),
                waits_for_acks: true,
                window_max: Some(1),
                accepts: Accepts::Android,
                ..Habits::default()
            },
        }
    }

    /// xl2tpd as NetworkManager-l2tp runs it.
    pub fn xl2tpd(host_name: &[u8]) -> Self {
        let mut iccn = speed_and_framing(100_000_000, Framing::SYNC);
        iccn.push(Avp::RxConnectSpeed(100_000_000).into());
        Self {
            sccrq: vec![
                Avp::ProtocolVersion(PROTOCOL_VERSION).into(),
                Avp::FramingCapabilities(Framing::BOTH).into(),
                Avp::BearerCapabilities(Bearer::NONE).into(),
                Avp::FirmwareRevision(0x0690).into(),
                Avp::HostName(Bounded::clipped(host_name)).into(),
                Avp::VendorName(Bounded::clipped(b"xelerance.com")).into(),
                Slot::AssignedId,
                Avp::ReceiveWindowSize(8).into(),
                Slot::Challenge,
            ],
            icrq: vec![
                Slot::AssignedId,
                Slot::CallSerial(Serial::Counter),
                Avp::BearerType(Bearer::NONE).into(),
            ],
            iccn,
            habits: Habits::default(),
        }
    }
}

/// What fills the slots.
pub(crate) struct Filling<'a> {
    pub(crate) assigned: Avp,
    pub(crate) serial: u32,
    pub(crate) challenge: Option<&'a [u8]>,
    pub(crate) tie_breaker: Option<u64>,
}

/// The AVPs of a message.
pub(crate) fn fill(slots: &[Slot], filling: &Filling<'_>) -> Vec<Field> {
    let fill = |slot: &Slot| match slot {
        Slot::AssignedId => Some(filling.assigned.clone().into()),
        Slot::CallSerial(_) => Some(Avp::CallSerialNumber(filling.serial).into()),
        Slot::Challenge => filling.challenge.map(|c| Avp::Challenge(Bounded::clipped(c)).into()),
        Slot::Fixed(field) => Some(field.clone()),
        Slot::TieBreaker => filling.tie_breaker.map(|t| Avp::TieBreaker(t).into()),
    };
    slots.iter().filter_map(fill).collect()
}

/// The serial number of the call after `count` others.
pub(crate) fn serial(slots: &[Slot], count: u32, rng: &mut Rng) -> u32 {
    let rule = slots.iter().find_map(|slot| match slot {
        Slot::CallSerial(rule) => Some(*rule),
        Slot::AssignedId | Slot::Challenge | Slot::Fixed(_) | Slot::TieBreaker => None,
    });
    match rule {
        Some(Serial::Counter) => count.wrapping_add(1),
        Some(Serial::Fixed(serial)) => serial,
        Some(Serial::Random) => rng.u32(),
        None => 0,
    }
}

fn speed_and_framing(speed: u32, framing: Framing) -> Vec<Field> {
    vec![Avp::TxConnectSpeed(speed).into(), Avp::FramingType(framing).into()]
}

fn optional(avp: Avp) -> Slot {
    Slot::Fixed(Field { avp, mandatory: false })
}
