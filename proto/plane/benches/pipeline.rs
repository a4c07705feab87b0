//! The whole pipeline against the bare cipher, in one process, batch by batch in turn.
//!
//! `down` is TUN device to network, `up` the other way, each with batches of 64 packets of 1400 bytes.
//! Besides criterion's report it prints the ratio of the best times: what share of the cipher's speed is
//! left when everything else is done as well. `rates` is the same pipeline with a rate on the session, which
//! nothing exceeds, beside the one without.
#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "the ratio is the result")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BenchmarkGroup, Criterion, Throughput};
use isthmus_core::{Buf, Instant};
use isthmus_crypto::{EspCipher, EspJob, EspJobResult, EspSuite};
use isthmus_plane::{Command, Rate, Rates, Rx};
use support::{End, NOW, SPI, TUN, carry, connected, fill, inbound, packet, params};

const BATCH: usize = 64;
const LEN: usize = 1400;
const SUITES: [EspSuite; 4] = [
    EspSuite::Aes256CbcSha1,
    EspSuite::Aes256CbcSha256,
    EspSuite::Aes128Gcm16,
    EspSuite::Aes256Gcm16,
];
/// Batches of sealed packets made ahead; then the replay window is opened anew.
const SEALED: usize = 128;
/// Time between batches.
const TICK: Duration = Duration::from_micros(100);
/// Batches for the ratio.
const ROUNDS: usize = 2000;

/// Both ways of doing one batch, in the pipeline and with the cipher alone.
struct Bench {
    suite: EspSuite,
    gateway: End,
    cipher: Box<dyn EspCipher>,
    /// A packet to the client.
    inner: Vec<u8>,
    /// Packets from the client, sealed.
    sealed: Vec<Rx>,
    /// Where in `sealed` the batch begins that was opened last.
    at: usize,
    tun: Vec<Buf>,
    net: Vec<Rx>,
    raw: Vec<Buf>,
    /// Goes on with each batch.
    now: Instant,
}

impl Bench {
    fn new(suite: EspSuite, rates: Rates) -> Self {
        let (gateway, mut client) = connected(suite, rates);
        let content = packet(LEN, true);
        let mut sealed = Vec::new();
        for _ in 0..SEALED {
            let mut batch = (0..BATCH).map(|_| Buf::copy_of(&content)).collect();
            client.plane.handle_tun(TUN, &mut batch, &mut client.out, NOW);
            carry(&mut client.out.net, &mut sealed);
        }
        let cipher = isthmus_crypto_aws::provider()
            .esp(suite, &params(suite, 1).keys)
            .expect("keys of the right length");
        let raw = sealed.iter().take(BATCH).map(|rx| Buf::copy_of(&rx.buf)).collect();
        let (tun, net, now) = (Vec::new(), Vec::new(), NOW);
        let inner = packet(LEN, false);
        Self { suite, gateway, cipher, inner, sealed, at: 0, tun, net, raw, now }
    }

    /// Inner packets to ESP in the pipeline.
    fn down(&mut self) {
        let out = &mut self.gateway.out;
        self.tun.extend((0..BATCH).map(|_| fill(&mut out.free, &self.inner)));
        self.now += TICK;
        self.gateway.plane.handle_tun(TUN, &mut self.tun, out, self.now);
        assert_eq!(out.net.len(), BATCH);
        out.free.extend(black_box(&mut out.net).drain(..).map(|tx| tx.buf));
    }

    /// The cipher alone on packets of the same length.
    fn seal(&mut self) {
        for (buf, rx) in self.raw.iter_mut().zip(&self.sealed) {
            buf.copy_from_slice(&rx.buf);
        }
        self.cipher.seal(&mut jobs(&mut self.raw));
    }

    /// The next batch of sealed packets.
    fn next_sealed(&mut self) -> std::ops::Range<usize> {
        self.at += BATCH;
        if self.at >= self.sealed.len() {
            self.at = 0;
            // The same SA installed anew has seen nothing.
            let out = &mut self.gateway.out;
            self.gateway.plane.apply(Command::RemoveInbound { spi: SPI }, out, NOW);
            let sa = inbound(self.suite, 1, 2);
            self.gateway.plane.apply(Command::InstallInbound(sa), out, NOW);
        }
        self.at..self.at + BATCH
    }

