//! Connections by where they go.

use std::net::IpAddr;

use ipnet::IpNet;

/// Connections that are begun from some networks to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flows {
    /// Who begins them.
    pub from: Vec<IpNet>,
    /// Where to, as whoever begins them knows it.
    pub to: IpNet,
    /// Parts of that which are not meant.
    pub except: Vec<IpNet>,
}

impl Flows {
    /// Whether a connection from one address to another is among them.
    pub fn contain(&self, from: IpAddr, to: IpAddr) -> bool {
        let excepted = self.except.iter().any(|net| net.contains(&to));
        !excepted && self.to.contains(&to) && self.from.iter().any(|net| net.contains(&from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_count_and_exceptions_do_not() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let (from, to) = (vec![net("10.64.0.0/24"), net("10.65.0.0/24")], net("0.0.0.0/0"));
        let flows = Flows { from, to, except: vec![net("10.1.0.0/16")] };
        let contain =
            |from: &str, to: &str| flows.contain(from.parse().unwrap(), to.parse().unwrap());
        assert!(contain("10.64.0.9", "192.0.2.1"));
        assert!(contain("10.65.0.9", "10.2.0.1"));
        assert!(!contain("10.66.0.9", "192.0.2.1"));
        assert!(!contain("10.64.0.9", "10.1.2.3"));
        assert!(!contain("10.64.0.9", "2001:db8::1"));
    }
}
