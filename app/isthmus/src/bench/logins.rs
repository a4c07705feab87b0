//! What became of logins: how long they took, step by step, and why some failed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use isthmus_client::{Down, Stage};
use isthmus_core::{Duration, Instant};
use serde::Serialize;

/// When a login came how far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    dialed: Instant,
    secured: Option<Instant>,
    called: Option<Instant>,
}

/// All logins of a load.
#[derive(Debug)]
pub(crate) struct Logins {
    pub(crate) started: u64,
    pub(crate) up: u64,
    pub(crate) failed: u64,
    first_dialed: Option<Instant>,
    last_up: Option<Instant>,
    total: Steps,
    pub(crate) failures: Causes,
}

/// Times of the steps, in microseconds.
#[derive(Debug)]
struct Steps {
    ike: Histogram<u64>,
    l2tp: Histogram<u64>,
    ppp: Histogram<u64>,
    all: Histogram<u64>,
}

/// How often what happened.
#[derive(Debug, Default)]
pub(crate) struct Causes(BTreeMap<(Option<Stage>, String), (String, u64)>);

/// Why clients failed, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// How far they had come; `network` when no packet was sent.
    pub stage: &'static str,
    /// What happened, one line.
    pub reason: String,
    /// What to do, one line.
    pub remedy: String,
    /// How many clients it happened to.
    pub count: u64,
}

/// Logins in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoginReport {
    /// Logins begun.
    pub started: u64,
    /// Of these, those after which packets flowed.
    pub up: u64,
    /// Of these, those that failed.
    pub failed: u64,
    /// Of these, those that had neither come up nor failed when the load was ended.
    pub unfinished: u64,
    /// Logins that came up, in a second, from the first message to the last login.
    pub per_second: f64,
    /// From the first message until packets flow, in milliseconds.
    pub latency_ms: Percentiles,
    /// Of this, main mode and quick mode.
    pub ike_ms: Percentiles,
    /// Of this, the L2TP tunnel and call.
    pub l2tp_ms: Percentiles,
    /// Of this, LCP, authentication and IPCP.
    pub ppp_ms: Percentiles,
    /// Why logins failed, the most frequent first.
    pub failures: Vec<Cause>,
}

/// How values are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// Half of them are no larger.
    pub p50: f64,
    /// 90 % of them are no larger.
    pub p90: f64,
    /// 99 % of them are no larger.
    pub p99: f64,
    /// 99.9 % of them are no larger.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl Marks {
    /// The first message is on its way.
    pub(crate) const fn new(dialed: Instant) -> Self {
        Self { dialed, secured: None, called: None }
    }

    /// The login has come further.
    pub(crate) fn reached(&mut self, stage: Stage, at: Instant) {
        match stage {
            Stage::L2tp => self.secured = Some(at),
            Stage::Login => self.called = Some(at),
            Stage::Ipsec | Stage::Up => {}
        }
    }
}

impl Logins {
    pub(crate) fn new() -> Self {
        Self {
            started: 0,
            up: 0,
            failed: 0,
            first_dialed: None,
            last_up: None,
            total: Steps { ike: micros(), l2tp: micros(), ppp: micros(), all: micros() },
            failures: Causes::default(),
        }
    }

    /// A login began.
    pub(crate) fn dialed(&mut self, at: Instant) {
        self.first_dialed.get_or_insert(at);
    }

    /// A login is done.
    pub(crate) fn came_up(&mut self, marks: Marks, at: Instant) {
        self.up += 1;
        self.last_up = Some(at);
        let secured = marks.secured.unwrap_or(marks.dialed);
        let called = marks.called.unwrap_or(secured);
        record(&mut self.total.ike, secured.since(marks.dialed));
        record(&mut self.total.l2tp, called.since(secured));
        record(&mut self.total.ppp, at.since(called));
        record(&mut self.total.all, at.since(marks.dialed));
    }

    /// A login failed.
    pub(crate) fn failed(&mut self, stage: Option<Stage>, reason: String, remedy: &str) {
        self.failed += 1;
        self.failures.count(stage, reason, remedy);
    }

    /// The figures.
    pub(crate) fn report(&self) -> LoginReport {
        let span = match (self.first_dialed, self.last_up) {
            (Some(first), Some(last)) => last.since(first).as_secs_f64(),
            _ => 0.0,
        };
        #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 logins")]
        let per_second = if span > 0.0 { self.up as f64 / span } else { 0.0 };
        LoginReport {
            started: self.started,
            up: self.up,
            failed: self.failed,
            unfinished: self.started.saturating_sub(self.up + self.failed),
            per_second,
            latency_ms: Percentiles::of(&self.total.all, 1e-3),
            ike_ms: Percentiles::of(&self.total.ike, 1e-3),
            l2tp_ms: Percentiles::of(&self.total.l2tp, 1e-3),
            ppp_ms: Percentiles::of(&self.total.ppp, 1e-3),
            failures: self.failures.list(),
        }
    }

    /// For each percent of the logins how long they took at most, in milliseconds.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        curve(&self.total.all, 1e-3)
    }
}

