//! Tells systemd how the service is; does nothing when it was not started by systemd.
//!
//! Notices are sent by a thread of their own, because sending waits when the other end does not read.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::api::Status;

/// Sends notices in order; cheap to clone.
#[derive(Clone, Debug)]
pub struct Notifier {
    /// None when nobody wants to know.
    notices: Option<SyncSender<Notice>>,
}

/// A notice, and whom to tell that it is sent.
type Notice = (String, Option<SyncSender<()>>);

impl Notifier {
    /// A notifier to whoever started this process.
    pub fn start() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self { notices: None };
        }
        let (notices, waiting) = sync_channel::<Notice>(NOTICES_MAX);
        let sender = std::thread::Builder::new().name(String::from("notify"));
        let started = sender.spawn(move || {
            for (notice, sent) in waiting {
                if let Err(reason) = sd_notify::notify(&[NotifyState::Custom(&notice)]) {
                    tracing::debug!(%reason, "the service manager does not listen");
                }
                // Whoever waited may have lost patience.
                let _gone = sent.map(|sent| sent.send(()));
            }
        });
        Self { notices: started.is_ok().then_some(notices) }
    }

    /// Clients can connect.
    pub(crate) fn ready(&self) {
        self.send(&[NotifyState::Ready, NotifyState::Status("ready")]);
    }

    /// The configuration is being read again.
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(_) => self.send(&[NotifyState::Reloading]),
        }
    }

    /// Reading is over, well or badly.
    pub(crate) fn reloaded(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// The end has begun. Waits a little for the notice to be sent: the process may be over soon.
    pub(crate) fn stopping(&self) {
        let (sent, is_sent) = sync_channel(1);
        self.queue(&[NotifyState::Stopping, NotifyState::Status("stopping")], Some(sent));
        // Comes back at once when there is nobody to tell.
        let _late = is_sent.recv_timeout(FAREWELL_WITHIN);
    }

    /// The gateway has just answered.
    pub(crate) fn alive(&self, status: &Status) {
        let line = format!("{} sessions, {} peers", status.sessions, status.peers);
        self.send(&[NotifyState::Watchdog, NotifyState::Status(&line)]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        self.queue(states, None);
    }

    fn queue(&self, states: &[NotifyState<'_>], sent: Option<SyncSender<()>>) {
        if let Some(notices) = &self.notices {
            let lines: Vec<_> = states.iter().map(ToString::to_string).collect();
            // A service manager that does not read misses what would have been old news anyway.
            let _full = notices.try_send((lines.join("\n"), sent));
        }
    }
}

/// How often to ask the gateway whether it is alive: twice as often as systemd wants to know.
pub(crate) fn pulse_interval() -> Duration {
    let wanted = sd_notify::watchdog_enabled().map_or(PULSE, |limit| limit / 2);
    wanted.clamp(Duration::from_millis(100), PULSE)
}

/// How long the last notice may take.
const FAREWELL_WITHIN: Duration = Duration::from_millis(500);
const PULSE: Duration = Duration::from_secs(10);
/// Most notices waiting to be sent.
const NOTICES_MAX: usize = 32;
