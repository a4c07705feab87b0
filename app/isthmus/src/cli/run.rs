//! `isthmus run`.

use super::args::RunArgs;
use super::failure::CliError;
use crate::config::Environment;
use crate::daemon::{self, RunOptions};
use crate::descriptors;

pub(crate) fn run(args: RunArgs) -> Result<(), CliError> {
    let options = RunOptions {
        config: args.config,
        environment: Environment::of_process(),
        log_filter: log_filter(),
    };
    descriptors::raise();
    let runtime = runtime()?;
    match runtime.block_on(daemon::run(options, crate::run::gateway)) {
        Err(error) if error.is_logged() => Err(CliError::Said),
        outcome => Ok(outcome?),
    }
}

/// `ISTHMUS_LOG`, which has precedence over the configuration.
pub(crate) fn log_filter() -> Option<String> {
    std::env::var("ISTHMUS_LOG").ok().filter(|filter| !filter.is_empty())
}

/// Control only: packets have threads of their own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("cannot start threads: {error}")))
}
