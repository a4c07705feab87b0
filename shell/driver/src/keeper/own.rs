//! Makes the devices that sessions have to themselves, and knows what is behind them.
//!
//! A device is called as its tenant's, a dot, and the first number that is free.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ipnet::IpNet;
use isthmus_core::Key;
use isthmus_tun::{TunConfig, TunDevice, TunError};
use tokio::time::{Instant, sleep_until};

use super::{Due, Keeper};
use crate::inside::Placed;
use crate::members::PACE;
use crate::own::{Attach, Made, Own};

/// A session's own device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnDevice {
    /// What makes its name.
    number: u16,
    /// What is behind it.
    pub(crate) networks: Vec<IpNet>,
}

impl OwnDevice {
    #[cfg(test)]
    pub(crate) const fn new(number: u16, networks: Vec<IpNet>) -> Self {
        Self { number, networks }
    }
}

impl Placed {
    /// The devices of sessions, with their names.
    pub(crate) fn own_devices(&self) -> impl Iterator<Item = (String, &OwnDevice)> {
        self.owned.values().map(|own| (name(&self.device, own.number), own))
    }

    /// Numbers that no device has.
    fn free_numbers(&self) -> impl Iterator<Item = u16> + use<> {
        let taken: BTreeSet<u16> = self.owned.values().map(|own| own.number).collect();
        (0..SESSION_DEVICES_MAX).filter(move |number| !taken.contains(number))
    }
}

/// Devices to be made for the sessions of one tenant.
struct Job {
    device: String,
    config: TunConfig,
    /// Numbers to try, more than devices: one that is about to go still has its name.
    numbers: Vec<u16>,
    sessions: Vec<Attach>,
}

/// What became of one session's device.
type Outcome = (Attach, Result<(u16, TunDevice), TunError>);

impl Keeper {
    /// Notes what a session's device means for its namespace.
    pub(super) fn take_own(&mut self, own: Own, due: &mut Due) {
        let (tun, session) = match &own {
            Own::Attach(attach) => (attach.tun, attach.session),
            Own::Detach(tun, session) => (*tun, *session),
        };
        let placed = self.tenants.iter_mut().find(|placed| placed.tenant.tun == tun);
        let Some(placed) = placed else { return };
        let namespace = placed.tenant.device.namespace.clone();
        match own {
            Own::Attach(attach) if placed.tenant.device_per_session => {
                match placed.owned.get_mut(&session) {
                    Some(device) if device.networks == attach.networks => {}
                    Some(device) => {
                        device.networks = attach.networks;
                        due.namespaces.insert(namespace);
                    }
                    None => drop(due.attach.insert(session, attach)),
                }
            }
            // It was turned off meanwhile.
            Own::Attach(_) => {}
            Own::Detach(..) => {
                due.attach.remove(&session);
                if placed.owned.remove(&session).is_some() {
                    due.namespaces.insert(namespace);
                }
            }
        }
    }

    /// Makes the devices that are due; what is behind them is routed when their namespaces are reconciled.
    pub(super) async fn make_own(&mut self, due: &mut Due) -> Vec<Made> {
        let attach = std::mem::take(&mut due.attach);
        if attach.is_empty() {
            return Vec::new();
        }
        // Those of a burst of logins are routed together.
        sleep_until(self.owned + PACE).await;
        let jobs = self.jobs(attach);
        let run = move || jobs.into_iter().flat_map(Job::run).collect::<Vec<_>>();
        let outcomes = tokio::task::spawn_blocking(run).await.unwrap_or_default();
        self.owned = Instant::now();
        let wanted = outcomes.len();
        let mut refused = None;
        let made: Vec<_> = outcomes
            .into_iter()
            .filter_map(|outcome| match self.own_made(outcome, due) {
                Ok(made) => made,
                Err(error) => {
                    refused.get_or_insert(error);
                    None
                }
            })
            .collect();
        if let Some(error) = refused {
            let sessions = wanted.saturating_sub(made.len());
            tracing::warn!(sessions, %error, "sessions share the device of their tenant");
        }
        made
    }

