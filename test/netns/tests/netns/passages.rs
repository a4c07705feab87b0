//! Ways out into another namespace, which two tenants share.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use isthmus_interop::{
    Access, KernelState, LAN_SECOND_PEER, Lab, LabError, Namespace, run, wait_for,
};
use isthmus_netns::{
    Client, CloudSite, Config, Datagrams, Dial, PASSWORD, Site, USER, ping, pinged,
};

#[test]
fn two_tenants_share_the_way_through_a_third_namespace() -> Result<(), LabError> {
    let lab = Site::lab_for("passages", Access::Nat)?;
    let names = ["blue", "red", "transit"];
    let [blue, red, transit] = places(&lab, names)?;
    let cloud = CloudSite::build(&lab, &transit, 1, [10, 1, 0])?;
    for back in ["169.254.64.0/18", "10.64.0.0/24", "2001:db8:64::/48"] {
        cloud.know_the_way_to(back)?;
    }
    transit.ip(&format!("route add default via {}", cloud.next_hop()))?;
    transit.ip(&format!("-6 route add default via {}", cloud.next_hop6()))?;
    let all = [&blue, &red, &transit];
    let before = all.map(KernelState::read);
    let tenants = tenants(&blue, &red, transit.name());
    let mut site = Site::serve(lab, Config { tenant: &tenants, ..Config::default() })?;
    // What a run that crashed left is taken over.
    let links = || Ok::<_, LabError>(devices(&transit.ip("-o link show type veth")?));
    let made = links()?;
    site.kill_gateway()?;
    assert_eq!(links()?, made);

    let (one, two) = (site.client_host()?, site.lab().namespace("two")?);
    site.lab().plug_in(&two, "eth0", LAN_SECOND_PEER)?;
    let dial = Dial::new().routes("--routes 10.1.0.0/24,2001:db8:b01::/64");
    let (first, first_up) = Client::connect(&site, &one, &dial)?;
    let (second, second_up) = Client::connect(&site, &two, &dial.clone().psk(OTHER_PSK))?;
    assert_eq!(first_up.address, second_up.address, "the first address of the same pool");
    let at_cloud = cloud.listen()?;
    let says =
        [Datagrams::open(&one, first_up.address)?, Datagrams::open(&two, second_up.address)?];
    meets(&says[0], &cloud, &at_cloud, Ipv4Addr::new(169, 254, 64, 0))?;
    meets(&says[1], &cloud, &at_cloud, second_up.address)?;
    ping(&one, cloud.address())?;
    ping(&two, cloud.address())?;
    ping(&cloud.host, second_up.address)?;
    wait_for("an answer over IPv6", SOON, || {
        let said = pinged(&two, format!("-6 {}", cloud.address6()))?;
        Ok(said.contains(" 0% packet loss").then_some(()))
    })?;
    assert!(transit.ip("link show isv-red")?.contains("mtu 1500"));
    probes(&mut site)?;

    // What others undo is done again, at either end.
    for (place, undone) in [
        (&transit, "link delete isv-red"),
        (&red, "link delete isv-red"),
        (&transit, "route delete 10.64.0.0/24 proto 173"),
        (&transit, "address flush dev isv-red"),
        (&blue, "link set isv-blue down"),
        (&transit, "link set isv-blue down"),
    ] {
        place.ip(undone)?;
        for host in [&one, &two] {
            wait_for(undone, SOON, || {
                Ok(pinged(host, cloud.address())?.contains(" 0% packet loss").then_some(()))
            })?;
        }
    }
    let plan = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
    assert!(plan.contains("the kernel is as it is to be"), "{plan}");
    reload(&mut site, [&blue, &red, &transit])?;
    ping(&one, cloud.address())?;
    first.hang_up()?;
    second.hang_up()?;
    let closed = site.close()?;
    for (before, place) in before.into_iter().zip(all) {
        before?.refuse_leftovers(&KernelState::read(place)?)?;
    }
    closed.passed();
    Ok(())
}

/// What leaves is seen on the device of the passage, translated or not.
fn probes(site: &mut Site) -> Result<(), LabError> {
    for (tenant, seen) in [
        ("acme", "it left by isv-blue as 169.254.64.0 to 10.1.0.2"),
        ("red", "to 10.1.0.2: it left by isv-red\n"),
    ] {
        let words = ["trace", "--config", "gateway.toml", USER, "10.1.0.2", "--send", "--tenant"];
        let told = site.gateway().cli(&[&words[..], &[tenant]].concat())?;
        assert!(told.contains(seen) && told.contains("is answered"), "{seen}\nis not in\n{told}");
    }
    Ok(())
}

