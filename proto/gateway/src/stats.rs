//! Counters of what was refused, by layer and reason.

use alloc::collections::BTreeMap;

/// Refused input of one layer, by the label of its reason.
#[derive(Clone, Debug, Default)]
pub struct Rejections(BTreeMap<&'static str, u64>);

impl Rejections {
    /// Counts one.
    pub fn count(&mut self, label: &'static str) {
        *self.0.entry(label).or_default() += 1;
    }

    /// All labels seen and how often, in order of label.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(label, count)| (*label, *count))
    }
}

/// Counters of the gateway machine.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// IKE datagrams.
    pub ike: Rejections,
    /// L2TP messages out of an IPsec SA.
    pub l2tp: Rejections,
    /// PPP frames.
    pub ppp: Rejections,
    /// Sessions that came up since the start.
    pub sessions_up_total: u64,
}
