//! What clients are told beside their addresses, and who says it.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use isthmus_ppp::dhcp::Domain;
use serde::{Deserialize, Serialize};

/// What clients of a tenant, of a group or of a user are told; what is empty is as it is in the wider one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Name servers; the first two go by IPCP.
    pub dns: Vec<Ipv4Addr>,
    /// Name servers told over IPv6.
    pub dns6: Vec<Ipv6Addr>,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// Routes pushed.
    pub routes: Vec<Ipv4Net>,
    /// The domain clients are in.
    pub domain: Option<Domain>,
    /// Domains that clients look short names up in.
    pub search: Vec<Domain>,
}

impl Advice {
    /// Nothing at all.
    pub const NONE: Self = Self {
        dns: Vec::new(),
        dns6: Vec::new(),
        ntp: Vec::new(),
        routes: Vec::new(),
        domain: None,
        search: Vec::new(),
    };

    /// This, and what it leaves open as `wider` has it.
    #[must_use]
    pub fn or(&self, wider: &Self) -> Self {
        Self {
            dns: own_or(&self.dns, &wider.dns),
            dns6: own_or(&self.dns6, &wider.dns6),
            ntp: own_or(&self.ntp, &wider.ntp),
            routes: own_or(&self.routes, &wider.routes),
            domain: self.domain.as_ref().or(wider.domain.as_ref()).cloned(),
            search: own_or(&self.search, &wider.search),
        }
    }
}

fn own_or<T: Clone>(own: &[T], wider: &[T]) -> Vec<T> {
    if own.is_empty() { wider.to_vec() } else { own.to_vec() }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_left_open_is_as_the_wider_one_has_it() {
        let wide = Advice {
            dns: vec![[10, 0, 0, 1].into()],
            ntp: vec![[10, 0, 0, 2].into()],
            domain: Domain::new("corp.example"),
            ..Advice::NONE
        };
        let own = Advice {
            ntp: vec![[10, 0, 0, 3].into()],
            routes: vec!["10.9.0.0/16".parse().unwrap()],
            ..Advice::NONE
        };
        let both = own.or(&wide);
        assert_eq!((&both.dns, &both.ntp, &both.routes), (&wide.dns, &own.ntp, &own.routes));
        assert_eq!(both.domain, wide.domain);
        assert_eq!(Advice::NONE.or(&both), both);
    }
}
