//! What `isthmus plan` shows: each change of kernel state, and what in the configuration asks for it.

use isthmus_driver::{NetworkError, Planned, Translation};
use isthmus_findings::Finding;
use isthmus_kernel::{Change, Entry, Firewall, Found, Standing};
use isthmus_net::Namespace;
use serde::Serialize;

use crate::api::Status;
use crate::config::{Config, Egress, Tenant};
use crate::origin::Origins;
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
    let name = wishes.name.clone();
    let planned = isthmus_driver::plan(wishes.clone()).await?;
    let of = |planned: &Planned| {
        let namespace = planned.namespace.as_ref().map(Namespace::name);
        steps(config, &Origins::of(config, &wishes, namespace), planned)
    };
    let steps = planned.iter().flat_map(of).collect();
    let missing: Vec<_> = planned.iter().filter(|planned| planned.is_missing).collect();
    let missing = missing.iter().filter_map(|planned| planned.namespace.as_ref());
    let mut findings: Vec<_> =
        missing.map(|namespace| findings::missing(config, namespace.name())).collect();
    let around = planned.into_iter().map(|planned| (planned.namespace, planned.around)).collect();
    findings.extend(findings::find(config, &around));
    Ok(Plan { gateway: name, steps, findings })
}

fn steps(config: &Config, origins: &Origins<'_>, planned: &Planned) -> Vec<Step> {
    let namespace = planned.namespace.as_ref().map(|namespace| namespace.name().to_owned());
    let step = |change: &Change| {
        if let Change::SetFirewall(_) | Change::RemoveFirewall = change
            && !planned.firewall.is_empty()
        {
            let entry = |found: &Found<Entry>| entry(origins, namespace.clone(), found);
            return planned.firewall.iter().map(entry).collect();
        }
        let (action, what) = action(change);
        let why = why(config, origins, change);
        vec![Step { namespace: namespace.clone(), action, what, why }]
    };
    let made = planned.makes_namespace.then(|| Step {
        namespace: namespace.clone(),
        action: Action::Add,
        what: String::from("the namespace itself"),
        why: String::from("`netns` names it, and there is none"),
    });
    made.into_iter().chain(planned.changes.iter().flat_map(step)).collect()
}

/// What becomes of one thing in our nftables table.
fn entry(origins: &Origins<'_>, namespace: Option<String>, found: &Found<Entry>) -> Step {
    let asked = origins.entry(&found.what).why;
    let told = found.differs.join(", ");
    let (action, what, why) = match found.standing {
        Standing::AsWanted | Standing::Altered => {
            (Action::Change, format!("{}: {told}", found.what), asked)
        }
        Standing::Foreign => {
            (Action::Remove, found.what.to_string(), String::from("somebody else put it there"))
        }
        Standing::Missing if told.is_empty() => (Action::Add, found.what.to_string(), asked),
        Standing::Missing => (Action::Add, found.what.to_string(), format!("{asked}; {told}")),
        Standing::Unwanted => {
            (Action::Remove, found.what.to_string(), String::from("nothing asks for it any more"))
        }
    };
    Step { namespace, action, what, why }
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
        // Where things differ they are told one by one.
        Change::SetFirewall(_) => {
            (Action::Change, String::from("the order of packet filter and address translation"))
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
fn why(config: &Config, origins: &Origins<'_>, change: &Change) -> String {
    let tenant = |device: &str, what: &str| {
        origins
            .device(device)
            .map_or_else(String::new, |tenant| format!("{what} tenant {}", tenant.name))
    };
    let passage = |device: &str| origins.passage(device).map(|origin| origin.why);
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
            origins.route(route).why
        }
        Change::AddRule(rule) => origins.rule(rule).why,
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
