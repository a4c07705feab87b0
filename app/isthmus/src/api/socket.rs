//! The control socket: made so that it is never there half-open or open to others.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another gateway has it.
    #[error(
        "another gateway listens at `{0}`; stop it, or give this one its own `control_socket` in [gateway]"
    )]
    InUse(String),
    /// The system refuses.
    #[error("cannot make the control socket `{path}`: {source}")]
    Io {
        /// Where.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A listening control socket; its name goes away with it.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    inode: u64,
    listener: Option<UnixListener>,
}

impl ControlSocket {
    /// Listens at `path`, readable and writable by the owner only; replaces a name left by a crash.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io { path: path.display().to_string(), source };
        if UnixStream::connect(path).is_ok() {
            return Err(SocketError::InUse(path.display().to_string()));
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        // Bound under another name and renamed when it is private: nobody can open it in between.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let _absent = std::fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary).map_err(failed)?;
        let finish = || {
            std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
            let inode = std::fs::metadata(&temporary)?.ino();
            std::fs::rename(&temporary, path)?;
            listener.set_nonblocking(true)?;
            Ok(inode)
        };
        let inode = finish().map_err(|error| {
            let _gone = std::fs::remove_file(&temporary);
            failed(error)
        })?;
        Ok(Self { path: path.to_owned(), inode, listener: Some(listener) })
    }

    /// The listener, once; the name stays until this value is dropped.
    ///
    /// # Errors
    /// When there is no runtime to serve it, or it was taken before.
    pub fn listener(&mut self) -> io::Result<tokio::net::UnixListener> {
        let listener = self.listener.take().ok_or(io::ErrorKind::NotConnected)?;
        tokio::net::UnixListener::from_std(listener)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // A successor may have taken the name already.
        if std::fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_private_and_leaves_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(ControlSocket::bind(&path), Err(SocketError::InUse(_))));
        drop(socket);
        assert!(std::fs::read_dir(dir.path().join("run")).unwrap().next().is_none());
    }

    #[test]
    fn a_name_left_by_a_crash_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = ControlSocket::bind(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(socket);
    }

    #[test]
    fn the_name_of_a_successor_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let mut first = ControlSocket::bind(&path).unwrap();
        first.listener = None;
        let second = ControlSocket::bind(&path).unwrap();
        drop(first);
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
    }
}
