//! Hostile public values: what is taken has the group's length and is neither 0, 1, p-1 nor out of
//! range; what is refused is refused by every operation alike.
#![no_main]

use isthmus_crypto::{CryptoError, DhGroup, DhJob, DhOutput, DhPrivate, Provider};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

/// The quick ones; the others share their code.
const GROUPS: [DhGroup; 3] = [DhGroup::Ecp256, DhGroup::Ecp384, DhGroup::Modp1024];

struct Ours {
    provider: Arc<dyn Provider>,
    private: Vec<DhPrivate>,
}

static OURS: LazyLock<Ours> = LazyLock::new(|| {
    let provider = isthmus_crypto_aws::provider();
    let private = GROUPS.map(|group| {
        let Ok(DhOutput::KeyPair(pair)) = provider.dh(&DhJob::Generate { group, seed: [3; 32] })
        else {
            panic!("no key pair in {group:?}")
        };
        pair.private
    });
    Ours { provider, private: private.into() }
});

fuzz_target!(|input: &[u8]| {
    let Some((&choice, peer)) = input.split_first() else { return };
    let index = usize::from(choice) % GROUPS.len();
    let group = GROUPS[index];
    // Half of the inputs are made to have the right length, or few would.
    let mut peer = peer.to_vec();
    if choice & 0x80 != 0 {
        peer.resize(group.public_len(), choice);
    }
    let agree = DhJob::Agree { group, private: OURS.private[index].clone(), peer: peer.clone() };
    let agreed = OURS.provider.dh(&agree);
    let both =
        OURS.provider.dh(&DhJob::GenerateAndAgree { group, seed: [3; 32], peer: peer.clone() });
    match (&agreed, &both) {
        (Ok(DhOutput::Shared(one)), Ok(DhOutput::Both(pair, two))) => {
            assert_eq!(one.expose(), two.expose());
            assert_eq!(pair.public.len(), group.public_len());
            assert_eq!(peer.len(), group.public_len());
            let (last, front) = peer.split_last().unwrap();
            assert!(*last > 1 || front.iter().any(|byte| *byte != 0), "0 and 1 are refused");
            assert!(one.expose().iter().any(|byte| *byte != 0));
        }
        (Err(one), Err(two)) => {
            assert_eq!(one, two);
            assert!(matches!(one, CryptoError::BadLength | CryptoError::BadPublicValue));
        }
        other => panic!("one takes it and one does not: {:?}", other.0.is_ok()),
    }
});
