//! The roll of who is in: whose packets are of which class, as sessions come and go.

use std::collections::BTreeMap;

use ipnet::IpNet;
use isthmus_core::Key;
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

/// The name of a user and of the group.
pub(crate) type User<'a> = (&'a str, Option<&'a str>);

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
    pub(crate) fn note<'a>(
        &mut self,
        command: &Command,
        user_of: impl Fn(Key) -> Option<User<'a>>,
    ) -> Option<Entered> {
        if let Command::OpenSession(params) = command {
            self.open(params, user_of(params.session))
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
    pub(crate) fn renew<'a>(
        &mut self,
        tenants: &[TenantNetwork],
        user_of: impl Fn(Key) -> Option<User<'a>>,
    ) -> Vec<Entered> {
        let telling = tenants.iter().filter(|tenant| tenant.access.has_classes());
        let access = telling.map(|tenant| (tenant.tun, tenant.access.clone())).collect();
        let before = std::mem::replace(&mut self.access, access);
        let told = |tun| self.access.contains_key(tun) || before.contains_key(tun);
        let mut all: BTreeMap<TunId, Vec<_>> = BTreeMap::new();
        for (session, entry) in self.sessions.iter().filter(|(_, entry)| told(&entry.tun)) {
            let class = self.class(entry.tun, user_of(*session));
            let sources = entry.sources.iter().map(|source| (*source, class));
            all.entry(entry.tun).or_default().extend(sources);
        }
        all.into_iter().map(|(tun, sources)| Entered { tun, sources }).collect()
    }

    fn class(&self, tun: TunId, user: Option<User<'_>>) -> Option<u16> {
        let (user, group) = user?;
        self.access.get(&tun)?.class(user, group)
    }

    fn open(&mut self, params: &SessionParams, user: Option<User<'_>>) -> Option<Entered> {
        let class = self.class(params.tun, user);
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

#[cfg(test)]
mod tests {
    use isthmus_policy::{Classes, Named, Policy, Verdict, Who};

    use super::*;

    #[test]
    fn other_tenants_concern_only_those_who_are_or_were_told_apart() {
        let network = |tun: u16, access: Access| {
            let mut tenant = crate::wanted::tests::placed(Vec::new()).tenant;
            (tenant.tun, tenant.access) = (TunId(tun), access);
            tenant
        };
        let policy = Policy { rules: Vec::new(), default: Verdict::Deny };
        let alice = Who { users: ["alice".to_owned()].into(), ..Who::default() };
        let named = Named::by([&alice]);
        let wanted = [("acme".to_owned(), named.class("alice", None))];
        let classes = Classes::of(wanted.into()).unwrap();
        let telling = || Access::new(&policy, named.clone(), "acme", &classes);
        let mut roll = Roll::new(&[network(0, telling()), network(1, Access::open())]);
        let entry = |tun: u16, source: &str| Entry {
            tun: TunId(tun),
            sources: vec![source.parse().unwrap()],
            mtu: 1400,
        };
        roll.sessions.insert(Key::from_raw(1), entry(0, "10.64.0.2/32"));
        roll.sessions.insert(Key::from_raw(2), entry(1, "10.65.0.2/32"));
        let user_of = |_: Key| Some(("alice", None));

        let entered = roll.renew(&[network(0, telling()), network(1, Access::open())], user_of);
        let [Entered { tun, sources }] = &entered[..] else { panic!("{entered:?}") };
        assert!(*tun == TunId(0) && sources[0].1.is_some(), "{entered:?}");
        let entered =
            roll.renew(&[network(0, Access::open()), network(1, Access::open())], user_of);
        assert!(matches!(&entered[..], [one] if one.sources[0].1.is_none()), "{entered:?}");
        assert_eq!(roll.renew(&[network(0, Access::open())], user_of), []);
    }
}
