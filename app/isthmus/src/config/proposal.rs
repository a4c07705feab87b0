//! IKE proposals by name, and the lists used when nothing is configured.

use std::fmt;
use std::str::FromStr;

use isthmus_crypto::{CipherAlg, DhGroup, EspSuite, HashAlg};

/// An IKE proposal: what protects phase 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IkeProposal {
    /// The cipher, in CBC mode.
    pub cipher: CipherAlg,
    /// The hash and PRF.
    pub hash: HashAlg,
    /// The Diffie-Hellman group.
    pub group: DhGroup,
}

impl IkeProposal {
    const fn new(cipher: CipherAlg, hash: HashAlg, group: DhGroup) -> Self {
        Self { cipher, hash, group }
    }

    /// Whether it is allowed only behind `legacy = true`.
    pub fn is_legacy(self) -> bool {
        self.group.is_legacy()
            || self.cipher == CipherAlg::TripleDesCbc
            || self.hash == HashAlg::Md5
    }
}

impl fmt::Display for IkeProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |found: Option<&'static str>| found.unwrap_or("?");
        let cipher = name(CIPHERS.iter().find(|(_, c)| *c == self.cipher).map(|(n, _)| *n));
        let hash = name(HASHES.iter().find(|(_, h)| *h == self.hash).map(|(n, _)| *n));
        let group = name(GROUPS.iter().find(|(_, g)| *g == self.group).map(|(n, _)| *n));
        write!(f, "{cipher}-{hash}-{group}")
    }
}

/// Why text is not an IKE proposal: the part that is not known and what could stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` is not {what}; known: {known}")]
pub struct UnknownProposal {
    part: String,
    what: &'static str,
    known: String,
}

impl FromStr for IkeProposal {
    type Err = UnknownProposal;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let mut parts = written.splitn(3, '-');
        let mut part = || parts.next().unwrap_or("");
        Ok(Self {
            cipher: find(part(), "a cipher", &CIPHERS)?,
            hash: find(part(), "a hash", &HASHES)?,
            group: find(part(), "a group", &GROUPS)?,
        })
    }
}

fn find<T: Copy>(
    part: &str,
    what: &'static str,
    known: &[(&'static str, T)],
) -> Result<T, UnknownProposal> {
    known.iter().find(|(name, _)| *name == part).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        UnknownProposal { part: part.to_owned(), what, known: names.join(", ") }
    })
}

/// The IKE proposals accepted when none are configured, most wanted first.
pub fn default_ike(legacy: bool) -> Vec<IkeProposal> {
    let mut all = DEFAULT_IKE.to_vec();
    if legacy {
        all.extend(LEGACY_IKE);
    }
    all
}

/// The ESP suites accepted when none are configured, most wanted first.
///
/// With `legacy` SHA-1 goes before SHA-256, because phones of that age cut HMAC-SHA-256 to 96 bits
/// and then drop every packet without a word.
pub fn default_esp(legacy: bool) -> Vec<EspSuite> {
    use EspSuite::{
        Aes128CbcSha1, Aes128CbcSha256, Aes128Gcm16, Aes192CbcSha1, Aes256CbcSha1, Aes256CbcSha256,
        Aes256Gcm16, TripleDesSha1,
    };
    let sha1 = [Aes256CbcSha1, Aes192CbcSha1, Aes128CbcSha1];
    let sha256 = [Aes256CbcSha256, Aes128CbcSha256];
    let mut all = vec![Aes256Gcm16, Aes128Gcm16];
    if legacy {
        all.extend(sha1);
        all.extend(sha256);
        all.push(TripleDesSha1);
    } else {
        all.extend(sha256);
        all.extend(sha1);
    }
    all
}

const CIPHERS: [(&str, CipherAlg); 4] = [
    ("aes128", CipherAlg::Aes128Cbc),
    ("aes192", CipherAlg::Aes192Cbc),
    ("aes256", CipherAlg::Aes256Cbc),
    ("3des", CipherAlg::TripleDesCbc),
];

/// MD4 is left out: it is no IKE hash.
const HASHES: [(&str, HashAlg); 5] = [
    ("sha1", HashAlg::Sha1),
    ("sha256", HashAlg::Sha256),
    ("sha384", HashAlg::Sha384),
    ("sha512", HashAlg::Sha512),
    ("md5", HashAlg::Md5),
];

const GROUPS: [(&str, DhGroup); 7] = [
    ("modp1024", DhGroup::Modp1024),
    ("modp1536", DhGroup::Modp1536),
    ("modp2048", DhGroup::Modp2048),
    ("modp3072", DhGroup::Modp3072),
    ("modp4096", DhGroup::Modp4096),
    ("ecp256", DhGroup::Ecp256),
    ("ecp384", DhGroup::Ecp384),
];

