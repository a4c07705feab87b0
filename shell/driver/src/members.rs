//! Members of classes in a tenant: who is one, and what of that the kernel does not know yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use isthmus_kernel::Member;

/// The members of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Each source with its class.
    wanted: BTreeMap<IpNet, u16>,
    /// Those that the kernel has.
    written: BTreeMap<IpNet, u16>,
    /// Sources that may differ between the two.
    touched: BTreeSet<IpNet>,
}

/// Members to remove and to add.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) remove: Vec<Member>,
    pub(crate) add: Vec<Member>,
}

impl Members {
    /// Takes over the classes of sources; none for those that are gone.
    pub(crate) fn enter(&mut self, sources: Vec<(IpNet, Option<u16>)>) {
        for (source, class) in sources {
            match class {
                Some(class) => self.wanted.insert(source, class),
                None => self.wanted.remove(&source),
            };
            self.touched.insert(source);
        }
    }

    /// Everybody.
    pub(crate) fn all(&self) -> impl Iterator<Item = Member> {
        self.wanted.iter().map(|(source, class)| Member { source: *source, class: *class })
    }

    /// Adds what the kernel does not know yet; from now on it counts as known.
    pub(crate) fn take(&mut self, exchange: &mut Exchange) {
        for source in std::mem::take(&mut self.touched) {
            let (before, now) = (self.written.get(&source), self.wanted.get(&source));
            if before == now {
                continue;
            }
            let member = |class: &u16| Member { source, class: *class };
            exchange.remove.extend(before.map(member));
            exchange.add.extend(now.map(member));
            match now.copied() {
                Some(class) => self.written.insert(source, class),
                None => self.written.remove(&source),
            };
        }
    }
}

/// The shortest time between two exchanges: each runs a program.
pub(crate) const PACE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_what_differs_in_the_end() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let member = |text: &str, class| Member { source: net(text), class };
        let mut members = Members::default();
        members.enter(vec![(net("10.0.0.1/32"), Some(7)), (net("10.0.0.2/32"), Some(7))]);
        members.enter(vec![(net("10.0.0.2/32"), None), (net("10.0.0.9/32"), None)]);
        let mut exchange = Exchange::default();
        members.take(&mut exchange);
        assert_eq!((exchange.remove, exchange.add), (vec![], vec![member("10.0.0.1/32", 7)]));

        members.enter(vec![(net("10.0.0.1/32"), None), (net("10.0.0.1/32"), Some(8))]);
        let mut exchange = Exchange::default();
        members.take(&mut exchange);
        let (old, new) = (member("10.0.0.1/32", 7), member("10.0.0.1/32", 8));
        assert_eq!((exchange.remove, exchange.add), (vec![old], vec![new]));
        let mut exchange = Exchange::default();
        members.take(&mut exchange);
        assert_eq!(exchange, Exchange::default());
        assert_eq!(members.all().count(), 1);
    }
}
