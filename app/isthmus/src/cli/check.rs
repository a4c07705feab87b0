//! `isthmus check`.

use isthmus_driver::Surroundings;
use isthmus_findings::{Finding, Severity as Weight};
use serde::Serialize;

use super::args::CheckArgs;
use super::failure::CliError;
use super::output::{Output, remark};
use crate::config::{self, Config, Environment};
use crate::findings;
use crate::report::{ProblemView, Severity};

#[derive(Serialize)]
struct Verdict {
    valid: bool,
    problems: Vec<ProblemView>,
    /// What fits the rules and cannot work.
    findings: Vec<Finding>,
}

pub(crate) fn check(args: &CheckArgs, out: &mut Output) -> Result<(), CliError> {
    let loaded = config::load(&args.config, &Environment::of_process());
    let valid = loaded.is_ok();
    let (config, report) = match loaded {
        Ok((config, report)) => (Some(config), report),
        Err(report) => (None, report),
    };
    let nowhere = Surroundings::new();
    let findings =
        config.as_ref().map(|config| findings::find(config, &nowhere)).unwrap_or_default();
    let broken = findings.iter().filter(|finding| finding.severity == Weight::Error).count();
    if args.json {
        out.json(&Verdict { valid, problems: report.view(), findings })?;
        return if valid && broken == 0 { Ok(()) } else { Err(CliError::Said) };
    }
    if !report.is_empty() {
        remark(&report.to_string());
    }
    for finding in &findings {
        remark(&finding.to_string());
    }
    let warnings = count(report.count(Severity::Warning), "warning");
    let Some(config) = config else {
        let errors = count(report.count(Severity::Error), "error");
        return Err(CliError::Failed(format!("{}: {errors}, {warnings}", args.config.display())));
    };
    let found = match findings.len() {
        0 => String::new(),
        some => format!(", {}", count(some, "finding")),
    };
    if broken > 0 {
        let errors = count(broken, "error");
        let message = format!("{}: {errors}, {warnings}{found}", args.config.display());
        return Err(CliError::Failed(message));
    }
    out.line(&format!("{}: valid, {warnings}{found}", args.config.display()))?;
    out.line(&summary(&config))
}

/// What the configuration amounts to.
fn summary(config: &Config) -> String {
    let tenants: Vec<_> = config
        .tenants
        .iter()
        .map(|tenant| {
            let v4 = tenant.pool.iter().map(ToString::to_string);
            let pool: Vec<_> = v4.chain(tenant.pool6.iter().map(ToString::to_string)).collect();
            let users = count(tenant.users.len(), "user");
            format!(
                "  {}: pool {}, {users}, device {}",
                tenant.name,
                pool.join(" "),
                tenant.interface
            )
        })
        .collect();
    let legacy = if config.ipsec.legacy { ", weak algorithms allowed" } else { "" };
    format!(
        "gateway {}, UDP {} and {}{legacy}\n{}",
        config.gateway.name,
        config.gateway.ike_port,
        config.gateway.nat_t_port,
        tenants.join("\n")
    )
}

/// `1 user`, `2 users`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
