//! All clients of a load: who dials when, who is up, and what became of the others.
//!
//! ```text
//!  idle -> dialing -> up -> leaving -> over
//!             |        '----------------^  lost
//!             '-----> over                 failed
//! ```

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use isthmus_core::{Instant, Seed};
use isthmus_load::{Dial, Fleet, Told, What};
use isthmus_tun::TunDevice;

use super::logins::{Causes, Logins, Marks};
use super::report::Point;
use super::{BenchError, Load};

/// The wish to end, told from outside.
#[derive(Debug, Default)]
pub struct Stop(AtomicU8);

impl Stop {
    /// Ends the load; a second time without hanging up.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether somebody has asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether nobody is to hang up, either.
    fn at_once(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// All clients of a load.
pub(crate) struct Crowd<'a> {
    pub(crate) fleet: Fleet,
    load: &'a Load,
    stop: &'a Stop,
    seats: Vec<Seat>,
    pub(crate) logins: Logins,
    /// Sessions that ended and were not to.
    pub(crate) lost: Causes,
    pub(crate) counts: Counts,
    began: Instant,
    pub(crate) timeline: Vec<Point>,
    progress: &'a mut dyn FnMut(&str),
    /// Whether each hangs up as soon as it is up.
    pub(crate) churn: bool,
    /// Whether all are being sent home, which is not measured.
    ending: bool,
}

/// Where a client is in its life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seat {
    /// Not yet begun, or to begin again.
    Idle,
    /// Logging in; nothing is known before its first message has left.
    Dialing(Option<Marks>),
    /// Packets flow, from this address.
    Up(Ipv4Addr),
    /// Hanging up.
    Leaving,
    /// It has failed, was lost, or has hung up.
    Over,
}

/// How many clients are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) dialing: u32,
    pub(crate) up: u32,
    pub(crate) leaving: u32,
    /// Sessions that ended and were not to.
    pub(crate) lost: u64,
}

/// What a client has done that the scenario may want to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A login is done.
    CameUp,
    /// A login failed, or a session was lost.
    Fell(u32),
    /// Something that needs no answer.
    Other,
}

impl<'a> Crowd<'a> {
    /// Everybody is idle. The sessions carry what is sent to the device.
    pub(crate) fn new(
        load: &'a Load,
        seeds: Vec<Seed>,
        device: Option<TunDevice>,
        stop: &'a Stop,
        progress: &'a mut dyn FnMut(&str),
    ) -> Result<Self, BenchError> {
        let fleet = Fleet::start(load.speech.setup(seeds, device))?;
        let seats = (0..load.clients).map(|_| Seat::Idle).collect();
        let began = fleet.now();
        Ok(Self {
            fleet,
            load,
            stop,
            seats,
            logins: Logins::new(),
            lost: Causes::default(),
            counts: Counts::default(),
            began,
            timeline: Vec::new(),
            progress,
            churn: false,
            ending: false,
        })
    }

