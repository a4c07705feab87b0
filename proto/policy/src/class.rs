//! Classes of users: everybody whom all rules treat alike.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use crate::rule::Who;

/// What rules can tell of a user: the name, if a rule names it, and the group, if a rule names that.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// A user that is named.
    pub user: Option<String>,
    /// A group that is named.
    pub group: Option<String>,
}

impl Class {
    /// Whether a rule for `who` is for this class.
    pub fn is_meant(&self, who: &Who) -> bool {
        let named = |names: &[String], name: &Option<String>| {
            name.as_ref().is_some_and(|name| names.contains(name))
        };
        who.is_everybody() || named(&who.users, &self.user) || named(&who.groups, &self.group)
    }
}

/// Numbers of classes, by tenant and class.
///
/// A number follows from the names alone, so that a class mostly keeps it whatever becomes of others, and
/// whoever reads the same rules knows it: what is marked with it goes on to mean the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    numbers: BTreeMap<(String, Class), u16>,
}

/// Whom the rules of a tenant name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Named {
    /// Everybody whom these name.
    pub fn by<'a>(all: impl IntoIterator<Item = &'a Who>) -> Self {
        let mut named = Self::default();
        for who in all {
            named.users.extend(who.users.iter().cloned());
            named.groups.extend(who.groups.iter().cloned());
        }
        named
    }

    /// Whether users need not be told apart.
    pub fn is_nobody(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// The class of a user.
    pub fn class(&self, user: &str, group: Option<&str>) -> Class {
        Class {
            user: self.users.get(user).cloned(),
            group: group.and_then(|group| self.groups.get(group)).cloned(),
        }
    }
}

impl Classes {
    /// Gives every one of these, tenant and class, a number.
    ///
    /// # Errors
    /// How many there are, when that is more than [`Classes::MAX`].
    pub fn of(wanted: BTreeSet<(String, Class)>) -> Result<Self, usize> {
        if wanted.len() > usize::from(Self::MAX) {
            return Err(wanted.len());
        }
        let (mut numbers, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for class in wanted {
            let mut number = hash(&class) % u32::from(Self::MAX);
            while !taken.insert(number) {
                number = (number + 1) % u32::from(Self::MAX);
            }
            numbers.insert(class, u16::try_from(number + 1).unwrap_or(Self::MAX));
        }
        Ok(Self { numbers })
    }

    /// The number of a class; none of one that is not wanted.
    pub fn number(&self, tenant: &str, class: &Class) -> Option<u16> {
        self.numbers.get(&(tenant.to_owned(), class.clone())).copied()
    }

    /// The classes of a tenant with their numbers.
    pub fn of_tenant<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = (&'a Class, u16)> {
        let own = self.numbers.iter().filter(move |((name, _), _)| name == tenant);
        own.map(|((_, class), number)| (class, *number))
    }

    /// Most classes in a gateway: their numbers are half of a packet's mark, and 0 is nobody's.
    pub const MAX: u16 = u16::MAX;
}

/// FNV-1a over the names, with what cannot be in a name between them.
fn hash((tenant, class): &(String, Class)) -> u32 {
    let names = [Some(tenant), class.user.as_ref(), class.group.as_ref()];
    let bytes = names.into_iter().flat_map(|name| {
        let mark = u8::from(name.is_some());
        name.map(String::as_bytes).unwrap_or_default().iter().copied().chain([0, mark])
    });
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    fn who(users: &[&str], groups: &[&str]) -> Who {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Who { users: own(users), groups: own(groups) }
    }

    #[test]
    fn a_class_knows_no_more_than_rules_can_tell() {
        let named = Named::by(&[who(&["alice"], &[]), who(&[], &["staff"])]);
        let bob = named.class("bob", Some("staff"));
        assert_eq!(bob, named.class("carol", Some("staff")));
        assert_eq!(named.class("dave", Some("guests")), named.class("erin", None));
        let alice = named.class("alice", Some("staff"));
        assert!(alice.is_meant(&who(&["alice"], &[])) && alice.is_meant(&who(&[], &["staff"])));
        assert!(!bob.is_meant(&who(&["alice"], &[])) && bob.is_meant(&who(&["alice"], &["staff"])));
        assert!(bob.is_meant(&who(&[], &[])));
        assert!(Named::by(&[who(&[], &[])]).is_nobody() && !named.is_nobody());
    }

    fn numbered(names: &[&str]) -> Classes {
        let class = |name: &&str| Class { user: Some((*name).to_owned()), group: None };
        Classes::of(names.iter().map(|name| ("acme".to_owned(), class(name))).collect()).unwrap()
    }

    #[test]
    fn a_class_keeps_its_number_while_others_come_and_go() {
        let number = |classes: &Classes, name: &str| {
            classes.number("acme", &Class { user: Some(name.to_owned()), group: None })
        };
        let (before, after) = (numbered(&["b", "c"]), numbered(&["a", "c", "d"]));
        assert!(number(&before, "c").is_some());
        assert_eq!(number(&before, "c"), number(&after, "c"));
        assert_eq!(number(&before, "a"), None);
        assert_eq!((before.of_tenant("acme").count(), before.of_tenant("blue").count()), (2, 0));
    }

    #[test]
    fn there_are_no_more_classes_than_marks() {
        let many = |count: u32| -> BTreeSet<_> {
            let class = |index| Class { user: Some(format!("{index}")), group: None };
            (0..count).map(|index| ("acme".to_owned(), class(index))).collect()
        };
        let classes = Classes::of(many(65_535)).unwrap();
        let mut numbers: Vec<_> = classes.of_tenant("acme").map(|(_, number)| number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=65_535).collect::<Vec<_>>(), "each once");
        assert_eq!(Classes::of(many(65_536)), Err(65_536));
    }
}
