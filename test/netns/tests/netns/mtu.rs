//! Packets that are too large: for the session, and for the path under it.

use isthmus_interop::{Access, CLOUD_HOST, LabError};
use isthmus_netns::{Client, Config, Dial, Site, download, ping};

#[test]
fn a_packet_larger_than_the_session_is_answered_with_its_mtu() -> Result<(), LabError> {
    let site = Site::open("mtu-session", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let (client, up) = Client::connect(&site, &host, &Dial::new().with("--mtu 1300"))?;
    assert_eq!(up.mtu, 1300);
    // The gateway's device speaks first, then the session.
    let answers = [(1300, "1 received"), (1301, "mtu = 1300"), (1500, "mtu = 1400")];
    for (octets, expected) in answers {
        let mut command = site.lab().cloud().host().command("ping");
        command.args(["-n", "-c", "1", "-W", "2", "-M", "do"]);
        command.args(["-s", &(octets - HEADERS_OCTETS).to_string(), &up.address.to_string()]);
        let output = command.output().expect("ping");
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(log.contains(expected), "{octets} octets: `{expected}` is not in:\n{log}");
        // What the host has learned now would keep it from asking again.
        site.lab().cloud().host().ip("route flush cache")?;
    }
    // Whoever allows it gets its packet in pieces.
    for (from, target) in [(site.lab().cloud().host(), up.address), (&host, CLOUD_HOST)] {
        let mut command = from.command("ping");
        command.args(["-n", "-c", "2", "-i", "0.2", "-W", "2", "-M", "dont", "-s", "3000"]);
        let output = command.arg(target.to_string()).output().expect("ping");
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(log.contains("2 received"), "{log}");
    }
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn tcp_is_clamped_so_that_a_narrow_path_is_never_fragmented() -> Result<(), LabError> {
    let site = Site::open("mtu-clamped", Access::NatRewritingPorts, Config::default())?;
    let host = site.client_host()?;
    narrow_the_path(&site, &host)?;
    let (client, up) = Client::connect(&site, &host, &Dial::new().with("--mtu 1280"))?;
    download(&site, &host)?;
    ping(site.lab().cloud().host(), up.address)?;
    client.hang_up()?;
    let closed = site.close()?;
    assert_eq!(closed.wire().fragments, 0, "1280 octets and what is around them fit into 1400");
    closed.passed();
    Ok(())
}

#[test]
fn a_client_with_the_default_mtu_works_over_a_narrow_path() -> Result<(), LabError> {
    let site = Site::open("mtu-narrow", Access::NatRewritingPorts, Config::default())?;
    let host = site.client_host()?;
    narrow_the_path(&site, &host)?;
    let (client, up) = Client::connect(&site, &host, &Dial::new())?;
    assert_eq!(up.mtu, 1400);
    download(&site, &host)?;
    ping(site.lab().cloud().host(), up.address)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// The client's access has an MTU of 1400: the NAT cannot pass on larger packets from the internet.
fn narrow_the_path(site: &Site, host: &isthmus_interop::Namespace) -> Result<(), LabError> {
    let nat = site.nat()?;
    nat.ip("link set inside mtu 1400")?;
    host.ip("link set eth0 mtu 1400").map(drop)
}

/// IPv4 and ICMP headers, which `ping -s` does not count.
const HEADERS_OCTETS: u16 = 28;
