//! What is understood, key by key, and what is said about mistakes.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use isthmus::config::AuthProtocol;
use isthmus_driver::Translation;

use crate::common::config::{LEAST, load, refused, tenant_with, valid};

#[test]
fn the_least_configuration_gets_every_default() {
    let (config, warnings) = load(LEAST).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!((config.gateway.ike_port, config.gateway.nat_t_port), (500, 4500));
    assert_eq!(config.gateway.listen.len(), 2);
    assert!(config.gateway.listen_is_default);
    assert_eq!(config.gateway.control_socket, Path::new("/run/isthmus/control.sock"));
    assert_eq!(config.ipsec.ike_lifetime, Duration::from_hours(8));
    assert_eq!(config.l2tp.host_name, config.gateway.name);
    assert_eq!(config.ppp.auth, [AuthProtocol::MsChapV2]);
    let tenant = &config.tenants[0];
    assert_eq!(tenant.gateway_address, Ipv4Addr::new(10, 64, 0, 1));
    assert_eq!(tenant.interface, "ist-acme");
    assert!(tenant.psk.as_ref().unwrap().ct_eq(b"correct horse battery"));
    assert!(tenant.users.named("alice").is_some());
}

#[test]
fn written_defaults_change_nothing() {
    let written = format!(
        "[gateway]\nname = \"{}\"\nlisten = [\"0.0.0.0\", \"::\"]\nike_port = 500\nnat_t_port = 4500\n\
         control_socket = \"/run/isthmus/control.sock\"\nlog = {{ format = \"text\", level = \"info\" }}\n\
         [l2tp]\nhello_interval = \"60s\"\n[ppp]\nauth = [\"mschapv2\"]\nmru = 1400\necho_interval = \"30s\"\n{}",
        valid(LEAST).gateway.name,
        LEAST.replace(
            "battery\"\n",
            "battery\"\nlegacy = false\nike_lifetime = \"8h\"\nchild_lifetime = \"1h\"\n\
             dpd_interval = \"30s\"\nforce_encap = false\nfragment_size = 1280\n"
        ),
    );
    let mut config = valid(&written);
    assert!(!config.gateway.listen_is_default);
    config.gateway.listen_is_default = true;
    assert_eq!(config, valid(LEAST));
}

#[test]
fn every_key_of_a_tenant_is_understood() {
    let config = valid(&tenant_with(
        "netns = \"blue\"\npsk = \"another long secret\"\ngateway_address = \"10.64.0.2\"\ndns = [\"10.64.0.1\"]\n\
         routes = [\"10.0.0.0/8\"]\ninterface = \"vpn0\"\n[[tenant.egress]]\nname = \"internet\"\n\
         via = { interface = \"eth1\", gateway = \"192.0.2.1\" }\nnat = \"masquerade\"\n[[tenant.egress]]\n\
         name = \"azure\"\nmatch = { to = [\"172.20.0.0/14\"] }\nvia = { gateway = \"192.0.2.2\" }",
    ));
    let tenant = &config.tenants[0];
    assert_eq!(tenant.netns.as_deref(), Some("blue"));
    assert!(tenant.psk.as_ref().unwrap().ct_eq(b"another long secret"));
    assert_eq!(tenant.gateway_address, Ipv4Addr::new(10, 64, 0, 2));
    assert_eq!(tenant.advice.routes[0].to_string(), "10.0.0.0/8");
    assert_eq!(tenant.interface, "vpn0");
    let [internet, azure] = &tenant.egress[..] else { panic!("{:?}", tenant.egress) };
    assert_eq!(
        (internet.to[0].to_string().as_str(), internet.nat),
        ("0.0.0.0/0", Translation::Masquerade)
    );
    assert_eq!(internet.way.interface(), Some("eth1"));
    assert_eq!((azure.way.interface(), azure.nat), (None, Translation::Keep));
}

#[test]
fn all_mistakes_are_named_at_once_in_their_order() {
    let text = "[gateway]\nik_port = 500\nlisten = [\"here\"]\n[ipsec]\npsk = 7\nesp = [\"aes256-sha2\"]\n\
                [[tenant]]\nname = \"a b\"\npool = [\"10.0.0.1/24\"]\n";
    let report = load(text).unwrap_err();
    let lines: Vec<_> = report.view().iter().filter_map(|p| p.line).collect();
    assert_eq!(lines, [2, 3, 5, 6, 7, 8, 9], "{report}");
}

