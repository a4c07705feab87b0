//! Ways out into other network namespaces: `netns` and `link` of `via`.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_driver::{Passage, Translation};

use super::check::default_interface;
use super::section::{At, Section};
use super::tenant::TenantDraft;
use super::types::{Egress, Way, all_pools, all_pools6};
use super::value::{self, INTERFACE_BYTES_MAX};
use crate::report::{Report, Span};

/// `netns` and `link` as written.
pub(crate) struct Written {
    netns: Option<String>,
    link: Option<Ipv4Net>,
    link6: Option<Ipv6Net>,
}

impl Written {
    /// The way of a tenant called so. Which of its passages it is is not known yet.
    pub(crate) fn passage(self, interface: Option<String>, tenant: &str) -> Passage {
        let Self { netns: into, link, link6 } = self;
        let usual = || {
            let mut name = format!("isv-{tenant}");
            name.truncate(INTERFACE_BYTES_MAX);
            name
        };
        Passage { into, interface: interface.unwrap_or_else(usual), link, link6, number: 0 }
    }
}

/// Takes the keys; `gateway` is where there is a next hop as well.
pub(crate) fn take(
    section: &mut Section,
    gateway: Option<Span>,
    report: &mut Report,
) -> Option<Written> {
    let netns = section.take("netns", report, value::name);
    let written = section.take("link", report, value::one_or_more(value::any_network));
    let Some(netns) = netns else {
        if let Some(written) = written {
            let remedy = "remove `link`, or say where it leads with `netns`";
            report.error(written.span, "there are addresses and no link for them", remedy);
        }
        return None;
    };
    if let Some(gateway) = gateway {
        let remedy = "remove `gateway`";
        report.error(gateway, "the next hop is the other end of the link", remedy);
    }
    let (mut link, mut link6) = (None, None);
    for at in written.iter().flat_map(|written| &written.value) {
        let again = match at.value {
            IpNet::V4(net) => link.replace(net).is_some(),
            IpNet::V6(net) => link6.replace(net).is_some(),
        };
        if again {
            let message = "the link has a network of this IP version already";
            report.error(at.span, message, "write one of each");
        }
        if at.value.prefix_len() == at.value.max_prefix_len() {
            let remedy = "write a /31 of IPv4 or a /127 of IPv6";
            report.error(at.span, format!("{} has no room for two", at.value), remedy);
        }
    }
    let netns = Some(netns.value).filter(|name| name != HOST);
    Some(Written { netns, link, link6 })
}

/// Reports passages that lead nowhere else, devices with one name, and addresses beyond that two tenants have.
pub(crate) fn check(drafts: &[TenantDraft], report: &mut Report) {
    let devices = drafts.iter().map(|draft| {
        let usual = || default_interface(&draft.name.value);
        let name = draft.interface.as_ref().map_or_else(usual, |at| at.value.clone());
        (draft.netns.as_deref(), name, &draft.name)
    });
    let mut taken: Vec<_> = devices.collect();
    let mut known: Vec<(Option<&str>, IpNet, &At<String>)> = drafts
        .iter()
        .flat_map(|draft| {
            pools(draft).into_iter().map(|net| (draft.netns.as_deref(), net, &draft.name))
        })
        .collect();
    for (draft, egress, passage) in drafts.iter().flat_map(passages) {
        let (here, there) = (draft.netns.as_deref(), passage.into.as_deref());
        let at = draft.name.span;
        if here == there {
            let message = format!("the way out `{}` leads to where the tenant is", egress.name);
            report.error(at, message, "name another namespace in `netns`");
            continue;
        }
        for place in [here, there] {
            let same =
                |(other, name, _): &&(_, String, _)| *other == place && *name == passage.interface;
            if let Some((_, name, other)) = taken.iter().find(same) {
                let message = format!("the device `{name}` of `{}` is there twice", egress.name);
                let remedy = format!(
                    "set `interface` in `via` to another name; the other is of the tenant at {}",
                    report.place(other.span)
                );
                report.error(at, message, remedy);
                break;
            }
        }
        taken.extend([here, there].map(|place| (place, passage.interface.clone(), &draft.name)));
        meets(draft, egress, there, &known, report);
        known.extend(shown(draft, egress).into_iter().map(|net| (there, net, &draft.name)));
    }
}

/// Whether addresses of clients are those of somebody else in the namespace beyond.
fn meets(
    draft: &TenantDraft,
    egress: &Egress,
    there: Option<&str>,
    known: &[(Option<&str>, IpNet, &At<String>)],
    report: &mut Report,
) {
    for net in shown(draft, egress) {
        let other = known.iter().find(|(place, other, tenant)| {
            let meets = other.contains(&net) || net.contains(other);
            *place == there && tenant.value != draft.name.value && meets
        });
        if let Some((_, same, tenant)) = other {
            let message = format!(
                "{net} of `{}` meets {same} of `{}` in namespace {}",
                draft.name.value,
                tenant.value,
                there.unwrap_or(HOST)
            );
            let remedy = "write nat = \"masquerade\" in one of the ways out there";
            report.error(draft.name.span, message, remedy);
        }
    }
}

fn passages(draft: &TenantDraft) -> impl Iterator<Item = (&TenantDraft, &Egress, &Passage)> {
    draft.egress.iter().filter_map(move |egress| match &egress.way {
        Way::Passage(passage) => Some((draft, egress, passage)),
        Way::Deny | Way::Gateway { .. } | Way::Interface(_) | Way::Main(_) => None,
    })
}

fn pools(draft: &TenantDraft) -> Vec<IpNet> {
    let own: Vec<Ipv4Net> = draft.pool.iter().map(|at| at.value).collect();
    let own6: Vec<Ipv6Net> = draft.pool6.iter().map(|at| at.value).collect();
    let groups: Vec<_> = draft.groups.iter().map(|draft| draft.group.clone()).collect();
    let v4 = all_pools(&own, &groups).into_iter().map(IpNet::V4);
    v4.chain(all_pools6(&own6, &groups).into_iter().map(IpNet::V6)).collect()
}

/// Networks whose addresses stay what they are on their way out.
fn shown(draft: &TenantDraft, egress: &Egress) -> Vec<IpNet> {
    let kept = |net: &IpNet| {
        let is_ipv4 = net.addr().is_ipv4();
        let version = |other: &IpNet| other.addr().is_ipv4() == is_ipv4;
        let to = if is_ipv4 { egress.nat } else { egress.nat6 };
        let except = egress.nat_except.iter().any(version);
        egress.to.iter().any(version) && (to == Translation::Keep || except)
    };
    pools(draft).into_iter().filter(kept).collect()
}

/// What the gateway's own namespace is called.
const HOST: &str = "host";
