//! What users of each tenant may reach, in the order in which it is decided.

use std::collections::BTreeMap;

use ipnet::IpNet;
use isthmus_kernel::{Entry, Found, Inspection, Standing, Verdict};
use isthmus_policy::{Class, Classes, Verdict as Decided};
use serde::Serialize;

use super::Question;
use crate::access::named;
use crate::config::Tenant;
use crate::origin::Origins;

/// The policy of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantPolicy {
    /// The tenant.
    pub tenant: String,
    /// Its network namespace; none for the gateway's own.
    pub namespace: Option<String>,
    /// Its device.
    pub interface: String,
    /// Sessions in which packets flow.
    pub sessions: u64,
    /// Whether connections to users may be opened from outside.
    pub inbound: Verdict,
    /// In the order in which packets are asked about; the first that fits decides.
    pub rows: Vec<PolicyRow>,
}

/// What becomes of some packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    /// Whose: `user NAME`, `group NAME`, both, or `others`; empty for everybody.
    pub who: Vec<String>,
    /// How many sessions these have.
    pub sessions: u64,
    /// What becomes of them; none for a rule of somebody else.
    pub verdict: Option<Verdict>,
    /// Where to: networks and services; empty for everything else.
    pub to: Vec<String>,
    /// Only from here.
    pub from: Vec<IpNet>,
    /// The rule's name, or what else decides.
    pub rule: String,
    /// Packets that it was for, since the table was made; none where nothing counts.
    pub packets: Option<u64>,
    /// How it stands.
    pub state: Standing,
    /// How it differs from what is wanted.
    pub differs: Vec<String>,
    /// What asks for it.
    pub why: String,
}

/// Those whom rules tell apart, and how many sessions each has.
struct Crowd {
    names: BTreeMap<u16, Class>,
    sessions: BTreeMap<u16, u64>,
    all: u64,
}

pub(super) fn tenants(
    classes: &Classes,
    origins: &Origins<'_>,
    question: &Question<'_>,
    found: &Inspection,
) -> Vec<TenantPolicy> {
    let one = |tenant: &&Tenant| {
        let crowd = Crowd::of(classes, tenant, question);
        let row = |one: &Found<Entry>| row(origins, tenant, &crowd, one);
        TenantPolicy {
            tenant: tenant.name.clone(),
            namespace: tenant.netns.clone(),
            interface: tenant.interface.clone(),
            sessions: crowd.all,
            inbound: match tenant.access.inbound {
                Decided::Allow => Verdict::Allow,
                Decided::Deny => Verdict::Deny,
            },
            rows: found.firewall.iter().filter_map(row).collect(),
        }
    };
    origins.tenants().iter().map(one).collect()
}

fn row(
    origins: &Origins<'_>,
    tenant: &Tenant,
    crowd: &Crowd,
    one: &Found<Entry>,
) -> Option<PolicyRow> {
    let own = |device: &String| (*device == tenant.interface).then_some(());
    let mut row = PolicyRow {
        who: Vec::new(),
        sessions: crowd.all,
        verdict: Some(Verdict::Deny),
        to: Vec::new(),
        from: Vec::new(),
        rule: String::new(),
        packets: one.packets,
        state: one.standing,
        differs: one.differs.clone(),
        why: origins.entry(&one.what).why,
    };
    match &one.what {
        Entry::Default { device, class, verdict } => {
            own(device)?;
            row.verdict = Some(*verdict);
            row.rule = String::from("default");
            crowd.name(&mut row, class.as_slice());
        }
        Entry::Entries { device, classes, entries } => {
            own(device)?;
            row.verdict = Some(entries.verdict);
            row.to = entries.elements();
            row.from.clone_from(&entries.from);
            row.rule.clone_from(&entries.name);
            crowd.name(&mut row, classes);
        }
        Entry::Forbidden { device, nets } => {
            own(device)?;
            row.to = nets.iter().map(ToString::to_string).collect();
            row.rule = String::from("cloud_metadata");
        }
        Entry::Frame { .. } if one.standing == Standing::AsWanted => return None,
        Entry::Frame { .. } => row.rule = String::from("(the filter itself)"),
        Entry::Others { device, reaches, .. } => {
            own(device)?;
            row.to = match &**reaches {
                [] => vec![String::from("other tenants")],
                some => vec![format!("other tenants but {}", some.join(", "))],
            };
            row.rule = String::from("reaches");
        }
        Entry::Strange { .. } if !one.what.translates() => {
            row.verdict = None;
            row.to = vec![one.what.to_string()];
            row.rule = String::from("(somebody else's)");
        }
        Entry::Clamp(_) | Entry::Nat(_) | Entry::Redirect(_) | Entry::Strange { .. } => {
            return None;
        }
    }
    Some(row)
}

impl Crowd {
    fn of(all: &Classes, tenant: &Tenant, question: &Question<'_>) -> Self {
        let named = named(tenant);
        let told = all.of_tenant(&tenant.name).map(|(class, n)| (n, class.clone())).collect();
        let own = question.sessions.iter().filter(|one| one.tenant == tenant.name && one.up);
        let mut crowd = Self { names: told, sessions: BTreeMap::new(), all: 0 };
        for session in own {
            crowd.all += 1;
            let user = session.user.as_deref().unwrap_or_default();
            let class = named.class(user, session.group.as_deref());
            if let Some(number) = all.number(&tenant.name, &class) {
                *crowd.sessions.entry(number).or_default() += 1;
            }
        }
        crowd
    }

    /// Says whose a row is; everybody's where classes are not told apart.
    fn name(&self, row: &mut PolicyRow, classes: &[u16]) {
        let all = classes.len() == self.names.len() && classes.len() > 1;
        if classes.is_empty() || all {
            return;
        }
        let name = |number: &u16| match self.names.get(number) {
            Some(Class { user: Some(user), group: Some(group) }) => {
                format!("user {user} of group {group}")
            }
            Some(Class { user: Some(user), group: None }) => format!("user {user}"),
            Some(Class { user: None, group: Some(group) }) => format!("group {group}"),
            Some(Class { user: None, group: None }) => String::from("others"),
            None => format!("class {number}"),
        };
        row.who = classes.iter().map(name).collect();
        row.sessions = classes.iter().filter_map(|class| self.sessions.get(class)).sum();
    }
}
