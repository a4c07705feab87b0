//! Reads files whose names somebody wrote into a file: a device or a disk image must not fill the memory.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use zeroize::Zeroize;

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// It cannot be read, or is longer.
pub(crate) fn read_at_most(path: &Path, most: u32) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len().min(u64::from(most));
    // Of the size that is needed, so that no copy of a secret is left where it grew.
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0).saturating_add(1));
    let read = file.take(u64::from(most) + 1).read_to_end(&mut bytes);
    let long = usize::try_from(most).is_ok_and(|most| bytes.len() > most);
    if read.is_err() || long {
        bytes.zeroize();
    }
    read?;
    if long {
        let message = format!("it is longer than {most} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Reads a configuration or users file.
///
/// # Errors
/// It cannot be read, is longer than [`TEXT_BYTES_MAX`] or no UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read_at_most(path, TEXT_BYTES_MAX)?);
    text.map_err(|error| {
        let message = error.to_string();
        error.into_bytes().zeroize();
        io::Error::new(ErrorKind::InvalidData, message)
    })
}

/// Longest file with one secret.
pub(crate) const SECRET_BYTES_MAX: u32 = 4096;
/// Longest file with certificates, a key or revocation lists.
pub(crate) const PEM_BYTES_MAX: u32 = 16 << 20;
/// Longest configuration or users file.
pub(crate) const TEXT_BYTES_MAX: u32 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_as_long_as_the_bound_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (len, fits) in [(0, true), (31, true), (32, true), (33, false), (4000, false)] {
            std::fs::write(&path, vec![b'x'; len]).unwrap();
            let read = read_at_most(&path, 32);
            assert_eq!(read.as_ref().is_ok_and(|bytes| bytes.len() == len), fits, "{len}");
            let error = read.err().map(|error| error.to_string());
            assert_eq!(error.is_some_and(|text| text.contains("longer than 32 bytes")), !fits);
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn what_never_ends_is_refused() {
        for most in [SECRET_BYTES_MAX, PEM_BYTES_MAX, TEXT_BYTES_MAX] {
            let error = read_at_most(Path::new("/dev/zero"), most).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        }
    }
}
