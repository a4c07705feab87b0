//! The folder that a test fills while it runs, and the line-by-line account of what it is doing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::LabError;

/// Logs, captures and results of one test. Kept, and its path printed, unless [`Evidence::discard`]
/// is called; kept even then when `ISTHMUS_LAB_KEEP` is set.
#[derive(Debug)]
pub struct Evidence {
    folder: PathBuf,
    timeline: File,
    start: Instant,
    discarded: bool,
}

impl Evidence {
    /// Makes the folder `name` under `$ISTHMUS_LAB_EVIDENCE`, else the system's temporary folder.
    pub fn create(name: &str) -> Result<Self, LabError> {
        let parent = std::env::var_os("ISTHMUS_LAB_EVIDENCE")
            .map_or_else(std::env::temp_dir, PathBuf::from)
            .join("isthmus-interop");
        let folder = parent.join(name);
        fs::create_dir_all(&folder).map_err(|source| LabError::io(&folder, source))?;
        let path = folder.join("timeline.log");
        let timeline = File::create(&path).map_err(|source| LabError::io(&path, source))?;
        Ok(Self { folder, timeline, start: Instant::now(), discarded: false })
    }

    /// The path of `name` in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The whole folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the subfolder `name`.
    pub fn subfolder(&self, name: &str) -> Result<PathBuf, LabError> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(|source| LabError::io(&path, source))?;
        Ok(path)
    }

    /// Writes `content` to the file `name`.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, LabError> {
        let path = self.path(name);
        fs::write(&path, content).map_err(|source| LabError::io(&path, source))?;
        Ok(path)
    }

    /// Renames the file or folder `name` to the first free one of `name.1`, `name.2` and so on, so that
    /// another may take its place.
    pub fn set_aside(&self, name: &str) -> Result<PathBuf, LabError> {
        let from = self.path(name);
        let free = (1..).map(|number: u32| self.path(&format!("{name}.{number}")));
        let to = free.into_iter().find(|path| !path.exists()).unwrap_or_default();
        fs::rename(&from, &to).map_err(|source| LabError::io(&from, source))?;
        Ok(to)
    }

    /// Tells the person who watches, and the timeline, what is being done.
    #[expect(clippy::print_stderr, reason = "a test that takes a minute must say what it is at")]
    pub fn note(&self, text: &str) {
        let line = format!("[{:6.1} s] {text}", self.start.elapsed().as_secs_f32());
        eprintln!("{line}");
        // A full disk must not hide the failure that the note is about.
        let _ = writeln!(&self.timeline, "{line}");
    }

    /// Removes the folder when the test is over: it passed.
    pub fn discard(&mut self) {
        self.discarded = std::env::var_os("ISTHMUS_LAB_KEEP").is_none();
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if self.discarded {
            let _ = fs::remove_dir_all(&self.folder);
        } else {
            self.note(&format!("evidence is kept in {}", self.folder.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_stays_unless_the_test_passed() {
        let name = format!("unit-{}", std::process::id());
        let kept = Evidence::create(&name).expect("folder");
        kept.note("something happened");
        let folder = kept.folder().to_owned();
        drop(kept);
        let timeline = fs::read_to_string(folder.join("timeline.log")).expect("timeline");
        assert!(timeline.contains("something happened"), "{timeline}");

        let again = Evidence::create(&name).expect("folder");
        for number in [1, 2] {
            again.write("capture", &number.to_string()).expect("file");
            let aside = again.set_aside("capture").expect("a new name");
            assert_eq!(aside, folder.join(format!("capture.{number}")));
            assert_eq!(fs::read_to_string(aside).expect("file"), number.to_string());
        }
        assert!(again.set_aside("capture").is_err());
        drop(again);

        let mut passed = Evidence::create(&name).expect("folder");
        passed.discard();
        drop(passed);
        assert_eq!(folder.exists(), std::env::var_os("ISTHMUS_LAB_KEEP").is_some());
        let _ = fs::remove_dir_all(&folder);
    }
}
