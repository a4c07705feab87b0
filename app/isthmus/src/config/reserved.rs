//! Pools in networks that somebody else has: they work here and fail at the client's home or in a cloud.

use ipnet::IpNet;
use isthmus_findings::{Free, RESERVED, Reserved};

use super::tenant::TenantDraft;
use crate::report::Report;

/// Says which pools meet a network of somebody else's.
pub(super) fn check(tenants: &[TenantDraft], report: &mut Report) {
    let mut free = free(tenants);
    for pool in tenants.iter().flat_map(|tenant| &tenant.pool) {
        let meets = |reserved: &&Reserved| {
            let net = reserved.net();
            net.contains(&pool.value) || pool.value.contains(&net)
        };
        let Some(reserved) = RESERVED.iter().find(meets) else { continue };
        let message = format!("{} meets {}: {}", pool.value, reserved.net(), reserved.whose);
        let elsewhere = match free.instead_of("", IpNet::V4(pool.value)) {
            Some(free) => {
                format!("take a part of 10.0.0.0/8 that no network of yours has, such as {free}")
            }
            None => String::from("take a part of 10.0.0.0/8 that no network of yours has"),
        };
        match reserved.happens {
            None => report.error(pool.span, message, elsewhere),
            Some(happens) => report.warning(pool.span, message, format!("{happens}; {elsewhere}")),
        }
    }
}

/// Networks that nobody in the configuration has.
pub(super) fn free(tenants: &[TenantDraft]) -> Free {
    let taken = tenants.iter().flat_map(|tenant| {
        let pools = tenant.pool.iter().map(|at| IpNet::V4(at.value));
        let groups = tenant.groups.iter().flat_map(|group| &group.group.pool).copied();
        let routes = tenant.advice.routes.iter().copied();
        let egress = tenant.egress.iter().flat_map(|egress| &egress.to).copied();
        pools.chain(groups.map(IpNet::V4)).chain(routes.map(IpNet::V4)).chain(egress)
    });
    Free::beside_these(taken.filter(|net| net.prefix_len() > 0).collect())
}
