//! Three clouds, two of them with the same network, and addresses as the far end sees them.

use std::net::{IpAddr, Ipv4Addr};

use isthmus_interop::{Access, LAN_SECOND_PEER, LabError, Namespace};
use isthmus_netns::{Client, CloudSite, Config, Datagrams, Dial, PASSWORD, Site, USER, ping};

#[test]
fn every_cloud_is_reached_by_its_own_way_and_sees_the_address_it_is_to_see() -> Result<(), LabError>
{
    let lab = Site::lab_for("clouds", Access::Nat)?;
    let inner = lab.namespace("umbrella")?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 2, 0])?;
    let twin = CloudSite::build(&lab, lab.gateway(), 3, [10, 1, 0])?;
    let other = CloudSite::build(&lab, &inner, 4, [10, 1, 0])?;
    two.know_the_way_to("198.51.100.0/24")?;
    twin.know_the_way_to("10.64.0.0/24")?;
    other.know_the_way_to("10.64.0.0/24")?;
    let (tenant, users) = (tenants(&inner), BOB);
    let mut site = Site::serve(lab, Config { tenant: &tenant, users, ..Config::default() })?;
    let (alice_host, bob_host) = (site.client_host()?, site.lab().namespace("bob")?);
    site.lab().plug_in(&bob_host, "eth0", LAN_SECOND_PEER)?;
    let dial = Dial::new().routes("--routes 10.1.0.0/24,10.2.0.0/24,10.201.0.0/24,198.18.0.0/15");
    let (alice, alice_up) = Client::connect(&site, &alice_host, &dial)?;
    let (bob, bob_up) = Client::connect(&site, &bob_host, &dial.clone().user("bob", "builder"))?;
    assert_eq!(bob_up.address, BOB_ADDRESS);
    let alice_says = Datagrams::open(&alice_host, alice_up.address)?;
    let bob_says = Datagrams::open(&bob_host, BOB_ADDRESS)?;
    let [at_one, at_two, at_twin] = [one.listen()?, two.listen()?, twin.listen()?];

    // The machine's address, an address of a range, and the client's own at the cloud that has the
    // network of the first.
    meets(&alice_says, one.address(), &at_one, one.our_address())?;
    meets(&alice_says, two.address(), &at_two, Ipv4Addr::new(198, 51, 100, 7))?;
    meets(&alice_says, TWIN, &at_twin, alice_up.address)?;
    ping(&alice_host, TWIN)?;
    // A client that has an address of his own outside, both ways.
    let told = site.gateway().cli(&["trace", "--config", "gateway.toml", "bob", "10.2.0.2"])?;
    assert!(told.contains("the address 198.51.100.99, which is its own outside"), "{told}");
    meets(&bob_says, two.address(), &at_two, BOB_OUTSIDE)?;
    meets(&at_two, BOB_OUTSIDE, &bob_says, two.address())?;
    ping(&two.host, BOB_OUTSIDE)?;
    // A port of ours that is his, and the twin's hosts as clients know them when they begin.
    at_one.send_to("to a port", (one.our_address(), 8000).into())?;
    assert_eq!(bob_says.receive()?.1.ip(), IpAddr::from(one.address()));
    meets(&at_twin, alice_up.address, &alice_says, TWIN)?;

    drop(alice_says);
    // Another tenant with the same pool has a cloud with the same network, in a namespace of its own.
    alice.hang_up()?;
    let (umbrella, up) = Client::connect(&site, &alice_host, &dial.clone().psk(OTHER_PSK))?;
    assert_eq!(up.address, alice_up.address);
    let says = Datagrams::open(&alice_host, up.address)?;
    meets(&says, other.address(), &other.listen()?, up.address)?;
    meets(&bob_says, one.address(), &at_one, one.our_address())?;
    umbrella.hang_up()?;
    bob.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// What one says to `address` is heard there, from `seen`.
fn meets(
    from: &Datagrams,
    address: Ipv4Addr,
    there: &Datagrams,
    seen: Ipv4Addr,
) -> Result<(), LabError> {
    let text = format!("to {address}");
    from.send(&text, address)?;
    let (heard, source) = there.receive()?;
    assert_eq!((heard, source.ip()), (text, IpAddr::from(seen)));
    Ok(())
}

fn tenants(inner: &Namespace) -> String {
    let way = |name: &str, cloud: u8, to: &str, nat: &str| {
        format!(
            "[[tenant.egress]]\nname = \"{name}\"\nmatch = {{ to = [\"{to}\"] }}\nmss_clamp = true\n\
             via = {{ interface = \"cloud{cloud}\", gateway = \"198.18.{cloud}.2\" }}\nnat = \"{nat}\"\n"
        )
    };
    let ways = [
        way("one", 1, "10.1.0.0/24", "masquerade"),
        way("two", 2, "10.2.0.0/24", "198.51.100.7"),
        way("twin", 3, "10.201.0.0/24", "none"),
    ];
    format!(
        "{}\
         [[tenant.nat]]\none_to_one = {{ inside = \"10.64.0.99\", outside = \"198.51.100.99\" }}\n\
         egress = \"two\"\n\
         [[tenant.nat]]\negress = [\"twin\"]\n\
         netmap = {{ inside = \"10.201.0.0/24\", outside = \"10.1.0.0/24\" }}\n\
         [[tenant.nat]]\negress = \"one\"\n\
         dnat = {{ address = \"198.18.1.1\", protocol = \"udp\", port = 8000, to = \"10.64.0.99\", to_port = 7777 }}\n\
         [[tenant]]\nname = \"umbrella\"\nnetns = \"{}\"\npsk = \"{OTHER_PSK}\"\n\
         pool = [\"10.64.0.0/24\"]\n[tenant.users.{USER}]\npassword = \"{PASSWORD}\"\n\
         {}",
        ways.concat(),
        inner.name(),
        way("its", 4, "10.1.0.0/24", "none"),
    )
}

/// The twin's host, as clients know it.
const TWIN: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 2);
const BOB: &str = "[users.bob]\npassword = \"builder\"\naddress = \"10.64.0.99\"\n";
const BOB_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 99);
const BOB_OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);
/// The second tenant's key.
const OTHER_PSK: &str = "incorrect zebra battery staple";
