//! `isthmus show`.

use isthmus_kernel::{FEW_MAX, Standing, Verdict};

use super::args::{ShowArgs, ShowWhat};
use super::failure::CliError;
use super::output::{Output, remark};
use super::run::runtime;
use crate::api::Client;
use crate::config::{self, Config, Environment, Tenant};
use crate::show::{
    NatRow, PolicyRow, Question, RouteRow, Rows, RuleRow, Shown, Subject, TenantPolicy, show,
};

pub(crate) fn show_kernel(args: &ShowArgs, out: &mut Output) -> Result<(), CliError> {
    let config = match config::load(&args.config, &Environment::of_process()) {
        Ok((config, _)) => config,
        Err(report) => {
            remark(&report.to_string());
            return Err(CliError::Failed(format!("{} is not valid", args.config.display())));
        }
    };
    let tenant = args.tenant.as_deref().map(|name| find(&config, name)).transpose()?;
    let socket = args.socket.clone().unwrap_or_else(|| config.gateway.control_socket.clone());
    let shown = runtime()?.block_on(async {
        let client = Client::new(socket);
        let (status, sessions) = (client.status().await?, client.sessions().await?);
        let question =
            Question { subject: subject(args.what), tenant, status: &status, sessions: &sessions };
        let shown = show(&config, &question).await;
        shown.map_err(|error| CliError::Failed(error.to_string()))
    })?;
    if args.json { out.json(&shown) } else { print(&shown, out) }
}

const fn subject(what: ShowWhat) -> Subject {
    match what {
        ShowWhat::Nat => Subject::Nat,
        ShowWhat::Policy => Subject::Policy,
        ShowWhat::Routes => Subject::Routes,
        ShowWhat::Rules => Subject::Rules,
    }
}

fn find<'a>(config: &'a Config, name: &str) -> Result<&'a Tenant, CliError> {
    let found = config.tenants.iter().find(|tenant| tenant.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = config.tenants.iter().map(|tenant| &*tenant.name).collect();
        let few = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(NAMES_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        CliError::Failed(format!("there is no tenant `{name}`; there are: {few}{more}"))
    })
}

fn print(shown: &Shown, out: &mut Output) -> Result<(), CliError> {
    match &shown.found {
        Rows::Nat(rows) => table(out, &NAT, rows, nat)?,
        Rows::Policy(all) => policies(all, out)?,
        Rows::Routes(rows) => table(out, &ROUTES, rows, route)?,
        Rows::Rules(rows) => table(out, &RULES, rows, rule)?,
    }
    for other in shown.other_tables.iter().take(NAMES_MAX) {
        let place = place(other.namespace.as_deref());
        out.line(&format!("somebody else's nftables table in {place}: {}", other.table))?;
    }
    for namespace in &shown.missing_namespaces {
        out.line(&format!("namespace {namespace} is not there"))?;
    }
    let standings = shown.found.standings();
    let count = |standing| standings.iter().filter(|one| **one == standing).count();
    let told = STANDINGS.map(|standing| (count(standing), word(standing)));
    let told = told.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told.map(|(count, word)| format!("{count} {word}")).collect();
    let told = if told.is_empty() { String::from("nothing there") } else { told.join(", ") };
    let amiss = [Standing::Altered, Standing::Missing, Standing::Unwanted];
    let hint = if amiss.iter().any(|standing| count(*standing) > 0) {
        "; `isthmus plan` says what would mend it, `isthmus reload` does it"
    } else {
        ""
    };
    out.line(&format!("gateway {}: {told}{hint}", shown.gateway))
}

