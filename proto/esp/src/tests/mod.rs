//! Exchanges between the two halves of an SA, published packets, and random runs.

mod exchange;
mod outbound;
mod props;
mod replay;
mod vectors;

use core::sync::atomic::{AtomicU8, Ordering};

use isthmus_core::{Buf, Rng, RngStream};
use isthmus_crypto::{EspKeys, EspSuite};

use crate::{InboundSa, Lifetime, OutboundSa, SaParams};

/// UDP, which is all that L2TP uses.
const UDP: u8 = 17;

/// Parameters with keys from a seed.
pub(crate) fn params(suite: EspSuite, esn: bool) -> SaParams {
    let mut keymat = alloc::vec![0; suite.keymat_len()];
    Rng::new([7; 32]).fill(&mut keymat);
    let keys = EspKeys::from_keymat(suite, &keymat).unwrap();
    SaParams { spi: 0x1234_5678, suite, keys, esn, lifetime: Lifetime::UNLIMITED }
}

/// Both halves of a fresh SA.
pub(crate) fn pair(params: &SaParams) -> (OutboundSa, InboundSa) {
    let provider = isthmus_crypto_aws::provider();
    let outbound = OutboundSa::new(params.clone(), 1, &*provider).unwrap();
    (outbound, InboundSa::new(params.clone(), &*provider).unwrap())
}

/// IVs, others each time.
fn ivs() -> RngStream {
    static SEED: AtomicU8 = AtomicU8::new(0);
    RngStream::new([SEED.fetch_add(1, Ordering::Relaxed); 32])
}

/// A sealed packet.
fn sealed(outbound: &mut OutboundSa, payload: &[u8]) -> Buf {
    let mut buf = Buf::copy_of(payload);
    outbound.seal(&mut buf, UDP, &mut ivs()).unwrap();
    buf
}
