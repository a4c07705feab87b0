//! The chain of payloads behind the header (RFC 2408 §3.2).

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use crate::iana::PayloadType;

/// One payload as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Its type, from the payload before it.
    pub kind: PayloadType,
    /// The bytes behind the generic header: what hashes call `<P>_b`.
    pub body: &'a [u8],
}

/// A whole chain, with the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    payloads: Vec<Payload<'a>>,
    bytes: &'a [u8],
}

impl<'a> Chain<'a> {
    /// Reads a chain that fills `bytes` exactly.
    ///
    /// # Errors
    /// Nonsense lengths, a nonzero reserved octet, a type that is not tolerated, too many payloads,
    /// leftover bytes, or no payload at all.
    pub fn read(first: PayloadType, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read_padded(first, bytes, 0)
    }

    /// Reads a decrypted chain that may be followed by padding. RFC 2409 pads with less than one
    /// block of zeros; racoon pads with up to 20 random bytes, so the content is not looked at.
    ///
    /// # Errors
    /// Those of [`Chain::read`], with up to [`PADDING_MAX`] leftover bytes allowed.
    pub fn read_decrypted(first: PayloadType, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::read_padded(first, bytes, PADDING_MAX)
    }

    fn read_padded(
        first: PayloadType,
        bytes: &'a [u8],
        padding: usize,
    ) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut payloads = Vec::new();
        let mut kind = first;
        while kind != PayloadType::NONE {
            if payloads.len() >= PAYLOADS_MAX {
                return Err(DecodeError::new("payloads", Fault::TooMany));
            }
            if !kind.is_tolerated() {
                return Err(DecodeError::illegal("payload type"));
            }
            let (next, body) = read_generic(&mut r)?;
            payloads.push(Payload { kind, body });
            kind = next;
        }
        if payloads.is_empty() {
            return Err(DecodeError::new("payloads", Fault::Truncated));
        }
        if r.left() > padding {
            return Err(DecodeError::new("payloads", Fault::Trailing));
        }
        let used = bytes.len().saturating_sub(r.left());
        Ok(Self { payloads, bytes: bytes.get(..used).unwrap_or_default() })
    }

    /// Every payload in order.
    pub fn iter(&self) -> impl Iterator<Item = Payload<'a>> + '_ {
        self.payloads.iter().copied()
    }

    /// The bodies of every payload of a type, in order.
    pub fn all(&self, kind: PayloadType) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.iter().filter(move |p| p.kind == kind).map(|p| p.body)
    }

    /// The body of the only payload of a type.
    ///
    /// # Errors
    /// More than one of them.
    pub fn optional(&self, kind: PayloadType) -> Result<Option<&'a [u8]>, DecodeError> {
        let mut bodies = self.all(kind);
        let body = bodies.next();
        if bodies.next().is_some() {
            return Err(DecodeError::new(kind.name().unwrap_or("payload"), Fault::TooMany));
        }
        Ok(body)
    }

    /// The body of the only payload of a type, which must be there.
    ///
    /// # Errors
    /// None or more than one of them.
    pub fn required(&self, kind: PayloadType) -> Result<&'a [u8], DecodeError> {
        self.optional(kind)?
            .ok_or(DecodeError::new(kind.name().unwrap_or("payload"), Fault::Truncated))
    }

    /// The HASH payload that must come first, and the bytes behind it that it covers (RFC 2409 §5.5).
    ///
    /// # Errors
    /// The first payload is not HASH.
    pub fn hashed(&self) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
        let first = self.payloads.first().filter(|p| p.kind == PayloadType::HASH);
        let hash = first.ok_or(DecodeError::illegal("HASH"))?.body;
        let rest = self.bytes.get(GENERIC_LEN + hash.len()..).unwrap_or_default();
        Ok((hash, rest))
    }
}

/// A chain being written.
#[derive(Clone, Debug, Default)]
pub struct Out(Vec<(PayloadType, Vec<u8>)>);

impl Out {
    /// An empty chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a payload.
    #[must_use]
    pub fn with(mut self, kind: PayloadType, body: impl Into<Vec<u8>>) -> Self {
        self.push(kind, body);
        self
    }

    /// Appends a payload in place.
    pub fn push(&mut self, kind: PayloadType, body: impl Into<Vec<u8>>) {
        self.0.push((kind, body.into()));
    }

    /// Puts a payload in front.
    #[must_use]
    pub fn preceded_by(mut self, kind: PayloadType, body: impl Into<Vec<u8>>) -> Self {
        self.0.insert(0, (kind, body.into()));
        self
    }

    /// The type of the first payload.
    pub fn first(&self) -> PayloadType {
        self.0.first().map_or(PayloadType::NONE, |(kind, _)| *kind)
    }

    /// The bytes of the chain.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        let next = self.0.iter().skip(1).map(|(kind, _)| *kind).chain([PayloadType::NONE]);
        for ((_, body), next) in self.0.iter().zip(next) {
            let start = w.len();
            w.u8(next.0);
            w.u8(0);
            let mark = w.begin_u16(start);
            w.bytes(body);
            w.end_u16(&mark);
        }
        w.into_vec()
    }
}

