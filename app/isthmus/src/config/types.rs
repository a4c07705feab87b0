//! The validated configuration: plain values that need no further checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_core::SecretBytes;
use isthmus_crypto::EspSuite;
use isthmus_driver::{Health, NatNetwork, Passage, Translation};
use isthmus_gateway::{Advice, Limits, Proxy};
use isthmus_policy::{Policy, Verdict};
use isthmus_telemetry::LogFormat;

use super::proposal::IkeProposal;
use crate::users::Users;

/// A whole, valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// This gateway.
    pub gateway: Gateway,
    /// How packets are worked on.
    pub data_path: DataPath,
    /// IKE and ESP.
    pub ipsec: Ipsec,
    /// Tunnels.
    pub l2tp: L2tp,
    /// LACs trusted without IPsec; names, addresses and tenants fit together.
    pub lacs: Vec<Lac>,
    /// Login and links.
    pub ppp: Ppp,
    /// At least one; names, keys, interfaces and (within a namespace) pools do not collide.
    pub tenants: Vec<Tenant>,
}

/// `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its name.
    pub name: String,
    /// What clients dial, when that is not an address of this machine.
    pub public_address: Option<IpAddr>,
    /// Addresses to listen on; at least one.
    pub listen: Vec<IpAddr>,
    /// Whether `listen` is the default: then a machine without IPv6 is no failure.
    pub listen_is_default: bool,
    /// UDP port of IKE.
    pub ike_port: u16,
    /// UDP port of IKE and ESP through NAT.
    pub nat_t_port: u16,
    /// Unix socket of the API.
    pub control_socket: PathBuf,
    /// What is logged and how.
    pub log: Log,
}

/// `[gateway.log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// A level or filter, valid for [`isthmus_telemetry::init`].
    pub level: String,
}

/// `[data_path]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPath {
    /// Threads that work on packets.
    pub workers: usize,
    /// Whether each stays on a processor of its own.
    pub pin: bool,
    /// How long a worker looks for packets before it sleeps.
    pub busy_poll: Duration,
    /// What encrypts.
    pub engine: Engine,
}

/// What encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The fastest there is.
    Fastest,
    /// The one that is always there.
    Portable,
}

impl Engine {
    /// Each with its name.
    pub(crate) const NAMES: [(&str, Self); 2] =
        [("fastest", Self::Fastest), ("portable", Self::Portable)];
}

/// `[ipsec]`; the pre-shared keys are with the tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipsec {
    /// Whether weak algorithms are allowed.
    pub legacy: bool,
    /// IKE proposals, most wanted first; at least one.
    pub ike: Vec<IkeProposal>,
    /// ESP suites, most wanted first; at least one.
    pub esp: Vec<EspSuite>,
    /// Longest life of an IKE SA.
    pub ike_lifetime: Duration,
    /// Longest life of an ESP SA pair.
    pub child_lifetime: Duration,
    /// Silence after which a peer is asked whether it is alive.
    pub dpd_interval: Duration,
    /// ESP in UDP even without NAT.
    pub force_encap: bool,
    /// Aggressive mode with keys that are not for a group.
    pub aggressive: bool,
    /// Certificates beside pre-shared keys.
    pub certificates: Option<Certificates>,
    /// Longest IP packet with an IKE message.
    pub fragment_size: u16,
}

/// The certificate keys of `[ipsec]`; read, and found to be usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// Ours, one for each kind of key.
    pub own: Vec<OwnCertificate>,
    /// Authorities that lead to the only tenant, DER.
    pub authorities: Vec<Vec<u8>>,
    /// Revocation lists, DER.
    pub revocation_lists: Vec<Vec<u8>>,
    /// What certificates of clients must be like.
    pub policy: isthmus_trust::Policy,
}

/// One of our certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The certificate, DER, and those that lead to its authority.
    pub chain: Vec<Vec<u8>>,
    /// Its private key, DER.
    pub key: SecretBytes,
}

/// `[l2tp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2tp {
    /// Silence after which a tunnel is probed.
    pub hello_interval: Duration,
    /// Our Host Name AVP.
    pub host_name: String,
    /// Tunnel authentication.
    pub secret: Option<SecretBytes>,
    /// What becomes of what a LAC has negotiated; accepted only with a secret.
    pub proxy: Proxy,
}

