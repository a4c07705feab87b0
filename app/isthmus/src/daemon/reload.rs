//! Reads configuration and users again while the gateway runs.
//!
//! A new configuration is validated whole before anything is touched. What it changes and can change
//! while sessions go on is applied; the rest is named and waits for a restart. A file with mistakes
//! changes nothing.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use isthmus_telemetry::LogControl;
use tokio::sync::Mutex;
use tracing::{error, info};

use super::{Notifier, RunOptions, log_problems};
use crate::api::{ControlHandle, Refusal, Reload, ReloadOutcome, TenantStatus};
use crate::config::{self, Config, Difference, Effect};
use crate::users::UsersWatch;

/// Holds the running configuration and replaces it.
#[derive(Debug)]
pub struct Reloader {
    options: RunOptions,
    control: ControlHandle,
    log: LogControl,
    notifier: Notifier,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    running: Arc<Config>,
    watch: UsersWatch,
}

impl Reloader {
    /// For a gateway that runs with `running`.
    pub fn new(
        options: RunOptions,
        running: Arc<Config>,
        control: ControlHandle,
        log: LogControl,
        notifier: Notifier,
    ) -> Self {
        let watch = UsersWatch::new(users_files(&running));
        Self { options, control, log, notifier, state: Mutex::new(State { running, watch }) }
    }

    /// Reloads for a signal: the log is the only place to say what came of it.
    pub(crate) async fn reload_and_log(&self) {
        let Err(refusal) = self.reload_now().await else {
            return;
        };
        let mistakes = refusal.problems.len();
        if mistakes > 0 {
            error!(mistakes, "the configuration has mistakes; nothing was reloaded");
        } else {
            error!(reason = refusal.error, remedy = refusal.remedy, "nothing was reloaded");
        }
        log_problems(refusal.problems);
    }

    /// Reads users files that have changed. One with mistakes leaves the users as they were.
    pub(crate) async fn look_at_users(&self) {
        let mut state = self.state.lock().await;
        let changed = state.watch.changed();
        if changed.is_empty() {
            return;
        }
        let mut config = Config::clone(&state.running);
        let auth = config.ppp.auth.clone();
        let mut read = Vec::new();
        for tenant in config.tenants.iter_mut().filter(|tenant| changed.contains(&tenant.name)) {
            match config::reload_users(tenant, &auth) {
                Ok((users, warnings)) => {
                    log_problems(warnings.view());
                    if users != tenant.users {
                        tenant.users = users;
                        read.push((tenant.name.clone(), tenant.users.len()));
                    }
                }
                Err(report) => {
                    let at = report.first_error_place();
                    error!(tenant = tenant.name, at, "mistakes; the users stay as they were");
                    log_problems(report.view());
                }
            }
        }
        if read.is_empty() {
            return;
        }
        match self.apply(&mut state, config).await {
            Ok(()) => {
                for (tenant, users) in read {
                    info!(tenant, users, "users read again");
                }
            }
            Err(refusal) => error!(reason = refusal.error, "the users stay as they were"),
        }
    }

    /// What a reload would do; nothing is changed.
    async fn preview_now(&self) -> Result<ReloadOutcome, Refusal> {
        let state = self.state.lock().await;
        let (_, outcome) = self.compare(&state).await?;
        Ok(outcome)
    }

    async fn reload_now(&self) -> Result<ReloadOutcome, Refusal> {
        let mut state = self.state.lock().await;
        self.notifier.reloading();
        let outcome = self.replace(&mut state).await;
        self.notifier.reloaded();
        outcome
    }

    async fn replace(&self, state: &mut State) -> Result<ReloadOutcome, Refusal> {
        let (new, outcome) = self.compare(state).await?;
        let effective = config::effective(&state.running, &new);
        if effective != *state.running {
            self.apply(state, effective).await?;
        }
        self.set_log_level(&new);
        let changes = &outcome.changes;
        let (applied, restart) = (changes.applied.join(", "), changes.needs_restart.join(", "));
        info!(applied, needs_restart = restart, "configuration read again");
        Ok(outcome)
    }

    /// Reads the configuration and says what of it is new.
    async fn compare(&self, state: &State) -> Result<(Config, ReloadOutcome), Refusal> {
        let (new, warnings) = config::load(&self.options.config, &self.options.environment)
            .map_err(|report| Refusal {
                error: format!("the configuration has mistakes: {}", report.summary()),
                remedy: String::from("correct them and reload; nothing was changed"),
                problems: report.view(),
            })?;
        log_problems(warnings.view());
        let mut changes = config::compare(&state.running, &new);
        let ending = |one: &&mut Difference| one.effect == Effect::EndsSessions;
        let mut ending = changes.differences.iter_mut().filter(ending).peekable();
        if ending.peek().is_some()
            && let Ok(status) = self.control.status().await
        {
            for difference in ending {
                let named =
                    |tenant: &&TenantStatus| difference.what == format!("tenant {}", tenant.name);
                let tenant = status.tenants.iter().find(named);
                difference.sessions_ended = tenant.map_or(0, |tenant| tenant.sessions);
            }
        }
        Ok((new, ReloadOutcome { changes, warnings: warnings.view() }))
    }

    async fn apply(&self, state: &mut State, config: Config) -> Result<(), Refusal> {
        let refusal = |error: String| Refusal {
            error,
            remedy: String::from("try again; nothing was changed"),
            problems: Vec::new(),
        };
        let config = Arc::new(config);
        let applied = self.control.apply(Arc::clone(&config)).await;
        applied.map_err(|error| refusal(error.to_string()))?.map_err(refusal)?;
        state.watch.retarget(users_files(&config));
        state.running = config;
        Ok(())
    }

    fn set_log_level(&self, config: &Config) {
        if self.options.log_filter.is_some() {
            return;
        }
        if let Err(reason) = self.log.set_filter(&config.gateway.log.level) {
            error!(%reason, "the log level stays as it was");
        }
    }
}

impl Reload for Reloader {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<ReloadOutcome, Refusal>> + Send + '_>> {
        Box::pin(self.reload_now())
    }

    fn preview(&self) -> Pin<Box<dyn Future<Output = Result<ReloadOutcome, Refusal>> + Send + '_>> {
        Box::pin(self.preview_now())
    }
}

fn users_files(config: &Config) -> Vec<(String, PathBuf)> {
    let tenants = config.tenants.iter();
    tenants.filter_map(|t| Some((t.name.clone(), t.users_file.clone()?))).collect()
}
