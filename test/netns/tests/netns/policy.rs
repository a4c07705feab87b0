//! What users may reach, by user and by group, and by which way their packets go.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, LAN_SECOND_PEER, LabError, wait_for};
use isthmus_netns::{Client, CloudSite, Config, Dial, Site, pinged};

#[test]
fn a_group_has_its_own_way_and_its_own_limits() -> Result<(), LabError> {
    let lab = Site::lab_for("policy", Access::Nat)?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 2, 0])?;
    for cloud in [&one, &two] {
        cloud.know_the_way_to("10.64.0.0/24")?;
        cloud.add_address(EVERYWHERE)?;
        cloud.add_address(METADATA)?;
    }
    let mut site = Site::serve(lab, Config { tenant: TENANT, users: USERS, ..Config::default() })?;
    let (alice_host, bob_host) = (site.client_host()?, site.lab().namespace("bob")?);
    site.lab().plug_in(&bob_host, "eth0", LAN_SECOND_PEER)?;
    let dial = Dial::new().routes(EVERYTHING);
    let (alice, alice_up) = Client::connect(&site, &alice_host, &dial)?;
    let (bob, bob_up) = Client::connect(&site, &bob_host, &dial.clone().user("bob", "builder"))?;
    wait_for("both to be members of a class", Duration::from_secs(5), || {
        let listed = members(&site)?;
        let both =
            [alice_up.address, bob_up.address].map(|own| listed.contains(&format!("{own} :")));
        Ok((both == [true, true]).then_some(()))
    })?;

    // The same destination in both clouds, which tell who came.
    let seen = [one.listen()?, two.listen()?];
    for (host, up, seen) in [(&alice_host, &alice_up, &seen[0]), (&bob_host, &bob_up, &seen[1])] {
        let socket = host.udp_socket((up.address, 9000), Duration::from_secs(1))?;
        let sent = socket.send_to(b"hello", (EVERYWHERE, 7777));
        sent.map_err(|source| LabError::Io { what: EVERYWHERE.to_string(), source })?;
        let (said, source) = seen.receive()?;
        assert_eq!((said.as_str(), source.ip()), ("hello", up.address.into()));
    }

    // Everybody reaches the first cloud but interns, who reach the second; nobody reaches metadata.
    assert!(pinged(&alice_host, one.address())?.contains(" 0% packet loss"));
    assert!(pinged(&bob_host, two.address())?.contains(" 0% packet loss"));
    for (host, target) in [
        (&bob_host, one.address()),
        (&alice_host, two.address()),
        (&alice_host, METADATA),
        (&bob_host, METADATA),
    ] {
        let said = pinged(host, target)?;
        assert!(said.contains("Packet filtered"), "{target}: {said}");
    }
    traces(&mut site)?;
    alice.hang_up()?;
    bob.hang_up()?;
    wait_for("nobody to be a member", Duration::from_secs(5), || {
        Ok((!members(&site)?.contains("elements")).then_some(()))
    })?;
    site.close()?.passed();
    Ok(())
}

/// The members of classes.
fn members(site: &Site) -> Result<String, LabError> {
    site.lab().gateway().nft("list map inet isthmus_lab sessions_ip")
}

/// What `isthmus trace` says is what was seen.
fn traces(site: &mut Site) -> Result<(), LabError> {
    for (from, to, says) in [
        ("alice", "172.20.0.1:80", "the rule `everybody` allows it"),
        ("alice", "172.20.0.1:80", "table 17301 via 198.18.1.2 on cloud1, egress all"),
        ("bob", "172.20.0.1:80", "table 17300 via 198.18.2.2 on cloud2, egress interns"),
        ("bob", "172.20.0.1:80", "of group `interns`: mark 0x"),
        ("bob", "172.20.0.1:80", " by tcp: it leaves by interns"),
        ("bob", "10.1.0.2", "denied: the rule `interns-stay-out` denies it"),
        ("bob", "10.1.0.2", " to 10.1.0.2 by icmp: it goes nowhere"),
        ("alice", "169.254.169.254:80", "is a cloud's metadata service"),
        ("alice", "10.64.0.1", "no rule fits, and the default is to deny"),
    ] {
        let text = site.gateway().cli(&["trace", "--config", "gateway.toml", from, to])?;
        assert!(text.contains(says), "{says}\nis not in\n{text}");
        assert!(text.contains(&format!("{from} is connected from ")), "{text}");
    }
    Ok(())
}

const USERS: &str = "[users.bob]\npassword = \"builder\"\ngroup = \"interns\"\n";
/// What every cloud has.
const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
/// Where a cloud tells a machine its credentials.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const EVERYTHING: &str = "--routes 10.1.0.0/16,10.2.0.0/16,172.20.0.0/16,169.254.169.254/32";
const TENANT: &str = r#"
[[tenant.egress]]
name = "interns"
match = { group = "interns" }
via = { interface = "cloud2", gateway = "198.18.2.2" }
[[tenant.egress]]
name = "all"
via = { interface = "cloud1", gateway = "198.18.1.2" }
[tenant.policy]
default = "deny"
[[tenant.policy.rule]]
name = "interns-stay-out"
action = "deny"
group = "interns"
to = "10.1.0.0/24"
[[tenant.policy.rule]]
name = "interns-have-two"
action = "allow"
group = "interns"
to = "10.2.0.0/24"
[[tenant.policy.rule]]
name = "everybody"
action = "allow"
to = ["10.1.0.0/24", "172.20.0.0/16", "169.254.0.0/16"]
[[test]]
user = "bob"
to = "10.1.0.2:443"
expect = "deny"
[[test]]
user = "alice"
to = "10.1.0.2:443"
expect = "allow via all"
[[test]]
user = "bob"
to = "172.20.0.1"
expect = "allow via interns"
"#;
