//! Every mark of a tenant, alone and together.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;

use isthmus_core::SecretBytes;
use isthmus_plane::TunId;
use proptest::prelude::*;

use super::*;
use crate::users::{User, UserSecret, Users};

const KEY: PskId = PskId(1);

fn tenant(name: &str, realms: &[&str]) -> Tenant {
    let user = User::new(UserSecret::Password(SecretBytes::copy_of(b"x")));
    let mut tenant = Tenant::new(name, TunId(0), [10, 0, 0, 1].into());
    tenant.users = Arc::new(Users::new([("alice".into(), user)].into()));
    tenant.selector.keys = vec![KEY];
    tenant.selector.realms = realms.iter().map(ToString::to_string).collect();
    tenant
}

fn with_identity(name: &str, identity: &str) -> Tenant {
    let mut tenant = tenant(name, &[]);
    tenant.selector.identities = vec![IdentityPattern(identity.into())];
    tenant
}

fn with_address(name: &str, address: &str) -> Tenant {
    let mut tenant = tenant(name, &[]);
    tenant.selector.addresses = vec![address.parse().unwrap()];
    tenant
}

fn admitted(tenants: &[Tenant], identity: &str, dialled: &str) -> Option<Vec<usize>> {
    let identity = Identity::parse(identity);
    let admitted = Admitted::of(tenants, KEY, &identity, dialled.parse().unwrap());
    admitted.map(|admitted| admitted.iter().collect())
}

fn lead(tenants: &[Tenant], sent: &str) -> Result<(usize, String), Cause> {
    let us = "203.0.113.1".parse().unwrap();
    let admitted = Admitted::of(tenants, KEY, &Identity::parse("192.0.2.1"), us).unwrap();
    let lead = admitted.lead(tenants, sent.as_bytes())?;
    Ok((lead.tenant, String::from_utf8(lead.name.into_owned()).unwrap()))
}

/// Where a login leads.
fn led(tenant: usize, name: &str) -> (usize, String) {
    (tenant, name.into())
}

#[test]
fn the_realm_is_taken_from_either_end_and_off_the_name() {
    let tenants = [tenant("red", &["red", "red.example"]), tenant("blue", &["blue"])];
    for (sent, expected) in [
        ("alice@blue", Ok(led(1, "alice"))),
        ("blue\\alice", Ok(led(1, "alice"))),
        ("alice@BLUE", Ok(led(1, "alice"))),
        ("alice@red.example", Ok(led(0, "alice"))),
        ("a@b@blue", Ok(led(1, "a@b"))),
        ("CORP\\alice@blue", Ok(led(1, "CORP\\alice"))),
        ("blue\\alice@corp.example", Ok(led(1, "alice@corp.example"))),
        ("alice@green", Err(Cause::UnknownRealm)),
        ("green\\alice", Err(Cause::UnknownRealm)),
        ("alice", Err(Cause::UnknownRealm)),
        ("@blue", Ok(led(1, ""))),
        ("", Err(Cause::UnknownRealm)),
    ] {
        assert_eq!(lead(&tenants, sent), expected, "{sent}");
    }
}

#[test]
fn a_realm_that_is_kept_is_written_as_configured() {
    let mut tenants = [tenant("red", &["red"]), tenant("blue", &["blue.example"])];
    tenants[1].selector.keep_realm = true;
    assert_eq!(lead(&tenants, "Blue.Example\\alice"), Ok(led(1, "alice@blue.example")));
    assert_eq!(lead(&tenants, "alice@BLUE.example"), Ok(led(1, "alice@blue.example")));
    assert_eq!(lead(&tenants, "alice@red"), Ok(led(0, "alice")));
}

#[test]
fn names_without_a_realm_lead_to_the_tenant_without_one() {
    let tenants = [tenant("blue", &["blue"]), tenant("rest", &[])];
    assert_eq!(lead(&tenants, "alice"), Ok(led(1, "alice")));
    assert_eq!(lead(&tenants, "alice@blue"), Ok(led(0, "alice")));
    assert_eq!(lead(&tenants, "CORP\\alice"), Ok(led(1, "CORP\\alice")), "a domain of Windows");
    assert_eq!(lead(&tenants, "alice@green"), Err(Cause::UnknownRealm));
    assert_eq!(lead(&tenants, "mallory"), Ok(led(1, "mallory")), "unknown, but not its realm");
}

#[test]
fn where_the_key_leads_to_one_tenant_its_realm_may_be_left_out() {
    let tenants = [tenant("blue", &["blue"])];
    assert_eq!(lead(&tenants, "alice"), Ok(led(0, "alice")));
    assert_eq!(lead(&tenants, "alice@blue"), Ok(led(0, "alice")));
    assert_eq!(lead(&tenants, "alice@green"), Err(Cause::UnknownRealm));
    let plain = [tenant("only", &[])];
    assert_eq!(lead(&plain, "mallory@green"), Ok(led(0, "mallory@green")), "nobody uses realms");
}

