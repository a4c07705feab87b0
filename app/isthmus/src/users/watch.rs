//! Notices that users files have changed, by looking at them now and then.
//!
//! Looking is preferred to kernel notifications: it sees replaced files, replaced links (as
//! Kubernetes does) and files on network filesystems alike, and costs one `stat` each time.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What tells one state of a file from the next; equal for two absent files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp(Option<(u64, u64, i64, i64, u64)>);

impl FileStamp {
    /// The state of a file now.
    pub fn of(path: &Path) -> Self {
        Self(
            std::fs::metadata(path)
                .ok()
                .map(|meta| (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.size())),
        )
    }
}

/// The files of several tenants and how they were last seen.
#[derive(Debug, Default)]
pub struct UsersWatch {
    seen: Vec<(String, PathBuf, FileStamp)>,
}

impl UsersWatch {
    /// Watches `(tenant, file)` from now on.
    pub fn new(files: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let mut watch = Self::default();
        watch.retarget(files);
        watch.changed();
        watch
    }

    /// Watches other files from now on. Those watched before go on as they were; new ones count as
    /// changed at the next look, so that nothing that happened meanwhile is missed.
    pub fn retarget(&mut self, files: impl IntoIterator<Item = (String, PathBuf)>) {
        let old = std::mem::take(&mut self.seen);
        let stamp = |tenant: &str, path: &Path| {
            let same = old.iter().find(|(t, p, _)| t == tenant && p == path);
            same.map(|(_, _, stamp)| *stamp).unwrap_or_default()
        };
        self.seen = files
            .into_iter()
            .map(|(tenant, path)| {
                let stamp = stamp(&tenant, &path);
                (tenant, path, stamp)
            })
            .collect();
    }

    /// The tenants whose file has changed since the last look.
    pub fn changed(&mut self) -> Vec<String> {
        let mut changed = Vec::new();
        for (tenant, path, seen) in &mut self.seen {
            let stamp = FileStamp::of(path);
            if stamp != *seen {
                *seen = stamp;
                changed.push(tenant.clone());
            }
        }
        changed
    }
}

/// How often to look.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noticed_once() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "1").unwrap();
        let mut watch =
            UsersWatch::new([("acme".to_owned(), a.clone()), ("beta".to_owned(), b.clone())]);
        assert!(watch.changed().is_empty());
        std::fs::write(&b, "new").unwrap();
        assert_eq!(watch.changed(), ["beta"]);
        assert!(watch.changed().is_empty());
        // Same size, replaced as editors do.
        std::fs::write(dir.path().join("c"), "2").unwrap();
        std::fs::rename(dir.path().join("c"), &a).unwrap();
        assert_eq!(watch.changed(), ["acme"]);
        std::fs::remove_file(&a).unwrap();
        assert_eq!(watch.changed(), ["acme"]);
    }

    #[test]
    fn new_files_are_looked_at_once_and_old_ones_are_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "1").unwrap();
        std::fs::write(&b, "1").unwrap();
        let mut watch = UsersWatch::new([("acme".to_owned(), a.clone())]);
        watch.retarget([("acme".to_owned(), a), ("beta".to_owned(), b)]);
        assert_eq!(watch.changed(), ["beta"]);
        assert!(watch.changed().is_empty());
    }
}
