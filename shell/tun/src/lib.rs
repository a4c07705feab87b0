//! Placeholder replaced by the crate manual.
