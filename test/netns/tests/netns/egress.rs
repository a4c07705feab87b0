//! Ways out of a tenant.

use std::net::Ipv4Addr;

use isthmus_interop::{Access, CLOUD_HOST, CLOUD_ROUTER, LabError, cable};
use isthmus_netns::{Client, Config, Datagrams, Dial, PASSWORD, Site, USER, fetch, ping};

#[test]
fn a_masquerading_egress_reaches_hosts_that_know_no_way_back() -> Result<(), LabError> {
    let site = Site::open("egress-nat", Access::Nat, Config { tenant: WAYS, ..Config::default() })?;
    let host = site.client_host()?;
    let cloud = site.lab().cloud().host();
    cloud.ip("route delete default")?;
    cloud.ip(&format!("address add {BEYOND}/32 dev lo"))?;
    let server = Datagrams::open(cloud, Ipv4Addr::UNSPECIFIED)?;

    for option in ["--routes 10.0.0.0/24,172.20.0.0/16", "--default-route"] {
        let (client, up) = Client::connect(&site, &host, &Dial::new().routes(option))?;
        let socket = Datagrams::open(&host, up.address)?;
        for target in [CLOUD_HOST, BEYOND] {
            ping(&host, target)?;
            socket.send("who am I", target)?;
            let (_, from) = server.receive()?;
            assert_eq!(from.ip(), CLOUD_ROUTER, "{option}: {target} sees the gateway's address");
        }
        client.hang_up()?;
    }
    site.close()?.passed();
    Ok(())
}

#[test]
fn tenants_in_namespaces_of_their_own_may_use_the_same_addresses() -> Result<(), LabError> {
    let lab = Site::lab_for("egress-netns", Access::NatRewritingPorts)?;
    let (inner, cloud) = (lab.namespace("umbrella")?, lab.namespace("cloud2")?);
    cable(&inner, "eth1", &cloud, "eth0")?;
    inner.ip(&format!("address add {CLOUD_ROUTER}/24 dev eth1"))?;
    cloud.ip(&format!("address add {CLOUD_HOST}/24 dev eth0"))?;
    cloud.ip(&format!("route add default via {CLOUD_ROUTER}"))?;
    lab.cloud().serve("whose", "acme's cloud")?;
    let tenant = format!(
        "[[tenant]]\nname = \"umbrella\"\nnetns = \"{}\"\npsk = \"{OTHER_PSK}\"\n\
         pool = [\"10.64.0.0/24\"]\n[tenant.users.{USER}]\npassword = \"{PASSWORD}\"\n",
        inner.name()
    );
    let mut site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let device = inner.ip("-o link show type tun")?;
    assert!(device.contains("ist-umbrella"), "the tenant's device is in its namespace: {device}");

    let acme_host = site.client_host()?;
    let umbrella_host = site.lab().namespace("client2")?;
    site.lab().plug_in(&umbrella_host, "eth0", SECOND_PEER)?;
    let (acme, acme_up) = Client::connect(&site, &acme_host, &Dial::new())?;
    let (umbrella, umbrella_up) =
        Client::connect(&site, &umbrella_host, &Dial::new().psk(OTHER_PSK))?;
    assert_eq!(acme_up.address, umbrella_up.address, "the same first address of the same pool");

    // The same question from the same inner address to the same address: two answers.
    let server = Datagrams::open(&cloud, CLOUD_HOST)?;
    ping(&acme_host, CLOUD_HOST)?;
    ping(&umbrella_host, CLOUD_HOST)?;
    ping(&cloud, umbrella_up.address)?;
    assert_eq!(fetch(&acme_host, "whose")?, "acme's cloud");
    Datagrams::open(&umbrella_host, umbrella_up.address)?.send("whose", CLOUD_HOST)?;
    assert_eq!(server.receive()?.0, "whose", "umbrella's packets come out in umbrella's cloud");
    assert!(fetch(&umbrella_host, "whose").is_err(), "no web server in umbrella's cloud");

    let status = site.gateway().status()?;
    for (index, netns) in [(0, None), (1, Some(inner.name()))] {
        assert_eq!(status.at(&format!("/tenants/{index}/netns"))?.as_str(), netns, "{status}");
        assert_eq!(status.at(&format!("/tenants/{index}/sessions"))?, 1, "{status}");
    }
    acme.hang_up()?;
    umbrella.hang_up()?;
    let closed = site.close()?;
    let left = inner.ip("-o link show type tun")?;
    assert_eq!(left, "", "the device is gone with the gateway");
    closed.passed();
    Ok(())
}

/// The tenant's ways out: one on the link, one behind a next hop.
const WAYS: &str = r#"
    [[tenant.egress]]
    name = "near"
    match = { to = ["10.0.0.0/24"] }
    via = { interface = "eth1" }
    nat = "masquerade"
    [[tenant.egress]]
    name = "beyond"
    match = { to = ["172.20.0.0/16"] }
    via = { interface = "eth1", gateway = "10.0.0.2" }
    nat = "masquerade""#;
/// A host behind the cloud's host.
const BEYOND: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
/// The second tenant's key.
const OTHER_PSK: &str = "incorrect zebra battery staple";
/// The second client on the LAN.
const SECOND_PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 3);
