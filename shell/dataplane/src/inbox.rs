//! Where other workers put packets that belong to this one.
//!
//! Both ends never wait for each other: a queue without locks, and a bell that is rung only when the
//! worker is asleep, so that a busy one costs the others no system call.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use isthmus_plane::Astray;
use rustix::event::{EventfdFlags, eventfd};

/// One worker's inbox; everybody else holds it as well.
pub(crate) struct Inbox {
    packets: ArrayQueue<Astray>,
    bell: Bell<AtomicBool>,
    wake: OwnedFd,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { packets: ArrayQueue::new(PACKETS_MAX), bell: Bell::default(), wake })
    }

    /// Leaves a packet; gives it back when there is no room. Call [`Inbox::ring`] after the last.
    pub(crate) fn leave(&self, packet: Astray) -> Result<(), Astray> {
        self.packets.push(packet)
    }

    /// Wakes the worker if it sleeps.
    pub(crate) fn ring(&self) {
        if self.bell.must_ring() {
            self.wake();
        }
    }

    /// Wakes the worker; false when that is impossible.
    pub(crate) fn wake(&self) -> bool {
        rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).is_ok()
    }

    /// Whether the worker may go to sleep; if not, packets have come.
    pub(crate) fn may_sleep(&self) -> bool {
        self.bell.may_sleep(|| self.packets.is_empty())
    }

    /// The worker is awake again.
    pub(crate) fn awake(&self) {
        self.bell.awake();
    }

    /// Silences the bell after it woke the worker.
    pub(crate) fn silence(&self) {
        let _nothing_to_reset = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// Takes what is there, at most one batch.
    pub(crate) fn take(&self, batch: &mut Vec<Astray>) {
        while batch.len() < BATCH_MAX
            && let Some(packet) = self.packets.pop()
        {
            batch.push(packet);
        }
    }
}

impl AsFd for Inbox {
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
        self.asleep.store(true);
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

impl Flag for AtomicBool {
    fn swap(&self, value: bool) -> bool {
        Self::swap(self, value, Ordering::SeqCst)
    }

    fn store(&self, value: bool) {
        Self::store(self, value, Ordering::SeqCst);
    }
}

/// Packets that wait for a worker; more are dropped, as a full queue of a device drops.
pub(crate) const PACKETS_MAX: usize = 4096;
/// Packets taken at a time, so that others cannot starve a worker's own sockets.
const BATCH_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_core::Buf;
    use isthmus_plane::TunId;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool as LoomBool, AtomicUsize, fence};

    impl Flag for LoomBool {
        fn swap(&self, value: bool) -> bool {
            Self::swap(self, value, Ordering::SeqCst)
        }

        fn store(&self, value: bool) {
            // Loom takes a store as release only; the fence makes it what SeqCst is on hardware.
            Self::store(self, value, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
    }

    fn packet() -> Astray {
        Astray::Tun(TunId(1), Buf::copy_of(b"packet"))
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
            let (there, rings) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
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

    #[test]
    fn a_full_inbox_gives_packets_back() {
        let inbox = Inbox::new().unwrap();
        for _ in 0..PACKETS_MAX {
            assert!(inbox.leave(packet()).is_ok());
        }
        assert!(inbox.leave(packet()).is_err());
        let (mut batch, mut taken) = (Vec::new(), 0);
        loop {
            inbox.take(&mut batch);
            assert!(batch.len() <= BATCH_MAX);
            taken += batch.len();
            if batch.drain(..).count() == 0 {
                break;
            }
        }
        assert_eq!(taken, PACKETS_MAX);
    }

    #[test]
    fn only_a_sleeper_is_woken() {
        let inbox = Inbox::new().unwrap();
        let woken = || {
            let mut count = [0; 8];
            rustix::io::read(&inbox.wake, &mut count).is_ok()
        };
        assert!(inbox.leave(packet()).is_ok());
        inbox.ring();
        assert!(!woken(), "awake");
        assert!(!inbox.may_sleep(), "there is a packet");
        inbox.take(&mut Vec::new());
        assert!(inbox.may_sleep());
        inbox.ring();
        inbox.ring();
        assert!(woken());
        assert!(!woken(), "once");
    }
}
