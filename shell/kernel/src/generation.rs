//! In which state the gateway left nftables, noted for processes beside it.
//!
//! The note is worth something only while the gateway runs: it is in the namespace then, so that no other one
//! gets that number. A note that cannot be written costs others time and nothing else.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A state of all tables of a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    /// The number of the network namespace.
    pub(crate) namespace: u64,
    /// The kernel's number of the state.
    pub(crate) generation: u32,
}

/// Where it is noted, beside the values that were there before us.
pub(crate) struct GenerationFile {
    path: PathBuf,
    /// What was written last.
    written: Option<Generation>,
}

impl GenerationFile {
    /// The note that belongs to the file of previous values at `state`.
    pub(crate) fn beside(state: &Path) -> Self {
        Self { path: state.with_extension("generation"), written: None }
    }

    /// What is noted.
    pub(crate) fn read(&self) -> Option<Generation> {
        let bytes = fs::read(&self.path).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Notes a state, unless it is noted already.
    pub(crate) fn write(&mut self, now: Generation) {
        if self.written == Some(now) {
            return;
        }
        match self.replace(now) {
            Ok(()) => self.written = Some(now),
            Err(error) => tracing::debug!(%error, "the state of nftables is not noted"),
        }
    }

    /// A new file takes the place of the old one, so that one of them is always whole.
    fn replace(&self, now: Generation) -> std::io::Result<()> {
        let fresh = self.path.with_extension("generation-new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        serde_json::to_writer(options.open(&fresh)?, &now)?;
        fs::rename(&fresh, &self.path)
    }

    /// Removes the note.
    pub(crate) fn remove(&mut self) {
        self.written = None;
        let _not_there = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_half_a_note_says_nothing() {
        let folder = std::env::temp_dir().join(format!("isthmus-note-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut file = GenerationFile::beside(&folder.join("gate@host.json"));
        assert_eq!(file.read(), None);
        let now = Generation { namespace: 7, generation: 3 };
        file.write(now);
        assert_eq!(file.read(), Some(now));
        fs::write(&file.path, b"{ half").unwrap();
        assert_eq!(file.read(), None);
        file.remove();
        // Nothing is left in it.
        fs::remove_dir(&folder).unwrap();
        file.write(now);
        assert_eq!(file.read(), None, "there is no folder, and nobody minds");
    }
}
