//! The SA payload: proposals, transforms and their attributes (RFC 2408 §3.4-3.6, RFC 2407 §4.6.1).

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::iana::{DOI_IPSEC, PayloadType, ProtocolId, SITUATION_IDENTITY_ONLY};

/// The body of an SA payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaBody {
    /// Proposals in the sender's order of preference; equal numbers belong together.
    pub proposals: Vec<Proposal>,
}

/// One protocol and the transforms offered for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Number; proposals with the same number are meant together.
    pub number: u8,
    /// Protocol.
    pub protocol: ProtocolId,
    /// The sender's inbound SPI: four bytes for ESP, usually none for ISAKMP.
    pub spi: Vec<u8>,
    /// Transforms in the sender's order of preference.
    pub transforms: Vec<Transform>,
}

/// One way to do a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    /// Number, returned by the responder.
    pub number: u8,
    /// Transform id, in the registry of the protocol.
    pub id: u8,
    /// Attributes in the order received: a life duration belongs to the life type before it.
    pub attributes: Vec<Attribute>,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Class, in the registry of the phase; 15 bits.
    pub class: u16,
    /// Value in the form in which it came.
    pub value: AttributeValue,
}

/// The two forms of an attribute (RFC 2408 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// TV: two bytes.
    Basic(u16),
    /// TLV: any number of bytes; Windows sends every life duration as four.
    Variable(Vec<u8>),
}

impl Attribute {
    /// An attribute in the short form.
    pub const fn basic(class: u16, value: u16) -> Self {
        Self { class, value: AttributeValue::Basic(value) }
    }

    /// A number in the short form when it fits and in four bytes otherwise.
    pub fn number(class: u16, value: u32) -> Self {
        match u16::try_from(value) {
            Ok(short) => Self::basic(class, short),
            Err(_) => Self { class, value: AttributeValue::Variable(value.to_be_bytes().to_vec()) },
        }
    }

    /// A life duration: as [`Attribute::number`], or `wide` in four bytes even when two would do, as
    /// Windows has it.
    pub fn duration(class: u16, value: u32, wide: bool) -> Self {
        if wide {
            Self { class, value: AttributeValue::Variable(value.to_be_bytes().to_vec()) }
        } else {
            Self::number(class, value)
        }
    }

    /// The value as a number; none when it does not fit 64 bits or is empty.
    pub fn as_number(&self) -> Option<u64> {
        match &self.value {
            AttributeValue::Basic(value) => Some(u64::from(*value)),
            AttributeValue::Variable(bytes) => {
                let significant = bytes.iter().skip_while(|b| **b == 0);
                if bytes.is_empty() || significant.clone().count() > 8 {
                    return None;
                }
                Some(significant.fold(0, |sum, b| sum << 8 | u64::from(*b)))
            }
        }
    }

    /// The value as a 16-bit number, the only size algorithm numbers come in.
    pub fn as_u16(&self) -> Option<u16> {
        self.as_number().and_then(|n| u16::try_from(n).ok())
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head = r.u16("attribute type")?;
        let class = head & !ATTRIBUTE_FORMAT;
        let second = r.u16("attribute value")?;
        if head & ATTRIBUTE_FORMAT != 0 {
            return Ok(Self::basic(class, second));
        }
        let value = r.take("attribute value", usize::from(second))?;
        if value.len() > ATTRIBUTE_LEN_MAX {
            return Err(DecodeError::new("attribute value", Fault::TooLong));
        }
        Ok(Self { class, value: AttributeValue::Variable(value.to_vec()) })
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        match &self.value {
            AttributeValue::Basic(value) => {
                w.u16(self.class | ATTRIBUTE_FORMAT);
                w.u16(*value);
            }
            AttributeValue::Variable(bytes) => {
                w.u16(self.class & !ATTRIBUTE_FORMAT);
                let mark = w.begin_u16(w.len() + 2);
                w.bytes(bytes);
                w.end_u16(&mark);
            }
        }
    }

