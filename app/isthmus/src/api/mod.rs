//! The control API: what a running gateway shows of itself, and what it can be asked to do.
//!
//! ```text
//! isthmus status -> client -> HTTP over a Unix socket -> server -> ControlHandle -> gateway
//! ```
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/sessions` | list of [`Session`] |
//! | `GET /v1/failures` | list of [`Failure`], newest first |
//! | `POST /v1/reload` | [`ReloadOutcome`]; 422 with [`Refusal`] when the configuration has mistakes |
//! | `POST /v1/sessions/{id}/disconnect` | [`Disconnected`]; 404 when there is no such session |
//! | `POST /v1/sessions/{id}/probe` with [`ProbeRequest`] | [`ProbeSent`]; 404 when there is no such session, 409 while it is not up, 422 for a packet that is not the session's, 429 after too many |
//!
//! Every refusal has a body of type [`Refusal`]. Only the owner of the process can open the socket.

mod client;
mod control;
mod probes;
mod server;
mod socket;
mod types;

pub use client::{Client, ClientError};
pub use control::{ControlError, ControlHandle, ControlRequest, REQUESTS_MAX, control};
pub use server::{Reload, serve};
pub use socket::{ControlSocket, SocketError};
pub use types::{
    DataPath, DeviceStatus, Disconnected, DropCount, EgressStatus, Failure, LacStatus, LimitCounts,
    ProbeProtocol, ProbeRequest, ProbeSent, Refusal, ReloadOutcome, Session, SessionId, Status,
    Step, TenantStatus,
};
