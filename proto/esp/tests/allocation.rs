//! The packet path allocates nothing once its result lists have grown.

#[cfg(test)]
mod tests {
    use isthmus_core::{Buf, RngStream};
    use isthmus_crypto::{EspKeys, EspSuite};
    use isthmus_esp::{InboundSa, Lifetime, OutboundSa, SaParams, headroom};

    #[test]
    fn sealing_and_opening_a_batch_allocates_nothing() {
        for suite in EspSuite::ALL {
            for count in [1, 3, 40] {
                let (mut outbound, mut inbound) = pair(suite);
                let mut bufs: Vec<Buf> = (0..count).map(|_| Buf::copy_of(&[7; 1400])).collect();
                let (mut sealed, mut opened) = (Vec::new(), Vec::new());
                // The first batch grows the lists of results.
                outbound.seal_batch(&mut bufs, 17, &mut ivs(), &mut sealed);
                inbound.open_batch(&mut bufs, &mut opened);
                let info = allocation_counter::measure(|| {
                    outbound.seal_batch(&mut bufs, 17, &mut ivs(), &mut sealed);
                    inbound.open_batch(&mut bufs, &mut opened);
                });
                assert_eq!(info.count_total, 0, "{suite}, {count} packets");
                assert!(opened.iter().all(Result::is_ok));
                assert!(bufs[0].headroom() >= headroom(suite));
            }
        }
    }

    #[test]
    fn one_packet_allocates_nothing() {
        let (mut outbound, mut inbound) = pair(EspSuite::Aes128CbcSha1);
        let mut buf = Buf::copy_of(&[7; 1400]);
        let info = allocation_counter::measure(|| {
            assert_eq!(outbound.seal(&mut buf, 17, &mut ivs()), Ok(()));
            assert_eq!(inbound.open(&mut buf), Ok(17));
        });
        assert_eq!(info.count_total, 0);
    }

    fn ivs() -> RngStream {
        RngStream::new([1; 32])
    }

    fn pair(suite: EspSuite) -> (OutboundSa, InboundSa) {
        let keymat: Vec<u8> = (0..=255).cycle().take(suite.keymat_len()).collect();
        let keys = EspKeys::from_keymat(suite, &keymat).unwrap();
        let params = SaParams { spi: 1, suite, keys, esn: false, lifetime: Lifetime::UNLIMITED };
        let provider = isthmus_crypto_aws::provider();
        let outbound = OutboundSa::new(params.clone(), 1, &*provider).unwrap();
        (outbound, InboundSa::new(params, &*provider).unwrap())
    }
}
