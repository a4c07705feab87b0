//! Ordinary configurations for gateways and clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use isthmus_client::Profile;
use isthmus_core::{Path, SecretBytes};
use isthmus_crypto::EspSuite;
use isthmus_gateway::{Config, Tenant, User, UserSecret, Users};
use isthmus_plane::TunId;
use isthmus_ppp::AuthProtocol;

use crate::world::at;

/// The gateway's address.
pub const GATEWAY: &str = "203.0.113.1";
/// The pre-shared key.
pub const PSK: &[u8] = b"a shared secret of the tenant";

/// Users `user0` to `user99`, each with its name as password.
pub fn users() -> Users {
    let user = |name: &str| User::new(UserSecret::Password(SecretBytes::copy_of(name.as_bytes())));
    let names = (0..100).map(|n| format!("user{n}"));
    Users::new(names.map(|n| (n.clone(), user(&n))).collect::<BTreeMap<_, _>>())
}

/// A tenant with all of [`users`] and the pool 10.(64 + `number`).0.0/24, led to by the pre-shared key.
pub fn tenant(name: &str, number: u8) -> Tenant {
    let mut tenant = Tenant::new(name, TunId(number.into()), [10, 64 + number, 0, 1].into());
    tenant.selector.keys = vec![isthmus_ike::PskId(0)];
    tenant.pool = vec![format!("10.{}.0.0/24", 64 + number).parse().expect("a prefix")];
    tenant.advice.dns = vec![[10, 64 + number, 0, 53].into()];
    tenant.users = Arc::new(users());
    tenant
}

/// A gateway with one tenant.
pub fn gateway() -> Config {
    let psk = isthmus_ike::Psk {
        id: isthmus_ike::PskId(0),
        secret: SecretBytes::copy_of(PSK),
        remote: None,
    };
    Config {
        ike: Arc::new(isthmus_ike::Config { psks: vec![psk], ..isthmus_ike::Config::default() }),
        l2tp: Arc::new(isthmus_l2tp::Config::lns(b"gateway")),
        proxy: isthmus_gateway::Proxy::Renegotiate,
        auth: AuthProtocol::ALL.to_vec(),
        mru: 1300,
        echo: Some(isthmus_ppp::Echo::default()),
        tenants: vec![tenant("acme", 0)],
        lacs: Vec::new(),
    }
}

/// A client at `address` that logs in as `user` with that as password.
pub fn client(address: &str, user: &str) -> isthmus_client::Config {
    isthmus_client::Config {
        ike_path: Path::new(at(address, 500), at(GATEWAY, 500)),
        nat_t_path: Path::new(at(address, 4500), at(GATEWAY, 4500)),
        plain: None,
        psk: SecretBytes::copy_of(PSK),
        group: None,
        server_name: None,
        ike: Arc::new(isthmus_ike::Config {
            esp: vec![EspSuite::Aes256CbcSha1],
            ..isthmus_ike::Config::default()
        }),
        l2tp: Arc::new(isthmus_l2tp::Config::lac(
            b"client",
            isthmus_l2tp::Dialect::isthmus(b"client"),
        )),
        user: user.into(),
        password: SecretBytes::copy_of(user.as_bytes()),
        auth: vec![AuthProtocol::MsChapV2],
        mru: 1300,
        ipv6: false,
        destinations: ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a prefix")).into(),
        tun: TunId(0),
        l2tp_port: 1701,
        manner: isthmus_client::Manner::default(),
    }
}

/// A client that speaks as `profile` does.
pub fn client_as(profile: Profile, address: &str, user: &str) -> isthmus_client::Config {
    let mut config = client(address, user);
    config.auth = AuthProtocol::ALL.to_vec();
    profile.apply(&mut config, b"DESKTOP-1A2B3", 56_322);
    config
}

/// A gateway with one tenant that allows weak algorithms as well.
pub fn legacy_gateway() -> Config {
    let config = gateway();
    let ike = isthmus_ike::Config {
        ike: isthmus_ike::IkeProposal::acceptable(true),
        esp: EspSuite::ALL.to_vec(),
        legacy: true,
        ..isthmus_ike::Config::clone(&config.ike)
    };
    Config { ike: Arc::new(ike), ..config }
}

/// The gateway that `profile` needs: weak algorithms only for those that have no others.
pub fn gateway_for(profile: Profile) -> Config {
    if profile.needs_legacy() { legacy_gateway() } else { gateway() }
}
