//! What cannot be tagged in the kernel, kept in a file: the values that were there before us.
//!
//! The file is written before the kernel is changed, so after a crash at any moment it names at least
//! what was changed. It lives under `/run`, which is empty after a boot like the changes themselves, and
//! is bound to its network namespace by number.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::{Address, Firewall, KernelError};

/// Values before us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// The number of the network namespace this is about.
    pub(crate) namespace: u64,
    /// Addresses of ours on a kernel that does not keep their tag (before Linux 5.18).
    pub(crate) addresses: BTreeSet<Address>,
    /// Links whose settings we changed, by name.
    pub(crate) links: BTreeMap<String, SavedLink>,
    /// Our nftables table, if there is one.
    pub(crate) firewall: Option<SavedFirewall>,
    /// Parameters that we changed, by path.
    pub(crate) sysctls: BTreeMap<String, SavedSysctl>,
}

/// A link's settings before us and as we left them: whether it was up, and its MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedLink {
    pub(crate) index: u32,
    pub(crate) before: (bool, u32),
    pub(crate) written: (bool, u32),
}

/// Our nftables table: what was wanted, and how `nft` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedFirewall {
    pub(crate) wanted: Firewall,
    pub(crate) listing: String,
}

/// A parameter before us, as we left it, and what the kernel changed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedSysctl {
    pub(crate) before: String,
    pub(crate) written: String,
    pub(crate) companions: BTreeMap<String, String>,
}

/// The file.
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file of that name in `folder`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(format!("{name}.json")) }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was kept for the network namespace of that number. A file of another namespace (of the
    /// same name, before it was made again) and one that cannot be read as ours say nothing.
    pub(crate) fn load(&self, namespace: u64) -> Result<State, KernelError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(self.failed(error)),
        };
        let state = serde_json::from_slice(&bytes).ok();
        let state = state.filter(|state: &State| state.namespace == namespace);
        if state.is_none() && !bytes.is_empty() {
            tracing::warn!(path = %self.path.display(), "previous values are not of this namespace");
        }
        Ok(state.unwrap_or(State { namespace, ..State::default() }))
    }

    /// Keeps `state`; no file is kept for nothing.
    pub(crate) fn save(&self, state: &State) -> Result<(), KernelError> {
        let nothing = State { namespace: state.namespace, ..State::default() };
        let saved = if *state == nothing { self.remove() } else { self.write(state) };
        saved.map_err(|error| self.failed(error))
    }

    /// Writes a new file and puts it in the place of the old one, so that one of them is always whole.
    fn write(&self, state: &State) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let fresh = self.path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(state)?)?;
        fs::rename(&fresh, &self.path)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            done => done?,
        }
        // The last one takes the folder along; it may well hold others.
        let _ = self.path.parent().map(fs::remove_dir);
        Ok(())
    }

    fn failed(&self, source: io::Error) -> KernelError {
        KernelError::State { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("isthmus-state-{}-{name}", process::id()))
    }

    fn some(namespace: u64) -> State {
        let before = (false, 1500);
        let link = SavedLink { index: 3, before, written: (true, 1400) };
        let links = BTreeMap::from([("eth1".to_owned(), link)]);
        State { namespace, links, ..State::default() }
    }

    #[test]
    fn what_is_kept_is_read_back_and_nothing_is_no_file() {
        let folder = folder("kept");
        let file = StateFile::new(&folder, "gate@host");
        file.save(&some(7)).unwrap();
        assert_eq!(file.load(7).unwrap(), some(7));
        file.save(&State { namespace: 7, ..State::default() }).unwrap();
        assert!(!folder.exists());
        file.save(&State { namespace: 7, ..State::default() }).unwrap();
    }

    #[test]
    fn the_file_of_another_namespace_says_nothing() {
        let folder = folder("other");
        let file = StateFile::new(&folder, "gate@acme");
        file.save(&some(7)).unwrap();
        assert_eq!(file.load(8).unwrap(), State { namespace: 8, ..State::default() });
        fs::write(&file.path, b"{ half a fi").unwrap();
        assert_eq!(file.load(7).unwrap(), State { namespace: 7, ..State::default() });
        fs::remove_dir_all(folder).unwrap();
    }
}
