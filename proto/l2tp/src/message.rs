//! Whole control messages: framing, the AVP list, and encoding.

use alloc::vec::Vec;

use isthmus_core::Rng;
use isthmus_wire::{DecodeError, Fault, Writer};

use crate::avp::{Avp, AvpFault, Bounded, Hiding, RawAvp};
use crate::bounds::CONTROL_MESSAGE_MAX;
use crate::error::PeerError;
use crate::header::Header;
use crate::iana::{AttributeType, MessageType};

/// A control message whose framing is sound; values are not decoded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    /// What it says; nothing in a ZLB, which only acknowledges.
    pub payload: Option<Payload<'a>>,
}

/// The AVPs of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Value of the Message Type AVP.
    pub kind: MessageType,
    /// Whether the Message Type AVP has the M bit: an unknown message then ends the tunnel.
    pub mandatory: bool,
    /// The AVPs behind the Message Type.
    pub avps: Vec<RawAvp<'a>>,
}

impl<'a> Message<'a> {
    /// Reads a control message.
    ///
    /// # Errors
    /// A bad header, an AVP that does not fit, too many of them, or a first AVP that is not the
    /// Message Type in the clear.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > CONTROL_MESSAGE_MAX {
            return Err(DecodeError::new("control message", Fault::TooLong));
        }
        let (header, mut reader) = Header::read(bytes)?;
        if !reader.any_left() {
            return Ok(Self { header, payload: None });
        }
        let first = RawAvp::read(&mut reader)?;
        let avps = RawAvp::read_all(&mut reader)?;
        let Ok(Avp::MessageType(kind)) = Avp::read(&first, None, None) else {
            return Err(DecodeError::illegal("message type"));
        };
        Ok(Self { header, payload: Some(Payload { kind, mandatory: first.mandatory, avps }) })
    }
}

/// The decoded AVPs of a message, as far as they could be decoded.
#[derive(Debug)]
pub(crate) struct Avps {
    list: Vec<Avp>,
    /// The first mandatory AVP that could not be taken.
    pub(crate) error: Option<PeerError>,
    /// Optional AVPs that were skipped.
    pub(crate) ignored: u64,
}

impl Avps {
    /// Decodes what can be decoded. Broken or unknown AVPs are skipped when they are optional, and
    /// reported when they are mandatory (RFC 2661 §4.2 and §7.1).
    pub(crate) fn read(payload: &Payload<'_>, hiding: Option<Hiding<'_>>) -> Self {
        let mut avps = Self { list: Vec::new(), error: None, ignored: 0 };
        let mut vector: Option<Bounded<_>> = None;
        for raw in &payload.avps {
            match Avp::read(raw, vector.as_ref().map(Bounded::as_bytes), hiding) {
                Ok(Avp::RandomVector(value)) => vector = Some(value),
                Ok(Avp::Vendor(_)) => avps.skip(raw, AvpFault::Unknown),
                Ok(avp) => avps.list.push(avp),
                Err(fault) => avps.skip(raw, fault),
            }
        }
        avps
    }

    fn skip(&mut self, raw: &RawAvp<'_>, fault: AvpFault) {
        if !raw.mandatory {
            self.ignored += 1;
            return;
        }
        self.error.get_or_insert(match fault {
            AvpFault::Hidden => PeerError::Hidden(raw.attribute),
            AvpFault::Malformed(error) => PeerError::Malformed(raw.attribute, error),
            AvpFault::Unknown => {
                PeerError::UnknownMandatory { vendor: raw.vendor, attribute: raw.attribute }
            }
        });
    }

    /// The first AVP that `pick` recognises; repeated attributes count once.
    pub(crate) fn find<'s, T>(&'s self, pick: impl Fn(&'s Avp) -> Option<T>) -> Option<T> {
        self.list.iter().find_map(pick)
    }

    /// As [`Avps::find`], for an AVP that must be there.
    pub(crate) fn need<'s, T>(
        &'s self,
        attribute: AttributeType,
        pick: impl Fn(&'s Avp) -> Option<T>,
    ) -> Result<T, PeerError> {
        self.find(pick).ok_or(PeerError::Missing(attribute))
    }
}

/// Something to write: an AVP and its M bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The attribute and its value.
    pub avp: Avp,
    /// The M bit.
    pub mandatory: bool,
}

impl From<Avp> for Field {
    /// With the M bit that RFC 2661 gives the attribute.
    fn from(avp: Avp) -> Self {
        Self { mandatory: avp.is_mandatory(), avp }
    }
}

/// Encodes a message with Ns and Nr zero.
///
/// With `hiding`, a Random Vector is put in front and every AVP that may be hidden is.
pub(crate) fn encode(
    (tunnel, session): (u16, u16),
    kind: MessageType,
    fields: &[Field],
    hiding: Option<Hiding<'_>>,
    rng: &mut Rng,
) -> Vec<u8> {
    let mut w = Writer::new();
    Avp::MessageType(kind).write(true, &mut w);
    match hiding.filter(|_| fields.iter().any(|field| field.avp.may_hide())) {
        None => {
            for field in fields {
                field.avp.write(field.mandatory, &mut w);
            }
        }
        Some(hiding) => {
            let vector: [u8; 16] = rng.array();
            Avp::RandomVector(Bounded::clipped(&vector)).write(true, &mut w);
            for field in fields {
                field.avp.write_hidden(field.mandatory, (hiding, &vector), rng, &mut w);
            }
        }
    }
    Header { tunnel, session, ns: 0, nr: 0 }.write(w.as_slice())
}
