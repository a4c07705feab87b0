//! Placeholder replaced by the crate manual.
#![no_std]
