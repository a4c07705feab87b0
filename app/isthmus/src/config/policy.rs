//! Reads `[tenant.policy]`, and checks that the names in it mean somebody.

use isthmus_policy::{Classes, Policy, Rule, Service, Verdict, Who};

use super::document::Node;
use super::section::{At, Section};
use super::tenant::{TenantDraft, required, sections};
use super::types::{Access, Config};
use super::{keys, value};
use crate::access::classes;
use crate::report::{Report, Span};

/// A policy as written.
#[derive(Debug)]
pub(crate) struct AccessDraft {
    pub(crate) access: Access,
    /// Names of tenants in it.
    reaches: Vec<At<String>>,
    /// Names of users in rules.
    users: Vec<At<String>>,
    /// Names of groups in rules.
    groups: Vec<At<String>>,
}

impl Default for AccessDraft {
    fn default() -> Self {
        let access = Access {
            policy: Policy { rules: Vec::new(), default: Verdict::Allow },
            cloud_metadata: false,
            reaches: Vec::new(),
            inbound: Verdict::Allow,
        };
        Self { access, reaches: Vec::new(), users: Vec::new(), groups: Vec::new() }
    }
}

/// Reads `[tenant.policy]`.
pub(crate) fn policy(node: Option<Node>, report: &mut Report) -> AccessDraft {
    let mut draft = AccessDraft::default();
    let section = node.and_then(|node| Section::from_node(&keys::POLICY, node, report));
    let Some(mut section) = section else { return draft };
    let mut verdict = |key, report: &mut Report| {
        let found = section.take(key, report, value::one_of(&VERDICTS));
        found.map_or(Verdict::Allow, |at| at.value)
    };
    draft.access.policy.default = verdict("default", report);
    draft.access.inbound = verdict("inbound", report);
    let metadata = section.take("cloud_metadata", report, value::boolean);
    draft.access.cloud_metadata = metadata.is_some_and(|at| at.value);
    draft.reaches = section
        .take("reaches", report, value::list(value::name))
        .map(|list| list.value)
        .unwrap_or_default();
    draft.access.reaches = draft.reaches.iter().map(|at| at.value.clone()).collect();
    let rules = section.take_node("rule");
    section.finish(report);
    let mut seen: Vec<At<String>> = Vec::new();
    for section in
        rules.into_iter().flat_map(|node| sections(node, &keys::RULE, report)).collect::<Vec<_>>()
    {
        let Some((at, rule)) = rule(section, &mut draft, report) else { continue };
        if let Some(first) = seen.iter().find(|first| first.value == rule.name) {
            let remedy = format!("rename one; the other is at {}", report.place(first.span));
            report.error(at, format!("the rule `{}` exists twice", rule.name), remedy);
        }
        seen.push(At { span: at, value: rule.name.clone() });
        draft.access.policy.rules.push(rule);
    }
    draft
}

fn rule(
    mut section: Section,
    draft: &mut AccessDraft,
    report: &mut Report,
) -> Option<(Span, Rule)> {
    let at = section.span();
    let name = required(section.take_optional("name", report, value::name), "name", at, report);
    let action = section.take_optional("action", report, value::one_of(&VERDICTS));
    let action = required(action, "action", at, report);
    let mut names = |key, report: &mut Report| {
        let found = section.take_optional(key, report, value::one_or_more(value::text));
        found.map_or(Some(Vec::new()), |at| at.value)
    };
    let (users, groups) = (names("user", report), names("group", report));
    let mut nets = |key, report: &mut Report| {
        let found = section.take_optional(key, report, value::one_or_more(value::any_network));
        let nets = found.map_or(Some(Vec::new()), |at| at.value)?;
        Some(nets.into_iter().map(|at| at.value).collect::<Vec<_>>())
    };
    let (from, to) = (nets("from", report), nets("to", report));
    let services = section.take_optional("service", report, value::one_or_more(service));
    let services = services.map_or(Some(Vec::new()), |at| at.value);
    section.finish(report);
    // A rule that was not understood whole must not be taken for a wider one.
    let (users, groups) = (users?, groups?);
    let plain = |names: &[At<String>]| names.iter().map(|at| at.value.clone()).collect();
    let who = Who { users: plain(&users), groups: plain(&groups) };
    draft.users.extend(users);
    draft.groups.extend(groups);
    let services = services?.into_iter().map(|at| at.value).collect();
    let (name, verdict) = (name?, action?.value);
    Some((name.span, Rule { name: name.value, verdict, who, from: from?, to: to?, services }))
}

fn service(node: &Node, report: &mut Report) -> Option<Service> {
    let written = value::text(node, report)?;
    let read = written.parse();
    if let Err(error) = &read {
        let remedy = "write it like \"tcp/443\", \"udp/8000-8999\" or \"icmp\"";
        report.error(node.span, format!("{error}"), remedy);
    }
    read.ok()
}

/// Checks that names in the policies of tenants mean somebody. Users may come later, so a name that means
/// nobody is a warning.
pub(crate) fn check(drafts: &[TenantDraft], report: &mut Report) {
    for draft in drafts {
        for at in &draft.policy.reaches {
            let other = drafts.iter().find(|other| other.name.value == at.value);
            let trouble = match other {
                None => {
                    Some((format!("there is no tenant `{}`", at.value), "remove it from `reaches`"))
                }
                Some(other) if other.name.value == draft.name.value => Some((
                    format!("`{}` is this tenant itself", at.value),
                    "remove it: its users reach each other as far as the rules let",
                )),
                Some(other) if other.netns != draft.netns => Some((
                    format!("`{}` is in another namespace", at.value),
                    "remove it: what is between namespaces is routed, and rules alone decide",
                )),
                Some(_) => None,
            };
            if let Some((message, remedy)) = trouble {
                report.error(at.span, message, remedy);
            }
        }
    }
}

/// Warns of names in rules that are of no user.
pub(crate) fn check_names(draft: &AccessDraft, users: &crate::users::Users, report: &mut Report) {
    for at in &draft.users {
        if users.named(&at.value).is_none() {
            let message = format!("there is no user `{}`", at.value);
            report.warning(at.span, message, "the rule waits for one of that name");
        }
    }
    for at in &draft.groups {
        if !users.iter().any(|(_, user)| user.group.as_deref() == Some(&*at.value)) {
            let message = format!("no user is in the group `{}`", at.value);
            report.warning(at.span, message, "set `group` of its users");
        }
    }
}

/// Users that policies and egresses treat differently have a mark each, and there are so many marks.
pub(crate) fn check_classes(config: &Config, report: &mut Report) {
    if let Err(count) = classes(config) {
        let most = Classes::MAX;
        let message = format!("users are told apart in {count} ways, and {most} is the most");
        report.error(None, message, "name groups instead of users in rules and egresses");
    }
}

/// What may become of a packet, as written.
pub(crate) const VERDICTS: [(&str, Verdict); 2] =
    [("allow", Verdict::Allow), ("deny", Verdict::Deny)];
