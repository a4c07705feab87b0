//! Options of neighbour discovery: type, length in units of 8 bytes, value (RFC 4861 §4.6).

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

/// Hands every option to `take`, with its type and its value.
pub(super) fn each(
    reader: &mut Reader<'_>,
    mut take: impl FnMut(u8, &[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut count = 0;
    while reader.any_left() {
        count += 1;
        if count > ND_OPTIONS_MAX {
            return Err(DecodeError::new("options", Fault::TooMany));
        }
        let [kind, units] = reader.array("option")?;
        // RFC 4861 §4.6: a length of zero is an error; it would also never end.
        let len = usize::from(units).checked_mul(8).and_then(|len| len.checked_sub(2));
        let len = len.ok_or(DecodeError::illegal("option length"))?;
        take(kind, reader.take("option", len)?)?;
    }
    Ok(())
}

/// Writes an option, with zeros up to a multiple of 8 bytes.
pub(super) fn write(writer: &mut Writer, kind: u8, value: &[u8]) {
    let units = (value.len() + 2).div_ceil(8);
    writer.u8(kind);
    // None of ours is anywhere near the bound.
    writer.u8(u8::try_from(units).unwrap_or(u8::MAX));
    writer.bytes(value);
    for _ in value.len() + 2..units * 8 {
        writer.u8(0);
    }
}

/// Most options in a message we read.
pub const ND_OPTIONS_MAX: usize = 32;
