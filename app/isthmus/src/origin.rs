//! What in the configuration asks for something in the kernel, and whose it is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_driver::{
    CONDITIONS_MAX, FIRST_PROBE_TABLE, FIRST_TABLE, NatKind, PREFERENCE_FIRST, PROBED_MAX, Wishes,
};
use isthmus_kernel::{Entry, MAIN_TABLE, Nat, NextHop, Redirect, Route, Rule, Translation};

use crate::config::{Config, Egress, Tenant, Way};

/// Knows tenants by what they have in one namespace.
pub(crate) struct Origins<'a> {
    tenants: Vec<&'a Tenant>,
    /// By their numbers, which their routing tables have.
    numbers: BTreeMap<u32, &'a Tenant>,
    /// Ways of any tenant into other namespaces, by device.
    passages: Vec<(&'a Tenant, &'a Egress, &'a str)>,
}

/// Who asks for something, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin<'a> {
    /// None where it is of several tenants, or nobody's any more.
    pub(crate) tenant: Option<&'a Tenant>,
    pub(crate) why: String,
}

impl<'a> Origins<'a> {
    /// Of the namespace of that name; none for the gateway's own.
    pub(crate) fn of(config: &'a Config, wishes: &Wishes, namespace: Option<&str>) -> Self {
        let numbers = wishes.tenants.iter().map(|(network, ..)| u32::from(network.tun.0));
        let passages = config.tenants.iter().flat_map(|tenant| {
            tenant.egress.iter().filter_map(move |egress| match &egress.way {
                Way::Passage(passage) => Some((tenant, egress, &*passage.interface)),
                Way::Deny | Way::Gateway { .. } | Way::Interface(_) | Way::Main(_) => None,
            })
        });
        let here = |tenant: &&Tenant| tenant.netns.as_deref() == namespace;
        Self {
            tenants: config.tenants.iter().filter(here).collect(),
            numbers: numbers.zip(&config.tenants).collect(),
            passages: passages.collect(),
        }
    }

