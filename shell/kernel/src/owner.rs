//! Who we are to the kernel: the tags on everything we make.

use std::ops::RangeInclusive;

use crate::KernelError;

/// The tags of one gateway. Two gateways in one network namespace need different ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The gateway's name: the nftables table is `isthmus_<name>`.
    pub name: String,
    /// The protocol number of our routes, rules and addresses (`rtm_protocol`).
    pub protocol: u8,
    /// The priorities our rules may have.
    pub rule_priorities: RangeInclusive<u32>,
}

impl Owner {
    /// The usual tags of the gateway called `name`.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), protocol: PROTOCOL, rule_priorities: RULE_PRIORITIES }
    }

    /// The name of our nftables table.
    pub fn nft_table(&self) -> String {
        format!("isthmus_{}", self.name)
    }

    /// Refuses names that cannot be part of a table's name, and numbers that belong to others.
    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let fits = (1..=NAME_BYTES_MAX).contains(&self.name.len());
        if !fits || !self.name.bytes().all(allowed) {
            return Err(KernelError::OwnerName(self.name.clone()));
        }
        if RESERVED.contains(&self.protocol) {
            return Err(KernelError::OwnerProtocol(self.protocol));
        }
        Ok(())
    }
}

/// A number that no routing daemon is known to use. (186, by the way, is BGP.)
const PROTOCOL: u8 = 173;
/// Between the local table (0) and the main table (32766), clear of the round numbers people use.
const RULE_PRIORITIES: RangeInclusive<u32> = 17_300..=17_399;
/// Unspecified, redirect, kernel, boot and static: routes of the system and of people.
const RESERVED: RangeInclusive<u8> = 0..=4;
/// Keeps the table's name readable; nftables takes more.
const NAME_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nftables_takes_are_allowed() {
        for good in ["a", "use1-a", "edge_2", &"n".repeat(NAME_BYTES_MAX)] {
            Owner::named(good).check().unwrap();
        }
        for bad in ["", "a b", "a.b", "é", "a/b", &"n".repeat(NAME_BYTES_MAX + 1)] {
            assert!(matches!(Owner::named(bad).check(), Err(KernelError::OwnerName(_))), "{bad}");
        }
    }

    #[test]
    fn the_protocols_of_the_system_are_refused() {
        for protocol in RESERVED {
            let owner = Owner { protocol, ..Owner::named("a") };
            assert!(matches!(owner.check(), Err(KernelError::OwnerProtocol(_))));
        }
    }
}
