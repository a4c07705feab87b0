//! What every exchange needs at hand: configuration, algorithms, randomness, outbox and counters.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_core::{Duration, Instant, Key, Outbox, Rng, SecretBytes};
use isthmus_crypto::{self as crypto, CryptoError, DhJob, HashAlg, Provider};
use isthmus_wire::Writer;

use crate::action::{Action, Failure, FailureCause, JobId, Stage};
use crate::codec::{Cookies, Flags, Header, Notification, Out};
use crate::config::Config;
use crate::error::Rejected;
use crate::iana::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use crate::sa::Sent;
use crate::table::source;
use crate::turns::{Turns, Waiting};

/// Counters of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams that changed nothing, by label of the reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Failed attempts, by label of the cause.
    pub failed: BTreeMap<&'static str, u64>,
    /// Messages sent again because the same request came again.
    pub replies_repeated: u64,
    /// Requests sent again because no answer came.
    pub requests_repeated: u64,
    /// Half-open exchanges evicted by younger ones.
    pub half_open_evicted: u64,
    /// Half-open exchanges that timed out before they were worth a report.
    pub half_open_expired: u64,
    /// Pieces of messages that were kept.
    pub fragments_received: u64,
    /// Messages given up because pieces were missing for too long.
    pub fragments_expired: u64,
    /// Messages that were sent in pieces.
    pub messages_cut: u64,
    /// Failures of strangers that were counted only, because there were too many to report.
    pub failures_unreported: u64,
    /// Notifications received in clear; they prove nothing.
    pub plain_notifications: u64,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    MainMode(Key),
    /// A signature or a judgement of main mode.
    Signature(Key),
    /// For a responder whose initiator may have forged its address.
    Unproven(Key),
    QuickMode(Key, u32),
}

/// Shared by all exchanges of an endpoint.
pub(crate) struct Context {
    pub(crate) config: Arc<Config>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) rng: Rng,
    pub(crate) out: Outbox<Action>,
    pub(crate) stats: Stats,
    jobs: BTreeMap<JobId, Job>,
    next_job: u64,
    /// Computations of half-open exchanges.
    turns: Turns,
    /// Makes responder cookies.
    pub(crate) cookie_secret: SecretBytes,
    /// Time of the input that is being worked on.
    pub(crate) now: Instant,
    /// Reports about messages whose source nothing proves, and about those that answered message 2.
    reports: [Allowance; 2],
}

