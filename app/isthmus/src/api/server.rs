//! Serves the control API.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::UnixListener;

use super::control::{ControlError, ControlHandle};
use super::probes;
use super::types::{
    Disconnected, Failure, ProbeRequest, ProbeSent, Refusal, ReloadOutcome, Session, SessionId,
    Status,
};

/// Reads the configuration again and applies it; the API and SIGHUP share one.
pub trait Reload: Send + Sync + 'static {
    /// Does it.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<ReloadOutcome, Refusal>> + Send + '_>>;

    /// Says what it would do, and does nothing.
    fn preview(&self) -> Pin<Box<dyn Future<Output = Result<ReloadOutcome, Refusal>> + Send + '_>>;
}

#[derive(Clone)]
struct Shared {
    control: ControlHandle,
    reload: Arc<dyn Reload>,
}

/// Serves until `stop` ends; requests that are being answered are answered to the end.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: UnixListener,
    control: ControlHandle,
    reload: Arc<dyn Reload>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/sessions", get(sessions))
        .route("/v1/sessions/{id}/disconnect", post(disconnect))
        .route("/v1/sessions/{id}/probe", post(probe))
        .route("/v1/failures", get(failures))
        .route("/v1/reload", post(reload_now))
        .route("/v1/reload/preview", get(preview_now))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Shared { control, reload });
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn status(State(shared): State<Shared>) -> Result<Json<Status>, Answer> {
    Ok(Json(shared.control.status().await?))
}

async fn sessions(State(shared): State<Shared>) -> Result<Json<Vec<Session>>, Answer> {
    Ok(Json(shared.control.sessions().await?))
}

async fn failures(State(shared): State<Shared>) -> Result<Json<Vec<Failure>>, Answer> {
    Ok(Json(shared.control.failures().await?))
}

async fn disconnect(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Disconnected>, Answer> {
    let session = SessionId(id.parse().map_err(|_| no_such(&id))?);
    if shared.control.disconnect(session).await? {
        Ok(Json(Disconnected { session }))
    } else {
        Err(no_such(&id))
    }
}

async fn probe(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Result<Json<ProbeRequest>, JsonRejection>,
) -> Result<Json<ProbeSent>, Answer> {
    let session = SessionId(id.parse().map_err(|_| no_such(&id))?);
    let Json(request) = body
        .map_err(|error| Answer::new(StatusCode::BAD_REQUEST, error.body_text(), probes::REMEDY))?;
    let (request, probe) = probes::read(request)
        .map_err(|error| Answer::new(StatusCode::BAD_REQUEST, error, probes::REMEDY))?;
    match shared.control.probe(session, probe).await? {
        Ok(()) => Ok(Json(probes::sent(session, request, &probe))),
        Err(refusal) => {
            let (code, refusal) = probes::refusal(&id, &refusal);
            Err(Answer(code, refusal))
        }
    }
}

fn no_such(id: &str) -> Answer {
    let error = format!("there is no session `{}`", id.escape_debug());
    Answer::new(StatusCode::NOT_FOUND, error, "`isthmus sessions` shows all")
}

async fn reload_now(State(shared): State<Shared>) -> Result<Json<ReloadOutcome>, Answer> {
    let outcome = shared.reload.reload().await;
    outcome.map(Json).map_err(|refusal| Answer(StatusCode::UNPROCESSABLE_ENTITY, refusal))
}

async fn preview_now(State(shared): State<Shared>) -> Result<Json<ReloadOutcome>, Answer> {
    let outcome = shared.reload.preview().await;
    outcome.map(Json).map_err(|refusal| Answer(StatusCode::UNPROCESSABLE_ENTITY, refusal))
}

async fn unknown() -> Answer {
    let remedy = "try /v1/status, /v1/sessions, /v1/failures or /v1/reload";
    Answer::new(StatusCode::NOT_FOUND, "there is nothing here", remedy)
}

async fn wrong_method() -> Answer {
    let remedy = "read with GET, change with POST";
    Answer::new(StatusCode::METHOD_NOT_ALLOWED, "this cannot be done here", remedy)
}

/// A refusal on its way out.
struct Answer(StatusCode, Refusal);

impl Answer {
    fn new(code: StatusCode, error: impl Into<String>, remedy: &str) -> Self {
        let remedy = remedy.to_owned();
        Self(code, Refusal { error: error.into(), remedy, problems: Vec::new() })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<ControlError> for Answer {
    fn from(error: ControlError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), "try again in a moment")
    }
}
