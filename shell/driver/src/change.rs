//! Another configuration, while sessions go on.
//!
//! ```text
//! devices of new tenants are made  ->  sessions of tenants that go, or whose device does, are ended
//!                                      and the workers let go of the devices
//!                                  ->  kernel state is made as it is to be
//!                                  ->  the workers get the new devices, the machine the configuration
//! ```
//!
//! The first step may fail, and then nothing has changed. Control goes on meanwhile: each step waits for the
//! answer of the [`Network`](crate::network::Network).

use std::collections::VecDeque;
use std::sync::Arc;

use ipnet::Ipv4Net;
use isthmus_gateway::{Config, SessionInfo, Tenant};
use isthmus_plane::TunId;
use tokio::sync::oneshot;

use crate::gateway::{GatewayDriver, Wanted};
use crate::inside::Inside;
use crate::keeper::InForce;
use crate::network::{NetworkError, TenantNetwork};

/// A configuration that is to be in force.
pub(crate) struct Coming {
    wanted: Wanted,
    step: Step,
    answer: oneshot::Sender<Result<(), NetworkError>>,
}

/// What it waits for.
enum Step {
    /// Those before it.
    Turn,
    /// Devices.
    Prepare(oneshot::Receiver<Result<(), NetworkError>>),
    /// Kernel state that fits what was inside then.
    Commit(oneshot::Receiver<InForce>, Vec<Inside>),
}

/// A step that is done.
pub(crate) enum Done {
    Prepared(Result<(), NetworkError>),
    InForce(Option<InForce>),
}

impl Coming {
    /// Waits for the first one's step; for ever when there is none.
    pub(crate) async fn step(coming: &mut VecDeque<Self>) -> Done {
        match coming.front_mut().map(|coming| &mut coming.step) {
            Some(Step::Prepare(answer)) => {
                Done::Prepared(answer.await.unwrap_or(Err(NetworkError::KeeperGone)))
            }
            Some(Step::Commit(answer, _)) => Done::InForce(answer.await.ok()),
            Some(Step::Turn) | None => std::future::pending().await,
        }
    }
}

impl GatewayDriver {
    /// Begins to take over another configuration, after those that came before.
    pub(crate) fn reconfigure(
        &mut self,
        wanted: Wanted,
        answer: oneshot::Sender<Result<(), NetworkError>>,
    ) {
        self.coming.push_back(Coming { wanted, step: Step::Turn, answer });
        if self.coming.len() == 1 {
            self.begin();
        }
    }

    fn begin(&mut self) {
        if let Some(coming) = self.coming.front_mut() {
            coming.step = Step::Prepare(self.network.prepare(coming.wanted.tenants.clone()));
        }
    }

    /// Goes on with the first of those to come.
    pub(crate) fn go_on(&mut self, done: Done) {
        match done {
            Done::Prepared(Ok(())) => self.commit(),
            Done::Prepared(Err(error)) => self.finish(Err(error)),
            Done::InForce(Some(in_force)) => self.take_over(in_force),
            Done::InForce(None) => self.finish(Err(NetworkError::KeeperGone)),
        }
    }

    /// Ends what goes, and has kernel state made as it is to be.
    fn commit(&mut self) {
        let Some(wanted) = self.coming.front().map(|coming| coming.wanted.clone()) else { return };
        let (ended, gone) = ends(&self.tenants, &wanted.tenants);
        self.end(&ended, &gone);
        let sessions = self.release_owners(&wanted.tenants);
        let released = self.crew.remove_tuns(&ended, &sessions);
        let inside = inside(&wanted.machine, &wanted.tenants, &self.machine.sessions());
        let machine = &self.machine;
        let entered = self.roll.renew(&wanted.tenants, |session| machine.user_of(session));
        let answer = self.network.commit(wanted.tenants, (inside.clone(), entered), released);
        if let Some(coming) = self.coming.front_mut() {
            coming.step = Step::Commit(answer, inside);
        }
    }

    /// Ends the sessions on devices that go. Whoever came to a tenant that is gone comes to none.
    fn end(&mut self, ended: &[TunId], gone: &[TunId]) {
        let now = self.clock.now();
        let indexes = |tuns: &[TunId]| tuns.iter().map(|tun| tun.0.into()).collect::<Vec<_>>();
        self.machine.end_tenants(&indexes(ended), &indexes(gone), now);
        if !gone.is_empty() {
            let mut config = Config::clone(&self.config);
            for tenant in config.tenants.iter_mut().filter(|tenant| gone.contains(&tenant.tun)) {
                *tenant = Tenant::vacant(tenant.tun);
            }
            config.lacs.retain_mut(|lac| {
                let stays =
                    |index: &usize| config.tenants.get(*index).is_some_and(|t| !t.is_vacant());
                lac.tenants.retain(stays);
                !lac.tenants.is_empty()
            });
            self.machine.reconfigure(Arc::new(config), now);
        }
        self.carry_out();
    }

