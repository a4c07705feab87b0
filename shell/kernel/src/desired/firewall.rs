//! What our nftables table does with packets that are forwarded.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::filter::{Filter, Member};
use super::nat::{Nat, Redirect};
use crate::KernelError;

/// Our nftables table; without anything in it there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Firewall {
    /// Source address translation.
    pub nat: Vec<Nat>,
    /// Destination address translation.
    pub redirects: Vec<Redirect>,
    /// Links out of which TCP connections learn the largest segment that fits the way.
    pub clamped: BTreeSet<String>,
    /// Links that stand for others as well: what is said of `acme` is said of every link whose name begins
    /// with `acme.`.
    pub families: BTreeSet<String>,
    /// Which packets go on.
    pub filter: Filter,
    /// Whose packets are of a class that the filter tells apart.
    pub members: Vec<Member>,
}

impl Firewall {
    /// Whether no table is needed.
    pub fn is_empty(&self) -> bool {
        let Self { nat, redirects, clamped, filter, families: _, members: _ } = self;
        nat.is_empty() && redirects.is_empty() && clamped.is_empty() && filter.is_empty()
    }

    /// Whether a link is one of those that another stands for.
    pub fn is_of_family(&self, link: &str) -> bool {
        let of = |head: &String| {
            link.strip_prefix(head.as_str()).is_some_and(|end| end.starts_with('.'))
        };
        self.families.iter().any(of)
    }

    pub(super) fn check(&self) -> Result<(), KernelError> {
        self.nat.iter().try_for_each(Nat::check)?;
        self.redirects.iter().try_for_each(Redirect::check)
    }

    /// The same with its members in order, each once.
    pub(crate) fn normal(&self) -> Self {
        let mut firewall = self.clone();
        firewall.members.iter_mut().for_each(|member| member.source = member.source.trunc());
        firewall.members.sort_unstable();
        firewall.members.dedup_by_key(|member| member.source);
        firewall
    }

    /// The same without its members, who come and go.
    pub(crate) fn without_members(&self) -> Self {
        Self { members: Vec::new(), ..self.clone() }
    }
}