    /// Whether to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_asked()
    }

    /// Where each client is.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Time since the load began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.fleet.now().since(self.began)
    }

    /// Dials all that are idle, at the load's pace, until each is up or has failed.
    pub(crate) fn bring_up(&mut self) {
        let idle = |(client, seat): (u32, &Seat)| matches!(seat, Seat::Idle).then_some(client);
        let all: Vec<u32> = (0..).zip(&self.seats).filter_map(idle).collect();
        let began = self.fleet.now();
        let mut waiting = all.into_iter().peekable();
        let mut dialed = 0;
        while !self.stop.is_asked() && (waiting.peek().is_some() || self.counts.dialing > 0) {
            let allowed = allowed(self.load.rate, self.fleet.now().since(began));
            while dialed < allowed
                && self.counts.dialing < self.load.parallel
                && let Some(client) = waiting.next()
            {
                self.dial(client);
                dialed += 1;
            }
            self.listen(TICK);
        }
    }

    /// Has a client dial, if it does not do so already.
    pub(crate) fn dial(&mut self, client: u32) {
        let load = self.load;
        let sources = load.sources.len().max(1);
        let source = load.sources.get(usize::try_from(client).unwrap_or_default() % sources);
        let Some(&source) = source else { return };
        match self.seat(client) {
            Some(seat @ (Seat::Idle | Seat::Over)) => *seat = Seat::Dialing(None),
            Some(Seat::Dialing(_) | Seat::Up(_) | Seat::Leaving) | None => return,
        }
        self.counts.dialing += 1;
        self.logins.started += 1;
        let (user, password) = (load.names.user(client), load.names.password(client));
        self.fleet.dial(Dial { client, source, user, password });
    }

    /// Waits, while clients come and go, until the time is over or the load is to end.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.fleet.now() + time;
        while !self.stop.is_asked() && self.fleet.now() < until {
            let left = until.since(self.fleet.now());
            self.listen(left.min(LISTEN_MAX));
        }
    }

    /// Takes what has happened, waiting for it at most for a while; answers what may need an answer.
    pub(crate) fn listen(&mut self, wait: Duration) -> Vec<News> {
        let mut news = Vec::new();
        let mut next = self.fleet.next(wait);
        while let Some(told) = next {
            match self.handle(told) {
                News::Other => {}
                other @ (News::CameUp | News::Fell(_)) => news.push(other),
            }
            if news.len() >= NEWS_MAX {
                break;
            }
            next = self.fleet.next(Duration::ZERO);
        }
        self.note();
        news
    }

    /// Has everybody hang up, or vanish if that is wanted; waits for those who must answer.
    pub(crate) fn end(&mut self) {
        self.ending = true;
        if self.load.vanish {
            return self.vanish();
        }
        let began = self.fleet.now();
        // A goodbye costs a server far less than a login.
        let rate = (self.load.rate * 10.0).max(GOODBYES_MIN);
        let present = |(client, seat): (u32, &Seat)| {
            matches!(seat, Seat::Up(_) | Seat::Dialing(_)).then_some(client)
        };
        let mut waiting = (0..).zip(&self.seats).filter_map(present).collect::<Vec<_>>();
        waiting.reverse();
        let mut said = 0;
        let late = |crowd: &Self| crowd.fleet.now().since(began) > GOODBYE_MAX;
        while !self.stop.at_once() && (!waiting.is_empty() || self.counts.leaving > 0) {
            let allowed = allowed(rate, self.fleet.now().since(began));
            while said < allowed
                && let Some(client) = waiting.pop()
            {
                self.hang_up(client);
                said += 1;
            }
            self.listen(TICK);
            if waiting.is_empty() && late(self) {
                break;
            }
        }
    }

    /// Forgets everybody without a word to the server; they may dial again.
    pub(crate) fn vanish(&mut self) {
        for client in (0..).take(self.seats.len()) {
            self.fleet.vanish(client);
        }
        self.seats.fill(Seat::Idle);
        self.counts = Counts { lost: self.counts.lost, ..Counts::default() };
        // What was told of them before belongs to nobody.
        while self.fleet.next(VANISHING).is_some() {}
    }

    fn hang_up(&mut self, client: u32) {
        let Some(seat) = self.seat(client) else { return };
        let before = std::mem::replace(seat, Seat::Leaving);
        match before {
            Seat::Dialing(_) => self.counts.dialing -= 1,
            Seat::Up(_) => self.counts.up -= 1,
            Seat::Idle | Seat::Leaving | Seat::Over => {}
        }
        self.counts.leaving += 1;
        self.fleet.hang_up(client);
    }

    fn handle(&mut self, told: Told) -> News {
        let Told { client, at, what } = told;
        let Some(seat) = self.seat(client) else { return News::Other };
        match (*seat, what) {
            (Seat::Dialing(_), What::Dialed) => {
                *seat = Seat::Dialing(Some(Marks::new(at)));
                self.logins.dialed(at);
            }
            (Seat::Dialing(Some(mut marks)), What::Reached(stage)) => {
                marks.reached(stage, at);
                *seat = Seat::Dialing(Some(marks));
            }
            (Seat::Dialing(marks), What::Up { address, .. }) => {
                *seat = Seat::Up(address);
                self.counts.dialing -= 1;
                self.counts.up += 1;
                if let Some(marks) = marks {
                    self.logins.came_up(marks, at);
                }
                if self.churn {
                    self.hang_up(client);
                }
                return News::CameUp;
            }
            (Seat::Up(_), What::Up { address, .. }) => *seat = Seat::Up(address),
            (Seat::Dialing(_), What::NoSocket(reason)) => {
                *seat = Seat::Over;
                self.counts.dialing -= 1;
                self.logins.failed(None, reason, NO_SOCKET);
                return News::Fell(client);
            }
            (_, What::Down(down)) => return self.fell(client, down),
            // What was on its way when the client was told to leave.
            (_, What::Dialed | What::Reached(_) | What::Up { .. } | What::NoSocket(_)) => {}
        }
        News::Other
    }

    fn fell(&mut self, client: u32, down: isthmus_client::Down) -> News {
        let Some(seat) = self.seat(client) else { return News::Other };
        match std::mem::replace(seat, Seat::Over) {
            Seat::Dialing(_) => {
                self.counts.dialing -= 1;
                self.logins.failed(Some(down.stage), down.reason, down.remedy);
            }
            Seat::Up(_) => {
                self.counts.up -= 1;
                self.counts.lost += 1;
                self.lost.count_down(down);
            }
            Seat::Leaving => {
                self.counts.leaving -= 1;
                return News::Other;
            }
            Seat::Idle | Seat::Over => return News::Other,
        }
        News::Fell(client)
    }

    fn seat(&mut self, client: u32) -> Option<&mut Seat> {
        self.seats.get_mut(usize::try_from(client).ok()?)
    }

    /// Notes how things stand, once a second.
    fn note(&mut self) {
        let elapsed = self.elapsed();
        let last = self.timeline.last().map_or(-1.0, |point| point.seconds);
        if self.ending || elapsed.as_secs_f64() < last + 1.0 {
            return;
        }
        let Counts { dialing, up, lost, .. } = self.counts;
        let failed = self.logins.failed;
        let point = Point {
            seconds: elapsed.as_secs_f64(),
            up,
            dialing,
            failed,
            lost,
            logins: self.logins.up,
        };
        let before = self.timeline.last().map_or(0, |point| point.logins);
        self.timeline.push(point);
        if self.timeline.len() > 1 {
            let per_second = self.logins.up.saturating_sub(before);
            (self.progress)(&format!(
                "{:4.0} s  {up} up, {dialing} dialing, {failed} failed, {lost} lost; {per_second} logins/s",
                elapsed.as_secs_f64()
            ));
        }
    }

    /// Tells whoever watches.
    pub(crate) fn say(&mut self, line: &str) {
        (self.progress)(line);
    }
}

