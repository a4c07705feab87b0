//! Hiding of AVP values (RFC 2661 §4.3): an MD5 key stream over the shared secret and a random vector.

use alloc::vec::Vec;

use isthmus_core::Rng;
use isthmus_crypto::{CryptoError, HashAlg, Provider};
use isthmus_wire::{DecodeError, Fault, Reader, Writer};

use super::VALUE_MAX;
use crate::iana::AttributeType;

/// MD5 works in blocks of 16 bytes.
const BLOCK: usize = 16;
/// Longest value that can be hidden: the length and one block of padding are added.
pub(crate) const HIDEABLE_MAX: usize = VALUE_MAX - 2 - BLOCK;

/// What hiding and revealing take.
#[derive(Clone, Copy)]
pub struct Hiding<'a> {
    /// The tunnel secret.
    pub secret: &'a [u8],
    /// MD5.
    pub provider: &'a dyn Provider,
}

impl Hiding<'_> {
    /// Hides `value`, padded by a random number of bytes below 16 so that its length is hidden too.
    ///
    /// # Errors
    /// Those of the provider.
    pub fn hide(
        &self,
        attribute: AttributeType,
        vector: &[u8],
        value: &[u8],
        rng: &mut Rng,
    ) -> Result<Vec<u8>, CryptoError> {
        let mut w = Writer::new();
        w.u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        w.bytes(value);
        let padding: [u8; BLOCK] = rng.array();
        let len = usize::try_from(rng.below(16)).unwrap_or(0);
        w.bytes(padding.get(..len).unwrap_or_default());
        let mut bytes = w.into_vec();
        let mut previous = None;
        for block in bytes.chunks_mut(BLOCK) {
            self.mask(attribute, vector, previous.as_deref(), block)?;
            previous = Some(block.to_vec());
        }
        Ok(bytes)
    }

    /// Reveals a hidden value. The original length is checked against what there is: with a wrong
    /// secret it is a random number.
    ///
    /// # Errors
    /// A hidden value that is empty or shorter than its deciphered length says.
    pub(crate) fn reveal(
        &self,
        attribute: AttributeType,
        vector: &[u8],
        hidden: &[u8],
    ) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = hidden.to_vec();
        let mut previous = None;
        for (block, ciphered) in bytes.chunks_mut(BLOCK).zip(hidden.chunks(BLOCK)) {
            self.mask(attribute, vector, previous, block)
                .map_err(|_| DecodeError::illegal("hidden avp"))?;
            previous = Some(ciphered);
        }
        let mut reader = Reader::new(&bytes);
        let len = usize::from(reader.u16("original length")?);
        if len > VALUE_MAX {
            return Err(DecodeError::new("original length", Fault::TooLong));
        }
        reader.take("original length", len).map(<[u8]>::to_vec)
    }

    /// Applies one block of the key stream: `MD5(type + secret + vector)` for the first block,
    /// `MD5(secret + previous ciphered block)` for the others.
    fn mask(
        &self,
        attribute: AttributeType,
        vector: &[u8],
        previous: Option<&[u8]>,
        block: &mut [u8],
    ) -> Result<(), CryptoError> {
        let mut key = [0; BLOCK];
        match previous {
            None => {
                let parts = [&attribute.0.to_be_bytes()[..], self.secret, vector];
                self.provider.hash(HashAlg::Md5, &parts, &mut key)?;
            }
            Some(previous) => {
                self.provider.hash(HashAlg::Md5, &[self.secret, previous], &mut key)?;
            }
        }
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use isthmus_core::Rng;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{AttributeType, HIDEABLE_MAX, Hiding, Provider, VALUE_MAX, Vec};
    use crate::tests::md5;

    fn hiding(provider: &dyn Provider) -> Hiding<'_> {
        Hiding { secret: b"secret", provider }
    }

    /// Made with another implementation (Python's hashlib): attribute 9, secret "secret", vector
    /// 00..0f, value 0x1234 with 14 bytes 0xee of padding, which is 18 bytes and so two blocks.
    #[test]
    fn an_independent_ciphertext_is_revealed() {
        let vector: [u8; 16] = core::array::from_fn(|n| u8::try_from(n).unwrap());
        let value = hiding(&*md5()).reveal(AttributeType(9), &vector, &CIPHERED).unwrap();
        assert_eq!(value, [0x12, 0x34]);
    }

    #[test]
    fn a_hidden_avp_that_lies_about_its_length_is_refused() {
        let provider = md5();
        let (mut refused, mut taken) = (0, 0);
        for len in 0..=16_usize {
            // The sender knows no secret: whatever length comes out must be checked.
            for first in 0..=255 {
                let hidden: Vec<u8> = core::iter::repeat_n(first, len).collect();
                match hiding(&*provider).reveal(AttributeType(9), &[7; 16], &hidden) {
                    Ok(value) => {
                        assert!(value.len() + 2 <= len);
                        taken += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 4000, "{refused} refused, {taken} taken");
    }

    #[test]
    fn the_wrong_secret_reveals_nothing_of_use() {
        let provider = md5();
        let mut rng = Rng::new([3; 32]);
        let hidden = hiding(&*provider).hide(AttributeType(9), b"rv", &[1; 40], &mut rng).unwrap();
        let wrong = Hiding { secret: b"wrong", provider: &*provider };
        assert_ne!(wrong.reveal(AttributeType(9), b"rv", &hidden).ok(), Some([1; 40].to_vec()));
    }

    const CIPHERED: [u8; 18] = [
        0xbe, 0x6a, 0x0f, 0xf3, 0x31, 0x0a, 0xaa, 0x37, 0x23, 0x98, 0xaf, 0xb4, 0x52, 0xf4, 0x1b,
        0x96, 0x39, 0x11,
    ];

    proptest! {
        #[test]
        fn hiding_round_trips(
            value in prop::collection::vec(any::<u8>(), 0..=HIDEABLE_MAX),
            vector: [u8; 16], seed: [u8; 32], attribute: u16,
        ) {
            let provider = md5();
            let hiding = hiding(&*provider);
            let attribute = AttributeType(attribute);
            let hidden = hiding.hide(attribute, &vector, &value, &mut Rng::new(seed)).unwrap();
            prop_assert!(hidden.len() <= VALUE_MAX);
            prop_assert_eq!(hiding.reveal(attribute, &vector, &hidden).unwrap(), value);
        }
    }
}
