//! What a client is told.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ipnet::IpNet;
use isthmus_core::{Path, SecretBytes};
use isthmus_plane::TunId;
use isthmus_ppp::AuthProtocol;

use crate::manner::Manner;

/// One connection to make.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our and the server's address, IKE ports (500).
    pub ike_path: Path,
    /// Our and the server's address, NAT-T ports (4500).
    pub nat_t_path: Path,
    /// L2TP without IPsec between these addresses and ports, which a server takes only from a LAC that
    /// it trusts. IKE stays silent then.
    pub plain: Option<Path>,
    /// The pre-shared key.
    pub psk: SecretBytes,
    /// Name of the group that the key is for: aggressive mode instead of main mode.
    pub group: Option<Vec<u8>>,
    /// The name that the server's certificate must bear: signatures by the certificate in `ike` instead
    /// of the pre-shared key.
    pub server_name: Option<isthmus_ike::Identity>,
    /// Proposals and lifetimes.
    pub ike: Arc<isthmus_ike::Config>,
    /// LAC behaviour.
    pub l2tp: Arc<isthmus_l2tp::Config>,
    /// The user name.
    pub user: Vec<u8>,
    /// The password.
    pub password: SecretBytes,
    /// Authentication protocols we agree to.
    pub auth: Vec<AuthProtocol>,
    /// Largest inner packet, in bytes.
    pub mru: u16,
    /// Whether to ask for IPv6; a server without it does not mind.
    pub ipv6: bool,
    /// What the tunnel device carries to the server; everything by default.
    pub destinations: Vec<IpNet>,
    /// The tunnel device.
    pub tun: TunId,
    /// Our UDP port for L2TP inside ESP; 1701 like most clients.
    pub l2tp_port: u16,
    /// How we behave where the protocols leave it free.
    pub manner: Manner,
}
