//! Asks a running gateway over its control socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::types::{
    Disconnected, Failure, ProbeRequest, ProbeSent, Refusal, ReloadOutcome, Session, SessionId,
    Status,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Somebody answers, but not as a gateway of this version does.
    #[error("what listens at `{path}` does not answer as isthmus does: {why}")]
    Garbled {
        /// The socket.
        path: String,
        /// What is odd.
        why: String,
    },
    /// The gateway does not answer.
    #[error("the gateway at `{0}` does not answer")]
    Late(String),
    /// The socket belongs to somebody else.
    #[error("no permission to open `{0}`; run this as the user that runs the gateway")]
    NoPermission(String),
    /// Nothing listens there.
    #[error("isthmus is not running: nothing listens at `{0}`; start it with `isthmus run`")]
    NotRunning(String),
    /// The gateway says no.
    #[error("{}{}", .0.error, remedy(.0))]
    Refused(Box<Refusal>),
}

fn remedy(refusal: &Refusal) -> String {
    if refusal.remedy.is_empty() { String::new() } else { format!("; {}", refusal.remedy) }
}

/// Asks one gateway; each question is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Of the gateway with this control socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The state now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/v1/status").await
    }

    /// All sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sessions(&self) -> Result<Vec<Session>, ClientError> {
        self.ask(Method::GET, "/v1/sessions").await
    }

    /// Failed attempts, newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn failures(&self) -> Result<Vec<Failure>, ClientError> {
        self.ask(Method::GET, "/v1/failures").await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn disconnect(&self, session: SessionId) -> Result<Disconnected, ClientError> {
        self.ask(Method::POST, &format!("/v1/sessions/{session}/disconnect")).await
    }

    /// Sends a probe in the name of a session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn probe(
        &self,
        session: SessionId,
        probe: &ProbeRequest,
    ) -> Result<ProbeSent, ClientError> {
        let body = serde_json::to_vec(probe).map_err(|e| self.garbled(&e))?;
        let request = (Method::POST, format!("/v1/sessions/{session}/probe"), body);
        self.ask_whole(ANSWER_WITHIN, request).await
    }

    /// Makes the gateway read its configuration again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reload(&self) -> Result<ReloadOutcome, ClientError> {
        self.ask_within(RELOAD_WITHIN, Method::POST, "/v1/reload").await
    }

    /// What a reload would do.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn preview_reload(&self) -> Result<ReloadOutcome, ClientError> {
        self.ask(Method::GET, "/v1/reload/preview").await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        self.ask_within(ANSWER_WITHIN, method, path).await
    }

    async fn ask_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
    ) -> Result<T, ClientError> {
        self.ask_whole(limit, (method, path.to_owned(), Vec::new())).await
    }

    async fn ask_whole<T: DeserializeOwned>(
        &self,
        limit: Duration,
        request: (Method, String, Vec<u8>),
    ) -> Result<T, ClientError> {
        timeout(limit, self.exchange(request)).await.map_err(|_| ClientError::Late(self.name()))?
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        (method, path, body): (Method, String, Vec<u8>),
    ) -> Result<T, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.unreachable(&e))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.garbled(&e))?;
        let _driven = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "isthmus")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| self.garbled(&e))?;
        let response = sender.send_request(request).await.map_err(|e| self.garbled(&e))?;
        let code = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|e| self.garbled(&e))?.to_bytes();
        if code.is_success() {
            return serde_json::from_slice(&body).map_err(|e| self.garbled(&e));
        }
        let refusal = serde_json::from_slice(&body).map_err(|e| self.garbled(&e))?;
        Err(ClientError::Refused(Box::new(refusal)))
    }

    fn unreachable(&self, error: &std::io::Error) -> ClientError {
        let kind = error.kind();
        if matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
            ClientError::NotRunning(self.name())
        } else if kind == ErrorKind::PermissionDenied {
            ClientError::NoPermission(self.name())
        } else {
            self.garbled(error)
        }
    }

    fn garbled(&self, why: &dyn std::fmt::Display) -> ClientError {
        ClientError::Garbled { path: self.name(), why: why.to_string() }
    }

    fn name(&self) -> String {
        self.socket.display().to_string()
    }
}

/// Longer than the gateway takes to say that it is busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Hundreds of new tenants take their time.
const RELOAD_WITHIN: Duration = Duration::from_secs(70);
/// Largest answer taken; a hundred thousand sessions fit.
const ANSWER_BYTES_MAX: usize = 64 << 20;