/// A reload takes one of them away, and narrows the tunnels of both.
fn reload(site: &mut Site, [blue, red, transit]: [&Namespace; 3]) -> Result<(), LabError> {
    let file = site.gateway().folder().join("gateway.toml");
    let io = |source| LabError::Io { what: file.display().to_string(), source };
    let text = fs::read_to_string(&file).map_err(io)?.replace("[ppp]\n", "[ppp]\nmru = 1300\n");
    let (rest, _) = text.rsplit_once("[[tenant.egress]]").unwrap_or_default();
    fs::write(&file, rest).map_err(io)?;
    let said = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
    for line in [
        "  ~ set link ist-acme up mtu 1300  # packets of tenant acme",
        "  - device isv-red and its other end  # nothing asks for it any more",
    ] {
        assert!(said.lines().any(|told| told == line), "{line}\nis not in\n{said}");
    }
    site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    assert!(blue.ip("link show ist-acme")?.contains(" mtu 1300 "));
    for place in [red, transit] {
        assert!(!place.ip("-o link show type veth")?.contains("isv-red"));
    }
    Ok(())
}

#[test]
fn a_way_into_a_namespace_is_up_while_that_is_there() -> Result<(), LabError> {
    let lab = Site::lab_for("passage-late", Access::Nat)?;
    let [blue, late] = places(&lab, ["blue", "late"])?;
    let name = late.name().to_owned();
    let netns = |what: &str| run(Command::new("ip").args(["netns", what, &name]));
    netns("delete")?;
    let tenant = format!("netns = \"{}\"\n{}", blue.name(), way(&name, "none"));
    let mut site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let plan = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
    for told in ["error egress-namespace-missing: ", &format!("ip netns add {name}")] {
        assert!(plan.contains(told), "{plan}");
    }
    for _ in 0..2 {
        wait_way(&mut site, false)?;
        netns("add")?;
        wait_way(&mut site, true)?;
        wait_for("a route", SOON, || {
            Ok(late.ip("route")?.contains("10.64.0.0/24 via 169.254.64.0").then_some(()))
        })?;
        netns("delete")?;
    }
    wait_way(&mut site, false)?;
    netns("add")?;
    wait_way(&mut site, true)?;
    let (host, dial) = (site.client_host()?, Dial::new().routes("--routes 169.254.64.0/24"));
    let (client, _) = Client::connect(&site, &host, &dial)?;
    ping(&host, Ipv4Addr::new(169, 254, 64, 1))?;
    client.hang_up()?;
    let closed = site.close()?;
    assert_eq!(late.ip("-o link show type veth")?, "");
    closed.passed();
    Ok(())
}

/// The name and the hardware address of each device that `ip` tells of.
fn devices(told: &str) -> Vec<(String, String)> {
    let device = |line: &str| {
        let name = line.split_whitespace().nth(1)?;
        Some((name.to_owned(), line.split_once("link/ether ")?.1.get(..17)?.to_owned()))
    };
    told.lines().filter_map(device).collect()
}

fn wait_way(site: &mut Site, up: bool) -> Result<(), LabError> {
    wait_for(&format!("a way that is up: {up}"), SOON, || {
        let status = site.gateway().status()?;
        Ok((status.at("/tenants/0/egress/0/up")? == up).then_some(()))
    })
}

/// What is said to the cloud's host is heard there, from `seen`.
fn meets(
    from: &Datagrams,
    cloud: &CloudSite,
    there: &Datagrams,
    seen: Ipv4Addr,
) -> Result<(), LabError> {
    from.send("who am I", cloud.address())?;
    assert_eq!(there.receive()?.1.ip(), IpAddr::from(seen));
    Ok(())
}

fn places<const N: usize>(lab: &Lab, names: [&str; N]) -> Result<[Namespace; N], LabError> {
    let all = names.iter().map(|name| lab.namespace(name)).collect::<Result<Vec<_>, _>>()?;
    all.try_into().map_err(|_| LabError::unexpected("as many as names"))
}

/// Both have the same pool: one is hidden behind its end of the link.
fn tenants(blue: &Namespace, red: &Namespace, transit: &str) -> String {
    let (hidden, shown) = (way(transit, "masquerade"), way(transit, "none"));
    format!(
        "netns = \"{}\"\n{}health = {{ icmp = \"10.1.0.2\" }}\n\
         [[tenant]]\nname = \"red\"\nnetns = \"{}\"\npsk = \"{OTHER_PSK}\"\n\
         pool = [\"10.64.0.0/24\"]\npool6 = [\"2001:db8:64::/48\"]\n\
         [tenant.users.{USER}]\npassword = \"{PASSWORD}\"\n{}",
        blue.name(),
        hidden.replace("netns", "interface = \"isv-blue\", netns"),
        red.name(),
        shown,
    )
}

fn way(into: &str, nat: &str) -> String {
    format!("[[tenant.egress]]\nname = \"out\"\nvia = {{ netns = \"{into}\" }}\nnat = \"{nat}\"\n")
}

/// How long a repair or a change may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// The second tenant's key.
const OTHER_PSK: &str = "incorrect zebra battery staple";
