//! Checks that concern more than one key: keys that must differ, networks that must not overlap,
//! addresses that must lie inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_core::SecretBytes;

use super::choice;
use super::group;
use super::passage;
use super::policy;
use super::rates;
use super::reserved;
use super::section::At;
use super::tenant::TenantDraft;
use super::types::{AuthProtocol, Group, Ipsec, Tenant, all_pools, all_pools6};
use super::value::INTERFACE_BYTES_MAX;
use crate::report::{Report, Span};
use crate::users::{LocatedUser, UserSecret, merge, read_users_file};

/// Keys that are not a tenant's own.
pub(crate) struct SharedKeys<'a> {
    /// Of `[ipsec]`.
    pub(crate) file: Option<&'a At<SecretBytes>>,
    /// Of the environment; has precedence.
    pub(crate) environment: Option<&'a SecretBytes>,
    pub(crate) ipsec: &'a Ipsec,
}

/// Makes tenants of drafts; reports what does not fit together.
pub(crate) fn tenants(
    drafts: Vec<TenantDraft>,
    shared: &SharedKeys<'_>,
    auth: &[AuthProtocol],
    report: &mut Report,
) -> Vec<Tenant> {
    if let Some(extra) = drafts.get(TENANTS_MAX) {
        report.error(
            extra.name.span,
            format!("there are more than {TENANTS_MAX} tenants"),
            "serve the others from another gateway",
        );
    }
    distinct_names(&drafts, report);
    distinct_pools(&drafts, report);
    reserved::check(&drafts, report);
    distinct_pools6(&drafts, report);
    exclusions(&drafts, report);
    let psks = psks(&drafts, shared, report);
    choice::told_apart(&drafts, &psks, report);
    countable(&drafts, &psks, report);
    policy::check(&drafts, report);
    passage::check(&drafts, report);
    group::check(&drafts, shared.ipsec, report);
    let interfaces = interfaces(&drafts, report);
    drafts
        .into_iter()
        .zip(psks)
        .zip(interfaces)
        .filter_map(|((draft, psk), interface)| finish(draft, psk, interface, auth, report))
        .collect()
}

/// The addresses of a tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home<'a> {
    pub(crate) pool: &'a [Ipv4Net],
    pub(crate) gateway_address: Ipv4Addr,
    pub(crate) pool6: &'a [Ipv6Net],
    pub(crate) gateway_address6: Option<Ipv6Addr>,
    /// Realms that are taken off before a name is looked up.
    pub(crate) realms: &'a [String],
    /// Realms that names are looked up with, in this letter case.
    pub(crate) kept_realms: &'a [String],
    /// Those that users can be in; any when there are none.
    pub(crate) groups: &'a [Group],
}

/// Checks users of a tenant against its addresses and each other.
pub(crate) fn users(
    located: &[LocatedUser],
    home: Home<'_>,
    auth: &[AuthProtocol],
    report: &mut Report,
) {
    let Home { pool, gateway_address, .. } = home;
    for (index, found) in located.iter().enumerate() {
        let before = located.get(..index).unwrap_or_default();
        if let (Some(address), Some(at)) = (found.user.address, found.address) {
            check_address(address, at, before, pool, gateway_address, report);
        }
        if let (Some(prefix), Some(at)) = (found.user.address6, found.address6) {
            check_prefix(prefix, at, before, home, report);
        }
        if let Some(at) = found.networks {
            check_networks(found, at, before, pool, report);
        }
        let name = &found.name.value;
        if let Some((bare, end)) = name.rsplit_once('@')
            && home.realms.iter().any(|realm| realm.eq_ignore_ascii_case(end))
        {
            report.warning(
                found.name.span,
                format!(
                    "`{name}` cannot log in: the realm is taken off before the name is looked up"
                ),
                format!("call the user `{bare}`, or set `strip_realm = false` in the tenant"),
            );
        }
        warn_of_case(found, home.kept_realms, report);
        group::known(found, home.groups, report);
        let hashed = matches!(found.user.secret, UserSecret::NtHash(_));
        if hashed && auth.contains(&AuthProtocol::ChapMd5) {
            report.warning(
                found.name.span,
                format!("`{}` has only an NT hash and cannot log in by CHAP", found.name.value),
                "store `password`, or take \"chap\" out of `auth` in [ppp]",
            );
        }
    }
}

