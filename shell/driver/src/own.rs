//! Devices that sessions have to themselves, as control sees them.
//!
//! A session begins on its tenant's device. Where the tenant wants devices for each, the keeper makes one and
//! routes to it what is behind the session, and only then do packets take it: nothing is lost on the way,
//! and a session whose device cannot be made works as well as any.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use isthmus_core::Key;
use isthmus_plane::{Command, SessionParams, TunId};
use isthmus_tun::TunDevice;

use crate::gateway::GatewayDriver;
use crate::network::TenantNetwork;

/// A session that gets a device, or gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// It is to have one, or other networks are behind it.
    Attach(Attach),
    /// It needs none any more.
    Detach(TunId, Key),
}

/// What a session's device is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attach {
    pub(crate) tun: TunId,
    pub(crate) session: Key,
    /// Longest packet to the peer.
    pub(crate) mtu: u16,
    /// What is sent to the peer.
    pub(crate) networks: Vec<IpNet>,
}

/// A device made for a session; what is behind the session is routed to it.
pub(crate) struct Made {
    pub(crate) tun: TunId,
    pub(crate) session: Key,
    pub(crate) device: TunDevice,
}

/// Which sessions have devices of their own, and which are to.
pub(crate) struct Owners {
    /// Tenants that want it.
    tenants: BTreeSet<TunId>,
    /// Sessions of theirs for which a device is there or on the way.
    asked: BTreeMap<Key, TunId>,
    /// The names of those that packets take.
    names: BTreeMap<Key, String>,
}

impl Owners {
    pub(crate) fn new(tenants: &[TenantNetwork]) -> Self {
        let tenants = wanting(tenants).collect();
        Self { tenants, asked: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// The names of sessions' own devices.
    pub(crate) fn names(&self) -> BTreeMap<Key, String> {
        self.names.clone()
    }

    fn open(&mut self, params: &SessionParams) -> Option<Own> {
        let wants = self.tenants.contains(&params.tun) && !params.destinations.is_empty();
        wants.then(|| {
            self.asked.insert(params.session, params.tun);
            Own::Attach(Attach::of(params))
        })
    }

    /// The session needs none any more; answers the tenant whose it was.
    fn leave(&mut self, session: Key) -> Option<TunId> {
        self.names.remove(&session);
        self.asked.remove(&session)
    }

    /// The sessions with devices, or to get one, whose tenants are not among those that want it.
    fn of_others(&self, wanting: &BTreeSet<TunId>) -> Vec<Key> {
        let others = self.asked.iter().filter(|(_, tun)| !wanting.contains(tun));
        others.map(|(session, _)| *session).collect()
    }
}

impl Attach {
    pub(crate) fn of(params: &SessionParams) -> Self {
        let SessionParams { tun, session, mtu, .. } = *params;
        Self { tun, session, mtu, networks: params.destinations.clone() }
    }
}

impl GatewayDriver {
    /// Has devices made and removed as a command to the pipeline means.
    pub(crate) fn note_owner(&mut self, command: &Command) {
        if let Command::OpenSession(params) = command {
            match self.owners.open(params) {
                Some(attach) => self.network.own(attach),
                None => self.drop_devices(&[params.session]),
            }
        } else if let Command::CloseSession { session } = command {
            self.drop_devices(&[*session]);
        }
    }

    /// Takes the devices of these sessions away, as far as they have any.
    pub(crate) fn drop_devices(&mut self, sessions: &[Key]) {
        let held = self.take_devices(sessions);
        if !held.is_empty() {
            // Nobody waits for their end.
            drop(self.crew.remove_tuns(&[], &held));
        }
    }

    /// Has the devices of these sessions forgotten; answers those that workers have to let go of.
    fn take_devices(&mut self, sessions: &[Key]) -> Vec<(Key, TunId)> {
        let mut held = Vec::new();
        for session in sessions {
            let has_device = self.owners.names.contains_key(session);
            let Some(tun) = self.owners.leave(*session) else { continue };
            self.network.own(Own::Detach(tun, *session));
            held.extend(has_device.then_some((*session, tun)));
        }
        held
    }

    /// A device is there: packets take it, if the session is still to have it.
    pub(crate) fn attach(&mut self, Made { tun, session, device }: Made) {
        if self.owners.asked.contains_key(&session) {
            self.owners.names.insert(session, device.name().to_owned());
            self.crew.add_session_tun(session, tun, device);
        } else {
            self.crew.close(device);
        }
    }

    /// Other tenants come: answers the devices of sessions whose tenant wants none any more. The workers have
    /// to let go of them first, so that nothing comes by a device that no filter knows.
    pub(crate) fn release_owners(&mut self, tenants: &[TenantNetwork]) -> Vec<(Key, TunId)> {
        let wanting = wanting(tenants).collect();
        let others = self.owners.of_others(&wanting);
        self.owners.tenants.retain(|tun| wanting.contains(tun));
        self.take_devices(&others)
    }

    /// Other tenants are in force: has devices made for sessions that are open already.
    pub(crate) fn renew_owners(&mut self) {
        let before = std::mem::replace(&mut self.owners.tenants, wanting(&self.tenants).collect());
        for tun in self.owners.tenants.difference(&before) {
            for attach in self.roll.attachments(*tun) {
                self.owners.asked.insert(attach.session, *tun);
                self.network.own(Own::Attach(attach));
            }
        }
    }
}

/// The tenants that want a device for each session.
fn wanting(tenants: &[TenantNetwork]) -> impl Iterator<Item = TunId> + use<'_> {
    tenants.iter().filter(|tenant| tenant.device_per_session).map(|tenant| tenant.tun)
}