/// Reads one generic payload header and its body: the next type and the body.
fn read_generic<'a>(r: &mut Reader<'a>) -> Result<(PayloadType, &'a [u8]), DecodeError> {
    let next = PayloadType(r.u8("next payload")?);
    if r.u8("payload reserved")? != 0 {
        return Err(DecodeError::illegal("payload reserved"));
    }
    let length = usize::from(r.u16("payload length")?);
    let body_len = length.checked_sub(GENERIC_LEN).ok_or(DecodeError::illegal("payload length"))?;
    Ok((next, r.take("payload body", body_len)?))
}

const GENERIC_LEN: usize = 4;
/// Most payloads in one message; Apple's first message has 13, a Windows certificate one about 30.
pub const PAYLOADS_MAX: usize = 64;
/// Most padding behind a decrypted chain.
pub const PADDING_MAX: usize = 255;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    fn two() -> Out {
        Out::new().with(PayloadType::HASH, vec![1; 20]).with(PayloadType::NONCE, vec![2; 16])
    }

    #[test]
    fn a_chain_is_written_with_next_types_and_lengths() {
        let bytes = Out::new()
            .with(PayloadType::NONCE, vec![0xaa, 0xbb])
            .with(PayloadType::VENDOR_ID, vec![0xcc])
            .to_bytes();
        assert_eq!(bytes, [13, 0, 0, 6, 0xaa, 0xbb, 0, 0, 0, 5, 0xcc]);
    }

    #[test]
    fn the_hash_covers_what_follows_it_without_padding() {
        let mut bytes = two().to_bytes();
        let rest = bytes[24..].to_vec();
        bytes.extend([0; 8]);
        let chain = Chain::read_decrypted(PayloadType::HASH, &bytes).unwrap();
        assert_eq!(chain.hashed().unwrap(), (&[1; 20][..], &rest[..]));
        assert!(Chain::read(PayloadType::HASH, &bytes).is_err());
    }

    #[test]
    fn every_prefix_is_refused() {
        let bytes = two().to_bytes();
        assert!((0..bytes.len()).all(|n| Chain::read(PayloadType::HASH, &bytes[..n]).is_err()));
    }

    #[test]
    fn a_reserved_octet_a_short_length_and_a_foreign_type_are_refused() {
        let refused = |first, bytes: &[u8]| Chain::read(PayloadType(first), bytes).unwrap_err();
        assert_eq!(refused(10, &[0, 1, 0, 4]).field, "payload reserved");
        assert_eq!(refused(10, &[0, 0, 0, 3]).field, "payload length");
        assert_eq!(refused(33, &[0, 0, 0, 4]).field, "payload type");
        assert_eq!(refused(0, &[]).field, "payloads");
    }

    #[test]
    fn more_payloads_than_the_bound_are_refused() {
        let mut out = Out::new();
        (0..PAYLOADS_MAX).for_each(|_| out.push(PayloadType::VENDOR_ID, vec![]));
        assert!(Chain::read(PayloadType::VENDOR_ID, &out.to_bytes()).is_ok());
        out.push(PayloadType::VENDOR_ID, vec![]);
        let error = Chain::read(PayloadType::VENDOR_ID, &out.to_bytes()).unwrap_err();
        assert_eq!(error, DecodeError::new("payloads", Fault::TooMany));
    }

    #[test]
    fn padding_beyond_the_bound_is_refused() {
        let mut bytes = two().to_bytes();
        bytes.extend([7; PADDING_MAX]);
        assert!(Chain::read_decrypted(PayloadType::HASH, &bytes).is_ok());
        bytes.push(7);
        assert!(Chain::read_decrypted(PayloadType::HASH, &bytes).is_err());
    }

    #[test]
    fn a_repeated_payload_is_not_the_only_one() {
        let bytes = two().with(PayloadType::NONCE, vec![3; 16]).to_bytes();
        let chain = Chain::read(PayloadType::HASH, &bytes).unwrap();
        assert_eq!(chain.required(PayloadType::NONCE).unwrap_err().fault, Fault::TooMany);
        assert_eq!(chain.required(PayloadType::KE).unwrap_err().fault, Fault::Truncated);
        assert_eq!(chain.all(PayloadType::NONCE).count(), 2);
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_gives_the_same(
            payloads in prop::collection::vec((1u8..=21, prop::collection::vec(any::<u8>(), 0..40)), 1..12),
        ) {
            let mut out = Out::new();
            for (kind, body) in &payloads {
                out.push(PayloadType(*kind), body.clone());
            }
            let bytes = out.to_bytes();
            let chain = Chain::read(out.first(), &bytes).unwrap();
            let back: Vec<_> = chain.iter().map(|p| (p.kind.0, p.body.to_vec())).collect();
            prop_assert_eq!(back, payloads);
        }

        #[test]
        fn no_bytes_make_it_panic(first: u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Chain::read_decrypted(PayloadType(first), &bytes);
        }
    }
}
