//! Two pipelines, one for each end, that exchange whole packets.

pub(crate) mod fixture;
