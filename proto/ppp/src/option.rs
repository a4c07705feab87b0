//! Configuration options as type, length and value (RFC 1661 §6).

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

/// One option with its value uninterpreted, so that a Configure-Reject can return it unmodified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawOption {
    /// The option type.
    pub(crate) kind: u8,
    value: Vec<u8>,
}

impl RawOption {
    /// An option with this value.
    pub(crate) fn new<const N: usize>(kind: u8, value: [u8; N]) -> Self {
        const { assert!(N <= VALUE_MAX) }
        Self { kind, value: value.to_vec() }
    }

    /// An option with as much of this value as fits.
    pub(crate) fn clipped(kind: u8, value: &[u8]) -> Self {
        Self { kind, value: value.get(..VALUE_MAX).unwrap_or(value).to_vec() }
    }

    /// The value.
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value when it has exactly `N` bytes.
    pub(crate) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.value.as_slice().try_into().ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u8("option type")?;
        let len = usize::from(reader.u8("option length")?);
        let len = len.checked_sub(2).ok_or(DecodeError::illegal("option length"))?;
        Ok(Self { kind, value: reader.take("option length", len)?.to_vec() })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.kind);
        // Neither constructor makes a value longer than VALUE_MAX.
        writer.u8(u8::try_from(self.value.len() + 2).unwrap_or(u8::MAX));
        writer.bytes(&self.value);
    }
}

/// Reads a whole list of options.
pub(crate) fn read_all(data: &[u8]) -> Result<Vec<RawOption>, DecodeError> {
    let mut reader = Reader::new(data);
    let mut options = Vec::new();
    while reader.any_left() {
        if options.len() == OPTIONS_MAX {
            return Err(DecodeError::new("options", Fault::TooMany));
        }
        options.push(RawOption::read(&mut reader)?);
    }
    Ok(options)
}

/// Writes a list of options.
pub(crate) fn write_all(options: &[RawOption]) -> Vec<u8> {
    let mut writer = Writer::new();
    for option in options {
        option.write(&mut writer);
    }
    writer.into_vec()
}

/// Most options we take in one packet.
pub const OPTIONS_MAX: usize = 32;
/// Longest value the length byte can express.
const VALUE_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_option() -> impl Strategy<Value = RawOption> {
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..=VALUE_MAX))
            .prop_map(|(kind, value)| RawOption { kind, value })
    }

    #[test]
    fn the_windows_first_request_is_read() {
        let bytes = [1, 4, 0x05, 0x78, 5, 6, 0x11, 0x22, 0x33, 0x44, 7, 2, 8, 2, 0x0d, 3, 6];
        let options = read_all(&bytes).unwrap();
        let kinds: Vec<u8> = options.iter().map(|o| o.kind).collect();
        assert_eq!(kinds, [1, 5, 7, 8, 13]);
        assert_eq!(options[0].array(), Some(1400_u16.to_be_bytes()));
        assert_eq!(options[0].array::<4>(), None);
        assert_eq!(options[4].value(), [6]);
        assert_eq!(write_all(&options), bytes);
    }

    #[test]
    fn a_length_below_two_or_beyond_the_end_is_refused() {
        assert_eq!(read_all(&[1, 0]), Err(DecodeError::illegal("option length")));
        assert_eq!(read_all(&[1, 1]), Err(DecodeError::illegal("option length")));
        assert_eq!(read_all(&[1, 4, 0]), Err(DecodeError::new("option length", Fault::Truncated)));
        assert!(read_all(&[1]).is_err());
    }

    #[test]
    fn more_options_than_the_bound_are_refused() {
        assert_eq!(read_all(&[7, 2].repeat(OPTIONS_MAX)).unwrap().len(), OPTIONS_MAX);
        assert_eq!(
            read_all(&[7, 2].repeat(OPTIONS_MAX + 1)),
            Err(DecodeError::new("options", Fault::TooMany))
        );
    }

    proptest! {
        #[test]
        fn written_options_are_read_back(options in prop::collection::vec(any_option(), 0..=OPTIONS_MAX)) {
            prop_assert_eq!(read_all(&write_all(&options)), Ok(options));
        }

        #[test]
        fn a_cut_option_is_refused(option in any_option()) {
            let bytes = write_all(&[option]);
            for len in 1..bytes.len() {
                prop_assert!(read_all(&bytes[..len]).is_err());
            }
        }
    }
}
