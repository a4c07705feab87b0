//! Reads `[[lac]]`: access networks that are trusted without IPsec.

use ipnet::IpNet;
use isthmus_gateway::Proxy;

use super::choice::Marks;
use super::document::Node;
use super::read::{distinct, require_some};
use super::section::{At, Section};
use super::tenant::{required, sections};
use super::types::{Gateway, Lac, Tenant};
use super::{keys, secret, value};
use crate::report::{Report, Span};

/// What the `[[lac]]` tables fall back to.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) tenants: &'a [Tenant],
}

/// Reads every `[[lac]]`.
pub(crate) fn lacs(node: Option<Node>, around: Around<'_>, report: &mut Report) -> Vec<Lac> {
    let mut found: Vec<(Span, Lac)> = Vec::new();
    let Some(node) = node else { return Vec::new() };
    for section in sections(node, &keys::LAC, report) {
        let at = section.span();
        let Some(lac) = lac(section, around, report) else { continue };
        for (first, other) in &found {
            let overlap =
                |net: &&IpNet| other.address.iter().any(|o| o.contains(*net) || net.contains(o));
            let clash = if other.name == lac.name {
                Some(format!("the LAC `{}` exists twice", lac.name))
            } else {
                let net = lac.address.iter().find(overlap);
                net.map(|net| format!("{net} overlaps an address of the LAC `{}`", other.name))
            };
            if let Some(message) = clash {
                let remedy = format!("change one; the other is at {}", report.place(*first));
                report.error(at, message, remedy);
            }
        }
        found.push((at, lac));
    }
    found.into_iter().map(|(_, lac)| lac).collect()
}

fn lac(mut section: Section, around: Around<'_>, report: &mut Report) -> Option<Lac> {
    let at = section.span();
    let name = required(section.take_optional("name", report, value::name), "name", at, report);
    let address = section.take_optional("address", report, value::list(value::any_network));
    let address = required(address, "address", at, report).map(|list| addresses(&list, report));
    let secret = secret::take(&mut section, "secret", "secret_file", report);
    if secret.is_none() {
        report.error(
            at,
            "a LAC without a tunnel secret could be anybody",
            "add `secret` or `secret_file`, the same as at the LAC",
        );
    }
    let tenants = tenants(&mut section, around.tenants, report);
    let listen = section.take("listen", report, value::list(value::address)).map(|list| {
        require_some(&list.value, list.span, "an address to listen on", report);
        distinct(&list, report)
    });
    let number = |key, most, default: u16, section: &mut Section, report: &mut Report| {
        section.take(key, report, value::number(1..=most)).map_or(default, |at| at.value)
    };
    let tunnels = number("tunnels", TUNNELS_MAX, 16, &mut section, report);
    let sessions = number("sessions", SESSIONS_MAX, 1024, &mut section, report);
    let proxy = section.take("proxy", report, value::one_of(&Proxy::NAMES));
    section.finish(report);
    Some(Lac {
        name: name?.value,
        address: address?,
        secret: secret?.value,
        tenants: tenants?,
        listen: listen.unwrap_or_else(|| around.gateway.listen.clone()),
        tunnels,
        sessions,
        proxy: proxy.map(|at| at.value).unwrap_or_default(),
    })
}

fn addresses(list: &At<Vec<At<IpNet>>>, report: &mut Report) -> Vec<IpNet> {
    require_some(&list.value, list.span, "a network", report);
    for wide in list.value.iter().filter(|at| at.value.prefix_len() == 0) {
        report.error(
            wide.span,
            "with this prefix everybody is the LAC",
            "write the addresses of the LAC only",
        );
    }
    distinct(list, report)
}

/// The tenants named, or the only one.
fn tenants(section: &mut Section, tenants: &[Tenant], report: &mut Report) -> Option<Vec<String>> {
    let at = section.span();
    let written = section.take_optional("tenant", report, value::one_or_more(value::name));
    let Some(At { span, value }) = written else {
        if let [only] = tenants {
            return Some(vec![only.name.clone()]);
        }
        report.error(at, "`tenant` is missing", "name one or more: there are several");
        return None;
    };
    let list = At { span, value: value? };
    require_some(&list.value, span, "a tenant", report);
    let names = distinct(&list, report);
    // Tenants that have mistakes of their own are not in the list.
    if !report.has_errors() {
        check_tenants(&list.value, tenants, report);
    }
    Some(names)
}

/// Each must be there, and a realm must tell it from the others: a LAC brings nothing else.
fn check_tenants(named: &[At<String>], tenants: &[Tenant], report: &mut Report) {
    let mut before: Vec<(&str, Marks)> = Vec::new();
    for At { span, value: name } in named {
        let Some(tenant) = tenants.iter().find(|tenant| tenant.name == *name) else {
            let message = format!("there is no tenant `{name}`");
            report.error(*span, message, "write the `name` of a [[tenant]]");
            continue;
        };
        let realm = tenant.realm.clone();
        let marks = Marks { realm, identity: Vec::new(), listen: Vec::new() };
        if let Some((other, _)) = before.iter().find(|(_, other)| marks.clash(other).is_some()) {
            report.error(
                *span,
                format!("nothing tells users of `{name}` from those of `{other}`"),
                "give one of the two tenants another `realm`, or name one of them only",
            );
        }
        before.push((name, marks));
    }
}

/// What the L2TP machine can hold.
const TUNNELS_MAX: u16 = 64;
/// What the L2TP machine can hold.
const SESSIONS_MAX: u16 = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_of_the_machine() {
        assert_eq!(usize::from(TUNNELS_MAX), isthmus_l2tp::bounds::TUNNELS_MAX);
        assert_eq!(usize::from(SESSIONS_MAX), isthmus_l2tp::bounds::SESSIONS_MAX);
    }
}
