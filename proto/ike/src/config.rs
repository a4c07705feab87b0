//! What an endpoint is told: its configuration, and the parameters of one connection of its own.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_core::{Duration, Path, SecretBytes};
use isthmus_crypto::{DhGroup, EspSuite, KeyKind, Signer, Trust};
use serde::{Deserialize, Serialize};

use crate::habits::Habits;
use crate::identity::Identity;
use crate::proposal::IkeProposal;

/// Configuration of an endpoint; shared and immutable.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of an operator")]
pub struct Config {
    /// Pre-shared keys that clients may use.
    pub psks: Vec<Psk>,
    /// Phase 1 proposals accepted, and offered, in order of preference.
    pub ike: Vec<IkeProposal>,
    /// ESP suites accepted, and offered, in order of preference.
    pub esp: Vec<EspSuite>,
    /// Allows 3DES, MD5 and small groups where the lists have them.
    pub legacy: bool,
    /// Who we say we are; our address of the path when absent.
    pub local_id: Option<Identity>,
    /// Lifetime offered for an IKE SA as initiator.
    pub ike_lifetime: Duration,
    /// Lifetime offered for a child as initiator.
    pub child_lifetime: Duration,
    /// Traffic limit offered for a child as initiator, in kilobytes.
    pub child_kilobytes: Option<u32>,
    /// Silence after which a peer that understands DPD is asked whether it is there.
    pub dpd_interval: Option<Duration>,
    /// Makes peers use UDP encapsulation even without a NAT.
    pub force_encap: bool,
    /// As responder behind a 1:1 NAT, hides that NAT from the peer by returning its own hash of our
    /// address. Windows refuses servers behind a NAT otherwise (error 809); without a NAT the
    /// returned hash is the true one.
    pub mask_nat: bool,
    /// How we speak as initiator.
    pub habits: Habits,
    /// Serves aggressive mode with keys that are not for a group, too. Keys for groups are served by
    /// it in any case.
    pub aggressive: bool,
    /// Longest IP packet for messages to peers that understand fragments; longer messages are cut.
    /// At least [`crate::bounds::FRAGMENT_SIZE_MIN`].
    pub fragment_size: u16,
    /// Certificates, for those who want signatures instead of pre-shared keys.
    pub certificates: Option<Certificates>,
}

/// Our certificates and keys, and what we believe of others.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Ours, one for each kind of key. Who begins chooses by the authentication methods that it offers;
    /// we offer the method of the first.
    pub own: Vec<OwnCertificate>,
    /// Whom we believe. What it calls the number of an authority is a [`PskId`] here.
    pub trust: Arc<dyn Trust>,
    /// Anybody may begin with signatures; otherwise only servers that we are connected to.
    pub serves: bool,
}

/// One of our certificates, and its key.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// The key.
    pub signer: Arc<dyn Signer>,
    /// The certificate, DER, and those that lead to its authority.
    pub chain: Vec<Vec<u8>>,
    /// The subject of the certificate, DER: who we say we are unless configured otherwise.
    pub subject: Vec<u8>,
}

impl Certificates {
    /// Ours with a key of this kind.
    pub(crate) fn with_key(&self, kind: KeyKind) -> Option<&OwnCertificate> {
        self.own.iter().find(|own| own.signer.kind() == kind)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            psks: Vec::new(),
            ike: IkeProposal::acceptable(false),
            esp: EspSuite::ALL.into_iter().filter(|suite| !suite.is_legacy()).collect(),
            legacy: false,
            local_id: None,
            ike_lifetime: Duration::from_hours(8),
            child_lifetime: Duration::from_hours(1),
            child_kilobytes: None,
            dpd_interval: Some(Duration::from_secs(30)),
            force_encap: false,
            mask_nat: true,
            habits: Habits::default(),
            aggressive: false,
            fragment_size: FRAGMENT_SIZE_DEFAULT,
            certificates: None,
        }
    }
}

/// Names a pre-shared key of the configuration without showing it, or an authority for certificates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct PskId(pub u32);

