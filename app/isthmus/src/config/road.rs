//! Which egress a packet takes by the configuration alone, when all of them are up.
//!
//! Egresses with the same condition share a routing table, in which the longest prefix decides and then
//! the order of the file. Conditions are tried in order, first for destinations that are more than
//! "everything". What the machine itself is part of is not known here.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use isthmus_policy::{Flow, Who};

use super::types::{Egress, Tenant};

/// The egress that a packet of the tenant's user takes; none where the machine's own routes decide, and
/// where it stays with the tenant.
pub(crate) fn egress_of<'a>(tenant: &'a Tenant, flow: &Flow<'_>) -> Option<&'a Egress> {
    let mapped = tenant.mapped(flow.destination);
    if let Some(by) = mapped.map(|to| to.by).filter(|by| !by.is_empty()) {
        return tenant.egress.iter().find(|egress| by.contains(&egress.name));
    }
    let flow = &Flow { destination: mapped.map_or(flow.destination, |to| to.address), ..*flow };
    if tenant.is_inside(flow.destination) {
        return None;
    }
    let conditions = conditions(tenant);
    let fitting =
        || conditions.iter().filter(|egresses| egresses.first().is_some_and(|e| fits(e, flow)));
    let specific = fitting().find_map(|egresses| {
        let known = egresses.iter().filter_map(|egress| {
            Some((longest(egress, flow.destination).filter(|len| *len > 0)?, *egress))
        });
        // The first of those with the longest prefix.
        known.min_by_key(|(len, _)| Reverse(*len)).map(|(_, egress)| egress)
    });
    let everything = |egress: &&&Egress| longest(egress, flow.destination).is_some();
    specific.or_else(|| fitting().find_map(|egresses| egresses.iter().find(everything).copied()))
}

/// Egresses of one condition, in the order in which the file first names each; those for everybody last.
fn conditions(tenant: &Tenant) -> Vec<Vec<&Egress>> {
    let mut conditions: Vec<Vec<&Egress>> = Vec::new();
    for egress in &tenant.egress {
        let same = |egresses: &&mut Vec<&Egress>| {
            egresses.first().is_some_and(|first| first.is_for_the_same(egress))
        };
        match conditions.iter_mut().find(same) {
            Some(egresses) => egresses.push(egress),
            None => conditions.push(vec![egress]),
        }
    }
    conditions
        .sort_by_key(|egresses| egresses.first().is_some_and(|first| first.is_for_everybody()));
    conditions
}

/// Whether a packet that nobody has marked meets the condition of an egress.
fn fits(egress: &Egress, flow: &Flow<'_>) -> bool {
    let who = Who { users: egress.users.clone(), groups: egress.groups.clone() };
    let from = egress.from.is_empty() || egress.from.iter().any(|net| net.contains(&flow.source));
    from && egress.mark.is_none() && who.means(flow.user, flow.group)
}

/// The longest prefix of an egress that a destination is in.
fn longest(egress: &Egress, to: IpAddr) -> Option<u8> {
    egress.to.iter().filter(|net| net.contains(&to)).map(IpNet::prefix_len).max()
}
