//! Which way out a packet takes: conditions, order, refusals, both IP versions.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, LAN_SECOND_PEER, LabError, Namespace, wait_for};
use isthmus_netns::{Client, CloudSite, Config, Datagrams, Dial, Site, pinged};

#[test]
fn conditions_choose_among_clouds_and_what_is_denied_is_refused() -> Result<(), LabError> {
    let lab = Site::lab_for("routing", Access::Nat)?;
    let clouds = (1..=3).map(|n| CloudSite::build(&lab, lab.gateway(), n, [10, n, 0]));
    let [one, two, three] = &clouds.collect::<Result<Vec<_>, _>>()?[..] else {
        return Err(LabError::unexpected("three clouds"));
    };
    for cloud in [one, two, three] {
        cloud.know_the_way_to("10.64.0.0/24")?;
        cloud.add_address(EVERYWHERE)?;
    }
    // What the operator marks by himself: here by the port.
    lab.gateway().nft(
        "add table ip theirs\n\
         add chain ip theirs before { type filter hook prerouting priority mangle; }\n\
         add rule ip theirs before iifname ist-acme udp sport 9999 meta mark set 0x10",
    )?;
    let (users, tenant) = (USERS, ways());
    let site = Site::serve(lab, Config { tenant: &tenant, users, ..Config::default() })?;
    let (alice_host, bob_host) = (site.client_host()?, site.lab().namespace("bob")?);
    site.lab().plug_in(&bob_host, "eth0", LAN_SECOND_PEER)?;
    let dial = Dial::new().routes(EVERYTHING_INSIDE);
    let (alice, alice_up) = Client::connect(&site, &alice_host, &dial)?;
    let (bob, bob_up) = Client::connect(&site, &bob_host, &dial.clone().user("bob", "builder"))?;
    assert_eq!(bob_up.address, Ipv4Addr::new(10, 64, 0, 99));

    // The same destination, in all three clouds.
    let seen = [one.listen()?, two.listen()?, three.listen()?];
    let ask = |host: &Namespace, from: Ipv4Addr, port: u16, text: &str| {
        let socket = host.udp_socket((from, port), Duration::from_secs(1))?;
        let sent = socket.send_to(text.as_bytes(), (EVERYWHERE, 7777));
        sent.map_err(|source| LabError::Io { what: text.to_owned(), source })
    };
    let heard = |by: &Datagrams, text: &str, from: Ipv4Addr| -> Result<(), LabError> {
        let (said, source) = by.receive()?;
        assert_eq!((said.as_str(), source.ip()), (text, from.into()));
        Ok(())
    };
    ask(&alice_host, alice_up.address, 9000, "as everybody")?;
    heard(&seen[0], "as everybody", alice_up.address)?;
    ask(&bob_host, bob_up.address, 9000, "by source")?;
    heard(&seen[1], "by source", bob_up.address)?;
    ask(&alice_host, alice_up.address, 9999, "by mark")?;
    heard(&seen[2], "by mark", alice_up.address)?;

    assert!(pinged(&alice_host, DENIED)?.contains("Packet filtered"), "denied");
    assert!(pinged(&alice_host, two.address())?.contains(" 0% packet loss"), "the longer prefix");
    alice.hang_up()?;
    bob.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn ipv6_goes_by_a_next_hop_of_its_own() -> Result<(), LabError> {
    let lab = Site::lab_for("routing-ipv6", Access::Nat)?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 2, 0])?;
    one.know_the_way_to("2001:db8:64::/48")?;
    two.know_the_way_to("2001:db8:64::/48")?;
    let tenant = format!(
        "pool6 = [\"2001:db8:64::/48\"]\n\
         [[tenant.egress]]\nname = \"one\"\nvia = {{ interface = \"cloud1\", gateway = \"{}\" }}\n\
         [[tenant.egress]]\nname = \"no\"\ndeny = true\n\
         match = {{ to = [\"{}/128\"] }}\n",
        one.next_hop6(),
        two.address6()
    );
    let site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let host = site.client_host()?;
    let dial = Dial::new().routes("--routes 2001:db8:b00::/40,10.0.0.0/24");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    wait_for("an IPv6 address", Duration::from_secs(20), || Ok(client.event("ipv6")))?;
    assert!(pinged(&host, one.address6())?.contains(" 0% packet loss"));
    let refused = pinged(&host, two.address6())?;
    assert!(refused.contains("Administratively prohibited"), "{refused}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Two users, one of whom has an address of his own.
const USERS: &str = "[users.bob]\npassword = \"builder\"\naddress = \"10.64.0.99\"\n";
/// What every cloud has.
const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
/// What nobody may reach.
const DENIED: Ipv4Addr = Ipv4Addr::new(172, 20, 9, 9);
const EVERYTHING_INSIDE: &str = "--routes 10.1.0.0/16,10.2.0.0/16,10.3.0.0/16,172.20.0.0/16";

fn ways() -> String {
    let way = |name: &str, condition: &str, cloud: u8| {
        format!(
            "[[tenant.egress]]\nname = \"{name}\"\n{condition}\n\
             via = {{ interface = \"cloud{cloud}\", gateway = \"198.18.{cloud}.2\" }}\n"
        )
    };
    [
        way("marked", "match = { mark = \"0x10/0xff\" }", 3),
        way("bob", "match = { from = [\"10.64.0.99\"] }", 2),
        way("all", "", 1),
        way("second", "match = { to = [\"10.2.0.0/24\"] }", 2),
        String::from(
            "[[tenant.egress]]\nname = \"no\"\nmatch = { to = [\"172.20.9.0/24\"] }\ndeny = true\n",
        ),
    ]
    .concat()
}
