//! Sets of ports.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Ports, as ranges in order that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports(Vec<(u16, u16)>);

impl Ports {
    /// Adds those of a range.
    pub(crate) fn add(&mut self, range: &RangeInclusive<u16>) {
        let (mut first, mut last) = (*range.start(), *range.end());
        if first > last {
            return;
        }
        self.0.retain(|&(low, high)| {
            let apart =
                u32::from(high) + 1 < u32::from(first) || u32::from(last) + 1 < u32::from(low);
            if !apart {
                (first, last) = (first.min(low), last.max(high));
            }
            apart
        });
        let at = self.0.partition_point(|&(low, _)| low < first);
        self.0.insert(at, (first, last));
    }

    /// Those of a range that are not in this.
    pub(crate) fn lacking(&self, range: &RangeInclusive<u16>) -> Vec<RangeInclusive<u16>> {
        let (mut next, last) = (u32::from(*range.start()), u32::from(*range.end()));
        let mut lacking = Vec::new();
        let within = |port: u32| u16::try_from(port).unwrap_or(u16::MAX);
        for (low, high) in self.0.iter().map(|&(low, high)| (u32::from(low), u32::from(high))) {
            if next < low && next <= last {
                lacking.push(within(next)..=within(last.min(low - 1)));
            }
            next = next.max(high + 1);
        }
        if next <= last {
            lacking.push(within(next)..=within(last));
        }
        lacking
    }

    /// The ranges.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RangeInclusive<u16>> {
        self.0.iter().map(|&(low, high)| low..=high)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn ports(ranges: &[RangeInclusive<u16>]) -> Ports {
        let mut ports = Ports::default();
        for range in ranges {
            ports.add(range);
        }
        ports
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(ports(&[5..=6, 9..=9, 7..=8]).0, [(5, 9)]);
        assert_eq!(
            ports(&[0..=0, 65_535..=65_535, 9..=20, 10..=30]).0,
            [(0, 0), (9, 30), (65_535, 65_535)]
        );
        assert_eq!(ports(&[5..=6]).lacking(&(0..=65_535)), vec![0..=4, 7..=65_535]);
        assert_eq!(ports(&[0..=65_535]).lacking(&(0..=65_535)), vec![]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_won(
            ranges in prop::collection::vec((0u16..40, 0u16..40), 0..8),
            (first, more) in (0u16..40, 0u16..40),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(a, b)| a.min(b)..=a.max(b)).collect();
            let all = ports(&ranges);
            let asked = first..=first + more;
            for port in 0..90 {
                let within = ranges.iter().any(|range| range.contains(&port));
                prop_assert_eq!(all.iter().any(|range| range.contains(&port)), within);
                let lacks = all.lacking(&asked).iter().any(|range| range.contains(&port));
                prop_assert_eq!(lacks, asked.contains(&port) && !within);
            }
        }
    }
}
