//! Numbers, IVs, room, lifetimes and records.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use isthmus_core::{Buf, RngStream};
use isthmus_crypto::{CryptoError, EspSuite, HashAlg};

use super::{UDP, ivs, pair, params, sealed};
use crate::{
    Counters, DropReason, InboundSa, Lifetime, OutboundSa, SaParams, SoftLimit, headroom,
    packet_len, tailroom_max,
};

#[test]
fn a_sealed_packet_is_made_as_rfc_4303_draws_it() {
    for suite in EspSuite::ALL {
        let params = params(suite, false);
        let (mut outbound, _) = pair(&params);
        let payload = b"seventeen bytes..";
        let packet = sealed(&mut outbound, payload);
        assert_eq!(packet.len(), packet_len(suite, payload.len()));
        assert_eq!(packet[..4], params.spi.to_be_bytes());
        assert_eq!(packet[4..8], [0, 0, 0, 1]);
        if suite.is_aead() {
            assert_eq!(packet[8..16], 1u64.to_be_bytes(), "the IV is the counter");
        } else {
            assert_eq!(decrypt_by_parts(&params, &packet), expected_body(suite, payload));
        }
    }
}

/// Verifies the ICV and decrypts with the provider's own HMAC and CBC.
fn decrypt_by_parts(params: &SaParams, packet: &[u8]) -> Vec<u8> {
    use isthmus_crypto::CipherAlg;
    let suite = params.suite;
    let (hash, cipher) = match suite {
        EspSuite::Aes128CbcSha1 => (HashAlg::Sha1, CipherAlg::Aes128Cbc),
        EspSuite::Aes192CbcSha1 => (HashAlg::Sha1, CipherAlg::Aes192Cbc),
        EspSuite::Aes256CbcSha1 => (HashAlg::Sha1, CipherAlg::Aes256Cbc),
        EspSuite::Aes128CbcSha256 | EspSuite::Aes128CbcSha256Cut96 => {
            (HashAlg::Sha256, CipherAlg::Aes128Cbc)
        }
        EspSuite::Aes256CbcSha256 | EspSuite::Aes256CbcSha256Cut96 => {
            (HashAlg::Sha256, CipherAlg::Aes256Cbc)
        }
        EspSuite::Aes128CbcSha384 => (HashAlg::Sha384, CipherAlg::Aes128Cbc),
        EspSuite::Aes256CbcSha384 => (HashAlg::Sha384, CipherAlg::Aes256Cbc),
        EspSuite::Aes128CbcSha512 => (HashAlg::Sha512, CipherAlg::Aes128Cbc),
        EspSuite::Aes256CbcSha512 => (HashAlg::Sha512, CipherAlg::Aes256Cbc),
        EspSuite::TripleDesSha1 => (HashAlg::Sha1, CipherAlg::TripleDesCbc),
        EspSuite::Aes128Gcm16 | EspSuite::Aes256Gcm16 => panic!("not made of parts"),
    };
    let provider = isthmus_crypto_aws::provider();
    let (covered, icv) = packet.split_at(packet.len() - suite.icv_len());
    let mut tag = alloc::vec![0; hash.len()];
    provider.hmac(hash, params.keys.integrity.expose(), &[covered], &mut tag).unwrap();
    assert_eq!(icv, &tag[..suite.icv_len()]);
    let (iv, body) = covered[8..].split_at(suite.iv_len());
    let mut body = body.to_vec();
    provider.cbc_decrypt(cipher, params.keys.cipher.expose(), iv, &mut body).unwrap();
    body
}

fn expected_body(suite: EspSuite, payload: &[u8]) -> Vec<u8> {
    let mut body = payload.to_vec();
    let mut pad = 0;
    while !(body.len() + 2).is_multiple_of(suite.block_len()) {
        pad += 1;
        body.push(pad);
    }
    body.extend([pad, UDP]);
    body
}

#[test]
fn numbers_go_up_and_ivs_never_repeat() {
    for suite in EspSuite::ALL {
        let (mut outbound, _) = pair(&params(suite, false));
        let (mut ivs, mut seen) = (ivs(), BTreeSet::new());
        for seq in 1..200u32 {
            let mut packet = Buf::copy_of(b"the same payload");
            outbound.seal(&mut packet, UDP, &mut ivs).unwrap();
            assert_eq!(packet[4..8], seq.to_be_bytes());
            assert!(seen.insert(packet[8..8 + suite.iv_len()].to_vec()), "{suite}");
        }
    }
}

