//! The roll of who is in: whose packets are of which class, as sessions come and go.

use std::collections::BTreeMap;

use ipnet::IpNet;
use isthmus_core::Key;
use isthmus_gateway::Gateway;
use isthmus_plane::{Command, SessionParams, TunId};

use crate::guards::Access;
use crate::network::TenantNetwork;
use crate::own::Attach;

/// All sessions, and the tenants that tell classes apart.
pub(crate) struct Roll {
    access: BTreeMap<TunId, Access>,
    sessions: BTreeMap<Key, Entry>,
}

struct Entry {
    tun: TunId,
    sources: Vec<IpNet>,
    mtu: u16,
}

/// Sources of a tenant's packets with the class that they are of now; none for those that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) tun: TunId,
    pub(crate) sources: Vec<(IpNet, Option<u16>)>,
}

impl Roll {
    /// Nobody is in yet.
    pub(crate) fn new(tenants: &[TenantNetwork]) -> Self {
        let telling = tenants.iter().filter(|tenant| tenant.access.has_classes());
        let access = telling.map(|tenant| (tenant.tun, tenant.access.clone())).collect();
        Self { access, sessions: BTreeMap::new() }
    }

    /// What a command to the pipeline means for the roll.
    pub(crate) fn note(&mut self, command: &Command, machine: &Gateway) -> Option<Entered> {
        if let Command::OpenSession(params) = command {
            self.open(params, machine)
        } else if let Command::CloseSession { session } = command {
            self.leave(*session)
        } else {
            None
        }
    }

    /// A session is gone.
    pub(crate) fn leave(&mut self, session: Key) -> Option<Entered> {
        let Entry { tun, sources, .. } = self.sessions.remove(&session)?;
        self.access.contains_key(&tun).then_some(Entered {
            tun,
            sources: sources.into_iter().map(|source| (source, None)).collect(),
        })
    }

    /// What a device of each of a tenant's sessions would be: what a session may send from is what is sent
    /// to it.
    pub(crate) fn attachments(&self, tun: TunId) -> Vec<Attach> {
        let own = self.sessions.iter().filter(|(_, entry)| entry.tun == tun);
        let known = own.filter(|(_, entry)| !entry.sources.is_empty());
        known
            .map(|(session, entry)| Attach {
                tun,
                session: *session,
                mtu: entry.mtu,
                networks: entry.sources.clone(),
            })
            .collect()
    }

    /// Other tenants, or other groups of users: which class each session is of now.
    pub(crate) fn renew(&mut self, tenants: &[TenantNetwork], machine: &Gateway) -> Vec<Entered> {
        let telling = tenants.iter().filter(|tenant| tenant.access.has_classes());
        self.access = telling.map(|tenant| (tenant.tun, tenant.access.clone())).collect();
        let mut all: BTreeMap<TunId, Vec<_>> = BTreeMap::new();
        for (session, entry) in &self.sessions {
            let class = self.class(entry.tun, *session, machine);
            let sources = entry.sources.iter().map(|source| (*source, class));
            all.entry(entry.tun).or_default().extend(sources);
        }
        all.into_iter().map(|(tun, sources)| Entered { tun, sources }).collect()
    }

    fn class(&self, tun: TunId, session: Key, machine: &Gateway) -> Option<u16> {
        let (user, group) = machine.user_of(session)?;
        self.access.get(&tun)?.class(user, group)
    }

    fn open(&mut self, params: &SessionParams, machine: &Gateway) -> Option<Entered> {
        let class = self.class(params.tun, params.session, machine);
        let entry = Entry { tun: params.tun, sources: params.sources.clone(), mtu: params.mtu };
        let now = params.sources.iter().map(|source| (*source, class));
        let before = self.sessions.insert(params.session, entry);
        let gone = before.into_iter().flat_map(|before| before.sources);
        let gone = gone.filter(|source| !params.sources.contains(source));
        let sources: Vec<_> = gone.map(|source| (source, None)).chain(now).collect();
        let tells = self.access.contains_key(&params.tun) && !sources.is_empty();
        tells.then_some(Entered { tun: params.tun, sources })
    }
}