    /// Reads attributes until the bytes end; RESPONDER-LIFETIME carries them bare.
    ///
    /// # Errors
    /// A truncated attribute, or more than [`ATTRIBUTES_MAX`].
    pub fn read_all(r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        let mut attributes = Vec::new();
        while r.any_left() {
            if attributes.len() >= ATTRIBUTES_MAX {
                return Err(DecodeError::new("attributes", Fault::TooMany));
            }
            attributes.push(Self::read(r)?);
        }
        Ok(attributes)
    }
}

impl SaBody {
    /// Reads the body of an SA payload.
    ///
    /// # Errors
    /// Another DOI or situation, nonsense lengths, no proposal or transform, or more than we take.
    pub fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body);
        if r.u32("DOI")? != DOI_IPSEC {
            return Err(DecodeError::illegal("DOI"));
        }
        if r.u32("situation")? != SITUATION_IDENTITY_ONLY {
            return Err(DecodeError::illegal("situation"));
        }
        let mut proposals = Vec::new();
        let mut budget = TRANSFORMS_MAX;
        let mut more = true;
        while more {
            if proposals.len() >= PROPOSALS_MAX {
                return Err(DecodeError::new("proposals", Fault::TooMany));
            }
            let (next, mut inner) = read_link(&mut r, PayloadType::PROPOSAL, "proposal")?;
            proposals.push(Proposal::read(&mut inner, &mut budget)?);
            more = next;
        }
        r.finish("SA")?;
        Ok(Self { proposals })
    }

    /// The body of an SA payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(DOI_IPSEC);
        w.u32(SITUATION_IDENTITY_ONLY);
        let last = self.proposals.len().saturating_sub(1);
        for (index, proposal) in self.proposals.iter().enumerate() {
            let start = begin_link(&mut w, PayloadType::PROPOSAL, index < last);
            proposal.write(&mut w);
            w.end_u16(&start);
        }
        w.into_vec()
    }
}

impl Proposal {
    fn read(r: &mut Reader<'_>, budget: &mut usize) -> Result<Self, DecodeError> {
        let number = r.u8("proposal number")?;
        let protocol = ProtocolId(r.u8("protocol id")?);
        let spi_len = usize::from(r.u8("SPI size")?);
        let count = usize::from(r.u8("number of transforms")?);
        if spi_len > SPI_LEN_MAX {
            return Err(DecodeError::new("SPI size", Fault::TooLong));
        }
        let spi = r.take("SPI", spi_len)?.to_vec();
        *budget =
            budget.checked_sub(count).ok_or(DecodeError::new("transforms", Fault::TooMany))?;
        let mut transforms = Vec::new();
        let mut more = true;
        while more {
            let (next, mut inner) = read_link(r, PayloadType::TRANSFORM, "transform")?;
            transforms.push(Transform::read(&mut inner)?);
            more = next;
            if more == (transforms.len() >= count) {
                return Err(DecodeError::illegal("number of transforms"));
            }
        }
        r.finish("proposal")?;
        Ok(Self { number, protocol, spi, transforms })
    }

    fn write(&self, w: &mut Writer) {
        w.u8(self.number);
        w.u8(self.protocol.0);
        w.u8(u8::try_from(self.spi.len()).unwrap_or(u8::MAX));
        w.u8(u8::try_from(self.transforms.len()).unwrap_or(u8::MAX));
        w.bytes(&self.spi);
        let last = self.transforms.len().saturating_sub(1);
        for (index, transform) in self.transforms.iter().enumerate() {
            let start = begin_link(w, PayloadType::TRANSFORM, index < last);
            transform.write(w);
            w.end_u16(&start);
        }
    }

    /// The SPI as ESP has it: four bytes, above the reserved range (RFC 4303 §2.1).
    pub fn esp_spi(&self) -> Option<u32> {
        let bytes = <[u8; 4]>::try_from(self.spi.as_slice()).ok()?;
        Some(u32::from_be_bytes(bytes)).filter(|spi| *spi > 255)
    }
}

