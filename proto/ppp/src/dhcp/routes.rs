//! Classless static routes (RFC 3442): width, as many bytes of the destination as are significant,
//! router.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use ipnet::Ipv4Net;
use isthmus_wire::{DecodeError, Fault, Reader};

use super::ROUTES_MAX;

/// The value of the option: every route leads to `router`.
pub(super) fn write<'a>(nets: impl Iterator<Item = &'a Ipv4Net>, router: Ipv4Addr) -> Vec<u8> {
    let mut bytes = Vec::new();
    for net in nets {
        let significant = usize::from(net.prefix_len().div_ceil(8));
        bytes.push(net.prefix_len());
        bytes.extend(net.network().octets().iter().take(significant));
        bytes.extend(router.octets());
    }
    bytes
}

/// Reads the value of the option. Bits of a destination behind its width are cleared, as RFC 3442
/// tells clients to.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Ipv4Net>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut routes = Vec::new();
    while reader.any_left() {
        if routes.len() == ROUTES_MAX {
            return Err(DecodeError::new("routes", Fault::TooMany));
        }
        let width = reader.u8("width of a route")?;
        let significant = reader.take("destination of a route", usize::from(width.div_ceil(8)))?;
        let mut octets = [0; 4];
        for (octet, byte) in octets.iter_mut().zip(significant) {
            *octet = *byte;
        }
        let route = Ipv4Net::new(octets.into(), width);
        routes.push(route.map_err(|_| DecodeError::illegal("width of a route"))?.trunc());
        let _router = reader.array::<4>("router of a route")?;
    }
    Ok(routes)
}
