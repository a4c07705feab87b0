//! The gateway's configuration: one tenant, as small as a real one can be, and what a test adds.

use std::fmt;
use std::path::{Path, PathBuf};

use isthmus_interop::{Evidence, LabError};

/// Additions to the smallest configuration, each a piece of TOML.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config<'a> {
    /// Lines of `[ipsec]`.
    pub ipsec: &'a str,
    /// Lines of `[ppp]`.
    pub ppp: &'a str,
    /// The `pool` of the tenant; a /24 when empty.
    pub pool: &'a str,
    /// Lines of the tenant, and tables after it.
    pub tenant: &'a str,
    /// Tables of the users file, besides the first user.
    pub users: &'a str,
}

impl Config<'_> {
    /// Writes the files of the configuration and answers their folder.
    pub(crate) fn write(&self, evidence: &Evidence) -> Result<PathBuf, LabError> {
        let folder = evidence.subfolder("configuration")?;
        let put = |name: &str, text: String| {
            let path: PathBuf = Path::new("configuration").join(name);
            evidence.write(&path.to_string_lossy(), &text).map(drop)
        };
        put("gateway.toml", self.to_string())?;
        put("acme.users", self.users_file())?;
        Ok(folder)
    }

    /// The content of the users file.
    pub fn users_file(&self) -> String {
        format!("[users.{USER}]\npassword = \"{PASSWORD}\"\n\n{}", self.users)
    }
}

impl fmt::Display for Config<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ipsec, ppp, tenant, users: _, pool } = self;
        let pool = if pool.is_empty() { "10.64.0.0/24" } else { pool };
        write!(
            f,
            "[gateway]\n\
             name = \"lab\"\n\
             public_address = \"203.0.113.10\"\n\n\
             [ipsec]\n\
             psk = \"{PSK}\"\n{ipsec}\n\n\
             [ppp]\n{ppp}\n\n\
             [[tenant]]\n\
             name = \"acme\"\n\
             pool = [\"{pool}\"]\n\
             routes = [\"10.0.0.0/24\"]\n\
             users_file = \"acme.users\"\n{tenant}\n"
        )
    }
}

/// The pre-shared key of `[ipsec]`.
pub const PSK: &str = "correct horse battery staple";
/// The first user.
pub const USER: &str = "alice";
/// The first user's password.
pub const PASSWORD: &str = "wonder land";
