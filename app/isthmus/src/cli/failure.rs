//! How a command can fail, and the exit code of each way.

use std::process::ExitCode;

use crate::api::ClientError;
use crate::client::ClientFailure;
use crate::daemon::RunError;
use crate::report::Report;
use crate::users::{EditError, PasswordError};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1.
    Failed,
    /// 3.
    NotRunning,
    /// 4.
    NothingKnown,
    /// 2.
    Usage,
    /// 5.
    Unanswered,
    /// 6.
    Contradicted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::NotRunning => Self::from(3),
            Exit::NothingKnown => Self::from(4),
            Exit::Unanswered => Self::from(5),
            Exit::Contradicted => Self::from(6),
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Asking the gateway failed.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// The client could not connect or was cut off.
    #[error(transparent)]
    Client(#[from] ClientFailure),
    /// A packet that was sent did something else than the trace says; that is said already.
    #[error("")]
    Contradicted,
    /// Changing the users file failed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Anything with a message of its own.
    #[error("{0}")]
    Failed(String),
    /// A file has mistakes.
    #[error("{0}")]
    Mistakes(Box<Report>),
    /// The gateway knows nothing of whom it was asked about; what to check is said already.
    #[error("")]
    NothingKnown,
    /// Reading a password failed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The daemon could not start or go on.
    #[error(transparent)]
    Run(#[from] Box<RunError>),
    /// The arguments contradict each other in a way clap cannot see.
    #[error("{0}")]
    Usage(String),
    /// Said already; only the exit code is left.
    #[error("")]
    Said,
    /// A packet that was sent has no answer; that is said already.
    #[error("")]
    Unanswered,
}

impl CliError {
    /// The exit code.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Api(ClientError::NotRunning(_)) => Exit::NotRunning,
            Self::NothingKnown => Exit::NothingKnown,
            Self::Contradicted => Exit::Contradicted,
            Self::Unanswered => Exit::Unanswered,
            Self::Usage(_) => Exit::Usage,
            Self::Api(
                ClientError::Garbled { .. }
                | ClientError::Late(_)
                | ClientError::NoPermission(_)
                | ClientError::Refused(_),
            )
            | Self::Client(_)
            | Self::Edit(_)
            | Self::Failed(_)
            | Self::Mistakes(_)
            | Self::Password(_)
            | Self::Run(_)
            | Self::Said => Exit::Failed,
        }
    }
}

impl From<Report> for CliError {
    fn from(report: Report) -> Self {
        Self::Mistakes(Box::new(report))
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        Self::Run(Box::new(error))
    }
}
