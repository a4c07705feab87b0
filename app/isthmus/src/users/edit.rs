//! Changes a users file in place: comments and order stay, the replacement is atomic.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use isthmus_core::SecretBytes;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::read::valid_name;
use super::{UserSecret, load};
use crate::report::Report;

/// Why a users file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file has mistakes already; changing it could make them worse.
    #[error("the users file has mistakes; correct them first\n\n{0}")]
    Broken(Box<Report>),
    /// There is such a user.
    #[error("the user `{0}` exists; use --replace to give a new password")]
    Exists(String),
    /// Reading or writing failed.
    #[error("cannot {what} `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No user may have this name.
    #[error("`{0}` cannot be a user name: use 1 to 255 bytes without control characters")]
    Name(String),
    /// There is no such user.
    #[error("there is no user `{0}`; `isthmus user list` shows all")]
    Unknown(String),
}

/// What `isthmus user add` writes.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Password or hash.
    pub secret: UserSecret,
    /// The address this user always gets.
    pub address: Option<Ipv4Addr>,
    /// For the operator's own order.
    pub group: Option<String>,
}

/// A users file being changed.
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    document: DocumentMut,
}

impl UsersFile {
    /// Opens a file, or begins a new one where there is none.
    ///
    /// # Errors
    /// [`EditError::Broken`], [`EditError::Io`].
    pub fn open(path: &Path) -> Result<Self, EditError> {
        // The target of a link is replaced, not the link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path, document: DocumentMut::new() });
            }
            Err(source) => return Err(io("read", &path, source)),
        };
        load(&path).map_err(|report| EditError::Broken(Box::new(report)))?;
        let document = text.parse().map_err(|_| EditError::Broken(Box::default()))?;
        Ok(Self { path, document })
    }

    /// Whether there is a user of this name.
    pub fn contains(&self, name: &str) -> bool {
        let users = self.document.get("users").and_then(Item::as_table_like);
        users.is_some_and(|users| users.contains_key(name))
    }

    /// Adds a user, or with `replace` gives an existing one a new secret and keeps the rest.
    ///
    /// # Errors
    /// [`EditError::Exists`], [`EditError::Name`].
    pub fn add(&mut self, name: &str, new: &NewUser, replace: bool) -> Result<(), EditError> {
        if !valid_name(name) {
            return Err(EditError::Name(name.escape_debug().to_string()));
        }
        let broken = || EditError::Broken(Box::default());
        if self.contains(name) && !replace {
            return Err(EditError::Exists(name.to_owned()));
        }
        let end = if self.contains(name) { String::new() } else { self.take_end() };
        let users = self.document.entry("users").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let users = users.as_table_like_mut().ok_or_else(broken)?;
        if !users.contains_key(name) {
            let mut table = Table::new();
            table.decor_mut().set_prefix(end);
            users.insert(name, Item::Table(table));
        }
        let user = users.get_mut(name).and_then(Item::as_table_like_mut).ok_or_else(broken)?;
        write_secret(user, &new.secret);
        if let Some(address) = new.address {
            user.insert("address", value(address.to_string()));
        }
        if let Some(group) = &new.group {
            user.insert("group", value(group.as_str()));
        }
        Ok(())
    }

    /// Removes a user and the comment directly above it.
    ///
    /// # Errors
    /// [`EditError::Unknown`].
    pub fn remove(&mut self, name: &str) -> Result<(), EditError> {
        let unknown = || EditError::Unknown(name.to_owned());
        let users = self.document.get_mut("users").and_then(Item::as_table_like_mut);
        let removed = users.and_then(|users| users.remove(name)).ok_or_else(unknown)?;
        if let Item::Table(table) = removed {
            self.keep_heading(&table);
        }
        Ok(())
    }

    /// Writes the file: readable by its owner only, all or nothing.
    ///
    /// # Errors
    /// [`EditError::Io`].
    pub fn save(self) -> Result<(), EditError> {
        let failed = |source| io("write", &self.path, source);
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        if let Ok(old) = std::fs::metadata(&self.path) {
            keep_owner(file.as_file(), &old).map_err(failed)?;
        }
        file.write_all(self.document.to_string().as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| io("write", &self.path, error.error))?;
        std::fs::File::open(directory).and_then(|dir| dir.sync_all()).map_err(failed)
    }

    /// Takes what stands after the last user, to put it before the next one.
    fn take_end(&mut self) -> String {
        let end = self.document.trailing().as_str().unwrap_or_default().to_owned();
        self.document.set_trailing("");
        let first = self.document.is_empty() && end.is_empty();
        if first || end.ends_with("\n\n") { end } else { end + "\n" }
    }

    /// Keeps what stands above a blank line before a removed user: it is about the file.
    fn keep_heading(&mut self, removed: &Table) {
        let prefix = removed.decor().prefix().and_then(|raw| raw.as_str()).unwrap_or_default();
        let Some((heading, _)) = prefix.rsplit_once("\n\n") else {
            return;
        };
        if heading.trim().is_empty() {
            return;
        }
        let place = removed.position();
        let users = self.document.get_mut("users").and_then(Item::as_table_mut);
        let next = users.and_then(|users| {
            users
                .iter_mut()
                .filter_map(|(_, item)| item.as_table_mut())
                .filter(|table| table.position() > place)
                .min_by_key(|table| table.position())
        });
        if let Some(next) = next {
            let own = next.decor().prefix().and_then(|raw| raw.as_str()).unwrap_or_default();
            let joined = format!("{heading}\n\n{}", own.trim_start_matches('\n'));
            next.decor_mut().set_prefix(joined);
        } else {
            let rest = self.document.trailing().as_str().unwrap_or_default().to_owned();
            self.document.set_trailing(format!("{heading}\n{rest}"));
        }
    }
}

