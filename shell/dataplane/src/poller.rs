//! Waiting for what is ready, however many descriptors there are.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use isthmus_core::Key;
use isthmus_plane::{Device, TunId};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Control or another worker has something.
    Wake,
    /// The socket of this index.
    Socket(u32),
    /// The TUN device.
    Tun(Device),
}

/// An epoll instance, level-triggered.
pub(crate) struct Poller {
    epoll: OwnedFd,
}

/// What was ready the last time, and room for the kernel to tell it in.
pub(crate) struct Ready {
    events: Vec<Event>,
    sources: Vec<Source>,
}

impl Ready {
    pub(crate) fn new() -> Self {
        Self { events: Vec::with_capacity(EVENTS_MAX), sources: Vec::with_capacity(EVENTS_MAX) }
    }

    /// What is ready, in the order of [`Source`].
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Watches a descriptor for input.
    pub(crate) fn watch(&self, descriptor: &impl AsFd, source: Source) -> io::Result<()> {
        let data = EventData::new_u64(source.to_number());
        Ok(epoll::add(&self.epoll, descriptor, data, EventFlags::IN)?)
    }

    /// Watches it no longer. Closing it does the same, when it is closed.
    pub(crate) fn forget(&self, descriptor: &impl AsFd) {
        // It is not there only when it could not be watched, and then there is nothing to forget.
        let _not_watched = epoll::delete(&self.epoll, descriptor);
    }

    /// Sleeps until something is ready or the time is over.
    pub(crate) fn wait(&self, time: Option<&Timespec>, ready: &mut Ready) -> io::Result<()> {
        let Ready { events, sources } = ready;
        events.clear();
        loop {
            match epoll::wait(&self.epoll, spare_capacity(events), time) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        sources.clear();
        let number = |event: &Event| {
            let Event { data, .. } = *event;
            data.u64()
        };
        sources.extend(events.iter().map(number).map(Source::of_number));
        sources.sort_unstable();
        Ok(())
    }
}

impl Source {
    fn to_number(self) -> u64 {
        match self {
            Self::Wake => 0,
            Self::Socket(index) => 1 << 48 | u64::from(index),
            Self::Tun(Device { tun: TunId(id), session: None }) => 2 << 48 | u64::from(id) << 32,
            Self::Tun(Device { tun: TunId(id), session: Some(session) }) => {
                3 << 48 | u64::from(id) << 32 | u64::from(session.raw())
            }
        }
    }

    fn of_number(number: u64) -> Self {
        let [_, kind, middle @ .., a, b, c, d] = number.to_be_bytes();
        let (tun, low) = (TunId(u16::from_be_bytes(middle)), u32::from_be_bytes([a, b, c, d]));
        match kind {
            0 => Self::Wake,
            1 => Self::Socket(low),
            2 => Self::Tun(tun.into()),
            _ => Self::Tun(Device::of_session(tun, Key::from_raw(low))),
        }
    }
}

/// Descriptors told of at a time; the others are told of the next time.
const EVENTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};

    #[test]
    fn sources_come_back_as_they_went_in_and_in_order() {
        let poller = Poller::new().unwrap();
        let alone = Source::Tun(Device::of_session(TunId(7), Key::from_raw(u32::MAX)));
        let tun = Source::Tun(TunId(7).into());
        let sources = [alone, tun, Source::Socket(3), Source::Wake, Source::Socket(1)];
        let open = || eventfd(1, EventfdFlags::NONBLOCK).unwrap();
        let descriptors: Vec<_> = sources.iter().map(|source| (open(), *source)).collect();
        for (descriptor, source) in &descriptors {
            poller.watch(descriptor, *source).unwrap();
        }
        let mut ready = Ready::new();
        poller.wait(None, &mut ready).unwrap();
        let expected = [Source::Wake, Source::Socket(1), Source::Socket(3), tun, alone];
        assert_eq!(ready.sources(), expected);
        poller.forget(&descriptors[0].0);
        poller.wait(None, &mut ready).unwrap();
        assert_eq!(ready.sources(), &expected[..4]);
        drop(descriptors);
        poller.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }), &mut ready).unwrap();
        assert_eq!(ready.sources(), []);
    }

    #[test]
    fn more_than_fit_are_all_told_of_in_turn() {
        let poller = Poller::new().unwrap();
        let count = u16::try_from(EVENTS_MAX).unwrap() * 2;
        let open = |id| (eventfd(1, EventfdFlags::NONBLOCK).unwrap(), TunId(id));
        let descriptors: Vec<_> = (0..count).map(open).collect();
        for (descriptor, id) in &descriptors {
            poller.watch(descriptor, Source::Tun((*id).into())).unwrap();
        }
        let (mut ready, mut seen) = (Ready::new(), std::collections::BTreeSet::new());
        for _ in 0..4 {
            poller.wait(None, &mut ready).unwrap();
            assert!(ready.sources().len() <= EVENTS_MAX);
            seen.extend(ready.sources().iter().copied());
        }
        assert_eq!(seen.len(), usize::from(count));
    }
}