#[test]
fn cbc_ivs_follow_from_the_seed_alone() {
    let params = params(EspSuite::Aes128CbcSha1, false);
    let provider = isthmus_crypto_aws::provider();
    let first = |seed| {
        let mut sa = OutboundSa::new(params.clone(), 1, &*provider).unwrap();
        let mut buf = Buf::copy_of(b"payload");
        sa.seal(&mut buf, UDP, &mut RngStream::new(seed)).unwrap();
        buf.to_vec()
    };
    assert_eq!(first([1; 32]), first([1; 32]));
    assert_ne!(first([1; 32]), first([2; 32]));
}

#[test]
fn the_last_number_is_used_and_the_next_refused() {
    let cases = [(false, u64::from(u32::MAX)), (true, u64::MAX)];
    for (esn, last) in cases {
        let params = params(EspSuite::Aes128Gcm16, esn);
        let provider = isthmus_crypto_aws::provider();
        let mut sa = OutboundSa::new(params, last - 1, &*provider).unwrap();
        let mut bufs: Vec<Buf> = (0..4).map(|_| Buf::copy_of(b"payload")).collect();
        let mut results = Vec::new();
        sa.seal_batch(&mut bufs, UDP, &mut ivs(), &mut results);
        let refused = Err(DropReason::SequenceExhausted);
        assert_eq!(results, [Ok(()), Ok(()), refused, refused]);
        assert_eq!(&*bufs[2], b"payload", "a dropped packet keeps its payload");
        assert_eq!(sa.next_seq(), None);
        assert_eq!(sa.counters().packets, 2);
    }
}

#[test]
fn an_sa_may_begin_behind_its_last_number_and_sends_nothing() {
    let provider = isthmus_crypto_aws::provider();
    let params = params(EspSuite::Aes128Gcm16, false);
    let mut sa = OutboundSa::new(params, 1 << 32, &*provider).unwrap();
    let refused = sa.seal(&mut Buf::copy_of(b"payload"), UDP, &mut ivs());
    assert_eq!(refused, Err(DropReason::SequenceExhausted));
}

#[test]
fn running_out_of_numbers_is_announced_once_and_in_time() {
    let provider = isthmus_crypto_aws::provider();
    let eighth = u64::from(u32::MAX / 8);
    let late = u64::from(u32::MAX) - eighth;
    let params = params(EspSuite::Aes128Gcm16, false);
    let mut sa = OutboundSa::new(params, late, &*provider).unwrap();
    sealed(&mut sa, b"payload");
    assert_eq!(sa.poll_soft_limit(), None);
    sealed(&mut sa, b"payload");
    assert_eq!(sa.poll_soft_limit(), Some(SoftLimit::Sequence));
    sealed(&mut sa, b"payload");
    assert_eq!(sa.poll_soft_limit(), None);
}

#[test]
fn both_halves_keep_to_their_lifetime_in_bytes() {
    let suite = EspSuite::Aes128CbcSha1;
    // Each packet counts 32 bytes between IV and ICV.
    let lifetime = Lifetime { soft_bytes: 64, hard_bytes: 96 };
    let limited = SaParams { lifetime, ..params(suite, false) };
    let (mut limited, mut inbound) = pair(&limited);
    let mut outbound = unlimited_outbound(suite);
    let mut reports = Vec::new();
    for packet in 1..=3 {
        let mut buf = Buf::copy_of(&[0; 20]);
        assert_eq!(limited.seal(&mut buf, UDP, &mut ivs()), Ok(()));
        reports.push(limited.poll_soft_limit());
        assert_eq!(inbound.open(&mut sealed(&mut outbound, &[0; 20])), Ok(UDP));
        assert_eq!(inbound.poll_soft_limit().is_some(), packet == 2);
    }
    assert_eq!(reports, [None, Some(SoftLimit::Bytes), None]);
    assert_eq!(limited.counters(), Counters { packets: 3, bytes: 96 });
    assert_eq!(inbound.counters(), Counters { packets: 3, bytes: 96 });
    let refused = limited.seal(&mut Buf::copy_of(b""), UDP, &mut ivs());
    assert_eq!(refused, Err(DropReason::LifetimeOver));
    assert_eq!(limited.next_seq(), Some(4), "a refused packet uses no number");
    let refused = inbound.open(&mut sealed(&mut outbound, b""));
    assert_eq!(refused, Err(DropReason::LifetimeOver));
}

