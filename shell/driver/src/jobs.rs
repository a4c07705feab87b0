//! Slow arithmetic on a bounded pool, so that a burst of logins never stalls keepalives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use isthmus_crypto::{CryptoError, Job, JobOutput, Provider};
use isthmus_ike::JobId;
use tokio::sync::{Semaphore, mpsc};

use crate::stock::Stock;

/// What came of a job.
pub(crate) type JobDone = (JobId, Result<JobOutput, CryptoError>);

/// At most [`JOBS_AT_ONCE_MAX`] jobs run at a time; the others wait in order. How many can wait is
/// bounded by the machine, which has at most one job for each half-open exchange. When none waits, key
/// pairs are made ahead.
pub(crate) struct JobPool {
    shared: Arc<Shared>,
    done: mpsc::UnboundedSender<JobDone>,
}

struct Shared {
    stock: Stock,
    slots: Semaphore,
    /// How many slots there are.
    width: usize,
    /// Whether key pairs are being made.
    filling: AtomicBool,
}

impl JobPool {
    /// A pool and the place where results appear; it keeps at most `stock` key pairs of each group that
    /// is in use.
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        stock: usize,
    ) -> (Self, mpsc::UnboundedReceiver<JobDone>) {
        let (done, results) = mpsc::unbounded_channel();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let width = cores.min(JOBS_AT_ONCE_MAX);
        let shared = Shared {
            stock: Stock::new(provider, stock),
            slots: Semaphore::new(width),
            width,
            filling: AtomicBool::new(false),
        };
        (Self { shared: Arc::new(shared), done }, results)
    }

    /// Starts a job.
    pub(crate) fn run(&self, id: JobId, job: Job) {
        let (shared, done) = (Arc::clone(&self.shared), self.done.clone());
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(slot) = shared.slots.acquire().await else { return };
            let pool = Arc::clone(&shared);
            let work = tokio::task::spawn_blocking(move || pool.stock.run(&job));
            let result = work.await.unwrap_or(Err(CryptoError::Unsupported));
            // Nobody listens any more when the driver has ended.
            let _gone = done.send((id, result));
            drop(slot);
            fill(&shared);
        });
    }
}

/// Makes key pairs for as long as there is nothing else to do.
fn fill(shared: &Arc<Shared>) {
    if !shared.is_idle() || shared.filling.swap(true, Ordering::AcqRel) {
        return;
    }
    let shared = Arc::clone(shared);
    drop(tokio::task::spawn_blocking(move || {
        while shared.is_idle() && shared.stock.fill() {}
        shared.filling.store(false, Ordering::Release);
    }));
}

impl Shared {
    fn is_idle(&self) -> bool {
        self.slots.available_permits() == self.width
    }
}

/// Most jobs that run at the same time.
const JOBS_AT_ONCE_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_crypto::{DhGroup, DhJob};

    #[tokio::test]
    async fn every_job_is_answered_and_idle_time_fills_the_stock() {
        let (pool, mut results) = JobPool::new(isthmus_crypto_aws::provider(), 2);
        let job = |n| Job::Dh(DhJob::Generate { group: DhGroup::Ecp256, seed: [n; 32] });
        for n in 0..20 {
            pool.run(JobId(n.into()), job(n));
        }
        let mut answered = Vec::new();
        for _ in 0..20 {
            let (JobId(id), result) = results.recv().await.unwrap();
            assert!(result.is_ok());
            answered.push(id);
        }
        answered.sort_unstable();
        assert_eq!(answered, (0..20).collect::<Vec<_>>());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while pool.shared.stock.count(DhGroup::Ecp256) < 2 {
            assert!(std::time::Instant::now() < deadline, "nothing is made ahead");
            tokio::task::yield_now().await;
        }
        assert!(pool.shared.is_idle());
    }
}
