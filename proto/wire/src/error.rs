//! Why bytes are not a message.

use core::fmt;

/// A decoding failure: which field, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Name of the field in the words of its RFC.
    pub field: &'static str,
    /// What is wrong.
    pub fault: Fault,
}

/// The closed set of decoding faults; fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A value the field may not have.
    Illegal,
    /// Longer than we take.
    TooLong,
    /// More elements than we take.
    TooMany,
    /// Bytes are left over.
    Trailing,
    /// Bytes are missing.
    Truncated,
}

impl DecodeError {
    /// A failure at `field`.
    pub const fn new(field: &'static str, fault: Fault) -> Self {
        Self { field, fault }
    }

    /// Shorthand for a value the field may not have.
    pub const fn illegal(field: &'static str) -> Self {
        Self::new(field, Fault::Illegal)
    }
}

impl Fault {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Illegal => "illegal",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::Trailing => "trailing",
            Self::Truncated => "truncated",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.fault.label())
    }
}

impl core::error::Error for DecodeError {}
