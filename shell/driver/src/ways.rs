//! What is known about the tenants' ways out, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use isthmus_net::Namespace;
use tokio::sync::watch;

use crate::health::{News, Watched, Watchers, WayId, WayState};
use crate::inside::Placed;
use crate::wanted::watched;

/// The ways that are looked after, each as it is.
pub(crate) type KnownWays = BTreeMap<WayId, WayState>;

/// Looks after the ways out of all tenants.
pub(crate) struct Ways {
    watchers: Watchers,
    known: watch::Sender<KnownWays>,
}

impl Ways {
    /// None yet; whoever shows them reads the other end.
    pub(crate) fn new() -> (Self, watch::Receiver<KnownWays>) {
        let (known, show) = watch::channel(KnownWays::new());
        (Self { watchers: Watchers::new(), known }, show)
    }

    /// Looks after those of these tenants from now on. Those that were looked after in the same way
    /// keep their state; what is down and looked after no more is up.
    pub(crate) fn look_after(&mut self, tenants: &mut [Placed]) {
        let mut wanted: BTreeMap<Option<Namespace>, Vec<Watched>> = BTreeMap::new();
        for placed in tenants.iter_mut() {
            let ways = watched(placed);
            placed.down.retain(|name| ways.iter().any(|way| way.id.1 == *name));
            if !ways.is_empty() {
                wanted.entry(placed.tenant.device.namespace.clone()).or_default().extend(ways);
            }
        }
        let all: BTreeSet<WayId> = wanted.values().flatten().map(|way| way.id.clone()).collect();
        self.known.send_modify(|known| known.retain(|id, _| all.contains(id)));
        if let Err(error) = self.watchers.set(wanted) {
            tracing::error!(%error, "ways out are not looked after");
        }
    }

    /// The next news.
    pub(crate) async fn news(&mut self) -> News {
        self.watchers.news().await
    }

    /// Takes these news and those that wait behind them; answers which ways are down or up now that were not.
    pub(crate) fn hear(&mut self, first: News, tenants: &mut [Placed]) -> BTreeSet<WayId> {
        let mut changed = BTreeSet::new();
        let mut next = Some(first);
        while let Some(News { id, state }) = next {
            if let Some(placed) = tenants.iter_mut().find(|placed| placed.tenant.tun == id.0) {
                if take(placed, &id.1, &state) {
                    changed.insert(id.clone());
                }
                self.known.send_modify(|known| drop(known.insert(id, state)));
            }
            next = self.watchers.try_news();
        }
        changed
    }
}

/// Notes the state of a way; answers whether it is another than it was.
fn take(placed: &mut Placed, name: &str, state: &WayState) -> bool {
    let (device, reason) = (&placed.device, &state.reason);
    if state.up {
        let changed = placed.down.remove(name);
        if changed {
            tracing::info!(egress = name, %device, %reason, "a way out is up");
        }
        return changed;
    }
    let changed = placed.down.insert(name.to_owned());
    if changed {
        tracing::warn!(egress = name, %device, %reason, "a way out is down");
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::tests::{placed, via, way};

    #[tokio::test]
    async fn news_change_routes_once_and_are_shown() {
        let (mut ways, show) = Ways::new();
        let out = way("out", &["0.0.0.0/0"], via("eth1", "192.0.2.1"));
        let mut tenants = [placed(vec![out])];
        let id = (tenants[0].tenant.tun, String::from("out"));
        let mut news = |up: bool, tenants: &mut [Placed]| {
            let state = WayState { up, reason: String::from("told") };
            let changed = ways.hear(News { id: id.clone(), state: state.clone() }, tenants);
            assert_eq!(show.borrow().get(&id), Some(&state));
            !changed.is_empty()
        };
        assert!(!news(true, &mut tenants), "it was taken to be up");
        assert!(news(false, &mut tenants));
        assert!(tenants[0].down.contains("out"));
        assert!(!news(false, &mut tenants), "the reason alone changes no route");
        assert!(news(true, &mut tenants));
        assert!(tenants[0].down.is_empty());
    }

    #[tokio::test]
    async fn what_is_looked_after_no_more_is_up() {
        let (mut ways, show) = Ways::new();
        let mut tenants = [placed(Vec::new())];
        tenants[0].down.insert("gone".into());
        ways.look_after(&mut tenants);
        assert!(tenants[0].down.is_empty());
        assert!(show.borrow().is_empty());
    }
}