/// A SHA-256 digest, to recognise a message that came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(crate) const fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Context {
    pub(crate) fn new(config: Arc<Config>, provider: Arc<dyn Provider>, mut rng: Rng) -> Self {
        let cookie_secret = SecretBytes::new(rng.array::<32>().to_vec());
        Self {
            config,
            provider,
            rng,
            out: Outbox::new(),
            stats: Stats::default(),
            jobs: BTreeMap::new(),
            next_job: 0,
            turns: Turns::default(),
            cookie_secret,
            now: Instant::ZERO,
            reports: [Allowance::full(), Allowance::full()],
        }
    }

    /// Asks for a computation.
    pub(crate) fn offload(&mut self, purpose: Job, job: DhJob) {
        self.ask(purpose, crypto::Job::Dh(job));
    }

    /// Asks for the computation of a half-open main mode, when the turn of its source comes.
    ///
    /// # Errors
    /// [`Rejected::JobLimit`] when the source, or all sources together, have as many as they may. The
    /// peer asks again.
    pub(crate) fn offload_for(
        &mut self,
        remote: IpAddr,
        sa: Key,
        job: DhJob,
    ) -> Result<(), Rejected> {
        self.admit_job(remote)?;
        let id = self.name_job(Job::MainMode(sa));
        let waiting = Waiting { id, sa, work: crypto::Job::Dh(job) };
        self.turns.add(source(remote), waiting);
        Ok(())
    }

    /// Whether a source may have another computation waiting or under way.
    pub(crate) fn admit_job(&self, remote: IpAddr) -> Result<(), Rejected> {
        if self.turns.admits(source(remote)) { Ok(()) } else { Err(Rejected::JobLimit) }
    }

    /// Starts the computations whose turn it is, but those of exchanges that are gone.
    pub(crate) fn start_jobs(&mut self, is_wanted: impl Fn(Key) -> bool) {
        while let Some(Waiting { id, sa, work }) = self.turns.next() {
            if is_wanted(sa) {
                self.out.push(Action::Offload { id, job: work });
            } else {
                self.finished(id);
            }
        }
    }

    /// Asks for slow arithmetic of any kind.
    pub(crate) fn ask(&mut self, purpose: Job, job: crypto::Job) {
        let id = self.name_job(purpose);
        self.out.push(Action::Offload { id, job });
    }

    fn name_job(&mut self, purpose: Job) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(id, purpose);
        id
    }

    /// What a finished job was for. The SA may be gone meanwhile; its key finds nobody then.
    pub(crate) fn finished(&mut self, id: JobId) -> Option<Job> {
        self.turns.done(id);
        self.jobs.remove(&id)
    }

    /// Computations under way for first messages that nothing proves.
    pub(crate) fn unproven_jobs(&self) -> usize {
        self.jobs.values().filter(|job| matches!(job, Job::Unproven(_))).count()
    }

    /// Recognises a message.
    pub(crate) fn digest(&self, bytes: &[u8]) -> Result<Digest, CryptoError> {
        let mut out = [0; 32];
        self.provider.hash(HashAlg::Sha256, &[bytes], &mut out)?;
        Ok(Digest(out))
    }

    /// A random message id or cookie half that is not zero.
    pub(crate) fn message_id(&mut self) -> u32 {
        self.rng.u32().max(1)
    }

    /// A random cookie that is not zero.
    pub(crate) fn cookie(&mut self) -> [u8; 8] {
        self.rng.u64().max(1).to_be_bytes()
    }

    pub(crate) fn nonce(&mut self, len: usize) -> Vec<u8> {
        let mut nonce = alloc::vec![0; len];
        self.rng.fill(&mut nonce);
        nonce
    }

    pub(crate) fn transmit(&mut self, sent: Sent) {
        let Sent { peer, path, marked, bytes } = sent;
        self.out.push(Action::Transmit { peer, path, marked, bytes });
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        let count = self.stats.failed.entry(failure.cause.label()).or_default();
        *count += 1;
        if failure.peer.is_none() && !failure.initiator {
            let silence = failure.cause == FailureCause::Timeout;
            let forgeable = failure.stage == Stage::Proposal
                || (failure.stage == Stage::KeyExchange && silence);
            let allowed =
                self.reports.get_mut(usize::from(!forgeable)).is_some_and(|a| a.take(self.now));
            if !allowed {
                self.stats.failures_unreported += 1;
                return;
            }
        }
        self.out.push(Action::Failed(failure));
    }
}

/// How often something may be said: [`REPORTS_MAX`] at once, and one every [`REPORT_INTERVAL`].
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    const fn full() -> Self {
        Self { left: REPORTS_MAX, since: Instant::ZERO }
    }

    fn take(&mut self, now: Instant) -> bool {
        while self.left < REPORTS_MAX && now.since(self.since) >= REPORT_INTERVAL {
            self.left += 1;
            self.since += REPORT_INTERVAL;
        }
        if self.left == REPORTS_MAX {
            self.since = now;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// Most failures of strangers that are reported at once; those beyond are counted.
pub const REPORTS_MAX: u32 = 64;
/// How soon another one may be reported.
pub const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// A message in clear.
pub(crate) fn plain(cookies: Cookies, exchange: ExchangeType, id: u32, chain: &Out) -> Vec<u8> {
    let body = chain.to_bytes();
    let flags = Flags::default();
    let header = Header { cookies, first: chain.first(), exchange, flags, message_id: id };
    let mut w = Writer::new();
    header.write(&mut w, body.len());
    w.bytes(&body);
    w.into_vec()
}

/// An error notification in clear: 40 bytes, less than any message that provokes it.
pub(crate) fn plain_notification(cookies: Cookies, id: u32, kind: NotifyType) -> Vec<u8> {
    let body =
        Notification { protocol: ProtocolId::ISAKMP, kind, spi: Vec::new(), data: Vec::new() };
    let chain = Out::new().with(PayloadType::NOTIFICATION, body.to_bytes());
    plain(cookies, ExchangeType::INFORMATIONAL, id, &chain)
}