/// The first rows, and how many there are besides.
fn table<T>(
    out: &mut Output,
    header: &[&str],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> Result<(), CliError> {
    out.table(header, rows.iter().take(ROWS_MAX).map(cells).collect())?;
    match rows.len().saturating_sub(ROWS_MAX) {
        0 => Ok(()),
        more => out.line(&format!("... and {more} more: `--tenant NAME` or `--json` shows them")),
    }
}

fn route(row: &RouteRow) -> Vec<String> {
    let device = row.device.as_deref().map(|device| format!(" on {device}")).unwrap_or_default();
    let way = match row.gateway {
        Some(gateway) => format!("via {gateway}{device}"),
        None if row.action == "link" => device.trim_start().to_owned(),
        None => format!("{}{device}", row.action),
    };
    let table = if row.table == MAIN { String::from("main") } else { row.table.to_string() };
    vec![
        owner(row.tenant.as_deref(), row.namespace.as_deref()),
        table,
        row.destination.to_string(),
        way,
        row.metric.to_string(),
        state(row.state, &row.differs),
        row.why.clone(),
    ]
}

fn rule(row: &RuleRow) -> Vec<String> {
    let from = row.from.map(|net| format!("from {net}"));
    let to = row.to.map(|net| format!("to {net}"));
    let input = row.input.as_ref().map(|device| format!("in by {device}"));
    let mark = row.mark.map(|(mark, under)| format!("mark {mark:#x}/{under:#x}"));
    let parts: Vec<_> = [from, to, input, mark].into_iter().flatten().collect();
    vec![
        owner(row.tenant.as_deref(), row.namespace.as_deref()),
        format!("IPv{}", row.ip_version),
        row.priority.to_string(),
        if parts.is_empty() { String::from("all") } else { parts.join(" ") },
        row.action.clone(),
        state(row.state, &[]),
        row.why.clone(),
    ]
}

fn nat(row: &NatRow) -> Vec<String> {
    vec![
        owner(row.tenant.as_deref(), row.namespace.as_deref()),
        row.kind.to_owned(),
        row.what.clone(),
        state(row.state, &row.differs),
        row.why.clone(),
    ]
}

fn policies(all: &[TenantPolicy], out: &mut Output) -> Result<(), CliError> {
    let mut left = ROWS_MAX;
    for policy in all {
        if left == 0 {
            return out.line("... and more tenants: `--tenant NAME` or `--json` shows them");
        }
        left = left.saturating_sub(policy.rows.len());
        let sessions = if policy.sessions == 1 { "session" } else { "sessions" };
        let place = place(policy.namespace.as_deref());
        out.line(&format!(
            "tenant {} ({} in {place}), {} {sessions}: answers pass, then the first that fits decides",
            policy.tenant, policy.interface, policy.sessions
        ))?;
        let numbered: Vec<_> = (1_usize..).zip(&policy.rows).collect();
        table(out, &POLICY, &numbered, |(number, row)| decision(*number, row))?;
        let inbound = match policy.inbound {
            Verdict::Allow => "connections from outside to users are let pass",
            Verdict::Deny => "connections from outside to users are refused",
        };
        out.line(inbound)?;
        out.line("")?;
    }
    Ok(())
}

fn decision(number: usize, row: &PolicyRow) -> Vec<String> {
    let to = if row.to.is_empty() { String::from("everything else") } else { few(&row.to) };
    let from: Vec<_> = row.from.iter().map(ToString::to_string).collect();
    let from = if from.is_empty() { String::new() } else { format!(" from {}", few(&from)) };
    vec![
        number.to_string(),
        if row.who.is_empty() { String::from("everybody") } else { few(&row.who) },
        row.sessions.to_string(),
        row.verdict.map_or_else(|| String::from("-"), |verdict| verdict.to_string()),
        format!("{to}{from}"),
        row.rule.clone(),
        row.packets.map_or_else(|| String::from("-"), |packets| packets.to_string()),
        state(row.state, &row.differs),
    ]
}

/// The first few, and how many there are besides.
fn few(all: &[String]) -> String {
    let told = all.iter().take(FEW_MAX).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(FEW_MAX) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Whose something is; a namespace where it is nobody's of ours.
fn owner(tenant: Option<&str>, namespace: Option<&str>) -> String {
    match (tenant, namespace) {
        (Some(tenant), _) => tenant.to_owned(),
        (None, Some(namespace)) => format!("- ({namespace})"),
        (None, None) => String::from("-"),
    }
}

fn place(namespace: Option<&str>) -> String {
    namespace.map_or_else(
        || String::from("the gateway's own namespace"),
        |name| format!("namespace {name}"),
    )
}

fn state(standing: Standing, differs: &[String]) -> String {
    match differs {
        [] => word(standing).to_owned(),
        some => format!("{}: {}", word(standing), some.join(", ")),
    }
}

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Altered => "altered",
        Standing::AsWanted => "as wanted",
        Standing::Foreign => "foreign",
        Standing::Missing => "missing",
        Standing::Unwanted => "unwanted",
    }
}

const STANDINGS: [Standing; 5] = [
    Standing::AsWanted,
    Standing::Missing,
    Standing::Altered,
    Standing::Unwanted,
    Standing::Foreign,
];
const NAT: [&str; 5] = ["tenant", "kind", "what", "state", "for"];
const POLICY: [&str; 8] = ["#", "who", "sessions", "decision", "to", "rule", "packets", "state"];
const ROUTES: [&str; 7] = ["tenant", "table", "destination", "way", "metric", "state", "for"];
const RULES: [&str; 7] = ["tenant", "ip", "priority", "packets", "action", "state", "for"];
/// The number of the main routing table.
const MAIN: u32 = isthmus_kernel::MAIN_TABLE;
/// Most rows that people are shown at a time.
const ROWS_MAX: usize = 500;
/// Most names in a message.
const NAMES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_tenant_is_answered_with_those_that_there_are() {
        let (mut config, _) = config::example_for_tests();
        let first = config.tenants.first().unwrap().clone();
        let names = (0..NAMES_MAX + 3).map(|n| Tenant { name: format!("t{n}"), ..first.clone() });
        config.tenants = names.collect();
        assert_eq!(find(&config, "t1").unwrap().name, "t1");
        let error = find(&config, "nobody").unwrap_err().to_string();
        assert!(error.starts_with("there is no tenant `nobody`; there are: t0, t1, "), "{error}");
        assert!(error.ends_with(", t19 and 3 more"), "{error}");
    }

    #[test]
    fn more_rows_than_people_read_are_counted() {
        let many: Vec<_> = (0..FEW_MAX + 2).map(|n| n.to_string()).collect();
        assert_eq!(few(&many), "0, 1, 2, 3 and 2 more");
    }
}
