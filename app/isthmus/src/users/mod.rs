//! Who may log in: the users file, its types and its readers.
//!
//! ```toml
//! [users.alice]
//! password = "open sesame"
//!
//! [users.branch-7]
//! nt_hash = "0123456789abcdef0123456789abcdef"
//! address = "10.64.0.9"
//! networks = ["192.168.40.0/24"]
//! ```

mod edit;
mod password;
mod read;
mod watch;

pub use edit::{EditError, NewUser, UsersFile};
pub use password::{PasswordError, generate, matches, nt_hash, prompt, read_file, read_stdin};
pub(crate) use read::{LocatedUser, merge, read_file as read_users_file, read_table};
pub use read::{load, load_text};
pub use watch::{FileStamp, UsersWatch, WATCH_INTERVAL};

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::SecretBytes;
use isthmus_gateway::{Advice, Limits};

/// The users of a tenant by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<String, User>);

/// One person or branch office.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What the user must know.
    pub secret: UserSecret,
    /// The address this user always gets.
    pub address: Option<Ipv4Addr>,
    /// The /64 this user always gets.
    pub address6: Option<Ipv6Net>,
    /// Networks behind the user.
    pub networks: Vec<Ipv4Net>,
    /// What is told instead of what the tenant's users are; what is empty is as the tenant has it.
    pub advice: Advice,
    /// One of the tenant's, or any name where it has none.
    pub group: Option<String>,
    /// What is none is as the tenant has it.
    pub limits: Limits,
    /// Refused without being forgotten.
    pub disabled: bool,
}

/// What proves a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserSecret {
    /// The password in UTF-8.
    Password(SecretBytes),
    /// MD4 of the password in UTF-16LE; 16 bytes.
    NtHash(SecretBytes),
}

impl Users {
    /// Users by name.
    pub const fn new(users: BTreeMap<String, User>) -> Self {
        Self(users)
    }

    /// The user with exactly this name.
    pub fn named(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    /// Every user in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.0.iter().map(|(name, user)| (name.as_str(), user))
    }

    /// These users and those of another list; a name in both is kept as it is here.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let mut all = other.0.clone();
        all.extend(self.0.clone());
        Self(all)
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
