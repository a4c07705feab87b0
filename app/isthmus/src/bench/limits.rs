//! What the system must allow before many clients can dial.

use std::fs;
use std::net::IpAddr;

use super::{BenchError, Load};
use crate::descriptors;

/// Raises the limit of descriptors as far as allowed, and says when that or the ports do not do.
pub(crate) fn allow(load: &Load) -> Result<(), BenchError> {
    let wanted = load.clients;
    let allowed = descriptors::raise().saturating_sub(OTHERS);
    if u64::from(wanted) > allowed {
        return Err(BenchError::Descriptors { wanted, allowed });
    }
    let mut addresses: Vec<IpAddr> = load.sources.clone();
    addresses.sort_unstable();
    addresses.dedup();
    // The file speaks for IPv6 as well.
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let allowed = ports_in(&range) * addresses.len() as u64;
    if u64::from(wanted) > allowed {
        return Err(BenchError::Ports { wanted, sources: addresses.len(), allowed });
    }
    Ok(())
}

/// How many ports `first last` are; those of Linux's default when it cannot be read.
fn ports_in(range: &str) -> u64 {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first <= last => last - first + 1,
        _ => 28_232,
    }
}

/// Descriptors that are no sockets of clients: files, threads' wake-ups, and some to spare.
const OTHERS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_counted_with_both_ends() {
        assert_eq!(ports_in("32768\t60999\n"), 28_232);
        assert_eq!(ports_in("1024 65535"), 64_512);
        assert_eq!(ports_in(""), 28_232);
        assert_eq!(ports_in("5 4"), 28_232);
    }
}
