//! How the server is spoken to: what all clients of a load have in common.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use isthmus_client::{Config, Manner, Profile};
use isthmus_core::{Path, SecretBytes};
use isthmus_crypto::EspSuite;
use isthmus_load::Setup;
use isthmus_plane::TunId;

use crate::config::{AuthProtocol, Engine, IkeProposal};
use crate::translate;

/// The server, and what is agreed with it.
#[derive(Clone, Debug)]
pub struct Speech {
    /// The server.
    pub server: IpAddr,
    /// Its UDP ports for IKE and NAT traversal.
    pub server_ports: (u16, u16),
    /// The pre-shared key.
    pub psk: SecretBytes,
    /// IKE proposals to offer, most wanted first; at least one.
    pub ike: Vec<IkeProposal>,
    /// ESP suites to offer, most wanted first; at least one.
    pub esp: Vec<EspSuite>,
    /// Authentication protocols to agree to; at least one.
    pub auth: Vec<AuthProtocol>,
    /// Largest inner packet in bytes.
    pub mtu: u16,
    /// The client that all speak as; our own way when absent.
    pub profile: Option<Profile>,
}

impl Speech {
    /// The fleet that speaks so, and carries what is sent to the device.
    pub(crate) fn setup(
        &self,
        seeds: Vec<isthmus_core::Seed>,
        device: Option<isthmus_tun::TunDevice>,
    ) -> Setup {
        Setup {
            template: self.template(),
            provider: crate::engine::provider(Engine::Fastest),
            seeds,
            device,
        }
    }

    fn template(&self) -> Config {
        let any: IpAddr = if self.server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let path = |port| Path::new(SocketAddr::new(any, 0), SocketAddr::new(self.server, port));
        let weak = self.ike.iter().copied().any(IkeProposal::is_legacy)
            || self.esp.iter().any(|suite| suite.is_legacy());
        let ike = isthmus_ike::Config {
            ike: self.ike.iter().copied().map(translate::proposal).collect(),
            esp: self.esp.clone(),
            legacy: weak,
            // Clients share a machine, and raw ESP has no ports to tell them apart by.
            force_encap: true,
            ..isthmus_ike::Config::default()
        };
        let name = HOST_NAME.as_bytes();
        let dialect = isthmus_l2tp::Dialect::isthmus(name);
        let mut config = Config {
            ike_path: path(self.server_ports.0),
            nat_t_path: path(self.server_ports.1),
            plain: None,
            psk: self.psk.clone(),
            group: None,
            server_name: None,
            ike: Arc::new(ike),
            l2tp: Arc::new(isthmus_l2tp::Config::lac(name, dialect)),
            user: Vec::new(),
            password: SecretBytes::default(),
            auth: self.auth.iter().copied().map(translate::auth).collect(),
            mru: self.mtu,
            ipv6: false,
            destinations: vec![IpNet::V4(Ipv4Net::default())],
            tun: TunId(0),
            l2tp_port: L2TP_PORT,
            // Servers that push no routes would hold up each login by the seconds it takes to be sure.
            manner: Manner { inform: None, ..Manner::default() },
        };
        if let Some(profile) = self.profile {
            profile.apply(&mut config, name, EPHEMERAL_PORT);
        }
        config
    }
}

/// What the clients call themselves in L2TP.
const HOST_NAME: &str = "isthmus-bench";
/// RFC 2661 §8.1.
const L2TP_PORT: u16 = 1701;
/// For the clients that do not take 1701; it stands inside IPsec, so all may have the same.
const EPHEMERAL_PORT: u16 = 49_153;

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(server: &str) -> Speech {
        Speech {
            server: server.parse().unwrap(),
            server_ports: (500, 4500),
            psk: SecretBytes::copy_of(b"key"),
            ike: crate::config::default_ike(false),
            esp: crate::config::default_esp(false),
            auth: vec![AuthProtocol::MsChapV2],
            mtu: 1400,
            profile: None,
        }
    }

    #[test]
    fn esp_travels_in_udp_whoever_we_speak_as() {
        assert!(speech("10.0.0.1").template().ike.force_encap);
        for profile in Profile::ALL {
            let config = Speech { profile: Some(profile), ..speech("10.0.0.1") }.template();
            assert!(config.ike.force_encap, "{profile:?}");
        }
    }

    #[test]
    fn paths_are_of_the_servers_family() {
        for (server, local) in [("10.0.0.1", "0.0.0.0:0"), ("fd00::1", "[::]:0")] {
            let config = speech(server).template();
            assert_eq!(config.nat_t_path.local, local.parse().unwrap());
            assert_eq!(
                (config.ike_path.remote.port(), config.nat_t_path.remote.port()),
                (500, 4500)
            );
        }
    }
}
