//! The network namespaces that we made: which they are outlives a crash, so that the next run takes them
//! over or removes them. One that was there before us is never removed.
//!
//! For each there is a file beside the reconciler's, with the namespace's number in it. It is written before
//! the namespace is made, without the number, and goes last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isthmus_net::Namespace;

use crate::network::NetworkError;

/// The namespaces that the gateway of some name made.
pub(crate) struct OurNamespaces {
    folder: PathBuf,
    gateway: String,
}

impl OurNamespaces {
    /// Those of `gateway`, remembered in `folder`, which has to be empty after a boot as namespaces are.
    pub(crate) fn new(folder: &Path, gateway: &str) -> Self {
        Self { folder: folder.to_owned(), gateway: gateway.to_owned() }
    }

    /// Makes a namespace, unless there is one.
    ///
    /// # Errors
    /// When it cannot be made, or not be remembered.
    pub(crate) fn provide(&self, namespace: &Namespace) -> Result<(), NetworkError> {
        if namespace.exists() || !namespace.can_be_made() {
            return Ok(());
        }
        self.remember(namespace, "")?;
        if let Err(error) = namespace.make() {
            self.forget(namespace)?;
            return Err(error.into());
        }
        let number = namespace.number().unwrap_or_default();
        self.remember(namespace, &number.to_string())?;
        tracing::info!(%namespace, "network namespace made");
        Ok(())
    }

    /// Whether a namespace is there that we made.
    pub(crate) fn contains(&self, namespace: &Namespace) -> bool {
        let (Ok(noted), Some(number)) =
            (fs::read_to_string(self.file(namespace)), namespace.number())
        else {
            return false;
        };
        // Without a number we were interrupted while we made it.
        namespace.can_be_made() && (noted.is_empty() || noted.parse() == Ok(number))
    }

    /// Every namespace that is remembered, whether or not it is there.
    pub(crate) fn all(&self) -> Vec<Namespace> {
        let prefix = format!("{}@", self.gateway);
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let ours = names.filter_map(|name| {
            let name = name.strip_prefix(&prefix)?.strip_suffix(SUFFIX)?;
            Some(Namespace::new(name))
        });
        ours.collect()
    }

    /// Removes a namespace that we made, and forgets it; one that has been made anew by somebody else is
    /// only forgotten.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(&self, namespace: &Namespace) -> Result<(), NetworkError> {
        if self.contains(namespace) {
            namespace.remove()?;
            // What a run that crashed kept there is of no more use.
            for kind in ["json", "generation"] {
                let state = format!("{}@{}.{kind}", self.gateway, namespace.name());
                let _no_such_file = fs::remove_file(self.folder.join(state));
            }
        }
        self.forget(namespace)
    }

    fn remember(&self, namespace: &Namespace, number: &str) -> Result<(), NetworkError> {
        let path = self.file(namespace);
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&path, number))
            .map_err(|source| NetworkError::Remember { path, source })
    }

    fn forget(&self, namespace: &Namespace) -> Result<(), NetworkError> {
        let path = self.file(namespace);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(NetworkError::Remember { path, source }),
            Ok(()) => {
                // The last one takes the folder along; it may well hold others.
                let _ = fs::remove_dir(&self.folder);
                Ok(())
            }
        }
    }

    fn file(&self, namespace: &Namespace) -> PathBuf {
        self.folder.join(format!("{}@{}{SUFFIX}", self.gateway, namespace.name()))
    }
}

const SUFFIX: &str = ".made";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_remembered_with_its_number_is_ours() {
        let folder = std::env::temp_dir().join(format!("isthmus-ours-{}", std::process::id()));
        let ours = OurNamespaces::new(&folder, "gate");
        assert!(ours.all().is_empty());
        let absent = Namespace::new("isthmus-none");
        ours.remember(&absent, "7").unwrap();
        assert_eq!(ours.all(), std::slice::from_ref(&absent));
        assert!(!ours.contains(&absent), "it is not there");
        assert!(OurNamespaces::new(&folder, "other").all().is_empty());
        ours.remove(&absent).unwrap();
        assert!(ours.all().is_empty());
        assert!(!folder.exists());
    }

    #[test]
    fn a_namespace_elsewhere_is_left_to_whoever_made_it() {
        let folder = std::env::temp_dir().join(format!("isthmus-theirs-{}", std::process::id()));
        let ours = OurNamespaces::new(&folder, "gate");
        let theirs = Namespace::new("/proc/self/ns/net");
        ours.provide(&theirs).unwrap();
        assert!(!ours.contains(&theirs));
        assert!(!folder.exists());
    }
}