#[test]
fn the_key_has_the_first_word() {
    let mut tenants = [tenant("red", &["red"]), tenant("blue", &["blue"])];
    tenants[1].selector.keys = vec![PskId(2)];
    assert_eq!(lead(&tenants, "alice@blue"), Err(Cause::UnknownRealm));
    tenants[0].selector.keys.clear();
    assert_eq!(admitted(&tenants, "192.0.2.1", "203.0.113.1"), None);
}

#[test]
fn an_identity_that_is_named_has_precedence_over_none() {
    let tenants = [
        with_identity("names", "*.blue.example"),
        with_identity("address", "192.168.7.7"),
        tenant("rest", &[]),
    ];
    let at = |identity| admitted(&tenants, identity, "203.0.113.1");
    assert_eq!(at("Laptop7.Blue.Example"), Some(vec![0]));
    assert_eq!(at(".blue.example"), Some(vec![2]), "a star stands for something");
    assert_eq!(at("blue.example"), Some(vec![2]));
    assert_eq!(at("192.168.7.7"), Some(vec![1]));
    assert_eq!(at("192.168.7.8"), Some(vec![2]));
    assert_eq!(admitted(&tenants[..2], "192.168.7.8", "203.0.113.1"), None);
}

#[test]
fn the_address_dialled_chooses_among_those_that_the_identity_leaves() {
    let mut tenants = [
        with_address("first", "203.0.113.1"),
        with_address("six", "2001:db8::1"),
        tenant("rest", &[]),
    ];
    let at = |tenants: &[Tenant], dialled| admitted(tenants, "alice.example", dialled);
    assert_eq!(at(&tenants, "203.0.113.1"), Some(vec![0]));
    assert_eq!(at(&tenants, "::ffff:203.0.113.1"), Some(vec![0]));
    assert_eq!(at(&tenants, "2001:db8::1"), Some(vec![1]));
    assert_eq!(at(&tenants, "203.0.113.2"), Some(vec![2]));
    tenants[2].selector.identities = vec![IdentityPattern("alice.example".into())];
    assert_eq!(at(&tenants, "203.0.113.1"), Some(vec![2]), "the identity comes first");
}

#[test]
fn patterns_that_can_mean_the_same_meet() {
    let meets = |a: &str, b: &str| IdentityPattern(a.into()).meets(&IdentityPattern(b.into()));
    for (a, b) in [("a.b", "A.B"), ("*.b", "a.b"), ("*.b", "*.a.b"), ("*", "x")] {
        assert!(meets(a, b) && meets(b, a), "{a} {b}");
    }
    for (a, b) in [("a.b", "a.c"), ("*.b", "b"), ("*.b", ".b"), ("*.b", "*.c")] {
        assert!(!meets(a, b) && !meets(b, a), "{a} {b}");
    }
}

proptest! {
    #[test]
    fn patterns_that_fit_the_same_name_meet(
        a in "\\*?[ab.]{0,3}", b in "\\*?[ab.]{0,3}", name in "[ab.]{1,5}",
    ) {
        let (a, b) = (IdentityPattern(a), IdentityPattern(b));
        let name = Identity::fqdn(&name);
        prop_assert!(!(a.fits(&name) && b.fits(&name)) || a.meets(&b));
        prop_assert_eq!(a.meets(&b), b.meets(&a));
    }

    #[test]
    fn a_login_never_leaves_the_tenants_of_its_key(sent in prop::collection::vec(any::<u8>(), 0..24)) {
        let mut tenants = [tenant("a", &["a"]), tenant("b", &["b"]), tenant("c", &[])];
        tenants[1].selector.keys = vec![PskId(2)];
        let us = "203.0.113.1".parse().unwrap();
        let admitted = Admitted::of(&tenants, KEY, &Identity::parse("x"), us).unwrap();
        if let Ok(lead) = admitted.lead(&tenants, &sent) {
            prop_assert!(lead.tenant != 1);
            prop_assert!(lead.name.len() <= sent.len());
        }
    }
}

#[test]
fn who_may_come_to_no_tenant_that_is_left_is_homeless() {
    let all = Admitted { home: 2, others: [0, 5].into() };
    let left = all.without(&[2]).unwrap();
    assert_eq!(left.iter().collect::<Vec<_>>(), [0, 5]);
    assert_eq!(all.without(&[5, 7]).unwrap().iter().collect::<Vec<_>>(), [2, 0]);
    assert!(all.without(&[0, 2, 5]).is_none());
}
