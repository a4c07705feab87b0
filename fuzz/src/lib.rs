//! What several fuzz targets share: how an input is cut into steps, and the far ends of machines.

pub mod ike;
pub mod l2tp;
pub mod ppp;
pub mod tunnel;

/// One step of a scripted input: what to do, and with which bytes.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What to do, in the target's own numbering.
    pub op: u8,
    /// With what.
    pub bytes: &'a [u8],
}

/// Cuts an input into steps: one byte of operation, two of length, the bytes. The last one takes
/// what there is, so every input is a script.
pub fn steps(mut input: &[u8]) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = input.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_be_bytes([head[1], head[2]])).min(rest.len());
        let (bytes, rest) = rest.split_at(len);
        input = rest;
        Some(Step { op: head[0], bytes })
    })
    .take(STEPS_MAX)
}

/// Most steps of one input.
pub const STEPS_MAX: usize = 200;
