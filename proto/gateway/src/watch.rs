//! Sessions that end because their user is silent or has used up a quota.
//!
//! The pipeline counts packets anyway. Now and then it is asked for the counters of a session that has such a
//! limit; a packet costs nothing more, and a session without a limit nothing at all. So a session ends up to
//! two looks after it might have, and carries what comes in one look more than its quota.

use alloc::boxed::Box;

use isthmus_core::{Duration, Instant, Key};
use isthmus_plane::{Command, SessionCounters};

use crate::limits::{Ending, Limits};
use crate::machine::Gateway;

/// What is known of a session that is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    idle: Option<Duration>,
    quota: Option<u64>,
    /// Packets from the user at the last look that found new ones, and when that was.
    packets: u64,
    heard: Instant,
    /// Bytes at the last look, and those before the pipeline began to count anew.
    bytes: u64,
    before: u64,
}

impl Watch {
    /// A watch over a session that somebody has just logged in to; none where no limit needs it.
    pub(crate) fn of(limits: Limits, now: Instant) -> Option<Box<Self>> {
        let Limits { idle_timeout: idle, quota, .. } = limits;
        let watched = idle.is_some() || quota.is_some();
        watched.then(|| Box::new(Self { idle, quota, packets: 0, heard: now, bytes: 0, before: 0 }))
    }

    /// The watch over a session whose limits are others from now on. What it has carried counts on; silence
    /// begins anew where nobody listened.
    pub(crate) fn go_on(
        before: Option<Box<Self>>,
        limits: Limits,
        now: Instant,
    ) -> Option<Box<Self>> {
        let mut watch = Self::of(limits, now)?;
        if let Some(before) = before {
            *watch = Self { idle: watch.idle, quota: watch.quota, ..*before };
        }
        Some(watch)
    }

    /// When to look next.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let idle = self.idle.map(|most| (most / 8).clamp(LOOK_MIN, LOOK_MAX));
        let quota = self.quota.map(|_| QUOTA_LOOK);
        now + idle.into_iter().chain(quota).min().unwrap_or(LOOK_MAX)
    }

    /// Bytes that the pipeline carried before it began to count anew, as of the last look.
    pub(crate) fn before(&self) -> u64 {
        self.before
    }

    /// Takes counters in, and what was carried under earlier processes; why the session has to end, if so.
    fn see(
        &mut self,
        counters: &SessionCounters,
        carried: &SessionCounters,
        now: Instant,
    ) -> Option<Ending> {
        let bytes = counters.bytes();
        if bytes < self.bytes {
            self.before = self.before.saturating_add(self.bytes);
        }
        self.bytes = bytes;
        if counters.received.packets != self.packets {
            (self.packets, self.heard) = (counters.received.packets, now);
        }
        let total = bytes.saturating_add(self.before).saturating_add(carried.bytes());
        if self.quota.is_some_and(|most| total >= most) {
            return Some(Ending::QuotaUsed);
        }
        self.idle.filter(|most| now.since(self.heard) >= *most).map(|_| Ending::Idle)
    }
}

impl Gateway {
    /// Asks the pipeline what a session has carried. The next look does not wait for the answer, which may
    /// be lost.
    pub(crate) fn look_at(&mut self, session: Key, now: Instant) {
        let Some(&(peer, at)) = self.sessions.get(session) else { return };
        let watch = self.session_mut(peer, at).and_then(|session| session.watch.as_ref());
        let next = watch.map(|watch| watch.next(now));
        self.looks.set(session, next);
        self.plane(Command::ReadSession { session });
    }

    /// The pipeline says what a session has carried.
    pub(crate) fn carried(&mut self, session: Key, counters: &SessionCounters, now: Instant) {
        let Some(&(peer, at)) = self.sessions.get(session) else { return };
        let ending = self.session_mut(peer, at).and_then(|session| {
            let carried = session.carried;
            session.watch.as_mut()?.see(counters, &carried, now)
        });
        if let Some(ending) = ending {
            self.looks.set(session, None);
            self.end_for(session, ending, now);
        }
    }
}

/// How often to look at a session that may fall silent: an eighth of its time, within these.
const LOOK_MIN: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_mins(1);
/// How often to look at a session with a quota.
const QUOTA_LOOK: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use isthmus_plane::Traffic;

    use super::*;

    fn counters(packets: u64, bytes: u64) -> SessionCounters {
        SessionCounters { received: Traffic { packets, bytes }, ..SessionCounters::default() }
    }

    #[test]
    fn bytes_count_on_when_the_pipeline_begins_anew_and_after_a_restart() {
        let start = Instant::from_secs(5);
        let mut watch = Watch::of(Limits { quota: Some(100), ..Limits::NONE }, start).unwrap();
        let none = SessionCounters::default();
        assert_eq!(watch.see(&counters(1, 60), &none, start), None);
        assert_eq!(watch.see(&counters(1, 30), &none, start), None, "opened again: 90");
        assert_eq!(watch.see(&counters(1, 40), &none, start), Some(Ending::QuotaUsed));
        let mut watch = Watch::of(Limits { quota: Some(100), ..Limits::NONE }, start).unwrap();
        assert_eq!(watch.see(&none, &counters(9, 100), start), Some(Ending::QuotaUsed));
    }

    #[test]
    fn other_limits_go_on_with_what_was_seen() {
        let start = Instant::from_secs(5);
        let quota = |most| Limits { quota: Some(most), ..Limits::NONE };
        let mut watch = Watch::of(quota(100), start);
        let none = SessionCounters::default();
        assert_eq!(watch.as_mut().unwrap().see(&counters(1, 60), &none, start), None);
        assert_eq!(watch.as_mut().unwrap().see(&counters(1, 10), &none, start), None);
        watch = Watch::go_on(watch, quota(70), start);
        assert_eq!(
            watch.as_mut().unwrap().see(&counters(1, 10), &none, start),
            Some(Ending::QuotaUsed)
        );
        assert!(Watch::go_on(watch, Limits::NONE, start).is_none());
        let idle = Limits { idle_timeout: Some(Duration::from_mins(8)), ..Limits::NONE };
        let mut fresh = Watch::go_on(None, idle, start).unwrap();
        let later = |minutes| start + Duration::from_mins(minutes);
        assert_eq!(fresh.see(&none, &none, later(7)), None, "nobody knows for how long before");
        assert_eq!(fresh.see(&none, &none, later(8)), Some(Ending::Idle));
    }

    #[test]
    fn only_packets_of_the_user_keep_a_session_and_nobody_is_watched_for_nothing() {
        let start = Instant::from_secs(5);
        let limits = Limits { idle_timeout: Some(Duration::from_mins(8)), ..Limits::NONE };
        let mut watch = Watch::of(limits, start).unwrap();
        let (none, later) = (SessionCounters::default(), |m| start + Duration::from_mins(m));
        assert_eq!(watch.next(start), later(1));
        assert_eq!(watch.see(&counters(1, 60), &none, later(7)), None);
        let sent = Traffic { packets: 99, bytes: 99 };
        let answered = SessionCounters { sent, ..counters(1, 60) };
        assert_eq!(watch.see(&answered, &none, later(14)), None);
        assert_eq!(watch.see(&answered, &none, later(15)), Some(Ending::Idle));
        assert!(Watch::of(Limits::NONE, start).is_none());
    }
}