fn write_secret(user: &mut dyn TableLike, secret: &UserSecret) {
    let (key, other, text) = match secret {
        UserSecret::Password(password) => {
            ("password", "nt_hash", String::from_utf8_lossy(password.expose()).into_owned())
        }
        UserSecret::NtHash(hash) => ("nt_hash", "password", hex(hash)),
    };
    user.remove(other);
    match user.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = text.into();
            *old.decor_mut() = decor;
        }
        None => {
            user.insert(key, value(text));
        }
    }
}

fn hex(bytes: &SecretBytes) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes.expose() {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The new file belongs to whom the old one did; the group may go on reading, nobody else may.
fn keep_owner(file: &std::fs::File, old: &std::fs::Metadata) -> std::io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    let mode = old.permissions().mode() & 0o040 | 0o600;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> EditError {
    EditError::Io { what, path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str = "\
# Users of acme. Ask Jo before adding people.

# the boss
[users.alice]
password = \"a\" # changed in May

# branch office
[users.\"branch 7\"]
nt_hash = \"0123456789abcdef0123456789abcdef\"
address = \"10.64.0.9\"
";

    fn password(text: &str) -> NewUser {
        let secret = UserSecret::Password(SecretBytes::copy_of(text.as_bytes()));
        NewUser { secret, address: None, group: None }
    }

    fn edited(edit: impl FnOnce(&mut UsersFile) -> Result<(), EditError>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(&path, ORIGINAL).unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        edit(&mut file).unwrap();
        file.save().unwrap();
        load(&path).unwrap();
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn adding_keeps_every_line_that_was_there() {
        let text = edited(|file| file.add("zoë", &password("z"), false));
        assert_eq!(text, format!("{ORIGINAL}\n[users.\"zoë\"]\npassword = \"z\"\n"));
    }

    #[test]
    fn a_comment_at_the_end_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(&path, "# Who may log in.\n").unwrap();
        for name in ["alice", "bob"] {
            let mut file = UsersFile::open(&path).unwrap();
            file.add(name, &password("x"), false).unwrap();
            file.save().unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "# Who may log in.\n\n[users.alice]\npassword = \"x\"\n\n[users.bob]\npassword = \"x\"\n"
        );
    }

    #[test]
    fn replacing_changes_the_secret_only() {
        let text = edited(|file| file.add("alice", &password("new"), true));
        assert_eq!(text, ORIGINAL.replace("\"a\" # changed", "\"new\" # changed"));
        let hash = SecretBytes::new(vec![0xab; 16]);
        let new = NewUser { secret: UserSecret::NtHash(hash), address: None, group: None };
        let text = edited(|file| file.add("alice", &new, true));
        assert!(text.contains("[users.alice]\nnt_hash = \"abababababababababababababababab\"\n"));
        assert!(!text.contains("password"));
    }

    #[test]
    fn removing_takes_the_comment_of_the_user_and_leaves_that_of_the_file() {
        let text = edited(|file| file.remove("alice"));
        assert_eq!(
            text,
            ORIGINAL
                .replace("# the boss\n[users.alice]\npassword = \"a\" # changed in May\n\n", "")
        );
        let text = edited(|file| {
            file.remove("alice")?;
            file.remove("branch 7")
        });
        assert_eq!(text, "# Users of acme. Ask Jo before adding people.\n");
    }

    #[test]
    fn a_user_is_not_overwritten_or_removed_by_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(&path, ORIGINAL).unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        assert!(matches!(file.add("alice", &password("x"), false), Err(EditError::Exists(_))));
        assert!(matches!(file.remove("bob"), Err(EditError::Unknown(_))));
        assert!(matches!(file.add("a\nb", &password("x"), false), Err(EditError::Name(_))));
    }

    #[test]
    fn a_broken_file_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(&path, "[users.alice]\npassword = \"hunter2\"\naddres = \"10.0.0.1\"\n")
            .unwrap();
        let error = UsersFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("users.toml:3:1") && error.contains("`address`"), "{error}");
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn the_file_is_private_whatever_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        for (before, after) in [(0o644, 0o640), (0o666, 0o640), (0o600, 0o600)] {
            std::fs::write(&path, ORIGINAL).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(before)).unwrap();
            UsersFile::open(&path).unwrap().save().unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, after);
        }
        std::fs::remove_file(&path).unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        file.add("bob", &password("b"), false).unwrap();
        file.save().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn inline_tables_are_edited_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(&path, "[users]\nalice = { password = \"a\" }\n").unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        file.add("alice", &password("b"), true).unwrap();
        file.add("bob", &password("c"), false).unwrap();
        file.save().unwrap();
        let (users, _) = load(&path).unwrap();
        assert_eq!(users.len(), 2);
        let secret = UserSecret::Password(SecretBytes::copy_of(b"b"));
        assert_eq!(users.named("alice").unwrap().secret, secret);
    }
}
