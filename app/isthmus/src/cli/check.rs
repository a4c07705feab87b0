//! `isthmus check`.

use serde::Serialize;

use super::args::CheckArgs;
use super::failure::CliError;
use super::output::{Output, remark};
use crate::config::{self, Config, Environment};
use crate::report::{ProblemView, Severity};

#[derive(Serialize)]
struct Verdict {
    valid: bool,
    problems: Vec<ProblemView>,
}

pub(crate) fn check(args: &CheckArgs, out: &mut Output) -> Result<(), CliError> {
    let loaded = config::load(&args.config, &Environment::of_process());
    let valid = loaded.is_ok();
    let (config, report) = match loaded {
        Ok((config, report)) => (Some(config), report),
        Err(report) => (None, report),
    };
    if args.json {
        out.json(&Verdict { valid, problems: report.view() })?;
        return if valid { Ok(()) } else { Err(CliError::Said) };
    }
    if !report.is_empty() {
        remark(&report.to_string());
    }
    let warnings = count(report.count(Severity::Warning), "warning");
    let Some(config) = config else {
        let errors = count(report.count(Severity::Error), "error");
        return Err(CliError::Failed(format!("{}: {errors}, {warnings}", args.config.display())));
    };
    out.line(&format!("{}: valid, {warnings}", args.config.display()))?;
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
