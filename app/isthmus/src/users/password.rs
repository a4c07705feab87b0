//! Passwords: reading them without showing them, hashing, comparing, making new ones.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;

use isthmus_core::SecretBytes;
use md4::{Digest, Md4};
use zeroize::Zeroizing;

use super::UserSecret;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Nothing was typed or written.
    #[error("the password is empty; give at least one character")]
    Empty,
    /// The two entries differ.
    #[error("the two passwords differ; nothing was changed")]
    Mismatch,
    /// The file, terminal or pipe failed.
    #[error("cannot read the password{from}: {source}")]
    Read {
        /// ` from FILE`, or nothing.
        from: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// MS-CHAPv2 has no more room (RFC 2759 §8.3).
    #[error("the password is longer than {PASSWORD_CHARS_MAX} characters")]
    TooLong,
    /// The password has to be text, because MS-CHAPv2 hashes its UTF-16 form.
    #[error("the password is not UTF-8 text")]
    NotText,
}

/// Asks on the terminal without echo, twice when `confirm`.
///
/// # Errors
/// [`PasswordError`].
pub fn prompt(question: &str, confirm: bool) -> Result<SecretBytes, PasswordError> {
    let ask = |question: &str| {
        rpassword::prompt_password(question)
            .map(Zeroizing::new)
            .map_err(|source| PasswordError::Read { from: String::new(), source })
    };
    let first = ask(&format!("{question}: "))?;
    if confirm && ask(&format!("{question} again: "))? != first {
        return Err(PasswordError::Mismatch);
    }
    checked(first.as_bytes())
}

/// The first line of standard input; asks on the terminal when that is what it is.
///
/// # Errors
/// [`PasswordError`].
pub fn read_stdin(question: &str, confirm: bool) -> Result<SecretBytes, PasswordError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return prompt(question, confirm);
    }
    let mut line = Zeroizing::new(Vec::new());
    stdin
        .lock()
        .take(FILE_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .map_err(|source| PasswordError::Read { from: String::new(), source })?;
    checked(without_line_end(&line))
}

/// The first line of a file; `-` is standard input.
///
/// # Errors
/// [`PasswordError`].
pub fn read_file(path: &Path, question: &str) -> Result<SecretBytes, PasswordError> {
    if path == Path::new("-") {
        return read_stdin(question, false);
    }
    let failed = |source| PasswordError::Read { from: format!(" from {}", path.display()), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut line = Zeroizing::new(Vec::new());
    std::io::BufReader::new(file.take(FILE_BYTES_MAX))
        .read_until(b'\n', &mut line)
        .map_err(failed)?;
    checked(without_line_end(&line))
}

/// MD4 of the password in UTF-16LE (RFC 2759 §8.3); none when it is not UTF-8.
pub fn nt_hash(password: &SecretBytes) -> Option<SecretBytes> {
    let text = std::str::from_utf8(password.expose()).ok()?;
    let wide: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    Some(SecretBytes::copy_of(Md4::digest(&*wide).as_slice()))
}

/// Whether the password is the user's, compared in constant time.
pub fn matches(secret: &UserSecret, password: &SecretBytes) -> bool {
    match secret {
        UserSecret::Password(stored) => stored.ct_eq(password.expose()),
        UserSecret::NtHash(stored) => {
            nt_hash(password).is_some_and(|hash| stored.ct_eq(hash.expose()))
        }
    }
}

/// Random letters and digits, 5 bits each, without those that look alike.
///
/// # Errors
/// When the system has no random numbers.
pub fn generate(characters: usize) -> Result<SecretBytes, getrandom::Error> {
    let mut bytes = vec![0; characters];
    getrandom::fill(&mut bytes)?;
    for byte in &mut bytes {
        // The alphabet has 32 letters, so five bits choose evenly.
        let index = usize::from(*byte & 31);
        *byte = ALPHABET.get(index).copied().unwrap_or(b'x');
    }
    Ok(SecretBytes::new(bytes))
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn checked(bytes: &[u8]) -> Result<SecretBytes, PasswordError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PasswordError::NotText)?;
    if text.is_empty() {
        return Err(PasswordError::Empty);
    }
    if text.encode_utf16().count() > PASSWORD_CHARS_MAX {
        return Err(PasswordError::TooLong);
    }
    Ok(SecretBytes::copy_of(bytes))
}

/// Longest password in UTF-16 units (RFC 2759 §8.3).
const PASSWORD_CHARS_MAX: usize = 256;
/// Most that is read in search of a line end; more than any password that is accepted.
const FILE_BYTES_MAX: u64 = 4096;
/// No `0`, `1`, `l`, `o` and no capitals: people type this into phones.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_rfc_2759() {
        // RFC 2759 §9.2.
        let hash = nt_hash(&SecretBytes::copy_of(b"clientPass")).unwrap();
        let expected = [
            0x44, 0xEB, 0xBA, 0x8D, 0x53, 0x12, 0xB8, 0xD6, 0x11, 0x47, 0x44, 0x11, 0xF5, 0x69,
            0x89, 0xAE,
        ];
        assert_eq!(hash.expose(), expected);
    }

    #[test]
    fn a_password_fits_its_own_hash_and_no_other() {
        let right = SecretBytes::copy_of("pässword".as_bytes());
        let wrong = SecretBytes::copy_of(b"password");
        for secret in
            [UserSecret::Password(right.clone()), UserSecret::NtHash(nt_hash(&right).unwrap())]
        {
            assert!(matches(&secret, &right));
            assert!(!matches(&secret, &wrong));
        }
    }

    #[test]
    fn made_passwords_differ_and_are_easy_to_type() {
        let (a, b) = (generate(20).unwrap(), generate(20).unwrap());
        assert_ne!(a, b);
        assert!(a.expose().iter().all(|byte| ALPHABET.contains(byte)));
        let mut letters = ALPHABET.to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 32);
    }

    #[test]
    fn a_password_file_gives_its_first_line_and_no_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        for (content, expected) in
            [("secret\n", "secret"), ("secret\r\nmore\n", "secret"), (" s p ", " s p ")]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_file(&path, "").unwrap().expose(), expected.as_bytes());
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(read_file(&path, ""), Err(PasswordError::Empty)));
        std::fs::write(&path, "x".repeat(257)).unwrap();
        assert!(matches!(read_file(&path, ""), Err(PasswordError::TooLong)));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read_file(&path, ""), Err(PasswordError::NotText)));
        assert!(matches!(read_file(&dir.path().join("no"), ""), Err(PasswordError::Read { .. })));
    }
}
