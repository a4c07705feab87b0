//! Rules, and the decision of the first that fits.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::IpNet;

use crate::service::{Protocol, Service};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It goes on.
    Allow,
    /// It is refused with an ICMP "administratively prohibited".
    Deny,
}

/// Whom a rule is for; everybody where nobody is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Users by name.
    pub users: Vec<String>,
    /// Groups by name.
    pub groups: Vec<String>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, for explanations.
    pub name: String,
    /// What it decides.
    pub verdict: Verdict,
    /// Whom it is for.
    pub who: Who,
    /// Only packets from here (networks behind users, for example); from anywhere where there are none.
    pub from: Vec<IpNet>,
    /// Destinations; everything where there are none.
    pub to: Vec<IpNet>,
    /// Services; every one where there are none.
    pub services: Vec<Service>,
}

/// What a tenant's users may reach: the first rule that fits decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// In order.
    pub rules: Vec<Rule>,
    /// What becomes of packets that no rule fits.
    pub default: Verdict,
}

/// A packet of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's group.
    pub group: Option<&'a str>,
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to.
    pub destination: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its destination port; 0 where the protocol has none.
    pub port: u16,
}

/// A verdict and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The rule that decided; the default when there is none.
    pub rule: Option<usize>,
}

impl Who {
    /// Whether nobody is named.
    pub fn is_everybody(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// Whether a user of a group is meant.
    pub fn means(&self, user: &str, group: Option<&str>) -> bool {
        self.is_everybody()
            || self.users.iter().any(|name| name == user)
            || group.is_some_and(|group| self.groups.iter().any(|name| name == group))
    }
}

impl Rule {
    /// Whether a packet is of those it is for.
    pub fn fits(&self, flow: &Flow<'_>) -> bool {
        let service = |service: &Service| {
            service.protocol.number(flow.destination) == flow.protocol.number(flow.destination)
                && service.ports.contains(&flow.port)
        };
        self.who.means(flow.user, flow.group)
            && holds(&self.from, flow.source)
            && holds(&self.to, flow.destination)
            && (self.services.is_empty() || self.services.iter().any(service))
    }
}

impl Policy {
    /// What becomes of a packet, and by which rule.
    pub fn decide(&self, flow: &Flow<'_>) -> Decision {
        let first = self.rules.iter().enumerate().find(|(_, rule)| rule.fits(flow));
        match first {
            Some((index, rule)) => Decision { verdict: rule.verdict, rule: Some(index) },
            None => Decision { verdict: self.default, rule: None },
        }
    }
}

/// Whether an address is in one of these networks; no networks are all of them.
pub(crate) fn holds(nets: &[IpNet], address: IpAddr) -> bool {
    nets.is_empty() || nets.iter().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::vec;

    use super::*;

    fn rule(name: &str, verdict: Verdict, to: &str) -> Rule {
        let to = to.split(' ').map(|net| net.parse().unwrap()).collect();
        let (who, from, services) = (Who::default(), Vec::new(), Vec::new());
        Rule { name: name.to_owned(), verdict, who, from, to, services }
    }

    fn flow(destination: &str) -> Flow<'_> {
        Flow {
            user: "alice",
            group: Some("staff"),
            source: [10, 64, 0, 9].into(),
            destination: destination.parse().unwrap(),
            protocol: Protocol::TCP,
            port: 443,
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let mut policy = Policy {
            rules: vec![
                rule("not finance", Verdict::Deny, "10.9.0.0/16 fd09::/16"),
                rule("inside", Verdict::Allow, "10.0.0.0/8"),
            ],
            default: Verdict::Deny,
        };
        let decide = |policy: &Policy, to| policy.decide(&flow(to));
        let by = |verdict, rule| Decision { verdict, rule };
        assert_eq!(decide(&policy, "10.9.1.1"), by(Verdict::Deny, Some(0)));
        assert_eq!(decide(&policy, "fd09::1"), by(Verdict::Deny, Some(0)));
        assert_eq!(decide(&policy, "10.8.1.1"), by(Verdict::Allow, Some(1)));
        assert_eq!(decide(&policy, "192.0.2.1"), by(Verdict::Deny, None));

        policy.rules[0].who.groups = vec!["interns".to_owned()];
        assert_eq!(decide(&policy, "10.9.1.1"), by(Verdict::Allow, Some(1)), "not an intern");
        policy.rules[0].who.users = vec!["alice".to_owned()];
        assert_eq!(decide(&policy, "10.9.1.1"), by(Verdict::Deny, Some(0)), "by name");
        policy.rules[0].services = vec!["tcp/1-442".parse().unwrap(), "udp".parse().unwrap()];
        assert_eq!(decide(&policy, "10.9.1.1"), by(Verdict::Allow, Some(1)), "another port");
        policy.rules[1].from = vec!["192.168.0.0/16".parse().unwrap()];
        assert_eq!(decide(&policy, "10.9.1.1"), by(Verdict::Deny, None), "from elsewhere");
    }
}
