//! What the crowd does.

use std::collections::BTreeSet;
use std::time::Duration;

use isthmus_core::{Instant, Rng, Seed};

use super::carry::Carry;
use super::crowd::{Crowd, News, Seat, Stop};
use super::process::{Sample, Share};
use super::report::{GeneratorReport, HoldReport, ProcessReport, Report, StormReport};
use super::traffic::{self, Traffic};
use super::{BenchError, Load};

/// What is measured.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// Each client logs in once.
    Connect {
        /// Each hangs up as soon as it is up.
        churn: bool,
    },
    /// All log in and stay.
    Hold {
        /// For how long, once all are up.
        duration: Duration,
    },
    /// All dial at once, and again when that fails.
    Storm(Storm),
    /// Packets flow through the sessions.
    Traffic(Traffic),
    /// Other programs' packets flow through the sessions.
    Carry(Carry),
}

/// All at once.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// All are connected before, and vanish without a word, as in an outage.
    pub outage: bool,
    /// When it is over, whoever is not up.
    pub patience: Duration,
    /// Longest wait before a client tries again; each waits for a random part of it.
    pub retry: Duration,
    /// How often a client tries.
    pub tries: u32,
}

impl Scenario {
    const fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Hold { .. } => "hold",
            Self::Storm(_) => "storm",
            Self::Traffic(_) => "traffic",
            Self::Carry(_) => "carry",
        }
    }
}

/// Runs a scenario from the first dial to the last goodbye.
pub(crate) fn run(
    load: &Load,
    scenario: &Scenario,
    seeds: Vec<Seed>,
    stop: &Stop,
    progress: &mut dyn FnMut(&str),
) -> Result<Report, BenchError> {
    let mut rng = Rng::new(seeds.first().copied().unwrap_or_default());
    let device = match scenario {
        Scenario::Carry(carry) => Some(carry.device(load.speech.mtu)?),
        Scenario::Connect { .. }
        | Scenario::Hold { .. }
        | Scenario::Storm(_)
        | Scenario::Traffic(_) => None,
    };
    let mut crowd = Crowd::new(load, seeds, device, stop, progress)?;
    let mut watch = Watch::begin(load, &crowd)?;
    crowd.churn = matches!(scenario, Scenario::Connect { churn: true });
    let mut storm_report = None;
    if let Scenario::Storm(storm) = scenario {
        storm_report = Some(storm.run(&mut crowd, load, &mut rng));
    } else {
        crowd.bring_up();
    }
    watch.loaded(load, &crowd)?;
    let mut hold = None;
    let mut packets = None;
    let mut carried = None;
    match scenario {
        Scenario::Hold { duration } => hold = Some(keep(&mut crowd, *duration)),
        Scenario::Traffic(traffic) => {
            if crowd.counts.up == 0 {
                crowd.end();
            } else {
                packets = Some(traffic::run(traffic, &mut crowd));
            }
        }
        Scenario::Carry(carry) if crowd.counts.up > 0 => carried = Some(carry.run(&mut crowd)?),
        Scenario::Connect { .. } | Scenario::Storm(_) | Scenario::Carry(_) => {}
    }
    let seconds = crowd.elapsed().as_secs_f64();
    let (gateway, generator) = watch.finish(load, &crowd)?;
    let interrupted = crowd.is_stopped();
    crowd.end();
    Ok(Report {
        scenario: scenario.name(),
        version: env!("CARGO_PKG_VERSION"),
        server: load.speech.server,
        clients: load.clients,
        interrupted,
        seconds,
        logins: crowd.logins.report(),
        lost: crowd.lost.list(),
        hold,
        storm: storm_report,
        traffic: packets,
        carry: carried,
        gateway,
        generator,
        login_curve: crowd.logins.curve(),
        timeline: crowd.timeline,
    })
}

fn keep(crowd: &mut Crowd<'_>, duration: Duration) -> HoldReport {
    let (began, sessions) = (crowd.elapsed(), crowd.counts.up);
    crowd.say(&format!("holding {sessions} sessions for {} s", duration.as_secs()));
    crowd.wait(duration);
    let seconds = crowd.elapsed().saturating_sub(began).as_secs_f64();
    HoldReport { seconds, sessions, left: crowd.counts.up }
}

impl Storm {
    fn run(&self, crowd: &mut Crowd<'_>, load: &Load, rng: &mut Rng) -> StormReport {
        if self.outage {
            crowd.bring_up();
            let connected = crowd.counts.up;
            crowd.vanish();
            crowd
                .say(&format!("an outage: {connected} clients are cut off and dial again at once"));
        }
        let began = crowd.fleet.now();
        let attempts_before = crowd.logins.started;
        let mut rising = Rising::new(load.clients);
        let mut tries = vec![1_u32; usize::try_from(load.clients).unwrap_or_default()];
        let mut again: BTreeSet<(Instant, u32)> = BTreeSet::new();
        (0..load.clients).for_each(|client| crowd.dial(client));
        while !crowd.is_stopped()
            && crowd.fleet.now().since(began) < self.patience
            && (crowd.counts.dialing > 0 || !again.is_empty())
        {
            for news in crowd.listen(TICK) {
                let News::Fell(client) = news else { continue };
                let slot = usize::try_from(client).ok().and_then(|at| tries.get_mut(at));
                let Some(tries) = slot.filter(|tries| **tries < self.tries) else { continue };
                *tries += 1;
                let millis = u32::try_from(self.retry.as_millis()).unwrap_or(u32::MAX);
                let wait = Duration::from_millis(u64::from(rng.below(millis)));
                again.insert((crowd.fleet.now() + wait, client));
            }
            let now = crowd.fleet.now();
            while let Some(&(at, client)) = again.first().filter(|(at, _)| *at <= now) {
                again.remove(&(at, client));
                crowd.dial(client);
            }
            rising.note(crowd.counts.up, now.since(began));
        }
        StormReport {
            clients: load.clients,
            up: crowd.counts.up,
            failed_for_good: load.clients.saturating_sub(crowd.counts.up),
            attempts: crowd.logins.started - attempts_before,
            half_up_seconds: rising.half,
            most_up_seconds: rising.most,
            all_up_seconds: rising.all,
        }
    }
}

