//! Where the kernel says that packets go, in both IP versions.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use isthmus_kernel::{Lookup, Options, Reconciler};
use support::Space;

#[tokio::test]
async fn a_packet_is_followed_to_its_table_its_next_hop_and_its_end() {
    let space = Space::new("lookup");
    space.ip("link add in type veth peer name in-peer");
    space.ip("link add out type veth peer name out-peer");
    for link in ["lo", "in", "in-peer", "out", "out-peer"] {
        space.ip(&format!("link set {link} up"));
    }
    space.ip("address add 10.64.0.1/24 dev in");
    space.ip("address add 198.18.1.1/24 dev out");
    space.ip("address add 2001:db8:64::1/64 dev in nodad");
    space.ip("address add 2001:db8:a01::1/64 dev out nodad");
    for (version, hop, to) in
        [("-4", "198.18.1.2", "172.20.0.0/16"), ("-6", "2001:db8:a01::2", "2001:db8:ee::/48")]
    {
        space.ip(&format!("{version} route add {to} via {hop} dev out table 17300"));
        space.ip(&format!("{version} rule add pref 100 iif in lookup 17300"));
    }
    for (version, end, to) in [
        ("-4", "blackhole", "10.9.1.1"),
        ("-4", "prohibit", "10.9.2.1"),
        ("-6", "blackhole", "2001:db8:9:1::1"),
        ("-6", "prohibit", "2001:db8:9:2::1"),
    ] {
        space.ip(&format!("{version} route add {end} {to} table 17300"));
    }
    for version in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        space.run("sysctl", &["-qw", &format!("net/{version}=1")]);
    }
    let options = Options {
        namespace: Some(space.namespace()),
        state_folder: PathBuf::from("/nonexistent"),
        keep_on_drop: true,
        ..Options::named("gate")
    };
    let mut kernel = Reconciler::new(options).unwrap();
    for (from, to, hop, blackhole, prohibit, own) in [
        ("10.64.0.9", "172.20.0.1", "198.18.1.2", "10.9.1.1", "10.9.2.1", "198.18.1.1"),
        (
            "2001:db8:64::9",
            "2001:db8:ee::1",
            "2001:db8:a01::2",
            "2001:db8:9:1::1",
            "2001:db8:9:2::1",
            "2001:db8:a01::1",
        ),
    ] {
        let lookup = |to: &str| Lookup {
            input: String::from("in"),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            mark: 0,
        };
        let road = kernel.look_up(lookup(to)).await.unwrap();
        assert_eq!((road.table, road.link.as_deref()), (17_300, Some("out")), "{road:?}");
        assert_eq!((road.gateway, road.refusal), (Some(hop.parse().unwrap()), None));
        assert_eq!(road.addresses, [own.parse::<std::net::IpAddr>().unwrap()]);
        assert!(kernel.look_up(lookup(own)).await.unwrap().local);
        let refusal = kernel.look_up(lookup(blackhole)).await.unwrap().refusal.unwrap();
        assert!(refusal.contains("blackhole"), "{refusal}");
        let refusal = kernel.look_up(lookup(prohibit)).await.unwrap().refusal.unwrap();
        assert!(refusal.contains("prohibited"), "{refusal}");
    }
}
