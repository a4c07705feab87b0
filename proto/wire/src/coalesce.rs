//! Joining consecutive segments of a flow into one long packet, so that the kernel is crossed once for
//! many: what receive offload of a network card does.
//!
//! Nothing is copied: a [`Run`] says which packets belong together and what header the long packet
//! has; whoever writes it gathers the payloads behind that header. The kernel gets the size of the
//! segments beside it and cuts them as they were where it has to. Only what can be cut back exactly is
//! joined: equal headers, consecutive sequence numbers, segments of one size (the last may be
//! shorter), and right checksums, since the kernel computes them anew.
//!
//! The order of packets within a flow is kept; that between flows is not.

mod run;
mod segment;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use run::{Kind, Long, Run, SEGMENTS_MAX};
use segment::Segment;

/// Sorts a batch of packets into runs. Reuse it: it keeps its memory.
#[derive(Debug, Default)]
pub struct Coalescer {
    /// Whether datagrams of UDP are joined as well.
    udp: bool,
    runs: Vec<Run>,
    /// For each packet the next of its run.
    next: Vec<Option<usize>>,
    /// Runs before this one take no more packets.
    open_from: usize,
}

impl Coalescer {
    /// One that joins TCP, and UDP where the kernel can cut datagrams (Linux 6.2).
    pub fn new(udp: bool) -> Self {
        Self { udp, ..Self::default() }
    }

    /// Sorts `count` packets, which `packet` shows by number, and forgets those before.
    pub fn plan<'a>(&mut self, count: usize, packet: impl Fn(usize) -> &'a [u8]) {
        self.runs.clear();
        self.next.clear();
        self.open_from = 0;
        for index in 0..count {
            self.next.push(None);
            if let Some(segment) = Segment::read(packet(index)) {
                self.place(index, segment, &packet);
            } else {
                // It may belong to any flow (a fragment, say), so none may overtake it.
                self.runs.push(Run::other(index));
                self.open_from = self.runs.len();
            }
        }
    }

    /// The runs, in the order in which they are to be written.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The numbers of a run's packets, in order.
    pub fn members(&self, run: &Run) -> impl Iterator<Item = usize> {
        core::iter::successors(Some(run.first()), |&at| self.next.get(at).copied().flatten())
    }

    /// Appends a segment to the run of its flow, or begins a new one.
    fn place<'a>(&mut self, index: usize, segment: Segment, packet: &impl Fn(usize) -> &'a [u8]) {
        let from = self.open_from.max(self.runs.len().saturating_sub(OPEN_MAX));
        let recent = self.runs.get_mut(from..).unwrap_or_default();
        if let Some(run) = recent.iter_mut().rev().find(|run| run.is_flow_of(&segment)) {
            let joins = (self.udp || !segment.is_udp()) && run.joins(index, &segment, packet);
            if joins && let Some(last) = self.next.get_mut(run.last()) {
                *last = Some(index);
                run.append(index, &segment);
                return;
            }
            run.close();
        }
        self.runs.push(Run::new(index, segment));
    }
}

/// Flows that are looked at for each packet. One that was not seen for as many others starts anew.
const OPEN_MAX: usize = 16;
