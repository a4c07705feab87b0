//! What a gateway is told: plain values, validated by whoever read them.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_plane::TunId;

use crate::advice::Advice;
use crate::limits::Limits;
use crate::tenants::Selector;
use crate::users::{User, Users};

/// The whole configuration of a gateway machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Proposals, pre-shared keys, lifetimes.
    pub ike: Arc<isthmus_ike::Config>,
    /// Control channel behaviour.
    pub l2tp: Arc<isthmus_l2tp::Config>,
    /// What becomes of what a LAC inside IPsec has negotiated. Every client could say it is one.
    pub proxy: Proxy,
    /// Authentication protocols in order of preference.
    pub auth: Vec<isthmus_ppp::AuthProtocol>,
    /// Largest inner packet we offer, in bytes (the PPP MRU); also the MTU of a session.
    pub mru: u16,
    /// How a silent link is probed.
    pub echo: Option<isthmus_ppp::Echo>,
    /// At least one.
    pub tenants: Vec<Tenant>,
    /// LACs that are trusted without IPsec. Without any no plain L2TP is taken or sent.
    pub lacs: Vec<Lac>,
}

/// A LAC that is trusted without IPsec: a wholesale access network that hands its users over.
#[derive(Clone, Debug)]
pub struct Lac {
    /// Name, unique.
    pub name: String,
    /// Where it may be; nobody else is listened to.
    pub sources: Vec<IpNet>,
    /// Control channel behaviour towards it, with the tunnel secret that it must prove.
    pub l2tp: Arc<isthmus_l2tp::Config>,
    /// Indexes of the tenants that its users belong to, told apart by realm; at least one.
    pub tenants: Vec<usize>,
    /// What becomes of what it has negotiated.
    pub proxy: Proxy,
}

/// What becomes of LCP and authentication that a LAC has done already (RFC 2661 §4.4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// The link goes on with them, where we could have agreed to all of it ourselves.
    Accept,
    /// They are ignored: the link begins anew.
    #[default]
    Renegotiate,
}

impl Proxy {
    /// The names people write in configuration.
    pub const NAMES: [(&'static str, Self); 2] =
        [("accept", Self::Accept), ("renegotiate", Self::Renegotiate)];
}

/// One tenant: users, addresses and what is told to clients.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Name, unique.
    pub name: String,
    /// Which clients come here.
    pub selector: Selector,
    /// Addresses to give out.
    pub pool: Vec<Ipv4Net>,
    /// Our own address on every PPP link of the tenant.
    pub gateway_address: Ipv4Addr,
    /// IPv6 networks that each session gets a /64 of; empty for no IPv6.
    pub pool6: Vec<Ipv6Net>,
    /// Our own address in `pool6`; its /64 is not given out.
    pub gateway_address6: Option<Ipv6Addr>,
    /// Addresses of both that are given out to nobody but the users whose own they are.
    pub exclude: Vec<RangeInclusive<IpAddr>>,
    /// What clients are told.
    pub advice: Advice,
    /// Most sessions with a user at once.
    pub sessions_max: Option<u32>,
    /// Limits of each user.
    pub limits: Limits,
    /// What some of the users have in common.
    pub groups: Vec<Group>,
    /// Who may log in.
    pub users: Arc<Users>,
    /// The TUN device of the tenant.
    pub tun: TunId,
}

/// Users who have something in common: each says so himself.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Name, unique in the tenant.
    pub name: String,
    /// Addresses for these users only, of the tenant's pool or not; empty for any of the tenant's.
    pub pool: Vec<Ipv4Net>,
    /// IPv6 networks for these users only.
    pub pool6: Vec<Ipv6Net>,
    /// What they are told; what is empty is as the tenant has it.
    pub advice: Advice,
    /// Most sessions of all of them at once.
    pub sessions_max: Option<u32>,
    /// Limits of each of them; what is none is as the tenant has it.
    pub limits: Limits,
}

impl Tenant {
    /// The group of a user, with its index; none too when the tenant has none of that name.
    pub(crate) fn group_of(&self, user: &User) -> Option<(usize, &Group)> {
        let name = user.group.as_ref()?;
        self.groups.iter().enumerate().find(|(_, group)| group.name == *name)
    }

    /// The limits of a user: his own, then his group's, then the tenant's.
    pub(crate) fn limits_of(&self, user: &User) -> Limits {
        let group = self.group_of(user).map(|(_, group)| group.limits).unwrap_or_default();
        user.limits.or(group).or(self.limits)
    }

    /// A tenant that nobody comes to yet and that has nothing to give.
    pub fn new(name: &str, tun: TunId, gateway_address: Ipv4Addr) -> Self {
        Self {
            name: name.into(),
            selector: Selector::default(),
            pool: Vec::new(),
            gateway_address,
            pool6: Vec::new(),
            gateway_address6: None,
            exclude: Vec::new(),
            advice: Advice::NONE,
            sessions_max: None,
            limits: Limits::default(),
            groups: Vec::new(),
            users: Arc::default(),
            tun,
        }
    }
}
