//! What `isthmus plan` shows: each change of kernel state, and what in the configuration asks for it.

use std::collections::BTreeMap;

use ipnet::IpNet;
use isthmus_driver::{
    CONDITIONS_MAX, FIRST_PROBE_TABLE, FIRST_TABLE, NetworkError, PREFERENCE_FIRST, Planned,
    Translation, Wishes,
};
use isthmus_findings::Finding;
use isthmus_kernel::{Change, Firewall, MAIN_TABLE, NextHop, Route};
use serde::Serialize;

use crate::api::Status;
use crate::config::{Config, Egress, Tenant, Way};
use crate::{findings, run};

/// All changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The gateway's name.
    pub gateway: String,
    /// The changes, namespace by namespace, in the order they would be made.
    pub steps: Vec<Step>,
    /// What cannot work, whatever is changed, the worst first.
    pub findings: Vec<Finding>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The network namespace; none for the gateway's own.
    pub namespace: Option<String>,
    /// What is done.
    pub action: Action,
    /// To what.
    pub what: String,
    /// What asks for it.
    pub why: String,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Something comes.
    Add,
    /// Something becomes another.
    Change,
    /// Something goes.
    Remove,
}

impl Plan {
    /// How many steps there are of a kind.
    pub fn count(&self, action: Action) -> usize {
        self.steps.iter().filter(|step| step.action == action).count()
    }
}

/// Compares the configuration with the kernel; `status` is that of the gateway that runs, if one does: tenants
/// keep their numbers, and ways out that are down are not missed.
///
/// # Errors
/// When the kernel cannot be read, with what to do about it.
pub async fn plan(config: &Config, status: Option<&Status>) -> Result<Plan, NetworkError> {
    let wishes = run::kernel_wishes(config, status);
    let numbers = Tenants::of(config, &wishes);
    let name = wishes.name.clone();
    let planned = isthmus_driver::plan(wishes).await?;
    let steps = planned.iter().flat_map(|planned| steps(config, &numbers, planned)).collect();
    let missing: Vec<_> = planned.iter().filter(|planned| planned.is_missing).collect();
    let missing = missing.iter().filter_map(|planned| planned.namespace.as_ref());
    let mut findings: Vec<_> =
        missing.map(|namespace| findings::missing(config, namespace.name())).collect();
    let around = planned.into_iter().map(|planned| (planned.namespace, planned.around)).collect();
    findings.extend(findings::find(config, &around));
    Ok(Plan { gateway: name, steps, findings })
}

/// Tenants by their numbers, which their routing tables have.
struct Tenants<'a>(BTreeMap<u16, &'a Tenant>);

impl<'a> Tenants<'a> {
    fn of(config: &'a Config, wishes: &Wishes) -> Self {
        let numbers = wishes.tenants.iter().map(|(network, ..)| network.tun.0);
        Self(numbers.zip(&config.tenants).collect())
    }
}

fn steps(config: &Config, tenants: &Tenants<'_>, planned: &Planned) -> Vec<Step> {
    let namespace = planned.namespace.as_ref().map(|namespace| namespace.name().to_owned());
    let step = |change: &Change| {
        let (action, what) = action(change);
        Step { namespace: namespace.clone(), action, what, why: why(config, tenants, change) }
    };
    let made = planned.makes_namespace.then(|| Step {
        namespace: namespace.clone(),
        action: Action::Add,
        what: String::from("the namespace itself"),
        why: String::from("`netns` names it, and there is none"),
    });
    made.into_iter().chain(planned.changes.iter().map(step)).collect()
}

fn action(change: &Change) -> (Action, String) {
    match change {
        Change::AddAddress(address) => (Action::Add, address.to_string()),
        Change::AddRoute(route) => (Action::Add, route.to_string()),
        Change::AddRule(rule) => (Action::Add, rule.to_string()),
        Change::AddVeth(veth) => (Action::Add, veth.to_string()),
        Change::RemoveAddress(address) => (Action::Remove, address.to_string()),
        Change::RemoveFirewall => {
            (Action::Remove, String::from("packet filter and address translation"))
        }
        Change::RemoveRoute(route) => (Action::Remove, route.to_string()),
        Change::RemoveRule(rule) => (Action::Remove, rule.to_string()),
        Change::RemoveVeth(name) => (Action::Remove, format!("device {name} and its other end")),
        // Devices are made by the gateway alone, and are up from their first moment.
        Change::AddLink(link) => (Action::Add, format!("device {}", link.name)),
        Change::SetFirewall(firewall) => {
            let nat = firewall.nat.iter().map(ToString::to_string);
            let guards = firewall.filter.guards.iter().map(ToString::to_string);
            let redirects = firewall.redirects.iter().map(ToString::to_string);
            let each: Vec<_> = nat.chain(redirects).chain(guards).collect();
            (Action::Change, format!("packet filter and address translation: {}", each.join("; ")))
        }
        Change::SetMembers { remove, add } => {
            let (fewer, more) = (remove.len(), add.len());
            (Action::Change, format!("members of classes: {fewer} go, {more} come"))
        }
        Change::ReplaceRoute { .. }
        | Change::RestoreLink(_)
        | Change::RestoreSysctl { .. }
        | Change::SetLink(_)
        | Change::SetSysctl { .. } => (Action::Change, change.to_string()),
    }
}

