//! Sealing and opening as a fraction of the bare cipher on the same machine in the same run.
//!
//! `cargo bench -p isthmus-esp --bench pipeline [-- ROUNDS]`
//!
//! Everything is measured in turn, round after round, so that a busy machine slows all alike; the
//! printed figures are medians of rounds, the fractions medians of the fractions of each round. Speed
//! is in bytes of payload. "bare" is the library on one packet after the other: encryption and ICV in
//! place, keys expanded before, nothing else done. Opening includes a copy of each packet in all cases.
#![expect(clippy::disallowed_types, reason = "a benchmark measures real time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may panic")]

use std::time::Instant;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::{constant_time, hmac, iv::FixedLength};
use isthmus_core::{Buf, RngStream};
use isthmus_crypto::{EspJob, EspJobResult, EspKeys, EspSuite};
use isthmus_esp::{HEADER_LEN, InboundSa, Lifetime, OutboundSa, SaParams, headroom};

fn main() {
    let rounds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(41);
    for suite in [EspSuite::Aes256Gcm16, EspSuite::Aes256CbcSha1, EspSuite::Aes256CbcSha256] {
        for payload_len in [1400, 100] {
            let bench = Bench::new(suite, payload_len);
            println!("{suite}, {payload_len} bytes");
            report(
                "  seal",
                rounds,
                payload_len,
                &[
                    ("bare", &|| bench.seal_bare()),
                    ("transform, batches of 32", &|| bench.seal_transform(32)),
                    ("pipeline, batches of 32", &|| bench.seal_pipeline(32)),
                    ("pipeline, batches of 4", &|| bench.seal_pipeline(4)),
                    ("pipeline, one by one", &|| bench.seal_pipeline(1)),
                ],
            );
            report(
                "  open",
                rounds,
                payload_len,
                &[
                    ("bare", &|| bench.open_bare()),
                    ("pipeline, batches of 32", &|| bench.open_pipeline(32)),
                    ("pipeline, one by one", &|| bench.open_pipeline(1)),
                ],
            );
        }
    }
}

