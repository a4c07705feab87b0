//! What a thread sleeps behind: a bell that is rung only while somebody sleeps.
//!
//! Whoever brings messages puts them into a queue of its own choice, whose length is known here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Wakes one thread that sleeps on a descriptor, without a system call while it is awake.
///
/// For each message: [`Doorbell::announce`], put it into the queue; [`Doorbell::ring`] after the last.
/// The thread sleeps when [`Doorbell::may_sleep`], says [`Doorbell::awake`] when it goes on, and looks
/// for messages in every turn.
pub struct Doorbell {
    messages: Pending<AtomicUsize>,
    bell: Bell<AtomicBool>,
    wake: OwnedFd,
}

impl Doorbell {
    /// A bell that nobody sleeps behind yet.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { messages: Pending::default(), bell: Bell::default(), wake })
    }

    /// Says that a message is about to be put into the queue.
    pub fn announce(&self) {
        self.messages.announce();
    }

    /// Whether there is a message, or will be in a moment.
    pub fn has_messages(&self) -> bool {
        !self.messages.is_none()
    }

    /// Notes that an announced message was taken out of the queue.
    pub fn message_taken(&self) {
        self.messages.taken();
    }

    /// Wakes the thread if it sleeps.
    pub fn ring(&self) {
        if self.bell.must_ring() {
            // An eventfd refuses only what would make it overflow, and then it wakes already.
            let _full = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    /// Whether the thread may go to sleep: no messages are there, and nothing else is that it is rung
    /// for.
    pub fn may_sleep(&self, nothing_else: impl FnOnce() -> bool) -> bool {
        self.bell.may_sleep(|| self.messages.is_none() && nothing_else())
    }

    /// The thread is awake again.
    pub fn awake(&self) {
        self.bell.awake();
    }

    /// Silences the bell after it woke the thread.
    pub fn silence(&self) {
        let _nothing_to_reset = rustix::io::read(&self.wake, &mut [0; 8]);
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Tells whoever brings something whether the one it is for is asleep.
///
/// The sleeper says that it sleeps and looks once more; the bringer puts down and then asks. Whatever
/// the order, one of them sees the other: nobody sleeps on something that was brought.
#[derive(Default)]
struct Bell<F> {
    asleep: F,
}

/// How many messages were announced and not yet taken.
///
/// Whoever brings one announces it first, so the number is never less than what is in the queue: who
/// reads none may sleep, and who reads one too many looks again.
#[derive(Default)]
struct Pending<N> {
    count: N,
}

/// A number that threads share, in one order for all of them.
trait Number {
    fn add(&self);
    fn subtract(&self);
    fn load(&self) -> usize;
}

/// A flag that threads share, in one order for all of them.
trait Flag {
    fn swap(&self, value: bool) -> bool;
    fn store(&self, value: bool);
}

impl<F: Flag> Bell<F> {
    /// For the bringer, after it has put something down.
    fn must_ring(&self) -> bool {
        self.asleep.swap(false)
    }

    /// For the sleeper: whether it may.
    fn may_sleep(&self, nothing_there: impl FnOnce() -> bool) -> bool {
        // A swap as the bringers', so that all of them have one order.
        self.asleep.swap(true);
        let may = nothing_there();
        if !may {
            self.asleep.store(false);
        }
        may
    }

    fn awake(&self) {
        self.asleep.store(false);
    }
}

impl<N: Number> Pending<N> {
    /// For the bringer, before it puts a message down.
    fn announce(&self) {
        self.count.add();
    }

    /// For the taker, after it has taken a message.
    fn taken(&self) {
        self.count.subtract();
    }

    fn is_none(&self) -> bool {
        self.count.load() == 0
    }
}

impl Number for AtomicUsize {
    fn add(&self) {
        self.fetch_add(1, Ordering::SeqCst);
    }

    fn subtract(&self) {
        self.fetch_sub(1, Ordering::SeqCst);
    }

    fn load(&self) -> usize {
        Self::load(self, Ordering::SeqCst)
    }
}

impl Flag for AtomicBool {
    fn swap(&self, value: bool) -> bool {
        Self::swap(self, value, Ordering::SeqCst)
    }

    fn store(&self, value: bool) {
        Self::store(self, value, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool as LoomBool, AtomicUsize as LoomUsize, fence};

    impl Flag for LoomBool {
        fn swap(&self, value: bool) -> bool {
            let before = Self::swap(self, value, Ordering::SeqCst);
            // Loom takes it as acquire and release only; the fence makes it what SeqCst is on hardware.
            fence(Ordering::SeqCst);
            before
        }

        fn store(&self, value: bool) {
            Self::store(self, value, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
    }

    impl Number for LoomUsize {
        fn add(&self) {
            self.fetch_add(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }

        fn subtract(&self) {
            self.fetch_sub(1, Ordering::SeqCst);
        }

        fn load(&self) -> usize {
            fence(Ordering::SeqCst);
            Self::load(self, Ordering::SeqCst)
        }
    }

    /// Every order in which two bringers and a sleeper can meet: whoever sleeps with something there has
    /// been rung for.
    #[test]
    fn nobody_sleeps_on_something_that_was_brought() {
        let mut model = loom::model::Builder::new();
        // More interruptions than both sides have steps between what they tell each other.
        model.preemption_bound = Some(3);
        model.check(|| {
            let bell = Arc::new(Bell { asleep: LoomBool::new(false) });
            let (there, rings) = (Arc::new(LoomUsize::new(0)), Arc::new(LoomUsize::new(0)));
            let bringers: Vec<_> = (0..2)
                .map(|_| {
                    let (bell, there, rings) = (bell.clone(), there.clone(), rings.clone());
                    loom::thread::spawn(move || {
                        there.fetch_add(1, Ordering::SeqCst);
                        fence(Ordering::SeqCst);
                        if bell.must_ring() {
                            rings.fetch_add(1, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            let seen = || {
                fence(Ordering::SeqCst);
                there.load(Ordering::SeqCst)
            };
            let sleeps = bell.may_sleep(|| seen() == 0);
            for bringer in bringers {
                bringer.join().unwrap();
            }
            assert!(!sleeps || rings.load(Ordering::SeqCst) > 0, "asleep, and nobody rang");
        });
    }

    /// Every order in which a turn of the worker and two who bring messages can meet: the worker never
    /// counts below what is there, and it does not sleep on a message for which nobody rang.
    #[test]
    fn nobody_sleeps_on_a_message_that_was_announced() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let bell = Arc::new(Bell { asleep: LoomBool::new(false) });
            let pending = Arc::new(Pending { count: LoomUsize::new(0) });
            let (queue, rings) = (Arc::new(LoomUsize::new(0)), Arc::new(LoomUsize::new(0)));
            let bringers: Vec<_> = (0..2)
                .map(|_| {
                    let (bell, pending) = (bell.clone(), pending.clone());
                    let (queue, rings) = (queue.clone(), rings.clone());
                    loom::thread::spawn(move || {
                        pending.announce();
                        queue.fetch_add(1, Ordering::SeqCst);
                        if bell.must_ring() {
                            rings.fetch_add(1, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            let take = |taken: &mut usize| {
                while !pending.is_none() && queue.load(Ordering::SeqCst) > 0 {
                    queue.fetch_sub(1, Ordering::SeqCst);
                    assert!(!pending.is_none(), "taken before it was announced");
                    pending.taken();
                    *taken += 1;
                }
            };
            let mut taken = 0;
            take(&mut taken);
            let sleeps = bell.may_sleep(|| pending.is_none());
            let before = taken;
            for bringer in bringers {
                bringer.join().unwrap();
            }
            take(&mut taken);
            assert_eq!(taken, 2);
            assert!(pending.is_none());
            let rung = rings.load(Ordering::SeqCst) > 0;
            assert!(!sleeps || rung || before == 2, "asleep with a message, and nobody rang");
        });
    }

    #[test]
    fn only_a_sleeper_is_woken() {
        let door = Doorbell::new().unwrap();
        let woken = || {
            let mut count = [0; 8];
            rustix::io::read(&door.wake, &mut count).is_ok()
        };
        door.announce();
        door.ring();
        assert!(!woken(), "awake");
        assert!(door.has_messages() && !door.may_sleep(|| true), "there is a message");
        door.message_taken();
        assert!(!door.may_sleep(|| false), "there is something else");
        assert!(!door.has_messages() && door.may_sleep(|| true));
        door.ring();
        door.ring();
        assert!(woken());
        assert!(!woken(), "once");
        assert!(door.may_sleep(|| true));
        door.awake();
        door.ring();
        assert!(!woken(), "awake again");
    }
}