    /// The tenant whose device it is, or one of its sessions'.
    pub(crate) fn device(&self, device: &str) -> Option<&'a Tenant> {
        self.tenants.iter().find(|tenant| has_device(tenant, device)).copied()
    }

    /// The tenants that are here.
    pub(crate) fn tenants(&self) -> &[&'a Tenant] {
        &self.tenants
    }

    /// Whose way into another namespace leads by this device.
    pub(crate) fn passage(&self, device: &str) -> Option<Origin<'a>> {
        let (tenant, egress, _) = self.passages.iter().find(|(.., name)| *name == device)?;
        Some(Origin::of(tenant, format!("egress {} of tenant {}", egress.name, tenant.name)))
    }

    /// Who asks for a route.
    pub(crate) fn route(&self, route: &Route) -> Origin<'a> {
        if route.table == MAIN_TABLE {
            return self.main_route(route);
        }
        if let Some(number) = route.table.checked_sub(FIRST_PROBE_TABLE + 1) {
            let why = String::from("the way of probes, `health` of an egress");
            return Origin { tenant: self.numbered(number, PROBED_MAX), why };
        }
        let number = route.table.checked_sub(FIRST_TABLE);
        let tenant = number.and_then(|number| self.numbered(number, CONDITIONS_MAX));
        let Some(tenant) = tenant else { return Origin::default() };
        if matches!(&route.next, NextHop::Link(device) if has_device(tenant, device)) {
            let why = format!("clients of tenant {} reach each other", tenant.name);
            return Origin::of(tenant, why);
        }
        let preference = route.metric.and_then(|metric| metric.checked_sub(PREFERENCE_FIRST));
        let egress = preference.and_then(|n| tenant.egress.get(usize::try_from(n).ok()?));
        let why = match egress {
            Some(egress) => format!("egress {} of tenant {}", egress.name, tenant.name),
            None => {
                format!("nothing of tenant {} leaves by another way than its egress", tenant.name)
            }
        };
        Origin::of(tenant, why)
    }

    fn main_route(&self, route: &Route) -> Origin<'a> {
        match &route.next {
            NextHop::Blackhole => {
                let why = "keeps packets to clients from going in circles without the device";
                Origin { tenant: self.inside(route.destination), why: why.to_owned() }
            }
            NextHop::Gateway { link: Some(device), .. } => {
                let origin = self.passage(device).unwrap_or_default();
                let why = format!("the way back from {}", origin.why);
                Origin { why: if origin.tenant.is_some() { why } else { String::new() }, ..origin }
            }
            NextHop::Link(device) => {
                let Some(tenant) = self.device(device) else { return Origin::default() };
                let pool = is_of_pool(tenant, route.destination);
                let what = if pool { "the pool of" } else { "a network behind a user of" };
                Origin::of(tenant, format!("{what} tenant {}", tenant.name))
            }
            NextHop::Altered
            | NextHop::Gateway { link: None, .. }
            | NextHop::Prohibit
            | NextHop::Unreachable => Origin::default(),
        }
    }

    /// Who asks for a rule.
    pub(crate) fn rule(&self, rule: &Rule) -> Origin<'a> {
        let device = rule.input.as_deref().unwrap_or_default();
        if device == "lo" {
            let why = String::from("the way of probes, `health` of an egress");
            let number = rule.mark.and_then(|(mark, _)| (mark >> PROBE_BITS).checked_sub(1));
            let tenant = number.and_then(|number| self.numbered(number, PROBED_MAX));
            return Origin { tenant, why };
        }
        let Some(tenant) = self.device(device) else { return Origin::default() };
        Origin::of(tenant, format!("ways out of tenant {}", tenant.name))
    }

    /// Who asks for something in our nftables table.
    pub(crate) fn entry(&self, entry: &Entry) -> Origin<'a> {
        let of = |device: &str, why: &dyn Fn(&Tenant) -> String| {
            self.device(device).map(|tenant| Origin::of(tenant, why(tenant))).unwrap_or_default()
        };
        match entry {
            Entry::Clamp(link) => self.clamp(link),
            Entry::Default { device, .. } => {
                of(device, &|tenant| format!("[tenant.policy] default of tenant {}", tenant.name))
            }
            Entry::Entries { device, entries, .. } => of(device, &|tenant| {
                format!("[[tenant.policy.rule]] {} of tenant {}", entries.name, tenant.name)
            }),
            Entry::Forbidden { device, .. } => of(device, &|tenant| {
                format!("cloud_metadata is not allowed to users of tenant {}", tenant.name)
            }),
            Entry::Frame { .. } => {
                let names: Vec<_> = self.tenants.iter().map(|tenant| &*tenant.name).collect();
                let why = format!("what may be reached by users of {}", names.join(", "));
                Origin { tenant: None, why }
            }
            Entry::Nat(nat) => self.nat(nat),
            Entry::Others { device, .. } => of(device, &|tenant| {
                format!("`reaches` of tenant {}: tenants do not reach each other", tenant.name)
            }),
            Entry::Redirect(redirect) => self.redirect(redirect),
            Entry::Strange { .. } => Origin::default(),
        }
    }

    fn clamp(&self, link: &str) -> Origin<'a> {
        let clamps = |egress: &&Egress| egress.mss_clamp && interface(egress) == Some(link);
        let found = self
            .tenants
            .iter()
            .find_map(|tenant| Some((*tenant, tenant.egress.iter().find(clamps)?)));
        found.map_or_else(Origin::default, |(tenant, egress)| {
            let why = format!("`mss_clamp` of egress {} of tenant {}", egress.name, tenant.name);
            Origin::of(tenant, why)
        })
    }

    fn nat(&self, nat: &Nat) -> Origin<'a> {
        let by_egress = |egress: &&Egress| {
            let narrow = nat.destination.is_none_or(|to| egress.to.contains(&to));
            interface(egress) == nat.egress.as_deref() && narrow
        };
        for tenant in self.tenants.iter().filter(|tenant| is_inside(tenant, nat.source)) {
            let one_to_one = tenant.nat.iter().any(|one| match one.kind {
                NatKind::OneToOne { inside, .. } => IpNet::from(inside) == nat.source,
                NatKind::Forward { .. } | NatKind::Map { .. } => false,
            });
            if one_to_one && matches!(nat.to, Translation::Address(_)) {
                let why = format!("[[tenant.nat]] one to one of tenant {}", tenant.name);
                return Origin::of(tenant, why);
            }
            if let Some(egress) = tenant.egress.iter().find(by_egress) {
                let why = format!("`nat` of egress {} of tenant {}", egress.name, tenant.name);
                return Origin::of(tenant, why);
            }
        }
        let device = nat.egress.as_deref().unwrap_or_default();
        let mapped = self.device(device).map(|tenant| {
            let why = format!("[[tenant.nat]] map of tenant {}, answers", tenant.name);
            Origin::of(tenant, why)
        });
        mapped.unwrap_or_else(|| self.by_egress(nat, &by_egress))
    }

    /// Sources of egresses may be other than those of users.
    fn by_egress(&self, nat: &Nat, by: &dyn Fn(&&Egress) -> bool) -> Origin<'a> {
        let found = self.tenants.iter().find_map(|tenant| {
            let meant = |egress: &&Egress| by(egress) && egress.from.contains(&nat.source);
            Some((*tenant, tenant.egress.iter().find(meant)?))
        });
        found.map_or_else(Origin::default, |(tenant, egress)| {
            Origin::of(tenant, format!("`nat` of egress {} of tenant {}", egress.name, tenant.name))
        })
    }

    fn redirect(&self, redirect: &Redirect) -> Origin<'a> {
        let outside = |address: IpAddr| IpNet::from(address) == redirect.destination;
        for tenant in &self.tenants {
            let kind = tenant.nat.iter().find_map(|nat| match nat.kind {
                NatKind::Forward { outside: address, .. } => outside(address).then_some("forward"),
                NatKind::Map { inside, .. } => (inside == redirect.destination
                    && redirect.input.as_ref() == Some(&tenant.interface))
                .then_some("map"),
                NatKind::OneToOne { outside: address, .. } => {
                    outside(address).then_some("one to one")
                }
            });
            if let Some(kind) = kind {
                let why = format!("[[tenant.nat]] {kind} of tenant {}", tenant.name);
                return Origin::of(tenant, why);
            }
        }
        Origin::default()
    }

    /// The tenant with such a network behind its device.
    pub(crate) fn inside(&self, net: IpNet) -> Option<&'a Tenant> {
        self.tenants.iter().find(|tenant| is_inside(tenant, net)).copied()
    }

    /// Whose one of so many numbers for each tenant is.
    fn numbered(&self, number: u32, each: u32) -> Option<&'a Tenant> {
        self.numbers.get(&(number / each)).copied()
    }
}

