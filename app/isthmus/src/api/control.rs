//! The handle through which everything asks the gateway: a bounded queue of requests, each with its
//! own way back.
//!
//! The gateway's side is a [`ControlRequest`] receiver. Whoever serves it answers each request or
//! drops it; a dropped request is [`ControlError::Gone`] for the asker, a slow one
//! [`ControlError::Late`]. Nothing that asks can hold the gateway up.

use std::sync::Arc;
use std::time::Duration;

use isthmus_gateway::ProbeRefusal;
use isthmus_wire::probe::Probe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::types::{Failure, Session, SessionId, Status};
use crate::config::Config;

/// One question or order.
#[derive(Debug)]
pub enum ControlRequest {
    /// Take over this configuration; it is valid, and differs from the running one only in what can
    /// change while sessions go on (see [`crate::config::effective`]). Answers why not, if not.
    Apply {
        /// Whole, users included.
        config: Arc<Config>,
        /// The way back.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// End one session; answers whether there was such a session.
    Disconnect {
        /// Which.
        session: SessionId,
        /// The way back.
        reply: oneshot::Sender<bool>,
    },
    /// All failed attempts that are kept, newest first.
    Failures(oneshot::Sender<Vec<Failure>>),
    /// Send a probe in the name of a session.
    Probe {
        /// Whose.
        session: SessionId,
        /// The packet.
        probe: Probe,
        /// The way back.
        reply: oneshot::Sender<Result<(), ProbeRefusal>>,
    },
    /// All sessions.
    Sessions(oneshot::Sender<Vec<Session>>),
    /// Everything at a glance.
    Status(oneshot::Sender<Status>),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The gateway has ended.
    #[error("the gateway is shutting down")]
    Gone,
    /// The gateway does not answer in time.
    #[error("the gateway is busy and did not answer in {} seconds", ANSWER_WITHIN.as_secs())]
    Late,
}

/// Asks; cheap to clone.
#[derive(Clone, Debug)]
pub struct ControlHandle {
    requests: mpsc::Sender<ControlRequest>,
}

/// A handle and the receiver that the gateway serves.
pub fn control() -> (ControlHandle, mpsc::Receiver<ControlRequest>) {
    let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
    (ControlHandle { requests }, receiver)
}

impl ControlHandle {
    /// The state now.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask(ControlRequest::Status).await
    }

    /// All sessions.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn sessions(&self) -> Result<Vec<Session>, ControlError> {
        self.ask(ControlRequest::Sessions).await
    }

    /// The failed attempts that are kept, newest first.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn failures(&self) -> Result<Vec<Failure>, ControlError> {
        self.ask(ControlRequest::Failures).await
    }

    /// Ends a session; false when there is none of that name.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn disconnect(&self, session: SessionId) -> Result<bool, ControlError> {
        self.ask(|reply| ControlRequest::Disconnect { session, reply }).await
    }

    /// Sends a probe in the name of a session.
    ///
    /// # Errors
    /// [`ControlError`]; the inner error is the gateway's own.
    pub async fn probe(
        &self,
        session: SessionId,
        probe: Probe,
    ) -> Result<Result<(), ProbeRefusal>, ControlError> {
        self.ask(|reply| ControlRequest::Probe { session, probe, reply }).await
    }

    /// Hands over a valid configuration.
    ///
    /// # Errors
    /// [`ControlError`]; the inner error is the gateway's own.
    pub async fn apply(&self, config: Arc<Config>) -> Result<Result<(), String>, ControlError> {
        self.ask_within(APPLY_WITHIN, |reply| ControlRequest::Apply { config, reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> ControlRequest,
    ) -> Result<T, ControlError> {
        self.ask_within(ANSWER_WITHIN, request).await
    }

    async fn ask_within<T>(
        &self,
        limit: Duration,
        request: impl FnOnce(oneshot::Sender<T>) -> ControlRequest,
    ) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.requests.send(request(reply)).await.map_err(|_| ControlError::Gone)?;
            answer.await.map_err(|_| ControlError::Gone)
        };
        timeout(limit, exchange).await.map_err(|_| ControlError::Late)?
    }
}

/// Most requests waiting for the gateway; further askers wait their turn.
pub const REQUESTS_MAX: usize = 32;
/// How long an asker waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a new configuration may take: the devices and namespaces of hundreds of tenants.
const APPLY_WITHIN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_request_is_gone() {
        let (handle, mut requests) = control();
        let gateway = tokio::spawn(async move { drop(requests.recv().await) });
        assert_eq!(handle.status().await, Err(ControlError::Gone));
        gateway.await.unwrap();
        assert_eq!(handle.sessions().await, Err(ControlError::Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_gateway_is_late_however_many_ask() {
        let (handle, _requests) = control();
        let askers: Vec<_> = (0..REQUESTS_MAX + 5)
            .map(|_| {
                let handle = handle.clone();
                tokio::spawn(async move { handle.failures().await })
            })
            .collect();
        for asker in askers {
            assert_eq!(asker.await.unwrap(), Err(ControlError::Late));
        }
    }
}