#[test]
fn a_batch_does_not_pass_the_inbound_lifetime_either() {
    let suite = EspSuite::Aes128CbcSha1;
    let lifetime = Lifetime { soft_bytes: 32, hard_bytes: 64 };
    let (_, mut inbound) = pair(&SaParams { lifetime, ..params(suite, false) });
    let mut outbound = unlimited_outbound(suite);
    let mut batch: Vec<Buf> = (0..4).map(|_| sealed(&mut outbound, &[0; 20])).collect();
    let mut results = Vec::new();
    inbound.open_batch(&mut batch, &mut results);
    let over = Err(DropReason::LifetimeOver);
    assert_eq!(results, [Ok(UDP), Ok(UDP), over, over]);
}

#[test]
fn kilobytes_are_1024_bytes_and_the_soft_limit_lies_an_eighth_below() {
    let lifetime = Lifetime::of_kilobytes(250_000);
    assert_eq!(lifetime, Lifetime { soft_bytes: 224_000_000, hard_bytes: 256_000_000 });
    assert_eq!(Lifetime::of_kilobytes(u32::MAX).hard_bytes, u64::from(u32::MAX) * 1024);
}

#[test]
fn missing_room_is_a_named_drop_that_changes_nothing() {
    for suite in EspSuite::ALL {
        let (mut outbound, _) = pair(&params(suite, false));
        let exact = |front: usize, back: usize| {
            let mut buf = Buf::copy_of(&[3; 40]);
            let content = buf.headroom() - front;
            buf.push_front(content).unwrap().fill(3);
            let spare = buf.tailroom() - back;
            buf.push_back(spare).unwrap().fill(3);
            buf
        };
        let (front, back) = (headroom(suite), tailroom_max(suite));
        for (front, back) in [(front - 1, back), (front, suite.icv_len() + 1), (0, 0)] {
            let mut buf = exact(front, back);
            let before = buf.to_vec();
            assert_eq!(
                outbound.seal(&mut buf, UDP, &mut ivs()),
                Err(DropReason::NoRoom),
                "{suite}"
            );
            assert_eq!(&*buf, &before[..]);
            assert_eq!((buf.headroom(), buf.tailroom()), (front, back));
        }
        assert_eq!(outbound.next_seq(), Some(1));
        assert_eq!(outbound.counters(), Counters::default());
        assert_eq!(outbound.seal(&mut exact(front, back), UDP, &mut ivs()), Ok(()), "{suite}");
    }
}

#[test]
fn the_standard_room_is_enough_for_every_suite() {
    for suite in EspSuite::ALL {
        assert!(headroom(suite) + 8 + 40 <= Buf::HEADROOM);
        assert!(tailroom_max(suite) <= Buf::TAILROOM);
    }
}

#[test]
fn a_restored_sa_uses_no_number_of_its_predecessor() {
    let provider = isthmus_crypto_aws::provider();
    for suite in EspSuite::ALL {
        let (mut old, mut inbound) = pair(&params(suite, false));
        let stored = old.record(100);
        old.reserve_until(stored.resume_at);
        let mut used = BTreeSet::new();
        let mut buf = Buf::copy_of(b"payload");
        while old.seal(&mut buf, UDP, &mut ivs()).is_ok() {
            used.insert(buf[4..8].to_vec());
            assert_eq!(inbound.open(&mut buf), Ok(UDP));
        }
        assert_eq!(old.seal(&mut buf, UDP, &mut ivs()), Err(DropReason::SequenceUnreserved));
        assert_eq!(&*buf, b"payload");
        assert_eq!(used.len(), 100);
        assert_eq!(old.reserved_left(), Some(0));
        // Killed here; the record is all that is left.
        let mut new = OutboundSa::restore(stored, &*provider).unwrap();
        assert_eq!(new.seal(&mut buf, UDP, &mut ivs()), Err(DropReason::SequenceUnreserved));
        let stored = new.record(100);
        new.reserve_until(stored.resume_at);
        assert_eq!(new.reserved_left(), Some(100));
        assert_eq!(new.seal(&mut buf, UDP, &mut ivs()), Ok(()));
        assert!(used.insert(buf[4..8].to_vec()), "{suite}");
        assert_eq!(inbound.open(&mut buf), Ok(UDP), "the peer accepts the jump");
        // Killed twice in a row: the second record lies behind the first.
        let newer = OutboundSa::restore(stored, &*provider).unwrap();
        assert!(newer.next_seq() > new.next_seq());
    }
}