/// Runs every case once a round and prints medians; the first case is the measure of the others.
fn report(title: &str, rounds: usize, payload_len: usize, cases: &[(&str, &dyn Fn() -> f64)]) {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for (times, (_, run)) in times.iter_mut().zip(cases) {
            times.push(run());
        }
    }
    for (case, (name, _)) in cases.iter().enumerate() {
        let fractions = times[0].iter().zip(&times[case]).map(|(bare, time)| bare / time);
        let fraction = median(fractions.collect());
        let bytes = f64::from(u32::try_from(PACKETS * payload_len).expect("small"));
        let speed = bytes / median(times[case].clone()) / 1e9;
        println!("{title} {name:25} {speed:6.2} GB/s  {fraction:5.2}");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The seconds that `work` takes.
fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

struct Bench {
    params: SaParams,
    payload_len: usize,
    sealed: Vec<Vec<u8>>,
    bare: Bare,
}

/// The library's keys.
enum Bare {
    Gcm(LessSafeKey),
    CbcHmac(Box<(EncryptingKey, DecryptingKey, hmac::Key)>),
}

impl Bench {
    fn new(suite: EspSuite, payload_len: usize) -> Self {
        let keymat: Vec<u8> = (0..=255).cycle().take(suite.keymat_len()).collect();
        let keys = EspKeys::from_keymat(suite, &keymat).expect("of the right length");
        let bare = bare(suite, &keys);
        let params = SaParams { spi: 1, suite, keys, esn: false, lifetime: Lifetime::UNLIMITED };
        let mut bench = Self { params, payload_len, sealed: Vec::new(), bare };
        let (mut outbound, mut ivs) = (bench.outbound(), RngStream::new([1; 32]));
        for _ in 0..PACKETS {
            let mut buf = Buf::copy_of(&vec![7; payload_len]);
            outbound.seal(&mut buf, 17, &mut ivs).expect("sealed");
            bench.sealed.push(buf.to_vec());
        }
        bench
    }

    fn outbound(&self) -> OutboundSa {
        let provider = isthmus_crypto_aws::provider();
        OutboundSa::new(self.params.clone(), 1, &*provider).expect("keys fit")
    }

    fn bufs(&self, count: usize) -> Vec<Buf> {
        (0..count).map(|_| Buf::copy_of(&vec![7; self.payload_len])).collect()
    }

    fn seal_bare(&self) -> f64 {
        let mut packets = self.sealed[..32].to_vec();
        seconds(|| {
            for _ in 0..PACKETS / 32 {
                for packet in &mut packets {
                    self.bare.seal(self.params.suite, packet);
                }
            }
        })
    }

    fn seal_transform(&self, batch: usize) -> f64 {
        let provider = isthmus_crypto_aws::provider();
        let cipher = provider.esp(self.params.suite, &self.params.keys).expect("keys fit");
        let mut packets = self.sealed[..batch].to_vec();
        seconds(|| {
            for _ in 0..PACKETS / batch {
                let mut jobs: Vec<EspJob<'_>> = packets
                    .iter_mut()
                    .map(|packet| EspJob { packet, seq_hi: None, result: EspJobResult::Pending })
                    .collect();
                cipher.seal(&mut jobs);
            }
        })
    }

    fn seal_pipeline(&self, batch: usize) -> f64 {
        let (mut outbound, mut bufs) = (self.outbound(), self.bufs(batch));
        let (mut results, front) = (Vec::new(), headroom(self.params.suite));
        let mut ivs = RngStream::new([1; 32]);
        seconds(|| {
            for _ in 0..PACKETS / batch {
                outbound.seal_batch(&mut bufs, 17, &mut ivs, &mut results);
                for buf in &mut bufs {
                    let behind = buf.len() - front - self.payload_len;
                    assert!(buf.trim_front(front) && buf.trim_back(behind));
                }
            }
        })
    }

    fn open_bare(&self) -> f64 {
        let mut packet = self.sealed[0].clone();
        seconds(|| {
            for sealed in &self.sealed {
                packet.copy_from_slice(sealed);
                self.bare.open(self.params.suite, &mut packet);
            }
        })
    }

    fn open_pipeline(&self, batch: usize) -> f64 {
        let provider = isthmus_crypto_aws::provider();
        let mut inbound = InboundSa::new(self.params.clone(), &*provider).expect("keys fit");
        let packet_len = self.sealed[0].len();
        let mut bufs: Vec<Buf> = (0..batch).map(|_| Buf::with_capacity(packet_len)).collect();
        let mut results = Vec::new();
        seconds(|| {
            for sealed in self.sealed.chunks(batch) {
                for (buf, sealed) in bufs.iter_mut().zip(sealed) {
                    buf.spare()[..packet_len].copy_from_slice(sealed);
                    assert!(buf.set_len(packet_len));
                }
                inbound.open_batch(&mut bufs, &mut results);
                assert!(results.iter().all(Result::is_ok));
            }
        })
    }
}

fn bare(suite: EspSuite, keys: &EspKeys) -> Bare {
    let key = &keys.cipher.expose()[..32];
    let unbound = || UnboundCipherKey::new(&AES_256, key).expect("32 bytes");
    let mac = |algorithm| {
        Bare::CbcHmac(Box::new((
            EncryptingKey::cbc(unbound()).expect("a key"),
            DecryptingKey::cbc(unbound()).expect("a key"),
            hmac::Key::new(algorithm, keys.integrity.expose()),
        )))
    };
    match suite {
        EspSuite::Aes256CbcSha1 => mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        EspSuite::Aes256CbcSha256 => mac(hmac::HMAC_SHA256),
        EspSuite::Aes256Gcm16 => {
            let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes");
            Bare::Gcm(LessSafeKey::new(key))
        }
        EspSuite::Aes128CbcSha1
        | EspSuite::Aes192CbcSha1
        | EspSuite::Aes128CbcSha256
        | EspSuite::Aes128Gcm16
        | EspSuite::Aes128CbcSha384
        | EspSuite::Aes256CbcSha384
        | EspSuite::Aes128CbcSha512
        | EspSuite::Aes256CbcSha512
        | EspSuite::Aes128CbcSha256Cut96
        | EspSuite::Aes256CbcSha256Cut96
        | EspSuite::TripleDesSha1 => unreachable!("not measured"),
    }
}

impl Bare {
    fn seal(&self, suite: EspSuite, packet: &mut [u8]) {
        let (covered, icv) = packet.split_at_mut(packet.len() - suite.icv_len());
        let (head, body) = covered.split_at_mut(headroom(suite));
        match self {
            Self::Gcm(key) => {
                let aad = Aad::from(&head[..HEADER_LEN]);
                let tag = key.seal_in_place_separate_tag(nonce(head), aad, body).expect("sealed");
                icv.copy_from_slice(tag.as_ref());
            }
            Self::CbcHmac(keys) => {
                let iv = EncryptionContext::Iv128(iv(head));
                keys.0.less_safe_encrypt(body, iv).expect("whole blocks");
                let tag = hmac::sign(&keys.2, covered);
                icv.copy_from_slice(&tag.as_ref()[..icv.len()]);
            }
        }
    }

    fn open(&self, suite: EspSuite, packet: &mut [u8]) {
        let (covered, icv) = packet.split_at_mut(packet.len() - suite.icv_len());
        match self {
            Self::Gcm(key) => {
                let (head, body) = covered.split_at_mut(headroom(suite));
                let aad = Aad::from(&head[..HEADER_LEN]);
                // The salt is not the SA's, so nothing verifies; the work is the same.
                let _ = key.open_in_place_separate_tag(nonce(head), aad, icv, body);
            }
            Self::CbcHmac(keys) => {
                let tag = hmac::sign(&keys.2, covered);
                let expected = &tag.as_ref()[..icv.len()];
                constant_time::verify_slices_are_equal(expected, icv).expect("authentic");
                let (head, body) = covered.split_at_mut(headroom(suite));
                let iv = DecryptionContext::Iv128(iv(head));
                keys.1.decrypt(body, iv).expect("whole blocks");
            }
        }
    }
}

fn nonce(head: &[u8]) -> Nonce {
    Nonce::try_assume_unique_for_key(&[&[0; 4], &head[HEADER_LEN..]].concat()).expect("12 bytes")
}

fn iv(head: &[u8]) -> FixedLength<16> {
    FixedLength::try_from(&head[HEADER_LEN..]).expect("16 bytes")
}

/// Packets a round: few enough to stay in the cache, enough to be timed.
const PACKETS: usize = 2048;
