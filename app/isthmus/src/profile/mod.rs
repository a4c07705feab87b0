//! What each kind of client needs to connect, in the form in which its system takes it.
//!
//! Names, keys and passwords are other people's text: each writer quotes for its own syntax, and
//! `Profile::check` refuses beforehand what no syntax can carry.

mod android;
mod apple;
mod chromeos;
mod linux;
mod routeros;
mod windows;

#[cfg(test)]
mod tests;

use ipnet::Ipv4Net;
use isthmus_crypto::HashAlg;

use crate::config::AuthProtocol;

/// For which system a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum System {
    /// Android up to 11: written instructions
    Android,
    /// macOS, iOS, iPadOS: a `.mobileconfig`
    Apple,
    /// ChromeOS: an ONC file
    Chromeos,
    /// Linux with NetworkManager-l2tp: a keyfile
    Linux,
    /// MikroTik RouterOS: a script
    Routeros,
    /// Windows 8 and later: a PowerShell script
    Windows,
}

/// Everything that a client must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What the connection is called.
    pub name: String,
    /// Name or address of the gateway.
    pub server: String,
    /// Who logs in.
    pub user: String,
    /// Left out unless asked for.
    pub password: Option<String>,
    /// The pre-shared key.
    pub psk: String,
    /// Whose key it is when it is not the tenant's own: the client then begins in aggressive mode.
    pub group: Option<String>,
    /// Networks behind the gateway; none sends everything there.
    pub routes: Vec<Ipv4Net>,
    /// What the gateway asks for, most wanted first; at least one.
    pub auth: Vec<AuthProtocol>,
    /// Whether the gateway is behind a NAT.
    pub server_behind_nat: bool,
    /// Whether the gateway allows weak algorithms.
    pub legacy: bool,
}

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A character that cannot be typed into a client, or breaks its files.
    #[error("the {what} has a character that clients cannot take (U+{:04X}); choose another one", *.character as u32)]
    Character {
        /// Of what.
        what: &'static str,
        /// Which.
        character: char,
    },
    /// The system has no place for a group.
    #[error("this system has no group name; only Apple and Android have one")]
    Group,
    /// Windows cannot be given this password by a script.
    #[error(
        "Windows cannot take a password with a quotation mark, or with a backslash at its end, from a \
         script; leave out --include-password and type it when connecting"
    )]
    WindowsPassword,
    /// Not a host name or an address.
    #[error("`{0}` is no host name and no address; name the gateway with --server")]
    Server(String),
}

impl Profile {
    /// The file or text for a system.
    ///
    /// # Errors
    /// [`ProfileError`]; nothing is written half.
    pub fn write(&self, system: System) -> Result<String, ProfileError> {
        self.check()?;
        if self.group.is_some() && !matches!(system, System::Android | System::Apple) {
            return Err(ProfileError::Group);
        }
        match system {
            System::Android => Ok(android::text(self)),
            System::Apple => Ok(apple::plist(self)),
            System::Chromeos => Ok(chromeos::onc(self)),
            System::Linux => Ok(linux::keyfile(self)),
            System::Routeros => Ok(routeros::script(self)),
            System::Windows => windows::script(self),
        }
    }

    fn check(&self) -> Result<(), ProfileError> {
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if self.server.is_empty() || self.server.starts_with('-') || !self.server.chars().all(host)
        {
            return Err(ProfileError::Server(self.server.escape_debug().to_string()));
        }
        let texts = [
            ("connection's name", Some(&self.name)),
            ("user's name", Some(&self.user)),
            ("group's name", self.group.as_ref()),
            ("password", self.password.as_ref()),
            ("pre-shared key", Some(&self.psk)),
        ];
        for (what, text) in texts.into_iter().filter_map(|(what, text)| Some((what, text?))) {
            if let Some(character) = text.chars().find(|c| is_refused(*c)) {
                return Err(ProfileError::Character { what, character });
            }
        }
        Ok(())
    }

    /// A name for the profile that stays the same as long as it is the same connection.
    fn uuid(&self, part: &str) -> String {
        let mut digest = [0; 20];
        let parts: [&[u8]; 9] = [
            &NAMESPACE,
            part.as_bytes(),
            b"\n",
            self.name.as_bytes(),
            b"\n",
            self.server.as_bytes(),
            b"\n",
            self.user.as_bytes(),
            b"\n",
        ];
        // SHA-1 takes any length; should it ever fail, the name is still a name.
        let _never = isthmus_crypto_aws::provider().hash(HashAlg::Sha1, &parts, &mut digest);
        // RFC 9562 §5.5: version 5, variant 10.
        digest[6] = digest[6] & 0x0f | 0x50;
        digest[8] = digest[8] & 0x3f | 0x80;
        let hex = u128::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 16]));
        let group = |from: usize, digits: usize| {
            let value = hex >> (128 - 4 * (from + digits)) & ((1 << (4 * digits)) - 1);
            format!("{value:0digits$x}")
        };
        [group(0, 8), group(8, 4), group(12, 4), group(16, 4), group(20, 12)].join("-")
    }

    /// Whether everything goes through the tunnel.
    const fn sends_everything(&self) -> bool {
        self.routes.is_empty()
    }
}

/// Control characters cannot be typed, line ends break every format, and XML has no noncharacters.
fn is_refused(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// The namespace of our names: a random UUID of this program.
const NAMESPACE: [u8; 16] = [
    0x6b, 0x1d, 0x3a, 0x52, 0x8f, 0x0c, 0x4e, 0x7a, 0x9d, 0x21, 0x5c, 0x44, 0x1e, 0xb0, 0x77, 0x93,
];
