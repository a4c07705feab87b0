//! Values that have fields of their own.

use isthmus_wire::{DecodeError, Reader, Writer};
use serde::{Deserialize, Serialize};

use super::{Bounded, VALUE_MAX};
use crate::bounds::ADVISORY_MAX;
use crate::iana::AttributeType;

/// Q.931 Cause Code (RFC 2661 §4.4.5): why a telephone call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseCode {
    /// The Q.931 cause code.
    pub cause: u16,
    /// The Q.931 message type.
    pub message: u8,
    /// Text, for logs only.
    pub advisory: Bounded<ADVISORY_MAX>,
}

impl CauseCode {
    pub(super) fn read_value(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cause = reader.u16("cause code")?;
        let message = reader.u8("cause message")?;
        Ok(Self { cause, message, advisory: Bounded::clipped(reader.rest()) })
    }

    pub(super) fn write_value(&self, w: &mut Writer) {
        w.u16(self.cause);
        w.u8(self.message);
        w.bytes(self.advisory.as_bytes());
    }
}

/// Call Errors (RFC 2661 §4.4.6): counters since the call began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallErrors {
    /// Frames with a wrong checksum.
    pub crc: u32,
    /// Framing errors.
    pub framing: u32,
    /// Receiver overruns.
    pub hardware_overruns: u32,
    /// Buffer overruns.
    pub buffer_overruns: u32,
    /// Time-outs.
    pub timeouts: u32,
    /// Alignment errors.
    pub alignment: u32,
}

impl CallErrors {
    pub(super) fn read_value(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16("reserved")?;
        Ok(Self {
            crc: reader.u32("crc errors")?,
            framing: reader.u32("framing errors")?,
            hardware_overruns: reader.u32("hardware overruns")?,
            buffer_overruns: reader.u32("buffer overruns")?,
            timeouts: reader.u32("time-out errors")?,
            alignment: reader.u32("alignment errors")?,
        })
    }

    pub(super) fn write_value(&self, w: &mut Writer) {
        w.u16(0);
        for counter in [
            self.crc,
            self.framing,
            self.hardware_overruns,
            self.buffer_overruns,
            self.timeouts,
            self.alignment,
        ] {
            w.u32(counter);
        }
    }
}

/// ACCM (RFC 2661 §4.4.6): the character maps of an asynchronous line; no use without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accm {
    /// Map for sending.
    pub send: u32,
    /// Map for receiving.
    pub receive: u32,
}

impl Accm {
    pub(super) fn read_value(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16("reserved")?;
        Ok(Self { send: reader.u32("send accm")?, receive: reader.u32("receive accm")? })
    }

    pub(super) fn write_value(self, w: &mut Writer) {
        w.u16(0);
        w.u32(self.send);
        w.u32(self.receive);
    }
}

/// An AVP of a vendor's own; we send what a profile asks for and ignore what comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorAvp {
    /// Private enterprise number, not 0.
    pub vendor: u16,
    /// Attribute in the vendor's numbering.
    pub attribute: AttributeType,
    /// The value.
    pub value: Bounded<VALUE_MAX>,
}