impl Causes {
    /// It happened once more; beyond [`CAUSES_MAX`] kinds all others are one.
    pub(crate) fn count(&mut self, stage: Option<Stage>, reason: String, remedy: &str) {
        let mut key = (stage, reason);
        if self.0.len() >= CAUSES_MAX && !self.0.contains_key(&key) {
            key = (None, String::from("other reasons"));
        }
        self.0.entry(key).or_insert_with(|| (remedy.to_owned(), 0)).1 += 1;
    }

    /// A client is over that was not to be.
    pub(crate) fn count_down(&mut self, down: Down) {
        self.count(Some(down.stage), down.reason, down.remedy);
    }

    /// The most frequent first.
    pub(crate) fn list(&self) -> Vec<Cause> {
        let cause = |((stage, reason), (remedy, count)): (&(_, String), &(String, u64))| Cause {
            stage: stage_name(*stage),
            reason: reason.clone(),
            remedy: remedy.clone(),
            count: *count,
        };
        let mut all: Vec<_> = self.0.iter().map(cause).collect();
        all.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        all
    }
}

impl Percentiles {
    /// The distribution of a histogram whose values are multiplied by `scale`.
    #[expect(clippy::cast_precision_loss, reason = "three digits are kept")]
    pub(crate) fn of(values: &Histogram<u64>, scale: f64) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let at = |quantile| values.value_at_quantile(quantile) as f64 * scale;
        Self {
            count: values.len(),
            min: values.min() as f64 * scale,
            mean: values.mean() * scale,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: values.max() as f64 * scale,
        }
    }
}

/// For each percent how large values are at most.
#[expect(clippy::cast_precision_loss, reason = "three digits are kept")]
pub(crate) fn curve(values: &Histogram<u64>, scale: f64) -> Vec<(f64, f64)> {
    if values.is_empty() {
        return Vec::new();
    }
    let point = |percent: f64| (percent, values.value_at_quantile(percent / 100.0) as f64 * scale);
    (0..=100_u32).map(|percent| point(f64::from(percent))).collect()
}

const fn stage_name(stage: Option<Stage>) -> &'static str {
    match stage {
        None => "network",
        Some(Stage::Ipsec) => "ipsec",
        Some(Stage::L2tp) => "l2tp",
        Some(Stage::Login) => "login",
        Some(Stage::Up) => "up",
    }
}

#[expect(clippy::expect_used, reason = "only bounds that make no sense are refused")]
fn micros() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3).expect("bounds that make sense")
}

fn record(histogram: &mut Histogram<u64>, value: Duration) {
    histogram.saturating_record(u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
}

/// Logins that take longer count as this long.
const LATENCY_MAX_MICROS: u64 = 600_000_000;
/// Most causes told apart.
const CAUSES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn steps_add_up_to_the_login() {
        let mut logins = Logins::new();
        for number in 0..10 {
            logins.started += 1;
            logins.dialed(at(number));
            let mut marks = Marks::new(at(number));
            marks.reached(Stage::L2tp, at(number + 100));
            marks.reached(Stage::Login, at(number + 120));
            logins.came_up(marks, at(number + 150));
        }
        logins.started += 2;
        logins.failed(Some(Stage::Login), String::from("refused"), "ask");
        let report = logins.report();
        assert_eq!((report.started, report.up, report.failed, report.unfinished), (12, 10, 1, 1));
        for (step, millis) in [
            (report.ike_ms, 100.0),
            (report.l2tp_ms, 20.0),
            (report.ppp_ms, 30.0),
            (report.latency_ms, 150.0),
        ] {
            assert!((step.p50 - millis).abs() < millis / 500.0, "{step:?}");
            assert_eq!(step.count, 10);
        }
        assert!((report.per_second - 10.0 / 0.159).abs() < 0.1, "{}", report.per_second);
        assert_eq!(logins.curve().len(), 101);
    }

    #[test]
    fn causes_are_counted_and_the_most_frequent_is_first() {
        let mut causes = Causes::default();
        causes.count(Some(Stage::Ipsec), String::from("silence"), "look");
        for _ in 0..3 {
            causes.count(Some(Stage::Login), String::from("refused"), "ask");
        }
        let list = causes.list();
        let first =
            (list[0].stage, list[0].reason.as_str(), list[0].remedy.as_str(), list[0].count);
        assert_eq!((list.len(), first), (2, ("login", "refused", "ask", 3)));
    }

    #[test]
    fn kinds_of_causes_are_bounded() {
        let mut causes = Causes::default();
        for number in 0..CAUSES_MAX * 2 {
            causes.count(None, number.to_string(), "");
        }
        let list = causes.list();
        assert_eq!(list.len(), CAUSES_MAX + 1);
        assert_eq!((list[0].reason.as_str(), list[0].count), ("other reasons", CAUSES_MAX as u64));
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        let report = Logins::new().report();
        assert_eq!(report.latency_ms, Percentiles::default());
        assert!(report.per_second.abs() < f64::EPSILON && Logins::new().curve().is_empty());
    }
}
