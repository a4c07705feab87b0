//! Batches of 32 packets of 1400 bytes: one packet after the other in aws-lc, the portable batch, and
//! libipsec-mb, round by round in turn. Prints ratios of medians to the first; times alone mean nothing.
#![expect(clippy::print_stdout, reason = "the ratios are the result")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::{Duration, Instant};

use isthmus_crypto::{EspCipher, EspJob, EspJobResult, EspKeys, EspSuite};

/// The usual size of a batch.
const BATCH: usize = 32;
/// Bytes of an inner packet with its headers, padded to blocks.
const BODY: usize = 1408;
/// Rounds; each does every contender a few times.
const ROUNDS: usize = 60;
const REPEATS: usize = 20;

/// One way of doing a batch.
struct Contender {
    name: &'static str,
    cipher: Box<dyn EspCipher>,
    /// Packets given to the cipher at a time.
    chunk: usize,
    seal: Vec<Duration>,
    open: Vec<Duration>,
}

impl Contender {
    fn round(&mut self, plain: &[Vec<u8>]) {
        let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..REPEATS {
            let mut packets = plain.to_vec();
            seal += timed(&mut packets, self.chunk, |jobs| self.cipher.seal(jobs));
            open += timed(&mut packets, self.chunk, |jobs| self.cipher.open(jobs));
        }
        self.seal.push(seal);
        self.open.push(open);
    }
}

fn timed(packets: &mut [Vec<u8>], chunk: usize, work: impl Fn(&mut [EspJob<'_>])) -> Duration {
    let job = |packet| EspJob { packet, seq_hi: None, result: EspJobResult::Pending };
    let mut jobs: Vec<EspJob<'_>> = packets.iter_mut().map(|p| job(p.as_mut_slice())).collect();
    let start = Instant::now();
    jobs.chunks_mut(chunk).for_each(work);
    let time = start.elapsed();
    assert!(jobs.iter().all(|job| job.result == EspJobResult::Done));
    time
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn compare(suite: EspSuite) {
    let portable = isthmus_crypto_aws::provider();
    let fast = isthmus_crypto_mb::accelerate(portable.clone()).unwrap();
    let keys = EspKeys::from_keymat(suite, &vec![7; suite.keymat_len()]).unwrap();
    let contender = |name, provider: &dyn isthmus_crypto::Provider, chunk| Contender {
        name,
        cipher: provider.esp(suite, &keys).unwrap(),
        chunk,
        seal: Vec::new(),
        open: Vec::new(),
    };
    let mut all = [
        contender("one by one, aws-lc", &*portable, 1),
        contender("portable batch", &*portable, BATCH),
        contender("libipsec-mb", &*fast, BATCH),
    ];
    let plain = vec![vec![1; 8 + suite.iv_len() + BODY + suite.icv_len()]; BATCH];
    for _ in 0..ROUNDS {
        for contender in &mut all {
            contender.round(&plain);
        }
    }
    println!("{suite} ({})", fast.engine());
    let mut first = None;
    for Contender { name, seal, open, .. } in &mut all {
        let (seal, open) = (median(seal), median(open));
        let (seal_one, open_one) = *first.get_or_insert((seal, open));
        let ratio = |one: Duration, time: Duration| one.as_secs_f64() / time.as_secs_f64();
        println!(
            "  {name:20} seal {:.2}  open {:.2}",
            ratio(seal_one, seal),
            ratio(open_one, open)
        );
    }
}

fn main() {
    for suite in [EspSuite::Aes256CbcSha1, EspSuite::Aes128CbcSha1, EspSuite::Aes256CbcSha256] {
        compare(suite);
    }
}