/// A client may write a realm in any letter case; names are looked up with that of the tenant.
fn warn_of_case(found: &LocatedUser, kept_realms: &[String], report: &mut Report) {
    let name = &found.name.value;
    let Some((bare, end)) = name.rsplit_once('@') else { return };
    let same = kept_realms.iter().find(|realm| realm.eq_ignore_ascii_case(end));
    if let Some(realm) = same.filter(|realm| *realm != end) {
        report.warning(
            found.name.span,
            format!("`{name}` cannot log in: the realm is written `{realm}` in the tenant"),
            format!("call the user `{bare}@{realm}`"),
        );
    }
}

fn check_address(
    address: Ipv4Addr,
    at: Span,
    before: &[LocatedUser],
    pool: &[Ipv4Net],
    gateway_address: Ipv4Addr,
    report: &mut Report,
) {
    let home = pool.iter().find(|net| net.contains(&address));
    if home.is_none() {
        let remedy = format!("choose one inside {}", join(pool));
        report.error(at, format!("{address} is not in the tenant's pool"), remedy);
    } else if home.is_some_and(|net| !usable(*net, address)) {
        let message = format!("{address} is the network or broadcast address of the pool");
        report.error(at, message, "choose another one");
    } else if address == gateway_address {
        report.error(at, format!("{address} is the gateway's own address"), "choose another one");
    }
    if let Some(other) = before.iter().find(|other| other.user.address == Some(address)) {
        let place = other.address.map(|at| report.place(at)).unwrap_or_default();
        let message = format!("{address} also belongs to `{}`", other.name.value);
        report.error(at, message, format!("give one of them another; the other is at {place}"));
    }
}

fn check_prefix(
    prefix: Ipv6Net,
    at: Span,
    before: &[LocatedUser],
    home: Home<'_>,
    report: &mut Report,
) {
    if home.pool6.is_empty() {
        report.error(at, "the tenant has no IPv6", "add `pool6` to the tenant, or remove this");
    } else if !home.pool6.iter().any(|net| net.contains(&prefix)) {
        let pool: Vec<_> = home.pool6.iter().map(ToString::to_string).collect();
        let remedy = format!("choose one inside {}", pool.join(", "));
        report.error(at, format!("{prefix} is not in the tenant's pool6"), remedy);
    } else if home.gateway_address6.is_some_and(|own| prefix.contains(&own)) {
        report.error(at, format!("the gateway's own address is in {prefix}"), "choose another one");
    }
    if let Some(other) = before.iter().find(|other| other.user.address6 == Some(prefix)) {
        let place = other.address6.map(|at| report.place(at)).unwrap_or_default();
        let message = format!("{prefix} also belongs to `{}`", other.name.value);
        report.error(at, message, format!("give one of them another; the other is at {place}"));
    }
}

fn check_networks(
    found: &LocatedUser,
    at: Span,
    before: &[LocatedUser],
    pool: &[Ipv4Net],
    report: &mut Report,
) {
    for net in &found.user.networks {
        if let Some(other) = pool.iter().find(|other| overlap(*net, **other)) {
            let message = format!("{net} overlaps the tenant's pool {other}");
            report.error(at, message, "a network behind a user must be elsewhere");
        }
        for other in before {
            if let Some(same) = other.user.networks.iter().find(|same| overlap(*net, **same)) {
                report.error(
                    at,
                    format!("{net} overlaps {same} of `{}`", other.name.value),
                    "a network can be behind one user only",
                );
            }
        }
    }
}

