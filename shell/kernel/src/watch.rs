//! Waits until somebody else changes what is ours.

use std::io;

use crate::netlink::{Listener, Netlink};

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

/// Tells whether links are up.
pub struct LinkWatch {
    netlink: Netlink,
    listener: Listener,
}

impl LinkWatch {
    /// Watches the links of the calling thread's namespace; inside a runtime.
    ///
    /// # Errors
    /// When the kernel does not let us listen.
    pub fn open() -> io::Result<Self> {
        Ok(Self { netlink: Netlink::open()?, listener: Listener::to_links()? })
    }

    /// Waits until some link may have changed.
    ///
    /// # Errors
    /// When the kernel tells no more.
    pub async fn changed(&mut self) -> io::Result<()> {
        self.listener.told().await
    }

    /// Whether a link of that name is there, up, and has somebody at its other end.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn is_running(&mut self, name: &str) -> io::Result<bool> {
        Ok(self.netlink.link(name)?.is_some_and(|link| link.running))
    }
}
