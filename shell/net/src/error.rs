//! Why a socket could not be opened, with what to do about it.

use std::fmt;
use std::io;

use crate::NamespaceError;

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Its network namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The system refused.
    #[error("cannot open {what}: {source}{}", Remedy(source))]
    Open {
        /// What was asked for, in words.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What an operator can do about a refused socket; empty when the system's words say it all.
struct Remedy<'a>(&'a io::Error);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.raw_os_error() {
            Some(libc::EADDRINUSE) => {
                " (another program has this port: `ss -ulpn` names it; strongSwan, libreswan and \
                 racoon use 500 and 4500)"
            }
            Some(libc::EADDRNOTAVAIL) => {
                " (this machine does not have that address: `ip address` lists those it has)"
            }
            Some(libc::EACCES | libc::EPERM) => {
                " (run as root, or grant CAP_NET_RAW for ESP and CAP_NET_BIND_SERVICE for port 500, \
                 for instance with AmbientCapabilities= in the service file)"
            }
            _ => "",
        })
    }
}