/// A pre-shared key.
#[derive(Clone, Debug)]
pub struct Psk {
    /// Its name.
    pub id: PskId,
    /// The key.
    pub secret: SecretBytes,
    /// Whom it is for; anyone when absent.
    pub remote: Option<RemoteMatch>,
}

/// Whom a pre-shared key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteMatch {
    /// Peers that we see under this address.
    Address(IpAddr),
    /// Peers that say in aggressive mode that they are of this group, under whichever type of name.
    Group(Vec<u8>),
    /// Peers that say they are this.
    Identity(Identity),
}

impl Config {
    /// The keys to try for a peer seen under `remote`: those for its address first, then those for
    /// identities, then those for anyone; at most [`PSK_CANDIDATES_MAX`].
    pub(crate) fn candidates(&self, remote: IpAddr) -> impl Iterator<Item = &Psk> {
        let rank = move |psk: &Psk| match &psk.remote {
            Some(RemoteMatch::Address(address)) if *address == remote => Some(0),
            // Its users say who they are before a key is needed.
            Some(RemoteMatch::Address(_) | RemoteMatch::Group(_)) => None,
            Some(RemoteMatch::Identity(_)) => Some(1),
            None => Some(2),
        };
        (0..3)
            .flat_map(move |wanted| self.psks.iter().filter(move |p| rank(p) == Some(wanted)))
            .take(PSK_CANDIDATES_MAX)
    }

    /// Whether first messages of aggressive mode are looked at.
    pub(crate) fn serves_aggressive_mode(&self) -> bool {
        let group = |psk: &Psk| matches!(psk.remote, Some(RemoteMatch::Group(_)));
        self.aggressive || self.psks.iter().any(group)
    }

    /// The key of a peer that says in clear who it is: its group's; if other keys serve aggressive
    /// mode, its own, its address's, or the only one for anyone.
    pub(crate) fn psk_of(&self, identity: &Identity, remote: IpAddr) -> Option<&Psk> {
        let first = |wanted: &dyn Fn(&Psk) -> bool| self.psks.iter().find(|psk| wanted(psk));
        let group = first(&|psk| match &psk.remote {
            Some(RemoteMatch::Group(name)) => identity.names(name),
            Some(RemoteMatch::Address(_) | RemoteMatch::Identity(_)) | None => false,
        });
        if group.is_some() || !self.aggressive {
            return group;
        }
        let own = first(&|psk| psk.remote == Some(RemoteMatch::Identity(identity.clone())));
        let address = || first(&|psk| psk.remote == Some(RemoteMatch::Address(remote)));
        let anyone = || {
            let mut all = self.psks.iter().filter(|psk| psk.remote.is_none());
            all.next().filter(|_| all.next().is_none())
        };
        own.or_else(address).or_else(anyone)
    }
}

impl Psk {
    /// Whether the key may be used by a peer that says it is `identity`.
    pub(crate) fn allows(&self, identity: &Identity) -> bool {
        match &self.remote {
            Some(RemoteMatch::Identity(wanted)) => wanted == identity,
            Some(RemoteMatch::Address(_) | RemoteMatch::Group(_)) | None => true,
        }
    }
}

/// Parameters of a connection that we start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connect {
    /// From our port 500 to the server's.
    pub ike: Path,
    /// From our port 4500 to the server's.
    pub nat_t: Path,
    /// Pre-shared key.
    pub psk: SecretBytes,
    /// Who we say we are; the configuration's or our address when absent.
    pub local_id: Option<Identity>,
    /// Who the server must say it is; anyone with the key when absent.
    pub remote_id: Option<Identity>,
    /// Our UDP port inside the child; 0 for any.
    pub local_port: u16,
    /// The server's UDP port inside the child; 1701 for L2TP.
    pub remote_port: u16,
    /// Group for perfect forward secrecy; none as most L2TP clients have it.
    pub pfs: Option<DhGroup>,
    /// Aggressive mode instead of main mode: our identity goes out in clear and chooses the key.
    pub aggressive: bool,
    /// Signatures by the configuration's certificate instead of the pre-shared key.
    pub certificate: bool,
    /// The name that the certificate of the server must bear.
    pub server_name: Option<Identity>,
}