/// When how many were up.
#[derive(Debug)]
struct Rising {
    clients: u32,
    half: Option<f64>,
    most: Option<f64>,
    all: Option<f64>,
}

impl Rising {
    const fn new(clients: u32) -> Self {
        Self { clients, half: None, most: None, all: None }
    }

    fn note(&mut self, up: u32, elapsed: Duration) {
        let (up, clients) = (u64::from(up), u64::from(self.clients));
        for (mark, reached) in [
            (&mut self.half, up * 2 >= clients),
            (&mut self.most, up * 10 >= clients * 9),
            (&mut self.all, up >= clients),
        ] {
            if reached {
                mark.get_or_insert(elapsed.as_secs_f64());
            }
        }
    }
}

/// What processes take, before and with the sessions.
struct Watch {
    gateway: Option<Sample>,
    own: Sample,
    loaded: Option<Loaded>,
}

struct Loaded {
    gateway: Option<(Sample, Share)>,
    own: Sample,
    sessions: u32,
    busy_percent: f64,
}

impl Watch {
    fn begin(load: &Load, _crowd: &Crowd<'_>) -> Result<Self, BenchError> {
        Ok(Self { gateway: look(load)?, own: look_at_us()?, loaded: None })
    }

    /// All sessions are up.
    fn loaded(&mut self, load: &Load, crowd: &Crowd<'_>) -> Result<(), BenchError> {
        let now = look(load)?;
        let gateway = now.zip(self.gateway).map(|(now, before)| (now, now.since(&before)));
        let all = crowd.elapsed().as_secs_f64()
            * f64::from(u32::try_from(crowd.fleet.threads()).unwrap_or(1));
        let busy_percent =
            if all > 0.0 { 100.0 * crowd.fleet.busy().as_secs_f64() / all } else { 0.0 };
        let (own, sessions) = (look_at_us()?, crowd.counts.up);
        self.loaded = Some(Loaded { gateway, own, sessions, busy_percent });
        Ok(())
    }

    fn finish(
        self,
        load: &Load,
        crowd: &Crowd<'_>,
    ) -> Result<(Option<ProcessReport>, GeneratorReport), BenchError> {
        let threads = crowd.fleet.threads();
        let Some(loaded) = self.loaded else {
            let nothing = GeneratorReport { threads, busy_percent: 0.0, bytes_per_session: 0 };
            return Ok((None, nothing));
        };
        let each = |before: &Sample, after: &Sample| {
            let grown = after.resident.saturating_sub(before.resident);
            grown.checked_div(u64::from(loaded.sessions)).unwrap_or_default()
        };
        let generator = GeneratorReport {
            threads,
            busy_percent: loaded.busy_percent,
            bytes_per_session: each(&self.own, &loaded.own),
        };
        let Some(((at_load, logins), before)) = loaded.gateway.zip(self.gateway) else {
            return Ok((None, generator));
        };
        let end = look(load)?;
        let steady = end.map(|end| end.since(&at_load));
        // Buffers of the logins may be given back, and sessions may grow, while they are held.
        let last = end.unwrap_or(at_load);
        let gateway = ProcessReport {
            before_bytes: before.resident,
            loaded_bytes: last.resident,
            bytes_per_session: each(&before, &last),
            logins,
            steady,
        };
        Ok((Some(gateway), generator))
    }
}

fn look(load: &Load) -> Result<Option<Sample>, BenchError> {
    let Some(pid) = load.gateway else { return Ok(None) };
    let failed = |error| BenchError::Process(pid.as_raw_pid(), error);
    Sample::of(Some(pid)).map(Some).map_err(failed)
}

fn look_at_us() -> Result<Sample, BenchError> {
    Sample::of(None).map_err(|error| BenchError::Process(0, error))
}

/// Whether a client sends and receives.
pub(crate) const fn address(seat: &Seat) -> Option<std::net::Ipv4Addr> {
    match seat {
        Seat::Up(address) => Some(*address),
        Seat::Idle | Seat::Dialing(_) | Seat::Leaving | Seat::Over => None,
    }
}

/// How finely the storm is watched.
const TICK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_set_once_and_in_order() {
        let mut rising = Rising::new(10);
        for (up, second) in [(4, 1), (5, 2), (9, 3), (8, 4), (10, 5), (10, 6)] {
            rising.note(up, Duration::from_secs(second));
        }
        assert_eq!((rising.half, rising.most, rising.all), (Some(2.0), Some(3.0), Some(5.0)));
        let mut none = Rising::new(10);
        none.note(4, Duration::from_secs(1));
        assert_eq!((none.half, none.most, none.all), (None, None, None));
    }
}
