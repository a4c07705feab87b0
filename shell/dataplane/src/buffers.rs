//! Packet buffers, used again and again.
//!
//! Packets that go astray carry their buffers from one worker to another. What one has too many of and
//! another too few they exchange through a common stock, so that none of them allocates in the long
//! run.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use isthmus_core::Buf;

/// One worker's buffers.
pub(crate) struct Buffers {
    own: Vec<Buf>,
    common: Arc<ArrayQueue<Buf>>,
}

impl Buffers {
    /// Those of `count` workers.
    pub(crate) fn of(count: usize) -> Vec<Self> {
        let common = Arc::new(ArrayQueue::new(COMMON_MAX));
        let own = |_| Self { own: Vec::new(), common: Arc::clone(&common) };
        (0..count).map(own).collect()
    }

    /// A buffer for a packet.
    pub(crate) fn take(&mut self) -> Buf {
        let used = self.own.pop().or_else(|| self.common.pop());
        used.unwrap_or_else(|| Buf::with_capacity(BUF_BYTES))
    }

    /// Puts a used buffer into `free` when that is empty, for messages of control: they are made from
    /// nothing, so if each made a buffer of its own as well, the stock would fill up with them.
    pub(crate) fn lend(&mut self, free: &mut Vec<Buf>) {
        if free.is_empty() {
            free.extend(self.own.pop().or_else(|| self.common.pop()));
        }
    }

    /// Takes back all of `free`.
    pub(crate) fn give(&mut self, free: &mut Vec<Buf>) {
        let room = OWN_MAX.saturating_sub(self.own.len()).min(free.len());
        self.own.extend(free.drain(..room));
        // Where the common stock is full as well, there are too many.
        free.drain(..).for_each(|buf| drop(self.common.push(buf)));
    }
}

/// Room for a packet of a 2 KiB path; more than any cloud's default MTU of 1500 asks for.
const BUF_BYTES: usize = 2048;
/// Buffers that one worker keeps.
const OWN_MAX: usize = 4096;
/// Buffers that all keep together beside their own.
const COMMON_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize) -> Vec<Buf> {
        (0..count).map(|_| Buf::with_capacity(8)).collect()
    }

    #[test]
    fn what_one_has_too_many_of_another_gets() {
        let mut workers = Buffers::of(2);
        let [giver, taker] = &mut workers[..] else { panic!("two") };
        giver.give(&mut some(OWN_MAX + 3));
        let small = |mut buf: Buf| buf.spare().len() < BUF_BYTES;
        assert_eq!((0..5).filter(|_| small(taker.take())).count(), 3);
        assert!(small(giver.take()));
    }

    #[test]
    fn any_number_of_messages_goes_in_one_buffer() {
        let mut workers = Buffers::of(1);
        workers[0].give(&mut some(1));
        let mut free = Vec::new();
        for _ in 0..5 {
            workers[0].lend(&mut free);
            workers[0].lend(&mut free);
            assert_eq!((free.len(), workers[0].own.len()), (1, 0));
            workers[0].give(&mut free);
        }
        workers[0].own.clear();
        workers[0].lend(&mut free);
        assert!(free.is_empty(), "the pipeline makes the first one");
    }

    #[test]
    fn no_more_are_kept_than_allowed() {
        let mut workers = Buffers::of(1);
        let mut free = some(OWN_MAX + COMMON_MAX + 10);
        workers[0].give(&mut free);
        assert!(free.is_empty());
        let kept = (workers[0].own.len(), workers[0].common.len());
        assert_eq!(kept, (OWN_MAX, COMMON_MAX));
    }
}