/// `[[lac]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lac {
    /// Unique.
    pub name: String,
    /// Where it may be; at least one, none overlapping.
    pub address: Vec<IpNet>,
    /// The tunnel secret.
    pub secret: SecretBytes,
    /// Names of tenants, told apart by realm; at least one.
    pub tenants: Vec<String>,
    /// Addresses to take its tunnels on; at least one.
    pub listen: Vec<IpAddr>,
    /// Most tunnels from one address and port.
    pub tunnels: u16,
    /// Most sessions from one address and port.
    pub sessions: u16,
    /// What becomes of what it has negotiated.
    pub proxy: Proxy,
}

/// `[ppp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ppp {
    /// In the order they are asked for; at least one.
    pub auth: Vec<AuthProtocol>,
    /// Largest inner packet in bytes.
    pub mru: u16,
    /// Silence after which a link is probed.
    pub echo_interval: Duration,
}

/// A PPP authentication protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthProtocol {
    /// CHAP with MD5 (RFC 1994).
    ChapMd5,
    /// EAP with MS-CHAPv2 as its method.
    EapMsChapV2,
    /// MS-CHAPv2 (RFC 2759).
    MsChapV2,
    /// PAP (RFC 1334).
    Pap,
}

impl AuthProtocol {
    /// As written in configuration.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("mschapv2", Self::MsChapV2),
        ("eap-mschapv2", Self::EapMsChapV2),
        ("chap", Self::ChapMd5),
        ("pap", Self::Pap),
    ];
}

/// `[[tenant]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Unique.
    pub name: String,
    /// The namespace its packets come out in; none for the gateway's own.
    pub netns: Option<String>,
    /// The key that leads here: its own, or that of `[ipsec]`. Tenants with the same one are told apart
    /// by realm, identity or address. None only where something else leads here.
    pub psk: Option<SecretBytes>,
    /// What users have in common; those with keys of their own lead here in aggressive mode.
    pub groups: Vec<Group>,
    /// Authorities whose certificates lead here, DER.
    pub authorities: Vec<Vec<u8>>,
    /// Realms of its users.
    pub realm: Vec<String>,
    /// Whether users are known without their realm.
    pub strip_realm: bool,
    /// Identities in IKE that lead here, or ends of such behind a `*`.
    pub identity: Vec<String>,
    /// Addresses of ours that lead here.
    pub listen: Vec<IpAddr>,
    /// Addresses to give out; at least one network, none overlapping.
    pub pool: Vec<Ipv4Net>,
    /// Of those, what is given only to users whose own it is.
    pub exclude: Vec<RangeInclusive<IpAddr>>,
    /// Our own address on every link; never given out.
    pub gateway_address: Ipv4Addr,
    /// IPv6 networks that each session gets a /64 of; none overlapping, empty for no IPv6.
    pub pool6: Vec<Ipv6Net>,
    /// Our own IPv6 address; there when `pool6` is, and in it.
    pub gateway_address6: Option<Ipv6Addr>,
    /// What clients are told.
    pub advice: Advice,
    /// Most sessions at once.
    pub sessions: Option<u32>,
    /// Limits of each user.
    pub limits: Limits,
    /// Where users are read from again when it changes.
    pub users_file: Option<PathBuf>,
    /// Users of the configuration itself, without those of `users_file`.
    pub inline_users: Users,
    /// Everybody who may log in: of the configuration and of `users_file`.
    pub users: Users,
    /// The TUN device. Unique.
    pub interface: String,
    /// Whether each session has a TUN device to itself as well.
    pub device_per_session: bool,
    /// Ways out.
    pub egress: Vec<Egress>,
    /// `[[tenant.nat]]`: translations beside those of the ways out.
    pub nat: Vec<NatNetwork>,
    /// What users may reach.
    pub access: Access,
}

impl Tenant {
    /// Realms that no user's name in `users_file` has.
    pub(crate) fn realms_taken_off(&self) -> &[String] {
        if self.strip_realm { &self.realm } else { &[] }
    }

    /// Groups whose key leads here.
    pub(crate) fn keyed_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.psk.is_some())
    }

    /// Every network that its sessions get addresses of.
    pub fn all_pools(&self) -> Vec<Ipv4Net> {
        all_pools(&self.pool, &self.groups)
    }

    /// Every IPv6 network that its sessions get a /64 of.
    pub fn all_pools6(&self) -> Vec<Ipv6Net> {
        all_pools6(&self.pool6, &self.groups)
    }

    /// What a user writes as name in the client.
    pub fn login_name(&self, user: &str) -> String {
        match self.realms_taken_off().first() {
            Some(realm) => format!("{user}@{realm}"),
            None => user.to_owned(),
        }
    }
}

