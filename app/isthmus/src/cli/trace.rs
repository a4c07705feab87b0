//! `isthmus trace`.

use std::time::Duration;

use super::args::TraceArgs;
use super::failure::CliError;
use super::output::{Output, remark};
use super::run::runtime;
use crate::api::Client;
use crate::config::{self, Config, Environment};
use crate::trace::{Outcome, ProveError, Question, Sent, Trace, prove, trace};

pub(crate) fn follow(args: &TraceArgs, out: &mut Output) -> Result<(), CliError> {
    let config = match config::load(&args.config, &Environment::of_process()) {
        Ok((config, _)) => config,
        Err(report) => {
            remark(&report.to_string());
            return Err(CliError::Failed(format!("{} is not valid", args.config.display())));
        }
    };
    let trace = runtime()?.block_on(told(args, &config))?;
    if args.json {
        out.json(&trace)?;
    } else {
        say(&trace, out)?;
    }
    trace.sent.as_ref().map_or(Ok(()), verdict)
}

async fn told(args: &TraceArgs, config: &Config) -> Result<Trace, CliError> {
    let (to, port) = args.to;
    let question = Question {
        from: args.from.clone(),
        to,
        port,
        protocol: args.protocol,
        tenant: args.tenant.clone(),
    };
    let socket = args.socket.clone().unwrap_or_else(|| config.gateway.control_socket.clone());
    let client = Client::new(socket);
    // Without a gateway there is something to trace, but nobody to send.
    let sessions = match client.sessions().await {
        Err(error) if args.send => return Err(error.into()),
        sessions => sessions.ok(),
    };
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let followed = trace(config, sessions.as_deref(), &question).await;
    let mut trace = followed.map_err(|error| failed(&error))?;
    if args.send {
        let wait = Duration::from_secs(args.wait);
        let proved = prove(config, &client, (&question, &mut trace), wait).await;
        proved.map_err(|error| match error {
            ProveError::Api(error) => CliError::Api(error),
            ProveError::Packet(text) => CliError::Usage(text),
            other @ (ProveError::NotConnected(_)
            | ProveError::Sight(_)
            | ProveError::System(_)
            | ProveError::Unseen(_)) => failed(&other),
        })?;
    }
    Ok(trace)
}

fn say(trace: &Trace, out: &mut Output) -> Result<(), CliError> {
    for step in &trace.steps {
        out.line(&format!("  {:8}{}", step.by, step.what))?;
    }
    let end = match (&trace.egress, trace.passes) {
        (_, false) => String::from("it goes nowhere"),
        (Some(egress), true) => format!("it leaves by {egress}"),
        (None, true) => String::from("it passes"),
    };
    let seen = match &trace.sent {
        None => "",
        Some(sent) if !sent.contradictions.is_empty() => "; THE PACKET THAT WAS SENT DID NOT",
        Some(Sent { outcome: Outcome::Answered, .. }) => "; the packet that was sent is answered",
        Some(_) => "; the packet that was sent is not answered",
    };
    out.line(&format!(
        "{} to {} by {}: {end}{seen}",
        trace.source, trace.destination, trace.protocol
    ))
}

/// The exit code of what became of a packet that was sent.
fn verdict(sent: &Sent) -> Result<(), CliError> {
    if !sent.contradictions.is_empty() {
        return Err(CliError::Contradicted);
    }
    match sent.outcome {
        Outcome::Answered => Ok(()),
        Outcome::Closed
        | Outcome::Lost
        | Outcome::Refused
        | Outcome::Silent
        | Outcome::Stopped
        | Outcome::Unreachable
        | Outcome::Unseen => Err(CliError::Unanswered),
    }
}
