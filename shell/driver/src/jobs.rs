//! Slow arithmetic on a bounded pool, so that a burst of logins never stalls keepalives.

use std::sync::Arc;

use isthmus_crypto::{CryptoError, Job, JobOutput, Provider};
use isthmus_ike::JobId;
use tokio::sync::{Semaphore, mpsc};

/// What came of a job.
pub(crate) type JobDone = (JobId, Result<JobOutput, CryptoError>);

/// At most [`JOBS_AT_ONCE_MAX`] jobs run at a time; the others wait in order. How many can wait is
/// bounded by the machine, which has at most one job for each half-open exchange.
pub(crate) struct JobPool {
    provider: Arc<dyn Provider>,
    slots: Arc<Semaphore>,
    done: mpsc::UnboundedSender<JobDone>,
}

impl JobPool {
    /// A pool and the place where results appear.
    pub(crate) fn new(provider: Arc<dyn Provider>) -> (Self, mpsc::UnboundedReceiver<JobDone>) {
        let (done, results) = mpsc::unbounded_channel();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = Arc::new(Semaphore::new(cores.min(JOBS_AT_ONCE_MAX)));
        (Self { provider, slots, done }, results)
    }

    /// Starts a job.
    pub(crate) fn run(&self, id: JobId, job: Job) {
        let (provider, slots) = (Arc::clone(&self.provider), Arc::clone(&self.slots));
        let done = self.done.clone();
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(_slot) = slots.acquire().await else { return };
            let work = tokio::task::spawn_blocking(move || job.run(&*provider));
            let result = work.await.unwrap_or(Err(CryptoError::Unsupported));
            // Nobody listens any more when the driver has ended.
            let _gone = done.send((id, result));
        });
    }
}

/// Most jobs that run at the same time.
const JOBS_AT_ONCE_MAX: usize = 8;
