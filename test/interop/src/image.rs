//! The virtual machine's kernel and disk, built by `lab/build.sh` when the cache has none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::LabError;

/// The folder that images are kept in, which all labs of the machine share.
///
/// # Errors
/// It cannot be made.
pub(crate) fn cache() -> Result<PathBuf, LabError> {
    let folder = std::env::var_os("ISTHMUS_LAB")
        .map_or_else(|| PathBuf::from("/var/cache/isthmus-lab"), PathBuf::from);
    fs::create_dir_all(&folder).map_err(|source| LabError::io(&folder, source))?;
    Ok(folder)
}

/// The folder with `vmlinux`, `initramfs` and `root.ext4`. Installs what the lab needs on this
/// machine and builds the image if that was not done before; the script tells what it is doing on
/// standard error.
///
/// # Errors
/// The script failed; a machine that cannot run the tests fails them.
pub(crate) fn ensure() -> Result<PathBuf, LabError> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/build.sh");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| LabError::io(&script, source))?;
    if !output.status.success() {
        return Err(LabError::Command {
            line: script.display().to_string(),
            status: output.status.to_string(),
            output: "see standard error".to_owned(),
        });
    }
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    match folder.join("root.ext4").metadata() {
        Ok(_) => Ok(folder),
        Err(source) => Err(LabError::io(&folder, source)),
    }
}
