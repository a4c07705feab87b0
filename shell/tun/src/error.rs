//! Why a TUN device could not be made, with what to do about it.

use std::fmt;
use std::io;

use isthmus_net::NamespaceError;
use rustix::io::Errno;

/// A TUN device could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The system refused.
    #[error("cannot make TUN device {name}: {source}{}", Remedy(source))]
    Create {
        /// The name asked for.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The MTU is too small for IPv6.
    #[error("an MTU of {0} is below 1280, the least that IPv6 works with (RFC 8200 §5)")]
    Mtu(u16),
    /// No interface can have that name.
    #[error(
        "\"{0}\" is no name for an interface: use 1 to 15 ASCII characters without space, slash or \
         colon, with at most one %d for a number"
    )]
    Name(String),
    /// Its network namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
}

/// What an operator can do about a refused device; empty when the system's words say it all.
struct Remedy<'a>(&'a io::Error);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match Errno::from_io_error(self.0) {
            Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => {
                " (/dev/net/tun is missing: `modprobe tun`, and in a container add `--device \
                 /dev/net/tun`)"
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                " (run as root or grant CAP_NET_ADMIN, and in a container add `--cap-add NET_ADMIN \
                 --device /dev/net/tun`)"
            }
            Some(Errno::EXIST | Errno::BUSY) => {
                " (an interface of that name is there already: choose another name, or remove it \
                 with `ip link delete`)"
            }
            Some(_) | None => "",
        })
    }
}
