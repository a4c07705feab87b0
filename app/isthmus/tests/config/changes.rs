//! What is said about a configuration that takes the place of another.

use isthmus::config::{self, Changes};

use crate::common::config::{LEAST, refused, tenant_with, valid, warned};

#[test]
fn changes_say_what_needs_a_restart() {
    let old = valid(LEAST);
    assert_eq!(config::compare(&old, &old), Changes::default());
    let new = valid(&format!(
        "[gateway]\nike_port = 501\nlog = {{ level = \"debug\" }}\n[ppp]\nmru = 1300\n{}",
        tenant_with("dns = [\"10.64.0.1\"]\ninterface = \"vpn0\"")
    ));
    let ipv6 = valid(&tenant_with("pool6 = [\"2001:db8:64::/48\"]"));
    let changes = config::compare(&old, &ipv6);
    assert_eq!((changes.applied, changes.needs_restart), (vec!["tenant acme".into()], vec![]));
    assert_eq!(config::effective(&old, &ipv6), ipv6);
    let changes = config::compare(&old, &new);
    assert_eq!(changes.applied, ["gateway.log.level", "ppp", "tenant acme"]);
    assert_eq!(changes.needs_restart, ["gateway.ike_port"]);
    let tenant = changes.differences.iter().find(|one| one.what == "tenant acme").unwrap();
    assert_eq!((tenant.kind, tenant.effect), (config::Kind::Changed, config::Effect::EndsSessions));
    assert_eq!(tenant.keys, ["interface", "dns"]);
}

#[test]
fn a_tenant_that_comes_or_goes_is_named_with_what_becomes_of_sessions() {
    let old = valid(LEAST);
    let renamed = valid(&LEAST.replace("name = \"acme\"", "name = \"apex\""));
    let changes = config::compare(&old, &renamed);
    let told: Vec<_> =
        changes.differences.iter().map(|one| (one.kind, &*one.what, one.effect)).collect();
    assert_eq!(
        told,
        [
            (config::Kind::Added, "tenant apex", config::Effect::SessionsGoOn),
            (config::Kind::Removed, "tenant acme", config::Effect::EndsSessions),
        ]
    );
    assert!(changes.needs_restart.is_empty());
}

#[test]
fn cautions_do_not_stop_anything() {
    warned(&LEAST.replace("correct horse battery", "short"), "short enough to be guessed");
    warned(&format!("[l2tp]\nsecret = \"s\"\n{LEAST}"), "no built-in client can connect");
    warned(&format!("[ppp]\nauth = [\"pap\"]\n{LEAST}"), "PAP hands the password");
    warned(&tenant_with("psk = \"another long secret\""), "serves nobody");
    let hashed =
        LEAST.replace("password = \"a\"", "nt_hash = \"0123456789abcdef0123456789abcdef\"");
    warned(&format!("[ppp]\nauth = [\"mschapv2\", \"chap\"]\n{hashed}"), "cannot log in by CHAP");
}

#[test]
fn there_are_no_more_keys_than_can_be_tried() {
    use std::fmt::Write as _;

    let tenants = |count: usize| {
        (0..count).fold(String::new(), |mut text, n| {
            write!(
                text,
                "[[tenant]]\nname = \"t{n}\"\npool = [\"10.{n}.0.0/24\"]\npsk = \"a long secret, number {n}\"\n\
                 [tenant.users.u]\npassword = \"u\"\n"
            )
            .unwrap();
            text
        })
    };
    assert_eq!(valid(&tenants(16)).tenants.len(), 16);
    refused(&tenants(17), 6 * 16 + 4, "more than 16 pre-shared keys", "another gateway");
    let shared = |count: usize| {
        let each = |n: usize| {
            let (a, b) = (n / 256, n % 256);
            format!(
                "[[tenant]]\nname = \"t{n}\"\nrealm = \"r{n}\"\npool = [\"10.{a}.{b}.0/24\"]\n\
                 [tenant.users.u]\npassword = \"u\"\n"
            )
        };
        let tenants: String = (0..count).map(each).collect();
        format!("[ipsec]\npsk = \"correct horse battery\"\n{tenants}")
    };
    assert_eq!(valid(&shared(1024)).tenants.len(), 1024);
    refused(&shared(1025), 2 + 6 * 1024 + 2, "more than 1024 tenants", "another gateway");
}