fn finish(
    draft: TenantDraft,
    psk: Option<SecretBytes>,
    interface: String,
    auth: &[AuthProtocol],
    report: &mut Report,
) -> Option<Tenant> {
    let pool: Vec<Ipv4Net> = draft.pool.iter().map(|at| at.value).collect();
    let gateway_address = gateway_address(&draft, &pool, report)?;
    let pool6: Vec<Ipv6Net> = draft.pool6.iter().map(|at| at.value).collect();
    let gateway_address6 = gateway_address6(&draft, report);
    let inline_users = merge(draft.inline_users.clone(), report);
    let mut everybody = draft.inline_users;
    if let Some(file) = &draft.users_file {
        everybody.extend(read_users_file(&file.value, Some(file.span), report).unwrap_or_default());
    }
    if let (Some(all), Some(each)) = (draft.sessions, draft.limits.sessions_per_user)
        && u32::from(each) > all.value
    {
        let message = format!("`sessions` is less than the {each} that one user may have");
        report.warning(all.span, message, "lower `sessions_per_user`, or raise `sessions`");
    }
    let realm: Vec<String> = draft.realm.into_iter().map(|at| at.value).collect();
    let realms = if draft.strip_realm { realm.as_slice() } else { &[] };
    let kept_realms = if draft.strip_realm { &[] } else { realm.as_slice() };
    let groups: Vec<Group> = draft.groups.into_iter().map(|draft| draft.group).collect();
    let (all, all6) = (all_pools(&pool, &groups), all_pools6(&pool6, &groups));
    let home = Home {
        pool: &all,
        gateway_address,
        pool6: &all6,
        gateway_address6,
        realms,
        kept_realms,
        groups: &groups,
    };
    users(&everybody, home, auth, report);
    let had_errors = report.has_errors();
    let users = merge(everybody, report);
    if !had_errors {
        policy::check_names(&draft.policy, &users, report);
    }
    rates::check((&draft.name.value, draft.name.span), draft.limits, &groups, &users, report);
    if users.is_empty() && !had_errors {
        report.warning(
            draft.name.span,
            format!("nobody can log in to `{}`", draft.name.value),
            "add a user with `isthmus user add`",
        );
    }
    Some(Tenant {
        name: draft.name.value,
        netns: draft.netns,
        psk,
        groups,
        authorities: draft.authorities.map(|at| at.value).unwrap_or_default(),
        realm,
        strip_realm: draft.strip_realm,
        identity: draft.identity.into_iter().map(|at| at.value).collect(),
        listen: draft.listen.into_iter().map(|at| at.value).collect(),
        pool,
        exclude: draft.exclude.into_iter().map(|at| at.value).collect(),
        gateway_address,
        pool6,
        gateway_address6,
        advice: draft.advice,
        sessions: draft.sessions.map(|at| at.value),
        limits: draft.limits,
        users_file: draft.users_file.map(|at| at.value),
        inline_users,
        users,
        interface,
        device_per_session: draft.device_per_session.is_some_and(|at| at.value),
        egress: draft.egress,
        nat: draft.nat,
        access: draft.policy.access,
    })
}

fn gateway_address(draft: &TenantDraft, pool: &[Ipv4Net], report: &mut Report) -> Option<Ipv4Addr> {
    let Some(written) = draft.gateway_address else {
        let inside = |address: &Ipv4Addr| excluded(draft, IpAddr::V4(*address));
        let first = pool.iter().find_map(|net| first_outside(*net, &inside));
        if first.is_none() && !pool.is_empty() {
            let at = draft.exclude.first().map_or(draft.name.span, |at| at.span);
            report.error(at, "nothing is left of the pool", "exclude less, or enlarge `pool`");
        }
        return first;
    };
    let address = written.value;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        report.error(
            written.span,
            format!("{address} is not an address of a host"),
            "choose another",
        );
    }
    match pool.iter().find(|net| net.contains(&address)) {
        Some(net) if !usable(*net, address) => report.error(
            written.span,
            format!("{address} is the network or broadcast address of {net}"),
            format!("use {}, or remove the key", net.hosts().next()?),
        ),
        Some(_) => {}
        None => report.warning(
            written.span,
            format!("{address} is not in the tenant's pool"),
            "clients reach it only if they send it through the tunnel; remove the key to use the first \
             address of `pool`",
        ),
    }
    Some(address)
}

