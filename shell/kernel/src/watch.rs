//! Waits until somebody else changes what is ours.

use std::io;

use crate::netlink::Listener;

/// Tells when kernel state of a [`crate::Reconciler`] may not be as it was left.
///
/// It may tell of changes that do no harm, and of the reconciler's own removals: applying what is desired
/// once more changes nothing then. What the kernel does not tell of (a kernel parameter other than
/// forwarding, a route of ours replaced by another) it does not know.
pub struct Watch {
    pub(crate) routes: Listener,
    /// None on a kernel without nftables.
    pub(crate) nftables: Option<Listener>,
}

impl Watch {
    /// Waits until something of ours may have been changed.
    ///
    /// # Errors
    /// When the kernel tells no more.
    pub async fn disturbed(&mut self) -> io::Result<()> {
        let Self { routes, nftables } = self;
        match nftables {
            None => routes.told().await,
            Some(nftables) => tokio::select! {
                done = routes.told() => done,
                done = nftables.told() => done,
            },
        }
    }
}
