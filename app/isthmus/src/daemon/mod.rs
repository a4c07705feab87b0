//! `isthmus run`: everything around the gateway that is not the gateway.
//!
//! ```text
//!            signals      users files     control socket
//!               |              |                |
//!             [run] ------- Reloader ------ api::serve
//!               |              |                |
//!               |        ControlHandle ---------+
//!               v              v
//!             stop  ->  the engine: gateway, driver, kernel state
//! ```
//!
//! The engine is given as a function, so that this part is tested with a stand-in. It says when it is
//! ready, serves requests, and returns when it was told to stop or cannot go on.

mod notify;
mod reload;

pub use notify::Notifier;
pub use reload::Reloader;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use isthmus_telemetry::{AUDIT, LogControl, TelemetryError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::api::{self, ControlHandle, ControlRequest, ControlSocket, SocketError};
use crate::config::{self, Config, Environment};
use crate::report::{ProblemView, Report, Severity};
use crate::users::WATCH_INTERVAL;

/// What `isthmus run` is told.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// Secrets from outside the file.
    pub environment: Environment,
    /// A log filter that has precedence over `[gateway.log] level`.
    pub log_filter: Option<String>,
}

/// The engine's side of the connection to everything else.
#[derive(Debug)]
pub struct EngineSide {
    /// Questions and orders; to be served until `stop`.
    pub requests: mpsc::Receiver<ControlRequest>,
    /// To be told once clients can connect.
    pub ready: oneshot::Sender<()>,
    /// Ends when the engine has to say goodbye to its peers and return.
    pub stop: oneshot::Receiver<()>,
}

/// Why the engine cannot run, in one line with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration has mistakes.
    #[error("the configuration has mistakes\n\n{0}")]
    Config(Box<Report>),
    /// The gateway could not start or go on.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Told twice to end.
    #[error("stopped at once, without telling the peers")]
    Interrupted,
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(std::io::Error),
    /// The control socket cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Logs cannot be written.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

impl RunError {
    /// Whether it was written to the log, so that it need not be said again.
    pub const fn is_logged(&self) -> bool {
        match self {
            Self::Config(_) | Self::Telemetry(_) => false,
            Self::Engine(_) | Self::Interrupted | Self::Signals(_) | Self::Socket(_) => true,
        }
    }
}

/// Runs a gateway until SIGTERM or SIGINT.
///
/// # Errors
/// [`RunError`]; whatever was set up is removed then. See [`RunError::is_logged`].
pub async fn run<E, F>(options: RunOptions, engine: E) -> Result<(), RunError>
where
    E: FnOnce(Arc<Config>, EngineSide) -> F,
    F: Future<Output = Result<(), EngineError>> + Send + 'static,
{
    let (config, warnings) = config::load(&options.config, &options.environment)
        .map_err(|report| RunError::Config(Box::new(report)))?;
    let log = start_log(&options, &config)?;
    log_problems(warnings.view());
    let outcome = run_logged(options, Arc::new(config), log, engine).await;
    match &outcome {
        Ok(()) => info!("stopped"),
        Err(reason) => error!("{reason}"),
    }
    outcome
}

/// The part of [`run`] whose failures are in the log.
async fn run_logged<E, F>(
    options: RunOptions,
    config: Arc<Config>,
    log: LogControl,
    engine: E,
) -> Result<(), RunError>
where
    E: FnOnce(Arc<Config>, EngineSide) -> F,
    F: Future<Output = Result<(), EngineError>> + Send + 'static,
{
    let mut signals = Signals::new().map_err(RunError::Signals)?;
    let mut socket = ControlSocket::bind(&config.gateway.control_socket)?;
    let listener = socket.listener().map_err(RunError::Signals)?;

    let (control, requests) = api::control();
    let notifier = Notifier::start();
    let reloader = Arc::new(Reloader::new(
        options,
        Arc::clone(&config),
        control.clone(),
        log,
        notifier.clone(),
    ));
    let (ready, is_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let mut running =
        tokio::spawn(engine(Arc::clone(&config), EngineSide { requests, ready, stop: stopped }));
    let (close, closed) = oneshot::channel::<()>();
    let api = tokio::spawn(api::serve(listener, control.clone(), reloader.clone(), async {
        let _closed = closed.await;
    }));

    let outcome = tokio::select! {
        ended = &mut running => ended_early(ended),
        () = supervise(&control, &reloader, &notifier, is_ready, &mut signals) => {
            notifier.stopping();
            info!("stopping");
            let _ended = stop.send(());
            tokio::select! {
                ended = &mut running => joined(ended),
                () = signals.end() => Err(RunError::Interrupted),
            }
        }
    };
    let _ended = close.send(());
    // Whoever still holds a connection open does not hold the daemon up.
    let _slow = tokio::time::timeout(Duration::from_secs(1), api).await;
    outcome
}

/// Returns when a signal says that it is time to end.
async fn supervise(
    control: &ControlHandle,
    reloader: &Reloader,
    notifier: &Notifier,
    is_ready: oneshot::Receiver<()>,
    signals: &mut Signals,
) {
    tokio::select! {
        ready = is_ready => if ready.is_err() {
            // The engine has ended; whoever waits for it reports why.
            return std::future::pending().await;
        },
        () = signals.end() => return,
    }
    info!(version = env!("CARGO_PKG_VERSION"), "ready");
    notifier.ready();
    let mut look = interval(WATCH_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pulse = interval(notify::pulse_interval());
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::End => return,
                Wish::Reload => reloader.reload_and_log().await,
            },
            _ = look.tick() => reloader.look_at_users().await,
            _ = pulse.tick() => match control.status().await {
                Ok(status) => notifier.alive(&status),
                Err(reason) => warn!(%reason, "no status for the service manager"),
            },
        }
    }
}

fn ended_early(
    ended: Result<Result<(), EngineError>, tokio::task::JoinError>,
) -> Result<(), RunError> {
    joined(ended)?;
    Err(EngineError(String::from("the gateway ended without being told to")).into())
}

fn joined(ended: Result<Result<(), EngineError>, tokio::task::JoinError>) -> Result<(), RunError> {
    match ended {
        Ok(outcome) => outcome.map_err(RunError::from),
        Err(broken) => Err(EngineError(format!("the gateway broke off: {broken}")).into()),
    }
}

fn start_log(options: &RunOptions, config: &Config) -> Result<LogControl, TelemetryError> {
    let filter = options.log_filter.as_deref().unwrap_or(&config.gateway.log.level);
    isthmus_telemetry::init(config.gateway.log.format, filter)
}

/// One line per problem: what was shown at length by `check` must not be lost in a log.
///
/// Problems may name users, so they belong to the audit trail.
pub(crate) fn log_problems(problems: Vec<ProblemView>) {
    for problem in problems {
        let file = problem.file.unwrap_or_default();
        let line = problem.line.unwrap_or_default();
        let (message, remedy) = (problem.message, problem.remedy);
        match problem.severity {
            Severity::Error => error!(target: AUDIT, file, line, remedy, "{message}"),
            Severity::Warning => warn!(target: AUDIT, file, line, remedy, "{message}"),
        }
    }
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    End,
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
        }
    }

    /// Waits for the end; reloads are too late or too early.
    async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}