    /// ESP to inner packets in the pipeline.
    fn up(&mut self) {
        let range = self.next_sealed();
        let out = &mut self.gateway.out;
        for rx in self.sealed.get(range).unwrap_or_default() {
            let buf = fill(&mut out.free, &rx.buf);
            self.net.push(Rx { path: rx.path, port: rx.port, buf });
        }
        self.now += TICK;
        self.gateway.plane.handle_net(&mut self.net, out, self.now);
        assert_eq!(out.tun.len(), BATCH);
        out.free.extend(black_box(&mut out.tun).drain(..).map(|(_, buf)| buf));
        out.reports.clear();
    }

    /// The cipher alone on packets that are as far from the caches.
    fn open(&mut self) {
        let far = (self.at + self.sealed.len() / 2) % self.sealed.len();
        let sealed = self.sealed.get(far..).unwrap_or_default();
        for (buf, rx) in self.raw.iter_mut().zip(sealed) {
            buf.copy_from_slice(&rx.buf);
        }
        let mut jobs = jobs(&mut self.raw);
        self.cipher.open(&mut jobs);
        assert!(jobs.iter().all(|job| job.result == EspJobResult::Done));
    }
}

fn jobs(raw: &mut [Buf]) -> Vec<EspJob<'_>> {
    let job = |packet| EspJob { packet, seq_hi: None, result: EspJobResult::Pending };
    raw.iter_mut().map(|buf| job(buf)).collect()
}

/// The shortest times of two ways, taken in turn so that a busy machine slows both.
fn best(bench: &mut Bench, ways: [fn(&mut Bench); 2]) -> [Duration; 2] {
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (way, best) in ways.iter().zip(&mut best) {
            *best = timed(bench, *way).min(*best);
        }
    }
    best
}

fn timed(bench: &mut Bench, way: fn(&mut Bench)) -> Duration {
    let start = WallTime.start();
    way(bench);
    WallTime.end(start)
}

/// How the shortest times of one way compare without and with rates, taken in turn.
fn compare(name: &str, way: fn(&mut Bench), pair: &mut [Bench; 2]) {
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (bench, best) in pair.iter_mut().zip(&mut best) {
            *best = timed(bench, way).min(*best);
        }
    }
    let [without, with] = best.map(|time| time.as_secs_f64());
    let suite = pair[0].suite;
    println!("{name} {suite}: with rates the pipeline has {:.3} of its speed", without / with);
}

fn report(name: &str, suite: EspSuite, [pipeline, cipher]: [Duration; 2]) {
    let bits = f64::from(u32::try_from(BATCH * LEN * 8).unwrap_or(u32::MAX));
    let gigabits = |time: Duration| bits / time.as_secs_f64() / 1e9;
    println!(
        "{name} {suite}: pipeline {:.2} Gbit/s, cipher {:.2} Gbit/s, ratio {:.3}",
        gigabits(pipeline),
        gigabits(cipher),
        cipher.as_secs_f64() / pipeline.as_secs_f64(),
    );
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    bench: &mut Bench,
    way: fn(&mut Bench),
) {
    group.bench_function(name, |bencher| bencher.iter(|| way(bench)));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for suite in SUITES {
        let mut bench = Bench::new(suite, Rates::default());
        let mut group = criterion.benchmark_group(suite.name());
        group.throughput(Throughput::Bytes(u64::try_from(BATCH * LEN).unwrap_or(u64::MAX)));
        measure(&mut group, "down", &mut bench, Bench::down);
        measure(&mut group, "seal", &mut bench, Bench::seal);
        measure(&mut group, "up", &mut bench, Bench::up);
        measure(&mut group, "open", &mut bench, Bench::open);
        group.finish();
        report("down", suite, best(&mut bench, [Bench::down, Bench::seal]));
        report("up", suite, best(&mut bench, [Bench::up, Bench::open]));
        let fast = Some(Rate::new(1_000_000_000_000, None));
        let mut pair = [bench, Bench::new(suite, Rates { up: fast, down: fast })];
        compare("rates down", Bench::down, &mut pair);
        compare("rates up", Bench::up, &mut pair);
    }
    criterion.final_summary();
}
