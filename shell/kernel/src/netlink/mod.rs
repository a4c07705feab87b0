//! The adapter to the kernel's netlink: our types outside, the netlink crates' inside.
//!
//! Requests are synchronous: one is sent and its answer awaited. Reading gives everything that is
//! there with a mark whether it carries our tag; changes are single requests that tell why they
//! failed.

mod addresses;
mod around;
mod connections;
mod links;
mod listener;
mod lookup;
mod nftables;
mod routes;
mod rules;
mod socket;

pub(crate) use connections::Connections;
pub(crate) use links::ActualLink;
pub(crate) use listener::Listener;
pub(crate) use nftables::Ruleset;
pub(crate) use socket::Netlink;

use netlink_packet_route::AddressFamily;

/// The family of an address.
fn family(is_ipv4: bool) -> AddressFamily {
    if is_ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
