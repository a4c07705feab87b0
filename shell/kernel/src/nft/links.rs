//! Names of links, as `nft` compares them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{matches, meta};
use crate::Firewall;

/// Which links stand for others whose names begin with theirs.
#[derive(Clone, Copy)]
pub(super) struct Links<'a>(&'a BTreeSet<String>);

/// Where a packet comes in, or goes out.
#[derive(Clone, Copy)]
pub(super) enum Side {
    In,
    Out,
}

impl<'a> Links<'a> {
    pub(super) const fn of(firewall: &'a Firewall) -> Self {
        Self(&firewall.families)
    }

    /// Whether names of any of these have to be compared by their beginnings.
    pub(super) fn has_family(self, links: &[&str]) -> bool {
        links.iter().any(|link| self.0.contains(*link))
    }

    /// The names of a link and of those it stands for.
    pub(super) fn names(self, link: &str) -> impl Iterator<Item = String> + use<> {
        let family = self.0.contains(link).then(|| format!("{link}.*"));
        std::iter::once(link.to_owned()).chain(family)
    }

    /// Packets of this link.
    pub(super) fn is(self, side: Side, link: &str) -> Value {
        self.compare("==", side, &[link])
    }

    /// Packets of other links.
    pub(super) fn is_not(self, side: Side, link: &str) -> Value {
        self.compare("!=", side, &[link])
    }

    /// Packets of one of these links, or with `!=` of none of them.
    pub(super) fn compare(self, op: &str, side: Side, links: &[&str]) -> Value {
        let names: Vec<_> = links.iter().flat_map(|link| self.names(link)).collect();
        let right = match &names[..] {
            [name] => json!(name),
            several => json!({ "set": several }),
        };
        matches(op, side.key(), right)
    }
}

impl Side {
    pub(super) fn key(self) -> Value {
        match self {
            Self::In => meta("iifname"),
            Self::Out => meta("oifname"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_with_a_family_is_compared_with_all_of_it() {
        let firewall = Firewall { families: ["acme".to_owned()].into(), ..Firewall::default() };
        let links = Links::of(&firewall);
        let right = |of: Value| of["match"]["right"].clone();
        assert_eq!(right(links.is(Side::In, "eth1")), json!("eth1"));
        assert_eq!(right(links.is_not(Side::Out, "acme")), json!({ "set": ["acme", "acme.*"] }));
        let several = links.compare("==", Side::Out, &["blue", "acme"]);
        assert_eq!(right(several), json!({ "set": ["blue", "acme", "acme.*"] }));
        assert!(links.has_family(&["blue", "acme"]) && !links.has_family(&["blue"]));
    }
}