/// How many may have begun by now.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of clients; the cast saturates"
)]
fn allowed(rate: f64, elapsed: Duration) -> u64 {
    ((rate * elapsed.as_secs_f64()) as u64).saturating_add(1)
}

const NO_SOCKET: &str = "raise the limit of descriptors, or add addresses with --source";
/// How finely logins are paced.
const TICK: Duration = Duration::from_millis(1);
/// How long is listened without a look at the clock.
const LISTEN_MAX: Duration = Duration::from_millis(100);
/// Most news taken at once, so that pacing goes on.
const NEWS_MAX: usize = 256;
/// The slowest pace of goodbyes, in a second.
const GOODBYES_MIN: f64 = 200.0;
/// How long may pass until the last has gone.
const GOODBYE_MAX: Duration = Duration::from_secs(10);
/// How long nothing must be told until all that was on its way is here.
const VANISHING: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_one_at_once_and_the_others_in_their_time() {
        assert_eq!(allowed(10.0, Duration::ZERO), 1);
        assert_eq!(allowed(10.0, Duration::from_millis(99)), 1);
        assert_eq!(allowed(10.0, Duration::from_millis(101)), 2);
        assert_eq!(allowed(10.0, Duration::from_secs(5)), 51);
        assert_eq!(allowed(f64::INFINITY, Duration::from_secs(1)), u64::MAX);
    }

    #[test]
    fn the_second_wish_to_end_is_another_one() {
        let stop = Stop::default();
        assert!(!stop.is_asked());
        stop.ask();
        assert!(stop.is_asked() && !stop.at_once());
        stop.ask();
        assert!(stop.at_once());
    }
}
