//! Pairs of devices that lead into another network namespace.

use std::fmt;

use isthmus_net::Namespace;
use serde::{Deserialize, Serialize};

/// A pair of virtual Ethernet devices: one end here, one in another namespace that exists. While that
/// namespace is away the pair is not there, and nothing that is desired on it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Veth {
    /// What both ends are called.
    pub name: String,
    /// The namespace of the other end, as [`Namespace::new`] takes it; that of the process when absent.
    pub into: Option<String>,
    /// The MTU of both ends.
    pub mtu: u32,
}

impl Veth {
    /// The namespace of the other end.
    pub(crate) fn namespace(&self) -> Namespace {
        Namespace::new(self.into.as_deref().unwrap_or(PROCESS))
    }

    /// What the end here is marked with: whose it is, and where it leads. Nothing when that is not there.
    pub(crate) fn label(&self, owner: &str) -> Option<String> {
        let number = self.namespace().number()?;
        let into = self.into.as_deref().unwrap_or("host");
        Some(format!("{}into {into} ({number})", label_of(owner)))
    }
}

/// How the labels of all pairs of an owner begin.
pub(crate) fn label_of(owner: &str) -> String {
    format!("isthmus {owner}: ")
}

/// The namespace of the first thread, which never leaves it.
const PROCESS: &str = "/proc/self/ns/net";

impl fmt::Display for Veth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let into = self.into.as_deref().unwrap_or("host");
        write!(f, "devices {} here and in namespace {into} mtu {}", self.name, self.mtu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_whose_it_is_and_where_it_leads() {
        let own = Veth { name: "isv-acme".into(), into: None, mtu: 1500 };
        let label = own.label("gate").unwrap();
        assert!(label.starts_with("isthmus gate: into host ("), "{label}");
        assert!(!label.starts_with(&label_of("gat")));
        let away = Veth { into: Some("isthmus-none".into()), ..own };
        assert_eq!(away.label("gate"), None);
    }
}
