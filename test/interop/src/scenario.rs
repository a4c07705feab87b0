//! A scenario: the files that its machines and the gateway get.
//!
//! What all scenarios share stands in `scenarios/base`; the folder of a scenario holds only what it
//! adds or replaces. They are put together in the evidence folder, so that a test that fails shows
//! what it ran.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::LabError;
use crate::lab::Lab;

/// The files of one test.
#[derive(Debug)]
pub struct Scenario {
    folder: PathBuf,
}

impl Scenario {
    /// Puts the scenario `name` together for `lab`, in place of one that may have been there.
    ///
    /// # Errors
    /// There is no folder `scenarios/<name>`, or the evidence folder cannot be written.
    pub fn assemble(lab: &Lab, name: &str) -> Result<Self, LabError> {
        let folder = lab.evidence().subfolder("scenario")?;
        empty(&folder)?;
        overlay(&source(BASE), &folder)?;
        overlay(&source(name), &folder)?;
        Ok(Self { folder })
    }

    /// Gives the machine `name` the files of the machine `peer` that the scenario has no version of
    /// its own of.
    pub fn twin(&self, name: &str) -> Result<(), LabError> {
        let (own, twin) = (self.folder.join("hosts").join(name), self.folder.join("hosts/peer"));
        let aside = self.folder.join("hosts").join(format!("{name}.own"));
        fs::create_dir_all(&own).map_err(|source| LabError::io(&own, source))?;
        fs::rename(&own, &aside).map_err(|source| LabError::io(&own, source))?;
        overlay(&twin, &own)?;
        overlay(&aside, &own)?;
        fs::remove_dir_all(&aside).map_err(|source| LabError::io(&aside, source))
    }

    /// The whole folder, which the machines see.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The gateway's configuration and what it names.
    pub fn gateway(&self) -> PathBuf {
        self.folder.join("gateway")
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name)
}

/// Removes what is in `folder`, but not the folder: a machine may have it open.
fn empty(folder: &Path) -> Result<(), LabError> {
    for entry in fs::read_dir(folder).map_err(|source| LabError::io(folder, source))? {
        let path = entry.map_err(|source| LabError::io(folder, source))?.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|source| LabError::io(&path, source))?;
    }
    Ok(())
}

/// Copies the tree `from` over the tree `to`.
fn overlay(from: &Path, to: &Path) -> Result<(), LabError> {
    fs::create_dir_all(to).map_err(|source| LabError::io(to, source))?;
    for entry in fs::read_dir(from).map_err(|source| LabError::io(from, source))? {
        let path = entry.map_err(|source| LabError::io(from, source))?.path();
        let Some(name) = path.file_name() else { continue };
        let copy = to.join(name);
        if path.is_dir() {
            overlay(&path, &copy)?;
        } else {
            fs::copy(&path, &copy).map_err(|source| LabError::io(&path, source))?;
        }
    }
    Ok(())
}

/// The folder that all scenarios start from.
const BASE: &str = "base";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_over_a_tree_replaces_and_adds() {
        let folder = std::env::temp_dir().join(format!("isthmus-overlay-{}", std::process::id()));
        let (base, over, out) = (folder.join("base"), folder.join("over"), folder.join("out"));
        for (path, text) in
            [("base/a/x", "1"), ("base/a/y", "2"), ("over/a/y", "3"), ("over/z", "4")]
        {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
            fs::write(path, text).expect("file");
        }
        overlay(&base, &out).expect("copied");
        overlay(&over, &out).expect("copied");
        let read = |name: &str| fs::read_to_string(out.join(name)).expect(name);
        assert_eq!([read("a/x"), read("a/y"), read("z")], ["1", "3", "4"]);
        assert!(overlay(&folder.join("missing"), &out).is_err());
        fs::remove_dir_all(folder).expect("clean up");
    }
}
