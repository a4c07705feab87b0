//! Clients that reach the gateway over IPv6.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LabError};
use isthmus_netns::{Client, Config, Dial, Site, download, ping};

const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x10);
const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x50);

#[test]
fn esp_travels_over_ipv6_by_itself_and_in_udp() -> Result<(), LabError> {
    let give = |address: Ipv6Addr| format!("address add {address}/64 dev eth0 nodad");
    let lab = Site::lab_for("outer-v6", Access::Direct)?;
    lab.gateway().ip(&give(GATEWAY_V6))?;
    let mut site = Site::serve(lab, Config::default())?;
    let host = site.client_host()?;
    host.ip(&give(CLIENT_V6))?;
    for (options, encapsulated) in [("", false), ("--force-encap", true)] {
        let dial = Dial::new().server(GATEWAY_V6.into()).with(options);
        let (client, _) = Client::connect(&site, &host, &dial)?;
        let sessions = site.gateway().sessions()?;
        assert_eq!(sessions.at("/0/encapsulated")?, encapsulated, "{sessions}");
        let from = sessions.at("/0/from")?.as_str().unwrap_or_default().to_owned();
        assert!(from.contains(&CLIENT_V6.to_string()), "{from}");
        ping(&host, CLOUD_HOST)?;
        download(&site, &host)?;
        client.hang_up()?;
        site.wait_idle(Duration::from_secs(20))?;
    }
    let closed = site.close()?;
    let wire = closed.wire();
    assert!(wire.esp_plain > 0 && wire.esp_in_udp > 0, "{wire:?}");
    assert!(wire.esp_sas.iter().all(|(to, _)| matches!(to, IpAddr::V6(_))), "{wire:?}");
    closed.passed();
    Ok(())
}
