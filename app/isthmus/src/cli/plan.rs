//! `isthmus plan`.

use std::path::PathBuf;

use serde::Serialize;

use super::args::PlanArgs;
use super::failure::CliError;
use super::output::{Output, remark};
use super::run::runtime;
use crate::api::{Client, ClientError, Status};
use crate::config::{self, Environment};
use crate::plan::{Action, Plan, Step, plan};

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    add: usize,
    change: usize,
    remove: usize,
}

pub(crate) fn show_plan(args: &PlanArgs, out: &mut Output) -> Result<(), CliError> {
    let (config, report) = match config::load(&args.config, &Environment::of_process()) {
        Ok(loaded) => loaded,
        Err(report) => {
            remark(&report.to_string());
            return Err(CliError::Failed(format!("{} is not valid", args.config.display())));
        }
    };
    if !report.is_empty() {
        remark(&report.to_string());
    }
    let socket = args.socket.clone().unwrap_or_else(|| config.gateway.control_socket.clone());
    let compared = runtime()?.block_on(async {
        let status = running(socket, &config.gateway.name).await?;
        let plan = plan(&config, status.as_ref()).await;
        plan.map_err(|error| CliError::Failed(error.to_string()))
    });
    let plan = compared?;
    let count = |action| plan.count(action);
    let (add, change, remove) = (count(Action::Add), count(Action::Change), count(Action::Remove));
    if args.json {
        return out.json(&Answer { plan: &plan, add, change, remove });
    }
    for (namespace, steps) in by_namespace(&plan.steps) {
        out.line(&format!("namespace {}:", namespace.unwrap_or("of the gateway")))?;
        for step in steps.iter().take(STEPS_MAX) {
            out.line(&line(step))?;
        }
        if let Some(more @ 1..) = steps.len().checked_sub(STEPS_MAX) {
            out.line(&format!("    ... and {more} more; `--json` has them all"))?;
        }
    }
    for finding in &plan.findings {
        let place = finding.namespace.as_ref();
        let place = place.map_or(String::new(), |name| format!(" (namespace {name})"));
        out.line(&format!("  ! {finding}{place}").replace('\n', "\n    "))?;
    }
    if plan.steps.is_empty() {
        return out.line(&format!("gateway {}: the kernel is as it is to be", plan.gateway));
    }
    out.line(&format!(
        "gateway {}: {add} to add, {change} to change, {remove} to remove; nothing has been changed",
        plan.gateway
    ))
}

/// The state of the gateway of that name, where it runs: it knows the numbers of its tenants.
pub(crate) async fn running(socket: PathBuf, name: &str) -> Result<Option<Status>, CliError> {
    match Client::new(socket).status().await {
        Ok(status) => Ok(Some(status).filter(|status| status.name == name)),
        Err(ClientError::NotRunning(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn line(step: &Step) -> String {
    let sign = match step.action {
        Action::Add => '+',
        Action::Change => '~',
        Action::Remove => '-',
    };
    let why = if step.why.is_empty() { String::new() } else { format!("  # {}", step.why) };
    format!("  {sign} {}{why}", step.what)
}

/// Steps of one namespace follow each other.
fn by_namespace(steps: &[Step]) -> impl Iterator<Item = (Option<&str>, &[Step])> {
    let chunks = steps.chunk_by(|a, b| a.namespace == b.namespace);
    chunks.map(|chunk| (chunk.first().and_then(|step| step.namespace.as_deref()), chunk))
}

/// Most steps of a namespace that people are shown.
const STEPS_MAX: usize = 500;
