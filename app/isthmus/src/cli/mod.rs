//! The command line: arguments in, one exit code out.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed; standard error says why and what to do |
//! | 2 | the command itself is wrong |
//! | 3 | the gateway is not running |
//! | 4 | `explain` knows nothing of whom it was asked about |
//! | 5 | `trace --send`: the packet did what the trace says, and nobody answered it |
//! | 6 | `trace --send`: the packet did something else than the trace says |
//!
//! Answers go to standard output, everything else to standard error. Commands that only read take
//! `--json`, and print one document then.

mod args;
mod bench;
mod bench_args;
mod check;
mod client;
mod dial_args;
mod explain;
mod failure;
mod guide;
mod output;
mod plan;
mod profile;
mod quickstart;
mod run;
mod show;
mod status;
mod trace;
mod user;

pub use args::Cli;
pub use failure::{CliError, Exit};

use std::ffi::OsString;
use std::process::ExitCode;

use args::Command;
use clap::Parser;
use output::Output;

/// Runs the command given by the arguments of the process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if asks_for_profiles(&error) => {
            let listed = client::list_profiles(&mut Output::new());
            return listed.map_or_else(|failure| failure.exit(), |()| Exit::Done).into();
        }
        Err(error) => {
            // Help and version are no mistakes; clap knows where each of them goes.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _printed = error.print();
            return code.into();
        }
    };
    let mut out = Output::new();
    match execute(cli.command, &mut out) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            output::complain(&error.to_string());
            error.exit().into()
        }
    }
}

/// Whether the command line says `--as help`; clap knows `help` as no client.
fn asks_for_profiles(error: &clap::Error) -> bool {
    use clap::error::{ContextKind, ContextValue};

    let said = |kind, wanted: &dyn Fn(&str) -> bool| matches!(error.get(kind), Some(ContextValue::String(text)) if wanted(text));
    said(ContextKind::InvalidArg, &|arg| arg.starts_with("--as "))
        && said(ContextKind::InvalidValue, &|value| value == "help")
}

fn execute(command: Command, out: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Bench(args) => bench::bench(args, out),
        Command::Check(args) => check::check(&args, out),
        Command::Client(args) => client::client(args, out),
        Command::Explain(args) => explain::explain(&args, out),
        Command::Plan(args) => plan::show_plan(&args, out),
        Command::Profile(args) => profile::profile(&args, out),
        Command::Quickstart(args) => quickstart::quickstart(&args, out),
        Command::Reload(args) => status::reload(&args, out),
        Command::Run(args) => run::run(args),
        Command::Sessions(args) => status::sessions(&args, out),
        Command::Show(args) => show::show_kernel(&args, out),
        Command::Status(args) => status::status(&args, out),
        Command::Trace(args) => trace::follow(&args, out),
        Command::User(args) => user::user(args.command, out),
        Command::Version(args) => status::version(args, out),
    }
}
