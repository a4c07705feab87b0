//! Random payloads, batches and disorder.

use alloc::vec::Vec;

use isthmus_core::{Buf, RngStream};
use isthmus_crypto::EspSuite;
use proptest::prelude::*;

use super::{UDP, ivs, pair, params};

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![Just(0usize), Just(1), 0..64usize, 0..1500usize];
    len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len))
}

fn suite() -> impl Strategy<Value = EspSuite> {
    prop::sample::select(EspSuite::ALL.to_vec())
}

fn bufs(payloads: &[Vec<u8>]) -> Vec<Buf> {
    payloads.iter().map(|payload| Buf::copy_of(payload)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_batch_gives_what_single_packets_give(
        suite in suite(),
        esn in any::<bool>(),
        payloads in prop::collection::vec(payload(), 0..80),
        disorder in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let params = params(suite, esn);
        let (mut by_batch, mut opens_batch) = pair(&params);
        let (mut by_one, mut opens_one) = pair(&params);
        let (mut batch, mut results) = (bufs(&payloads), Vec::new());
        let (mut ivs, mut same) = (RngStream::new([9; 32]), RngStream::new([9; 32]));
        by_batch.seal_batch(&mut batch, UDP, &mut ivs, &mut results);
        prop_assert_eq!(results.len(), payloads.len());
        let mut singles = bufs(&payloads);
        for (index, single) in singles.iter_mut().enumerate() {
            prop_assert_eq!(by_one.seal(single, UDP, &mut same), results[index]);
            prop_assert_eq!(&**single, &*batch[index]);
        }
        prop_assert_eq!(by_batch.counters(), by_one.counters());

        // On the way some packets are repeated or forged.
        let mut arriving: Vec<Vec<u8>> = batch.iter().map(|buf| buf.to_vec()).collect();
        for (index, forged) in disorder.iter().filter(|_| !payloads.is_empty()) {
            let mut copy = arriving[index.index(arriving.len())].clone();
            if *forged {
                let at = index.index(copy.len());
                copy[at] ^= 1;
            }
            arriving.insert(index.index(arriving.len() + 1), copy);
        }
        let (mut batch, mut results) = (bufs(&arriving), Vec::new());
        opens_batch.open_batch(&mut batch, &mut results);
        prop_assert_eq!(results.len(), arriving.len());
        for (index, mut single) in bufs(&arriving).into_iter().enumerate() {
            let opened = opens_one.open(&mut single);
            // The reasons may differ: a forged copy is seen as a replay when the packet came in an
            // earlier run, and as a forgery when both are in the same.
            prop_assert_eq!(opened.ok(), results[index].ok(), "packet {}", index);
            if opened.is_ok() {
                prop_assert_eq!(&*single, &*batch[index]);
            }
        }
        prop_assert_eq!(opens_batch.window(), opens_one.window());
        prop_assert_eq!(opens_batch.counters(), opens_one.counters());
        prop_assert_eq!(opens_one.counters().packets, payloads.len() as u64);
    }

    #[test]
    fn payloads_survive_the_way(
        suite in suite(),
        esn in any::<bool>(),
        payloads in prop::collection::vec(payload(), 1..40),
    ) {
        let (mut outbound, mut inbound) = pair(&params(suite, esn));
        let (mut batch, mut sealed, mut opened) = (bufs(&payloads), Vec::new(), Vec::new());
        outbound.seal_batch(&mut batch, UDP, &mut ivs(), &mut sealed);
        inbound.open_batch(&mut batch, &mut opened);
        prop_assert!(opened.iter().all(|result| *result == Ok(UDP)));
        for (buf, payload) in batch.iter().zip(&payloads) {
            prop_assert_eq!(&**buf, &payload[..]);
        }
    }

    #[test]
    fn random_bytes_open_nothing(suite in suite(), esn in any::<bool>(), mut bytes in payload()) {
        let (_, mut inbound) = pair(&params(suite, esn));
        for (byte, spi) in bytes.iter_mut().zip(params(suite, esn).spi.to_be_bytes()) {
            *byte = spi;
        }
        prop_assert!(inbound.open(&mut Buf::copy_of(&bytes)).is_err());
        prop_assert_eq!(inbound.window().top(), 0);
    }
}
