//! Why kernel state could not be brought about, with what to do about it.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use isthmus_net::NamespaceError;

/// Kernel state could not be read or changed.
///
/// What was changed before the failure stays; the next [`crate::Reconciler::apply`] goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A route or rule "altered by somebody else" is for telling, not for asking.
    #[error("a route or rule \"altered\" is only ever read, it cannot be desired")]
    Altered,
    /// Somebody else has the same thing with another content.
    #[error(
        "cannot {doing}: somebody else has one that differs (remove theirs, or choose another \
         metric, priority or address; `ip route show table all`, `ip rule` and `ip address` list them)"
    )]
    Conflict {
        /// What we wanted to do.
        doing: String,
    },
    /// The process may not.
    #[error("cannot {doing}: not permitted (run as root or grant CAP_NET_ADMIN)")]
    Denied {
        /// What we wanted to do.
        doing: String,
    },
    /// IPv4 and IPv6 in one item.
    #[error("\"{0}\" mixes IPv4 and IPv6")]
    MixedVersions(String),
    /// The namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// Two routes that only one of can exist.
    #[error("two routes to the same destination, table and metric are desired; one is: {0}")]
    Duplicate(String),
    /// The kernel refused.
    #[error("cannot {doing}: {source}")]
    Netlink {
        /// What we wanted to do.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// `nft` refused.
    #[error("nft refused the table {table}: {message}")]
    Nft {
        /// Our table.
        table: String,
        /// What it said.
        message: String,
    },
    /// `nft` is not there, and filters or NAT are wanted.
    #[error(
        "packet filters and address translation need the program nft, which cannot be run: {0} \
         (install it: `apt install nftables` or `dnf install nftables`)"
    )]
    NftMissing(io::Error),
    /// There is no such link.
    #[error("there is no link {0} in this network namespace (`ip link` lists those there are)")]
    NoLink(String),
    /// Somebody undoes what we do as fast as we do it.
    #[error("the kernel's state does not stay as it is set; still to do: {0}")]
    NotSettling(String),
    /// The gateway's name cannot be part of the name of a table.
    #[error("\"{0}\" is no name for a gateway: use 1 to 32 letters, digits, - and _")]
    OwnerName(String),
    /// That protocol number is not ours to take.
    #[error("route protocol {0} belongs to the system: use a number above 4, such as 173")]
    OwnerProtocol(u8),
    /// A rule outside our range of priorities.
    #[error("rule priority {priority} is not within ours, {} to {}", range.start(), range.end())]
    RulePriority {
        /// The priority asked for.
        priority: u32,
        /// The priorities we may use.
        range: RangeInclusive<u32>,
    },
    /// Networks of different sizes, or a range that ends before it begins.
    #[error("the addresses of \"{0}\" do not fit onto each other")]
    Sizes(String),
    /// The file of previous values cannot be kept.
    #[error("cannot keep previous values in {}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The thread that does the work is gone: it panicked.
    #[error("the thread that looks after the kernel's state has stopped")]
    Stopped,
    /// A kernel parameter cannot be read or set.
    #[error(
        "cannot set kernel parameter {key} to {value}: {source} (in a container /proc/sys is often \
         read-only: set it from outside, for instance with `docker run --sysctl`)"
    )]
    Sysctl {
        /// Its path below `/proc/sys`.
        key: String,
        /// The value wanted.
        value: String,
        /// What the system said.
        source: io::Error,
    },
    /// Not the name of a kernel parameter about networking.
    #[error("\"{0}\" is no kernel parameter of the network: write it like net/ipv4/ip_forward")]
    SysctlName(String),
}
