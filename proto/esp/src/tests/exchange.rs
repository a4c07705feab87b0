//! Packets from one half to the other.

use isthmus_crypto::EspSuite;

use super::{UDP, pair, params, sealed};

#[test]
fn what_is_sealed_opens_to_the_same_payload() {
    for suite in EspSuite::ALL {
        for esn in [false, true] {
            let (mut outbound, mut inbound) = pair(&params(suite, esn));
            for len in 0..70 {
                let payload: alloc::vec::Vec<u8> = (0..len).collect();
                let mut buf = sealed(&mut outbound, &payload);
                assert_ne!(&*buf, &payload[..]);
                assert_eq!(inbound.open(&mut buf), Ok(UDP), "{suite} {len}");
                assert_eq!(&*buf, &payload[..], "{suite} {len}");
            }
        }
    }
}
