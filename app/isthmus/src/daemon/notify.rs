//! Tells systemd how the service is; does nothing when it was not started by systemd.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::api::Status;

/// Clients can connect.
pub(crate) fn ready() {
    send(&[NotifyState::Ready, NotifyState::Status("ready")]);
}

/// The configuration is being read again.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// Reading is over, well or badly.
pub(crate) fn reloaded() {
    send(&[NotifyState::Ready]);
}

/// The end has begun.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The gateway has just answered.
pub(crate) fn alive(status: &Status) {
    let line = format!("{} sessions, {} peers", status.sessions, status.peers);
    send(&[NotifyState::Watchdog, NotifyState::Status(&line)]);
}

/// How often to ask the gateway whether it is alive: twice as often as systemd wants to know.
pub(crate) fn pulse_interval() -> Duration {
    let wanted = sd_notify::watchdog_enabled().map_or(PULSE, |limit| limit / 2);
    wanted.clamp(Duration::from_millis(100), PULSE)
}

/// A service manager that does not listen is no reason to stop.
fn send(states: &[NotifyState<'_>]) {
    if let Err(reason) = sd_notify::notify(states) {
        tracing::debug!(%reason, "the service manager does not listen");
    }
}

const PULSE: Duration = Duration::from_secs(10);