impl Transform {
    /// The first attribute of a class.
    pub fn attribute(&self, class: u16) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.class == class)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = r.u8("transform number")?;
        let id = r.u8("transform id")?;
        r.u16("transform reserved")?;
        Ok(Self { number, id, attributes: Attribute::read_all(r)? })
    }

    fn write(&self, w: &mut Writer) {
        w.u8(self.number);
        w.u8(self.id);
        w.u16(0);
        for attribute in &self.attributes {
            attribute.write(w);
        }
    }
}

/// Reads the generic header of a proposal or transform: whether another follows, and its content.
fn read_link<'a>(
    r: &mut Reader<'a>,
    kind: PayloadType,
    field: &'static str,
) -> Result<(bool, Reader<'a>), DecodeError> {
    let next = PayloadType(r.u8(field)?);
    if next != kind && next != PayloadType::NONE {
        return Err(DecodeError::illegal(field));
    }
    r.u8(field)?;
    let length = usize::from(r.u16(field)?);
    let inner = length.checked_sub(LINK_LEN).ok_or(DecodeError::illegal(field))?;
    Ok((next == kind, r.sub(field, inner)?))
}

fn begin_link(w: &mut Writer, kind: PayloadType, more: bool) -> isthmus_wire::LengthMark {
    let start = w.len();
    w.u8(if more { kind.0 } else { 0 });
    w.u8(0);
    w.begin_u16(start)
}

