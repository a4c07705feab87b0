//! A client may send from its own address only.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LabError, wait_for};
use isthmus_netns::{Client, Config, Datagrams, Dial, Site, ping};

#[test]
fn packets_from_a_foreign_inner_address_are_dropped_and_counted() -> Result<(), LabError> {
    let mut site = Site::open("spoofing", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let (client, up) = Client::connect(&site, &host, &Dial::new())?;
    let foreigners = [NEIGHBOUR, Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(192, 0, 2, 9)];
    let cloud = Datagrams::open(site.lab().cloud().host(), CLOUD_HOST)?;
    for foreign in foreigners {
        host.ip(&format!("address add {foreign}/32 dev {}", up.interface))?;
        Datagrams::open(&host, foreign)?.send("forged", CLOUD_HOST)?;
    }
    Datagrams::open(&host, up.address)?.send("honest", CLOUD_HOST)?;

    // One tunnel keeps the order, so a forged packet that came through would be first.
    let (text, from) = cloud.receive()?;
    assert_eq!((text.as_str(), from.ip()), ("honest", up.address.into()));
    wait_for("every forged packet to be counted", LIMIT, || {
        let status = site.gateway().status()?;
        let drops = status.at("/drops")?.as_array().cloned().unwrap_or_default();
        let count = drops
            .iter()
            .find(|drop| drop["layer"] == "plane" && drop["reason"] == "source_not_allowed")
            .and_then(|drop| drop["count"].as_u64());
        Ok((count >= u64::try_from(foreigners.len()).ok()).then_some(()))
    })?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Another address of the pool.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 77);
/// How long a count may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);
