//! Files: secrets, `conf.d`, users, and what is no configuration at all.

use std::os::unix::fs::PermissionsExt;

use isthmus::config::{self, Environment};
use isthmus_core::SecretBytes;

use crate::common::config::{LEAST, load, load_in, refused, tenant_with, valid, warned, write};

#[test]
fn a_tenant_is_complete() {
    refused(
        "[ipsec]\npsk = \"correct horse battery\"\n",
        0,
        "there is no [[tenant]]",
        "quickstart",
    );
    refused(&LEAST.replace("name = \"acme\"\n", ""), 3, "`name` is missing", "add `name");
    refused(&LEAST.replace("pool = [\"10.64.0.0/20\"]\n", ""), 3, "`pool` is missing", "add `pool");
    refused(&LEAST.replace("[[tenant]]", "[tenant]"), 3, "may be several", "[[tenant]]");
    refused(
        &LEAST.replace("psk = \"correct horse battery\"\n", ""),
        3,
        "no pre-shared key",
        "ISTHMUS_PSK",
    );
    warned(&LEAST.replace("[tenant.users.alice]\npassword = \"a\"\n", ""), "nobody can log in");
}

#[test]
fn a_file_that_is_not_toml_is_shown_where_it_breaks() {
    refused("[gateway\nname = \"x\"\n", 1, "not TOML", "toml.io");
    let dir = tempfile::tempdir().unwrap();
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("cannot read") && report.contains("isthmus quickstart"), "{report}");
}

#[test]
fn secrets_come_from_files_and_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "isthmus.toml",
        &LEAST.replace("psk = \"correct horse battery\"", "psk_file = \"key\""),
    );
    let load = |environment| load_in(dir.path(), &environment);
    let none = load(Environment::default()).unwrap_err().to_string();
    assert!(none.contains("cannot read") && none.contains("alone on one line"), "{none}");
    write(dir.path(), "key", "from the file here\r\n");
    let (config, warnings) = load(Environment::default()).unwrap();
    assert!(config.tenants[0].psk.as_ref().unwrap().ct_eq(b"from the file here"));
    assert!(warnings.is_empty(), "{warnings}");
    let psk = Some(SecretBytes::copy_of(b"from the environment"));
    assert!(
        load(Environment { psk }).unwrap().0.tenants[0]
            .psk
            .as_ref()
            .unwrap()
            .ct_eq(b"from the environment")
    );
    for (content, message) in
        [("", "is empty"), ("\n", "is empty"), ("a\nb\n", "more than one line")]
    {
        write(dir.path(), "key", content);
        let report = load(Environment::default()).unwrap_err().to_string();
        assert!(report.contains(message), "{report}");
    }
    write(dir.path(), "key", "with a space at the end \n");
    let (_, warnings) = load(Environment::default()).unwrap();
    assert!(warnings.to_string().contains("begins or ends with a space"), "{warnings}");
}

#[test]
fn files_that_never_end_are_refused() {
    let without_key = LEAST.replace("psk = \"correct horse battery\"\n", "");
    for (key, text) in [
        ("psk_file", without_key.replace("[ipsec]\n", "[ipsec]\npsk_file = \"/dev/zero\"\n")),
        ("users_file", tenant_with("users_file = \"/dev/zero\"")),
        ("secret_file", format!("[l2tp]\nsecret_file = \"/dev/zero\"\n{LEAST}")),
    ] {
        let report = load(&text).unwrap_err().to_string();
        assert!(report.contains("`/dev/zero`: it is longer than "), "{key}: {report}");
    }
    let certificates = "certificate_file = \"/dev/zero\"\nkey_file = \"/dev/zero\"\n\
                        ca_file = \"/dev/zero\"";
    let report = load(&LEAST.replace("psk = \"correct horse battery\"", certificates));
    let report = report.unwrap_err().to_string();
    assert_eq!(report.matches("it is longer than 16777216 bytes").count(), 2, "{report}");
    let dir = tempfile::tempdir().unwrap();
    let text = without_key.replace("[ipsec]\n", "[ipsec]\npsk_file = \"psk\"\n");
    write(dir.path(), "isthmus.toml", &text);
    write(dir.path(), "psk", &"x".repeat(4096));
    assert!(load_in(dir.path(), &Environment::default()).is_ok());
    write(dir.path(), "psk", &"x".repeat(4097));
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("it is longer than 4096 bytes"), "{report}");
}

