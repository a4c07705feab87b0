//! Whether clients find their tenant: tenants that one key leads to must be told apart by something else.

use std::net::IpAddr;

use isthmus_core::SecretBytes;
use isthmus_gateway::IdentityPattern;

use super::section::At;
use super::tenant::TenantDraft;
use super::types::Gateway;
use crate::report::{Report, Span};

/// What a tenant is told by, besides its key.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    pub(crate) realm: Vec<String>,
    pub(crate) identity: Vec<String>,
    pub(crate) listen: Vec<IpAddr>,
}

impl Marks {
    fn of_draft(draft: &TenantDraft) -> Self {
        Self {
            realm: plain(&draft.realm),
            identity: plain(&draft.identity),
            listen: plain(&draft.listen),
        }
    }

    /// Whether some client would suit both; with the mark that both have, if it is one.
    pub(crate) fn clash(&self, other: &Self) -> Option<Clash> {
        let pattern = |text: &String| IdentityPattern(text.clone());
        let identity =
            common(&self.identity, &other.identity, |a, b| pattern(a).meets(&pattern(b)));
        let listen = common(&self.listen, &other.listen, |a, b| a == b);
        let realm = common(&self.realm, &other.realm, |a, b| a.eq_ignore_ascii_case(b));
        let (identity, listen, realm) = (identity.ok()?, listen.ok()?, realm.ok()?);
        let name = |key, mark: &dyn std::fmt::Display| (key, format!("`{key} = \"{mark}\"`"));
        let mark = realm.map(|mark| name("realm", mark));
        let mark = mark.or_else(|| listen.map(|mark| name("listen", mark)));
        Some(Clash { mark: mark.or_else(|| identity.map(|mark| name("identity", mark))) })
    }
}

/// Why two tenants cannot be told apart.
#[derive(Debug)]
pub(crate) struct Clash {
    /// The key and the mark that both have; none where they have no mark.
    mark: Option<(&'static str, String)>,
}

/// Tells two tenants apart.
struct Apart;

/// A mark of both, where either has such.
fn common<'a, T>(
    a: &'a [T],
    b: &[T],
    same: impl Fn(&T, &T) -> bool,
) -> Result<Option<&'a T>, Apart> {
    if a.is_empty() && b.is_empty() {
        return Ok(None);
    }
    a.iter().find(|x| b.iter().any(|y| same(x, y))).map(Some).ok_or(Apart)
}

fn plain<T: Clone>(list: &[At<T>]) -> Vec<T> {
    list.iter().map(|at| at.value.clone()).collect()
}

/// Checks that the tenants of each key and of each authority are told apart; `keys` are in their order.
pub(crate) fn told_apart(
    drafts: &[TenantDraft],
    keys: &[Option<SecretBytes>],
    report: &mut Report,
) {
    let all: Vec<_> =
        drafts.iter().zip(keys).map(|(draft, key)| (draft, key, Marks::of_draft(draft))).collect();
    for (index, (draft, key, marks)) in all.iter().enumerate() {
        for (other, others_key, others_marks) in all.iter().take(index) {
            let Some((what, at)) = shared(draft, key.as_ref(), other, others_key.as_ref()) else {
                continue;
            };
            let Some(clash) = marks.clash(others_marks) else { continue };
            report_clash(draft, other, (what, at), &clash, report);
            break;
        }
    }
}

/// What leads to both tenants, and where the first of them says so.
fn shared(
    draft: &TenantDraft,
    key: Option<&SecretBytes>,
    other: &TenantDraft,
    others_key: Option<&SecretBytes>,
) -> Option<(&'static str, Span)> {
    if key.is_some() && key == others_key {
        let at = draft.psk.as_ref().map_or(draft.name.span, |own| own.span);
        return Some(("pre-shared key", at));
    }
    let (own, others) = (draft.authorities.as_ref()?, other.authorities.as_ref()?);
    let both = own.value.iter().any(|der| others.value.contains(der));
    both.then_some(("authority", own.span))
}

fn report_clash(
    draft: &TenantDraft,
    other: &TenantDraft,
    (what, at): (&str, Span),
    clash: &Clash,
    report: &mut Report,
) {
    let (name, others_name) = (&draft.name.value, &other.name.value);
    let place = report.place(other.name.span);
    let (at, message) = match &clash.mark {
        None => (
            at,
            format!(
                "`{name}` has the same {what} as `{others_name}`, and nothing tells them apart"
            ),
        ),
        Some((key, mark)) => {
            let spans = match *key {
                "realm" => draft.realm.first().map(|at| at.span),
                "listen" => draft.listen.first().map(|at| at.span),
                _ => draft.identity.first().map(|at| at.span),
            };
            let message =
                format!("{mark} leads to `{others_name}` as well, which has the same {what}");
            (spans.unwrap_or(at), message)
        }
    };
    let remedy = format!(
        "give one another {what}, or set `realm`, `identity` or `listen` so that they differ; the other is \
         at {place}"
    );
    report.error(at, message, remedy);
}

/// Checks that tenants are served where the gateway listens, and that each realm is some tenant's users'.
pub(crate) fn listens(drafts: &[TenantDraft], gateway: &Gateway, report: &mut Report) {
    let heard = |address: &IpAddr| {
        gateway.listen.iter().any(|own| {
            own == address || (own.is_unspecified() && own.is_ipv4() == address.is_ipv4())
        })
    };
    for at in drafts.iter().flat_map(|draft| &draft.listen).filter(|at| !heard(&at.value)) {
        let all: Vec<_> = gateway.listen.iter().map(ToString::to_string).collect();
        report.error(
            at.span,
            format!("the gateway does not listen on {}", at.value),
            format!("add it to `listen` in [gateway], or write one of: {}", all.join(", ")),
        );
    }
}
