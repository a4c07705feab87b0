//! Local users: who may log in, with what proof, and what they get.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use isthmus_core::SecretBytes;

use crate::advice::Advice;
use crate::limits::Limits;

/// The users of one tenant by name.
#[derive(Clone, Debug, Default)]
pub struct Users(BTreeMap<String, User>);

/// One person or branch office.
#[derive(Clone, Debug)]
pub struct User {
    /// What the user must know.
    pub secret: UserSecret,
    /// The address this user always gets.
    pub address: Option<Ipv4Addr>,
    /// The /64 this user always gets.
    pub prefix6: Option<Ipv6Net>,
    /// Networks behind the user (a branch office): packets from them are accepted, packets to them
    /// are sent there.
    pub networks: Vec<Ipv4Net>,
    /// What this user is told instead of what the tenant's are; what is empty is as the tenant has it.
    pub advice: Advice,
    /// The group: one of the tenant's, or a name that only policy knows.
    pub group: Option<String>,
    /// What is none is as the tenant has it.
    pub limits: Limits,
    /// Refused with its own cause.
    pub disabled: bool,
}

/// What proves a user.
#[derive(Clone, Debug)]
pub enum UserSecret {
    /// The password in UTF-8; serves every authentication protocol.
    Password(SecretBytes),
    /// MD4 of the password in UTF-16LE; serves MS-CHAPv2 and PAP, but not CHAP.
    NtHash(SecretBytes),
}

impl User {
    /// A user who gets what the tenant gives.
    pub const fn new(secret: UserSecret) -> Self {
        Self {
            secret,
            address: None,
            prefix6: None,
            networks: Vec::new(),
            advice: Advice::NONE,
            group: None,
            limits: Limits::NONE,
            disabled: false,
        }
    }
}

impl Users {
    /// Users by name.
    pub fn new(users: BTreeMap<String, User>) -> Self {
        Self(users)
    }

    /// The user with this name, as sent by the client.
    ///
    /// A name that is not known as it stands is looked up again without a `DOMAIN\` prefix, because
    /// Windows puts one before the name of a domain account.
    pub fn find(&self, name: &[u8]) -> Option<(&str, &User)> {
        let name = core::str::from_utf8(name).ok()?;
        let bare = name.rsplit_once('\\').map(|(_, bare)| bare);
        [Some(name), bare]
            .into_iter()
            .flatten()
            .find_map(|n| self.0.get_key_value(n))
            .map(|(n, u)| (n.as_str(), u))
    }

    /// The user with exactly this name.
    pub(crate) fn named(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    /// Addresses kept for named users.
    pub fn fixed_addresses(&self) -> Vec<Ipv4Addr> {
        self.0.values().filter_map(|user| user.address).collect()
    }

    /// /64 networks kept for named users.
    pub fn fixed_prefixes(&self) -> Vec<Ipv6Net> {
        self.0.values().filter_map(|user| user.prefix6).collect()
    }

    /// Networks behind users, each once, in order.
    pub fn networks(&self) -> Vec<Ipv4Net> {
        let all = self.0.values().flat_map(|user| user.networks.iter().copied());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User::new(UserSecret::Password(SecretBytes::copy_of(b"x")))
    }

    #[test]
    fn networks_of_several_users_are_listed_once() {
        let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>();
        let with = |networks| User { networks, ..user() };
        let users = Users::new(
            [
                ("a", with(nets(&["10.2.0.0/16", "10.1.0.0/16"]))),
                ("b", with(nets(&["10.2.0.0/16"]))),
                ("c", user()),
            ]
            .map(|(name, user)| (String::from(name), user))
            .into(),
        );
        assert_eq!(users.networks(), nets(&["10.1.0.0/16", "10.2.0.0/16"]));
    }

    #[test]
    fn a_domain_prefix_is_tried_second() {
        let users = Users::new(
            [("alice", user()), ("CORP\\bob", user())]
                .into_iter()
                .map(|(n, u)| (n.into(), u))
                .collect(),
        );
        assert_eq!(users.find(b"CORP\\alice").map(|(n, _)| n), Some("alice"));
        assert_eq!(users.find(b"CORP\\bob").map(|(n, _)| n), Some("CORP\\bob"));
        assert!(users.find(b"bob").is_none());
        assert!(users.find(&[0xff, 0xfe]).is_none());
    }
}
