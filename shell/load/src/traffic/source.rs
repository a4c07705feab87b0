//! Makes the packets of a run on one shard, session by session.

use std::net::{Ipv4Addr, SocketAddrV4};

use isthmus_core::{Buf, Instant};

use super::pace::{BURST_MAX, Pacer};
use super::probe::{Ends, PORT, PROBE_BYTES_MIN, Probe};
use super::{Plan, Sizes, Target};

/// The sessions of a shard that send, in turn.
#[derive(Debug)]
pub(crate) struct Source {
    run: u32,
    sizes: Sizes,
    pacer: Pacer,
    flows: Vec<Flow>,
    /// Whose turn it is.
    turn: usize,
    /// Which of the sizes comes next.
    size: usize,
}

/// One session's packets.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) client: u32,
    ends: Ends,
    mtu: u16,
    next: u64,
}

impl Flow {
    /// A session that sends as the plan says, if it has somebody to send to.
    pub(crate) fn new(plan: &Plan, client: u32, (from, mtu): (Ipv4Addr, u16)) -> Option<Self> {
        let to = match &plan.target {
            Target::Reflector(address) => *address,
            Target::Between(peers) => {
                let peer = peers.get(usize::try_from(client).ok()?).copied()??;
                SocketAddrV4::new(peer, PORT)
            }
        };
        Some(Self { client, ends: Ends { from, to }, mtu, next: 0 })
    }
}

impl Source {
    /// Packets from now on.
    pub(crate) fn new(plan: Plan, flows: Vec<Flow>, now: Instant) -> Self {
        let pacer = Pacer::new(plan.pace, now);
        Self { run: plan.run, sizes: plan.sizes, pacer, flows, turn: 0, size: 0 }
    }

    /// How many packets are due now, and how many are too late to be sent.
    pub(crate) fn due(&mut self, now: Instant) -> (u64, u64) {
        if self.flows.is_empty() { (0, 0) } else { self.pacer.due(now) }
    }

    /// When packets are due next.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        (!self.flows.is_empty()).then(|| self.pacer.next(now))
    }

    /// Makes packets of the session whose turn it is, at most `due`; answers whose they are.
    ///
    /// When sessions are few, each sends several at a time, which are then encrypted as a batch.
    pub(crate) fn fill(
        &mut self,
        due: u64,
        free: &mut Vec<Buf>,
        out: &mut Vec<Buf>,
        now: Instant,
    ) -> Option<u32> {
        let each = (BURST_MAX / self.flows.len().max(1) as u64).max(1).min(due);
        self.turn = if self.turn + 1 < self.flows.len() { self.turn + 1 } else { 0 };
        let flow = self.flows.get_mut(self.turn)?;
        for _ in 0..each {
            let size = self.sizes.0.get(self.size).copied().unwrap_or(PROBE_BYTES_MIN);
            self.size = if self.size + 1 < self.sizes.0.len() { self.size + 1 } else { 0 };
            let len = usize::from(size.min(flow.mtu).max(PROBE_BYTES_MIN));
            let mut buf = free.pop().unwrap_or_else(|| Buf::with_capacity(2048));
            buf.clear();
            if buf.tailroom() < len + Buf::TAILROOM || !buf.set_len(len) {
                buf = Buf::copy_of(&vec![0; len]);
            }
            let (run, client, sequence) = (self.run, flow.client, flow.next);
            Probe { run, flow: client, sequence, sent: now }.write(flow.ends, &mut buf);
            flow.next += 1;
            out.push(buf);
        }
        self.pacer.spend(each);
        Some(flow.client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{IMIX, Pace};

    fn plan(target: Target, sizes: &[u16]) -> Plan {
        Plan { run: 1, target, sizes: Sizes(sizes.into()), pace: Pace::window(1000) }
    }

    #[test]
    fn sessions_take_turns_and_lengths_follow_the_mix_as_far_as_they_fit() {
        let target = Target::Reflector("10.0.0.9:7007".parse().unwrap());
        let plan = plan(target, &IMIX);
        let flow = |client| Flow::new(&plan, client, ([10, 0, 0, 2].into(), 1280)).unwrap();
        let mut source = Source::new(plan.clone(), vec![flow(4), flow(6)], Instant::ZERO);
        let (mut free, mut out) = (Vec::new(), Vec::new());
        let turns: Vec<_> =
            (0..4).filter_map(|_| source.fill(6, &mut free, &mut out, Instant::ZERO)).collect();
        assert_eq!(turns, [6, 4, 6, 4]);
        let lengths: Vec<_> = out.iter().map(|buf| buf.len()).collect();
        let expected: Vec<_> = IMIX.iter().map(|size| usize::from(*size).min(1280)).collect();
        assert_eq!(lengths, [&expected[..], &expected[..]].concat());
        let numbers: Vec<_> =
            out.iter().filter_map(|buf| Probe::read(buf)).map(|p| p.sequence).collect();
        let once = [0, 1, 2, 3, 4, 5];
        assert_eq!(numbers[..6], once);
        assert_eq!(numbers[6..12], once, "each session counts for itself");
        assert_eq!(numbers[12..18], [6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn between_sessions_each_has_its_peer_or_is_silent() {
        let peer: Ipv4Addr = [10, 0, 0, 3].into();
        let plan = plan(Target::Between([Some(peer), None].into()), &[64]);
        let own = ([10, 0, 0, 2].into(), 1400);
        let flow = Flow::new(&plan, 0, own).unwrap();
        assert_eq!(flow.ends.to, SocketAddrV4::new(peer, PORT));
        assert!(Flow::new(&plan, 1, own).is_none() && Flow::new(&plan, 2, own).is_none());
        let mut silent = Source::new(plan, Vec::new(), Instant::ZERO);
        assert_eq!((silent.due(Instant::from_secs(9)), silent.next(Instant::ZERO)), ((0, 0), None));
    }
}