impl<'a> Origin<'a> {
    fn of(tenant: &'a Tenant, why: String) -> Self {
        Self { tenant: Some(tenant), why }
    }
}

/// The link packets leave by, where it is known.
fn interface(egress: &Egress) -> Option<&str> {
    match &egress.way {
        Way::Deny => None,
        Way::Gateway { interface, .. } => interface.as_deref(),
        Way::Interface(interface) | Way::Main(interface) => Some(interface),
        Way::Passage(passage) => Some(&passage.interface),
    }
}

/// Sessions may have devices to themselves, whose names begin with the tenant's.
fn has_device(tenant: &Tenant, device: &str) -> bool {
    let end = device.strip_prefix(tenant.interface.as_str());
    end.is_some_and(|end| end.is_empty() || end.starts_with('.'))
}

fn is_of_pool(tenant: &Tenant, net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => tenant.all_pools().contains(&net),
        IpNet::V6(net) => tenant.all_pools6().contains(&net),
    }
}

fn is_inside(tenant: &Tenant, net: IpNet) -> bool {
    let within = |outer: IpNet| outer.contains(&net);
    let pools = tenant.all_pools().into_iter().map(IpNet::V4);
    let pools6 = tenant.all_pools6().into_iter().map(IpNet::V6);
    let behind = tenant.users.iter().flat_map(|(_, user)| user.networks.iter());
    pools.chain(pools6).chain(behind.map(|net| IpNet::V4(*net))).any(within)
}

/// Where marks of probes have their numbers.
const PROBE_BITS: u32 = 16;