/// Our IPv6 address: as written, or the first of the pool.
fn gateway_address6(draft: &TenantDraft, report: &mut Report) -> Option<Ipv6Addr> {
    let inside = |address: Ipv6Addr| draft.pool6.iter().any(|at| at.value.contains(&address));
    match draft.gateway_address6 {
        Some(written) if !inside(written.value) => {
            let message = format!("{} is not in the tenant's pool6", written.value);
            report.error(
                written.span,
                message,
                "remove the key to use the first address of `pool6`",
            );
            None
        }
        Some(written) => Some(written.value),
        None => {
            let inside = |net: &Ipv6Net| excluded(draft, IpAddr::V6(host6(*net)));
            let all = draft.pool6.iter().filter_map(|at| at.value.subnets(64).ok()).flatten();
            let first = all.take(EXCLUDED_TRIED_MAX).find(|net| !inside(net));
            if let (None, Some(at)) = (first, draft.pool6.first()) {
                report.error(at.span, "nothing is left of `pool6`", "exclude less, or enlarge it");
            }
            first.map(host6)
        }
    }
}

/// The first address of a host in `net` that is not `inside` what is excluded.
fn first_outside(net: Ipv4Net, inside: &impl Fn(&Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
    net.hosts().take(EXCLUDED_TRIED_MAX).find(|address| !inside(address))
}

/// The first address of a host in a /64.
fn host6(net: Ipv6Net) -> Ipv6Addr {
    Ipv6Addr::from_bits(net.network().to_bits() | 1)
}

fn excluded(draft: &TenantDraft, address: IpAddr) -> bool {
    draft.exclude.iter().any(|at| at.value.contains(&address))
}

/// What is excluded must be in a pool, or it says nothing.
fn exclusions(drafts: &[TenantDraft], report: &mut Report) {
    for draft in drafts {
        for at in &draft.exclude {
            let (first, last) = (*at.value.start(), *at.value.end());
            let meets = match (first, last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    let own = draft.pool.iter().map(|at| at.value);
                    let groups = draft.groups.iter().flat_map(|g| g.group.pool.iter().copied());
                    own.chain(groups).any(|net| first <= net.broadcast() && net.network() <= last)
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    let own = draft.pool6.iter().map(|at| at.value);
                    let groups = draft.groups.iter().flat_map(|g| g.group.pool6.iter().copied());
                    own.chain(groups).any(|net| first <= net.broadcast() && net.network() <= last)
                }
                (IpAddr::V4(_) | IpAddr::V6(_), _) => false,
            };
            if !meets {
                let what =
                    if first == last { first.to_string() } else { format!("{first}-{last}") };
                let message = format!("{what} is in no pool of `{}`", draft.name.value);
                report.warning(at.span, message, "remove it, or correct it");
            }
        }
    }
}

/// IPv6 pools of tenants that share a namespace must not meet.
fn distinct_pools6(drafts: &[TenantDraft], report: &mut Report) {
    let all: Vec<_> =
        drafts.iter().flat_map(|draft| draft.pool6.iter().map(move |net| (draft, *net))).collect();
    for (index, (draft, net)) in all.iter().enumerate() {
        let clash = all.iter().take(index).find(|(other, earlier)| {
            let (a, b) = (earlier.value, net.value);
            other.netns == draft.netns && (a.contains(&b) || b.contains(&a))
        });
        if let Some((other, earlier)) = clash {
            let message =
                format!("{} overlaps {} of `{}`", net.value, earlier.value, other.name.value);
            let place = report.place(earlier.span);
            report.error(net.span, message, format!("change one; the other is at {place}"));
        }
    }
    for draft in drafts.iter().filter(|d| d.pool6.is_empty() && !d.advice.dns6.is_empty()) {
        report.warning(
            draft.name.span,
            format!("`{}` names IPv6 name servers, and its clients have no IPv6", draft.name.value),
            "add `pool6`, or remove them from `dns`",
        );
    }
}

fn distinct_names(drafts: &[TenantDraft], report: &mut Report) {
    for (index, draft) in drafts.iter().enumerate() {
        let name = &draft.name.value;
        let first = drafts.iter().take(index).find(|d| d.name.value == *name && !name.is_empty());
        if let Some(first) = first {
            let remedy = format!("rename one; the other is at {}", report.place(first.name.span));
            report.error(draft.name.span, format!("the tenant `{name}` exists twice"), remedy);
        }
    }
}

