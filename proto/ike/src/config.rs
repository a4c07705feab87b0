//! What an endpoint is told: its configuration, and the parameters of one connection of its own.

use alloc::vec::Vec;
use core::net::IpAddr;

use isthmus_core::{Duration, Path, SecretBytes};
use isthmus_crypto::{DhGroup, EspSuite};
use serde::{Deserialize, Serialize};

use crate::habits::Habits;
use crate::identity::Identity;
use crate::proposal::IkeProposal;

/// Configuration of an endpoint; shared and immutable.
#[derive(Clone, Debug)]
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
        }
    }
}

/// Names a pre-shared key of the configuration without showing it.
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
    /// Peers that say they are this.
    Identity(Identity),
}

impl Config {
    /// The keys to try for a peer seen under `remote`: those for its address first, then those for
    /// identities, then those for anyone; at most [`PSK_CANDIDATES_MAX`].
    pub(crate) fn candidates(&self, remote: IpAddr) -> impl Iterator<Item = &Psk> {
        let rank = move |psk: &Psk| match &psk.remote {
            Some(RemoteMatch::Address(address)) if *address == remote => Some(0),
            Some(RemoteMatch::Address(_)) => None,
            Some(RemoteMatch::Identity(_)) => Some(1),
            None => Some(2),
        };
        (0..3)
            .flat_map(move |wanted| self.psks.iter().filter(move |p| rank(p) == Some(wanted)))
            .take(PSK_CANDIDATES_MAX)
    }
}

impl Psk {
    /// Whether the key may be used by a peer that says it is `identity`.
    pub(crate) fn allows(&self, identity: &Identity) -> bool {
        match &self.remote {
            Some(RemoteMatch::Identity(wanted)) => wanted == identity,
            Some(RemoteMatch::Address(_)) | None => true,
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
        }
    }
}

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
    fn candidates_are_bounded() {
        let psks = (0..100).map(|id| psk(id, None)).collect();
        let config = Config { psks, ..Config::default() };
        let tried = config.candidates("192.0.2.1".parse().unwrap()).count();
        assert_eq!(tried, PSK_CANDIDATES_MAX);
    }
}