    fn jobs(&self, attach: BTreeMap<Key, Attach>) -> Vec<Job> {
        let mut by_tenant: BTreeMap<_, Vec<Attach>> = BTreeMap::new();
        for (_, attach) in attach {
            by_tenant.entry(attach.tun).or_default().push(attach);
        }
        let job = |placed: &Placed| {
            let sessions = by_tenant.remove(&placed.tenant.tun)?;
            let numbers = placed.free_numbers().take(sessions.len() + SPARE_NUMBERS).collect();
            let (device, config) = (placed.device.clone(), placed.tenant.device.clone());
            Some(Job { device, config, numbers, sessions })
        };
        self.tenants.iter().filter_map(job).collect()
    }

    fn own_made(
        &mut self,
        (attach, outcome): Outcome,
        due: &mut Due,
    ) -> Result<Option<Made>, TunError> {
        let Attach { tun, session, networks, .. } = attach;
        let (number, device) = outcome?;
        let placed = self.tenants.iter_mut().find(|placed| placed.tenant.tun == tun);
        Ok(placed.map(|placed| {
            placed.owned.insert(session, OwnDevice { number, networks });
            due.namespaces.insert(placed.tenant.device.namespace.clone());
            Made { tun, session, device }
        }))
    }
}

impl Job {
    fn run(self) -> Vec<Outcome> {
        let Self { device, config, numbers, sessions } = self;
        let mut numbers = numbers.into_iter();
        let make = |attach: Attach| {
            let mtu = attach.mtu.max(IPV6_MTU_MIN);
            let made = loop {
                let Some(number) = numbers.next() else { break Err(exhausted(&device)) };
                let config = TunConfig { name: name(&device, number), mtu, ..config.clone() };
                match TunDevice::create(&config) {
                    Ok(made) => break Ok((number, made)),
                    Err(TunError::Create { source, .. }) if is_taken(&source) => {}
                    Err(error) => break Err(error),
                }
            };
            (attach, made)
        };
        sessions.into_iter().map(make).collect()
    }
}

fn name(tenant: &str, number: u16) -> String {
    format!("{tenant}.{number}")
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AlreadyExists
}

fn exhausted(device: &str) -> TunError {
    let source = io::Error::other(format!("no free name up to {SESSION_DEVICES_MAX}"));
    TunError::Create { name: name(device, SESSION_DEVICES_MAX), source }
}

/// Most devices of the sessions of one tenant; the sessions beyond share their tenant's. Its digits are what
/// the tenant's name has to leave room for.
pub const SESSION_DEVICES_MAX: u16 = 4096;
/// Numbers tried beyond those that are needed.
const SPARE_NUMBERS: usize = 64;
/// With less the kernel switches IPv6 off on the device (RFC 8200 §5).
const IPV6_MTU_MIN: u16 = 1280;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_first_that_are_free_up_to_a_bound() {
        let mut placed = crate::wanted::tests::placed(Vec::new());
        for (key, number) in [(1, 0), (2, 2)] {
            placed.owned.insert(Key::from_raw(key), OwnDevice::new(number, Vec::new()));
        }
        assert_eq!(placed.free_numbers().take(2).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(placed.free_numbers().count(), usize::from(SESSION_DEVICES_MAX) - 2);
        let names: Vec<_> = placed.own_devices().map(|(name, _)| name).collect();
        assert_eq!(names, ["acme.0", "acme.2"]);
    }

    #[test]
    fn a_session_for_which_no_name_is_free_gets_none() {
        let (session, tun) = (Key::from_raw(1), isthmus_plane::TunId(0));
        let attach = Attach { tun, session, mtu: 1400, networks: Vec::new() };
        let (device, config) = ("acme".to_owned(), TunConfig::default());
        let job = Job { device, config, numbers: Vec::new(), sessions: vec![attach] };
        let [(_, Err(error))] = &job.run()[..] else { panic!("a device") };
        assert!(error.to_string().contains("acme.4096"), "{error}");
    }
}
