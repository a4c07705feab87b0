//! Checks of rates and bursts: those that do nothing, and those that TCP does not get along with.

use isthmus_gateway::Limits;

use super::types::Group;
use super::value::show_rate;
use crate::report::{Report, Span};
use crate::users::Users;

/// Warns of bursts without a rate and of bursts too short for their rate, once for a tenant.
pub(crate) fn check(
    (name, at): (&str, Span),
    limits: Limits,
    groups: &[Group],
    users: &Users,
    report: &mut Report,
) {
    let of_group = |group: &Group| group.limits.or(limits);
    let of_users = users.iter().map(|(_, user)| {
        let named = |group: &&Group| user.group.as_ref() == Some(&group.name);
        user.limits.or(groups.iter().find(named).map_or(limits, of_group))
    });
    let all: Vec<Limits> =
        [limits].into_iter().chain(groups.iter().map(of_group)).chain(of_users).collect();
    let rated = |limits: &Limits| limits.rate_up.is_some() || limits.rate_down.is_some();
    if all.iter().any(|limits| limits.burst.is_some()) && !all.iter().any(rated) {
        report.warning(
            at,
            format!("`burst` does nothing in `{name}`: nobody has a rate"),
            "add `rate_up` or `rate_down`, or remove `burst`",
        );
    }
    if let Some((rate, burst)) = all.iter().find_map(short) {
        let least = rate / 8 * SHORT_MS / 1000;
        report.warning(
            at,
            format!(
                "in `{name}` a burst of {burst} bytes is less than {} carries in {SHORT_MS} ms: TCP stays \
                 far below that rate",
                show_rate(rate)
            ),
            format!("raise `burst` to {least} bytes or more, or remove it"),
        );
    }
}

/// A rate, and the burst that is too short for it.
fn short(limits: &Limits) -> Option<(u64, u64)> {
    let burst = limits.burst?;
    let rate = limits.rate_up.max(limits.rate_down)?;
    (burst < rate / 8 * SHORT_MS / 1000).then_some((rate, burst))
}

/// Bursts shorter than this at their rate are warned of: a sender's kernel sends as much in one go.
const SHORT_MS: u64 = 5;
