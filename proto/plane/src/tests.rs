//! Two pipelines, one for each end, that exchange whole packets.

mod bounds;
mod commands;
mod devices;
pub(crate) mod fixture;
mod hostile;
mod l2tp;
mod neighbours;
mod on_link;
mod order;
mod paths;
mod plain;
mod rates;
mod rekey;
mod round_trip;
mod share;
mod size;
