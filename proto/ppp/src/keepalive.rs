//! Notices a peer that is gone: probes only when nothing else was heard.

use isthmus_core::Instant;

use crate::config::Echo;

/// What to do when an interval is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The peer was heard, or there is still time.
    Nothing,
    /// Send an Echo-Request.
    Probe,
    /// The peer is gone.
    Lost,
}

/// The interval timer of one link.
#[derive(Debug)]
pub(crate) struct Keepalive {
    echo: Option<Echo>,
    next: Option<Instant>,
    heard: bool,
    unanswered: u8,
}

impl Keepalive {
    /// A keepalive that does not run yet.
    pub(crate) const fn new(echo: Option<Echo>) -> Self {
        Self { echo, next: None, heard: false, unanswered: 0 }
    }

    /// Begins the first interval.
    pub(crate) fn start(&mut self, now: Instant) {
        self.next = self.echo.map(|echo| now + echo.interval);
        self.heard = true;
        self.unanswered = 0;
    }

    /// Stops probing.
    pub(crate) const fn stop(&mut self) {
        self.next = None;
    }

    /// Something authentic came from the peer.
    pub(crate) const fn hear(&mut self) {
        self.heard = true;
    }

    /// When [`Keepalive::handle_timeout`] is due.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Ends an interval when it is over.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Verdict {
        let Some(echo) = self.echo.filter(|_| self.next.is_some_and(|at| at <= now)) else {
            return Verdict::Nothing;
        };
        self.next = Some(now + echo.interval);
        if core::mem::replace(&mut self.heard, false) {
            self.unanswered = 0;
            return Verdict::Nothing;
        }
        if self.unanswered >= echo.failures_max {
            self.next = None;
            return Verdict::Lost;
        }
        self.unanswered += 1;
        Verdict::Probe
    }
}

#[cfg(test)]
mod tests {
    use isthmus_core::Duration;

    use super::*;

    fn started() -> Keepalive {
        let echo = Echo { interval: Duration::from_secs(10), failures_max: 2 };
        let mut keepalive = Keepalive::new(Some(echo));
        keepalive.start(Instant::ZERO);
        keepalive
    }

    #[test]
    fn a_silent_peer_is_probed_and_then_given_up() {
        let mut keepalive = started();
        let seen = [10, 20, 30, 40].map(|s| keepalive.handle_timeout(Instant::from_secs(s)));
        assert_eq!(seen, [Verdict::Nothing, Verdict::Probe, Verdict::Probe, Verdict::Lost]);
        assert_eq!(keepalive.poll_timeout(), None);
    }

    #[test]
    fn a_peer_that_is_heard_is_not_probed() {
        let mut keepalive = started();
        for second in (10..100).step_by(10) {
            assert_eq!(keepalive.handle_timeout(Instant::from_secs(second)), Verdict::Nothing);
            keepalive.hear();
        }
    }

    #[test]
    fn any_word_of_the_peer_resets_the_count() {
        let mut keepalive = started();
        for second in [10, 20, 30] {
            keepalive.handle_timeout(Instant::from_secs(second));
        }
        keepalive.hear();
        let seen = [40, 50, 60, 70].map(|s| keepalive.handle_timeout(Instant::from_secs(s)));
        assert_eq!(seen, [Verdict::Nothing, Verdict::Probe, Verdict::Probe, Verdict::Lost]);
    }

    #[test]
    fn nothing_happens_early_or_without_an_interval() {
        assert_eq!(started().handle_timeout(Instant::from_secs(9)), Verdict::Nothing);
        let mut off = Keepalive::new(None);
        off.start(Instant::ZERO);
        assert_eq!(off.poll_timeout(), None);
        assert_eq!(off.handle_timeout(Instant::FAR_FUTURE), Verdict::Nothing);
    }
}