#[test]
fn reserving_ahead_of_need_loses_no_number() {
    let (mut sa, _) = pair(&params(EspSuite::Aes128Gcm16, false));
    let first = sa.record(10);
    sa.reserve_until(first.resume_at);
    (0..5).for_each(|_| drop(sealed(&mut sa, b"payload")));
    let second = sa.record(10);
    assert_eq!(second.resume_at, first.resume_at + 10);
    sa.reserve_until(second.resume_at);
    assert_eq!(sa.reserved_left(), Some(15));
}

#[test]
fn an_exhausted_sa_restores_exhausted() {
    let provider = isthmus_crypto_aws::provider();
    let params = params(EspSuite::Aes128Gcm16, false);
    let mut sa = OutboundSa::new(params, u64::from(u32::MAX), &*provider).unwrap();
    sealed(&mut sa, b"payload");
    let mut restored = OutboundSa::restore(sa.record(10), &*provider).unwrap();
    restored.reserve_until(u64::MAX);
    let refused = restored.seal(&mut Buf::copy_of(b"payload"), UDP, &mut ivs());
    assert_eq!(refused, Err(DropReason::SequenceExhausted));
}

#[test]
fn a_restored_inbound_sa_refuses_what_its_record_covers() {
    let provider = isthmus_crypto_aws::provider();
    let (mut outbound, mut inbound) = pair(&params(EspSuite::Aes256CbcSha256, false));
    let packets: Vec<Buf> = (0..10).map(|_| sealed(&mut outbound, b"payload")).collect();
    for packet in &packets[..5] {
        inbound.open(&mut Buf::copy_of(packet)).unwrap();
    }
    let mut restored = InboundSa::restore(inbound.record(), &*provider).unwrap();
    assert_eq!(restored.counters(), inbound.counters());
    for packet in &packets[..5] {
        let refused = restored.open(&mut Buf::copy_of(packet));
        assert_eq!(refused, Err(DropReason::Replayed));
    }
    for packet in &packets[5..] {
        assert_eq!(restored.open(&mut Buf::copy_of(packet)), Ok(UDP));
    }
}

#[test]
fn keys_of_another_suite_are_refused() {
    let provider = isthmus_crypto_aws::provider();
    let keys = params(EspSuite::Aes128CbcSha1, false).keys;
    let wrong = SaParams { keys, ..params(EspSuite::Aes256Gcm16, false) };
    let outbound = OutboundSa::new(wrong.clone(), 1, &*provider);
    assert_eq!(outbound.map(|_| ()).unwrap_err(), CryptoError::BadLength);
    assert_eq!(InboundSa::new(wrong, &*provider).map(|_| ()).unwrap_err(), CryptoError::BadLength);
}

#[test]
fn nothing_prints_a_key() {
    let params = params(EspSuite::Aes128Gcm16, false);
    let (outbound, inbound) = pair(&params);
    let secret = alloc::format!("{:?}", params.keys.cipher.expose());
    for printed in [
        alloc::format!("{outbound:?}"),
        alloc::format!("{inbound:?}"),
        alloc::format!("{:?}", outbound.record(1)),
        alloc::format!("{:?}", inbound.record()),
    ] {
        assert!(printed.contains("[secret]") && !printed.contains(&secret));
    }
}

fn unlimited_outbound(suite: EspSuite) -> OutboundSa {
    pair(&params(suite, false)).0
}