    fn take_over(&mut self, InForce { devices, outcome }: InForce) {
        let Some(coming) = self.coming.front() else { return };
        // What cannot be routed must not keep users from logging in.
        if let Err(reason) = outcome {
            tracing::error!(%reason, "kernel state is not as the configuration wants it");
        }
        for (id, queues) in devices {
            self.crew.add_tun(id, queues);
        }
        let Wanted { machine, tenants } = coming.wanted.clone();
        // Somebody may have been given an address of an old pool meanwhile.
        let now = inside(&machine, &tenants, &self.machine.sessions());
        if matches!(&coming.step, Step::Commit(_, wished) if *wished != now) {
            drop(self.network.set_inside(now));
        }
        self.config = Arc::clone(&machine);
        self.tenants = tenants;
        self.machine.reconfigure(machine, self.clock.now());
        self.renew_owners();
        // A user may be in another group now.
        let machine = &self.machine;
        let entered = self.roll.renew(&self.tenants, |session| machine.user_of(session));
        self.enter(entered);
        self.finish(Ok(()));
    }

    fn finish(&mut self, outcome: Result<(), NetworkError>) {
        if let Some(coming) = self.coming.pop_front() {
            let _asker_gone = coming.answer.send(outcome);
        }
        self.begin();
    }
}

/// The devices that go: all of them, and those whose tenant goes too.
fn ends(running: &[TenantNetwork], wanted: &[TenantNetwork]) -> (Vec<TunId>, Vec<TunId>) {
    let stays = |old: &&TenantNetwork| wanted.iter().any(|new| new.has_device_of(old));
    let has_tenant = |tun: &TunId| wanted.iter().any(|new| new.tun == *tun);
    let ended: Vec<_> = running.iter().filter(|old| !stays(old)).map(|old| old.tun).collect();
    let gone = ended.iter().filter(|tun| !has_tenant(tun)).copied().collect();
    (ended, gone)
}

/// For each tenant the networks behind its users.
pub(crate) fn networks(config: &Config, tenants: &[TenantNetwork]) -> Vec<Vec<Ipv4Net>> {
    let of = |network: &TenantNetwork| {
        let tenant = config.tenants.iter().find(|tenant| tenant.tun == network.tun);
        tenant.map(|tenant| tenant.users.networks()).unwrap_or_default()
    };
    tenants.iter().map(of).collect()
}

/// For each tenant what is behind its device.
fn inside(config: &Config, tenants: &[TenantNetwork], sessions: &[SessionInfo]) -> Vec<Inside> {
    let of_tenant = |(tenant, network): (&Tenant, &TenantNetwork)| {
        let own = || sessions.iter().filter(|session| session.tenant == tenant.name);
        Inside {
            tun: tenant.tun,
            pool: network.pool.clone(),
            pool6: network.pool6.clone(),
            gateway_address6: network.gateway_address6,
            networks: tenant.users.networks(),
            addresses: own().filter_map(|session| session.address).collect(),
            prefixes6: own().filter_map(|session| session.prefix6).collect(),
        }
    };
    let network = |tenant: &Tenant| tenants.iter().find(|network| network.tun == tenant.tun);
    let known = config.tenants.iter().filter_map(|tenant| Some((tenant, network(tenant)?)));
    known.map(of_tenant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(tun: u16, name: &str) -> TenantNetwork {
        let mut tenant = crate::wanted::tests::placed(Vec::new()).tenant;
        tenant.tun = TunId(tun);
        tenant.device.name = name.into();
        tenant
    }

    #[test]
    fn only_devices_that_go_or_change_end() {
        let running = [network(0, "acme"), network(1, "blue"), network(2, "red")];
        let mut same = network(0, "acme");
        same.gateway_address = [10, 9, 9, 9].into();
        same.pool.clear();
        let wanted = [same, network(2, "rouge"), network(3, "new")];
        assert_eq!(ends(&running, &wanted), (vec![TunId(1), TunId(2)], vec![TunId(1)]));
        assert_eq!(ends(&running, &running), (vec![], vec![]));
    }
}
