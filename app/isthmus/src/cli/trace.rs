//! `isthmus trace`.

use super::args::TraceArgs;
use super::failure::CliError;
use super::output::{Output, remark};
use super::run::runtime;
use crate::api::Client;
use crate::config::{self, Environment};
use crate::trace::{Question, Trace, TraceError, trace};

pub(crate) fn follow(args: &TraceArgs, out: &mut Output) -> Result<(), CliError> {
    let config = match config::load(&args.config, &Environment::of_process()) {
        Ok((config, _)) => config,
        Err(report) => {
            remark(&report.to_string());
            return Err(CliError::Failed(format!("{} is not valid", args.config.display())));
        }
    };
    let (to, port) = args.to;
    let question = Question {
        from: args.from.clone(),
        to,
        port,
        protocol: args.protocol,
        tenant: args.tenant.clone(),
    };
    let socket = args.socket.clone().unwrap_or_else(|| config.gateway.control_socket.clone());
    let told: Result<Trace, TraceError> = runtime()?.block_on(async {
        let sessions = Client::new(socket).sessions().await.ok();
        trace(&config, sessions.as_deref(), &question).await
    });
    let trace = told.map_err(|error| CliError::Failed(error.to_string()))?;
    if args.json {
        return out.json(&trace);
    }
    for step in &trace.steps {
        out.line(&format!("  {:8}{}", step.by, step.what))?;
    }
    let end = match (&trace.egress, trace.passes) {
        (_, false) => String::from("it goes nowhere"),
        (Some(egress), true) => format!("it leaves by {egress}"),
        (None, true) => String::from("it passes"),
    };
    out.line(&format!("{} to {} by {}: {end}", trace.source, trace.destination, trace.protocol))
}
