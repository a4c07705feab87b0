//! The policies of all tenants as the driver is to have them.

use std::collections::BTreeSet;

use ipnet::IpNet;
use isthmus_driver::Access;
use isthmus_policy::{Class, Classes, Named, Verdict, Who};

use crate::config::{Config, Egress, Tenant, cloud_metadata};

/// For each tenant what its users may reach.
pub(crate) fn accesses(config: &Config) -> Vec<Access> {
    // That there are not too many was checked when the configuration was read.
    let classes = classes(config).unwrap_or_default();
    config.tenants.iter().map(|tenant| access(config, tenant, &classes)).collect()
}

fn access(config: &Config, tenant: &Tenant, classes: &Classes) -> Access {
    let written = &tenant.access;
    let device = |name: &String| {
        let other = config.tenants.iter().find(|other| other.name == *name);
        other.map(|other| other.interface.clone())
    };
    let mut access = Access::new(&written.policy, named(tenant), &tenant.name, classes);
    if !written.cloud_metadata {
        access.forbidden = cloud_metadata().map(IpNet::from).collect();
    }
    access.reaches = written.reaches.iter().filter_map(device).collect();
    access.inbound = written.inbound == Verdict::Allow;
    access
}

/// Whom the rules and the egresses of a tenant tell apart.
pub(crate) fn named(tenant: &Tenant) -> Named {
    let rules = tenant.access.policy.rules.iter().map(|rule| rule.who.clone());
    let whos: Vec<_> = rules.chain(tenant.egress.iter().filter_map(who)).collect();
    Named::by(&whos)
}

/// The number of a user's class; none where users need not be told apart, and for a user of whom the
/// configuration knows nothing.
pub(crate) fn class_of(
    config: &Config,
    tenant: &Tenant,
    user: &str,
    group: Option<&str>,
) -> Option<u16> {
    classes(config).ok()?.number(&tenant.name, &named(tenant).class(user, group))
}

/// Whom an egress is for; none when it is for everybody.
pub(crate) fn who(egress: &Egress) -> Option<Who> {
    let who = Who { users: egress.users.clone(), groups: egress.groups.clone() };
    (!who.is_everybody()).then_some(who)
}

/// The classes of all users, with their numbers.
///
/// # Errors
/// How many there are, when that is too many.
pub(crate) fn classes(config: &Config) -> Result<Classes, usize> {
    let of_tenant = |tenant: &Tenant| -> Vec<(String, Class)> {
        let named = named(tenant);
        if named.is_nobody() {
            return Vec::new();
        }
        let users =
            tenant.users.iter().map(|(name, user)| named.class(name, user.group.as_deref()));
        users.map(|class| (tenant.name.clone(), class)).collect()
    };
    let all: BTreeSet<_> = config.tenants.iter().flat_map(of_tenant).collect();
    Classes::of(all)
}
