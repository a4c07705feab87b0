//! Looks after kernel state while the gateway runs: what others undo is put back.
//!
//! A task for each namespace waits for the kernel to tell of changes and asks for a look. Looks follow
//! each other at growing distances while somebody goes on undoing them, so that two programs of
//! different minds do not keep the machine busy.

use std::collections::BTreeMap;
use std::time::Duration;

use isthmus_kernel::Watch;
use isthmus_net::Namespace;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// The tasks, which end with this.
pub(crate) struct Guard {
    tell: mpsc::Sender<Look>,
    told: mpsc::Receiver<Look>,
    tasks: BTreeMap<Option<Namespace>, JoinHandle<()>>,
    /// When the minutes began, and how far into them the next namespace is looked at.
    began: Instant,
    phase: u32,
}

/// A wish that somebody look at a namespace.
pub(crate) struct Look {
    pub(crate) namespace: Option<Namespace>,
    /// Answers whether there was something to put back.
    pub(crate) found: oneshot::Sender<bool>,
}

impl Guard {
    /// Nothing is watched yet.
    pub(crate) fn new() -> Self {
        let (tell, told) = mpsc::channel(WAITING_MAX);
        Self { tell, told, tasks: BTreeMap::new(), began: Instant::now(), phase: 0 }
    }

    /// Watches a namespace.
    pub(crate) fn watch(&mut self, namespace: Option<Namespace>, watch: Watch) {
        let tell = self.tell.clone();
        let unasked = Minutes { from: self.began + LOOK_EVERY * self.phase / PHASES };
        self.phase = (self.phase + PHASE_STEP) % PHASES;
        let task = tokio::spawn(ask_for_looks(watch, unasked, namespace.clone(), tell));
        self.tasks.insert(namespace, task);
    }

    /// Whether a namespace is watched.
    pub(crate) fn watches(&self, namespace: Option<&Namespace>) -> bool {
        self.tasks.keys().any(|watched| watched.as_ref() == namespace)
    }

    /// Watches a namespace no more.
    pub(crate) fn forget(&mut self, namespace: Option<&Namespace>) {
        if let Some(task) = self.tasks.remove(&namespace.cloned()) {
            task.abort();
        }
    }

    /// The next namespace to look at, if one waits.
    pub(crate) fn try_disturbed(&mut self) -> Option<Look> {
        self.told.try_recv().ok()
    }

    /// The next namespace to look at.
    pub(crate) async fn disturbed(&mut self) -> Look {
        match self.told.recv().await {
            Some(look) => look,
            // Never: one end of the queue is ours.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

async fn ask_for_looks(
    mut watch: Watch,
    unasked: Minutes,
    namespace: Option<Namespace>,
    tell: mpsc::Sender<Look>,
) {
    let mut distance = Distance::new();
    loop {
        let next = unasked.next(Instant::now());
        match timeout_at(next, watch.disturbed()).await {
            // What comes soon after the first is seen by the same look.
            Ok(Ok(())) => sleep(distance.wait(Instant::now())).await,
            Ok(Err(error)) => {
                let place = namespace.as_ref().map_or("host", Namespace::name);
                tracing::warn!(%error, namespace = place, "changes of kernel state stay unknown");
                sleep(LOOK_EVERY).await;
            }
            // The kernel does not tell of everything.
            Err(_nothing) => {}
        }
        let (found, answer) = oneshot::channel();
        if tell.send(Look { namespace: namespace.clone(), found }).await.is_err() {
            return;
        }
        // What we change ourselves is told like what others change; a look finds nothing then.
        if answer.await.unwrap_or(false) {
            distance.found(Instant::now());
        }
    }
}

/// When to look unasked: once a minute, and each namespace at another time, so that hundreds of them do not
/// keep the machine busy all at once.
#[derive(Clone, Copy)]
struct Minutes {
    from: Instant,
}

impl Minutes {
    fn next(self, now: Instant) -> Instant {
        let Some(since) = now.checked_duration_since(self.from) else { return self.from };
        let whole = since.as_nanos() / LOOK_EVERY.as_nanos() + 1;
        self.from + LOOK_EVERY * u32::try_from(whole).unwrap_or(u32::MAX)
    }
}

/// How long after a disturbance to look.
struct Distance {
    wait: Duration,
    /// When something had to be put back.
    last: Option<Instant>,
}

impl Distance {
    const fn new() -> Self {
        Self { wait: WAIT_MIN, last: None }
    }

    fn wait(&mut self, now: Instant) -> Duration {
        if self.last.is_none_or(|last| now.duration_since(last) > CALM) {
            self.wait = WAIT_MIN;
        }
        self.wait
    }

    fn found(&mut self, now: Instant) {
        if self.last.is_some() {
            self.wait = (self.wait * 2).min(WAIT_MAX);
        }
        self.last = Some(now);
    }
}

/// Namespaces that wait for a look; a task waits for room.
const WAITING_MAX: usize = 64;
/// The shortest wait: a program that undoes one thing is likely to undo more.
const WAIT_MIN: Duration = Duration::from_millis(200);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Whoever leaves our state alone for so long has no quarrel with us.
const CALM: Duration = Duration::from_secs(2);
/// How often to look unasked.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Into how many parts the minute is divided for that.
const PHASES: u32 = 61;
/// How far the next namespace is from the one before: over a third of the minute, so that a few are far apart too.
const PHASE_STEP: u32 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_goes_on_undoing_is_answered_at_growing_distances() {
        let (mut distance, mut now) = (Distance::new(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = distance.wait(now);
            now += wait;
            distance.found(now);
            now += Duration::from_millis(10);
            waits.push(wait);
        }
        assert_eq!(waits[..5], [200, 200, 400, 800, 1600].map(Duration::from_millis));
        assert_eq!(waits[11], WAIT_MAX);
        assert_eq!(distance.wait(now + CALM), WAIT_MIN, "calm");
    }

    #[test]
    fn looks_unasked_come_once_a_minute_and_are_spread_over_it() {
        let began = Instant::now();
        let at = |phase: u32| Minutes { from: began + LOOK_EVERY * phase / PHASES };
        let first = at(23).next(began);
        assert!(first > began && first < began + LOOK_EVERY);
        assert_eq!(at(23).next(first), first + LOOK_EVERY);
        assert_eq!(at(23).next(first + LOOK_EVERY * 9 / 4), first + LOOK_EVERY * 3);
        let phases: Vec<_> = (0..PHASES).map(|n| n * PHASE_STEP % PHASES).collect();
        let mut once = phases.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), phases.len());
    }

    #[test]
    fn our_own_changes_are_no_quarrel() {
        let (mut distance, mut now) = (Distance::new(), Instant::now());
        for _ in 0..12 {
            // A disturbance, what it takes to mend it, and the look that this is the cause of.
            now += distance.wait(now);
            distance.found(now);
            now += distance.wait(now) + CALM;
            assert_eq!(distance.wait(now), WAIT_MIN);
        }
    }
}