fn distinct_pools(drafts: &[TenantDraft], report: &mut Report) {
    let mut free = reserved::free(drafts);
    let all: Vec<_> =
        drafts.iter().flat_map(|draft| draft.pool.iter().map(move |net| (draft, *net))).collect();
    for (index, (draft, net)) in all.iter().enumerate() {
        let clash = all.iter().take(index).find(|(other, earlier)| {
            other.netns == draft.netns && overlap(earlier.value, net.value)
        });
        if let Some((other, earlier)) = clash {
            let same_tenant = std::ptr::eq(*other, *draft);
            let whose =
                if same_tenant { String::new() } else { format!(" of `{}`", other.name.value) };
            let place = report.place(earlier.span);
            let remedy = if same_tenant {
                format!("remove one; the other is at {place}")
            } else {
                let free = free.instead_of(&draft.name.value, IpNet::V4(net.value));
                let such = free.map_or(String::new(), |free| format!(" (to {free}, for example)"));
                format!(
                    "change one{such}, or put the tenants into different `netns`; the other is at {place}"
                )
            };
            let message = format!("{} overlaps {}{whose}", net.value, earlier.value);
            report.error(net.span, message, remedy);
        }
    }
}

/// The key of each tenant, in order.
fn psks(
    drafts: &[TenantDraft],
    shared: &SharedKeys<'_>,
    report: &mut Report,
) -> Vec<Option<SecretBytes>> {
    let SharedKeys { file, environment, ipsec } = *shared;
    let advised = if ipsec.aggressive { EXPOSED_PSK_BYTES_ADVISED } else { PSK_BYTES_ADVISED };
    let fallback = environment.or(file.map(|at| &at.value));
    let shared_at = file.map(|at| at.span);
    if let Some(psk) = environment {
        warn_when_short(psk, None, advised, report);
    } else if let Some(at) = file {
        warn_when_short(&at.value, shared_at, advised, report);
    }
    let keyless = keyless(drafts, ipsec, fallback.is_some());
    for draft in &keyless {
        let name = &draft.name.value;
        if fallback.is_none() {
            report.error(
                draft.name.span,
                format!("the tenant `{name}` has no pre-shared key"),
                "set `psk` or `psk_file` here or in [ipsec], or the environment variable ISTHMUS_PSK",
            );
        }
    }
    if keyless.is_empty() && fallback.is_some() && !drafts.is_empty() {
        let message =
            "every tenant has its own pre-shared key, so the one in [ipsec] serves nobody";
        report.warning(shared_at, message, "remove it");
    }
    drafts
        .iter()
        .map(|draft| {
            let Some(own) = &draft.psk else {
                let takes = keyless.iter().any(|other| std::ptr::eq(*other, draft));
                return fallback.filter(|_| takes).cloned();
            };
            warn_when_short(&own.value, Some(own.span), advised, report);
            Some(own.value.clone())
        })
        .collect()
}

/// Every key that is for anyone is tried for every client.
fn countable(drafts: &[TenantDraft], psks: &[Option<SecretBytes>], report: &mut Report) {
    let mut seen: Vec<&SecretBytes> = Vec::new();
    for (draft, psk) in drafts.iter().zip(psks) {
        let Some(psk) = psk.as_ref().filter(|psk| !seen.contains(psk)) else { continue };
        seen.push(psk);
        if seen.len() == KEYS_MAX + 1 {
            report.error(
                draft.psk.as_ref().map_or(draft.name.span, |own| own.span),
                format!("there are more than {KEYS_MAX} pre-shared keys, and each is tried for every client"),
                "let tenants share a key and tell them apart by `realm`, or use `[[tenant.group]]`, or another \
                 gateway",
            );
        }
    }
}

/// The tenants that the shared key is for: those that nothing else leads to, or else one that a shared
/// key may lead to besides.
fn keyless<'a>(drafts: &'a [TenantDraft], ipsec: &Ipsec, shared: bool) -> Vec<&'a TenantDraft> {
    let certified = ipsec.certificates.as_ref().is_some_and(|own| !own.authorities.is_empty());
    let led = |draft: &TenantDraft| {
        draft.groups.iter().any(|g| g.group.psk.is_some())
            || draft.authorities.is_some()
            || certified
    };
    let without_key = || drafts.iter().filter(|draft| draft.psk.is_none());
    let needy: Vec<_> = without_key().filter(|draft| !led(draft)).collect();
    if needy.is_empty() && shared { without_key().collect() } else { needy }
}

