//! What tenants' users may reach, as the kernel's packet filter is to know it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_kernel::{Entries, Filter, Guard, List, Ports, Verdict};
use isthmus_policy::{Class, Classes, Compiled, Named, Policy, Who, compile};

use crate::network::TenantNetwork;

/// What a tenant's users may reach.
#[derive(Clone, Debug)]
pub struct Access {
    /// The rules as a filter has them, with the names of the rules that each entry is made of.
    compiled: Compiled,
    names: Vec<String>,
    /// Whom the rules tell apart.
    named: Named,
    /// Each class of users with its number; none where users need not be told apart.
    classes: BTreeMap<Class, u16>,
    /// Networks out of reach whatever the rules say.
    pub forbidden: Vec<IpNet>,
    /// Devices of other tenants that may be reached.
    pub reaches: Vec<String>,
    /// Whether connections to users may be opened from outside.
    pub inbound: bool,
}

impl Access {
    /// By the rules of a tenant; `named` is whom its rules tell apart.
    pub fn new(policy: &Policy, named: Named, tenant: &str, classes: &Classes) -> Self {
        let compiled = compile(policy);
        let name = |index: &usize| policy.rules.get(*index).map(|rule| &*rule.name);
        let told = compiled.entries.iter().map(|entries| {
            entries.rules.iter().filter_map(name).take(NAMES_MAX).collect::<Vec<_>>().join(", ")
        });
        Self {
            names: told.collect(),
            compiled,
            named,
            classes: classes.of_tenant(tenant).map(|(class, n)| (class.clone(), n)).collect(),
            forbidden: Vec::new(),
            reaches: Vec::new(),
            inbound: true,
        }
    }

    /// Everything may be reached.
    pub fn open() -> Self {
        let policy = Policy { rules: Vec::new(), default: isthmus_policy::Verdict::Allow };
        Self::new(&policy, Named::default(), "", &Classes::default())
    }

    /// The numbers of the classes of those whom `who` means.
    pub fn classes_of(&self, who: &Who) -> impl Iterator<Item = u16> {
        let meant = self.classes.iter().filter(|(class, _)| class.is_meant(who));
        meant.map(|(_, number)| *number)
    }

    /// The number of a user's class; none where users need not be told apart, and for a user of whom the
    /// configuration knows nothing.
    pub(crate) fn class(&self, user: &str, group: Option<&str>) -> Option<u16> {
        self.classes.get(&self.named.class(user, group)).copied()
    }

    /// Whether users are told apart.
    pub(crate) fn has_classes(&self) -> bool {
        !self.classes.is_empty()
    }
}

/// Adds the guard of a tenant's device.
pub(crate) fn guard(filter: &mut Filter, tenant: &TenantNetwork, device: &str) {
    let access = &tenant.access;
    let first = filter.entries.len();
    let compiled = &access.compiled;
    filter.entries.extend(compiled.entries.iter().zip(&access.names).map(|(entries, name)| {
        Entries {
            name: name.clone(),
            verdict: verdict(entries.verdict),
            from: entries.from.clone(),
            nets: entries.nets.clone(),
            ports: entries.ports.iter().map(ports).collect(),
        }
    }));
    let list = |class: Option<(&Class, u16)>| List {
        class: class.map(|(_, number)| number),
        entries: (first..)
            .zip(&compiled.entries)
            .filter(|(_, entries)| class.is_none_or(|(class, _)| class.is_meant(&entries.who)))
            .map(|(index, _)| index)
            .collect(),
        default: verdict(compiled.default),
    };
    let lists = if !access.classes.is_empty() {
        access.classes.iter().map(|(class, number)| list(Some((class, *number)))).collect()
    } else if compiled.entries.is_empty() && compiled.default == isthmus_policy::Verdict::Allow {
        Vec::new()
    } else {
        vec![list(None)]
    };
    let own = [Some(IpAddr::V4(tenant.gateway_address)), tenant.gateway_address6.map(IpAddr::V6)];
    filter.guards.push(Guard {
        device: device.to_owned(),
        own: own.into_iter().flatten().collect(),
        forbidden: access.forbidden.clone(),
        reaches: access.reaches.clone(),
        inbound: if access.inbound { Verdict::Allow } else { Verdict::Deny },
        lists,
    });
}

fn ports(port: &isthmus_policy::Port) -> Ports {
    Ports { to: port.to, protocol: port.protocol, ports: port.ports.clone() }
}

fn verdict(verdict: isthmus_policy::Verdict) -> Verdict {
    match verdict {
        isthmus_policy::Verdict::Allow => Verdict::Allow,
        isthmus_policy::Verdict::Deny => Verdict::Deny,
    }
}

/// Names of rules that the name of an entry is made of; more only fill a line.
const NAMES_MAX: usize = 3;