#[test]
fn two_places_for_one_secret_are_one_too_many() {
    let text = LEAST.replace("[ipsec]\n", "[ipsec]\npsk_file = \"key\"\n");
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", &text);
    write(dir.path(), "key", "from the file\n");
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("`psk` and `psk_file` are both set"), "{report}");
}

#[test]
fn no_report_shows_a_secret() {
    for text in [
        LEAST.replace("psk =", "pks ="),
        LEAST.replace("psk = \"correct horse battery\"", "psk = [\"correct horse battery\"]"),
        LEAST.replace("psk = \"correct horse battery\"", "psk = \"correct horse battery"),
        LEAST.replace("psk = \"correct horse battery\"", "psk \"correct horse battery\""),
        LEAST.replace("[ipsec]", "[ipsce]"),
    ] {
        let report = load(&text).unwrap_err();
        assert!(!report.to_string().contains("battery"), "{report}");
        assert!(!serde_json::to_string(&report.view()).unwrap().contains("battery"), "{report}");
    }
    assert!(!format!("{:?}", valid(LEAST)).contains("battery"));
}

#[test]
fn files_with_secrets_that_everybody_reads_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", LEAST);
    let open = |mode| {
        let path = dir.path().join("isthmus.toml");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        load_in(dir.path(), &Environment::default()).unwrap().1.to_string()
    };
    assert!(open(0o644).contains("everybody may read"));
    assert!(open(0o602).contains("everybody may change"));
    assert!(open(0o644).contains("chmod 600"));
    assert_eq!(open(0o640), "");
}

#[test]
fn conf_d_joins_tables_and_refuses_contradictions() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", LEAST);
    write(
        dir.path(),
        "conf.d/10-ports.toml",
        "[gateway]\nike_port = 501\n[ipsec]\nforce_encap = true\n",
    );
    write(
        dir.path(),
        "conf.d/20-beta.toml",
        "[[tenant]]\nname = \"beta\"\npool = [\"10.65.0.0/20\"]\npsk_file = \"beta.psk\"\nusers_file = \"beta.toml\"\n",
    );
    write(dir.path(), "conf.d/beta.psk", "another long secret\n");
    write(dir.path(), "conf.d/beta.toml.users", "not read");
    write(dir.path(), "conf.d/README", "not read");
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(
        report.contains("cannot read users from") && report.contains("20-beta.toml:5:"),
        "{report}"
    );
    write(
        dir.path(),
        "conf.d/20-beta.toml",
        "[[tenant]]\nname = \"beta\"\npool = [\"10.65.0.0/20\"]\npsk_file = \"beta.psk\"\n",
    );
    let (config, _) = load_in(dir.path(), &Environment::default()).unwrap();
    assert_eq!((config.gateway.ike_port, config.ipsec.force_encap), (501, true));
    let names: Vec<_> = config.tenants.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["acme", "beta"]);
    write(dir.path(), "conf.d/30-twice.toml", "[gateway]\nike_port = 502\n");
    let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
    assert!(report.contains("`ike_port` is set twice"), "{report}");
    assert!(report.contains("30-twice.toml:2:1") && report.contains("10-ports.toml:2"), "{report}");
}

#[test]
fn users_are_read_again_with_the_same_checks() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "isthmus.toml", &tenant_with("users_file = \"users.toml\""));
    write(dir.path(), "users.toml", "[users.bob]\npassword = \"b\"\n");
    let (config, _) = load_in(dir.path(), &Environment::default()).unwrap();
    let tenant = &config.tenants[0];
    assert_eq!(tenant.users.len(), 2);
    let again = || config::reload_users(tenant, &config.ppp.auth);
    assert_eq!(again().unwrap().0, tenant.users);
    for (text, message) in [
        ("[users.alice]\npassword = \"b\"\n", "also in the configuration"),
        ("[users.bob]\npassword = \"b\"\naddress = \"10.1.1.1\"\n", "not in the tenant's pool"),
        ("[users.bob\n", "users.toml:1:"),
        ("[user.bob]\npassword = \"b\"\n", "unknown table `user`"),
    ] {
        write(dir.path(), "users.toml", text);
        let report = again().unwrap_err().to_string();
        assert!(report.contains(message), "{report}");
        let report = load_in(dir.path(), &Environment::default()).unwrap_err().to_string();
        assert!(report.contains("users.toml:"), "{report}");
    }
    write(dir.path(), "users.toml", "[users.carol]\npassword = \"c\"\n");
    let (users, _) = again().unwrap();
    assert!(users.named("carol").is_some() && users.named("alice").is_some());
    assert!(users.named("bob").is_none());
}