pub(crate) fn warn_when_short(
    psk: &SecretBytes,
    at: Option<Span>,
    advised: usize,
    report: &mut Report,
) {
    if psk.len() >= advised {
        return;
    }
    let message = if advised > PSK_BYTES_ADVISED {
        "the pre-shared key is short enough to be guessed, and aggressive mode lets anybody try"
    } else {
        "the pre-shared key is short enough to be guessed"
    };
    let remedy = format!("use {advised} characters or more; `isthmus quickstart` makes good ones");
    report.warning(at, message, remedy);
}

/// The interface of each tenant, in order.
fn interfaces(drafts: &[TenantDraft], report: &mut Report) -> Vec<String> {
    let mut taken: Vec<(String, Option<String>, Span)> = Vec::new();
    for draft in drafts {
        let (name, at) = match &draft.interface {
            Some(written) => (written.value.clone(), written.span),
            None => (default_interface(&draft.name.value), draft.name.span),
        };
        let first = taken.iter().find(|(other, netns, _)| *other == name && *netns == draft.netns);
        if let Some((_, _, first)) = first {
            let place = report.place(*first);
            report.error(
                at,
                format!("the interface `{name}` is used twice"),
                format!("set `interface` to another name; the other is at {place}"),
            );
        }
        taken.push((name, draft.netns.clone(), at));
    }
    for (draft, (name, netns, at)) in drafts.iter().zip(&taken) {
        if draft.device_per_session.is_some_and(|at| at.value) {
            let neighbours = taken.iter().filter(|(_, other, _)| other == netns);
            family(name, *at, neighbours.map(|(name, ..)| name.as_str()), report);
        }
    }
    taken.into_iter().map(|(name, _, _)| name).collect()
}

/// Whether sessions' own devices can be called as their tenant's, a dot and a number.
fn family<'a>(
    name: &str,
    at: Span,
    mut others: impl Iterator<Item = &'a str>,
    report: &mut Report,
) {
    if name.len() > FAMILY_BYTES_MAX {
        report.error(
            at,
            format!("`{name}` leaves no room for the numbers of sessions' own devices"),
            format!("set `interface` to a name of at most {FAMILY_BYTES_MAX} characters"),
        );
    }
    let begins = |other: &&str| other.strip_prefix(name).is_some_and(|end| end.starts_with('.'));
    if let Some(other) = others.find(begins) {
        report.error(
            at,
            format!("`{other}` looks like the device of a session of `{name}`"),
            "set `interface` of one of them to another name",
        );
    }
}

pub(crate) fn default_interface(tenant: &str) -> String {
    let mut name = format!("ist-{tenant}");
    name.truncate(INTERFACE_BYTES_MAX);
    name
}

/// Longest name of an interface whose sessions have devices of their own: behind it come a dot and the four
/// digits of [`SESSION_DEVICES_MAX`](isthmus_driver::SESSION_DEVICES_MAX).
const FAMILY_BYTES_MAX: usize = INTERFACE_BYTES_MAX - 5;

/// Whether a host may have the address: not the first or last of a network that has such.
fn usable(net: Ipv4Net, address: Ipv4Addr) -> bool {
    net.prefix_len() >= 31 || (address != net.network() && address != net.broadcast())
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

fn join(nets: &[Ipv4Net]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Most tenants: each has a device, with a descriptor for each worker.
const TENANTS_MAX: usize = 1024;
/// IKE tries no more pre-shared keys than so many for one client.
const KEYS_MAX: usize = isthmus_ike::bounds::PSK_CANDIDATES_MAX;
/// How far to look for an address of our own past what is excluded; larger exclusions want one written.
const EXCLUDED_TRIED_MAX: usize = 1 << 20;
/// Below this a key of random words or letters can be tried out by whoever records one login.
const PSK_BYTES_ADVISED: usize = 16;
/// The same where anybody gets a hash of the key for the asking, without recording a login.
pub(crate) const EXPOSED_PSK_BYTES_ADVISED: usize = 24;
