//! The library against the portable provider: equal bytes for every suite and batch.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use isthmus_crypto::{EspCipher, EspJob, EspJobResult, EspKeys, EspSuite, Provider};
use proptest::prelude::*;

/// Both providers; libipsec-mb1 is among the packages that test.sh installs.
fn providers() -> (Arc<dyn Provider>, Arc<dyn Provider>) {
    let portable = isthmus_crypto_aws::provider();
    let fast = isthmus_crypto_mb::accelerate(Arc::clone(&portable)).unwrap();
    assert!(fast.engine().starts_with("libipsec-mb 1.3."), "{}", fast.engine());
    (fast, portable)
}

/// A packet: its bytes and the upper half of an extended sequence number.
type Packet = (Vec<u8>, Option<u32>);

fn run(packets: &mut [Packet], work: impl FnOnce(&mut [EspJob<'_>])) -> Vec<EspJobResult> {
    let mut jobs: Vec<EspJob<'_>> = packets
        .iter_mut()
        .map(|(packet, seq_hi)| EspJob { packet, seq_hi: *seq_hi, result: EspJobResult::Pending })
        .collect();
    work(&mut jobs);
    jobs.iter().map(|job| job.result).collect()
}

/// Seals and opens with both and demands equal results and bytes; answers how many came through.
fn compare(fast: &dyn EspCipher, portable: &dyn EspCipher, packets: &[Packet]) -> usize {
    let (mut a, mut b) = (packets.to_vec(), packets.to_vec());
    let sealed = run(&mut a, |jobs| fast.seal(jobs));
    assert_eq!(sealed, run(&mut b, |jobs| portable.seal(jobs)));
    for ((a, b), result) in a.iter().zip(&b).zip(&sealed) {
        assert!(*result != EspJobResult::Done || a == b);
    }
    // One bit of every third packet is wrong.
    for (packet, _) in a.iter_mut().chain(&mut b).step_by(3) {
        if let Some(byte) = packet.last_mut() {
            *byte ^= 1;
        }
    }
    b.clone_from(&a);
    let opened = run(&mut a, |jobs| fast.open(jobs));
    assert_eq!(opened, run(&mut b, |jobs| portable.open(jobs)));
    for ((a, b), result) in a.iter().zip(&b).zip(&opened) {
        assert!(*result != EspJobResult::Done || a == b);
    }
    opened.iter().filter(|result| **result == EspJobResult::Done).count()
}

fn keys(suite: EspSuite, seed: u8) -> EspKeys {
    let keymat: Vec<u8> = (0..suite.keymat_len()).map(|at| at.to_le_bytes()[0] ^ seed).collect();
    EspKeys::from_keymat(suite, &keymat).unwrap()
}

fn packets() -> impl Strategy<Value = Vec<(usize, u8, bool)>> {
    prop::collection::vec((1usize..100, any::<u8>(), prop::bool::weighted(0.01)), 0..70)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_providers_make_the_same_of_every_batch(
        suite in prop::sample::select(&EspSuite::ALL[..]),
        seed: u8,
        specs in packets(),
        esn in prop::bool::weighted(0.1),
    ) {
        let (fast, portable) = providers();
        let keys = keys(suite, seed);
        let (fast, portable) = (fast.esp(suite, &keys).unwrap(), portable.esp(suite, &keys).unwrap());
        let overhead = 8 + suite.iv_len() + suite.icv_len();
        let packets: Vec<Packet> = specs.iter().map(|&(blocks, fill, odd)| {
            let len = overhead + blocks * suite.block_len() - usize::from(odd);
            let bytes = (0..len).map(|at| at.to_le_bytes()[0] ^ fill).collect();
            (bytes, esn.then_some(u32::from(fill)))
        }).collect();
        let through = compare(&*fast, &*portable, &packets);
        prop_assert!(through <= packets.len());
    }
}

#[test]
fn a_long_batch_of_the_commonest_suite_comes_through_but_for_what_is_forged() {
    let (fast, portable) = providers();
    let suite = EspSuite::Aes256CbcSha1;
    let keys = keys(suite, 3);
    let packets: Vec<Packet> = (0..90_u8).map(|n| (vec![n; 8 + 16 + 1408 + 12], None)).collect();
    let (fast, portable) = (fast.esp(suite, &keys).unwrap(), portable.esp(suite, &keys).unwrap());
    assert_eq!(compare(&*fast, &*portable, &packets), 60);
}

#[test]
fn every_thread_gets_working_memory_of_its_own() {
    let (fast, portable) = providers();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (fast, portable) = (Arc::clone(&fast), Arc::clone(&portable));
            scope.spawn(move || {
                let suite = EspSuite::Aes128CbcSha256;
                let keys = keys(suite, seed);
                let packets: Vec<Packet> = (0..30).map(|n| (vec![n; 40 + 160], None)).collect();
                let (fast, portable) =
                    (fast.esp(suite, &keys).unwrap(), portable.esp(suite, &keys).unwrap());
                for _ in 0..50 {
                    assert_eq!(compare(&*fast, &*portable, &packets), 20);
                }
            });
        }
    });
}