impl Connect {
    /// A connection for L2TP from port 1701 to port 1701.
    pub fn l2tp(ike: Path, nat_t: Path, psk: SecretBytes) -> Self {
        Self {
            ike,
            nat_t,
            psk,
            local_id: None,
            remote_id: None,
            local_port: 1701,
            remote_port: 1701,
            pfs: None,
            aggressive: false,
            certificate: false,
            server_name: None,
        }
    }
}

/// What every IPv6 path carries, and racoon's choice.
const FRAGMENT_SIZE_DEFAULT: u16 = 1280;
/// Most pre-shared keys tried for one peer.
pub const PSK_CANDIDATES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn psk(id: u32, remote: Option<RemoteMatch>) -> Psk {
        Psk { id: PskId(id), secret: SecretBytes::copy_of(b"secret"), remote }
    }

    #[test]
    fn keys_for_an_address_come_first_and_others_addresses_not_at_all() {
        let config = Config {
            psks: Vec::from([
                psk(1, None),
                psk(2, Some(RemoteMatch::Identity(Identity::fqdn("a")))),
                psk(3, Some(RemoteMatch::Address("192.0.2.1".parse().unwrap()))),
                psk(4, Some(RemoteMatch::Address("192.0.2.2".parse().unwrap()))),
            ]),
            ..Config::default()
        };
        let ids: Vec<u32> =
            config.candidates("192.0.2.1".parse().unwrap()).map(|psk| psk.id.0).collect();
        assert_eq!(ids, [3, 2, 1]);
    }

    #[test]
    fn a_group_is_found_by_its_name_under_any_type_and_in_aggressive_mode_only() {
        let group = |name: &[u8]| Some(RemoteMatch::Group(name.to_vec()));
        let mut config = Config {
            psks: Vec::from([
                psk(1, None),
                psk(2, group(b"sales")),
                psk(3, group(b"192.0.2.7")),
                psk(4, Some(RemoteMatch::Identity(Identity::fqdn("a")))),
                psk(5, Some(RemoteMatch::Address("192.0.2.1".parse().unwrap()))),
            ]),
            ..Config::default()
        };
        let remote = "192.0.2.1".parse().unwrap();
        let of = |config: &Config, identity, remote| {
            config.psk_of(&identity, remote).map(|psk| psk.id.0)
        };
        for named in
            [Identity::key_id(b"sales"), Identity::fqdn("sales"), Identity::user_fqdn("sales")]
        {
            assert_eq!(of(&config, named, remote), Some(2));
        }
        assert_eq!(of(&config, Identity::parse("192.0.2.7"), remote), Some(3));
        assert_eq!(of(&config, Identity::key_id(b"Sales"), remote), None);
        assert_eq!(of(&config, Identity::fqdn("a"), remote), None);
        assert!(config.candidates(remote).all(|psk| ![2, 3].contains(&psk.id.0)));
        config.aggressive = true;
        assert_eq!(of(&config, Identity::fqdn("a"), remote), Some(4));
        assert_eq!(of(&config, Identity::fqdn("b"), remote), Some(5));
        let elsewhere = "192.0.2.9".parse().unwrap();
        assert_eq!(of(&config, Identity::fqdn("b"), elsewhere), Some(1));
        config.psks.push(psk(6, None));
        assert_eq!(of(&config, Identity::fqdn("b"), elsewhere), None);
    }

    #[test]
    fn candidates_are_bounded() {
        let psks = (0..100).map(|id| psk(id, None)).collect();
        let config = Config { psks, ..Config::default() };
        let tried = config.candidates("192.0.2.1".parse().unwrap()).count();
        assert_eq!(tried, PSK_CANDIDATES_MAX);
    }
}