/// The strongest that Windows, Apple, `ChromeOS`, strongSwan, libreswan and `RouterOS` offer.
const DEFAULT_IKE: [IkeProposal; 13] = [
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha384, DhGroup::Ecp384),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha256, DhGroup::Ecp256),
    IkeProposal::new(CipherAlg::Aes128Cbc, HashAlg::Sha256, DhGroup::Ecp256),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Ecp384),
    IkeProposal::new(CipherAlg::Aes128Cbc, HashAlg::Sha1, DhGroup::Ecp256),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha256, DhGroup::Modp3072),
    IkeProposal::new(CipherAlg::Aes128Cbc, HashAlg::Sha256, DhGroup::Modp3072),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha256, DhGroup::Modp2048),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha512, DhGroup::Modp2048),
    IkeProposal::new(CipherAlg::Aes128Cbc, HashAlg::Sha256, DhGroup::Modp2048),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Modp2048),
    IkeProposal::new(CipherAlg::Aes192Cbc, HashAlg::Sha1, DhGroup::Modp2048),
    IkeProposal::new(CipherAlg::Aes128Cbc, HashAlg::Sha1, DhGroup::Modp2048),
];

/// Android up to 11, Apple up to 10.10, Windows XP, TP-Link.
const LEGACY_IKE: [IkeProposal; 12] = [
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha256, DhGroup::Modp1536),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Modp1536),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha384, DhGroup::Modp1024),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha256, DhGroup::Modp1024),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Sha1, DhGroup::Modp1024),
    IkeProposal::new(CipherAlg::Aes128Cbc, HashAlg::Sha256, DhGroup::Modp1024),
    IkeProposal::new(CipherAlg::Aes128Cbc, HashAlg::Sha1, DhGroup::Modp1024),
    IkeProposal::new(CipherAlg::TripleDesCbc, HashAlg::Sha1, DhGroup::Modp2048),
    IkeProposal::new(CipherAlg::TripleDesCbc, HashAlg::Sha1, DhGroup::Modp1536),
    IkeProposal::new(CipherAlg::TripleDesCbc, HashAlg::Sha1, DhGroup::Modp1024),
    IkeProposal::new(CipherAlg::Aes256Cbc, HashAlg::Md5, DhGroup::Modp1024),
    IkeProposal::new(CipherAlg::TripleDesCbc, HashAlg::Md5, DhGroup::Modp1024),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for (cipher, _) in CIPHERS {
            for (hash, _) in HASHES {
                for (group, _) in GROUPS {
                    let written = format!("{cipher}-{hash}-{group}");
                    assert_eq!(written.parse::<IkeProposal>().unwrap().to_string(), written);
                }
            }
        }
    }

    #[test]
    fn an_unknown_part_is_named_with_what_could_stand_there() {
        let why = "aes256-sha265-modp2048".parse::<IkeProposal>().unwrap_err().to_string();
        assert!(why.starts_with("`sha265` is not a hash; known: sha1, sha256"), "{why}");
        assert!("aes256-sha1".parse::<IkeProposal>().is_err());
        assert!("aes256-sha1-modp2048-x".parse::<IkeProposal>().is_err());
    }

    #[test]
    fn nothing_weak_is_accepted_by_default() {
        assert!(!default_ike(false).iter().any(|p| p.is_legacy()));
        assert!(!default_esp(false).iter().any(|s| s.is_legacy()));
        assert!(default_ike(true).iter().any(|p| p.group == DhGroup::Modp1024));
        assert!(default_esp(true).contains(&EspSuite::TripleDesSha1));
    }

    #[test]
    fn each_known_client_finds_a_proposal() {
        // The strongest line of each client in docs/protocol, and whether it needs `legacy`.
        for (client, offer, legacy) in [
            ("Windows 7 to 11", "aes256-sha1-ecp384", false),
            ("macOS 10.11, iOS 9 and later", "aes256-sha256-modp2048", false),
            ("RouterOS", "aes128-sha1-modp2048", false),
            ("ChromeOS", "aes128-sha256-modp3072", false),
            ("NetworkManager", "aes256-sha256-modp2048", false),
            ("Android 7 to 11", "aes256-sha384-modp1024", true),
            ("macOS 10.6", "aes256-sha1-modp1024", true),
            ("TP-Link", "3des-sha1-modp1024", true),
        ] {
            let offer: IkeProposal = offer.parse().unwrap();
            assert_eq!(!default_ike(false).contains(&offer), legacy, "{client}");
            assert!(default_ike(true).contains(&offer), "{client}");
        }
    }
}
