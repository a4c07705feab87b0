//! What cannot work: the configuration and what the machine has, turned into facts to look at.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_driver::{Around, NatKind, Surroundings, Translation};
use isthmus_findings::{
    Code, Egress as EgressFact, Facts, Finding, Fix, Hop, Machine, Map, Place, Pool, Route, Rule,
    Senders, Severity, Tenant as TenantFact, Underlay, Way as WayFact,
};
use isthmus_kernel::{OtherRoute, Rule as KernelRule, RuleAction};
use isthmus_net::Namespace;

use crate::config::{Config, Egress, Tenant, Way};

/// What is found in a configuration, on a machine where that is known.
pub(crate) fn find(config: &Config, around: &Surroundings) -> Vec<Finding> {
    isthmus_findings::find(&facts(config, around))
}

/// A namespace that ways out lead into and that is not there.
pub(crate) fn missing(config: &Config, namespace: &str) -> Finding {
    let leads = |egress: &Egress| match &egress.way {
        Way::Passage(passage) => passage.into.as_deref() == Some(namespace),
        Way::Deny | Way::Gateway { .. } | Way::Interface(_) | Way::Main(_) => false,
    };
    let tenant = config.tenants.iter().find(|tenant| tenant.egress.iter().any(leads));
    Finding {
        severity: Severity::Error,
        code: Code::EgressNamespaceMissing,
        namespace: Some(namespace.to_owned()),
        tenant: tenant.map(|tenant| tenant.name.clone()).unwrap_or_default(),
        what: format!("there is no network namespace {namespace}"),
        means: String::from("ways out into it are down"),
        fix: Fix {
            what: String::from("make it, with whatever is behind it"),
            toml: None,
            commands: vec![format!("ip netns add {namespace}")],
        },
    }
}

fn facts(config: &Config, around: &Surroundings) -> Facts {
    let mut places: BTreeMap<Option<&str>, Place> = BTreeMap::new();
    for tenant in &config.tenants {
        let place = places.entry(tenant.netns.as_deref()).or_default();
        place.tenants.push(tenant_fact(tenant));
    }
    for (name, place) in &mut places {
        place.namespace = name.map(str::to_owned);
        let here =
            |namespace: &&Option<Namespace>| namespace.as_ref().map(Namespace::name) == *name;
        place.machine = around.iter().find(|(at, _)| here(at)).map(|(_, around)| machine(around));
    }
    Facts { underlay: underlay(config), places: places.into_values().collect() }
}

fn underlay(config: &Config) -> Vec<Underlay> {
    let gateway = &config.gateway;
    let dialled = gateway.listen.iter().copied().chain(gateway.public_address);
    let own =
        dialled.filter(|address: &IpAddr| !address.is_unspecified()).map(|address| Underlay {
            net: IpNet::from(address),
            whose: String::from("this gateway"),
            is_dialled: true,
        });
    let lacs = config.lacs.iter().flat_map(|lac| {
        let whose = format!("the LAC {}", lac.name);
        let net = lac.address.iter();
        net.map(move |net| Underlay { net: *net, whose: whose.clone(), is_dialled: false })
    });
    own.chain(lacs).collect()
}

fn tenant_fact(tenant: &Tenant) -> TenantFact {
    let mut pools = vec![
        Pool { group: None, nets: tenant.pool.iter().copied().map(IpNet::V4).collect() },
        Pool { group: None, nets: tenant.pool6.iter().copied().map(IpNet::V6).collect() },
    ];
    let own: Vec<_> = pools.iter().flat_map(|pool| pool.nets.clone()).collect();
    for group in &tenant.groups {
        let v4 = group.pool.iter().copied().map(IpNet::V4).collect::<Vec<_>>();
        let v6 = group.pool6.iter().copied().map(IpNet::V6).collect::<Vec<_>>();
        for mut nets in [v4, v6] {
            // A part of the tenant's is looked at there.
            nets.retain(|net| !own.iter().any(|own| own.contains(net)));
            pools.push(Pool { group: Some(group.name.clone()), nets });
        }
    }
    pools.retain(|pool| !pool.nets.is_empty());
    let behind = tenant.users.iter().filter(|(_, user)| !user.networks.is_empty());
    let behind = behind.map(|(name, user)| {
        (name.to_owned(), user.networks.iter().copied().map(IpNet::V4).collect())
    });
    TenantFact {
        name: tenant.name.clone(),
        device: tenant.interface.clone(),
        pools,
        behind: behind.collect(),
        pushed: tenant.advice.routes.iter().copied().map(IpNet::V4).collect(),
        egresses: tenant.egress.iter().map(egress_fact).collect(),
        maps: tenant
            .nat
            .iter()
            .filter_map(|nat| match nat.kind {
                NatKind::Map { inside, outside } => {
                    Some(Map { inside, outside, by: nat.by.clone() })
                }
                NatKind::Forward { .. } | NatKind::OneToOne { .. } => None,
            })
            .collect(),
    }
}

fn egress_fact(egress: &Egress) -> EgressFact {
    let Egress { from, mark, groups, users, .. } = egress;
    let way = match &egress.way {
        Way::Deny => WayFact::Deny,
        Way::Gateway { interface, gateway, gateway6 } => WayFact::Gateway {
            link: interface.clone(),
            hops: gateway.map(IpAddr::V4).into_iter().chain(gateway6.map(IpAddr::V6)).collect(),
        },
        Way::Interface(interface) => WayFact::Link(interface.clone()),
        Way::Main(interface) => WayFact::Main(interface.clone()),
        Way::Passage(passage) => WayFact::Link(passage.interface.clone()),
    };
    EgressFact {
        name: egress.name.clone(),
        to: egress.to.iter().map(IpNet::trunc).collect(),
        condition: format!("{from:?} {mark:?} {groups:?} {users:?}"),
        senders: if mark.is_some() || !groups.is_empty() || !users.is_empty() {
            Senders::Marked
        } else if from.is_empty() {
            Senders::All
        } else {
            Senders::Sources
        },
        way,
        translates: egress.nat != Translation::Keep,
        translates6: egress.nat6 != Translation::Keep,
    }
}

fn machine(around: &Around) -> Machine {
    let addresses = around.addresses.iter();
    Machine {
        addresses: addresses.map(|address| (address.link.clone(), address.address)).collect(),
        routes: around.routes.iter().map(route).collect(),
        rules: around.rules.iter().filter_map(|(one, routes)| rule(one, routes)).collect(),
        filters: around.filters.clone(),
    }
}

fn route(route: &OtherRoute) -> Route {
    let hops = route.hops.iter();
    Route {
        destination: route.destination,
        metric: route.metric,
        hops: hops.map(|hop| Hop { link: hop.link.clone(), gateway: hop.gateway }).collect(),
        connected: route.connected,
    }
}

/// A rule for packets that come in; those that name a link to leave by are for the machine's own.
fn rule(rule: &KernelRule, routes: &[OtherRoute]) -> Option<Rule> {
    let (RuleAction::Lookup(table) | RuleAction::LookupSpecific(table)) = rule.action else {
        return None;
    };
    rule.output.is_none().then(|| Rule {
        priority: rule.priority,
        from: rule.from,
        to: rule.to,
        input: rule.input.clone(),
        table,
        routes: routes.iter().map(route).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who finds a name in the output looks for it there.
    #[test]
    fn every_kind_of_finding_is_in_the_operators_page() {
        let page = include_str!("../../../docs/operate/findings.md");
        for code in Code::ALL {
            assert!(page.contains(&format!("| `{code}` |")), "{code}");
        }
    }
}
