//! Closes devices away from the packets.
//!
//! Closing the last descriptor of a TUN device waits for every processor to have forgotten it, tens of
//! milliseconds in which a worker would move no packet. Such waits do not add up when they are spent at the
//! same time, so there is a thread for each of them, up to a bound, and none when nothing is closed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Where to leave what is to be closed. Clones share the threads.
pub(crate) struct Closer<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Told when the last thread ends.
    idle: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    threads: usize,
}

impl<T: Send + 'static> Closer<T> {
    pub(crate) fn new() -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), threads: 0 });
        Self(Arc::new(Shared { state, idle: Condvar::new() }))
    }

    /// Has it dropped soon. Where the system has no thread left, it is dropped here.
    pub(crate) fn close(&self, closing: T) {
        let mut state = self.0.lock();
        state.waiting.push_back(closing);
        if state.threads == CLOSERS_MAX {
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.0);
        let closer = thread::Builder::new().name("isthmus-close".to_owned());
        if closer.spawn(move || shared.close_all()).is_err() {
            self.0.close_all();
        }
    }

    /// Waits until everything is dropped.
    pub(crate) fn finish(&self) {
        let mut state = self.0.lock();
        while state.threads > 0 {
            state = self.0.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Clone for Closer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    fn close_all(&self) {
        let mut state = self.lock();
        while let Some(closing) = state.waiting.pop_front() {
            drop(state);
            drop(closing);
            state = self.lock();
        }
        state.threads -= 1;
        if state.threads == 0 {
            self.idle.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most threads that close at the same time.
const CLOSERS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};

    /// Closing it takes until a certain number of others are being closed.
    struct Slow(Arc<Barrier>, Arc<AtomicUsize>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.wait();
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn as_many_as_there_may_be_are_closed_at_the_same_time() {
        let (closer, count) = (Closer::new(), Arc::new(AtomicUsize::new(0)));
        let barrier = Arc::new(Barrier::new(CLOSERS_MAX));
        // Fewer threads would wait for each other for ever.
        for _ in 0..2 * CLOSERS_MAX {
            closer.close(Slow(Arc::clone(&barrier), Arc::clone(&count)));
        }
        closer.finish();
        assert_eq!(count.load(Ordering::Relaxed), 2 * CLOSERS_MAX);
    }

    /// Tells how many are being closed with it.
    struct Counted(Arc<AtomicUsize>, Sender<usize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            let _asked_no_more = self.1.send(self.0.fetch_add(1, Ordering::SeqCst) + 1);
            thread::yield_now();
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn no_more_than_the_bound_are_closed_at_a_time_and_none_is_forgotten() {
        let (closer, at_once) = (Closer::new(), Arc::new(AtomicUsize::new(0)));
        let (told, tells) = channel();
        for _ in 0..500 {
            closer.clone().close(Counted(Arc::clone(&at_once), told.clone()));
        }
        closer.finish();
        drop(told);
        let seen: Vec<_> = tells.iter().collect();
        assert_eq!(seen.len(), 500);
        assert!(seen.iter().all(|count| *count <= CLOSERS_MAX));
    }
}
