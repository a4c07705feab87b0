//! Packets from one half to the other: order, loss, repetition, forgery.

use alloc::vec::Vec;

use isthmus_core::Buf;
use isthmus_crypto::{EspJob, EspJobResult, EspSuite};

use super::{UDP, ivs, pair, params, sealed};
use crate::{DropReason, InboundRecord, InboundSa, OutboundSa, REPLAY_WINDOW, SaParams};

#[test]
fn what_is_sealed_opens_to_the_same_payload() {
    for suite in EspSuite::ALL {
        for esn in [false, true] {
            let (mut outbound, mut inbound) = pair(&params(suite, esn));
            for len in 0..70 {
                let payload: Vec<u8> = (0..len).collect();
                let mut buf = sealed(&mut outbound, &payload);
                assert_ne!(&*buf, &payload[..]);
                assert_eq!(inbound.open(&mut buf), Ok(UDP), "{suite} {len}");
                assert_eq!(&*buf, &payload[..], "{suite} {len}");
            }
        }
    }
}

#[test]
fn a_packet_is_accepted_once() {
    for suite in EspSuite::ALL {
        let (mut outbound, mut inbound) = pair(&params(suite, false));
        let packet = sealed(&mut outbound, b"payload");
        assert_eq!(inbound.open(&mut Buf::copy_of(&packet)), Ok(UDP));
        assert_eq!(inbound.open(&mut Buf::copy_of(&packet)), Err(DropReason::Replayed));
        assert_eq!(inbound.counters().packets, 1);
    }
}

#[test]
fn a_packet_twice_in_one_batch_is_accepted_once() {
    let (mut outbound, mut inbound) = pair(&params(EspSuite::Aes128CbcSha1, false));
    let packet = sealed(&mut outbound, b"payload");
    let mut batch = [Buf::copy_of(&packet), Buf::copy_of(&packet)];
    let mut results = Vec::new();
    inbound.open_batch(&mut batch, &mut results);
    assert_eq!(results, [Ok(UDP), Err(DropReason::Replayed)]);
}

#[test]
fn reordered_packets_are_accepted_within_the_window_only() {
    let (mut outbound, mut inbound) = pair(&params(EspSuite::Aes256Gcm16, false));
    let count = usize::try_from(REPLAY_WINDOW).unwrap() + 1;
    let packets: Vec<Buf> = (0..count).map(|_| sealed(&mut outbound, b"payload")).collect();
    for packet in packets.iter().skip(1).rev() {
        assert_eq!(inbound.open(&mut Buf::copy_of(packet)), Ok(UDP));
    }
    assert_eq!(inbound.open(&mut Buf::copy_of(&packets[0])), Err(DropReason::TooOld));
    assert_eq!(inbound.open(&mut Buf::copy_of(&packets[1])), Err(DropReason::Replayed));
}

#[test]
fn one_flipped_bit_anywhere_is_refused_and_changes_nothing() {
    for suite in EspSuite::ALL {
        for esn in [false, true] {
            let (mut outbound, mut inbound) = pair(&params(suite, esn));
            inbound.open(&mut sealed(&mut outbound, b"first")).unwrap();
            let packet = sealed(&mut outbound, b"second");
            let before = state(&inbound);
            for bit in 0..packet.len() * 8 {
                let mut forged = Buf::copy_of(&packet);
                forged[bit / 8] ^= 1 << (bit % 8);
                assert!(inbound.open(&mut forged).is_err(), "{suite} bit {bit}");
                assert_eq!(state(&inbound), before, "{suite} bit {bit}");
            }
            assert_eq!(inbound.open(&mut Buf::copy_of(&packet)), Ok(UDP));
        }
    }
}

#[test]
fn every_prefix_is_refused_and_changes_nothing() {
    for suite in EspSuite::ALL {
        let (mut outbound, mut inbound) = pair(&params(suite, false));
        let packet = sealed(&mut outbound, b"payload");
        let before = state(&inbound);
        for len in 0..packet.len() {
            assert!(inbound.open(&mut Buf::copy_of(&packet[..len])).is_err(), "{suite} {len}");
            assert_eq!(state(&inbound), before);
        }
        for len in 0..8 {
            let refused = inbound.open(&mut Buf::copy_of(&packet[..len]));
            assert_eq!(refused, Err(DropReason::Truncated));
        }
        let refused = inbound.open(&mut Buf::copy_of(&packet[..8]));
        assert_eq!(refused, Err(DropReason::BadLength));
    }
}

#[test]
fn a_packet_with_bytes_added_is_refused() {
    for suite in EspSuite::ALL {
        let (mut outbound, mut inbound) = pair(&params(suite, false));
        let packet = sealed(&mut outbound, b"payload");
        for added in 1..40 {
            let mut longer = packet.to_vec();
            longer.resize(packet.len() + added, 0);
            assert!(inbound.open(&mut Buf::copy_of(&longer)).is_err(), "{suite} {added}");
        }
        assert_eq!(inbound.window().top(), 0);
    }
}

#[test]
fn another_sas_packet_is_refused() {
    let params = params(EspSuite::Aes128Gcm16, false);
    let other = SaParams { spi: 1, ..params.clone() };
    let (mut outbound, _) = pair(&other);
    let (_, mut inbound) = pair(&params);
    assert_eq!(inbound.open(&mut sealed(&mut outbound, b"x")), Err(DropReason::WrongSpi));
}

