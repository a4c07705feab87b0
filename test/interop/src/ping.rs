//! The log of `ping`, read as a measurement of how long a path was interrupted.

use std::collections::BTreeSet;

use crate::error::LabError;

/// A finished run of iputils' `ping`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingRun {
    /// Requests that were sent.
    pub sent: u32,
    /// Sequence numbers of the requests that never got an answer, in order.
    pub lost: Vec<u32>,
}

impl PingRun {
    /// Reads what `ping` printed until it was interrupted.
    ///
    /// A last request without answer is not counted as lost: the interruption may have come while it
    /// was under way.
    ///
    /// # Errors
    /// There is no summary line: the run did not end.
    pub fn parse(log: &str) -> Result<Self, LabError> {
        let sent = log
            .lines()
            .find_map(|line| line.split_once(" packets transmitted, ")?.0.parse::<u32>().ok())
            .ok_or_else(|| LabError::unexpected(format!("no summary in ping's log:\n{log}")))?;
        let answered: BTreeSet<u32> = log.lines().filter_map(answered).collect();
        Ok(Self { sent, lost: (1..sent).filter(|sequence| !answered.contains(sequence)).collect() })
    }
}

/// The sequence number of a line that reports an echo reply.
fn answered(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once(" bytes from ")?;
    let (_, rest) = rest.split_once("icmp_seq=")?;
    let (sequence, rest) = rest.split_once(' ')?;
    // "64 bytes from .." also starts some error reports; only replies have a round-trip time.
    rest.contains(" time=").then(|| sequence.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.
[1700000000.100000] 64 bytes from 10.0.0.2: icmp_seq=1 ttl=62 time=3.51 ms
[1700000000.600000] no answer yet for icmp_seq=2
[1700000001.100000] 64 bytes from 10.0.0.2: icmp_seq=3 ttl=62 time=2.99 ms
From 10.64.0.1 icmp_seq=4 Destination Host Unreachable
[1700000001.600000] 64 bytes from 10.0.0.2: icmp_seq=5 ttl=62 time=2.99 ms
[1700000001.700000] 64 bytes from 10.0.0.2: icmp_seq=5 ttl=62 time=9.99 ms (DUP!)

--- 10.0.0.2 ping statistics ---
6 packets transmitted, 3 received, +1 duplicates, +1 errors, 50% packet loss, time 2006ms
rtt min/avg/max/mdev = 2.985/3.163/3.514/0.248 ms
";

    #[test]
    fn unanswered_requests_before_the_last_are_lost() {
        let run = PingRun::parse(LOG).expect("a finished run");
        assert_eq!(run, PingRun { sent: 6, lost: vec![2, 4] });
    }

    #[test]
    fn a_run_without_summary_is_refused() {
        let cut = LOG.split("---").next().unwrap_or_default();
        assert!(PingRun::parse(cut).is_err());
    }
}
