//! The library's results beside those of another provider, before it is trusted.

use std::sync::Arc;

use isthmus_core::Rng;
use isthmus_crypto::{EspJob, EspJobResult, EspKeys, EspSuite, Provider};

use crate::LoadError;
use crate::library::Library;
use crate::transform::Transform;

/// Seals a batch with both providers and opens it crosswise, for each suite that the library works on.
pub(crate) fn compare(library: &Arc<Library>, inner: &dyn Provider) -> Result<(), LoadError> {
    EspSuite::ALL.into_iter().try_for_each(|suite| match compare_suite(library, inner, suite) {
        Some(true) => Ok(()),
        Some(false) | None => Err(LoadError::Wrong(suite.name())),
    })
}

/// Whether both agree; none when keys cannot even be expanded.
fn compare_suite(library: &Arc<Library>, inner: &dyn Provider, suite: EspSuite) -> Option<bool> {
    let mut rng = Rng::new([7; 32]);
    let mut keymat = vec![0; suite.keymat_len()];
    rng.fill(&mut keymat);
    let keys = EspKeys::from_keymat(suite, &keymat)?;
    let theirs = inner.esp(suite, &keys).ok()?;
    let Ok(ours) = Transform::new(library, suite, &keys, inner.esp(suite, &keys).ok()?) else {
        // Left to the other provider altogether.
        return Some(true);
    };
    let overhead = 8 + suite.iv_len() + suite.icv_len();
    let mut plain: Vec<Vec<u8>> =
        LENGTHS.iter().map(|blocks| vec![0; overhead + blocks * suite.block_len()]).collect();
    for packet in &mut plain {
        rng.fill(packet);
    }
    let (mut a, mut b) = (plain.clone(), plain);
    let sealed = run(&mut a, |jobs| isthmus_crypto::EspCipher::seal(&ours, jobs))
        && run(&mut b, |jobs| theirs.seal(jobs));
    let equal = a == b;
    let opened = run(&mut a, |jobs| isthmus_crypto::EspCipher::open(&ours, jobs))
        && run(&mut b, |jobs| theirs.open(jobs));
    Some(sealed && equal && opened && a == b)
}

/// Whether every packet of a batch comes through.
fn run(packets: &mut [Vec<u8>], work: impl FnOnce(&mut [EspJob<'_>])) -> bool {
    let job = |packet| EspJob { packet, seq_hi: None, result: EspJobResult::Pending };
    let mut jobs: Vec<EspJob<'_>> =
        packets.iter_mut().map(|packet| job(packet.as_mut_slice())).collect();
    work(&mut jobs);
    jobs.iter().all(|job| job.result == EspJobResult::Done)
}

/// Blocks of plaintext: equal and unequal lengths, more packets than lanes.
const LENGTHS: [usize; 20] =
    [1, 2, 3, 4, 5, 8, 16, 17, 31, 32, 33, 64, 88, 88, 88, 88, 89, 91, 93, 94];