const LINK_LEN: usize = 4;
const ATTRIBUTE_FORMAT: u16 = 0x8000;
/// Most proposals in one SA payload.
pub const PROPOSALS_MAX: usize = 32;
/// Most transforms in one SA payload, over all proposals; Android sends 16.
pub const TRANSFORMS_MAX: usize = 128;
/// Most attributes in one transform.
pub const ATTRIBUTES_MAX: usize = 16;
/// Longest attribute value.
pub const ATTRIBUTE_LEN_MAX: usize = 64;
/// Longest SPI: a pair of cookies.
pub const SPI_LEN_MAX: usize = 16;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    fn transform(number: u8) -> Transform {
        Transform {
            number,
            id: 1,
            attributes: vec![
                Attribute::basic(1, 7),
                Attribute::basic(14, 256),
                Attribute { class: 12, value: AttributeValue::Variable(vec![0, 0, 0x70, 0x80]) },
            ],
        }
    }

    fn sa(transforms: usize) -> SaBody {
        let transforms = (1..=transforms).map(|n| transform(u8::try_from(n).unwrap())).collect();
        let proposal =
            Proposal { number: 1, protocol: ProtocolId::ISAKMP, spi: vec![], transforms };
        SaBody { proposals: vec![proposal] }
    }

    #[test]
    fn one_transform_is_laid_out_as_the_rfc_draws_it() {
        let bytes = sa(1).to_bytes();
        let expected = [
            0, 0, 0, 1, 0, 0, 0, 1, // DOI, situation
            0, 0, 0, 32, 1, 1, 0, 1, // proposal 1, ISAKMP, no SPI, one transform
            0, 0, 0, 24, 1, 1, 0, 0, // transform 1, KEY_IKE
            0x80, 1, 0, 7, 0x80, 14, 1, 0, // AES, 256 bits
            0, 12, 0, 4, 0, 0, 0x70, 0x80, // 28800 in four bytes
        ];
        assert_eq!(bytes, expected);
        assert_eq!(SaBody::read(&bytes).unwrap(), sa(1));
    }

    #[test]
    fn a_duration_reads_alike_in_both_forms() {
        let long = AttributeValue::Variable(vec![0, 0, 0x70, 0x80]);
        assert_eq!(Attribute { class: 12, value: long }.as_number(), Some(28800));
        assert_eq!(Attribute::number(12, 28800), Attribute::basic(12, 28800));
        assert_eq!(Attribute::number(12, 250_000).as_number(), Some(250_000));
        let empty = Attribute { class: 12, value: AttributeValue::Variable(vec![]) };
        assert_eq!(empty.as_number(), None);
        let huge = Attribute { class: 12, value: AttributeValue::Variable(vec![1; 9]) };
        assert_eq!(huge.as_number(), None);
    }

    #[test]
    fn another_doi_or_situation_is_refused() {
        let mut bytes = sa(1).to_bytes();
        bytes[..4].fill(0xff);
        assert_eq!(SaBody::read(&bytes), Err(DecodeError::illegal("DOI")));
        let mut bytes = sa(1).to_bytes();
        bytes[4..8].fill(0xff);
        assert_eq!(SaBody::read(&bytes), Err(DecodeError::illegal("situation")));
    }

    #[test]
    fn every_prefix_is_refused() {
        let bytes = sa(3).to_bytes();
        assert!((0..bytes.len()).all(|n| SaBody::read(&bytes[..n]).is_err()));
    }

    #[test]
    fn the_number_of_transforms_must_be_true() {
        let mut bytes = sa(2).to_bytes();
        for lie in [0, 1, 3, 255] {
            bytes[15] = lie;
            assert!(SaBody::read(&bytes).is_err(), "{lie} transforms believed");
        }
    }

    #[test]
    fn each_bound_is_refused_one_above() {
        let mut many = sa(1);
        many.proposals = vec![many.proposals[0].clone(); PROPOSALS_MAX];
        assert!(SaBody::read(&many.to_bytes()).is_ok());
        many.proposals.push(many.proposals[0].clone());
        assert_eq!(SaBody::read(&many.to_bytes()).unwrap_err().field, "proposals");
        assert!(SaBody::read(&sa(TRANSFORMS_MAX).to_bytes()).is_ok());
        assert_eq!(
            SaBody::read(&sa(TRANSFORMS_MAX + 1).to_bytes()).unwrap_err().field,
            "transforms"
        );

        let mut wide = sa(1);
        wide.proposals[0].transforms[0].attributes =
            vec![Attribute::basic(1, 1); ATTRIBUTES_MAX + 1];
        assert_eq!(SaBody::read(&wide.to_bytes()).unwrap_err().field, "attributes");
        let mut long = sa(1);
        long.proposals[0].transforms[0].attributes[2].value =
            AttributeValue::Variable(vec![0; ATTRIBUTE_LEN_MAX + 1]);
        assert_eq!(SaBody::read(&long.to_bytes()).unwrap_err().fault, Fault::TooLong);
        let mut spi = sa(1);
        spi.proposals[0].spi = vec![0; SPI_LEN_MAX + 1];
        assert_eq!(SaBody::read(&spi.to_bytes()).unwrap_err().field, "SPI size");
    }

    #[test]
    fn reserved_spis_are_no_esp_spis() {
        let mut proposal = sa(1).proposals.remove(0);
        proposal.spi = 255u32.to_be_bytes().to_vec();
        assert_eq!(proposal.esp_spi(), None);
        proposal.spi = 256u32.to_be_bytes().to_vec();
        assert_eq!(proposal.esp_spi(), Some(256));
        proposal.spi = vec![1, 2, 3];
        assert_eq!(proposal.esp_spi(), None);
    }

    fn any_attribute() -> impl Strategy<Value = Attribute> {
        let value = prop_oneof![
            any::<u16>().prop_map(AttributeValue::Basic),
            prop::collection::vec(any::<u8>(), 0..10).prop_map(AttributeValue::Variable),
        ];
        (0u16..0x8000, value).prop_map(|(class, value)| Attribute { class, value })
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_gives_the_same(
            attributes in prop::collection::vec(any_attribute(), 0..8),
            spi in prop::collection::vec(any::<u8>(), 0..8),
            number: u8, protocol: u8, id: u8, copies in 1usize..5,
        ) {
            let transform = Transform { number, id, attributes };
            let transforms = vec![transform; copies];
            let proposal = Proposal { number, protocol: ProtocolId(protocol), spi, transforms };
            let sa = SaBody { proposals: vec![proposal.clone(), proposal] };
            prop_assert_eq!(SaBody::read(&sa.to_bytes()).unwrap(), sa);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = vec![0, 0, 0, 1, 0, 0, 0, 1];
            framed.extend(bytes);
            let _ = SaBody::read(&framed);
        }
    }
}
