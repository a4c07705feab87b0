//! Reads and checks `[[tenant.group]]`: users who have something in common, and maybe a key.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::check::{EXPOSED_PSK_BYTES_ADVISED, warn_when_short};
use super::document::Node;
use super::read::distinct;
use super::section::{At, Section};
use super::tenant::{POOL6_BITS, SESSIONS_MAX, TenantDraft, required, sections};
use super::terms::{advice, limits};
use super::types::{Group, Ipsec};
use super::{keys, secret, value};
use crate::report::{Report, Span};
use crate::users::LocatedUser;

/// A group as written.
#[derive(Debug)]
pub(crate) struct GroupDraft {
    pub(crate) group: Group,
    /// Of its name.
    pub(crate) span: Span,
    /// Its networks of both versions, with their places.
    pools: Vec<At<IpNet>>,
}

/// Reads every `[[tenant.group]]` of a tenant.
pub(crate) fn groups(node: Node, report: &mut Report) -> Vec<GroupDraft> {
    sections(node, &keys::GROUP, report)
        .into_iter()
        .filter_map(|section| group(section, report))
        .collect()
}

fn group(mut section: Section, report: &mut Report) -> Option<GroupDraft> {
    let at = section.span();
    let name = section.take_optional("name", report, value::text);
    let name = required(name, "name", at, report);
    let psk = secret::take(&mut section, "psk", "psk_file", report);
    let pool = section.take("pool", report, value::list(value::network));
    let pool6 = section.take("pool6", report, value::list(value::network_v6(POOL6_BITS)));
    let advice = advice(&mut section, report);
    let sessions = section.take("sessions", report, value::number(1..=SESSIONS_MAX));
    let limits = limits(&mut section, "sessions_per_user", report);
    section.finish(report);
    let name = name?;
    if !(1..=GROUP_NAME_BYTES_MAX).contains(&name.value.len()) {
        let remedy = format!("write 1 to {GROUP_NAME_BYTES_MAX} bytes, as clients can type them");
        report.error(name.span, "the name of the group is empty or too long", remedy);
        return None;
    }
    let placed = |at: &At<Ipv4Net>| At { span: at.span, value: IpNet::V4(at.value) };
    let placed6 = |at: &At<Ipv6Net>| At { span: at.span, value: IpNet::V6(at.value) };
    let nets = pool.iter().flat_map(|list| list.value.iter().map(placed));
    let nets = nets.chain(pool6.iter().flat_map(|list| list.value.iter().map(placed6))).collect();
    let group = Group {
        name: name.value,
        psk: psk.map(|at| at.value),
        pool: pool.map(|list| distinct(&list, report)).unwrap_or_default(),
        pool6: pool6.map(|list| distinct(&list, report)).unwrap_or_default(),
        advice,
        sessions: sessions.map(|at| at.value),
        limits,
    };
    Some(GroupDraft { group, span: name.span, pools: nets })
}

/// Names of groups with keys lead to tenants, their keys are exposed to guessing, and no address is in two
/// pools of groups or tenants, except that a group may have a part of its tenant's.
pub(crate) fn check(drafts: &[TenantDraft], ipsec: &Ipsec, report: &mut Report) {
    if let (true, Some(second)) = (ipsec.aggressive, drafts.get(1)) {
        report.warning(
            second.name.span,
            "with several tenants, `aggressive = true` serves none: the name tells nothing",
            "write a `[[tenant.group]]` for each, and take `aggressive` out of [ipsec]",
        );
    }
    let mut taken: Vec<(usize, &GroupDraft)> = Vec::new();
    let all = drafts.iter().enumerate().flat_map(|(i, d)| d.groups.iter().map(move |g| (i, g)));
    for (tenant, draft) in all {
        let name = &draft.group.name;
        let same = |(index, other): &&(usize, &GroupDraft)| {
            let keys = other.group.psk.is_some() && draft.group.psk.is_some();
            other.group.name == *name && (*index == tenant || keys)
        };
        if let Some((_, other)) = taken.iter().find(same) {
            let remedy = format!("rename one; the other is at {}", report.place(other.span));
            report.error(draft.span, format!("the group `{name}` exists twice"), remedy);
        }
        taken.push((tenant, draft));
        if let Some(psk) = &draft.group.psk {
            warn_when_short(psk, Some(draft.span), EXPOSED_PSK_BYTES_ADVISED, report);
        }
    }
    pools_apart(drafts, report);
}

/// A network of a pool, and whose it is.
struct Pool<'a> {
    tenant: &'a TenantDraft,
    group: Option<&'a GroupDraft>,
    net: IpNet,
    span: Span,
}

fn pools_apart(drafts: &[TenantDraft], report: &mut Report) {
    let own = |tenant| move |net, span| Pool { tenant, group: None, net, span };
    let of_tenants = drafts.iter().flat_map(|draft| {
        let v4 = draft.pool.iter().map(|at| (IpNet::V4(at.value), at.span));
        let v6 = draft.pool6.iter().map(|at| (IpNet::V6(at.value), at.span));
        v4.chain(v6).map(move |(net, span)| own(draft)(net, span))
    });
    let mut all: Vec<Pool<'_>> = of_tenants.collect();
    for tenant in drafts {
        for group in &tenant.groups {
            for At { span, value: net } in &group.pools {
                let pool = Pool { tenant, group: Some(group), net: *net, span: *span };
                if let Some(other) = all.iter().find(|other| clash(&pool, other)) {
                    let whose = other.group.map_or(&other.tenant.name.value, |g| &g.group.name);
                    let message = format!("{net} overlaps {} of `{whose}`", other.net);
                    let place = report.place(other.span);
                    report.error(*span, message, format!("change one; the other is at {place}"));
                }
                all.push(pool);
            }
        }
    }
}

fn clash(pool: &Pool<'_>, other: &Pool<'_>) -> bool {
    let meet = pool.net.contains(&other.net) || other.net.contains(&pool.net);
    let part = other.group.is_none()
        && std::ptr::eq(pool.tenant, other.tenant)
        && other.net.contains(&pool.net);
    meet && !part && pool.tenant.netns == other.tenant.netns
}

/// A user's group must be there, where there are any.
pub(crate) fn known(user: &LocatedUser, groups: &[Group], report: &mut Report) {
    let Some(named) = &user.user.group else { return };
    if groups.is_empty() || groups.iter().any(|group| group.name == *named) {
        return;
    }
    let all: Vec<_> = groups.iter().map(|group| format!("`{}`", group.name)).collect();
    report.error(
        user.name.span,
        format!("`{}` is in the group `{named}`, which the tenant does not have", user.name.value),
        format!("write a [[tenant.group]] with this name, or name one of {}", all.join(", ")),
    );
}

/// Longest name of a group.
const GROUP_NAME_BYTES_MAX: usize = 128;
