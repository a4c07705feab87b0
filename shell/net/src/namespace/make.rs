//! Making and removing network namespaces that have a name, as `ip netns` does (ip-netns(8)): a file in
//! `/run/netns` that the namespace is mounted on.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;

use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{FOLDER, Namespace, NamespaceError};

impl Namespace {
    /// Whether it has a name in the folder of `ip netns`, so that it can be made.
    pub fn can_be_made(&self) -> bool {
        self.path.parent() == Some(Path::new(FOLDER))
    }

    /// Whether there is one of that name.
    pub fn exists(&self) -> bool {
        self.number().is_some()
    }

    /// The number that tells it from every other one there is; none when there is none of that name.
    pub fn number(&self) -> Option<u64> {
        let there = fs::metadata(&self.path).ok()?;
        let folder = fs::metadata(self.path.parent()?).ok()?;
        // The file alone is what a crash between making it and mounting on it leaves.
        (there.dev() != folder.dev()).then(|| there.ino())
    }

    /// Makes it, with a loopback device that is down.
    ///
    /// # Errors
    /// When there is one of that name, or the process may not.
    pub fn make(&self) -> Result<(), NamespaceError> {
        let made = prepare_folder().and_then(|()| self.make_file());
        made.map_err(|source| self.failed("make", source))
    }

    /// Takes its name away; it ends when nothing is in it any more. None of that name is fine.
    ///
    /// # Errors
    /// When the process may not.
    pub fn remove(&self) -> Result<(), NamespaceError> {
        let removed = match unmount(&self.path, UnmountFlags::DETACH) {
            // Nothing is mounted there.
            Ok(()) | Err(Errno::INVAL) => fs::remove_file(&self.path),
            Err(errno) => Err(errno.into()),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(|source| self.failed("remove", source)),
        }
    }

    fn make_file(&self) -> io::Result<()> {
        if self.exists() {
            return Err(Errno::EXIST.into());
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o000).open(&self.path)?;
        let mounted = thread::scope(|scope| {
            let here = || mount_new_on(&self.path);
            let thread = thread::Builder::new().name(format!("netns-{self}"));
            let done = thread.spawn_scoped(scope, here)?.join();
            done.unwrap_or_else(|_panic| Err(io::ErrorKind::Other.into()))
        });
        mounted.inspect_err(|_| drop(fs::remove_file(&self.path)))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> NamespaceError {
        NamespaceError::Make { doing, namespace: self.clone(), source }
    }
}

/// Moves the calling thread into a namespace that nobody else is in, for good.
///
/// # Errors
/// When the process may not.
#[expect(unsafe_code, reason = "rustix has no safe call for a single kind of namespace")]
pub(super) fn enter_new() -> io::Result<()> {
    // SAFETY: the file descriptor table stays shared with the other threads; only the network namespace of
    // this thread is another one.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}

/// Moves the calling thread into a new namespace and mounts that on a file.
fn mount_new_on(path: &Path) -> io::Result<()> {
    enter_new()?;
    mount_bind("/proc/thread-self/ns/net", path).map_err(io::Error::from)
}

/// Makes the folder a mount of its own that others see changes of, so that a namespace which is removed in
/// one mount namespace goes in all.
fn prepare_folder() -> io::Result<()> {
    fs::create_dir_all(FOLDER)?;
    let share = || mount_change(FOLDER, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    match share() {
        // It is no mount yet.
        Err(Errno::INVAL) => {
            mount_bind_recursive(FOLDER, FOLDER)?;
            share().map_err(io::Error::from)
        }
        done => done.map_err(io::Error::from),
    }
}
