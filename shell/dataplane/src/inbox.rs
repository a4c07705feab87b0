//! Where other workers put packets that belong to this one, and what it is woken by.
//!
//! Both ends never wait for each other: a queue without locks, and a bell that is rung only when the
//! worker is asleep, so that a busy one costs the others no system call.

use std::io;

use crossbeam_queue::ArrayQueue;
use isthmus_plane::Astray;

use crate::doorbell::Doorbell;

/// One worker's inbox; everybody else holds it as well.
pub(crate) struct Inbox {
    packets: ArrayQueue<Astray>,
    /// Rung for packets and for messages of control, which have a queue of their own.
    pub(crate) door: Doorbell,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { packets: ArrayQueue::new(PACKETS_MAX), door: Doorbell::new()? })
    }

    /// Leaves a packet; gives it back when there is no room. Ring the bell after the last.
    pub(crate) fn leave(&self, packet: Astray) -> Result<(), Astray> {
        self.packets.push(packet)
    }

    /// Whether the worker may go to sleep; if not, packets or messages have come.
    pub(crate) fn may_sleep(&self) -> bool {
        self.door.may_sleep(|| self.packets.is_empty())
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

/// Packets that wait for a worker; more are dropped, as a full queue of a device drops.
pub(crate) const PACKETS_MAX: usize = 4096;
/// Packets taken at a time, so that others cannot starve a worker's own sockets.
const BATCH_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use isthmus_core::Buf;
    use isthmus_plane::TunId;

    fn packet() -> Astray {
        Astray::Tun(TunId(1).into(), Buf::copy_of(b"packet"))
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
    fn nobody_sleeps_on_a_packet_or_a_message() {
        let inbox = Inbox::new().unwrap();
        assert!(inbox.leave(packet()).is_ok());
        assert!(!inbox.may_sleep(), "there is a packet");
        inbox.take(&mut Vec::new());
        inbox.door.announce();
        assert!(!inbox.may_sleep(), "there is a message");
        inbox.door.message_taken();
        assert!(inbox.may_sleep());
    }
}
