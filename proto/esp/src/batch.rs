//! Cutting a batch into runs and handing each run to the transform.

use core::array;

use isthmus_core::Buf;
use isthmus_crypto::{EspJob, EspJobResult};

use crate::DropReason;

/// Packets given to the transform at a time. Longer batches are cut, so that the list of jobs lives
/// on the stack.
pub(crate) const RUN_MAX: usize = 32;

/// A run this short is worked on with a shorter list, which is quicker to set up.
pub(crate) const RUN_FEW: usize = 4;

/// Packets of one run, in order.
pub(crate) type Run<'a> = [Option<&'a mut Buf>];

/// What was decided about each packet of a run before the transform: its sequence number or a drop.
pub(crate) type Admitted<const N: usize> = [Result<u64, DropReason>; N];

/// Calls `work` with each run of `batch`.
pub(crate) fn runs<'a>(
    batch: impl IntoIterator<Item = &'a mut Buf>,
    mut work: impl FnMut(&mut Run<'a>),
) {
    let mut batch = batch.into_iter();
    loop {
        let mut run: [Option<&'a mut Buf>; RUN_MAX] = array::from_fn(|_| None);
        let mut len = 0;
        // The slots lead: a packet taken from the batch without a free slot would be lost.
        for slot in &mut run {
            *slot = batch.next();
            if slot.is_none() {
                break;
            }
            len += 1;
        }
        if len == 0 {
            return;
        }
        work(run.get_mut(..len).unwrap_or_default());
    }
}

/// Gives the admitted packets of a run of at most `N` to `transform` and returns what became of them,
/// in order.
pub(crate) fn transform<const N: usize>(
    run: &mut Run<'_>,
    admitted: &Admitted<N>,
    esn: bool,
    transform: impl FnOnce(&mut [EspJob<'_>]),
) -> array::IntoIter<EspJobResult, N> {
    let mut jobs: [EspJob<'_>; N] =
        array::from_fn(|_| EspJob { packet: &mut [], seq_hi: None, result: EspJobResult::Pending });
    let mut free = jobs.iter_mut();
    let mut len = 0;
    for (buf, admitted) in run.iter_mut().flatten().zip(admitted) {
        if let Ok(seq) = admitted
            && let Some(job) = free.next()
        {
            job.packet = buf;
            job.seq_hi = esn.then(|| high(*seq));
            len += 1;
        }
    }
    transform(jobs.get_mut(..len).unwrap_or_default());
    jobs.map(|job| job.result).into_iter()
}

/// The upper half of a sequence number.
pub(crate) fn high(seq: u64) -> u32 {
    u32::try_from(seq >> 32).unwrap_or(u32::MAX)
}

/// The lower half of a sequence number: what travels.
pub(crate) fn low(seq: u64) -> u32 {
    u32::try_from(seq & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
