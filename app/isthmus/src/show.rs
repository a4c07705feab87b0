//! What `isthmus show` tells: what is in force in the kernel, and what in the configuration it is for.

mod policy;
mod rows;

use std::collections::BTreeSet;

use isthmus_driver::{Inspected, NetworkError, inspect};
use isthmus_kernel::Standing;
use serde::Serialize;

use crate::access::classes;
use crate::api::{Session, Status};
use crate::config::{Config, Tenant, Way};
use crate::origin::Origins;
use crate::run;

pub use policy::{PolicyRow, TenantPolicy};
pub use rows::{NatRow, RouteRow, RuleRow};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Translations of addresses.
    Nat,
    /// What users may reach.
    Policy,
    /// Routes.
    Routes,
    /// Rules that choose routing tables.
    Rules,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The gateway's name.
    pub gateway: String,
    /// What was asked for.
    #[serde(flatten)]
    pub found: Rows,
    /// nftables tables of others where the tenants are: they may drop or translate as well.
    pub other_tables: Vec<OtherTable>,
    /// Namespaces that are not there.
    pub missing_namespaces: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// Translations, in the order in which they are tried.
    Nat(Vec<NatRow>),
    /// Tenant by tenant.
    Policy(Vec<TenantPolicy>),
    /// By namespace and table.
    Routes(Vec<RouteRow>),
    /// In the order in which they are asked.
    Rules(Vec<RuleRow>),
}

/// An nftables table of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherTable {
    /// The network namespace; none for the gateway's own.
    pub namespace: Option<String>,
    /// Its family and name, as `nft` says them.
    pub table: String,
}

/// Who asks, and what the running gateway says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is asked for.
    pub subject: Subject,
    /// Of this tenant; of all when absent.
    pub tenant: Option<&'a Tenant>,
    /// The state of the gateway.
    pub status: &'a Status,
    /// Its sessions.
    pub sessions: &'a [Session],
}

/// Looks at the kernel.
///
/// # Errors
/// When it cannot be read, with what to do about it.
pub async fn show(config: &Config, question: &Question<'_>) -> Result<Shown, NetworkError> {
    let wishes = run::kernel_wishes(config, Some(question.status));
    let namespaces = question.tenant.map(namespaces);
    // That there are not too many was checked when the configuration was read.
    let classes = classes(config).unwrap_or_default();
    let found = inspect(wishes.clone(), |namespace| {
        namespaces.as_ref().is_none_or(|only| only.contains(&namespace))
    });
    let found = found.await?;
    let mut shown = Shown {
        gateway: config.gateway.name.clone(),
        found: Rows::of(question.subject),
        other_tables: Vec::new(),
        missing_namespaces: Vec::new(),
    };
    for Inspected { namespace, is_missing, found } in &found {
        let namespace = namespace.as_ref().map(|namespace| namespace.name().to_owned());
        if *is_missing {
            shown.missing_namespaces.extend(namespace.clone());
        }
        let tables = found.tables.iter().cloned();
        shown
            .other_tables
            .extend(tables.map(|table| OtherTable { namespace: namespace.clone(), table }));
        let origins = Origins::of(config, &wishes, namespace.as_deref());
        match &mut shown.found {
            Rows::Nat(all) => all.extend(rows::nat(&origins, namespace.as_ref(), found)),
            Rows::Policy(all) => all.extend(policy::tenants(&classes, &origins, question, found)),
            Rows::Routes(all) => all.extend(rows::routes(&origins, namespace.as_ref(), found)),
            Rows::Rules(all) => all.extend(rows::rules(&origins, namespace.as_ref(), found)),
        }
    }
    if let Some(tenant) = question.tenant {
        shown.found.keep(tenant);
    }
    Ok(shown)
}

/// Where something of a tenant is: its own namespace, and those that its ways out lead into.
fn namespaces(tenant: &Tenant) -> BTreeSet<Option<&str>> {
    let into = tenant.egress.iter().filter_map(|egress| match &egress.way {
        Way::Passage(passage) => Some(passage.into.as_deref()),
        Way::Deny | Way::Gateway { .. } | Way::Interface(_) | Way::Main(_) => None,
    });
    into.chain([tenant.netns.as_deref()]).collect()
}

impl Rows {
    fn of(subject: Subject) -> Self {
        match subject {
            Subject::Nat => Self::Nat(Vec::new()),
            Subject::Policy => Self::Policy(Vec::new()),
            Subject::Routes => Self::Routes(Vec::new()),
            Subject::Rules => Self::Rules(Vec::new()),
        }
    }

    /// Leaves out what is another tenant's; what is nobody's of ours concerns this one in its own namespace.
    fn keep(&mut self, only: &Tenant) {
        let keeps = |tenant: &Option<String>, namespace: &Option<String>| match tenant {
            Some(tenant) => *tenant == only.name,
            None => *namespace == only.netns,
        };
        match self {
            Self::Nat(all) => all.retain(|row| keeps(&row.tenant, &row.namespace)),
            Self::Policy(all) => all.retain(|policy| policy.tenant == only.name),
            Self::Routes(all) => all.retain(|row| keeps(&row.tenant, &row.namespace)),
            Self::Rules(all) => all.retain(|row| keeps(&row.tenant, &row.namespace)),
        }
    }

    /// How everything that is shown stands.
    pub fn standings(&self) -> Vec<Standing> {
        match self {
            Self::Nat(all) => all.iter().map(|row| row.state).collect(),
            Self::Policy(all) => {
                all.iter().flat_map(|policy| &policy.rows).map(|row| row.state).collect()
            }
            Self::Routes(all) => all.iter().map(|row| row.state).collect(),
            Self::Rules(all) => all.iter().map(|row| row.state).collect(),
        }
    }
}
