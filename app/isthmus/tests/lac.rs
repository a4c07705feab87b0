//! `[[lac]]`: what is understood, what is refused, and what a reload makes of it.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod common;

use common::config::{LEAST, refused, valid};
use isthmus::config;
use isthmus_core::SecretBytes;
use isthmus_gateway::Proxy;

/// `LEAST` with a LAC behind it, from line 9 on.
fn lac_with(lines: &str) -> String {
    format!("{LEAST}[[lac]]\nname = \"metro\"\n{lines}\n")
}

#[test]
fn a_lac_is_understood_with_every_default() {
    let address = "address = [\"192.0.2.16/28\", \"2001:db8::7\"]";
    let config = valid(&lac_with(&format!("{address}\nsecret = \"wholesale\"")));
    let [lac] = &config.lacs[..] else { panic!("{:?}", config.lacs) };
    assert_eq!((lac.name.as_str(), &lac.tenants[..]), ("metro", &[String::from("acme")][..]));
    let nets: Vec<String> = lac.address.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["192.0.2.16/28", "2001:db8::7/128"]);
    assert_eq!(lac.secret, SecretBytes::copy_of(b"wholesale"));
    assert_eq!((lac.tunnels, lac.sessions), (16, 1024));
    assert_eq!(lac.listen, config.gateway.listen);
    assert!(valid(LEAST).lacs.is_empty());

    let more = "listen = [\"192.0.2.1\"]\ntunnels = 2\nsessions = 3";
    let config = valid(&lac_with(&format!("{address}\nsecret = \"s\"\ntenant = \"acme\"\n{more}")));
    let lac = &config.lacs[0];
    assert_eq!((lac.tunnels, lac.sessions), (2, 3));
    assert_eq!(lac.listen, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn what_a_lac_has_negotiated_is_accepted_only_where_it_is_said() {
    let lac = lac_with("address = [\"192.0.2.16/28\"]\nsecret = \"s\"");
    let config = valid(&lac);
    assert_eq!((config.lacs[0].proxy, config.l2tp.proxy), (Proxy::Renegotiate, Proxy::Renegotiate));
    let config = valid(&format!("{lac}proxy = \"accept\"\n"));
    assert_eq!((config.lacs[0].proxy, config.l2tp.proxy), (Proxy::Accept, Proxy::Renegotiate));
    let l2tp = |lines: &str| format!("{LEAST}[l2tp]\n{lines}\n");
    let config = valid(&l2tp("secret = \"s\"\nproxy = \"accept\""));
    assert_eq!(config.l2tp.proxy, Proxy::Accept);
    refused(
        &format!("{lac}proxy = \"forward\"\n"),
        12,
        "`forward` is not known here",
        "renegotiate",
    );
    refused(&l2tp("proxy = \"accept\""), 9, "overheard", "`secret_file`");
    assert_eq!(valid(&l2tp("proxy = \"renegotiate\"")).l2tp.proxy, Proxy::Renegotiate);
}

#[test]
fn a_lac_that_could_be_anybody_is_refused() {
    let address = "address = [\"192.0.2.16/28\"]";
    refused(&lac_with(address), 8, "without a tunnel secret", "`secret_file`");
    refused(&lac_with("secret = \"s\""), 8, "`address` is missing", "add");
    let secret = "secret = \"s\"";
    refused(
        &lac_with(&format!("{secret}\naddress = [\"::/0\"]")),
        11,
        "everybody is the LAC",
        "only",
    );
    refused(
        &lac_with(&format!("{secret}\naddress = []")),
        11,
        "a network is missing",
        "at least one",
    );
    let host_bits = "address = [\"192.0.2.17/28\"]";
    refused(&lac_with(&format!("{secret}\n{host_bits}")), 11, "bits set", "192.0.2.16/28");
    let nobody = lac_with(&format!("{secret}\n{address}\ntenant = \"nobody\""));
    refused(&nobody, 12, "there is no tenant `nobody`", "[[tenant]]");
    let twice = format!(
        "{}[[lac]]\nname = \"other\"\n{secret}\naddress = [\"192.0.2.20\"]\n",
        lac_with(&format!("{secret}\n{address}"))
    );
    refused(&twice, 12, "overlaps an address of the LAC `metro`", "toml:8");
}

#[test]
fn tenants_of_a_lac_are_told_apart_by_realm() {
    let tenant = |name: &str, realm: &str| {
        format!(
            "[[tenant]]\nname = \"{name}\"\nnetns = \"{name}\"\npool = [\"10.64.0.0/24\"]\n{realm}\n"
        )
    };
    let text = |realms: [&str; 2], named: &str| {
        let lac = "[[lac]]\nname = \"metro\"\naddress = [\"192.0.2.16/28\"]\nsecret = \"s\"\n";
        let head = "[ipsec]\npsk = \"correct horse battery\"\n";
        let [first, second] = realms;
        format!("{head}{}{}{lac}tenant = {named}\n", tenant("red", first), tenant("blue", second))
    };
    let both = "[\"red\", \"blue\"]";
    let config = valid(&text(["", "realm = \"blue\""], both));
    assert_eq!(config.lacs[0].tenants, ["red", "blue"]);
    assert_eq!(valid(&text(["", "realm = \"blue\""], "\"blue\"")).lacs[0].tenants, ["blue"]);
    let listen = ["listen = \"192.0.2.1\"", "listen = \"192.0.2.2\""];
    let told =
        format!("[gateway]\nlisten = [\"192.0.2.1\", \"192.0.2.2\"]\n{}", text(listen, both));
    refused(&told, 19, "nothing tells users of `blue` from those of `red`", "`realm`");
    refused(
        &text(["", "realm = \"b\""], "[\"red\", \"reed\"]"),
        17,
        "no tenant `reed`",
        "[[tenant]]",
    );
    refused(&text(["", "realm = \"b\""], "[]"), 17, "a tenant is missing", "at least one");
}

#[test]
fn a_lac_comes_and_goes_with_a_reload_and_its_sockets_with_a_restart() {
    let with = valid(&lac_with("address = [\"192.0.2.16/28\"]\nsecret = \"s\""));
    let without = valid(LEAST);
    let changes = config::compare(&without, &with);
    assert_eq!(changes.applied, ["lac"]);
    assert_eq!(changes.needs_restart, ["lac: where it listens"]);
    assert_eq!(config::effective(&without, &with).lacs.len(), 1);
    let other = valid(&lac_with("address = [\"192.0.2.16/28\"]\nsecret = \"t\""));
    let changes = config::compare(&with, &other);
    assert_eq!((changes.applied.len(), changes.needs_restart.len()), (1, 0));
}
