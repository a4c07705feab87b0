//! Translation of addresses as the far end sees it: IPv6 in every way that IPv4 has, ranges, and segments that fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use isthmus_interop::{Access, Daemon, LabError, run, wait_for};
use isthmus_netns::{Client, CloudSite, Config, Datagrams, Dial, Site, pinged, start_ping};

#[test]
fn ipv6_is_translated_mapped_refused_and_moved_as_ipv4_is() -> Result<(), LabError> {
    let lab = Site::lab_for("six", Access::Nat)?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 2, 0])?;
    let three = CloudSite::build(&lab, lab.gateway(), 3, [10, 3, 0])?;
    two.know_the_way_to(&format!("{OUTSIDE}/128"))?;
    three.know_the_way_to("2001:db8:64::/48")?;
    for cloud in [&one, &two] {
        cloud.add_address(EVERYWHERE)?;
    }
    let tenant = six(&[&one, &two, &three]);
    let mut site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let host = site.client_host()?;
    let dial = Dial::new().routes("--routes 2001:db8:b00::/40,2001:db8:c00::/40,2001:db8:ee::/48");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    let told = wait_for("an IPv6 address", Duration::from_secs(20), || Ok(client.event("ipv6")))?;
    let own: Ipv6Addr = told["address"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|error| LabError::unexpected(format!("{error} in {told}")))?;
    wait_for("the address to be settled", Duration::from_secs(10), || {
        Ok((!host.ip("-6 address show tentative")?.contains(&own.to_string())).then_some(()))
    })?;

    let says = Datagrams::open(&host, own)?;
    for (to, cloud, seen) in [
        (one.address6(), &one, one.our_address6()),
        (two.address6(), &two, OUTSIDE),
        (THREE, &three, own),
        (EVERYWHERE, &one, one.our_address6()),
    ] {
        let there = if to == THREE { three.address6() } else { to };
        let there = Datagrams::open(&cloud.host, there)?;
        says.send("hello", to)?;
        let (text, source) = there.receive()?;
        assert_eq!((text.as_str(), source.ip()), ("hello", IpAddr::from(seen)), "{to}");
        there.send_to("and back", source)?;
        assert_eq!(says.receive()?.1.ip(), IpAddr::from(to), "{to}");
    }
    let refused = pinged(&host, NOBODY)?;
    assert!(refused.contains("Administratively prohibited"), "{refused}");
    let trace =
        site.gateway().cli(&["trace", "--config", "gateway.toml", "alice", &THREE.to_string()])?;
    assert!(trace.contains(&format!("it goes to {}", three.address6())), "{trace}");

    let ping = start_ping(&site, &host, EVERYWHERE, Duration::from_millis(50))?;
    ping.goes_on_within(Duration::from_secs(3), &site, "the first cloud fails", &|| {
        one.router.ip("link set lan down").map(drop)
    })?;
    ping.finish()?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn an_address_of_a_range_is_taken_and_segments_fit_a_narrow_way() -> Result<(), LabError> {
    let lab = Site::lab_for("range", Access::Nat)?;
    let cloud = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    cloud.know_the_way_to("198.51.100.0/24")?;
    lab.gateway().ip("link set cloud1 mtu 1280")?;
    let tenant = "[[tenant.egress]]\nname = \"narrow\"\nmss_clamp = true\n\
                  via = { interface = \"cloud1\", gateway = \"198.18.1.2\" }\n\
                  nat = \"198.51.100.7-198.51.100.9\"";
    let site = Site::serve(lab, Config { tenant, ..Config::default() })?;
    let host = site.client_host()?;
    let (client, up) = Client::connect(&site, &host, &Dial::new().routes("--routes 10.1.0.0/24"))?;

    let (says, there) = (Datagrams::open(&host, up.address)?, cloud.listen()?);
    says.send("hello", cloud.address())?;
    let range = [7, 8, 9].map(|last| IpAddr::from(Ipv4Addr::new(198, 51, 100, last)));
    let seen = there.receive()?.1.ip();
    assert!(range.contains(&seen), "{seen}");

    let mut server = cloud.host.command("python3");
    server.args(["-u", "-c", ACCEPT]);
    let server = Daemon::start("a server", &server, &site.lab().evidence().path("server.log"))?;
    cloud.host.wait_bound("tcp", 7000, Duration::from_secs(10), || Ok(()))?;
    let mut dial = host.command("bash");
    run(dial.args(["-c", &format!("exec 3<>/dev/tcp/{}/7000", cloud.address())]))?;
    let segment =
        wait_for("a connection", Duration::from_secs(10), || Ok(server.log().trim().parse().ok()))?;
    // 1280 octets, less the headers of IP and TCP, and a time stamp where there is one.
    assert!([1240, 1228].contains(&segment), "{segment}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

fn six(clouds: &[&CloudSite; 3]) -> String {
    let way = |name: &str, cloud: &CloudSite, lines: &str| {
        format!(
            "[[tenant.egress]]\nname = \"{name}\"\n{lines}\n\
             via = {{ interface = \"{}\", gateway = \"{}\" }}\n",
            cloud.link(),
            cloud.next_hop6()
        )
    };
    let [one, two, three] = *clouds;
    let health =
        format!("health = {{ icmp = \"{}\", rise = 2 }}\nnat6 = \"masquerade\"", one.address6());
    [
        String::from("pool6 = [\"2001:db8:64::/48\"]\n"),
        way("first", one, &health),
        way("second", two, &format!("nat6 = \"{OUTSIDE}\"")),
        way("two", two, &format!("match = {{ to = [\"2001:db8:b02::/64\"] }}\nnat6 = \"{OUTSIDE}\"")),
        way("three", three, "match = { to = [\"2001:db8:c03::/64\"] }"),
        String::from(
            "[[tenant.nat]]\negress = \"three\"\n\
             netmap = { inside = \"2001:db8:c03::/64\", outside = \"2001:db8:b03::/64\" }\n\
             [[tenant.policy.rule]]\nname = \"nobody\"\naction = \"deny\"\nto = \"2001:db8:b02::99\"\n",
        ),
    ]
    .concat()
}

/// Tells the largest segment of whoever connects.
const ACCEPT: &str = "import socket\n\
    s = socket.create_server(('0.0.0.0', 7000))\n\
    c, _ = s.accept()\n\
    print(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))\n\
    c.recv(1)";
/// The clients' address at the second cloud.
const OUTSIDE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x5e, 0, 0, 0, 0, 7);
/// The third cloud's host as clients know it.
const THREE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc03, 0, 0, 0, 0, 2);
/// What the first and the second cloud have.
const EVERYWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xee, 0, 0, 0, 0, 1);
const NOBODY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb02, 0, 0, 0, 0, 0x99);
