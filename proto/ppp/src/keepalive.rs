//! Notices a peer that is gone: probes only when nothing else was heard.
//!
//! ```text
//!  last word -> silent for an interval: probe -> at each further interval: probe -> gone half an
//!               (a server asks a little earlier)                                    interval later
//! ```
//!
//! A server asks in the last tenth of the interval: its question is a word that the client hears, so the
//! client, whose interval is often the same, need not ask as well.

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
    /// The last word of the peer, while the timer runs.
    heard: Option<Instant>,
    unanswered: u8,
    /// Whether the first question comes a tenth of the interval early.
    asks_first: bool,
}

impl Keepalive {
    /// A keepalive that does not run yet; one that `asks_first` asks before a peer with the same interval
    /// would.
    pub(crate) const fn new(echo: Option<Echo>, asks_first: bool) -> Self {
        Self { echo, heard: None, unanswered: 0, asks_first }
    }

    /// Begins the first interval.
    pub(crate) fn start(&mut self, now: Instant) {
        self.heard = self.echo.map(|_| now);
        self.unanswered = 0;
    }

    /// Stops probing.
    pub(crate) const fn stop(&mut self) {
        self.heard = None;
    }

    /// Something authentic came from the peer.
    pub(crate) fn hear(&mut self, now: Instant) {
        if self.heard.is_some() {
            self.heard = Some(now);
            self.unanswered = 0;
        }
    }

    /// When [`Keepalive::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let (echo, heard) = (self.echo?, self.heard?);
        Some(match self.unanswered {
            0 if self.asks_first => heard + echo.interval * 9 / 10,
            0 => heard + echo.interval,
            // Life is reported a little late; half an interval lets the answer to the last question in.
            asked if asked >= echo.failures_max => {
                heard + echo.interval * u32::from(asked) + echo.interval * 3 / 2
            }
            asked => heard + echo.interval * (u32::from(asked) + 1),
        })
    }

    /// Looks whether somebody must be asked, or is gone.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Verdict {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        let Some(echo) = self.echo.filter(|_| due) else { return Verdict::Nothing };
        if self.unanswered >= echo.failures_max {
            self.heard = None;
            return Verdict::Lost;
        }
        self.unanswered += 1;
        Verdict::Probe
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use isthmus_core::Duration;

    use super::*;

    const ECHO: Echo = Echo { interval: Duration::from_secs(10), failures_max: 2 };

    fn started() -> Keepalive {
        let mut keepalive = Keepalive::new(Some(ECHO), false);
        keepalive.start(Instant::ZERO);
        keepalive
    }

    /// What happens to a peer that is silent from here on, and in which second.
    fn silence(keepalive: &mut Keepalive) -> Vec<(u64, Verdict)> {
        let mut seen = Vec::new();
        while let Some(at) = keepalive.poll_timeout() {
            let before = Instant::from_nanos(at.as_nanos() - 1);
            assert_eq!(keepalive.handle_timeout(before), Verdict::Nothing);
            seen.push((at.as_nanos() / 1_000_000_000, keepalive.handle_timeout(at)));
        }
        seen
    }

    #[test]
    fn a_silent_peer_is_probed_and_then_given_up() {
        let mut keepalive = started();
        let expected = [(10, Verdict::Probe), (20, Verdict::Probe), (35, Verdict::Lost)];
        assert_eq!(silence(&mut keepalive), expected);
        assert_eq!(keepalive.handle_timeout(Instant::FAR_FUTURE), Verdict::Nothing);
    }

    #[test]
    fn who_asks_first_gives_up_no_earlier() {
        let mut keepalive = Keepalive::new(Some(ECHO), true);
        keepalive.start(Instant::ZERO);
        let expected = [(9, Verdict::Probe), (20, Verdict::Probe), (35, Verdict::Lost)];
        assert_eq!(silence(&mut keepalive), expected);
    }

    #[test]
    fn a_server_that_asks_keeps_its_client_from_asking() {
        let (mut server, mut client) = (Keepalive::new(Some(ECHO), true), started());
        server.start(Instant::ZERO);
        for second in 1..1000 {
            let now = Instant::from_secs(second);
            assert_eq!(client.handle_timeout(now), Verdict::Nothing);
            if server.handle_timeout(now) == Verdict::Probe {
                client.hear(now);
                server.hear(now);
            }
        }
    }

    #[test]
    fn a_peer_that_is_heard_is_not_probed() {
        let mut keepalive = started();
        for second in (9..100).step_by(9) {
            let now = Instant::from_secs(second);
            assert_eq!(keepalive.handle_timeout(now), Verdict::Nothing);
            keepalive.hear(now);
        }
    }

    #[test]
    fn any_word_of_the_peer_resets_the_count() {
        let mut keepalive = started();
        for second in [10, 20] {
            assert_eq!(keepalive.handle_timeout(Instant::from_secs(second)), Verdict::Probe);
        }
        keepalive.hear(Instant::from_secs(34));
        let expected = [(44, Verdict::Probe), (54, Verdict::Probe), (69, Verdict::Lost)];
        assert_eq!(silence(&mut keepalive), expected);
    }

    #[test]
    fn nothing_happens_without_an_interval_or_after_the_end() {
        let mut off = Keepalive::new(None, true);
        off.start(Instant::ZERO);
        assert_eq!(off.poll_timeout(), None);
        assert_eq!(off.handle_timeout(Instant::FAR_FUTURE), Verdict::Nothing);
        let mut stopped = started();
        stopped.stop();
        stopped.hear(Instant::from_secs(1));
        assert_eq!(stopped.poll_timeout(), None);
    }
}
