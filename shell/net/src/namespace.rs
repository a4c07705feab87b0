//! Network namespaces: naming one, and doing something in it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::panic;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

mod make;

/// A network namespace, by name (as `ip netns` knows it) or by path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    path: PathBuf,
    imagined: bool,
}

impl Namespace {
    /// The namespace called `name`; anything with a slash is taken as the path of a namespace file.
    pub fn new(name: &str) -> Self {
        let path = Path::new(name);
        let path = if name.contains('/') { path.into() } else { Path::new(FOLDER).join(path) };
        Self { path, imagined: false }
    }

    /// What it would be if it were made now: whoever enters that is in a namespace without a name, which
    /// ends with him.
    #[must_use]
    pub fn imagined(&self) -> Self {
        Self { imagined: true, ..self.clone() }
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name without its folder.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    ///
    /// When the namespace is missing or the process may not enter it.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        let open = |source| NamespaceError::Open { namespace: self.clone(), source };
        let enter = |source| NamespaceError::Enter { namespace: self.clone(), source };
        if self.imagined {
            return make::enter_new().map_err(enter);
        }
        let file = File::open(&self.path).map_err(open)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| enter(errno.into()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// Where `ip netns` keeps namespaces.
const FOLDER: &str = "/run/netns";

/// Runs `work` on a thread of its own inside `namespace`.
///
/// Sockets and devices made there stay in that namespace wherever they are used afterwards. A panic of
/// `work` goes on in the caller.
///
/// # Errors
///
/// When the namespace is missing, may not be entered, or no thread can be started.
pub fn in_namespace<T: Send>(
    namespace: &Namespace,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NamespaceError> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name(format!("netns-{namespace}"))
            .spawn_scoped(scope, || namespace.enter().map(|()| work()))
            .map_err(NamespaceError::Thread)?
            .join()
            .unwrap_or_else(|payload| panic::resume_unwind(payload))
    })
}

/// A network namespace could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The process may not go there.
    #[error(
        "cannot enter network namespace {namespace}: {source} (run as root or grant CAP_SYS_ADMIN)"
    )]
    Enter {
        /// Which one.
        namespace: Namespace,
        /// What the system said.
        source: io::Error,
    },
    /// There is none of that name.
    #[error(
        "no network namespace {}: {source} (create it with `ip netns add {namespace}`)",
        namespace.path().display()
    )]
    Open {
        /// Which one.
        namespace: Namespace,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be made or removed.
    #[error(
        "cannot {doing} network namespace {namespace}: {source} (run as root, with \
         CAP_SYS_ADMIN and a writable /run/netns)"
    )]
    Make {
        /// `make` or `remove`.
        doing: &'static str,
        /// Which one.
        namespace: Namespace,
        /// What the system said.
        source: io::Error,
    },
    /// No thread can be started to enter it.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_the_file_that_ip_netns_makes() {
        assert_eq!(Namespace::new("acme").path(), Path::new("/run/netns/acme"));
        assert_eq!(Namespace::new("/proc/1/ns/net").path(), Path::new("/proc/1/ns/net"));
        assert_eq!(Namespace::new("/run/netns/acme").to_string(), "acme");
    }

    #[test]
    fn a_missing_namespace_is_named_with_its_remedy() {
        let error = in_namespace(&Namespace::new("isthmus-none"), || ()).unwrap_err();
        assert!(error.to_string().contains("ip netns add isthmus-none"), "{error}");
    }
}