#[test]
fn forged_padding_from_the_key_holder_is_refused() {
    for suite in EspSuite::ALL {
        let (_, mut inbound) = pair(&params(suite, false));
        let block = suite.block_len();
        let mut seq = 0;
        let mut open = |body: &[u8]| {
            seq += 1;
            inbound.open(&mut seal_body(suite, seq, body))
        };
        let mut good = alloc::vec![0; 2 * block];
        good[2 * block - 1] = UDP;
        assert_eq!(open(&good), Ok(UDP), "no padding at all");
        let mut longer_than_the_packet = good.clone();
        longer_than_the_packet[2 * block - 2] = u8::try_from(2 * block - 1).unwrap();
        assert_eq!(open(&longer_than_the_packet), Err(DropReason::BadPadding));
        longer_than_the_packet[2 * block - 2] = 255;
        assert_eq!(open(&longer_than_the_packet), Err(DropReason::BadPadding));
        let mut not_counting = good.clone();
        not_counting[2 * block - 4..2 * block - 1].copy_from_slice(&[2, 1, 2]);
        assert_eq!(open(&not_counting), Err(DropReason::BadPadding));
        not_counting[2 * block - 4..2 * block - 1].copy_from_slice(&[1, 2, 2]);
        assert_eq!(open(&not_counting), Ok(UDP));
        let mut only_padding: Vec<u8> = (1..).take(2 * block).collect();
        only_padding[2 * block - 2] = u8::try_from(2 * block - 2).unwrap();
        only_padding[2 * block - 1] = UDP;
        assert_eq!(open(&only_padding), Ok(UDP), "an empty payload");
    }
}

#[test]
fn the_longest_padding_is_read() {
    let suite = EspSuite::Aes128Gcm16;
    let (_, mut inbound) = pair(&params(suite, false));
    let body: Vec<u8> = [0, 0, 0].into_iter().chain(1..=255).chain([255, UDP]).collect();
    let mut buf = seal_body(suite, 1, &body);
    assert_eq!(inbound.open(&mut buf), Ok(UDP));
    assert_eq!(&*buf, [0, 0, 0]);
}

#[test]
fn a_dummy_packet_is_dropped_and_counts_as_seen() {
    let (mut outbound, mut inbound) = pair(&params(EspSuite::Aes128CbcSha256, false));
    let mut dummy = Buf::copy_of(b"any bytes");
    outbound.seal(&mut dummy, 59, &mut ivs()).unwrap();
    assert_eq!(inbound.open(&mut Buf::copy_of(&dummy)), Err(DropReason::Dummy));
    assert_eq!(inbound.open(&mut dummy), Err(DropReason::Replayed));
}

#[test]
fn extended_numbers_carry_over_the_32_bit_boundary() {
    for suite in EspSuite::ALL {
        let params = params(suite, true);
        let (mut outbound, mut inbound) = at(&params, (1 << 32) - 3);
        let packets: Vec<Buf> = (0..6).map(|_| sealed(&mut outbound, b"payload")).collect();
        assert_eq!(packets[3][4..8], [0; 4], "the lower half travels");
        for index in [0, 4, 1, 5, 3, 2] {
            let opened = inbound.open(&mut Buf::copy_of(&packets[index]));
            assert_eq!(opened, Ok(UDP), "{suite} {index}");
        }
        assert_eq!(inbound.window().top(), (1 << 32) + 2);
        let replayed = inbound.open(&mut Buf::copy_of(&packets[0]));
        assert_eq!(replayed, Err(DropReason::Replayed));
    }
}

#[test]
fn extended_numbers_are_lost_only_after_a_gap_of_nearly_the_whole_space() {
    let params = params(EspSuite::Aes128CbcSha1, true);
    let (_, mut inbound) = at(&params, 10_000);
    let last = (1u64 << 32) + inbound.window().top() - REPLAY_WINDOW;
    let (mut outbound, _) = at(&params, last + 1);
    assert_eq!(
        inbound.open(&mut sealed(&mut outbound, b"far")),
        Err(DropReason::Replayed),
        "taken for a packet of the window"
    );
    let (mut outbound, _) = at(&params, last);
    assert_eq!(inbound.open(&mut sealed(&mut outbound, b"near")), Ok(UDP));
}

#[test]
fn ends_that_disagree_about_extended_numbers_refuse_each_other() {
    for suite in EspSuite::ALL {
        let (mut outbound, _) = pair(&params(suite, true));
        let (_, mut inbound) = pair(&params(suite, false));
        let refused = inbound.open(&mut sealed(&mut outbound, b"payload"));
        assert_eq!(refused, Err(DropReason::NotAuthentic), "{suite}");
    }
}

/// Everything of an inbound SA that a forgery could change.
fn state(inbound: &InboundSa) -> impl PartialEq + core::fmt::Debug + use<> {
    (inbound.window().clone(), inbound.counters())
}

/// Halves of an SA whose next packet has the number `seq`.
fn at(params: &SaParams, seq: u64) -> (OutboundSa, InboundSa) {
    let provider = isthmus_crypto_aws::provider();
    let outbound = OutboundSa::new(params.clone(), seq, &*provider).unwrap();
    let record =
        InboundRecord { params: params.clone(), top: seq - 1, counters: outbound.counters() };
    (outbound, InboundSa::restore(record, &*provider).unwrap())
}

/// A packet with the keys of [`params`] and any body, trailer included.
fn seal_body(suite: EspSuite, seq: u32, body: &[u8]) -> Buf {
    let params = params(suite, false);
    let mut packet = [&params.spi.to_be_bytes()[..], &seq.to_be_bytes()].concat();
    packet.resize(8 + suite.iv_len(), 5);
    packet.extend_from_slice(body);
    packet.resize(packet.len() + suite.icv_len(), 0);
    let cipher = isthmus_crypto_aws::provider().esp(suite, &params.keys).unwrap();
    let mut job = [EspJob { packet: &mut packet, seq_hi: None, result: EspJobResult::Pending }];
    cipher.seal(&mut job);
    assert_eq!(job[0].result, EspJobResult::Done);
    Buf::copy_of(&packet)
}