#[test]
fn a_mistake_is_drawn_with_its_line_and_its_remedy() {
    let text = LEAST.replace("pool =", "pol =");
    let report = load(&text).unwrap_err().to_string();
    assert!(report.contains("error: unknown key `pol` in [[tenant]]\n"), "{report}");
    assert!(report.contains("isthmus.toml:5:1\n"), "{report}");
    assert!(report.contains("5 | pol = …\n  | ^^^\n  = help: did you mean `pool`?\n"), "{report}");
}

#[test]
fn unknown_keys_are_refused_with_a_suggestion() {
    refused(&format!("[gatewy]\n{LEAST}"), 1, "unknown key `gatewy`", "did you mean `gateway`?");
    refused(&tenant_with("mru = 1400"), 6, "unknown key `mru` in [[tenant]]", "belongs in [ppp]");
    refused(&tenant_with("colour = 1"), 6, "unknown key `colour`", "known keys: name, netns");
}

#[test]
fn what_is_kept_for_later_is_refused_not_ignored() {
    for text in ["[[radius]]\nname = \"corp\"\n", "[bgp]\n", "[[bgp.peer]]\n", "[overlay.a]\n"] {
        refused(&format!("{text}{LEAST}"), 1, "not yet supported", "later version");
    }
    refused(
        &tenant_with("radius = \"corp\""),
        6,
        "`radius` in [[tenant]] is not yet",
        "users_file",
    );
    let via = "[[tenant.egress]]\nname = \"a\"\nvia = { overlay = \"x\" }";
    refused(&tenant_with(via), 8, "`overlay` in [tenant.egress.via] is not yet", "next hop");
}

#[test]
fn wrong_kinds_and_ranges_say_what_to_write() {
    let gateway = |line: &str| format!("[gateway]\n{line}\n{LEAST}");
    refused(&gateway("ike_port = \"500\""), 2, "expected a number, found text", "1 to 65535");
    refused(&gateway("ike_port = 0"), 2, "out of range", "1 to 65535");
    refused(&gateway("ike_port = 99999999999999999999"), 2, "out of range", "1 to 65535");
    refused(&gateway("ike_port = 4500"), 2, "are the same", "its own");
    refused(&gateway("name = \"\""), 2, "name cannot be used", "1 to 64");
    refused(&gateway("listen = []"), 2, "list is empty", "default");
    refused(&gateway("listen = [\"::\", \"::\"]"), 2, "twice", "remove one");
    refused(
        &gateway("public_address = \"vpn.example.org\""),
        2,
        "is not an IP address",
        "192.0.2.1",
    );
    refused(&gateway("public_address = \"0.0.0.0\""), 2, "nobody can dial", "connect to");
    refused(&gateway("log = { level = \"inof\" }"), 2, "`inof` is not known", "\"info\"");
    refused(&gateway("log = \"info\""), 2, "is a table, not text", "[gateway.log]");
    refused(&format!("[ppp]\nmru = 9000\n{LEAST}"), 2, "out of range", "576 to 1500");
    refused(&format!("[ppp]\nauth = [\"eap\"]\n{LEAST}"), 2, "`eap` is not known", "pap");
    refused(&format!("ppp = 7\n{LEAST}"), 1, "[ppp] is a table, not a number", "line of its own");
    refused(&format!("[l2tp]\nhello_interval = 60\n{LEAST}"), 2, "expected a duration", "\"30s\"");
    refused(&format!("[l2tp]\nhello_interval = \"soon\"\n{LEAST}"), 2, "not a duration", "\"8h\"");
    refused(&format!("[l2tp]\nhello_interval = \"0s\"\n{LEAST}"), 2, "too short", "1s to 1d");
}

#[test]
fn proposals_are_checked_part_by_part() {
    let ipsec = |line: &str| LEAST.replace("[ipsec]\n", &format!("[ipsec]\n{line}\n"));
    refused(
        &ipsec("ike = [\"aes256-sha265-modp2048\"]"),
        2,
        "not an IKE proposal",
        "`sha265` is not a hash",
    );
    refused(&ipsec("ike = [\"aes256-sha1-modp1024\"]"), 2, "this is weak", "legacy = true");
    refused(&ipsec("esp = [\"3des-sha1\"]"), 2, "this is weak", "legacy = true");
    refused(&ipsec("esp = [\"aes256-sha255\"]"), 2, "is not known", "\"aes256-sha256\"");
    refused(&ipsec("esp = []"), 2, "list is empty", "default");
    let config =
        valid(&ipsec("legacy = true\nike = [\"3des-sha1-modp1024\"]\nesp = [\"3des-sha1\"]"));
    assert_eq!(config.ipsec.ike[0].to_string(), "3des-sha1-modp1024");
}
