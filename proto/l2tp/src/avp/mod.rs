//! Attribute value pairs (RFC 2661 §4.1): framing here, values in [`value`](self::Avp), hiding in
//! [`hidden`](self::Hiding).

mod bounded;
mod hidden;
mod parts;
mod result;
mod value;

pub use bounded::{Bounded, TooLong};
pub use hidden::Hiding;
pub use parts::{Accm, CallErrors, CauseCode, VendorAvp};
pub use result::ResultCode;
pub use value::{Avp, AvpFault, Identifier};

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::iana::AttributeType;

const MANDATORY: u16 = 0x8000;
const HIDDEN: u16 = 0x4000;
const RESERVED: u16 = 0x3c00;
const LENGTH: u16 = 0x03ff;
/// Flags and length, vendor, attribute type.
const HEADER_LEN: usize = 6;
/// Longest value of one AVP: the length field has ten bits.
pub const VALUE_MAX: usize = LENGTH as usize - HEADER_LEN;
/// Most AVPs taken in one message; RFC 2661 defines 39 attributes in all.
pub const AVPS_MAX: usize = 64;

/// An AVP as it stands in a message; the value may still be hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAvp<'a> {
    /// The M bit: who does not know the attribute must end the session or tunnel.
    pub mandatory: bool,
    /// The H bit.
    pub hidden: bool,
    /// A reserved bit is set, which makes the AVP an unknown one (RFC 2661 §4.1).
    pub reserved: bool,
    /// 0 for the IETF, else a private enterprise number.
    pub vendor: u16,
    /// The attribute, in the vendor's numbering.
    pub attribute: AttributeType,
    /// The value as sent.
    pub value: &'a [u8],
}

impl<'a> RawAvp<'a> {
    /// Reads one AVP.
    ///
    /// # Errors
    /// A length below six or past the end.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let flags = reader.u16("avp length")?;
        let vendor = reader.u16("avp vendor")?;
        let attribute = AttributeType(reader.u16("avp attribute")?);
        let length = usize::from(flags & LENGTH);
        let rest = length.checked_sub(HEADER_LEN).ok_or(DecodeError::illegal("avp length"))?;
        Ok(Self {
            mandatory: flags & MANDATORY != 0,
            hidden: flags & HIDDEN != 0,
            reserved: flags & RESERVED != 0,
            vendor,
            attribute,
            value: reader.take("avp value", rest)?,
        })
    }

    /// Reads AVPs to the end of the message.
    ///
    /// # Errors
    /// As [`RawAvp::read`], and more than [`AVPS_MAX`] AVPs.
    pub fn read_all(reader: &mut Reader<'a>) -> Result<Vec<Self>, DecodeError> {
        let mut all = Vec::new();
        while reader.any_left() {
            if all.len() >= AVPS_MAX {
                return Err(DecodeError::new("avps", Fault::TooMany));
            }
            all.push(Self::read(reader)?);
        }
        Ok(all)
    }
}

/// Writes one AVP around `value`, which is cut to [`VALUE_MAX`] bytes.
pub(crate) fn write_avp(
    w: &mut Writer,
    (mandatory, hidden): (bool, bool),
    (vendor, attribute): (u16, AttributeType),
    value: &[u8],
) {
    let value = value.get(..value.len().min(VALUE_MAX)).unwrap_or_default();
    let length = u16::try_from(value.len() + HEADER_LEN).unwrap_or(LENGTH);
    let flags = u16::from(mandatory) << 15 | u16::from(hidden) << 14;
    w.u16(flags | length);
    w.u16(vendor);
    w.u16(attribute.0);
    w.bytes(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_avp_shows_its_bits() {
        let bytes = [0xc4, 0x08, 0x01, 0x37, 0x00, 0x09, 0xab, 0xcd];
        let avp = RawAvp::read(&mut Reader::new(&bytes)).unwrap();
        let expected = RawAvp {
            mandatory: true,
            hidden: true,
            reserved: true,
            vendor: 311,
            attribute: AttributeType(9),
            value: &[0xab, 0xcd],
        };
        assert_eq!(avp, expected);
    }

    #[test]
    fn a_length_below_the_header_is_refused() {
        for length in 0..6 {
            let bytes = [0x80, length, 0, 0, 0, 9, 0, 1];
            assert_eq!(
                RawAvp::read(&mut Reader::new(&bytes)),
                Err(DecodeError::illegal("avp length")),
                "length {length}"
            );
        }
    }

    #[test]
    fn the_number_of_avps_is_bounded() {
        let one = [0x00, 0x06, 0, 0, 0, 39];
        let most = one.repeat(AVPS_MAX);
        assert_eq!(RawAvp::read_all(&mut Reader::new(&most)).unwrap().len(), AVPS_MAX);
        let more = one.repeat(AVPS_MAX + 1);
        assert_eq!(
            RawAvp::read_all(&mut Reader::new(&more)),
            Err(DecodeError::new("avps", Fault::TooMany))
        );
    }

    proptest! {
        #[test]
        fn framing_round_trips(
            mandatory: bool, hidden: bool, vendor: u16, attribute: u16,
            value in prop::collection::vec(any::<u8>(), 0..=VALUE_MAX),
        ) {
            let mut w = Writer::new();
            let attribute = AttributeType(attribute);
            write_avp(&mut w, (mandatory, hidden), (vendor, attribute), &value);
            let bytes = w.into_vec();
            let all = RawAvp::read_all(&mut Reader::new(&bytes)).unwrap();
            let avp = RawAvp { mandatory, hidden, reserved: false, vendor, attribute, value: &value };
            prop_assert_eq!(all, [avp]);
            for n in 1..bytes.len() {
                prop_assert!(RawAvp::read(&mut Reader::new(&bytes[..n])).is_err());
            }
        }
    }
}
