//! The receiving half of an SA: nothing forged ever opens or leaves a trace, and what the holder of
//! the keys seals opens exactly when its padding is right.
#![no_main]

use std::sync::LazyLock;

use isthmus_core::{Buf, RngStream};
use isthmus_crypto::{EspJob, EspJobResult, EspSuite};
use isthmus_esp::{Datagram, DropReason, InboundSa, OutboundSa, SaParams, classify};
use isthmus_fuzz::tunnel::{params, spi};
use libfuzzer_sys::fuzz_target;

static PARAMS: LazyLock<Vec<SaParams>> = LazyLock::new(|| {
    let both = |suite| [false, true].map(|esn| SaParams { esn, ..params(suite, 1) });
    EspSuite::ALL.into_iter().flat_map(both).collect()
});

fuzz_target!(|input: &[u8]| {
    let Some((&[choice, what], bytes)) = input.split_first_chunk::<2>() else { return };
    sort(bytes);
    let params = &PARAMS[usize::from(choice) % PARAMS.len()];
    let provider = isthmus_crypto_aws::provider();
    let mut sa = InboundSa::new(params.clone(), &*provider).unwrap();
    match what % 3 {
        0 => forged(&mut sa, &[&spi().to_be_bytes(), bytes].concat()),
        1 => changed(&mut sa, bytes),
        _ => sealed_by_hand(&mut sa, bytes),
    }
});

/// What arrives on port 4500 is one of three things, told by its first bytes.
fn sort(bytes: &[u8]) {
    match classify(bytes) {
        Ok(Datagram::Keepalive) => assert_eq!(bytes, [0xff]),
        Ok(Datagram::Ike) => assert!(bytes.starts_with(&[0; 4])),
        Ok(Datagram::Esp { spi }) => {
            assert!(spi != 0 && bytes.len() >= 8 && bytes.starts_with(&spi.to_be_bytes()));
        }
        Err(reason) => assert!(reason == DropReason::Truncated && bytes.len() < 8),
    }
}

fn forged(sa: &mut InboundSa, packet: &[u8]) {
    let before = (sa.window().clone(), sa.counters());
    assert!(sa.open(&mut Buf::copy_of(packet)).is_err(), "a forged packet opened");
    assert_eq!((sa.window().clone(), sa.counters()), before, "a forged packet left a trace");
}

/// An authentic packet with some of its bytes changed: pairs of place and difference.
fn changed(sa: &mut InboundSa, bytes: &[u8]) {
    let provider = isthmus_crypto_aws::provider();
    let mut outbound = OutboundSa::new(sa.params().clone(), 1, &*provider).unwrap();
    let (changes, payload) = bytes.split_at(bytes.len().min(8));
    let mut packet = Buf::copy_of(payload);
    outbound.seal(&mut packet, 17, &mut RngStream::new([9; 32])).unwrap();
    let mut other = packet.to_vec();
    for &[at, difference] in changes.as_chunks::<2>().0 {
        let at = usize::from(at) % other.len();
        other[at] ^= difference;
    }
    if other != *packet {
        forged(sa, &other);
    }
    assert_eq!(sa.open(&mut Buf::copy_of(&packet)), Ok(17));
    let mut again = Buf::copy_of(&packet);
    assert_eq!(sa.open(&mut again), Err(DropReason::Replayed));
}

/// A body sealed without our sender: any padding at all.
fn sealed_by_hand(sa: &mut InboundSa, body: &[u8]) {
    let suite = sa.params().suite;
    let block = suite.block_len();
    let body = &body[..body.len() - body.len() % block];
    let mut packet = [spi().to_be_bytes(), 1u32.to_be_bytes()].concat();
    packet.resize(8 + suite.iv_len(), 5);
    packet.extend_from_slice(body);
    packet.resize(packet.len() + suite.icv_len(), 0);
    let cipher = isthmus_crypto_aws::provider().esp(suite, &sa.params().keys).unwrap();
    let seq_hi = sa.params().esn.then_some(0);
    let mut jobs = [EspJob { packet: &mut packet, seq_hi, result: EspJobResult::Pending }];
    cipher.seal(&mut jobs);
    if jobs[0].result != EspJobResult::Done {
        assert!(body.is_empty(), "a whole number of blocks is sealed");
        return;
    }
    let mut buf = Buf::copy_of(&packet);
    let opened = sa.open(&mut buf);
    match model(body) {
        Ok((next_header, payload)) => {
            assert_eq!(opened, Ok(next_header));
            assert_eq!(&*buf, payload);
        }
        Err(reason) => assert_eq!(opened, Err(reason)),
    }
}

/// RFC 4303 §2.4 to §2.6, the slow way.
fn model(body: &[u8]) -> Result<(u8, &[u8]), DropReason> {
    let [front @ .., pad_len, next_header] = body else { return Err(DropReason::BadLength) };
    let pad_len = usize::from(*pad_len);
    if pad_len > front.len() {
        return Err(DropReason::BadPadding);
    }
    let (payload, padding) = front.split_at(front.len() - pad_len);
    let expected: Vec<u8> = (1..=255).take(pad_len).collect();
    if padding != expected {
        return Err(DropReason::BadPadding);
    }
    if *next_header == 59 { Err(DropReason::Dummy) } else { Ok((*next_header, payload)) }
}