/// `[tenant.policy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Rules in order, and what becomes of packets that none fits.
    pub policy: Policy,
    /// Whether the metadata services of clouds may be reached.
    pub cloud_metadata: bool,
    /// Other tenants of the same namespace that may be reached.
    pub reaches: Vec<String>,
    /// Whether connections to users may be opened from outside.
    pub inbound: Verdict,
}

/// `[[tenant.group]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Unique within the tenant; with a key, what clients say they are, and unique among all such.
    pub name: String,
    /// Its key.
    pub psk: Option<SecretBytes>,
    /// Addresses for its users only, of the tenant's pool or others; empty for any of the tenant's.
    pub pool: Vec<Ipv4Net>,
    /// IPv6 networks for its users only.
    pub pool6: Vec<Ipv6Net>,
    /// What its users are told instead of what the tenant's are.
    pub advice: Advice,
    /// Most sessions of all its users at once.
    pub sessions: Option<u32>,
    /// Limits of each of its users.
    pub limits: Limits,
}

/// The networks of a tenant and those that its groups have besides.
pub(crate) fn all_pools(own: &[Ipv4Net], groups: &[Group]) -> Vec<Ipv4Net> {
    let besides = groups.iter().flat_map(|group| &group.pool);
    let besides = besides.filter(|net| !own.iter().any(|own| own.contains(*net)));
    own.iter().chain(besides).copied().collect()
}

/// The same for IPv6.
pub(crate) fn all_pools6(own: &[Ipv6Net], groups: &[Group]) -> Vec<Ipv6Net> {
    let besides = groups.iter().flat_map(|group| &group.pool6);
    let besides = besides.filter(|net| !own.iter().any(|own| own.contains(*net)));
    own.iter().chain(besides).copied().collect()
}

/// `[[tenant.egress]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Unique within the tenant.
    pub name: String,
    /// Destinations, of the IP versions that the way is for; at least one.
    pub to: Vec<IpNet>,
    /// Sources; all when empty.
    pub from: Vec<IpNet>,
    /// A firewall mark of the operator's and its mask, in the lower 16 bits.
    pub mark: Option<(u32, u32)>,
    /// Groups of users; with `users`, everybody when both are empty.
    pub groups: Vec<String>,
    /// Users.
    pub users: Vec<String>,
    /// Where packets go.
    pub way: Way,
    /// What becomes of IPv4 sources.
    pub nat: Translation,
    /// What becomes of IPv6 sources.
    pub nat6: Translation,
    /// Destinations to which sources stay what they are.
    pub nat_except: Vec<IpNet>,
    /// Whether TCP connections learn the largest segment that fits the way.
    pub mss_clamp: bool,
    /// What has to answer for it to be up.
    pub health: Option<Health>,
}

/// Where packets go that take an egress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nowhere.
    Deny,
    /// To a next hop; of at least one IP version.
    Gateway {
        /// The device it is on.
        interface: Option<String>,
        /// The next hop of IPv4 packets.
        gateway: Option<Ipv4Addr>,
        /// The next hop of IPv6 packets.
        gateway6: Option<Ipv6Addr>,
    },
    /// Out of this device, which the destinations are on.
    Interface(String),
    /// As the machine's own routes say, which are expected to lead out of this device.
    Main(String),
    /// Into another network namespace.
    Passage(Passage),
}

impl Way {
    /// The device packets leave by, where it is written.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Deny => None,
            Self::Gateway { interface, .. } => interface.as_deref(),
            Self::Interface(interface) | Self::Main(interface) => Some(interface),
            Self::Passage(passage) => Some(&passage.interface),
        }
    }
}

impl Egress {
    /// Whether the other is for packets of the same kind, to wherever they go.
    pub(crate) fn is_for_the_same(&self, other: &Self) -> bool {
        let same = self.from == other.from && self.mark == other.mark;
        same && self.groups == other.groups && self.users == other.users
    }

    /// Whether it has no condition at all.
    pub(crate) fn is_for_everybody(&self) -> bool {
        let nobody_named = self.groups.is_empty() && self.users.is_empty();
        nobody_named && self.from.is_empty() && self.mark.is_none()
    }
}