/// What in the configuration asks for a change.
fn why(config: &Config, tenants: &Tenants<'_>, change: &Change) -> String {
    let of_device = |device: &str| config.tenants.iter().find(|tenant| tenant.interface == device);
    let tenant = |device: &str, what: &str| {
        of_device(device)
            .map_or_else(String::new, |tenant| format!("{what} tenant {}", tenant.name))
    };
    let passage = |device: &str| passage(config, device);
    match change {
        Change::AddVeth(veth) => passage(&veth.name).unwrap_or_default(),
        Change::AddAddress(address) if passage(&address.link).is_some() => {
            passage(&address.link).unwrap_or_default()
        }
        Change::AddLink(link) | Change::SetLink(link) => {
            passage(&link.name).unwrap_or_else(|| tenant(&link.name, "packets of"))
        }
        Change::AddAddress(address) => tenant(&address.link, "the gateway's own address in"),
        Change::AddRoute(route) | Change::ReplaceRoute { to: route, .. } => {
            why_route(config, tenants, route)
        }
        Change::AddRule(rule) if rule.input.as_deref() == Some("lo") => {
            String::from("the way of probes, `health` of an egress")
        }
        Change::AddRule(rule) => {
            let device = rule.input.as_deref().unwrap_or_default();
            tenant(device, "ways out of")
        }
        Change::SetFirewall(firewall) => why_firewall(config, firewall),
        Change::SetMembers { .. } => String::from("the sessions there are"),
        Change::SetSysctl { key, .. } if key.ends_with("/rp_filter") => {
            String::from("answers come by an egress that the machine's own routes do not name")
        }
        Change::SetSysctl { .. } => String::from("packets of tenants are forwarded"),
        Change::RemoveAddress(_)
        | Change::RemoveFirewall
        | Change::RemoveRoute(_)
        | Change::RemoveRule(_)
        | Change::RemoveVeth(_)
        | Change::RestoreLink(_)
        | Change::RestoreSysctl { .. } => String::from("nothing asks for it any more"),
    }
}

/// Which way into another namespace the device is of.
fn passage(config: &Config, device: &str) -> Option<String> {
    let leads = |egress: &&Egress| match &egress.way {
        Way::Passage(passage) => passage.interface == device,
        Way::Deny | Way::Gateway { .. } | Way::Interface(_) | Way::Main(_) => false,
    };
    config.tenants.iter().find_map(|tenant| {
        let egress = tenant.egress.iter().find(leads)?;
        Some(format!("egress {} of tenant {}", egress.name, tenant.name))
    })
}

/// Whose filter it is, and whose translation.
fn why_firewall(config: &Config, firewall: &Firewall) -> String {
    let guards = |tenant: &Tenant| {
        firewall.filter.guards.iter().any(|guard| guard.device == tenant.interface)
    };
    let keeps = |egress: &Egress| {
        egress.nat == Translation::Keep && egress.nat6 == Translation::Keep && !egress.mss_clamp
    };
    let translates = |tenant: &Tenant| !tenant.nat.is_empty() || !tenant.egress.iter().all(keeps);
    let named = |what: &str, who: &dyn Fn(&Tenant) -> bool| {
        let names = config.tenants.iter().filter(|tenant| who(tenant)).map(|tenant| &*tenant.name);
        let names: Vec<_> = names.collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let parts = [
        named("what may be reached by users of", &guards),
        named("egress with `nat` of", &|tenant| guards(tenant) && translates(tenant)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn why_route(config: &Config, tenants: &Tenants<'_>, route: &Route) -> String {
    let of_device = |device: &str| config.tenants.iter().find(|tenant| tenant.interface == device);
    let is_in_pool = |tenant: &&Tenant| match route.destination {
        IpNet::V4(net) => tenant.all_pools().contains(&net),
        IpNet::V6(net) => tenant.all_pools6().contains(&net),
    };
    if route.table == MAIN_TABLE {
        if route.next == NextHop::Blackhole {
            return String::from(
                "keeps packets to clients from going in circles without the device",
            );
        }
        if let NextHop::Gateway { link: Some(device), .. } = &route.next {
            let back = |why| format!("the way back from {why}");
            return passage(config, device).map(back).unwrap_or_default();
        }
        let NextHop::Link(device) = &route.next else { return String::new() };
        let Some(tenant) = of_device(device) else { return String::new() };
        let what = if is_in_pool(&tenant) { "the pool of" } else { "a network behind a user of" };
        return format!("{what} tenant {}", tenant.name);
    }
    if route.table >= FIRST_PROBE_TABLE {
        return String::from("the way of probes, `health` of an egress");
    }
    let Some(table) = route.table.checked_sub(FIRST_TABLE) else { return String::new() };
    let number = u16::try_from(table / CONDITIONS_MAX).ok();
    let tenant = number.and_then(|number| tenants.0.get(&number).copied());
    let Some(tenant) = tenant else { return String::new() };
    if matches!(&route.next, NextHop::Link(device) if *device == tenant.interface) {
        return format!("clients of tenant {} reach each other", tenant.name);
    }
    let preference = route.metric.and_then(|metric| metric.checked_sub(PREFERENCE_FIRST));
    let egress = preference.and_then(|n| tenant.egress.get(usize::try_from(n).ok()?));
    match egress {
        Some(egress) => format!("egress {} of tenant {}", egress.name, tenant.name),
        None => format!("nothing of tenant {} leaves by another way than its egress", tenant.name),
    }
}
